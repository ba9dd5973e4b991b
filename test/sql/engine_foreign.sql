-- A partition that lies elsewhere: core reads it, and the engine what is left once it is pruned.
-- Elsewhere is this database, in another session, with the engine there as well.
LOAD 'batchagg';
SET jit = off;
SET max_parallel_workers_per_gather = 0;
CREATE SCHEMA engine_foreign;
SET search_path = engine_foreign;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set ECHO all

CREATE EXTENSION postgres_fdw;
DO $$
BEGIN
	EXECUTE format($f$CREATE SERVER foreign_here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname %L, host %L, port %L,
		options '-c session_preload_libraries=batchagg -c batchagg.debug_force_engine=on')$f$,
		current_database(), split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'));
END $$;
CREATE USER MAPPING FOR CURRENT_USER SERVER foreign_here;

CREATE TABLE foreign_rows (k int, v bigint, t text, n numeric(8,2));
INSERT INTO foreign_rows SELECT 2, i, 'far ' || i % 5, i / 8.0 FROM generate_series(1, 500) i;
CREATE TABLE foreign_parts (k int, v bigint, t text, n numeric(8,2)) PARTITION BY LIST (k);
CREATE TABLE foreign_parts0 PARTITION OF foreign_parts FOR VALUES IN (0);
CREATE TABLE foreign_parts1 PARTITION OF foreign_parts FOR VALUES IN (1);
CREATE FOREIGN TABLE foreign_parts2 PARTITION OF foreign_parts FOR VALUES IN (2) SERVER foreign_here OPTIONS (table_name 'foreign_rows');
INSERT INTO foreign_parts SELECT i % 2, i, 'near ' || i % 7, i / 4.0 FROM generate_series(1, 600) i;
INSERT INTO foreign_parts VALUES (2, NULL, NULL, NULL);
ANALYZE foreign_parts;

-- with it, by core
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t), avg(n) FROM foreign_parts GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT count(*), sum(v) FROM foreign_parts WHERE t LIKE ''%3''');
SET enable_partitionwise_aggregate = on;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t), avg(n) FROM foreign_parts GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT v % 3 AS r, count(*), sum(n) FROM foreign_parts GROUP BY 1');
RESET enable_partitionwise_aggregate;
-- alone; the other session runs the aggregate, or what is left of it
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t), avg(n) FROM foreign_parts WHERE k = 2 GROUP BY k');
SELECT * FROM pg_temp.engine_check('SELECT t, count(*), sum(v) FROM foreign_parts2 WHERE n > 20 GROUP BY t');
-- without it, by the engine
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t), avg(n) FROM foreign_parts WHERE k < 2 GROUP BY k');
-- beside it in one query
SELECT * FROM pg_temp.engine_check('SELECT a.c, a.s, b.c, b.s FROM (SELECT count(*) AS c, sum(v) AS s FROM foreign_parts0) a, (SELECT count(*) AS c, sum(v) AS s FROM foreign_parts2) b');
SELECT * FROM pg_temp.engine_check('SELECT f.v, (SELECT sum(v) FROM foreign_parts1 WHERE v < f.v) FROM foreign_parts2 f WHERE f.v < 4');
-- pruned or not when the plan runs: any plan of all partitions is core's
SET plan_cache_mode = force_generic_plan;
PREPARE foreign_pruned(int) AS SELECT k, count(*), sum(v) FROM foreign_parts WHERE k = $1 GROUP BY k;
EXECUTE foreign_pruned(0);
EXECUTE foreign_pruned(2);
EXECUTE foreign_pruned(NULL);
DEALLOCATE foreign_pruned;
RESET plan_cache_mode;
-- out of the partitions, the rest is the engine's
ALTER TABLE foreign_parts DETACH PARTITION foreign_parts2;
SELECT * FROM pg_temp.engine_check('SELECT k, count(*), sum(v), max(t), avg(n) FROM foreign_parts GROUP BY k');

SET client_min_messages = warning;
DROP SCHEMA engine_foreign CASCADE;
