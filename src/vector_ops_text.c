/*
 * vector_ops_text.c
 *		Operations on text: none yet.
 */
#include "postgres.h"

#include "vector.h"

const BaOp ba_ops_text[] = {{InvalidOid}};
