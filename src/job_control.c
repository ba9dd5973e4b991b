/*
 * job_control.c
 *		start_job, run_job, and the functions that steer runs.
 *
 * They write a status, which the processes of the run read before their next batch, and start a
 * runner where there should be one. Nothing has to be told to a process but to stop at once what it is
 * at, be it a batch or a command before or after the batches.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"
#include "job.h"

PG_FUNCTION_INFO_V1(batchagg_start_job);
PG_FUNCTION_INFO_V1(batchagg_run_job);
PG_FUNCTION_INFO_V1(batchagg_pause_job);
PG_FUNCTION_INFO_V1(batchagg_resume_job);
PG_FUNCTION_INFO_V1(batchagg_cancel_run);
PG_FUNCTION_INFO_V1(batchagg_retry_task);
PG_FUNCTION_INFO_V1(batchagg_skip_task);
PG_FUNCTION_INFO_V1(batchagg_purge_history);
PG_FUNCTION_INFO_V1(batchagg_run_is_alive);
PG_FUNCTION_INFO_V1(batchagg_task_is_alive);

/* how long run_job sleeps between two looks, and between two notices, ms */
#define LOOK_PAUSE 50
#define NOTICE_PAUSE 2000

/* how long a new runner takes to show itself, ms */
#define START_PATIENCE 400

/* how long a run may be without a runner, ms: a little more than the server takes to restart one */
#define ALONE_PATIENCE 15000

/*
 * Tells whether a run has a runner, or gets one within an instant: another session may just have
 * started it.
 */
static bool
has_runner(int64 run_id)
{
	for (int ms = 0; ms < START_PATIENCE; ms += START_PATIENCE / 20)
	{
		if (ba_lock_count_holders(BA_LOCK_RUN, run_id) > 0)
			return true;
		pg_usleep(START_PATIENCE / 20 * 1000L);
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/*
 * Makes sure that a run of the job is under way once the transaction has committed. Returns its
 * number.
 */
static int64
start(const BaJob *job, bool full)
{
	BaCatalog catalog;
	int64 run_id = 0;
	bool exists;
	bool is_new = false;
	bool paused = false;

	ba_job_worker_check_login(job->owner);
	if (job->paused)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("job \"%s\" is paused", job->name),
						errhint("SELECT batchagg.resume_job(...) ends the pause.")));

	/*
	 * The job is not dropped before this is committed. Of two at once the second waits for the first. A
	 * run that is in the way of another and has ended when it is looked at is in its way no more.
	 */
	ba_catalog_begin(&catalog);
	exists = ba_catalog_execute("SELECT FROM batchagg.job WHERE id = $1 FOR KEY SHARE", "l",
								job->id) > 0;
	while (exists && run_id == 0)
	{
		CHECK_FOR_INTERRUPTS();
		is_new = ba_catalog_execute("INSERT INTO batchagg.run (job_id, status, is_full) VALUES "
									"($1, 'running', $2) ON CONFLICT (job_id) WHERE status IN "
									"('running', 'paused') DO NOTHING RETURNING id",
									"lb", job->id, full) > 0;
		if (is_new || ba_catalog_execute("SELECT id, status = 'paused' FROM batchagg.run WHERE "
										 "job_id = $1 AND status IN ('running', 'paused')",
										 "l", job->id) > 0)
			run_id = ba_catalog_int(0, 0, 0);
		if (run_id != 0 && !is_new)
			paused = ba_catalog_bool(0, 1);
	}
	ba_catalog_end(&catalog);

	if (!exists)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("job \"%s\" does not exist", job->name)));
	if (is_new)
	{
		ba_job_worker_launch_runner(job, run_id);
		return run_id;
	}
	if (full)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("job \"%s\" is running already, as run " INT64_FORMAT, job->name, run_id),
				 errdetail("A full refresh needs a run of its own."),
				 errhint("Wait for the end of that run, or cancel it.")));
	if (paused || has_runner(run_id))
		ereport(NOTICE,
				(errmsg("job \"%s\" is running already, as run " INT64_FORMAT, job->name, run_id)));
	else
	{
		ereport(NOTICE,
				(errmsg("run " INT64_FORMAT " of job \"%s\", which was interrupted, goes on",
						run_id, job->name)));
		ba_job_worker_launch_runner(job, run_id);
	}
	return run_id;
}

/*
 * start_job(name, full)
 */
Datum
batchagg_start_job(PG_FUNCTION_ARGS)
{
	BaJob *job = ba_job_get_own(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_INT64(start(job, PG_GETARG_BOOL(1)));
}

/* What run_job sees of a run at one look. */
typedef struct Look
{
	char *status;
	char *sqlstate;
	char *message;
	char *detail;
	char *hint;
	char *hold_reason;
	int64 done;
	int64 skipped;
	int64 rows;
} Look;

/*
 * Looks at a run. Returns false where it is gone.
 */
static bool
look(int64 run_id, Look *seen)
{
	BaCatalog catalog;
	bool found;

	ba_catalog_begin(&catalog);
	found = ba_catalog_execute("SELECT status, sqlstate, message, detail, hint, hold_reason FROM "
							   "batchagg.run WHERE id = $1",
							   "l", run_id) > 0;
	if (found)
	{
		seen->status = ba_catalog_text(0, 0);
		seen->sqlstate = ba_catalog_text(0, 1);
		seen->message = ba_catalog_text(0, 2);
		seen->detail = ba_catalog_text(0, 3);
		seen->hint = ba_catalog_text(0, 4);
		seen->hold_reason = ba_catalog_text(0, 5);
	}
	ba_catalog_end(&catalog);
	return found;
}

/*
 * Counts what a run has done.
 */
static void
count(int64 run_id, Look *seen)
{
	BaCatalog catalog;

	ba_catalog_begin(&catalog);
	ba_catalog_execute("SELECT count(*) FILTER (WHERE status = 'done'), count(*) FILTER (WHERE "
					   "status = 'skipped'), sum(row_count) FILTER (WHERE status = 'done')::int8 "
					   "FROM batchagg.task WHERE run_id = $1",
					   "l", run_id);
	seen->done = ba_catalog_int(0, 0, 0);
	seen->skipped = ba_catalog_int(0, 1, 0);
	seen->rows = ba_catalog_int(0, 2, 0);
	ba_catalog_end(&catalog);
}

/*
 * Tells how a run ended: by a notice where it did all, by an error otherwise.
 */
static void
report_end(const char *job, int64 run_id, Look *seen)
{
	if (strcmp(seen->status, "done") == 0)
	{
		count(run_id, seen);
		ereport(NOTICE,
				(errmsg("run " INT64_FORMAT " of job \"%s\" is done: " INT64_FORMAT " batches",
						run_id, job, seen->done),
				 seen->skipped > 0
					 ? errdetail("Incomplete: " INT64_FORMAT " were skipped.", seen->skipped)
					 : 0));
		return;
	}
	if (strcmp(seen->status, "cancelled") == 0)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("run " INT64_FORMAT " of job \"%s\" was cancelled", run_id, job)));
	ereport(ERROR,
			(errcode(seen->sqlstate == NULL
						 ? ERRCODE_INTERNAL_ERROR
						 : MAKE_SQLSTATE(seen->sqlstate[0], seen->sqlstate[1], seen->sqlstate[2],
										 seen->sqlstate[3], seen->sqlstate[4])),
			 errmsg("run " INT64_FORMAT " of job \"%s\" failed: %s", run_id, job,
					seen->message == NULL ? "" : seen->message),
			 seen->detail != NULL ? errdetail("%s", seen->detail) : 0,
			 seen->hint != NULL ? errhint("%s", seen->hint) : 0));
}

/*
 * run_job(name, full). Waits in transactions that hold nothing while it sleeps.
 */
Datum
batchagg_run_job(PG_FUNCTION_ARGS)
{
	CallContext *call = (CallContext *) fcinfo->context;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	MemoryContext look_context;
	TimestampTz seen_alive = GetCurrentTimestamp();
	TimestampTz noticed = seen_alive;
	int64 done = 0;
	bool told_of_pause = false;
	Look seen = {0};
	BaJob *job;
	char *name;
	bool full;
	int64 run_id;

	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						errmsg("run_job cannot be called inside a transaction"),
						errdetail("The run starts when its transaction commits."),
						errhint("Call it outside of BEGIN and of functions, or use start_job.")));
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the arguments of run_job must not be null")));
	name = MemoryContextStrdup(context, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	full = PG_GETARG_BOOL(1);

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	job = ba_job_get_own(name);
	run_id = start(job, full);
	SPI_commit();
	pgstat_progress_start_command(BA_PROGRESS_WAIT, InvalidOid);
	look_context = AllocSetContextCreate(context, "batchagg run_job", ALLOCSET_SMALL_SIZES);

	for (;;)
	{
		TimestampTz now;

		MemoryContextReset(look_context);
		MemoryContextSwitchTo(look_context);
		if (!ba_catalog_lock() || !look(run_id, &seen))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("job \"%s\" was dropped during its run", name)));
		now = GetCurrentTimestamp();
		if (strcmp(seen.status, "paused") == 0)
		{
			if (!told_of_pause)
				ereport(NOTICE,
						(errmsg("run " INT64_FORMAT " of job \"%s\" is paused", run_id, name)));
			told_of_pause = true;
			seen_alive = now;
		}
		else if (strcmp(seen.status, "running") != 0)
			break;
		else
		{
			told_of_pause = false;
			if (ba_lock_count_holders(BA_LOCK_RUN, run_id) > 0)
				seen_alive = now;
			else if (TimestampDifferenceExceeds(seen_alive, now, ALONE_PATIENCE))
				ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
								errmsg("no process works on run " INT64_FORMAT " of job \"%s\"",
									   run_id, name),
								errhint("The server log may tell why. The run goes on at the next "
										"start_job.")));
		}
		if (TimestampDifferenceExceeds(noticed, now, NOTICE_PAUSE))
		{
			count(run_id, &seen);
			if (seen.hold_reason != NULL)
				ereport(NOTICE,
						(errmsg("run " INT64_FORMAT ": holds, as %s", run_id, seen.hold_reason)));
			else if (seen.done > done)
				ereport(NOTICE, (errmsg("run " INT64_FORMAT ": " INT64_FORMAT
										" batches done, " INT64_FORMAT " rows",
										run_id, seen.done, seen.rows)));
			done = seen.done;
			noticed = now;
		}
		SPI_commit();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_PAUSE,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	pgstat_progress_end_command();
	report_end(name, run_id, &seen);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * pause_job(name)
 */
Datum
batchagg_pause_job(PG_FUNCTION_ARGS)
{
	BaJob *job = ba_job_get_own(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	(void) ba_catalog_execute_alone("UPDATE batchagg.run SET status = 'paused', hold_reason = "
									"NULL WHERE job_id = $1 AND status = 'running'",
									"l", job->id);
	(void) ba_catalog_execute_alone("UPDATE batchagg.job SET paused = true WHERE id = $1", "l",
									job->id);
	PG_RETURN_VOID();
}

/*
 * resume_job(name)
 */
Datum
batchagg_resume_job(PG_FUNCTION_ARGS)
{
	BaJob *job = ba_job_get_own(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	BaCatalog catalog;
	int64 run_id = 0;

	ba_catalog_begin(&catalog);
	if (ba_catalog_execute(
			"UPDATE batchagg.run SET status = 'running' WHERE job_id = $1 AND status "
			"= 'paused' RETURNING id",
			"l", job->id) > 0)
		run_id = ba_catalog_int(0, 0, 0);
	ba_catalog_execute("UPDATE batchagg.job SET paused = false WHERE id = $1", "l", job->id);
	ba_catalog_end(&catalog);
	if (run_id == 0)
		PG_RETURN_NULL();
	ba_job_worker_check_login(job->owner);
	ba_job_worker_launch_runner(job, run_id);
	PG_RETURN_INT64(run_id);
}

/* The (sub)transaction in which a command of this process's own job stopped that job. */
static TransactionId own_stop = InvalidTransactionId;

/*
 * Tells whether the current transaction has stopped the job that this process works for, and that was
 * not undone.
 */
bool
ba_job_is_stopped_by_itself(void)
{
	return TransactionIdIsCurrentTransactionId(own_stop);
}

/*
 * Cancels what the other processes of a job are at: batches, the commands before and after them. They
 * roll back, and then wait for the current transaction, which must have locked their run. One that
 * naps takes no notice; one that claims a batch or plans gets an error, which counts as others do.
 * This process may be one of them, as a command may stop its own job: it goes on.
 */
void
ba_job_interrupt(int64 job_id)
{
	BaCatalog catalog;
	ListCell *lc;

	if (ba_job_worker_is_of(job_id) && !ba_job_is_stopped_by_itself())
		own_stop = GetCurrentTransactionId();
	ba_catalog_begin(&catalog); /* as who may */
	foreach (lc, ba_lock_list_holders(BA_LOCK_JOB, job_id))
	{
		if (lfirst_int(lc) != MyProcPid)
			(void) DirectFunctionCall1(pg_cancel_backend, Int32GetDatum(lfirst_int(lc)));
	}
	ba_catalog_end(&catalog);
}

/*
 * Returns the job of a run, NULL where there is no run that the current user may see in the views. Throws
 * where that is all that he may.
 */
static BaJob *
find_own_by_run(int64 run_id)
{
	BaJobRun *run = ba_catalog_get_run(run_id);
	BaJob *job = run == NULL ? NULL : ba_catalog_get_job(run->job_id);

	if (job == NULL || (!has_privs_of_role(GetUserId(), job->owner) &&
						!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS)))
		return NULL;
	ba_job_check_owner(job);
	return job;
}

/*
 * cancel_run(run_id)
 */
Datum
batchagg_cancel_run(PG_FUNCTION_ARGS)
{
	int64 run_id = PG_GETARG_INT64(0);
	BaJob *job;

	(void) ba_catalog_lock();
	job = find_own_by_run(run_id);
	if (job == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("run " INT64_FORMAT " does not exist", run_id)));
	if (!ba_job_run_end(job, run_id, "cancelled", NULL))
		PG_RETURN_BOOL(false);
	ba_job_interrupt(job->id);
	PG_RETURN_BOOL(true);
}

/*
 * Makes a task wait for another attempt, or leaves it out. Returns its run and sets its job; throws
 * where there is no such task or its state does not allow it.
 */
static int64
change_task(int64 task_id, bool retry, BaJob **job)
{
	BaCatalog catalog;
	int64 run_id = 0;
	bool cancelled = false;

	(void) ba_catalog_lock();
	ba_catalog_begin(&catalog);
	if (ba_catalog_execute("SELECT run_id FROM batchagg.task WHERE id = $1", "l", task_id) > 0)
		run_id = ba_catalog_int(0, 0, 0);
	ba_catalog_end(&catalog);
	*job = run_id == 0 ? NULL : find_own_by_run(run_id);
	if (*job == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("task " INT64_FORMAT " does not exist", task_id)));

	/* the run's lock first, as everywhere; the task may wait for a process from now on */
	ba_catalog_begin(&catalog);
	if (ba_catalog_execute("UPDATE batchagg.run SET waiting = true WHERE id = $1 RETURNING status "
						   "= 'cancelled'",
						   "l", run_id) > 0)
		cancelled = ba_catalog_bool(0, 0);
	ba_catalog_end(&catalog);
	if (retry && cancelled)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("run " INT64_FORMAT " was cancelled", run_id),
			 errdetail("To retry one of its tasks would have it go on with all that is left."),
			 (*job)->incremental
				 ? errhint("The next run does what is left of it: SELECT batchagg.start_job(...).")
				 : errhint("Start another run: SELECT batchagg.start_job(...).")));
	if (retry &&
		ba_catalog_execute_alone(
			"SELECT FROM batchagg.run WHERE job_id = $1 AND id > $2 AND is_full AND planned", "ll",
			(*job)->id, run_id) > 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a full run has taken the place of task " INT64_FORMAT, task_id),
						errdetail("Its rows are in the batches of that run, and would be "
								  "processed once more.")));
	if (ba_catalog_execute_alone(
			"UPDATE batchagg.task SET status = CASE WHEN $2 THEN 'pending' ELSE 'skipped' END, "
			"attempts = 0, not_before = NULL, finished_at = CASE WHEN $2 THEN NULL ELSE "
			"clock_timestamp() END WHERE id = $1 AND status IN ('failed', CASE WHEN $2 THEN "
			"'skipped' ELSE 'pending' END)",
			"lb", task_id, retry) == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("task " INT64_FORMAT " is not in a state for that", task_id),
						errdetail(retry ? "Only a failed or skipped task can be retried."
										: "Only a failed or pending task can be skipped.")));
	return run_id;
}

/*
 * Makes a run that has ended go on, at once or, where the job is paused, when it is resumed.
 */
static void
reopen(const BaJob *job, int64 run_id)
{
	(void) ba_catalog_execute_alone("UPDATE batchagg.run SET status = CASE WHEN $2 THEN 'paused' "
									"ELSE 'running' END, finished_at = NULL, sqlstate = NULL, "
									"message = NULL, detail = NULL, hint = NULL WHERE id = $1",
									"lb", run_id, job->paused);
	if (job->paused)
		return;
	ba_job_worker_check_login(job->owner);
	ba_job_worker_launch_runner(job, run_id);
}

/*
 * retry_task(task_id)
 */
Datum
batchagg_retry_task(PG_FUNCTION_ARGS)
{
	BaJob *job;
	int64 run_id = change_task(PG_GETARG_INT64(0), true, &job);
	BaCatalog catalog;
	bool open;
	bool is_this = false;

	ba_catalog_begin(&catalog);
	open = ba_catalog_execute("SELECT id = $2 FROM batchagg.run WHERE job_id = $1 AND status IN "
							  "('running', 'paused')",
							  "ll", job->id, run_id) > 0;
	if (open)
		is_this = ba_catalog_bool(0, 0);
	ba_catalog_end(&catalog);
	if (open && !is_this)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("another run of job \"%s\" is under way", job->name),
						errhint("Wait for its end.")));
	if (!open)
		reopen(job, run_id);
	PG_RETURN_INT64(run_id);
}

/*
 * skip_task(task_id)
 *
 * The last failed one makes a run that failed by its tasks alone a done one. That takes a runner
 * where the job has a command to run after the last batch, unless another run does that now or
 * has begun at the first key since.
 */
Datum
batchagg_skip_task(PG_FUNCTION_ARGS)
{
	BaJob *job;
	int64 run_id = change_task(PG_GETARG_INT64(0), false, &job);
	BaCatalog catalog;
	bool complete;
	bool superseded = false;

	ba_catalog_begin(&catalog);
	complete = ba_catalog_execute(
				   "SELECT EXISTS (SELECT FROM batchagg.run r WHERE r.job_id = run.job_id AND "
				   "(r.status IN ('running', 'paused') OR r.id > run.id AND r.is_full AND "
				   "r.planned)) FROM batchagg.run WHERE id = $1 AND status = 'failed' AND planned "
				   "AND cut_done AND NOT EXISTS (SELECT FROM batchagg.task WHERE run_id = $1 AND "
				   "task.status IN ('pending', 'running', 'failed'))",
				   "l", run_id) > 0;
	if (complete)
		superseded = ba_catalog_bool(0, 0);
	ba_catalog_end(&catalog);
	if (complete && job->after_command != NULL && !superseded)
		reopen(job, run_id);
	else if (complete)
	{
		(void) ba_catalog_execute_alone("UPDATE batchagg.run SET status = 'done', sqlstate = NULL, "
										"message = NULL, detail = NULL, hint = NULL WHERE id = $1",
										"l", run_id);
		ba_job_run_notify(job, run_id, "done");
	}
	PG_RETURN_INT64(run_id);
}

/*
 * purge_history(older_than)
 */
Datum
batchagg_purge_history(PG_FUNCTION_ARGS)
{
	Interval *age = PG_GETARG_INTERVAL_P(0);
	BaCatalog catalog;
	uint64 rows;
	int64 *ids;

	/* whose run it is comes before FOR UPDATE: those of others are not to be locked */
	(void) ba_catalog_lock();
	ba_catalog_begin(&catalog);
	rows = ba_catalog_execute(
		"SELECT run.id FROM batchagg.run JOIN batchagg.job ON job.id = job_id WHERE "
		"finished_at < now() - $1 AND pg_has_role($2, owner::oid, 'USAGE') AND NOT (mode = "
		"'incremental' AND EXISTS (SELECT FROM batchagg.task WHERE run_id = run.id AND "
		"task.status IN ('pending', 'running', 'failed'))) FOR UPDATE OF run SKIP LOCKED",
		"vo", age, catalog.user);
	ids = palloc(Max(rows, 1) * sizeof(int64));
	for (uint64 i = 0; i < rows; i++)
		ids[i] = ba_catalog_int(i, 0, 0);
	for (uint64 i = 0; i < rows; i++)
	{
		ba_catalog_execute("DELETE FROM batchagg.task WHERE run_id = $1", "l", ids[i]);
		ba_catalog_execute("DELETE FROM batchagg.run WHERE id = $1", "l", ids[i]);
	}
	ba_catalog_end(&catalog);
	PG_RETURN_INT64((int64) rows);
}

/*
 * task_is_alive(task_id): whether a process is at it
 */
Datum
batchagg_task_is_alive(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ba_lock_count_holders(BA_LOCK_TASK, PG_GETARG_INT64(0)) > 0);
}

/*
 * run_is_alive(run_id): whether a runner is at work on it
 */
Datum
batchagg_run_is_alive(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ba_lock_count_holders(BA_LOCK_RUN, PG_GETARG_INT64(0)) > 0);
}
