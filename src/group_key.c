/*
 * group_key.c
 *		Keys of groups as words: making them from vectors, copying, giving them back.
 *
 * Each key of a vector is turned into words in a loop of its own, and mixed into the
 * rows' hashes while it is at hand. Where a key fits into its word (group_internal.h), that is
 * all that is ever looked at again.
 *
 * A text of up to 7 bytes is packed as the 1-byte varlena header that little-endian
 * machines have, followed by its bytes from the lowest up: there the word of a record is
 * a varlena, and is handed out as it is. A numeric is packed as value, 5 bits of
 * scale and the bit that says packed, and before that is brought to the scale of the first row
 * seen, or has its trailing zeros removed where it cannot be. Both vectors of scaled integers and
 * vectors of numerics come to the same words, so it does not matter which of them a row is in.
 *
 * Hashing is multiplying to 128 bits and folding the halves together, which brings every bit of a
 * word into the high bits that choose a slot.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "group_internal.h"

/* The word of every NaN. */
#define NAN_WORD UINT64CONST(0x7FF8000000000000)

#define HASH_SEED UINT64CONST(0x9FB21C651E98DF25)
#define HASH_FACTOR UINT64CONST(0xD6E8FEB86659FD93)

/* Longest text that is packed. */
#define PACKED_TEXT 7

/* A numeric of this scale or more is not packed, nor one of so large a value. */
#define PACKED_SCALE 32
#define PACKED_VALUE (INT64CONST(1) << 57)

static inline uint64
fold(uint64 a, uint64 b)
{
	uint128 product = (uint128) a * b;

	return (uint64) product ^ (uint64) (product >> 64);
}

static inline uint64
mix(uint64 hash, uint64 word)
{
	return fold(hash ^ word, HASH_FACTOR);
}

/*
 * Whether keys of a base type can be told apart by their bytes, up to keys that Finalize
 * Aggregate then merges.
 */
bool
ba_group_supports_key(Oid type, Oid collation)
{
	switch (type)
	{
		case BOOLOID:
		case CHAROID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case CASHOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case UUIDOID:
		case INTERVALOID:
		case BYTEAOID:
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
			return OidIsValid(collation) && get_collation_isdeterministic(collation);
		default:
			return type_is_enum(type);
	}
}

static BaKeyKind
get_kind(const BaType *type)
{
	if (type->oid == FLOAT4OID || type->oid == FLOAT8OID)
		return BA_KEY_FLOAT;
	if (type->oid == NUMERICOID)
		return BA_KEY_NUMERIC;
	if (type->oid == NAMEOID)
		return BA_KEY_NAME;
	if (type->oid == UUIDOID)
		return BA_KEY_UUID;
	if (type->oid == INTERVALOID)
		return BA_KEY_INTERVAL;
	if (type->byval)
		return BA_KEY_INT;
	if (type->len == -1)
		return BA_KEY_TEXT;
	elog(ERROR, "type %u is not supported as a key", type->oid);
}

/*
 * Whether BA_NULL_WORD may be a value of the key.
 */
static bool
needs_null_bit(const BaGroupKey *key)
{
	switch (key->kind)
	{
		case BA_KEY_INT:
			return key->type.len == 8 && key->type.oid != TIMEOID &&
				   key->type.oid != TIMESTAMPOID && key->type.oid != TIMESTAMPTZOID;
		case BA_KEY_FLOAT:
			return key->type.oid != FLOAT4OID;
		case BA_KEY_UUID:
		case BA_KEY_INTERVAL:
			return true;
		default:
			return false;
	}
}

/*
 * Decides where the words of the keys are, in the current context.
 */
void
ba_group_lay_out_keys(BaGroups *groups, const BaType *types)
{
	int nbits = 0;

	groups->keys = palloc0(groups->nkeys * sizeof(BaGroupKey));
	groups->longs = palloc(groups->nkeys * sizeof(BaGroupKey *));
	for (int k = 0; k < groups->nkeys; k++)
	{
		BaGroupKey *key = &groups->keys[k];

		key->type = types[k];
		key->kind = get_kind(&types[k]);
		key->null_word = -1;
		if (needs_null_bit(key))
		{
			key->null_word = nbits / 64;
			key->null_bit = UINT64CONST(1) << (nbits % 64);
			nbits++;
		}
		if (key->kind >= BA_KEY_TEXT)
		{
			groups->longs[groups->nlongs++] = key;
			key->bytes = palloc(BA_VECTOR_ROWS * sizeof(char *));
			key->sizes = palloc(BA_VECTOR_ROWS * sizeof(uint32));
		}
		if (key->kind == BA_KEY_NUMERIC)
		{
			ba_vector_init(&key->decoded, key->type, BA_LANE_NUMERIC);
			key->scale = -1;
		}
	}
	groups->nnulls = (nbits + 63) / 64;
	groups->nwords = groups->nnulls;
	for (int k = 0; k < groups->nkeys; k++)
	{
		BaGroupKey *key = &groups->keys[k];

		key->nwords = key->kind == BA_KEY_UUID || key->kind == BA_KEY_INTERVAL ? 2 : 1;
		key->word = groups->nwords;
		groups->nwords += key->nwords;
	}
	for (int k = 0; k < groups->nkeys; k++)
	{
		BaGroupKey *key = &groups->keys[k];

		key->shown = -1;
		if (key->kind == BA_KEY_FLOAT || key->kind == BA_KEY_INTERVAL ||
			key->kind == BA_KEY_NUMERIC)
		{
			key->shown = groups->nwords + groups->nshown;
			groups->nshown += key->nwords;
		}
	}
	groups->long_of_word = palloc0(groups->nwords * sizeof(BaGroupKey *));
	for (int l = 0; l < groups->nlongs; l++)
		groups->long_of_word[groups->longs[l]->word] = groups->longs[l];
}

/*
 * The 8 bytes at a place, of which `size`, at least one, are there to be read, little-endian.
 * They are taken out of the one or two aligned words that they lie in: such a word lies
 * within whatever object holds one of its bytes, a page or an allocation. There is no branch on
 * place or size. What is behind `size` bytes is undefined.
 */
static inline uint64
load_bytes(const char *bytes, uint32 size)
{
#ifdef WORDS_BIGENDIAN
	uint64 word = 0;

	memcpy(&word, bytes, size);
	return pg_bswap64(word);
#else
	uintptr_t start = (uintptr_t) bytes;
	uint64 low = *(const uint64 *) (start & ~(uintptr_t) 7);
	uint64 high = *(const uint64 *) ((start + size - 1) & ~(uintptr_t) 7);
	int shift = 8 * (start & 7);

	return (low >> shift) | ((high << 1) << (63 - shift));
#endif
}

/*
 * Packs up to 7 bytes.
 */
static inline uint64
pack_bytes(const char *bytes, uint32 size)
{
	uint64 word = 0;

	if (size > 0)
		word = load_bytes(bytes, size) & (~UINT64CONST(0) >> (64 - 8 * size));
	return (word << 8) | ((size + 1) << 1) | 1;
}

/*
 * The word of a row whose key is long.
 */
static uint64
hash_bytes(const char *bytes, uint32 size)
{
	uint64 hash = HASH_SEED ^ size;
	uint64 word = 0;

	if (size < sizeof(word))
		memcpy(&word, bytes, size); /* a numeric that is infinite or NaN */
	else
	{
		for (uint32 i = 0; i + sizeof(word) < size; i += sizeof(word))
		{
			memcpy(&word, bytes + i, sizeof(word));
			hash = mix(hash, word);
		}
		memcpy(&word, bytes + size - sizeof(word), sizeof(word));
	}
	return BA_WORD_OF_HASH(mix(hash, word));
}

/*
 * Makes the word of a row whose key is long, and notes where it is.
 */
static inline void
encode_long(BaGroups *groups, BaGroupKey *key, int row, const char *bytes, uint32 size)
{
	key->bytes[row] = bytes;
	key->sizes[row] = size;
	groups->words[key->word * BA_VECTOR_ROWS + row] = hash_bytes(bytes, size);
	groups->has_long = true;
}

/*
 * The bytes of a detoasted varlena.
 */
static inline const char *
get_varlena(Datum datum, uint32 *size)
{
	const char *varlena = DatumGetPointer(datum);

	if (VARATT_IS_1B(varlena))
	{
		Assert(!VARATT_IS_1B_E(varlena));
		*size = VARSIZE_1B(varlena) - VARHDRSZ_SHORT;
		return VARDATA_1B(varlena);
	}
	Assert(VARATT_IS_4B_U(varlena));
	*size = VARSIZE_4B(varlena) - VARHDRSZ;
	return VARDATA_4B(varlena);
}

/*
 * The words of a vector for a word of a record.
 */
static inline uint64 *
get_words(BaGroups *groups, int word)
{
	return groups->words + word * BA_VECTOR_ROWS;
}

static void
encode_ints(BaGroups *groups, BaGroupKey *key, const BaVector *vector, int n)
{
	uint64 *words = get_words(groups, key->word);
	uint64 null_value = key->null_word < 0 ? BA_NULL_WORD : 0;

	Assert(vector->lane == BA_LANE_INT);
	if (vector->nulls == NULL)
		memcpy(words, vector->ints, n * sizeof(uint64));
	else
		for (int i = 0; i < n; i++)
			words[i] = vector->nulls[i] ? null_value : vector->ints[i];
}

static void
encode_floats(BaGroups *groups, BaGroupKey *key, const BaVector *vector, int n)
{
	uint64 *words = get_words(groups, key->word);
	uint64 null_value = key->null_word < 0 ? BA_NULL_WORD : 0;

	Assert(vector->lane == BA_LANE_FLOAT);
	memcpy(get_words(groups, key->shown), vector->floats, n * sizeof(uint64));
	for (int i = 0; i < n; i++)
	{
		double value = vector->floats[i] + 0.0; /* -0.0 becomes 0.0 */
		uint64 bits;

		memcpy(&bits, &value, sizeof(bits));
		words[i] = value == value ? bits : NAN_WORD;
	}
	if (vector->nulls != NULL)
		for (int i = 0; i < n; i++)
			words[i] = vector->nulls[i] ? null_value : words[i];
}

/*
 * Keys of 16 bytes that are not null; null ones become zeros.
 */
static void
encode_pairs(uint64 *words, const BaVector *vector, int n)
{
	static const uint64 none[2] = {0, 0};

	for (int i = 0; i < n; i++)
	{
		const char *pair = DatumGetPointer(vector->datums[i]);

		if (vector->nulls != NULL && vector->nulls[i])
			pair = (const char *) none;
		memcpy(&words[i], pair, sizeof(uint64));
		memcpy(&words[BA_VECTOR_ROWS + i], pair + sizeof(uint64), sizeof(uint64));
	}
}

/*
 * The microseconds by which core compares intervals.
 */
static void
encode_intervals(BaGroups *groups, BaGroupKey *key, const BaVector *vector, int n)
{
	uint64 *words = get_words(groups, key->word);
	uint64 *shown = get_words(groups, key->shown);

	encode_pairs(shown, vector, n);
	for (int i = 0; i < n; i++)
	{
		uint64 pair[2] = {shown[i], shown[BA_VECTOR_ROWS + i]};
		Interval interval;
		int64 days;
		int128 span;

		memcpy(&interval, pair, sizeof(pair));
		days = interval.month * INT64CONST(30) + interval.day;
		span = (int128) days * USECS_PER_DAY + interval.time;
		words[i] = (uint64) span;
		words[BA_VECTOR_ROWS + i] = (uint64) (span >> 64);
	}
}

static void
encode_text(BaGroups *groups, BaGroupKey *key, const BaVector *vector, int n)
{
	uint64 *words = get_words(groups, key->word);

	for (int i = 0; i < n; i++)
	{
		const char *varlena = DatumGetPointer(vector->datums[i]);
		const char *bytes;
		uint32 size;

		if (vector->nulls != NULL && vector->nulls[i])
		{
			words[i] = BA_NULL_WORD;
			continue;
		}
#ifndef WORDS_BIGENDIAN
		/* with its header it is as it is packed */
		if (VARATT_IS_1B(varlena) && VARSIZE_1B(varlena) <= PACKED_TEXT + VARHDRSZ_SHORT)
		{
			size = VARSIZE_1B(varlena);
			words[i] = load_bytes(varlena, size) & (~UINT64CONST(0) >> (64 - 8 * size));
			continue;
		}
#endif
		bytes = get_varlena(vector->datums[i], &size);
		if (size <= PACKED_TEXT)
			words[i] = pack_bytes(bytes, size);
		else
			encode_long(groups, key, i, bytes, size);
	}
}

static void
encode_names(BaGroups *groups, BaGroupKey *key, const BaVector *vector, int n)
{
	uint64 *words = get_words(groups, key->word);

	for (int i = 0; i < n; i++)
	{
		const char *name = DatumGetCString(vector->datums[i]);
		uint32 size;

		if (vector->nulls != NULL && vector->nulls[i])
		{
			words[i] = BA_NULL_WORD;
			continue;
		}
		size = strlen(name);
		if (size <= PACKED_TEXT)
			words[i] = pack_bytes(name, size);
		else
			encode_long(groups, key, i, name, size);
	}
}

/*
 * Packs a numeric that is an integer and a scale; false if it has to be long.
 */
static inline bool
pack_numeric(int64 value, int scale, uint64 *word)
{
	*word = ((uint64) value << 6) | (scale << 1) | 1;
	return scale < PACKED_SCALE && value > -PACKED_VALUE && value < PACKED_VALUE;
}

/*
 * The word by which a packed numeric of another scale than the first row's is compared.
 */
static uint64
rescale_numeric(int64 value, int scale, int wanted)
{
	int64 rescaled = value;
	uint64 word;

	if (scale < wanted && ba_numeric_rescale(&rescaled, scale, wanted) &&
		pack_numeric(rescaled, wanted, &word))
		return word;
	while (scale > 0 && scale != wanted && value % 10 == 0)
	{
		value /= 10;
		scale--;
	}
	(void) pack_numeric(value, scale, &word);
	return word;
}

/*
 * Both integers with a scale and numerics: the same numeric gets the same word from either.
 */
static void
encode_numerics(BaGroups *groups, BaGroupKey *key, const BaVector *vector, int n)
{
	uint64 *words = get_words(groups, key->word);
	uint64 *shown = get_words(groups, key->shown);
	const BaVector *decoded = vector;

	if (vector->lane == BA_LANE_DATUM)
		decoded = ba_numeric_decode_vector(vector, n, &key->decoded);
	for (int i = 0; i < n; i++)
	{
		int64 value;
		int scale;
		bool known = true;

		if (vector->nulls != NULL && vector->nulls[i])
		{
			words[i] = BA_NULL_WORD;
			continue;
		}
		if (decoded != NULL)
			value = ba_numeric_get(decoded, i, &scale);
		else
			known = ba_numeric_decode(vector->datums[i], &value, &scale);
		if (known && pack_numeric(value, scale, &words[i]))
		{
			shown[i] = words[i];
			if (key->scale < 0)
				key->scale = scale;
			if (scale != key->scale)
				words[i] = rescale_numeric(value, scale, key->scale);
		}
		else
		{
			Datum datum = vector->datums[i];
			const char *bytes;
			uint32 size;

			if (vector->lane == BA_LANE_NUMERIC)
			{
				MemoryContext old = MemoryContextSwitchTo(groups->scratch);

				datum = ba_numeric_encode(value, scale);
				MemoryContextSwitchTo(old);
			}
			bytes = get_varlena(datum, &size);
			encode_long(groups, key, i, bytes, size);
		}
	}
}

/*
 * A copy of a vector in which nothing is compressed or out of line, as long as the vector at hand.
 */
static const BaVector *
detoast(BaGroups *groups, const BaVector *vector, int n)
{
	BaVector *copy = MemoryContextAlloc(groups->scratch, sizeof(BaVector));

	*copy = *vector;
	copy->datums = MemoryContextAlloc(groups->scratch, n * sizeof(Datum));
	memcpy(copy->datums, vector->datums, n * sizeof(Datum));
	ba_vector_detoast(copy, n, groups->scratch);
	return copy;
}

/*
 * Makes the words and hashes of n rows.
 */
void
ba_group_encode_keys(BaGroups *groups, const BaVector **keys, int n)
{
	uint64 *hashes = groups->hashes;

	MemoryContextReset(groups->scratch);
	for (int w = 0; w < groups->nnulls; w++)
		memset(get_words(groups, w), 0, n * sizeof(uint64));
	groups->has_long = false;

	for (int k = 0; k < groups->nkeys; k++)
	{
		BaGroupKey *key = &groups->keys[k];
		const BaVector *vector = keys[k];
		const uint64 *words = get_words(groups, key->word);

		if (vector->lane == BA_LANE_DATUM && vector->extended)
			vector = detoast(groups, vector, n);
		switch (key->kind)
		{
			case BA_KEY_INT:
				encode_ints(groups, key, vector, n);
				break;
			case BA_KEY_FLOAT:
				encode_floats(groups, key, vector, n);
				break;
			case BA_KEY_UUID:
				encode_pairs(get_words(groups, key->word), vector, n);
				break;
			case BA_KEY_INTERVAL:
				encode_intervals(groups, key, vector, n);
				break;
			case BA_KEY_TEXT:
				encode_text(groups, key, vector, n);
				break;
			case BA_KEY_NAME:
				encode_names(groups, key, vector, n);
				break;
			case BA_KEY_NUMERIC:
				encode_numerics(groups, key, vector, n);
				break;
		}
		if (vector->nulls != NULL && key->null_word >= 0)
		{
			uint64 *bits = get_words(groups, key->null_word);

			for (int i = 0; i < n; i++)
				bits[i] |= vector->nulls[i] ? key->null_bit : 0;
		}

		if (k == 0)
			for (int i = 0; i < n; i++)
				hashes[i] = mix(HASH_SEED, words[i]);
		else
			for (int i = 0; i < n; i++)
				hashes[i] = mix(hashes[i], words[i]);
		if (key->nwords == 2)
			for (int i = 0; i < n; i++)
				hashes[i] = mix(hashes[i], words[BA_VECTOR_ROWS + i]);
	}
}

/*
 * The hash of the rows that belong to a record.
 */
uint64
ba_group_hash_record(const BaGroups *groups, const char *record)
{
	const uint64 *words = (const uint64 *) record;
	uint64 hash = HASH_SEED;

	if (groups->nlongs == 0)
	{
		for (int w = groups->nnulls; w < groups->nwords; w++)
			hash = mix(hash, words[w]);
		return hash;
	}
	for (int k = 0; k < groups->nkeys; k++)
	{
		const BaGroupKey *key = &groups->keys[k];
		uint64 word = words[key->word];

		if (key->kind >= BA_KEY_TEXT && !BA_WORD_IS_PACKED(word))
			word = ((const BaLongKey *) word)->hash;
		hash = mix(hash, word);
		if (key->nwords == 2)
			hash = mix(hash, words[key->word + 1]);
	}
	return hash;
}

/*
 * Fills in the words of a new record from a row, copying what is long.
 */
void
ba_group_copy_words(BaGroups *groups, char *record, int row)
{
	uint64 *words = (uint64 *) record;

	for (int w = 0; w < groups->nwords + groups->nshown; w++)
		words[w] = groups->words[w * BA_VECTOR_ROWS + row];
	if (!groups->has_long)
		return;

	for (int l = 0; l < groups->nlongs; l++)
	{
		const BaGroupKey *key = groups->longs[l];
		uint32 size = key->sizes[row];
		BaLongKey *copy;

		if (BA_WORD_IS_PACKED(words[key->word]))
			continue;
		copy = ba_group_add_long(groups, key->kind == BA_KEY_NAME ? NAMEDATALEN : size);
		copy->hash = words[key->word];
		copy->size = size;
		if (key->kind == BA_KEY_NAME)
			memset(copy->bytes, 0, NAMEDATALEN);
		else
			SET_VARSIZE(copy->head, VARHDRSZ + size);
		memcpy(copy->bytes, key->bytes[row], size);
		words[key->word] = (uint64) copy;
	}
}

/*
 * A packed text or name as a Datum: the word itself, or made in the current context.
 */
static Datum
get_packed(const BaGroupKey *key, const uint64 *word)
{
	uint64 bytes = *word >> 8;
	uint32 size = ((*word & 0xff) >> 1) - 1;
	char *result;

#ifndef WORDS_BIGENDIAN
	if (key->kind == BA_KEY_TEXT)
		return PointerGetDatum(word);
#else
	bytes = pg_bswap64(bytes);
#endif
	if (key->kind == BA_KEY_NAME)
	{
		result = palloc0(NAMEDATALEN);
		memcpy(result, &bytes, size);
	}
	else
	{
		result = palloc(VARHDRSZ + size);
		SET_VARSIZE(result, VARHDRSZ + size);
		memcpy(VARDATA(result), &bytes, size);
	}
	return PointerGetDatum(result);
}

/*
 * A key of a group. What it points to may lie in the record or in the current context.
 */
Datum
ba_group_get_key(BaGroups *groups, const char *record, int k, bool *isnull)
{
	const BaGroupKey *key = &groups->keys[k];
	const uint64 *word = (const uint64 *) record + key->word;

	*isnull = key->null_word >= 0 ? (((const uint64 *) record)[key->null_word] & key->null_bit) != 0
								  : *word == BA_NULL_WORD;
	if (*isnull)
		return (Datum) 0;
	if (key->shown >= 0 && !(key->kind == BA_KEY_NUMERIC && !BA_WORD_IS_PACKED(*word)))
		word = (const uint64 *) record + key->shown;

	switch (key->kind)
	{
		case BA_KEY_INT:
			switch (key->type.len)
			{
				case 1:
					return CharGetDatum((char) *word);
				case 2:
					return Int16GetDatum((int16) *word);
				case 4:
					return Int32GetDatum((int32) *word);
				default:
					return Int64GetDatum((int64) *word);
			}
		case BA_KEY_FLOAT:
		{
			double value;

			memcpy(&value, word, sizeof(value));
			return key->type.oid == FLOAT4OID ? Float4GetDatum((float4) value)
											  : Float8GetDatum(value);
		}
		case BA_KEY_UUID:
		case BA_KEY_INTERVAL:
			return PointerGetDatum(word);
		case BA_KEY_NUMERIC:
			if (BA_WORD_IS_PACKED(*word))
				return ba_numeric_encode((int64) *word >> 6, (*word >> 1) & (PACKED_SCALE - 1));
			break;
		case BA_KEY_TEXT:
		case BA_KEY_NAME:
			if (BA_WORD_IS_PACKED(*word))
				return get_packed(key, word);
			if (key->kind == BA_KEY_NAME)
				return PointerGetDatum(((const BaLongKey *) *word)->bytes);
			break;
	}
	return PointerGetDatum(((const BaLongKey *) *word)->head);
}
