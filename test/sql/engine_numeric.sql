-- The engine's numerics against core's: every query is run by both, errors included.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA engine_numeric;
GRANT USAGE ON SCHEMA engine_numeric TO PUBLIC;
SET search_path = engine_numeric, batchagg;
SET max_parallel_workers_per_gather = 0;
-- core adds floats in the order of rows, not of a sort that is not stable
SET enable_sort = off;

-- a query that gives the rows of another as sorted text
CREATE FUNCTION as_text(query text) RETURNS text LANGUAGE sql
	RETURN format('SELECT string_agg(q::text, E''\n'' ORDER BY q::text COLLATE "C") FROM (%s) AS q', query);

-- that text, or the error
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE as_text(query) INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- a query's plan with what running it counted
CREATE FUNCTION explain_json(query text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json, COSTS off, TIMING off) ' || query INTO plan;
	RETURN plan;
EXCEPTION WHEN OTHERS THEN
	RETURN '[]';
END $$;

-- 'same', or what differs; how many rows the engine left to core's code; 'declined' where it did not run
CREATE FUNCTION compare(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
	ours text;
	theirs text;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', false);
	plan := explain_json(query);
	ours := answer(query);
	PERFORM set_config('batchagg.debug_force_engine', 'off', false);
	PERFORM set_config('batchagg.enabled', 'off', false);
	theirs := answer(query);
	PERFORM set_config('batchagg.enabled', 'on', false);
	IF ours IS DISTINCT FROM theirs THEN
		RETURN format('engine: %s, core: %s', ours, theirs);
	ELSIF plan <> '[]' AND NOT jsonb_path_exists(plan, '$.** ? (@."Custom Plan Provider" == "BatchAgg")') THEN
		RETURN 'declined';
	END IF;
	RETURN CASE WHEN theirs ~ '^[0-9A-Z]{5} [a-z]' THEN 'same error' ELSE 'same' END ||
		CASE WHEN jsonb_path_exists(plan, '$.**."Rows Evaluated by Core"') THEN ', some rows by core' ELSE '' END;
END $$;

-- a number that looks random, 0 to 2^31 - 1
CREATE FUNCTION noise(i int, seed int) RETURNS int IMMUTABLE LANGUAGE sql
	RETURN hashint4(i * 31 + seed) & 2147483647;

-- v is what is looked at; w is always a modest numeric(15,2)
CREATE TABLE amounts (g int, v numeric(10,2), w numeric(15,2));
INSERT INTO amounts
SELECT noise(n, 0) % 13,
	CASE noise(n, 1) % 10 WHEN 0 THEN NULL WHEN 1 THEN 0 WHEN 2 THEN noise(n, 2) % 5 ELSE (noise(n, 2) - 1000000000) / 100.0 / (1 + noise(n, 3) % 1000) END,
	noise(n, 4) / 100.0
FROM generate_series(1, 3000) AS n;

-- one scale each, with and without nulls
CREATE TABLE scales AS
SELECT s, g, round(v * 10.0 ^ -(s - 2), s) AS v, w FROM generate_series(0, 20) AS s, LATERAL (SELECT * FROM amounts LIMIT 600) AS a
WHERE s % 3 > 0 OR v IS NOT NULL;

CREATE TABLE mixtures (g int, v numeric, w numeric(15,2));
INSERT INTO mixtures
SELECT noise(n, 0) % 13, CASE WHEN noise(n, 1) % 10 > 0 THEN round((noise(n, 2) - 1000000000) / 1e5, noise(n, 3) % 7) END, n
FROM generate_series(1, 3000) AS n;

CREATE TABLE specials (g int, v numeric, w numeric(15,2));
INSERT INTO specials
SELECT noise(n, 0) % 13,
	CASE noise(n, 1) % 100 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' ELSE noise(n, 2) / 100 END, n
FROM generate_series(1, 1000) AS n;
CREATE TABLE infinite AS SELECT g, CASE WHEN v > 20 THEN 'Infinity' ELSE v END AS v, w FROM amounts;

-- around the limits of 64 bits, and far beyond
CREATE TABLE limits (g int, v numeric, w numeric(15,2));
INSERT INTO limits
SELECT n % 3, v, n FROM (VALUES ('9223372036854775807'), ('-9223372036854775808'), ('9223372036854775808'), ('-9223372036854775807'),
	('92233720368547758.07'), ('-92233720368547758.08'), ('922337203685477580.8'), ('9.223372036854775807'), ('-9.223372036854775808'),
	('0.000000000000000001'), ('0.0000000000000000001'), ('999999999999999999'), ('1000000000000000000'), ('10000000000000000000'),
	('9999'), ('10000'), ('10001'), ('99999999'), ('100000000'), ('999999999999'), ('1000000000000'), ('9999999999999999'),
	('10000000000000000'), ('0.9999'), ('0.0001'), ('0.00010'), ('0.00001'), ('1.0000'), ('1.00000'), ('-0.00'), ('0'), ('0.0'), ('1e5')) AS x (t),
	generate_series(1, 40) AS n, LATERAL (SELECT t::numeric AS v) AS y;
CREATE TABLE one_limit AS
SELECT g, v, w, row_number() OVER (ORDER BY scale(v), v) AS n FROM (SELECT DISTINCT g, v, w FROM limits) AS x;
CREATE TABLE giants (g int, v numeric, w numeric(15,2));
INSERT INTO giants
SELECT n % 5, CASE n % 9 WHEN 0 THEN repeat('7', 1000)::numeric WHEN 1 THEN ('1e-' || n)::numeric WHEN 2 THEN -(10::numeric ^ n)
	WHEN 3 THEN (repeat('9', n) || '.' || repeat('123', n))::numeric ELSE n * 0.01 END, n
FROM generate_series(1, 400) AS n;
-- compressed, or out of line
CREATE TABLE toasted (g int, v numeric, w numeric(15,2));
INSERT INTO toasted
SELECT n % 5, CASE WHEN n % 4 = 0 THEN n * 1.5 ELSE (repeat('1234567890', 500 + n * 20) || '.5')::numeric END, n FROM generate_series(1, 60) AS n;
ALTER TABLE toasted ALTER v SET STORAGE external;
INSERT INTO toasted SELECT g, v + 1, w FROM toasted;

-- the scale grows while sums are large: they leave 128 bits when they are brought to it
CREATE TABLE rising (g int, v numeric, w numeric(15,2));
INSERT INTO rising
SELECT n % 3, CASE WHEN n <= 1000 THEN 9000000000000000000 - n WHEN n <= 2000 THEN round(1234.5 + n, 2) ELSE round(n / 3e3, 18) END, n
FROM generate_series(1, 3000) AS n;
CREATE TABLE falling AS SELECT * FROM rising ORDER BY w DESC;

CREATE TABLE nothing AS SELECT * FROM amounts LIMIT 0;
CREATE TABLE nulls AS SELECT g, NULL::numeric AS v, w FROM amounts;

CREATE TABLE sources (source text);
INSERT INTO sources VALUES ('amounts'), ('mixtures'), ('specials'), ('infinite'), ('limits'), ('giants'), ('toasted'),
	('rising'), ('falling'), ('nothing'), ('nulls'),
	('(SELECT * FROM amounts WHERE v IS NOT NULL) AS x'), ('(SELECT * FROM amounts WHERE g = 4) AS x');
INSERT INTO sources SELECT format('(SELECT * FROM scales WHERE s = %s) AS x', s) FROM generate_series(0, 20) AS s;
INSERT INTO sources SELECT format('(SELECT * FROM one_limit WHERE n = %s) AS x', n) FROM one_limit WHERE w < 2;

-- all aggregates, of everything
CREATE TABLE outcomes AS
SELECT format(shape, calls, source) AS query, compare(format(shape, calls, source)) AS outcome
FROM sources,
	(VALUES ('SELECT %s FROM %s'), ('SELECT g, %s FROM %s GROUP BY g'), ('SELECT g / 7, %s FROM %s GROUP BY 1 HAVING sum(v) > 0')) AS s (shape),
	(VALUES ('sum(v), avg(v), min(v), max(v), count(v)'), ('variance(v), var_pop(v), stddev(v), stddev_pop(v)'), ('sum(v)'),
		('sum(v) FILTER (WHERE g % 3 = 1), min(v) FILTER (WHERE g % 3 = 2), stddev(v) FILTER (WHERE w < 50000)')) AS c (calls);
SELECT outcome, count(*) FROM outcomes GROUP BY outcome ORDER BY outcome;
SELECT query, outcome FROM outcomes WHERE outcome NOT LIKE 'same%' ORDER BY query LIMIT 20;
DROP TABLE outcomes;

-- sums of one aggregate over inputs of several scales in the same vector
SELECT compare('SELECT g, sum(v), sum(w), avg(v * w), sum(v + w), sum(-v), min(v * w), max(w - v), count(v) FROM amounts GROUP BY g');

-- expressions, as arguments and as conditions, on some
DELETE FROM sources WHERE source !~ '^(amounts|mixtures|specials|limits|rising|nulls)$|s = (10|18)\)';
CREATE TABLE expressions (e text);
INSERT INTO expressions VALUES
	('v + w'), ('v - w'), ('v * w'), ('w * w'), ('w * w * w'), ('w * w * w * w'), ('-v'), ('+v'), ('abs(v)'), ('@ v'), ('v * -1'), ('v + 1'), ('1 - v'),
	('v * (1 - w) * (1 + v)'), ('v + 0.12345'), ('0.12345 - v'), ('v * 0.1'), ('v * 1e10'), ('v * 1e-10'), ('v + 1e17'), ('v + 1e-17'),
	('v - 9223372036854775807'), ('v + 12345678901234567890'), ('v + 1e-30'), ('v * ''NaN'''), ('v + ''Infinity'''), ('v + NULL::numeric'),
	('g + v'), ('g::numeric'), ('g::bigint * v'), ('g::smallint::numeric'), ('(g - 6) * v'), ('v / 3'), ('v / nullif(w, 0)'), ('v % 7'), ('round(v, 1)'), ('v::numeric(20,5)'), ('round(v)'), ('round(-v, 3)'), ('round(v, g)'), ('round(w, -2)'), ('round(v, 25)'), ('trunc(v)'), ('trunc(-v, 1)'), ('v::numeric(12,1)'), ('v::numeric(5,2)'), ('w::numeric(30)'), ('w::numeric(20,18)'), ('(v * 0.01)::numeric(6,1)'), ('v::numeric(10,-2)'),
	('v::int'), ('v::bigint'), ('v::smallint'), ('(v / 1000)::smallint'), ('(w / 100)::int'), ('v::float8'), ('v::real'), ('w::real'), ('w::float8'),
	('(w * w)::float8'), ('(w * 0.5)::bigint'), ('(-w * 0.5)::bigint'), ('(v - 0.5)::bigint'),
	('CASE WHEN v > 0 THEN v ELSE 0 END'), ('CASE WHEN v > 0 THEN v * w ELSE w END'), ('coalesce(v, 0)'), ('coalesce(v, 0.00)'), ('coalesce(v, w, 0)'), ('CASE WHEN v > 0 THEN 1 ELSE 2.50 END'), ('CASE WHEN v > 0 THEN v END'), ('CASE g % 4 WHEN 0 THEN v WHEN 1 THEN 0 WHEN 2 THEN 1.50000 END'),
	('1 - CASE WHEN g > 5 THEN v * 0.1 ELSE 0 END'), ('w * CASE WHEN g > 5 THEN v * 0.1 ELSE 1 END'), ('-CASE WHEN g > 5 THEN v ELSE 0 END'), ('abs(CASE WHEN g > 5 THEN v ELSE 1e15 END)'),
	('CASE WHEN g > 5 THEN v ELSE 1e18 END'), ('CASE WHEN g > 5 THEN v ELSE ''NaN'' END'), ('round(coalesce(v, 0), 1)'), ('coalesce(v, 0)::int'), ('CASE WHEN coalesce(v, 0) > 17 THEN w ELSE 0 END'),
	('CASE WHEN w > 5000000 THEN coalesce(v, 0) ELSE 1.0 END'), ('nullif(coalesce(v, 0), 1)'), ('CASE WHEN v > 0 THEN NULL ELSE 0 END * w'), ('greatest(v, w)'), ('nullif(v, 0)');
CREATE TABLE outcomes AS
SELECT query, compare(query) AS outcome
FROM expressions, sources, LATERAL (VALUES (format('SELECT sum(%s), avg(%1$s), min(%1$s), max(%1$s), count(%1$s) FROM %s', e, source)),
	(format('SELECT g, sum(%s), stddev(%1$s) FROM %s GROUP BY g', e, source))) AS q (query);
SELECT regexp_replace(outcome, ',.*', '') AS outcome, count(*) > 100 FROM outcomes GROUP BY 1 ORDER BY 1;
SELECT query, outcome FROM outcomes WHERE outcome NOT LIKE 'same%' ORDER BY query LIMIT 20;
-- what core's code did for amounts
SELECT e FROM expressions WHERE (SELECT outcome FROM outcomes WHERE query LIKE format('SELECT sum(%s), avg%% FROM amounts', replace(e, '%', '\%'))) <> 'same' ORDER BY e;
DROP TABLE outcomes;

CREATE TABLE conditions (c text);
INSERT INTO conditions
SELECT format('v %s %s', o, k)
FROM unnest('{<,<=,=,<>,>=,>}'::text[]) AS o,
	unnest('{0,17.5,17.123456,-0.01,1e15,92233720368547758.07,1e20,1e-18,''NaN'',''-Infinity'',w * 0.001,g}'::text[]) AS k;
INSERT INTO conditions VALUES ('v BETWEEN 10 AND 10000.5'), ('NOT v > 100'), ('v > 100 AND w < 1000'), ('v > 100 OR w < 1000'), ('v IN (0, 1, 2.00, 3.5)'), ('v IS NULL'), ('17 > v'), ('g > v');
CREATE TABLE outcomes AS
SELECT query, compare(query) AS outcome
FROM conditions, sources, LATERAL (VALUES (format('SELECT count(*), sum(v), min(g), sum(w) FROM %s WHERE %s', source, c)),
	(format('SELECT g %% 2, count(*) FILTER (WHERE %s) FROM %s GROUP BY g %% 2', c, source))) AS q (query);
SELECT regexp_replace(outcome, ',.*', '') AS outcome, count(*) > 100 FROM outcomes GROUP BY 1 ORDER BY 1;
SELECT query, outcome FROM outcomes WHERE outcome NOT LIKE 'same%' ORDER BY query LIMIT 20;
-- what core's code did for amounts
SELECT c FROM conditions WHERE (SELECT outcome FROM outcomes WHERE query LIKE format('SELECT count(*),%% FROM amounts WHERE %s', c)) <> 'same' ORDER BY c;
DROP TABLE outcomes;

-- groups by numeric, whatever their scales
CREATE TABLE outcomes AS
SELECT query, compare(query) AS outcome
FROM sources, (VALUES ('SELECT count(*), sum(g), min(w) FROM %s GROUP BY v'), ('SELECT g %% 2, v, avg(w) FROM %s GROUP BY g %% 2, v'),
	('SELECT v * w, count(*) FROM %s GROUP BY v * w'), ('SELECT coalesce(v, 0), sum(coalesce(v, 0)), max(coalesce(v, 0)) FROM %s GROUP BY 1'), ('SELECT CASE WHEN g < 6 THEN w ELSE 0 END, count(*) FROM %s GROUP BY 1')) AS s (shape), LATERAL (SELECT format(shape, source) AS query) AS q;
SELECT regexp_replace(outcome, ',.*', '') AS outcome, count(*) > 10 FROM outcomes GROUP BY 1 ORDER BY 1;
SELECT query, outcome FROM outcomes WHERE outcome NOT LIKE 'same%' ORDER BY query LIMIT 20;
DROP TABLE outcomes;

-- parameters
SET batchagg.debug_force_engine = on;
SET plan_cache_mode = force_generic_plan;
PREPARE above (numeric, numeric) AS SELECT count(*), sum(v * $2) FROM amounts WHERE v > $1;
EXPLAIN (COSTS off) EXECUTE above (10, 1.5);
EXECUTE above (10, 1.5);
EXECUTE above (10.55555, 'NaN');
EXECUTE above ('-Infinity', 2);
EXECUTE above (NULL, 2);
SET batchagg.enabled = off;
EXECUTE above (10, 1.5);
EXECUTE above (10.55555, 'NaN');
EXECUTE above ('-Infinity', 2);
EXECUTE above (NULL, 2);
RESET batchagg.enabled;
RESET plan_cache_mode;
RESET batchagg.debug_force_engine;

-- TPC-H Q1 and Q6 run wholly in the engine
CREATE TABLE lineitem (
	l_orderkey bigint NOT NULL, l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL,
	l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL);
INSERT INTO lineitem
SELECT n, 1 + noise(n, 1) % 50, (90000 + noise(n, 2) % 10405000) / 100.0, noise(n, 3) % 11 / 100.0, noise(n, 4) % 9 / 100.0,
	substr('ANR', 1 + noise(n, 5) % 3, 1), substr('FO', 1 + noise(n, 6) % 2, 1), '1992-01-02'::date + noise(n, 7) % 2526
FROM generate_series(1, 10000) AS n;
SELECT compare($$
	SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
		sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price, sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge,
		avg(l_quantity) AS avg_qty, avg(l_extendedprice) AS avg_price, avg(l_discount) AS avg_disc, count(*) AS count_order
	FROM lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90' day
	GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus$$) AS q1;
SELECT compare($$
	SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem
	WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1994-01-01' + interval '1' year
		AND l_discount BETWEEN 0.06 - 0.01 AND 0.06 + 0.01 AND l_quantity < 24$$) AS q6;

-- workers combine what the engine spilled as well
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT source, compare(format('SELECT sum(v), avg(v), stddev(v), min(w), max(w) FROM %s', source))
FROM unnest('{amounts,mixtures,specials,limits,giants,rising,falling,nothing}'::text[]) AS source;
