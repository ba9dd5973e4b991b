-- Jobs: what people look at. The views read the tables with the rights of the extension's owner and
-- show a job to whom has the privileges of its owner's role, and to members of pg_read_all_stats,
-- who see what every session does anyway. They are security barriers: a function in a query's own
-- WHERE gets to see no other row.

-- Whether processes are at work on a run, and on a task. Anybody may ask: pg_locks tells it as well.
CREATE FUNCTION run_is_alive(run_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'batchagg_run_is_alive'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION run_is_alive(bigint) IS
'for the view progress: whether a runner is at work on a run';

CREATE FUNCTION task_is_alive(task_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'batchagg_task_is_alive'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION task_is_alive(bigint) IS
'for the view progress: whether a process is at work on a task';

CREATE FUNCTION query_progress(
	OUT pid int,
	OUT relation regclass,
	OUT started_at timestamptz,
	OUT batches_total bigint,
	OUT batches_done bigint,
	OUT rows_done bigint,
	OUT workers int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'batchagg_query_progress'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION query_progress() IS
'for the view progress: calls of each_batch and all_batches under way in this database';

CREATE VIEW progress WITH (security_barrier) AS
SELECT
	'run' AS kind,
	job.name AS job,
	run.id AS run_id,
	NULL::int AS pid,
	job.relation,
	run.status,
	batchagg.run_is_alive(run.id) AS is_alive,
	task.workers,
	task.done AS batches_done,
	estimate.batches_total,
	task.failed AS batches_failed,
	task.rows_done,
	estimate.rows_total,
	NOT run.cut_done AS is_estimate,
	round(100 * estimate.part_done, 1) AS percent,
	recent.rows_per_second,
	CASE WHEN run.status = 'running' AND batchagg.run_is_alive(run.id) AND run.hold_reason IS NULL
			AND estimate.rows_total - task.rows_done < 1e9 * recent.rows_per_second THEN
		clock_timestamp() + (estimate.rows_total - task.rows_done) / recent.rows_per_second * interval '1 second'
	END AS eta,
	run.hold_reason,
	run.started_at
FROM batchagg.run
JOIN batchagg.job ON job.id = run.job_id
CROSS JOIN LATERAL (
	SELECT
		count(*) FILTER (WHERE t.status = 'done') AS done,
		count(*) FILTER (WHERE t.status = 'failed') AS failed,
		count(*) FILTER (WHERE t.status <> 'split') AS cut,
		count(*) FILTER (WHERE t.status = 'running' AND batchagg.task_is_alive(t.id))::int AS workers,
		coalesce(sum(t.row_count) FILTER (WHERE t.status = 'done'), 0)::bigint AS rows_done,
		coalesce(sum(t.row_count) FILTER (WHERE t.status <> 'split'), 0)::bigint AS rows_cut
	FROM batchagg.task t
	WHERE t.run_id = run.id) task
-- what is not cut yet: by the rows that the relation was believed to have, where there are not more
-- already, else by the part of the keys that is cut. Far too much is not known.
CROSS JOIN LATERAL (
	SELECT CASE
		WHEN run.cut_done THEN 0
		WHEN run.total_rows >= run.cut_rows THEN run.total_rows - run.cut_rows
		WHEN run.cut_fraction > run.cut_rows / 1e18::float8 THEN (run.cut_rows / run.cut_fraction)::bigint - run.cut_rows
	END AS rows_left) uncut
CROSS JOIN LATERAL (
	SELECT
		task.rows_cut + uncut.rows_left AS rows_total,
		task.cut + ceil(uncut.rows_left / run.batch_size::numeric)::bigint AS batches_total,
		CASE
			WHEN task.rows_cut + uncut.rows_left > 0 THEN task.rows_done / (task.rows_cut + uncut.rows_left)::numeric
			WHEN run.cut_done AND task.cut > 0 THEN task.done / task.cut::numeric
		END AS part_done) estimate
-- the speed of late: what was done since the hundredth last batch, if so many there are, was begun
CROSS JOIN LATERAL (
	SELECT round((sum(t.row_count)
		/ nullif(extract(epoch FROM clock_timestamp() - min(t.started_at)), 0))::numeric, 1) AS rows_per_second
	FROM (
		SELECT row_count, started_at
		FROM batchagg.task
		WHERE run_id = run.id AND status = 'done'
		ORDER BY id DESC
		LIMIT 100) t) recent
WHERE run.status IN ('running', 'paused')
	AND (pg_has_role(job.owner, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE'))
UNION ALL
SELECT
	'query',
	NULL,
	NULL,
	q.pid,
	q.relation,
	'running',
	true,
	q.workers + 1,
	q.batches_done,
	q.batches_total,
	CASE WHEN q.batches_total IS NOT NULL THEN 0 END,
	q.rows_done,
	NULL,
	true,
	round(100 * q.batches_done / nullif(q.batches_total, 0)::numeric, 1),
	round((q.rows_done / nullif(elapsed.seconds, 0))::numeric, 1),
	CASE WHEN q.batches_done > 0 AND (q.batches_total - q.batches_done) * elapsed.seconds < 1e9 * q.batches_done THEN
		clock_timestamp() + (q.batches_total - q.batches_done) * elapsed.seconds / q.batches_done * interval '1 second'
	END,
	NULL,
	q.started_at
FROM batchagg.query_progress() q
CROSS JOIN LATERAL (SELECT extract(epoch FROM clock_timestamp() - q.started_at) AS seconds) elapsed;
COMMENT ON VIEW progress IS
'runs of jobs and calls of each_batch and all_batches under way: how far they are, how fast, why they hold';
GRANT SELECT ON progress TO PUBLIC;

CREATE VIEW job_status WITH (security_barrier) AS
SELECT
	job.name AS job,
	job.owner,
	job.relation,
	job.key,
	job.mode,
	CASE
		WHEN job.paused THEN 'paused'
		WHEN run.status <> 'running' OR run.id IS NULL THEN 'idle'
		WHEN NOT batchagg.run_is_alive(run.id) THEN 'interrupted'
		WHEN run.hold_reason IS NOT NULL THEN 'holding'
		ELSE 'running'
	END AS state,
	run.id AS last_run,
	run.status AS last_status,
	run.is_full AS last_is_full,
	run.started_at AS last_started_at,
	run.finished_at AS last_finished_at,
	coalesce(run.finished_at, clock_timestamp()) - run.started_at AS last_duration,
	task.done AS batches_done,
	task.failed AS batches_failed,
	task.skipped AS batches_skipped,
	task.rows_done,
	run.hold_reason,
	run.sqlstate,
	run.message,
	run.hint,
	done.finished_at AS last_success_at,
	failures.count AS failures_in_a_row,
	job.watermark,
	job.batch_size,
	job.target_time,
	job.min_batch_size,
	job.max_batch_size,
	job.workers,
	job.statement_timeout,
	job.lock_timeout,
	job.max_attempts,
	job.retry_delay,
	job.max_skipped,
	job.throttle,
	job.command,
	job.null_command,
	job.before_command,
	job.after_command,
	job.search_path,
	job.created_at
FROM batchagg.job
LEFT JOIN LATERAL (
	SELECT * FROM batchagg.run r WHERE r.job_id = job.id ORDER BY r.id DESC LIMIT 1) run ON true
LEFT JOIN LATERAL (
	SELECT r.id, r.finished_at FROM batchagg.run r
	WHERE r.job_id = job.id AND r.status = 'done' ORDER BY r.id DESC LIMIT 1) done ON true
CROSS JOIN LATERAL (
	SELECT count(*) FROM batchagg.run r
	WHERE r.job_id = job.id AND r.status = 'failed' AND r.id > coalesce(done.id, 0)) failures
CROSS JOIN LATERAL (
	SELECT
		count(*) FILTER (WHERE t.status = 'done') AS done,
		count(*) FILTER (WHERE t.status = 'failed') AS failed,
		count(*) FILTER (WHERE t.status = 'skipped') AS skipped,
		coalesce(sum(t.row_count) FILTER (WHERE t.status = 'done'), 0)::bigint AS rows_done
	FROM batchagg.task t
	WHERE t.run_id = run.id) task
WHERE pg_has_role(job.owner, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW job_status IS
'all jobs: what they are, and what became of their last runs';
GRANT SELECT ON job_status TO PUBLIC;

CREATE VIEW job_errors WITH (security_barrier) AS
SELECT
	job.name AS job,
	error.run_id,
	error.task_id,
	error.status,
	error.null_keys,
	error.first_key,
	error.last_key,
	error.attempt,
	error.at,
	error.sqlstate,
	error.message,
	error.detail,
	error.hint,
	error.context
FROM batchagg.job
JOIN (
	SELECT
		run.job_id,
		run.id AS run_id,
		task.id AS task_id,
		task.status,
		task.null_keys,
		task.first_key,
		task.last_key,
		task.failed_attempt AS attempt,
		coalesce(task.failed_at, task.finished_at) AS at,
		task.sqlstate,
		task.message,
		task.detail,
		task.hint,
		task.context
	FROM batchagg.task
	JOIN batchagg.run ON run.id = task.run_id
	WHERE task.sqlstate IS NOT NULL OR task.status IN ('failed', 'skipped')
	UNION ALL
	SELECT
		job_id, id, NULL, status, NULL, NULL, NULL, NULL, finished_at, sqlstate, message, detail, hint, NULL
	FROM batchagg.run
	WHERE sqlstate IS NOT NULL) error ON error.job_id = job.id
WHERE pg_has_role(job.owner, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');
COMMENT ON VIEW job_errors IS
'the last error of each task that had one, tasks that failed or were skipped, and errors that ended runs';
GRANT SELECT ON job_errors TO PUBLIC;
