/*
 * vector_ops.h
 *		What files of operations share.
 *
 * An operation computes all rows, null or not, and its operands have something
 * harmless under a null. Where a row cannot be computed it gives up, unless the row is null.
 */
#ifndef VECTOR_OPS_H
#define VECTOR_OPS_H

#include "vector.h"

/*
 * A loop over a vector that pays when compiled for wider registers as well: the
 * loader chooses. Takes plain arrays, so that the compiler knows they do not overlap.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define BA_VECTOR_LOOP __attribute__((target_clones("avx2", "default")))
#else
#define BA_VECTOR_LOOP
#endif

/* The operands of a binary operation. False if one gave up. */
static inline bool
ba_op_get_operands(BaExpr *expr, BaRows *rows, const BaVector **a, const BaVector **b)
{
	*a = ba_expr_get(expr->args[0], rows);
	if (*a == NULL)
		return false;
	*b = ba_expr_get(expr->args[1], rows);
	return *b != NULL;
}

/* Readies the result of a strict operation: null where an operand is. b may be NULL. */
static inline BaVector *
ba_op_begin_result(BaExpr *expr, BaLane lane, const BaVector *a, const BaVector *b, int n)
{
	BaVector *result = ba_expr_begin_result(expr, lane);

	result->nulls = (bool *) ba_vector_unite_nulls(ba_vector_null_buffer(result), a->nulls,
												   b == NULL ? NULL : b->nulls, n);
	return result;
}

/* A result that has the values of another vector and a type of its own. */
static inline const BaVector *
ba_op_alias(BaExpr *expr, const BaVector *vector)
{
	BaType type = expr->result.type;

	expr->result = *vector;
	expr->result.type = type;
	return &expr->result;
}

static inline bool
ba_op_is_null(const BaVector *vector, int row)
{
	return vector->nulls != NULL && vector->nulls[row];
}

#endif
