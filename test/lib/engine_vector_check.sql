-- For tests of the engine's expressions, on top of engine_check.sql.

-- How many rows of the engine's went through core's expression code.
CREATE FUNCTION pg_temp.rows_by_core(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	line text;
	result int := 0;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', false);
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		result := result + coalesce(substring(line FROM 'Rows Evaluated by Core: (\d+)')::int, 0);
	END LOOP;
	RETURN result;
END $$;

-- Whether a query has one answer, for errors that the planner raises already.
CREATE FUNCTION pg_temp.is_same(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	ours text;
	theirs text;
BEGIN
	PERFORM set_config('batchagg.debug_force_engine', 'on', false);
	ours := pg_temp.engine_answer(query);
	PERFORM set_config('batchagg.enabled', 'off', false);
	theirs := pg_temp.engine_answer(query);
	PERFORM set_config('batchagg.enabled', 'on', false);
	RETURN ours IS NOT DISTINCT FROM theirs;
END $$;

-- Each expression is the key of a grouping; of those in one call, tells what is not as it should be:
-- one answer by both, from the engine's own code.
CREATE FUNCTION pg_temp.check_keys(relation text, VARIADIC expressions text[],
	OUT expression text, OUT run_by text, OUT same boolean, OUT by_core int) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	query text;
BEGIN
	FOREACH expression IN ARRAY expressions LOOP
		query := format('SELECT %s AS k, count(*), sum(i) FROM %s GROUP BY 1', expression, relation);
		SELECT c.run_by, c.same INTO run_by, same FROM pg_temp.engine_check(query) AS c;
		by_core := pg_temp.rows_by_core(query);
		IF run_by <> 'engine' OR NOT same OR by_core <> 0 THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;

-- The same for the six comparisons of each two operands.
CREATE FUNCTION pg_temp.check_comparisons(relation text, VARIADIC operands text[],
	OUT expression text, OUT run_by text, OUT same boolean, OUT by_core int) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT c.* FROM unnest('{=,<>,<,<=,>=,>}'::text[]) AS o, generate_series(1, cardinality(operands), 2) AS n,
		pg_temp.check_keys(relation, format('%s %s %s', operands[n], o, operands[n + 1])) AS c
$$;
