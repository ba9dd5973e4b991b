-- Jobs: what people call. A job's name is its handle; a run and a task have numbers.

CREATE FUNCTION create_job(
	name text,
	relation regclass,
	command text,
	key name DEFAULT NULL,
	batch_size bigint DEFAULT NULL,
	mode text DEFAULT 'once',
	workers int DEFAULT 1,
	target_time interval DEFAULT NULL,
	min_batch_size bigint DEFAULT 1,
	max_batch_size bigint DEFAULT 100000000,
	null_command text DEFAULT NULL,
	before_command text DEFAULT NULL,
	after_command text DEFAULT NULL,
	statement_timeout interval DEFAULT NULL,
	lock_timeout interval DEFAULT NULL,
	max_attempts int DEFAULT 5,
	retry_delay interval DEFAULT '1 second',
	max_skipped bigint DEFAULT 0,
	throttle jsonb DEFAULT NULL,
	schedule text DEFAULT NULL,
	dry_run boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_create_job'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION create_job(text, regclass, text, name, bigint, text, int, interval, bigint, bigint, text, text, text, interval, interval, int, interval, bigint, jsonb, text, boolean) IS
'defines a job: a command that is run once for each batch of a relation; returns its number, or NULL after a dry run';

CREATE FUNCTION alter_job(
	name text,
	batch_size bigint DEFAULT NULL,
	workers int DEFAULT NULL,
	target_time interval DEFAULT NULL,
	min_batch_size bigint DEFAULT NULL,
	max_batch_size bigint DEFAULT NULL,
	statement_timeout interval DEFAULT NULL,
	lock_timeout interval DEFAULT NULL,
	max_attempts int DEFAULT NULL,
	retry_delay interval DEFAULT NULL,
	max_skipped bigint DEFAULT NULL,
	throttle jsonb DEFAULT NULL,
	command text DEFAULT NULL,
	null_command text DEFAULT NULL,
	before_command text DEFAULT NULL,
	after_command text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'batchagg_alter_job'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION alter_job(text, bigint, int, interval, bigint, bigint, interval, interval, int, interval, bigint, jsonb, text, text, text, text) IS
'changes what is given of a job, 0, an empty text or an empty object meaning none; a run under way follows from its next batch on';

CREATE FUNCTION drop_job(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'batchagg_drop_job'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION drop_job(text) IS
'forgets a job with all its runs; batches at work are cancelled';

CREATE FUNCTION start_job(name text, "full" boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_start_job'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION start_job(text, boolean) IS
'starts a run in the background when the transaction commits and returns its number; that of the run under way if there is one';

CREATE PROCEDURE run_job(name text, "full" boolean DEFAULT false)
AS 'MODULE_PATHNAME', 'batchagg_run_job'
LANGUAGE C;
COMMENT ON PROCEDURE run_job(text, boolean) IS
'starts a run as start_job does and waits for its end, telling of its progress';

CREATE FUNCTION pause_job(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'batchagg_pause_job'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION pause_job(text) IS
'lets the batches at work finish and starts no more until resume_job';

CREATE FUNCTION resume_job(name text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_resume_job'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION resume_job(text) IS
'ends a pause; returns the number of the run that goes on, or NULL';

CREATE FUNCTION cancel_run(run_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'batchagg_cancel_run'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION cancel_run(bigint) IS
'ends a run, the batches at work included; false if it had ended';

CREATE FUNCTION retry_task(task_id bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_retry_task'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION retry_task(bigint) IS
'does a failed or skipped task once more; returns the number of its run, which goes on';

CREATE FUNCTION skip_task(task_id bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_skip_task'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION skip_task(bigint) IS
'leaves a failed or pending task out for good; returns the number of its run, which is then incomplete';

CREATE FUNCTION purge_history(older_than interval)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_purge_history'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION purge_history(interval) IS
'forgets runs of your own jobs that ended longer ago, but for those with tasks still to be done; returns their number';
