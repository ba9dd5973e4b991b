-- The views of jobs: who sees what, and what they say of jobs that do not run. Runs
-- under way are in test/t/079_job_views.pl.
SET client_min_messages = warning;
CREATE TABLE parcels (id int PRIMARY KEY, note text);
INSERT INTO parcels SELECT n, 'n' FROM generate_series(1, 100) n;
CREATE TABLE sent (id int);
CREATE ROLE regress_view_owner LOGIN;
CREATE ROLE regress_view_member LOGIN IN ROLE regress_view_owner;
CREATE ROLE regress_view_other LOGIN;
CREATE ROLE regress_view_monitor LOGIN IN ROLE pg_read_all_stats;
GRANT USAGE ON SCHEMA batchagg TO regress_view_owner, regress_view_member, regress_view_other, regress_view_monitor;
GRANT SELECT ON parcels TO regress_view_owner, regress_view_other;
GRANT INSERT ON sent TO regress_view_owner;
RESET client_min_messages;
SET ROLE regress_view_owner;

-- one job that did well, one with a bad key that may be skipped, one that fails for good, one that never ran
SELECT batchagg.create_job('fine', 'parcels', 'INSERT INTO sent SELECT id FROM parcels WHERE id BETWEEN $1 AND $2', batch_size => 40,
	throttle => '{"active_sessions": 1000}') IS NOT NULL AS created;
SELECT batchagg.create_job('gaps', 'parcels', 'SELECT 1 / (id - 7) FROM parcels WHERE id BETWEEN $1 AND $2', batch_size => 50, max_skipped => 1) IS NOT NULL AS created;
SELECT batchagg.create_job('wrong', 'parcels', 'SELECT 1 / (id - 7) FROM parcels WHERE id BETWEEN $1 AND $2', batch_size => 50, max_attempts => 1) IS NOT NULL AS created;
SELECT batchagg.create_job('new', 'parcels', 'SELECT $1, $2', before_command => 'SELECT 1', after_command => 'SELECT 2', statement_timeout => '1 min',
	lock_timeout => '2 s', min_batch_size => 10) IS NOT NULL AS created;
RESET ROLE;
ALTER TABLE batchagg.run ALTER id RESTART;
SET ROLE regress_view_owner;
CALL batchagg.run_job('fine');
CALL batchagg.run_job('gaps');
\set VERBOSITY terse
CALL batchagg.run_job('wrong');
CALL batchagg.run_job('wrong');
\set VERBOSITY default
SELECT batchagg.pause_job('new');

SELECT job, owner, relation, key, mode, state, last_status, batches_done, batches_failed, batches_skipped, rows_done FROM batchagg.job_status ORDER BY job;
SELECT job, last_is_full, last_duration BETWEEN '0' AND '1 minute' AS brief, last_success_at = last_finished_at AS well, failures_in_a_row, sqlstate, message, hint
FROM batchagg.job_status ORDER BY job;
SELECT job, batch_size, target_time, workers, throttle, watermark, command FROM batchagg.job_status ORDER BY job;
SELECT job, min_batch_size, max_batch_size, statement_timeout, lock_timeout, max_attempts, retry_delay, max_skipped, null_command, before_command, after_command, search_path
FROM batchagg.job_status WHERE job IN ('gaps', 'new') ORDER BY job;
-- all that a job is defined by is shown, but for numbers of its own and what stands elsewhere
SELECT attname FROM pg_attribute WHERE attrelid = 'batchagg.job'::regclass AND attnum > 0 AND NOT attisdropped
EXCEPT SELECT attname FROM pg_attribute WHERE attrelid = 'batchagg.job_status'::regclass ORDER BY 1;

SELECT job, status, null_keys, first_key, last_key, attempt, sqlstate, message, at IS NOT NULL AS dated, task_id IS NULL AS of_run
FROM batchagg.job_errors ORDER BY job, run_id, task_id NULLS LAST;
SELECT DISTINCT job, hint, context FROM batchagg.job_errors WHERE status = 'failed' ORDER BY job, hint;
-- the names that the errors of runs point to are there
SELECT count(*) FROM batchagg.job_errors WHERE hint LIKE '%batchagg.job_errors%' AND to_regclass('batchagg.job_errors') IS NULL;
SELECT count(*) FROM batchagg.progress;

-- who sees them: nobody else, but for members of the owner's role and of pg_read_all_stats
SET ROLE regress_view_other;
SELECT count(*) FROM batchagg.job_status;
SELECT count(*) FROM batchagg.job_errors;
SELECT count(*) FROM batchagg.progress;
SELECT batchagg.create_job('another', 'parcels', 'SELECT $1, $2') IS NOT NULL AS created;
SELECT job FROM batchagg.job_status;
SET ROLE regress_view_owner;
SELECT count(*), count(*) FILTER (WHERE job = 'another') FROM batchagg.job_status;
SET ROLE regress_view_member;
SELECT count(*), count(*) FILTER (WHERE job = 'another') FROM batchagg.job_status;
SELECT count(*) > 0 AS some FROM batchagg.job_errors;
SET ROLE regress_view_monitor;
SELECT count(*), count(*) FILTER (WHERE job = 'another') FROM batchagg.job_status;
SELECT count(*) > 0 AS some FROM batchagg.job_errors;
RESET ROLE;
SELECT count(*) FROM batchagg.job_status;

-- a function in the WHERE of a query must not be told of what the query will not show
SET ROLE regress_view_other;
CREATE FUNCTION pg_temp.tell(VARIADIC what text[]) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
$$ BEGIN RAISE NOTICE 'told of %', what; RETURN true; END $$;
SELECT job FROM batchagg.job_status WHERE pg_temp.tell(job, command);
SELECT job FROM batchagg.job_errors WHERE pg_temp.tell(job, message, first_key);
SELECT job FROM batchagg.progress WHERE pg_temp.tell(job, hold_reason);
-- nor an error tell
SELECT count(*) FROM batchagg.job_status WHERE job::int > 0;
-- nor do functions tell of a job by the number of a run or task
RESET ROLE;
SELECT id AS task FROM batchagg.task WHERE status = 'failed' ORDER BY id LIMIT 1 \gset
SET ROLE regress_view_other;
SELECT batchagg.cancel_run(3);
\set VERBOSITY sqlstate
SELECT batchagg.retry_task(:task);
SELECT batchagg.skip_task(:task);
\set VERBOSITY default
SET ROLE regress_view_monitor;
SELECT batchagg.cancel_run(3);
SELECT batchagg.retry_task(:task);
SELECT batchagg.skip_task(:task);
SET ROLE regress_view_other;
-- and they are for looking only
DELETE FROM batchagg.job_status;
UPDATE batchagg.job_errors SET message = '';
SELECT * FROM batchagg.job;
RESET ROLE;


SET client_min_messages = warning;
SELECT batchagg.drop_job(name) FROM batchagg.job;
ALTER TABLE batchagg.run ALTER id RESTART;
DROP TABLE parcels, sent;
DROP OWNED BY regress_view_owner, regress_view_member, regress_view_other, regress_view_monitor;
DROP ROLE regress_view_member, regress_view_owner, regress_view_other, regress_view_monitor;
