/*
 * vector_ops_int.c
 *		Operations on int: none yet.
 */
#include "postgres.h"

#include "vector.h"

const BaOp ba_ops_int[] = {{InvalidOid}};
