/*
 * batch_worker.c
 *		All batches in the leader and PostgreSQL's parallel workers.
 *
 * Workers share the leader's transaction, snapshot, user and settings, so they
 * see what the caller's own query would see. Each process, the leader included,
 * does the same until there are no more batches:
 *
 *		take the place where cutting goes on, cut one batch, put the place back;
 *		run the batch, its rows going to a temporary file of its own
 *
 * Who cuts is alone in doing so, while the others run batches: cutting takes a
 * small part of the time that running does, so it keeps up with many workers, and
 * nobody works ahead of anybody. The place is guarded by a flag and a condition
 * variable rather than by a lightweight lock: cutting reads pages, and must be
 * stopped by Ctrl-C while it does. An error leaves the flag set: then the whole
 * call is over, and the leader ends the workers that wait for it.
 *
 * A process gets its batches in ascending order, so each file is ordered by
 * batch, and the leader merges them into the result. Nothing but one batch's
 * executor, one row a file and the tuplestore's work_mem is ever in memory.
 *
 * Fewer workers than wanted, or none, is no error: those that are there do it
 * all. A worker that dies is one, through core's parallel machinery; and batches
 * cut and batches run are compared at the end.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/buffile.h"
#include "storage/condition_variable.h"
#include "storage/sharedfileset.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "batch.h"
#include "compat.h"

/* What stands in shared memory, by key. */
#define KEY_SHARED UINT64CONST(1)
#define KEY_LEAVES UINT64CONST(2)
#define KEY_COLUMNS UINT64CONST(3)
#define KEY_PLAN UINT64CONST(4)
#define KEY_PARAMS UINT64CONST(5)
#define KEY_TEXT UINT64CONST(6)
#define KEY_STATEMENT UINT64CONST(7)
#define KEY_BUFFER_USAGE UINT64CONST(8)
#define KEY_WAL_USAGE UINT64CONST(9)
#define NUM_KEYS 9

/* The state of one call. What comes first is set before workers start and never changes. */
typedef struct Shared
{
	int64 batch_size;
	bool count_rows;
	int nleaves;
	int ncolumns;
	int first_bound;
	uint64 query_id; /* of the statement that called */
	SharedFileSet files;

	slock_t mutex; /* guards the rest */
	bool cutting;  /* a process is cutting, and position is its own */
	int64 done;    /* batches run to the end */
	int64 rows;    /* in them, as counted */
	ConditionVariable cut;
	BaPosition position;
} Shared;

/* Sink that fills this process's file: for each row the batch number and a minimal tuple. */
typedef struct FileSink
{
	BaSink pub;
	BufFile *file;
} FileSink;

/* A file as it is merged: its first row that is not in the result yet. */
typedef struct FileReader
{
	BufFile *file;
	bool at_end;
	int64 batch;
	MinimalTuple row; /* palloc'd */
} FileReader;

PGDLLEXPORT void batchagg_parallel_main(dsm_segment *seg, shm_toc *toc);

static void
file_put(BaSink *sink, int64 batch, TupleDesc desc, Datum *values, bool *nulls)
{
	FileSink *self = (FileSink *) sink;
	MinimalTuple row = heap_form_minimal_tuple(desc, values, nulls, 0);

	BufFileWrite(self->file, &batch, sizeof(batch));
	BufFileWrite(self->file, row, row->t_len);
	pfree(row);
}

/*
 * Names the file of a process: -1 is the leader, 0 and up are workers.
 */
static void
name_file(int process, char *name, size_t size)
{
	snprintf(name, size, "result%d", process);
}

/*
 * Makes a sink that fills this process's file.
 */
static FileSink *
open_sink(Shared *shared)
{
	FileSink *sink = palloc(sizeof(FileSink));
	char name[MAXPGPATH];

	name_file(ParallelWorkerNumber, name, sizeof(name));
	sink->pub.put = file_put;
	sink->file = BufFileCreateFileSet(&shared->files.fs, name);
	return sink;
}

/*
 * Completes this process's file for the leader to read.
 */
static void
close_sink(FileSink *sink)
{
	BufFileExportFileSet(sink->file);
	BufFileClose(sink->file);
}

/*
 * Reads the next row of a file.
 */
static void
read_row(FileReader *reader)
{
	uint32 length;

	if (BufFileReadMaybeEOF(reader->file, &reader->batch, sizeof(reader->batch), true) == 0)
	{
		reader->at_end = true;
		return;
	}
	BufFileReadExact(reader->file, &length, sizeof(length));
	reader->row = palloc(length);
	reader->row->t_len = length;
	BufFileReadExact(reader->file, (char *) reader->row + sizeof(length), length - sizeof(length));
}

/*
 * Merges the files of all processes into the result, ordered by batch.
 */
static void
merge_files(Shared *shared, int nworkers, TupleDesc desc, Tuplestorestate *store)
{
	int nfiles = nworkers + 1;
	FileReader *readers = palloc0(sizeof(FileReader) * nfiles);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	char name[MAXPGPATH];

	for (int i = 0; i < nfiles; i++)
	{
		name_file(i - 1, name, sizeof(name));
		readers[i].file = BufFileOpenFileSet(&shared->files.fs, name, O_RDONLY, true);
		if (readers[i].file == NULL)
			readers[i].at_end = true; /* a worker that never started */
		else
			read_row(&readers[i]);
	}

	for (;;)
	{
		FileReader *least = NULL;
		int64 batch;

		for (int i = 0; i < nfiles; i++)
		{
			if (!readers[i].at_end && (least == NULL || readers[i].batch < least->batch))
				least = &readers[i];
		}
		if (least == NULL)
			break;

		/* All rows of a batch are in one file. */
		batch = least->batch;
		do
		{
			CHECK_FOR_INTERRUPTS();
			ExecStoreMinimalTuple(least->row, slot, true);
			tuplestore_puttupleslot(store, slot);
			ExecClearTuple(slot);
			read_row(least);
		} while (!least->at_end && least->batch == batch);
	}

	for (int i = 0; i < nfiles; i++)
	{
		if (readers[i].file != NULL)
			BufFileClose(readers[i].file);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Cuts the next batch, alone; false if there is none.
 */
static bool
take_batch(Shared *shared, BaSource *source, BaBatch *batch)
{
	bool found;

	for (;;)
	{
		bool busy;

		SpinLockAcquire(&shared->mutex);
		busy = shared->cutting;
		shared->cutting = true;
		SpinLockRelease(&shared->mutex);
		if (!busy)
			break;
		ConditionVariableSleep(&shared->cut, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();

	found = ba_split_next(source, &shared->position, batch);

	SpinLockAcquire(&shared->mutex);
	shared->cutting = false;
	SpinLockRelease(&shared->mutex);
	ConditionVariableSignal(&shared->cut);
	return found;
}

/*
 * Takes and runs batches until there are none: what the leader and every worker do.
 */
static void
take_part(Shared *shared, BaRun *run)
{
	FileSink *sink = open_sink(shared);
	BaBatch batch;
	int64 done;
	int64 rows;

	ba_result_set_sink(run->dest, &sink->pub);
	while (take_batch(shared, run->source, &batch))
	{
		ba_split_pause(run->source);
		ba_run_batch(run, &batch);
		SpinLockAcquire(&shared->mutex);
		done = ++shared->done;
		rows = shared->rows += Max(batch.rows, 0);
		SpinLockRelease(&shared->mutex);
		ba_progress_report(&run->progress, done, rows);
	}
	ba_run_close(run);
	close_sink(sink);
}

/*
 * Copies bytes into shared memory under a key.
 */
static void *
store_chunk(shm_toc *toc, uint64 key, const void *bytes, Size size)
{
	void *chunk = shm_toc_allocate(toc, size);

	if (bytes != NULL)
		memcpy(chunk, bytes, size);
	shm_toc_insert(toc, key, chunk);
	return chunk;
}

/*
 * Makes the parallel context with all that workers need.
 */
static ParallelContext *
create_context(BaRun *run, BaColumns *columns, int workers)
{
	ParallelContext *pcxt = CreateParallelContext("batchagg", "batchagg_parallel_main", workers);
	char *plan = nodeToString(run->plan->stmt);
	const char *statement = debug_query_string ? debug_query_string : "";
	BaSource *source = run->source;
	Size leaves_size = sizeof(Oid) * source->nleaves;
	Size columns_size = sizeof(AttrNumber) * columns->desc->natts;
	Size params_size = EstimateParamListSpace(run->params);
	Size buffer_size = mul_size(sizeof(BufferUsage), workers);
	Size wal_size = mul_size(sizeof(WalUsage), workers);
	Shared *shared;
	char *params;

	shm_toc_estimate_chunk(&pcxt->estimator, sizeof(Shared));
	shm_toc_estimate_chunk(&pcxt->estimator, leaves_size);
	shm_toc_estimate_chunk(&pcxt->estimator, columns_size);
	shm_toc_estimate_chunk(&pcxt->estimator, strlen(plan) + 1);
	shm_toc_estimate_chunk(&pcxt->estimator, params_size);
	shm_toc_estimate_chunk(&pcxt->estimator, strlen(run->text) + 1);
	shm_toc_estimate_chunk(&pcxt->estimator, strlen(statement) + 1);
	shm_toc_estimate_chunk(&pcxt->estimator, buffer_size);
	shm_toc_estimate_chunk(&pcxt->estimator, wal_size);
	shm_toc_estimate_keys(&pcxt->estimator, NUM_KEYS);
	InitializeParallelDSM(pcxt);
	if (pcxt->nworkers == 0)
		return pcxt;

	shared = store_chunk(pcxt->toc, KEY_SHARED, NULL, sizeof(Shared));
	memset(shared, 0, sizeof(Shared));
	shared->batch_size = source->batch_size;
	shared->count_rows = ba_split_counts_rows(source);
	shared->nleaves = source->nleaves;
	shared->ncolumns = columns->desc->natts;
	shared->first_bound = run->plan->first_bound;
	shared->query_id = pgstat_get_my_query_id();
	SharedFileSetInit(&shared->files, pcxt->seg);
	SpinLockInit(&shared->mutex);
	ConditionVariableInit(&shared->cut);
	ba_split_start(&shared->position);

	store_chunk(pcxt->toc, KEY_LEAVES, source->leaves, leaves_size);
	store_chunk(pcxt->toc, KEY_COLUMNS, columns->from, columns_size);
	store_chunk(pcxt->toc, KEY_PLAN, plan, strlen(plan) + 1);
	params = store_chunk(pcxt->toc, KEY_PARAMS, NULL, params_size);
	SerializeParamList(run->params, &params);
	store_chunk(pcxt->toc, KEY_TEXT, run->text, strlen(run->text) + 1);
	store_chunk(pcxt->toc, KEY_STATEMENT, statement, strlen(statement) + 1);
	store_chunk(pcxt->toc, KEY_BUFFER_USAGE, NULL, buffer_size);
	store_chunk(pcxt->toc, KEY_WAL_USAGE, NULL, wal_size);
	return pcxt;
}

/*
 * Runs all batches with so many workers beside this process, into the tuplestore. Returns false,
 * with nothing done, where no worker could be started.
 */
bool
ba_worker_run_all(BaRun *run, BaColumns *columns, Tuplestorestate *store, int workers)
{
	ParallelContext *pcxt;
	bool started;

	/*
	 * Inside INSERT ... SELECT the command has written already, and a volatile function of the
	 * query that starts a command in parallel mode would be refused for that. A new command has
	 * not; what the query sees is the active snapshot's, as before.
	 */
	CommandCounterIncrement();
	EnterParallelMode();
	pcxt = create_context(run, columns, workers);
	LaunchParallelWorkers(pcxt);
	started = pcxt->nworkers_launched > 0;
	if (pcxt->nworkers_launched < workers)
		ereport(DEBUG1, (errmsg_internal("started %d of %d workers for batches",
										 pcxt->nworkers_launched, workers)));
	if (started)
	{
		Shared *shared = shm_toc_lookup(pcxt->toc, KEY_SHARED, false);
		BufferUsage *buffers = shm_toc_lookup(pcxt->toc, KEY_BUFFER_USAGE, false);
		WalUsage *wal = shm_toc_lookup(pcxt->toc, KEY_WAL_USAGE, false);

		run->progress.workers = pcxt->nworkers_launched;
		ba_progress_begin(&run->progress);
		take_part(shared, run);
		WaitForParallelWorkersToFinish(pcxt);
		ba_progress_end(&run->progress);
		for (int i = 0; i < pcxt->nworkers_launched; i++)
			InstrAccumParallelQuery(&buffers[i], &wal[i]);
		if (shared->done != shared->position.number)
			elog(ERROR, "only " INT64_FORMAT " of " INT64_FORMAT " batches were run", shared->done,
				 shared->position.number);
		merge_files(shared, pcxt->nworkers_launched, columns->desc, store);
	}
	DestroyParallelContext(pcxt);
	ExitParallelMode();
	return started;
}

/*
 * Entry point of a worker.
 */
void
batchagg_parallel_main(dsm_segment *seg, shm_toc *toc)
{
	Shared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	Oid *leaves = shm_toc_lookup(toc, KEY_LEAVES, false);
	AttrNumber *from = shm_toc_lookup(toc, KEY_COLUMNS, false);
	char *plan = shm_toc_lookup(toc, KEY_PLAN, false);
	char *params = shm_toc_lookup(toc, KEY_PARAMS, false);
	char *text = shm_toc_lookup(toc, KEY_TEXT, false);
	BufferUsage *buffers = shm_toc_lookup(toc, KEY_BUFFER_USAGE, false);
	WalUsage *wal = shm_toc_lookup(toc, KEY_WAL_USAGE, false);
	PlannedStmt *stmt;
	BaColumns *columns;
	BaSource *source;
	BaRun *run;

	debug_query_string = shm_toc_lookup(toc, KEY_STATEMENT, false);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	pgstat_report_query_id(shared->query_id, false);
	SharedFileSetAttach(&shared->files, seg);

	stmt = stringToNode(plan);
	columns =
		ba_result_from_map(ExecCleanTypeFromTL(stmt->planTree->targetlist), shared->ncolumns, from);
	source = ba_split_open(shared->nleaves, leaves, shared->batch_size, shared->count_rows, true,
						   GetActiveSnapshot());
	run = ba_run_open(ba_plan_open(stmt, shared->first_bound), text, RestoreParamList(&params),
					  source, ba_result_create_receiver(columns, NULL));

	InstrStartParallelQuery();
	take_part(shared, run);
	InstrEndParallelQuery(&buffers[ParallelWorkerNumber], &wal[ParallelWorkerNumber]);
	ba_split_close(source);
}
