-- Privileges and row security are the caller's, and batches tell no more than the plain query
SET search_path = public, batchagg;
\set SHOW_CONTEXT never
CREATE ROLE regress_batch_owner;
CREATE ROLE regress_batch_reader;
CREATE ROLE regress_batch_other;
GRANT CREATE ON SCHEMA public TO regress_batch_owner;
GRANT USAGE ON SCHEMA public, batchagg TO regress_batch_owner, regress_batch_reader, regress_batch_other;

SET ROLE regress_batch_owner;
CREATE TABLE ledger (id int, owner text, amount int) WITH (autovacuum_enabled = off);
INSERT INTO ledger SELECT i, CASE WHEN i % 10 = 0 THEN 'reader' ELSE 'nobody' END, i FROM generate_series(1, 1000) i;
CREATE TABLE rates (owner text, rate int);
INSERT INTO rates VALUES ('reader', 2);
CREATE TABLE partial (open int, hidden int);
INSERT INTO partial SELECT i, -i FROM generate_series(1, 10) i;
CREATE VIEW ledger_view AS SELECT id, amount FROM ledger;
CREATE TABLE tree (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (100);
INSERT INTO tree SELECT i, i FROM generate_series(1, 50) i;
GRANT SELECT ON ledger_view TO regress_batch_other;
GRANT SELECT (open) ON partial TO regress_batch_reader;
GRANT SELECT ON tree TO regress_batch_reader;

-- no privilege on the table: nothing, not even how many rows there are
SET ROLE regress_batch_other;
SELECT * FROM split_batches('ledger', 100);
SELECT * FROM each_batch('SELECT count(*) FROM ledger', 100) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM ledger', 100, 0) AS (batch bigint, n bigint);
SELECT * FROM explain_batches('SELECT count(*) FROM ledger', 100);
SELECT * FROM all_batches('SELECT count(*) FROM ledger') AS (n bigint);
-- through a view the plain query and all_batches may; the batches would count what is below
SELECT count(*) FROM ledger_view WHERE id < 5;
SELECT * FROM all_batches('SELECT count(*) FROM ledger_view WHERE id < 5', 100, 1) AS (n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM ledger_view WHERE id < 5', 100) AS (batch bigint, n bigint);
SELECT * FROM explain_batches('SELECT count(*) FROM ledger_view', 100);

-- one column is enough to count, as for count(*), and no more than that
SET ROLE regress_batch_reader;
SELECT batch, row_count FROM split_batches('partial', 6);
SELECT * FROM each_batch('SELECT sum(open) FROM partial', 6, 1) AS (batch bigint, s bigint);
SELECT * FROM each_batch('SELECT sum(hidden) FROM partial', 6, 1) AS (batch bigint, s bigint);
SELECT * FROM each_batch('SELECT count(*) FROM partial WHERE hidden < 0', 6, 0) AS (batch bigint, n bigint);
-- a partitioned table: the privilege on the one that is named counts
SELECT * FROM each_batch('SELECT sum(v) FROM tree', 30, 1) AS (batch bigint, s bigint);
SELECT relation, row_count FROM split_batches('tree', 30);
SELECT * FROM split_batches('tree_1', 30);
-- what is joined is checked as well, even where there is no batch
SET ROLE regress_batch_owner;
GRANT SELECT ON ledger TO regress_batch_reader;
CREATE TABLE empty (id int, owner text);
GRANT SELECT ON empty TO regress_batch_reader;
SET ROLE regress_batch_reader;
SELECT * FROM each_batch('SELECT count(*) FROM ledger JOIN rates USING (owner)', 500, 1, 'ledger') AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT count(*) FROM empty JOIN rates USING (owner)', 500, 1, 'empty') AS (batch bigint, n bigint);

-- row security
SET ROLE regress_batch_owner;
GRANT SELECT ON rates TO regress_batch_reader;
ALTER TABLE ledger ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON ledger TO regress_batch_reader USING (owner = 'reader');
CREATE POLICY small ON ledger AS RESTRICTIVE TO regress_batch_reader USING (amount < 900);
CREATE FUNCTION snoop(text) RETURNS bool LANGUAGE plpgsql PARALLEL SAFE COST 0.0000001 AS $$
BEGIN
  IF $1 <> 'reader' THEN RAISE 'saw %', $1; END IF;
  RETURN true;
END $$;
ANALYZE ledger;
SET ROLE regress_batch_reader;
SELECT * FROM split_batches('ledger', 100);
SELECT count(*), sum(amount), min(owner), max(owner) FROM ledger;
SELECT sum(n), sum(s) FROM each_batch('SELECT count(*), sum(amount) FROM ledger', 100, 2) AS (batch bigint, n bigint, s bigint);
SELECT * FROM all_batches('SELECT count(*), sum(amount) FROM ledger', 100, 2) AS (n bigint, s bigint);
-- a function that looks is not run on hidden rows
SELECT sum(n) FROM each_batch('SELECT count(*) FROM ledger WHERE snoop(owner)', 100, 1) AS (batch bigint, n bigint);
-- batches are pages: as many before and after rows that the reader may not see are gone
CREATE TEMP TABLE before AS
SELECT batch FROM each_batch('SELECT count(*) FROM ledger', 100, 0) AS (batch bigint, n bigint);
SET ROLE regress_batch_owner;
DELETE FROM ledger WHERE owner = 'nobody' AND id < 900;
SET ROLE regress_batch_reader;
SELECT count(*) AS changed
FROM before FULL JOIN each_batch('SELECT count(*) FROM ledger', 100, 0) AS b (batch bigint, n bigint) USING (batch)
WHERE before.batch IS NULL OR b.batch IS NULL;
SELECT regexp_replace(regexp_replace(line, '  \(cost.*\)', ''), '^Batches: \d+', 'Batches: N') AS line
FROM explain_batches('SELECT count(*) FROM ledger WHERE snoop(owner)', 100) line;
-- in a join, and with row_security off
SELECT sum(n) FROM each_batch('SELECT sum(amount * rate) FROM ledger JOIN rates USING (owner)', 100, 1, 'ledger') AS (batch bigint, n bigint);
SELECT sum(amount * rate) FROM ledger JOIN rates USING (owner);
SET row_security = off;
SELECT * FROM each_batch('SELECT count(*) FROM ledger', 100, 1) AS (batch bigint, n bigint);
SELECT * FROM split_batches('ledger', 100);
RESET row_security;
-- a view of the owner shows all rows; the pages below still tell nothing
SET ROLE regress_batch_owner;
GRANT SELECT ON ledger_view TO regress_batch_reader;
SET ROLE regress_batch_reader;
SELECT sum(n) = (SELECT count(*) FROM ledger_view) AS whole
FROM each_batch('SELECT count(*) FROM ledger_view', 100, 1) AS (batch bigint, n bigint);
SELECT line LIKE 'Batches: % of about 100 rows %' AS by_pages
FROM explain_batches('SELECT count(*) FROM ledger_view', 100) line LIMIT 1;
-- the owner is not subject to it
SET ROLE regress_batch_owner;
SELECT sum(row_count) = (SELECT count(*) FROM ledger) AS whole FROM split_batches('ledger', 100);

-- inside a function of another role: that role's privileges, in workers as well
CREATE FUNCTION total() RETURNS numeric LANGUAGE sql SECURITY DEFINER SET search_path = public, batchagg AS
  'SELECT sum(s) FROM each_batch(''SELECT sum(amount) FROM ledger'', 100, 2) AS (batch bigint, s bigint)';
GRANT EXECUTE ON FUNCTION total() TO regress_batch_other;
SET ROLE regress_batch_other;
SELECT total() = sum(i) AS whole FROM generate_series(1, 1000) i WHERE i >= 900 OR i % 10 = 0;

RESET ROLE;
DROP TABLE before;
DROP OWNED BY regress_batch_owner, regress_batch_reader, regress_batch_other;
DROP ROLE regress_batch_owner, regress_batch_reader, regress_batch_other;
