/*
 * exact_round.c
 *		Exact numbers to floating point, rounded once.
 *
 * An answer is a/b·2^e, or ±sqrt(|a/b|·2^e), of big integers. The quotient is
 * computed to 111 bits or more with a note of whether anything followed, the
 * root as an integer root of those bits with the same note; 55 bits or more and
 * the note are all that rounding needs, for no point halfway between two floats
 * has more than 54 bits: what follows can only break a tie or lie off one.
 *
 * The answer is put together from bits; no floating arithmetic, hence no
 * dependence on rounding mode, extended registers or library.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "compat.h"
#include "exact_acc.h"
#include "exact_round.h"

typedef struct FormatTraits
{
	int precision;    /* bits of significand */
	int min_exponent; /* of the smallest subnormal */
	int max_exponent; /* of the last bit of the largest finite number */
} FormatTraits;

static const FormatTraits format_traits[] = {
	[BA_EXACT_FLOAT8] = {53, -1074, 971},
	[BA_EXACT_FLOAT4] = {24, -149, 104},
};

/*
 * Puts kept·2^exponent together, which must be a double, with kept < 2^53.
 */
static double
assemble(bool neg, uint64 kept, int exponent)
{
	uint64 bits = 0;

	if (kept != 0)
	{
		int up = Min(52 - pg_leftmost_one_pos64(kept), exponent + 1074);

		kept <<= up;
		exponent -= up;
		bits = kept;
		if (kept >> 52 != 0)
			bits = (kept & ((UINT64CONST(1) << 52) - 1)) | ((uint64) (exponent + 1075) << 52);
	}
	return ba_exact_from_bits(bits | ((uint64) neg << 63));
}

/*
 * Rounds ±(digits + θ)·2^exponent, digits not zero, to nearest, ties to even;
 * `inexact` says whether 0 < θ < 1.
 */
static bool
round_digits(bool neg, uint128 digits, int exponent, bool inexact, BaExactFormat format,
			 double *result)
{
	const FormatTraits *traits = &format_traits[format];
	uint64 high = (uint64) (digits >> 64);
	int length =
		high != 0 ? 65 + pg_leftmost_one_pos64(high) : 1 + pg_leftmost_one_pos64((uint64) digits);
	int drop = Max(length - traits->precision, traits->min_exponent - exponent);
	uint64 kept = 0;

	Assert(drop > 0);
	exponent += drop;
	/* everything below half of the smallest subnormal is left at zero */
	if (drop <= length)
	{
		uint128 half = (uint128) 1 << (drop - 1);
		uint128 rest = digits & (half - 1);

		/* two shifts, as drop may be 128 */
		kept = (uint64) (digits >> (drop - 1) >> 1);
		if ((digits & half) != 0 && (rest != 0 || inexact || (kept & 1) != 0))
			kept++;
		if (kept >> traits->precision != 0)
		{
			kept >>= 1;
			exponent++;
		}
	}
	if (kept == 0)
		exponent = 0;
	if (exponent > traits->max_exponent)
		return false;
	*result = assemble(neg, kept, exponent);
	return true;
}

/*
 * Rounds a/b·2^exponent.
 */
bool
ba_exact_round_quotient(const BaExactBig *a, const BaExactBig *b, int exponent,
						BaExactFormat format, double *result)
{
	BaExactQuotient quotient;

	*result = 0.0;
	if (a->n == 0)
		return true;
	ba_exact_divide(&quotient, a, b);
	return round_digits(a->neg != b->neg, quotient.q, quotient.exponent + exponent,
						quotient.inexact, format, result);
}

/*
 * Rounds the square root of |a/b|·2^exponent, with the sign given.
 */
bool
ba_exact_round_root(const BaExactBig *a, const BaExactBig *b, int exponent, bool neg,
					double *result)
{
	BaExactQuotient quotient;
	uint64 root;

	*result = 0.0;
	if (a->n == 0)
		return true;
	ba_exact_divide(&quotient, a, b);
	exponent += quotient.exponent;
	if (exponent % 2 != 0)
	{
		quotient.inexact |= (quotient.q & 1) != 0;
		quotient.q >>= 1;
		exponent++;
	}
	root = ba_exact_sqrt_uint128(quotient.q);
	if ((uint128) root * root != quotient.q)
		quotient.inexact = true;
	return round_digits(neg, root, exponent / 2, quotient.inexact, BA_EXACT_FLOAT8, result);
}
