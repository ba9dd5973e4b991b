-- The thousand-number example: 1000 integers in 10 batches give 10 sums that add up to the whole.
CREATE TABLE numbers (n int);
INSERT INTO numbers SELECT generate_series(1, 1000);

SELECT * FROM batchagg.split_batches('numbers', 100);

SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => 100)
  AS (batch bigint, sum bigint);

-- the whole, three ways
SELECT sum(sum) AS of_the_sums
FROM batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => 100)
  AS (batch bigint, sum bigint);
SELECT * FROM batchagg.all_batches('SELECT sum(n) FROM numbers', batch_size => 100)
  AS (sum bigint);
SELECT sum(n) FROM numbers;

DROP TABLE numbers;
