-- partial(), rollup(), merge(), finalize(): the partial state of any aggregate.
-- The oracle is always the plain aggregate.
CREATE SCHEMA test_partial;
SET search_path = test_partial, batchagg;
-- whether a leader or a worker meets an error first is chance
\set SHOW_CONTEXT never

-- every way to write it

SELECT finalize(partial('count(*)'), NULL::bigint) AS star,
       finalize(partial('pg_catalog.count ( ) '), NULL::bigint) AS qualified,
       finalize(partial('count()'::regprocedure), NULL::bigint) AS regprocedure,
       finalize(partial('sum(numeric)', i::numeric), NULL::numeric) AS sum,
       finalize(partial('corr(float8,float8)', i::float8, -i::float8), NULL::float8) AS corr,
       finalize(partial('max(anyarray)', ARRAY[i, 0]), NULL::int[]) AS max
FROM generate_series(1, 10) i;

SELECT jsonb_pretty(to_jsonb(partial('max(text)', i::text COLLATE "C")) - 'server_major' - 'encoding')
FROM generate_series(1, 10) i;
SELECT to_jsonb(partial('max(anyarray)', ARRAY[i])) - 'server_major' AS state FROM generate_series(1, 10) i;
SELECT to_jsonb(partial('count(*)')) - 'server_major' AS state FROM generate_series(1, 10) i;

-- every aggregate of core's with a combine function, and our own, over random rows cut into
-- parts at random, some parts all NULL, one group all NULL

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
SELECT setseed(0.42);
-- columns bear the names of the declared types they are for
CREATE TABLE sample AS
SELECT id, id % 5 AS g, (random() * 6)::int AS part,
       v AS integer, v::int2 AS smallint, v::int8 AS bigint, v::numeric / 7 AS numeric,
       (v / 8.0)::float4 AS real, (v / 8.0)::float8 AS "double precision",
       v % 3 = 0 AS boolean, md5(v::text) AS text, md5(v::text)::bpchar AS character,
       '2001-01-01'::date + v AS date,
       '12:00'::time + make_interval(secs => v) AS "time without time zone",
       '12:00+01'::timetz + make_interval(secs => v) AS "time with time zone",
       '2001-01-01'::timestamp + make_interval(hours => v) AS "timestamp without time zone",
       '2001-01-01 UTC'::timestamptz + make_interval(hours => v) AS "timestamp with time zone",
       make_interval(hours => v) AS interval, v::numeric::money AS money, abs(v)::oid AS oid,
       format('(%s,1)', abs(v))::tid AS tid, '10.0.0.0'::inet + abs(v) AS inet,
       '0/0'::pg_lsn + abs(v) AS pg_lsn, abs(v)::text::xid8 AS xid8,
       v::bit(12) AS bit, v::bit(12)::varbit AS "bit varying", decode(md5(v::text), 'hex') AS bytea,
       CASE WHEN v IS NOT NULL THEN ARRAY[v, 1] END AS anyarray, v AS anynonarray, v AS anyelement,
       int4range(-2000, v) AS anyrange, int4multirange(int4range(-2000, v), int4range(1500, 3000 + v)) AS anymultirange, md5(v::text) AS "any",
       (ARRAY['sad', 'ok', 'happy']::mood[])[1 + abs(v % 3)] AS anyenum
FROM (SELECT id, CASE WHEN id % 5 = 3 OR random() < 0.2 THEN NULL ELSE (random() * 2000 - 1000)::int END AS v
      FROM generate_series(1, 1000) id) s;
-- a part without any value
UPDATE sample SET part = 7 WHERE integer IS NULL AND id % 3 = 0;

-- Compares in every group; answers what differs. Floating-point answers may
-- differ in the last digits, as core's own do between plans.
CREATE FUNCTION differences(agg regprocedure, args text)
RETURNS TABLE (g int, plain text, pieces text, merged text) LANGUAGE plpgsql AS $$
DECLARE
    call text := format('%s(%s)', (SELECT proname FROM pg_proc WHERE oid = agg),
                        CASE WHEN args = '' THEN '*' ELSE args || ' ORDER BY part, id' END);
    partial_call text := format(CASE WHEN args = '' THEN 'partial(%L)' ELSE 'partial(%L, %s ORDER BY id)' END,
                                agg, args);
    result text;
    same text;
BEGIN
    EXECUTE format('SELECT pg_typeof(%s) FROM sample', call) INTO result;
    same := CASE WHEN result IN ('double precision', 'real')
        THEN 'coalesce(abs(p.v - %1$s) <= 1e-9 * abs(p.v), p.v IS NOT DISTINCT FROM %1$s)'
        ELSE 'p.v::text IS NOT DISTINCT FROM %1$s::text' END;
    RETURN QUERY EXECUTE format($q$
        WITH p AS (SELECT g, %1$s AS v FROM sample GROUP BY g),
        parts AS (SELECT g, part, %2$s AS s FROM sample GROUP BY g, part),
        a AS (SELECT g, finalize(rollup(s ORDER BY part), NULL::%3$s) AS v FROM parts GROUP BY g),
        b AS (SELECT g, finalize(merge(merge(NULL, f.s), r.s), NULL::%3$s) AS v
              FROM (SELECT g, s FROM parts WHERE part = 0) f
              JOIN (SELECT g, rollup(s ORDER BY part) AS s FROM parts WHERE part > 0 GROUP BY g) r USING (g))
        SELECT g, p.v::text, a.v::text, b.v::text FROM p JOIN a USING (g) JOIN b USING (g)
        WHERE NOT (%4$s) OR NOT (%5$s)$q$,
        call, partial_call, result, format(same, 'a.v'), format(same, 'b.v'));
END $$;

CREATE TABLE outcome (agg regprocedure, wrong int);
DO $$
DECLARE
    a record;
    n int;
BEGIN
    FOR a IN
        SELECT p.oid::regprocedure AS agg,
               (SELECT coalesce(string_agg(quote_ident(btrim(format_type(t, NULL), '"')), ', ' ORDER BY o), '')
                FROM unnest(p.proargtypes) WITH ORDINALITY u (t, o)) AS args
        FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid
        WHERE (p.oid < 16384 OR pronamespace = 'batchagg'::regnamespace AND proname NOT IN ('partial', 'rollup'))
          AND aggkind = 'n' AND aggcombinefn <> 0
          AND (aggtranstype <> 'internal'::regtype OR aggserialfn <> 0)
          -- arrays of arrays take no NULL, and records cannot be read back
          AND p.oid::regprocedure::text NOT IN ('array_agg(anyarray)', 'max(record)', 'min(record)')
    LOOP
        SELECT count(*) INTO n FROM differences(a.agg, a.args);
        INSERT INTO outcome VALUES (a.agg, n);
    END LOOP;
END $$;
SELECT count(*) >= 140 AS enough, bool_or(agg::text LIKE 'stats_agg%') AS ours FROM outcome;
SELECT * FROM outcome WHERE wrong > 0;
-- the comparison covers five groups, and sees a difference where there is one
SELECT count(*) AS groups, bool_and(zero AND more) AS mergeable
FROM (SELECT g, bool_or(part = 0) AS zero, bool_or(part > 0) AS more FROM sample GROUP BY g) s;
CREATE FUNCTION bad_combine(int8, int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1 + $2 + 1';
CREATE AGGREGATE miscount(int4) (SFUNC = int8inc_any, STYPE = int8, INITCOND = '0', COMBINEFUNC = bad_combine);
SELECT count(*) FROM differences('miscount(int4)', 'integer');

-- NULL is the neutral element, and no rows leave NULL

SELECT partial('sum(int4)', integer) IS NULL AS no_rows, partial('count(*)') IS NULL AS no_rows_counted,
       rollup(NULL::partial_state) IS NULL AS nothing_merged, merge(NULL::partial_state, NULL) IS NULL AS merge,
       finalize(NULL::partial_state, 1) IS NULL AS finalize
FROM sample WHERE false;
SELECT finalize(partial('count("any")', NULL::int4), NULL::bigint) AS counted,
       finalize(partial('sum(int4)', NULL::int4), NULL::bigint) IS NULL AS summed,
       to_jsonb(partial('sum(int4)', NULL::int4)) -> 'payload_bytes' AS payload;
SELECT finalize(merge(s, NULL), NULL::bigint), finalize(merge(NULL, s), NULL::bigint),
       finalize(merge(s, s), NULL::bigint)
FROM (SELECT partial('sum(int4)', i) AS s FROM generate_series(1, 10) i) t;

-- stored, merged in place, copied out and in

CREATE TABLE totals (part int PRIMARY KEY, s partial_state);
INSERT INTO totals SELECT 1, partial('avg(numeric)', numeric) FROM sample WHERE part < 3;
INSERT INTO totals SELECT 1, partial('avg(numeric)', numeric) FROM sample WHERE part >= 3
ON CONFLICT (part) DO UPDATE SET s = merge(totals.s, excluded.s);
INSERT INTO totals VALUES (2, NULL);
SELECT finalize(rollup(s), NULL::numeric) = (SELECT avg(numeric) FROM sample) AS equal FROM totals;
CREATE TABLE copy (LIKE totals);
DO $$
DECLARE line text;
BEGIN
    FOR line IN SELECT t::text FROM totals t LOOP
        EXECUTE format('INSERT INTO copy SELECT * FROM json_populate_record(NULL::copy, row_to_json(%L::totals))', line);
    END LOOP;
END $$;
SELECT bool_and(a.s::text IS NOT DISTINCT FROM b.s::text) AS equal, count(*) FROM totals a JOIN copy b USING (part);

-- clauses of the call: the wrapper's own serve

SELECT finalize(partial('sum(int4)', integer) FILTER (WHERE id % 2 = 0), NULL::bigint)
           = sum(integer) FILTER (WHERE id % 2 = 0) AS filter,
       finalize(partial(DISTINCT 'sum(int4)', integer), NULL::bigint) = sum(DISTINCT integer) AS distinct
FROM sample;
SELECT bool_and(finalize(p, NULL::numeric) IS NOT DISTINCT FROM s) AS grouping_sets, count(*)
FROM (SELECT partial('sum(numeric)', numeric) AS p, sum(numeric) AS s
      FROM sample GROUP BY GROUPING SETS ((g), (part), (g, part), ())) t;
SET enable_hashagg = off;
SELECT bool_and(finalize(p, NULL::text) IS NOT DISTINCT FROM m) AS sorted_sets, count(*)
FROM (SELECT partial('max(text)', text) AS p, max(text) AS m
      FROM sample GROUP BY ROLLUP (g, part)) t;
RESET enable_hashagg;
SELECT bool_and(finalize(p, NULL::numeric) IS NOT DISTINCT FROM s
                AND finalize(q, NULL::text) IS NOT DISTINCT FROM m
                AND finalize(r, NULL::text) IS NOT DISTINCT FROM m) AS window, count(*)
FROM (SELECT partial('avg(numeric)', numeric) OVER w AS p, avg(numeric) OVER w AS s,
             partial('max(text)', text) OVER w AS q, max(text) OVER w AS m, rollup(one) OVER w AS r
      FROM (SELECT id, g, numeric, text, partial('max(text)', text) AS one
            FROM sample GROUP BY id, g, numeric, text) t
      WINDOW w AS (PARTITION BY g ORDER BY id ROWS BETWEEN 7 PRECEDING AND 2 FOLLOWING)) t;

-- the aggregate may differ from group to group, not within one
SELECT a, CASE a::text WHEN 'sum(integer)' THEN finalize(partial(a, i), NULL::bigint)
                       ELSE finalize(partial(a, i), NULL::int4) END
FROM generate_series(1, 10) i, (VALUES ('sum(int4)'::regprocedure), ('max(int4)')) v (a) GROUP BY a ORDER BY a::text;
SELECT partial(a, i) FROM generate_series(1, 10) i, (VALUES ('sum(int4)'::regprocedure), ('max(int4)')) v (a);

-- states of several aggregates in one query
SELECT kind, CASE kind WHEN 'count' THEN finalize(rollup(s), NULL::bigint)::text
                       WHEN 'max' THEN finalize(rollup(s), NULL::int4)::text
                       ELSE finalize(rollup(s), NULL::numeric)::text END AS answer
FROM (SELECT unnest(ARRAY['count', 'max', 'avg']) AS kind,
             unnest(ARRAY[partial('count(*)'), partial('max(int4)', i), partial('avg(int4)', i)]) AS s
      FROM generate_series(1, 30) i GROUP BY i % 3) t
GROUP BY kind ORDER BY kind;

-- workers

ANALYZE sample;
ALTER TABLE sample SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT partial('max(text)', text) FROM sample;
SELECT bool_and(finalize(p, NULL::text) IS NOT DISTINCT FROM m
                AND finalize(q, NULL::numeric) IS NOT DISTINCT FROM a
                AND finalize(r, NULL::int4[]) IS NOT DISTINCT FROM l
                AND finalize(c, NULL::bigint) = n) AS workers, count(*)
FROM (SELECT partial('max(text)', text) AS p, max(text) AS m,
             partial('avg(numeric)', numeric) AS q, avg(numeric) AS a,
             partial('max(anyarray)', "anyarray") AS r, max("anyarray") AS l,
             partial('count(*)') AS c, count(*) AS n
      FROM sample GROUP BY g) t;
CREATE TABLE states AS
SELECT id, g, partial('avg(numeric)', numeric) AS s FROM sample GROUP BY id, g;
ALTER TABLE states SET (parallel_workers = 2);
ANALYZE states;
EXPLAIN (COSTS OFF) SELECT rollup(s) FROM states;
SELECT finalize(rollup(s), NULL::numeric) = (SELECT avg(numeric) FROM sample) AS rolled_up FROM states;
SELECT rollup(s) IS NULL AS no_rows FROM states WHERE id < 0;
-- finalize() and merge() inside workers
EXPLAIN (COSTS OFF) SELECT sum(finalize(merge(s, s), NULL::numeric)) FROM states;
SELECT sum(finalize(merge(s, s), NULL::numeric)) = (SELECT sum(numeric) FROM sample) AS in_workers FROM states;
-- partial() is parallel safe, the aggregate may not be: refused in a worker
CREATE AGGREGATE unsafe_sum(int4) (SFUNC = int4_sum, STYPE = int8, COMBINEFUNC = int8pl, PARALLEL = UNSAFE);
SELECT partial('unsafe_sum(int4)', integer) FROM sample;
SET max_parallel_workers_per_gather = 0;
SELECT finalize(partial('unsafe_sum(int4)', integer), NULL::bigint) = sum(integer) AS serial FROM sample;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;

-- other people's aggregates: strictness, NULL results, expanded states,
-- polymorphism, VARIADIC "any", a final function that wants the types, a
-- transition type without binary form

CREATE FUNCTION first_trans(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1';
CREATE AGGREGATE first_value_of(anyelement) (SFUNC = first_trans, STYPE = anyelement, COMBINEFUNC = first_trans);
SELECT finalize(merge(partial('first_value_of(anyelement)', x ORDER BY o), partial('first_value_of(anyelement)', x ORDER BY o DESC)), NULL::varchar)
FROM (VALUES (1, NULL::varchar), (2, 'b'), (3, 'c')) v (o, x);

CREATE FUNCTION null_at_3(int8, int4) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN $2 = 3 THEN NULL ELSE $1 + $2 END';
CREATE AGGREGATE nullable(int4) (SFUNC = null_at_3, STYPE = int8, INITCOND = '0', COMBINEFUNC = int8pl);
SELECT nullable(i), finalize(partial('nullable(int4)', i), NULL::bigint) AS combined_as_core_does
FROM generate_series(1, 4) i;

CREATE AGGREGATE collect(anycompatible) (SFUNC = array_append, STYPE = anycompatiblearray, COMBINEFUNC = array_cat, INITCOND = '{}');
SELECT finalize(rollup(s ORDER BY g), NULL::int[]) = (SELECT array_agg(i) FROM generate_series(1, 600) i) AS expanded
FROM (SELECT (i - 1) / 200 AS g, partial('collect(anycompatible)', i ORDER BY i) AS s
      FROM generate_series(1, 600) i GROUP BY 1) t;
SELECT finalize(merge(s, s), NULL::int[]) FROM (SELECT partial('collect(anycompatible)', i ORDER BY i) AS s FROM generate_series(1, 5) i) t;

CREATE FUNCTION nulls_trans(int8, VARIADIC "any") RETURNS int8 LANGUAGE internal IMMUTABLE AS 'int8inc_any';
CREATE AGGREGATE rows_of(VARIADIC "any") (SFUNC = nulls_trans, STYPE = int8, INITCOND = '0', COMBINEFUNC = int8pl);
SELECT finalize(s, NULL::bigint), to_jsonb(s) -> 'argument_types' AS types
FROM (SELECT partial('rows_of("any")', i, i::text, ARRAY[i]) AS s FROM generate_series(1, 5) i) t;
SELECT partial('rows_of("any")', VARIADIC ARRAY[i]) FROM generate_series(1, 5) i;

CREATE FUNCTION type_of_extra(int8, anyelement) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN pg_typeof($2) || ' ' || $1; END$$;
CREATE FUNCTION count_any(int8, anyelement) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE AGGREGATE count_typed(anyelement) (SFUNC = count_any, STYPE = int8, INITCOND = '0', COMBINEFUNC = int8pl,
    FINALFUNC = type_of_extra, FINALFUNC_EXTRA);
SELECT finalize(rollup(s), NULL::text) FROM (SELECT partial('count_typed(anyelement)', i::numeric) AS s FROM generate_series(1, 5) i) t;

SET client_min_messages = warning; -- shell types
CREATE TYPE blob;
CREATE FUNCTION blob_in(cstring) RETURNS blob LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION blob_out(blob) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE TYPE blob (INPUT = blob_in, OUTPUT = blob_out);
RESET client_min_messages;
CREATE FUNCTION blob_cat(blob, blob) RETURNS blob LANGUAGE internal IMMUTABLE STRICT AS 'byteacat';
CREATE AGGREGATE blob_join(blob) (SFUNC = blob_cat, STYPE = blob, COMBINEFUNC = blob_cat);
SET bytea_output = 'escape';
CREATE TABLE blobs AS SELECT partial('blob_join(blob)', x::blob ORDER BY x) AS s FROM (VALUES ('\x00ff'), ('\x61')) v (x);
RESET bytea_output;
SELECT finalize(merge(s, s), NULL::blob) FROM blobs;
SET bytea_output = 'escape';
SELECT finalize(merge(s, s), NULL::blob) FROM blobs;
RESET bytea_output;

-- a domain's CHECK is obeyed; composite and array states
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE AGGREGATE max_small(small) (SFUNC = int4larger, STYPE = int4, COMBINEFUNC = int4larger);
SELECT finalize(partial('max_small(small)', i::small), NULL::int) FROM generate_series(1, 5) i;
CREATE TYPE pair AS (n int8, t text);
CREATE FUNCTION pair_trans(pair, text) RETURNS pair LANGUAGE sql IMMUTABLE AS $$SELECT ROW(($1).n + 1, greatest(($1).t, $2))::pair$$;
CREATE FUNCTION pair_combine(pair, pair) RETURNS pair LANGUAGE sql IMMUTABLE AS $$SELECT ROW(($1).n + ($2).n, greatest(($1).t, ($2).t))::pair$$;
CREATE AGGREGATE pair_agg(text) (SFUNC = pair_trans, STYPE = pair, INITCOND = '(0,)', COMBINEFUNC = pair_combine);
SELECT finalize(rollup(s), NULL::pair) FROM (SELECT partial('pair_agg(text)', i::text) AS s FROM generate_series(1, 20) i GROUP BY i % 3) t;

-- the client's encoding leaves no trace
CREATE TABLE encoded (e text, s partial_state);
SET client_encoding = 'UTF8';
INSERT INTO encoded SELECT 'utf8', partial('max(text)', chr(233));
SET client_encoding = 'LATIN1';
INSERT INTO encoded SELECT 'latin1', partial('max(text)', chr(233));
SELECT count(DISTINCT s::text) AS one, bool_and(finalize(s, NULL::text) = chr(233)) AS equal,
       current_setting('client_encoding') AS client_encoding FROM encoded;
RESET client_encoding;
SELECT bool_and(finalize(s, NULL::text) = chr(233)) AS equal FROM encoded;

-- golden states, written by PostgreSQL 15: this server writes the same bytes but
-- for its own number in the fourth, and reads those

CREATE TABLE golden (what text, result text, answer text, state partial_state);
CREATE FUNCTION as_of_15(state partial_state) RETURNS text LANGUAGE sql AS $$SELECT overlay(state::text PLACING '0f' FROM 7)$$;
\copy golden FROM stdin
array	int4[]	{3,5}	5001000f00036d617801000008616e79617272617901010004696e7434010004696e743400000000000024000000010000000000000017000000020000000100000004000000030000000400000005
avg int4	numeric	2.0000000000000000	5001000f000361766701000004696e743400010004696e74380000000000002c0000000100000000000000140000000200000001000000080000000000000003000000080000000000000006
avg int8	numeric	-200000000000000000	5001000f000361766701000004696e743800000008696e7465726e616c00000000000022000000000000000300000005000000040000400000000000003c0000000000000000
count	bigint	3	5001000f0005636f756e740000000004696e7438000000000000080000000000000003
null	bigint	\N	5001000f000373756d01000004696e743400000004696e7438000000ffffffff
sum	numeric	-8571428571428571428599999999999999999999.142857142857142857140	5001000f000373756d010000076e756d6572696300000008696e7465726e616c0000000000005a00000000000000060000000f000000090000400000000015217b10bd1be6217b10bd270f270f270f270f270f059416520b2905941652000000150000000000000003000000000000000000000000000000000000000000000000
var	numeric	0.0204081632653061224495918367346938775510	5001000f00087661725f73616d70010000076e756d6572696300000008696e7465726e616c0000000000006a000000000000000300000005ffffffff0000000000000014217b10bd1be6217b10be0000000affffffff00000000000000280b29059416520b290594217b10bd1be6217b10be000000140000000000000003000000000000000000000000000000000000000000000000
var int4	numeric	10000000000.00000000	5001000f00087661725f73616d7001000004696e743400000008696e7465726e616c00000000000032000000000000000300000002000000010000000000000000003c000000000003000000020000000000000000057800000000
\.
SELECT what, CASE result WHEN 'bigint' THEN finalize(golden.state, NULL::bigint)::text
                         WHEN 'int4[]' THEN finalize(golden.state, NULL::int4[])::text
                         ELSE finalize(golden.state, NULL::numeric)::text END IS NOT DISTINCT FROM answer AS read,
       as_of_15(now.state) = golden.state::text AS written
FROM golden JOIN (
    SELECT 'count' AS what, partial('count(*)') AS state FROM generate_series(1, 3) i UNION ALL
    SELECT 'array', partial('max(anyarray)', ARRAY[i, 5]) FROM generate_series(1, 3) i UNION ALL
    SELECT 'avg int4', partial('avg(int4)', i) FROM generate_series(1, 3) i UNION ALL
    SELECT 'avg int8', partial('avg(int8)', -i * 100000000000000000) FROM generate_series(1, 3) i UNION ALL
    SELECT 'var int4', partial('var_samp(int4)', i * 100000) FROM generate_series(1, 3) i UNION ALL
    SELECT 'sum', partial('sum(numeric)', i / 7.0 * x) FROM generate_series(1, 3) i, (VALUES (1.0), (-1e40)) v (x) UNION ALL
    SELECT 'var', partial('var_samp(numeric)', i / 7.0) FROM generate_series(1, 3) i UNION ALL
    SELECT 'null', partial('sum(int4)', NULL::int4)) AS now (what, state) USING (what)
ORDER BY what;

-- what is refused

SELECT partial('percentile_cont(float8,float8)', 0.5::float8, 1.0::float8);
SELECT partial('rank("any")', 1);
SELECT partial('json_agg(anyelement)', 1);
SELECT partial('lower(text)', 'a'::text);
SELECT partial(0::regprocedure, 1);
SELECT partial(NULL::regprocedure, 1);
SELECT partial(NULL::text);
SELECT partial('no_such(*)');
SELECT partial('sum(numeric)');
SELECT partial('count(*)', 1);
SELECT partial('count()', 1);
SELECT partial('sum(numeric)', 1);
SELECT partial('sum(numeric)', '1');
SELECT partial('max(anyarray)', 1);
SELECT partial('partial(regprocedure,"any")', 'sum(int4)'::regprocedure, 1);
SELECT partial('rollup(partial_state)', s) FROM (SELECT partial('count(*)') AS s) t;
CREATE AGGREGATE pg_temp.temp_sum(int4) (SFUNC = int4_sum, STYPE = int8, COMBINEFUNC = int8pl);
DO $$BEGIN PERFORM batchagg.partial('pg_temp.temp_sum(int4)', 1);
EXCEPTION WHEN feature_not_supported THEN RAISE NOTICE '%', regexp_replace(SQLERRM, 'pg_temp_[0-9]+', 'pg_temp'); END$$;
SELECT finalize(partial('sum(int4)', 1), NULL::int4);
SELECT finalize(partial('max(text)', 'a'::text), 1);
SELECT merge(partial('sum(int4)', 1), partial('max(int4)', 1));
SELECT merge(partial('max(text)', 'a'::text COLLATE "C"), partial('max(text)', 'a'::text COLLATE "POSIX"));
SELECT merge(partial('max(anyarray)', ARRAY[1]), partial('max(anyarray)', ARRAY['a'::text]));
SELECT rollup(s) FROM (SELECT partial('sum(int4)', 1) AS s UNION ALL SELECT partial('max(int4)', 1)) t;

-- an aggregate that has changed or gone since
CREATE AGGREGATE fickle(int4) (SFUNC = int4_sum, STYPE = int8, COMBINEFUNC = int8pl);
CREATE TABLE fickle_states AS SELECT partial('fickle(int4)', 1) AS s;
DROP AGGREGATE fickle(int4);
SELECT finalize(s, NULL::bigint) FROM fickle_states;
CREATE AGGREGATE fickle(int4) (SFUNC = int4larger, STYPE = int4, COMBINEFUNC = int4larger);
SELECT finalize(s, NULL::int4) FROM fickle_states;
SELECT to_jsonb(s) -> 'aggregate' AS still_says FROM fickle_states;
