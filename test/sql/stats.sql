-- Statistical states of one variable: stats_agg, accessors, rollup, merge.
SET search_path = public, batchagg;
SET extra_float_digits = 1;

-- The accessors.
SELECT num_vals(s), sum(s), average(s), variance(s), variance(s, 'population') AS var_pop,
       stddev(s), stddev(s, 'population') AS stddev_pop, min_val(s), max_val(s)
FROM (SELECT stats_agg(x) AS s FROM unnest('{2,4,4,4,5,5,7,9}'::float8[]) x) t;
SELECT variance(s, 'pop') = variance(s, 'population') AS pop, variance(s, 'samp') = variance(s, 'sample') AS samp,
       variance(s, method => 'sample') = variance(s) AS named
FROM (SELECT stats_agg(x) AS s FROM unnest('{1,2,4}'::float8[]) x) t;
SELECT variance(stats_agg(1::float8), 'biased');
SELECT stddev(stats_agg(1::float8), '');
SELECT sum(NULL::stats), variance(NULL::stats), variance(stats_agg(1), NULL);
-- the exact aggregates are the same answers
SELECT (sum(s), average(s), variance(s), stddev(s, 'pop')) = (a, b, c, d) AS same
FROM (SELECT stats_agg(x) AS s, exact_sum(x) AS a, exact_avg(x) AS b, exact_var_samp(x) AS c, exact_stddev_pop(x) AS d
      FROM generate_series(1, 1000) i, LATERAL (SELECT sqrt(i::float8)) v (x)) t;

-- One value, no values, NULLs.
SELECT num_vals(s), sum(s), variance(s), variance(s, 'population'), stddev(s) FROM (SELECT stats_agg(7) AS s) t;
SELECT stats_agg(x) IS NULL AS none FROM (SELECT 1::float8 AS x WHERE false) t;
SELECT stats_agg(x) IS NULL AS nulls FROM unnest('{NULL,NULL}'::float8[]) x;
SELECT num_vals(stats_agg(x)) FROM unnest('{NULL,1,NULL}'::float8[]) x;

-- The same numbers are the same state, whatever their type.
SELECT count(DISTINCT s::text) AS states
FROM (SELECT stats_agg(i::smallint) AS s FROM generate_series(-5, 100) i
      UNION ALL SELECT stats_agg(i) FROM generate_series(-5, 100) i
      UNION ALL SELECT stats_agg(i::bigint) FROM generate_series(-5, 100) i
      UNION ALL SELECT stats_agg(i::real) FROM generate_series(-5, 100) i
      UNION ALL SELECT stats_agg(i::float8) FROM generate_series(-5, 100) i) t;

-- bigint beyond 2^53: exact, extremes too.
SELECT num_vals(s), sum(s), average(s), variance(s), min_val(s), max_val(s)
FROM (SELECT stats_agg(x) AS s
      FROM unnest('{9223372036854775807,-9223372036854775808,9007199254740993}'::bigint[]) x) t;
SELECT a <> b AS told_apart, max_val(a) = max_val(b) AS same_double
FROM (SELECT stats_agg(9007199254740993), stats_agg(9007199254740992)) t (a, b);
SELECT variance(stats_agg(x)) FROM unnest('{9223372036854775807,9223372036854775806}'::bigint[]) x;

-- Extremes: NaN above all, −0 below +0 in any order.
SELECT min_val(stats_agg(x)), max_val(stats_agg(x)) FROM unnest('{3,NaN,-Infinity,Infinity}'::float8[]) x;
SELECT stats_agg(x ORDER BY i) = stats_agg(x ORDER BY -i) AS same,
       float8send(min_val(stats_agg(x))), float8send(max_val(stats_agg(x)))
FROM unnest('{0,-0,0}'::float8[]) WITH ORDINALITY u (x, i);

-- numeric is refused, rows or no rows; a cast is somebody's decision.
SELECT stats_agg(1.5);
SELECT stats_agg(x) FROM (SELECT 1::numeric AS x WHERE false) t;
SELECT sum(stats_agg(1.5::float8));

-- Any split, any order of merging: the same state.
CREATE TABLE stats_data AS
SELECT i, CASE WHEN i % 1000 = 0 THEN '-0'::float8 WHEN i % 77 = 0 THEN NULL ELSE sin(i) * power(10, i % 30 - 15) END AS x
FROM generate_series(1, 30000) i;
ANALYZE stats_data;
CREATE TEMP TABLE whole AS SELECT stats_agg(x) AS s FROM stats_data;
SELECT k AS parts, (SELECT s FROM whole) = (SELECT rollup(p ORDER BY md5(b::text))
                                            FROM (SELECT i % k AS b, stats_agg(x) AS p FROM stats_data GROUP BY 1) t) AS same
FROM unnest('{1,2,7,100,29999}'::int[]) k;
SELECT (SELECT s FROM whole) = merge(a, merge(b, c)) AS right_deep, (SELECT s FROM whole) = merge(merge(c, a), b) AS left_deep
FROM (SELECT stats_agg(x) FILTER (WHERE i % 3 = 0) AS a, stats_agg(x) FILTER (WHERE i % 3 = 1) AS b,
             stats_agg(x) FILTER (WHERE i % 3 = 2) AS c FROM stats_data) t;

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
-- by core's own partial aggregation, which combines these states
SET batchagg.enabled = off;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT stats_agg(x) FROM stats_data;
SELECT stats_agg(x) = (SELECT s FROM whole) AS parallel FROM stats_data;
SELECT bool_and(t.s = u.s) AS parallel_groups
FROM (SELECT i % 10 AS g, stats_agg(x) AS s FROM stats_data GROUP BY 1) t
JOIN (SELECT i % 10 AS g, stats_agg(x ORDER BY i) AS s FROM stats_data GROUP BY 1) u USING (g);
CREATE TABLE stats_parts AS SELECT i % 500 AS b, stats_agg(x) AS s FROM stats_data GROUP BY 1;
ANALYZE stats_parts;
EXPLAIN (COSTS OFF) SELECT rollup(s) FROM stats_parts;
SELECT rollup(s) = (SELECT s FROM whole) AS parallel_rollup FROM stats_parts;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- merge: NULL is neutral, which makes an upsert one line.
SELECT merge(NULL::stats, NULL) IS NULL AS both, merge(s, NULL) = s AS "right", merge(NULL, s) = s AS "left"
FROM (SELECT stats_agg(1) AS s) t;
CREATE TEMP TABLE summary (k int PRIMARY KEY, s stats);
INSERT INTO summary VALUES (1, stats('0101070000000000000000000000000000'));
INSERT INTO summary SELECT 1, stats_agg(x) FROM stats_data WHERE i % 2 = 0
ON CONFLICT (k) DO UPDATE SET s = merge(summary.s, excluded.s);
INSERT INTO summary SELECT 1, stats_agg(x) FROM stats_data WHERE i % 2 = 1
ON CONFLICT (k) DO UPDATE SET s = merge(summary.s, excluded.s);
SELECT s = (SELECT s FROM whole) AS upserted FROM summary;
SELECT rollup(s) IS NULL AS none FROM summary WHERE false;
SELECT rollup(s) IS NULL AS nulls FROM (SELECT NULL::stats AS s) t;

-- Hash: grouping and joining by state.
SELECT count(*) AS states FROM (SELECT DISTINCT s FROM stats_parts UNION SELECT s FROM stats_parts) t;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT count(*) AS joined FROM stats_parts a JOIN stats_parts b ON a.s = b.s;
RESET enable_mergejoin;
RESET enable_nestloop;
SELECT stats_agg(1) <> stats_agg(2) AS different, stats_agg(1) <> stats_agg(1::float8) AS same;

-- Window: what leaves as an extreme makes the executor start over, all else is subtracted.
SELECT count(*) AS frames, count(*) FILTER (WHERE w IS DISTINCT FROM f) AS wrong
FROM (SELECT i, stats_agg(x) OVER (ORDER BY i ROWS BETWEEN 9 PRECEDING AND 3 FOLLOWING) AS w
      FROM stats_data WHERE i BETWEEN 900 AND 1300) moving
JOIN LATERAL (SELECT stats_agg(x) AS f FROM stats_data e
              WHERE e.i BETWEEN moving.i - 9 AND moving.i + 3 AND e.i BETWEEN 900 AND 1300) frame ON true;
SELECT i, num_vals(stats_agg(x) OVER w), max_val(stats_agg(x) OVER w), sum(stats_agg(x) OVER w)
FROM unnest('{9223372036854775807,1,9007199254740993,NULL,2}'::bigint[]) WITH ORDINALITY u (x, i)
WINDOW w AS (ORDER BY i ROWS 1 PRECEDING);
SELECT b, num_vals(rollup(s) OVER (ORDER BY b ROWS 2 PRECEDING)) FROM stats_parts WHERE b < 4 ORDER BY b;

-- JSON, for people.
SELECT to_jsonb(s), s::json, row_to_json(t) FROM (SELECT stats_agg(x) AS s FROM unnest('{1,2,4.5}'::float8[]) x) t;
SELECT stats_agg(x)::jsonb FROM unnest('{1,NaN}'::float8[]) x;
SELECT to_json(stats_agg(x)) FROM unnest('{1.7e308,1.7e308}'::float8[]) x;
SELECT to_jsonb(stats_agg(1));

DROP TABLE stats_data, stats_parts;
