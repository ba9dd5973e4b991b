/*
 * vector_logic.c
 *		AND, OR, NOT, tests for null and truth, CASE, COALESCE, NULLIF, GREATEST, LEAST.
 *
 * These decide by nulls, where operations are just null if an operand is. All operands are
 * computed for all rows; then each row picks. Truth values are 0 and 1, under a
 * null either.
 *
 * Branches of CASE and COALESCE may come in different lanes, if numeric: scaled integers, of
 * different scales, or as stored. Integers are brought to the largest scale, and each
 * row remembers the scale it has in core. Where that cannot be, the result has
 * numerics as stored, made of scaled integers for the rows that picked them.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "compat.h"
#include "utils/memutils.h"
#include "vector_expr.h"
#include "vector_ops.h"

/*
 * Computes all operands of a node, which stay in rows->memory. NULL if one gave up.
 */
static const BaVector **
get_operands(BaExpr *expr, BaRows *rows)
{
	const BaVector **operands = MemoryContextAlloc(rows->memory, sizeof(BaVector *) * expr->nargs);

	for (int i = 0; i < expr->nargs; i++)
	{
		operands[i] = ba_expr_get(expr->args[i], rows);
		if (operands[i] == NULL)
			return NULL;
	}
	return operands;
}

/*
 * The loops of AND and OR without nulls, and with them: `decided` is set where an operand is `decider`,
 * the value that decides whatever the others are, `unknown` where one is null.
 */
BA_VECTOR_LOOP static void
and_values(int64 *restrict r, const int64 *x, int n)
{
	for (int i = 0; i < n; i++)
		r[i] &= x[i];
}

BA_VECTOR_LOOP static void
or_values(int64 *restrict r, const int64 *x, int n)
{
	for (int i = 0; i < n; i++)
		r[i] |= x[i];
}

static void
decide(bool *restrict decided, bool *restrict unknown, const BaVector *x, int64 decider, int n)
{
	if (x->nulls == NULL)
		for (int i = 0; i < n; i++)
			decided[i] |= x->ints[i] == decider;
	else
		for (int i = 0; i < n; i++)
		{
			decided[i] |= (x->ints[i] == decider) & !x->nulls[i];
			unknown[i] |= x->nulls[i];
		}
}

/*
 * AND and OR with nulls, or where an operand cannot be computed for all rows: one operand after the
 * other, for the rows that are not decided yet.
 */
static const BaVector *
combine_in_turn(BaExpr *expr, BaRows *rows, int64 decider)
{
	BaVector *result;
	int64 undecided[BA_VECTOR_ROWS];
	bool decided[BA_VECTOR_ROWS];
	bool unknown[BA_VECTOR_ROWS];
	int n = rows->n;

	memset(decided, 0, n);
	memset(unknown, 0, n);
	for (int k = 0; k < expr->nargs; k++)
	{
		const BaVector *operand = ba_expr_get(expr->args[k], rows);

		if (operand == NULL)
		{
			for (int i = 0; i < n; i++)
				undecided[i] = decided[i] ? 0 : -1;
			operand = ba_lazy_get(expr->args[k], rows, undecided);
		}
		if (operand == NULL)
			return NULL;
		decide(decided, unknown, operand, decider, n);
	}
	result = ba_expr_begin_result(expr, BA_LANE_INT);
	result->nulls = ba_vector_null_buffer(result);
	for (int i = 0; i < n; i++)
	{
		result->ints[i] = decided[i] ? decider : !decider;
		result->nulls[i] = unknown[i] & !decided[i];
	}
	return result;
}

static const BaVector *
combine(BaExpr *expr, BaRows *rows, int64 decider)
{
	const BaVector **operands = get_operands(expr, rows);
	BaVector *result;
	int n = rows->n;

	if (operands == NULL)
		return combine_in_turn(expr, rows, decider);
	for (int k = 0; k < expr->nargs; k++)
		if (operands[k]->nulls != NULL)
			return combine_in_turn(expr, rows, decider);
	result = ba_expr_begin_result(expr, BA_LANE_INT);
	memcpy(result->ints, operands[0]->ints, n * sizeof(int64));
	for (int k = 1; k < expr->nargs; k++)
		(decider == 0 ? and_values : or_values)(result->ints, operands[k]->ints, n);
	return result;
}

const BaVector *
ba_logic_eval_and(BaExpr *expr, BaRows *rows)
{
	return combine(expr, rows, 0);
}

const BaVector *
ba_logic_eval_or(BaExpr *expr, BaRows *rows)
{
	return combine(expr, rows, 1);
}

const BaVector *
ba_logic_eval_not(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;
	int64 *restrict r;

	if (a == NULL)
		return NULL;
	result = ba_op_begin_result(expr, BA_LANE_INT, a, NULL, rows->n);
	r = result->ints;
	for (int i = 0; i < rows->n; i++)
		r[i] = a->ints[i] ^ 1;
	return result;
}

/*
 * IS NULL and IS NOT NULL.
 */
const BaVector *
ba_logic_eval_null_test(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	bool is_null = ((NullTest *) expr->source)->nulltesttype == IS_NULL;
	BaVector *result;

	if (a == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, BA_LANE_INT);
	if (a->nulls == NULL)
		for (int i = 0; i < rows->n; i++)
			result->ints[i] = !is_null;
	else
		for (int i = 0; i < rows->n; i++)
			result->ints[i] = a->nulls[i] == is_null;
	return result;
}

/*
 * IS [NOT] TRUE, FALSE, UNKNOWN.
 */
const BaVector *
ba_logic_eval_boolean_test(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BoolTestType test = ((BooleanTest *) expr->source)->booltesttype;
	bool negated = test == IS_NOT_TRUE || test == IS_NOT_FALSE || test == IS_NOT_UNKNOWN;
	bool of_null = test == IS_UNKNOWN || test == IS_NOT_UNKNOWN;
	int64 wanted = test == IS_TRUE || test == IS_NOT_TRUE;
	BaVector *result;

	if (a == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, BA_LANE_INT);
	for (int i = 0; i < rows->n; i++)
	{
		bool isnull = ba_op_is_null(a, i);
		bool holds = of_null ? isnull : (a->ints[i] == wanted) & !isnull;

		result->ints[i] = holds != negated;
	}
	return result;
}

/*
 * IS DISTINCT FROM. The last operand is the equality of the first two.
 */
const BaVector *
ba_logic_eval_distinct(BaExpr *expr, BaRows *rows)
{
	const BaVector **operands = get_operands(expr, rows);
	BaVector *result;

	if (operands == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, BA_LANE_INT);
	for (int i = 0; i < rows->n; i++)
	{
		bool anull = ba_op_is_null(operands[0], i);
		bool bnull = ba_op_is_null(operands[1], i);

		result->ints[i] = anull | bnull ? anull != bnull : !operands[2]->ints[i];
	}
	return result;
}

/*
 * Whether a vector has nothing but nulls, so that any lane is good for it.
 */
static bool
is_all_null(const BaVector *vector)
{
	return vector->constant && ba_op_is_null(vector, 0);
}

/*
 * Brings a vector of numerics to a scale that is not smaller; NULL if it does not fit.
 */
static const BaVector *
rescale(const BaVector *vector, int scale, BaRows *rows)
{
	int64 power = ba_numeric_powers[scale - vector->scale];
	int n = rows->n;
	BaVector *result;
	uint8 *scales;

	if (vector->scale == scale)
		return vector;
	result = MemoryContextAlloc(rows->memory, sizeof(BaVector));
	*result = *vector;
	result->scale = scale;
	result->ints = MemoryContextAlloc(rows->memory, n * sizeof(int64));
	for (int i = 0; i < n; i++)
		if (__builtin_mul_overflow(vector->ints[i], power, &result->ints[i]))
			return NULL;
	if (vector->scales == NULL)
	{
		scales = MemoryContextAlloc(rows->memory, n);
		memset(scales, vector->scale, n);
		result->scales = scales;
	}
	return result;
}

/*
 * Replaces values that are numerics by scaled integers of one scale, which is returned; -1 if that
 * cannot be, and some values may have been replaced nevertheless. `mixed` is set if some rows
 * display less.
 */
static int
align_numerics(const BaVector **values, int nvalues, BaRows *rows, bool *mixed)
{
	int scale = -1;

	for (int k = 0; k < nvalues; k++)
	{
		if (is_all_null(values[k]))
			continue;
		if (values[k]->lane == BA_LANE_DATUM && values[k]->constant)
		{
			BaVector *decoded = MemoryContextAlloc(rows->memory, sizeof(BaVector));
			const BaVector *vector = values[k];

			*decoded = *vector;
			decoded->lane = BA_LANE_NUMERIC;
			decoded->ints = MemoryContextAlloc(rows->memory, rows->n * sizeof(int64));
			values[k] = ba_numeric_decode_vector(vector, rows->n, decoded);
			if (values[k] == NULL)
			{
				values[k] = vector;
				return -1;
			}
		}
		else if (values[k]->lane == BA_LANE_DATUM)
			return -1;
		scale = Max(scale, values[k]->scale);
	}
	for (int k = 0; k < nvalues; k++)
		if (!is_all_null(values[k]))
		{
			const BaVector *vector = rescale(values[k], scale, rows);

			if (vector == NULL)
				return -1;
			values[k] = vector;
			*mixed |= vector->scales != NULL;
		}
	return scale;
}

/*
 * Readies the result of a node that picks its rows from the first nvalues operands: in their lane,
 * or as stored where they differ. Numerics are replaced by integers of one scale if they can.
 */
static BaVector *
begin_choice(BaExpr *expr, const BaVector **values, int nvalues, BaRows *rows)
{
	bool mixed = false;
	int scale = -1;
	bool has_nulls = false;
	bool extended = false;
	BaVector *result;

	for (int k = 0; k < nvalues; k++)
	{
		has_nulls |= values[k]->nulls != NULL;
		extended |= values[k]->extended;
	}
	if (expr->result.type.oid == NUMERICOID)
		scale = align_numerics(values, nvalues, rows, &mixed);
	result = ba_expr_begin_result(expr, scale >= 0 ? BA_LANE_NUMERIC : expr->result.type.lane);
	result->scale = Max(scale, 0);
	if (scale >= 0 && mixed)
	{
		uint8 *scales = MemoryContextAlloc(rows->memory, rows->n);

		memset(scales, scale, rows->n);
		result->scales = scales;
	}
	result->extended = extended;
	if (has_nulls)
		result->nulls = ba_vector_null_buffer(result);
	return result;
}

BA_VECTOR_LOOP static void
choose_values(int64 *restrict r, const int64 *x, const int64 *mask, int n)
{
	for (int i = 0; i < n; i++)
		r[i] = (x[i] & mask[i]) | (r[i] & ~mask[i]);
}

/* `x` is NULL where all rows have the scale `all`. */
BA_VECTOR_LOOP static void
choose_scales(uint8 *restrict r, const uint8 *x, int all, const int64 *mask, int n)
{
	for (int i = 0; i < n; i++)
		if (mask[i] != 0)
			r[i] = x != NULL ? x[i] : all;
}

BA_VECTOR_LOOP static void
choose_nulls(bool *restrict r, const bool *x, const int64 *mask, int n)
{
	if (x == NULL)
		for (int i = 0; i < n; i++)
			r[i] &= mask[i] == 0;
	else
		for (int i = 0; i < n; i++)
		{
			bool pick = mask[i] != 0;

			r[i] = (x[i] & pick) | (r[i] & !pick);
		}
}

/*
 * Lets the rows whose mask is -1, not 0, take the value of an operand.
 */
static void
choose(BaVector *result, const int64 *mask, const BaVector *value, BaRows *rows)
{
	int n = rows->n;

	if (value->lane == result->lane || is_all_null(value))
		choose_values(result->ints, value->ints, mask, n);
	else
		for (int i = 0; i < n; i++)
			if (mask[i] != 0)
				result->datums[i] = ba_op_is_null(value, i)
										? (Datum) 0
										: ba_vector_get_datum(value, i, rows->memory);
	if (result->scales != NULL)
		choose_scales(unconstify(uint8 *, result->scales), value->scales, result->scale, mask, n);
	if (result->nulls != NULL)
		choose_nulls(result->nulls, value->nulls, mask, n);
}

/*
 * Sets the masks of the rows of `rest` for which a condition is true, and takes them out of it.
 */
BA_VECTOR_LOOP static void
take_true(int64 *restrict mask, int64 *restrict rest, const int64 *condition, const bool *nulls,
		  int n)
{
	if (nulls == NULL)
		for (int i = 0; i < n; i++)
		{
			mask[i] = rest[i] & -condition[i];
			rest[i] ^= mask[i];
		}
	else
		for (int i = 0; i < n; i++)
		{
			mask[i] = nulls[i] ? 0 : rest[i] & -condition[i];
			rest[i] ^= mask[i];
		}
}

/*
 * CASE: operands are the values, that of ELSE, and the conditions. Each value is for the rows whose
 * mask is -1: the condition is true for them, and none before was.
 */
const BaVector *
ba_logic_eval_case(BaExpr *expr, BaRows *rows)
{
	int nwhens = expr->nargs / 2;
	int n = rows->n;
	const BaVector **values = MemoryContextAlloc(rows->memory, sizeof(BaVector *) * (nwhens + 1));
	int64 *masks = MemoryContextAlloc(rows->memory, sizeof(int64) * n * nwhens);
	int64 rest[BA_VECTOR_ROWS];
	BaVector *result;

	for (int i = 0; i < n; i++)
		rest[i] = -1;
	for (int k = 0; k < nwhens; k++)
	{
		const BaVector *condition = ba_lazy_get(expr->args[nwhens + 1 + k], rows, rest);
		int64 *mask = masks + (Size) k * n;

		if (condition == NULL)
			return NULL;
		take_true(mask, rest, condition->ints, condition->nulls, n);
		values[k] = ba_lazy_get(expr->args[k], rows, mask);
		if (values[k] == NULL)
			return NULL;
	}
	values[nwhens] = ba_lazy_get(expr->args[nwhens], rows, rest);
	if (values[nwhens] == NULL)
		return NULL;
	result = begin_choice(expr, values, nwhens + 1, rows);
	for (int k = 0; k < nwhens; k++)
		choose(result, masks + (Size) k * n, values[k], rows);
	choose(result, rest, values[nwhens], rows);
	return result;
}

/*
 * COALESCE, likewise.
 */
const BaVector *
ba_logic_eval_coalesce(BaExpr *expr, BaRows *rows)
{
	int n = rows->n;
	const BaVector **values = MemoryContextAlloc(rows->memory, sizeof(BaVector *) * expr->nargs);
	int64 *masks = MemoryContextAlloc(rows->memory, sizeof(int64) * n * expr->nargs);
	int64 rest[BA_VECTOR_ROWS];
	int nvalues = 0;
	bool is_last = false;
	BaVector *result;

	for (int i = 0; i < n; i++)
		rest[i] = -1;
	while (!is_last)
	{
		const BaVector *value = ba_lazy_get(expr->args[nvalues], rows, rest);
		int64 *mask = masks + (Size) nvalues * n;

		if (value == NULL)
			return NULL;
		values[nvalues++] = value;
		is_last = value->nulls == NULL || nvalues == expr->nargs;
		if (is_last)
			memcpy(mask, rest, n * sizeof(int64));
		else
			for (int i = 0; i < n; i++)
			{
				mask[i] = value->nulls[i] ? 0 : rest[i];
				rest[i] ^= mask[i];
			}
	}
	if (nvalues == 1)
		return values[0];
	result = begin_choice(expr, values, nvalues, rows);
	for (int k = 0; k < nvalues; k++)
		choose(result, masks + (Size) k * n, values[k], rows);
	return result;
}

/* Makes a row null where the equality holds. */
BA_VECTOR_LOOP static void
blank(int64 *restrict r, bool *restrict nulls, const int64 *equal, int n)
{
	for (int i = 0; i < n; i++)
	{
		nulls[i] = equal[i] != 0;
		r[i] &= equal[i] - 1;
	}
}

/*
 * NULLIF: operands are the value, and its equality with the other.
 */
const BaVector *
ba_logic_eval_nullif(BaExpr *expr, BaRows *rows)
{
	const BaVector **operands = get_operands(expr, rows);
	BaVector *result;

	if (operands == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, operands[0]->lane);
	result->scale = operands[0]->scale;
	result->scales = operands[0]->scales;
	result->extended = operands[0]->extended;
	result->nulls = ba_vector_null_buffer(result);
	memcpy(result->ints, operands[0]->ints, rows->n * sizeof(int64));
	blank(result->ints, result->nulls, operands[1]->ints, rows->n);
	/* where the equality is null, a row is null if the value is, and else has it */
	if (operands[1]->nulls != NULL)
		for (int i = 0; i < rows->n; i++)
			if (operands[1]->nulls[i])
			{
				result->nulls[i] = ba_op_is_null(operands[0], i);
				result->ints[i] = operands[0]->ints[i];
			}
	return result;
}

/*
 * Replaces the values of `best` where those of x are better: greater or, with `least`, less. Of
 * equal ones the first stays.
 */
static void
improve_ints(BaVector *best, const BaVector *x, bool least, int n)
{
	for (int i = 0; i < n; i++)
	{
		bool better = least ? x->ints[i] < best->ints[i] : x->ints[i] > best->ints[i];

		if (!ba_op_is_null(x, i) && (better || best->nulls[i]))
		{
			best->ints[i] = x->ints[i];
			best->nulls[i] = false;
		}
	}
}

/* A NaN is greater than anything else. */
static void
improve_floats(BaVector *best, const BaVector *x, bool least, int n)
{
	for (int i = 0; i < n; i++)
	{
		double a = least ? x->floats[i] : best->floats[i];
		double b = least ? best->floats[i] : x->floats[i];
		bool better = a < b || (!isnan(a) && isnan(b));

		if (!ba_op_is_null(x, i) && (better || best->nulls[i]))
		{
			best->floats[i] = x->floats[i];
			best->nulls[i] = false;
		}
	}
}

/*
 * GREATEST and LEAST, of types that sort as the lane does. Nulls do not count.
 */
const BaVector *
ba_logic_eval_min_max(BaExpr *expr, BaRows *rows)
{
	const BaVector **operands = get_operands(expr, rows);
	bool least = ((MinMaxExpr *) expr->source)->op == IS_LEAST;
	BaVector *result;

	if (operands == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, operands[0]->lane);
	result->nulls = ba_vector_null_buffer(result);
	memset(result->nulls, true, rows->n);
	memset(result->ints, 0, rows->n * sizeof(int64));
	for (int k = 0; k < expr->nargs; k++)
		(result->lane == BA_LANE_INT ? improve_ints : improve_floats)(result, operands[k], least,
																	  rows->n);
	return result;
}
