/*
 * vector_fields.c
 *		date_trunc and extract, with a constant unit.
 *
 * Times are taken apart into days and the rest first, for the whole vector; what is left is
 * arithmetic on small integers. A timestamptz becomes the session's local time before that. Cut off
 * to days or more, it becomes the beginning of a day, whose time depends on the local date
 * only; cut off to less, what is cut off is the same in UTC, even where the clock was
 * just changed.
 *
 * Truncated infinities are infinities. Fields of infinities, "julian", and units that are unknown or
 * refused are left to core.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#include "vector_text.h"
#include "vector_time.h"

/*
 * A node: its unit, and room for what a vector is taken apart into.
 */
typedef struct FieldNode
{
	struct varlena *name; /* of the unit; NULL before the first */
	int type;             /* UNITS, RESERV, or what else core made of the name */
	bool special;         /* the name is not among those that date_trunc looks at */
	int unit;             /* DTK_… */
	int64 local[BA_VECTOR_ROWS];
	uint32 days[BA_VECTOR_ROWS];
	int32 starts[BA_VECTOR_ROWS];
} FieldNode;

/*
 * Reads the unit, the first argument. NULL unless it is a constant.
 */
static FieldNode *
get_node(BaExpr *expr, BaRows *rows)
{
	const BaVector *name = ba_expr_get(expr->args[0], rows);
	FieldNode *node = expr->private;
	BaString string;
	MemoryContext old;
	char *lower;

	if (name == NULL || !name->constant || name->extended || name->datums[0] == (Datum) 0)
		return NULL;
	string = ba_string_get(name->datums[0]);
	old = MemoryContextSwitchTo(expr->program->memory);
	if (node == NULL)
		node = expr->private = palloc0(sizeof(FieldNode));
	if (node->name == NULL || VARSIZE(node->name) != string.size + VARHDRSZ ||
		memcmp(VARDATA(node->name), string.bytes, string.size) != 0)
	{
		node->name = (struct varlena *) cstring_to_text_with_len(string.bytes, string.size);
		lower = downcase_truncate_identifier(string.bytes, string.size, false);
		node->type = DecodeUnits(0, lower, &node->unit);
		node->special = node->type == UNKNOWN_FIELD;
		if (node->special)
			node->type = DecodeSpecial(0, lower, &node->unit);
		pfree(lower);
	}
	MemoryContextSwitchTo(old);
	return node;
}

/*
 * The days of times, any for what is infinite or out of range; returns whether there was any such.
 */
static bool
split_days(const int64 *times, int n, uint32 *days)
{
	bool odd = false;

	for (int i = 0; i < n; i++)
	{
		uint64 since_first = ba_time_since_first(times[i]);

		odd |= since_first >= BA_TIME_LIMIT;
		days[i] = since_first >= BA_TIME_LIMIT ? POSTGRES_EPOCH_JDATE
											   : (uint32) (since_first / USECS_PER_DAY);
	}
	return odd;
}

/*
 * Sets out[i] to times[i] without what local[i] has beyond a multiple of `unit` microseconds;
 * returns whether one was infinite or out of range, or is now.
 */
static bool
cut_times(const int64 *times, const int64 *local, int n, int64 unit, int64 *out)
{
	bool odd = false;

#define CUT(unit)                                                                                  \
	for (int i = 0; i < n; i++)                                                                    \
	{                                                                                              \
		uint64 since_first = ba_time_since_first(local[i]);                                        \
                                                                                                   \
		out[i] = times[i] - (int64) (since_first % (unit));                                        \
		odd |= (since_first >= BA_TIME_LIMIT) | (out[i] < MIN_TIMESTAMP);                          \
	}

	/* constants make multiplications of the divisions */
	switch (unit)
	{
		case 1:
			CUT(UINT64CONST(1));
			break;
		case 1000:
			CUT(UINT64CONST(1000));
			break;
		case USECS_PER_SEC:
			CUT((uint64) USECS_PER_SEC);
			break;
		case USECS_PER_MINUTE:
			CUT((uint64) USECS_PER_MINUTE);
			break;
		case USECS_PER_HOUR:
			CUT((uint64) USECS_PER_HOUR);
			break;
		default:
			CUT((uint64) USECS_PER_DAY);
			break;
	}
#undef CUT
	return odd;
}

/*
 * Sets starts[i] to the first day of the week, month, … that days[i] is in; false if that is before
 * day 0.
 */
static bool
find_starts(const uint32 *days, int n, int unit, int32 *starts)
{
	bool valid = true;

#define START(expression)                                                                          \
	for (int i = 0; i < n; i++)                                                                    \
	{                                                                                              \
		BaCivil c = ba_time_get_civil(days[i]);                                                    \
                                                                                                   \
		starts[i] = (expression);                                                                  \
	}

	switch (unit)
	{
		case DTK_DAY:
			for (int i = 0; i < n; i++)
				starts[i] = days[i];
			break;
		case DTK_WEEK:
			/* day 0 was a Monday */
			for (int i = 0; i < n; i++)
				starts[i] = days[i] - days[i] % 7;
			break;
		case DTK_MONTH:
			START((int32) days[i] - (c.day - 1));
			break;
		case DTK_QUARTER:
			START(ba_time_month_start(c.year, (c.month - 1) / 3 * 3 + 1));
			break;
		case DTK_YEAR:
			START(ba_time_month_start(c.year, 1));
			break;
		case DTK_DECADE:
			START(ba_time_month_start(ba_time_floor_div(c.year, 10) * 10, 1));
			break;
		case DTK_CENTURY:
			START(ba_time_month_start(ba_time_floor_div(c.year - 1, 100) * 100 + 1, 1));
			break;
		case DTK_MILLENNIUM:
			START(ba_time_month_start(ba_time_floor_div(c.year - 1, 1000) * 1000 + 1, 1));
			break;
	}
#undef START
	for (int i = 0; i < n; i++)
		valid &= starts[i] >= 0;
	return valid;
}

/*
 * Puts infinities through. False if there is anything else that is no time, or is none by the local
 * clock, as some hours at either end are in a zone, or whose result is none.
 */
static bool
pass_infinities(const BaVector *times, const int64 *local, int n, int64 *out)
{
	for (int i = 0; i < n; i++)
	{
		int64 time = times->ints[i];

		if (ba_time_since_first(local[i]) < BA_TIME_LIMIT && out[i] >= MIN_TIMESTAMP)
			continue;
		if (!TIMESTAMP_NOT_FINITE(time) && !(times->nulls != NULL && times->nulls[i]))
			return false;
		out[i] = time;
	}
	return true;
}

static const BaVector *
truncate_all(BaExpr *expr, BaRows *rows, bool with_zone)
{
	FieldNode *node = get_node(expr, rows);
	const BaVector *times;
	const int64 *local;
	BaVector *result;
	int n = rows->n;
	int64 unit = 0;
	bool odd;

	if (node == NULL || node->special || node->type != UNITS)
		return NULL;
	switch (node->unit)
	{
		case DTK_MICROSEC:
			unit = 1;
			break;
		case DTK_MILLISEC:
			unit = 1000;
			break;
		case DTK_SECOND:
			unit = USECS_PER_SEC;
			break;
		case DTK_MINUTE:
			unit = USECS_PER_MINUTE;
			break;
		case DTK_HOUR:
			unit = USECS_PER_HOUR;
			break;
		case DTK_DAY:
			/* not so in a zone, where days have 23 or 25 hours */
			if (!with_zone)
				unit = USECS_PER_DAY;
			break;
		case DTK_WEEK:
		case DTK_MONTH:
		case DTK_QUARTER:
		case DTK_YEAR:
		case DTK_DECADE:
		case DTK_CENTURY:
		case DTK_MILLENNIUM:
			break;
		default:
			return NULL;
	}
	if ((times = ba_expr_get(expr->args[1], rows)) == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, BA_LANE_INT);
	result->nulls = times->nulls;
	local = times->ints;
	/* offsets are whole seconds */
	if (with_zone && (unit == 0 || unit > USECS_PER_SEC))
	{
		ba_zone_to_local(times->ints, n, node->local);
		local = node->local;
	}
	if (unit > 0)
		odd = cut_times(times->ints, local, n, unit, result->ints);
	else
	{
		odd = split_days(local, n, node->days);
		if (!find_starts(node->days, n, node->unit, node->starts))
			return NULL;
		if (!with_zone)
			for (int i = 0; i < n; i++)
				result->ints[i] = ba_time_of_day(node->starts[i]);
		else if (!ba_zone_to_midnight(node->starts, n, result->ints))
			return NULL;
	}
	if (odd && !pass_infinities(times, local, n, result->ints))
		return NULL;
	return result;
}

/*
 * date_trunc(text, timestamp)
 */
const BaVector *
ba_time_truncate_timestamp(BaExpr *expr, BaRows *rows)
{
	return truncate_all(expr, rows, false);
}

/*
 * date_trunc(text, timestamptz), by the session's time zone.
 */
const BaVector *
ba_time_truncate_timestamptz(BaExpr *expr, BaRows *rows)
{
	return truncate_all(expr, rows, true);
}

/* Years of our era count from 1, those before it from -1 downwards. */
static inline int
get_era_year(int year)
{
	return year > 0 ? year : year - 1;
}

/* The same for spans of years, the first of which begins with year 1. */
static inline int
get_era_span(int year, int span)
{
	int number = ba_time_floor_div(year - 1, span);

	return number >= 0 ? number + 1 : number;
}

/* The day of a week that decides which year the week belongs to. */
static inline uint32
get_thursday(uint32 day)
{
	return day - day % 7 + 3;
}

static inline int
get_day_of_year(uint32 day)
{
	return (int) day - ba_time_month_start(ba_time_get_civil(day).year, 1) + 1;
}

/*
 * Sets out[i] to a field of a date. False if it has no such.
 */
static bool
extract_day_field(const uint32 *days, int n, int unit, int64 *out)
{
#define FIELD(expression)                                                                          \
	for (int i = 0; i < n; i++)                                                                    \
	{                                                                                              \
		uint32 day = days[i];                                                                      \
                                                                                                   \
		out[i] = (expression);                                                                     \
	}                                                                                              \
	return true

	switch (unit)
	{
		case DTK_DAY:
			FIELD(ba_time_get_civil(day).day);
		case DTK_MONTH:
			FIELD(ba_time_get_civil(day).month);
		case DTK_QUARTER:
			FIELD((ba_time_get_civil(day).month - 1) / 3 + 1);
		case DTK_YEAR:
			FIELD(get_era_year(ba_time_get_civil(day).year));
		case DTK_DECADE:
			FIELD(ba_time_floor_div(ba_time_get_civil(day).year, 10));
		case DTK_CENTURY:
			FIELD(get_era_span(ba_time_get_civil(day).year, 100));
		case DTK_MILLENNIUM:
			FIELD(get_era_span(ba_time_get_civil(day).year, 1000));
		case DTK_WEEK:
			FIELD((get_day_of_year(get_thursday(day)) - 1) / 7 + 1);
		case DTK_ISOYEAR:
			FIELD(get_era_year(ba_time_get_civil(get_thursday(day)).year));
		case DTK_DOW:
			FIELD((day + 1) % 7);
		case DTK_ISODOW:
			FIELD(day % 7 + 1);
		case DTK_DOY:
			FIELD(get_day_of_year(day));
		default:
			return false;
	}
#undef FIELD
}

/*
 * Sets out[i] to a field of a time of day, in units of 10^-scale. False if it has no such.
 */
static bool
extract_time_field(const int64 *times, int n, int unit, int64 *out, int *scale)
{
#define FIELD(expression)                                                                          \
	for (int i = 0; i < n; i++)                                                                    \
	{                                                                                              \
		uint64 time = ba_time_since_first(times[i]);                                               \
                                                                                                   \
		out[i] = (expression);                                                                     \
	}                                                                                              \
	return true

	*scale = 0;
	switch (unit)
	{
		case DTK_HOUR:
			FIELD(time / USECS_PER_HOUR % HOURS_PER_DAY);
		case DTK_MINUTE:
			FIELD(time / USECS_PER_MINUTE % MINS_PER_HOUR);
		case DTK_SECOND:
			*scale = 6;
			FIELD(time % USECS_PER_MINUTE);
		case DTK_MILLISEC:
			*scale = 3;
			FIELD(time % USECS_PER_MINUTE);
		case DTK_MICROSEC:
			FIELD(time % USECS_PER_MINUTE);
		default:
			return false;
	}
#undef FIELD
}

/*
 * Replaces integers by what core's date_part has for them: the sum of whole seconds, or
 * milliseconds, and the rest, each rounded, as core adds them.
 */
static void
make_floats(BaVector *result, int n, int scale, bool epoch)
{
	for (int i = 0; i < n; i++)
	{
		int64 value = result->ints[i];

		if (scale == 0)
			result->floats[i] = (double) value;
		else if (epoch)
			result->floats[i] = value / 1000000.0;
		else if (scale == 6)
			result->floats[i] =
				(int) (value / USECS_PER_SEC) + (int) (value % USECS_PER_SEC) / 1000000.0;
		else
			result->floats[i] =
				(int) (value / USECS_PER_SEC) * 1000.0 + (int) (value % USECS_PER_SEC) / 1000.0;
	}
}

/*
 * extract and date_part, which differ in the type of the result, numeric or float8.
 */
static const BaVector *
extract_from_timestamp(BaExpr *expr, BaRows *rows, bool with_zone)
{
	FieldNode *node = get_node(expr, rows);
	bool as_float = expr->result.type.oid == FLOAT8OID;
	bool epoch;
	const BaVector *times;
	const int64 *local;
	BaVector *result;
	int n = rows->n;
	int scale = 0;

	if (node == NULL)
		return NULL;
	epoch = node->type == RESERV && node->unit == DTK_EPOCH;
	if ((!epoch && node->type != UNITS) || (times = ba_expr_get(expr->args[1], rows)) == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, as_float ? BA_LANE_FLOAT : BA_LANE_NUMERIC);
	result->nulls = times->nulls;
	local = times->ints;
	if (with_zone && !epoch)
	{
		ba_zone_to_local(times->ints, n, node->local);
		local = node->local;
	}
	if (split_days(local, n, node->days))
		return NULL;
	if (epoch)
	{
		int64 start = SetEpochTimestamp();

		scale = 6;
		for (int i = 0; i < n; i++)
			if (pg_sub_s64_overflow(times->ints[i], start, &result->ints[i]))
				return NULL;
	}
	else if (!extract_time_field(local, n, node->unit, result->ints, &scale) &&
			 !extract_day_field(node->days, n, node->unit, result->ints))
		return NULL;
	if (as_float)
		make_floats(result, n, scale, epoch);
	else
		result->scale = scale;
	return result;
}

/*
 * extract(field from timestamp), date_part(text, timestamp)
 */
const BaVector *
ba_time_extract_timestamp(BaExpr *expr, BaRows *rows)
{
	return extract_from_timestamp(expr, rows, false);
}

/*
 * extract(field from timestamptz), date_part(text, timestamptz)
 */
const BaVector *
ba_time_extract_timestamptz(BaExpr *expr, BaRows *rows)
{
	return extract_from_timestamp(expr, rows, true);
}

/*
 * extract(field from date)
 */
const BaVector *
ba_time_extract_date(BaExpr *expr, BaRows *rows)
{
	FieldNode *node = get_node(expr, rows);
	const BaVector *dates;
	BaVector *result;
	int n = rows->n;
	bool odd = false;

	if (node == NULL || (dates = ba_expr_get(expr->args[1], rows)) == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, BA_LANE_NUMERIC);
	result->nulls = dates->nulls;
	for (int i = 0; i < n; i++)
	{
		uint64 day = (uint64) (dates->ints[i] + POSTGRES_EPOCH_JDATE);

		odd |= day >= BA_DAY_LIMIT;
		node->days[i] = day >= BA_DAY_LIMIT ? 0 : (uint32) day;
	}
	if (odd)
		return NULL;
	if (node->type == RESERV && node->unit == DTK_EPOCH)
		for (int i = 0; i < n; i++)
			result->ints[i] = ((int64) node->days[i] - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	else if (node->type != UNITS || !extract_day_field(node->days, n, node->unit, result->ints))
		return NULL;
	result->scale = 0;
	return result;
}

/*
 * extract(epoch from interval), date_part('epoch', interval), of intervals without months. Other
 * fields are left to core.
 */
const BaVector *
ba_time_extract_interval(BaExpr *expr, BaRows *rows)
{
	FieldNode *node = get_node(expr, rows);
	bool as_float = expr->result.type.oid == FLOAT8OID;
	const BaVector *intervals;
	BaVector *result;

	if (node == NULL || node->type != RESERV || node->unit != DTK_EPOCH ||
		(intervals = ba_expr_get(expr->args[1], rows)) == NULL)
		return NULL;
	result = ba_expr_begin_result(expr, as_float ? BA_LANE_FLOAT : BA_LANE_NUMERIC);
	result->nulls = intervals->nulls;
	for (int i = 0; i < rows->n; i++)
	{
		const Interval *interval = (const Interval *) DatumGetPointer(intervals->datums[i]);

		result->ints[i] = 0;
		if (interval == NULL)
			continue;
		if (interval->month != 0)
			return NULL;
		if (as_float)
			result->floats[i] = interval->time / 1000000.0 + (double) SECS_PER_DAY * interval->day;
		else if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &result->ints[i]) ||
				 pg_add_s64_overflow(result->ints[i], interval->time, &result->ints[i]))
			return NULL;
	}
	if (!as_float)
		result->scale = 6;
	return result;
}
