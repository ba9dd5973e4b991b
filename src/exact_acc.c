/*
 * exact_acc.c
 *		The loops of the superaccumulator: scan a vector, add a vector, carry, read.
 *
 * A vector of doubles is added in two passes. The first finds which chunks it
 * will touch, so that the caller can make room once; the second adds without
 * any test, as the window is known to cover every value. A zero has no digits
 * but, taken apart, the lowest position of all: it is moved up to the lowest
 * position in use, where adding nothing is harmless.
 */
#include "postgres.h"

#include "exact_acc.h"

#define MAX_BUCKETS 128

/* Emptying a bucket costs about as much as it saves on two values. */
static inline bool
buckets_pay(int nbuckets, int n)
{
	return nbuckets <= MAX_BUCKETS && 2 * nbuckets <= n;
}

/*
 * Finds the positions used by the non-zero values of a vector, and whether it
 * holds a value that needs counting rather than adding.
 */
BaExactScan
ba_exact_scan_doubles(const double *values, int n)
{
	int min_exponent = 0x7ff;
	int max_exponent = 0;
	bool special = false;
	BaExactScan scan;

	for (int i = 0; i < n; i++)
	{
		uint64 bits = ba_exact_bits(values[i]);
		uint64 magnitude = bits << 1;
		int exponent = (int) (magnitude >> 53);
		int low_exponent = magnitude == 0 ? 0x7ff : exponent;

		special |= (exponent == 0x7ff) | (bits == UINT64CONST(1) << 63);
		max_exponent = Max(max_exponent, exponent);
		min_exponent = Min(min_exponent, low_exponent);
	}
	scan.special = special;
	scan.zeros = min_exponent > max_exponent;
	scan.min_pos = Max(min_exponent, 1) - 1;
	scan.max_pos = Max(max_exponent, 1) - 1;
	return scan;
}

/*
 * The number of the bucket of a value, and its signed mantissa. A zero goes to
 * the first bucket.
 */
static inline int
get_bucket(double value, int min_pos, BaExactNum *num)
{
	*num = ba_exact_num_from_double(value);
	num->pos = Max(num->pos, min_pos);
	return num->pos - min_pos;
}

/*
 * Adds finite values, whose scan is given and whose positions the window covers.
 */
void
ba_exact_add_doubles(int64 *chunks, int lo, const double *values, const BaExactScan *scan, int n)
{
	int min_pos = scan->min_pos;
	int nbuckets = scan->max_pos - min_pos + 1;
	int64 buckets[MAX_BUCKETS];
	BaExactNum num;

	Assert(n <= BA_EXACT_VECTOR);
	if (!buckets_pay(nbuckets, n))
	{
		for (int i = 0; i < n; i++)
		{
			(void) get_bucket(values[i], min_pos, &num);
			ba_exact_add_value(chunks, lo, num);
		}
		return;
	}

	memset(buckets, 0, nbuckets * sizeof(int64));
	for (int i = 0; i < n; i++)
	{
		int b = get_bucket(values[i], min_pos, &num);
		int64 sign = -(int64) num.neg;

		buckets[b] += ((int64) num.m ^ sign) - sign;
	}
	for (int b = 0; b < nbuckets; b++)
	{
		num.neg = buckets[b] < 0;
		num.m = num.neg ? -(uint64) buckets[b] : (uint64) buckets[b];
		num.pos = min_pos + b;
		ba_exact_add_value(chunks, lo, num);
	}
}

/*
 * Adds the products a[i]·b[i] of finite values. Zero or not, no value of a vector
 * is outside the positions of its scan, and the window covers their sums.
 */
void
ba_exact_add_products(int64 *chunks, int lo, const double *a, const BaExactScan *scan_a,
					  const double *b, const BaExactScan *scan_b, int n)
{
	int min_pos = scan_a->min_pos + scan_b->min_pos;
	int nbuckets = scan_a->max_pos + scan_b->max_pos - min_pos + 1;
	int128 buckets[MAX_BUCKETS];
	BaExactNum x;
	BaExactNum y;

	Assert(n <= BA_EXACT_VECTOR);
	if (!buckets_pay(nbuckets, n))
	{
		for (int i = 0; i < n; i++)
		{
			(void) get_bucket(a[i], scan_a->min_pos, &x);
			(void) get_bucket(b[i], scan_b->min_pos, &y);
			ba_exact_add_product(chunks, lo, x, y);
		}
		return;
	}

	memset(buckets, 0, nbuckets * sizeof(int128));
	for (int i = 0; i < n; i++)
	{
		int k = get_bucket(a[i], scan_a->min_pos, &x) + get_bucket(b[i], scan_b->min_pos, &y);
		uint128 m = (uint128) x.m * y.m;

		buckets[k] += x.neg != y.neg ? -(int128) m : (int128) m;
	}
	for (int k = 0; k < nbuckets; k++)
	{
		bool neg = buckets[k] < 0;

		if (buckets[k] != 0)
			ba_exact_add_wide(chunks, lo, neg ? -(uint128) buckets[k] : (uint128) buckets[k],
							  min_pos + k, neg);
	}
}

/*
 * Carries, so that all chunks but the top one are in [0, 2^32). The top chunk
 * takes what comes: an arithmetic shift rounds down, which keeps the chunks
 * below it non-negative whatever the sign of the sum.
 */
void
ba_exact_carry(int64 *chunks, int n)
{
	for (int i = 0; i + 1 < n; i++)
	{
		chunks[i + 1] += chunks[i] >> 32;
		chunks[i] &= UINT64CONST(0xffffffff);
	}
}

/*
 * Reads a window as sign and magnitude, without changing it.
 */
void
ba_exact_get_sum(const int64 *chunks, int lo, int n, BaExactBig *sum)
{
	int64 carry = 0;

	for (int i = 0; i < n; i++)
	{
		carry += chunks[i];
		sum->limb[i] = (uint32) carry;
		carry >>= 32;
	}
	sum->limb[n] = (uint32) carry;
	sum->neg = carry < 0;
	sum->lo = lo;
	sum->n = n + 1;
	if (sum->neg)
	{
		uint64 borrow = 1;

		for (int i = 0; i <= n; i++)
		{
			borrow += (uint32) ~sum->limb[i];
			sum->limb[i] = (uint32) borrow;
			borrow >>= 32;
		}
	}
	ba_exact_trim(sum);
}
