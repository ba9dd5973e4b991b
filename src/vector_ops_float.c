/*
 * vector_ops_float.c
 *		Operations on floats.
 *
 * A float4 is held as a double that has its value. Its arithmetic is done in float,
 * as core does it. core raises an error if a result is infinite while no operand is,
 * or zero while no operand is zero (multiplication and division), or if the divisor
 * is zero: the loops compute and collect whether any row may have been such, and only
 * then it is looked at row by row whether one was that is not null.
 *
 * All NaNs are equal, and greater than anything else, as core's comparisons have it.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "utils/fmgroids.h"
#include "vector_ops.h"

/*
 * Comparisons. -fno-math-errno leaves NaNs alone: `x != x` is true for them only.
 */
typedef void (*CompareVectors)(int64 *restrict r, const double *x, const double *y, int n);
typedef void (*CompareConstant)(int64 *restrict r, const double *x, double y, int n);

static const BaVector *
compare(BaExpr *expr, BaRows *rows, CompareVectors vectors, CompareConstant constant,
		CompareConstant flipped)
{
	const BaVector *a;
	const BaVector *b;
	BaVector *result;

	if (!ba_op_get_operands(expr, rows, &a, &b))
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_INT, a, b, rows->n);
	if (b->constant)
		constant(result->ints, a->floats, b->floats[0], rows->n);
	else if (a->constant)
		flipped(result->ints, b->floats, a->floats[0], rows->n);
	else
		vectors(result->ints, a->floats, b->floats, rows->n);
	return result;
}

#define EQUAL(x, y) (((x) == (y)) | (((x) != (x)) & ((y) != (y))))
#define LESS(x, y) (((x) < (y)) | (((x) == (x)) & ((y) != (y))))
#define NOT_EQUAL(x, y) (!EQUAL(x, y))
#define GREATER(x, y) LESS(y, x)
#define AT_MOST(x, y) (!LESS(y, x))
#define AT_LEAST(x, y) (!LESS(x, y))

#define COMPARISON_LOOPS(name, compare)                                                            \
	BA_VECTOR_LOOP static void name##_vectors(int64 *restrict r, const double *x, const double *y, \
											  int n)                                               \
	{                                                                                              \
		for (int i = 0; i < n; i++)                                                                \
			r[i] = compare(x[i], y[i]);                                                            \
	}                                                                                              \
	BA_VECTOR_LOOP static void name##_constant(int64 *restrict r, const double *x, double y,       \
											   int n)                                              \
	{                                                                                              \
		for (int i = 0; i < n; i++)                                                                \
			r[i] = compare(x[i], y);                                                               \
	}

#define COMPARISON(name, flipped)                                                                  \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		return compare(expr, rows, name##_vectors, name##_constant, flipped##_constant);           \
	}

COMPARISON_LOOPS(eq, EQUAL)
COMPARISON_LOOPS(ne, NOT_EQUAL)
COMPARISON_LOOPS(lt, LESS)
COMPARISON_LOOPS(le, AT_MOST)
COMPARISON_LOOPS(gt, GREATER)
COMPARISON_LOOPS(ge, AT_LEAST)

COMPARISON(eq, eq)
COMPARISON(ne, ne)
COMPARISON(lt, gt)
COMPARISON(le, ge)
COMPARISON(gt, lt)
COMPARISON(ge, le)

/*
 * Arithmetic. A row is suspect if core may raise an error for it; NaNs are suspect as well, so
 * that one comparison does.
 */
#define NOT_FINITE(r) (!(fabs(r) <= DBL_MAX))

#define SUSPECT_SUM(x, y, r) NOT_FINITE(r)
#define FAILS_SUM(x, y, r) (isinf(r) && !isinf(x) && !isinf(y))

#define SUSPECT_PRODUCT(x, y, r) (NOT_FINITE(r) | (((r) == 0) & ((x) != 0) & ((y) != 0)))
#define FAILS_PRODUCT(x, y, r) (FAILS_SUM(x, y, r) || ((r) == 0 && (x) != 0 && (y) != 0))

#define SUSPECT_QUOTIENT(x, y, r) (NOT_FINITE(r) | (((r) == 0) & ((x) != 0)) | ((y) == 0))
#define FAILS_QUOTIENT(x, y, r)                                                                    \
	(((y) == 0 && !isnan(x)) || (isinf(r) && !isinf(x)) || ((r) == 0 && (x) != 0 && !isinf(y)))

#define ARITHMETIC_LOOP(name, type, op, suspect, fails)                                            \
	BA_VECTOR_LOOP static bool name##_loop(double *restrict r, const double *x, const double *y,   \
										   int n)                                                  \
	{                                                                                              \
		int64 found = 0;                                                                           \
                                                                                                   \
		for (int i = 0; i < n; i++)                                                                \
		{                                                                                          \
			r[i] = (type) ((type) x[i] op(type) y[i]);                                             \
			found |= suspect(x[i], y[i], r[i]);                                                    \
		}                                                                                          \
		return found != 0;                                                                         \
	}                                                                                              \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		const BaVector *a;                                                                         \
		const BaVector *b;                                                                         \
		BaVector *result;                                                                          \
                                                                                                   \
		if (!ba_op_get_operands(expr, rows, &a, &b))                                               \
			return NULL;                                                                           \
		result = ba_op_begin_result(expr, BA_LANE_FLOAT, a, b, rows->n);                           \
		if (name##_loop(result->floats, a->floats, b->floats, rows->n))                            \
			for (int i = 0; i < rows->n; i++)                                                      \
			{                                                                                      \
				if (!ba_op_is_null(result, i))                                                     \
				{                                                                                  \
					if (fails(a->floats[i], b->floats[i], result->floats[i]))                      \
						return NULL;                                                               \
				}                                                                                  \
				else                                                                               \
					result->floats[i] = 0;                                                         \
			}                                                                                      \
		return result;                                                                             \
	}

ARITHMETIC_LOOP(float8_add, double, +, SUSPECT_SUM, FAILS_SUM)
ARITHMETIC_LOOP(float8_sub, double, -, SUSPECT_SUM, FAILS_SUM)
ARITHMETIC_LOOP(float8_mul, double, *, SUSPECT_PRODUCT, FAILS_PRODUCT)
ARITHMETIC_LOOP(float8_div, double, /, SUSPECT_QUOTIENT, FAILS_QUOTIENT)
ARITHMETIC_LOOP(float4_add, float, +, SUSPECT_SUM, FAILS_SUM)
ARITHMETIC_LOOP(float4_sub, float, -, SUSPECT_SUM, FAILS_SUM)
ARITHMETIC_LOOP(float4_mul, float, *, SUSPECT_PRODUCT, FAILS_PRODUCT)
ARITHMETIC_LOOP(float4_div, float, /, SUSPECT_QUOTIENT, FAILS_QUOTIENT)

/*
 * What cannot fail: a loop over floats, or over integers, that gives floats.
 */
#define FLOAT_LOOP(name, from, expression)                                                         \
	BA_VECTOR_LOOP static void name##_loop(double *restrict r, const BaVector *a, int n)           \
	{                                                                                              \
		for (int i = 0; i < n; i++)                                                                \
			r[i] = expression(a->from[i]);                                                         \
	}                                                                                              \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		const BaVector *a = ba_expr_get(expr->args[0], rows);                                      \
		BaVector *result;                                                                          \
                                                                                                   \
		if (a == NULL)                                                                             \
			return NULL;                                                                           \
		result = ba_op_begin_result(expr, BA_LANE_FLOAT, a, NULL, rows->n);                        \
		name##_loop(result->floats, a, rows->n);                                                   \
		return result;                                                                             \
	}

#define AS_FLOAT4(x) ((double) (float) (x))
#define AS_FLOAT8(x) ((double) (x))

FLOAT_LOOP(neg, floats, -)
FLOAT_LOOP(abs, floats, fabs)
FLOAT_LOOP(ceil, floats, ceil)
FLOAT_LOOP(floor, floats, floor)
FLOAT_LOOP(round, floats, rint)
FLOAT_LOOP(trunc, floats, trunc)
FLOAT_LOOP(int_to_float4, ints, AS_FLOAT4)
FLOAT_LOOP(int_to_float8, ints, AS_FLOAT8)

static const BaVector *
eval_same(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);

	return a == NULL ? NULL : ba_op_alias(expr, a);
}

/*
 * float8 -> float4.
 */
static const BaVector *
eval_to_float4(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;
	bool fails = false;

	if (a == NULL)
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_FLOAT, a, NULL, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		double x = a->floats[i];
		double r = (float) x;

		fails |= (isinf(r) && !isinf(x)) | ((r == 0) & (x != 0));
		result->floats[i] = r;
	}
	return fails ? NULL : result;
}

/*
 * float -> integer, half to even. `beyond` is the first value that is too great; its negative is
 * the least that is not too small.
 */
static inline const BaVector *
to_int(BaExpr *expr, BaRows *rows, double beyond)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;
	bool fits = true;

	if (a == NULL)
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_INT, a, NULL, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		double x = rint(a->floats[i]);
		bool fit = x >= -beyond && x < beyond;

		fits &= fit;
		result->ints[i] = fit ? (int64) x : 0;
	}
	return fits ? result : NULL;
}

static const BaVector *
eval_to_int2(BaExpr *expr, BaRows *rows)
{
	return to_int(expr, rows, 32768.0);
}

static const BaVector *
eval_to_int4(BaExpr *expr, BaRows *rows)
{
	return to_int(expr, rows, 2147483648.0);
}

static const BaVector *
eval_to_int8(BaExpr *expr, BaRows *rows)
{
	return to_int(expr, rows, 9223372036854775808.0);
}

#define COMPARISONS(prefix)                                                                        \
	{prefix##EQ, eval_eq, BA_LANE_INT}, {prefix##NE, eval_ne, BA_LANE_INT},                        \
		{prefix##LT, eval_lt, BA_LANE_INT}, {prefix##LE, eval_le, BA_LANE_INT},                    \
		{prefix##GT, eval_gt, BA_LANE_INT},                                                        \
	{                                                                                              \
		prefix##GE, eval_ge, BA_LANE_INT                                                           \
	}

#define ARITHMETIC(prefix, width)                                                                  \
	{prefix##PL, eval_##width##_add, BA_LANE_FLOAT},                                               \
		{prefix##MI, eval_##width##_sub, BA_LANE_FLOAT},                                           \
		{prefix##MUL, eval_##width##_mul, BA_LANE_FLOAT},                                          \
	{                                                                                              \
		prefix##DIV, eval_##width##_div, BA_LANE_FLOAT                                             \
	}

const BaOp ba_ops_float[] = {
	COMPARISONS(F_FLOAT4),
	COMPARISONS(F_FLOAT8),
	COMPARISONS(F_FLOAT48),
	COMPARISONS(F_FLOAT84),
	ARITHMETIC(F_FLOAT4, float4),
	ARITHMETIC(F_FLOAT8, float8),
	ARITHMETIC(F_FLOAT48, float8),
	ARITHMETIC(F_FLOAT84, float8),
	{F_FLOAT4UM, eval_neg, BA_LANE_FLOAT},
	{F_FLOAT8UM, eval_neg, BA_LANE_FLOAT},
	{F_FLOAT4UP, eval_same, BA_LANE_FLOAT},
	{F_FLOAT8UP, eval_same, BA_LANE_FLOAT},
	{F_FLOAT4ABS, eval_abs, BA_LANE_FLOAT},
	{F_FLOAT8ABS, eval_abs, BA_LANE_FLOAT},
	{F_ABS_FLOAT4, eval_abs, BA_LANE_FLOAT},
	{F_ABS_FLOAT8, eval_abs, BA_LANE_FLOAT},
	{F_CEIL_FLOAT8, eval_ceil, BA_LANE_FLOAT},
	{F_CEILING_FLOAT8, eval_ceil, BA_LANE_FLOAT},
	{F_FLOOR_FLOAT8, eval_floor, BA_LANE_FLOAT},
	{F_DROUND, eval_round, BA_LANE_FLOAT},
	{F_ROUND_FLOAT8, eval_round, BA_LANE_FLOAT},
	{F_DTRUNC, eval_trunc, BA_LANE_FLOAT},
	{F_TRUNC_FLOAT8, eval_trunc, BA_LANE_FLOAT},
	{F_FLOAT8_FLOAT4, eval_same, BA_LANE_FLOAT},
	{F_FLOAT4_FLOAT8, eval_to_float4, BA_LANE_FLOAT},
	{F_FLOAT4_INT2, eval_int_to_float4, BA_LANE_FLOAT},
	{F_FLOAT4_INT4, eval_int_to_float4, BA_LANE_FLOAT},
	{F_FLOAT4_INT8, eval_int_to_float4, BA_LANE_FLOAT},
	{F_FLOAT8_INT2, eval_int_to_float8, BA_LANE_FLOAT},
	{F_FLOAT8_INT4, eval_int_to_float8, BA_LANE_FLOAT},
	{F_FLOAT8_INT8, eval_int_to_float8, BA_LANE_FLOAT},
	{F_INT2_FLOAT4, eval_to_int2, BA_LANE_INT},
	{F_INT2_FLOAT8, eval_to_int2, BA_LANE_INT},
	{F_INT4_FLOAT4, eval_to_int4, BA_LANE_INT},
	{F_INT4_FLOAT8, eval_to_int4, BA_LANE_INT},
	{F_INT8_FLOAT4, eval_to_int8, BA_LANE_INT},
	{F_INT8_FLOAT8, eval_to_int8, BA_LANE_INT},
	{InvalidOid},
};
