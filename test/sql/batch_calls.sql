-- Functions called again and again: in a loop, and for each row of another table.
CREATE TABLE called AS SELECT n, n % 3 AS g FROM generate_series(1, 3000) AS n;
VACUUM ANALYZE called;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;

-- rows that nobody reads, from a plan with workers
DO $$
BEGIN
	FOR i IN 1..20 LOOP
		EXECUTE $q$SELECT * FROM batchagg.all_batches('SELECT g, count(*) FROM called GROUP BY g')
			AS (g int, n bigint)$q$;
		EXECUTE $q$SELECT * FROM batchagg.each_batch('SELECT g, count(*) FROM called GROUP BY g', 500)
			AS (batch bigint, g int, n bigint)$q$;
	END LOOP;
END $$;

-- once for each row of another table
SELECT g, s.*
FROM generate_series(0, 2) AS g,
     batchagg.all_batches('SELECT count(*), sum(n) FROM called WHERE g = $1', params => ARRAY[g::text])
         AS s (n bigint, sum bigint)
ORDER BY g;

SELECT g, s.*
FROM generate_series(0, 2) AS g,
     batchagg.each_batch('SELECT count(*), sum(n) FROM called WHERE g = $1', 1500, params => ARRAY[g::text])
         AS s (batch bigint, n bigint, sum bigint)
ORDER BY g, batch;

SELECT s.*
FROM generate_series(0, 2) AS i,
     batchagg.all_batches_as(NULL::called, 'SELECT * FROM called WHERE g = $1 ORDER BY n LIMIT 1',
                             params => ARRAY[i::text]) AS s
ORDER BY i;

-- not in FROM

SELECT batchagg.all_batches_as(NULL::called, 'SELECT * FROM called WHERE n = 7');

DROP TABLE called;
