-- Where the engine has to be right: every state a table may be in, and every place that
-- a query may stand in. run_by tells that it was the engine, "same" that core agrees.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA engine_places;
GRANT USAGE ON SCHEMA engine_places TO PUBLIC;
SET search_path = engine_places, batchagg;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set ECHO all
\set VERBOSITY terse
SET max_parallel_workers_per_gather = 0;

CREATE TABLE places (id int, k int, v bigint, t text) WITH (fillfactor = 50);
INSERT INTO places SELECT i, i % 3, i, 'v' || i FROM generate_series(1, 2000) i;

-- rows of the same transaction, of commands before this one, of savepoints kept and rolled back
BEGIN;
INSERT INTO places SELECT i, 7, i, 'new' FROM generate_series(2001, 2010) i;
DELETE FROM places WHERE id <= 5;
SAVEPOINT a;
UPDATE places SET v = v + 1000000 WHERE id BETWEEN 6 AND 10;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v) FROM places GROUP BY k');
ROLLBACK TO a;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v) FROM places GROUP BY k');
SAVEPOINT b;
DELETE FROM places WHERE k = 7;
RELEASE b;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v) FROM places GROUP BY k');
-- a cursor sees what was there when it was opened
DECLARE places_before CURSOR FOR SELECT count(*), sum(v) FROM places;
INSERT INTO places VALUES (3000, 3000, 3000, 'later');
FETCH ALL FROM places_before;
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(v) FROM places');
ROLLBACK;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v) FROM places GROUP BY k');

-- chains of heap-only tuples: updated again and again, in one transaction and in many, with aborted ends
CREATE TABLE places_hot (id int PRIMARY KEY, n int) WITH (fillfactor = 20);
INSERT INTO places_hot SELECT i, 0 FROM generate_series(1, 50) i;
UPDATE places_hot SET n = n + 1;
UPDATE places_hot SET n = n + 1 WHERE id % 2 = 0;
BEGIN; UPDATE places_hot SET n = 1000; UPDATE places_hot SET n = 2000; ROLLBACK;
UPDATE places_hot SET n = n + 1 WHERE id < 10;
SELECT * FROM pg_temp.engine_check('SELECT n, count(*), min(id), max(id) FROM places_hot GROUP BY n');
BEGIN; UPDATE places_hot SET n = n + 10; UPDATE places_hot SET n = n + 10;
SELECT * FROM pg_temp.engine_check('SELECT n, count(*), min(id), max(id) FROM places_hot GROUP BY n');
COMMIT;
VACUUM places_hot;
SELECT * FROM pg_temp.engine_check('SELECT n, count(*), min(id), max(id) FROM places_hot GROUP BY n');
DELETE FROM places_hot WHERE id % 10 <> 0;
VACUUM places_hot;
SELECT * FROM pg_temp.engine_check('SELECT n, count(*), min(id), max(id) FROM places_hot GROUP BY n');
DELETE FROM places_hot;
SELECT * FROM pg_temp.engine_check('SELECT n, count(*), min(id), max(id) FROM places_hot GROUP BY n');
SELECT * FROM pg_temp.engine_check('SELECT count(*), min(id), sum(n) FROM places_hot');
VACUUM places_hot;
SELECT * FROM pg_temp.engine_check('SELECT count(*), min(id), sum(n) FROM places_hot');

-- row security: two roles, and a condition that tells whoever asks what rows it sees
CREATE ROLE regress_places_a;
CREATE ROLE regress_places_b;
CREATE TABLE places_rows (owner text, secret int);
INSERT INTO places_rows SELECT CASE WHEN i % 2 = 0 THEN 'regress_places_a' ELSE 'regress_places_b' END, i FROM generate_series(1, 6) i;
ALTER TABLE places_rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON places_rows USING (owner = current_user);
GRANT SELECT ON places_rows TO regress_places_a, regress_places_b;
CREATE FUNCTION places_leaks(int) RETURNS bool IMMUTABLE PARALLEL SAFE COST 0.0000001 LANGUAGE plpgsql AS
	'BEGIN RAISE NOTICE ''sees %'', $1; RETURN true; END';
SET batchagg.debug_force_engine = on;
SET ROLE regress_places_a;
EXPLAIN (COSTS OFF) SELECT count(*), sum(secret) FROM places_rows WHERE places_leaks(secret);
SELECT count(*), sum(secret) FROM places_rows WHERE places_leaks(secret);
SELECT count(*) FILTER (WHERE places_leaks(secret)), sum(secret) FROM places_rows;
-- a division by zero on somebody else's row would tell as well
SELECT count(*) FROM places_rows WHERE 1 / (secret - 3) IS NOT NULL;
SELECT sum(1 / (secret - 3)) FROM places_rows;
PREPARE places_mine AS SELECT count(*), min(secret), max(owner) FROM places_rows;
EXECUTE places_mine;
SET ROLE regress_places_b;
EXECUTE places_mine;
SELECT count(*), sum(secret) FROM places_rows WHERE places_leaks(secret) AND secret > 1;
RESET ROLE;
EXECUTE places_mine;
DEALLOCATE places_mine;
-- a view as a barrier
CREATE VIEW places_barrier WITH (security_barrier) AS SELECT * FROM places_rows WHERE secret < 3;
GRANT SELECT ON places_barrier TO regress_places_b;
SET ROLE regress_places_b;
EXPLAIN (COSTS OFF) SELECT count(*) FROM places_barrier WHERE places_leaks(secret);
SELECT count(*) FROM places_barrier WHERE places_leaks(secret);
SELECT count(*) FROM places_hot;
RESET ROLE;
-- columns that a role may not read
GRANT SELECT (id, k) ON places TO regress_places_a;
SET ROLE regress_places_a;
SELECT k, count(*), sum(id) FROM places GROUP BY k ORDER BY k;
SELECT k, sum(v) FROM places GROUP BY k;
RESET ROLE;

-- columns dropped, added, added with a default, and changed
CREATE TABLE places_columns (gone1 text, a int, gone2 numeric, b text, gone3 int8);
INSERT INTO places_columns SELECT 'x', i, i, 'b' || i, i FROM generate_series(1, 5) i;
ALTER TABLE places_columns DROP gone1, DROP gone3;
INSERT INTO places_columns SELECT i, i, 'b' || i FROM generate_series(6, 8) i;
ALTER TABLE places_columns ADD c int DEFAULT 42, ADD d text DEFAULT 'a default that is text', ADD e numeric(6,2) DEFAULT 1.50, ADD f float8, ADD g bool NOT NULL DEFAULT true;
INSERT INTO places_columns (a, gone2, b, c, d, e, f, g) VALUES (9, 9, 'b9', NULL, NULL, NULL, 1.5, false);
ALTER TABLE places_columns DROP gone2;
ALTER TABLE places_columns ADD h timestamp DEFAULT '2001-01-01', ADD i uuid DEFAULT '00000000-0000-0000-0000-000000000001';
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(a), min(b), sum(c), max(d), sum(e), avg(f), bool_and(g), max(h) FROM places_columns');
SELECT * FROM pg_temp.engine_check('SELECT c, d, e, g, h, i, count(*), count(f) FROM places_columns GROUP BY c, d, e, g, h, i');
SELECT * FROM pg_temp.engine_check('SELECT sum(c), count(*) FROM places_columns WHERE e = 1.5 AND d LIKE ''a def%'' AND g');
SELECT * FROM pg_temp.engine_check('SELECT count(i), count(h) FROM places_columns WHERE f IS NULL');
ALTER TABLE places_columns ALTER a TYPE bigint USING a * 10000000000;
SELECT * FROM pg_temp.engine_check('SELECT sum(a), sum(c), max(d) FROM places_columns');

-- values out of line, compressed, and with short headers
CREATE TABLE places_toast (id int, plain text, packed text, far text, n numeric);
ALTER TABLE places_toast ALTER far SET STORAGE EXTERNAL;
INSERT INTO places_toast
SELECT i, 'short ' || i % 3, repeat('compress me ' || i % 3, 1000), repeat(chr(97 + i % 3), 9000), ('0.' || repeat('1234567', 40 * (i % 3) + 1))::numeric FROM generate_series(1, 30) i;
UPDATE places_toast SET id = -id WHERE id > 25;
DELETE FROM places_toast WHERE id = 3;
SELECT * FROM pg_temp.engine_check('SELECT count(*), min(left(far, 3)), max(length(far)), max(length(packed)), min(right(packed, 1)) FROM places_toast');
SELECT * FROM pg_temp.engine_check('SELECT length(far), length(packed), plain, count(*) FROM places_toast GROUP BY far, packed, plain');
SELECT * FROM pg_temp.engine_check('SELECT md5(min(far)), md5(max(packed)), md5(sum(n)::text), md5(max(n)::text) FROM places_toast');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM places_toast WHERE far LIKE ''b%'' AND packed LIKE ''%1''');
SELECT * FROM pg_temp.engine_check('SELECT md5(n::text), count(*) FROM places_toast GROUP BY n');
SELECT * FROM pg_temp.engine_check('SELECT count(far), count(packed) FROM places_toast WHERE id < 0');

-- nulls everywhere, and rows without any
CREATE TABLE places_nulls (a int, b float8, c text, d numeric, e timestamp, f bool);
INSERT INTO places_nulls SELECT FROM generate_series(1, 1500);
SELECT * FROM pg_temp.engine_check('SELECT count(*), count(a), sum(a), sum(b), min(c), avg(d), max(e), bool_or(f), stddev(b) FROM places_nulls');
SELECT * FROM pg_temp.engine_check('SELECT a, b, c, d, e, f, count(*), sum(d) FROM places_nulls GROUP BY 1, 2, 3, 4, 5, 6');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM places_nulls WHERE a IS NULL AND NOT (b > 1) IS TRUE AND c IS NOT DISTINCT FROM NULL');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM places_nulls WHERE a = 1 OR b > 2 OR c LIKE ''%''');
INSERT INTO places_nulls VALUES (1, 1, 'c', 1, '2001-01-01', true);
SELECT * FROM pg_temp.engine_check('SELECT a, c, f, count(*), sum(b), min(d), max(e) FROM places_nulls GROUP BY a, c, f');

-- nothing to read: empty tables, and tables without columns
CREATE TABLE places_empty (a int, t text);
CREATE TABLE places_bare ();
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(a), min(t), avg(a), bool_and(a > 0) FROM places_empty');
SELECT * FROM pg_temp.engine_check('SELECT a, count(*) FROM places_empty GROUP BY a');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM places_bare');
INSERT INTO places_bare SELECT FROM generate_series(1, 1100);
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(2) FROM places_bare');
SELECT * FROM pg_temp.engine_check('SELECT 1 AS one, count(*) FROM places_bare GROUP BY one');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM places_bare HAVING count(*) > 1100');

-- kinds of tables
CREATE TEMP TABLE places_temp AS SELECT * FROM places;
CREATE UNLOGGED TABLE places_unlogged AS SELECT * FROM places;
CREATE MATERIALIZED VIEW places_matview AS SELECT * FROM places WHERE k > 0;
CREATE VIEW places_view AS SELECT k + 1 AS k1, v * 2 AS v2 FROM places WHERE id > 10;
CREATE ACCESS METHOD places_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE places_other USING places_heap AS SELECT * FROM places;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t) FROM places_temp GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t) FROM places_unlogged GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t) FROM places_matview GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT k1, count(*), sum(v2) FROM places_view GROUP BY k1');
SELECT same, answer FROM pg_temp.engine_check('SELECT k, count(*), sum(v) FROM places_other GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT count(*), max(relname) IS NOT NULL FROM pg_class WHERE relkind = ''z''');

-- partitions: of other layouts, pruned when planned and when run, empty, detached
CREATE TABLE places_parts (k int, v bigint, t text, n numeric DEFAULT 1) PARTITION BY LIST (k);
CREATE TABLE places_parts0 PARTITION OF places_parts FOR VALUES IN (0);
CREATE TABLE places_parts1 (t text, dropped int, n numeric, v bigint, k int);
ALTER TABLE places_parts1 DROP dropped;
ALTER TABLE places_parts ATTACH PARTITION places_parts1 FOR VALUES IN (1);
CREATE TABLE places_parts2 PARTITION OF places_parts DEFAULT PARTITION BY RANGE (v);
CREATE TABLE places_parts2a PARTITION OF places_parts2 FOR VALUES FROM (MINVALUE) TO (1000);
CREATE TABLE places_parts2b PARTITION OF places_parts2 FOR VALUES FROM (1000) TO (MAXVALUE);
INSERT INTO places_parts SELECT k, v, t FROM places;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), min(t), sum(n) FROM places_parts GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(v), max(t) FROM places_parts WHERE v < 100 AND t > ''v5''');
SELECT * FROM pg_temp.engine_check('SELECT (k + 1) * 2, upper(left(t, 1)) || ''!'', sum(v) FROM places_parts GROUP BY k + 1, left(t, 1) HAVING (k + 1) % 2 = 1');
SELECT * FROM pg_temp.engine_check('SELECT k, sum(v) FROM places_parts WHERE k = 1 GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT k, sum(v) FROM places_parts WHERE k = 99 AND v > 5 GROUP BY k');
SET batchagg.debug_force_engine = on;
EXPLAIN (COSTS OFF) SELECT t, sum(v) FROM places_parts WHERE k IN (1, 2) GROUP BY t;
SET plan_cache_mode = force_generic_plan;
PREPARE places_pruned(int) AS SELECT v % 2 AS odd, count(*), sum(v) FROM places_parts WHERE k = $1 GROUP BY 1;
EXPLAIN (COSTS OFF) EXECUTE places_pruned(1);
EXECUTE places_pruned(0);
EXECUTE places_pruned(1);
EXECUTE places_pruned(2);
EXECUTE places_pruned(3);
EXECUTE places_pruned(NULL);
DEALLOCATE places_pruned;
RESET plan_cache_mode;
SELECT * FROM pg_temp.engine_check('SELECT d, (SELECT sum(v) FROM places_parts WHERE k = d) FROM generate_series(-1, 3) d');
SET enable_partitionwise_aggregate = on;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), min(t), sum(n) FROM places_parts GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT t LIKE ''%1'', count(*), sum(v) FROM places_parts GROUP BY 1');
RESET enable_partitionwise_aggregate;
ALTER TABLE places_parts DETACH PARTITION places_parts1;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v) FROM places_parts GROUP BY k');

-- inheritance: the parent's own rows, children with more columns, ONLY
CREATE TABLE places_parent (a int, b text);
CREATE TABLE places_child (c int) INHERITS (places_parent);
CREATE TABLE places_grandchild (d int, a int) INHERITS (places_child);
INSERT INTO places_parent VALUES (1, 'parent');
INSERT INTO places_child VALUES (2, 'child', 20);
INSERT INTO places_grandchild VALUES (3, 'grandchild', 30, 300);
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(a), max(b) FROM places_parent');
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(a), max(b) FROM ONLY places_parent');
SELECT * FROM pg_temp.engine_check('SELECT b, sum(a), sum(c) FROM places_child WHERE c > 10 GROUP BY b');

-- run again and again
SELECT * FROM pg_temp.engine_check('SELECT g, l.* FROM generate_series(0, 3) g, LATERAL (SELECT count(*), sum(v), min(t) FROM places WHERE k = g) l');
SELECT * FROM pg_temp.engine_check('SELECT g, l.* FROM generate_series(0, 2) g, LATERAL (SELECT k, sum(v + g) AS s FROM places WHERE id <= g * 2 GROUP BY k) l');
SELECT * FROM pg_temp.engine_check('SELECT g FROM generate_series(0, 4) g WHERE (SELECT count(*) FROM places WHERE k = g) > 0');
SELECT * FROM pg_temp.engine_check('SELECT g, (SELECT max(t) FROM places WHERE id = g AND k <> (SELECT min(k) FROM places WHERE id > g)) FROM generate_series(1, 4) g');
SELECT same, answer FROM pg_temp.engine_check('WITH RECURSIVE r (n, s) AS (SELECT 0, 0::numeric UNION ALL SELECT n + 1, (SELECT sum(v) FROM places WHERE id <= n) FROM r WHERE n < 4) SELECT * FROM r');
SELECT * FROM pg_temp.engine_check('SELECT a.k, a.s, b.c FROM (SELECT k, sum(v) AS s FROM places GROUP BY k) a JOIN (SELECT k, count(*) AS c FROM places GROUP BY k) b ON a.k = b.k');
SELECT * FROM pg_temp.engine_check('SELECT k, sum(v) FROM places GROUP BY k UNION ALL SELECT -1, count(*) FROM places_view');
SELECT * FROM pg_temp.engine_check('SELECT s % 2, count(*), sum(c) FROM (SELECT v % 10 AS s, count(*) AS c FROM places GROUP BY 1) q GROUP BY 1');

-- cursors: stopped early, backward, held
BEGIN;
DECLARE places_cursor CURSOR FOR SELECT id > 0, count(*) FROM places GROUP BY id;
FETCH 1 FROM places_cursor;
CLOSE places_cursor;
DECLARE places_cursor SCROLL CURSOR FOR SELECT k, sum(v) FROM places GROUP BY k ORDER BY k;
FETCH 2 FROM places_cursor;
FETCH BACKWARD 1 FROM places_cursor;
MOVE BACKWARD ALL IN places_cursor;
FETCH ALL FROM places_cursor;
DECLARE places_held CURSOR WITH HOLD FOR SELECT k, sum(v) FROM places GROUP BY k ORDER BY k;
COMMIT;
FETCH ALL FROM places_held;
CLOSE places_held;
SELECT k, s FROM (SELECT id AS k, sum(v) AS s FROM places GROUP BY id) q WHERE s > 0 LIMIT 0;
SELECT EXISTS (SELECT id FROM places GROUP BY id HAVING count(*) = 1);

-- prepared statements: parameters in every clause, of types to be cast, null
PREPARE places_p(int, numeric, text, int[]) AS
SELECT k + $1 AS key, count(*), sum(v * $2), max(t || $3), count(*) FILTER (WHERE v > $1) FROM places
WHERE k = ANY ($4) AND t LIKE $3 || '%' GROUP BY k + $1 HAVING count(*) > $1 ORDER BY 1;
EXECUTE places_p(1, 0.5, 'v', '{0,1}');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE places_p(1, 0.5, 'v', '{0,1}');
EXECUTE places_p(1, 0.5, 'v', '{0,1}');
EXECUTE places_p(2, 0.5, 'v1', '{2,NULL}');
EXECUTE places_p(1, NULL, 'v', '{2}');
EXECUTE places_p(1, 1, NULL, '{2}');
ALTER TABLE places ADD more int DEFAULT 5;
EXECUTE places_p(1, 0.5, 'v', '{0,1}');
RESET plan_cache_mode;
DEALLOCATE places_p;

-- what writes: beside the engine, not through it
CREATE TABLE places_sums (k int, s numeric);
INSERT INTO places_sums SELECT k, sum(v) FROM places GROUP BY k;
INSERT INTO places_sums SELECT k, sum(s) FROM places_sums GROUP BY k;
SELECT k, count(*), sum(s) FROM places_sums GROUP BY k ORDER BY k;
CREATE TABLE places_made AS SELECT k, count(*) AS n FROM places GROUP BY k;
SELECT * FROM places_made ORDER BY k;
UPDATE places_made SET n = n + (SELECT count(*) FROM places_made);
SELECT * FROM places_made ORDER BY k;
DELETE FROM places_made WHERE n > (SELECT avg(n) FROM places_made);
SELECT count(*) FROM places_made;
WITH gone AS (DELETE FROM places_sums WHERE k = 0 RETURNING s) SELECT count(*), sum(s), (SELECT count(*) FROM places_sums) FROM gone;
WITH made AS (INSERT INTO places_sums SELECT k, sum(v) FROM places GROUP BY k RETURNING k) SELECT count(*) FROM made;
INSERT INTO places_sums SELECT * FROM (SELECT k, sum(v) AS s FROM places GROUP BY k) q ORDER BY k RETURNING k, s;
SELECT k FROM places WHERE v = (SELECT max(v) FROM places) FOR UPDATE;
SELECT id FROM places WHERE v > (SELECT avg(v) FROM places) + 998 ORDER BY id FOR UPDATE;

-- in functions, with subtransactions that fail while a scan is under way
CREATE FUNCTION places_fail(bigint) RETURNS bigint IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS
	'BEGIN IF $1 = 1501 THEN RAISE EXCEPTION ''met %'', $1; END IF; RETURN $1; END';
CREATE FUNCTION places_loop() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	total numeric := 0;
	failed int := 0;
	row record;
BEGIN
	FOR i IN 1 .. 5 LOOP
		BEGIN
			INSERT INTO places (id, k, v) VALUES (-i, -1, i);
			SELECT sum(places_fail(v)) INTO row FROM places WHERE k = 0 OR i % 2 = 0;
			IF i = 3 THEN
				RAISE EXCEPTION 'undo';
			END IF;
			total := total + (SELECT sum(v) FROM places WHERE k = -1);
		EXCEPTION WHEN OTHERS THEN
			failed := failed + 1;
		END;
	END LOOP;
	FOR row IN SELECT k, count(*) AS n FROM places GROUP BY k LOOP
		total := total + (SELECT count(*) FROM places WHERE k = row.k) - row.n;
		EXIT WHEN row.k = 1;
	END LOOP;
	RETURN format('%s failed, total %s, %s rows', failed, total, (SELECT count(*) FROM places WHERE k = -1));
END $$;
SELECT places_loop();
DELETE FROM places WHERE id < 0;
CREATE FUNCTION places_fail_on(n bigint) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM places WHERE v < n';
SELECT * FROM pg_temp.engine_check('SELECT k, sum(places_fail_on(v)) FROM places WHERE v < 20 GROUP BY k');

-- what EXPLAIN shows, in its other forms as well
SET batchagg.debug_force_engine = on;
EXPLAIN (COSTS OFF, VERBOSE) SELECT k % 2, count(*), sum(v) FILTER (WHERE id > 5), avg(v) FROM places WHERE t LIKE 'v1%' AND v > 3 GROUP BY 1 HAVING max(v) > 1;
CREATE FUNCTION places_explain(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
		-- how a table lies in pages, and what is computed by vectors, are not told here
		CONTINUE WHEN options ~ 'COSTS OFF' AND line ~ 'Rows Evaluated by Core|Peak Memory|Memory Usage';
		line := regexp_replace(line, '(actual rows=\d+)\.00', '\1');
		RETURN NEXT regexp_replace(line, '(Pages|Vectors): [1-9]\d*', '\1: N');
	END LOOP;
END $$;
SELECT places_explain('ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF', 'SELECT count(*) FROM places WHERE id <= 100');
SELECT places_explain('ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF', 'SELECT k, sum(v) FROM places_temp WHERE id > 100 GROUP BY k');
SELECT places_explain('ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF',
	'SELECT (SELECT sum(v) FROM places_temp WHERE k = g) FROM generate_series(0, 2) g');
SELECT node -> 'Custom Plan Provider' AS provider, node -> 'Group Key' AS keys, node -> 'Filter' AS filter, node -> 'Rows Scanned' AS rows
FROM places_explain('ANALYZE, FORMAT JSON', 'SELECT k, sum(v) FROM places WHERE v > 0 GROUP BY k') e, json_extract_path(e::json, '0', 'Plan', 'Plans', '0') node;
SELECT string_agg(e, '')::xml IS DOCUMENT AS well_formed FROM places_explain('ANALYZE, FORMAT XML', 'SELECT k, count(*) FROM places WHERE v > 0 GROUP BY k') e;

DROP TABLE places, places_hot, places_rows, places_columns, places_toast, places_nulls, places_empty, places_bare, places_temp, places_unlogged,
	places_other, places_parts, places_parts1, places_parent, places_sums, places_made CASCADE;
DROP ACCESS METHOD places_heap;
DROP FUNCTION places_leaks, places_fail, places_loop, places_fail_on, places_explain;
DROP ROLE regress_places_a, regress_places_b;
