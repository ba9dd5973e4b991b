-- Dates and times in the engine: every operation over odd times, by the engine and by core. check_keys and
-- its like show only what is not as it should be.
LOAD 'batchagg';
SET jit = off;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set vector_check :srcdir '/lib/engine_vector_check.sql'
\i :vector_check
\set ECHO all
SET max_parallel_workers_per_gather = 0;
SET datestyle = 'ISO';
SET timezone = 'UTC';

-- Six thousand years at a bit more than a day from each other, two centuries at some hours, times far off, some
-- years in minutes around what clocks did, and nulls.
CREATE TABLE times AS
SELECT i, n, CASE WHEN i % 11 > 0 THEN at END AS ts, CASE WHEN i % 13 > 0 THEN at AT TIME ZONE 'UTC' END AS tz, CASE WHEN i % 7 > 0 THEN at::date END AS d
FROM (SELECT i, i % 50 AS n, CASE i % 4
		WHEN 0 THEN timestamp '3990-01-02 00:00:00.5 BC' + i * interval '527 days 13 hours 17.123456 seconds'
		WHEN 1 THEN timestamp '1880-01-01' + i * interval '19 days 3 hours 7.654321 seconds'
		WHEN 2 THEN timestamp '2300-01-01 23:59:59.999999' + i * interval '22000 days 3 hours'
		ELSE timestamp '2009-08-01' + i * interval '542 minutes 0.5 seconds' END AS at
	FROM generate_series(1, 4000) AS i) AS s;
ANALYZE times;

-- each unit of date_trunc, each field of extract
CREATE FUNCTION pg_temp.units(format text, VARIADIC more text[] DEFAULT '{}') RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(format(format, u)) FROM unnest('{microseconds,millisecond,second,minute,HOUR,day,week,Month,qtr,year,decades,century,mil}'::text[] || more) AS u
$$;
SELECT * FROM pg_temp.check_keys('times', VARIADIC pg_temp.units('date_trunc(%L, ts)', 'h', 'y', 'm', 's', 'us'));
SELECT * FROM pg_temp.check_keys('times', VARIADIC pg_temp.units('extract(%s FROM ts)', 'dow', 'isodow', 'doy', 'isoyear', 'epoch', 'h', 'm'));
SELECT * FROM pg_temp.check_keys('times', VARIADIC pg_temp.units('date_part(%L, ts)', 'dow', 'isodow', 'doy', 'isoyear', 'epoch'));
SELECT * FROM pg_temp.check_keys('times', 'extract(day FROM d)', 'extract(week FROM d)', 'extract(month FROM d)', 'extract(quarter FROM d)', 'extract(year FROM d)', 'extract(decade FROM d)',
	'extract(century FROM d)', 'extract(millennium FROM d)', 'extract(dow FROM d)', 'extract(isodow FROM d)', 'extract(doy FROM d)', 'extract(isoyear FROM d)', 'extract(epoch FROM d)', 'date_part(''year'', d)');
-- left to core: what is no unit of the type, Julian days, a unit of a column
SELECT e, c.run_by, c.same FROM unnest('{"extract(julian FROM ts)","extract(julian FROM d)","date_trunc(''dow'', ts)","date_trunc(''nonsense'', ts)","extract(nonsense FROM ts)","extract(hour FROM d)","extract(timezone FROM ts)",
		"date_part(CASE WHEN n > 25 THEN ''day'' ELSE ''month'' END, ts)","date_trunc(NULL, ts)"}'::text[]) AS e,
	pg_temp.engine_check(format('SELECT %s, count(*) FROM times GROUP BY 1', e)) AS c;

-- in time zones: with hours that the clock shows twice or never, at midnight too; days that were left out; half hours, seconds;
-- clocks that changed twice within three weeks
CREATE FUNCTION pg_temp.check_zones(zones text[], relation text, expressions text[],
	OUT zone text, OUT expression text, OUT run_by text, OUT same boolean, OUT by_core int) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
	FOREACH zone IN ARRAY zones LOOP
		PERFORM set_config('timezone', zone, false);
		FOR expression, run_by, same, by_core IN SELECT * FROM pg_temp.check_keys(relation, VARIADIC expressions) LOOP
			RETURN NEXT;
		END LOOP;
	END LOOP;
END $$;
SELECT * FROM pg_temp.check_zones('{UTC,Europe/Berlin,America/New_York,Africa/Cairo,Africa/Casablanca,America/Havana,America/Santiago,Asia/Kathmandu,Asia/Tehran,Australia/Lord_Howe,Pacific/Apia,Africa/Monrovia,<+03:07>-03:07}',
	'times', pg_temp.units('date_trunc(%L, tz)') || '{tz::date,tz::timestamp,d::timestamptz,"date_trunc(''month'', d)",extract(hour FROM tz),extract(dow FROM tz)}'::text[]);
SET timezone = 'Europe/Berlin';
SELECT * FROM pg_temp.check_keys('times', VARIADIC pg_temp.units('extract(%s FROM tz)', 'dow', 'isodow', 'doy', 'isoyear', 'epoch'));
SELECT * FROM pg_temp.check_keys('times', VARIADIC pg_temp.units('date_part(%L, tz)', 'dow', 'isodow', 'doy', 'isoyear', 'epoch'));
-- every minute of the days on which clocks change
CREATE TABLE changes AS
SELECT i, start + i * interval '1 minute' AS tz FROM generate_series(0, 2999) AS i,
	unnest('{2001-03-24 20:00Z,2001-10-27 20:00Z,2010-08-10 20:00Z,2010-09-30 00:00Z,2011-12-29 00:00Z,2018-11-04 00:00Z}'::timestamptz[]) AS start;
ANALYZE changes;
SELECT * FROM pg_temp.check_zones('{Europe/Berlin,Africa/Cairo,America/Havana,Pacific/Apia,America/Sao_Paulo,Australia/Lord_Howe}',
	'changes', pg_temp.units('date_trunc(%L, tz)') || '{tz::date,tz::timestamp,tz::date::timestamptz,extract(hour FROM tz)}'::text[]);
-- the zone may change from query to query
SET batchagg.debug_force_engine = on;
PREPARE per_day AS SELECT count(DISTINCT day), max(rows) FROM (SELECT date_trunc('day', tz) AS day, count(*) AS rows FROM changes GROUP BY 1) AS s;
SET timezone = 'Pacific/Apia';
EXECUTE per_day;
SET timezone = 'Europe/Berlin';
EXECUTE per_day;
DEALLOCATE per_day;
-- other zones' functions are core's
SELECT e, c.run_by, c.same FROM unnest('{"tz AT TIME ZONE ''Asia/Tehran''","date_trunc(''day'', tz, ''Asia/Tehran'')","extract(timezone FROM tz)","ts::timestamptz"}'::text[]) AS e,
	pg_temp.engine_check(format('SELECT %s, count(*) FROM times GROUP BY 1', e)) AS c;

-- casts and arithmetic
SELECT * FROM pg_temp.check_keys('times', 'd::timestamp', 'ts::date', 'ts::time', 'd + n', 'd - n', 'n + d', 'd + 3', 'd - ts::date', 'd - date ''2000-01-01''', 'date ''2000-01-01'' - d',
	'ts + interval ''3 days 4 hours''', 'ts - interval ''3 days 4 hours 0.000001 seconds''', 'ts + n * interval ''1 day''', 'd + interval ''40 hours''', 'd - interval ''-1 day 1 second''',
	'tz + interval ''36 hours''', 'tz - interval ''5 minutes''', 'interval ''1 day'' + ts', 'ts + NULL::interval');
SELECT e, c.run_by, c.same FROM unnest('{"ts + interval ''1 month''","d - interval ''1 year 2 days''","tz + interval ''1 day''"}'::text[]) AS e,
	pg_temp.engine_check(format('SELECT %s, count(*) FROM times GROUP BY 1', e)) AS c;

-- intervals
SELECT * FROM pg_temp.check_keys('times', 'ts - timestamp ''2000-01-01 12:00''', 'timestamp ''2000-01-01'' - ts', 'tz - date_trunc(''day'', tz)', 'ts - d', 'extract(epoch FROM ts - timestamp ''2000-01-01'')',
	'date_part(''epoch'', timestamp ''2000-01-01 01:02:03.4'' - ts)');
SELECT * FROM pg_temp.check_comparisons('times', 'ts - d', 'interval ''12:00''', 'ts - timestamp ''2000-01-01''', 'interval ''100 years''', 'interval ''1 month''', 'ts - timestamp ''2010-01-01''', 'tz - tz', 'interval ''0''');
SELECT e, c.run_by, c.same FROM unnest('{"extract(epoch FROM n * interval ''1 month'')","extract(day FROM ts - d)","date_part(''epoch'', interval ''2000000000 days'' + n * interval ''1 second'')","extract(epoch FROM interval ''2000000000 days'' + n * interval ''1 second'')",
		"n * interval ''1 day'' < interval ''1 month''"}'::text[]) AS e,
	pg_temp.engine_check(format('SELECT %s, count(*) FROM times GROUP BY 1', e)) AS c;

-- comparisons
SELECT * FROM pg_temp.check_comparisons('times', 'ts', 'timestamp ''1999-12-31 23:59:59.999999''', 'd', 'date ''1999-12-31''', 'd', 'ts', 'ts', 'd', 'd', 'tz', 'tz', 'd', 'ts', 'date ''1999-12-31''',
	'timestamp ''2000-01-01''', 'd', 'tz', 'date ''1999-03-28''', 'date ''1999-12-31''', 'tz', 'ts', 'date_trunc(''day'', ts)', 'd', 'NULL::timestamp', 'tz', 'tz::date',
	'd', 'timestamp ''2010-01-01''', 'd', 'timestamp ''1990-01-01 00:00:00.000001''', 'timestamp ''1989-12-31 23:59:59.999999''', 'd', 'd', 'timestamp ''epoch''');

-- at the ends of what there is
CREATE TABLE ends (i int, ts timestamp, tz timestamptz, d date);
INSERT INTO ends VALUES (1, 'infinity', 'infinity', 'infinity'), (2, '-infinity', '-infinity', '-infinity'), (3, '2001-02-03 04:05:06', '2001-02-03 04:05:06', '2001-02-03'), (4, NULL, NULL, NULL);
ANALYZE ends;
SELECT * FROM pg_temp.check_keys('ends', VARIADIC pg_temp.units('date_trunc(%L, ts)'));
SELECT * FROM pg_temp.check_keys('ends', VARIADIC pg_temp.units('date_trunc(%L, tz)'));
SELECT * FROM pg_temp.check_keys('ends', 'ts::date', 'tz::date', 'tz::timestamp', 'd::timestamp', 'd::timestamptz');
SELECT * FROM pg_temp.check_comparisons('ends', 'ts', 'd', 'd', 'tz', 'tz', 'date ''infinity''', 'date ''-infinity''', 'ts', 'ts', 'date ''5000000-01-01''', 'd', 'timestamp ''infinity''', 'd', 'timestamp ''-infinity''',
	'd', 'timestamp ''4714-11-24 BC''', 'timestamp ''294276-12-31''', 'd', 'd', 'timestamp ''294276-12-31 23:59:59.999999''');
SELECT e, c.same, c.answer FROM unnest('{"d + 1","d - i","d - date ''2000-01-01''","ts::time","ts + interval ''1 day''","d + interval ''1 day''","extract(year FROM ts)","extract(month FROM tz)","extract(epoch FROM ts)",
		"date_part(''year'', ts)","extract(epoch FROM d)"}'::text[]) AS e,
	pg_temp.engine_check(format('SELECT %s, count(*) FROM ends WHERE i <> 2 GROUP BY 1', e)) AS c;
TRUNCATE ends;
INSERT INTO ends VALUES (1, '4714-11-24 00:00:00 BC', '4714-11-24 00:00:00Z BC', '4714-11-24 BC'), (2, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999Z', '294276-12-31'),
	(3, '4714-11-24 20:00:00 BC', '4714-11-24 20:00:00Z BC', '4714-11-25 BC'), (4, '294276-12-30 20:00:00', '294276-12-31 08:00:00Z', '294276-12-30');
CREATE FUNCTION pg_temp.is_same_in(zone text, query text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('timezone', zone, false);
	RETURN pg_temp.is_same(query);
END $$;
SELECT z, i, e
FROM generate_series(1, 4) AS i, unnest('{"date_trunc(''day'', ts)","date_trunc(''month'', ts)","date_trunc(''week'', ts)","date_trunc(''millennium'', ts)","date_trunc(''minute'', tz)","date_trunc(''hour'', tz)","date_trunc(''day'', tz)","date_trunc(''week'', tz)",
		"date_trunc(''month'', tz)","date_trunc(''year'', tz)","tz::date","tz::timestamp","d::timestamptz","extract(week FROM ts)","extract(isoyear FROM ts)","extract(epoch FROM ts)","extract(hour FROM tz)","extract(day FROM tz)","extract(year FROM tz)","ts - interval ''1 microsecond''",
		"ts + interval ''1 microsecond''","ts + interval ''1 day -24 hours''","d - 1","d < tz","ts > d"}'::text[]) AS e,
	unnest('{America/New_York,Asia/Tokyo,Australia/Lord_Howe,UTC}'::text[]) AS z, unnest('{"%s, count(*)","count(%s)"}'::text[]) AS f
WHERE NOT pg_temp.is_same_in(z, format('SELECT ' || f || ' FROM ends WHERE i = %s GROUP BY %1$s', e, i));
SET timezone = 'UTC';
TRUNCATE ends;
-- A decade, century or millennium may begin before the first timestamp: an error then. They are counted, as printing would raise it in any case.
TRUNCATE ends;
INSERT INTO ends SELECT y, make_timestamp(-y, 3, 1, 0, 0, 0), make_timestamp(-y, 3, 1, 0, 0, 0) AT TIME ZONE 'UTC' FROM unnest('{4713,4711,4702,4701,4700,4601,4002,4001,4000,3999}'::int[]) AS y;
SELECT i, u, c.run_by, c.same, c.answer
FROM unnest('{decade,century,millennium}'::text[]) AS u, ends,
	pg_temp.engine_check(format('SELECT count(date_trunc(%L, ts)), count(date_trunc(%1$L, tz)) FROM ends WHERE i = %s', u, i)) AS c
ORDER BY u, i DESC;
TRUNCATE ends;
INSERT INTO ends (i, d) VALUES (1, '5874897-12-31'), (2, '4714-11-24 BC'), (3, '294277-01-01'), (4, '2939000-05-05');
SELECT i, e, pg_temp.is_same(format('SELECT %s, count(*) FROM ends WHERE i = %s GROUP BY 1', e, i)) AS same
FROM generate_series(1, 4) AS i, unnest('{"extract(year FROM d)","extract(week FROM d)","extract(epoch FROM d)","d::timestamp","d::timestamptz","d + 1","d - 1","d - date ''4714-11-24 BC''","d < timestamp ''infinity''","d > timestamptz ''294276-12-31''","d + interval ''-1 day''"}'::text[]) AS e
WHERE NOT pg_temp.is_same(format('SELECT %s, count(*) FROM ends WHERE i = %s GROUP BY 1', e, i));

DROP TABLE times, changes, ends;
