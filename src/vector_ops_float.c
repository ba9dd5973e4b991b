/*
 * vector_ops_float.c
 *		Operations on float: none yet.
 */
#include "postgres.h"

#include "vector.h"

const BaOp ba_ops_float[] = {{InvalidOid}};
