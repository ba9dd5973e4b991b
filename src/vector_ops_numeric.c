/*
 * vector_ops_numeric.c
 *		Operations on numeric: none yet.
 */
#include "postgres.h"

#include "vector.h"

const BaOp ba_ops_numeric[] = {{InvalidOid}};
