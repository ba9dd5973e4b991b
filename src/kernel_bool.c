/*
 * kernel_bool.c
 *		bool_and, every and bool_or: which of false and true were seen.
 */
#include "postgres.h"

#include "kernel.h"

/* The state is a set of these. */
#define SEEN_FALSE 1
#define SEEN_TRUE 2

/* What a row adds to the set: nothing if it is skipped. */
static inline int64
seen_bit(int64 value, bool skipped)
{
	return (SEEN_FALSE << value) & ((int64) skipped - 1);
}

static void
add_all(BaAgg *agg, void *state, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int n = input->n;
	int64 seen = 0;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			seen |= seen_bit(values[i], false);
	else
		for (int i = 0; i < n; i++)
			seen |= seen_bit(values[i], skip[i]);
	*(int64 *) state |= seen;
}

static void
add_each(BaAgg *agg, char **records, const BaInput *input)
{
	const int64 *values = input->value->ints;
	const bool *skip = input->skip;
	int offset = agg->offset;
	int n = input->n;

	if (skip == NULL)
		for (int i = 0; i < n; i++)
			*(int64 *) (records[i] + offset) |= seen_bit(values[i], false);
	else
		for (int i = 0; i < n; i++)
			*(int64 *) (records[i] + offset) |= seen_bit(values[i], skip[i]);
}

static Datum
emit_and(BaAgg *agg, void *state, bool *isnull)
{
	int64 seen = *(int64 *) state;

	*isnull = seen == 0;
	return BoolGetDatum((seen & SEEN_FALSE) == 0);
}

static Datum
emit_or(BaAgg *agg, void *state, bool *isnull)
{
	int64 seen = *(int64 *) state;

	*isnull = seen == 0;
	return BoolGetDatum((seen & SEEN_TRUE) != 0);
}

const BaKernel ba_kernel_bool_and = {
	.name = "bool_and",
	.cost = 0.1,
	.state_size = sizeof(int64),
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit_and,
};

const BaKernel ba_kernel_bool_or = {
	.name = "bool_or",
	.cost = 0.1,
	.state_size = sizeof(int64),
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit_or,
};
