/*
 * kernel_regr.c
 *		corr, covar_pop, covar_samp and the regr_ family: six sums over pairs (y, x).
 *
 * The sums are core's float8_regr_accum's, by Youngs and Cramer, in the order of
 * the rows. Where one of them becomes infinite or NaN the function itself is called
 * for the row, and has the last word about errors.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "kernel.h"

/* As in core's array. */
typedef struct Moments
{
	float8 n;
	float8 sx;
	float8 sxx;
	float8 sy;
	float8 syy;
	float8 sxy;
} Moments;

#define NUMBERS (sizeof(Moments) / sizeof(float8))

/* Makes core's array in CurrentMemoryContext. */
static ArrayType *
build_array(const Moments *s)
{
	const float8 *numbers = (const float8 *) s;
	Datum datums[NUMBERS];

	for (int i = 0; i < NUMBERS; i++)
		datums[i] = Float8GetDatum(numbers[i]);
	return construct_array(datums, NUMBERS, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
						   TYPALIGN_DOUBLE);
}

/* Adds a pair by core's function. */
static pg_noinline void
add_pair_by_core(BaAgg *agg, Moments *s, float8 y, float8 x)
{
	MemoryContext old = MemoryContextSwitchTo(agg->scratch);
	ArrayType *before = build_array(s);
	ArrayType *after = DatumGetArrayTypeP(DirectFunctionCall3(
		float8_regr_accum, PointerGetDatum(before), Float8GetDatum(y), Float8GetDatum(x)));

	memcpy(s, ARR_DATA_PTR(after), sizeof(Moments));
	pfree(before);
	pfree(after);
	MemoryContextSwitchTo(old);
}

/*
 * Adds a pair. At the first one the deviations are 0, and so is all that core leaves alone there.
 */
static inline void
add_pair(BaAgg *agg, Moments *s, float8 y, float8 x)
{
	Moments next = *s;
	float8 divisor;
	float8 dx;
	float8 dy;
	float8 scale;

	next.n += 1.0;
	next.sx += x;
	next.sy += y;
	divisor = next.n * s->n;
	dx = x * next.n - next.sx;
	dy = y * next.n - next.sy;
	scale = 1.0 / (divisor > 1.0 ? divisor : 1.0);
	next.sxx += dx * dx * scale;
	next.syy += dy * dy * scale;
	next.sxy += dx * dy * scale;

	if (unlikely(!isfinite(next.sxx) || !isfinite(next.syy) || !isfinite(next.sxy) ||
				 !isfinite(next.sx) || !isfinite(next.sy)))
		add_pair_by_core(agg, s, y, x);
	else
		*s = next;
}

static void
add_all(BaAgg *agg, void *state, const BaInput *input)
{
	const float8 *y = input->args[0]->floats;
	const float8 *x = input->args[1]->floats;
	const bool *skip = input->skip;
	Moments s = *(Moments *) state;

	for (int i = 0; i < input->n; i++)
		if (skip == NULL || !skip[i])
			add_pair(agg, &s, y[i], x[i]);
	*(Moments *) state = s;
}

static void
add_each(BaAgg *agg, char **records, const BaInput *input)
{
	const float8 *y = input->args[0]->floats;
	const float8 *x = input->args[1]->floats;
	const bool *skip = input->skip;
	int offset = agg->offset;

	for (int i = 0; i < input->n; i++)
		if (skip == NULL || !skip[i])
			add_pair(agg, (Moments *) (records[i] + offset), y[i], x[i]);
}

static Datum
emit(BaAgg *agg, void *state, bool *isnull)
{
	*isnull = false;
	return PointerGetDatum(build_array(state));
}

const BaKernel ba_kernel_regr = {
	.name = "regression",
	.cost = 0.4,
	.state_size = sizeof(Moments),
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit,
};
