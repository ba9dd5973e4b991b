/*
 * kernel_serial.c
 *		Partial states of core's sums, as its serialize functions write them.
 *
 * Core's states are private structs, but their serialised form is the same in all
 * majors here (agg_partial_vouch.c tells it, and why): numbers big-endian,
 *
 *		int8_avg		N, sum
 *		numeric_poly	N, sum, sum of squares
 *		numeric_avg		N, sum, maxScale, maxScaleCount, NaNs, +Infs, -Infs
 *		numeric			N, sum, sum of squares, then as numeric_avg
 *
 * A sum is ndigits, weight, sign, dscale, and the digits.
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "compat.h"
#include "kernel.h"

#define SIGN_NEGATIVE 0x4000

/* N, two sums, and what numeric adds */
#define MAX_SUM (4 * sizeof(int32) + lengthof(((BaNumericDigits *) NULL)->buffer) * sizeof(int16))
#define MAX_SIZE (VARHDRSZ + sizeof(int64) + 2 * MAX_SUM + sizeof(int32) + 4 * sizeof(int64))

static char *
write_int32(char *p, int32 value)
{
	uint32 bytes = pg_hton32((uint32) value);

	memcpy(p, &bytes, sizeof(bytes));
	return p + sizeof(bytes);
}

static char *
write_int64(char *p, int64 value)
{
	uint64 bytes = pg_hton64((uint64) value);

	memcpy(p, &bytes, sizeof(bytes));
	return p + sizeof(bytes);
}

static char *
write_sum(char *p, const uint64 magnitude[3], bool negative, int scale)
{
	BaNumericDigits digits;

	ba_numeric_split(magnitude, negative, scale, &digits);
	p = write_int32(p, digits.ndigits);
	p = write_int32(p, digits.weight);
	p = write_int32(p, digits.negative ? SIGN_NEGATIVE : 0);
	p = write_int32(p, digits.scale);
	for (int i = 0; i < digits.ndigits; i++)
	{
		uint16 digit = pg_hton16((uint16) digits.digits[i]);

		memcpy(p, &digit, sizeof(digit));
		p += sizeof(digit);
	}
	return p;
}

static char *
write_sum128(char *p, int128 sum, int scale)
{
	uint128 magnitude = sum < 0 ? -(uint128) sum : (uint128) sum;
	const uint64 words[3] = {(uint64) magnitude, (uint64) (magnitude >> 64), 0};

	return write_sum(p, words, sum < 0, scale);
}

/*
 * Writes what states of numeric have beyond their sums. NaNs and infinities never get here.
 */
static char *
write_scale(char *p, int scale, int64 at_scale)
{
	p = write_int32(p, scale);
	p = write_int64(p, at_scale);
	for (int i = 0; i < 3; i++)
		p = write_int64(p, 0);
	return p;
}

static Datum
finish(char *result, char *end)
{
	Assert(end <= result + MAX_SIZE);
	SET_VARSIZE(result, end - result);
	return PointerGetDatum(result);
}

Datum
ba_kernel_serialize_int8_avg(int64 count, int128 sum)
{
	char *result = palloc(MAX_SIZE);
	char *p = write_int64(VARDATA(result), count);

	return finish(result, write_sum128(p, sum, 0));
}

Datum
ba_kernel_serialize_poly(int64 count, int128 sum, int128 sum2)
{
	char *result = palloc(MAX_SIZE);
	char *p = write_int64(VARDATA(result), count);

	p = write_sum128(p, sum, 0);
	return finish(result, write_sum128(p, sum2, 0));
}

Datum
ba_kernel_serialize_numeric_avg(int64 count, int128 sum, int scale, int64 at_scale)
{
	char *result = palloc(MAX_SIZE);
	char *p = write_int64(VARDATA(result), count);

	p = write_sum128(p, sum, scale);
	return finish(result, write_scale(p, scale, at_scale));
}

Datum
ba_kernel_serialize_numeric(int64 count, int128 sum, const uint64 sum2[3], int scale,
							int64 at_scale)
{
	char *result = palloc(MAX_SIZE);
	char *p = write_int64(VARDATA(result), count);

	p = write_sum128(p, sum, scale);
	p = write_sum(p, sum2, false, 2 * scale);
	return finish(result, write_scale(p, scale, at_scale));
}

Datum
ba_kernel_serialize_int8_var(int64 count, int128 sum, uint128 sum2_low, uint64 sum2_high)
{
	const uint64 sum2[3] = {(uint64) sum2_low, (uint64) (sum2_low >> 64), sum2_high};

	return ba_kernel_serialize_numeric(count, sum, sum2, 0, count);
}
