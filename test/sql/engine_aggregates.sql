-- The engine's aggregates against core's: every query is run by both, errors included.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA engine_aggregates;
GRANT USAGE ON SCHEMA engine_aggregates TO PUBLIC;
SET search_path = engine_aggregates, batchagg;
SET datestyle = 'ISO';
SET lc_monetary = 'C';
SET max_parallel_workers_per_gather = 0;

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

-- 'same', or what differs; 'declined' where the engine leaves the query to core
CREATE FUNCTION compare(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text := '';
	line text;
	ours text;
	theirs text;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', false);
	FOR line IN EXECUTE 'EXPLAIN ' || as_text(query) LOOP
		plan := plan || line;
	END LOOP;
	ours := answer(query);
	PERFORM set_config('batchagg.debug_force_engine', 'off', false);
	PERFORM set_config('batchagg.enabled', 'off', false);
	theirs := answer(query);
	PERFORM set_config('batchagg.enabled', 'on', false);
	IF ours IS DISTINCT FROM theirs THEN
		RETURN format('engine: %s, core: %s', ours, theirs);
	ELSIF plan !~ 'BatchAgg' THEN
		RETURN 'declined';
	END IF;
	RETURN 'same';
END $$;

-- a number that looks random, 0 to 2^31 - 1
CREATE FUNCTION noise(i int, seed int) RETURNS int IMMUTABLE LANGUAGE sql
	RETURN hashint4(i * 31 + seed) & 2147483647;

CREATE TABLE mixed (
	g int, s smallint, i int, b bigint, r real, f double precision, m money,
	d date, t time, ts timestamp, tz timestamptz, o bool, oi oid, iv interval,
	n numeric(10,2), nw numeric, x text, xc varchar(32) COLLATE "C", c char(4));
INSERT INTO mixed
SELECT
	noise(n, 0) % 37,
	CASE WHEN n % 7 <> 0 THEN noise(n, 1) % 60000 - 30000 END,
	CASE WHEN n % 5 <> 0 THEN noise(n, 2) - 1000000000 END,
	CASE WHEN n % 11 <> 0 THEN (noise(n, 3)::bigint << 31) - noise(n, 4) END * sign(noise(n, 5) - 1e9)::bigint,
	CASE WHEN n % 3 <> 0 THEN noise(n, 6) / 1e5::real END,
	CASE WHEN n % 4 <> 0 THEN noise(n, 7) / 1e7::float8 - 100 END,
	CASE WHEN n % 6 <> 0 THEN noise(n, 8)::int8::money END,
	CASE WHEN n % 9 <> 0 THEN '2000-01-01'::date + noise(n, 9) % 40000 - 20000 END,
	CASE WHEN n % 8 <> 0 THEN '00:00'::time + noise(n, 10) * interval '1 microsecond' END,
	CASE WHEN n % 13 <> 0 THEN '2000-01-01'::timestamp + noise(n, 11) * interval '1 second' END,
	CASE WHEN n % 17 <> 0 THEN '2000-01-01 00:00+00'::timestamptz - noise(n, 12) * interval '1 second' END,
	CASE WHEN n % 19 <> 0 THEN noise(n, 13) % 5 = 0 END,
	(noise(n, 14)::bigint + noise(n, 15))::oid,
	noise(n, 16) * interval '1 second',
	CASE WHEN n % 10 <> 0 THEN (noise(n, 17) - 1000000000) / 100.0 END,
	CASE WHEN n % 11 <> 0 THEN noise(n, 18) / (10::numeric ^ (n % 30)) * (n % 3 - 1) END,
	CASE WHEN n % 12 <> 0 THEN substr(md5(n::text), 1, n % 20) END,
	CASE WHEN n % 7 <> 0 THEN substr(md5((n + 1)::text), 1 + n % 20) END,
	CASE WHEN n % 5 <> 0 THEN substr(md5((n + 2)::text), 1, n % 5) END
FROM generate_series(1, 3000) AS n;

CREATE TABLE complete AS
SELECT * FROM mixed WHERE (s, i, b, r, f, m, d, t, ts, tz, o, n, nw, x, xc, c) IS NOT NULL;
CREATE TABLE nothing AS SELECT * FROM mixed LIMIT 0;
CREATE TABLE nulls AS SELECT (r).* FROM (SELECT NULL::mixed AS r FROM generate_series(1, 1500)) AS x;
CREATE TABLE single AS SELECT * FROM complete LIMIT 1;
-- least, greatest and infinite values
CREATE TABLE limits AS
SELECT x.* FROM generate_series(1, 400) AS n, LATERAL (VALUES
	(1, (-32768)::smallint, (-2147483648)::int, (-9223372036854775808)::bigint, '-3e38'::real,
	 '-1.7e308'::double precision, '-92233720368547758.08'::money, '-infinity'::date, '00:00'::time,
	 '-infinity'::timestamp, '-infinity'::timestamptz, false, 0::oid, interval '-178000000 years',
	 '-99999999.99'::numeric(10,2), '-Infinity'::numeric, ''::text, ''::varchar, ''::char(4)),
	(2, 32767, 2147483647, 9223372036854775807, '3e38',
	 '1.7e308', '92233720368547758.07'::money, 'infinity', '24:00',
	 'infinity', 'infinity', true, 4294967295, interval '178000000 years',
	 99999999.99, 'NaN', repeat('z', 3000), 'zz', 'zzzz'))
	AS x (g, s, i, b, r, f, m, d, t, ts, tz, o, oi, iv, n, nw, x, xc, c);

CREATE TABLE tables (name text);
INSERT INTO tables VALUES ('mixed'), ('complete'), ('nothing'), ('nulls'), ('single'), ('limits');

CREATE TABLE calls AS
SELECT format('%s(%s)', a, c) AS call
FROM (VALUES
	('s', '{sum,avg,min,max,count,variance,var_pop,stddev,stddev_pop,bit_and,bit_or}'::text[]),
	('i', '{sum,avg,min,max,count,variance,var_pop,stddev,stddev_pop,bit_and,bit_or}'),
	('b', '{sum,avg,min,max,count,variance,var_pop,stddev,stddev_pop,bit_and,bit_or}'),
	('r', '{sum,avg,min,max,count,variance,var_pop,stddev,stddev_pop,exact_sum,exact_avg,exact_stddev_samp}'),
	('f', '{sum,avg,min,max,count,variance,var_pop,stddev,stddev_pop,exact_sum,exact_avg,exact_stddev_samp}'),
	('m', '{sum,min,max,count}'), ('d', '{min,max,count}'), ('t', '{min,max,count}'),
	('ts', '{min,max,count}'), ('tz', '{min,max,count}'), ('o', '{bool_and,bool_or,every,count}'),
	('n', '{sum,avg,min,max,count,variance,var_pop,stddev,stddev_pop}'),
	('nw', '{sum,avg,min,max,count,variance,var_pop,stddev,stddev_pop}'),
	('x', '{min,max,count}'), ('xc', '{min,max,count}'), ('c', '{min,max,count}'),
	('oi', '{min,max,count}'), ('iv', '{min,max,count}'), ('*', '{count}')) AS v (c, aggregates),
	unnest(aggregates) AS a
UNION ALL
SELECT format('%s(%s)', a, c)
FROM unnest('{i,b,f,r,s}'::text[]) AS c, unnest('{stats_agg}'::text[]) AS a
UNION ALL
SELECT format('%s(%s)', a, c)
FROM unnest('{f\,f,i\,f,b\,b,b\,f,f\,i,i\,s}'::text[]) AS c,
	unnest('{stats_agg,corr,covar_pop,regr_slope,regr_count}'::text[]) AS a;
SELECT count(*) FROM calls;
SELECT (SELECT count(*) FROM mixed) AS mixed, (SELECT count(*) FROM complete) AS complete, (SELECT count(*) FROM limits) AS limits;

-- each aggregate by itself: plain, of a part of the rows, by groups
CREATE TABLE shapes (shape text);
INSERT INTO shapes VALUES
	('SELECT %s FROM %s'),
	('SELECT %s FILTER (WHERE g %% 3 = 1) FROM %s'),
	('SELECT g, %s FROM %s GROUP BY g'),
	('SELECT g, %s FILTER (WHERE o) FROM %s GROUP BY g'),
	('SELECT %s FROM %s WHERE g < 0'),
	('SELECT %s FROM %s WHERE g < 20 HAVING count(*) > 10');
CREATE TABLE outcomes AS
SELECT format(shape, call, name) AS query, compare(format(shape, call, name)) AS outcome
FROM shapes, calls, tables;
SELECT count(*) FROM outcomes;
SELECT query, outcome FROM outcomes WHERE outcome <> 'same' ORDER BY query;
DROP TABLE outcomes;

-- NaN, infinities and zeros in every order, overflow on the way
CREATE TABLE specials (v double precision);
INSERT INTO specials VALUES ('NaN'), ('Infinity'), ('-Infinity'), ('0'), ('-0'), ('1'), ('1e200'), ('-1.7e308');
CREATE TABLE outcomes (query text, outcome text);
CREATE PROCEDURE try_orders() LANGUAGE plpgsql AS $$
DECLARE
	a double precision;
	b double precision;
	c double precision;
	call text;
	query text;
BEGIN
	CREATE TABLE one_order (n int, f double precision, r real);
	FOR a, b, c IN SELECT x.v, y.v, z.v FROM specials AS x, specials AS y, specials AS z LOOP
		TRUNCATE one_order;
		INSERT INTO one_order SELECT n, v, CASE abs(v) WHEN 1e200 THEN '3e38' WHEN 1.7e308 THEN '-3e38' ELSE v END::real
		FROM unnest(ARRAY[a, b, c, c]) WITH ORDINALITY AS u (v, n);
		query := format('SELECT %s FROM one_order WHERE %%s', array_to_string(ARRAY(
			SELECT format('%s(%s)', agg, col) FROM unnest('{min,max,sum}'::text[]) AS agg, unnest('{f,r}'::text[]) AS col), ', '));
		INSERT INTO outcomes VALUES (format('%s %s %s', a, b, c), compare(format(query, 'n < 4')));
		FOREACH call IN ARRAY '{sum,avg,stddev}'::text[] LOOP
			query := format('SELECT %s(f) FROM one_order', call);
			INSERT INTO outcomes VALUES (format('%s: %s %s %s', call, a, b, c), compare(query));
			query := format('SELECT n / 3, %s(f), min(r) FROM one_order GROUP BY n / 3', call);
			INSERT INTO outcomes VALUES (format('%s by: %s %s %s', call, a, b, c), compare(query));
		END LOOP;
		query := 'SELECT n / 3, corr(f, n), regr_sxx(n, f), regr_syy(n, f), regr_sxy(f, r), regr_count(f, r) FROM one_order GROUP BY n / 3';
		INSERT INTO outcomes VALUES (format('pairs: %s %s %s', a, b, c), compare(query));
	END LOOP;
END $$;
CALL try_orders();
SELECT outcome, count(*) FROM outcomes GROUP BY outcome;
SELECT query, outcome FROM outcomes WHERE outcome <> 'same' ORDER BY query LIMIT 10;
DROP TABLE outcomes;

-- the same in longer runs, each of some of these values and ordinary ones
CREATE TABLE sprinkled AS
SELECT g, n, v AS f, v::real AS r, CASE WHEN n % 3 <> 0 THEN v END AS fn, n % 2 = 0 AS o
FROM generate_series(1, 60) AS g, generate_series(1, 5 + g * 3) AS n, LATERAL (
	SELECT CASE noise(n, g * 3) % 7
		WHEN 0 THEN CASE WHEN g % 2 = 0 THEN 'NaN' ELSE '-0'::float8 END
		WHEN 1 THEN CASE WHEN g % 3 = 0 THEN 0.0 ELSE '-0'::float8 END
		WHEN 2 THEN CASE WHEN g % 5 = 0 THEN '-Infinity' ELSE 0.0 END
		WHEN 3 THEN CASE WHEN g % 7 = 0 THEN 'Infinity' ELSE '-0'::float8 END
		ELSE CASE WHEN g % 4 = 0 THEN 1 WHEN g % 4 = 1 THEN -1 ELSE 0 END * noise(n, g)::float8 END) AS u (v);
CREATE TABLE outcomes AS
SELECT g, outcome FROM generate_series(1, 60) AS g, compare(format($$
	SELECT min(f), max(f), min(r), max(r), min(fn), max(fn), sum(f), sum(fn), avg(f), stddev(fn),
		min(f) FILTER (WHERE o), max(f) FILTER (WHERE o), sum(f) FILTER (WHERE o), exact_sum(f), stats_agg(fn),
		sum(f) FILTER (WHERE f::text = '-0'), sum(r) FILTER (WHERE f::text = '-0')
	FROM sprinkled WHERE g = %s$$, g)) AS outcome
UNION ALL
SELECT NULL, compare($$SELECT g, min(f), max(f), min(r), max(r), min(fn), max(fn), sum(f), sum(r), avg(fn),
	min(f) FILTER (WHERE o), max(f) FILTER (WHERE o), exact_avg(r),
	sum(f) FILTER (WHERE f::text = '-0'), sum(r) FILTER (WHERE f::text = '-0') FROM sprinkled GROUP BY g$$);
SELECT count(*) FROM outcomes;
SELECT g, outcome FROM outcomes WHERE outcome <> 'same' ORDER BY g;
DROP TABLE outcomes;

-- several in one query: they share states, or columns only
CREATE TABLE outcomes AS
SELECT name, shape, compare(format(shape, $q$
	avg(i), stddev(i), sum(i), var_pop(i), sum(i) FILTER (WHERE o), sum(i) FILTER (WHERE NOT o),
	avg(b), sum(b), stddev(b), sum(s), avg(s), sum(r), avg(r), variance(r), avg(f), stddev_pop(f), sum(f),
	min(f), max(f), min(r), max(r), min(d), max(d), count(*), count(o), count(i) FILTER (WHERE o), bool_or(o),
	sum(n), avg(n), stddev(n), sum(nw), max(nw), var_samp(nw), min(x), max(x), min(xc), max(c),
	exact_sum(f), exact_avg(f), exact_sum(r), stats_agg(f), stats_agg(f, r), corr(f, r), covar_samp(f, r)$q$, name)) AS outcome
FROM tables, (VALUES ('SELECT %s FROM %s'), ('SELECT g, o, %s FROM %s GROUP BY g, o'),
			  ('SELECT i %% 500, %s FROM %s GROUP BY 1'), ('SELECT %s FROM %s HAVING sum(i) IS NULL')) AS v (shape);
SELECT name, shape, outcome FROM outcomes WHERE outcome <> 'same' ORDER BY name, shape;
DROP TABLE outcomes;

-- the argument is not evaluated where FILTER rejects the row
SELECT compare($$SELECT sum(100 / (g % 3)) FILTER (WHERE g % 3 <> 0), count(1 / g) FILTER (WHERE g > 0),
	corr(f / (g % 2), i) FILTER (WHERE g % 2 = 1) FROM mixed$$);
SELECT compare('SELECT sum(100 / (g % 3)) FILTER (WHERE i > 0) FROM mixed');

-- sums have their own types
SET batchagg.debug_force_engine = on;
SELECT pg_typeof(sum(s)) AS s, pg_typeof(sum(i)) AS i, pg_typeof(sum(b)) AS b, pg_typeof(sum(r)) AS r,
	pg_typeof(sum(f)) AS f, pg_typeof(sum(m)) AS m, pg_typeof(avg(r)) AS avg_r, pg_typeof(min(r)) AS min_r FROM mixed;
SELECT sum(r) = (SELECT sum(r) FROM (SELECT r FROM single OFFSET 0) AS x) AS real_sum FROM single;
RESET batchagg.debug_force_engine;

-- what goes to core
CREATE AGGREGATE sum_from_100(int) (SFUNC = int4_sum, STYPE = bigint, INITCOND = 100, COMBINEFUNC = int8pl, PARALLEL = SAFE);
CREATE AGGREGATE same_as_sum(int) (SFUNC = int4_sum, STYPE = bigint, COMBINEFUNC = int8pl, PARALLEL = SAFE);
SELECT call, compare(format('SELECT %s FROM mixed', call))
FROM (VALUES ('sum_from_100(i)'), ('same_as_sum(i)'), ('count(DISTINCT g)'), ('sum(DISTINCT i)'), ('sum(i ORDER BY b)'),
	('array_agg(i ORDER BY i)'), ($$string_agg(i::text, ',' ORDER BY i)$$),
	('percentile_disc(0.5) WITHIN GROUP (ORDER BY i)'), ('mode() WITHIN GROUP (ORDER BY g)'),
	('rank(3) WITHIN GROUP (ORDER BY g)'), ('count(*), sum_from_100(i)')) AS v (call);

-- permission to run an aggregate, and its transition function by its owner
CREATE ROLE engine_reader;
GRANT SELECT ON mixed TO engine_reader;
GRANT USAGE ON SCHEMA batchagg, engine_aggregates TO engine_reader;
REVOKE EXECUTE ON FUNCTION pg_catalog.sum(int) FROM PUBLIC;
SET batchagg.debug_force_engine = on;
SET ROLE engine_reader;
SELECT count(*) FROM mixed;
SELECT sum(i) FROM mixed;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_catalog.sum(int) TO PUBLIC;
RESET batchagg.debug_force_engine;
DROP OWNED BY engine_reader;
DROP ROLE engine_reader;

-- in parallel: whatever does not depend on the order of rows (equal numerics differ in their zeros)
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
CREATE TABLE outcomes AS
SELECT query, compare(query) AS outcome FROM (
	SELECT format(shape, string_agg(call, ', '), name) AS query
	FROM calls, tables, (VALUES ('SELECT %s FROM %s'), ('SELECT g, %s FROM %s GROUP BY g')) AS v (shape)
	WHERE call !~ '^(sum|avg|var.*|stddev.*)\([rf]\)|^(corr|covar_pop|regr_slope)|^(min|max)\(nw'
	GROUP BY shape, name) AS q;
SELECT count(*) FROM outcomes;
SELECT query, outcome FROM outcomes WHERE outcome <> 'same' ORDER BY query;
SET batchagg.debug_force_engine = on;
EXPLAIN (COSTS OFF) SELECT g, sum(b), avg(i), stddev(s), exact_sum(f) FROM mixed GROUP BY g;
RESET batchagg.debug_force_engine;
