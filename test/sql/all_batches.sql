-- all_batches: the query once over all rows, with exactly the rows and types of the plain query
SET search_path = public, batchagg;
CREATE TABLE sale (id int, region text, qty int, price numeric(10,2), f float8);
INSERT INTO sale
SELECT i, (ARRAY['north', 'south', 'east', 'west'])[1 + i % 4], i % 17, i * 0.25, i
FROM generate_series(1, 20000) i;
CREATE TABLE region (name text, country text);
INSERT INTO region VALUES ('north', 'N'), ('south', 'S'), ('east', 'E');
ANALYZE sale, region;

SELECT * FROM all_batches('SELECT region, count(*), sum(price) FROM sale GROUP BY region ORDER BY region DESC', 1000, 2)
  AS (region text, count bigint, sum numeric);
CREATE TYPE total AS (region text, n bigint);
SELECT * FROM all_batches_as(NULL::total, 'SELECT region, count(*) FROM sale GROUP BY region ORDER BY 1', 1000);
SELECT * FROM all_batches('SELECT count(*) FROM sale WHERE region = $1 AND id < $2', params => ARRAY['north', '1000'])
  AS (n bigint);
SELECT * FROM all_batches('VALUES (1, ''a''), (2, ''b'')') AS (i int, t text);

-- equal to the plain query, by workers and without
CREATE FUNCTION check_all(query text, size bigint, nworkers int) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE wanted text[]; found text[];
BEGIN
  EXECUTE format('SELECT array_agg(q::text) FROM (%s) q', query) INTO wanted;
  SELECT array_agg(line) INTO found
    FROM all_batches(format('SELECT q::text FROM (%s) q', query), size, nworkers) AS (line text);
  RETURN found IS NOT DISTINCT FROM wanted;
END $$;
SELECT q, bool_and(check_all(q, size, workers))
FROM unnest(ARRAY[
  'SELECT region, sum(qty), avg(price), max(f) FROM sale GROUP BY region ORDER BY region',
  'SELECT country, count(*) FROM sale LEFT JOIN region ON region = name GROUP BY country ORDER BY country',
  'SELECT id FROM sale WHERE qty = 5 ORDER BY id DESC LIMIT 7 OFFSET 3',
  'SELECT id, row_number() OVER (ORDER BY id) FROM sale WHERE qty = 5 ORDER BY id',
  'SELECT count(*) FROM sale a JOIN sale b USING (id)',
  'SELECT region FROM sale UNION SELECT name FROM region ORDER BY 1',
  'SELECT count(*) FROM sale WHERE f > (SELECT avg(f) FROM sale)'
]) q, (VALUES (1000, 0), (1000, 2), (1000000, 1)) v (size, workers)
GROUP BY q ORDER BY q;

-- Workers take part where the table has more than one batch, also where core would use none: in
-- a command that writes, in a function. The pid of a worker is not the leader's.
CREATE FUNCTION my_pid() RETURNS int LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS 'BEGIN RETURN pg_backend_pid(); END';
CREATE TABLE pids (pid int);
SET parallel_leader_participation = off;
INSERT INTO pids SELECT * FROM all_batches('SELECT max(my_pid()) FROM sale', 1000, 2) AS (pid int);
SELECT count(*), bool_or(pid = pg_backend_pid()) AS leader FROM pids;
TRUNCATE pids;
INSERT INTO pids SELECT * FROM all_batches('SELECT max(my_pid()) FROM sale', 1000, 0) AS (pid int);
SELECT count(*), bool_or(pid = pg_backend_pid()) AS leader FROM pids;
TRUNCATE pids;
INSERT INTO pids SELECT * FROM all_batches('SELECT max(my_pid()) FROM sale', 100000, 2) AS (pid int);
SELECT count(*), bool_or(pid = pg_backend_pid()) AS leader FROM pids;
CREATE FUNCTION in_function() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE seen int;
BEGIN
  INSERT INTO pids VALUES (0);
  SELECT pid INTO seen FROM all_batches('SELECT max(my_pid()) FROM sale', 1000, 2) AS (pid int);
  RETURN seen = pg_backend_pid();
END $$;
SELECT in_function() AS leader;
RESET parallel_leader_participation;

-- the settings that steer core are the caller's again, after success and after an error
SHOW max_parallel_workers_per_gather;
SHOW min_parallel_table_scan_size;
SHOW parallel_setup_cost;
SELECT * FROM all_batches('SELECT current_setting(''parallel_setup_cost'')', 1000, 2) AS (setting text);
SELECT * FROM all_batches('SELECT 1 / (id - id) FROM sale', 1000, 2) AS (i int);
CREATE FUNCTION no_plan() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE ''while planning''; END';
SELECT * FROM all_batches('SELECT no_plan()', 1000, 2) AS (i int);
SHOW max_parallel_workers_per_gather;
SHOW min_parallel_table_scan_size;
SHOW parallel_setup_cost;

-- what is not parallel safe runs in the leader, as in the plain query
CREATE SEQUENCE drawn;
SELECT * FROM all_batches('SELECT max(nextval(''drawn'')) FROM sale', 1000, 2) AS (m bigint);
CREATE TEMP TABLE mine AS SELECT * FROM sale;
SELECT * FROM all_batches('SELECT count(*) FROM mine', 1000, 2) AS (n bigint);

-- the caller's uncommitted rows
BEGIN;
DELETE FROM sale WHERE id > 500;
SELECT * FROM all_batches('SELECT count(*) FROM sale', 100, 2) AS (n bigint);
ROLLBACK;

-- partitions and nothing at all
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
SELECT * FROM all_batches('SELECT count(*) FROM parts', 100, 2) AS (n bigint);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (5000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (5000) TO (10000);
INSERT INTO parts SELECT generate_series(1, 9999);
SELECT * FROM all_batches('SELECT count(*), sum(id) FROM parts', 100, 2) AS (n bigint, s bigint);

DROP TABLE sale, region, pids, mine, parts;
DROP TYPE total;
DROP FUNCTION check_all, my_pid, in_function, no_plan;
DROP SEQUENCE drawn;
