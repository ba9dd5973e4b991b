-- What the engine's scan reads is what core reads: each query is run with and without it.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA engine_scan;
GRANT USAGE ON SCHEMA engine_scan TO PUBLIC;
SET search_path = engine_scan, batchagg;
SET batchagg.debug_force_engine = on;
SET max_parallel_workers_per_gather = 0;

CREATE FUNCTION compare(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	engine text;
	core text;
BEGIN
	PERFORM set_config('batchagg.enabled', 'on', true);
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	EXECUTE format('SELECT string_agg(x::text, E''\n'' ORDER BY x::text) FROM (%s) x', query) INTO engine;
	PERFORM set_config('batchagg.enabled', 'off', true);
	EXECUTE format('SELECT string_agg(x::text, E''\n'' ORDER BY x::text) FROM (%s) x', query) INTO core;
	PERFORM set_config('batchagg.enabled', 'on', true);
	RETURN CASE WHEN plan::text !~ 'BatchAgg' THEN 'not the engine'
		WHEN engine IS DISTINCT FROM core THEN format('engine: %s core: %s', engine, core)
		ELSE 'same' END;
END $$;

-- Compares the values of each column by themselves, with those of all before it, and behind a filter.
CREATE FUNCTION compare_columns(rel regclass) RETURNS TABLE (col name, alone text, all_so_far text, filtered text)
LANGUAGE plpgsql AS $$
DECLARE
	first name;
	columns text := '';
BEGIN
	FOR col IN SELECT attname FROM pg_attribute WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped ORDER BY attnum
	LOOP
		first := coalesce(first, col);
		columns := columns || CASE WHEN columns = '' THEN '' ELSE ', ' END || quote_ident(col);
		alone := compare(format('SELECT %I, count(%I), count(*) FROM %s GROUP BY 1', col, col, rel));
		all_so_far := compare(format('SELECT %s, count(*) FROM %s GROUP BY %s', columns, rel, columns));
		filtered := compare(format('SELECT %I, count(*), min(%I) FROM %s WHERE %I IS NOT NULL AND %I IS NOT NULL GROUP BY 1',
			col, first, rel, col, first));
		RETURN NEXT;
	END LOOP;
END $$;

-- every width, alignment and kind of storage; the first varlena comes where padding is possible
CREATE DOMAIN dom AS int;
CREATE TABLE wide (
	c1 "char", i2 int2, b bool, i4 int4, i8 int8, o oid, f4 float4, f8 float8, u uuid, n name,
	d date, ts timestamp, t1 text, c2 "char", i4b int4, t2 varchar, i8b int8, bp char(5), i2b int2,
	dm dom, by bytea, f8b float8, bo bool);
INSERT INTO wide
SELECT (chr(97 + i % 3))::"char", i % 5, i % 2 = 0, i % 7 - 3, (i % 11)::int8 << 40, i % 4 + 4000000000::bigint, i % 6, i % 9 / 4.0,
	('00000000-0000-0000-0000-0000000000' || lpad((i % 30)::text, 2, '0'))::uuid, 'n' || i % 8,
	date '2000-01-01' + i % 12, timestamp '2001-02-03 04:05:06' + i % 13 * interval '1 hour',
	repeat('x', i % 9), (chr(65 + i % 4))::"char", i % 17, repeat('y', i % 6 * 40), -(i % 19), repeat('z', i % 5), i % 3,
	i % 21, decode(repeat('0a', i % 4), 'hex'), i % 23 / 2.0, i % 3 = 0
FROM generate_series(1, 3000) i;
SELECT * FROM compare_columns('wide') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
VACUUM (FREEZE) wide;
SELECT * FROM compare_columns('wide') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');

-- nulls: everywhere, at the head, rarely
CREATE TABLE nulls (LIKE wide);
INSERT INTO nulls
SELECT c1, i2, CASE WHEN i4 > 0 THEN b END, i4, CASE WHEN i2 > 2 THEN i8 END, o, f4, CASE WHEN i2 = 3 THEN f8 END, u,
	CASE WHEN i4b > 3 THEN n END, d, ts, CASE WHEN i4b < 9 THEN t1 END, c2, CASE WHEN i2 < 3 THEN i4b END,
	CASE WHEN i4 <> 0 THEN t2 END, i8b, CASE WHEN i2b = 1 THEN bp END, i2b, CASE WHEN i4 > -2 THEN dm END,
	CASE WHEN i4b <> 5 THEN by END, f8b, CASE WHEN i2 = 1 THEN bo END
FROM wide;
SELECT * FROM compare_columns('nulls') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
UPDATE nulls SET c1 = NULL, i2 = NULL WHERE i4b = 1;
SELECT * FROM compare_columns('nulls') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
INSERT INTO wide SELECT (NULL::wide).*;
SELECT * FROM compare_columns('wide') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
DELETE FROM wide WHERE i4 IS NULL;

-- columns dropped and added, so that rows have different numbers of attributes
CREATE TABLE changed (a int, gone text, b int2, c text);
INSERT INTO changed SELECT i, repeat('g', i % 11), i % 5, 'c' || i % 6 FROM generate_series(1, 1000) i;
ALTER TABLE changed DROP COLUMN gone;
ALTER TABLE changed ADD COLUMN d int DEFAULT 42, ADD COLUMN e text DEFAULT 'missing', ADD COLUMN f float8,
	ADD COLUMN g bool DEFAULT true, ADD COLUMN h "char" DEFAULT 'q', ADD COLUMN i int8 DEFAULT -5;
SELECT * FROM compare_columns('changed') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
SELECT compare('SELECT sum(d), count(e), min(e), count(f), bool_and(g), min(i) FROM changed');
INSERT INTO changed SELECT i, i % 5, 'c' || i % 6, i % 7, CASE WHEN i % 3 = 0 THEN 'e' || i % 4 END, i / 2.0, i % 2 = 0,
	(chr(97 + i % 4))::"char", i % 3 FROM generate_series(1, 1000) i;
ALTER TABLE changed ADD COLUMN j date DEFAULT '2002-02-02';
SELECT * FROM compare_columns('changed') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
UPDATE changed SET b = b + 1 WHERE a % 10 = 0;
SELECT * FROM compare_columns('changed') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
ALTER TABLE changed DROP COLUMN a;
ALTER TABLE changed ADD COLUMN k text DEFAULT repeat('long', 1000);
SELECT * FROM compare_columns('changed') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');

-- compressed and out of line, next to short ones, and a column behind them
CREATE TABLE toasted (a int, t text, b int, u text, c int8);
ALTER TABLE toasted ALTER COLUMN u SET STORAGE EXTERNAL;
INSERT INTO toasted
SELECT i, repeat(CASE i % 4 WHEN 0 THEN 'a' ELSE 'b' END, i % 4 * 3000), i % 7, repeat('u', i % 5 * 1500), i % 9
FROM generate_series(1, 500) i;
SELECT * FROM compare_columns('toasted') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
SELECT compare('SELECT min(t), max(u), sum(c) FROM toasted WHERE b > 3');

-- conditions one after the other, columns asked for in any order
SELECT compare('SELECT i2, sum(i4), count(*) FROM wide WHERE i4 > -2 AND f8 < 2 AND i4b > 4 AND length(t2) > 10 GROUP BY i2');
SELECT compare('SELECT sum(i4), sum(i4b), sum(i2b), count(t1) FROM wide WHERE bo AND i4b > 4 AND b');
SELECT compare('SELECT count(t1), sum(i4) FROM wide WHERE t2 > ''y'' AND i4b < 9 AND t1 <> '''' AND i2 > 1');
SELECT compare('SELECT count(*) FROM wide WHERE i4 > 100');
SELECT compare('SELECT i2, count(*) FILTER (WHERE i4 > 0), sum(i4b) FILTER (WHERE t1 > ''xx'') FROM wide GROUP BY i2');
SELECT compare('SELECT count(*), sum(i4 % (i2 - 2)) FROM wide WHERE i2 <> 2 AND i4 / (i2 - 2) < 2');
SELECT compare('SELECT count(*) FROM wide WHERE i2 <> 2 AND upper(t1) > ''X'' AND i4 > 0 AND lower(t2) < ''yyyy''');
-- conditions on one column, with nulls in it, and what they guard
SELECT compare('SELECT count(*), sum(i4) FROM nulls WHERE i4b >= 3 AND 11 > i4b AND i4b <> 7 AND i4 < 3');
SELECT compare('SELECT count(*), sum(f8b) FROM nulls WHERE d > ''2000-01-02'' AND d < timestamp ''2000-01-09 12:00'' AND f8 <= 2 AND f8 >= 0.5');
SELECT compare('SELECT count(*) FROM wide WHERE i4 <> 0 AND i4 < 3 AND 6 / i4 > 2 AND i4 > -2');
-- a row for which a condition is null is not shown to the next one, nor is that computed for it
CREATE FUNCTION show_it(int, int) RETURNS bool STABLE LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'was shown %', $1; END $$;
CREATE OPERATOR >!> (LEFTARG = int, RIGHTARG = int, FUNCTION = show_it);
SELECT compare('SELECT count(*), sum(i4) FROM nulls WHERE i4b > 100 AND i4b >!> 2');
SELECT compare('SELECT count(*), sum(i4) FROM nulls WHERE i4b > 100 AND i4b < (SELECT 1 / (random() * 0)::int)');

-- empty tables, empty pages, few and many rows a page
CREATE TABLE empty (LIKE wide);
SELECT * FROM compare_columns('empty') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
CREATE TABLE holes (a int, pad text) WITH (autovacuum_enabled = off);
INSERT INTO holes SELECT i, repeat('p', 200) FROM generate_series(1, 2000) i;
DELETE FROM holes WHERE a BETWEEN 300 AND 1500;
SELECT compare('SELECT sum(a), count(*) FROM holes');
VACUUM holes;
SELECT compare('SELECT sum(a), count(*) FROM holes');
DELETE FROM holes;
SELECT compare('SELECT sum(a), count(*) FROM holes');
VACUUM (TRUNCATE off) holes;
SELECT compare('SELECT sum(a), count(*) FROM holes');
-- line pointers without a tuple, or leading to another, on pages that are all-visible
CREATE TABLE gaps (a int, t text) WITH (fillfactor = 70, autovacuum_enabled = off);
INSERT INTO gaps SELECT i, 't' || i % 9 FROM generate_series(1, 3000) i;
DELETE FROM gaps WHERE a % 7 = 0 AND a < 2000;
UPDATE gaps SET t = t || 'u' WHERE a % 5 = 0 AND a < 1000;
VACUUM gaps;
SELECT * FROM compare_columns('gaps') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
SELECT compare('SELECT count(*) FROM gaps');
SELECT compare('SELECT count(*), sum(a) FROM gaps WHERE ctid BETWEEN ''(1,5)'' AND ''(11,17)''');
SELECT compare('SELECT a / 500, max(t), count(upper(t)) FROM gaps WHERE reverse(t) < ''7'' GROUP BY 1');
INSERT INTO holes SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 300) i;
SELECT compare('SELECT sum(a), count(pad) FROM holes');
CREATE TABLE narrow AS SELECT FROM generate_series(1, 5000);
SELECT compare('SELECT count(*) FROM narrow');
CREATE TABLE narrow1 AS SELECT (i % 3 = 0) AS b FROM generate_series(1, 5000) i;
SELECT compare('SELECT b, count(*) FROM narrow1 GROUP BY b');

-- rows of the same transaction, aborted rows, HOT chains, hint bits not set
CREATE TABLE moving (k int, v int) WITH (fillfactor = 50, autovacuum_enabled = off);
BEGIN;
INSERT INTO moving SELECT i, i FROM generate_series(1, 1000) i;
SELECT compare('SELECT sum(v), count(*) FROM moving');
UPDATE moving SET v = v + 1 WHERE k % 2 = 0;
SELECT compare('SELECT sum(v), count(*) FROM moving');
SAVEPOINT s;
DELETE FROM moving WHERE k < 500;
INSERT INTO moving SELECT i, i FROM generate_series(1, 100) i;
SELECT compare('SELECT sum(v), count(*) FROM moving');
ROLLBACK TO s;
SELECT compare('SELECT sum(v), count(*) FROM moving');
COMMIT;
UPDATE moving SET v = v * 2;
UPDATE moving SET v = v + 3 WHERE k % 3 = 0;
SELECT compare('SELECT k % 5, sum(v), count(*) FROM moving GROUP BY 1');

-- what was there when the cursor was opened
BEGIN;
DECLARE c CURSOR FOR SELECT k % 400, count(*), sum(v) FROM moving GROUP BY 1;
FETCH 0 FROM c;
DELETE FROM moving WHERE k > 10;
SELECT count(*) FROM moving;
MOVE 3 IN c;
SAVEPOINT s;
MOVE ALL IN c;
CLOSE c;
DECLARE c CURSOR FOR SELECT count(*), sum(v) FROM moving;
DELETE FROM moving;
FETCH c;
CLOSE c;
ROLLBACK;

-- scans that start over, and ones that are left early
SELECT compare('SELECT x.i, y.* FROM generate_series(1, 4) x(i), LATERAL (SELECT count(*), sum(i4), min(t1) FROM wide WHERE i2 = x.i) y');
SELECT compare('SELECT x.i, y.* FROM generate_series(1, 4) x(i), LATERAL (SELECT i4, count(*) FROM wide WHERE i4b > x.i GROUP BY i4 OFFSET 0) y');
SELECT compare('SELECT x.i, (SELECT sum(i8b) FROM wide WHERE i4b = x.i) FROM generate_series(1, 40) x(i)');
SELECT EXISTS (SELECT 1 FROM wide GROUP BY i4 HAVING count(*) > 1);
BEGIN;
DECLARE c CURSOR FOR SELECT i4b, count(*) FROM wide GROUP BY 1;
FETCH 0 FROM c;
MOVE 2 IN c;
CLOSE c;
ROLLBACK;
PREPARE p(int) AS SELECT count(*), sum(i4b) FROM wide WHERE i4 > $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE p(0);
EXECUTE p(1);
RESET plan_cache_mode;

-- temporary tables, materialized views, several workers
CREATE TEMP TABLE temporary AS SELECT * FROM wide;
SELECT compare('SELECT i4, sum(i4b), min(t2) FROM temporary GROUP BY 1');
CREATE MATERIALIZED VIEW view AS SELECT * FROM wide;
SELECT compare('SELECT i4, sum(i4b), min(t2) FROM view GROUP BY 1');
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT * FROM compare_columns('nulls') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
SELECT * FROM compare_columns('changed') WHERE (alone, all_so_far, filtered) <> ('same', 'same', 'same');
-- as many pages as workers let go of while they read
CREATE TABLE long AS SELECT i, repeat('v', i % 200) AS v FROM generate_series(1, 100000) i;
SET parallel_leader_participation = off;
SELECT compare('SELECT count(*), sum(i), max(v), sum(length(v)) FROM long');
RESET parallel_leader_participation;
SELECT compare('SELECT i % 10, count(*), sum(i), max(v) FROM long GROUP BY 1');

-- the statistics count every row that was read
SET max_parallel_workers_per_gather = 0;
CREATE TABLE counted AS SELECT i FROM generate_series(1, 1000) i;
SELECT pg_stat_force_next_flush();
SELECT count(*), sum(i) FROM counted;
SELECT pg_stat_force_next_flush();
SELECT seq_scan, seq_tup_read FROM pg_stat_user_tables WHERE relname = 'counted';
CREATE FUNCTION count_pages(query text) RETURNS TABLE (scanned int, pages int, all_visible int, vectors int)
LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
	plan := jsonb_path_query_first(plan, '$.** ? (@."Custom Plan Provider" == "BatchAgg")');
	RETURN QUERY SELECT (plan->>'Rows Scanned')::int, (plan->>'Pages')::int, (plan->>'All-Visible Pages')::int,
		(plan->>'Vectors')::int;
END $$;
SELECT * FROM count_pages('SELECT count(*) FROM counted');
VACUUM counted;
SELECT * FROM count_pages('SELECT count(*) FROM counted');
DELETE FROM counted WHERE i < 700;
VACUUM counted;
SELECT * FROM count_pages('SELECT count(*) FROM counted');
