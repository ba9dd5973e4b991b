/*
 * vector_ops_time.c
 *		Operations on date, timestamp, timestamptz and interval.
 *
 * Comparisons of values of one type are those of integers (vector_ops_int.c). Here are those
 * between types, casts and arithmetic. Values that are infinite are cast and compared; with
 * arithmetic, and where a result would be out of range, the operation gives up.
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/date.h"
#include "utils/fmgroids.h"

#include "vector_ops.h"
#include "vector_time.h"

/* The first date that is no timestamp any more. */
#define DATE_LIMIT (TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)

/* Makes a node's result ready, with the nulls of its operands; b may be NULL. */
static BaVector *
begin_result(BaExpr *expr, const BaVector *a, const BaVector *b, int n)
{
	BaVector *result = ba_expr_begin_result(expr, expr->result.type.lane);

	result->nulls =
		unconstify(bool *, ba_vector_unite_nulls(ba_vector_null_buffer(result), a->nulls,
												 b == NULL ? NULL : b->nulls, n));
	return result;
}

static inline bool
is_null(const BaVector *vector, int row)
{
	return vector->nulls != NULL && vector->nulls[row];
}

/*
 * A date as a timestamp that sorts as the date does: one that no timestamp reaches is between
 * all of them and infinity.
 */
static inline int64
get_comparable(int64 date)
{
	if (unlikely(DATE_NOT_FINITE(date)))
		return DATE_IS_NOEND(date) ? DT_NOEND : DT_NOBEGIN;
	return date < DATE_LIMIT ? date * USECS_PER_DAY : DT_NOEND - 1;
}

/*
 * Sets out[i] to what compares with timestamps, or timestamptz, as the date dates[i] does. Gives
 * up on dates in a zone at the ends of what timestamps can be.
 */
static bool
make_comparable(const BaVector *dates, int n, bool with_zone, int32 *days, int64 *out)
{
	bool odd = false;

	for (int i = 0; i < n; i++)
		out[i] = get_comparable(dates->ints[i]);
	if (!with_zone)
		return true;
	for (int i = 0; i < n; i++)
	{
		bool in_range = ba_time_since_first(out[i]) < BA_TIME_LIMIT;

		odd |= !in_range;
		days[i] = in_range ? dates->ints[i] + POSTGRES_EPOCH_JDATE : POSTGRES_EPOCH_JDATE;
	}
	if (!ba_zone_to_midnight(days, n, out))
		return false;
	for (int i = 0; odd && i < n; i++)
		if (ba_time_since_first(get_comparable(dates->ints[i])) >= BA_TIME_LIMIT)
			out[i] = get_comparable(dates->ints[i]);
	return true;
}

/* Room for a vector of dates on its way to times. */
typedef struct DateNode
{
	int32 days[BA_VECTOR_ROWS];
	int64 times[BA_VECTOR_ROWS];
} DateNode;

static DateNode *
get_node(BaExpr *expr)
{
	if (expr->private == NULL)
		expr->private = MemoryContextAlloc(expr->program->memory, sizeof(DateNode));
	return expr->private;
}

typedef enum Operator
{
	OPERATOR_EQ,
	OPERATOR_NE,
	OPERATOR_LT,
	OPERATOR_LE,
	OPERATOR_GE,
	OPERATOR_GT,
} Operator;

/* The operator with its operands exchanged. */
static Operator
commute(Operator operator)
{
	switch (operator)
	{
		case OPERATOR_LT:
			return OPERATOR_GT;
		case OPERATOR_LE:
			return OPERATOR_GE;
		case OPERATOR_GE:
			return OPERATOR_LE;
		case OPERATOR_GT:
			return OPERATOR_LT;
		default:
			return operator;
	}
}

/*
 * Sets the first date that sorts with a timestamp or behind it, and the first that sorts behind it.
 */
static void
find_bounds(Timestamp time, int64 *first_at, int64 *first_behind)
{
	int64 days = time / USECS_PER_DAY;

	if (TIMESTAMP_NOT_FINITE(time))
	{
		*first_at = TIMESTAMP_IS_NOEND(time) ? DATEVAL_NOEND : DATEVAL_NOBEGIN;
		*first_behind = *first_at + 1;
		return;
	}
	days -= days * USECS_PER_DAY > time;
	*first_at = days + (days * USECS_PER_DAY < time);
	*first_behind = days + 1;
}

BA_VECTOR_LOOP static void
find_before(int64 *restrict r, const int64 *dates, int64 bound, int n)
{
	for (int i = 0; i < n; i++)
		r[i] = dates[i] < bound;
}

BA_VECTOR_LOOP static void
find_from(int64 *restrict r, const int64 *dates, int64 bound, int n)
{
	for (int i = 0; i < n; i++)
		r[i] = dates[i] >= bound;
}

BA_VECTOR_LOOP static void
find_equal(int64 *restrict r, const int64 *dates, int64 first_at, int64 first_behind,
		   int64 if_equal, int n)
{
	for (int i = 0; i < n; i++)
		r[i] = (dates[i] >= first_at && dates[i] < first_behind) ? if_equal : !if_equal;
}

/*
 * Compares dates with one timestamp. As they sort as their midnights do, it is a date that they are
 * compared with, and none of them need be made a timestamp.
 */
static void
compare_with_timestamp(int64 *result, const int64 *dates, Operator operator, Timestamp time, int n)
{
	int64 first_at;
	int64 first_behind;

	find_bounds(time, &first_at, &first_behind);
	switch (operator)
	{
		case OPERATOR_EQ:
			find_equal(result, dates, first_at, first_behind, 1, n);
			break;
		case OPERATOR_NE:
			find_equal(result, dates, first_at, first_behind, 0, n);
			break;
		case OPERATOR_LT:
			find_before(result, dates, first_at, n);
			break;
		case OPERATOR_LE:
			find_before(result, dates, first_behind, n);
			break;
		case OPERATOR_GE:
			find_from(result, dates, first_at, n);
			break;
		case OPERATOR_GT:
			find_from(result, dates, first_behind, n);
			break;
	}
}

/*
 * Compares a time with a date, or a date with a time.
 */
static const BaVector *
compare(BaExpr *expr, BaRows *rows, Operator operator, bool date_first, bool with_zone)
{
	const BaVector *times = ba_expr_get(expr->args[date_first ? 1 : 0], rows);
	const BaVector *dates = ba_expr_get(expr->args[date_first ? 0 : 1], rows);
	DateNode *node = get_node(expr);
	BaVector *result;
	int n = rows->n;
	int64 constant;

	if (times == NULL || dates == NULL)
		return NULL;
	if (times->constant && !with_zone)
	{
		result = begin_result(expr, times, dates, n);
		compare_with_timestamp(result->ints, dates->ints, date_first ? operator : commute(operator),
							   times->ints[0], n);
		return result;
	}
	if (!make_comparable(dates, dates->constant ? 1 : n, with_zone, node->days, node->times))
		return NULL;
	result = begin_result(expr, times, dates, n);
	constant = node->times[0];

#define LOOP(operator)                                                                             \
	if (dates->constant)                                                                           \
		for (int i = 0; i < n; i++)                                                                \
			result->ints[i] = times->ints[i] operator constant;                                    \
	else                                                                                           \
		for (int i = 0; i < n; i++)                                                                \
			result->ints[i] = times->ints[i] operator node->times[i];                              \
	break

	switch (date_first ? commute(operator) : operator)
	{
		case OPERATOR_EQ:
			LOOP(==);
		case OPERATOR_NE:
			LOOP(!=);
		case OPERATOR_LT:
			LOOP(<);
		case OPERATOR_LE:
			LOOP(<=);
		case OPERATOR_GE:
			LOOP(>=);
		case OPERATOR_GT:
			LOOP(>);
	}
#undef LOOP
	return result;
}

#define COMPARISON(name, operator, date_first, with_zone)                                          \
	static const BaVector *name(BaExpr *expr, BaRows *rows)                                        \
	{                                                                                              \
		return compare(expr, rows, operator, date_first, with_zone);                               \
	}
#define COMPARISONS(name, date_first, with_zone)                                                   \
	COMPARISON(name##_eq, OPERATOR_EQ, date_first, with_zone)                                      \
	COMPARISON(name##_ne, OPERATOR_NE, date_first, with_zone)                                      \
	COMPARISON(name##_lt, OPERATOR_LT, date_first, with_zone)                                      \
	COMPARISON(name##_le, OPERATOR_LE, date_first, with_zone)                                      \
	COMPARISON(name##_ge, OPERATOR_GE, date_first, with_zone)                                      \
	COMPARISON(name##_gt, OPERATOR_GT, date_first, with_zone)

COMPARISONS(date_timestamp, true, false)
COMPARISONS(timestamp_date, false, false)
COMPARISONS(date_timestamptz, true, true)
COMPARISONS(timestamptz_date, false, true)

/*
 * date -> timestamp, timestamptz
 */
static const BaVector *
cast_date(BaExpr *expr, BaRows *rows, bool with_zone)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;

	if (a == NULL)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	if (!make_comparable(a, rows->n, with_zone, get_node(expr)->days, result->ints))
		return NULL;
	for (int i = 0; i < rows->n; i++)
		if (unlikely(result->ints[i] == DT_NOEND - 1))
			return NULL;
	return result;
}

static const BaVector *
cast_date_to_timestamp(BaExpr *expr, BaRows *rows)
{
	return cast_date(expr, rows, false);
}

static const BaVector *
cast_date_to_timestamptz(BaExpr *expr, BaRows *rows)
{
	return cast_date(expr, rows, true);
}

/*
 * timestamp, timestamptz -> date
 */
static const BaVector *
cast_to_date(BaExpr *expr, BaRows *rows, bool with_zone)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;
	const int64 *local;
	bool odd = false;

	if (a == NULL)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	local = a->ints;
	if (with_zone)
	{
		ba_zone_to_local(a->ints, rows->n, get_node(expr)->times);
		local = get_node(expr)->times;
	}
	for (int i = 0; i < rows->n; i++)
	{
		uint64 since_first = ba_time_since_first(local[i]);

		odd |= since_first >= BA_TIME_LIMIT;
		result->ints[i] = (int64) (since_first / USECS_PER_DAY) - POSTGRES_EPOCH_JDATE;
	}
	for (int i = 0; odd && i < rows->n; i++)
	{
		if (ba_time_since_first(local[i]) < BA_TIME_LIMIT || is_null(a, i))
			continue;
		if (!TIMESTAMP_NOT_FINITE(a->ints[i]))
			return NULL;
		result->ints[i] = TIMESTAMP_IS_NOEND(a->ints[i]) ? DATEVAL_NOEND : DATEVAL_NOBEGIN;
	}
	return result;
}

static const BaVector *
cast_timestamp_to_date(BaExpr *expr, BaRows *rows)
{
	return cast_to_date(expr, rows, false);
}

static const BaVector *
cast_timestamptz_to_date(BaExpr *expr, BaRows *rows)
{
	return cast_to_date(expr, rows, true);
}

/*
 * timestamptz -> timestamp
 */
static const BaVector *
cast_timestamptz_to_timestamp(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;

	if (a == NULL)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	ba_zone_to_local(a->ints, rows->n, result->ints);
	for (int i = 0; i < rows->n; i++)
	{
		if (likely(ba_time_since_first(result->ints[i]) < BA_TIME_LIMIT) || is_null(a, i))
			continue;
		if (!TIMESTAMP_NOT_FINITE(a->ints[i]))
			return NULL;
		result->ints[i] = a->ints[i];
	}
	return result;
}

/*
 * timestamp -> time
 */
static const BaVector *
cast_timestamp_to_time(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;
	bool odd = false;

	if (a == NULL)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		uint64 since_first = ba_time_since_first(a->ints[i]);

		odd |= since_first >= BA_TIME_LIMIT;
		result->ints[i] = since_first % USECS_PER_DAY;
	}
	return odd ? NULL : result;
}

/*
 * date + integer, date - integer
 */
static const BaVector *
add_days(BaExpr *expr, BaRows *rows, int sign)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	const BaVector *b = ba_expr_get(expr->args[1], rows);
	BaVector *result;
	bool odd = false;

	if (a == NULL || b == NULL)
		return NULL;
	result = begin_result(expr, a, b, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		int64 date = a->ints[i];
		int64 sum = date + sign * b->ints[i];

		odd |= DATE_NOT_FINITE(date) || !IS_VALID_DATE(sum);
		result->ints[i] = sum;
	}
	return odd ? NULL : result;
}

static const BaVector *
date_plus_days(BaExpr *expr, BaRows *rows)
{
	return add_days(expr, rows, 1);
}

static const BaVector *
date_minus_days(BaExpr *expr, BaRows *rows)
{
	return add_days(expr, rows, -1);
}

/*
 * date - date
 */
static const BaVector *
date_minus_date(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	const BaVector *b = ba_expr_get(expr->args[1], rows);
	BaVector *result;
	bool odd = false;

	if (a == NULL || b == NULL)
		return NULL;
	result = begin_result(expr, a, b, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		odd |= DATE_NOT_FINITE(a->ints[i]) || DATE_NOT_FINITE(b->ints[i]);
		result->ints[i] = a->ints[i] - b->ints[i];
	}
	return odd ? NULL : result;
}

/*
 * date, timestamp or timestamptz + or - interval, which is a timestamp or timestamptz. Gives up on
 * months, and in a zone on days; infinite intervals have months as well.
 */
static const BaVector *
add_interval(BaExpr *expr, BaRows *rows, int sign, bool from_date, bool with_zone)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	const BaVector *b = ba_expr_get(expr->args[1], rows);
	const int64 *times;
	BaVector *result;

	if (a == NULL || b == NULL)
		return NULL;
	times = a->ints;
	if (from_date)
	{
		times = get_node(expr)->times;
		make_comparable(a, rows->n, false, NULL, get_node(expr)->times);
	}
	result = begin_result(expr, a, b, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		const Interval *interval = (const Interval *) DatumGetPointer(b->datums[i]);
		int64 sum;

		if (interval == NULL)
			continue;
		/* the negation of the least integer is an affair of core's majors */
		if (interval->month != 0 || (with_zone && interval->day != 0) ||
			interval->time == PG_INT64_MIN || interval->day == PG_INT32_MIN ||
			ba_time_since_first(times[i]) >= BA_TIME_LIMIT)
		{
			if (is_null(a, i))
				continue;
			return NULL;
		}
		/* core checks the day that results, and then the time */
		if (pg_add_s64_overflow(times[i], sign * (interval->day * USECS_PER_DAY), &sum) ||
			!IS_VALID_TIMESTAMP(sum) || pg_add_s64_overflow(sum, sign * interval->time, &sum) ||
			!IS_VALID_TIMESTAMP(sum))
			return NULL;
		result->ints[i] = sum;
	}
	return result;
}

#define ADDITION(name, sign, from_date, with_zone)                                                 \
	static const BaVector *name(BaExpr *expr, BaRows *rows)                                        \
	{                                                                                              \
		return add_interval(expr, rows, sign, from_date, with_zone);                               \
	}

ADDITION(date_plus_interval, 1, true, false)
ADDITION(date_minus_interval, -1, true, false)
ADDITION(timestamp_plus_interval, 1, false, false)
ADDITION(timestamp_minus_interval, -1, false, false)
ADDITION(timestamptz_plus_interval, 1, false, true)
ADDITION(timestamptz_minus_interval, -1, false, true)

/*
 * timestamp - timestamp, which is days and the rest, of one sign.
 */
static const BaVector *
timestamp_minus_timestamp(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	const BaVector *b = ba_expr_get(expr->args[1], rows);
	BaVector *result;
	Interval *intervals;

	if (a == NULL || b == NULL)
		return NULL;
	result = begin_result(expr, a, b, rows->n);
	intervals = MemoryContextAlloc(rows->memory, BA_VECTOR_ROWS * sizeof(Interval));
	for (int i = 0; i < rows->n; i++)
	{
		int64 time;

		if (is_null(result, i))
		{
			result->datums[i] = (Datum) 0;
			continue;
		}
		if (TIMESTAMP_NOT_FINITE(a->ints[i]) || TIMESTAMP_NOT_FINITE(b->ints[i]) ||
			pg_sub_s64_overflow(a->ints[i], b->ints[i], &time))
			return NULL;
		intervals[i] = (Interval){
			.time = time % USECS_PER_DAY,
			.day = time / USECS_PER_DAY,
		};
		result->datums[i] = PointerGetDatum(&intervals[i]);
	}
	return result;
}

/* What intervals are compared by: microseconds, a month having 30 days. */
static inline int128
get_span(Datum datum)
{
	const Interval *interval = (const Interval *) DatumGetPointer(datum);

	if (interval == NULL)
		return 0;
	return (int128) (interval->month * INT64CONST(30) + interval->day) * USECS_PER_DAY +
		   interval->time;
}

/*
 * Compares intervals.
 */
static const BaVector *
compare_intervals(BaExpr *expr, BaRows *rows, Operator operator)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	const BaVector *b = ba_expr_get(expr->args[1], rows);
	BaVector *result;

	if (a == NULL || b == NULL)
		return NULL;
	result = begin_result(expr, a, b, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		int128 x = get_span(a->datums[i]);
		int128 y = get_span(b->datums[i]);
		bool less = x < y;
		bool greater = x > y;

		switch (operator)
		{
			case OPERATOR_EQ:
				result->ints[i] = !less && !greater;
				break;
			case OPERATOR_NE:
				result->ints[i] = less || greater;
				break;
			case OPERATOR_LT:
				result->ints[i] = less;
				break;
			case OPERATOR_LE:
				result->ints[i] = !greater;
				break;
			case OPERATOR_GE:
				result->ints[i] = !less;
				break;
			case OPERATOR_GT:
				result->ints[i] = greater;
				break;
		}
	}
	return result;
}

#undef COMPARISON
#define COMPARISON(name, operator, date_first, with_zone)                                          \
	static const BaVector *name(BaExpr *expr, BaRows *rows)                                        \
	{                                                                                              \
		return compare_intervals(expr, rows, operator);                                            \
	}
COMPARISONS(interval, , )

const BaOp ba_ops_time[] = {
	{F_DATE_TRUNC_TEXT_TIMESTAMP, ba_time_truncate_timestamp, BA_LANE_INT},
	{F_DATE_TRUNC_TEXT_TIMESTAMPTZ, ba_time_truncate_timestamptz, BA_LANE_INT},
	{F_EXTRACT_TEXT_TIMESTAMP, ba_time_extract_timestamp, BA_LANE_NUMERIC},
	{F_EXTRACT_TEXT_TIMESTAMPTZ, ba_time_extract_timestamptz, BA_LANE_NUMERIC},
	{F_EXTRACT_TEXT_DATE, ba_time_extract_date, BA_LANE_NUMERIC},
	{F_DATE_PART_TEXT_TIMESTAMP, ba_time_extract_timestamp, BA_LANE_FLOAT},
	{F_DATE_PART_TEXT_TIMESTAMPTZ, ba_time_extract_timestamptz, BA_LANE_FLOAT},
	{F_TIMESTAMP_DATE, cast_date_to_timestamp, BA_LANE_INT},
	{F_TIMESTAMPTZ_DATE, cast_date_to_timestamptz, BA_LANE_INT},
	{F_DATE_TIMESTAMP, cast_timestamp_to_date, BA_LANE_INT},
	{F_DATE_TIMESTAMPTZ, cast_timestamptz_to_date, BA_LANE_INT},
	{F_TIMESTAMP_TIMESTAMPTZ, cast_timestamptz_to_timestamp, BA_LANE_INT},
	{F_TIME_TIMESTAMP, cast_timestamp_to_time, BA_LANE_INT},
	{F_DATE_PLI, date_plus_days, BA_LANE_INT},
	{F_DATE_MII, date_minus_days, BA_LANE_INT},
	{F_DATE_MI, date_minus_date, BA_LANE_INT},
	{F_DATE_PL_INTERVAL, date_plus_interval, BA_LANE_INT},
	{F_DATE_MI_INTERVAL, date_minus_interval, BA_LANE_INT},
	{F_TIMESTAMP_PL_INTERVAL, timestamp_plus_interval, BA_LANE_INT},
	{F_TIMESTAMP_MI_INTERVAL, timestamp_minus_interval, BA_LANE_INT},
	{F_TIMESTAMPTZ_PL_INTERVAL, timestamptz_plus_interval, BA_LANE_INT},
	{F_TIMESTAMPTZ_MI_INTERVAL, timestamptz_minus_interval, BA_LANE_INT},
	{F_TIMESTAMP_MI, timestamp_minus_timestamp, BA_LANE_DATUM},
	{F_TIMESTAMPTZ_MI, timestamp_minus_timestamp, BA_LANE_DATUM},
	{F_EXTRACT_TEXT_INTERVAL, ba_time_extract_interval, BA_LANE_NUMERIC},
	{F_DATE_PART_TEXT_INTERVAL, ba_time_extract_interval, BA_LANE_FLOAT},
	{F_INTERVAL_EQ, interval_eq, BA_LANE_INT},
	{F_INTERVAL_NE, interval_ne, BA_LANE_INT},
	{F_INTERVAL_LT, interval_lt, BA_LANE_INT},
	{F_INTERVAL_LE, interval_le, BA_LANE_INT},
	{F_INTERVAL_GE, interval_ge, BA_LANE_INT},
	{F_INTERVAL_GT, interval_gt, BA_LANE_INT},
	{F_DATE_EQ_TIMESTAMP, date_timestamp_eq, BA_LANE_INT},
	{F_DATE_NE_TIMESTAMP, date_timestamp_ne, BA_LANE_INT},
	{F_DATE_LT_TIMESTAMP, date_timestamp_lt, BA_LANE_INT},
	{F_DATE_LE_TIMESTAMP, date_timestamp_le, BA_LANE_INT},
	{F_DATE_GE_TIMESTAMP, date_timestamp_ge, BA_LANE_INT},
	{F_DATE_GT_TIMESTAMP, date_timestamp_gt, BA_LANE_INT},
	{F_TIMESTAMP_EQ_DATE, timestamp_date_eq, BA_LANE_INT},
	{F_TIMESTAMP_NE_DATE, timestamp_date_ne, BA_LANE_INT},
	{F_TIMESTAMP_LT_DATE, timestamp_date_lt, BA_LANE_INT},
	{F_TIMESTAMP_LE_DATE, timestamp_date_le, BA_LANE_INT},
	{F_TIMESTAMP_GE_DATE, timestamp_date_ge, BA_LANE_INT},
	{F_TIMESTAMP_GT_DATE, timestamp_date_gt, BA_LANE_INT},
	{F_DATE_EQ_TIMESTAMPTZ, date_timestamptz_eq, BA_LANE_INT},
	{F_DATE_NE_TIMESTAMPTZ, date_timestamptz_ne, BA_LANE_INT},
	{F_DATE_LT_TIMESTAMPTZ, date_timestamptz_lt, BA_LANE_INT},
	{F_DATE_LE_TIMESTAMPTZ, date_timestamptz_le, BA_LANE_INT},
	{F_DATE_GE_TIMESTAMPTZ, date_timestamptz_ge, BA_LANE_INT},
	{F_DATE_GT_TIMESTAMPTZ, date_timestamptz_gt, BA_LANE_INT},
	{F_TIMESTAMPTZ_EQ_DATE, timestamptz_date_eq, BA_LANE_INT},
	{F_TIMESTAMPTZ_NE_DATE, timestamptz_date_ne, BA_LANE_INT},
	{F_TIMESTAMPTZ_LT_DATE, timestamptz_date_lt, BA_LANE_INT},
	{F_TIMESTAMPTZ_LE_DATE, timestamptz_date_le, BA_LANE_INT},
	{F_TIMESTAMPTZ_GE_DATE, timestamptz_date_ge, BA_LANE_INT},
	{F_TIMESTAMPTZ_GT_DATE, timestamptz_date_gt, BA_LANE_INT},
	{InvalidOid},
};
