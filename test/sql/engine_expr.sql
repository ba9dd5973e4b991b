-- The engine's expressions against core's, row by row, errors included.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA engine_expr;
GRANT USAGE ON SCHEMA engine_expr TO PUBLIC;
SET search_path = engine_expr, batchagg;
SET datestyle = 'ISO';
SET lc_monetary = 'C';
SET max_parallel_workers_per_gather = 0;

-- all rows of a query as text, or the error
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(q::text, E''\n'' ORDER BY q::text COLLATE "C") FROM (%s) AS q', query)
		INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- who computed a query's expressions: 'vectors', 'core' for some rows, or 'declined' by the engine
CREATE FUNCTION who(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text := '';
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
		plan := plan || line;
	END LOOP;
	RETURN CASE WHEN plan !~ 'BatchAgg' THEN 'declined' WHEN plan ~ 'Rows Evaluated by Core' THEN 'core'
		ELSE 'vectors' END;
EXCEPTION WHEN OTHERS THEN
	RETURN 'error';
END $$;

CREATE FUNCTION difference(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	ours text;
	theirs text;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', false);
	ours := answer(query);
	PERFORM set_config('batchagg.debug_force_engine', 'off', false);
	PERFORM set_config('batchagg.enabled', 'off', false);
	theirs := answer(query);
	PERFORM set_config('batchagg.enabled', 'on', false);
	RETURN CASE WHEN ours IS DISTINCT FROM theirs THEN format('engine: %s, core: %s', ours, theirs) END;
END $$;

-- Compares an expression over the tame rows of a table, over all, and over each of the others;
-- and as an argument where FILTER keeps it from the others. Tells who computed the tame ones.
CREATE FUNCTION compare(expression text, source text DEFAULT 'wild') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	query text := replace(format('SELECT id, %s AS x, count(*) FROM %s WHERE ', expression, source), '%', '%%')
		|| '%s GROUP BY 1, 2';
	computed text;
	id int;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', false);
	computed := who(format(query, 'tame'));
	PERFORM set_config('batchagg.debug_force_engine', 'off', false);
	FOR id IN EXECUTE format('SELECT id FROM %s WHERE NOT tame', source) LOOP
		computed := coalesce(difference(format(query, 'id = ' || id)), computed);
	END LOOP;
	RETURN coalesce(
		difference(format(query, 'tame')), difference(format(query, 'true')),
		difference(format('SELECT tame, count(%s) FILTER (WHERE tame) FROM %s GROUP BY 1', expression, source)),
		computed);
END $$;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE wild (
	id int, tame bool, s int2, i int4, i0 int4, b int8, b0 int8, r float4, f float8, f0 float8, o bool, p bool,
	t text, d date, ts timestamp, tz timestamptz, oi oid, m money, e mood, c "char", n numeric(10,2), arr int[]);
INSERT INTO wild
SELECT id, true, id % 300 * 2 - 299, id % 1000 * 2 - 999, id % 7 + 1, id * 100000 - 99999950, id % 13 - 20,
	id / 8.0 - 100.05, id / 3.0 - 300.1, id % 17 + 0.5, id % 2 = 0, id % 3 = 0, chr(97 + id % 26) || id % 5,
	date '2020-01-01' + id % 400, timestamp '2020-01-01' + id * interval '1 hour',
	timestamptz '2020-01-01' + id * interval '1 hour', id % 50, (id % 100)::money,
	(ARRAY['sad', 'ok', 'happy'])[1 + id % 3]::mood, chr(97 + id % 3)::"char", id % 100 / 4.0, ARRAY[id, 1]
FROM generate_series(1, 1500) id;
-- nulls, one column or another in each row
INSERT INTO wild
SELECT id, true, NULLIF(s, s * (id % 2)), NULLIF(i, i * (id % 3)), CASE WHEN id % 5 > 0 THEN i0 END,
	CASE WHEN id % 7 > 0 THEN b END, CASE WHEN id % 4 > 0 THEN b0 END, CASE WHEN id % 3 > 0 THEN r END,
	CASE WHEN id % 2 > 0 THEN f END, CASE WHEN id % 3 > 1 THEN f0 END, CASE WHEN id % 5 > 1 THEN o END,
	CASE WHEN id % 7 > 1 THEN p END, CASE WHEN id % 4 > 1 THEN t END, CASE WHEN id % 2 > 0 THEN d END,
	CASE WHEN id % 3 > 0 THEN ts END, CASE WHEN id % 4 > 0 THEN tz END, CASE WHEN id % 5 > 0 THEN oi END,
	CASE WHEN id % 6 > 0 THEN m END, CASE WHEN id % 7 > 0 THEN e END, CASE WHEN id % 2 > 0 THEN c END,
	CASE WHEN id % 3 > 0 THEN n END, CASE WHEN id % 3 > 0 THEN arr END
FROM (SELECT id + 2000 AS id, s, i, i0, b, b0, r, f, f0, o, p, t, d, ts, tz, oi, m, e, c, n, arr FROM wild) w
WHERE id % 9 = 0;
-- the ends of each type, and zeros to divide by
INSERT INTO wild
SELECT 10000 + row_number() OVER (), false, s, i, i0, b, b0, r, f, f0, true, false,
	'zz', date 'infinity', timestamp '-infinity', timestamptz 'infinity', 4294967295, m, 'ok', '', 'NaN', '{}'
FROM (VALUES
	(32767::int2, 2147483647, 1, 9223372036854775807, 1::int8, 3.4e38::float4, 1.7e308::float8, 1e308::float8, 92233720368547758.07::money),
	(-32768, -2147483648, -1, -9223372036854775808, -1, -3.4e38, -1.7e308, -1e308, (-92233720368547758.08)::money),
	(0, 0, 0, 0, 0, 0, 0, 0, 0::money), (1, -1, -1, -1, 0, '-0', '-0', '-0', (-1)::money),
	(7, 7, 7, 7, 3, 'NaN', 'NaN', 1, 1::money), (7, 7, 7, 7, 3, 1, 1, 'NaN', 1::money),
	(7, 7, 7, 7, 3, 'NaN', 'NaN', 'NaN', 1::money), (7, 7, 7, 7, 3, 'Infinity', 'Infinity', 2, 1::money),
	(7, 7, 7, 7, 3, '-Infinity', '-Infinity', 'Infinity', 1::money), (7, 7, 7, 7, 3, 2, 2, 'Infinity', 1::money),
	(7, 7, 7, 7, 3, 1e-45, 5e-324, 1e-300, 1::money), (7, 7, 7, 7, 3, 1e-30, 1e-300, 5e-324, 1::money),
	(7, 7, 7, 7, 3, 2147483647, 2147483647.5, 0.5, 1::money), (7, 7, 7, 7, 3, 32767, 32767.5, -0.5, 1::money),
	(7, 7, 7, 7, 3, -2147483648, -2147483648.5, 1.5, 1::money), (7, 7, 7, 7, 3, -32768, -32768.5, 2.5, 1::money),
	(7, 7, 7, 7, 3, 9.223372036854775807e18, 9.223372036854775807e18, 2.5, 1::money),
	(7, 7, 7, 7, 3, -9.223372036854775808e18, -9.223372036854775808e18, 1, 1::money)) v(s, i, i0, b, b0, r, f, f0, m);
ANALYZE wild;

-- integers
SELECT expression, compare(expression) FROM unnest(ARRAY[
	's + s', 's - i0::int2', 's * s', 's * (i0 / 2)::int2', 's / i0::int2', 's % i0::int2', '-s', '+s', 'abs(s)', '@ s',
	'i + i0', 'i - i0', 'i * i0', 'i / i0', 'i % i0', 'mod(i, i0)', '-i', 'abs(i)', '@ i', '1 - i', '3 / i0', 'i / 7', 'i % 7', 'i / -7',
	'i % -1', 'i / -1', 's / -1::int2', 'b / -1', 'b % -1::int8',
	'b + b0', 'b - b0', 'b * b0', 'b / b0', 'b % b0', '-b', 'abs(b)', 'b * 3', '5 - b',
	's + i', 'i - s', 's * b', 'b / s', 's / b', 'i * b', 'b - i', 'i / b', 'b + s', 's / i', 'i / s',
	'i & 12', 'i | i0', 'i # 5', 'b & b0', 's | 1::int2', 'i0 << 2', '~ i',
	'i::int2', 'i::int8', 's::int4', 's::int8', '(b / 10000)::int2', 'b::int4', 'o::int', 'i::bool', 'i::oid', 'oi::int8',
	'i + i0 * s - b / 3', 'm + m', 'm - ''1''::money', 'm * 2', '3::int2 * m', 'm / i0', 'm / 2.5::float8']) expression;

-- comparisons
SELECT l || ' ' || op || ' ' || r AS expression, string_agg(DISTINCT compare(l || ' ' || op || ' ' || r), ', ')
FROM (VALUES ('s', 's'), ('s', '5::int2'), ('s', 'i'), ('i', 's'), ('s', 'b'), ('b', 's'), ('i', 'i0'), ('i', 'b'), ('b', 'i'),
	('b', 'b0'), ('7', 'i'), ('i', '7::int8'), ('b', '7'), ('o', 'p'), ('d', 'date ''2020-06-01'''), ('d', 'd + 1'),
	('ts', 'timestamp ''2020-02-01'''), ('tz', 'timestamptz ''2020-02-01'''), ('m', '''5''::money'), ('ts', 'd'),
	('r', 'r'), ('r', '1.5::float4'), ('r', 'f'), ('f', 'r'), ('f', 'f0'), ('f', '''NaN'''), ('1.5::float8', 'f'), ('f', '''-Infinity'''),
	('r', '0.1')) v(l, r),
	unnest(ARRAY['=', '<>', '<', '<=', '>', '>=']) op
GROUP BY 1 HAVING string_agg(DISTINCT compare(l || ' ' || op || ' ' || r), ', ') <> 'vectors';
SELECT expression, compare(expression) FROM unnest(ARRAY[
	'oi = 4294967295', 'oi <> 7', 'oi > 7', 'e = ''ok''', 'e <> ''ok''', 'e < ''ok''', 'c = ''b''', 'c > ''b''', 'i BETWEEN -10 AND i0',
	'id NOT BETWEEN SYMMETRIC 20 AND 10', 'i IS DISTINCT FROM i0', 'o IS NOT DISTINCT FROM p', 't IS DISTINCT FROM ''a1''',
	'f IS DISTINCT FROM f0']) expression;

-- floats
SELECT expression, compare(expression) FROM unnest(ARRAY[
	'f + f0', 'f - f0', 'f * f0', 'f / f0', '-f', 'abs(f)', '+f', 'r + r', 'r - 1.5::float4', 'r * r', 'r / 3::float4', '-r', '@ r', '1 / f', '1 / r',
	'f * 0', '0 / f', 'f + r', 'r - f', 'r * f', 'f / r', 'f + 1', 'f * 2.5 - r / 2',
	'ceil(f)', 'ceiling(f)', 'floor(f)', 'round(f)', 'trunc(f)', 'sqrt(abs(f))', 'f ^ 2',
	'f::float4', 'r::float8', 'f::int2', 'f::int4', 'f::int8', 'r::int2', 'r::int4', 'r::int8',
	's::float4', 'i::float4', 'b::float4', 's::float8', 'i::float8', 'b::float8', 'n::float8', 'f::numeric']) expression;

-- functions that are not known
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE STRICT LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END';
CREATE FUNCTION lax(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN coalesce($1, -5); END';

-- three-valued logic, CASE, COALESCE, NULLIF
SELECT expression, compare(expression) FROM unnest(ARRAY[
	'o AND p', 'o OR p', 'NOT o', 'o AND p AND i > 0', 'o OR p OR i > 0', 'o AND NOT (p OR i < 5)', 'o AND NULL', 'o OR NULL',
	'o IS TRUE', 'o IS NOT TRUE', 'o IS FALSE', 'o IS NOT FALSE', 'o IS UNKNOWN', 'o IS NOT UNKNOWN', '(o AND p) IS TRUE',
	'i IS NULL', 'i IS NOT NULL', '(i + i0) IS NULL', 't IS NULL',
	'CASE WHEN o THEN i END', 'CASE WHEN o THEN i ELSE i0 END', 'CASE WHEN o THEN 1 WHEN p THEN 2 ELSE 3 END',
	'CASE WHEN o THEN t WHEN p THEN ''const'' END', 'CASE WHEN i > 0 THEN f ELSE 0 END', 'CASE WHEN o THEN NULL ELSE t END',
	'CASE WHEN o THEN n ELSE 0 END', 'CASE WHEN o THEN n * 2 ELSE 0.000 END', 'CASE WHEN o THEN n WHEN p THEN NULL ELSE n + 1.5 END',
	'CASE i0 WHEN 1 THEN ''one'' WHEN 2 THEN ''two'' END', 'CASE t WHEN ''a1'' THEN 1 WHEN ''b2'' THEN 2 ELSE i END',
	'CASE WHEN CASE i0 WHEN 1 THEN o ELSE p END THEN 1 ELSE 0 END', 'CASE CASE i0 WHEN 1 THEN 2 ELSE 3 END WHEN 2 THEN 5 END',
	'CASE s WHEN i THEN 1 WHEN i0 THEN 2 END',
	'CASE WHEN i0 <> 0 THEN i / i0 END', 'CASE WHEN i < 1000000 THEN i * 2 ELSE -1 END', 'i0 <> 0 AND 100 / i0 > 3', 'i0 = 0 OR 100 / i0 > 3',
	'CASE WHEN tame THEN upper(t) END', 'tame AND (10 / (i0 + id)) > 0',
	'COALESCE(i, i0)', 'COALESCE(i, i0, 0)', 'COALESCE(t, ''none'')', 'COALESCE(n, 0)', 'COALESCE(n, n * 2, 7.000)', 'COALESCE(f, r)',
	'COALESCE(i, 1 / i0)', 'COALESCE(NULL, o, p)',
	'NULLIF(i, i0)', 'NULLIF(i0, 3)', 'NULLIF(t, ''a1'')', 'i / NULLIF(i0, 0)', 'NULLIF(n, 1)', 'NULLIF(f, f0)',
	'CASE WHEN o THEN twice(i0) WHEN p THEN length(md5(t)) ELSE i / nullif(i0, 3) END', 'CASE WHEN twice(i0) > 5 THEN 1 WHEN lax(i) > 7 THEN 2 END',
	'CASE WHEN i0 <> 0 THEN CASE WHEN b0 <> 0 THEN b / b0 / i0 ELSE twice(i0) END END', 'o OR CASE WHEN i0 <> 0 THEN 7 / i0 > 3 ELSE lax(i) = 1 END',
	'CASE WHEN i0 <> 0 THEN n / i0 ELSE n END', 'CASE WHEN lax(i0) > 3 THEN n WHEN o THEN n * 2 ELSE 7 END', 'o AND p AND lax(i) > 3 AND NOT (p OR 1 / i0 = 1)',
	'COALESCE(i, twice(i0), lax(s))', 'COALESCE(t, md5(i::text))', 'p OR t || i = ''x''',
	'GREATEST(i, i0)', 'LEAST(f, 0)', 'LEAST(i, i0, 3, s)', 'GREATEST(r, f, f0)', 'LEAST(d, ''2020-03-01'')', 'GREATEST(t, ''b'')', 'i = 3 AND (o OR p OR NULL)']) expression;

-- lists
SELECT expression, compare(expression) FROM unnest(ARRAY[
	'i IN (1, 2)', 'i NOT IN (1, 2)', 'i IN (1, 2, NULL)', 'i NOT IN (1, 2, NULL)', 'i IN (1, 5, 9, 12, 100, -7)', 'i NOT IN (1, 5, 9, 12, 100, -7)',
	'i IN (1, 5, 9, 12, 100, -7, NULL)', 'i = ANY (''{-2147483648, 2147483647, 0, 5, 77, 100000}'')', 'i <> ALL (''{-2147483648, 2147483647, 0, 5, 77, 100000}'')',
	'b = ANY (''{-9223372036854775808, 9223372036854775807, 0, 1, -1, -100}'')', 'b <> ALL (''{-9223372036854775808, -9223372036854775807, 5, 6, 9223372036854775807}'')',
	'i = ANY (''{}'')', 'i <> ALL (''{}'')', 'i = ANY (NULL::int[])', 'i <> ALL (''{NULL}'')', 's IN (1, 100000)', 's = ANY (''{1, 7, 10000000000}''::int8[])',
	'd IN (''2020-01-05'', ''infinity'')', 'ts = ANY (''{2020-01-05, -infinity}'')', 'oi IN (1, 2, 3, 4, 5, 6, 4294967295)', 'm IN (''1'', ''2'')',
	'e IN (''ok'', ''sad'')', 'c IN (''a'', '''')', 't IN (''a1'', ''b2'', ''zz'')', 't NOT IN (''a1'', ''b2'', ''zz'')', 't IN (''a1'', NULL)',
	't = ANY ((SELECT array_agg(chr(97 + x % 26) || x % 7) FROM generate_series(1, 300) x)::text[])', 'f IN (0, 1.5, ''NaN'')', 'n IN (0, 1.25, 2.50)',
	'i = ANY (ARRAY(SELECT x * 7 FROM generate_series(-50, 50) x))', 'i <> ALL (ARRAY(SELECT x * 7 FROM generate_series(-50, 50) x))',
	'b = ANY (ARRAY(SELECT x * 500000::int8 + 50 FROM generate_series(-99, 99) x) || ''{-9223372036854775808, 9223372036854775807, NULL}'')',
	'i <> ALL (ARRAY(SELECT x * 100001 + 1 FROM generate_series(-99, 99) x) || ''{-2147483648, 2147483647, 7}'')',
	't || ''2345678'' = ANY (ARRAY(SELECT chr(97 + x % 26) || x % 5 || ''2345678'' FROM generate_series(1, 50) x))',
	't || repeat(''y'', 40) <> ALL (ARRAY(SELECT chr(97 + x % 26) || x % 5 || repeat(''y'', 40) FROM generate_series(1, 50) x))',
	'i < ANY (''{1, 5, NULL}'')', 'i >= ALL (''{1, 5, NULL}'')', 't LIKE ANY (''{a%, b2}'')', 'i = ANY (arr)', 'i0 <> ALL (arr)', 'o IN (true, NULL)']) expression;

-- what is not known here goes to core, as a whole or a call at a time
CREATE FUNCTION polymorphic(anyelement) RETURNS text STABLE STRICT LANGUAGE plpgsql AS 'BEGIN RETURN pg_typeof($1); END';
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
SELECT expression, compare(expression) FROM unnest(ARRAY[
	'twice(i)', 'twice(i + i0)', 'lax(i)', 'polymorphic(i)', 'polymorphic(t)', 'i::small', 'arr[1]', 'md5(t)', 'lpad(t, 3, ''x'')', 'i::text', 'ROW(i, o) = ROW(i0, p)',
	'to_char(ts, ''YYYY'')', 'reverse(t) = ''1a''', 'length(md5(t)) + i0', 'current_date - d > 3 AND o', 'd < now()', 'o AND tz < now()', 't || i', 'arr || i',
	'twice(1) + i0', 'i0 + length(current_user)', 'CASE WHEN o THEN twice(i0) END', 'width_bucket(f, 0, 100, 5)', 'gcd(i, i0)', 'num_nulls(i, o)']) expression;

-- functions one may not execute
CREATE ROLE nobody_special;
REVOKE EXECUTE ON FUNCTION twice(int) FROM public;
GRANT SELECT ON wild TO nobody_special;
SET ROLE nobody_special;
SELECT difference('SELECT sum(twice(i0)) FROM wild'), answer('SELECT sum(twice(i0)) FROM wild');
SELECT difference('SELECT count(*) FROM wild WHERE tame AND twice(i0) > 3');
RESET ROLE;
DROP OWNED BY nobody_special;
DROP ROLE nobody_special;

-- parameters: of a prepared statement, of plpgsql, of a query around, of an init plan
SET batchagg.debug_force_engine = on;
SET plan_cache_mode = force_generic_plan;
PREPARE filtered(int, text, int[], numeric) AS
	SELECT count(*), sum(i + $1), sum(CASE WHEN o THEN $1 ELSE i0 END), count(*) FILTER (WHERE t = $2), sum(n * $4)
	FROM wild WHERE tame AND (i0 = ANY ($3) OR i > $1);
EXPLAIN (COSTS off) EXECUTE filtered(3, 'a1', '{1,2}', 2.5);
EXECUTE filtered(3, 'a1', '{1,2}', 2.5);
EXECUTE filtered(-3, 'b2', '{NULL,5}', NULL);
EXECUTE filtered(NULL, NULL, NULL, 1);
SET batchagg.enabled = off;
EXECUTE filtered(3, 'a1', '{1,2}', 2.5);
EXECUTE filtered(-3, 'b2', '{NULL,5}', NULL);
EXECUTE filtered(NULL, NULL, NULL, 1);
SET batchagg.enabled = on;
CREATE FUNCTION counted(low int, OUT n bigint, OUT conditional bigint) LANGUAGE plpgsql AS $$
DECLARE
	limits record;
BEGIN
	SELECT counted.low AS low, 'a1'::text AS name INTO limits;
	SELECT count(*), sum(CASE WHEN o THEN limits.low END) INTO n, conditional
		FROM wild WHERE tame AND i > limits.low AND t <> limits.name;
END $$;
SELECT x, (counted(x)).* FROM generate_series(-100, 400, 100) x;
RESET plan_cache_mode;
CREATE TEMP TABLE around AS SELECT x, CASE WHEN x <> 2 THEN 'a' || x END AS name FROM generate_series(0, 4) x;
SELECT compare('i + (SELECT max(x) FROM around)'), compare('i0 = ANY (ARRAY(SELECT x FROM around))'), compare('CASE WHEN tame THEN i0 ELSE (SELECT 1 / x FROM around LIMIT 1) END'),
	compare('CASE WHEN o THEN i0 ELSE (SELECT x FROM around WHERE x = 3) END'), compare('o OR i0 = (SELECT 1 / x FROM around WHERE x = 1)');
SELECT difference('SELECT x, name, (SELECT count(*) FROM wild WHERE i0 = x AND tame), (SELECT sum(i) FROM wild WHERE t = name) FROM around');
SELECT difference('SELECT x, q.* FROM around, LATERAL (SELECT count(*), sum(i0 * x), sum(CASE WHEN o THEN x END) FROM wild WHERE i > x * 10 AND tame) q');

-- filters stop at the first that is not true, and FILTER keeps its argument
SELECT difference('SELECT count(*) FROM wild WHERE tame AND 1000 / (CASE WHEN tame THEN 1 ELSE 0 END) > 3'),
	difference('SELECT CASE WHEN i0 <> 5 THEN 10 / i0 END, count(*) FROM wild WHERE (i0 <> 0 AND (CASE WHEN i0 <> 5 THEN 10 / i0 END) > -100) IS TRUE GROUP BY 1'),
	difference('SELECT sum(1 / i0) FILTER (WHERE i0 <> 0), count(*) FROM wild'),
	difference('SELECT sum(i / i0) FILTER (WHERE tame), sum(i * 5) FILTER (WHERE tame) FROM wild'),
	difference('SELECT o, sum(b * b0) FROM wild WHERE tame GROUP BY o'),
	difference('SELECT o, sum(b * b0) FROM wild GROUP BY o');

-- a tree that gives up again and again is left for core's code
CREATE TABLE zeros AS SELECT id, true AS tame, id % 1000 - 1 AS z FROM generate_series(1, 100000) id;
SELECT difference('SELECT count(*), sum(CASE WHEN z <> 0 THEN 1000 / z END) FROM zeros');

-- long results of functions do not pile up
CREATE TABLE long_texts AS SELECT id, repeat('x' || id % 2, 50000) AS t FROM generate_series(1, 400) id;
SELECT difference('SELECT max(length(upper(t))), sum(length(reverse(t)) / id) FROM long_texts WHERE length(initcap(t)) > id'),
	difference('SELECT md5(upper(t)), count(*), max(length(upper(t))) FROM long_texts GROUP BY 1');
RESET batchagg.debug_force_engine;
