/*
 * job_lock.c
 *		Who is alive: locks that a process holds for as long as it lives.
 *
 * A process that dies, however it does, loses its locks, so no time limit has to be guessed and no
 * heartbeat written. They are advisory locks of the session, which survive the end of transactions
 * and errors; their tags have a fourth field that pg_advisory_lock never sets, so nobody else can
 * take one. pg_advisory_unlock_all does release those of its own process, though, and a command
 * may call it: who relies on a lock asks ba_lock_is_mine again. What is right or wrong never
 * hangs on it: a task's row says whose attempt may mark it done.
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"

#include "compat.h"
#include "job.h"

/* The slot this process holds, 0 for none. */
static int my_slot = 0;

/*
 * Makes the tag of a lock.
 */
static void
make_tag(LOCKTAG *tag, BaLockKind kind, int64 id)
{
	SET_LOCKTAG_ADVISORY(*tag, kind == BA_LOCK_SLOT ? InvalidOid : MyDatabaseId,
						 (uint32) ((uint64) id >> 32), (uint32) id, kind);
}

/*
 * Takes a lock if that needs no waiting. Returns whether it did.
 */
bool
ba_lock_try(BaLockKind kind, int64 id, LOCKMODE mode)
{
	LOCKTAG tag;

	make_tag(&tag, kind, id);
	return LockAcquire(&tag, mode, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Gives a lock back.
 */
void
ba_lock_release(BaLockKind kind, int64 id, LOCKMODE mode)
{
	LOCKTAG tag;

	make_tag(&tag, kind, id);
	if (LockHeldByMe(&tag, mode, false))
		(void) LockRelease(&tag, mode, true);
}

/*
 * Tells whether this process holds a lock.
 */
bool
ba_lock_is_mine(BaLockKind kind, int64 id, LOCKMODE mode)
{
	LOCKTAG tag;

	make_tag(&tag, kind, id);
	return LockHeldByMe(&tag, mode, false);
}

/*
 * Returns how many processes, this one included, hold a lock or wait for it. Takes nothing, so that
 * looking does not keep others from taking it.
 */
int
ba_lock_count_holders(BaLockKind kind, int64 id)
{
	LOCKTAG tag;

	make_tag(&tag, kind, id);
	return LockWaiterCount(&tag);
}

/*
 * Lists the processes that hold a lock, by their pids.
 */
List *
ba_lock_list_holders(BaLockKind kind, int64 id)
{
	LockData *locks = GetLockStatusData();
	List *pids = NIL;
	LOCKTAG tag;

	make_tag(&tag, kind, id);
	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];

		if (lock->holdMask != 0 && memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0)
			pids = lappend_int(pids, lock->pid);
	}
	return pids;
}

/*
 * Takes one of batchagg.max_job_workers places, unless this process has one. Returns false where
 * all are taken.
 */
bool
ba_lock_take_slot(void)
{
	if (my_slot > 0 && ba_lock_is_mine(BA_LOCK_SLOT, my_slot, ExclusiveLock))
		return true;
	for (int slot = 1; slot <= batchagg_max_job_workers; slot++)
	{
		if (ba_lock_try(BA_LOCK_SLOT, slot, ExclusiveLock))
		{
			my_slot = slot;
			return true;
		}
	}
	my_slot = 0;
	return false;
}

/*
 * Gives the place back that this process has, if it has one.
 */
void
ba_lock_leave_slot(void)
{
	if (my_slot > 0)
		ba_lock_release(BA_LOCK_SLOT, my_slot, ExclusiveLock);
	my_slot = 0;
}

/*
 * Tells how many of those places are free just now.
 */
int
ba_lock_count_free_slots(void)
{
	int n = 0;

	for (int slot = 1; slot <= batchagg_max_job_workers; slot++)
		n += ba_lock_count_holders(BA_LOCK_SLOT, slot) == 0;
	return n;
}

/*
 * Tells whether somebody wants to drop or rename this database and waits for its processes to
 * leave.
 */
bool
ba_lock_database_is_going(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	if (LockAcquire(&tag, RowExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	(void) LockRelease(&tag, RowExclusiveLock, true);
	return false;
}
