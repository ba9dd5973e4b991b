-- What make demo shows: the flights batch by batch, and as a whole.
--
-- Wants table flights, the extension, and the psql variable workers (parallel
-- workers beside the leader). Ends with an error if the batches do not add up
-- to the plain query's answer.

\set QUIET on
\pset footer off
SELECT CASE WHEN count(*) < 1000000 THEN 10000 ELSE 100000 END AS batch_size FROM flights \gset
SET batchagg.batch_size = :batch_size;
SET batchagg.max_parallel_workers = :workers;
SET max_parallel_workers_per_gather = :workers;

\echo
\echo '1. The input: one row a flight'
\echo
SELECT count(*) AS flights, min(date)::date AS first_day, max(date)::date AS last_day,
       count(DISTINCT origin) AS airports, pg_size_pretty(pg_table_size('flights')) AS size
FROM flights;

\echo '2. Batches: ranges of the table with the same number of rows each'
\echo
\set ECHO queries
SELECT batch, first_tid, last_tid, row_count FROM batchagg.split_batches('flights') LIMIT 3;

SELECT count(*) AS batches, min(row_count) AS smallest, max(row_count) AS largest,
       sum(row_count) AS rows
FROM batchagg.split_batches('flights');
\set ECHO none

\echo '3. Each batch by itself, by background workers: one state of statistics a batch'
\echo
\set ECHO queries
\timing on
CREATE TEMP TABLE by_batch AS
SELECT * FROM batchagg.each_batch('SELECT min(date), batchagg.stats_agg(delay) FROM flights')
    AS (batch bigint, starts timestamp, delay batchagg.stats);
\timing off
\echo

SELECT batch, starts, batchagg.num_vals(delay) AS flights,
       round(batchagg.average(delay)::numeric, 2) AS avg_delay,
       round(batchagg.stddev(delay)::numeric, 2) AS stddev,
       batchagg.min_val(delay) AS earliest, batchagg.max_val(delay) AS latest
FROM by_batch ORDER BY batch LIMIT 5;
\set ECHO none

\echo '4. The states of all batches, merged, beside the plain query: the same numbers'
\echo
\set ECHO queries
SELECT 'batches merged' AS source, batchagg.num_vals(s) AS flights, batchagg.average(s),
       batchagg.stddev(s), batchagg.min_val(s), batchagg.max_val(s)
FROM (SELECT batchagg.rollup(delay) AS s FROM by_batch) AS merged
UNION ALL
SELECT 'plain query', count(*), avg(delay)::float8, stddev_samp(delay)::float8, min(delay), max(delay)
FROM flights;
\set ECHO none

\echo '5. All batches as one: rows and types of the plain query, by workers'
\echo
\set ECHO queries
\timing on
SELECT * FROM batchagg.all_batches('
    SELECT origin, count(*), round(avg(delay), 2)
    FROM flights GROUP BY origin ORDER BY count(*) DESC LIMIT 5')
    AS (origin text, flights bigint, avg_delay numeric);
\timing off
\echo
\set ECHO none

\echo '6. Exact: hours of delay, added in four orders. sum() moves, exact_sum() does not'
\echo
CREATE TEMP TABLE hours AS SELECT delay / 60.0::float8 AS h, origin FROM flights;
SET max_parallel_workers_per_gather = 0;
SELECT 'as stored' AS added, sum(h), batchagg.exact_sum(h) FROM hours
UNION ALL SELECT 'by airport', sum(h ORDER BY origin), batchagg.exact_sum(h ORDER BY origin) FROM hours
UNION ALL SELECT 'small to large', sum(h ORDER BY h), batchagg.exact_sum(h ORDER BY h) FROM hours
UNION ALL SELECT 'large to small', sum(h ORDER BY h DESC), batchagg.exact_sum(h ORDER BY h DESC) FROM hours;
SET max_parallel_workers_per_gather = :workers;

\echo '7. What it costs: flights and delay by airport, in milliseconds'
\echo

CREATE FUNCTION pg_temp.run_ms(query text, workers int, jit bool) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz;
BEGIN
	PERFORM set_config('max_parallel_workers_per_gather', workers::text, true),
			set_config('jit', jit::text, true);
	start := clock_timestamp();
	EXECUTE query;
	RETURN 1000 * extract(epoch FROM clock_timestamp() - start);
END $$;

CREATE TEMP TABLE how (line int, how text, workers int, query text);
\set query 'SELECT origin, count(*), avg(delay), stddev_samp(delay) FROM flights GROUP BY origin'
INSERT INTO how VALUES
	(1, 'plain query, serial', 0, :'query'),
	(2, 'plain query, parallel', :workers, :'query'),
	(3, 'each_batch, leader alone', 0, format(
		'SELECT * FROM batchagg.each_batch(%L, workers => 0) AS (batch bigint, o text, n bigint, a numeric, d numeric)', :'query')),
	(4, 'each_batch, with workers', :workers, format(
		'SELECT * FROM batchagg.each_batch(%L) AS (batch bigint, o text, n bigint, a numeric, d numeric)', :'query')),
	(5, 'all_batches, with workers', :workers, format(
		'SELECT * FROM batchagg.all_batches(%L) AS (o text, n bigint, a numeric, d numeric)', :'query'));
-- in turn, so that whatever else the machine does falls on all of them
CREATE TEMP TABLE measured AS
SELECT line, how, workers, round(min(pg_temp.run_ms(query, workers, round > 3)), 1) AS ms
FROM (SELECT * FROM how, generate_series(1, 6) AS round ORDER BY round, line OFFSET 0) AS runs
GROUP BY line, how, workers;
SELECT how, workers, ms, round(ms / first_value(ms) OVER (ORDER BY line), 2) AS ratio,
       round((SELECT count(*) FROM flights) / ms / 1000, 1) AS "million rows/s"
FROM measured ORDER BY line;
\echo 'The best of six runs of each, three of them with JIT. The leader works beside the workers, whose start takes'
\echo 'some milliseconds whatever the table. each_batch returns a row for each airport of each batch.'

-- the proof: an error here fails the demo
DO $$
DECLARE
	plain record;
	batched record;
BEGIN
	SELECT count(*) AS n, sum(delay) AS total FROM flights INTO plain;
	SELECT sum(n)::bigint AS n, sum(total)::bigint AS total
	FROM batchagg.each_batch('SELECT count(*), sum(delay) FROM flights')
		AS (batch bigint, n bigint, total bigint)
	INTO batched;
	IF batched IS DISTINCT FROM plain THEN
		RAISE 'the batches give %, the plain query %', batched, plain;
	END IF;
	IF EXISTS (
		(SELECT * FROM batchagg.all_batches('SELECT origin, sum(delay) FROM flights GROUP BY origin')
			AS (origin text, total bigint)
		EXCEPT SELECT origin, sum(delay) FROM flights GROUP BY origin)
		UNION ALL
		(SELECT origin, sum(delay) FROM flights GROUP BY origin
		EXCEPT SELECT * FROM batchagg.all_batches('SELECT origin, sum(delay) FROM flights GROUP BY origin')
			AS (origin text, total bigint)))
	THEN
		RAISE 'all_batches and the plain query differ';
	END IF;
END $$;
\echo
\echo 'Checked: the batches add up to the plain query, and all_batches returns its rows.'
\echo 'To play with the same data: make psql. More of it: make demo DATA=file.csv.xz'
