/*
 * exact_big.h
 *		Big integers of a bounded size, on the stack.
 *
 * A BaExactBig is ± the sum of limb[i]·2^(32·(lo+i)). It is trimmed: its lowest
 * and highest limbs are not zero, and zero has no limbs, no sign and lo = 0, so
 * that equal numbers are equal field by field.
 *
 * The bound holds for everything the aggregates compute. A sum of 2^63 values
 * has at most 68 limbs and one of products 134 (exact_acc.h: 2098 + 64 and 4196
 * + 64 bits); the largest intermediates are the square of n·Sxy − Sx·Sy and the
 * product of n·Sxx − Sx² and n·Syy − Sy², of 2·136 limbs. Nothing is allocated.
 */
#ifndef EXACT_BIG_H
#define EXACT_BIG_H

#include "compat.h"

#define BA_EXACT_BIG_LIMBS 288

typedef struct BaExactBig
{
	bool neg;
	int lo;
	int n;
	uint32 limb[BA_EXACT_BIG_LIMBS];
} BaExactBig;

/*
 * A quotient to at least 111 bits: |a/b| = (q + θ)·2^exponent with 0 <= θ < 1.
 */
typedef struct BaExactQuotient
{
	uint128 q;    /* zero, or in [2^111, 2^113) */
	int exponent; /* a power of two, not of 2^32 */
	bool inexact; /* θ > 0 */
} BaExactQuotient;

/* in exact_big.c */
extern void ba_exact_trim(BaExactBig *a);
extern void ba_exact_set_uint64(BaExactBig *r, uint64 value);
extern int ba_exact_bit_length(const BaExactBig *a);
extern int ba_exact_compare_magnitude(const BaExactBig *a, const BaExactBig *b);
extern void ba_exact_multiply(BaExactBig *r, const BaExactBig *a, const BaExactBig *b);
extern void ba_exact_subtract(BaExactBig *r, const BaExactBig *a, const BaExactBig *b);
extern void ba_exact_divide(BaExactQuotient *r, const BaExactBig *a, const BaExactBig *b);
extern uint64 ba_exact_sqrt_uint128(uint128 value);

#endif
