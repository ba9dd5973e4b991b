/*
 * job_worker.c
 *		The processes of a run.
 *
 * A run has a runner, which start_job registers, and up to workers - 1 workers, which the runner does.
 * All of them do the same: claim a task, do it, again, until there is none. The runner besides plans the
 * run, starts workers, waits for the last ones and ends the run. All are connected as the job's owner.
 *
 * The runner is registered before the transaction of start_job has committed, so that a lack of
 * worker slots is that caller's error; it waits for that transaction and leaves if it was rolled
 * back. The server starts a runner again that ended otherwise than of itself (workers it does not).
 * It knows by the lock on the run whether there is one already. A process that cannot connect, since
 * the database or the role is gone, leaves as if of itself: it would otherwise be started for ever.
 *
 * The commit of a batch is not waited for: what follows it, the next claim or the end of the run, is, and WAL is
 * flushed in order. So a batch takes one wait for the disk, or for a standby, rather than two. A crash in between undoes the batch
 * and its mark together, which is why the last attempt that a task has is waited for all the same; if nothing follows for a while, as the run holds, the server flushes by itself within wal_writer_delay or three times that.
 *
 * Nothing is held between batches: no transaction, no snapshot, no buffer; a database that
 * somebody wants to drop is left then.
 *
 * An error in a batch is the task's (job_failure.c). One outside of a batch, while planning or cutting, is
 * the run's: it is tried again as often in a row as a batch would be, then fails the run. Only a lock that
 * somebody has for long, on what is cut, is no error: the run holds until it is free.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

#include "compat.h"
#include "job_process.h"

/* how long before the server starts a runner again, s */
#define RESTART_DELAY 5

/* how long a new runner waits for an old one that may be about to leave, ms */
#define LOCK_PATIENCE 10000

/* how long between two tries to start workers that could not be, ms */
#define LAUNCH_PAUSE 10000

/* how long to sleep while there is an earlier runner, and while held, ms */
#define SHORT_NAP 20
#define LONG_NAP 500

/* how long at first while others do the last tasks, doubled each time up to LONG_NAP, ms */
#define FIRST_NAP 1

/* how long a reason to hold stands before other figures in it are written, ms */
#define HOLD_PAUSE 10000

/* why a run holds while somebody has a lock on what is cut */
#define LOCK_REASON "somebody has a lock that the run waits for"

/* What step returns where the process has nothing more to do. */
#define LEAVE (-1)

/* What a process is told at its start, in bgw_extra. */
typedef struct Start
{
	Oid database;
	Oid owner;
	int64 job;
	int64 run;
	TransactionId xid; /* that must have ended */
	bool runner;
} Start;

StaticAssertDecl(sizeof(Start) <= BGW_EXTRALEN, "Start has to fit into bgw_extra");

static Start start;
static bool connected = false;
static MemoryContext batch_context;

/* The runner's workers. */
static BackgroundWorkerHandle *workers[MAX_PARALLEL_WORKER_LIMIT];
static TimestampTz no_launch_before = 0;
static bool told_of_shortage = false;

/* A lock that is not to be had now is no error: the run is planned, before its before_command, or a batch is cut. */
bool ba_process_lock_means_hold = false;

PGDLLEXPORT void ba_job_worker_main(Datum arg);

/*
 * Registers a process of a run. Returns whether there was room for it.
 */
static bool
register_process(const Start *what, const char *job, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = what->runner ? RESTART_DELAY : BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "batchagg", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "ba_job_worker_main", sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_type, BGW_MAXLEN, "batchagg %s", what->runner ? "runner" : "worker");
	snprintf(worker.bgw_name, BGW_MAXLEN, "%s of job %s", worker.bgw_type, job);
	worker.bgw_notify_pid = handle == NULL ? 0 : MyProcPid;
	memcpy(worker.bgw_extra, what, sizeof(Start));
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/*
 * Throws if no process could be connected as a role.
 */
void
ba_job_worker_check_login(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool can_login;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the role that owns the job does not exist any more"),
						errhint("Drop the job, and let another role create it.")));
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	if (BA_ROLES_NEED_LOGIN && !can_login)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot own jobs, as it may not log in",
						NameStr(((Form_pg_authid) GETSTRUCT(tuple))->rolname)),
				 errdetail("Before PostgreSQL 17 background processes cannot run as such a role."),
				 errhint("ALTER ROLE ... LOGIN, or create the job as another role.")));
	ReleaseSysCache(tuple);
}

/*
 * Starts the runner of a run as soon as the current transaction has committed. Throws if the
 * server has no room for it.
 */
void
ba_job_worker_launch_runner(const BaJob *job, int64 run_id)
{
	Start what = {.database = MyDatabaseId,
				  .owner = job->owner,
				  .job = job->id,
				  .run = run_id,
				  .xid = GetTopTransactionId(),
				  .runner = true};

	if (!register_process(&what, job->name, NULL))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("no background worker is free to run job \"%s\"", job->name),
						errhint("Try again later, or increase max_worker_processes.")));
}

/*
 * Tells whether this process works for a job.
 */
bool
ba_job_worker_is_of(int64 job_id)
{
	return start.job == job_id;
}

/*
 * Begins a transaction. What is allocated in it lives until the process's next step. Leaves for
 * good where the extension was dropped.
 */
void
ba_process_begin(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!ba_catalog_lock())
	{
		CommitTransactionCommand();
		proc_exit(0);
	}
	MemoryContextSwitchTo(batch_context);
}

/*
 * Commits it.
 */
void
ba_process_commit(void)
{
	CommitTransactionCommand();
	(void) pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(batch_context);
}

/*
 * Sleeps, unless there is something to heed. There is nothing then that could be cancelled.
 */
void
ba_process_nap(long ms)
{
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ms > 0)
		(void) pgstat_report_stat(true);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	/* A runner is started again, and then finds the database there or leaves for good. */
	if (ba_lock_database_is_going())
		proc_exit(1);
}

/*
 * Tells whether two reasons to hold differ in figures alone.
 */
static bool
is_same_hold(const char *one, const char *other)
{
	static const char *const digits = "0123456789.";

	for (;;)
	{
		one += strspn(one, digits);
		other += strspn(other, digits);
		if (*one != *other)
			return false;
		if (*one == '\0')
			return true;
		one++;
		other++;
	}
}

/*
 * Shows why the run does not go on, NULL where it does, in the current transaction. A run that
 * holds for hours must not write a row version at each look.
 */
void
ba_process_set_hold(BaJobRun *run, const char *reason)
{
	static TimestampTz written = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (run->hold_reason == NULL && reason == NULL)
		return;
	if (run->hold_reason != NULL && reason != NULL &&
		(strcmp(run->hold_reason, reason) == 0 ||
		 (is_same_hold(run->hold_reason, reason) &&
		  !TimestampDifferenceExceeds(written, now, HOLD_PAUSE))))
		return;
	written = now;
	ba_catalog_execute_alone("UPDATE batchagg.run SET hold_reason = $2 WHERE id = $1 AND status = "
							 "'running'",
							 "lt", run->id, reason);
	run->hold_reason = reason == NULL ? NULL : pstrdup(reason);
}

/*
 * Tells whether the reason why the run does not go on is a lock.
 */
static bool
waits_for_lock(const BaJobRun *run)
{
	return run->hold_reason != NULL && strcmp(run->hold_reason, LOCK_REASON) == 0;
}

/*
 * Loads the job and the run, in the current transaction. Returns false where the run is not to be
 * worked on any more. A run that was started in a transaction which pause_job could not look into is
 * paused here.
 */
bool
ba_process_load(BaJob **job, BaJobRun **run)
{
	*job = ba_catalog_get_job(start.job);
	*run = ba_catalog_get_run(start.run);
	if (*job == NULL || *run == NULL || strcmp((*run)->status, "running") != 0)
		return false;
	if ((*job)->paused &&
		ba_catalog_execute_alone(
			"UPDATE batchagg.run SET status = 'paused', hold_reason = NULL "
			"FROM batchagg.job WHERE run.id = $1 AND run.status = 'running' AND job.id = "
			"job_id AND job.paused",
			"l", (*run)->id) > 0)
		return false;
	if ((*job)->owner != start.owner ||
		!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(start.owner)))
	{
		ErrorData error = {.sqlerrcode = ERRCODE_UNDEFINED_OBJECT,
						   .message = "the role that owns the job does not exist any more"};

		(void) ba_job_run_end(*job, (*run)->id, "failed", &error);
		return false;
	}
	return true;
}

/*
 * Tells once in the log why there are fewer workers than wanted, and postpones the next try.
 */
static void
tell_of_shortage(const BaJob *job, const char *hint)
{
	no_launch_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LAUNCH_PAUSE);
	if (told_of_shortage)
		return;
	told_of_shortage = true;
	ereport(LOG,
			(errmsg("job \"%s\" goes on with fewer workers than its %d", job->name, job->workers),
			 errhint("%s", hint)));
}

/*
 * Starts workers until the run has as many processes as the job wants.
 */
static void
launch_workers(const BaJob *job)
{
	Start what = start;
	int alive = 1;
	int n = Min(job->workers - 1, lengthof(workers));
	int started = 0;
	int free;

	if (n == 0 || GetCurrentTimestamp() < no_launch_before)
		return;
	for (int i = 0; i < lengthof(workers); i++)
	{
		pid_t pid;

		if (workers[i] != NULL && GetBackgroundWorkerPid(workers[i], &pid) == BGWH_STOPPED)
		{
			pfree(workers[i]);
			workers[i] = NULL;
		}
		if (workers[i] != NULL)
			alive++;
	}

	/* an earlier runner of this run may have left some */
	alive = Max(alive, ba_lock_count_holders(BA_LOCK_JOB, start.job));
	if (alive >= job->workers)
		return;
	free = ba_lock_count_free_slots(); /* those who are started take theirs later */
	what.runner = false;
	what.xid = InvalidTransactionId;
	for (int i = 0; i < n && alive < job->workers; i++)
	{
		MemoryContext old;
		bool done;

		if (workers[i] != NULL)
			continue;
		if (started >= free)
		{
			tell_of_shortage(job, "All of batchagg.max_job_workers are at work.");
			return;
		}
		old = MemoryContextSwitchTo(TopMemoryContext);
		done = register_process(&what, job->name, &workers[i]);
		MemoryContextSwitchTo(old);
		if (!done)
		{
			workers[i] = NULL;
			tell_of_shortage(job, "You may need to increase max_worker_processes.");
			return;
		}
		alive++;
		started++;

		/* one that ends at once is not started again and again */
		no_launch_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1000);
	}
}

/*
 * After an error: rolls the transaction back. Returns the error, in the given context, which is the
 * current one then.
 */
static ErrorData *
roll_back(MemoryContext context)
{
	ErrorData *error;

	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	RESUME_INTERRUPTS();
	return error;
}

/*
 * Settles what becomes of a task that failed. Where that takes a lock which is not to be had the task is to be tried again, and so
 * it is where something else got in the way of finding its halves, as a deadlock or a cancel, if it has an attempt left.
 */
static void
record_failure(const BaJob *job, BaJobRun *run, BaRange *range, const BaTask *task,
			   const ErrorData *error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool locked = false;
	volatile bool recorded = false;

	while (!recorded)
	{
		PG_TRY();
		{
			ba_process_begin();
			ba_command_use_settings(job);
			ba_failure_record_task(job, run, range, task, error, locked);
			ba_process_commit();
			recorded = true;
		}
		PG_CATCH();
		{
			BaFailure failure;

			MemoryContextSwitchTo(context);
			failure = ba_failure_classify(CopyErrorData());
			if (locked || failure == BA_FAILURE_FINAL || failure == BA_FAILURE_DATA ||
				(geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE && task->attempts >= job->max_attempts))
				PG_RE_THROW();
			(void) roll_back(context);
			locked = true;
		}
		PG_END_TRY();
	}
}

/*
 * Does a claimed task, and settles what becomes of it if that fails.
 */
static void
do_task(BaJob *job, BaJobRun *run, BaRange *range, const BaTask *task, BaMeasure *measure)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		ba_process_begin();
		pgstat_report_activity(STATE_RUNNING,
							   psprintf("batchagg job %s, task " INT64_FORMAT " (%s .. %s): %s",
										job->name, task->id, task->null_keys ? "NULL" : task->first,
										task->null_keys ? "NULL" : task->last,
										ba_task_command(job, task)));
		ba_task_execute(job, run, range, task, measure);
		if (task->attempts < job->max_attempts)
			ba_command_use_setting("synchronous_commit", "off"); /* see above */
		ba_process_commit();
	}
	PG_CATCH();
	{
		error = roll_back(context);
	}
	PG_END_TRY();

	if (error != NULL)
		record_failure(job, run, range, task, error);
}

/*
 * Ends the run if it has come to its end.
 */
static void
finish(const BaJob *job, const BaJobRun *run)
{
	ba_process_begin();
	ba_command_use_settings(job);
	if (ba_job_run_try_finish(job, run->id))
		ba_process_commit();
	else
	{
		AbortCurrentTransaction();
		MemoryContextSwitchTo(batch_context);
	}
}

/*
 * Does one thing towards the end of the run. Returns how long to sleep before the next, or LEAVE.
 */
static long
step(BaMeasure *measure)
{
	BaJob *job;
	BaJobRun *run;
	BaRange *range;
	BaTask task;
	char *reason;
	BaClaim claim;
	long nap;
	static bool named = false;
	static long wait_nap = FIRST_NAP;

	ba_process_begin();
	if (!ba_process_load(&job, &run))
	{
		ba_process_commit();
		return LEAVE;
	}
	if (!named)
		SetConfigOption("application_name", psprintf("batchagg: %s", job->name), PGC_USERSET,
						PGC_S_SESSION);
	named = true;
	ba_command_use_settings(job);
	if (run->planned && !ba_lock_is_mine(BA_LOCK_JOB, job->id, ShareLock) &&
		!ba_lock_try(BA_LOCK_JOB, job->id, ShareLock))
		elog(ERROR, "job \"%s\" is locked while its run is planned", job->name);
	if (!start.runner &&
		(!run->planned || ba_lock_count_holders(BA_LOCK_JOB, job->id) > job->workers))
	{
		ba_process_commit();
		return LEAVE;
	}

	/* One that holds leaves its place among the processes to others. */
	reason = ba_throttle_reason(job);
	if (reason != NULL)
		ba_lock_leave_slot();
	else if (run->planned && !ba_lock_take_slot())
	{
		/* the runner may be at a batch, and then the run does not hold */
		if (!start.runner)
		{
			ba_process_commit();
			return LEAVE;
		}
		reason = psprintf("max_job_workers: all %d of batchagg.max_job_workers are at work",
						  batchagg_max_job_workers);
	}
	if (reason != NULL)
	{
		ba_process_set_hold(run, reason);
		ba_process_commit();
		return start.runner ? LONG_NAP : LEAVE;
	}
	if (start.runner && run->hold_reason != NULL && !waits_for_lock(run) && run->planned)
	{
		/* at once, as there may be a lock to wait for */
		ba_process_set_hold(run, NULL);
		ba_process_commit();
		return 0;
	}
	if (!run->planned)
	{
		ba_process_lock_means_hold = true;
		LockRelationOid(job->relation, AccessShareLock);
		if (ba_process_plan(job, run))
		{
			wait_nap = FIRST_NAP;
			return 0;
		}
		nap = wait_nap;
		wait_nap = Min(wait_nap * 2, LONG_NAP);
		return nap;
	}

	/* whoever waits for what is cut does so before he has the run's row, for which others wait */
	ba_process_lock_means_hold = true;
	range = ba_range_open_job(job);
	if (!run->cut_done)
		range->kind->check(range, run->filenode);
	if (start.runner)
		ba_process_set_hold(run, NULL);
	claim = ba_task_claim(job, run, range, measure, &task);
	/* not before there is something to do: others would wait for the same lock */
	if (start.runner && claim == BA_CLAIM_TASK)
		launch_workers(job);
	measure->rows = 0;
	ba_process_commit();
	ba_process_lock_means_hold = false;

	switch (claim)
	{
		case BA_CLAIM_TASK:
			wait_nap = FIRST_NAP;
			do_task(job, run, range, &task, measure);
			return 0;
		case BA_CLAIM_WAIT:
			nap = wait_nap;
			wait_nap = Min(wait_nap * 2, LONG_NAP);
			return start.runner ? nap : LEAVE;
		default:
			if (!start.runner)
				return LEAVE;
			finish(job, run);
			return 0;
	}
}

/*
 * After an error that is no task's, or a lock that was not to be had: decides whether to go on. Returns how long to sleep
 * first, or LEAVE. If that fails too, another step tells.
 */
static long
recover(const ErrorData *error, bool locked, int errors_in_a_row)
{
	BaFailure failure = ba_failure_classify(error);
	BaJob *job;
	BaJobRun *run;
	volatile long delay = LEAVE;

	PG_TRY();
	{
		ba_process_begin();
		if (ba_process_load(&job, &run))
		{
			if (locked)
			{
				ba_lock_leave_slot();
				if (start.runner)
				{
					ba_process_set_hold(run, LOCK_REASON);
					delay = LONG_NAP;
				}
			}
			else if (failure == BA_FAILURE_FINAL || failure == BA_FAILURE_DATA ||
					 errors_in_a_row >= job->max_attempts)
				(void) ba_job_run_end(job, run->id, "failed", error);
			else
				delay = (long) ba_failure_delay(job, errors_in_a_row);
		}
		ba_process_commit();
	}
	PG_CATCH();
	{
		(void) roll_back(batch_context);
		delay = LONG_NAP;
	}
	PG_END_TRY();
	return delay;
}

/*
 * Works on the run until there is nothing left to do for this process.
 */
static void
work(void)
{
	BaMeasure measure = {0};
	volatile int errors_in_a_row = 0;
	volatile long nap = 0;

	while (nap != LEAVE)
	{
		ErrorData *volatile error = NULL;

		ba_task_release();
		MemoryContextReset(batch_context);
		MemoryContextSwitchTo(batch_context);
		PG_TRY();
		{
			ba_process_nap(nap);
			if (start.runner && !ba_lock_is_mine(BA_LOCK_RUN, start.run, ExclusiveLock) &&
				!ba_lock_try(BA_LOCK_RUN, start.run, ExclusiveLock))
				proc_exit(0); /* a command had let go of it, and there is another runner */
			ba_process_lock_means_hold = false;
			nap = step(&measure);
			errors_in_a_row = 0;
		}
		PG_CATCH();
		{
			error = roll_back(batch_context);
		}
		PG_END_TRY();
		if (error != NULL)
		{
			bool locked =
				ba_process_lock_means_hold && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;

			if (!locked)
				errors_in_a_row++;
			nap = recover(error, locked, errors_in_a_row);
		}
	}
}

/*
 * Waits until the process is wanted: the transaction that started it is over, an earlier runner has
 * left. Returns false where it is not, since there is a runner.
 */
static bool
wait_for_turn(void)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOCK_PATIENCE);

	if (TransactionIdIsValid(start.xid))
	{
		StartTransactionCommand();
		XactLockTableWait(start.xid, NULL, NULL, XLTW_None);
		CommitTransactionCommand();
	}
	while (start.runner && !ba_lock_try(BA_LOCK_RUN, start.run, ExclusiveLock))
	{
		if (GetCurrentTimestamp() > until)
			return false;
		ba_process_nap(SHORT_NAP);
	}

	return true;
}

/*
 * At the end of a process that never got connected: makes the server believe that it ended of itself.
 */
static void
end_for_good(int code, Datum arg)
{
	if (!connected)
		_exit(0);
}

/*
 * The main function of a process of a run.
 */
void
ba_job_worker_main(Datum arg)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"transaction_timeout", "0"}, /* from 17 on */
	};

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(Start));
	on_proc_exit(end_for_good, (Datum) 0);
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(start.database, start.owner, BA_WORKER_CONNECT_FLAGS);
	connected = true;

	/* Whatever the role or the server has set, a batch needs these. */
	for (int i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	batch_context =
		AllocSetContextCreate(TopMemoryContext, "batchagg batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(batch_context);
	if (wait_for_turn())
		work();
	proc_exit(0);
}
