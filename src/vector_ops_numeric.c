/*
 * vector_ops_numeric.c
 *		Operations on numerics as scaled integers.
 *
 * With operands in BA_LANE_NUMERIC, numeric's operators are integer arithmetic, and
 * exact where it does not overflow:
 *
 *		a + b, a - b	at the larger of the two scales
 *		a * b			at the sum of the scales
 *		a < b, ...		after bringing both to the larger scale
 *
 * These are the scales that core displays. What does not fit, be it in the end or
 * on the way, makes the node give up. Division is left to core: the scale of its
 * result depends on the values.
 *
 * A constant operand is decoded and scaled once a vector. The loops take it for
 * any row by masking the row's number, so that they need not be written again for it.
 */
#include "postgres.h"

#include "compat.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "vector.h"

/* An operand: integers in units of 10^-scale. */
typedef struct Operand
{
	const int64 *values;
	int mask; /* of a row's number: -1, or 0 for a constant */
	int scale;
	int displayed;       /* the scale before it was made larger */
	const uint8 *scales; /* of rows, if they differ */
	const bool *nulls;
	int64 constant;
} Operand;

static inline int64
get_value(const Operand *operand, int row)
{
	return operand->values[row & operand->mask];
}

/*
 * Evaluates an operand; false if it gives up, or has numerics that are not of one scale.
 */
static bool
get_operand(BaExpr *arg, BaRows *rows, Operand *operand)
{
	const BaVector *vector = ba_expr_get(arg, rows);

	if (vector == NULL || rows->n == 0)
		return false;
	operand->nulls = vector->nulls;
	operand->values = vector->ints;
	operand->mask = -1;
	operand->scale = vector->scale;
	operand->displayed = vector->scale;
	operand->scales = vector->lane == BA_LANE_NUMERIC ? vector->scales : NULL;
	if (vector->lane != BA_LANE_DATUM)
		return true;
	if (!vector->constant)
		return false;
	operand->constant = 0;
	operand->scale = 0;
	operand->values = &operand->constant;
	operand->mask = 0;
	if (vector->datums[0] != (Datum) 0 &&
		!ba_numeric_decode(vector->datums[0], &operand->constant, &operand->scale))
		return false;
	operand->displayed = operand->scale;
	return true;
}

/*
 * Brings an operand to a larger scale; false if a value does not fit. The results of a
 * vector go to `buffer`, one of the node's.
 */
static bool
rescale(BaExpr *expr, int buffer, Operand *operand, int scale, int n)
{
	int64 power;
	int64 *values;

	if (operand->scale == scale)
		return true;
	power = ba_numeric_powers[scale - operand->scale];
	operand->scale = scale;
	if (operand->mask == 0)
		return !__builtin_mul_overflow(operand->constant, power, &operand->constant);
	if (expr->private == NULL)
		expr->private =
			MemoryContextAlloc(expr->program->memory, sizeof(int64) * 2 * BA_VECTOR_ROWS);
	values = (int64 *) expr->private + buffer * BA_VECTOR_ROWS;
	for (int i = 0; i < n; i++)
		if (unlikely(__builtin_mul_overflow(operand->values[i], power, &values[i])))
			return false;
	operand->values = values;
	return true;
}

/*
 * Evaluates two operands and brings them to the larger scale.
 */
static bool
get_aligned(BaExpr *expr, BaRows *rows, Operand *a, Operand *b)
{
	int scale;

	if (!get_operand(expr->args[0], rows, a) || !get_operand(expr->args[1], rows, b))
		return false;
	scale = Max(a->scale, b->scale);
	return rescale(expr, 0, a, scale, rows->n) && rescale(expr, 1, b, scale, rows->n);
}

/*
 * Makes the result of two operands ready: null where either is.
 */
static BaVector *
begin_result(BaExpr *expr, BaLane lane, const Operand *a, const Operand *b, int n)
{
	BaVector *result = ba_expr_begin_result(expr, lane);

	result->nulls = unconstify(
		bool *, ba_vector_unite_nulls(ba_vector_null_buffer(result), a->nulls, b->nulls, n));
	result->constant = a->mask == 0 && b->mask == 0;
	return result;
}

/*
 * Sets what the rows of a sum or difference display, if they differ: as much as either operand.
 */
static void
set_sum_scales(BaVector *result, const Operand *a, const Operand *b, BaRows *rows)
{
	uint8 *scales;

	if (a->scales == NULL && b->scales == NULL)
		return;
	scales = MemoryContextAlloc(rows->memory, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		int x = a->scales != NULL ? a->scales[i] : a->displayed;
		int y = b->scales != NULL ? b->scales[i] : b->displayed;

		scales[i] = Max(x, y);
	}
	result->scales = scales;
}

/*
 * Likewise for a product: as much as both together.
 */
static void
set_product_scales(BaVector *result, const Operand *a, const Operand *b, BaRows *rows)
{
	uint8 *scales;

	if (a->scales == NULL && b->scales == NULL)
		return;
	scales = MemoryContextAlloc(rows->memory, rows->n);
	for (int i = 0; i < rows->n; i++)
		scales[i] = (a->scales != NULL ? a->scales[i] : a->displayed) +
					(b->scales != NULL ? b->scales[i] : b->displayed);
	result->scales = scales;
}

static const BaVector *
eval_add(BaExpr *expr, BaRows *rows)
{
	Operand a;
	Operand b;
	BaVector *result;

	if (!get_aligned(expr, rows, &a, &b))
		return NULL;
	result = begin_result(expr, BA_LANE_NUMERIC, &a, &b, rows->n);
	result->scale = a.scale;
	set_sum_scales(result, &a, &b, rows);
	for (int i = 0; i < rows->n; i++)
		if (unlikely(__builtin_add_overflow(get_value(&a, i), get_value(&b, i), &result->ints[i])))
			return NULL;
	return result;
}

static const BaVector *
eval_sub(BaExpr *expr, BaRows *rows)
{
	Operand a;
	Operand b;
	BaVector *result;

	if (!get_aligned(expr, rows, &a, &b))
		return NULL;
	result = begin_result(expr, BA_LANE_NUMERIC, &a, &b, rows->n);
	result->scale = a.scale;
	set_sum_scales(result, &a, &b, rows);
	for (int i = 0; i < rows->n; i++)
		if (unlikely(__builtin_sub_overflow(get_value(&a, i), get_value(&b, i), &result->ints[i])))
			return NULL;
	return result;
}

static const BaVector *
eval_mul(BaExpr *expr, BaRows *rows)
{
	Operand a;
	Operand b;
	BaVector *result;

	if (!get_operand(expr->args[0], rows, &a) || !get_operand(expr->args[1], rows, &b) ||
		a.scale + b.scale > BA_NUMERIC_MAX_SCALE)
		return NULL;
	result = begin_result(expr, BA_LANE_NUMERIC, &a, &b, rows->n);
	result->scale = a.scale + b.scale;
	set_product_scales(result, &a, &b, rows);
	for (int i = 0; i < rows->n; i++)
		if (unlikely(__builtin_mul_overflow(get_value(&a, i), get_value(&b, i), &result->ints[i])))
			return NULL;
	return result;
}

/*
 * Unary operations, on the sole operand's own scale.
 */
static BaVector *
begin_unary(BaExpr *expr, BaRows *rows, BaLane lane, Operand *a)
{
	BaVector *result;

	if (!get_operand(expr->args[0], rows, a))
		return NULL;
	result = ba_expr_begin_result(expr, lane);
	result->nulls = unconstify(bool *, a->nulls);
	result->constant = a->mask == 0;
	result->scale = lane == BA_LANE_NUMERIC ? a->scale : 0;
	result->scales = lane == BA_LANE_NUMERIC ? a->scales : NULL;
	return result;
}

static const BaVector *
eval_minus(BaExpr *expr, BaRows *rows)
{
	Operand a;
	BaVector *result = begin_unary(expr, rows, BA_LANE_NUMERIC, &a);

	if (result == NULL)
		return NULL;
	for (int i = 0; i < rows->n; i++)
		if (unlikely(__builtin_sub_overflow(0, get_value(&a, i), &result->ints[i])))
			return NULL;
	return result;
}

static const BaVector *
eval_abs(BaExpr *expr, BaRows *rows)
{
	Operand a;
	BaVector *result = begin_unary(expr, rows, BA_LANE_NUMERIC, &a);

	if (result == NULL)
		return NULL;
	for (int i = 0; i < rows->n; i++)
	{
		int64 value = get_value(&a, i);

		if (unlikely(value == PG_INT64_MIN))
			return NULL;
		result->ints[i] = value < 0 ? -value : value;
	}
	return result;
}

static const BaVector *
eval_plus(BaExpr *expr, BaRows *rows)
{
	return ba_expr_get(expr->args[0], rows);
}

/*
 * Comparisons
 */
#define COMPARISON(name, operator)                                                                 \
	static const BaVector *eval_##name(BaExpr *expr, BaRows *rows)                                 \
	{                                                                                              \
		Operand a;                                                                                 \
		Operand b;                                                                                 \
		BaVector *result;                                                                          \
                                                                                                   \
		if (!get_aligned(expr, rows, &a, &b))                                                      \
			return NULL;                                                                           \
		result = begin_result(expr, BA_LANE_INT, &a, &b, rows->n);                                 \
		for (int i = 0; i < rows->n; i++)                                                          \
			result->ints[i] = get_value(&a, i) operator get_value(&b, i);                          \
		return result;                                                                             \
	}

COMPARISON(eq, ==)
COMPARISON(ne, !=)
COMPARISON(lt, <)
COMPARISON(le, <=)
COMPARISON(gt, >)
COMPARISON(ge, >=)

/*
 * Integers of any width are numerics of scale 0 as they are.
 */
static const BaVector *
eval_from_int(BaExpr *expr, BaRows *rows)
{
	const BaVector *ints = ba_expr_get(expr->args[0], rows);
	BaVector *result;

	if (ints == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, BA_LANE_NUMERIC);
	memcpy(result->ints, ints->ints, sizeof(int64) * rows->n);
	result->nulls = ints->nulls;
	result->constant = ints->constant;
	result->scale = 0;
	return result;
}

/*
 * Divides by a power of ten, rounded as core rounds: halves away from zero.
 */
static inline int64
divide(int64 value, int64 power)
{
	int64 rest = value % power;

	return value / power + (power > 1 && rest >= power / 2) - (power > 1 && rest <= -(power / 2));
}

/*
 * To the nearest integer; gives up out of min .. max.
 */
static const BaVector *
eval_to_int(BaExpr *expr, BaRows *rows, int64 min, int64 max)
{
	Operand a;
	BaVector *result = begin_unary(expr, rows, BA_LANE_INT, &a);

	if (result == NULL)
		return NULL;
	for (int i = 0; i < rows->n; i++)
	{
		int64 quotient = divide(get_value(&a, i), ba_numeric_powers[a.scale]);

		if (unlikely(quotient < min || quotient > max))
			return NULL;
		result->ints[i] = quotient;
	}
	return result;
}

static const BaVector *
eval_to_int2(BaExpr *expr, BaRows *rows)
{
	return eval_to_int(expr, rows, PG_INT16_MIN, PG_INT16_MAX);
}

static const BaVector *
eval_to_int4(BaExpr *expr, BaRows *rows)
{
	return eval_to_int(expr, rows, PG_INT32_MIN, PG_INT32_MAX);
}

static const BaVector *
eval_to_int8(BaExpr *expr, BaRows *rows)
{
	return eval_to_int(expr, rows, PG_INT64_MIN, PG_INT64_MAX);
}

/*
 * To a scale, by rounding or truncating, or by adding zeros. Gives up where the integer is larger
 * than max.
 */
static const BaVector *
eval_to_scale(BaExpr *expr, BaRows *rows, int scale, bool truncate, int64 max)
{
	Operand a;
	BaVector *result = begin_unary(expr, rows, BA_LANE_NUMERIC, &a);
	int64 power;

	if (result == NULL || (scale > a.scale && !rescale(expr, 0, &a, scale, rows->n)))
		return NULL;
	power = ba_numeric_powers[a.scale - scale];
	for (int i = 0; i < rows->n; i++)
	{
		int64 value = get_value(&a, i);

		value = truncate ? value / power : divide(value, power);
		if (unlikely(value < -max || value > max))
			return NULL;
		result->ints[i] = value;
	}
	result->scale = scale;
	result->scales = NULL;
	return result;
}

/*
 * Gets the constant that is the second argument; -1 if it is none or negative.
 */
static int64
get_second(BaExpr *expr, BaRows *rows)
{
	const BaVector *vector = ba_expr_get(expr->args[1], rows);

	if (vector == NULL || !vector->constant || vector->nulls != NULL || rows->n == 0)
		return -1;
	return vector->ints[0];
}

static const BaVector *
eval_round(BaExpr *expr, BaRows *rows)
{
	int64 scale = get_second(expr, rows);

	if (scale < 0 || scale > BA_NUMERIC_MAX_SCALE)
		return NULL;
	return eval_to_scale(expr, rows, scale, false, PG_INT64_MAX);
}

static const BaVector *
eval_trunc(BaExpr *expr, BaRows *rows)
{
	int64 scale = get_second(expr, rows);

	if (scale < 0 || scale > BA_NUMERIC_MAX_SCALE)
		return NULL;
	return eval_to_scale(expr, rows, scale, true, PG_INT64_MAX);
}

/*
 * numeric(precision, scale), packed into a type modifier: precision in the upper 16 bits, scale in
 * the lower 11, signed.
 */
static const BaVector *
eval_to_precision(BaExpr *expr, BaRows *rows)
{
	int64 typmod = get_second(expr, rows) - VARHDRSZ;
	int precision = typmod >> 16 & 0xffff;
	int scale = typmod & 0x7ff;

	if (typmod < 0 || scale > BA_NUMERIC_MAX_SCALE)
		return NULL;
	return eval_to_scale(expr, rows, scale, false,
						 precision <= BA_NUMERIC_MAX_SCALE ? ba_numeric_powers[precision] - 1
														   : PG_INT64_MAX);
}

/*
 * Core reads the decimal form, and so gets the nearest float. Dividing gives the same where
 * dividend and divisor are floats exactly: the result is rounded once. In float4 that is for a
 * division in that width.
 */
#define MAX_EXACT_FLOAT8 (INT64CONST(1) << 53)
#define MAX_EXACT_FLOAT4 (INT64CONST(1) << 24)
#define MAX_EXACT_FLOAT4_SCALE 10 /* 10^10 = 2^10 * 5^10, and 5^10 < 2^24 */

static const BaVector *
eval_to_float8(BaExpr *expr, BaRows *rows)
{
	Operand a;
	BaVector *result = begin_unary(expr, rows, BA_LANE_FLOAT, &a);
	double power;

	if (result == NULL)
		return NULL;
	power = (double) ba_numeric_powers[a.scale];
	for (int i = 0; i < rows->n; i++)
	{
		int64 value = get_value(&a, i);

		if (unlikely(value < -MAX_EXACT_FLOAT8 || value > MAX_EXACT_FLOAT8))
			return NULL;
		result->floats[i] = (double) value / power;
	}
	return result;
}

static const BaVector *
eval_to_float4(BaExpr *expr, BaRows *rows)
{
	Operand a;
	BaVector *result = begin_unary(expr, rows, BA_LANE_FLOAT, &a);
	float power;

	if (result == NULL || a.scale > MAX_EXACT_FLOAT4_SCALE)
		return NULL;
	power = (float) ba_numeric_powers[a.scale];
	for (int i = 0; i < rows->n; i++)
	{
		int64 value = get_value(&a, i);

		if (unlikely(value < -MAX_EXACT_FLOAT4 || value > MAX_EXACT_FLOAT4))
			return NULL;
		result->floats[i] = (float) value / power;
	}
	return result;
}

const BaOp ba_ops_numeric[] = {
	{F_NUMERIC_ADD, eval_add, BA_LANE_NUMERIC},
	{F_NUMERIC_SUB, eval_sub, BA_LANE_NUMERIC},
	{F_NUMERIC_MUL, eval_mul, BA_LANE_NUMERIC},
	{F_NUMERIC_UMINUS, eval_minus, BA_LANE_NUMERIC},
	{F_NUMERIC_UPLUS, eval_plus, BA_LANE_NUMERIC},
	{F_NUMERIC_ABS, eval_abs, BA_LANE_NUMERIC},
	{F_ABS_NUMERIC, eval_abs, BA_LANE_NUMERIC},
	{F_ROUND_NUMERIC_INT4, eval_round, BA_LANE_NUMERIC},
	{F_TRUNC_NUMERIC_INT4, eval_trunc, BA_LANE_NUMERIC},
	{F_NUMERIC_NUMERIC_INT4, eval_to_precision, BA_LANE_NUMERIC},
	{F_NUMERIC_EQ, eval_eq, BA_LANE_INT},
	{F_NUMERIC_NE, eval_ne, BA_LANE_INT},
	{F_NUMERIC_LT, eval_lt, BA_LANE_INT},
	{F_NUMERIC_LE, eval_le, BA_LANE_INT},
	{F_NUMERIC_GT, eval_gt, BA_LANE_INT},
	{F_NUMERIC_GE, eval_ge, BA_LANE_INT},
	{F_NUMERIC_INT2, eval_from_int, BA_LANE_NUMERIC},
	{F_NUMERIC_INT4, eval_from_int, BA_LANE_NUMERIC},
	{F_NUMERIC_INT8, eval_from_int, BA_LANE_NUMERIC},
	{F_INT2_NUMERIC, eval_to_int2, BA_LANE_INT},
	{F_INT4_NUMERIC, eval_to_int4, BA_LANE_INT},
	{F_INT8_NUMERIC, eval_to_int8, BA_LANE_INT},
	{F_FLOAT8_NUMERIC, eval_to_float8, BA_LANE_FLOAT},
	{F_FLOAT4_NUMERIC, eval_to_float4, BA_LANE_FLOAT},
	{InvalidOid},
};
