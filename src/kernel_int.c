/*
 * kernel_int.c
 *		Aggregates of what vectors hold as 64-bit integers.
 *
 *		sum, avg of int2, int4		int64 sums, as core keeps them
 *		sum, avg of int8			128 bits, as core keeps them
 *		var, stddev of int2, int4	128 bits, as core keeps them
 *		var, stddev of int8			128 bits, and 192 for the squares: core adds numerics
 *		sum of money				int64, an error where it overflows
 *		min, max					int64
 *
 * Skipped rows are not jumped over but added as zeros (or as what is never least):
 * whether a row is skipped cannot be predicted, and adding costs less than
 * guessing wrong. So each loop without `skip` has a twin with it.
 *
 * Records are aligned to 8 bytes only, so 128-bit integers are kept as bytes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "kernel.h"

/* A 128-bit integer at an address that need not be a multiple of 16. */
typedef struct Wide
{
	char bytes[sizeof(int128)];
} Wide;

static inline int128
get_wide(const Wide *wide)
{
	int128 value;

	memcpy(&value, wide->bytes, sizeof(value));
	return value;
}

static inline void
add_wide(Wide *wide, int128 value)
{
	value += get_wide(wide);
	memcpy(wide->bytes, &value, sizeof(value));
}

/*
 * sum and avg of int2 and int4
 *
 * Core's sums wrap around after more than 2^32 rows, and so do these.
 */
typedef struct SmallSum
{
	int64 count;
	int64 sum;
} SmallSum;

static void
add_all_small(BaAgg *agg, void *state, const BaInput *input)
{
	SmallSum *s = state;
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int n = input->n;
	int64 count = n;
	int64 sum = 0;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			sum += values[i];
	else
		for (int i = 0; i < n; i++)
		{
			sum += values[i] & ((int64) skip[i] - 1);
			count -= skip[i];
		}
	s->count += count;
	s->sum += sum;
}

static void
add_each_small(BaAgg *agg, char **records, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			SmallSum *s = (SmallSum *) (records[i] + offset);

			s->count++;
			s->sum += values[i];
		}
	else
		for (int i = 0; i < n; i++)
		{
			SmallSum *s = (SmallSum *) (records[i] + offset);

			s->count += !skip[i];
			s->sum += values[i] & ((int64) skip[i] - 1);
		}
}

static Datum
emit_small_sum(BaAgg *agg, void *state, bool *isnull)
{
	SmallSum *s = state;

	*isnull = s->count == 0;
	return Int64GetDatum(s->sum);
}

const BaKernel ba_kernel_sum_int4 = {
	.name = "sum of int4",
	.cost = 0.1,
	.state_size = sizeof(SmallSum),
	.add_all = add_all_small,
	.add_each = add_each_small,
	.emit = emit_small_sum,
};

/* Core keeps count and sum in an array of two int8. */
static void
prepare_small_avg(BaAgg *agg)
{
	Datum zeros[2] = {Int64GetDatum(0), Int64GetDatum(0)};

	agg->private =
		construct_array(zeros, 2, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

static Datum
emit_small_avg(BaAgg *agg, void *state, bool *isnull)
{
	SmallSum *s = state;
	Size size = VARSIZE(agg->private);
	ArrayType *array = palloc(size);
	int64 *fields;

	memcpy(array, agg->private, size);
	fields = (int64 *) ARR_DATA_PTR(array);
	fields[0] = s->count;
	fields[1] = s->sum;
	*isnull = false;
	return PointerGetDatum(array);
}

const BaKernel ba_kernel_avg_int4 = {
	.name = "avg of int4",
	.cost = 0.1,
	.state_size = sizeof(SmallSum),
	.prepare = prepare_small_avg,
	.add_all = add_all_small,
	.add_each = add_each_small,
	.emit = emit_small_avg,
};

/*
 * sum and avg of int8
 */
typedef struct LargeSum
{
	int64 count;
	Wide sum;
} LargeSum;

/*
 * Half of each value is summed by itself, in 64 bits: so the loop needs no carry. The sign bit is
 * turned over, which makes values unsigned and each 2^63 too large.
 */
static void
add_all_large(BaAgg *agg, void *state, const BaInput *input)
{
	LargeSum *s = state;
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int n = input->n;
	int64 count = n;
	uint64 low = 0;
	uint64 high = 0;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			uint64 value = (uint64) values[i] ^ (UINT64CONST(1) << 63);

			low += value & 0xffffffff;
			high += value >> 32;
		}
	else
		for (int i = 0; i < n; i++)
		{
			uint64 value = ((uint64) values[i] ^ (UINT64CONST(1) << 63)) & ((uint64) skip[i] - 1);

			low += value & 0xffffffff;
			high += value >> 32;
			count -= skip[i];
		}
	s->count += count;
	add_wide(&s->sum, ((int128) high << 32) + low - ((int128) count << 63));
}

static void
add_each_large(BaAgg *agg, char **records, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			LargeSum *s = (LargeSum *) (records[i] + offset);

			s->count++;
			add_wide(&s->sum, values[i]);
		}
	else
		for (int i = 0; i < n; i++)
		{
			LargeSum *s = (LargeSum *) (records[i] + offset);

			s->count += !skip[i];
			add_wide(&s->sum, values[i] & ((int64) skip[i] - 1));
		}
}

static Datum
emit_large_sum(BaAgg *agg, void *state, bool *isnull)
{
	LargeSum *s = state;

	*isnull = s->count == 0;
	return s->count == 0 ? (Datum) 0 : ba_kernel_serialize_int8_avg(s->count, get_wide(&s->sum));
}

const BaKernel ba_kernel_sum_int8 = {
	.name = "sum of int8",
	.cost = 0.15,
	.state_size = sizeof(LargeSum),
	.add_all = add_all_large,
	.add_each = add_each_large,
	.emit = emit_large_sum,
};

/*
 * var and stddev of int2 and int4
 */
typedef struct SmallSquares
{
	int64 count;
	Wide sum;
	Wide sum2;
} SmallSquares;

static void
add_all_small_squares(BaAgg *agg, void *state, const BaInput *input)
{
	SmallSquares *s = state;
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int n = input->n;
	int64 count = n;
	int64 sum = 0;
	uint128 sum2 = 0;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			sum += values[i];
			sum2 += (uint64) (values[i] * values[i]);
		}
	else
		for (int i = 0; i < n; i++)
		{
			int64 value = values[i] & ((int64) skip[i] - 1);

			sum += value;
			sum2 += (uint64) (value * value);
			count -= skip[i];
		}
	s->count += count;
	add_wide(&s->sum, sum);
	add_wide(&s->sum2, (int128) sum2);
}

static inline void
add_small_squares(SmallSquares *s, int64 value, int64 count)
{
	s->count += count;
	add_wide(&s->sum, value);
	add_wide(&s->sum2, value * value);
}

static void
add_each_small_squares(BaAgg *agg, char **records, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			add_small_squares((SmallSquares *) (records[i] + offset), values[i], 1);
	else
		for (int i = 0; i < n; i++)
			add_small_squares((SmallSquares *) (records[i] + offset),
							  values[i] & ((int64) skip[i] - 1), !skip[i]);
}

static Datum
emit_small_squares(BaAgg *agg, void *state, bool *isnull)
{
	SmallSquares *s = state;

	*isnull = s->count == 0;
	return s->count == 0
			   ? (Datum) 0
			   : ba_kernel_serialize_poly(s->count, get_wide(&s->sum), get_wide(&s->sum2));
}

const BaKernel ba_kernel_var_int4 = {
	.name = "variance of int4",
	.cost = 0.2,
	.state_size = sizeof(SmallSquares),
	.add_all = add_all_small_squares,
	.add_each = add_each_small_squares,
	.emit = emit_small_squares,
};

/*
 * var and stddev of int8
 *
 * The sum of squares has 192 bits: a square has 126, and there are fewer than 2^64 of them.
 */
typedef struct LargeSquares
{
	int64 count;
	Wide sum;
	Wide sum2;   /* unsigned */
	uint64 high; /* of sum2: bits 128 and up */
} LargeSquares;

static inline void
add_large_squares(LargeSquares *s, int64 value, int64 count)
{
	uint128 square = (uint128) ((int128) value * value);
	uint128 sum2;

	s->count += count;
	add_wide(&s->sum, value);
	memcpy(&sum2, &s->sum2, sizeof(sum2));
	sum2 += square;
	s->high += sum2 < square;
	memcpy(&s->sum2, &sum2, sizeof(sum2));
}

static void
add_all_large_squares(BaAgg *agg, void *state, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	LargeSquares s;

	memcpy(&s, state, sizeof(s));
	for (int i = 0; i < input->n; i++)
		if (skip == NULL || !skip[i])
			add_large_squares(&s, values[i], 1);
	memcpy(state, &s, sizeof(s));
}

static void
add_each_large_squares(BaAgg *agg, char **records, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;

	for (int i = 0; i < input->n; i++)
		if (skip == NULL || !skip[i])
			add_large_squares((LargeSquares *) (records[i] + agg->offset), values[i], 1);
}

static Datum
emit_large_squares(BaAgg *agg, void *state, bool *isnull)
{
	LargeSquares *s = state;

	*isnull = s->count == 0;
	return s->count == 0 ? (Datum) 0
						 : ba_kernel_serialize_int8_var(s->count, get_wide(&s->sum),
														(uint128) get_wide(&s->sum2), s->high);
}

const BaKernel ba_kernel_var_int8 = {
	.name = "variance of int8",
	.cost = 0.3,
	.state_size = sizeof(LargeSquares),
	.add_all = add_all_large_squares,
	.add_each = add_each_large_squares,
	.emit = emit_large_squares,
};

/*
 * sum of money
 *
 * Core's addition says whether a sum that left 64 bits on the way is an error.
 */
typedef struct MoneySum
{
	int64 seen; /* 0 or 1 */
	int64 sum;
} MoneySum;

static inline void
add_money(MoneySum *s, int64 value)
{
	int64 sum;

	if (unlikely(pg_add_s64_overflow(s->sum, value, &sum)))
		sum = DatumGetInt64(
			DirectFunctionCall2(cash_pl, Int64GetDatum(s->sum), Int64GetDatum(value)));
	s->sum = sum;
	s->seen = 1;
}

static void
add_all_money(BaAgg *agg, void *state, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	MoneySum s = *(MoneySum *) state;

	if (skip == NULL)
		for (int i = 0; i < input->n; i++)
			add_money(&s, values[i]);
	else
		for (int i = 0; i < input->n; i++)
			if (!skip[i])
				add_money(&s, values[i]);
	*(MoneySum *) state = s;
}

static void
add_each_money(BaAgg *agg, char **records, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;

	if (skip == NULL)
		for (int i = 0; i < input->n; i++)
			add_money((MoneySum *) (records[i] + offset), values[i]);
	else
		for (int i = 0; i < input->n; i++)
			if (!skip[i])
				add_money((MoneySum *) (records[i] + offset), values[i]);
}

static Datum
emit_money(BaAgg *agg, void *state, bool *isnull)
{
	MoneySum *s = state;

	*isnull = !s->seen;
	return Int64GetDatum(s->sum);
}

const BaKernel ba_kernel_sum_money = {
	.name = "sum of money",
	.cost = 0.15,
	.state_size = sizeof(MoneySum),
	.add_all = add_all_money,
	.add_each = add_each_money,
	.emit = emit_money,
};

/*
 * min and max
 *
 * A state starts with what any value replaces. The loops are written once, for the least of
 * integers, and take the complement of values for the greatest: ~v falls as v rises.
 */
typedef struct Extreme
{
	int64 seen; /* 0 or 1 */
	int64 least;
} Extreme;

static void
init_extreme(BaAgg *agg, void *state)
{
	((Extreme *) state)->least = PG_INT64_MAX;
}

static pg_attribute_always_inline void
add_all_extreme(void *state, const BaInput *input, int64 flip)
{
	Extreme *s = state;
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int n = input->n;
	int64 least = s->least;
	int kept = n;

	if (skip == NULL)
	{
		/* several at a time, as each comparison has to wait for the one before */
		int64 lane[4] = {least, least, least, least};
		int i = 0;

		for (; i + 4 <= n; i += 4)
			for (int k = 0; k < 4; k++)
			{
				int64 value = values[i + k] ^ flip;

				lane[k] = Min(lane[k], value);
			}
		least = Min(Min(lane[0], lane[1]), Min(lane[2], lane[3]));
		for (; i < n; i++)
			least = Min(least, values[i] ^ flip);
	}
	else
		for (int i = 0; i < n; i++)
		{
			int64 value = skip[i] ? PG_INT64_MAX : values[i] ^ flip;

			least = Min(least, value);
			kept -= skip[i];
		}
	s->least = least;
	s->seen |= kept > 0;
}

static pg_attribute_always_inline void
add_each_extreme(BaAgg *agg, char **records, const BaInput *input, int64 flip)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
		{
			Extreme *s = (Extreme *) (records[i] + offset);
			int64 value = values[i] ^ flip;

			s->least = Min(s->least, value);
			s->seen = 1;
		}
	else
		for (int i = 0; i < n; i++)
		{
			Extreme *s = (Extreme *) (records[i] + offset);
			int64 value = skip[i] ? PG_INT64_MAX : values[i] ^ flip;

			s->least = Min(s->least, value);
			s->seen |= !skip[i];
		}
}

static void
add_all_min(BaAgg *agg, void *state, const BaInput *input)
{
	add_all_extreme(state, input, 0);
}

static void
add_each_min(BaAgg *agg, char **records, const BaInput *input)
{
	add_each_extreme(agg, records, input, 0);
}

static void
add_all_max(BaAgg *agg, void *state, const BaInput *input)
{
	add_all_extreme(state, input, -1);
}

static void
add_each_max(BaAgg *agg, char **records, const BaInput *input)
{
	add_each_extreme(agg, records, input, -1);
}

static Datum
emit_min(BaAgg *agg, void *state, bool *isnull)
{
	Extreme *s = state;

	*isnull = !s->seen;
	return Int64GetDatum(s->least);
}

static Datum
emit_max(BaAgg *agg, void *state, bool *isnull)
{
	Extreme *s = state;

	*isnull = !s->seen;
	return Int64GetDatum(~s->least);
}

const BaKernel ba_kernel_min_int = {
	.name = "min of int",
	.cost = 0.1,
	.state_size = sizeof(Extreme),
	.init = init_extreme,
	.add_all = add_all_min,
	.add_each = add_each_min,
	.emit = emit_min,
};

const BaKernel ba_kernel_max_int = {
	.name = "max of int",
	.cost = 0.1,
	.state_size = sizeof(Extreme),
	.init = init_extreme,
	.add_all = add_all_max,
	.add_each = add_each_max,
	.emit = emit_max,
};
