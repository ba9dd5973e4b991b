/*
 * vector_text.h
 *		Strings in vectors: their bytes, comparing them, patterns of LIKE.
 *
 * A BaString is a view of a plain varlena: not compressed, not out of line, with a short or a long
 * header. Strings of up to 8 bytes are compared without a call: their bytes, padded with
 * zeros, make an integer that sorts like the bytes do.
 */
#ifndef VECTOR_TEXT_H
#define VECTOR_TEXT_H

#include "compat.h"
#include "port/pg_bswap.h"

#include "vector.h"

typedef struct BaString
{
	const char *bytes;
	int size;
} BaString;

/* The bytes of a plain varlena; none where the Datum is 0, as it is in a null row. */
static inline BaString
ba_string_get(Datum value)
{
	const char *varlena = DatumGetPointer(value);

	if (varlena == NULL)
		return (BaString){"", 0};
	if (VARATT_IS_1B(varlena))
		return (BaString){VARDATA_1B(varlena), VARSIZE_1B(varlena) - VARHDRSZ_SHORT};
	return (BaString){VARDATA_4B(varlena), VARSIZE_4B(varlena) - VARHDRSZ};
}

/* The string without the blanks at its end, which mean nothing in a bpchar. */
static inline BaString
ba_string_trim(BaString string)
{
	while (string.size > 0 && string.bytes[string.size - 1] == ' ')
		string.size--;
	return string;
}

/* Where the next character begins in UTF-8. */
static inline int
ba_string_next_char(BaString string, int at)
{
	at++;
	while (at < string.size && (string.bytes[at] & 0xC0) == 0x80)
		at++;
	return at;
}

/*
 * The first 8 bytes, zeros behind a shorter string, as an integer that sorts as they do. Reads no
 * byte outside the string: overlapping loads cover all sizes.
 */
static inline uint64
ba_string_prefix(BaString string)
{
	const char *bytes = string.bytes;
	int size = string.size;

	if (size >= 8)
	{
		uint64 all;

		memcpy(&all, bytes, 8);
		return pg_ntoh64(all);
	}
	if (size >= 4)
	{
		uint32 first;
		uint32 last;

		memcpy(&first, bytes, 4);
		memcpy(&last, bytes + size - 4, 4);
		return (uint64) pg_ntoh32(first) << 32 | (uint64) pg_ntoh32(last) << (64 - 8 * size);
	}
	if (size >= 2)
	{
		uint16 first;
		uint16 last;

		memcpy(&first, bytes, 2);
		memcpy(&last, bytes + size - 2, 2);
		return (uint64) pg_ntoh16(first) << 48 | (uint64) pg_ntoh16(last) << (64 - 8 * size);
	}
	return size == 0 ? 0 : (uint64) (unsigned char) bytes[0] << 56;
}

/* Compares by bytes, given the prefixes: -1, 0 or 1. */
static inline int
ba_string_compare(BaString a, uint64 a_prefix, BaString b, uint64 b_prefix)
{
	if (a_prefix != b_prefix)
		return a_prefix < b_prefix ? -1 : 1;
	if (a.size > 8 && b.size > 8)
	{
		int result = memcmp(a.bytes + 8, b.bytes + 8, Min(a.size, b.size) - 8);

		if (result != 0)
			return result < 0 ? -1 : 1;
	}
	return (a.size > b.size) - (a.size < b.size);
}

/* Whether `size` bytes are the same. */
static inline bool
ba_string_equal_bytes(const char *a, const char *b, int size)
{
	if (size <= 8)
		return ba_string_prefix((BaString){a, size}) == ba_string_prefix((BaString){b, size});
	if (size <= 16)
	{
		uint64 a_first, a_last, b_first, b_last;

		memcpy(&a_first, a, 8);
		memcpy(&b_first, b, 8);
		memcpy(&a_last, a + size - 8, 8);
		memcpy(&b_last, b + size - 8, 8);
		return ((a_first ^ b_first) | (a_last ^ b_last)) == 0;
	}
	return memcmp(a, b, size) == 0;
}

/* Characters of UTF-8: the bytes but those that continue one. */
static inline int
ba_string_count_utf8(BaString string)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	int continued = 0;
	int i = 0;

	for (; string.size - i >= 8; i += 8)
	{
		uint64 word;

		memcpy(&word, string.bytes + i, 8);
		continued += (((word >> 7) & ~(word >> 6) & ones) * ones) >> 56;
	}
	if (i < string.size)
	{
		uint64 word = ba_string_prefix((BaString){string.bytes + i, string.size - i});

		continued += (((word >> 7) & ~(word >> 6) & ones) * ones) >> 56;
	}
	return string.size - continued;
}

/*
 * Compares strings by a collation. Under C that is a matter of bytes. Under others each comparison
 * is a call of core's varstr_cmp, which takes far longer than anything else here; so the outcomes for
 * pairs of strings of up to 8 bytes, which often are few, are remembered in a direct-mapped cache. Such
 * a string is known by its prefix and its size, as no text has a zero byte.
 */
#define BA_MEMO_BITS 10

typedef struct BaMemo
{
	uint64 a;
	uint64 b;
	int32 sizes; /* of both; -1 where nothing is kept */
	int32 order;
} BaMemo;

typedef struct BaCollator
{
	Oid collation;
	bool is_c;
	BaMemo *memos; /* NULL under C */
} BaCollator;

/* in vector_collate.c */
extern void ba_collator_init(BaCollator *collator, Oid collation, MemoryContext memory);
extern int ba_collator_call(const BaCollator *collator, BaString a, BaString b);

/* Compares strings, given their prefixes: negative, 0 or positive. */
static inline int
ba_collator_compare(const BaCollator *collator, BaString a, uint64 a_prefix, BaString b,
					uint64 b_prefix)
{
	uint64 hash;
	int32 sizes;
	BaMemo *memo;

	if (collator->is_c)
		return ba_string_compare(a, a_prefix, b, b_prefix);
	if (a.size > 8 || b.size > 8)
		return ba_collator_call(collator, a, b);
	sizes = a.size << 4 | b.size;
	hash = (a_prefix ^ (b_prefix << 29 | b_prefix >> 35)) * UINT64CONST(0x9E3779B97F4A7C15);
	memo = &collator->memos[hash >> (64 - BA_MEMO_BITS)];
	if (unlikely(memo->sizes != sizes || memo->a != a_prefix || memo->b != b_prefix))
	{
		memo->sizes = -1;
		memo->order = ba_collator_call(collator, a, b);
		memo->a = a_prefix;
		memo->b = b_prefix;
		memo->sizes = sizes;
	}
	return memo->order;
}

/* in vector_like.c: constant patterns of LIKE */
typedef struct BaLike BaLike;

extern BaLike *ba_like_compile(BaString pattern, MemoryContext memory);
extern bool ba_like_match(const BaLike *like, BaString string);
extern void ba_like_match_all(const BaLike *like, const Datum *strings, int n, bool negate,
							  int64 *result);

/* in vector_collation.c */
extern bool ba_collation_is_c(Oid collation);

#endif
