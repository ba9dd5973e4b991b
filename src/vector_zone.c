/*
 * vector_zone.c
 *		The session's time zone: local times of vectors, and when days begin.
 *
 * A zone's offset from UTC changes some times a year. Time is cut into stretches of 2^41
 * microseconds, 25 days; for each stretch that was met it is kept which offset holds in it, or which two
 * do, and when the one follows the other. Rarely there are three, and core is asked for
 * each value then. When a day begins depends on rules for hours that the clock
 * shows twice or never, so core is asked for it, once a day that was met.
 *
 * What was found out is kept in two direct-mapped caches of the process, until another zone is set.
 * Time zones are never unloaded, nor does one change: an address stands for a zone.
 */
#include "postgres.h"

#include "pgtime.h"
#include "utils/datetime.h"

#include "vector_time.h"

/* A stretch of time. */
typedef struct Stretch
{
	int64 number;
	int64 change; /* when the offset becomes `after` */
	int64 before;
	int64 after;
	bool constant_rule; /* the fields above hold */
} Stretch;

/* The beginning of a day. */
typedef struct Midnight
{
	int32 day;
	bool valid; /* it is in the range of timestamps */
	int64 time;
} Midnight;

#define STRETCH_BITS 41
#define NSTRETCHES 512
#define NMIDNIGHTS 4096
#define NO_STRETCH PG_INT64_MAX
#define NO_DAY PG_INT32_MAX

#define EPOCH_SECONDS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

static pg_tz *cached_zone = NULL;
static Stretch stretches[NSTRETCHES];
static Midnight midnights[NMIDNIGHTS];

/*
 * Empties the caches if they are of another zone.
 */
static void
check_zone(void)
{
	if (cached_zone == session_timezone)
		return;
	for (int i = 0; i < NSTRETCHES; i++)
		stretches[i].number = NO_STRETCH;
	for (int i = 0; i < NMIDNIGHTS; i++)
		midnights[i].day = NO_DAY;
	cached_zone = session_timezone;
}

/* Seconds since 1970, as core's time zone code counts. */
static pg_time_t
get_seconds(int64 time)
{
	int64 seconds = time / USECS_PER_SEC - (time % USECS_PER_SEC < 0);

	return (pg_time_t) (seconds + EPOCH_SECONDS);
}

/* The offset in microseconds at a time, by core. */
static int64
get_offset(int64 time)
{
	pg_time_t seconds = get_seconds(time);

	return pg_localtime(&seconds, cached_zone)->tm_gmtoff * USECS_PER_SEC;
}

/*
 * Finds out what holds in a stretch. The list of changes is checked against pg_localtime at its
 * ends, as they extrapolate in different ways.
 */
static void
fill_stretch(Stretch *stretch, int64 number)
{
	int64 start = number << STRETCH_BITS;
	int64 last = start + (INT64CONST(1) << STRETCH_BITS) - 1;
	pg_time_t seconds = get_seconds(start);
	long before;
	long after;
	int isdst;
	pg_time_t change;
	int found =
		pg_next_dst_boundary(&seconds, &before, &isdst, &change, &after, &isdst, cached_zone);

	stretch->number = number;
	stretch->before = before * USECS_PER_SEC;
	stretch->constant_rule = false;
	if (found < 0)
		return;
	if (found == 0 || change > get_seconds(last))
	{
		stretch->change = PG_INT64_MAX;
		stretch->after = stretch->before;
	}
	else
	{
		stretch->change = (change - EPOCH_SECONDS) * USECS_PER_SEC;
		stretch->after = after * USECS_PER_SEC;
		seconds = change;
		found =
			pg_next_dst_boundary(&seconds, &before, &isdst, &change, &after, &isdst, cached_zone);
		if (found < 0 || (found > 0 && change <= get_seconds(last)) ||
			get_offset(stretch->change) != stretch->after ||
			get_offset(stretch->change - 1) != stretch->before)
			return;
	}
	stretch->constant_rule =
		get_offset(start) == stretch->before && get_offset(last) == stretch->after;
}

/*
 * Sets local[i] to the clock's time in the session's zone at times[i]. What is no time or infinite
 * stays as it is, and local times may be out of range.
 */
void
ba_zone_to_local(const int64 *times, int n, int64 *local)
{
	check_zone();
	for (int i = 0; i < n; i++)
	{
		int64 time = times[i];
		int64 number = time >> STRETCH_BITS;
		Stretch *stretch = &stretches[number & (NSTRETCHES - 1)];

		if (unlikely(stretch->number != number || !stretch->constant_rule))
		{
			if (ba_time_since_first(time) >= BA_TIME_LIMIT)
			{
				local[i] = time;
				continue;
			}
			if (stretch->number != number)
				fill_stretch(stretch, number);
			if (!stretch->constant_rule)
			{
				local[i] = time + get_offset(time);
				continue;
			}
		}
		local[i] = time + (time < stretch->change ? stretch->before : stretch->after);
	}
}

static void
fill_midnight(Midnight *midnight, int32 day)
{
	struct pg_tm tm = {0};
	int64 time = ba_time_of_day(day);

	j2date(day, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	time += DetermineTimeZoneOffset(&tm, cached_zone) * USECS_PER_SEC;
	midnight->day = day;
	midnight->time = time;
	midnight->valid = IS_VALID_TIMESTAMP(time);
}

/*
 * Sets times[i] to when a day begins in the session's zone. False if one does so out of the range of
 * timestamps; the days must be in it.
 */
bool
ba_zone_to_midnight(const int32 *days, int n, int64 *times)
{
	bool valid = true;

	check_zone();
	for (int i = 0; i < n; i++)
	{
		Midnight *midnight = &midnights[days[i] & (NMIDNIGHTS - 1)];

		if (unlikely(midnight->day != days[i]))
			fill_midnight(midnight, days[i]);
		times[i] = midnight->time;
		valid &= midnight->valid;
	}
	return valid;
}
