/*
 * job_task.c
 *		The life of a task: cut or taken over, worked on, done.
 *
 * Claiming and working are transactions of their own, so that an attempt counts even if it takes
 * the server down. A claim looks for, in this order,
 *
 *	1. a task that waits: it was put back after an error, or is half of one that was split. Whoever
 *	   has locked its row first has it (SKIP LOCKED). Where there is one the run's row is locked
 *	   before it, as whoever stops the run does: no batch begins after that. Who puts a task back
 *	   says so in the run's row, which it has locked, as most runs have none and this search would be
 *	   half of what a claim costs; once all is cut nobody relies on that;
 *	2. the next batch, cut under a lock on the run's row, so that batches neither overlap nor leave a
 *	   gap, and there is one place where cutting goes on;
 *	3. a task that is marked running with nobody at its lock: its process is gone. It is put back.
 *
 * A task's lock is held from before the claim commits until after the work did. The mark "done" is
 * made by the attempt that is on record and by no other, in the transaction of the work: even if
 * a lock were lost, of two processes at one task only one could commit.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "job.h"

/* how long to wait at most for a lock with the run's row locked, ms */
#define CUT_PATIENCE 1000

/* The task whose lock this process has, 0 for none. */
static int64 held_task = 0;

/*
 * Lets go of the task that this process has claimed, if any: what becomes of it is settled, or an
 * error kept that from being done, and then it is for any process to take back.
 */
void
ba_task_release(void)
{
	if (held_task != 0)
		ba_lock_release(BA_LOCK_TASK, held_task, ExclusiveLock);
	held_task = 0;
}

/*
 * Takes the lock of a task if that is free.
 */
static bool
try_hold(int64 task_id)
{
	Assert(held_task == 0);
	if (!ba_lock_try(BA_LOCK_TASK, task_id, ExclusiveLock))
		return false;
	held_task = task_id;
	return true;
}

/*
 * Claims a task that waits. Returns whether there is one.
 */
static bool
claim_waiting(int64 run_id, BaTask *task)
{
	BaCatalog catalog;
	bool found;

	ba_catalog_begin(&catalog);
	found =
		ba_catalog_execute("SELECT task.id, null_keys, first_key, last_key, row_count, attempts "
						   "FROM batchagg.task JOIN batchagg.run ON run.id = run_id WHERE "
						   "run_id = $1 AND task.status = 'pending' AND (not_before IS NULL OR "
						   "not_before <= clock_timestamp()) AND run.status = 'running' "
						   "ORDER BY task.id LIMIT 1 FOR UPDATE OF run FOR UPDATE OF task SKIP "
						   "LOCKED",
						   "l", run_id) > 0;
	if (found)
	{
		task->id = ba_catalog_int(0, 0, 0);
		task->null_keys = ba_catalog_bool(0, 1);
		task->first = ba_catalog_text(0, 2);
		task->last = ba_catalog_text(0, 3);
		task->rows = ba_catalog_int(0, 4, -1);
		task->attempts = (int) ba_catalog_int(0, 5, 0) + 1;

		/* who failed at it may be about to let go */
		found = try_hold(task->id);
	}
	if (found)
		ba_catalog_execute("UPDATE batchagg.task SET status = 'running', attempts = $2, pid = $3, "
						   "started_at = clock_timestamp(), not_before = NULL WHERE id = $1",
						   "lii", task->id, task->attempts, MyProcPid);
	ba_catalog_end(&catalog);
	return found;
}

/*
 * Locks the run's row until the transaction ends and brings *run up to date. Returns false where the
 * run is not to be worked on any more.
 */
static bool
lock_run(BaRow *row, BaJobRun *run)
{
	if (!ba_row_lock(row, run->id))
		return false;
	*run = *ba_catalog_read_run(row);
	return strcmp(run->status, "running") == 0;
}

/*
 * Tells whether a task of the run waits, be it for its time to come. Whoever puts one back has the
 * run's lock, as the caller.
 */
static bool
has_waiting(int64 run_id)
{
	return ba_catalog_execute_alone("SELECT FROM batchagg.task WHERE run_id = $1 AND status = "
									"'pending' LIMIT 1",
									"l", run_id) > 0;
}

/*
 * Makes a task of a batch, claimed by this process.
 */
static void
insert_task(int64 run_id, BaTask *task)
{
	BaRow row;

	ba_row_open(&row, "task", true);
	task->id = ba_row_make(&row);
	ba_row_set_int(&row, "run_id", run_id);
	ba_row_set_text(&row, "status", "running");
	ba_row_set_bool(&row, "null_keys", task->null_keys);
	ba_row_set_text(&row, "first_key", task->first);
	ba_row_set_text(&row, "last_key", task->last);
	if (task->rows >= 0)
		ba_row_set_int(&row, "row_count", task->rows);
	ba_row_set_int(&row, "attempts", task->attempts);
	ba_row_set_int(&row, "pid", MyProcPid);
	ba_row_set_now(&row, "started_at");
	ba_row_insert(&row);
	ba_row_close(&row);
}

/*
 * Records where the cutting of a run goes on, in its row, which is locked.
 */
static void
record_cut(BaRow *row, const BaJobRun *run, double fraction)
{
	ba_row_set_text(row, "position", run->position);
	ba_row_set_int(row, "batch_size", run->batch_size);
	ba_row_set_bool(row, "measured", run->measured);
	ba_row_set_int(row, "cut_rows", run->cut_rows);
	ba_row_set_text(row, "start_key", run->start_key);
	if (fraction >= 0)
		ba_row_set_float(row, "cut_fraction", fraction);
	else
		ba_row_set_null(row, "cut_fraction");
	ba_row_set_bool(row, "waiting", run->waiting);
	ba_row_update(row);
}

/*
 * Moves an incremental job's watermark to where its run has been cut.
 */
static void
move_watermark(const BaJob *job, const BaJobRun *run)
{
	BaRow row;

	ba_row_open(&row, "job", true);
	if (ba_row_lock(&row, job->id))
	{
		ba_row_set_text(&row, "watermark", run->position);
		ba_row_update(&row);
	}
	ba_row_close(&row);
}

/*
 * Cuts the next batch of a run, whose row is locked, and claims it. Returns whether there is one.
 * Updates *run.
 */
static bool
claim_next(const BaJob *job, BaRow *row, BaJobRun *run, BaRange *range, const BaMeasure *measure,
		   BaTask *task)
{
	bool found;

	if (run->cut_done)
		return false;

	/* the table is locked by now, but perhaps not all its indexes, its partitions, what a view is of */
	if (LockTimeout == 0 || LockTimeout > CUT_PATIENCE)
		ba_command_use_setting("lock_timeout", CppAsString2(CUT_PATIENCE));
	ba_size_adapt(job, run, measure);
	/* rows that were committed while we waited for the lock are not behind us yet */
	PushActiveSnapshot(GetTransactionSnapshot());
	found = range->kind->next(range, run->position, run->end_key, ba_size_choose(job, run),
							  &task->first, &task->last, &task->rows);
	PopActiveSnapshot();
	if (!found)
	{
		run->cut_done = true;
		ba_catalog_execute_alone("UPDATE batchagg.run SET cut_done = true WHERE id = $1", "l",
								 run->id);
		return false;
	}

	task->null_keys = false;
	task->attempts = 1;
	insert_task(run->id, task);
	if (run->start_key == NULL)
		run->start_key = task->first;
	run->position = task->last;
	run->cut_rows += Max(task->rows, 0);
	run->waiting = run->waiting && has_waiting(run->id);
	record_cut(row, run, range->kind->fraction(range, run->start_key, run->position, run->end_key));
	if (job->incremental)
		move_watermark(job, run);
	if (!try_hold(task->id))
		elog(ERROR, "task " INT64_FORMAT " is new and locked", task->id);
	return true;
}

/*
 * Puts tasks back whose process is gone, or fails them if that was the last attempt they had. The run's
 * row is locked and all of it is cut. Returns whether there were any.
 */
static bool
take_back_orphans(const BaJob *job, int64 run_id)
{
	BaCatalog catalog;
	bool found = false;
	uint64 rows;
	int64 *ids;

	ba_catalog_begin(&catalog);
	rows = ba_catalog_execute("SELECT id FROM batchagg.task WHERE run_id = $1 AND "
							  "status = 'running' FOR UPDATE SKIP LOCKED",
							  "l", run_id);
	ids = palloc(Max(rows, 1) * sizeof(int64));
	for (uint64 i = 0; i < rows; i++)
		ids[i] = ba_catalog_int(i, 0, 0);
	for (uint64 i = 0; i < rows; i++)
	{
		if (ba_lock_count_holders(BA_LOCK_TASK, ids[i]) > 0)
			continue;
		found = true;
		ba_catalog_execute(
			"UPDATE batchagg.task SET status = CASE WHEN attempts < $2 THEN 'pending' ELSE "
			"'failed' END, sqlstate = '57P02', message = 'the process that worked on it ended', "
			"detail = NULL, hint = 'The server log tells why.', context = NULL, "
			"finished_at = clock_timestamp(), failed_at = clock_timestamp(), failed_attempt = "
			"attempts WHERE id = $1",
			"li", ids[i], job->max_attempts);
	}
	ba_catalog_end(&catalog);
	return found;
}

/*
 * Finds this process a task of the run, in the current transaction, which should then be
 * committed. measure is that of the process's last batch. A task that is returned is locked.
 */
BaClaim
ba_task_claim(const BaJob *job, BaJobRun *run, BaRange *range, const BaMeasure *measure,
			  BaTask *task)
{
	BaClaim claim = BA_CLAIM_END;
	BaCatalog catalog;
	BaRow row;

	PushActiveSnapshot(GetTransactionSnapshot());
	ba_row_open(&row, "run", true);
	if ((run->waiting || run->cut_done) && claim_waiting(run->id, task))
		claim = BA_CLAIM_TASK;
	else if (!lock_run(&row, run))
		claim = BA_CLAIM_WAIT; /* the next look at the run tells why */
	else if (claim_next(job, &row, run, range, measure, task))
		claim = BA_CLAIM_TASK;
	else if (take_back_orphans(job, run->id))
		claim = BA_CLAIM_WAIT;
	else
	{
		ba_catalog_begin(&catalog);
		if (ba_catalog_execute("SELECT FROM batchagg.task WHERE run_id = $1 AND status IN "
							   "('pending', 'running') LIMIT 1",
							   "l", run->id) > 0)
			claim = BA_CLAIM_WAIT;
		ba_catalog_end(&catalog);
	}
	ba_row_close(&row);
	PopActiveSnapshot();
	return claim;
}

/*
 * Returns the command of a task. Throws where the job was altered to have none.
 */
const char *
ba_task_command(const BaJob *job, const BaTask *task)
{
	if (!task->null_keys)
		return job->command;
	if (job->null_command == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("job \"%s\" has no null_command any more", job->name),
						errdetail("The task is that of the rows whose key is null."),
						errhint("Give the job one and retry the task, or skip it.")));
	return job->null_command;
}

/*
 * Marks a task done if it is the current attempt's; throws if not.
 */
static void
mark_done(const BaTask *task, double work_ms, int64 affected)
{
	BaRow row;

	ba_row_open(&row, "task", true);
	if (!ba_row_lock(&row, task->id) || strcmp(ba_row_text(&row, "status"), "running") != 0 ||
		ba_row_int(&row, "attempts", 0) != task->attempts ||
		ba_row_int(&row, "pid", 0) != MyProcPid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("task " INT64_FORMAT " is no longer this process's", task->id),
						errdetail("The job was dropped, or the lock on the task was lost.")));
	ba_row_set_text(&row, "status", "done");
	ba_row_set_now(&row, "finished_at");
	ba_row_set_float(&row, "work_ms", work_ms);
	ba_row_set_int(&row, "affected", affected);
	ba_row_update(&row);
	ba_row_close(&row);
}

/*
 * Does a task and marks it done, in the current transaction, which then has to be committed. Sets
 * what was measured.
 */
void
ba_task_execute(const BaJob *job, const BaJobRun *run, BaRange *range, const BaTask *task,
				BaMeasure *measure)
{
	instr_time start;
	instr_time duration;
	uint64 affected;

	measure->rows = 0;
	ba_command_use_settings(job);
	if (job->statement_timeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, job->statement_timeout);
	range->kind->check(range, run->filenode);
	PushActiveSnapshot(GetTransactionSnapshot());
	INSTR_TIME_SET_CURRENT(start);
	affected = ba_command_run(ba_task_command(job, task), task->null_keys ? NULL : range,
							  task->first, task->last, task->rows);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	PopActiveSnapshot();
	if (job->statement_timeout > 0)
		disable_timeout(STATEMENT_TIMEOUT, false);

	mark_done(task, INSTR_TIME_GET_MILLISEC(duration), (int64) affected);
	if (!task->null_keys)
		*measure = (BaMeasure){Max(task->rows, 0), INSTR_TIME_GET_MILLISEC(duration)};
}
