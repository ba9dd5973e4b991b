/*
 * vector_ops_int.c
 *		Operations on integers, and on types that are integers inside.
 *
 * All widths are 64-bit in a vector. int2 and int4 are computed exactly in 64 bits, and
 * the range of the results is looked at once, after the loop; if it is exceeded,
 * a second look finds out whether by a row that is not null. int8 collects the
 * sign bits that tell an overflow in the same way.
 *
 * Quotients of int2 and int4 are computed as doubles, which is exact: two quotients
 * of such numbers are either equal or differ by more than a double rounds off.
 *
 * oid, xid, "char" and enums are stored as integers that do not sort by the sign: only
 * their equality is here.
 */
#include "postgres.h"

#include "utils/fmgroids.h"
#include "vector_ops.h"

/*
 * Comparisons.
 */
typedef void (*CompareVectors)(int64 *restrict r, const int64 *x, const int64 *y, int n);
typedef void (*CompareConstant)(int64 *restrict r, const int64 *x, int64 y, int n);

/* `flipped` is the loop for a constant on the left. */
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
		constant(result->ints, a->ints, b->ints[0], rows->n);
	else if (a->constant)
		flipped(result->ints, b->ints, a->ints[0], rows->n);
	else
		vectors(result->ints, a->ints, b->ints, rows->n);
	return result;
}

#define COMPARISON_LOOPS(name, op)                                                                 \
	BA_VECTOR_LOOP static void name##_vectors(int64 *restrict r, const int64 *x, const int64 *y,   \
											  int n)                                               \
	{                                                                                              \
		for (int i = 0; i < n; i++)                                                                \
			r[i] = x[i] op y[i];                                                                   \
	}                                                                                              \
	BA_VECTOR_LOOP static void name##_constant(int64 *restrict r, const int64 *x, int64 y, int n)  \
	{                                                                                              \
		for (int i = 0; i < n; i++)                                                                \
			r[i] = x[i] op y;                                                                      \
	}

#define COMPARISON(name, flipped)                                                                  \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		return compare(expr, rows, name##_vectors, name##_constant, flipped##_constant);           \
	}

COMPARISON_LOOPS(eq, ==)
COMPARISON_LOOPS(ne, !=)
COMPARISON_LOOPS(lt, <)
COMPARISON_LOOPS(le, <=)
COMPARISON_LOOPS(gt, >)
COMPARISON_LOOPS(ge, >=)

COMPARISON(eq, eq)
COMPARISON(ne, ne)
COMPARISON(lt, gt)
COMPARISON(le, ge)
COMPARISON(gt, lt)
COMPARISON(ge, le)

/*
 * Sets null rows to 0 where they are out of range; false if a row that is not null is.
 */
static bool
check_range(int64 *values, const bool *nulls, int64 least, int64 greatest, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (values[i] >= least && values[i] <= greatest)
			continue;
		if (nulls == NULL || !nulls[i])
			return false;
		values[i] = 0;
	}
	return true;
}

static bool
check_int2(int64 *values, const bool *nulls, int n)
{
	return check_range(values, nulls, PG_INT16_MIN, PG_INT16_MAX, n);
}

static bool
check_int4(int64 *values, const bool *nulls, int n)
{
	return check_range(values, nulls, PG_INT32_MIN, PG_INT32_MAX, n);
}

/* Bits above those of int2 and int4 that are set if a value is out of range. */
#define BEYOND_INT2(x) (((uint64) (x) + 0x8000) >> 16)
#define BEYOND_INT4(x) (((uint64) (x) + UINT64CONST(0x80000000)) >> 32)

/*
 * +, - and * of int2 and int4.
 */
#define NARROW_ARITHMETIC(name, op, beyond, check)                                                 \
	BA_VECTOR_LOOP static uint64 name##_vectors(int64 *restrict r, const int64 *x, const int64 *y, \
												int n)                                             \
	{                                                                                              \
		uint64 excess = 0;                                                                         \
                                                                                                   \
		for (int i = 0; i < n; i++)                                                                \
		{                                                                                          \
			r[i] = x[i] op y[i];                                                                   \
			excess |= beyond(r[i]);                                                                \
		}                                                                                          \
		return excess;                                                                             \
	}                                                                                              \
	BA_VECTOR_LOOP static uint64 name##_constant(int64 *restrict r, const int64 *x, int64 y,       \
												 int n)                                            \
	{                                                                                              \
		uint64 excess = 0;                                                                         \
                                                                                                   \
		for (int i = 0; i < n; i++)                                                                \
		{                                                                                          \
			r[i] = x[i] op y;                                                                      \
			excess |= beyond(r[i]);                                                                \
		}                                                                                          \
		return excess;                                                                             \
	}                                                                                              \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		const BaVector *a;                                                                         \
		const BaVector *b;                                                                         \
		BaVector *result;                                                                          \
		uint64 excess;                                                                             \
                                                                                                   \
		if (!ba_op_get_operands(expr, rows, &a, &b))                                               \
			return NULL;                                                                           \
		result = ba_op_begin_result(expr, BA_LANE_INT, a, b, rows->n);                             \
		if (b->constant)                                                                           \
			excess = name##_constant(result->ints, a->ints, b->ints[0], rows->n);                  \
		else                                                                                       \
			excess = name##_vectors(result->ints, a->ints, b->ints, rows->n);                      \
		if (excess != 0 && !check(result->ints, result->nulls, rows->n))                           \
			return NULL;                                                                           \
		return result;                                                                             \
	}

NARROW_ARITHMETIC(int2_add, +, BEYOND_INT2, check_int2)
NARROW_ARITHMETIC(int2_sub, -, BEYOND_INT2, check_int2)
NARROW_ARITHMETIC(int2_mul, *, BEYOND_INT2, check_int2)
NARROW_ARITHMETIC(int4_add, +, BEYOND_INT4, check_int4)
NARROW_ARITHMETIC(int4_sub, -, BEYOND_INT4, check_int4)
NARROW_ARITHMETIC(int4_mul, *, BEYOND_INT4, check_int4)

/*
 * + and - of int8: wrap around, and the sign of `overflow` is set if one did.
 */
BA_VECTOR_LOOP static int64
int8_add(int64 *restrict r, const int64 *x, const int64 *y, int n)
{
	int64 overflow = 0;

	for (int i = 0; i < n; i++)
	{
		r[i] = (int64) ((uint64) x[i] + (uint64) y[i]);
		overflow |= (x[i] ^ r[i]) & (y[i] ^ r[i]);
	}
	return overflow;
}

BA_VECTOR_LOOP static int64
int8_sub(int64 *restrict r, const int64 *x, const int64 *y, int n)
{
	int64 overflow = 0;

	for (int i = 0; i < n; i++)
	{
		r[i] = (int64) ((uint64) x[i] - (uint64) y[i]);
		overflow |= (x[i] ^ y[i]) & (x[i] ^ r[i]);
	}
	return overflow;
}

static int64
int8_mul(int64 *restrict r, const int64 *x, const int64 *y, int n)
{
	bool overflow = false;

	for (int i = 0; i < n; i++)
	{
		int64 product;

		overflow |= __builtin_mul_overflow(x[i], y[i], &product);
		r[i] = product;
	}
	return overflow ? -1 : 0;
}

static bool
int8_add_overflows(int64 x, int64 y)
{
	int64 r;

	return __builtin_add_overflow(x, y, &r);
}

static bool
int8_sub_overflows(int64 x, int64 y)
{
	int64 r;

	return __builtin_sub_overflow(x, y, &r);
}

static bool
int8_mul_overflows(int64 x, int64 y)
{
	int64 r;

	return __builtin_mul_overflow(x, y, &r);
}

static inline const BaVector *
compute_int8(BaExpr *expr, BaRows *rows,
			 int64 (*loop)(int64 *restrict r, const int64 *x, const int64 *y, int n),
			 bool (*overflows)(int64 x, int64 y))
{
	const BaVector *a;
	const BaVector *b;
	BaVector *result;

	if (!ba_op_get_operands(expr, rows, &a, &b))
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_INT, a, b, rows->n);
	if (loop(result->ints, a->ints, b->ints, rows->n) < 0)
		for (int i = 0; i < rows->n; i++)
			if (!ba_op_is_null(result, i) && overflows(a->ints[i], b->ints[i]))
				return NULL;
	return result;
}

static const BaVector *
eval_int8_add(BaExpr *expr, BaRows *rows)
{
	return compute_int8(expr, rows, int8_add, int8_add_overflows);
}

static const BaVector *
eval_int8_sub(BaExpr *expr, BaRows *rows)
{
	return compute_int8(expr, rows, int8_sub, int8_sub_overflows);
}

static const BaVector *
eval_int8_mul(BaExpr *expr, BaRows *rows)
{
	return compute_int8(expr, rows, int8_mul, int8_mul_overflows);
}

/*
 * Whether dividing could fail, or the division by way of doubles could.
 */
BA_VECTOR_LOOP static bool
has_risky_divisor(const int64 *y, int n)
{
	int64 risky = 0;

	for (int i = 0; i < n; i++)
		risky |= (y[i] == 0) | (y[i] == -1);
	return risky != 0;
}

BA_VECTOR_LOOP static void
int4_div(int64 *restrict r, const int64 *x, const int64 *y, int n)
{
	for (int i = 0; i < n; i++)
		r[i] = (int32) ((double) (int32) x[i] / (double) (int32) y[i]);
}

BA_VECTOR_LOOP static void
int4_mod(int64 *restrict r, const int64 *x, const int64 *y, int n)
{
	for (int i = 0; i < n; i++)
	{
		int32 quotient = (double) (int32) x[i] / (double) (int32) y[i];

		r[i] = (int32) x[i] - quotient * (int32) y[i];
	}
}

/*
 * Divides with care. Gives up on a division by zero, and on a quotient greater than `greatest`:
 * of the least number by -1. The remainder is 0 there, as core has it.
 */
static bool
divide_each(BaVector *result, const int64 *x, const int64 *y, bool modulo, int64 least, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (y[i] != 0 && y[i] != -1)
			result->ints[i] = modulo ? x[i] % y[i] : x[i] / y[i];
		else if (ba_op_is_null(result, i) || (modulo && y[i] == -1))
			result->ints[i] = 0;
		else if (y[i] == 0 || x[i] == least)
			return false;
		else
			result->ints[i] = -x[i];
	}
	return true;
}

static inline const BaVector *
divide(BaExpr *expr, BaRows *rows, bool modulo, int64 least)
{
	const BaVector *a;
	const BaVector *b;
	BaVector *result;

	if (!ba_op_get_operands(expr, rows, &a, &b))
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_INT, a, b, rows->n);
	if (least == PG_INT64_MIN || has_risky_divisor(b->ints, b->constant ? 1 : rows->n))
	{
		if (!divide_each(result, a->ints, b->ints, modulo, least, rows->n))
			return NULL;
	}
	else if (modulo)
		int4_mod(result->ints, a->ints, b->ints, rows->n);
	else
		int4_div(result->ints, a->ints, b->ints, rows->n);
	return result;
}

#define DIVISION(name, modulo, least)                                                              \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		return divide(expr, rows, modulo, least);                                                  \
	}

DIVISION(int2_div, false, PG_INT16_MIN)
DIVISION(int2_mod, true, PG_INT16_MIN)
DIVISION(int4_div, false, PG_INT32_MIN)
DIVISION(int4_mod, true, PG_INT32_MIN)
DIVISION(int8_div, false, PG_INT64_MIN)
DIVISION(int8_mod, true, PG_INT64_MIN)

/*
 * Unary minus and abs: fail for the least number only, the one whose negative is not there.
 */
BA_VECTOR_LOOP static bool
has_value(const int64 *x, int64 value, int n)
{
	int64 found = 0;

	for (int i = 0; i < n; i++)
		found |= x[i] == value;
	return found != 0;
}

BA_VECTOR_LOOP static void
negate(int64 *restrict r, const int64 *x, int n)
{
	for (int i = 0; i < n; i++)
		r[i] = (int64) (-(uint64) x[i]);
}

BA_VECTOR_LOOP static void
absolute(int64 *restrict r, const int64 *x, int n)
{
	for (int i = 0; i < n; i++)
		r[i] = x[i] < 0 ? (int64) (-(uint64) x[i]) : x[i];
}

static inline const BaVector *
compute_unary(BaExpr *expr, BaRows *rows, void (*loop)(int64 *restrict r, const int64 *x, int n),
			  int64 least)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;

	if (a == NULL || has_value(a->ints, least, rows->n))
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_INT, a, NULL, rows->n);
	loop(result->ints, a->ints, rows->n);
	return result;
}

#define UNARY(name, loop, least)                                                                   \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		return compute_unary(expr, rows, loop, least);                                             \
	}

UNARY(int2_neg, negate, PG_INT16_MIN)
UNARY(int4_neg, negate, PG_INT32_MIN)
UNARY(int8_neg, negate, PG_INT64_MIN)
UNARY(int2_abs, absolute, PG_INT16_MIN)
UNARY(int4_abs, absolute, PG_INT32_MIN)
UNARY(int8_abs, absolute, PG_INT64_MIN)

/*
 * Bits. No result is out of the range of its operands.
 */
#define BITWISE(name, op)                                                                          \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		const BaVector *a;                                                                         \
		const BaVector *b;                                                                         \
		BaVector *result;                                                                          \
		int64 *restrict r;                                                                         \
                                                                                                   \
		if (!ba_op_get_operands(expr, rows, &a, &b))                                               \
			return NULL;                                                                           \
		result = ba_op_begin_result(expr, BA_LANE_INT, a, b, rows->n);                             \
		r = result->ints;                                                                          \
		for (int i = 0; i < rows->n; i++)                                                          \
			r[i] = a->ints[i] op b->ints[i];                                                       \
		return result;                                                                             \
	}

BITWISE(and, &)
BITWISE(or, |)
BITWISE(xor, ^)

/*
 * Casts. A narrower type holds the very values, if it does.
 */
static const BaVector *
eval_same(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);

	return a == NULL ? NULL : ba_op_alias(expr, a);
}

BA_VECTOR_LOOP static uint64
find_excess(const int64 *x, uint64 half, int n)
{
	uint64 excess = 0;

	for (int i = 0; i < n; i++)
		excess |= ((uint64) x[i] + half) & ~(half * 2 - 1);
	return excess;
}

static inline const BaVector *
narrow(BaExpr *expr, BaRows *rows, uint64 half)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);

	if (a == NULL || find_excess(a->ints, half, rows->n) != 0)
		return NULL;
	return ba_op_alias(expr, a);
}

static const BaVector *
eval_to_int2(BaExpr *expr, BaRows *rows)
{
	return narrow(expr, rows, 0x8000);
}

static const BaVector *
eval_to_int4(BaExpr *expr, BaRows *rows)
{
	return narrow(expr, rows, UINT64CONST(0x80000000));
}

static const BaVector *
eval_to_bool(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;

	if (a == NULL)
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_INT, a, NULL, rows->n);
	ne_constant(result->ints, a->ints, 0, rows->n);
	return result;
}

#define COMPARISONS(prefix)                                                                        \
	{prefix##EQ, eval_eq, BA_LANE_INT}, {prefix##NE, eval_ne, BA_LANE_INT},                        \
		{prefix##LT, eval_lt, BA_LANE_INT}, {prefix##LE, eval_le, BA_LANE_INT},                    \
		{prefix##GT, eval_gt, BA_LANE_INT},                                                        \
	{                                                                                              \
		prefix##GE, eval_ge, BA_LANE_INT                                                           \
	}

#define ARITHMETIC(prefix, width)                                                                  \
	{prefix##PL, eval_##width##_add, BA_LANE_INT}, {prefix##MI, eval_##width##_sub, BA_LANE_INT},  \
		{prefix##MUL, eval_##width##_mul, BA_LANE_INT},                                            \
	{                                                                                              \
		prefix##DIV, eval_##width##_div, BA_LANE_INT                                               \
	}

const BaOp ba_ops_int[] = {
	COMPARISONS(F_INT2),
	COMPARISONS(F_INT4),
	COMPARISONS(F_INT8),
	COMPARISONS(F_INT24),
	COMPARISONS(F_INT28),
	COMPARISONS(F_INT42),
	COMPARISONS(F_INT48),
	COMPARISONS(F_INT82),
	COMPARISONS(F_INT84),
	COMPARISONS(F_BOOL),
	COMPARISONS(F_DATE_),
	COMPARISONS(F_TIME_),
	COMPARISONS(F_TIMESTAMP_),
	COMPARISONS(F_TIMESTAMPTZ_),
	COMPARISONS(F_CASH_),
	{F_OIDEQ, eval_eq, BA_LANE_INT},
	{F_OIDNE, eval_ne, BA_LANE_INT},
	{F_XIDEQ, eval_eq, BA_LANE_INT},
	{F_XIDNEQ, eval_ne, BA_LANE_INT},
	{F_CHAREQ, eval_eq, BA_LANE_INT},
	{F_CHARNE, eval_ne, BA_LANE_INT},
	{F_ENUM_EQ, eval_eq, BA_LANE_INT},
	{F_ENUM_NE, eval_ne, BA_LANE_INT},

	ARITHMETIC(F_INT2, int2),
	ARITHMETIC(F_INT4, int4),
	ARITHMETIC(F_INT24, int4),
	ARITHMETIC(F_INT42, int4),
	ARITHMETIC(F_INT8, int8),
	ARITHMETIC(F_INT28, int8),
	ARITHMETIC(F_INT48, int8),
	ARITHMETIC(F_INT82, int8),
	ARITHMETIC(F_INT84, int8),
	{F_INT2MOD, eval_int2_mod, BA_LANE_INT},
	{F_INT4MOD, eval_int4_mod, BA_LANE_INT},
	{F_INT8MOD, eval_int8_mod, BA_LANE_INT},
	{F_MOD_INT2_INT2, eval_int2_mod, BA_LANE_INT},
	{F_MOD_INT4_INT4, eval_int4_mod, BA_LANE_INT},
	{F_MOD_INT8_INT8, eval_int8_mod, BA_LANE_INT},
	{F_INT2UM, eval_int2_neg, BA_LANE_INT},
	{F_INT4UM, eval_int4_neg, BA_LANE_INT},
	{F_INT8UM, eval_int8_neg, BA_LANE_INT},
	{F_INT2UP, eval_same, BA_LANE_INT},
	{F_INT4UP, eval_same, BA_LANE_INT},
	{F_INT8UP, eval_same, BA_LANE_INT},
	{F_INT2ABS, eval_int2_abs, BA_LANE_INT},
	{F_INT4ABS, eval_int4_abs, BA_LANE_INT},
	{F_INT8ABS, eval_int8_abs, BA_LANE_INT},
	{F_ABS_INT2, eval_int2_abs, BA_LANE_INT},
	{F_ABS_INT4, eval_int4_abs, BA_LANE_INT},
	{F_ABS_INT8, eval_int8_abs, BA_LANE_INT},
	{F_INT2AND, eval_and, BA_LANE_INT},
	{F_INT4AND, eval_and, BA_LANE_INT},
	{F_INT8AND, eval_and, BA_LANE_INT},
	{F_INT2OR, eval_or, BA_LANE_INT},
	{F_INT4OR, eval_or, BA_LANE_INT},
	{F_INT8OR, eval_or, BA_LANE_INT},
	{F_INT2XOR, eval_xor, BA_LANE_INT},
	{F_INT4XOR, eval_xor, BA_LANE_INT},
	{F_INT8XOR, eval_xor, BA_LANE_INT},

	{F_CASH_PL, eval_int8_add, BA_LANE_INT},
	{F_CASH_MI, eval_int8_sub, BA_LANE_INT},
	{F_CASH_MUL_INT2, eval_int8_mul, BA_LANE_INT},
	{F_CASH_MUL_INT4, eval_int8_mul, BA_LANE_INT},
	{F_CASH_MUL_INT8, eval_int8_mul, BA_LANE_INT},
	{F_INT2_MUL_CASH, eval_int8_mul, BA_LANE_INT},
	{F_INT4_MUL_CASH, eval_int8_mul, BA_LANE_INT},
	{F_INT8_MUL_CASH, eval_int8_mul, BA_LANE_INT},
	{F_CASH_DIV_INT2, eval_int8_div, BA_LANE_INT},
	{F_CASH_DIV_INT4, eval_int8_div, BA_LANE_INT},
	{F_CASH_DIV_INT8, eval_int8_div, BA_LANE_INT},

	{F_INT4_INT2, eval_same, BA_LANE_INT},
	{F_INT8_INT2, eval_same, BA_LANE_INT},
	{F_INT8_INT4, eval_same, BA_LANE_INT},
	{F_INT2_INT4, eval_to_int2, BA_LANE_INT},
	{F_INT2_INT8, eval_to_int2, BA_LANE_INT},
	{F_INT4_INT8, eval_to_int4, BA_LANE_INT},
	{F_INT4_BOOL, eval_same, BA_LANE_INT},
	{F_BOOL_INT4, eval_to_bool, BA_LANE_INT},
	{InvalidOid},
};
