/*
 * agg.h
 *		Statistical states: what aggregating some numbers leaves behind.
 *
 * A state keeps exact sums of its inputs: of the values, of their squares and
 * (for pairs) of their products, each as the chunks of a superaccumulator
 * (exact_acc.h). It also counts the inputs that cannot be summed, and keeps the
 * least and greatest. Two SQL types share the code: `stats` over one variable,
 * `stats2d` over pairs (y, x). Each value has one of two forms:
 *
 *	working		native integers, pending inputs, carries not propagated; lives
 *				inside an aggregation only
 *	canonical	big-endian, trimmed, the same bytes for the same inputs in any
 *				order (doc/state-format.md); what is stored, sent and printed
 *
 * Every function accepts both; only agg_canon.c reads or writes the canonical
 * one. The SQL functions follow one pattern: get the state in working form with
 * nothing pending, work on it, and freeze it if the result leaves the query.
 *
 * Layout of a working state, every section a multiple of 8 bytes:
 *
 *		BaAggState header with its windows | chunks of each window in turn |
 *		BaAggExtremes if BA_PART_EXTREMES | four int64 counts for each axis if
 *		BA_PART_COUNTS | pending inputs, up to VARSIZE; the next goes to `tail`
 *
 * Memory: functions that take and return a BaAggState * may need a larger one;
 * they then build it in the current context and leave the old one alone. A
 * transition function returns the new pointer and the executor copies it to the
 * aggregate's context and frees the old.
 */
#ifndef AGG_H
#define AGG_H

#include "fmgr.h"
#include "nodes/execnodes.h"

#include "compat.h"
#include "exact_acc.h"
#include "exact_round.h"

#define BA_AGG_MAX_AXES 2
#define BA_AGG_MAX_WINDOWS 5

typedef enum BaAggKind
{
	BA_AGG_STATS = 1,
	BA_AGG_STATS2D = 2,
} BaAggKind;

/* What a state keeps; BA_PART_COUNTS is present in working states on demand. */
#define BA_PART_SUMS 0x01
#define BA_PART_PRODUCTS 0x02
#define BA_PART_EXTREMES 0x04
#define BA_PART_COUNTS 0x08

/* Axes of a stats2d, in the order of the arguments. */
#define BA_AXIS_Y 0
#define BA_AXIS_X 1

/* Inputs that a sum cannot tell, counted for each axis. */
typedef enum BaAggCount
{
	BA_COUNT_NAN,
	BA_COUNT_POSITIVE_INFINITY,
	BA_COUNT_NEGATIVE_INFINITY,
	BA_COUNT_NEGATIVE_ZERO, /* finite, but a sum of nothing else is −0 */
	BA_COUNTS_PER_AXIS,
} BaAggCount;

/* Window k sums the values of axis a, or products of the axes a and b if b >= 0. */
typedef struct BaAggShape
{
	const char *type_name;
	int axes;     /* the first windows are the values, one window an axis */
	int nwindows; /* with products */
	struct
	{
		int8 a;
		int8 b;
	} window[BA_AGG_MAX_WINDOWS];
} BaAggShape;

typedef struct BaAggWindow
{
	uint8 lo; /* limb position of the first chunk */
	uint8 n;  /* chunks */
} BaAggWindow;

typedef struct BaAggState
{
	int32 vl_len_; /* varlena header, always the four-byte one */
	uint8 form;    /* BaAggKind | BA_AGG_WORKING */
	uint8 parts;
	uint16 tail; /* offset of the next pending input */
	int64 n;     /* inputs folded or added, without the pending ones */
	uint32 adds; /* adds to any window since its last carry pass */
	BaAggWindow window[FLEXIBLE_ARRAY_MEMBER];
} BaAggState;

/* The first content byte of a canonical state is its kind, below this bit. */
#define BA_AGG_WORKING 0x80

/*
 * Least and greatest input as (key of a double, remainder): an int64 v is the
 * double nearest to it plus a small remainder, and the pairs sort as the numbers
 * do. Keys of doubles sort as core sorts them (NaN greatest), and −0 before +0,
 * so that the choice between equal inputs does not depend on their order.
 */
typedef struct BaAggExtreme
{
	int64 key;
	int64 remainder;
} BaAggExtreme;

typedef struct BaAggExtremes
{
	BaAggExtreme min;
	BaAggExtreme max;
} BaAggExtremes;

/* One input, prepared for adding. */
typedef struct BaAggValue
{
	double value;    /* the input, or the double nearest to it */
	int64 remainder; /* the input is value + remainder */
	BaExactNum num;  /* the input itself, if finite */
} BaAggValue;

typedef struct BaAggResult
{
	enum
	{
		BA_RESULT_NULL,
		BA_RESULT_VALUE,
		BA_RESULT_OVERFLOW,
	} status;
	double value;
} BaAggResult;

extern const BaAggShape ba_agg_shapes[];

static inline BaAggKind
ba_agg_kind(const BaAggState *s)
{
	return (BaAggKind) (s->form & ~BA_AGG_WORKING);
}

static inline const BaAggShape *
ba_agg_shape(const BaAggState *s)
{
	return &ba_agg_shapes[ba_agg_kind(s)];
}

static inline int
ba_agg_nwindows(const BaAggShape *shape, uint8 parts)
{
	return (parts & BA_PART_PRODUCTS) != 0 ? shape->nwindows : shape->axes;
}

/* Limb positions that a window can reach: the sums of 2^63 inputs end there (exact_big.h). */
static inline int
ba_agg_max_limbs(const BaAggShape *shape, int window)
{
	return window < shape->axes ? 68 : 134;
}

static inline int64
ba_agg_double_to_key(double value)
{
	int64 bits = (int64) ba_exact_bits(value);

	return bits ^ ((bits >> 63) & PG_INT64_MAX);
}

static inline double
ba_agg_key_to_double(int64 key)
{
	return ba_exact_from_bits((uint64) (key ^ ((key >> 63) & PG_INT64_MAX)));
}

/*
 * Has a running aggregate's transition value room for one more input? A state in a
 * short or compressed varlena, or one in canonical form, is nobody's transition
 * value for long: those fail the test.
 */
static inline bool
ba_agg_can_push(const BaAggState *s, BaAggKind kind)
{
	return VARATT_IS_4B_U(s) && s->form == (kind | BA_AGG_WORKING) && s->tail < VARSIZE_4B(s);
}

/*
 * The fast path of a transition function: where this holds, the state is ours to
 * change in place (it is the transition value of a running aggregate) and has room.
 */
static inline bool
ba_agg_has_room(FunctionCallInfo fcinfo, const BaAggState *s, BaAggKind kind)
{
	return ba_agg_can_push(s, kind) && fcinfo->context != NULL && IsA(fcinfo->context, AggState);
}

static inline void
ba_agg_push(BaAggState *s, double value)
{
	memcpy((char *) s + s->tail, &value, sizeof(value));
	s->tail += sizeof(value);
}

/* in agg_state.c */
extern bool ba_agg_knows_parts(BaAggKind kind, uint8 parts);
extern bool ba_agg_is_sound(const BaAggState *s, BaAggKind kind);
extern BaAggState *ba_agg_create(BaAggKind kind, uint8 parts, const BaAggWindow *windows);
extern int64 *ba_agg_chunks(BaAggState *s, int window);
extern BaAggExtremes *ba_agg_extremes(BaAggState *s);
extern int64 *ba_agg_counts(BaAggState *s);
extern bool ba_agg_has_pending(const BaAggState *s);
extern int64 ba_agg_count(const BaAggState *s, int axis, BaAggCount which);
extern int64 ba_agg_count_finite(const BaAggState *s, int axis);
extern void ba_agg_get_sum(const BaAggState *s, int window, BaExactBig *sum);
extern BaAggValue ba_agg_value_from_double(double value);
extern BaAggValue ba_agg_value_from_int64(int64 value);
extern BaAggState *ba_agg_add(BaAggState *s, const BaAggValue *values);
extern BaAggState *ba_agg_remove(BaAggState *s, const BaAggValue *values);
extern BaAggState *ba_agg_fold(BaAggState *s);
extern BaAggState *ba_agg_make_room(BaAggState *s);
extern BaAggState *ba_agg_merge(BaAggState *s, const BaAggState *other);

/* in agg_canon.c */
extern struct varlena *ba_agg_freeze(BaAggState *s);
extern const char *ba_agg_thaw(const uint8 *bytes, size_t len, BaAggKind kind, bool trusted,
							   BaAggState **state);

/* in agg_io.c */
extern BaAggState *ba_agg_get(Datum datum, BaAggKind kind);
extern BaAggState *ba_agg_own(FunctionCallInfo fcinfo, BaAggKind kind);
extern struct varlena *ba_agg_get_canonical(Datum datum, BaAggKind kind);
extern Datum ba_agg_advance(FunctionCallInfo fcinfo, BaAggKind kind, const BaAggValue *values);
extern Datum ba_agg_retract(FunctionCallInfo fcinfo, BaAggKind kind, const BaAggValue *values);

/* in agg_io.c, agg_stats.c, agg_stats2d.c: transition functions, named for who knows their states */
extern PGDLLEXPORT Datum batchagg_stats_combine(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats2d_combine(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats_trans_int2(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats_trans_int4(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats_trans_int8(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats_trans_float4(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats_trans_float8(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats2d_trans_float8_float8(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats2d_trans_float8_int8(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats2d_trans_int8_float8(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_stats2d_trans_int8_int8(PG_FUNCTION_ARGS);

/* in agg_result.c */
extern BaAggResult ba_agg_sum(const BaAggState *s, int axis, BaExactFormat format);
extern BaAggResult ba_agg_average(const BaAggState *s, int axis);
extern BaAggResult ba_agg_variance(const BaAggState *s, int axis, bool population);
extern BaAggResult ba_agg_stddev(const BaAggState *s, int axis, bool population);
extern BaAggResult ba_agg_min(const BaAggState *s);
extern BaAggResult ba_agg_max(const BaAggState *s);
extern BaAggResult ba_agg_covariance(const BaAggState *s, bool population);
extern BaAggResult ba_agg_corr(const BaAggState *s);
extern BaAggResult ba_agg_slope(const BaAggState *s);
extern BaAggResult ba_agg_intercept(const BaAggState *s);
extern BaAggResult ba_agg_determination(const BaAggState *s);
extern void ba_agg_central_moment(const BaAggState *s, int64 n, int a, int b, BaExactBig *moment);

#endif
