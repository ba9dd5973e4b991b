/*
 * kernel_count.c
 *		count(*) and count(x): the state is the count, as it is core's.
 *
 * Whether a row counts is all in `skip`, so both are the same loops.
 */
#include "postgres.h"

#include "kernel.h"

/*
 * Counts the rows that are not to be skipped, eight at a time: the product has the sum of a word's
 * bytes in its highest byte.
 */
static int
count_kept(const bool *skip, int n)
{
	int skipped = 0;
	int i = 0;

	for (; i + (int) sizeof(uint64) <= n; i += sizeof(uint64))
	{
		uint64 word;

		memcpy(&word, &skip[i], sizeof(word));
		skipped += (int) ((word * UINT64CONST(0x0101010101010101)) >> 56);
	}
	for (; i < n; i++)
		skipped += skip[i];
	return n - skipped;
}

static void
add_all(BaAgg *agg, void *state, const BaInput *input)
{
	*(int64 *) state += input->skip == NULL ? input->n : count_kept(input->skip, input->n);
}

static void
add_each(BaAgg *agg, char **records, const BaInput *input)
{
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			(*(int64 *) (records[i] + offset))++;
	else
		for (int i = 0; i < n; i++)
			*(int64 *) (records[i] + offset) += !skip[i];
}

static Datum
emit(BaAgg *agg, void *state, bool *isnull)
{
	*isnull = false;
	return Int64GetDatum(*(int64 *) state);
}

const BaKernel ba_kernel_count_star = {
	.name = "count(*)",
	.cost = 0.05,
	.state_size = sizeof(int64),
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit,
};

const BaKernel ba_kernel_count = {
	.name = "count",
	.cost = 0.05,
	.state_size = sizeof(int64),
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit,
};
