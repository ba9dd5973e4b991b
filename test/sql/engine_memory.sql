-- Long values in the engine: what is held at a time stays within hash_mem and a constant,
-- however much a whole vector of them would be.
LOAD 'batchagg';
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET work_mem = '2MB';
SET hash_mem_multiplier = 1;
CREATE SCHEMA engine_memory;
SET search_path = engine_memory;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set ECHO all

-- sixty rows on a page or two, with 30 MB out of line: 500 kB each, one of 3 MB
CREATE TABLE long_values (id int, k int, body text COLLATE "C", words text[], short text);
INSERT INTO long_values
SELECT i, i % 4, repeat(md5(i::text), CASE i WHEN 50 THEN 100000 ELSE 16000 END),
	ARRAY[repeat(md5((i % 7)::text), 16000)], CASE WHEN i % 10 <> 0 THEN 'short ' || i END
FROM generate_series(1, 60) AS i;
INSERT INTO long_values VALUES (101, 1, NULL, NULL, NULL), (102, 2, '', '{}', 'x');
ANALYZE long_values;

-- What a query takes in the engine, in megabytes: the session, seen by max(megabytes(id)) AS m, which
-- comes last, so that the keys and arguments of the same rows are held; and the engine's groups.
CREATE FUNCTION megabytes(int) RETURNS numeric STABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT sum(total_bytes) / 1024 / 1024 FROM pg_backend_memory_contexts);
END $$;
CREATE FUNCTION find_batchagg(plan json) RETURNS json LANGUAGE sql AS $$
	WITH RECURSIVE nodes AS (
		SELECT plan AS node
		UNION ALL
		SELECT json_array_elements(node -> 'Plans') FROM nodes
	)
	SELECT node FROM nodes WHERE node ->> 'Custom Plan Provider' = 'BatchAgg'
$$;
CREATE FUNCTION memory(query text, OUT run_by text, OUT session text, OUT groups text, OUT flushed boolean)
LANGUAGE plpgsql AS $$
DECLARE
	before numeric;
	during numeric;
	plan json;
	node json;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', true);
	EXECUTE format('EXPLAIN (ANALYZE, FORMAT JSON) %s', query) INTO plan;
	node := find_batchagg(plan -> 0 -> 'Plan');
	run_by := CASE WHEN node IS NULL THEN 'core' ELSE 'engine' END;
	groups := CASE WHEN (node ->> 'Peak Memory')::numeric < 12 * 1024 THEN 'bounded' ELSE node ->> 'Peak Memory' END;
	flushed := (node ->> 'Flushes')::int > 0;
	before := megabytes(0);
	-- all of q, or the planner would drop the columns that are not used
	EXECUTE format('SELECT max(m) FROM (%s OFFSET 0) AS q HAVING count(q) >= 0', query) INTO during;
	session := CASE WHEN during - before < 20 THEN 'bounded' ELSE (during - before)::text END;
END $$;
\set m ', max(megabytes(id)) AS m FROM long_values '

-- long keys, stored and computed: by core's code, by functions called for vectors, in branches
SELECT * FROM memory('SELECT md5(min(body)), count(*)' || :'m' || 'GROUP BY body');
SELECT * FROM memory('SELECT count(*)' || :'m' || 'GROUP BY upper(body)');
SELECT * FROM memory('SELECT count(*)' || :'m' || 'GROUP BY body || short, k');
SELECT * FROM memory('SELECT count(*)' || :'m' || 'GROUP BY CASE WHEN k > 0 THEN upper(body) ELSE short END');

-- long arguments: the value of one group, of few, of many
SELECT * FROM memory('SELECT max(upper(body))' || :'m');
SELECT * FROM memory('SELECT k, min(coalesce(short || body, body)), max(body || id)' || :'m' || 'GROUP BY k');
SELECT * FROM memory('SELECT id, max(body), min(body)' || :'m' || 'GROUP BY id');
SELECT * FROM memory('SELECT id, max(words), min(upper(body)) FILTER (WHERE k > 1)' || :'m' || 'GROUP BY id');
SELECT * FROM memory('SELECT id, max(repeat(''a'', 500000))' || :'m' || 'GROUP BY id');
SELECT * FROM memory('SELECT count(upper(body)), count(body)' || :'m');

-- conditions on long values
SELECT * FROM memory('SELECT count(*)' || :'m' || 'WHERE lower(upper(body)) < ''5''');
SELECT * FROM memory('SELECT count(*)' || :'m' || 'WHERE body NOT IN (''a'', ''b'', ''c'', ''d'', ''e'', ''f'', ''g'', ''h'', ''i'', ''j'')');

-- the answers are core's
SELECT run_by, same FROM pg_temp.engine_check('SELECT md5(min(body)), count(*), sum(id), min(short) FROM long_values GROUP BY body');
SELECT run_by, same FROM pg_temp.engine_check('SELECT count(*), sum(id), max(k) FROM long_values GROUP BY upper(body)');
SELECT run_by, same FROM pg_temp.engine_check('SELECT k, count(*), sum(id), md5(max(body)) FROM long_values GROUP BY body || short, k');
SELECT run_by, same FROM pg_temp.engine_check('SELECT count(*), sum(id), md5(min(body)) FROM long_values GROUP BY CASE WHEN k > 0 THEN upper(body) ELSE short END');
SELECT run_by, same FROM pg_temp.engine_check('SELECT k, md5(max(upper(body))), md5(min(coalesce(short || body, body))), md5(max(body || id)), count(short), sum(id), max(short) FROM long_values GROUP BY k');
SELECT run_by, same FROM pg_temp.engine_check('SELECT id, md5(max(words)::text), md5(min(upper(body)) FILTER (WHERE k > 1)), count(body), count(upper(body)) FROM long_values GROUP BY id');
SELECT run_by, same FROM pg_temp.engine_check('SELECT md5(max(upper(body))), md5(min(body)), count(upper(body)), count(body), sum(id) FROM long_values WHERE id <> 50');
SELECT run_by, same, answer FROM pg_temp.engine_check('SELECT sum(id), count(*) FROM long_values WHERE body NOT IN (''a'', ''b'', ''c'', ''d'', ''e'', ''f'', ''g'', ''h'', '''')');
SELECT run_by, same, answer FROM pg_temp.engine_check('SELECT sum(id), count(*) FROM long_values WHERE body = ANY (ARRAY(SELECT body FROM long_values WHERE id < 20))');
SELECT run_by, same FROM pg_temp.engine_check('SELECT a.n, s.* FROM generate_series(1, 3) AS a(n), LATERAL (SELECT md5(max(upper(body))), count(*), sum(id) FROM long_values WHERE k < a.n) AS s');
SELECT run_by, same FROM pg_temp.engine_check('SELECT a.n, s.* FROM generate_series(1, 3) AS a(n), LATERAL (SELECT count(*) AS c, sum(id) FROM long_values WHERE k < a.n GROUP BY body ORDER BY 2 LIMIT 5) AS s');

DROP TABLE long_values;
DROP FUNCTION memory, find_batchagg, megabytes;
DROP SCHEMA engine_memory;
