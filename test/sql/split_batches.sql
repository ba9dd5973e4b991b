-- split_batches: which rows are in which batch
SET search_path = public, batchagg;

-- What must hold for any table: batches are numbered 1, 2, ... and in order; each holds as many
-- rows as it says; all but a leaf's last hold batch_size; all rows are in one.
CREATE FUNCTION check_split(rel regclass, size bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  b record;
  n bigint;
  whole bigint;
  counted bigint := 0;
  number bigint := 0;
  before record;
  lasts bigint := 0;
BEGIN
  FOR b IN SELECT * FROM split_batches(rel, size) LOOP
    number := number + 1;
    ASSERT b.batch = number, 'number';
    EXECUTE format('SELECT count(*) FROM ONLY %s WHERE ctid BETWEEN $1 AND $2', b.relation)
      INTO n USING b.first_tid, b.last_tid;
    ASSERT n = b.row_count AND n BETWEEN 1 AND size, 'count';
    IF number > 1 THEN
      IF before.relation = b.relation THEN
        ASSERT before.last_tid < b.first_tid, 'order';
        ASSERT before.row_count = size, 'full';
      END IF;
    END IF;
    before := b;
    counted := counted + n;
  END LOOP;
  EXECUTE format('SELECT count(*) FROM %s', rel) INTO whole;
  ASSERT counted = whole, 'whole';
  RETURN format('%s batches, %s rows', number, counted);
END $$;

-- sizes around the ends of pages; a page holds 226 of these rows
CREATE TABLE plain (n int);
INSERT INTO plain SELECT generate_series(1, 1000);
SELECT * FROM split_batches('plain', 226);
SELECT * FROM split_batches('plain', 227);
SELECT size, check_split('plain', size)
FROM unnest(ARRAY[1, 2, 99, 225, 226, 227, 999, 1000, 1001, 1e12, 9223372036854775807]::bigint[]) size;

-- holes: pages with nothing visible at the start, in the middle, at the end
DELETE FROM plain WHERE n <= 300 OR n BETWEEN 450 AND 700 OR n > 890;
SELECT * FROM split_batches('plain', 100);
SELECT size, check_split('plain', size) FROM unnest(ARRAY[1, 50, 150, 339, 340]) size;
UPDATE plain SET n = n + 1 WHERE n % 3 = 0;
SELECT size, check_split('plain', size) FROM unnest(ARRAY[1, 50, 150, 339, 340]) size;

-- the caller's own rows of now, also under a savepoint and back
BEGIN;
INSERT INTO plain SELECT generate_series(1, 500);
SELECT check_split('plain', 100);
SAVEPOINT s;
DELETE FROM plain;
SELECT check_split('plain', 100);
ROLLBACK TO s;
SELECT check_split('plain', 100);
ROLLBACK;
SELECT check_split('plain', 100);

-- all visible
VACUUM plain;
SELECT check_split('plain', 100);

-- random tables, as dead rows happen to lie
SELECT setseed(0.42);
CREATE TABLE holes (id int, pad text);
INSERT INTO holes SELECT i, repeat('x', (random() * 300)::int) FROM generate_series(1, 3000) i;
DO $$
BEGIN
  FOR i IN 1 .. 12 LOOP
    DELETE FROM holes WHERE random() < 0.2;
    UPDATE holes SET pad = repeat('y', (random() * 300)::int) WHERE random() < 0.2;
    IF i % 5 = 0 THEN
      INSERT INTO holes SELECT j, 'z' FROM generate_series(1, 500) j;
    END IF;
    PERFORM check_split('holes', 1 + (random() * 400)::int);
  END LOOP;
END $$;

-- empty, never written, no columns
CREATE TABLE empty (n int);
SELECT * FROM split_batches('empty', 10);
INSERT INTO empty VALUES (1);
DELETE FROM empty;
SELECT * FROM split_batches('empty', 10);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
SELECT * FROM split_batches('nothing', 1);

-- what else holds rows: unlogged, temporary, a materialized view, a catalog
CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 10) AS n;
SELECT check_split('unlogged', 4);
CREATE TEMP TABLE temporary AS SELECT generate_series(1, 10) AS n;
SELECT check_split('temporary', 4);
CREATE MATERIALIZED VIEW materialized AS SELECT generate_series(1, 10) AS n;
SELECT check_split('materialized', 4);
SELECT sum(row_count) = (SELECT count(*) FROM pg_proc) AS whole FROM split_batches('pg_proc', 100);

-- partitioned: numbers run on through the leaves, each leaf ends a batch
CREATE TABLE parts (n int, t text) PARTITION BY RANGE (n);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200) PARTITION BY LIST (t);
CREATE TABLE parts_2a PARTITION OF parts_2 FOR VALUES IN ('a');
CREATE TABLE parts_2b PARTITION OF parts_2 FOR VALUES IN ('b');
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (200) TO (300);
INSERT INTO parts SELECT i, CASE WHEN i % 4 = 0 THEN 'a' ELSE 'b' END FROM generate_series(0, 199) i;
SELECT * FROM split_batches('parts', 40);
SELECT check_split('parts', 7);
SELECT * FROM split_batches('parts_2', 1000);

-- inheritance: the parent holds rows as well
CREATE TABLE parent (n int);
CREATE TABLE child (m int) INHERITS (parent);
INSERT INTO parent SELECT generate_series(1, 5);
INSERT INTO child SELECT i, i FROM generate_series(1, 5) i;
SELECT * FROM split_batches('parent', 3);

-- the setting is used for NULL
SET batchagg.batch_size = 60;
SELECT batch, row_count FROM split_batches('unlogged');
SELECT batch, row_count FROM split_batches('parts', NULL);
RESET batchagg.batch_size;

-- arguments
SELECT * FROM split_batches('plain', 0);
SELECT * FROM split_batches('plain', -1);
SELECT * FROM split_batches(NULL, 10);
SELECT * FROM split_batches('no_such_table', 10);

-- what has no heap to cut
CREATE VIEW seen AS SELECT * FROM plain;
SELECT * FROM split_batches('seen', 10);
CREATE SEQUENCE counter;
SELECT * FROM split_batches('counter', 10);
CREATE INDEX plain_n ON plain (n);
SELECT * FROM split_batches('plain_n', 10);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE distant (n int, t text) SERVER far;
SELECT * FROM split_batches('distant', 10);
ALTER TABLE parts ATTACH PARTITION distant FOR VALUES FROM (300) TO (400);
SELECT * FROM split_batches('parts', 10);
CREATE MATERIALIZED VIEW unpopulated AS SELECT 1 WITH NO DATA;
SELECT * FROM split_batches('unpopulated', 10);

DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP TABLE plain, holes, empty, nothing, unlogged, temporary, parts, parent CASCADE;
DROP MATERIALIZED VIEW materialized, unpopulated;
DROP SEQUENCE counter;
DROP FUNCTION check_split;
