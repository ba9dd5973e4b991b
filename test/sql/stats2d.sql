-- Statistical states of pairs (y, x): regression, covariance, correlation.
SET search_path = public, batchagg;
SET extra_float_digits = 1;

SELECT num_vals(s), sum_y(s), sum_x(s), average_y(s), average_x(s), slope(s), intercept(s), corr(s),
       determination_coeff(s), covariance(s), covariance(s, 'population') AS covar_pop
FROM (SELECT stats_agg(y, x) AS s FROM (VALUES (1::float8, 1::float8), (3, 2), (2, 3), (5, 4)) v (y, x)) t;
-- core computes the same, with rounding on the way
SELECT abs(slope(s) - regr_slope) < 1e-12 AS slope, abs(intercept(s) - regr_intercept) < 1e-12 AS intercept,
       abs(corr(s) - core_corr) < 1e-12 AS corr, abs(determination_coeff(s) - r2) < 1e-12 AS r2,
       abs(covariance(s) - covar_samp) < 1e-12 AS samp, abs(covariance(s, 'pop') - covar_pop) < 1e-12 AS pop
FROM (SELECT stats_agg(y, x) AS s, regr_slope(y, x), regr_intercept(y, x), pg_catalog.corr(y, x) AS core_corr,
             regr_r2(y, x) AS r2, covar_samp(y, x), covar_pop(y, x)
      FROM generate_series(1, 500) i, LATERAL (SELECT sin(i), cos(i * 7)) v (y, x)) t;

-- Where core loses everything to cancellation.
SELECT slope(s), intercept(s), corr(s), determination_coeff(s)
FROM (SELECT stats_agg(y, x) AS s FROM generate_series(1, 10) i, LATERAL (SELECT 1e9::float8 + 2 * i, 1e9::float8 + i) v (y, x)) t;
SELECT corr(s) FROM (SELECT stats_agg(y, x) AS s FROM (VALUES (1e200::float8, 1e200::float8), (-1e200, -1e200)) v (y, x)) t;
SELECT covariance(stats_agg(y, x)) FROM (VALUES (1e200::float8, 1e200::float8), (-1e200, -1e200)) v (y, x);

-- NULL, NaN, infinities, no spread: as core.
CREATE TEMP TABLE special (name text, y float8, x float8);
INSERT INTO special VALUES
  ('one', 1, 2), ('equal x', 1, 2), ('equal x', 3, 2), ('equal y', 1, 2), ('equal y', 1, 3),
  ('equal both', 1, 1), ('equal both', 1, 1), ('null y', NULL, 1), ('null x', 2, NULL), ('null x', 1, 2),
  ('nan y', 'NaN', 1), ('nan y', 2, 2), ('nan x', 1, 'NaN'), ('nan x', 2, 2), ('nan y, equal x', 'NaN', 1),
  ('nan y, equal x', 2, 1), ('inf y', 'Infinity', 1), ('inf y', 2, 3), ('inf x, equal y', 1, 'Infinity'),
  ('inf x, equal y', 1, 3), ('one nan', 'NaN', 1), ('falling', 1, 2), ('falling', 2, 1);
SELECT name, num_vals(s), corr(s), slope(s), intercept(s), determination_coeff(s), covariance(s), covariance(s, 'pop') AS covar_pop
FROM (SELECT name, stats_agg(y, x) AS s FROM special GROUP BY name) t ORDER BY name COLLATE "C";
SELECT name AS differs_from_core
FROM special GROUP BY name
HAVING (corr(stats_agg(y, x)), slope(stats_agg(y, x)), intercept(stats_agg(y, x)), determination_coeff(stats_agg(y, x)),
        covariance(stats_agg(y, x)), covariance(stats_agg(y, x), 'pop'))
    IS DISTINCT FROM (pg_catalog.corr(y, x), regr_slope(y, x), regr_intercept(y, x), regr_r2(y, x), covar_samp(y, x), covar_pop(y, x));
SELECT stats_agg(y, x) IS NULL AS none FROM special WHERE false;
SELECT sum_y(s), sum_x(s), average_y(s), average_x(s)
FROM (SELECT stats_agg(y, x) AS s FROM (VALUES ('Infinity'::float8, '-0'::float8), (1, '-0')) v (y, x)) t;

-- bigint on either side is exact; numeric on either side is refused.
SELECT slope(stats_agg(y, x)), intercept(stats_agg(y, x))
FROM (VALUES (9007199254740993, 9007199254740993), (9007199254740994, 9007199254740994)) v (y, x);
SELECT sum_y(stats_agg(y, x)), sum_x(stats_agg(y, x))
FROM (VALUES (9007199254740993, 0.5::float8), (-9007199254740992, 0.25)) v (y, x);
SELECT sum_y(stats_agg(y, x)), sum_x(stats_agg(y, x))
FROM (VALUES (0.5::float8, 9007199254740993), (0.25, -9007199254740992)) v (y, x);
SELECT count(DISTINCT s::text) AS states
FROM (SELECT stats_agg(i, -i) AS s FROM generate_series(1, 50) i
      UNION ALL SELECT stats_agg(i::bigint, -i::bigint) FROM generate_series(1, 50) i
      UNION ALL SELECT stats_agg(i::bigint, -i::float8) FROM generate_series(1, 50) i
      UNION ALL SELECT stats_agg(i::float8, -i::bigint) FROM generate_series(1, 50) i
      UNION ALL SELECT stats_agg(i::bigint, -i) FROM generate_series(1, 50) i
      UNION ALL SELECT stats_agg(i::real, -i::smallint) FROM generate_series(1, 50) i) t;
SELECT stats_agg(1.5, 2.5);
SELECT stats_agg(1.5, 2);
SELECT stats_agg(2::float8, 1.5);
SELECT stats_agg(2::real, 1.5);
SELECT stats_agg(1.5, 2::bigint);
SELECT stats_agg(2::bigint, 1.5);
SELECT stats_agg(x, x) FROM (SELECT 1::numeric AS x WHERE false) t;

-- Any split, any order, workers, windows: the same state.
CREATE TABLE stats2d_data AS
SELECT i, CASE WHEN i % 50 = 0 THEN 0 ELSE tan(i) * power(2, i % 40 - 20) END AS y,
       CASE WHEN i % 70 = 0 THEN NULL ELSE sqrt(i::float8) END AS x
FROM generate_series(1, 20000) i;
ANALYZE stats2d_data;
CREATE TEMP TABLE whole AS SELECT stats_agg(y, x) AS s FROM stats2d_data;
SELECT k AS parts, (SELECT s FROM whole) = (SELECT rollup(p ORDER BY md5(b::text))
                                            FROM (SELECT i % k AS b, stats_agg(y, x) AS p FROM stats2d_data GROUP BY 1) t) AS same
FROM unnest('{1,2,7,100,19999}'::int[]) k;
SELECT (SELECT s FROM whole) = merge(NULL, merge(b, a)) AS merged
FROM (SELECT stats_agg(y, x) FILTER (WHERE i % 3 = 0) AS a, stats_agg(y, x) FILTER (WHERE i % 3 <> 0) AS b FROM stats2d_data) t;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
-- by core's own partial aggregation, which combines these states
SET batchagg.enabled = off;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT stats_agg(y, x) FROM stats2d_data;
SELECT stats_agg(y, x) = (SELECT s FROM whole) AS parallel FROM stats2d_data;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
SELECT count(*) AS frames, count(*) FILTER (WHERE w IS DISTINCT FROM f) AS wrong
FROM (SELECT i, stats_agg(y, x) OVER (ORDER BY i ROWS BETWEEN 5 PRECEDING AND CURRENT ROW) AS w
      FROM stats2d_data WHERE i <= 300) moving
JOIN LATERAL (SELECT stats_agg(y, x) AS f FROM stats2d_data e WHERE e.i BETWEEN moving.i - 5 AND moving.i) frame ON true;
SELECT stats_agg(1::float8, 2) <> stats_agg(2::float8, 1) AS ordered;
SELECT count(*) FROM (SELECT DISTINCT stats_agg(y, x) FROM stats2d_data GROUP BY i % 10) t;

SELECT to_jsonb(s), s::json, row_to_json(t)
FROM (SELECT stats_agg(y, x) AS s FROM (VALUES (1, 1), (3, 2), (2, 3)) v (y, x)) t;
SELECT covariance(stats_agg(1::float8, 1::float8), 'all');

DROP TABLE stats2d_data;
