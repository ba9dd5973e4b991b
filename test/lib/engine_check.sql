-- For tests of the engine: engine_check runs a query with the engine forced and without it. It
-- tells which plan the former had, whether the two answers are the same, errors included,
-- and the answer.
CREATE FUNCTION pg_temp.engine_answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE format('SELECT string_agg(q::text, '' '' ORDER BY q::text COLLATE "C") FROM (%s) AS q', query) INTO answer;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;

CREATE FUNCTION pg_temp.engine_check(query text, OUT run_by text, OUT same boolean, OUT answer text) LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	PERFORM set_config('batchagg.enabled', 'on', false), set_config('batchagg.debug_force_engine', 'on', false);
	run_by := 'core';
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'Custom Scan \(Batch(Agg|Scan)\)' THEN
			run_by := 'engine';
		END IF;
	END LOOP;
	answer := pg_temp.engine_answer(query);
	PERFORM set_config('batchagg.enabled', 'off', false);
	same := answer IS NOT DISTINCT FROM pg_temp.engine_answer(query);
	PERFORM set_config('batchagg.enabled', 'on', false);
END $$;
