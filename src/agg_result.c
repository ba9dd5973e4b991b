/*
 * agg_result.c
 *		What a statistical state says: sums, averages, variances, regressions.
 *
 * Every answer is a quotient of integers made of the exact sums, or the root of
 * one, rounded once. With the central moments M_ab = n·S_ab − S_a·S_b:
 *
 *		average		S / n
 *		variance	M_xx / (n·(n − 1)), or / n² for the population
 *		covariance	M_yx in the same way
 *		slope		M_yx / M_xx
 *		intercept	(S_y·S_xx − S_x·S_yx) / M_xx
 *		corr		± sqrt(M_yx² / (M_xx·M_yy)), with the sign of M_yx
 *		r²			M_yx² / (M_xx·M_yy)
 *
 * NULL, NaN and infinities are as in core's aggregates of the same meaning: a
 * moment of an axis with a NaN or an infinity is NaN, and so is what is made of
 * it; but a question that core answers by NULL for lack of inputs or spread is
 * answered by NULL first.
 *
 * Exponents: a plain sum counts units of 2^-1074, a sum of products of 2^-2148.
 */
#include "postgres.h"

#include "utils/float.h"

#include "agg.h"

static const BaAggResult null_result = {BA_RESULT_NULL, 0.0};

static BaAggResult
plain_result(double value)
{
	BaAggResult result = {BA_RESULT_VALUE, value};

	return result;
}

static BaAggResult
nan_result(void)
{
	return plain_result(get_float8_nan());
}

/* Rounds a/b·2^exponent, or its root. */
static BaAggResult
round_result(const BaExactBig *a, const BaExactBig *b, int exponent, bool root)
{
	BaAggResult result = {BA_RESULT_VALUE, 0.0};
	bool fits = root ? ba_exact_round_root(a, b, exponent, false, &result.value)
					 : ba_exact_round_quotient(a, b, exponent, BA_EXACT_FLOAT8, &result.value);

	if (!fits)
		result.status = BA_RESULT_OVERFLOW;
	return result;
}

static bool
axis_is_finite(const BaAggState *s, int axis)
{
	return ba_agg_count_finite(s, axis) == s->n;
}

/* The window that sums the products of two axes. */
static int
product_window(const BaAggState *s, int a, int b)
{
	int axes = ba_agg_shape(s)->axes;

	return axes + (a == b ? a : axes);
}

/*
 * Computes n·S_ab − S_a·S_b, in units of 2^-2148, n being the number of finite
 * inputs.
 */
void
ba_agg_central_moment(const BaAggState *s, int64 n, int a, int b, BaExactBig *moment)
{
	BaExactBig x;
	BaExactBig y;
	BaExactBig z;
	BaExactBig w;

	ba_agg_get_sum(s, product_window(s, a, b), &x);
	ba_exact_set_uint64(&y, n);
	ba_exact_multiply(&z, &x, &y);
	ba_agg_get_sum(s, a, &x);
	ba_agg_get_sum(s, b, &y);
	ba_exact_multiply(&w, &x, &y);
	ba_exact_subtract(moment, &z, &w);
}

/* Computes n², or n·(n − 1). */
static void
get_divisor(int64 n, bool population, BaExactBig *divisor)
{
	BaExactBig a;
	BaExactBig b;

	ba_exact_set_uint64(&a, n);
	ba_exact_set_uint64(&b, population ? n : n - 1);
	ba_exact_multiply(divisor, &a, &b);
}

/* The sum divided by `by`, 1 or the number of inputs, which no special value survives. */
static BaAggResult
divided_sum(const BaAggState *s, int axis, int64 by, BaExactFormat format)
{
	bool positive = ba_agg_count(s, axis, BA_COUNT_POSITIVE_INFINITY) > 0;
	bool negative = ba_agg_count(s, axis, BA_COUNT_NEGATIVE_INFINITY) > 0;
	BaAggResult result = {BA_RESULT_VALUE, 0.0};
	BaExactBig sum;
	BaExactBig divisor;

	if (s->n == 0)
		return null_result;
	if (ba_agg_count(s, axis, BA_COUNT_NAN) > 0 || (positive && negative))
		return nan_result();
	if (positive)
		return plain_result(get_float8_infinity());
	if (negative)
		return plain_result(-get_float8_infinity());
	if (ba_agg_count(s, axis, BA_COUNT_NEGATIVE_ZERO) == s->n)
		return plain_result(-0.0);
	ba_agg_get_sum(s, axis, &sum);
	ba_exact_set_uint64(&divisor, by);
	if (!ba_exact_round_quotient(&sum, &divisor, -BA_EXACT_UNIT, format, &result.value))
		result.status = BA_RESULT_OVERFLOW;
	return result;
}

BaAggResult
ba_agg_sum(const BaAggState *s, int axis, BaExactFormat format)
{
	return divided_sum(s, axis, 1, format);
}

BaAggResult
ba_agg_average(const BaAggState *s, int axis)
{
	return divided_sum(s, axis, s->n, BA_EXACT_FLOAT8);
}

/* M_ab divided by n² or n·(n − 1), or the root of that. */
static BaAggResult
spread(const BaAggState *s, int a, int b, bool population, bool root)
{
	BaExactBig moment;
	BaExactBig divisor;

	if (s->n < (population ? 1 : 2))
		return null_result;
	if (!axis_is_finite(s, a) || !axis_is_finite(s, b))
		return nan_result();
	ba_agg_central_moment(s, s->n, a, b, &moment);
	get_divisor(s->n, population, &divisor);
	return round_result(&moment, &divisor, -2 * BA_EXACT_UNIT, root);
}

BaAggResult
ba_agg_variance(const BaAggState *s, int axis, bool population)
{
	return spread(s, axis, axis, population, false);
}

BaAggResult
ba_agg_stddev(const BaAggState *s, int axis, bool population)
{
	return spread(s, axis, axis, population, true);
}

BaAggResult
ba_agg_covariance(const BaAggState *s, bool population)
{
	return spread(s, BA_AXIS_Y, BA_AXIS_X, population, false);
}

BaAggResult
ba_agg_min(const BaAggState *s)
{
	if (s->n == 0)
		return null_result;
	return plain_result(
		ba_agg_key_to_double(ba_agg_extremes(unconstify(BaAggState *, s))->min.key));
}

BaAggResult
ba_agg_max(const BaAggState *s)
{
	if (s->n == 0)
		return null_result;
	return plain_result(
		ba_agg_key_to_double(ba_agg_extremes(unconstify(BaAggState *, s))->max.key));
}

/*
 * Loads M_aa of an axis; returns false if it is zero, which is known only if the
 * axis is finite. One that is not has a moment of NaN, as in core.
 */
static bool
has_spread(const BaAggState *s, int axis, BaExactBig *moment)
{
	if (s->n == 0)
		return false;
	if (!axis_is_finite(s, axis))
		return true;
	ba_agg_central_moment(s, s->n, axis, axis, moment);
	return moment->n > 0;
}

static bool
both_finite(const BaAggState *s)
{
	return axis_is_finite(s, BA_AXIS_Y) && axis_is_finite(s, BA_AXIS_X);
}

/* M_yx²/(M_yy·M_xx), or the root with the sign of M_yx. */
static BaAggResult
squared_correlation(const BaAggState *s, const BaExactBig *yy, const BaExactBig *xx, bool root)
{
	BaAggResult result;
	BaExactBig yx;
	BaExactBig square;
	BaExactBig product;

	if (!both_finite(s))
		return nan_result();
	ba_agg_central_moment(s, s->n, BA_AXIS_Y, BA_AXIS_X, &yx);
	ba_exact_multiply(&square, &yx, &yx);
	ba_exact_multiply(&product, yy, xx);
	result = round_result(&square, &product, 0, root);
	if (root && yx.neg)
		result.value = -result.value;
	return result;
}

BaAggResult
ba_agg_corr(const BaAggState *s)
{
	BaExactBig yy;
	BaExactBig xx;

	if (!has_spread(s, BA_AXIS_Y, &yy) || !has_spread(s, BA_AXIS_X, &xx))
		return null_result;
	return squared_correlation(s, &yy, &xx, true);
}

/*
 * As core's regr_r2: a line through inputs of equal y explains all there is.
 */
BaAggResult
ba_agg_determination(const BaAggState *s)
{
	BaExactBig yy;
	BaExactBig xx;

	if (!has_spread(s, BA_AXIS_X, &xx))
		return null_result;
	if (!has_spread(s, BA_AXIS_Y, &yy))
		return plain_result(1.0);
	return squared_correlation(s, &yy, &xx, false);
}

BaAggResult
ba_agg_slope(const BaAggState *s)
{
	BaExactBig yx;
	BaExactBig xx;

	if (!has_spread(s, BA_AXIS_X, &xx))
		return null_result;
	if (!both_finite(s))
		return nan_result();
	ba_agg_central_moment(s, s->n, BA_AXIS_Y, BA_AXIS_X, &yx);
	return round_result(&yx, &xx, 0, false);
}

BaAggResult
ba_agg_intercept(const BaAggState *s)
{
	BaExactBig xx;
	BaExactBig a;
	BaExactBig b;
	BaExactBig left;
	BaExactBig right;

	if (!has_spread(s, BA_AXIS_X, &xx))
		return null_result;
	if (!both_finite(s))
		return nan_result();
	ba_agg_get_sum(s, BA_AXIS_Y, &a);
	ba_agg_get_sum(s, product_window(s, BA_AXIS_X, BA_AXIS_X), &b);
	ba_exact_multiply(&left, &a, &b);
	ba_agg_get_sum(s, BA_AXIS_X, &a);
	ba_agg_get_sum(s, product_window(s, BA_AXIS_Y, BA_AXIS_X), &b);
	ba_exact_multiply(&right, &a, &b);
	ba_exact_subtract(&a, &left, &right);
	return round_result(&a, &xx, -BA_EXACT_UNIT, false);
}
