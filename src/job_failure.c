/*
 * job_failure.c
 *		What becomes of a task after an error.
 *
 * The SQLSTATE decides. A command that cannot run at all fails the run, since every other batch would
 * fail in the same way. A batch that took too long or too much memory is halved. One with bad data
 * is halved as well, down to the key at fault, if the job may skip any. All else is tried again
 * after a pause that doubles, with jitter, so that processes that fell over each other do not meet
 * again.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "job.h"

/* no pause is longer, in ms */
#define MAX_DELAY (5 * 60 * 1000)

/* a run is stopped when so many tasks are finished and more than half of them failed */
#define ENOUGH_TO_JUDGE 50

/*
 * Tells what an error means for further attempts at the same batch.
 */
BaFailure
ba_failure_classify(const ErrorData *error)
{
	int class = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	switch (error->sqlerrcode)
	{
		case ERRCODE_OUT_OF_MEMORY:
		case ERRCODE_CONFIGURATION_LIMIT_EXCEEDED:
			return BA_FAILURE_TOO_LARGE;
		case ERRCODE_QUERY_CANCELED:
			/* core has one SQLSTATE for both; message_id is in English whatever lc_messages says */
			return error->message_id != NULL && strstr(error->message_id, "timeout") != NULL
					   ? BA_FAILURE_TOO_LARGE
					   : BA_FAILURE_PASSING;
		case ERRCODE_RAISE_EXCEPTION:
			return BA_FAILURE_DATA;
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_INVALID_SCHEMA_NAME:
			return BA_FAILURE_FINAL;
	}
	switch (class)
	{
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return BA_FAILURE_TOO_LARGE;
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
			return BA_FAILURE_DATA;
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return BA_FAILURE_FINAL;
	}
	return BA_FAILURE_PASSING;
}

/*
 * Returns how long to wait before another attempt, in ms, after the given number of them.
 */
int64
ba_failure_delay(const BaJob *job, int attempts)
{
	double delay = (double) job->retry_delay * (1 << Min(attempts - 1, 20));

	return (int64) (Min(delay, MAX_DELAY) * (0.5 + pg_prng_double(&pg_global_prng_state) / 2));
}

/*
 * Gives a task a status, with the error on record. Returns false where it is no longer this attempt's:
 * a process that lost its lock must not settle what another works on.
 */
static bool
set_status(const BaTask *task, const char *status, int64 delay, const ErrorData *error)
{
	return ba_catalog_execute_alone(
			   "UPDATE batchagg.task SET status = $2, "
			   "not_before = CASE WHEN $3 > 0 THEN clock_timestamp() + $3 * interval '1 "
			   "millisecond' END, "
			   "sqlstate = $4, message = $5, detail = $6, hint = $7, context = $8, "
			   "finished_at = clock_timestamp(), failed_at = clock_timestamp(), failed_attempt = "
			   "attempts "
			   "WHERE id = $1 AND status = 'running' AND attempts = $9 AND pid = $10",
			   "ltltttttii", task->id, status, delay, unpack_sql_state(error->sqlerrcode),
			   error->message, error->detail, error->hint, error->context, task->attempts,
			   MyProcPid) == 1;
}

/* Two ranges of keys in the place of one, which meet between these. */
typedef struct Halves
{
	char *left_last;
	char *right_first;
} Halves;

/*
 * Finds where to halve a task. Returns false where it has one key.
 */
static bool
find_halves(BaRange *range, const BaTask *task, Halves *halves)
{
	bool found;

	if (task->null_keys)
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	found = range->kind->split(range, task->first, task->last, &halves->left_last,
							   &halves->right_first);
	PopActiveSnapshot();
	return found;
}

/*
 * Puts two tasks in the place of one, if it is still this attempt's.
 */
static void
split_task(const BaJobRun *run, const BaTask *task, const Halves *halves, const ErrorData *error)
{
	if (!set_status(task, "split", 0, error))
		return;
	ba_catalog_execute_alone(
		"INSERT INTO batchagg.task (run_id, parent, status, first_key, last_key, row_count) "
		"VALUES ($1, $2, 'pending', $3, $4, NULLIF($7, -1)), "
		"($1, $2, 'pending', $5, $6, NULLIF($7, -1))",
		"llttttl", run->id, task->id, task->first, halves->left_last, halves->right_first,
		task->last, task->rows < 0 ? -1 : Max(task->rows / 2, 1));
}

/*
 * Tells whether the run may leave out one more key.
 */
static bool
may_skip(const BaJob *job, const BaJobRun *run)
{
	BaCatalog catalog;
	int64 skipped;

	ba_catalog_begin(&catalog);
	ba_catalog_execute(
		"SELECT count(*) FROM batchagg.task WHERE run_id = $1 AND status = 'skipped'", "l",
		run->id);
	skipped = ba_catalog_int(0, 0, 0);
	ba_catalog_end(&catalog);
	return skipped < job->max_skipped;
}

/*
 * Fails a task for good, if it is still this attempt's, and the run if it would go on failing.
 */
static void
fail_task(const BaJob *job, const BaJobRun *run, const BaTask *task, bool fail_run,
		  const ErrorData *error)
{
	BaCatalog catalog;

	if (!set_status(task, "failed", 0, error))
		return;
	if (!fail_run)
	{
		ba_catalog_begin(&catalog);
		ba_catalog_execute("SELECT count(*), count(*) FILTER (WHERE status = 'failed') FROM "
						   "batchagg.task WHERE run_id = $1 AND status IN ('done', 'failed', "
						   "'skipped')",
						   "l", run->id);
		fail_run = ba_catalog_int(0, 0, 0) >= ENOUGH_TO_JUDGE &&
				   2 * ba_catalog_int(0, 1, 0) > ba_catalog_int(0, 0, 0);
		ba_catalog_end(&catalog);
	}
	if (fail_run)
		(void) ba_job_run_end(job, run->id, "failed", error);
}

/*
 * Settles what becomes of a task whose attempt failed, in the current transaction. It may throw that a lock is not to be
 * had; with locked it does not look at the relation, and has the task tried again.
 */
void
ba_failure_record_task(const BaJob *job, BaJobRun *run, BaRange *range, const BaTask *task,
					   const ErrorData *error, bool locked)
{
	BaFailure failure = ba_failure_classify(error);
	bool skips = failure == BA_FAILURE_DATA && job->max_skipped > 0;
	Halves halves;
	bool split;
	bool running;

	/* this may take long, or wait for locks, so it comes before the run's row is locked */
	split =
		!locked && (skips || failure == BA_FAILURE_TOO_LARGE) && find_halves(range, task, &halves);

	/*
	 * Who ends the run holds the lock that this takes, and the processes of a run judge it one after
	 * the other. The task, or its halves, may wait for a process from now on.
	 */
	running =
		ba_catalog_execute_alone("UPDATE batchagg.run SET waiting = true WHERE id = $1 AND status "
								 "IN ('running', 'paused')",
								 "l", run->id) > 0;

	if (!running)
		(void) set_status(task, "pending", 0, error);
	else if (locked)
		(void) set_status(task, "pending", ba_failure_delay(job, task->attempts), error);
	else if (failure == BA_FAILURE_FINAL)
		fail_task(job, run, task, true, error);
	else if (split)
		split_task(run, task, &halves, error);
	else if (skips && !task->null_keys && may_skip(job, run))
		(void) set_status(task, "skipped", 0, error);
	else if (!skips && task->attempts < job->max_attempts)
		(void) set_status(task, "pending", ba_failure_delay(job, task->attempts), error);
	else
		fail_task(job, run, task, false, error);
}
