-- What each_batch and its like refuse, and what they say
SET search_path = public, batchagg;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE TABLE a (id int, x int);
CREATE TABLE b (id int, y int);
CREATE TABLE p (id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
INSERT INTO a SELECT i, i FROM generate_series(1, 10) i;
INSERT INTO b SELECT i, i FROM generate_series(1, 10) i;
INSERT INTO p VALUES (1);
CREATE VIEW v AS SELECT a.id, y FROM a JOIN b USING (id);
CREATE VIEW u AS SELECT * FROM a UNION ALL SELECT * FROM b;

-- arguments
SELECT * FROM each_batch(NULL) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a', 0) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a', -5) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a', workers => -1) AS (batch bigint, n bigint);
SELECT * FROM each_batch_as(NULL::a, NULL);
SELECT * FROM all_batches(NULL) AS (n bigint);
SELECT * FROM all_batches('SELECT count(*) FROM a', 0) AS (n bigint);
SELECT * FROM all_batches('SELECT count(*) FROM a', 1, -1) AS (n bigint);
SELECT * FROM explain_batches(NULL);
SELECT * FROM explain_batches('SELECT count(*) FROM a', 0);

-- no query, more than one, not one that only reads
SELECT * FROM each_batch('') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT 1; SELECT 2') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELEKT 1') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT no_such_column FROM a') AS (batch bigint, n bigint);
SELECT * FROM each_batch('INSERT INTO a VALUES (1) RETURNING id') AS (batch bigint, n int);
SELECT * FROM each_batch('UPDATE a SET x = 1') AS (batch bigint, n int);
SELECT * FROM each_batch('CREATE TABLE c ()') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT * INTO c FROM a') AS (batch bigint, n int, x int);
SELECT * FROM each_batch('WITH d AS (DELETE FROM a RETURNING id) SELECT * FROM d') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT id FROM a FOR UPDATE') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT id FROM (SELECT id FROM a FOR SHARE) s') AS (batch bigint, n int);
SELECT * FROM each_batch('EXPLAIN SELECT id FROM a') AS (batch bigint, line text);
SELECT * FROM all_batches('DELETE FROM a RETURNING id') AS (n int);
SELECT * FROM all_batches('SELECT id FROM a FOR UPDATE') AS (n int);
SELECT count(*) FROM a;

-- parameters that do not fit
SELECT * FROM each_batch('SELECT count(*) FROM a WHERE id = $1') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a', params => ARRAY['1']) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a WHERE id = $1', params => ARRAY['one']) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a WHERE id = $2', params => ARRAY['1', '2']) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a WHERE id = $1', params => ARRAY[['1']]) AS (batch bigint, n bigint);
SELECT * FROM all_batches('SELECT count(*) FROM a WHERE id = $1') AS (n bigint);

-- columns that do not fit
SELECT * FROM each_batch('SELECT id, x::numeric(5,2) AS "X y" FROM a') AS (batch bigint, id int);
SELECT * FROM each_batch('SELECT id, x FROM a') AS (batch int, id int, x int);
SELECT * FROM each_batch('SELECT id, x FROM a') AS (batch bigint, id int, x bigint);
SELECT * FROM each_batch('SELECT x::numeric FROM a') AS (batch bigint, x numeric(3,1));
SELECT * FROM each_batch('SELECT x::text FROM a') AS (batch bigint, x varchar(1));
SELECT * FROM each_batch_as(NULL::a, 'SELECT id, x FROM a');
SELECT * FROM each_batch_as(1, 'SELECT id, x FROM a');
SELECT * FROM each_batch_as(NULL::record, 'SELECT id, x FROM a') AS (batch bigint, id int, x int);
SELECT each_batch('SELECT id, x FROM a');
SELECT * FROM each_batch('SELECT id, x FROM a');
SELECT * FROM all_batches('SELECT id, x FROM a') AS (id int);
SELECT * FROM all_batches_as(NULL::b, 'SELECT id FROM a');

-- which table is cut
SELECT * FROM each_batch('SELECT 1') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT i FROM generate_series(1, 3) i') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT count(*) FROM a JOIN b USING (id)') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a JOIN b USING (id)', driving_table => 'p') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM v') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM v', driving_table => 'v') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM v', driving_table => 'a', workers => 0) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a JOIN a AS other USING (id)') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM a WHERE x > (SELECT avg(x) FROM a)') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM p JOIN p1 USING (id)', driving_table => 'p') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM p JOIN p1 USING (id)', driving_table => 'p1') AS (batch bigint, n bigint);

-- where it stands
SELECT * FROM each_batch('SELECT id FROM a LIMIT 1') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT id FROM (SELECT id FROM a OFFSET 1) s') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT id FROM a UNION ALL SELECT 1') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT id FROM u', driving_table => 'a') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT 1 WHERE EXISTS (SELECT FROM a)') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT (SELECT max(id) FROM a)') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT b.id FROM b GROUP BY b.id, (SELECT max(id) FROM a)', driving_table => 'a') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT i FROM generate_series(1, (SELECT count(*) FROM a)) i') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT b.id FROM b LEFT JOIN a USING (id)', driving_table => 'a') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT b.id FROM a RIGHT JOIN b USING (id)', driving_table => 'a') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT b.id FROM a FULL JOIN b USING (id)', driving_table => 'a') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT b.id FROM b LEFT JOIN LATERAL (SELECT id FROM a WHERE a.id = b.id) s ON true', driving_table => 'a') AS (batch bigint, n int);
SELECT * FROM each_batch('WITH c AS (SELECT id FROM a) SELECT c.id FROM c JOIN c d USING (id)') AS (batch bigint, n int);
SELECT * FROM each_batch('WITH RECURSIVE c AS (SELECT id FROM a UNION SELECT id + 1 FROM c WHERE id < 5) SELECT id FROM c') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT id FROM a TABLESAMPLE SYSTEM (50)') AS (batch bigint, n int);

-- a function whose body, built into the query, reads the table as well
CREATE FUNCTION all_of_a() RETURNS SETOF a LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT * FROM a';
SELECT * FROM each_batch('SELECT count(*) FROM a JOIN all_of_a() f USING (id)') AS (batch bigint, n bigint);

-- what workers must not run, and how it runs all the same
CREATE SEQUENCE s;
CREATE FUNCTION unsafe(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN i; END';
CREATE FUNCTION restricted(i int) RETURNS int LANGUAGE plpgsql PARALLEL RESTRICTED AS 'BEGIN RETURN i; END';
CREATE DOMAIN small AS int CHECK (VALUE < 100);
SELECT * FROM each_batch('SELECT max(unsafe(id)) FROM a') AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT max(unsafe(id)) FROM a', workers => 0) AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT max(id) FROM a WHERE restricted(id) > 2', workers => 1) AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT max(nextval(''s'')) FROM a', workers => 1) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT max(id::small) FROM a', workers => 1) AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT max(id::small) FROM a', workers => 0) AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT max(id) FROM (SELECT unsafe(id) AS id FROM a) q', workers => 1) AS (batch bigint, n int);

-- errors while it runs come whole, from workers as well
CREATE FUNCTION fail(i int) RETURNS int LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
  IF i = 7 THEN RAISE 'seven' USING ERRCODE = 'BA007', DETAIL = 'a detail', HINT = 'a hint'; END IF;
  RETURN i;
END $$;
SELECT * FROM each_batch('SELECT fail(id) FROM a', 3, 0) AS (batch bigint, n int);
SELECT * FROM each_batch('SELECT fail(id) FROM a', 3, 2) AS (batch bigint, n int);
DO $$
DECLARE state text; context text;
BEGIN
  PERFORM * FROM each_batch('SELECT fail(id) FROM a', 3, 0) AS (batch bigint, n int);
EXCEPTION WHEN SQLSTATE 'BA007' THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, context = PG_EXCEPTION_CONTEXT;
  RAISE NOTICE '% %', state, substring(context FROM 'batch.*table "a"');
END $$;

-- the classes of errors
CREATE FUNCTION state_of(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'SELECT * FROM ' || call;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
SELECT call, state_of(call) FROM unnest(ARRAY[
  $$each_batch(NULL) AS (batch bigint)$$,
  $$each_batch('SELECT id FROM a', 0) AS (batch bigint, id int)$$,
  $$each_batch('SELECT id FROM a', workers => -1) AS (batch bigint, id int)$$,
  $$each_batch('') AS (batch bigint)$$,
  $$each_batch('DELETE FROM a') AS (batch bigint)$$,
  $$each_batch('SELECT id FROM a FOR UPDATE') AS (batch bigint, id int)$$,
  $$each_batch('SELECT id FROM a WHERE id = $1') AS (batch bigint, id int)$$,
  $$each_batch('SELECT id FROM a') AS (batch bigint)$$,
  $$each_batch_as(1, 'SELECT id FROM a')$$,
  $$each_batch('SELECT 1') AS (batch bigint, id int)$$,
  $$each_batch('SELECT id FROM a, b') AS (batch bigint, id int)$$,
  $$each_batch('SELECT a.id FROM a, b', driving_table => 'a') AS (batch bigint, id int)$$,
  $$each_batch('SELECT a.id FROM a, b', driving_table => 'p') AS (batch bigint, id int)$$,
  $$each_batch('SELECT id FROM a LIMIT 1') AS (batch bigint, id int)$$,
  $$each_batch('SELECT unsafe(id) FROM a', workers => 1) AS (batch bigint, id int)$$,
  $$split_batches('a', 0)$$,
  $$split_batches('u', 1)$$
]) call;

DROP VIEW u, v;
DROP FUNCTION all_of_a, unsafe, restricted, fail, state_of;
DROP TABLE a, b, p;
DROP SEQUENCE s;
DROP DOMAIN small;
