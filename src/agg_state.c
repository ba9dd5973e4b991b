/*
 * agg_state.c
 *		The working form of a statistical state: room, adding, removing, merging.
 *
 * Inputs wait in the pending section until it is full, then the whole vector is
 * folded into the windows: the windows are made to cover the vector once, and
 * the loops of exact_acc.c run without a test. A vector that holds something to
 * be counted (NaN, infinity, −0) goes input by input instead; so do inputs that
 * no double holds, and everything in a window function, where a result is wanted
 * after each row.
 *
 * The pending section starts small, as there may be a million groups of a few
 * rows, and grows with the number of inputs folded; a first state of eight
 * values fits 128 bytes with its windows.
 *
 * Everything that a state may need more of is asked of reserve(), which alone
 * lays out states, and alone runs carry passes.
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"

#include "agg.h"

const BaAggShape ba_agg_shapes[] = {
	[BA_AGG_STATS] = {"stats", 1, 2, {{0, -1}, {0, 0}}},
	[BA_AGG_STATS2D] = {"stats2d",
						2,
						5,
						{{BA_AXIS_Y, -1},
						 {BA_AXIS_X, -1},
						 {BA_AXIS_Y, BA_AXIS_Y},
						 {BA_AXIS_X, BA_AXIS_X},
						 {BA_AXIS_Y, BA_AXIS_X}}},
};

/* What is about to be done to a state; zero means nothing. */
typedef struct Need
{
	struct
	{
		int lo;
		int hi; /* limbs lo to hi − 1; none if hi is 0 */
	} window[BA_AGG_MAX_WINDOWS];
	uint32 adds;  /* adds to any window */
	bool carry;   /* a carry pass, even if the adds do not call for one */
	bool counts;  /* the section of counts */
	int capacity; /* pending doubles, pending ones included */
} Need;

#define PENDING_MAX_DOUBLES 256

StaticAssertDecl(PENDING_MAX_DOUBLES <= BA_EXACT_VECTOR, "a fold is one vector");

static int
header_size(int nwindows)
{
	return MAXALIGN(offsetof(BaAggState, window) + nwindows * sizeof(BaAggWindow));
}

/* Chunks of the first windows. */
static int
count_chunks(const BaAggWindow *windows, int nwindows)
{
	int n = 0;

	for (int k = 0; k < nwindows; k++)
		n += windows[k].n;
	return n;
}

/* Bytes of everything but the pending inputs. */
static int
fixed_size(BaAggKind kind, uint8 parts, const BaAggWindow *windows)
{
	const BaAggShape *shape = &ba_agg_shapes[kind];
	int nwindows = ba_agg_nwindows(shape, parts);
	int size = header_size(nwindows) + count_chunks(windows, nwindows) * sizeof(int64);

	if ((parts & BA_PART_EXTREMES) != 0)
		size += sizeof(BaAggExtremes);
	if ((parts & BA_PART_COUNTS) != 0)
		size += shape->axes * BA_COUNTS_PER_AXIS * sizeof(int64);
	return size;
}

int64 *
ba_agg_chunks(BaAggState *s, int window)
{
	int nwindows = ba_agg_nwindows(ba_agg_shape(s), s->parts);

	return (int64 *) ((char *) s + header_size(nwindows)) + count_chunks(s->window, window);
}

BaAggExtremes *
ba_agg_extremes(BaAggState *s)
{
	Assert(s->parts & BA_PART_EXTREMES);
	return (BaAggExtremes *) ba_agg_chunks(s, ba_agg_nwindows(ba_agg_shape(s), s->parts));
}

int64 *
ba_agg_counts(BaAggState *s)
{
	int64 *end = ba_agg_chunks(s, ba_agg_nwindows(ba_agg_shape(s), s->parts));

	Assert(s->parts & BA_PART_COUNTS);
	return (s->parts & BA_PART_EXTREMES) != 0 ? end + sizeof(BaAggExtremes) / sizeof(int64) : end;
}

static int
pending_offset(const BaAggState *s)
{
	return fixed_size(ba_agg_kind(s), s->parts, s->window);
}

static double *
pending_values(BaAggState *s)
{
	return (double *) ((char *) s + pending_offset(s));
}

static int
pending_doubles(const BaAggState *s)
{
	return (s->tail - pending_offset(s)) / sizeof(double);
}

bool
ba_agg_has_pending(const BaAggState *s)
{
	return s->tail != pending_offset(s);
}

int64
ba_agg_count(const BaAggState *s, int axis, BaAggCount which)
{
	if ((s->parts & BA_PART_COUNTS) == 0)
		return 0;
	return ba_agg_counts(unconstify(BaAggState *, s))[axis * BA_COUNTS_PER_AXIS + which];
}

/*
 * Counts the inputs of an axis that its sums are made of.
 */
int64
ba_agg_count_finite(const BaAggState *s, int axis)
{
	return s->n - ba_agg_count(s, axis, BA_COUNT_NAN) -
		   ba_agg_count(s, axis, BA_COUNT_POSITIVE_INFINITY) -
		   ba_agg_count(s, axis, BA_COUNT_NEGATIVE_INFINITY);
}

void
ba_agg_get_sum(const BaAggState *s, int window, BaExactBig *sum)
{
	ba_exact_get_sum(ba_agg_chunks(unconstify(BaAggState *, s), window), s->window[window].lo,
					 s->window[window].n, sum);
}

/*
 * Is this a set of parts that a state may keep, counts aside?
 */
bool
ba_agg_knows_parts(BaAggKind kind, uint8 parts)
{
	if (parts == (BA_PART_SUMS | BA_PART_PRODUCTS))
		return true;
	return kind == BA_AGG_STATS &&
		   (parts == BA_PART_SUMS || parts == (BA_PART_SUMS | BA_PART_PRODUCTS | BA_PART_EXTREMES));
}

/*
 * Is everything in a working state where its size allows? No such state is stored,
 * but the bytes of a damaged page may look like one.
 */
bool
ba_agg_is_sound(const BaAggState *s, BaAggKind kind)
{
	const BaAggShape *shape = &ba_agg_shapes[kind];
	int input = shape->axes * sizeof(double);
	int64 size = VARSIZE(s);
	int nwindows;
	int offset;

	if (size < header_size(0) || !ba_agg_knows_parts(kind, s->parts & ~BA_PART_COUNTS))
		return false;
	nwindows = ba_agg_nwindows(shape, s->parts);
	if (size < header_size(nwindows))
		return false;
	for (int k = 0; k < nwindows; k++)
	{
		if (s->window[k].lo + s->window[k].n > ba_agg_max_limbs(shape, k))
			return false;
	}
	offset = fixed_size(kind, s->parts, s->window);
	return s->n >= 0 && s->adds <= BA_EXACT_ADDS_MAX && offset <= s->tail && s->tail <= size &&
		   size - offset <= PENDING_MAX_DOUBLES * sizeof(double) &&
		   (s->tail - offset) % input == 0 && (size - offset) % input == 0;
}

/* Allocates a state of no inputs, zeroed and laid out. */
static BaAggState *
create_state(BaAggKind kind, uint8 parts, const BaAggWindow *windows, int capacity)
{
	int offset = fixed_size(kind, parts, windows);
	int size = offset + capacity * sizeof(double);
	BaAggState *s = palloc0(size);

	SET_VARSIZE(s, size);
	s->form = kind | BA_AGG_WORKING;
	s->parts = parts;
	s->tail = offset;
	memcpy(s->window, windows, ba_agg_nwindows(&ba_agg_shapes[kind], parts) * sizeof(BaAggWindow));
	return s;
}

/*
 * Creates a state of no inputs with the windows given and no room for pending
 * inputs, in the current context.
 */
BaAggState *
ba_agg_create(BaAggKind kind, uint8 parts, const BaAggWindow *windows)
{
	return create_state(kind, parts, windows, 0);
}

/*
 * Returns a copy of a state laid out anew: windows and capacity as given, both
 * no smaller than they are.
 */
static BaAggState *
rebuild(BaAggState *s, const BaAggWindow *windows, bool counts, int capacity)
{
	const BaAggShape *shape = ba_agg_shape(s);
	int nwindows = ba_agg_nwindows(shape, s->parts);
	BaAggState *r =
		create_state(ba_agg_kind(s), s->parts | (counts ? BA_PART_COUNTS : 0), windows, capacity);
	int pending = pending_doubles(s);

	Assert(capacity >= pending);
	r->n = s->n;
	r->adds = s->adds;
	for (int k = 0; k < nwindows; k++)
	{
		if (s->window[k].n > 0)
			memcpy(ba_agg_chunks(r, k) + (s->window[k].lo - windows[k].lo), ba_agg_chunks(s, k),
				   s->window[k].n * sizeof(int64));
	}
	if ((s->parts & BA_PART_EXTREMES) != 0)
		*ba_agg_extremes(r) = *ba_agg_extremes(s);
	if ((s->parts & BA_PART_COUNTS) != 0)
		memcpy(ba_agg_counts(r), ba_agg_counts(s),
			   shape->axes * BA_COUNTS_PER_AXIS * sizeof(int64));
	memcpy(pending_values(r), pending_values(s), pending * sizeof(double));
	r->tail += pending * sizeof(double);
	return r;
}

/*
 * Makes room for what is needed and accounts for the adds that will follow.
 * Returns the state itself, or a larger copy of it.
 */
static BaAggState *
reserve(BaAggState *s, const Need *need)
{
	int nwindows = ba_agg_nwindows(ba_agg_shape(s), s->parts);
	bool counts = need->counts || (s->parts & BA_PART_COUNTS) != 0;
	int capacity = (VARSIZE(s) - pending_offset(s)) / sizeof(double);
	bool carry = need->carry || need->adds > BA_EXACT_ADDS_MAX - s->adds;
	bool grow = need->capacity > capacity || (need->counts && (s->parts & BA_PART_COUNTS) == 0);
	BaAggWindow windows[BA_AGG_MAX_WINDOWS];

	Assert(need->adds < BA_EXACT_ADDS_MAX);
	for (int k = 0; k < nwindows; k++)
	{
		BaAggWindow old = s->window[k];
		int lo = old.lo;
		int hi = old.lo + old.n;

		if (need->window[k].hi > 0)
		{
			lo = old.n == 0 ? need->window[k].lo : Min(lo, need->window[k].lo);
			hi = Max(hi, need->window[k].hi);
		}
		if (carry && old.n > 0 && ba_exact_top_is_full(ba_agg_chunks(s, k)[old.n - 1]))
			hi = Max(hi, old.lo + old.n + 1);
		Assert(hi <= PG_UINT8_MAX);
		windows[k].lo = lo;
		windows[k].n = hi - lo;
		grow |= windows[k].n != old.n;
	}
	if (grow)
		s = rebuild(s, windows, counts, Max(capacity, need->capacity));
	if (carry)
	{
		for (int k = 0; k < nwindows; k++)
			ba_exact_carry(ba_agg_chunks(s, k), s->window[k].n);
		s->adds = 0;
	}
	s->adds += need->adds;
	return s;
}

BaAggValue
ba_agg_value_from_double(double value)
{
	BaAggValue v;

	v.value = value;
	v.remainder = 0;
	v.num = ba_exact_num_from_double(value);
	return v;
}

BaAggValue
ba_agg_value_from_int64(int64 value)
{
	BaAggValue v;

	v.value = (double) value;
	/* the nearest double may be 2^63, one past the largest int64 */
	v.remainder =
		v.value >= 9223372036854775808.0 ? value - PG_INT64_MAX - 1 : value - (int64) v.value;
	v.num = ba_exact_num_from_int64(value);
	return v;
}

/* Returns which count an input belongs to, or −1. */
static int
classify(double value)
{
	if (isnan(value))
		return BA_COUNT_NAN;
	if (isinf(value))
		return value > 0 ? BA_COUNT_POSITIVE_INFINITY : BA_COUNT_NEGATIVE_INFINITY;
	if (ba_exact_bits(value) == UINT64CONST(1) << 63)
		return BA_COUNT_NEGATIVE_ZERO;
	return -1;
}

static bool
is_finite_class(int class)
{
	return class < 0 || class == BA_COUNT_NEGATIVE_ZERO;
}

/* The extreme that an input would be; all NaNs are one. */
static BaAggExtreme
extreme_of(const BaAggValue *v)
{
	BaAggExtreme e;

	e.key = isnan(v->value) ? INT64CONST(0x7ff8000000000000) : ba_agg_double_to_key(v->value);
	e.remainder = v->remainder;
	return e;
}

static bool
extreme_less(BaAggExtreme a, BaAggExtreme b)
{
	return a.key < b.key || (a.key == b.key && a.remainder < b.remainder);
}

static void
widen_extremes(BaAggState *s, BaAggExtreme min, BaAggExtreme max)
{
	BaAggExtremes *e = ba_agg_extremes(s);

	if (s->n == 0 || extreme_less(min, e->min))
		e->min = min;
	if (s->n == 0 || extreme_less(e->max, max))
		e->max = max;
}

/*
 * Adds one input (a value for each axis) with weight 1 or −1, extremes aside.
 */
static BaAggState *
add_weighted(BaAggState *s, const BaAggValue *values, int weight)
{
	const BaAggShape *shape = ba_agg_shape(s);
	int nwindows = ba_agg_nwindows(shape, s->parts);
	int class[BA_AGG_MAX_AXES];
	Need need = {.adds = 1};

	for (int axis = 0; axis < shape->axes; axis++)
	{
		class[axis] = classify(values[axis].value);
		need.counts |= class[axis] >= 0;
	}
	for (int k = 0; k < nwindows; k++)
	{
		int a = shape->window[k].a;
		int b = shape->window[k].b;
		int lo;

		if (!is_finite_class(class[a]) || values[a].num.m == 0)
			continue;
		if (b >= 0 && (!is_finite_class(class[b]) || values[b].num.m == 0))
			continue;
		lo = (values[a].num.pos + (b >= 0 ? values[b].num.pos : 0)) >> 5;
		need.window[k].lo = lo;
		need.window[k].hi = lo + (b >= 0 ? BA_EXACT_PRODUCT_SPAN : BA_EXACT_VALUE_SPAN);
	}
	s = reserve(s, &need);
	for (int k = 0; k < nwindows; k++)
	{
		BaExactNum num = values[shape->window[k].a].num;

		if (need.window[k].hi == 0)
			continue;
		num.neg ^= weight < 0;
		if (shape->window[k].b >= 0)
			ba_exact_add_product(ba_agg_chunks(s, k), s->window[k].lo, num,
								 values[shape->window[k].b].num);
		else
			ba_exact_add_value(ba_agg_chunks(s, k), s->window[k].lo, num);
	}
	for (int axis = 0; axis < shape->axes; axis++)
	{
		if (class[axis] >= 0)
			ba_agg_counts(s)[axis * BA_COUNTS_PER_AXIS + class[axis]] += weight;
	}
	s->n += weight;
	return s;
}

/*
 * Adds one input directly, without waiting for a vector of them.
 */
BaAggState *
ba_agg_add(BaAggState *s, const BaAggValue *values)
{
	if ((s->parts & BA_PART_EXTREMES) != 0)
		widen_extremes(s, extreme_of(values), extreme_of(values));
	return add_weighted(s, values, 1);
}

/*
 * Removes one input that was added before, nothing pending. Returns NULL if it
 * is an extreme: what the next one is cannot be told from the state.
 */
BaAggState *
ba_agg_remove(BaAggState *s, const BaAggValue *values)
{
	Assert(!ba_agg_has_pending(s));
	if (s->n <= 0)
		elog(ERROR, "cannot remove an input from an empty %s", ba_agg_shape(s)->type_name);
	if ((s->parts & BA_PART_EXTREMES) != 0)
	{
		BaAggExtremes *e = ba_agg_extremes(s);
		BaAggExtreme leaving = extreme_of(values);

		if (!extreme_less(e->min, leaving) || !extreme_less(leaving, e->max))
			return NULL;
	}
	return add_weighted(s, values, -1);
}

/*
 * Pending doubles worth having after so many inputs, an even number.
 *
 * The first sizes are such that a state of a few inputs fits the same power of
 * two bytes with its typical windows as without any (128 for a sum, 256 with
 * squares, 512 for pairs): the allocator then uses again what the state leaves
 * behind when it gets its windows.
 */
static int
wanted_capacity(const BaAggState *s, int64 n)
{
	if (n >= 1024)
		return PENDING_MAX_DOUBLES;
	if (ba_agg_shape(s)->axes > 1)
		return n < 64 ? 32 : 64;
	if (n >= 64)
		return 32;
	if ((s->parts & BA_PART_EXTREMES) != 0)
		return 12;
	return (s->parts & BA_PART_PRODUCTS) != 0 ? 16 : 8;
}

/* Folds the pending inputs one by one, whatever they are. */
static BaAggState *
fold_slowly(BaAggState *s)
{
	double copy[PENDING_MAX_DOUBLES];
	int axes = ba_agg_shape(s)->axes;
	int n = pending_doubles(s);

	Assert(n <= PENDING_MAX_DOUBLES);
	memcpy(copy, pending_values(s), n * sizeof(double));
	s->tail = pending_offset(s);
	for (int i = 0; i < n; i += axes)
	{
		BaAggValue values[BA_AGG_MAX_AXES] = {0}; /* gcc 16 does not see that axes >= 1 */

		for (int axis = 0; axis < axes; axis++)
			values[axis] = ba_agg_value_from_double(copy[i + axis]);
		s = ba_agg_add(s, values);
	}
	return s;
}

/* The extremes of a vector without NaNs. */
static void
widen_by_vector(BaAggState *s, const double *values, int n)
{
	BaAggExtreme min = {PG_INT64_MAX, 0};
	BaAggExtreme max = {PG_INT64_MIN, 0};

	for (int i = 0; i < n; i++)
	{
		int64 key = ba_agg_double_to_key(values[i]);

		min.key = Min(min.key, key);
		max.key = Max(max.key, key);
	}
	widen_extremes(s, min, max);
}

/*
 * Folds the pending inputs into the windows; returns the state, or a larger copy.
 */
BaAggState *
ba_agg_fold(BaAggState *s)
{
	const BaAggShape *shape = ba_agg_shape(s);
	int nwindows = ba_agg_nwindows(shape, s->parts);
	int n = pending_doubles(s) / shape->axes;
	Need need = {.adds = n};
	double copy[PENDING_MAX_DOUBLES];
	const double *vectors[BA_AGG_MAX_AXES];
	BaExactScan scans[BA_AGG_MAX_AXES];

	if (n == 0)
		return s;

	vectors[0] = pending_values(s);
	if (shape->axes == 2)
	{
		const double *pairs = pending_values(s);

		for (int i = 0; i < n; i++)
		{
			copy[i] = pairs[2 * i];
			copy[n + i] = pairs[2 * i + 1];
		}
		vectors[0] = copy;
		vectors[1] = copy + n;
	}
	for (int axis = 0; axis < shape->axes; axis++)
	{
		scans[axis] = ba_exact_scan_doubles(vectors[axis], n);
		if (scans[axis].special)
			return fold_slowly(s);
	}
	need.capacity = wanted_capacity(s, s->n + n);
	for (int k = 0; k < nwindows; k++)
	{
		const BaExactScan *a = &scans[shape->window[k].a];
		const BaExactScan *b = shape->window[k].b >= 0 ? &scans[shape->window[k].b] : NULL;

		if (a->zeros || (b != NULL && b->zeros))
			continue;
		need.window[k].lo = (a->min_pos + (b != NULL ? b->min_pos : 0)) >> 5;
		need.window[k].hi = ((a->max_pos + (b != NULL ? b->max_pos : 0)) >> 5) +
							(b != NULL ? BA_EXACT_PRODUCT_SPAN : BA_EXACT_VALUE_SPAN);
	}
	s = reserve(s, &need);
	if (shape->axes == 1)
		vectors[0] = pending_values(s);
	for (int k = 0; k < nwindows; k++)
	{
		int a = shape->window[k].a;
		int b = shape->window[k].b;

		if (need.window[k].hi == 0)
			continue;
		if (b >= 0)
			ba_exact_add_products(ba_agg_chunks(s, k), s->window[k].lo, vectors[a], &scans[a],
								  vectors[b], &scans[b], n);
		else
			ba_exact_add_doubles(ba_agg_chunks(s, k), s->window[k].lo, vectors[a], &scans[a], n);
	}
	if ((s->parts & BA_PART_EXTREMES) != 0)
		widen_by_vector(s, vectors[0], n);
	s->n += n;
	s->tail = pending_offset(s);
	return s;
}

/*
 * Returns the state, or a larger copy, with nothing pending and room for a vector
 * of inputs.
 */
BaAggState *
ba_agg_make_room(BaAggState *s)
{
	Need need = {0};

	s = ba_agg_fold(s);
	need.capacity = wanted_capacity(s, s->n);
	return reserve(s, &need);
}

/*
 * Merges another state, which has nothing pending, into one; returns the one, or
 * a larger copy. The two must keep the same parts.
 */
BaAggState *
ba_agg_merge(BaAggState *s, const BaAggState *other)
{
	BaAggState *o = unconstify(BaAggState *, other);
	const BaAggShape *shape = ba_agg_shape(s);
	int nwindows = ba_agg_nwindows(shape, s->parts);
	Need need = {.counts = (o->parts & BA_PART_COUNTS) != 0};
	int64 n;

	Assert(s->form == o->form && !ba_agg_has_pending(o));
	if (((s->parts ^ o->parts) & ~BA_PART_COUNTS) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot merge %s states that keep different things", shape->type_name),
				 errdetail("One keeps the parts %d, the other the parts %d.",
						   s->parts & ~BA_PART_COUNTS, o->parts & ~BA_PART_COUNTS)));
	if (pg_add_s64_overflow(s->n, o->n, &n))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("too many inputs in a %s state", shape->type_name)));

	/* the merged chunks count as that many adds, which must leave room for themselves */
	if (o->adds > BA_EXACT_ADDS_MAX / 2)
	{
		Need carried = {.carry = true};

		o = reserve(memcpy(palloc(VARSIZE(o)), o, VARSIZE(o)), &carried);
	}
	need.adds = o->adds + 1;
	for (int k = 0; k < nwindows; k++)
	{
		if (o->window[k].n > 0)
		{
			need.window[k].lo = o->window[k].lo;
			need.window[k].hi = o->window[k].lo + o->window[k].n;
		}
	}
	s = reserve(s, &need);
	for (int k = 0; k < nwindows; k++)
	{
		int64 *to = ba_agg_chunks(s, k) + (o->window[k].lo - s->window[k].lo);
		const int64 *from = ba_agg_chunks(o, k);

		for (int i = 0; i < o->window[k].n; i++)
			to[i] += from[i];
	}
	if ((o->parts & BA_PART_COUNTS) != 0)
	{
		for (int i = 0; i < shape->axes * BA_COUNTS_PER_AXIS; i++)
			ba_agg_counts(s)[i] += ba_agg_counts(o)[i];
	}
	if ((o->parts & BA_PART_EXTREMES) != 0 && o->n > 0)
		widen_extremes(s, ba_agg_extremes(o)->min, ba_agg_extremes(o)->max);
	s->n = n;
	return s;
}
