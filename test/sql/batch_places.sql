-- The places a set-returning function of batches may be called from.
CREATE TABLE calls_t AS SELECT n FROM generate_series(1, 6) AS n;

-- once per outer row: the same function is run again, with other arguments
SELECT size, batch, first, last
FROM generate_series(2, 4) AS size,
     LATERAL batchagg.each_batch('SELECT min(n), max(n) FROM calls_t', size) AS (batch bigint, first int, last int)
ORDER BY size, batch;
SELECT w, n
FROM generate_series(0, 2) AS w,
     LATERAL batchagg.all_batches('SELECT sum(n) FROM calls_t', workers => w) AS (n bigint)
ORDER BY w;

-- in the select list
SELECT batchagg.split_batches('calls_t', 4);
CREATE TYPE calls_row AS (batch bigint, total bigint);
SELECT batchagg.each_batch_as(NULL::calls_row, 'SELECT sum(n) FROM calls_t', 4);

-- writing elsewhere, with and without workers
CREATE TABLE calls_sums (batch bigint, total bigint);
INSERT INTO calls_sums
SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM calls_t', 4, 0) AS (batch bigint, total bigint);
INSERT INTO calls_sums
SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM calls_t', 4, 2) AS (batch bigint, total bigint);
INSERT INTO calls_sums
SELECT 0, total FROM batchagg.all_batches('SELECT sum(n) FROM calls_t', workers => 2) AS (total bigint);
SELECT * FROM calls_sums;

-- a prepared statement, run more often than it takes to get a generic plan
PREPARE calls_p(bigint) AS
SELECT count(*), sum(total) FROM batchagg.each_batch('SELECT sum(n) FROM calls_t', $1) AS (batch bigint, total bigint);
EXECUTE calls_p(1);
EXECUTE calls_p(2);
EXECUTE calls_p(3);
EXECUTE calls_p(4);
EXECUTE calls_p(5);
EXECUTE calls_p(6);
EXECUTE calls_p(7);

-- a cursor that stops early
BEGIN;
DECLARE calls_c CURSOR FOR
SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM calls_t', 2) AS (batch bigint, total bigint);
FETCH 1 FROM calls_c;
CLOSE calls_c;
COMMIT;

DROP TABLE calls_t, calls_sums;
DROP TYPE calls_row;
