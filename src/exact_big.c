/*
 * exact_big.c
 *		Big integers of a bounded size: multiply, subtract, compare, divide.
 *
 * Schoolbook methods throughout: typical operands have three to ten limbs, for
 * which nothing is faster. Division is Knuth's algorithm D, stopped after the
 * four quotient limbs that a correctly rounded double or square root needs; the
 * rest of the quotient is only known to be zero or not.
 *
 * No result may share memory with an operand.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "compat.h"
#include "exact_big.h"

/* Bits of quotient asked of a division: a root of them has 55, more than a double's 53. */
#define QUOTIENT_BITS 112

/*
 * Brings a number into its trimmed form.
 */
void
ba_exact_trim(BaExactBig *a)
{
	int low = 0;

	while (a->n > 0 && a->limb[a->n - 1] == 0)
		a->n--;
	while (low < a->n && a->limb[low] == 0)
		low++;
	if (low > 0)
	{
		a->n -= low;
		a->lo += low;
		memmove(a->limb, a->limb + low, a->n * sizeof(uint32));
	}
	if (a->n == 0)
	{
		a->lo = 0;
		a->neg = false;
	}
}

void
ba_exact_set_uint64(BaExactBig *r, uint64 value)
{
	r->neg = false;
	r->lo = 0;
	r->n = 2;
	r->limb[0] = (uint32) value;
	r->limb[1] = (uint32) (value >> 32);
	ba_exact_trim(r);
}

/* Bits of the limbs alone, as if lo were 0. */
static int
limb_bits(const BaExactBig *a)
{
	return a->n == 0 ? 0 : 32 * (a->n - 1) + pg_leftmost_one_pos32(a->limb[a->n - 1]) + 1;
}

/*
 * Returns the least b with |a| < 2^b; 0 for zero.
 */
int
ba_exact_bit_length(const BaExactBig *a)
{
	return a->n == 0 ? 0 : 32 * a->lo + limb_bits(a);
}

/* The limb that weighs 2^(32·position), zero outside the number. */
static inline uint32
limb_at(const BaExactBig *a, int position)
{
	int i = position - a->lo;

	return i >= 0 && i < a->n ? a->limb[i] : 0;
}

/*
 * Compares |a| and |b|: negative, zero or positive.
 */
int
ba_exact_compare_magnitude(const BaExactBig *a, const BaExactBig *b)
{
	int top = Max(a->lo + a->n, b->lo + b->n);
	int bottom = Min(a->lo, b->lo);

	for (int p = top - 1; p >= bottom; p--)
	{
		uint32 x = limb_at(a, p);
		uint32 y = limb_at(b, p);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

void
ba_exact_multiply(BaExactBig *r, const BaExactBig *a, const BaExactBig *b)
{
	Assert(a->n + b->n <= BA_EXACT_BIG_LIMBS);
	Assert(r != a && r != b);

	r->neg = a->neg != b->neg;
	r->lo = a->lo + b->lo;
	r->n = a->n + b->n;
	memset(r->limb, 0, r->n * sizeof(uint32));
	for (int i = 0; i < a->n; i++)
	{
		uint64 carry = 0;

		/* (2^32-1)^2 + 2·(2^32-1) = 2^64-1: the sum cannot overflow */
		for (int j = 0; j < b->n; j++)
		{
			carry += (uint64) a->limb[i] * b->limb[j] + r->limb[i + j];
			r->limb[i + j] = (uint32) carry;
			carry >>= 32;
		}
		r->limb[i + b->n] = (uint32) carry;
	}
	ba_exact_trim(r);
}

/*
 * Computes a − b.
 */
void
ba_exact_subtract(BaExactBig *r, const BaExactBig *a, const BaExactBig *b)
{
	bool add = a->neg != b->neg;
	bool swap = !add && ba_exact_compare_magnitude(a, b) < 0;
	const BaExactBig *x = swap ? b : a;
	const BaExactBig *y = swap ? a : b;
	int64 carry = 0;

	Assert(r != a && r != b);

	/* a zero has lo = 0, which would only lengthen the result */
	if (a->n == 0)
		r->lo = b->lo;
	else if (b->n == 0)
		r->lo = a->lo;
	else
		r->lo = Min(a->lo, b->lo);
	r->n = Max(a->lo + a->n, b->lo + b->n) - r->lo + 1;
	r->neg = swap ? !a->neg : a->neg;
	if (a->n == 0 && add)
		r->neg = !b->neg;
	Assert(r->n <= BA_EXACT_BIG_LIMBS);
	for (int i = 0; i < r->n; i++)
	{
		int64 digit = limb_at(y, r->lo + i);

		carry += (int64) limb_at(x, r->lo + i) + (add ? digit : -digit);
		r->limb[i] = (uint32) carry;
		carry >>= 32;
	}
	Assert(carry == 0);
	ba_exact_trim(r);
}

/*
 * Writes n limbs of the limbs of a (as if lo were 0) shifted left by `shift`
 * bits, to the right if negative; returns whether bits fell off the low end.
 */
static bool
copy_shifted(uint32 *dst, int n, const BaExactBig *a, int shift)
{
	/* floor division: dst limb i starts at bit 32·(i − words) − bits of a */
	int words = shift >= 0 ? shift / 32 : -((31 - shift) / 32);
	int bits = shift - 32 * words;
	bool lost = false;

	for (int i = 0; i < n; i++)
	{
		uint64 high = limb_at(a, a->lo + i - words);
		uint64 low = limb_at(a, a->lo + i - words - 1);

		dst[i] = (uint32) (((high << 32) | low) << bits >> 32);
	}
	for (int i = 0; i < Min(-words, a->n); i++)
	{
		/* the limb at −words−1 lends its high `bits` to dst[0] */
		uint32 kept =
			i == -words - 1 && bits > 0 ? (uint32) (UINT64CONST(0xffffffff) << (32 - bits)) : 0;

		lost |= (a->limb[i] & ~kept) != 0;
	}
	return lost;
}

/*
 * Divides |a| by |b|, b not zero.
 *
 * The dividend is shifted so that the quotient has 112 or 113 bits. Where that
 * drops digits of it, floor(floor(x)/b) = floor(x/b) keeps q right, and `inexact`
 * remembers them.
 */
void
ba_exact_divide(BaExactQuotient *r, const BaExactBig *a, const BaExactBig *b)
{
	uint32 u[BA_EXACT_BIG_LIMBS + 8];
	uint32 v[BA_EXACT_BIG_LIMBS + 1];
	int nv = Max(b->n, 2); /* algorithm D wants a divisor of two limbs */
	int normalise = 32 * nv - limb_bits(b);
	int shift = 32 * nv + QUOTIENT_BITS - limb_bits(a);

	Assert(b->n > 0);

	r->q = 0;
	r->exponent = 0;
	r->inexact = false;
	if (a->n == 0)
		return;

	(void) copy_shifted(v, nv, b, normalise);
	r->inexact = copy_shifted(u, nv + 5, a, shift);
	r->exponent = 32 * (a->lo - b->lo) - (shift - normalise);

	for (int j = 4; j >= 0; j--)
	{
		uint64 head = ((uint64) u[j + nv] << 32) | u[j + nv - 1];
		uint64 digit = head / v[nv - 1];
		uint64 rest = head % v[nv - 1];
		uint64 carry = 0;
		int64 borrow = 0;

		while (digit > PG_UINT32_MAX || digit * v[nv - 2] > ((rest << 32) | u[j + nv - 2]))
		{
			digit--;
			rest += v[nv - 1];
			if (rest > PG_UINT32_MAX)
				break;
		}
		for (int i = 0; i < nv; i++)
		{
			carry += digit * v[i];
			borrow += (int64) u[i + j] - (int64) (uint32) carry;
			u[i + j] = (uint32) borrow;
			borrow >>= 32;
			carry >>= 32;
		}
		borrow += (int64) u[j + nv] - (int64) carry;
		u[j + nv] = (uint32) borrow;
		if (borrow < 0)
		{
			/* the estimate was one too large: add the divisor back */
			digit--;
			carry = 0;
			for (int i = 0; i < nv; i++)
			{
				carry += (uint64) u[i + j] + v[i];
				u[i + j] = (uint32) carry;
				carry >>= 32;
			}
			u[j + nv] += (uint32) carry;
		}
		/* the fifth limb of a quotient below 2^113 is zero */
		Assert(j < 4 || digit == 0);
		r->q = (r->q << 32) | digit;
	}
	for (int i = 0; i < nv; i++)
		r->inexact |= u[i] != 0;
}

/*
 * Returns the largest integer whose square does not exceed the value, digit by
 * digit in base two.
 */
uint64
ba_exact_sqrt_uint128(uint128 value)
{
	uint128 root = 0;
	uint128 rest = value;

	for (int bit = 126; bit >= 0; bit -= 2)
	{
		uint128 trial = root + ((uint128) 1 << bit);

		root >>= 1;
		if (rest >= trial)
		{
			rest -= trial;
			root += (uint128) 1 << bit;
		}
	}
	return (uint64) root;
}
