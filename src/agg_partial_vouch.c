/*
 * agg_partial_vouch.c
 *		Which private payloads we can check ourselves.
 *
 * The bytes that a serialize function makes of an internal state are its own
 * affair: no other major need read them the same way, and the deserialize
 * function trusts them blindly, as only the executor calls it. So by rule such a
 * payload stays within one major and may not be typed in by just anybody.
 *
 * The sums of bigint and numeric and what is built on them (avg, variance,
 * stddev, sum(int4)'s variance, ...) are too common for that rule. Their four
 * serialize functions are listed here, with what their bytes are:
 *
 *		int8_avg		N, sum
 *		numeric_poly	N, sum, sum of squares
 *		numeric_avg		N, sum, maxScale, maxScaleCount, NaNs, +Infs, -Infs
 *		numeric			N, sum, sum of squares, then as numeric_avg
 *
 * N, maxScaleCount and the three counts are int8; maxScale is int4; a sum is
 * ndigits, weight, sign, dscale (int4 each) and ndigits int2 digits base 10000.
 * Proof that the majors agree: numeric.c of 15 and of 17 have these functions
 * identical byte for byte (only the copying of the input bytea changed), and the
 * golden states of test/sql/partial.sql, written by 15, are written and read alike
 * by 17 and 18. 19 changes int8_avg and numeric_poly, so the list ends at 18.
 *
 * A payload that passes the check cannot hurt the deserialize function: its
 * allocations are bounded by MAX_WEIGHT and by the payload's own length, every
 * digit is a digit, and it ends where it should. It may still hold a sum that no
 * rows add up to; so may any number a person types.
 */
#include "postgres.h"

#include "utils/fmgroids.h"

#include "agg_partial.h"
#include "compat.h"

#define LAST_KNOWN_MAJOR 18

#define NBASE 10000
#define SIGN_POSITIVE 0x0000
#define SIGN_NEGATIVE 0x4000

/*
 * A numeric's weight fits 15 bits and its dscale 14; a square doubles them, and
 * 2^63 rows add five digits.
 */
#define MAX_WEIGHT (2 * 32768 + 8)
#define MAX_DSCALE (2 * 16384) /* decimals, four a digit */

/* a sum of squares of 64-bit integers fits 128 bits, so 39 decimal digits */
#define MAX_INT128_DIGITS 10

/* what a payload consists of */
typedef struct Format
{
	Oid serialfn;
	int sums;     /* how many sums follow N */
	bool integer; /* sums of integers, without the fields that numeric adds */
} Format;

static const Format formats[] = {
	{F_INT8_AVG_SERIALIZE, 1, true},
	{F_NUMERIC_POLY_SERIALIZE, 2, true},
	{F_NUMERIC_AVG_SERIALIZE, 1, false},
	{F_NUMERIC_SERIALIZE, 2, false},
};

typedef struct Cursor
{
	const unsigned char *next;
	Size left;
} Cursor;

static const Format *
find_format(Oid serialfn)
{
	for (int i = 0; i < lengthof(formats); i++)
		if (formats[i].serialfn == serialfn)
			return &formats[i];
	return NULL;
}

/*
 * Reads a big-endian signed number of 2, 4 or 8 bytes; false at the end.
 */
static bool
read_number(Cursor *cursor, int bytes, int64 *number)
{
	uint64 bits = 0;

	if (cursor->left < (Size) bytes)
		return false;
	for (int i = 0; i < bytes; i++)
		bits = bits << 8 | cursor->next[i];
	cursor->next += bytes;
	cursor->left -= bytes;
	*number = bytes == 8 ? (int64) bits : bytes == 4 ? (int32) bits : (int16) bits;
	return true;
}

static bool
read_count(Cursor *cursor)
{
	int64 count;

	return read_number(cursor, 8, &count) && count >= 0;
}

/*
 * Whether a digit, the last of whose decimals is the one given, has none beyond
 * dscale. A numeric that has would print as another than it compares as.
 */
static bool
fits_dscale(int64 digit, int64 decimals, int64 dscale)
{
	static const int powers[] = {1, 10, 100, 1000, NBASE};
	int64 hidden = decimals - dscale;

	return hidden <= 0 || digit % powers[Min(hidden, 4)] == 0;
}

static bool
read_sum(Cursor *cursor, bool integer)
{
	int64 ndigits;
	int64 weight;
	int64 sign;
	int64 dscale;

	if (!read_number(cursor, 4, &ndigits) || !read_number(cursor, 4, &weight) ||
		!read_number(cursor, 4, &sign) || !read_number(cursor, 4, &dscale))
		return false;
	if (sign != SIGN_POSITIVE && sign != SIGN_NEGATIVE)
		return false;
	if (ndigits < 0 || ndigits > (int64) (cursor->left / 2))
		return false;
	if (integer)
	{
		if (dscale != 0 || weight < 0 || weight >= MAX_INT128_DIGITS || ndigits > weight + 1)
			return false;
	}
	else if (weight < -MAX_WEIGHT || weight > MAX_WEIGHT || dscale < 0 || dscale > MAX_DSCALE ||
			 ndigits > weight + 1 + MAX_DSCALE / 4)
		return false;
	for (int64 i = 0; i < ndigits; i++)
	{
		int64 digit;

		if (!read_number(cursor, 2, &digit) || digit < 0 || digit >= NBASE ||
			!fits_dscale(digit, 4 * (i - weight), dscale))
			return false;
	}
	return true;
}

/*
 * Whether a payload of this serialize function, written by that major, means the
 * same to us, and ba_partial_check_payload can tell a good one.
 */
bool
ba_partial_vouch_format(Oid serialfn, int major)
{
	return find_format(serialfn) != NULL && major <= LAST_KNOWN_MAJOR &&
		   BA_SERVER_MAJOR <= LAST_KNOWN_MAJOR;
}

/*
 * Whether the bytes are a payload that the deserialize function may be given.
 * Only for a serialize function that is vouched for.
 */
bool
ba_partial_check_payload(Oid serialfn, const char *payload, Size length)
{
	const Format *format = find_format(serialfn);
	Cursor cursor = {(const unsigned char *) payload, length};
	int64 max_scale;

	Assert(format != NULL);
	if (!read_count(&cursor))
		return false;
	for (int i = 0; i < format->sums; i++)
		if (!read_sum(&cursor, format->integer))
			return false;
	if (!format->integer)
	{
		if (!read_number(&cursor, 4, &max_scale) || max_scale < 0 || max_scale > MAX_DSCALE)
			return false;
		for (int i = 0; i < 4; i++)
			if (!read_count(&cursor))
				return false;
	}
	return cursor.left == 0;
}
