/*
 * job_pressure.c
 *		What the server bears just now: the throttles that look at the server itself.
 *
 * All is read in C from what the server keeps in shared memory, since its statistics views show
 * an ordinary owner of a job NULLs. Nothing is read that grows without bound, no lock is held for
 * longer than a copy takes, and no figure of a single session or standby is told.
 *
 * Two throttles compare with an earlier look of the same process, kept in static variables: how
 * long a place in WAL has waited to be applied, and how much WAL was written.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_inherits.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/fd.h"
#include "storage/spin.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"
#include "job.h"

/* how long WAL that was written too fast is made up for at most, s */
#define LONGEST_DEBT 60

/*
 * Returns an amount of bytes for people.
 */
static char *
pretty(double bytes)
{
	return TextDatumGetCString(DirectFunctionCall1(pg_size_pretty, Int64GetDatum((int64) bytes)));
}

/*
 * Finds the place in WAL that the slowest of those who receive it and tell how far they have
 * applied it has got to, InvalidXLogRecPtr where there is none, and the longest lag that core has
 * measured, ms. A standby that is not connected is not there.
 */
static XLogRecPtr
find_slowest_apply(double *lag)
{
	XLogRecPtr slowest = InvalidXLogRecPtr;

	*lag = 0;
	for (int i = 0; i < max_wal_senders; i++)
	{
		WalSnd *sender = &WalSndCtl->walsnds[i];
		XLogRecPtr apply;
		TimeOffset measured;
		bool counts;

		SpinLockAcquire(&sender->mutex);
		counts = sender->pid != 0 && sender->state != WALSNDSTATE_BACKUP;
		apply = sender->apply;
		measured = sender->applyLag;
		SpinLockRelease(&sender->mutex);
		if (!counts || XLogRecPtrIsInvalid(apply))
			continue;
		if (XLogRecPtrIsInvalid(slowest) || apply < slowest)
			slowest = apply;
		*lag = Max(*lag, measured / 1000.0);
	}
	return slowest;
}

/*
 * A standby is further behind than the limit. As time this is what core measures from the standbys'
 * answers, or, as one that hangs does not answer, the time for which this process has seen a place
 * in WAL not being applied.
 */
char *
ba_pressure_replication_lag(const BaJob *job, const BaLimit *limit)
{
	static XLogRecPtr mark = InvalidXLogRecPtr;
	static TimestampTz marked = 0;
	TimestampTz now = GetCurrentTimestamp();
	XLogRecPtr end = GetFlushRecPtr(NULL);
	double lag;
	XLogRecPtr apply = find_slowest_apply(&lag);

	if (XLogRecPtrIsInvalid(apply) || apply >= end)
	{
		mark = InvalidXLogRecPtr;
		return NULL;
	}
	if (limit->in_bytes)
	{
		if (end - apply <= limit->amount)
			return NULL;
		return psprintf("a standby is %s behind, more than %s", pretty(end - apply), limit->text);
	}
	if (XLogRecPtrIsInvalid(mark) || apply >= mark)
	{
		mark = end;
		marked = now;
	}
	lag = Max(lag, (now - marked) / 1000.0);
	if (lag <= limit->amount)
		return NULL;
	return psprintf("a standby is %.0f s behind, more than %s", lag / 1000, limit->text);
}

/*
 * The server writes WAL faster than the limit. What it writes is a debt that is paid off at the
 * rate of the limit; no batch starts while there is any, so that what a batch has written at once
 * is made up for by waiting.
 */
char *
ba_pressure_wal_rate(const BaJob *job, const BaLimit *limit)
{
	static XLogRecPtr seen = InvalidXLogRecPtr;
	static TimestampTz seen_at = 0;
	static double debt = 0;
	XLogRecPtr end = GetXLogInsertRecPtr();
	TimestampTz now = GetCurrentTimestamp();

	if (!XLogRecPtrIsInvalid(seen))
		debt += (end - seen) - limit->amount * (now - seen_at) / USECS_PER_SEC;
	debt = Max(Min(debt, limit->amount * LONGEST_DEBT), 0);
	seen = end;
	seen_at = now;
	if (debt == 0)
		return NULL;
	return psprintf("WAL was written faster than %s a second, which takes %.1f s to make up for",
					limit->text, debt / limit->amount);
}

/*
 * More WAL files than the limit wait to be archived. Reads no further than to that number.
 */
char *
ba_pressure_archive_backlog(const BaJob *job, const BaLimit *limit)
{
	static const char *const path = XLOGDIR "/archive_status";
	DIR *dir;
	struct dirent *entry;
	int waiting = 0;

	if (!XLogArchivingActive())
		return NULL;
	dir = AllocateDir(path);
	while (waiting <= limit->amount && (entry = ReadDir(dir, path)) != NULL)
	{
		size_t length = strlen(entry->d_name);

		if (length > 6 && strcmp(entry->d_name + length - 6, ".ready") == 0)
			waiting++;
	}
	FreeDir(dir);
	if (waiting <= limit->amount)
		return NULL;
	return psprintf("more than %s WAL files wait to be archived", limit->text);
}

/*
 * More sessions than the limit are active. Background processes, all of batchagg's among them, are
 * no sessions, and one that waits in run_job does no work.
 */
char *
ba_pressure_active_sessions(const BaJob *job, const BaLimit *limit)
{
	int active = 0;

	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (status->st_backendType == B_BACKEND &&
			(status->st_state == STATE_RUNNING || status->st_state == STATE_FASTPATH) &&
			status->st_progress_command != BA_PROGRESS_WAIT)
			active++;
	}
	if (active <= limit->amount)
		return NULL;
	return psprintf("%d sessions are active, more than %s", active, limit->text);
}

/*
 * An autovacuum worker vacuums the job's relation or a partition of it.
 */
char *
ba_pressure_autovacuum(const BaJob *job, const BaLimit *limit)
{
	List *relations = find_all_inheritors(job->relation, NoLock, NULL);

	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (status->st_backendType == B_AUTOVAC_WORKER && status->st_databaseid == MyDatabaseId &&
			status->st_progress_command == PROGRESS_COMMAND_VACUUM &&
			list_member_oid(relations, status->st_progress_command_target))
			return pstrdup("the table is being vacuumed");
	}
	return NULL;
}
