/*
 * vector_array.c
 *		x = ANY (array) and x <> ALL (array), for an array without columns.
 *
 * The elements become a set once, and again when a parameter changes:
 *
 *		few integers			compared four at a time, all rows at a time
 *		integers close together	a bitmap
 *		other integers, texts	open addressing, sparsely filled, so that most rows are settled by
 *								one look
 *
 * The answer for a row is null if x is, or if it was not found while the array
 * has a null; for an empty array it is never null.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "compat.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "vector_expr.h"
#include "vector_ops.h"
#include "vector_text.h"

/* Integers up to that many are compared one by one. */
#define FEW 16
/* Bits of a bitmap at most. */
#define MAX_RANGE (64 * 1024)
/* Sets up to that many values have 8 slots a value, others 2 to 4. */
#define SMALL_SET 1024

typedef enum SetKind
{
	SET_FEW,
	SET_BITMAP,
	SET_HASH,
	SET_TEXT,
} SetKind;

/* A slot of texts. */
typedef struct TextSlot
{
	const char *bytes; /* NULL where there is none */
	int size;
	uint64 prefix;
} TextSlot;

typedef struct Set
{
	MemoryContext memory; /* of the elements */
	uint64 version;       /* of the array they come from */
	SetKind kind;
	bool array_is_null;
	bool array_is_empty;
	bool has_null;
	int nvalues;
	int64 *values;
	uint64 base; /* SET_BITMAP: the least value */
	uint64 range;
	uint64 *bits;
	int shift; /* SET_HASH, SET_TEXT: of a hash, to get a slot */
	uint32 mask;
	int64 *slots; /* SET_HASH: `empty` where there is none */
	int64 empty;
	TextSlot *texts;
} Set;

/* Functions that compare what vectors hold as integers, or texts. */
static const struct
{
	Oid equal;
	Oid not_equal;
} functions[] = {
	{F_INT2EQ, F_INT2NE},
	{F_INT4EQ, F_INT4NE},
	{F_INT8EQ, F_INT8NE},
	{F_INT24EQ, F_INT24NE},
	{F_INT28EQ, F_INT28NE},
	{F_INT42EQ, F_INT42NE},
	{F_INT48EQ, F_INT48NE},
	{F_INT82EQ, F_INT82NE},
	{F_INT84EQ, F_INT84NE},
	{F_OIDEQ, F_OIDNE},
	{F_DATE_EQ, F_DATE_NE},
	{F_TIME_EQ, F_TIME_NE},
	{F_TIMESTAMP_EQ, F_TIMESTAMP_NE},
	{F_TIMESTAMPTZ_EQ, F_TIMESTAMPTZ_NE},
	{F_CASH_EQ, F_CASH_NE},
	{F_ENUM_EQ, F_ENUM_NE},
	{F_TEXTEQ, F_TEXTNE},
};

/*
 * Whether an expression is of the kind computed here; its array must be checked by the caller.
 */
bool
ba_array_is_possible(ScalarArrayOpExpr *expr)
{
	for (int i = 0; i < lengthof(functions); i++)
		if (expr->opfuncid == (expr->useOr ? functions[i].equal : functions[i].not_equal))
			return functions[i].equal != F_TEXTEQ ||
				   get_collation_isdeterministic(expr->inputcollid);
	return false;
}

static inline uint32
get_slot(const Set *set, uint64 value)
{
	return (uint32) (value * UINT64CONST(0x9E3779B97F4A7C15) >> set->shift);
}

static inline uint32
get_text_slot(const Set *set, BaString string, uint64 prefix)
{
	if (string.size > 16)
		return get_slot(set,
						hash_bytes_extended((const unsigned char *) string.bytes, string.size, 0));
	if (string.size > 8)
	{
		uint64 rest;

		memcpy(&rest, string.bytes + string.size - 8, 8);
		prefix ^= rest * UINT64CONST(0xC2B2AE3D27D4EB4F);
	}
	return get_slot(set, prefix + string.size);
}

/*
 * Sets the number of slots for n values, and returns it.
 */
static int
size_slots(Set *set, int n)
{
	int nslots = 16;
	int wanted = n <= SMALL_SET ? 8 * n : 2 * n;

	set->shift = 60;
	while (nslots < wanted)
	{
		nslots *= 2;
		set->shift--;
	}
	set->mask = nslots - 1;
	return nslots;
}

static int
compare_values(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * Chooses how to look up set->values, in ascending order.
 */
static void
index_values(Set *set)
{
	int nslots;

	if (set->nvalues <= FEW)
	{
		set->kind = SET_FEW;
		return;
	}
	set->base = (uint64) set->values[0];
	set->range = (uint64) set->values[set->nvalues - 1] - set->base + 1;
	if (set->range != 0 && set->range <= MAX_RANGE)
	{
		set->kind = SET_BITMAP;
		set->bits = palloc0((set->range + 63) / 64 * sizeof(uint64));
		for (int i = 0; i < set->nvalues; i++)
		{
			uint64 place = (uint64) set->values[i] - set->base;

			set->bits[place / 64] |= UINT64CONST(1) << (place % 64);
		}
		return;
	}
	set->kind = SET_HASH;
	nslots = size_slots(set, set->nvalues);

	/* a value that no element has: between two that are not next to each other */
	set->empty = set->values[0] + 1;
	for (int i = 1; i < set->nvalues && set->empty >= set->values[i]; i++)
		set->empty = (int64) ((uint64) set->values[i] + 1);
	set->slots = palloc(nslots * sizeof(int64));
	for (int i = 0; i < nslots; i++)
		set->slots[i] = set->empty;
	for (int i = 0; i < set->nvalues; i++)
	{
		uint32 slot = get_slot(set, set->values[i]);

		while (set->slots[slot] != set->empty && set->slots[slot] != set->values[i])
			slot = (slot + 1) & set->mask;
		set->slots[slot] = set->values[i];
	}
}

static inline bool
is_same_text(const TextSlot *slot, BaString string, uint64 prefix)
{
	return slot->prefix == prefix && slot->size == string.size &&
		   (string.size <= 8 || ba_string_equal_bytes(slot->bytes, string.bytes, string.size));
}

static void
index_texts(Set *set, const Datum *elements, const bool *nulls, int n)
{
	set->kind = SET_TEXT;
	set->texts = palloc0(size_slots(set, n) * sizeof(TextSlot));
	for (int i = 0; i < n; i++)
	{
		BaString string;
		uint64 prefix;
		uint32 slot;

		if (nulls[i])
			continue;
		string = ba_string_get(PointerGetDatum(PG_DETOAST_DATUM_PACKED(elements[i])));
		prefix = ba_string_prefix(string);
		slot = get_text_slot(set, string, prefix);
		while (set->texts[slot].bytes != NULL && !is_same_text(&set->texts[slot], string, prefix))
			slot = (slot + 1) & set->mask;
		set->texts[slot] = (TextSlot){string.bytes, string.size, prefix};
	}
}

/*
 * Makes the set of an array's elements.
 */
static void
build_set(Set *set, Datum value, bool isnull)
{
	ArrayType *array;
	BaType type;
	Datum *elements;
	bool *nulls;
	int n;

	MemoryContextReset(set->memory);
	set->array_is_null = isnull;
	set->array_is_empty = false;
	set->has_null = false;
	set->nvalues = 0;
	set->kind = SET_FEW;
	if (isnull)
		return;
	array = DatumGetArrayTypePCopy(value);
	type = ba_vector_type(ARR_ELEMTYPE(array));
	deconstruct_array(array, ARR_ELEMTYPE(array), type.len, type.byval, type.align, &elements,
					  &nulls, &n);
	set->array_is_empty = n == 0;
	for (int i = 0; i < n; i++)
		set->has_null |= nulls[i];
	if (type.lane == BA_LANE_DATUM)
		index_texts(set, elements, nulls, n);
	else
	{
		BaVector one;

		ba_vector_init(&one, type, BA_LANE_INT);
		set->values = palloc(Max(1, n) * sizeof(int64));
		for (int i = 0; i < n; i++)
			if (!nulls[i])
			{
				ba_vector_set_datum(&one, 0, elements[i]);
				set->values[set->nvalues++] = one.ints[0];
			}
		qsort(set->values, set->nvalues, sizeof(int64), compare_values);
		index_values(set);
	}
}

/*
 * Loops: set r[i] to 1 if the value of a row is in the set, or else to 0.
 */
BA_VECTOR_LOOP static void
find_four(const int64 *x, const int64 *v, int64 *restrict r, int n)
{
	const int64 a = v[0];
	const int64 b = v[1];
	const int64 c = v[2];
	const int64 d = v[3];

	for (int i = 0; i < n; i++)
		r[i] |= (x[i] == a) | (x[i] == b) | (x[i] == c) | (x[i] == d);
}

static void
find_few(const Set *set, const BaVector *x, int64 *restrict r, int n)
{
	memset(r, 0, n * sizeof(int64));
	for (int k = 0; k < set->nvalues; k += 4)
	{
		int64 v[4];

		/* places behind the last repeat it */
		for (int j = 0; j < 4; j++)
			v[j] = set->values[Min(k + j, set->nvalues - 1)];
		find_four(x->ints, v, r, n);
	}
}

static void
find_bit(const Set *set, const BaVector *x, int64 *restrict r, int n)
{
	for (int i = 0; i < n; i++)
	{
		uint64 place = (uint64) x->ints[i] - set->base;
		uint64 safe = place < set->range ? place : 0;

		r[i] = (set->bits[safe / 64] >> (safe % 64)) & (place < set->range);
	}
}

static void
find_hash(const Set *set, const BaVector *x, int64 *restrict r, int n)
{
	for (int i = 0; i < n; i++)
	{
		int64 value = x->ints[i];
		uint32 slot = get_slot(set, value);

		while (unlikely((set->slots[slot] != value) & (set->slots[slot] != set->empty)))
			slot = (slot + 1) & set->mask;
		r[i] = (set->slots[slot] == value) & (value != set->empty);
	}
}

/* Whether a row is found is not to be foreseen: no branch goes by it, unless texts are long. */
static void
find_text(const Set *set, const Datum *values, int64 *restrict r, int n)
{
	for (int i = 0; i < n; i++)
	{
		BaString string = ba_string_get(values[i]);
		uint64 prefix = ba_string_prefix(string);
		const TextSlot *slot = &set->texts[get_text_slot(set, string, prefix)];
		bool same = (slot->prefix == prefix) & (slot->size == string.size) & (slot->bytes != NULL);

		bool other = (slot->bytes != NULL) & !same;

		if (unlikely(other | (same & (string.size > 8))))
		{
			while (slot->bytes != NULL && !is_same_text(slot, string, prefix))
				slot = slot == &set->texts[set->mask] ? set->texts : slot + 1;
			same = slot->bytes != NULL;
		}
		r[i] = same;
	}
}

/* The same for values that may have to be fetched, one at a time. */
static void
find_extended(const Set *set, const Datum *values, int64 *r, int n)
{
	for (int i = 0; i < n; i++)
	{
		Datum plain = values[i];

		if (plain != (Datum) 0)
			plain = PointerGetDatum(PG_DETOAST_DATUM_PACKED(plain));
		find_text(set, &plain, &r[i], 1);
		if (plain != values[i])
			pfree(DatumGetPointer(plain));
	}
}

/*
 * Operands are x and the array, which is a node with one value.
 */
const BaVector *
ba_array_eval(BaExpr *expr, BaRows *rows)
{
	bool use_or = ((ScalarArrayOpExpr *) expr->source)->useOr;
	const BaVector *x;
	const BaVector *array;
	BaVector *result;
	Set *set = expr->private;
	Datum value;
	bool isnull;
	uint64 version;
	int n = rows->n;

	if (!ba_op_get_operands(expr, rows, &x, &array))
		return NULL;
	ba_leaf_get_constant(expr->args[1], &value, &isnull, &version);
	if (set == NULL)
	{
		set = MemoryContextAllocZero(expr->program->memory, sizeof(Set));
		set->memory =
			AllocSetContextCreate(expr->program->memory, "BatchAgg array", ALLOCSET_SMALL_SIZES);
		expr->private = set;
	}
	if (set->version != version)
	{
		MemoryContext old = MemoryContextSwitchTo(set->memory);

		build_set(set, value, isnull);
		set->version = version;
		MemoryContextSwitchTo(old);
	}

	if (set->array_is_null || set->array_is_empty)
	{
		result = ba_expr_begin_result(expr, BA_LANE_INT);
		for (int i = 0; i < n; i++)
			if (set->array_is_null)
				ba_vector_set_null(result, i);
			else
				result->ints[i] = !use_or;
		return result;
	}
	result = ba_op_begin_result(expr, BA_LANE_INT, x, NULL, n);
	switch (set->kind)
	{
		case SET_FEW:
			find_few(set, x, result->ints, n);
			break;
		case SET_BITMAP:
			find_bit(set, x, result->ints, n);
			break;
		case SET_HASH:
			find_hash(set, x, result->ints, n);
			break;
		case SET_TEXT:
			if (x->extended)
				find_extended(set, x->datums, result->ints, n);
			else
				find_text(set, x->datums, result->ints, n);
			break;
	}
	if (set->has_null)
	{
		bool *nulls = ba_vector_null_buffer(result);

		for (int i = 0; i < n; i++)
			nulls[i] = ba_op_is_null(x, i) || !result->ints[i];
		result->nulls = nulls;
	}
	if (!use_or)
		for (int i = 0; i < n; i++)
			result->ints[i] ^= 1;
	return result;
}
