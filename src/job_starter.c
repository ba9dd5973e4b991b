/*
 * job_starter.c
 *		After a restart: runs that were under way go on.
 *
 * With batchagg in shared_preload_libraries one process starts when the server has recovered (on a
 * standby that is at promotion). It has every database looked into by a process of its own,
 * one after the other, since a process can only ever be connected to one. That one starts the
 * runners of the database's runs. Both then leave. They are connected as the bootstrap superuser, and
 * run nothing but the statements below on the extension's tables.
 *
 * After a crash of some process the server starts runners again by itself, and not this. While pg_upgrade has a server
 * running nothing is to write to it, so there it stays away.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "job.h"

PGDLLEXPORT void ba_job_starter_main(Datum arg);

/*
 * Fills in what the two kinds of processes have in common; database is InvalidOid for the first.
 */
static void
describe(BackgroundWorker *worker, Oid database)
{
	*worker = (BackgroundWorker){0};
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	worker->bgw_main_arg = ObjectIdGetDatum(database);
	strlcpy(worker->bgw_library_name, "batchagg", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, "ba_job_starter_main", sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_type, "batchagg starter", sizeof(worker->bgw_type));
	strlcpy(worker->bgw_name, "batchagg starter", sizeof(worker->bgw_name));
}

/*
 * Registers the starter while the server loads its libraries.
 */
void
ba_job_starter_init(void)
{
	BackgroundWorker worker;

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	describe(&worker, InvalidOid);
	RegisterBackgroundWorker(&worker);
}

/*
 * Lists the databases that can be connected to.
 */
static List *
list_databases(void)
{
	List *databases = NIL;
	Relation rel = table_open(DatabaseRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
	HeapTuple tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		/* such as template0, and what an interrupted DROP DATABASE has left */
		if (database->datallowconn && database->datconnlimit != DATCONNLIMIT_INVALID_DB)
		{
			MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

			databases = lappend_oid(databases, database->oid);
			MemoryContextSwitchTo(old);
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	return databases;
}

/*
 * Has each database looked into.
 */
static void
visit_databases(void)
{
	List *databases;
	ListCell *lc;

	StartTransactionCommand();
	databases = list_databases();
	CommitTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
	foreach (lc, databases)
	{
		BackgroundWorker worker;
		BackgroundWorkerHandle *handle;

		describe(&worker, lfirst_oid(lc));
		worker.bgw_notify_pid = MyProcPid;
		if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		{
			ereport(LOG, (errmsg("no background worker is free to look for interrupted runs"),
						  errhint("They go on at the next start_job. You may need to increase "
								  "max_worker_processes.")));
			return;
		}
		if (WaitForBackgroundWorkerShutdown(handle) == BGWH_POSTMASTER_DIED)
			proc_exit(1);
		pfree(handle);
	}
}

/*
 * Starts a runner for each run of this database that is under way.
 */
static void
launch_runners(void)
{
	StartTransactionCommand();
	if (ba_catalog_lock() && OidIsValid(ba_catalog_find_owner()))
	{
		BaCatalog catalog;
		uint64 rows;
		int64 *ids;

		ba_catalog_begin(&catalog);
		rows =
			ba_catalog_execute("SELECT job_id, id FROM batchagg.run WHERE status = 'running'", "");
		ids = MemoryContextAlloc(TopMemoryContext, Max(rows, 1) * 2 * sizeof(int64));
		for (uint64 i = 0; i < rows; i++)
		{
			ids[2 * i] = ba_catalog_int(i, 0, 0);
			ids[2 * i + 1] = ba_catalog_int(i, 1, 0);
		}
		ba_catalog_end(&catalog);
		for (uint64 i = 0; i < rows; i++)
		{
			BaJob *job = ba_catalog_get_job(ids[2 * i]);

			if (job != NULL && SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(job->owner)))
				ba_job_worker_launch_runner(job, ids[2 * i + 1]);
		}
	}
	CommitTransactionCommand();
}

/*
 * The main function of both kinds of processes.
 */
void
ba_job_starter_main(Datum arg)
{
	Oid database = DatumGetObjectId(arg);

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	if (OidIsValid(database))
		launch_runners();
	else
		visit_databases();
	proc_exit(0);
}
