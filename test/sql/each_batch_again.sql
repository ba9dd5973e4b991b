-- each_batch: plans that one start of the executor serves, run again for each batch
SET search_path = public, batchagg;
SET jit = off;

CREATE TABLE item (id int, region text, day date, qty int, price numeric(10,2));
INSERT INTO item
SELECT i, (ARRAY['north', 'south', 'east', 'west'])[1 + i % 4], DATE '2024-01-01' + i % 30, i % 17, i * 0.25
FROM generate_series(1, 6000) i;
DELETE FROM item WHERE id BETWEEN 1000 AND 1900 OR id % 11 = 0;
UPDATE item SET qty = NULL WHERE id % 5 = 0;
ANALYZE item;

-- The oracle: the query over each range of split_batches. {w} stands for the condition.
CREATE FUNCTION check_again(query text, size bigint, nworkers int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  differences int;
  found int;
BEGIN
  CREATE TEMP TABLE wanted (batch bigint, k text, n bigint, s numeric, m text);
  EXECUTE (SELECT string_agg(format('INSERT INTO wanted SELECT %s, q.* FROM (%s) q', batch,
                                    replace(query, '{w}', format('ctid BETWEEN %L AND %L', first_tid, last_tid))), ';')
           FROM split_batches('item', size));
  CREATE TEMP TABLE found AS
  SELECT * FROM each_batch(replace(query, '{w}', 'true'), size, nworkers)
      AS (batch bigint, k text, n bigint, s numeric, m text);
  SELECT count(*) INTO differences
  FROM ((TABLE wanted EXCEPT ALL TABLE found) UNION ALL (TABLE found EXCEPT ALL TABLE wanted)) d;
  SELECT count(*) INTO found FROM found;
  DROP TABLE wanted, found;
  IF differences > 0 THEN
    RAISE '% rows differ', differences;
  END IF;
  RETURN found;
END $$;

CREATE TABLE query (nr int GENERATED ALWAYS AS IDENTITY, query text);
INSERT INTO query (query) VALUES
  ('SELECT NULL::text, count(*), sum(price), max(region) FROM item WHERE {w}'),
  ('SELECT region, count(*), sum(price), min(day)::text FROM item WHERE {w} GROUP BY region'),
  ('SELECT region, count(DISTINCT qty), sum(DISTINCT price), string_agg(DISTINCT day::text, '','' ORDER BY day::text)
    FROM item WHERE {w} GROUP BY region ORDER BY region'),
  ('SELECT region, grouping(region, day)::bigint, sum(price), day::text FROM item WHERE {w} GROUP BY CUBE (region, day)'),
  ('SELECT region, grouping(region, day)::bigint, sum(price), day::text FROM item WHERE {w} GROUP BY GROUPING SETS ((region), (day), ())'),
  ('SELECT id::text, qty::bigint, price, day::text FROM item WHERE {w} ORDER BY price DESC, id'),
  ('SELECT qty::text, count(*), sum(price), max(region) FROM item WHERE {w} GROUP BY qty HAVING count(*) > 2 ORDER BY 2, 1'),
  ('SELECT region, count(*), sum(price), NULL::text FROM item WHERE {w} AND id > 5500 GROUP BY region'),
  ('SELECT NULL::text, count(*), sum(price), NULL::text FROM item WHERE {w} AND id BETWEEN 800 AND 2500'),
  ('SELECT id::text, count(*), sum(price), max(region) FROM item WHERE {w} GROUP BY id'),
  ('SELECT region, count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY price), (array_agg(id ORDER BY id DESC))[1]::text
    FROM item WHERE {w} GROUP BY region'),
  ('SELECT region, num_vals(stats_agg(price::float8)), exact_sum(price::float8)::numeric, stats_agg(qty)::text
    FROM item WHERE {w} GROUP BY region');

-- nothing but aggregates, sorts and the scan
SELECT nr, line
FROM query, explain_batches(replace(query, '{w}', 'true'), 500) line
WHERE line LIKE '%(cost%' AND line !~ '(Aggregate|Sort|Tid Range Scan on item|Custom Scan .BatchAgg. on item)  \(';

CREATE VIEW checks AS
SELECT nr, sum(check_again(query, size, workers)) AS rows
FROM query, (VALUES (100000, 0), (500, 0), (500, 2), (333, 1)) v (size, workers)
GROUP BY nr ORDER BY nr;
TABLE checks;
CREATE TEMP TABLE expected AS TABLE checks;

-- the same rows by other plans, spilling, and compiled
SET enable_hashagg = off;
TABLE checks EXCEPT TABLE expected;
RESET enable_hashagg;
SET enable_sort = off;
TABLE checks EXCEPT TABLE expected;
RESET enable_sort;
SET work_mem = '64kB';
SET hash_mem_multiplier = 1;
TABLE checks EXCEPT TABLE expected;
RESET work_mem;
RESET hash_mem_multiplier;
SET jit = on;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;
SELECT nr, sum(check_again(query, 500, workers)) AS rows
FROM query, generate_series(0, 1) AS workers WHERE nr IN (2, 5) GROUP BY nr ORDER BY nr;
SET jit = off;
RESET jit_above_cost;
RESET jit_inline_above_cost;
RESET jit_optimize_above_cost;

-- an error in a later batch, and a row that changes nothing after it
SELECT * FROM each_batch('SELECT sum(1 / (id - 3001)) FROM item', 1000, 0) AS (batch bigint, n bigint);
SELECT * FROM each_batch('SELECT sum(id) FROM item', 2000, 0) AS (batch bigint, n bigint);

DROP VIEW checks;
DROP TABLE item, query;
DROP FUNCTION check_again;
