-- What went wrong in other engines that aggregate by vectors. Each query names what failed there.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA engine_peers;
GRANT USAGE ON SCHEMA engine_peers TO PUBLIC;
SET search_path = engine_peers, batchagg;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set ECHO all
\set VERBOSITY terse
SET max_parallel_workers_per_gather = 0;
SET DateStyle = 'ISO';
SET TimeZone = 'UTC';

CREATE TABLE peers (
	i int, k2 int2, f4 float4, f8 float8, b8 bigint, t text, n numeric, d date, ts timestamp, tz timestamptz, nothing int);
INSERT INTO peers
SELECT i, i % 5, i / 4.0, i * 0.5, i * 1000000007::bigint, 'v' || i % 7, i / 8.0, date '2001-01-01' + i % 10,
	timestamp '2001-01-01' + i * interval '1 hour', timestamptz '2001-01-01' + i * interval '1 hour', NULL
FROM generate_series(1, 3000) i;
INSERT INTO peers (i, k2) VALUES (NULL, NULL), (NULL, 1), (5, NULL);
CREATE TABLE peers_outer AS SELECT o FROM generate_series(1, 4) o;
ANALYZE peers, peers_outer;

-- sum(real) returned a float8 (pgcolumnar)
SELECT * FROM pg_temp.engine_check('SELECT pg_typeof(sum(f4)), sum(f4), sum(f4) * 2 FROM peers WHERE i < 100');
SELECT * FROM pg_temp.engine_check('SELECT k2, sum(f4) FROM peers WHERE i < 100 GROUP BY k2');

-- a rescan accumulated on top of what was there (pgcolumnar)
SELECT * FROM pg_temp.engine_check('SELECT o, l.* FROM peers_outer, LATERAL (SELECT count(*), sum(i), min(t) FROM peers WHERE k2 = o) l');
SELECT * FROM pg_temp.engine_check('SELECT o, l.* FROM peers_outer, LATERAL (SELECT k2, count(*), sum(n) FROM peers WHERE k2 < o AND i < 50 GROUP BY k2) l');
SELECT * FROM pg_temp.engine_check('SELECT o, (SELECT sum(i) FROM peers WHERE i < o) FROM peers_outer');

-- avg and stddev share their state, and the simple one's spoiled the other's (timescaledb)
SELECT * FROM pg_temp.engine_check('SELECT avg(f8), stddev(f8), var_pop(f8), sum(f8) FROM peers WHERE i < 100');
SELECT * FROM pg_temp.engine_check('SELECT avg(n), stddev(n), variance(n), sum(n) FROM peers WHERE i < 100');
SELECT * FROM pg_temp.engine_check('SELECT k2, avg(b8), stddev(b8), sum(b8), avg(f4), stddev_pop(f4) FROM peers WHERE i < 50 GROUP BY k2');
SELECT * FROM pg_temp.engine_check('SELECT avg(i), sum(i), avg(i) FILTER (WHERE i < 3), sum(i) FILTER (WHERE i < 3) FROM peers');

-- NaN in min and max (timescaledb, twice): it is greater than any number, Infinity included
CREATE TABLE peers_nan (g int, f4 float4, f8 float8, n numeric);
INSERT INTO peers_nan VALUES (1, 'NaN', 'NaN', 'NaN'), (1, 1, 1, 1), (2, 1, 1, 1), (2, 'NaN', 'NaN', 'NaN'),
	(3, 'NaN', 'NaN', 'NaN'), (4, 'Infinity', 'Infinity', 'Infinity'), (4, 'NaN', 'NaN', 'NaN'), (4, '-Infinity', '-Infinity', '-Infinity'),
	(5, NULL, NULL, NULL), (5, 'NaN', 'NaN', 'NaN'), (6, NULL, NULL, NULL), (7, -0.0, -0.0, 0.0), (7, 0.0, 0.0, 0.00);
SELECT * FROM pg_temp.engine_check('SELECT g, min(f4), max(f4), min(f8), max(f8), min(n), max(n) FROM peers_nan GROUP BY g');
SELECT * FROM pg_temp.engine_check('SELECT min(f4), max(f4), min(f8), max(f8), min(n), max(n) FROM peers_nan');
SELECT * FROM pg_temp.engine_check('SELECT g, sum(f8), avg(f4), sum(n), avg(n), stddev(f8), stddev(n) FROM peers_nan GROUP BY g');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers_nan WHERE f8 > ''Infinity'' AND f4 >= ''NaN'' AND n = ''NaN''');
SELECT * FROM pg_temp.engine_check('SELECT f8, count(*) FROM peers_nan GROUP BY f8');

-- a function's "isnull" was left over from the row before (timescaledb)
CREATE FUNCTION peers_odd(int) RETURNS int IMMUTABLE STRICT PARALLEL SAFE LANGUAGE plpgsql AS
	'BEGIN RETURN CASE WHEN $1 % 2 = 1 THEN $1 END; END';
SELECT * FROM pg_temp.engine_check('SELECT count(peers_odd(i)), sum(peers_odd(i)), count(*) FROM peers WHERE i < 20 OR i IS NULL');
SELECT * FROM pg_temp.engine_check('SELECT peers_odd(k2), count(*) FROM peers WHERE i < 20 GROUP BY 1');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers WHERE nullif(i % 3, 0) IS NULL');

-- a stable expression has its value when the statement runs, not when it was planned (timescaledb)
SET plan_cache_mode = force_generic_plan;
SET batchagg.debug_force_engine = on;
CREATE FUNCTION peers_setting() RETURNS int STABLE PARALLEL SAFE LANGUAGE sql AS 'SELECT current_setting(''peers.top'')::int';
SET peers.top = 10;
PREPARE peers_stable AS SELECT count(*), sum(i + current_setting('peers.top')::int) FROM peers WHERE i < peers_setting();
EXPLAIN (COSTS OFF) EXECUTE peers_stable;
EXECUTE peers_stable;
SET peers.top = 20;
EXECUTE peers_stable;
PREPARE peers_now AS SELECT count(*) FROM peers WHERE tz < now() AND now() - tz > interval '1 day' HAVING max(now()) = now();
EXECUTE peers_now;
BEGIN;
EXECUTE peers_now;
COMMIT;
EXECUTE peers_now;
PREPARE peers_zone AS SELECT tz::date AS day, count(*), date_trunc('day', min(tz)) = min(date_trunc('day', tz)) AS same FROM peers
WHERE tz < '2001-01-03 00:00+00' GROUP BY 1 ORDER BY 1;
EXPLAIN (COSTS OFF) EXECUTE peers_zone;
EXECUTE peers_zone;
SET TimeZone = 'Asia/Tokyo';
EXECUTE peers_zone;
SET TimeZone = 'UTC';
EXECUTE peers_zone;

-- two FILTERs whose parameters were taken for one another in a generic plan (paradedb)
PREPARE peers_filters(int, int) AS
SELECT count(*) FILTER (WHERE i < $1), count(*) FILTER (WHERE i < $2), sum(i) FILTER (WHERE i < $1), sum(i) FILTER (WHERE i < $2), count(*) FROM peers;
EXPLAIN (COSTS OFF) EXECUTE peers_filters(5, 10);
EXECUTE peers_filters(5, 10);
EXECUTE peers_filters(10, 5);
EXECUTE peers_filters(NULL, 5);
EXECUTE peers_filters(3, NULL);
RESET plan_cache_mode;
DEALLOCATE ALL;

-- a date compared with a timestamptz: midnight of the session's zone (timescaledb)
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers WHERE tz < date ''2001-01-03''');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers WHERE d < tz AND ts >= d AND tz > ts - interval ''1 hour''');
SET TimeZone = 'America/New_York';
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers WHERE tz < date ''2001-01-03''');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers WHERE d < tz AND ts >= d AND tz > ts - interval ''1 hour''');
SET TimeZone = 'UTC';

-- the group of nulls got lost, and the sum of nothing but nulls was 0 (paradedb)
SELECT * FROM pg_temp.engine_check('SELECT k2, count(*), count(i), sum(i) FROM peers WHERE i < 10 OR i IS NULL GROUP BY k2');
SELECT * FROM pg_temp.engine_check('SELECT t, k2, count(*) FROM peers WHERE i IS NULL OR i = 5 GROUP BY t, k2');
SELECT * FROM pg_temp.engine_check('SELECT sum(nothing), avg(nothing), min(nothing), stddev(nothing), count(nothing), bool_and(nothing > 0) FROM peers');
SELECT * FROM pg_temp.engine_check('SELECT k2, sum(nothing), avg(nothing), max(nothing), var_pop(nothing), count(nothing) FROM peers GROUP BY k2');
SELECT * FROM pg_temp.engine_check('SELECT sum(f4), sum(f8), sum(b8), sum(n), min(t), max(d), count(*) FROM peers WHERE i IS NULL');
SELECT * FROM pg_temp.engine_check('SELECT sum(f4), sum(f8), sum(b8), sum(n), min(t), max(d), count(*) FROM peers WHERE i < 0');
SELECT * FROM pg_temp.engine_check('SELECT k2, sum(i) FROM peers WHERE i < 0 GROUP BY k2');
SELECT * FROM pg_temp.engine_check('SELECT nothing, sum(nothing) FROM peers GROUP BY nothing');

-- sum(bigint) handed on as an int64 where a numeric was due: the sort above crashed
SELECT * FROM pg_temp.engine_check('SELECT k2, sum(b8) FROM peers GROUP BY k2 ORDER BY sum(b8) DESC');
SELECT * FROM pg_temp.engine_check('SELECT sum(b8), avg(b8), pg_typeof(sum(b8)) FROM peers');
SELECT * FROM pg_temp.engine_check('SELECT sum(9223372036854775807), sum(-9223372036854775807), avg(9223372036854775807) FROM peers');

-- a count by parallel workers was halved (vops)
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM peers;
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(i), avg(i), min(t), max(n), stddev(b8) FROM peers');
SELECT * FROM pg_temp.engine_check('SELECT k2, count(*), sum(i), avg(n), min(t), variance(i) FROM peers GROUP BY k2');

-- a hash table of very many groups was corrupted in a parallel worker (timescaledb)
CREATE TABLE peers_many AS SELECT (i * 7919) % 60013 AS g, 'key ' || i % 30000 AS t, i FROM generate_series(1, 100000) i;
ANALYZE peers_many;
SELECT count(*), sum(n), min(n), max(n), sum(s) FROM (SELECT g, count(*) AS n, sum(i) AS s FROM peers_many GROUP BY g) q;
SELECT count(*), sum(n), min(n), max(n), sum(s) FROM (SELECT t, count(*) AS n, sum(i) AS s FROM peers_many GROUP BY t) q;
SET work_mem = '64kB';
SELECT count(*), sum(n), min(n), max(n), sum(s) FROM (SELECT g, count(*) AS n, sum(i) AS s FROM peers_many GROUP BY g) q;
SELECT count(*), sum(n), min(n), max(n), sum(s), min(x), max(length(x)) FROM (SELECT t, g, count(*) AS n, sum(i) AS s, max(t) AS x FROM peers_many GROUP BY t, g) q;
SET batchagg.enabled = off;
SELECT count(*), sum(n), min(n), max(n), sum(s), min(x), max(length(x)) FROM (SELECT t, g, count(*) AS n, sum(i) AS s, max(t) AS x FROM peers_many GROUP BY t, g) q;
SET batchagg.enabled = on;
RESET work_mem;
SET max_parallel_workers_per_gather = 0;

-- eight bytes were copied into slots of two (timescaledb)
SELECT * FROM pg_temp.engine_check('SELECT k2, min(k2), max(k2), count(k2) FROM peers GROUP BY k2');
CREATE TABLE peers_narrow (a int2, b int2, c bool, d bool, e "char", f int2 NOT NULL);
INSERT INTO peers_narrow SELECT i - 3, -i, i % 2 = 0, i % 3 = 0, chr(97 + i)::"char", i FROM generate_series(0, 5) i;
SELECT * FROM pg_temp.engine_check('SELECT a, b, c, d, f, min(a), max(b), bool_and(c), bool_or(d), sum(f) FROM peers_narrow GROUP BY a, b, c, d, f');
SELECT * FROM pg_temp.engine_check('SELECT c, d, min(b), max(a), sum(a), avg(b) FROM peers_narrow GROUP BY c, d');
SELECT * FROM pg_temp.engine_check('SELECT e, count(*) FROM peers_narrow GROUP BY e');

-- an estimate of the groups of date_trunc that was far too high made core's plan look better (pgcolumnar)
CREATE TABLE peers_days AS SELECT timestamp '2001-01-01' + i * interval '1 minute' AS ts, i AS n FROM generate_series(1, 100000) i;
ANALYZE peers_days;
RESET batchagg.debug_force_engine;
EXPLAIN (COSTS OFF) SELECT date_trunc('month', ts), sum(n) FROM peers_days GROUP BY 1;
SELECT date_trunc('month', ts), sum(n) FROM peers_days GROUP BY 1 ORDER BY 1;
SET batchagg.debug_force_engine = on;

-- keys that are not in the select list (timescaledb), and keys mixed up: GROUP BY a, b became b, b
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers WHERE i < 12 GROUP BY k2, t');
SELECT * FROM pg_temp.engine_check('SELECT t FROM peers WHERE i < 12 GROUP BY k2, t');
SELECT * FROM pg_temp.engine_check('SELECT t, k2, count(*) FROM peers WHERE i < 5 GROUP BY k2, t');
SELECT * FROM pg_temp.engine_check('SELECT k2 + 1, k2, count(*), t, k2 * 2 FROM peers WHERE i < 5 GROUP BY t, k2, k2 + 1');
SELECT * FROM pg_temp.engine_check('SELECT count(*), max(i) + k2 FROM peers GROUP BY k2 HAVING k2 > 1 AND sum(i) > k2 ORDER BY k2');
SELECT * FROM pg_temp.engine_check('SELECT k2 AS a, k2 AS b, max(k2) FROM peers GROUP BY 1, 2');
SELECT * FROM pg_temp.engine_check('SELECT 1 AS one, k2 IS NULL AS two, count(*) FROM peers GROUP BY one, two');

-- HAVING without anything to group, and conditions that leave nothing
SELECT * FROM pg_temp.engine_check('SELECT 1 FROM peers HAVING count(*) > 3000');
SELECT * FROM pg_temp.engine_check('SELECT 1 FROM peers HAVING false');
SELECT * FROM pg_temp.engine_check('SELECT 1 FROM peers HAVING true');

-- text lost the collation that was asked for
CREATE TABLE peers_text (t text COLLATE "C");
INSERT INTO peers_text VALUES ('a'), ('B'), ('Z'), ('ä');
SELECT * FROM pg_temp.engine_check('SELECT min(t), max(t), min(t COLLATE "und-x-icu"), max(t COLLATE "und-x-icu"), max((t || '''')::varchar COLLATE "und-x-icu") FROM peers_text');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM peers_text WHERE t > ''a'' COLLATE "und-x-icu"');

-- who may not execute an aggregate may not execute it here
CREATE FUNCTION peers_own(int) RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE ROLE regress_peers;
GRANT SELECT ON peers TO regress_peers;
REVOKE EXECUTE ON FUNCTION peers_own(int) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.bool_or(bool) FROM PUBLIC;
SET ROLE regress_peers;
SELECT sum(i) FROM peers;
SELECT sum(peers_own(i)) FROM peers;
SELECT count(*) FROM peers WHERE peers_own(i) > 0;
SELECT bool_or(i > 0) FROM peers;
SELECT k2 FROM peers GROUP BY k2 HAVING bool_or(i > 0);
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_catalog.bool_or(bool) TO PUBLIC;

DROP TABLE peers, peers_outer, peers_nan, peers_many, peers_narrow, peers_days, peers_text;
DROP FUNCTION peers_odd, peers_setting, peers_own;
DROP ROLE regress_peers;
