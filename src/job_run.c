/*
 * job_run.c
 *		The life of a run: planned once, ended once.
 *
 * Planning fixes what belongs to the run and does what comes before its first batch, in one
 * transaction: it has happened wholly or not at all. A run ends by one UPDATE, whoever makes it,
 * and what waits for that is told by NOTIFY.
 */
#include "postgres.h"

#include "commands/async.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "job.h"

/*
 * Throws if there are rows with a NULL key that the job's commands would leave out. Returns whether there
 * are any.
 */
bool
ba_job_run_check_null_keys(const BaJob *job, BaRange *range)
{
	/* SELECT is how a person says that they do not matter */
	if (!ba_range_has_null_key(range))
		return false;
	if (job->incremental)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s has a row whose key %s is null", range->relation_name, range->key),
				 errdetail("Nobody can tell whether an incremental job has seen it."),
				 errhint("Declare the column NOT NULL.")));
	if (job->null_command == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s has a row whose key %s is null", range->relation_name, range->key),
				 errdetail("No batch would include it."),
				 errhint("Give the job a null_command for such rows; null_command => 'SELECT' "
						 "leaves them out.")));
	return true;
}

/* The run that a look is about, and what was found. */
typedef struct Begin
{
	int64 run_id;
	bool running;
} Begin;

/*
 * Looks whether a run is running, and locks its row.
 */
static void
look_locked(void *arg)
{
	Begin *begin = arg;

	begin->running = ba_catalog_execute_alone("SELECT FROM batchagg.run WHERE id = $1 AND status = "
											  "'running' FOR SHARE",
											  "l", begin->run_id) > 0;
}

/*
 * Tells whether a command that may take long may begin in a run: waits for who is about to stop the run
 * and has not committed, whose signal may have come while there was nothing to cancel. Whoever does so
 * later cancels what this process is at, so no lock is kept.
 */
bool
ba_job_run_may_begin(int64 run_id)
{
	Begin begin = {.run_id = run_id};

	ba_job_rehearse(look_locked, &begin);
	return begin.running;
}

/*
 * Runs a command that a run has besides that of its batches, with the triggers that it defers, and shows
 * it as what the process does. At the commit these would fire while the run's row is locked.
 */
static void
run_once(const BaJob *job, const char *what, const char *command)
{
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("batchagg job %s, %s: %s", job->name, what, command));
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) ba_command_run(command, NULL, NULL, NULL, -1);
	SPI_connect();
	if (SPI_execute("SET CONSTRAINTS ALL IMMEDIATE", false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not fire deferred triggers");
	SPI_finish();
	PopActiveSnapshot();
}

/*
 * Plans a run, in the current transaction: its first and last key, what it takes over from earlier
 * ones, the command before the first batch. The caller sees to it that no process works on an
 * earlier run of the job. end_key is NULL for an empty relation. Throws where the run was cancelled
 * or dropped meanwhile.
 */
void
ba_job_run_plan(const BaJob *job, BaJobRun *run, BaRange *range, const char *end_key,
				bool null_keys)
{
	bool full = !job->incremental || run->full || job->watermark == NULL;
	BaCatalog catalog;
	int64 size = 0;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (full && job->before_command != NULL)
		run_once(job, "before_command", job->before_command);

	ba_catalog_begin(&catalog);
	if (job->incremental)
	{
		/* the runs' locks before the job's, as everywhere */
		ba_catalog_execute("SELECT FROM batchagg.run WHERE job_id = $1 AND (id = $2 OR NOT "
						   "cut_done OR EXISTS (SELECT FROM batchagg.task WHERE run_id = run.id "
						   "AND task.status IN ('pending', 'running', 'failed'))) ORDER BY id FOR "
						   "UPDATE",
						   "ll", job->id, run->id);

		/* What is cut stays someone's to do; a full pass does it all again. */
		if (full)
			ba_catalog_execute("UPDATE batchagg.task SET status = 'skipped', message = 'a full "
							   "refresh took its place' FROM batchagg.run WHERE run.id = run_id "
							   "AND job_id = $1 AND run.id <> $2 AND task.status IN ('pending', "
							   "'running', 'failed')",
							   "ll", job->id, run->id);
		else
			ba_catalog_execute("UPDATE batchagg.task SET status = 'pending', attempts = 0, "
							   "not_before = NULL, run_id = $2 FROM batchagg.run WHERE run.id = "
							   "run_id AND job_id = $1 AND run.id <> $2 AND task.status IN "
							   "('pending', 'running', 'failed')",
							   "ll", job->id, run->id);
		ba_catalog_execute("UPDATE batchagg.run SET cut_done = true WHERE job_id = $1 AND id <> $2 "
						   "AND NOT cut_done",
						   "ll", job->id, run->id);
		if (full)
			ba_catalog_execute("UPDATE batchagg.job SET watermark = NULL WHERE id = $1", "l",
							   job->id);
	}
	if (null_keys)
		ba_catalog_execute("INSERT INTO batchagg.task (run_id, status, null_keys) VALUES ($1, "
						   "'pending', true)",
						   "l", run->id);

	/* A job's batches cost what they cost last time, unless it was altered. */
	if (job->target_ms > 0 &&
		ba_catalog_execute("SELECT batch_size FROM batchagg.run WHERE job_id = $1 AND measured "
						   "ORDER BY id DESC LIMIT 1",
						   "l", job->id) > 0)
		size = ba_catalog_int(0, 0, 0);
	run->measured = size > 0;
	run->batch_size = size > 0 ? size : ba_size_first(job);

	run->position = full ? NULL : job->watermark;
	run->end_key = end_key == NULL ? NULL : pstrdup(end_key);
	run->cut_done = end_key == NULL;
	run->filenode = ba_range_get_filenode(job->relation);
	run->total_rows = full ? ba_range_estimate_rows(range) : -1;
	if (ba_catalog_execute(
			"UPDATE batchagg.run SET planned = true, is_full = $2, position = $3, end_key "
			"= $4, cut_done = $5, filenode = $6, total_rows = NULLIF($7, -1), batch_size "
			"= $8, measured = $9, start_key = $3, hold_reason = NULL, started_at = "
			"clock_timestamp(), waiting = EXISTS (SELECT FROM batchagg.task WHERE run_id = $1 AND "
			"task.status = 'pending') WHERE id = $1 AND status IN ('running', 'paused')",
			"lbttbollb", run->id, full, run->position, run->end_key, run->cut_done, run->filenode,
			run->total_rows, run->batch_size, run->measured) != 1)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("run " INT64_FORMAT " was ended while it was planned", run->id)));
	ba_catalog_end(&catalog);
	PopActiveSnapshot();
}

/*
 * Tells who listens, when the transaction commits, that a run has ended.
 */
void
ba_job_run_notify(const BaJob *job, int64 run_id, const char *status)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"job\": ");
	escape_json(&payload, job->name);
	appendStringInfo(&payload, ", \"run\": " INT64_FORMAT ", \"status\": \"%s\"}", run_id, status);
	Async_Notify("batchagg", payload.data);
}

/*
 * Ends a run in the current transaction and tells who listens. Returns false where it had ended.
 */
bool
ba_job_run_end(const BaJob *job, int64 run_id, const char *status, const ErrorData *error)
{
	if (ba_catalog_execute_alone(
			"UPDATE batchagg.run SET status = $2, finished_at = clock_timestamp(), hold_reason = "
			"NULL, sqlstate = $3, message = $4, detail = $5, hint = $6 WHERE id = $1 AND status IN "
			"('running', 'paused')",
			"lttttt", run_id, status, error == NULL ? NULL : unpack_sql_state(error->sqlerrcode),
			error == NULL ? NULL : error->message, error == NULL ? NULL : error->detail,
			error == NULL ? NULL : error->hint) != 1)
		return false;
	ba_job_run_notify(job, run_id, status);
	return true;
}

/*
 * Tells whether a run has come to its end: it is under way, or paused where that is allowed, and none of
 * its tasks is left to do. Counts its tasks then, and those that failed. With lock its row is locked.
 */
static bool
is_over(int64 run_id, bool lock, bool may_be_paused, int64 *failed, int64 *total)
{
	BaCatalog catalog;
	bool over;

	ba_catalog_begin(&catalog);
	if (lock)
		over = ba_catalog_execute("SELECT FROM batchagg.run WHERE id = $1 AND (status = 'running' "
								  "OR $2 AND status = 'paused') AND planned AND cut_done FOR "
								  "UPDATE",
								  "lb", run_id, may_be_paused) > 0;
	else
		over = ba_catalog_execute("SELECT FROM batchagg.run WHERE id = $1 AND (status = 'running' "
								  "OR $2 AND status = 'paused') AND planned AND cut_done",
								  "lb", run_id, may_be_paused) > 0;
	if (over)
	{
		ba_catalog_execute("SELECT count(*) FILTER (WHERE status IN ('pending', 'running')), "
						   "count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE "
						   "status <> 'split') FROM batchagg.task WHERE run_id = $1",
						   "l", run_id);
		over = ba_catalog_int(0, 0, 1) == 0;
		*failed = ba_catalog_int(0, 1, 0);
		*total = ba_catalog_int(0, 2, 0);
	}
	ba_catalog_end(&catalog);
	return over;
}

/*
 * Ends a run if none of its tasks is left to do, in the current transaction, which has the job's
 * settings and must hold nothing of the run: the command after the last batch may take long, and
 * whoever steers the run does not wait for it. So the run is looked at before it, and locked and looked
 * at again after it. Returns false where the command was in vain, as the run was cancelled or got
 * something to do meanwhile; the transaction must be rolled back then. A command that itself cancelled
 * the run or dropped the job was not.
 */
bool
ba_job_run_try_finish(const BaJob *job, int64 run_id)
{
	int64 failed;
	int64 total;
	bool ran = false;

	if (job->after_command != NULL && is_over(run_id, false, false, &failed, &total) && failed == 0)
	{
		run_once(job, "after_command", job->after_command);
		ran = true;
	}

	/* a pause lets what is at work come to its end */
	if (!is_over(run_id, true, ran, &failed, &total) || (ran && failed > 0))
		return !ran || ba_job_is_stopped_by_itself();
	if (failed > 0)
	{
		ErrorData error = {
			.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			.message = psprintf(INT64_FORMAT " of " INT64_FORMAT " tasks failed", failed, total),
			.hint = "Look at batchagg.job_errors; then retry_task or skip_task each of them."};

		(void) ba_job_run_end(job, run_id, "failed", &error);
	}
	else if (ran || job->after_command == NULL)
		(void) ba_job_run_end(job, run_id, "done", NULL);
	return true;
}
