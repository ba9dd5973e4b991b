-- The engine's aggregates against core's: every query is run by both, errors included.
LOAD 'batchagg';
SET search_path = public, batchagg;
SET datestyle = 'ISO';
SET lc_monetary = 'C';
SET max_parallel_workers_per_gather = 0;

-- the rows of a query as sorted text, or its error
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

-- 'same', or what differs; 'declined' where the engine leaves the query to core
CREATE FUNCTION compare(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text := '';
	line text;
	ours text;
	theirs text;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', false);
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
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
	d date, t time, ts timestamp, tz timestamptz, o bool, oi oid, iv interval);
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
	noise(n, 16) * interval '1 second'
FROM generate_series(1, 3000) AS n;

CREATE TABLE complete AS
SELECT * FROM mixed WHERE (s, i, b, r, f, m, d, t, ts, tz, o) IS NOT NULL;
CREATE TABLE nothing AS SELECT * FROM mixed LIMIT 0;
CREATE TABLE nulls AS SELECT (r).* FROM (SELECT NULL::mixed AS r FROM generate_series(1, 1500)) AS x;
CREATE TABLE single AS SELECT * FROM complete LIMIT 1;
-- least, greatest and infinite values
CREATE TABLE limits AS
SELECT x.* FROM generate_series(1, 400) AS n, LATERAL (VALUES
	(1, (-32768)::smallint, (-2147483648)::int, (-9223372036854775808)::bigint, '-3e38'::real,
	 '-1.7e308'::double precision, '-92233720368547758.08'::money, '-infinity'::date, '00:00'::time,
	 '-infinity'::timestamp, '-infinity'::timestamptz, false, 0::oid, interval '-178000000 years'),
	(2, 32767, 2147483647, 9223372036854775807, '3e38',
	 '1.7e308', '92233720368547758.07'::money, 'infinity', '24:00',
	 'infinity', 'infinity', true, 4294967295, interval '178000000 years'))
	AS x (g, s, i, b, r, f, m, d, t, ts, tz, o, oi, iv);

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
	END LOOP;
END $$;
CALL try_orders();
SELECT outcome, count(*) FROM outcomes GROUP BY outcome;
SELECT query, outcome FROM outcomes WHERE outcome <> 'same' ORDER BY query LIMIT 10;
