/*
 * vector_time.h
 *		Dates and times in vectors: the calendar, and the session's time zone.
 *
 * Days are counted as Julian days, from 0 for the first day that a timestamp can have. Times are
 * microseconds, as they are stored. The calendar's arithmetic starts the year with March, so that a
 * leap day is the last of its year, and is good for all days below BA_DAY_LIMIT.
 */
#ifndef VECTOR_TIME_H
#define VECTOR_TIME_H

#include "utils/timestamp.h"

#include "vector.h"

#define DAYS_IN_400_YEARS 146097

/* Days from March 1st, -4800, to day 0. */
#define BA_DAY_SHIFT 32044

/* Four times a shifted day fits into 32 bits below this day, beyond the last timestamp's. */
#define BA_DAY_LIMIT ((1 << 30) - BA_DAY_SHIFT)

/* Timestamps there are, counted from the first. */
#define BA_TIME_LIMIT ((uint64) END_TIMESTAMP - (uint64) MIN_TIMESTAMP)

/* Microseconds since the first timestamp; BA_TIME_LIMIT or more for infinities. */
static inline uint64
ba_time_since_first(int64 time)
{
	return (uint64) time - (uint64) MIN_TIMESTAMP;
}

static inline int64
ba_time_of_day(uint32 day)
{
	return MIN_TIMESTAMP + day * USECS_PER_DAY;
}

/* A date of the Gregorian calendar. Year 0 is 1 BC. */
typedef struct BaCivil
{
	int year;
	int month;
	int day;
} BaCivil;

static inline BaCivil
ba_time_get_civil(uint32 day)
{
	uint32 quarters = 4 * (day + BA_DAY_SHIFT) + 3;
	uint32 century = quarters / DAYS_IN_400_YEARS;
	uint32 rest = (quarters % DAYS_IN_400_YEARS) | 3;
	uint32 year = rest / 1461;
	uint32 day_of_year = (rest % 1461) / 4;
	uint32 month = (5 * day_of_year + 2) / 153;
	bool next_year = month >= 10;

	return (BaCivil){
		.year = (int) (100 * century + year) - 4800 + next_year,
		.month = (int) month + (next_year ? -9 : 3),
		.day = (int) (day_of_year - (153 * month + 2) / 5 + 1),
	};
}

/* The day on which a month begins; negative before day 0. For years from -5200 on: the millennium
 * of the first timestamp begins in -4999. */
static inline int32
ba_time_month_start(int year, int month)
{
	bool last_year = month < 3;
	uint32 y = (uint32) (year + 4800 + 400 - last_year);
	uint32 m = (uint32) (month + (last_year ? 9 : -3));

	return (int32) (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5) - BA_DAY_SHIFT -
		   DAYS_IN_400_YEARS;
}

/* Division that rounds down. */
static inline int
ba_time_floor_div(int a, int b)
{
	return a / b - (a % b < 0);
}

/* in vector_zone.c: the session's time zone */
extern void ba_zone_to_local(const int64 *times, int n, int64 *local);
extern bool ba_zone_to_midnight(const int32 *days, int n, int64 *times);

/* in vector_fields.c: parts of dates and times */
extern const BaVector *ba_time_truncate_timestamp(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_time_truncate_timestamptz(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_time_extract_timestamp(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_time_extract_timestamptz(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_time_extract_date(BaExpr *expr, BaRows *rows);
extern const BaVector *ba_time_extract_interval(BaExpr *expr, BaRows *rows);

#endif
