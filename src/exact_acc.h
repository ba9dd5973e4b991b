/*
 * exact_acc.h
 *		Superaccumulator: sums of doubles, integers and their products, exactly.
 *
 * A sum is a row of signed 64-bit chunks. Chunk i of a window that starts at
 * limb `lo` weighs 2^(32·(lo+i)) units, and a unit is the smallest thing that
 * can be added: 2^-1074 for values, 2^-2148 for products of two values. So
 * every finite input is an integer number of units, adding it is adding its
 * 32-bit limbs to three chunks (five for a product), and taking it away again
 * is the same with the other sign: an exact inverse. Nothing is ever rounded.
 *
 * Invariants
 *	- Each add changes a chunk by less than 2^32. After a carry pass all chunks
 *	  but the top one are in [0, 2^32) and the top one is within ±2^32 (the
 *	  caller widens the window when ba_exact_top_is_full says so), so that
 *	  BA_EXACT_ADDS_MAX adds may follow before the next carry pass.
 *	- The caller owns the chunks and makes the window cover what is added; the
 *	  functions here allocate nothing and never fail.
 *	- Integers only: the answer cannot depend on a rounding mode, on a libm or
 *	  on the order of the adds.
 */
#ifndef EXACT_ACC_H
#define EXACT_ACC_H

#include "compat.h"

#include "exact_big.h"

#define BA_EXACT_UNIT 1074          /* one unit of a plain sum is 2^-1074 */
#define BA_EXACT_VALUE_SPAN 3       /* chunks touched by a value */
#define BA_EXACT_PRODUCT_SPAN 5     /* chunks touched by a product of two values */
#define BA_EXACT_ADDS_MAX (1 << 29) /* adds between carry passes */
#define BA_EXACT_VECTOR 512         /* doubles that may be added by one call */

/* Bits of the largest magnitudes that may be added: |x| < 2^2098 units, |xy| < 2^4196. */
#define BA_EXACT_VALUE_BITS 2098
#define BA_EXACT_PRODUCT_BITS 4196

/* A finite number: ±m·2^pos units. Exact for every double and every int64. */
typedef struct BaExactNum
{
	uint64 m;
	int pos;
	bool neg;
} BaExactNum;

/* What a vector of doubles needs of a window. */
typedef struct BaExactScan
{
	int min_pos;
	int max_pos;
	bool zeros;   /* nothing but zeros: no positions, nothing to add */
	bool special; /* holds a NaN, an infinity or a negative zero */
} BaExactScan;

static inline uint64
ba_exact_bits(double value)
{
	uint64 bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline double
ba_exact_from_bits(uint64 bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Takes a finite double apart. Subnormals have no hidden bit and share the lowest position. */
static inline BaExactNum
ba_exact_num_from_double(double value)
{
	uint64 bits = ba_exact_bits(value);
	int exponent = (int) (bits >> 52) & 0x7ff;
	int normal = exponent != 0;
	BaExactNum num;

	num.m = (bits & ((UINT64CONST(1) << 52) - 1)) | ((uint64) normal << 52);
	num.pos = exponent - normal;
	num.neg = (bits >> 63) != 0;
	return num;
}

static inline BaExactNum
ba_exact_num_from_int64(int64 value)
{
	BaExactNum num;

	num.neg = value < 0;
	num.m = num.neg ? -(uint64) value : (uint64) value;
	num.pos = BA_EXACT_UNIT;
	return num;
}

/*
 * Adds ±m·2^pos to a window; shifted left by at most 31 bits, the 64 bits of m
 * stay below 2^96: three limbs.
 */
static inline void
ba_exact_add_value(int64 *chunks, int lo, BaExactNum num)
{
	int64 *c = chunks + (num.pos >> 5) - lo;
	int shift = num.pos & 31;
	uint64 low = num.m << shift;
	int64 high = (int64) (num.m >> 32 >> (32 - shift));
	int64 sign = -(int64) num.neg;

	c[0] += ((int64) (uint32) low ^ sign) - sign;
	c[1] += ((int64) (low >> 32) ^ sign) - sign;
	c[2] += (high ^ sign) - sign;
}

/* Adds ±m·2^pos to a window of products; 128 bits shifted by at most 31 make five limbs. */
static inline void
ba_exact_add_wide(int64 *chunks, int lo, uint128 m, int pos, bool neg)
{
	int64 *c = chunks + (pos >> 5) - lo;
	int shift = pos & 31;
	uint128 low = m << shift;
	int64 high = (int64) ((uint64) (m >> 96) >> (32 - shift));
	int64 sign = -(int64) neg;

	c[0] += ((int64) (uint32) low ^ sign) - sign;
	c[1] += ((int64) (uint32) (low >> 32) ^ sign) - sign;
	c[2] += ((int64) (uint32) (low >> 64) ^ sign) - sign;
	c[3] += ((int64) (uint32) (low >> 96) ^ sign) - sign;
	c[4] += (high ^ sign) - sign;
}

static inline void
ba_exact_add_product(int64 *chunks, int lo, BaExactNum a, BaExactNum b)
{
	ba_exact_add_wide(chunks, lo, (uint128) a.m * b.m, a.pos + b.pos, a.neg != b.neg);
}

/* May the chunk at the top of a window not take another carry and BA_EXACT_ADDS_MAX adds? */
static inline bool
ba_exact_top_is_full(int64 top)
{
	return top >= (INT64CONST(1) << 31) || top < -(INT64CONST(1) << 31);
}

/* in exact_acc.c */
extern BaExactScan ba_exact_scan_doubles(const double *values, int n);
extern void ba_exact_add_doubles(int64 *chunks, int lo, const double *values,
								 const BaExactScan *scan, int n);
extern void ba_exact_add_products(int64 *chunks, int lo, const double *a, const BaExactScan *scan_a,
								  const double *b, const BaExactScan *scan_b, int n);
extern void ba_exact_carry(int64 *chunks, int n);
extern void ba_exact_get_sum(const int64 *chunks, int lo, int n, BaExactBig *sum);

#endif
