/*
 * exact_round.h
 *		Exact numbers to floating point, rounded once.
 */
#ifndef EXACT_ROUND_H
#define EXACT_ROUND_H

#include "exact_big.h"

/* The format that an answer is rounded to. */
typedef enum BaExactFormat
{
	BA_EXACT_FLOAT8,
	BA_EXACT_FLOAT4, /* still returned as a double, which holds every float */
} BaExactFormat;

/*
 * Both return false, with nothing stored, if the rounded magnitude exceeds the
 * largest finite number of the format. Ties go to even; a result too small for
 * the format is a zero with the sign of the exact answer. An exact zero is +0.
 */
extern bool ba_exact_round_quotient(const BaExactBig *a, const BaExactBig *b, int exponent,
									BaExactFormat format, double *result);
extern bool ba_exact_round_root(const BaExactBig *a, const BaExactBig *b, int exponent, bool neg,
								double *result);

#endif
