/*
 * vector_numeric.c
 *		Numerics as scaled integers, and back.
 *
 * A numeric is stored as a varlena: a header of two bytes (short form) or four
 * (long form) with sign, display scale and weight, then digits base 10000, the first
 * of which counts 10000^weight. Zeros at either end are not stored. numeric.c keeps
 * this form to itself, but it is what is on disk, the same in all majors; here it
 * is read, and written by the same rules.
 *
 * With the n digits taken as one integer H base 10000, a numeric of scale s is
 *
 *		H * 10^e / 10^s		where e = 4 * (weight + 1 - n) + s
 *
 * so H * 10^e is the scaled integer. e may be down to -3: the last digit can have
 * decimals beyond the scale, all zeros. To divide by 10^k without remainder is to
 * shift by k bits and to multiply by the inverse of 5^k modulo 2^64. One table of
 * shifts and factors so does for every e, and the loop over a vector has no branch
 * that depends on the values but the one on the number of digits. Were there a
 * remainder, bits would be shifted out that are set, or the quotient would be
 * too large. Core makes no such numerics, and they are left to core.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "compat.h"
#include "vector.h"

#define NBASE 10000
#define DEC_DIGITS 4

/* of the header */
#define SIGN_MASK 0xC000 /* of any form, and tells the form */
#define SIGN_NEGATIVE 0x4000
#define SIGN_SHORT 0x8000
#define SIGN_SPECIAL 0xC000
#define LONG_SCALE_MASK 0x3FFF
#define SHORT_NEGATIVE 0x2000
#define SHORT_SCALE_MASK 0x1F80
#define SHORT_SCALE_SHIFT 7
#define SHORT_WEIGHT_MASK 0x007F /* seven bits, signed */
#define SHORT_WEIGHT_SIGN 0x0040
#define SHORT_WEIGHT_MAX 0x003F

/* A finite numeric in its parts. */
typedef struct Parts
{
	bool negative;
	int scale;
	int weight;
	int ndigits;
	const char *digits; /* int16 each, not aligned */
} Parts;

const int64 ba_numeric_powers[BA_NUMERIC_MAX_SCALE + 1] = {1,
														   10,
														   100,
														   1000,
														   10000,
														   100000,
														   1000000,
														   10000000,
														   100000000,
														   1000000000,
														   INT64CONST(10000000000),
														   INT64CONST(100000000000),
														   INT64CONST(1000000000000),
														   INT64CONST(10000000000000),
														   INT64CONST(100000000000000),
														   INT64CONST(1000000000000000),
														   INT64CONST(10000000000000000),
														   INT64CONST(100000000000000000),
														   INT64CONST(1000000000000000000)};

/* How to multiply an integer below 10^16 by 10^e, e = -3 .. 18: shift right, multiply. */
typedef struct PowerStep
{
	uint64 factor;
	uint64 limit; /* the product is larger if there is a remainder */
	uint32 lost;  /* bits that must not be set */
	uint32 shift;
} PowerStep;

#define LEAST_POWER (-3)
#define DIVIDE(k, inverse)                                                                         \
	{                                                                                              \
		UINT64CONST(inverse), UINT64CONST(10000000000000000), (1 << (k)) - 1, (k)                  \
	}
#define MULTIPLY(power)                                                                            \
	{                                                                                              \
		UINT64CONST(power), PG_UINT64_MAX, 0, 0                                                    \
	}

static const PowerStep steps[] = {
	DIVIDE(3, 0x1CAC083126E978D5),
	DIVIDE(2, 0x8F5C28F5C28F5C29),
	DIVIDE(1, 0xCCCCCCCCCCCCCCCD),
	MULTIPLY(1),
	MULTIPLY(10),
	MULTIPLY(100),
	MULTIPLY(1000),
	MULTIPLY(10000),
	MULTIPLY(100000),
	MULTIPLY(1000000),
	MULTIPLY(10000000),
	MULTIPLY(100000000),
	MULTIPLY(1000000000),
	MULTIPLY(10000000000),
	MULTIPLY(100000000000),
	MULTIPLY(1000000000000),
	MULTIPLY(10000000000000),
	MULTIPLY(100000000000000),
	MULTIPLY(1000000000000000),
	MULTIPLY(10000000000000000),
	MULTIPLY(100000000000000000),
	MULTIPLY(1000000000000000000),
};

static inline uint16
read_uint16(const char *p)
{
	uint16 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static inline int
short_weight(uint16 header)
{
	return (int) ((header & SHORT_WEIGHT_MASK) ^ SHORT_WEIGHT_SIGN) - SHORT_WEIGHT_SIGN;
}

/*
 * Takes a numeric apart; false for NaN, infinities, and values compressed or out of line.
 */
static inline bool
take_apart(Datum numeric, Parts *parts)
{
	const char *varlena = DatumGetPointer(numeric);
	const char *data;
	int size;
	uint16 header;

	if (VARATT_IS_1B(varlena) ? VARATT_IS_1B_E(varlena) : !VARATT_IS_4B_U(varlena))
		return false;
	data = VARDATA_ANY(varlena);
	size = VARSIZE_ANY_EXHDR(varlena);
	header = read_uint16(data);
	data += sizeof(uint16);
	size -= sizeof(uint16);
	if ((header & SIGN_MASK) == SIGN_SPECIAL)
		return false;
	if ((header & SIGN_MASK) == SIGN_SHORT)
	{
		parts->negative = (header & SHORT_NEGATIVE) != 0;
		parts->scale = (header & SHORT_SCALE_MASK) >> SHORT_SCALE_SHIFT;
		parts->weight = short_weight(header);
	}
	else
	{
		parts->negative = (header & SIGN_MASK) == SIGN_NEGATIVE;
		parts->scale = header & LONG_SCALE_MASK;
		parts->weight = (int16) read_uint16(data);
		data += sizeof(int16);
		size -= sizeof(int16);
	}
	parts->ndigits = size / sizeof(int16);
	parts->digits = data;
	return true;
}

/*
 * Computes a numeric's scaled integer, at its own display scale; false where there is none or it
 * does not fit.
 */
bool
ba_numeric_decode(Datum numeric, int64 *value, int *scale)
{
	Parts parts;
	uint128 product = 0;
	int power;

	if (!take_apart(numeric, &parts) || parts.scale > BA_NUMERIC_MAX_SCALE)
		return false;
	*scale = parts.scale;
	*value = 0;
	if (parts.ndigits == 0)
		return true;

	/* The first digit is not 0, so weight 5 means 10^20 at least; nine digits fit 128 bits. */
	if (parts.weight > 4 || parts.ndigits > 9)
		return false;
	for (int i = 0; i < parts.ndigits; i++)
		product = product * NBASE + read_uint16(parts.digits + i * sizeof(int16));
	power = DEC_DIGITS * (parts.weight + 1 - parts.ndigits) + parts.scale;
	if (power < LEAST_POWER || power > BA_NUMERIC_MAX_SCALE)
		return false;
	if (power >= 0)
	{
		if (product > PG_INT64_MAX)
			return false;
		product *= ba_numeric_powers[power];
	}
	else if (product <= PG_UINT64_MAX)
	{
		if ((uint64) product % ba_numeric_powers[-power] != 0)
			return false;
		product = (uint64) product / ba_numeric_powers[-power];
	}
	else
	{
		if (product % ba_numeric_powers[-power] != 0)
			return false;
		product /= ba_numeric_powers[-power];
	}
	if (product > PG_INT64_MAX)
		return false;
	*value = parts.negative ? -(int64) product : (int64) product;
	return true;
}

/*
 * Computes the scaled integers of numerics of one scale, 0 for nulls; false if one is of another
 * or does not fit. The usual form, short in every way and of up to four digits, is done here.
 */
static bool
decode_values(const Datum *numerics, int n, int scale, int64 *values)
{
	const uint16 expected = SIGN_SHORT | scale << SHORT_SCALE_SHIFT;
	const int max_weight = (BA_NUMERIC_MAX_SCALE - scale) / DEC_DIGITS - 1;
	char zero[VARHDRSZ_SHORT + sizeof(uint16)];

	SET_VARSIZE_SHORT(zero, sizeof(zero));
	memcpy(zero + VARHDRSZ_SHORT, &expected, sizeof(expected));
	for (int i = 0; i < n; i++)
	{
		const char *p = numerics[i] != (Datum) 0 ? DatumGetPointer(numerics[i]) : zero;
		const char *digits = p + sizeof(zero);
		uint16 header = read_uint16(p + VARHDRSZ_SHORT);
		int weight = short_weight(header);
		int ndigits;
		int step;
		uint64 negative;
		uint64 product;
		int its_scale;

		if (unlikely(!VARATT_IS_1B(p) || weight > max_weight ||
					 (header & ~(SHORT_NEGATIVE | SHORT_WEIGHT_MASK)) != expected))
			goto other;
		ndigits = (VARSIZE_1B(p) - (int) sizeof(zero)) / (int) sizeof(int16);
		switch (ndigits)
		{
			case 0:
				values[i] = 0;
				continue;
			case 1:
				product = read_uint16(digits);
				break;
			case 2:
				product = (uint64) read_uint16(digits) * NBASE + read_uint16(digits + 2);
				break;
			case 3:
				product = ((uint64) read_uint16(digits) * NBASE + read_uint16(digits + 2)) * NBASE +
						  read_uint16(digits + 4);
				break;
			case 4:
				product =
					(((uint64) read_uint16(digits) * NBASE + read_uint16(digits + 2)) * NBASE +
					 read_uint16(digits + 4)) *
						NBASE +
					read_uint16(digits + 6);
				break;
			default:
				goto other;
		}
		step = DEC_DIGITS * (weight + 1 - ndigits) + scale - LEAST_POWER;
		if (unlikely(step < 0 || (product & steps[step].lost) != 0))
			goto other;
		product = (product >> steps[step].shift) * steps[step].factor;
		if (unlikely(product > steps[step].limit))
			goto other;
		negative = (header & SHORT_NEGATIVE) != 0;
		values[i] = (int64) ((product ^ -negative) + negative);
		continue;

other:
		if (!ba_numeric_decode(PointerGetDatum(p), &values[i], &its_scale) || its_scale != scale)
			return false;
	}
	return true;
}

/*
 * Decodes a vector of numerics into `result`, whose type and buffers are set up for
 * BA_LANE_NUMERIC, and returns it. Gives up, with NULL, unless all values have one scale and fit.
 * A vector that is decoded already is returned as it is.
 */
const BaVector *
ba_numeric_decode_vector(const BaVector *numerics, int n, BaVector *result)
{
	int scale = 0;
	int64 value;

	if (numerics->lane == BA_LANE_NUMERIC)
		return numerics;
	for (int i = 0; i < n; i++)
		if (numerics->datums[i] != (Datum) 0)
		{
			if (!ba_numeric_decode(numerics->datums[i], &value, &scale))
				return NULL;
			break;
		}
	if (numerics->constant)
	{
		if (n > 0 && numerics->datums[0] != (Datum) 0)
			for (int i = 0; i < n; i++)
				result->ints[i] = value;
		else
			memset(result->ints, 0, sizeof(int64) * n);
	}
	else if (!decode_values(numerics->datums, n, scale, result->ints))
		return NULL;
	result->scale = scale;
	result->scales = NULL;
	result->constant = numerics->constant;
	result->nulls = numerics->nulls;
	return result;
}

/*
 * Returns a row's value in units of 10^-scale, where scale is what the row displays.
 */
int64
ba_numeric_get(const BaVector *vector, int row, int *scale)
{
	*scale = vector->scale;
	if (vector->scales == NULL)
		return vector->ints[row];
	*scale = vector->scales[row];
	return vector->ints[row] / ba_numeric_powers[vector->scale - *scale];
}

/*
 * Multiplies an integer of 192 bits by a factor, then takes off four digits at a time, from the
 * last, until the rest has one word, which it returns. Digits are put before *first, which is moved.
 */
static uint64
split_words(const uint64 magnitude[3], uint64 factor, int16 **first)
{
	const uint64 chunk = UINT64CONST(10000000000000000); /* four digits */
	uint64 words[4] = {magnitude[0], magnitude[1], magnitude[2], 0};
	int nwords = lengthof(words);
	uint128 carry = 0;

	for (int i = 0; i < nwords; i++)
	{
		carry += (uint128) words[i] * factor;
		words[i] = (uint64) carry;
		carry >>= 64;
	}
	for (;;)
	{
		uint128 remainder = 0;

		while (nwords > 1 && words[nwords - 1] == 0)
			nwords--;
		if (nwords == 1)
			return words[0];
		for (int i = nwords - 1; i >= 0; i--)
		{
			remainder = remainder << 64 | words[i];
			words[i] = (uint64) (remainder / chunk);
			remainder %= chunk;
		}
		for (int i = 0; i < 4; i++)
		{
			*--*first = (uint64) remainder % NBASE;
			remainder = (uint64) remainder / NBASE;
		}
	}
}

/*
 * Lays out magnitude / 10^scale as core would: 192 bits, lowest word first.
 */
void
ba_numeric_split(const uint64 magnitude[3], bool negative, int scale, BaNumericDigits *digits)
{
	/* so that the last digit ends with the last decimal */
	uint64 factor = ba_numeric_powers[-scale & (DEC_DIGITS - 1)];
	int16 *end = digits->buffer + lengthof(digits->buffer);
	int16 *first = end;
	uint64 rest;

	if ((magnitude[1] | magnitude[2]) == 0 && magnitude[0] <= PG_UINT64_MAX / 1000)
		rest = magnitude[0] * factor;
	else
		rest = split_words(magnitude, factor, &first);
	for (; rest != 0; rest /= NBASE)
		*--first = rest % NBASE;
	while (first < end && *first == 0)
		first++;
	digits->ndigits = end - first;
	digits->digits = first;
	digits->weight = digits->ndigits - 1 - (scale + DEC_DIGITS - 1) / DEC_DIGITS;
	digits->negative = negative;
	digits->scale = scale;
	while (digits->ndigits > 0 && first[digits->ndigits - 1] == 0)
		digits->ndigits--;
	if (digits->ndigits == 0)
	{
		digits->weight = 0;
		digits->negative = false;
	}
}

/*
 * Makes the numeric value / 10^scale, as core would, in CurrentMemoryContext.
 */
Datum
ba_numeric_encode(int128 value, int scale)
{
	uint128 magnitude = value < 0 ? -(uint128) value : (uint128) value;
	const uint64 words[3] = {(uint64) magnitude, (uint64) (magnitude >> 64), 0};
	BaNumericDigits digits;
	uint16 header;
	int size;
	char *result;

	ba_numeric_split(words, value < 0, scale, &digits);
	Assert(scale <= SHORT_SCALE_MASK >> SHORT_SCALE_SHIFT);
	Assert(digits.weight <= SHORT_WEIGHT_MAX && digits.weight >= -SHORT_WEIGHT_SIGN);
	header = SIGN_SHORT | (digits.negative ? SHORT_NEGATIVE : 0) | scale << SHORT_SCALE_SHIFT |
			 (digits.weight & SHORT_WEIGHT_MASK);
	size = VARHDRSZ + sizeof(header) + sizeof(int16) * digits.ndigits;
	result = palloc(size);
	SET_VARSIZE(result, size);
	memcpy(VARDATA(result), &header, sizeof(header));
	memcpy(VARDATA(result) + sizeof(header), digits.digits, sizeof(int16) * digits.ndigits);
	return PointerGetDatum(result);
}

/*
 * Brings a scaled integer to a scale that is not smaller; false if it does not fit.
 */
bool
ba_numeric_rescale(int64 *value, int from, int to)
{
	Assert(from <= to);
	return to - from <= BA_NUMERIC_MAX_SCALE
			   ? !__builtin_mul_overflow(*value, ba_numeric_powers[to - from], value)
			   : *value == 0;
}
