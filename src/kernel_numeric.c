/*
 * kernel_numeric.c
 *		Aggregates of numeric.
 *
 *		sum, avg		a sum of 128 bits
 *		var, stddev		likewise, and 192 bits for the squares
 *		min, max		the least or greatest so far
 *
 * Sums are integers in units of 10^-scale, where scale is the largest of any input so
 * far, as it is in core's states: it decides how the result is displayed. When an
 * input of a larger scale comes, the sum is brought to that scale.
 *
 * What does not fit goes to the spill: a state of core's own that hangs off ours and is
 * made when first needed. NaNs, infinities, and what cannot be decoded to 64 bits are given to
 * core's transition function; when a sum overflows, it is moved to the spill as a whole,
 * by core's combine function, and starts over. At the end the same brings both
 * together.
 *
 * Where a vector is in BA_LANE_NUMERIC, loops run over integers; if its rows
 * display different scales, as those of CASE ... ELSE 0 do, that is seen to with
 * each row. Otherwise values are decoded one by one.
 */
#include "postgres.h"

#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "kernel.h"

/*
 * States of sums
 */
typedef struct Sum
{
	int64 count;
	int128 sum;   /* aligned to 8 bytes as all that core calls int128 */
	int64 coarse; /* of count, how many were of a smaller scale */
	void *spill;  /* NumericAggState, or NULL */
	int scale;
} Sum;

typedef struct Squares
{
	Sum base;
	uint64 sum2[3]; /* lowest first, in units of 10^-(2 * scale) */
} Squares;

/* Core's functions for a kind of state. */
typedef struct Core
{
	PGFunction accumulate;
	PGFunction combine;
	PGFunction serialize;
	PGFunction deserialize;
	AggState context; /* bare: they only ask it where states live */
} Core;

static void
prepare(BaAgg *agg, const Core *functions)
{
	Core *core = palloc(sizeof(Core));

	*core = *functions;
	NodeSetTag(&core->context, T_AggState);
	core->context.curaggcontext = makeNode(ExprContext);
	core->context.curaggcontext->ecxt_per_query_memory = agg->memory;
	core->context.curaggcontext->ecxt_per_tuple_memory = agg->memory;
	agg->private = core;
}

static void
prepare_sum(BaAgg *agg)
{
	static const Core functions = {
		.accumulate = numeric_avg_accum,
		.combine = numeric_avg_combine,
		.serialize = numeric_avg_serialize,
		.deserialize = numeric_avg_deserialize,
	};

	prepare(agg, &functions);
}

static void
prepare_squares(BaAgg *agg)
{
	static const Core functions = {
		.accumulate = numeric_accum,
		.combine = numeric_combine,
		.serialize = numeric_serialize,
		.deserialize = numeric_deserialize,
	};

	prepare(agg, &functions);
}

/*
 * Calls a function of core's on a state, which may be NULL, and another argument. What it
 * leaves lying about is in scratch.
 */
static Datum
call_core(BaAgg *agg, PGFunction function, void *state, Datum argument)
{
	LOCAL_FCINFO(fcinfo, 2);
	MemoryContext old = MemoryContextSwitchTo(agg->scratch);
	Datum result;

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid,
							 (Node *) &((Core *) agg->private)->context, NULL);
	fcinfo->args[0].value = PointerGetDatum(state);
	fcinfo->args[0].isnull = state == NULL;
	fcinfo->args[1].value = argument;
	fcinfo->args[1].isnull = false;
	result = function(fcinfo);
	MemoryContextSwitchTo(old);
	return result;
}

static Datum
serialize(const Sum *s, bool squares)
{
	int64 at_scale = s->count - s->coarse;

	if (squares)
		return ba_kernel_serialize_numeric(s->count, s->sum, ((const Squares *) s)->sum2, s->scale,
										   at_scale);
	return ba_kernel_serialize_numeric_avg(s->count, s->sum, s->scale, at_scale);
}

/*
 * Moves what a state holds itself to its spill.
 */
static pg_noinline void
spill_sum(BaAgg *agg, Sum *s, bool squares)
{
	Core *core = agg->private;
	MemoryContext old = MemoryContextSwitchTo(agg->scratch);
	Datum payload = serialize(s, squares);
	Datum other = call_core(agg, core->deserialize, DatumGetPointer(payload), (Datum) 0);
	void *spill = DatumGetPointer(call_core(agg, core->combine, s->spill, other));

	MemoryContextSwitchTo(old);
	memset(s, 0, squares ? sizeof(Squares) : sizeof(Sum));
	s->spill = spill;
}

/*
 * Adds a numeric to the spill.
 */
static pg_noinline void
spill_value(BaAgg *agg, Sum *s, Datum value)
{
	Core *core = agg->private;

	s->spill = DatumGetPointer(call_core(agg, core->accumulate, s->spill, value));
}

/*
 * 192-bit sums of squares
 */
static inline bool
add_words(uint64 sum[3], const uint64 words[3])
{
	uint128 carry = 0;

	for (int i = 0; i < 3; i++)
	{
		carry += (uint128) sum[i] + words[i];
		sum[i] = (uint64) carry;
		carry >>= 64;
	}
	return carry == 0;
}

/* Multiplies by the square of a factor; false on overflow. */
static bool
scale_words(uint64 words[3], int64 factor)
{
	for (int k = 0; k < 2; k++)
	{
		uint128 carry = 0;

		for (int i = 0; i < 3; i++)
		{
			carry += (uint128) words[i] * (uint64) factor;
			words[i] = (uint64) carry;
			carry >>= 64;
		}
		if (carry != 0)
			return false;
	}
	return true;
}

/*
 * Adds a partial sum to another; false, with nothing changed, if it does not fit.
 */
static bool
try_add_sum(Sum *s, const Sum *other, bool squares)
{
	Squares a;
	Squares b;
	Sum *raised = &a.base;
	int64 factor;

	if (s->count == 0)
	{
		void *spill = s->spill;

		memcpy(s, other, squares ? sizeof(Squares) : sizeof(Sum));
		s->spill = spill;
		return true;
	}
	memcpy(&a, s, squares ? sizeof(Squares) : sizeof(Sum));
	memcpy(&b, other, squares ? sizeof(Squares) : sizeof(Sum));
	if (b.base.scale < a.base.scale)
	{
		b.base.coarse = b.base.count;
		raised = &b.base;
	}
	else if (b.base.scale > a.base.scale)
		a.base.coarse = a.base.count;
	factor = ba_numeric_powers[abs(b.base.scale - a.base.scale)];
	a.base.scale = Max(a.base.scale, b.base.scale);
	if (__builtin_mul_overflow(raised->sum, (int128) factor, &raised->sum) ||
		__builtin_add_overflow(a.base.sum, b.base.sum, &a.base.sum))
		return false;
	a.base.count += b.base.count;
	a.base.coarse += b.base.coarse;
	if (squares && (!scale_words(((Squares *) raised)->sum2, factor) || !add_words(a.sum2, b.sum2)))
		return false;
	memcpy(s, &a, squares ? sizeof(Squares) : sizeof(Sum));
	return true;
}

static void
add_sum(BaAgg *agg, Sum *s, const Sum *other, bool squares)
{
	if (other->count == 0 || try_add_sum(s, other, squares))
		return;
	spill_sum(agg, s, squares);
	(void) try_add_sum(s, other, squares);
}

/*
 * Adds one value, whatever the scales are.
 */
static pg_noinline void
add_value(BaAgg *agg, Sum *s, int64 value, int scale, bool squares)
{
	uint128 square = (uint128) ((int128) value * value);
	Squares other = {
		.base = {.count = 1, .sum = value, .scale = scale},
		.sum2 = {(uint64) square, (uint64) (square >> 64), 0},
	};

	add_sum(agg, s, &other.base, squares);
}

static pg_attribute_always_inline void
add_datum(BaAgg *agg, Sum *s, Datum datum, bool squares)
{
	int64 value;
	int scale;
	int128 sum;

	if (!ba_numeric_decode(datum, &value, &scale))
		spill_value(agg, s, datum);
	else if (squares || scale > s->scale ||
			 __builtin_add_overflow(s->sum, (int128) value * ba_numeric_powers[s->scale - scale],
									&sum))
		add_value(agg, s, value, scale, squares);
	else
	{
		s->sum = sum;
		s->count++;
		s->coarse += scale < s->scale;
	}
}

/*
 * Adds row i of a vector whose rows display different scales.
 */
static void
add_row(BaAgg *agg, Sum *s, const BaVector *vector, int i, bool squares)
{
	int scale;
	int64 value = ba_numeric_get(vector, i, &scale);

	add_value(agg, s, value, scale, squares);
}

/*
 * Brings the sum of a vector, in units of its scale, to the largest scale that a row displays.
 */
static void
find_scale(Sum *sum, const BaVector *vector, const bool *skip, int n)
{
	int largest = 0;
	int64 with_largest = 0;

	for (int i = 0; i < n; i++)
	{
		int scale = vector->scales[i];

		if (skip != NULL && skip[i])
			continue;
		if (scale > largest)
		{
			largest = scale;
			with_largest = 0;
		}
		with_largest += scale == largest;
	}
	if (largest < sum->scale)
		sum->sum /= ba_numeric_powers[sum->scale - largest];
	sum->scale = largest;
	sum->coarse = sum->count - with_largest;
}

/*
 * sum and avg
 *
 * Halves of values are summed by themselves, in 64 bits, so that the loop needs no carry. The sign
 * bit is turned over, which makes values unsigned and each 2^63 too large.
 */
static void
add_all_sum(BaAgg *agg, void *state, const BaInput *input)
{
	const BaVector *vector = input->value;
	const int64 *values = vector->ints;
	const bool *skip = input->skip;
	const uint64 sign = UINT64CONST(1) << 63;
	int n = input->n;
	Sum sum = {.count = n, .scale = vector->scale};
	uint64 low = 0;
	uint64 high = 0;

	if (vector->lane == BA_LANE_DATUM)
	{
		for (int i = 0; i < n; i++)
			if (skip == NULL || !skip[i])
				add_datum(agg, state, vector->datums[i], false);
		return;
	}
	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			uint64 value = (uint64) values[i] ^ sign;

			low += value & 0xffffffff;
			high += value >> 32;
		}
	else
		for (int i = 0; i < n; i++)
		{
			uint64 value = ((uint64) values[i] ^ sign) & ((uint64) skip[i] - 1);

			low += value & 0xffffffff;
			high += value >> 32;
			sum.count -= skip[i];
		}
	sum.sum = ((int128) high << 32) + low - ((int128) sum.count << 63);
	if (vector->scales != NULL)
		find_scale(&sum, vector, skip, n);
	add_sum(agg, state, &sum, false);
}

static void
add_each_sum(BaAgg *agg, char **records, const BaInput *input)
{
	const BaVector *vector = input->value;
	const int64 *values = vector->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int scale = vector->scale;
	int n = input->n;
	int128 sum;

	if (vector->lane == BA_LANE_DATUM)
		for (int i = 0; i < n; i++)
		{
			if (skip == NULL || !skip[i])
				add_datum(agg, (Sum *) (records[i] + offset), vector->datums[i], false);
		}
	else if (vector->scales != NULL)
		for (int i = 0; i < n; i++)
		{
			Sum *s = (Sum *) (records[i] + offset);

			if (skip != NULL && skip[i])
				continue;
			if (unlikely(s->scale != scale ||
						 __builtin_add_overflow(s->sum, (int128) values[i], &sum)))
			{
				add_row(agg, s, vector, i, false);
				continue;
			}
			s->sum = sum;
			s->count++;
			s->coarse += vector->scales[i] < scale;
		}
	else if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			Sum *s = (Sum *) (records[i] + offset);

			if (unlikely(s->scale != scale ||
						 __builtin_add_overflow(s->sum, (int128) values[i], &sum)))
			{
				add_value(agg, s, values[i], scale, false);
				continue;
			}
			s->sum = sum;
			s->count++;
		}
	else
		for (int i = 0; i < n; i++)
		{
			Sum *s = (Sum *) (records[i] + offset);
			int64 value = values[i] & ((int64) skip[i] - 1);

			if (unlikely(s->scale != scale || __builtin_add_overflow(s->sum, (int128) value, &sum)))
			{
				if (!skip[i])
					add_value(agg, s, value, scale, false);
				continue;
			}
			s->sum = sum;
			s->count += !skip[i];
		}
}

/*
 * Returns the state in core's form.
 */
static Datum
emit(BaAgg *agg, Sum *s, bool *isnull, bool squares)
{
	*isnull = s->count == 0 && s->spill == NULL;
	if (*isnull)
		return (Datum) 0;
	if (s->spill == NULL)
		return serialize(s, squares);
	if (s->count > 0)
		spill_sum(agg, s, squares);
	return call_core(agg, ((Core *) agg->private)->serialize, s->spill, (Datum) 0);
}

static Datum
emit_sum(BaAgg *agg, void *state, bool *isnull)
{
	return emit(agg, state, isnull, false);
}

const BaKernel ba_kernel_sum_numeric = {
	.name = "sum of numeric",
	.cost = 0.2,
	.state_size = sizeof(Sum),
	.prepare = prepare_sum,
	.add_all = add_all_sum,
	.add_each = add_each_sum,
	.emit = emit_sum,
};

/*
 * var and stddev
 */
static void
add_all_squares(BaAgg *agg, void *state, const BaInput *input)
{
	const BaVector *vector = input->value;
	const bool *skip = input->skip;
	Squares sum = {.base.scale = vector->scale};
	uint128 sum2 = 0;
	uint64 high = 0;

	if (vector->lane == BA_LANE_DATUM)
	{
		for (int i = 0; i < input->n; i++)
			if (skip == NULL || !skip[i])
				add_datum(agg, state, vector->datums[i], true);
		return;
	}
	if (vector->scales != NULL)
	{
		for (int i = 0; i < input->n; i++)
			if (skip == NULL || !skip[i])
				add_row(agg, state, vector, i, true);
		return;
	}
	for (int i = 0; i < input->n; i++)
		if (skip == NULL || !skip[i])
		{
			int64 value = vector->ints[i];
			uint128 square = (uint128) ((int128) value * value);

			sum.base.count++;
			sum.base.sum += value;
			sum2 += square;
			high += sum2 < square;
		}
	sum.sum2[0] = (uint64) sum2;
	sum.sum2[1] = (uint64) (sum2 >> 64);
	sum.sum2[2] = high;
	add_sum(agg, state, &sum.base, true);
}

static void
add_each_squares(BaAgg *agg, char **records, const BaInput *input)
{
	const BaVector *vector = input->value;
	const bool *skip = input->skip;

	for (int i = 0; i < input->n; i++)
	{
		Squares *s = (Squares *) (records[i] + agg->offset);
		int64 value = vector->ints[i];
		uint128 square = (uint128) ((int128) value * value);
		const uint64 words[3] = {(uint64) square, (uint64) (square >> 64), 0};
		int128 sum;

		if (skip != NULL && skip[i])
			continue;
		if (vector->lane == BA_LANE_DATUM)
			add_datum(agg, &s->base, vector->datums[i], true);
		else if (vector->scales != NULL)
			add_row(agg, &s->base, vector, i, true);
		else if (unlikely(s->base.scale != vector->scale ||
						  __builtin_add_overflow(s->base.sum, (int128) value, &sum) ||
						  s->sum2[2] > PG_INT64_MAX))
			add_value(agg, &s->base, value, vector->scale, true);
		else
		{
			s->base.count++;
			s->base.sum = sum;
			(void) add_words(s->sum2, words);
		}
	}
}

static Datum
emit_squares(BaAgg *agg, void *state, bool *isnull)
{
	return emit(agg, state, isnull, true);
}

const BaKernel ba_kernel_var_numeric = {
	.name = "variance of numeric",
	.cost = 0.3,
	.state_size = sizeof(Squares),
	.prepare = prepare_squares,
	.add_all = add_all_squares,
	.add_each = add_each_squares,
	.emit = emit_squares,
};

/*
 * min and max
 *
 * Core compares the state with each input in turn and takes the input where they are equal, which
 * may be of another scale: so the last of equals is kept.
 */
typedef enum ExtremeForm
{
	EXTREME_NONE,
	EXTREME_INTEGER,
	EXTREME_DATUM,
} ExtremeForm;

typedef struct Extreme
{
	union
	{
		int64 value; /* in units of 10^-scale */
		Datum datum; /* an allocated copy */
	};
	int32 scale; /* -1 unless EXTREME_INTEGER */
	ExtremeForm form;
} Extreme;

static void
init_extreme(BaAgg *agg, void *state)
{
	((Extreme *) state)->scale = -1;
}

static Datum
get_extreme(const Extreme *s)
{
	return s->form == EXTREME_INTEGER ? ba_numeric_encode(s->value, s->scale) : s->datum;
}

/*
 * Whether a state stays what it is when another numeric comes.
 */
static bool
keeps_datum(BaAgg *agg, const Extreme *s, Datum datum, bool greatest)
{
	MemoryContext old = MemoryContextSwitchTo(agg->scratch);
	int32 order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, get_extreme(s), datum));

	MemoryContextSwitchTo(old);
	return greatest ? order > 0 : order < 0;
}

static pg_noinline void
take_datum(BaAgg *agg, Extreme *s, Datum datum, bool greatest)
{
	MemoryContext old;

	if (s->form != EXTREME_NONE && keeps_datum(agg, s, datum, greatest))
		return;
	if (s->form == EXTREME_DATUM)
		pfree(DatumGetPointer(s->datum));
	old = MemoryContextSwitchTo(agg->memory);
	s->datum = PointerGetDatum(PG_DETOAST_DATUM_COPY(datum));
	MemoryContextSwitchTo(old);
	s->form = EXTREME_DATUM;
	s->scale = -1;
}

/*
 * Takes a value of any scale.
 */
static pg_noinline void
take_value(BaAgg *agg, Extreme *s, int64 value, int scale, bool greatest)
{
	if (s->form == EXTREME_INTEGER)
	{
		int common = Max(s->scale, scale);
		int128 mine = (int128) s->value * ba_numeric_powers[common - s->scale];
		int128 its = (int128) value * ba_numeric_powers[common - scale];

		if (greatest ? mine > its : mine < its)
			return;
	}
	else if (s->form == EXTREME_DATUM)
	{
		MemoryContext old = MemoryContextSwitchTo(agg->scratch);
		Datum datum = ba_numeric_encode(value, scale);

		MemoryContextSwitchTo(old);
		if (keeps_datum(agg, s, datum, greatest))
			return;
		pfree(DatumGetPointer(s->datum));
	}
	s->value = value;
	s->scale = scale;
	s->form = EXTREME_INTEGER;
}

static void
take_any(BaAgg *agg, Extreme *s, Datum datum, bool greatest)
{
	int64 value;
	int scale;

	if (ba_numeric_decode(datum, &value, &scale))
		take_value(agg, s, value, scale, greatest);
	else
		take_datum(agg, s, datum, greatest);
}

/*
 * Takes row i of a vector whose rows display different scales.
 */
static void
take_row(BaAgg *agg, Extreme *s, const BaVector *vector, int i, bool greatest)
{
	int scale;
	int64 value = ba_numeric_get(vector, i, &scale);

	take_value(agg, s, value, scale, greatest);
}

static pg_attribute_always_inline void
add_all_extreme(BaAgg *agg, void *state, const BaInput *input, bool greatest)
{
	const BaVector *vector = input->value;
	const int64 *values = vector->ints;
	const bool *skip = input->skip;
	int64 none = greatest ? PG_INT64_MIN : PG_INT64_MAX;
	int64 best = none;
	int kept = input->n;

	if (vector->lane == BA_LANE_DATUM)
	{
		for (int i = 0; i < input->n; i++)
			if (skip == NULL || !skip[i])
				take_any(agg, state, vector->datums[i], greatest);
		return;
	}
	if (vector->scales != NULL)
	{
		for (int i = 0; i < input->n; i++)
			if (skip == NULL || !skip[i])
				take_row(agg, state, vector, i, greatest);
		return;
	}
	if (skip == NULL)
		for (int i = 0; i < input->n; i++)
			best = greatest ? Max(best, values[i]) : Min(best, values[i]);
	else
		for (int i = 0; i < input->n; i++)
		{
			int64 value = skip[i] ? none : values[i];

			best = greatest ? Max(best, value) : Min(best, value);
			kept -= skip[i];
		}
	if (kept > 0)
		take_value(agg, state, best, vector->scale, greatest);
}

static pg_attribute_always_inline void
add_each_extreme(BaAgg *agg, char **records, const BaInput *input, bool greatest)
{
	const BaVector *vector = input->value;
	const int64 *values = vector->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;

	for (int i = 0; i < input->n; i++)
	{
		Extreme *s = (Extreme *) (records[i] + offset);

		if (skip != NULL && skip[i])
			continue;
		if (vector->lane == BA_LANE_DATUM)
			take_any(agg, s, vector->datums[i], greatest);
		else if (vector->scales != NULL)
			take_row(agg, s, vector, i, greatest);
		else if (likely(s->scale == vector->scale))
			s->value = greatest ? Max(s->value, values[i]) : Min(s->value, values[i]);
		else
			take_value(agg, s, values[i], vector->scale, greatest);
	}
}

static void
add_all_min(BaAgg *agg, void *state, const BaInput *input)
{
	add_all_extreme(agg, state, input, false);
}

static void
add_each_min(BaAgg *agg, char **records, const BaInput *input)
{
	add_each_extreme(agg, records, input, false);
}

static void
add_all_max(BaAgg *agg, void *state, const BaInput *input)
{
	add_all_extreme(agg, state, input, true);
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

	*isnull = s->form == EXTREME_NONE;
	return *isnull ? (Datum) 0 : get_extreme(s);
}

const BaKernel ba_kernel_min_numeric = {
	.name = "min of numeric",
	.cost = 0.15,
	.state_size = sizeof(Extreme),
	.init = init_extreme,
	.add_all = add_all_min,
	.add_each = add_each_min,
	.emit = emit_extreme,
};

const BaKernel ba_kernel_max_numeric = {
	.name = "max of numeric",
	.cost = 0.15,
	.state_size = sizeof(Extreme),
	.init = init_extreme,
	.add_all = add_all_max,
	.add_each = add_each_max,
	.emit = emit_extreme,
};
