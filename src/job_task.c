/*
 * job_task.c
 *		The life of a task: cut or taken over, worked on, done.
 *
 * Claiming and working are transactions of their own, so that an attempt counts even if it takes
 * the server down. A claim looks for, in this order,
 *
 *	1. a task that waits: it was put back after an error, or is half of one that was split. Whoever
 *	   has locked its row first has it (SKIP LOCKED). Where there is one the run's row is locked
 *	   before it, as whoever stops the run does: no batch begins after that;
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
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "job.h"

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
 * Cuts the next batch of a run and claims it. Returns whether there is one. Updates *run, which
 * may be older than what the other processes did.
 */
static bool
claim_next(const BaJob *job, BaJobRun *run, BaRange *range, const BaMeasure *measure, BaTask *task)
{
	BaCatalog catalog;
	bool running;
	double fraction;

	ba_catalog_begin(&catalog);
	running =
		ba_catalog_execute("SELECT position, cut_done, batch_size, measured, cut_rows, start_key "
						   "FROM batchagg.run WHERE id = $1 AND status = 'running' FOR UPDATE",
						   "l", run->id) > 0;
	if (running)
	{
		run->position = ba_catalog_text(0, 0);
		run->cut_done = ba_catalog_bool(0, 1);
		run->batch_size = ba_catalog_int(0, 2, 1);
		run->measured = ba_catalog_bool(0, 3);
		run->cut_rows = ba_catalog_int(0, 4, 0);
		run->start_key = ba_catalog_text(0, 5);
	}
	ba_catalog_end(&catalog);
	if (!running || run->cut_done)
		return false;

	ba_size_adapt(job, run, measure);
	range->kind->check(range, run->filenode);
	if (!range->kind->next(range, run->position, run->end_key, ba_size_choose(job, run),
						   &task->first, &task->last, &task->rows))
	{
		run->cut_done = true;
		ba_catalog_execute_alone("UPDATE batchagg.run SET cut_done = true WHERE id = $1", "l",
								 run->id);
		return false;
	}

	task->null_keys = false;
	task->attempts = 1;
	if (run->start_key == NULL)
		run->start_key = task->first;
	run->position = task->last;
	run->cut_rows += Max(task->rows, 0);
	fraction = range->kind->fraction(range, run->start_key, run->position, run->end_key);
	ba_catalog_begin(&catalog);
	ba_catalog_execute("INSERT INTO batchagg.task (run_id, status, first_key, last_key, row_count, "
					   "attempts, pid, started_at) "
					   "VALUES ($1, 'running', $2, $3, NULLIF($4, -1), 1, $5, clock_timestamp()) "
					   "RETURNING id",
					   "lttli", run->id, task->first, task->last, task->rows, MyProcPid);
	task->id = ba_catalog_int(0, 0, 0);
	ba_catalog_execute("UPDATE batchagg.run SET position = $2, batch_size = $3, measured = $4, "
					   "cut_rows = $5, start_key = $6, cut_fraction = NULLIF($7, -1) WHERE id = $1",
					   "ltlbltf", run->id, run->position, run->batch_size, run->measured,
					   run->cut_rows, run->start_key, fraction);
	if (job->incremental)
		ba_catalog_execute("UPDATE batchagg.job SET watermark = $2 WHERE id = $1", "lt", job->id,
						   run->position);
	ba_catalog_end(&catalog);
	if (!try_hold(task->id))
		elog(ERROR, "task " INT64_FORMAT " is new and locked", task->id);
	return true;
}

/*
 * Puts tasks back whose process is gone, or fails them if that was the last attempt they had.
 * Returns whether there were any.
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

	PushActiveSnapshot(GetTransactionSnapshot());
	if (claim_waiting(run->id, task) || claim_next(job, run, range, measure, task))
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
							  task->first, task->last);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	PopActiveSnapshot();
	if (job->statement_timeout > 0)
		disable_timeout(STATEMENT_TIMEOUT, false);

	if (ba_catalog_execute_alone(
			"UPDATE batchagg.task SET status = 'done', finished_at = clock_timestamp(), work_ms = "
			"$3, "
			"affected = $4 WHERE id = $1 AND status = 'running' AND attempts = $2",
			"lifl", task->id, task->attempts, INSTR_TIME_GET_MILLISEC(duration),
			(int64) affected) != 1)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("task " INT64_FORMAT " is no longer this process's", task->id),
						errdetail("The job was dropped, or the lock on the task was lost.")));
	if (!task->null_keys)
		*measure = (BaMeasure){Max(task->rows, 0), INSTR_TIME_GET_MILLISEC(duration)};
}
