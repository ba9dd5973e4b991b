/*
 * agg_canon.c
 *		The canonical form of a statistical state: writing, reading, validating.
 *
 * doc/state-format.md has the byte tables; this file is their only reader and
 * writer. There is one canonical form for a multiset of inputs: every field is
 * a function of the multiset, and where several spellings of a field would mean
 * the same (leading zero limbs, a count of zero written out) only the shortest
 * is accepted.
 *
 * What comes from outside is not trusted. Lengths are checked before anything
 * is read or allocated; then the fields against each other, down to the
 * Cauchy-Schwarz inequality, so that the rest of the code may rely on what holds
 * for every state that was really aggregated: no variance is negative, no
 * correlation above one, no sum has more limbs than its inputs could fill.
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#include "agg.h"

#define FORMAT_VERSION 1
#define HEADER_SIZE 13  /* kind, version, parts, counts, signs, n */
#define EXTREME_SIZE 10 /* double, remainder */

#define CANONICAL_NAN INT64CONST(0x7ff8000000000000)
#define POSITIVE_INFINITY INT64CONST(0x7ff0000000000000)
/* keys (see ba_agg_double_to_key) of −Infinity and −0 */
#define NEGATIVE_INFINITY_KEY (~POSITIVE_INFINITY)
#define NEGATIVE_ZERO_KEY INT64CONST(-1)

static uint8 *
put_uint64(uint8 *p, uint64 value)
{
	value = pg_hton64(value);
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static uint64
get_uint64(const uint8 **p)
{
	uint64 value;

	memcpy(&value, *p, sizeof(value));
	*p += sizeof(value);
	return pg_ntoh64(value);
}

static uint8 *
put_extreme(uint8 *p, BaAggExtreme e)
{
	uint16 remainder = pg_hton16((uint16) e.remainder);

	p = put_uint64(p, ba_exact_bits(ba_agg_key_to_double(e.key)));
	memcpy(p, &remainder, sizeof(remainder));
	return p + sizeof(remainder);
}

static BaAggExtreme
get_extreme(const uint8 **p)
{
	BaAggExtreme e;
	uint16 remainder;

	e.key = ba_agg_double_to_key(ba_exact_from_bits(get_uint64(p)));
	memcpy(&remainder, *p, sizeof(remainder));
	*p += sizeof(remainder);
	e.remainder = (int16) pg_ntoh16(remainder);
	return e;
}

/*
 * Writes a state that has nothing pending in canonical form, in the current
 * context.
 */
struct varlena *
ba_agg_freeze(BaAggState *s)
{
	const BaAggShape *shape = ba_agg_shape(s);
	int nwindows = ba_agg_nwindows(shape, s->parts);
	int ncounts = shape->axes * BA_COUNTS_PER_AXIS;
	uint8 counts = 0;
	uint8 signs = 0;
	int nchunks = 0;
	struct varlena *result;
	uint8 *p;

	for (int k = 0; k < nwindows; k++)
		nchunks += s->window[k].n + 1;
	result = palloc(VARHDRSZ + HEADER_SIZE + ncounts * sizeof(int64) + 2 * EXTREME_SIZE +
					nwindows * 2 + nchunks * sizeof(uint32));
	p = (uint8 *) VARDATA(result) + HEADER_SIZE;

	for (int i = 0; i < ncounts; i++)
	{
		int64 count = ba_agg_count(s, i / BA_COUNTS_PER_AXIS, i % BA_COUNTS_PER_AXIS);

		if (count != 0)
		{
			counts |= 1 << i;
			p = put_uint64(p, count);
		}
	}
	if ((s->parts & BA_PART_EXTREMES) != 0 && s->n > 0)
	{
		p = put_extreme(p, ba_agg_extremes(s)->min);
		p = put_extreme(p, ba_agg_extremes(s)->max);
	}
	for (int k = 0; k < nwindows; k++)
	{
		BaExactBig sum;

		ba_agg_get_sum(s, k, &sum);
		if (sum.neg)
			signs |= 1 << k;
		*p++ = sum.lo;
		*p++ = sum.n;
		for (int i = sum.n - 1; i >= 0; i--)
		{
			uint32 limb = pg_hton32(sum.limb[i]);

			memcpy(p, &limb, sizeof(limb));
			p += sizeof(limb);
		}
	}
	SET_VARSIZE(result, p - (uint8 *) result);

	p = (uint8 *) VARDATA(result);
	*p++ = ba_agg_kind(s);
	*p++ = FORMAT_VERSION;
	*p++ = s->parts & ~BA_PART_COUNTS;
	*p++ = counts;
	*p++ = signs;
	put_uint64(p, s->n);
	return result;
}

static int
bits_of_count(int64 n)
{
	return n == 0 ? 0 : pg_leftmost_one_pos64(n) + 1;
}

/* Says what is wrong with an extreme by itself, or NULL. */
static const char *
check_extreme(BaAggExtreme e)
{
	double value = ba_agg_key_to_double(e.key);
	int128 integer;

	if (isnan(value) && e.key != CANONICAL_NAN)
		return "A NaN has other bits than the one NaN of this format.";
	if (e.remainder == 0)
		return NULL;
	/* a remainder belongs to an integer that no double holds */
	if (!(value >= -9223372036854775808.0 && value <= 9223372036854775808.0))
		return "An extreme has a remainder beside a number out of the range of bigint.";
	integer = (int128) value + e.remainder;
	if (value != (double) (int128) value)
		return "An extreme has a remainder beside a number that is no integer.";
	if (integer > PG_INT64_MAX || integer < PG_INT64_MIN || (double) (int64) integer != value)
		return "An extreme has a remainder that does not belong to its number.";
	return NULL;
}

/* Says what is wrong with the extremes of a state, counts being right, or NULL. */
static const char *
check_extremes(BaAggState *s)
{
	BaAggExtremes e = *ba_agg_extremes(s);
	const char *complaint = check_extreme(e.min);
	int64 nans = ba_agg_count(s, 0, BA_COUNT_NAN);
	int64 positive = ba_agg_count(s, 0, BA_COUNT_POSITIVE_INFINITY);
	int64 negative = ba_agg_count(s, 0, BA_COUNT_NEGATIVE_INFINITY);

	if (complaint == NULL)
		complaint = check_extreme(e.max);
	if (complaint != NULL)
		return complaint;
	if (e.min.key > e.max.key || (e.min.key == e.max.key && e.min.remainder > e.max.remainder))
		return "The least input is greater than the greatest.";
	if ((e.max.key == CANONICAL_NAN) != (nans > 0) ||
		(e.min.key == CANONICAL_NAN) != (nans == s->n))
		return "The extremes do not agree with the number of NaNs.";
	if ((e.min.key == NEGATIVE_INFINITY_KEY) != (negative > 0) ||
		(e.max.key == NEGATIVE_INFINITY_KEY) != (negative == s->n) ||
		(nans == 0 && (e.max.key == POSITIVE_INFINITY) != (positive > 0)) ||
		(nans < s->n && (e.min.key == POSITIVE_INFINITY) != (nans + positive == s->n)))
		return "The extremes do not agree with the number of infinities.";
	if ((e.min.key == NEGATIVE_ZERO_KEY || e.max.key == NEGATIVE_ZERO_KEY) &&
		ba_agg_count(s, 0, BA_COUNT_NEGATIVE_ZERO) == 0)
		return "The extremes do not agree with the number of negative zeros.";
	return NULL;
}

/* Says what is impossible about the sums of a state, counts being right, or NULL. */
static const char *
check_sums(BaAggState *s)
{
	const BaAggShape *shape = ba_agg_shape(s);
	int nwindows = ba_agg_nwindows(shape, s->parts);
	bool all_finite = true;
	BaExactBig sum;

	for (int k = 0; k < nwindows; k++)
	{
		bool product = shape->window[k].b >= 0;
		int a = shape->window[k].a;
		int b = product ? shape->window[k].b : a;
		int64 finite = Min(ba_agg_count_finite(s, a), ba_agg_count_finite(s, b));
		/* how many inputs may be other than zero; zeros that are not negative are not counted */
		int64 nonzero = Min(ba_agg_count_finite(s, a) - ba_agg_count(s, a, BA_COUNT_NEGATIVE_ZERO),
							ba_agg_count_finite(s, b) - ba_agg_count(s, b, BA_COUNT_NEGATIVE_ZERO));

		all_finite &= finite == s->n;
		ba_agg_get_sum(s, k, &sum);
		if (sum.n > 0 && nonzero == 0)
			return "A sum is not zero where every input is.";
		if (ba_exact_bit_length(&sum) >
			(product ? BA_EXACT_PRODUCT_BITS : BA_EXACT_VALUE_BITS) + bits_of_count(finite))
			return "A sum is larger than the number of its inputs allows.";
		if (product && a == b && sum.neg)
			return "A sum of squares is negative.";
	}
	if ((s->parts & BA_PART_PRODUCTS) == 0)
		return NULL;
	for (int axis = 0; axis < shape->axes; axis++)
	{
		ba_agg_central_moment(s, ba_agg_count_finite(s, axis), axis, axis, &sum);
		if (sum.neg)
			return "A sum of squares is smaller than the sum allows.";
	}
	if (shape->axes == 2 && all_finite)
	{
		BaExactBig other;
		BaExactBig square;
		BaExactBig product;

		ba_agg_central_moment(s, s->n, BA_AXIS_Y, BA_AXIS_X, &sum);
		ba_exact_multiply(&square, &sum, &sum);
		ba_agg_central_moment(s, s->n, BA_AXIS_Y, BA_AXIS_Y, &sum);
		ba_agg_central_moment(s, s->n, BA_AXIS_X, BA_AXIS_X, &other);
		ba_exact_multiply(&product, &sum, &other);
		if (ba_exact_compare_magnitude(&square, &product) > 0)
			return "A sum of products is larger than the sums of squares allow.";
	}
	return NULL;
}

/*
 * Reads a canonical state into a new working one, in the current context. Returns
 * NULL, or a full sentence that says what is wrong, with no state made.
 *
 * A trusted state was validated when it came in; its lengths are checked all
 * the same, as it may come from a damaged page.
 */
const char *
ba_agg_thaw(const uint8 *bytes, size_t len, BaAggKind kind, bool trusted, BaAggState **state)
{
	const BaAggShape *shape = &ba_agg_shapes[kind];
	const uint8 *end = bytes + len;
	const uint8 *p = bytes + HEADER_SIZE;
	const uint8 *sums;
	BaAggWindow windows[BA_AGG_MAX_WINDOWS];
	int64 counts[BA_AGG_MAX_AXES * BA_COUNTS_PER_AXIS] = {0};
	BaAggExtremes extremes;
	BaAggState *s;
	const char *complaint = NULL;
	uint8 parts;
	uint8 present;
	uint8 signs;
	int nwindows;
	int64 n;

	if (len < 2)
		return "The state is shorter than its header.";
	if (bytes[0] != kind)
		return "The state is of another type.";
	if (bytes[1] != FORMAT_VERSION)
		return "The state is of a format version that is not known here.";
	if (len < HEADER_SIZE)
		return "The state is shorter than its header.";
	parts = bytes[2];
	present = bytes[3];
	signs = bytes[4];
	sums = bytes + 5;
	n = (int64) get_uint64(&sums);
	if (!ba_agg_knows_parts(kind, parts))
		return "The state keeps an unknown set of parts.";
	nwindows = ba_agg_nwindows(shape, parts);
	if (present >> (shape->axes * BA_COUNTS_PER_AXIS) != 0 || signs >> nwindows != 0)
		return "The state's header has unknown bits set.";
	if (n < 0)
		return "The number of inputs is negative.";

	if (end - p < pg_number_of_ones[present] * (int) sizeof(int64))
		return "The state is shorter than its counts.";
	for (int axis = 0; axis < shape->axes; axis++)
	{
		int64 rest = n;

		for (int i = axis * BA_COUNTS_PER_AXIS; i < (axis + 1) * BA_COUNTS_PER_AXIS; i++)
		{
			if ((present & (1 << i)) == 0)
				continue;
			counts[i] = (int64) get_uint64(&p);
			if (counts[i] <= 0 || counts[i] > rest)
				return "A count is not between one and the number of inputs.";
			rest -= counts[i];
		}
	}
	if ((parts & BA_PART_EXTREMES) != 0 && n > 0)
	{
		if (end - p < 2 * EXTREME_SIZE)
			return "The state is shorter than its extremes.";
		extremes.min = get_extreme(&p);
		extremes.max = get_extreme(&p);
	}

	sums = p;
	for (int k = 0; k < nwindows; k++)
	{
		int length;

		if (end - p < 2)
			return "The state is shorter than its sums.";
		windows[k].lo = p[0];
		windows[k].n = p[1];
		p += 2;
		length = windows[k].n * sizeof(uint32);
		if (end - p < length)
			return "The state is shorter than its sums.";
		if (windows[k].n == 0
				? windows[k].lo != 0 || (signs & (1 << k)) != 0
				: memcmp(p, "\0\0\0\0", 4) == 0 || memcmp(p + length - 4, "\0\0\0\0", 4) == 0)
			return "A sum is not in its shortest form.";
		/* the windows of any real state end far below this, and checks rely on a bound */
		if (windows[k].lo + windows[k].n > ba_agg_max_limbs(shape, k))
			return "A sum is larger than any number of inputs allows.";
		p += length;
	}
	if (p != end)
		return "The state is longer than its contents.";

	s = ba_agg_create(kind, parts | (present != 0 ? BA_PART_COUNTS : 0), windows);
	s->n = n;
	if (present != 0)
		memcpy(ba_agg_counts(s), counts, shape->axes * BA_COUNTS_PER_AXIS * sizeof(int64));
	if ((parts & BA_PART_EXTREMES) != 0 && n > 0)
		*ba_agg_extremes(s) = extremes;
	p = sums;
	for (int k = 0; k < nwindows; k++)
	{
		int64 *chunks = ba_agg_chunks(s, k);

		p += 2;
		for (int i = windows[k].n - 1; i >= 0; i--)
		{
			uint32 limb;

			memcpy(&limb, p, sizeof(limb));
			p += sizeof(limb);
			limb = pg_ntoh32(limb);
			chunks[i] = (signs & (1 << k)) != 0 ? -(int64) limb : (int64) limb;
		}
	}

	if (!trusted)
		complaint = check_sums(s);
	if (!trusted && complaint == NULL && (parts & BA_PART_EXTREMES) != 0 && n > 0)
		complaint = check_extremes(s);
	if (complaint != NULL)
		pfree(s);
	else
		*state = s;
	return complaint;
}
