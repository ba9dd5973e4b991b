-- Grouping in the engine: the same groups as core makes, with the same values in them.
LOAD 'batchagg';
SET jit = off;
CREATE SCHEMA grouping_test;
SET search_path = grouping_test;
SET datestyle = 'ISO';
SET lc_monetary = 'C';
SET extra_float_digits = 1;
SET max_parallel_workers_per_gather = 0;

-- 'same' and the number of rows, or how many rows differ; 'declined' where the engine leaves the query to core
CREATE FUNCTION compare(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
	ours text[];
	theirs text[];
	lost bigint;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', true);
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	EXECUTE format('SELECT array_agg(q::text ORDER BY q::text COLLATE "C") FROM (%s) AS q', query) INTO ours;
	PERFORM set_config('batchagg.debug_force_engine', 'off', true);
	PERFORM set_config('batchagg.enabled', 'off', true);
	EXECUTE format('SELECT array_agg(q::text ORDER BY q::text COLLATE "C") FROM (%s) AS q', query) INTO theirs;
	PERFORM set_config('batchagg.enabled', 'on', true);
	IF plan::text !~ 'BatchAgg' THEN
		RETURN 'declined';
	ELSIF ours IS DISTINCT FROM theirs THEN
		SELECT count(*) INTO lost FROM (SELECT unnest(theirs) EXCEPT ALL SELECT unnest(ours)) AS l;
		RETURN format('engine: %s rows, core: %s rows, of these %s not in the engine''s', cardinality(ours),
			cardinality(theirs), lost);
	END IF;
	RETURN format('same, %s rows', cardinality(ours));
END $$;

CREATE FUNCTION compare_keys(rel regclass, aggregates text) RETURNS TABLE (key name, result text) LANGUAGE plpgsql AS $$
BEGIN
	FOR key IN SELECT attname FROM pg_attribute WHERE attrelid = rel AND attnum > 1 ORDER BY attnum LOOP
		result := compare(format('SELECT %I, %s FROM %s GROUP BY %I', key, aggregates, rel, key));
		RETURN NEXT;
	END LOOP;
END $$;

-- a number that looks random, 0 to n - 1
CREATE FUNCTION noise(i int, seed int, n int) RETURNS int IMMUTABLE LANGUAGE sql
	RETURN (hashint4(i * 31 + seed) & 2147483647) % n;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);

-- every type that may be a key, with nulls and with the values at the ends of its range
CREATE TABLE keys (
	n int, o bool, c "char", s smallint, i int, b bigint, oi oid, dm even, e mood, m money, d date, t time,
	ts timestamp, tz timestamptz, r real, f double precision, u uuid, iv interval, na name, tx text, vc varchar(20),
	bp char(5), by bytea, nu numeric, nu2 numeric(10, 2));
INSERT INTO keys
SELECT
	i,
	CASE WHEN noise(i, 1, 9) > 0 THEN noise(i, 2, 2) = 0 END,
	CASE WHEN noise(i, 3, 9) > 0 THEN chr(65 + noise(i, 4, 20))::"char" END,
	CASE WHEN noise(i, 5, 9) > 0 THEN (ARRAY[-32768, -1, 0, 1, 32767])[noise(i, 6, 5) + 1] END,
	CASE WHEN noise(i, 7, 9) > 0 THEN (ARRAY[-2147483648, -1, 0, 1, 2147483647])[noise(i, 8, 5) + 1] END,
	CASE WHEN noise(i, 9, 9) > 0 THEN
		(ARRAY[-9223372036854775808, -9223372036854775807, -1, 0, 1, 9223372036854775807])[noise(i, 10, 6) + 1] END,
	CASE WHEN noise(i, 11, 9) > 0 THEN (ARRAY[0, 1, 2147483648, 4294967295])[noise(i, 12, 4) + 1]::oid END,
	CASE WHEN noise(i, 13, 9) > 0 THEN noise(i, 14, 30) * 2 END,
	CASE WHEN noise(i, 15, 9) > 0 THEN (enum_range(NULL::mood))[noise(i, 16, 3) + 1] END,
	CASE WHEN noise(i, 17, 9) > 0 THEN noise(i, 18, 30)::money END,
	CASE WHEN noise(i, 19, 9) > 0 THEN (ARRAY['-infinity', '4713-01-01 BC', '2000-01-01', '2026-11-24', 'infinity'])[noise(i, 20, 5) + 1]::date END,
	CASE WHEN noise(i, 21, 9) > 0 THEN (ARRAY['00:00', '12:34:56.789', '24:00'])[noise(i, 22, 3) + 1]::time END,
	CASE WHEN noise(i, 23, 9) > 0 THEN (ARRAY['-infinity', '4713-01-01 BC', '2000-01-01', 'infinity'])[noise(i, 24, 4) + 1]::timestamp END,
	CASE WHEN noise(i, 25, 9) > 0 THEN (ARRAY['-infinity', '2000-01-01 00:00+00', 'infinity'])[noise(i, 26, 3) + 1]::timestamptz END,
	CASE WHEN noise(i, 27, 9) > 0 THEN (ARRAY['0', '-0', 'NaN', 'Infinity', '-Infinity', '1e-45', '-1.1'])[noise(i, 28, 7) + 1]::real END,
	CASE WHEN noise(i, 29, 9) > 0 THEN (ARRAY['-0', '0', 'NaN', 'Infinity', '-Infinity', '5e-324', '-5e-324', '1.1'])[noise(i, 30, 8) + 1]::float8 END,
	CASE WHEN noise(i, 31, 9) > 0 THEN lpad(noise(i, 32, 30)::text, 32, '0')::uuid END,
	CASE WHEN noise(i, 33, 9) > 0 THEN (ARRAY['1 mon', '30 days', '720:00:00', '0', '-1 day', '1 year 2 days'])[noise(i, 34, 6) + 1]::interval END,
	CASE WHEN noise(i, 35, 9) > 0 THEN repeat('n', noise(i, 36, 64)) END,
	CASE WHEN noise(i, 37, 9) > 0 THEN left(repeat('text ', 60), noise(i, 38, 9) * noise(i, 39, 38)) END,
	CASE WHEN noise(i, 40, 9) > 0 THEN repeat(chr(97 + noise(i, 41, 2)), noise(i, 42, 20)) END,
	CASE WHEN noise(i, 43, 9) > 0 THEN repeat('b', noise(i, 44, 6)) END,
	CASE WHEN noise(i, 45, 9) > 0 THEN decode(repeat('00', noise(i, 46, 12)), 'hex') END,
	CASE WHEN noise(i, 47, 9) > 0 THEN (ARRAY['1', '1.0', '1.00', '0', '0.0', '-0.5', 'NaN', 'Infinity', '-Infinity', '1e40', '1e-40',
		'144115188075855871', '144115188075855872', '-144115188075855872', '9223372036854775807',
		'-9223372036854775808', '0.1234567890123456789012345678901', '0.12345678901234567890123456789012'])[noise(i, 48, 18) + 1]::numeric END,
	CASE WHEN noise(i, 49, 9) > 0 THEN noise(i, 50, 300) / 100.0 END
FROM generate_series(1, 4000) AS i;
SELECT * FROM compare_keys('keys', 'count(*), sum(n), min(n), max(n)');

-- what is equal without looking the same is one group: floats are added in the order of the rows
-- (but by money, which core cannot hash: it sorts the rows)
SELECT * FROM compare_keys('keys', 'sum(n / 7.0::float8), avg(n / 3.0::real)') WHERE key <> 'm';
SELECT compare('SELECT f, r, nu, iv, sum(n / 7.0::float8) FROM keys GROUP BY f, r, nu, iv');
SELECT compare('SELECT nu2 * 1.000, sum(n / 7.0::float8) FROM keys GROUP BY 1');
SELECT compare('SELECT (CASE WHEN n % 3 = 0 THEN 1.5 WHEN n % 3 = 1 THEN 1.500 ELSE 1500 END)::numeric, sum(n / 7.0::float8) FROM keys WHERE n % 30 > 0 GROUP BY 1');

-- no aggregates; only keys that are expressions; keys that are not in the output
SELECT compare('SELECT i FROM keys GROUP BY i');
SELECT compare('SELECT n % 13, n / 700, count(*) FROM keys GROUP BY 1, 2');
SELECT compare('SELECT nu2 * 2, count(*) FROM keys GROUP BY 1');
SELECT compare('SELECT nu2 + nu, count(*) FROM keys GROUP BY 1');
SELECT compare('SELECT f * 2, r / 3, count(*) FROM keys WHERE f < 10 GROUP BY 1, 2');
SELECT compare('SELECT upper(tx), count(*) FROM keys GROUP BY 1');
SELECT compare('SELECT count(*), sum(n) FROM keys GROUP BY tx, vc');
SELECT compare('SELECT count(*) FROM keys GROUP BY n % 10, 1 + 1, ''constant''::text');

-- what is selected may be made of keys that are expressions, and HAVING too; not of their columns
SELECT compare('SELECT (n + 1) * 2, count(*) FROM keys GROUP BY n + 1');
SELECT compare('SELECT (n % 10 + 1) * 2 + sum(n % 10 + 1), n % 10 + 1 FROM keys GROUP BY n % 10 + 1 HAVING (n % 10 + 1) * 3 > 9');
SELECT compare('SELECT upper(tx || ''q'') || ''z'', tx || ''q'', bp FROM keys GROUP BY tx || ''q'', bp');
SELECT compare('SELECT CASE WHEN n % 9 + 1 > 2 THEN (n % 9 + 1)::text ELSE tx END, count(*) FROM keys GROUP BY n % 9 + 1, tx');
SELECT compare('SELECT DISTINCT abs(n % 7 - 3) FROM keys GROUP BY n % 7 - 3, n % 5 - 1 ORDER BY 1');
SELECT compare('SELECT GROUPING(n % 7), (n % 7) + 1, count(*) FROM keys GROUP BY n % 7');
SELECT compare('SELECT (n % 10 + 1) * 2, n % 10, count(*) FROM keys GROUP BY n % 10 + 1, n % 10');
-- a select item that was simplified is not recognized; 18 simplifies none that refers to a key
SELECT compare('SELECT NOT n % 7 > 1, count(*) FROM keys GROUP BY n % 7 > 1') =
	CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'same, 2 rows' ELSE 'declined' END AS as_it_should_be;

-- many keys
SELECT compare('SELECT o, c, s, i, b, oi, count(*) FROM keys GROUP BY o, c, s, i, b, oi');
SELECT compare('SELECT tx, vc, bp, by, na, count(*) FROM keys GROUP BY tx, vc, bp, by, na');
SELECT compare('SELECT u, iv, f, count(*), sum(n) FROM keys GROUP BY u, iv, f');
SELECT compare('SELECT nu, tx, b, u, count(*) FROM keys GROUP BY nu, tx, b, u');
SELECT compare(format('SELECT %1$s, count(*) FROM keys GROUP BY %1$s', string_agg(attname, ', ' ORDER BY attnum)))
	FROM pg_attribute WHERE attrelid = 'keys'::regclass AND attnum > 1;
-- so many that their null bits take two words
SELECT compare(format('SELECT count(*), %1$s FROM keys GROUP BY %1$s', string_agg(format('nullif(n %% 5, %s) + %s::bigint', k % 5, k), ', ')))
	FROM generate_series(1, 70) AS k;

-- integers: ranges that grow up, down and apart, from dense to sparse and back
CREATE TABLE ranges AS
SELECT i AS n, i AS up, -i AS down, i * (CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END) AS apart,
	CASE WHEN i < 20000 THEN noise(i, 1, 1000) ELSE noise(i, 1, 1000000000) END AS leap,
	noise(i, 2, 30000) AS fills, (noise(i, 3, 30000)::bigint << 40) AS steps,
	CASE WHEN i % 10 = 0 THEN i / 4 END AS rare, CASE WHEN i > 40000 THEN i % 100 END AS nulls_first,
	(i / 1000)::smallint AS slow, CASE WHEN i < 39000 THEN 9223372036854775807 ELSE -9223372036854775808 END + (i % 5) * sign(i - 38999.5)::int AS ends
FROM generate_series(1, 45000) AS i;
SELECT * FROM compare_keys('ranges', 'count(*), sum(n)');
SELECT compare('SELECT rare, slow, count(*) FROM ranges GROUP BY rare, slow');
SELECT compare('SELECT steps, fills, count(*) FROM ranges GROUP BY steps, fills');

-- text of all lengths around those where it is stored in another way, many of each
CREATE TABLE texts AS
SELECT i AS n, repeat(chr(97 + i % 3), i % 20) AS short, md5((i % 5000)::text) AS hashed,
	repeat(chr(97 + i % 3), (ARRAY[0, 7, 8, 125, 126, 127, 128, 300, 1900])[i % 9 + 1]) AS around,
	left(md5((i % 100)::text), 7) || CASE WHEN i % 2 = 0 THEN '' ELSE 'x' END AS edge,
	('x' || i % 5000)::char(12) AS padded, ('1' || repeat('0', i % 40))::numeric AS large
FROM generate_series(1, 20000) AS i;
SELECT * FROM compare_keys('texts', 'count(*), sum(n)');
SELECT compare('SELECT hashed || padded, short, count(*) FROM texts GROUP BY hashed || padded, short');
CREATE TABLE toasted (n int, compressed text, outside text, number numeric);
ALTER TABLE toasted ALTER outside SET STORAGE EXTERNAL;
INSERT INTO toasted
SELECT i, repeat('abc' || i % 7, 5000), repeat(md5((i % 5)::text), 200), ('1' || repeat('7', 9000) || i % 3)::numeric
FROM generate_series(1, 100) AS i;
INSERT INTO toasted VALUES (101, 'short', 'short', 1), (102, NULL, NULL, NULL);
SELECT * FROM compare_keys('toasted', 'count(*), sum(n)');
SELECT compare('SELECT compressed, number, count(*) FROM toasted GROUP BY compressed, number');

-- collations: deterministic ones only
CREATE TABLE words (w text COLLATE "C", v text COLLATE "POSIX");
INSERT INTO words SELECT chr(65 + i % 50), chr(65 + i % 7) FROM generate_series(1, 1000) AS i;
SELECT compare('SELECT w, count(*) FROM words GROUP BY w');
SELECT compare('SELECT v, w COLLATE "POSIX", count(*) FROM words GROUP BY 1, 2');
SELECT compare('SELECT w::int4range, count(*) FROM words WHERE false GROUP BY 1') AS range;
SELECT compare('SELECT ARRAY[w], count(*) FROM words GROUP BY 1') AS "array";

-- more groups than hash_mem has room for are emitted in between
CREATE FUNCTION flushes(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', true);
	EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
	PERFORM set_config('batchagg.debug_force_engine', 'off', true);
	RETURN (regexp_match(plan::text, '"Flushes": (\d+)'))[1]::int > 1;
END $$;
SET work_mem = '64kB';
SELECT flushes('SELECT fills, count(*) FROM ranges GROUP BY fills'),
	flushes('SELECT steps, count(*) FROM ranges GROUP BY steps'),
	flushes('SELECT hashed, count(*) FROM texts GROUP BY hashed');
SELECT * FROM compare_keys('ranges', 'count(*), sum(n)');
SELECT * FROM compare_keys('texts', 'count(*), min(n)');
SELECT * FROM compare_keys('toasted', 'count(*), sum(n)');
SELECT compare('SELECT nu, tx, b, u, count(*) FROM keys GROUP BY nu, tx, b, u');
RESET work_mem;

-- groups of one query stand apart from those of the next scan
SET batchagg.debug_force_engine = on;
SELECT k, q.*
FROM generate_series(1, 3) AS k,
	LATERAL (SELECT n % k AS r, count(*), sum(n) FROM keys GROUP BY 1) AS q
ORDER BY 1, 2;

SET client_min_messages = warning;
DROP SCHEMA grouping_test CASCADE;
