-- create_summary: the view equals the plain query, whatever the batches. The batches are run by
-- hand here, as the job's commands; the runner is tested elsewhere.
CREATE SCHEMA test_summary;
SET search_path = test_summary, batchagg;
SET client_min_messages = warning;
\set SHOW_CONTEXT never

-- runs the command of a summary's job for a range of keys
CREATE FUNCTION run_batch(summary text, first anyelement, last anyelement) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE command text;
BEGIN
  SELECT job.command INTO STRICT command FROM batchagg.job WHERE name = summary;
  EXECUTE command USING first, last;
END $$;

-- runs what stands before or after the batches
CREATE FUNCTION run_around(summary text, place text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE command text;
BEGIN
  EXECUTE format('SELECT %I FROM batchagg.job WHERE name = $1', place) INTO STRICT command USING summary;
  EXECUTE command;
END $$;

-- the number of rows that are in the view alone or in the plain query alone
CREATE FUNCTION differences(summary text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE result bigint;
BEGIN
  EXECUTE (SELECT format('SELECT count(*) FROM ((TABLE %1$s EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL TABLE %1$s)) d',
                         view, query)
           FROM batchagg.summary s JOIN batchagg.job j ON j.id = s.job_id WHERE j.name = summary) INTO STRICT result;
  RETURN result;
END $$;

CREATE TABLE sales (
  id int PRIMARY KEY, day date, shop text COLLATE "C", code bit(3), letter char(2), qty int, price numeric(10,2), weight float8);
INSERT INTO sales
SELECT i, '2026-01-01'::date + i / 100, CASE WHEN i % 7 > 0 THEN 'shop ' || i % 3 END, (i % 5)::bit(3), 'c' || i % 2,
       CASE WHEN i % 11 > 0 THEN i % 10 END, i % 1000 / 10.0, i / 8.0
FROM generate_series(1, 1000) i;

-- what is created

SELECT create_summary('daily', $$
  SELECT day, shop, count(*), sum(qty) AS qty, avg(price)::numeric(12,3) AS "Avg price", count(*) FILTER (WHERE qty > 8) AS big,
         avg(qty) FILTER (WHERE qty > 8) AS big_avg, average(stats_agg(weight)) AS weight, sum(qty) / count(qty) AS per_sale
  FROM sales WHERE price > 1 GROUP BY day, shop HAVING count(qty) > 3 $$) > 0 AS created;
\d+ daily
\d daily_state
\d daily_pass
SELECT regexp_replace(command, ' (FROM|GROUP BY|INSERT|SELECT|ON CONFLICT|ORDER BY)', E'\n\\1', 'g') AS command,
       before_command, after_command
FROM batchagg.job WHERE name = 'daily' \gx
SELECT relation, key, mode, search_path FROM batchagg.job WHERE name = 'daily';
SELECT view, state, pass FROM batchagg.summary;

-- batches in any order, one of them empty
SELECT run_batch('daily', 500, 2000), run_batch('daily', 1, 100), run_batch('daily', 5000, 6000), run_batch('daily', 101, 499);
SELECT differences('daily');
SELECT * FROM daily ORDER BY day, shop LIMIT 4;
INSERT INTO sales SELECT i, '2026-01-03', NULL, '101', 'c', 9, i, i FROM generate_series(2001, 2010) i;
SELECT differences('daily') > 0 AS stale;
SELECT run_batch('daily', 2001, 2010), differences('daily');
-- the last but one step twice is seen
SELECT run_batch('daily', 2010, 2010), differences('daily') > 0 AS twice;

-- a full refresh: readers see the old pass until the new one is whole
BEGIN;
SELECT run_around('daily', 'before_command');
SELECT run_batch('daily', 1, 999);
SELECT differences('daily') > 0 AS old_pass;
SELECT pass, count(*) FROM daily_state GROUP BY 1 ORDER BY 1;
-- begun anew
SELECT run_around('daily', 'before_command');
SELECT pass, count(*) FROM daily_state GROUP BY 1 ORDER BY 1;
SELECT run_batch('daily', 1, 999), run_batch('daily', 1000, 3000);
SELECT run_around('daily', 'after_command'), differences('daily');
SELECT pass, count(*) FROM daily_state GROUP BY 1 ORDER BY 1;
-- after an ordinary run there is nothing to do
SELECT run_around('daily', 'after_command'), differences('daily');
COMMIT;
-- a pass table that somebody emptied loses no batch
BEGIN;
DELETE FROM daily_pass;
\set VERBOSITY sqlstate
SELECT run_batch('daily', 1, 100);
\set VERBOSITY default
ROLLBACK;

-- every aggregate that can be kept, over random rows, some of them NULL, one group all NULL
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
SELECT setseed(0.42);
-- columns bear the names of the declared types they are for
CREATE TABLE sample AS
SELECT id, id % 5 AS g,
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
      FROM generate_series(1, 300) id) s;
ALTER TABLE sample ADD PRIMARY KEY (id);

-- Floating-point answers may differ in the last digits, as core's own do between plans. 
CREATE TABLE outcome (agg regprocedure, keys text, filter text, wrong bigint);
DO $$
DECLARE
    agg record;
    keys text;
    filter text;
    call text;
    plain text;
    wrong bigint;
BEGIN
    FOR agg IN
        SELECT p.oid::regprocedure AS name, p.proname,
               (SELECT coalesce(string_agg(quote_ident(format_type(t, NULL)), ', ' ORDER BY o), '*')
                FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS u (t, o)) AS args,
               format_type(p.prorettype, NULL) AS result
        FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid
        WHERE a.aggkind = 'n' AND a.aggcombinefn <> 0 AND (a.aggtranstype <> 'internal'::regtype OR a.aggserialfn <> 0)
          AND p.pronamespace IN ('pg_catalog'::regnamespace, 'batchagg'::regnamespace)
          AND p.proname NOT IN ('partial', 'rollup')
          -- order matters, or the type of an argument has no column here
          AND p.proname NOT IN ('array_agg', 'string_agg', 'any_value')
          AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[]) t
                          WHERE format_type(t, NULL) NOT IN (SELECT attname FROM pg_attribute WHERE attrelid = 'sample'::regclass))
    LOOP
        call := format('%s(%s)', agg.proname, agg.args);
        FOREACH keys IN ARRAY ARRAY['g', ''] LOOP
            FOREACH filter IN ARRAY ARRAY['', ' FILTER (WHERE id % 50 = 0)'] LOOP
                plain := format('SELECT %s%s%s AS v FROM sample %s', CASE keys WHEN '' THEN '' ELSE 'g, ' END,
                                call, filter, CASE keys WHEN '' THEN '' ELSE 'GROUP BY g' END);
                PERFORM create_summary('one', plain);
                PERFORM run_batch('one', 201, 300), run_batch('one', 1, 50), run_batch('one', 51, 51), run_batch('one', 52, 200);
                EXECUTE format('SELECT count(*) FROM (%s) p FULL JOIN one ON %s WHERE NOT %s', plain,
                               CASE keys WHEN '' THEN 'true' ELSE 'one.g = p.g' END,
                               CASE WHEN pg_typeof(NULL::float8)::text = (SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'one'::regclass AND attname = 'v')
                                         OR agg.result = 'real'
                                    THEN 'coalesce(abs(p.v - one.v) <= 1e-6 * abs(p.v), p.v IS NOT DISTINCT FROM one.v)'
                                    ELSE 'p.v::text IS NOT DISTINCT FROM one.v::text' END) INTO STRICT wrong;
                INSERT INTO outcome VALUES (agg.name, keys, filter, wrong);
                PERFORM drop_job('one');
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
SELECT * FROM outcome WHERE wrong <> 0;
SELECT count(DISTINCT agg) > 130 AS many FROM outcome;
DROP TABLE outcome;

-- groups: NULL, expressions, keys that are not shown, keys of any length and collation, constants, types with typmods
SELECT create_summary(name, query) IS NOT NULL AS created, name
FROM (VALUES
  ('null_key', 'SELECT shop, count(*) FROM sales GROUP BY shop'),
  ('expression_key', 'SELECT date_trunc(''week'', day) AS week, qty * 2 + 1 AS odd, count(*) FROM sales GROUP BY 1, qty * 2'),
  ('hidden_key', 'SELECT count(*), max(price) FROM sales GROUP BY day, qty'),
  ('char_key', 'SELECT code, letter, code || B''1'' AS longer, max(letter), bit_or(code), bit_and(code) AS bit_and FROM sales GROUP BY code, letter'),
  ('collated_key', 'SELECT lower(shop COLLATE "POSIX") AS l, max(shop), min(shop COLLATE "POSIX") AS p FROM sales GROUP BY 1'),
  ('constant_key', 'SELECT ''x'' AS k, 7::numeric(5,2) AS n, count(*) FROM sales GROUP BY 1, 2'),
  ('boolean_key', 'SELECT qty > 5 AS "many?", count(*) FROM sales GROUP BY 1'),
  ('pass_key', 'SELECT qty AS pass, letter AS pass1, count(*) AS filled, sum(qty) AS shown FROM sales GROUP BY qty, letter'),
  ('whole_row', 'SELECT day, count(sales), count(sales.*) AS rows, max((sales).id) FROM sales GROUP BY day'),
  ('system_column', 'SELECT tableoid::regclass AS part, count(*) FROM sales GROUP BY tableoid'),
  ('alias', 'SELECT s.d, sum(s.q) FROM sales AS s (i, d, t, c, l, q) GROUP BY s.d'),
  ('same_twice', 'SELECT sum(qty) AS a, sum(qty) AS b, sum(qty + 0) AS c, day FROM sales GROUP BY day HAVING sum(qty) > 10 AND min(price) < 50'),
  ('two_forms', 'SELECT shop, var_samp(qty) FILTER (WHERE id > 990) AS v, regr_count(qty, price) FILTER (WHERE id > 990) AS n FROM sales GROUP BY shop'),
  ('case_of_it', 'SELECT CASE WHEN shop IS NULL THEN ''none'' ELSE upper(shop) END AS s, round(avg(qty), 2) + count(*) AS x FROM sales GROUP BY shop'),
  ('kept_state', 'SELECT shop, stats_agg(weight) AS s, corr(stats_agg(weight, qty)) AS c FROM sales GROUP BY shop'),
  ('total', 'SELECT count(*), sum(qty), avg(price), max(shop), num_vals(stats_agg(weight)) AS n, count(*) FILTER (WHERE false) AS none, avg(price) + 1 AS more FROM sales WHERE id > 0'),
  ('total_having', 'SELECT count(*), exact_sum(weight) FROM sales HAVING count(*) > 10')) v (name, query);
-- before the first batch: as the query of an empty table
TABLE total;
SELECT count(*) FROM total_having;
SELECT count(*) FROM null_key;
SELECT name, run_batch(name, 600, 1990), run_batch(name, 2000, 9999), run_batch(name, 1, 300), run_batch(name, 301, 599), differences(name)
FROM batchagg.job WHERE name <> 'daily' ORDER BY id;
-- columns are the query's own
CREATE TEMP TABLE columns AS
SELECT name, query FROM batchagg.job j JOIN batchagg.summary s ON s.job_id = j.id;
DO $$
DECLARE r record;
BEGIN
  FOR r IN TABLE columns LOOP
    EXECUTE format('CREATE TEMP VIEW plain AS %s', r.query);
    IF EXISTS (SELECT attnum, attname, atttypid, atttypmod, attcollation FROM pg_attribute WHERE attrelid = 'plain'::regclass AND attnum > 0
               EXCEPT
               SELECT attnum, attname, atttypid, atttypmod, attcollation FROM pg_attribute WHERE attrelid = r.name::regclass AND attnum > 0)
    THEN RAISE 'columns of % differ', r.name;
    END IF;
    DROP VIEW plain;
  END LOOP;
END $$;
TABLE total;
SELECT * FROM null_key ORDER BY shop;
\d char_key_state
\d pass_key_state

-- an empty table
CREATE TABLE nothing (id int PRIMARY KEY, k int, x numeric);
SELECT create_summary('of_nothing', 'SELECT count(*), sum(x), avg(x) FROM nothing') > 0 AS created;
SELECT create_summary('groups_of_nothing', 'SELECT k, count(*), sum(x) FROM nothing GROUP BY k') > 0 AS created;
SELECT run_batch('of_nothing', 1, 10), run_batch('groups_of_nothing', 1, 10);
TABLE of_nothing;
TABLE groups_of_nothing;

-- names of every kind
CREATE SCHEMA "Odd ""schema"".x";
CREATE TABLE "Odd ""schema"".x"."t'a""b.le" ("select" int PRIMARY KEY, "from ""me""" text, "$1" int, "größe" numeric(8,2), "excluded" int);
INSERT INTO "Odd ""schema"".x"."t'a""b.le" SELECT i, 'it''s \ ' || i % 4, i, i / 3.0, i % 2 FROM generate_series(1, 100) i;
SET search_path = "Odd ""schema"".x", test_summary, batchagg;
SELECT create_summary($$It's a "summary"; \ of.€$$, $$
  SELECT "from ""me""", "excluded", 'it''s \' || count(*) AS "s", sum("$1") AS "$1", avg("größe") FILTER (WHERE "from ""me""" <> 'it''s \ 1') AS "from"
  FROM "t'a""b.le" GROUP BY 1, 2$$) > 0 AS created;
SELECT run_batch($$It's a "summary"; \ of.€$$, 1, 60), run_batch($$It's a "summary"; \ of.€$$, 61, 100);
SELECT differences($$It's a "summary"; \ of.€$$);
SELECT create_summary(repeat('é', 31) || 'x', 'SELECT count(*) FROM "t''a""b.le"') > 0 AS created;
SELECT create_summary(repeat('é', 31) || 'y', 'SELECT count(*) FROM "t''a""b.le"') > 0 AS created;
SELECT view, state, pass FROM batchagg.summary ORDER BY job_id DESC LIMIT 3;
SELECT create_summary(repeat('é', 32), 'SELECT count(*) FROM "t''a""b.le"');
SET search_path = test_summary, batchagg;

-- what the query means is settled when it is analyzed; objects that come to hide core's later change nothing
CREATE SCHEMA evil;
CREATE FUNCTION evil.int8pl(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 666::bigint';
CREATE AGGREGATE evil.count(int) (SFUNC = int4_sum, STYPE = bigint);
CREATE FUNCTION evil.gt(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR evil.> (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.gt);
CREATE TYPE evil.numeric AS (a int);
SELECT create_summary('safe', 'SELECT qty > 4 AS many, count(qty), sum(price::numeric) FROM sales GROUP BY 1') > 0 AS created;
SET search_path = evil, pg_catalog, test_summary, batchagg;
SELECT run_batch('safe', 1, 500), run_batch('safe', 501, 9999);
SET search_path = test_summary, batchagg;
SELECT differences('safe');
-- and what it names in another schema is that
SET search_path = evil, pg_catalog, test_summary, batchagg;
SELECT create_summary('by_evil', 'SELECT qty > 4 AS many, count(*) FROM test_summary.sales GROUP BY 1') > 0 AS created;
SET search_path = test_summary, batchagg;
SELECT run_batch('by_evil', 1, 9999);
TABLE evil.by_evil;

-- other people's aggregates, in schemas of their own
CREATE SCHEMA mine;
CREATE FUNCTION mine.multiply(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT $1 * $2';
CREATE AGGREGATE mine."Product"(numeric) (SFUNC = mine.multiply, COMBINEFUNC = mine.multiply, STYPE = numeric, INITCOND = '1', PARALLEL = SAFE);
SELECT create_summary('product', 'SELECT qty, mine."Product"(price + 1) AS p, mine."Product"(price) FILTER (WHERE id < 0) AS none FROM sales WHERE id < 100 GROUP BY qty') > 0 AS created;
SELECT run_batch('product', 50, 1000), run_batch('product', 1, 49), differences('product');
SELECT DISTINCT none FROM product;

-- settings of the session do not get into the command
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SELECT create_summary('by_date', $$SELECT count(*) FROM sales WHERE day > '02/01/2026'::date + interval '1 2:03:04'$$) > 0 AS created;
RESET datestyle;
RESET intervalstyle;
SELECT run_batch('by_date', 1, 9999);
SELECT (TABLE by_date), (SELECT count(*) FROM sales WHERE day > '2026-01-02'::date + interval '1 day 02:03:04') AS plain;

-- relations of other kinds, and keys
CREATE TABLE parts (at timestamptz NOT NULL, x int) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-02-01Z') TO ('2026-03-01Z');
INSERT INTO parts SELECT '2026-01-25Z'::timestamptz + i * interval '1 hour', i FROM generate_series(1, 300) i;
SELECT create_summary('of_parts', 'SELECT date_trunc(''day'', at, ''UTC'') AS day, count(*), avg(x) FROM parts GROUP BY 1', key => 'at') > 0 AS created;
SELECT run_batch('of_parts', '2026-02-01Z'::timestamptz, '2026-04-01Z'), run_batch('of_parts', '-infinity'::timestamptz, '2026-01-31 23:59:59.999999Z'), differences('of_parts');
CREATE TABLE child () INHERITS (sales);
INSERT INTO child VALUES (-5, '2026-01-01', 'child');
SELECT create_summary('with_children', 'SELECT shop, count(*) FROM sales GROUP BY 1') > 0 AS created,
       create_summary('without_children', 'SELECT shop, count(*) FROM ONLY sales GROUP BY 1') > 0 AS created;
SELECT run_batch('with_children', -10, 9999), run_batch('without_children', -10, 9999), differences('with_children'), differences('without_children');
CREATE VIEW joined AS SELECT s.id, s.qty, d.n FROM sales s JOIN (SELECT day, count(*) AS n FROM sales GROUP BY 1) d USING (day) WHERE (SELECT true);
SELECT create_summary('of_view', 'SELECT n, sum(qty) FROM joined GROUP BY n', key => 'id', mode => 'once') > 0 AS created;
SELECT run_batch('of_view', 1, 9999), differences('of_view');
-- TIDs, and keys that may be NULL, in full passes
CREATE TABLE loose (at int, x int);
INSERT INTO loose SELECT nullif(i % 10, 0), i FROM generate_series(1, 100) i;
SELECT create_summary('by_tid', 'SELECT x % 3 AS r, count(*), avg(x) FROM loose GROUP BY 1', mode => 'once') > 0 AS created,
       create_summary('by_null', 'SELECT count(*), avg(x) FROM loose', key => 'at', mode => 'once') > 0 AS created;
SELECT run_batch('by_tid', '(0,1)'::tid, '(0,50)'), run_batch('by_tid', '(0,51)'::tid, '(9,9)'), differences('by_tid');
SELECT null_command FROM batchagg.job WHERE name IN ('by_tid', 'by_null') ORDER BY name;
SELECT run_batch('by_null', 1, 9), run_around('by_null', 'null_command'), differences('by_null');
SELECT create_summary('s', 'SELECT count(*) FROM loose');
SELECT create_summary('s', 'SELECT count(*) FROM joined', key => 'id');

-- what is refused, and what to do instead
CREATE TABLE plain (id int PRIMARY KEY, k int, t text);
CREATE TEMP TABLE temporary (id int PRIMARY KEY, k int);
CREATE FUNCTION volatile(i int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT i';
CREATE AGGREGATE no_combine(int) (SFUNC = int4pl, STYPE = int);
SELECT create_summary(NULL, 'SELECT count(*) FROM sales');
SELECT create_summary('s', NULL);
SELECT create_summary('s', '');
SELECT create_summary('s', 'SELECT count(*) FROM sales; SELECT 1');
SELECT create_summary('s', 'DELETE FROM sales RETURNING id');
SELECT create_summary('s', 'SELECT count(* FROM sales');
SELECT create_summary('s', 'SELECT count(*) FROM no_such_table');
SELECT create_summary('s', 'SELECT count(*) FROM sales WHERE id = $1');
SELECT create_summary('s', 'SELECT count(*) INTO x FROM sales');
SELECT create_summary('s', 'SELECT id, count(*) FROM sales');
SELECT create_summary('s', 'SELECT id FROM sales FOR UPDATE');
SELECT create_summary('s', 'SELECT count(*) FROM sales UNION ALL SELECT 1');
SELECT create_summary('s', 'VALUES (1)');
SELECT create_summary('s', 'WITH x AS (SELECT 1) SELECT count(*) FROM sales');
SELECT create_summary('s', 'SELECT count(*) FROM sales WHERE id > (SELECT 1)');
SELECT create_summary('s', 'SELECT count(*), rank() OVER (ORDER BY qty) FROM sales GROUP BY qty');
SELECT create_summary('s', 'SELECT count(*), generate_series(1, 2) FROM sales');
SELECT create_summary('s', 'SELECT qty, count(*) FROM sales GROUP BY GROUPING SETS ((qty), ())');
SELECT create_summary('s', 'SELECT qty, count(*) FROM sales GROUP BY ROLLUP (qty)');
SELECT create_summary('s', 'SELECT qty, grouping(qty), count(*) FROM sales GROUP BY qty');
SELECT create_summary('s', 'SELECT DISTINCT qty, count(*) FROM sales GROUP BY qty');
SELECT create_summary('s', 'SELECT qty, count(*) FROM sales GROUP BY qty ORDER BY 1');
SELECT create_summary('s', 'SELECT qty, count(*) FROM sales GROUP BY qty LIMIT 5');
SELECT create_summary('s', 'SELECT qty, count(*) FROM sales GROUP BY qty OFFSET 5');
SELECT create_summary('s', 'SELECT qty FROM sales GROUP BY qty');
SELECT create_summary('s', 'SELECT id, t, count(*) FROM plain GROUP BY id');
SELECT create_summary('s', 'SELECT count(*) FROM sales, plain');
SELECT create_summary('s', 'SELECT count(*) FROM sales JOIN plain USING (id)');
SELECT create_summary('s', 'SELECT count(*) FROM (SELECT * FROM sales) x');
SELECT create_summary('s', 'SELECT count(*) FROM generate_series(1, 2)');
SELECT create_summary('s', 'SELECT count(*)');
SELECT create_summary('s', 'SELECT count(*) FROM sales TABLESAMPLE SYSTEM (10)');
SELECT create_summary('s', 'SELECT count(*) FROM temporary');
SELECT create_summary('s', 'SELECT volatile(qty), count(*) FROM sales GROUP BY 1');
SELECT create_summary('s', 'SELECT count(*) FROM sales WHERE random() < 0.5');
SELECT create_summary('s', 'SELECT sum(volatile(qty)) FROM sales');
SELECT create_summary('s', 'SELECT sum(qty) FROM sales HAVING count(*) > random()');
SELECT create_summary('s', 'SELECT count(DISTINCT qty) FROM sales');
SELECT create_summary('s', 'SELECT sum(qty ORDER BY day) FROM sales');
SELECT create_summary('s', 'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY qty) FROM sales');
SELECT create_summary('s', 'SELECT no_combine(qty) FROM sales');
SELECT create_summary('s', 'SELECT json_agg(qty) FROM sales');
SELECT create_summary('s', 'SELECT count(*), count(*) FROM sales');
SELECT create_summary('s', 'SELECT t::xid AS x, count(*) FROM plain GROUP BY 1');
SELECT create_summary('s', 'SELECT ROW(id, k) AS x, count(*) FROM plain GROUP BY 1');
SELECT create_summary('s', 'SELECT count(*) FROM sales', key => 'no_such_column');
SELECT create_summary('daily', 'SELECT count(*) FROM sales');
SELECT create_summary('plain', 'SELECT count(*) FROM sales');
SET search_path = pg_temp, test_summary, batchagg;
SELECT create_summary('s', 'SELECT count(*) FROM sales');
SET search_path = no_such_schema;
SELECT batchagg.create_summary('s', 'SELECT count(*) FROM test_summary.sales');
SET search_path = test_summary, batchagg;
-- nothing is left of them
SELECT relname FROM pg_class WHERE relname ~ '^(s|plain)_(state|pass)';
SELECT name FROM batchagg.job WHERE name IN ('s', 'plain');

-- dropping takes all with it, what is gone already included, but nothing that others need
CREATE VIEW on_top AS SELECT sum(count) FROM null_key;
SELECT drop_job('null_key');
SELECT name FROM batchagg.job WHERE name = 'null_key';
DROP VIEW on_top;
SELECT drop_job('null_key');
DROP VIEW hidden_key;
SELECT drop_job('hidden_key');
DROP TABLE char_key_state CASCADE;
SELECT drop_job('char_key');
SELECT relname FROM pg_class WHERE relname ~ '^(null|hidden|char)_key';
SELECT count(*) FROM batchagg.summary WHERE job_id NOT IN (SELECT id FROM batchagg.job);

-- a batch whose tables are gone says so
DROP TABLE alias_state CASCADE;
\set VERBOSITY sqlstate
SELECT run_batch('alias', 1, 10);
\set VERBOSITY default

-- people without special rights: the summary is theirs, and sees what they see
CREATE ROLE regress_summary_owner LOGIN;
CREATE ROLE regress_summary_reader LOGIN;
CREATE SCHEMA theirs AUTHORIZATION regress_summary_owner;
GRANT USAGE ON SCHEMA batchagg, test_summary TO regress_summary_owner, regress_summary_reader;
GRANT USAGE ON SCHEMA theirs TO regress_summary_reader;
CREATE TABLE secret (id int PRIMARY KEY, who text, x int);
INSERT INTO secret SELECT i, CASE WHEN i % 2 = 0 THEN 'regress_summary_owner' ELSE 'postgres' END, i FROM generate_series(1, 10) i;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (who = current_user);
SET ROLE regress_summary_owner;
SET search_path = theirs, test_summary, batchagg;
SELECT create_summary('s', 'SELECT count(*) FROM secret');
RESET ROLE;
GRANT SELECT ON secret TO regress_summary_owner;
SET ROLE regress_summary_owner;
SELECT create_summary('theirs', 'SELECT who, count(*), avg(x) FROM secret GROUP BY who') > 0 AS created;
RESET ROLE;
SELECT relname, relowner::regrole FROM pg_class WHERE relname LIKE 'theirs%' ORDER BY 1;
SELECT command AS theirs FROM batchagg.job WHERE name = 'theirs' \gset
PREPARE theirs(int, int) AS :theirs;
SET ROLE regress_summary_owner;
EXECUTE theirs(1, 100);
TABLE theirs;
SET ROLE regress_summary_reader;
TABLE theirs;
SET ROLE regress_summary_owner;
GRANT SELECT ON theirs TO regress_summary_reader;
SET ROLE regress_summary_reader;
TABLE theirs;
SELECT drop_job('theirs');
TABLE batchagg.summary;
SET ROLE regress_summary_owner;
SELECT drop_job('theirs');
RESET ROLE;
DEALLOCATE theirs;

SET search_path = test_summary, batchagg;
-- a dry run that fails fails like any statement
SELECT create_summary('dry', 'SELECT nothing FROM nowhere', dry_run => true);
SELECT count(*) FROM batchagg.job WHERE name = 'dry';
SELECT count(drop_job(name)) > 0 AS dropped FROM batchagg.job WHERE name <> 'alias';
SELECT drop_job('alias');
SELECT count(*) FROM batchagg.summary;
REVOKE USAGE ON SCHEMA batchagg FROM regress_summary_owner, regress_summary_reader;
DROP SCHEMA test_summary, "Odd ""schema"".x", evil, mine, theirs CASCADE;
DROP ROLE regress_summary_owner, regress_summary_reader;
