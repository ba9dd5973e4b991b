/*
 * kernel_float.c
 *		Aggregates of floating point numbers: the bits that core's functions give.
 *
 *		sum							in the argument's own type
 *		avg, var, stddev			{N, Sx, Sxx} by Youngs and Cramer, as float8_accum
 *		min, max					NaN is the greatest; of 0 and -0 the last one stays
 *
 * Every state goes through the values in the order of the rows and rounds where
 * core does: rounding depends on the order. That leaves no room for several sums
 * at a time; speed comes from what is kept out of the chain of additions. Core
 * looks for overflow after each row. Here a result that is infinite or NaN is
 * noticed at the end of a vector, or by one comparison that can be predicted, and only
 * then the rows are gone through by core's rules: where all values and
 * sums are finite, these rules ask for nothing.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/float.h"

#include "kernel.h"

/*
 * sum of float8
 *
 * A sum starts as -0, to which any value can be added and remains what it is. So does a sum to
 * which -0 is added in place of a skipped value.
 */
typedef struct Sum8
{
	int64 seen; /* 0 or 1 */
	float8 sum;
} Sum8;

static void
init_sum8(BaAgg *agg, void *state)
{
	((Sum8 *) state)->sum = -0.0;
}

static void
add_all_sum8(BaAgg *agg, void *state, const BaInput *input)
{
	Sum8 *s = state;
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int n = input->n;
	float8 sum = s->sum;
	int kept = n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			sum += values[i];
	else
		for (int i = 0; i < n; i++)
		{
			sum += skip[i] ? -0.0 : values[i];
			kept -= skip[i];
		}
	if (unlikely(!isfinite(sum)))
	{
		sum = s->sum;
		for (int i = 0; i < n; i++)
			if (skip == NULL || !skip[i])
				sum = float8_pl(sum, values[i]);
	}
	s->sum = sum;
	s->seen |= kept > 0;
}

static inline void
add_sum8(Sum8 *s, float8 value)
{
	float8 sum = s->sum + value;

	if (unlikely(!isfinite(sum)))
		sum = float8_pl(s->sum, value);
	s->sum = sum;
}

static void
add_each_sum8(BaAgg *agg, char **records, const BaInput *input)
{
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			Sum8 *s = (Sum8 *) (records[i] + offset);

			add_sum8(s, values[i]);
			s->seen = 1;
		}
	else
		for (int i = 0; i < n; i++)
		{
			Sum8 *s = (Sum8 *) (records[i] + offset);

			add_sum8(s, skip[i] ? -0.0 : values[i]);
			s->seen |= !skip[i];
		}
}

static Datum
emit_sum8(BaAgg *agg, void *state, bool *isnull)
{
	Sum8 *s = state;

	*isnull = !s->seen;
	return Float8GetDatum(s->sum);
}

const BaKernel ba_kernel_sum_float8 = {
	.name = "sum of float8",
	.cost = 0.15,
	.state_size = sizeof(Sum8),
	.init = init_sum8,
	.add_all = add_all_sum8,
	.add_each = add_each_sum8,
	.emit = emit_sum8,
};

/*
 * sum of float4: the same, rounded to float4 each time
 */
typedef struct Sum4
{
	int32 seen; /* 0 or 1 */
	float4 sum;
} Sum4;

static void
init_sum4(BaAgg *agg, void *state)
{
	((Sum4 *) state)->sum = -0.0f;
}

static void
add_all_sum4(BaAgg *agg, void *state, const BaInput *input)
{
	Sum4 *s = state;
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int n = input->n;
	float4 sum = s->sum;
	int kept = n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			sum += (float4) values[i];
	else
		for (int i = 0; i < n; i++)
		{
			sum += skip[i] ? -0.0f : (float4) values[i];
			kept -= skip[i];
		}
	if (unlikely(!isfinite(sum)))
	{
		sum = s->sum;
		for (int i = 0; i < n; i++)
			if (skip == NULL || !skip[i])
				sum = float4_pl(sum, (float4) values[i]);
	}
	s->sum = sum;
	s->seen |= kept > 0;
}

static inline void
add_sum4(Sum4 *s, float4 value)
{
	float4 sum = s->sum + value;

	if (unlikely(!isfinite(sum)))
		sum = float4_pl(s->sum, value);
	s->sum = sum;
}

static void
add_each_sum4(BaAgg *agg, char **records, const BaInput *input)
{
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			Sum4 *s = (Sum4 *) (records[i] + offset);

			add_sum4(s, (float4) values[i]);
			s->seen = 1;
		}
	else
		for (int i = 0; i < n; i++)
		{
			Sum4 *s = (Sum4 *) (records[i] + offset);

			add_sum4(s, skip[i] ? -0.0f : (float4) values[i]);
			s->seen |= !skip[i];
		}
}

static Datum
emit_sum4(BaAgg *agg, void *state, bool *isnull)
{
	Sum4 *s = state;

	*isnull = !s->seen;
	return Float4GetDatum(s->sum);
}

const BaKernel ba_kernel_sum_float4 = {
	.name = "sum of float4",
	.cost = 0.15,
	.state_size = sizeof(Sum4),
	.init = init_sum4,
	.add_all = add_all_sum4,
	.add_each = add_each_sum4,
	.emit = emit_sum4,
};

/*
 * avg, var and stddev
 *
 * avg needs no Sxx, but core's avg keeps it, and fails where it overflows.
 */
typedef struct Moments
{
	float8 n;
	float8 sx;
	float8 sxx;
} Moments;

/*
 * Adds a value where no check is needed.
 *
 * Core leaves Sxx alone at the first value. So does this: with the divisor 1 in place of 0, and
 * a value that is finite, it adds 0.
 */
static pg_attribute_always_inline Moments
add_moments(Moments s, float8 value)
{
	float8 n = s.n + 1.0;
	float8 divisor = n * s.n;
	float8 deviation;

	s.sx += value;
	deviation = value * n - s.sx;
	s.sxx += deviation * deviation / (divisor > 1.0 ? divisor : 1.0);
	s.n = n;
	return s;
}

/*
 * Adds a value with core's checks: see float8_accum.
 */
static pg_noinline Moments
add_moments_checked(Moments s, float8 value)
{
	Moments next = add_moments(s, value);

	if (s.n > 0.0)
	{
		if (isinf(next.sx) || isinf(next.sxx))
		{
			if (!isinf(s.sx) && !isinf(value))
				float_overflow_error();
			next.sxx = get_float8_nan();
		}
	}
	else
		next.sxx = isfinite(value) ? s.sxx : get_float8_nan();
	return next;
}

static void
add_all_moments(BaAgg *agg, void *state, const BaInput *input)
{
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int n = input->n;
	Moments start = *(Moments *) state;
	Moments s = start;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			s = add_moments(s, values[i]);
	else
		for (int i = 0; i < n; i++)
			if (!skip[i])
				s = add_moments(s, values[i]);
	if (unlikely(!isfinite(s.sx) || !isfinite(s.sxx)))
	{
		s = start;
		for (int i = 0; i < n; i++)
			if (skip == NULL || !skip[i])
				s = add_moments_checked(s, values[i]);
	}
	*(Moments *) state = s;
}

static inline void
update_moments(Moments *s, float8 value)
{
	Moments next = add_moments(*s, value);

	if (unlikely(!isfinite(next.sx) || !isfinite(next.sxx)))
		next = add_moments_checked(*s, value);
	*s = next;
}

static void
add_each_moments(BaAgg *agg, char **records, const BaInput *input)
{
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			update_moments((Moments *) (records[i] + offset), values[i]);
	else
		for (int i = 0; i < n; i++)
			if (!skip[i])
				update_moments((Moments *) (records[i] + offset), values[i]);
}

static void
prepare_moments(BaAgg *agg)
{
	Datum zeros[3] = {Float8GetDatum(0), Float8GetDatum(0), Float8GetDatum(0)};

	agg->private =
		construct_array(zeros, 3, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

static Datum
emit_moments(BaAgg *agg, void *state, bool *isnull)
{
	Size size = VARSIZE(agg->private);
	ArrayType *array = palloc(size);

	memcpy(array, agg->private, size);
	memcpy(ARR_DATA_PTR(array), state, sizeof(Moments));
	*isnull = false;
	return PointerGetDatum(array);
}

const BaKernel ba_kernel_var_float = {
	.name = "variance of floats",
	.cost = 0.3,
	.state_size = sizeof(Moments),
	.prepare = prepare_moments,
	.add_all = add_all_moments,
	.add_each = add_each_moments,
	.emit = emit_moments,
};

/*
 * min and max
 *
 * Whether a value replaces the state is core's rule: unless the state is the lesser (or the
 * greater), the value does. States start as what any value replaces.
 */
typedef struct Extreme
{
	int64 seen; /* 0 or 1 */
	float8 value;
} Extreme;

static pg_attribute_always_inline float8
choose(float8 state, float8 value, bool max)
{
	if (max)
		return (value >= state) | isnan(value) ? value : state;
	return (value <= state) | isnan(state) ? value : state;
}

static void
init_min(BaAgg *agg, void *state)
{
	((Extreme *) state)->value = get_float8_nan();
}

static void
init_max(BaAgg *agg, void *state)
{
	((Extreme *) state)->value = -get_float8_infinity();
}

/* The last value that is equal to `value`, or NaN where that is NaN; there is one. */
static float8
find_last(const BaInput *input, float8 value)
{
	const float8 *values = input->value->floats;

	for (int i = input->n - 1;; i--)
		if ((input->skip == NULL || !input->skip[i]) &&
			(isnan(value) ? isnan(values[i]) : values[i] == value))
			return values[i];
}

/*
 * Goes through the values without regard to NaNs, which no comparison holds for, nor to which of 0
 * and -0 it meets; then puts right what depends on these. `worst` gives way to any other value.
 */
static pg_attribute_always_inline void
add_all_extreme(void *state, const BaInput *input, bool max)
{
	Extreme *s = state;
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int n = input->n;
	float8 worst = max ? -get_float8_infinity() : get_float8_infinity();
	float8 best = worst;
	int kept = n;
	int nans = 0;

	if (skip == NULL)
	{
		/* several at a time, as each comparison has to wait for the one before */
		float8 lane[4] = {worst, worst, worst, worst};
		int i = 0;

		for (; i + 4 <= n; i += 4)
			for (int k = 0; k < 4; k++)
			{
				float8 value = values[i + k];

				lane[k] = (max ? value > lane[k] : value < lane[k]) ? value : lane[k];
				nans += isnan(value);
			}
		for (; i < n; i++)
		{
			best = (max ? values[i] > best : values[i] < best) ? values[i] : best;
			nans += isnan(values[i]);
		}
		for (int k = 0; k < 4; k++)
			best = (max ? lane[k] > best : lane[k] < best) ? lane[k] : best;
	}
	else
		for (int i = 0; i < n; i++)
		{
			float8 value = skip[i] ? worst : values[i];

			best = (max ? value > best : value < best) ? value : best;
			nans += isnan(value);
			kept -= skip[i];
		}
	if (kept == 0)
		return;
	if (unlikely(max ? nans > 0 : nans == kept))
		best = find_last(input, get_float8_nan());
	else if (best == 0)
		best = find_last(input, 0);
	s->value = choose(s->value, best, max);
	s->seen = 1;
}

static pg_attribute_always_inline void
add_each_extreme(BaAgg *agg, char **records, const BaInput *input, bool max)
{
	const float8 *values = input->value->floats;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			Extreme *s = (Extreme *) (records[i] + offset);

			s->value = choose(s->value, values[i], max);
			s->seen = 1;
		}
	else
		for (int i = 0; i < n; i++)
		{
			Extreme *s = (Extreme *) (records[i] + offset);

			s->value = skip[i] ? s->value : choose(s->value, values[i], max);
			s->seen |= !skip[i];
		}
}

static void
add_all_min(BaAgg *agg, void *state, const BaInput *input)
{
	add_all_extreme(state, input, false);
}

static void
add_each_min(BaAgg *agg, char **records, const BaInput *input)
{
	add_each_extreme(agg, records, input, false);
}

static void
add_all_max(BaAgg *agg, void *state, const BaInput *input)
{
	add_all_extreme(state, input, true);
}

static void
add_each_max(BaAgg *agg, char **records, const BaInput *input)
{
	add_each_extreme(agg, records, input, true);
}

static Datum
emit_extreme(BaAgg *agg, void *state, bool *isnull)
{
	Extreme *s = state;

	*isnull = !s->seen;
	return agg->argtype.oid == FLOAT4OID ? Float4GetDatum((float4) s->value)
										 : Float8GetDatum(s->value);
}

const BaKernel ba_kernel_min_float = {
	.name = "min of floats",
	.cost = 0.15,
	.state_size = sizeof(Extreme),
	.init = init_min,
	.add_all = add_all_min,
	.add_each = add_each_min,
	.emit = emit_extreme,
};

const BaKernel ba_kernel_max_float = {
	.name = "max of floats",
	.cost = 0.15,
	.state_size = sizeof(Extreme),
	.init = init_max,
	.add_all = add_all_max,
	.add_each = add_each_max,
	.emit = emit_extreme,
};
