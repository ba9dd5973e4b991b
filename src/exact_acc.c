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
	/* only zeros leave both at their start; a lone subnormal has exponent 0 both ways */
	scan.min_pos = Max(min_exponent, 1) - 1;
	scan.max_pos = Max(max_exponent, 1) - 1;
	return scan;
}

/*
 * Adds finite values, all of which are zero or have positions from min_pos to
 * the top of the window.
 */
void
ba_exact_add_doubles(int64 *chunks, int lo, const double *values, int n, int min_pos)
{
	for (int i = 0; i < n; i++)
	{
		BaExactNum num = ba_exact_num_from_double(values[i]);

		num.pos = Max(num.pos, min_pos);
		ba_exact_add_value(chunks, lo, num);
	}
}

/*
 * Adds the squares of finite values under the rule of ba_exact_add_doubles,
 * min_pos being that of the values.
 */
void
ba_exact_add_squares(int64 *chunks, int lo, const double *values, int n, int min_pos)
{
	for (int i = 0; i < n; i++)
	{
		BaExactNum num = ba_exact_num_from_double(values[i]);

		num.pos = Max(num.pos, min_pos);
		num.neg = false;
		ba_exact_add_product(chunks, lo, num, num);
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
