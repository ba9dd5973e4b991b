-- each_batch: the query once per batch of its driving table
SET search_path = public, batchagg;
SET batchagg.batch_size = 100;

CREATE TABLE sale (id int PRIMARY KEY, region text, day date, qty int, price numeric(10,2));
INSERT INTO sale
SELECT i, (ARRAY['north', 'south', 'east', 'west'])[1 + i % 4], DATE '2024-01-01' + i % 30, i % 17, i * 0.25
FROM generate_series(1, 1000) i;
CREATE TABLE region (name text, country text);
INSERT INTO region VALUES ('north', 'N'), ('south', 'S'), ('east', 'E');
ANALYZE sale, region;

-- the forms of a call
SELECT * FROM each_batch('SELECT region, count(*) FROM sale GROUP BY region ORDER BY region', 400)
  AS (batch bigint, region text, count bigint);
CREATE TYPE regional AS (batch bigint, region text, count bigint);
SELECT * FROM each_batch_as(NULL::regional, 'SELECT region, count(*) FROM sale GROUP BY region ORDER BY region', 400);
SELECT (each_batch_as(NULL::regional, 'SELECT region, count(*) FROM sale WHERE id = 1 GROUP BY 1')).*;
SELECT count(*), sum(s) FROM each_batch('SELECT sum(qty) FROM sale') AS (batch bigint, s bigint);
SELECT * FROM each_batch('SELECT FROM sale WHERE id IN (1, 999)') AS (batch bigint);
SELECT * FROM each_batch('SELECT id FROM sale WHERE id % 450 = 0', workers => 1) AS (batch bigint, id int);
SELECT * FROM each_batch('VALUES (1)') AS (batch bigint, i int);

-- a row type with a dropped column, as a table has it
CREATE TABLE summary (batch bigint, gone int, region text, later date, n bigint);
ALTER TABLE summary DROP COLUMN gone, DROP COLUMN later;
SELECT * FROM each_batch_as(NULL::summary, 'SELECT region, count(*) FROM sale WHERE id > 900 GROUP BY region ORDER BY 1', 500, 0);
SELECT * FROM each_batch_as(NULL::summary, 'SELECT region, count(*) FROM sale WHERE id > 900 GROUP BY region ORDER BY 1', 500, 2);
INSERT INTO summary SELECT * FROM each_batch_as(NULL::summary, 'SELECT region, count(*) FROM sale GROUP BY region', 500);
SELECT region, sum(n) FROM summary GROUP BY region ORDER BY region;

-- parameters
SELECT * FROM each_batch('SELECT $2::date, count(*) FROM sale WHERE region = $1 AND day >= $2::date', 500,
                         params => ARRAY['north', '2024-01-16'])
  AS (batch bigint, day date, count bigint);
SELECT * FROM each_batch('SELECT count(*) FROM sale WHERE region = $1', 500, params => ARRAY[NULL]::text[])
  AS (batch bigint, count bigint);
SELECT * FROM each_batch('SELECT count(*) FROM sale WHERE id = ANY ($1::int[])', 500, params => ARRAY['{1,2,600}'])
  AS (batch bigint, count bigint);

-- The oracle: each batch gives what the query gives over a subquery of the batch's rows.
-- {t} in the query stands for the table.
CREATE FUNCTION check_each(query text, rel regclass, size bigint, nworkers int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  b record;
  wanted text[] := '{}';
  found text[];
  part text[];
BEGIN
  FOR b IN SELECT * FROM split_batches(rel, size) LOOP
    EXECUTE format('SELECT array_agg(%L || '' '' || q::text ORDER BY q::text) FROM (%s) q', b.batch,
                   replace(query, '{t}',
                           format('(SELECT * FROM %s WHERE tableoid = %s AND ctid BETWEEN %L AND %L)',
                                  rel, b.relation::oid, b.first_tid, b.last_tid)))
      INTO part;
    wanted := wanted || coalesce(part, '{}');
  END LOOP;
  SELECT array_agg(batch || ' ' || line ORDER BY batch, line)
    INTO found
    FROM each_batch(format('SELECT q::text FROM (%s) q', replace(query, '{t}', rel::text)),
                    size, nworkers, rel) AS (batch bigint, line text);
  IF coalesce(found, '{}') IS DISTINCT FROM wanted THEN
    RAISE 'wanted % found %', wanted, found;
  END IF;
  RETURN cardinality(wanted);
END $$;

CREATE TABLE parts (id int, region text, day date, qty int, price numeric(10,2)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (300);
CREATE TABLE parts_2 (price numeric(10,2), x int, qty int, day date, region text, id int);
ALTER TABLE parts_2 DROP COLUMN x;
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (300) TO (600);
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (600) TO (2000) PARTITION BY LIST (region);
CREATE TABLE parts_3n PARTITION OF parts_3 FOR VALUES IN ('north', 'south');
CREATE TABLE parts_3d PARTITION OF parts_3 DEFAULT;
CREATE TABLE parts_4 PARTITION OF parts FOR VALUES FROM (2000) TO (3000);
INSERT INTO parts SELECT * FROM sale;
CREATE INDEX ON parts (id);
CREATE TABLE parent (id int, region text, day date, qty int, price numeric(10,2));
CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO parent SELECT * FROM sale WHERE id <= 400;
INSERT INTO child SELECT *, 'x' FROM sale WHERE id > 400;
CREATE TABLE holes AS SELECT * FROM sale;
DELETE FROM holes WHERE id BETWEEN 100 AND 500 OR id % 3 = 0;
UPDATE holes SET qty = qty + 1 WHERE id % 5 = 0;
CREATE INDEX ON holes (region, id);
ANALYZE parts, parent, holes;

CREATE TABLE query (query text);
INSERT INTO query SELECT q FROM unnest(ARRAY[
  'SELECT count(*), sum(qty), min(id), max(id), avg(price) FROM {t} t',
  'SELECT region, day, sum(price) FROM {t} t GROUP BY region, day',
  'SELECT region, count(DISTINCT day) FROM {t} t WHERE qty > 3 GROUP BY region HAVING count(*) > 2',
  'SELECT * FROM {t} t WHERE id % 7 = 0',
  'SELECT * FROM {t} t WHERE id = 250',
  'SELECT DISTINCT ON (region) region, id FROM {t} t ORDER BY region, id DESC',
  'SELECT id, row_number() OVER (PARTITION BY region ORDER BY id) FROM {t} t WHERE qty = 2',
  'SELECT coalesce(country, ''?''), sum(qty) FROM {t} t LEFT JOIN region r ON r.name = t.region GROUP BY 1',
  'SELECT country, count(*) FROM region r JOIN {t} t ON r.name = t.region GROUP BY ROLLUP (1)',
  'SELECT r.name, l.n FROM region r CROSS JOIN LATERAL (SELECT count(*) n FROM {t} t WHERE t.region = r.name) l',
  'WITH c AS MATERIALIZED (SELECT region, sum(qty) s FROM {t} t GROUP BY 1) SELECT max(s) FROM c',
  'SELECT max(id) FROM {t} t WHERE region IN (SELECT name FROM region WHERE country <> ''N'')',
  'SELECT (SELECT count(*) FROM region), count(*) FROM {t} t WHERE id > 300',
  'SELECT min(id) FROM {t} t',
  'SELECT grouping(region), region, day, count(*) FROM {t} t GROUP BY CUBE (region, day)',
  'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FROM {t} t',
  'SELECT generate_series(1, 2) g, count(*) FROM {t} t GROUP BY 1',
  'SELECT count(*) FROM {t} t WHERE false',
  -- partitions pruned when the executor starts, and while it runs
  'SELECT count(*), max(id) FROM {t} t WHERE id < 100 + current_setting(''server_version_num'')::int / 1000',
  'SELECT v.id, region FROM (VALUES (5), (400), (777)) v (id) JOIN {t} t ON t.id = v.id'
]) q;

SELECT rel, sum(check_each(query, rel::regclass, size, workers)::int)
FROM query, unnest(ARRAY['sale', 'parts', 'parts_3', 'parent', 'holes']) rel,
     (VALUES (1000000, 0), (333, 0), (100, 2), (37, 0)) v (size, workers)
GROUP BY rel ORDER BY rel;

-- the same, as other plans would do it
SET jit = off;
SET enable_tidscan = off;
SET enable_hashagg = off;
SELECT rel, sum(check_each(query, rel::regclass, 333, 0)::int)
FROM query, unnest(ARRAY['sale', 'parts', 'holes']) rel GROUP BY rel ORDER BY rel;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT rel, sum(check_each(query, rel::regclass, 333, 0)::int)
FROM query, unnest(ARRAY['sale', 'parts', 'holes']) rel GROUP BY rel ORDER BY rel;
SET enable_bitmapscan = on;
SET enable_indexscan = off;
SELECT rel, sum(check_each(query, rel::regclass, 333, 0)::int)
FROM query, unnest(ARRAY['sale', 'parts', 'holes']) rel GROUP BY rel ORDER BY rel;
RESET jit;
RESET enable_tidscan;
RESET enable_hashagg;
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_indexscan;
SET enable_partitionwise_aggregate = on;
SET enable_partitionwise_join = on;
SELECT rel, sum(check_each(query, rel::regclass, 60, 1)::int)
FROM query, unnest(ARRAY['parts', 'parts_3']) rel GROUP BY rel ORDER BY rel;
RESET enable_partitionwise_aggregate;
RESET enable_partitionwise_join;

-- a partition joined to its like, partition by partition
CREATE TABLE other (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE other_1 PARTITION OF other FOR VALUES FROM (1) TO (300);
CREATE TABLE other_2 PARTITION OF other FOR VALUES FROM (300) TO (600);
CREATE TABLE other_3 PARTITION OF other FOR VALUES FROM (600) TO (2000);
INSERT INTO other SELECT i, i FROM generate_series(1, 1500, 3) i;
ANALYZE other;
SET enable_partitionwise_join = on;
SELECT check_each('SELECT sum(v), count(*) FROM {t} t JOIN other USING (id)', 'parts', 150, 1);
SELECT check_each('SELECT sum(v), count(*) FROM {t} t LEFT JOIN other USING (id)', 'parts', 150, 0);
RESET enable_partitionwise_join;

-- the plan of a batch, and how many there are
SELECT regexp_replace(line, '  \(cost.*\)', '') AS line
FROM explain_batches('SELECT region, count(*) FROM sale GROUP BY region', 300) line;
SET batchagg.enabled = off;
SELECT regexp_replace(line, '  \(cost.*\)', '') AS line
FROM explain_batches('SELECT region, count(*) FROM sale GROUP BY region', 300) line;
SET batchagg.enabled = on;
SELECT regexp_replace(line, '  \(cost.*\)', '') AS line
FROM explain_batches('SELECT region, count(*) FROM parts WHERE id < $1 GROUP BY region', 300, params => ARRAY['500']) line;
SELECT regexp_replace(line, '  \(cost.*\)', '') AS line
FROM explain_batches('SELECT count(*) FROM sale JOIN region ON region.name = sale.region', 300, 'sale') line
LIMIT 1;

-- batches are those of split_batches
SELECT batch, n, row_count
FROM each_batch('SELECT count(*) FROM parts', 90) AS (batch bigint, n bigint)
FULL JOIN split_batches('parts', 90) USING (batch)
WHERE n IS DISTINCT FROM row_count;

-- the caller's own uncommitted rows, in workers as well
BEGIN;
INSERT INTO sale SELECT i, 'new' FROM generate_series(1001, 1300) i;
SAVEPOINT s;
DELETE FROM sale WHERE id <= 600;
SELECT * FROM each_batch('SELECT min(id), max(id), count(*) FROM sale', 200, 2)
  AS (batch bigint, min int, max int, count bigint);
ROLLBACK TO s;
SELECT count(*), sum(n) FROM each_batch('SELECT count(*) FROM sale', 200, 2) AS (batch bigint, n bigint);
ROLLBACK;

-- inside other statements and languages
CREATE TABLE kept (batch bigint, s bigint);
INSERT INTO kept SELECT * FROM each_batch('SELECT sum(qty) FROM sale', 500, 2) AS (batch bigint, s bigint);
WITH i AS (INSERT INTO kept SELECT 100 + batch, s FROM each_batch('SELECT sum(qty) FROM sale', 500, 1) AS (batch bigint, s bigint) RETURNING s)
SELECT count(*), sum(s) FROM i;
UPDATE kept SET s = e.s FROM each_batch('SELECT -sum(qty) FROM sale', 500) AS e (batch bigint, s bigint) WHERE e.batch = kept.batch;
SELECT * FROM kept ORDER BY batch;
INSERT INTO kept SELECT 200 + batch, s FROM each_batch('SELECT count(*) FROM kept', 1, 1) AS (batch bigint, s bigint);
SELECT count(*), sum(s) FROM kept WHERE batch > 200;
CREATE FUNCTION in_a_block(workers int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE total bigint;
BEGIN
  BEGIN
    SELECT sum(s) INTO total FROM each_batch('SELECT sum(qty) FROM sale', 100, workers) AS (batch bigint, s bigint);
    INSERT INTO kept VALUES (300, total);
    PERFORM * FROM each_batch('SELECT 1 / (id - 777) FROM sale', 100, workers) AS (batch bigint, q int);
  EXCEPTION WHEN division_by_zero THEN
    RAISE NOTICE 'caught: %', SQLERRM;
  END;
  RETURN total;
END $$;
SELECT in_a_block(0), in_a_block(2);
SELECT count(*) FROM kept WHERE batch = 300;
CREATE VIEW by_batch AS SELECT * FROM each_batch('SELECT sum(qty) FROM public.sale', 500, 1) AS (batch bigint, s bigint);
SELECT * FROM by_batch;
SELECT * FROM by_batch LIMIT 1;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM by_batch;
FETCH LAST c;
FETCH FIRST c;
COMMIT;
SELECT r.country, b.* FROM region r, LATERAL each_batch('SELECT count(*) FROM sale WHERE region = $1', 600, 1, params => ARRAY[r.name])
  AS b (batch bigint, n bigint) ORDER BY 1, 2;
-- a batch function within a batch: the inner one in the leader's process
CREATE FUNCTION inner_batches() RETURNS bigint LANGUAGE sql PARALLEL SAFE AS
  'SELECT sum(n)::bigint FROM each_batch(''SELECT count(*) FROM region'', 1, 2) AS (batch bigint, n bigint)';
SELECT * FROM each_batch('SELECT max(inner_batches()) FROM sale', 400, 2) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT max(inner_batches()) FROM sale', 400, 0) AS (batch bigint, n bigint);

-- a volatile function of the query that runs commands, in a command that has written
CREATE FUNCTION busy(i int) RETURNS int LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS
$$ BEGIN PERFORM count(*) FROM region; RETURN i; END $$;
INSERT INTO kept SELECT 400 + batch, s FROM each_batch('SELECT sum(busy(qty)) FROM sale', 100, 2) AS (batch bigint, s bigint);
SELECT count(*), sum(s) FROM kept WHERE batch > 400;

-- one that writes, in the leader alone
CREATE SEQUENCE drawn;
SELECT count(*), max(m) FROM each_batch('SELECT max(nextval(''drawn'')) FROM sale', 100, 0) AS (batch bigint, m bigint);

-- one that would empty or change a partition before its turn: refused, as in the plain query
CREATE FUNCTION meddle(command text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; RETURN 1; END $$;
SELECT * FROM each_batch('SELECT max(meddle(''TRUNCATE parts_3n'')) FROM parts', 500, 0) AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT max(meddle(''DROP TABLE parts_4'')) FROM parts', 500, 0) AS (batch bigint, n int);
SELECT count(*) FROM parts;

-- temporary tables are for the leader, and no error
CREATE TEMP TABLE mine AS SELECT * FROM sale;
SELECT count(*), sum(s) FROM each_batch('SELECT sum(qty) FROM mine', 100, 2) AS (batch bigint, s bigint);
CREATE TEMP TABLE few AS SELECT name FROM region LIMIT 2;
SELECT count(*), sum(s) FROM each_batch('SELECT sum(qty) FROM sale JOIN few ON region = name', 100, 2, 'sale') AS (batch bigint, s bigint);

-- large rows, and many of them: the result spills and comes back in order
SET work_mem = '64kB';
SELECT count(*), sum(length(pad)), bool_and(ok)
FROM (SELECT pad, batch >= lag(batch) OVER () IS NOT FALSE AS ok
      FROM each_batch('SELECT id, repeat(id::text, 2000) FROM sale', 50, 2) AS (batch bigint, id int, pad text)) s;
RESET work_mem;
CREATE TABLE wide (id int, pad text);
ALTER TABLE wide ALTER pad SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, repeat(i::text, 3000) FROM generate_series(1, 60) i;
SELECT count(*), bool_and(pad = repeat(id::text, 3000))
FROM each_batch('SELECT id, pad FROM wide', 7, 2) AS (batch bigint, id int, pad text);

-- values of types that are only known in the process that makes them
CREATE TYPE pair AS (batch bigint, r regional, a int[]);
SELECT batch, (r).region, a FROM each_batch_as(NULL::pair,
  'SELECT ROW(1, region, count(*))::regional, array_agg(DISTINCT qty) FROM sale WHERE qty < 3 GROUP BY region ORDER BY region', 600, 1);
SELECT * FROM each_batch('SELECT to_json(array_agg(r))::text FROM (SELECT region, count(*) FROM sale GROUP BY region ORDER BY region) r', 600, 1)
  AS (batch bigint, j text);

-- no batches, no rows; but what the query reads is looked at
CREATE TABLE empty (n int);
SELECT * FROM each_batch('SELECT count(*) FROM empty') AS (batch bigint, n bigint);
CREATE TABLE childless (n int) PARTITION BY LIST (n);
SELECT * FROM each_batch('SELECT count(*) FROM childless') AS (batch bigint, n bigint);
SELECT * FROM explain_batches('SELECT n FROM childless');

-- tables read through views, ONLY, search_path
CREATE VIEW northern AS SELECT * FROM sale WHERE region = 'north';
SELECT * FROM each_batch('SELECT count(*) FROM northern', 400, 1) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM northern', 400, 1, 'sale') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM ONLY parent', 300, 1) AS (batch bigint, n bigint);
CREATE SCHEMA "Elsewhere";
CREATE TABLE "Elsewhere"."sa""le" (qty int);
INSERT INTO "Elsewhere"."sa""le" VALUES (42);
SET search_path = "Elsewhere", public, batchagg;
SELECT * FROM each_batch('SELECT sum(qty) FROM "sa""le"') AS (batch bigint, s bigint);
SELECT line FROM explain_batches('SELECT 1 FROM "Elsewhere"."sa""le"') line LIMIT 1;
SET search_path = public, batchagg;

-- isolation levels
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*), sum(n) FROM each_batch('SELECT count(*) FROM sale', 100, 2) AS (batch bigint, n bigint);
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*), sum(n) FROM each_batch('SELECT count(*) FROM sale', 100, 2) AS (batch bigint, n bigint);
COMMIT;

-- workers that are not to be had: the leader does it
SET max_parallel_workers = 0;
SELECT count(*), sum(n) FROM each_batch('SELECT count(*) FROM sale', 100, 2) AS (batch bigint, n bigint);
RESET max_parallel_workers;

RESET client_min_messages;
DROP SCHEMA "Elsewhere" CASCADE;
DROP VIEW by_batch, northern;
DROP TABLE sale, region, summary, parts, parent, child, holes, query, other, kept, mine, few, wide, empty, childless;
DROP TYPE pair, regional;
DROP FUNCTION check_each, in_a_block, inner_batches, busy, meddle;
DROP SEQUENCE drawn;
