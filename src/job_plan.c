/*
 * job_plan.c
 *		What the runner does before the first batch: waits for whom it has to, then plans.
 *
 * A run is planned when no process works on an earlier run of the job any more: the runner has the
 * job's lock exclusively then, and from then on shared, as its workers have.
 *
 * An incremental run takes its upper bound first and then waits for every transaction that had
 * written to the table by then, since such a one may yet commit a row below the bound. Whoever
 * begins to write later gets a later key, as long as keys are drawn while writing; doc/jobs.md
 * says what that leaves out. The wait is a poll, so that a run can be cancelled meanwhile and
 * holds nothing, and it passes over VACUUM, which writes no rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "job_process.h"

/* What planning has found so far, from one step of the process to the next. */
typedef struct Planning
{
	MemoryContext context; /* of all below; NULL before the upper bound is taken */
	char *end_key;         /* the upper bound, NULL for an empty relation */
	List *writers;         /* VirtualTransactionIds to wait for */
	bool looked;           /* for NULL keys, after that */
	bool null_keys;        /* there are some */
} Planning;

static Planning planning = {0};

/*
 * Lists the transactions that may have written to a relation or its partitions and are not at
 * their end, in the given context.
 */
static List *
list_writers(Oid relation, MemoryContext context)
{
	List *writers = NIL;
	List *relations = find_all_inheritors(relation, NoLock, NULL);
	ListCell *lc;

	foreach (lc, relations)
	{
		LOCKTAG tag;
		VirtualTransactionId *holders;
		VirtualTransactionId *others;
		int others_count;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, lfirst_oid(lc));
		holders = GetLockConflicts(&tag, ShareLock, NULL);
		others = GetCurrentVirtualXIDs(InvalidTransactionId, false, false, PROC_IN_VACUUM,
									   &others_count);
		for (; VirtualTransactionIdIsValid(*holders); holders++)
		{
			bool writes = VirtualTransactionIdIsRecoveredPreparedXact(*holders);

			for (int i = 0; i < others_count && !writes; i++)
				writes = VirtualTransactionIdEquals(*holders, others[i]);
			if (writes)
			{
				MemoryContext old = MemoryContextSwitchTo(context);
				VirtualTransactionId *writer = palloc(sizeof(VirtualTransactionId));

				*writer = *holders;
				writers = lappend(writers, writer);
				MemoryContextSwitchTo(old);
			}
		}
	}
	return writers;
}

/*
 * Takes the upper bound, and then whom it has to wait for.
 */
static void
take_end(const BaJob *job, BaRange *range)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "batchagg planning", ALLOCSET_SMALL_SIZES);
	char *end_key;
	List *writers = NIL;

	if (job->incremental)
		ba_range_check_lockable(range); /* a partition may have been attached */
	PushActiveSnapshot(GetTransactionSnapshot());
	end_key = range->kind->last_key(range);
	PopActiveSnapshot();
	if (end_key != NULL)
		end_key = MemoryContextStrdup(context, end_key);
	if (job->incremental)
		writers = list_writers(job->relation, context);

	/* an error until here must not leave a bound without its writers */
	MemoryContextSetParent(context, TopMemoryContext);
	planning = (Planning){.context = context, .end_key = end_key, .writers = writers};
}

/*
 * Forgets what was found.
 */
static void
reset(void)
{
	if (planning.context != NULL)
		MemoryContextDelete(planning.context);
	planning = (Planning){0};
}

/*
 * Goes on with planning the run. Called in a transaction that has loaded it, which it ends. Returns
 * whether to go on at once; if not there is something to wait for.
 */
bool
ba_process_plan(BaJob *job, BaJobRun *run)
{
	BaRange *range = ba_range_open_job(job);

	if (!ba_lock_is_mine(BA_LOCK_JOB, job->id, ExclusiveLock) &&
		!ba_lock_try(BA_LOCK_JOB, job->id, ExclusiveLock))
	{
		ba_process_set_hold(run, "a batch of an earlier run is still at work");
		ba_process_commit();
		return false;
	}
	if (planning.context == NULL)
		take_end(job, range);
	while (planning.writers != NIL)
	{
		if (!VirtualXactLock(*(VirtualTransactionId *) linitial(planning.writers), false))
		{
			ba_process_set_hold(run, "transactions that have written to the table are under way");
			ba_process_commit();
			return false;
		}
		planning.writers = list_delete_first(planning.writers);
	}
	if (!planning.looked)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		planning.null_keys = ba_job_run_check_null_keys(job, range);
		PopActiveSnapshot();
		planning.looked = true;
	}

	/* from here on no locks are waited for but those of before_command, and that may take long */
	ba_process_lock_means_hold = false;
	if (run->hold_reason != NULL)
	{
		ba_process_set_hold(run, NULL);
		ba_process_commit();
		return true;
	}
	if (job->before_command != NULL && !ba_job_run_may_begin(run->id))
	{
		ba_process_commit();
		return false;
	}
	ba_job_run_plan(job, run, range, planning.end_key, planning.null_keys);
	ba_process_commit();
	reset();
	(void) ba_lock_try(BA_LOCK_JOB, job->id, ShareLock);
	ba_lock_release(BA_LOCK_JOB, job->id, ExclusiveLock);
	return true;
}
