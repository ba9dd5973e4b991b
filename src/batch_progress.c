/*
 * batch_progress.c
 *		How far a call has got, for other sessions to see.
 *
 * Every process has a place in shared memory where core's commands, such as VACUUM, publish their
 * progress: a kind of command, a table, some numbers. A call that runs batches publishes there as well, under a
 * kind of its own, which none of core's views shows; so nothing needs to be preloaded, and core
 * clears the place after an error. query_progress() reads it.
 *
 * The place is one. Where it is taken, by a COPY around the call or an outer call, nothing is
 * published, and where a command inside a batch took it, or the end of a subtransaction cleared it,
 * the next batch's end publishes anew. The leader alone publishes, each time it has done a batch. Of a
 * call that runs its query whole it is published that it is under way, and no more is known.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(batchagg_query_progress);

/* The numbers that are published, by index. */
enum
{
	STARTED_AT,
	BATCHES_TOTAL, /* as estimated; -1: it runs whole */
	BATCHES_DONE,
	ROWS_DONE, /* -1: they are not counted */
	WORKERS,   /* -1: core's plan decides */
	NUM_PARAMS
};

/*
 * Publishes that a call begins to run batches, unless this process publishes something already.
 */
void
ba_progress_begin(BaProgress *progress)
{
	progress->shown =
		MyBEEntry != NULL && MyBEEntry->st_progress_command == PROGRESS_COMMAND_INVALID;
	ba_progress_report(progress, 0, 0);
}

/*
 * Publishes how many batches are done, and how many rows they had.
 */
void
ba_progress_report(const BaProgress *progress, int64 batches, int64 rows)
{
	static const int params[NUM_PARAMS] = {STARTED_AT, BATCHES_TOTAL, BATCHES_DONE, ROWS_DONE,
										   WORKERS};
	int64 values[NUM_PARAMS] = {GetCurrentStatementStartTimestamp(),
								progress->is_whole ? -1 : Max(progress->batches_total, batches),
								batches, progress->counts_rows ? rows : -1, progress->workers};

	if (!progress->shown)
		return;
	if (MyBEEntry->st_progress_command == PROGRESS_COMMAND_INVALID)
		pgstat_progress_start_command(BA_PROGRESS_QUERY, progress->relation);
	if (MyBEEntry->st_progress_command == BA_PROGRESS_QUERY)
		pgstat_progress_update_multi_param(NUM_PARAMS, params, values);
}

/*
 * Publishes that the call has ended.
 */
void
ba_progress_end(BaProgress *progress)
{
	if (progress->shown && MyBEEntry->st_progress_command == BA_PROGRESS_QUERY)
		pgstat_progress_end_command();
	progress->shown = false;
}

/*
 * query_progress(): the calls under way in this database, those of other roles as in
 * pg_stat_activity
 */
Datum
batchagg_query_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		const int64 *params = status->st_progress_param;
		Datum values[7];
		bool nulls[7] = {false};

		/* the kind is published an instant before the numbers */
		if (status->st_progress_command != BA_PROGRESS_QUERY || params[STARTED_AT] == 0 ||
			status->st_databaseid != MyDatabaseId ||
			!(has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
			  has_privs_of_role(GetUserId(), status->st_userid)))
			continue;
		values[0] = Int32GetDatum(status->st_procpid);
		values[1] = ObjectIdGetDatum(status->st_progress_command_target);
		nulls[1] = !OidIsValid(status->st_progress_command_target);
		values[2] = TimestampTzGetDatum(params[STARTED_AT]);
		values[3] = Int64GetDatum(params[BATCHES_TOTAL]);
		values[4] = Int64GetDatum(params[BATCHES_DONE]);
		nulls[3] = nulls[4] = params[BATCHES_TOTAL] < 0;
		values[5] = Int64GetDatum(params[ROWS_DONE]);
		nulls[5] = params[ROWS_DONE] < 0;
		values[6] = Int32GetDatum((int32) params[WORKERS]);
		nulls[6] = params[WORKERS] < 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
