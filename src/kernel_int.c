/*
 * kernel_int.c
 *		Aggregates of what vectors hold as 64-bit integers.
 *
 * Sums of int2 and int4 are kept as core keeps them, in 64 bits. Sums of int8 and
 * sums of squares take 128 bits or more.
 *
 * Skipped rows are not jumped over but added as zeros: whether a row is skipped
 * cannot be predicted, and adding costs less than guessing wrong.
 */
#include "postgres.h"

#include "kernel.h"

/*
 * Sums of int2 and int4
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
	int64 count = 0;
	int64 sum = 0;

	if (skip == NULL)
	{
		for (int i = 0; i < n; i++)
			sum += values[i];
		count = n;
	}
	else
		for (int i = 0; i < n; i++)
		{
			int64 keep = !skip[i];

			sum += values[i] & -keep;
			count += keep;
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
			int64 keep = !skip[i];

			s->count += keep;
			s->sum += values[i] & -keep;
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
	.name = "sum(int4)",
	.cost = 0.1,
	.state_size = sizeof(SmallSum),
	.add_all = add_all_small,
	.add_each = add_each_small,
	.emit = emit_small_sum,
};
