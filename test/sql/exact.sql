-- Exact aggregates: one rounding, the same bits in any order.
SET search_path = public, batchagg;
SET extra_float_digits = 1;
SET bytea_output = hex;

-- What doubles lose, an exact sum keeps.
SELECT exact_sum(x), sum(x) AS core
FROM unnest('{1e308, 1, -1e308, 1e-300}'::float8[]) x;
SELECT exact_sum(x) FROM unnest('{1e308, 1e308, -1e308, -1e308, 5e-324}'::float8[]) x;
SELECT exact_avg(x), exact_var_pop(x), exact_var_samp(x), exact_stddev_pop(x), exact_stddev_samp(x)
FROM generate_series(1, 10) i, LATERAL (SELECT 1e15::float8 + i) AS v (x);

-- Overflow only where the rounded answer overflows.
SELECT exact_avg(x), exact_stddev_pop(x) FROM unnest('{1.7e308, -1.7e308, 1.7e308}'::float8[]) x;
SELECT exact_sum(x) FROM unnest('{1.7976931348623157e308, 9.9792015476735e291}'::float8[]) x;
SELECT exact_sum(x) FROM unnest('{1.7976931348623157e308, 9.9792015476736e291}'::float8[]) x;
SELECT exact_var_pop(x) FROM unnest('{1.7e308, -1.7e308}'::float8[]) x;
SELECT exact_stddev_samp(x) FROM unnest('{1.7e308, -1.7e308}'::float8[]) x;
SELECT exact_sum(x) FROM unnest('{3e38, 3e38}'::float4[]) x;
SELECT exact_sum(x), exact_avg(x) FROM unnest('{3e38, 3e38, -3e38}'::float4[]) x;

-- Ties go to even; one more bit below breaks them.
SELECT exact_sum(x) = 9007199254740992 AS even
FROM unnest('{9007199254740992, 1}'::float8[]) x;
SELECT exact_sum(x) = 9007199254740994 AS up
FROM unnest('{9007199254740992, 1, 5e-324}'::float8[]) x;
SELECT exact_sum(x) = 9007199254740996 AS even_up
FROM unnest('{9007199254740994, 1}'::float8[]) x;

-- Subnormals: an average that falls between two of them, and below the least.
SELECT exact_sum(x), exact_avg(x) FROM unnest('{5e-324, 1e-323}'::float8[]) x;
SELECT exact_avg(x), exact_var_pop(x) FROM unnest('{5e-324, 0, 0}'::float8[]) x;
SELECT exact_sum(x) FROM unnest('{2.2250738585072014e-308, -5e-324}'::float8[]) x;

-- Zeros: only negative zeros sum to −0; an exact zero is +0.
SELECT float8send(exact_sum(x)) FROM unnest('{-0, -0}'::float8[]) x;
SELECT float8send(exact_sum(x)) FROM unnest('{-0, 0}'::float8[]) x;
SELECT float8send(exact_sum(x)) FROM unnest('{-1, 1}'::float8[]) x;

-- NaN, infinities, NULLs and no rows: as core.
CREATE TEMP TABLE special (name text, x float8[]);
INSERT INTO special VALUES
  ('empty', '{}'), ('null', '{NULL}'), ('one', '{7}'), ('one and null', '{NULL,7}'),
  ('nan', '{NaN}'), ('nan and one', '{1,NaN}'), ('inf', '{Infinity}'), ('inf and one', '{1,Infinity}'),
  ('-inf', '{-Infinity,1}'), ('inf and -inf', '{-Infinity,1,Infinity}'), ('all', '{-Infinity,NaN,Infinity}'),
  ('equal', '{3,3,3}'), ('negative zero', '{-0}');
SELECT name, exact_sum(v), exact_avg(v), exact_var_pop(v), exact_var_samp(v), exact_stddev_pop(v), exact_stddev_samp(v)
FROM special LEFT JOIN LATERAL unnest(x) v ON true
GROUP BY name ORDER BY name COLLATE "C";
SELECT name AS differs_from_core
FROM special LEFT JOIN LATERAL unnest(x) v ON true
GROUP BY name
HAVING (exact_sum(v), exact_var_pop(v), exact_var_samp(v), exact_stddev_pop(v), exact_stddev_samp(v))
    IS DISTINCT FROM (sum(v), var_pop(v), var_samp(v), stddev_pop(v), stddev_samp(v))
    OR exact_avg(v) IS DISTINCT FROM avg(v);

-- bigint is taken exactly, real is widened exactly and summed to real.
SELECT exact_sum(x), exact_avg(x), exact_var_samp(x)
FROM unnest('{9007199254740993, 9007199254740993, -9007199254740992, -9007199254740992}'::bigint[]) x;
SELECT exact_sum(x), exact_sum(x::float8) FROM unnest('{9223372036854775807, -9223372036854775808}'::bigint[]) x;
SELECT exact_sum(x), pg_typeof(exact_sum(x)), pg_typeof(exact_avg(x)) FROM unnest('{16777216, 1, 1}'::float4[]) x;
SELECT exact_sum(i), pg_typeof(exact_sum(i)) FROM generate_series(1, 10) i;

-- numeric is refused, rows or no rows.
SELECT exact_sum(1.5);
SELECT exact_var_samp(x) FROM (SELECT 1::numeric AS x WHERE false) t;

-- A table in a random order, with everything that breaks a plain sum.
CREATE TABLE exact_data AS
SELECT i, i % 7 AS g,
       CASE i % 5
         WHEN 0 THEN (i % 1000) * 1e-3
         WHEN 1 THEN power(2.0::float8, (i % 400) - 200) * (i % 3 - 1)
         WHEN 2 THEN -i * 1e10
         WHEN 3 THEN i * 1e-10
         ELSE 0
       END AS x
FROM generate_series(1, 20000) i;
ANALYZE exact_data;

-- Any order, any split: the same bits.
SELECT count(DISTINCT s) AS sums, count(DISTINCT v) AS variances
FROM (SELECT exact_sum(x ORDER BY x) AS s, exact_var_samp(x ORDER BY x) AS v FROM exact_data
      UNION ALL SELECT exact_sum(x ORDER BY x DESC), exact_var_samp(x ORDER BY x DESC) FROM exact_data
      UNION ALL SELECT exact_sum(x ORDER BY i % 97, i), exact_var_samp(x ORDER BY i % 97, i) FROM exact_data
      UNION ALL SELECT exact_sum(x), exact_var_samp(x) FROM exact_data) t;

CREATE TEMP TABLE serial AS
SELECT g, exact_sum(x) AS s, exact_avg(x) AS a, exact_var_samp(x) AS v, exact_stddev_pop(x) AS d
FROM exact_data GROUP BY g;

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
-- by core's own partial aggregation, which combines these states
SET batchagg.enabled = off;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF)
SELECT g, exact_sum(x), exact_avg(x), exact_var_samp(x), exact_stddev_pop(x) FROM exact_data GROUP BY g;
CREATE TEMP TABLE parallel AS
SELECT g, exact_sum(x) AS s, exact_avg(x) AS a, exact_var_samp(x) AS v, exact_stddev_pop(x) AS d
FROM exact_data GROUP BY g;
SELECT count(*) FROM (TABLE serial INTERSECT TABLE parallel) t;
SET enable_hashagg = off;
SELECT count(*) FROM (TABLE serial INTERSECT
  SELECT g, exact_sum(x), exact_avg(x), exact_var_samp(x), exact_stddev_pop(x) FROM exact_data GROUP BY g) t;
RESET enable_hashagg;
-- a worker without rows sends an empty state
SELECT exact_sum(x), exact_var_pop(x) FROM exact_data WHERE i = -1;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- Hash aggregation that spills.
SET work_mem = '64kB';
SELECT count(*) AS groups, count(*) FILTER (WHERE s <> x) AS wrong
FROM (SELECT i, x, exact_sum(x) AS s FROM exact_data GROUP BY i, x) t;
RESET work_mem;

-- FILTER, DISTINCT, GROUPING SETS: against the sum of what they select.
SELECT exact_sum(x) FILTER (WHERE g = 3) = (SELECT s FROM serial WHERE g = 3) AS filter,
       exact_sum(DISTINCT x) = (SELECT exact_sum(x) FROM (SELECT DISTINCT x FROM exact_data) d) AS "distinct"
FROM exact_data;
SELECT count(*) FROM (
  (SELECT g, exact_sum(x), exact_var_samp(x) FROM exact_data GROUP BY GROUPING SETS ((g), ()))
  INTERSECT
  (SELECT g, exact_sum(x), exact_var_samp(x) FROM exact_data GROUP BY g
   UNION ALL SELECT NULL, exact_sum(x), exact_var_samp(x) FROM exact_data)) t;

-- Moving frames go through the exact inverse: each answer is that of its frame alone.
SELECT count(*) AS frames, count(*) FILTER (WHERE w IS DISTINCT FROM f) AS wrong
FROM (SELECT i, (exact_sum(x) OVER frame, exact_avg(x) OVER frame, exact_var_samp(x) OVER frame,
                 exact_stddev_pop(x) OVER frame, exact_sum((i * 0.1)::real) OVER frame,
                 exact_sum(i::bigint) OVER frame) AS w
      FROM exact_data WHERE i <= 300
      WINDOW frame AS (ORDER BY i ROWS BETWEEN 6 PRECEDING AND 2 FOLLOWING)) moving
JOIN LATERAL (SELECT (exact_sum(x), exact_avg(x), exact_var_samp(x), exact_stddev_pop(x),
                      exact_sum((e.i * 0.1)::real), exact_sum(e.i::bigint)) AS f
              FROM exact_data e WHERE e.i BETWEEN moving.i - 6 AND moving.i + 2 AND e.i <= 300) frame ON true;
-- specials come and go
SELECT i, x, exact_sum(x) OVER w, exact_avg(x) OVER w, exact_stddev_samp(x) OVER w
FROM unnest('{1,NaN,2,Infinity,3,-Infinity,NULL,NULL,1e308,1,-1e308,-0,-0,0}'::float8[]) WITH ORDINALITY u (x, i)
WINDOW w AS (ORDER BY i ROWS 1 PRECEDING);

-- A support function called by hand neither changes its argument nor returns a working state.
SELECT stats_trans(s, 2::float8) = stats_agg(x) AS added, s = stats_agg(x) FILTER (WHERE x < 2) AS kept
FROM (SELECT stats_agg(1::float8) AS s) t, unnest('{1,2}'::float8[]) x GROUP BY s;

DROP TABLE exact_data;
