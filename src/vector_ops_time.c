/*
 * vector_ops_time.c
 *		Operations on time: none yet.
 */
#include "postgres.h"

#include "vector.h"

const BaOp ba_ops_time[] = {{InvalidOid}};
