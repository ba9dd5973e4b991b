-- What the engine leaves to core, however much it is asked to take: run_by is "core" and the
-- answer is right. Beside each group stands what is alike and can be taken, so that
-- nothing is declined by accident.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA engine_decline;
GRANT USAGE ON SCHEMA engine_decline TO PUBLIC;
SET search_path = engine_decline, batchagg;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set ECHO all
SET max_parallel_workers_per_gather = 0;
\set VERBOSITY terse

CREATE TABLE decline (id int PRIMARY KEY, k int, n numeric, f float8, t text, b bool);
INSERT INTO decline SELECT i, i % 3, i / 2.0, i * 1.5, 'v' || i % 2, i % 2 = 0 FROM generate_series(1, 12) i;
CREATE TABLE decline_other (k int, w int);
INSERT INTO decline_other VALUES (0, 10), (1, 20), (1, 30);
ANALYZE decline, decline_other;

-- taken: the query that those below are variations of
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(id) FROM decline WHERE id > 2 GROUP BY k');

-- conditions without a column of the table: they stand above the scan and would get lost
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE (SELECT false)');
SELECT * FROM pg_temp.engine_check('SELECT k, count(*) FROM decline WHERE id > 2 AND EXISTS (SELECT FROM decline_other WHERE w > 100) GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE id > 2 AND now() < timestamptz ''2000-01-01''');
SELECT * FROM pg_temp.engine_check('SELECT o.w, (SELECT count(*) FROM decline WHERE o.w > 15) FROM decline_other o');
SET plan_cache_mode = force_generic_plan;
PREPARE decline_one_time(bool) AS SELECT count(*) FROM decline WHERE $1;
EXPLAIN (COSTS OFF) EXECUTE decline_one_time(false);
EXECUTE decline_one_time(false);
EXECUTE decline_one_time(true);
EXECUTE decline_one_time(NULL);
DEALLOCATE decline_one_time;
RESET plan_cache_mode;
-- one that is false before any plan is made
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE false');

-- what is not one heap table
CREATE VIEW decline_view AS SELECT * FROM decline WHERE id > 2;
CREATE VIEW decline_limited AS SELECT * FROM decline ORDER BY id LIMIT 5;
CREATE MATERIALIZED VIEW decline_matview AS SELECT * FROM decline WHERE id > 2;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*) FROM decline JOIN decline_other USING (k) GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT k, count(w) FROM decline LEFT JOIN decline_other USING (k) GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline d WHERE EXISTS (SELECT FROM decline_other o WHERE o.k = d.k)');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline TABLESAMPLE bernoulli (100)');
SELECT * FROM pg_temp.engine_check('SELECT sum(i) FROM generate_series(1, 10) i');
SELECT * FROM pg_temp.engine_check('SELECT sum(i) FROM (VALUES (1), (2)) v (i)');
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(1) FROM (SELECT) nothing');
SELECT * FROM pg_temp.engine_check('WITH c AS MATERIALIZED (SELECT * FROM decline) SELECT k, count(*) FROM c GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline_limited');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM (SELECT * FROM decline UNION ALL SELECT * FROM decline) u');
-- taken: a view and a subquery that come to nothing more than the table, a materialized view, a CTE that is used once
SELECT * FROM pg_temp.engine_check('SELECT k, count(*) FROM decline_view GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT k, count(*) FROM decline_matview GROUP BY k');
SELECT * FROM pg_temp.engine_check('WITH c AS (SELECT * FROM decline) SELECT k, count(*) FROM c GROUP BY k');

-- a leaf that cannot be read: the whole table goes to core. (Its server does not exist, so nobody can read it.)
CREATE FOREIGN DATA WRAPPER decline_nowhere;
CREATE SERVER decline_far FOREIGN DATA WRAPPER decline_nowhere;
CREATE TABLE decline_parts (k int, n int) PARTITION BY LIST (k);
CREATE TABLE decline_parts1 PARTITION OF decline_parts FOR VALUES IN (1);
CREATE FOREIGN TABLE decline_parts2 PARTITION OF decline_parts FOR VALUES IN (2) SERVER decline_far;
INSERT INTO decline_parts1 VALUES (1, 1), (1, 2);
SELECT * FROM pg_temp.engine_check('SELECT k, sum(n) FROM decline_parts GROUP BY k');
-- taken: with the foreign partition out of the way
SELECT * FROM pg_temp.engine_check('SELECT k, sum(n) FROM decline_parts WHERE k = 1 GROUP BY k');

-- rows that are to be locked, or that another part of the statement writes
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM (SELECT * FROM decline FOR UPDATE) l');
BEGIN;
EXPLAIN (COSTS OFF) WITH w AS (UPDATE decline SET f = f RETURNING id) SELECT count(*) FROM decline;
WITH w AS (DELETE FROM decline RETURNING id) SELECT count(*), sum(id) FROM decline;
ROLLBACK;

-- system columns and whole rows: rows are read without them
SELECT * FROM pg_temp.engine_check('SELECT tableoid::regclass, count(*) FROM decline GROUP BY tableoid');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE xmax = 0');
SELECT * FROM pg_temp.engine_check('SELECT count(ctid) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT max(ctid) = ''(0,12)'' FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT count(decline) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE decline IS NOT NULL');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline d GROUP BY d');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FILTER (WHERE ctid <> ''(0,1)'') FROM decline');

-- other shapes of aggregation
SELECT * FROM pg_temp.engine_check('SELECT k, b, count(*) FROM decline GROUP BY ROLLUP (k, b)');
SELECT * FROM pg_temp.engine_check('SELECT k, b, count(*) FROM decline GROUP BY GROUPING SETS ((k), (b))');
SELECT * FROM pg_temp.engine_check('SELECT k, count(*) FROM decline GROUP BY CUBE (k)');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline GROUP BY GROUPING SETS ((), ())');
SELECT * FROM pg_temp.engine_check('SELECT k, generate_series(1, 2), count(*) FROM decline GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT generate_series(1, k), count(*) FROM decline GROUP BY 1');
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), rank() OVER (ORDER BY count(*), k) FROM decline GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT sum(count(*)) OVER () FROM decline GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT id, t, count(*) FROM decline WHERE id < 4 GROUP BY id');
SELECT * FROM pg_temp.engine_check('SELECT DISTINCT k FROM decline');

-- other aggregates
SELECT * FROM pg_temp.engine_check('SELECT count(DISTINCT k) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT k, sum(DISTINCT f) FROM decline GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(id ORDER BY n) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT count(*), array_agg(id ORDER BY id) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT count(*), string_agg(t, '','' ORDER BY t) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT rank(5) WITHIN GROUP (ORDER BY id) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT mode() WITHIN GROUP (ORDER BY k) FROM decline');
CREATE FUNCTION decline_add(bigint, VARIADIC int[]) RETURNS bigint IMMUTABLE PARALLEL SAFE LANGUAGE sql AS 'SELECT $1 + (SELECT sum(v) FROM unnest($2) v)';
CREATE AGGREGATE decline_variadic(VARIADIC int[]) (SFUNC = decline_add, STYPE = bigint, INITCOND = 0, COMBINEFUNC = int8pl);
SELECT * FROM pg_temp.engine_check('SELECT decline_variadic(id, k) FROM decline');
-- made of core's functions, but nobody knows what for
CREATE AGGREGATE decline_from_hundred(int) (SFUNC = int4_sum, STYPE = bigint, INITCOND = 100, COMBINEFUNC = int8pl);
CREATE AGGREGATE decline_no_combine(int) (SFUNC = int4_sum, STYPE = bigint);
SELECT * FROM pg_temp.engine_check('SELECT decline_from_hundred(id) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT decline_no_combine(id) FROM decline');
-- one aggregate that is declined takes the others with it
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(id), decline_no_combine(id) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT k FROM decline GROUP BY k HAVING decline_no_combine(id) > 25');
-- taken: an aggregate that stands in a subquery and belongs to the query outside
SELECT * FROM pg_temp.engine_check('SELECT (SELECT max(o.k) FROM decline_other WHERE w = 10) FROM decline o');

-- a FILTER that cannot be evaluated here: were it dropped, all rows would count
SELECT * FROM pg_temp.engine_check('SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM decline_other o WHERE o.k = d.k AND o.w > 15)) FROM decline d');
SELECT * FROM pg_temp.engine_check('SELECT sum(id) FILTER (WHERE k IN (SELECT k FROM decline_other)) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FILTER (WHERE random() < 0) FROM decline');
-- subplans in the other places
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE k IN (SELECT k FROM decline_other) OR id = 12');
SELECT * FROM pg_temp.engine_check('SELECT sum((SELECT w FROM decline_other o WHERE o.k = d.k AND w < 30)) FROM decline d');
SELECT * FROM pg_temp.engine_check('SELECT (SELECT w FROM decline_other o WHERE o.k = d.k AND w < 30), count(*) FROM decline d GROUP BY 1');
-- taken: one that does not depend on the row is a parameter by the time
SELECT * FROM pg_temp.engine_check('SELECT count(*) FILTER (WHERE id > (SELECT w FROM decline_other WHERE w = 10)) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE id > (SELECT w FROM decline_other WHERE w = 10)');

-- volatile functions: core calls them once a row, in its order
CREATE SEQUENCE decline_seq;
CREATE FUNCTION decline_volatile(int) RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline WHERE random() >= 0');
SELECT * FROM pg_temp.engine_check('SELECT sum(decline_volatile(id)) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT decline_volatile(k), count(*) FROM decline GROUP BY 1');
SELECT * FROM pg_temp.engine_check('SELECT count(nextval(''decline_seq'')) FROM decline');
-- taken: stable and immutable ones, and a volatile one above the aggregation
CREATE FUNCTION decline_stable(int) RETURNS int STABLE PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END';
SELECT * FROM pg_temp.engine_check('SELECT sum(decline_stable(id)) FROM decline WHERE decline_stable(k) > 1');
SELECT * FROM pg_temp.engine_check('SELECT decline_volatile(max(id)) FROM decline');
SELECT * FROM pg_temp.engine_check('SELECT k FROM decline GROUP BY k HAVING decline_volatile(max(id)) > 10');

-- keys that are equal though their bytes are not, by a nondeterministic collation
CREATE COLLATION decline_caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE decline_text (t text COLLATE decline_caseless, c text COLLATE "C");
INSERT INTO decline_text VALUES ('a', 'a'), ('A', 'A'), ('b', 'b'), ('B', 'A');
SELECT * FROM pg_temp.engine_check('SELECT lower(t), n FROM (SELECT t, count(*) AS n FROM decline_text GROUP BY t) q');
SELECT * FROM pg_temp.engine_check('SELECT count(*) FROM decline_text GROUP BY c COLLATE decline_caseless');
-- taken or not, but by the collation that was asked for
SELECT pg_temp.engine_check('SELECT t COLLATE "C", count(*) FROM decline_text GROUP BY t COLLATE "C"');
SELECT same, answer FROM pg_temp.engine_check('SELECT count(*) FROM decline_text WHERE t = ''A''');
SELECT same, answer FROM pg_temp.engine_check('SELECT count(*) FROM decline_text WHERE c COLLATE decline_caseless = ''a''');
SELECT same, answer FROM pg_temp.engine_check('SELECT min(c COLLATE "und-x-icu"), max(c COLLATE "und-x-icu"), min(c), max(c) FROM decline_text');
SELECT same, answer FROM pg_temp.engine_check('SELECT count(*) FROM decline_text WHERE c COLLATE "und-x-icu" < ''b''');

-- keys that cannot be grouped by their bytes, or not hashed: as core, or core
CREATE TABLE decline_keys (i interval, n numeric, f float8, c char(5), j jsonb, a int[], m money, r int4range);
INSERT INTO decline_keys VALUES
	('1 day', 1.0, 0.0, 'a', '{"a": 1}', '{1}', 1, '[1,3)'), ('24 hours', 1.00, -0.0, 'a ', '{"a": 1.0}', '{1}', 1, '[1,2]');
SELECT column_name, (c).same, (c).answer
FROM (VALUES ('i'), ('n'), ('f'), ('c'), ('j'), ('a'), ('m'), ('r')) v (column_name),
	LATERAL pg_temp.engine_check(format('SELECT count(*) FROM decline_keys GROUP BY %I', column_name)) c;

-- the session's wish
SET batchagg.enabled = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM decline;
RESET batchagg.enabled;

DROP TABLE decline, decline_other, decline_parts, decline_text, decline_keys CASCADE;
DROP FOREIGN DATA WRAPPER decline_nowhere CASCADE;
DROP AGGREGATE decline_variadic(VARIADIC int[]);
DROP AGGREGATE decline_from_hundred(int);
DROP AGGREGATE decline_no_combine(int);
DROP FUNCTION decline_add, decline_volatile, decline_stable;
DROP SEQUENCE decline_seq;
DROP COLLATION decline_caseless;
