/*
 * kernel_text.c
 *		min and max of text, varchar and char.
 *
 * A state holds a copy of the extreme value so far, in a buffer that later values reuse, and
 * the value's first 8 bytes as an integer: under the C collation these decide most
 * comparisons without a look at the copy.
 *
 * Of two equal values core's text_larger and text_smaller keep the later one, bpchar_larger and
 * bpchar_smaller the earlier one. Equal values can differ where blanks end a bpchar, and
 * under collations that are not deterministic; so it is done the same way here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "kernel.h"
#include "vector_text.h"

typedef struct TextState
{
	char *value; /* a varlena with a long header; NULL before the first value */
	uint64 prefix;
	uint32 size; /* of the string */
	uint32 room; /* bytes allocated */
} TextState;

/* Of the BaAgg. */
typedef struct TextAgg
{
	BaCollator collator;
	bool bpchar; /* blanks at the end mean nothing, the earlier of equals is kept */
	bool max;
} TextAgg;

#define MIN_ROOM 32

static void
prepare(BaAgg *agg, bool max)
{
	TextAgg *info = palloc(sizeof(TextAgg));

	ba_collator_init(&info->collator, agg->collation, CurrentMemoryContext);
	info->bpchar = agg->argtype.oid == BPCHAROID;
	info->max = max;
	agg->private = info;
}

static void
prepare_min(BaAgg *agg)
{
	prepare(agg, false);
}

static void
prepare_max(BaAgg *agg)
{
	prepare(agg, true);
}

static void
keep_value(BaAgg *agg, TextState *state, BaString string, uint64 prefix)
{
	Size size = string.size + VARHDRSZ;

	if (size > state->room)
	{
		if (state->value != NULL)
			pfree(state->value);
		state->room = Max(MIN_ROOM, size + size / 4);
		state->value = MemoryContextAlloc(agg->memory, state->room);
	}
	SET_VARSIZE(state->value, size);
	memcpy(VARDATA(state->value), string.bytes, string.size);
	state->prefix = prefix;
	state->size = string.size;
}

/*
 * Tells whether a value takes the place of the state's.
 */
static bool
is_better(const BaAgg *agg, const TextState *state, BaString new)
{
	const TextAgg *info = agg->private;
	BaString old = ba_string_get(PointerGetDatum(state->value));
	int order;

	/* core's comparison raises an error even of equal values if it has no collation */
	if (old.size == new.size && OidIsValid(agg->collation) &&
		ba_string_equal_bytes(old.bytes, new.bytes, old.size))
		return false;
	if (info->bpchar)
	{
		old = ba_string_trim(old);
		new = ba_string_trim(new);
	}
	order = ba_collator_compare(&info->collator, new, ba_string_prefix(new), old,
								ba_string_prefix(old));
	if (order == 0)
		return !info->bpchar;
	return info->max ? order > 0 : order < 0;
}

/*
 * Adds one row. Values that are compressed or out of line are fetched one at a time, so that long
 * ones do not pile up.
 *
 * Most values of a text are turned down here by their first bytes: under C by those alone, and otherwise
 * by what is remembered of short strings. For a bpchar these bytes do not tell which blanks count.
 */
static inline void
add_row(BaAgg *agg, const TextAgg *info, TextState *state, const BaVector *value, int row)
{
	Datum datum = value->datums[row];
	Datum plain = datum;
	BaString string;
	uint64 prefix;

	if (unlikely(value->extended))
		plain = PointerGetDatum(PG_DETOAST_DATUM_PACKED(datum));
	string = ba_string_get(plain);
	prefix = ba_string_prefix(string);
	if (likely(state->value != NULL) && !info->bpchar)
	{
		if (info->collator.is_c)
		{
			if (info->max ? prefix < state->prefix : prefix > state->prefix)
				goto done;
		}
		else if (string.size <= 8 && state->size <= 8 && prefix != state->prefix)
		{
			BaString old = {VARDATA(state->value), state->size};
			int order = ba_collator_compare(&info->collator, string, prefix, old, state->prefix);

			if (info->max ? order < 0 : order > 0)
				goto done;
		}
	}
	if (state->value == NULL || is_better(agg, state, string))
		keep_value(agg, state, string, prefix);
done:
	if (unlikely(plain != datum))
		pfree(DatumGetPointer(plain));
}

static void
add_all(BaAgg *agg, void *state, const BaInput *input)
{
	const TextAgg *info = agg->private;

	for (int i = 0; i < input->n; i++)
		if (input->skip == NULL || !input->skip[i])
			add_row(agg, info, state, input->value, i);
}

static void
add_each(BaAgg *agg, char **records, const BaInput *input)
{
	const TextAgg *info = agg->private;

	for (int i = 0; i < input->n; i++)
		if (input->skip == NULL || !input->skip[i])
			add_row(agg, info, (TextState *) (records[i] + agg->offset), input->value, i);
}

static Datum
emit(BaAgg *agg, void *state, bool *isnull)
{
	TextState *text = state;

	*isnull = text->value == NULL;
	return PointerGetDatum(text->value);
}

const BaKernel ba_kernel_min_text = {
	.name = "min of text",
	.state_size = sizeof(TextState),
	.prepare = prepare_min,
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit,
};

const BaKernel ba_kernel_max_text = {
	.name = "max of text",
	.state_size = sizeof(TextState),
	.prepare = prepare_max,
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit,
};
