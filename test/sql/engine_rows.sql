-- Rows of a range of TIDs: BatchScan gives those that core gives.
LOAD 'batchagg';
\set VERBOSITY terse
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE SCHEMA engine_rows;
SET search_path = engine_rows, batchagg;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set ECHO all

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN small AS int CHECK (VALUE < 1000000);
CREATE TABLE r (id int, gone int, b bool, c "char", s smallint, l bigint, f float4, d float8, n numeric, t text, v varchar(20),
	p char(5), day date, at timestamptz, u uuid, y bytea, e mood, a int[], k pair, m small, o oid, w name);
ALTER TABLE r ALTER t SET STORAGE EXTERNAL;
INSERT INTO r SELECT n, 0, n % 2 = 0, chr(65 + n % 26)::"char", -n, n * 10000000000, n / 3.0, n / 7.0, CASE n % 9 WHEN 0 THEN 'NaN' ELSE n / 8.0 END,
	CASE n % 5 WHEN 0 THEN repeat('long ' || n, 600) ELSE 't' || n END, 'v' || n, 'p' || n % 7, date '2001-01-01' + n,
	timestamptz '2001-01-01 UTC' + n * interval '7 hours', md5(n::text)::uuid, decode(md5(n::text), 'hex'),
	(ARRAY['sad', 'ok', 'happy'])[1 + n % 3]::mood, ARRAY[n, NULL, n + 1], ROW(n, 'y' || n)::pair, n, n, 'w' || n
	FROM generate_series(1, 1000) n;
ALTER TABLE r DROP gone;
ALTER TABLE r ADD late int DEFAULT 7;
UPDATE r SET (b, s, f, n, t, day, u, a, k) = (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) WHERE id % 11 = 0;
UPDATE r SET late = NULL WHERE id % 13 = 0;
DELETE FROM r WHERE id % 17 = 0;
CREATE INDEX ON r (id);
CREATE TABLE w (id int);

CREATE FUNCTION pg_temp.check_rows(query text) RETURNS text LANGUAGE sql AS
$$ SELECT run_by || CASE WHEN same THEN ', same' ELSE ', DIFFERENT' END || coalesce(', ' || length(answer), ', nothing') FROM pg_temp.engine_check(query) $$;
\set within 'ctid BETWEEN ''(3,4)'' AND ''(20,2)'''

-- all columns, before and after visibility is known of whole pages
SELECT pg_temp.check_rows('SELECT * FROM r WHERE ' || :'within');
VACUUM r;
SELECT pg_temp.check_rows('SELECT * FROM r WHERE ' || :'within');
SELECT attname, pg_temp.check_rows(format('SELECT %I FROM r WHERE %s', attname, :'within')),
	pg_temp.check_rows(format('SELECT %I FROM r WHERE %s AND %I IS NULL', attname, :'within', attname))
	FROM pg_attribute WHERE attrelid = 'r'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

-- conditions, and what is made of the columns
SELECT q, pg_temp.check_rows(replace(q, '$', :'within')) FROM unnest(ARRAY[
	'SELECT id FROM r WHERE $ AND id BETWEEN 200 AND 300',
	'SELECT id, t FROM r WHERE $ AND s < -100 AND t > ''t2'' AND n <= 80.5',
	'SELECT id, t FROM r WHERE $ AND s < -100 AND t LIKE ''t%'' ORDER BY d',
	'SELECT id + 1, upper(v), t || v FROM r WHERE $ AND length(v) = 4 ORDER BY v',
	'SELECT id FROM r WHERE $ AND late = 7 LIMIT 3',
	'SELECT a.id, EXISTS (SELECT FROM r b WHERE b.$ AND b.late = 7) FROM r a WHERE a.id < 5',
	'SELECT 1 FROM r WHERE $',
	'SELECT count(*) FILTER (WHERE b), string_agg(v, '','' ORDER BY id) FROM r WHERE $ AND d > 20',
	'SELECT id FROM r WHERE $ ORDER BY t DESC, id LIMIT 5',
	'SELECT id FROM r WHERE $ AND false',
	'SELECT id FROM r WHERE $ AND 1 / (id - 200) < 1 ORDER BY late, id',
	'SELECT * FROM (SELECT id FROM r WHERE $ AND id / (id - 23000) < 1 ORDER BY late, id OFFSET 0) s LIMIT 2',
	'SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM r WHERE $ AND id / (id - 23000) < 1) s WHERE n < 3',
	'SELECT id, s < -100, NOT (s < -100), CASE WHEN s < -100 THEN ''yes'' ELSE ''no'' END FROM r WHERE $ AND s < -100',
	'SELECT id, count(*) OVER (PARTITION BY NOT b) FROM r WHERE $ AND NOT b',
	'SELECT DISTINCT b IS NOT TRUE, f IS NULL FROM r WHERE $ AND b IS NOT TRUE AND f IS NULL',
	'SELECT x.id FROM (SELECT id, s < -100 AS low FROM r WHERE $ AND s < -100) x JOIN (VALUES (true), (false)) y(low) USING (low)',
	'SELECT id FROM r WHERE ctid >= ''(30,1)''',
	'SELECT id FROM r WHERE ctid <= ''(2,3)''',
	'SELECT id FROM r WHERE ctid <= ''(2,3)'' AND ctid >= ''(4,1)''',
	'SELECT id FROM r WHERE ctid >= NULL::tid',
	'SELECT id FROM r WHERE ctid >= ''(100000,1)''',
	'SELECT a.id, b.v FROM r a JOIN r b USING (id) WHERE a.ctid <= ''(5,0)'' AND b.ctid >= ''(3,1)''',
	'SELECT a.id, b.v FROM r a LEFT JOIN r b ON a.id = b.id AND b.ctid <= ''(5,1)'' WHERE a.id < 300',
	'SELECT id, (SELECT max(b.id) FROM r b WHERE b.ctid <= ''(5,1)'' AND b.id < a.id AND b.v > a.v) FROM r a WHERE a.id < 40',
	'SELECT id FROM r WHERE ctid <= (SELECT max(ctid) FROM r WHERE id < 100)',
	'SELECT v FROM r WHERE $ UNION SELECT p FROM r WHERE $',
	'WITH x AS MATERIALIZED (SELECT id, n FROM r WHERE $) SELECT id, lag(n) OVER (ORDER BY id) FROM x']) q;

-- a plan for many values of the bounds
SET plan_cache_mode = force_generic_plan;
SET batchagg.debug_force_engine = on;
PREPARE batch(tid, tid, int) AS SELECT count(*), sum(id), percentile_disc(0.3) WITHIN GROUP (ORDER BY hashtext(r::text))
	FROM (SELECT id, v, late FROM r WHERE ctid BETWEEN $1 AND $2 AND id % $3 = 0) r;
EXPLAIN (COSTS OFF) EXECUTE batch('(0,1)', '(9,9)', 2);
EXECUTE batch('(0,1)', '(9,9)', 2);
EXECUTE batch('(9,10)', '(99,9)', 3);
EXECUTE batch('(0,1)', NULL, 3);
SET batchagg.enabled = off;
EXECUTE batch('(0,1)', '(9,9)', 2);
EXECUTE batch('(9,10)', '(99,9)', 3);
SET batchagg.enabled = on;
RESET plan_cache_mode;

-- what is asked of the node: to begin again, to stop early, to go back
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT pg_temp.check_rows('SELECT a.id, b.id FROM generate_series(90, 110) a(id) JOIN r b ON a.id = b.id WHERE b.' || :'within');
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
-- a cursor may end early, and go back
EXPLAIN (COSTS OFF) DECLARE c NO SCROLL CURSOR FOR SELECT id FROM r WHERE ctid <= '(9,1)' AND late = 7 AND id BETWEEN 60 AND 190;
SET cursor_tuple_fraction = 1;
EXPLAIN (COSTS OFF) DECLARE c CURSOR FOR SELECT id FROM r WHERE ctid <= '(9,1)' AND late = 7 AND id BETWEEN 60 AND 190;
EXPLAIN (COSTS OFF) DECLARE c NO SCROLL CURSOR FOR SELECT id FROM r WHERE ctid <= '(9,1)' AND late = 7 AND id BETWEEN 60 AND 190;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM r WHERE ctid <= '(9,1)' AND late = 7 AND id BETWEEN 60 AND 190;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH 2 FROM c;
COMMIT;

-- a cursor's current row
BEGIN;
DECLARE c NO SCROLL CURSOR FOR SELECT v FROM r WHERE ctid BETWEEN '(2,1)' AND '(9,1)' AND late = 7 AND id BETWEEN 60 AND 190;
FETCH 3 FROM c;
UPDATE r SET v = 'current' WHERE CURRENT OF c RETURNING id;
MOVE 5 IN c;
DELETE FROM r WHERE CURRENT OF c RETURNING id, v;
ROLLBACK;

RESET cursor_tuple_fraction;

-- rows of the same transaction, and of one that failed
BEGIN;
INSERT INTO r (id, v) SELECT n, 'new' FROM generate_series(2001, 2050) n;
SAVEPOINT s;
INSERT INTO r (id, v) SELECT n, 'newer' FROM generate_series(2101, 2150) n;
ROLLBACK TO s;
UPDATE r SET v = 'newest' WHERE id BETWEEN 2001 AND 2010;
SELECT run_by, same, length(answer) FROM pg_temp.engine_check('SELECT id, v FROM r WHERE ctid >= ''(0,0)'' AND v LIKE ''new%'' ORDER BY id');
ROLLBACK;

-- core's, since the node does without what they need
SELECT q, pg_temp.check_rows(replace(q, '$', :'within')) FROM unnest(ARRAY[
	'SELECT ctid, id FROM r WHERE $',
	'SELECT tableoid::regclass, id FROM r WHERE $',
	'SELECT r FROM r WHERE $',
	'SELECT id FROM r WHERE $ FOR UPDATE',
	'SELECT r.id FROM r JOIN r s USING (id) WHERE r.$ FOR UPDATE OF s',
	'SELECT id FROM r TABLESAMPLE SYSTEM (100) WHERE $',
	'SELECT id FROM r WHERE $ AND random() >= 0',
	'SELECT id FROM r WHERE $ AND xmin::text > ''0''',
	'SELECT id FROM r WHERE id < 10',
	'SELECT id FROM r WHERE $ AND id / (id - 230) < 5 LIMIT 3',
	'SELECT id FROM r WHERE $ AND id % 5 = 0 AND l > 0 AND late = 7 AND id / (id - 230) < 5 ORDER BY late LIMIT 3',
	'SELECT DISTINCT late FROM r WHERE $ AND late = 7 AND id / (id - 23000) < 5',
	'SELECT 1 WHERE EXISTS (SELECT FROM r WHERE $ AND id / (id - 230) < 5)',
	'SELECT a.id FROM r a WHERE EXISTS (SELECT FROM r b WHERE b.$ AND b.id / (b.id - 230) < 5 AND b.o > a.o) AND a.id < 5',
	'WITH x AS MATERIALIZED (SELECT id FROM r WHERE $ AND id / (id - 230) < 5) SELECT * FROM x LIMIT 3',
	'SELECT * FROM (SELECT id, row_number() OVER () AS n FROM r WHERE $ AND id / (id - 230) < 5) s WHERE n < 3',
	'SELECT * FROM (SELECT id, row_number() OVER () AS n FROM r WHERE $ AND id / (id - 230) < 5 ORDER BY id) s WHERE n < 3',
	'SELECT * FROM (SELECT DISTINCT id, row_number() OVER () AS n FROM r WHERE $ AND id / (id - 230) < 5) s WHERE n < 3',
	'SELECT id FROM r WHERE $ AND (id < 200 OR id < (SELECT 1 / (id - 1) FROM r WHERE id = 1)) LIMIT 3',
	'SELECT * FROM (SELECT id FROM r WHERE $ AND id / (id - 230) < 5 OFFSET 0) s LIMIT 3',
	'SELECT id FROM r WHERE $ AND 1 / (id - 200) < 1',
	'SELECT s.id FROM r a, LATERAL (SELECT b.id FROM r b WHERE b.$ AND b.id = a.id OFFSET 0) s WHERE a.id < 100']) q;
-- whoever asks for rows may stop before one that raises an error
DO $$
DECLARE
	found int;
BEGIN
	FOR found IN SELECT id FROM r WHERE ctid BETWEEN '(3,4)' AND '(20,2)' AND id / (id - 230) < 5 LOOP
		EXIT;
	END LOOP;
	RAISE NOTICE '%', found;
END $$;
EXPLAIN (COSTS OFF) INSERT INTO r (id) SELECT id FROM r s WHERE ctid BETWEEN '(3,4)' AND '(20,2)' AND id / (id - 230) < 5;
EXPLAIN (COSTS OFF) INSERT INTO w SELECT s.* FROM (SELECT id FROM r WHERE ctid BETWEEN '(3,4)' AND '(20,2)' AND id / (id - 230) < 5 OFFSET 0) s;
EXPLAIN (COSTS OFF) INSERT INTO w SELECT s.* FROM (SELECT id FROM r WHERE ctid BETWEEN '(3,4)' AND '(20,2)' AND id / (id - 230) < 5 OFFSET 0) s LIMIT 1;
EXPLAIN (COSTS OFF) INSERT INTO w SELECT id FROM r WHERE ctid BETWEEN '(3,4)' AND '(20,2)' AND id / (id - 230) < 5 RETURNING id;
EXPLAIN (COSTS OFF) UPDATE r SET late = 1 WHERE ctid <= '(5,1)';
EXPLAIN (COSTS OFF) DELETE FROM r USING r s WHERE r.id = s.id AND s.ctid <= '(5,1)';
CREATE TABLE parent (id int) PARTITION BY RANGE (id);
CREATE TABLE child PARTITION OF parent FOR VALUES FROM (0) TO (1000);
INSERT INTO parent SELECT generate_series(1, 500);
SELECT run_by, same FROM pg_temp.engine_check('SELECT id FROM parent WHERE ctid >= ''(1,1)''');
SELECT run_by, same FROM pg_temp.engine_check('SELECT id FROM child WHERE ctid >= ''(1,1)''');

-- costs decide
RESET batchagg.debug_force_engine;
CREATE TABLE big AS SELECT n AS id, n % 10 AS k, 'row ' || n AS t FROM generate_series(1, 20000) n;
ALTER TABLE big ADD PRIMARY KEY (id);
VACUUM ANALYZE big;
EXPLAIN (COSTS OFF) SELECT id, t FROM big WHERE ctid BETWEEN '(10,1)' AND '(90,0)' AND k = 3;
EXPLAIN (COSTS OFF) SELECT id, t FROM big WHERE ctid BETWEEN '(10,1)' AND '(90,0)' AND id = 3;
EXPLAIN (COSTS OFF) SELECT id, t FROM big WHERE ctid BETWEEN '(10,1)' AND '(10,5)';
CREATE TABLE copy (id int, t text);
CREATE FUNCTION pg_temp.analyze(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	-- majors write numbers of rows in different ways
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, ' \(actual .*\)', '');
	END LOOP;
END $$;
SELECT pg_temp.analyze($$INSERT INTO copy SELECT id, t FROM big WHERE ctid BETWEEN '(10,1)' AND '(90,0)' AND k = 3 AND length(t) < 9$$);
EXPLAIN (VERBOSE, COSTS OFF) SELECT upper(t) FROM big WHERE ctid BETWEEN '(10,1)' AND '(90,0)' AND k = 3;
SELECT count(*), min(id), max(id) FROM copy;

-- rows that a role must not see stay unseen by the functions of its conditions
CREATE FUNCTION tell(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$;
CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM big WHERE id < 3 AND ctid >= '(0,1)';
SET batchagg.debug_force_engine = on;
EXPLAIN (COSTS OFF) SELECT id FROM guarded WHERE tell(t);
SELECT id FROM guarded WHERE tell(t);
SELECT upper(t), id * 2 FROM big WHERE ctid BETWEEN '(10,1)' AND '(90,0)' AND id BETWEEN 2000 AND 2003;
RESET batchagg.debug_force_engine;

SET client_min_messages = warning;
DROP SCHEMA engine_rows CASCADE;
