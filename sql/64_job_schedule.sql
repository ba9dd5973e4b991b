
-- Schedules, which pg_cron keeps and follows.

CREATE FUNCTION schedule_job(name text, schedule text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_schedule_job'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION schedule_job(text, text) IS
'has pg_cron start a job as its owner, instead of by the schedule it had; returns the number that pg_cron gives it';

CREATE FUNCTION unschedule_job(name text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'batchagg_unschedule_job'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION unschedule_job(text) IS
'takes a job''s schedule away from pg_cron; false if there was none';
