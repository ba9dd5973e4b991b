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
#include "utils/varlena.h"

#include "kernel.h"
#include "vector_text.h"

typedef struct TextState
{
	char *value; /* a varlena with a long header; NULL before the first value */
	uint64 prefix;
	Size room; /* bytes allocated */
} TextState;

/* Of the BaAgg. */
typedef struct TextAgg
{
	bool is_c;   /* the collation compares bytes */
	bool bpchar; /* blanks at the end mean nothing, the earlier of equals is kept */
	bool max;
} TextAgg;

#define MIN_ROOM 32

static void
prepare(BaAgg *agg, bool max)
{
	TextAgg *info = palloc(sizeof(TextAgg));

	/* without a collation core has to raise its error: varstr_cmp does it */
	info->is_c = OidIsValid(agg->collation) && ba_collation_is_c(agg->collation);
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
}

/*
 * Adds a value that its prefix does not rule out, or any.
 */
static void
add_value(BaAgg *agg, TextState *state, BaString string, uint64 prefix)
{
	const TextAgg *info = agg->private;

	if (state->value != NULL)
	{
		BaString old = ba_string_get(PointerGetDatum(state->value));
		BaString new = string;
		int order;

		if (old.size == new.size && ba_string_equal_bytes(old.bytes, new.bytes, old.size))
			return;
		if (info->bpchar)
		{
			old = ba_string_trim(old);
			new = ba_string_trim(new);
		}
		if (info->is_c)
			order = ba_string_compare(new, ba_string_prefix(new), old, ba_string_prefix(old));
		else
			order = varstr_cmp(new.bytes, new.size, old.bytes, old.size, agg->collation);
		if (info->max ? order < 0 : order > 0)
			return;
		if (order == 0 && info->bpchar)
			return;
	}
	keep_value(agg, state, string, prefix);
}

/*
 * Adds one row. Values that are compressed or out of line are fetched one at a time, so that long
 * ones do not pile up.
 */
static inline void
add_row(BaAgg *agg, TextState *state, const BaVector *value, int row, bool is_c, bool max)
{
	Datum datum = value->datums[row];
	BaString string;
	uint64 prefix;

	if (unlikely(value->extended))
	{
		struct varlena *plain = PG_DETOAST_DATUM_PACKED(datum);

		string = ba_string_get(PointerGetDatum(plain));
		add_value(agg, state, string, ba_string_prefix(string));
		if (PointerGetDatum(plain) != datum)
			pfree(plain);
		return;
	}
	string = ba_string_get(datum);
	prefix = ba_string_prefix(string);
	if (is_c && state->value != NULL && (max ? prefix < state->prefix : prefix > state->prefix))
		return;
	add_value(agg, state, string, prefix);
}

/*
 * Whether the prefix can rule a value out. Not for a bpchar, which sorts as if it had no blanks
 * at its end.
 */
static inline bool
has_decisive_prefix(const TextAgg *info)
{
	return info->is_c && !info->bpchar;
}

static void
add_all(BaAgg *agg, void *state, const BaInput *input)
{
	const TextAgg *info = agg->private;
	bool is_c = has_decisive_prefix(info);

	for (int i = 0; i < input->n; i++)
		if (input->skip == NULL || !input->skip[i])
			add_row(agg, state, input->value, i, is_c, info->max);
}

static void
add_each(BaAgg *agg, char **records, const BaInput *input)
{
	const TextAgg *info = agg->private;
	bool is_c = has_decisive_prefix(info);

	for (int i = 0; i < input->n; i++)
		if (input->skip == NULL || !input->skip[i])
			add_row(agg, (TextState *) (records[i] + agg->offset), input->value, i, is_c,
					info->max);
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
