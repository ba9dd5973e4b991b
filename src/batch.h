/*
 * batch.h
 *		A relation cut into batches, and a query run once per batch.
 *
 * The parts, in the order a call goes through them:
 *
 *		batch_sql.c		the SQL-callable functions: arguments in, rows out
 *		batch_query.c	text to one analyzed SELECT, its parameters bound
 *		batch_driving.c	the table of the query that is cut, and the cut itself as a condition
 *		batch_plan.c	one plan for all batches
 *		batch_split.c	where one batch ends and the next begins
 *		batch_run.c		one batch through the executor; all of them in the leader
 *		batch_worker.c	all of them in the leader and parallel workers
 *		batch_result.c	result columns, and where rows go
 *		batch_progress.c how far it all has got, for other sessions
 *
 * A batch is a range of TIDs of one heap, both ends inclusive. The range enters
 * the plan as external parameters, so that one plan serves every batch:
 *
 *		1 .. n					the caller's own parameters
 *		n + 1, n + 2			the range while the query is planned
 *		n + 3 + 2i, n + 4 + 2i	the range of leaf i while the plan runs; NULL, that
 *								is an empty range, for all leaves but one
 */
#ifndef BATCH_H
#define BATCH_H

#include "postgres.h"

#include "executor/execdesc.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "storage/itemptr.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/backend_progress.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
#include "utils/tuplestore.h"

#include "batchagg.h"
#include "scan.h"

/*
 * What a session publishes of itself beside what core's commands do (batch_progress.c): it runs
 * batches, or it waits for a job.
 */
#define BA_PROGRESS_QUERY ((ProgressCommandType) 0xBA01)
#define BA_PROGRESS_WAIT ((ProgressCommandType) 0xBA02)

/* One batch. */
typedef struct BaBatch
{
	int64 number;          /* 1, 2, ... through all leaves */
	int leaf;              /* index of its leaf in the source */
	Oid relation;          /* that leaf */
	ItemPointerData first; /* its range, both ends inclusive */
	ItemPointerData last;
	int64 rows; /* visible rows in it, or -1 where they were not counted */
} BaBatch;

/*
 * Where cutting goes on: all of the state that one batch hands to the next. Plain data, so that
 * the processes of one call can pass it around in shared memory.
 */
typedef struct BaPosition
{
	int64 number;        /* batches handed out so far */
	int leaf;            /* leaf being cut, number of leaves when all is done */
	BlockNumber nblocks; /* its size when its first batch was cut, InvalidBlockNumber before */
	BlockNumber block;   /* rows up to and with this block and offset are handed out; */
	OffsetNumber offset; /* nblocks as block: the leaf is done */
} BaPosition;

struct BaSource;

/* How a leaf is cut. */
typedef struct BaSourceKind
{
	/* Get ready to cut the leaf in source->rel. */
	void (*begin)(struct BaSource *source);

	/*
	 * Cut the next batch of source->rel at *position, set its range and rows, and move *position
	 * behind it. Returns false, and no batch, where the leaf has no more.
	 */
	bool (*next)(struct BaSource *source, BaPosition *position, BaBatch *batch);

	/* Let go of every buffer; cutting may go on afterwards. */
	void (*pause)(struct BaSource *source);

	/* Undo begin. */
	void (*end)(struct BaSource *source);
} BaSourceKind;

/* A relation as a source of batches: what is the same for every process, then this process's own. */
typedef struct BaSource
{
	const BaSourceKind *kind;
	Snapshot snapshot;
	int64 batch_size;
	bool read_again; /* batches are read as soon as they are cut */
	int nleaves;
	Oid *leaves;

	int leaf;                    /* index of the open leaf, -1 if none is */
	Relation rel;                /* the open leaf */
	BaScan *scan;                /* by rows */
	int page_rows;               /* visible tuples of the page it stands on, */
	int row;                     /* and the first of them that is not in a batch */
	BlockNumber pages_per_batch; /* by pages */
} BaSource;

/* What may be known of a relation before it is read, from its size and pg_class alone. */
typedef struct BaEstimate
{
	BlockNumber leaf_pages;      /* pages of the largest leaf */
	BlockNumber pages_per_batch; /* pages that hold a batch's rows in that leaf, at least 1 */
	double batches;              /* number of batches in all leaves */
	double rows;                 /* number of rows in them */
} BaEstimate;

/* A query that was read, and is a single SELECT. */
typedef struct BaQuery
{
	const char *text;
	Query *query;      /* analyzed and rewritten */
	TupleDesc columns; /* what it returns */
	int nparams;       /* number of the caller's own parameters */
	ParamListInfo params;
} BaQuery;

/* An appending node of a plan that has scans of the driving table below. */
typedef struct BaAppend BaAppend;

/* A plan for every batch of a source. */
typedef struct BaPlan
{
	PlannedStmt *stmt;
	int first_bound; /* id of the first parameter of the first leaf */
	bool repeatable; /* one start of the executor serves all batches */
	List *appends;   /* of BaAppend */
} BaPlan;

/* Result columns: for each, the column of the query it is from. */
typedef struct BaColumns
{
	TupleDesc desc;
	AttrNumber *from; /* one of BA_COLUMN_* or a column of the query, from 1 */
} BaColumns;

#define BA_COLUMN_BATCH 0
#define BA_COLUMN_DROPPED (-1)

/* Where result rows go. */
typedef struct BaSink
{
	/* Keep a row of batch number batch, in the columns of the result. */
	void (*put)(struct BaSink *sink, int64 batch, TupleDesc desc, Datum *values, bool *nulls);
} BaSink;

/* What a call publishes of its progress. */
typedef struct BaProgress
{
	bool is_whole;       /* one plan for all batches: what follows is not known */
	Oid relation;        /* the driving table */
	int64 batches_total; /* as estimated */
	bool counts_rows;
	int workers; /* beside the leader */
	bool shown;  /* this process publishes it */
} BaProgress;

/* All that a process needs to run batches. */
typedef struct BaRun
{
	BaPlan *plan;
	const char *text;     /* of the query */
	ParamListInfo params; /* this process's copy: the bounds are set in it */
	BaSource *source;
	DestReceiver *dest;
	int leaf;              /* leaf whose bounds are set, -1 if none are */
	char *leaf_name;       /* its name; an error context must not look it up */
	MemoryContext context; /* what the executor allocates from its start to its end */
	QueryDesc *desc;       /* the executor, where it was started and not ended */
	BaProgress progress;
} BaRun;

/* in batch_split.c */
extern void ba_split_check_select(Oid relid);
extern List *ba_split_find_leaves(Oid relid, bool inherit);
extern void ba_split_estimate(List *leaves, int64 batch_size, BaEstimate *estimate);
extern BaSource *ba_split_open(int nleaves, Oid *leaves, int64 batch_size, bool count_rows,
							   bool read_again, Snapshot snapshot);
extern BaSource *ba_split_open_list(List *leaves, int64 batch_size, bool count_rows,
									bool read_again, Snapshot snapshot);
extern bool ba_split_counts_rows(const BaSource *source);
extern void ba_split_start(BaPosition *position);
extern bool ba_split_next(BaSource *source, BaPosition *position, BaBatch *batch);
extern void ba_split_pause(BaSource *source);
extern void ba_split_close(BaSource *source);

/* in batch_query.c */
extern void ba_query_error_callback(void *arg);
extern Query *ba_query_analyze(const char *text);
extern BaQuery *ba_query_read(const char *text, ArrayType *params);
extern char *ba_query_parallel_hazard(Query *query);

/* in batch_driving.c */
extern List *ba_driving_list_tables(Query *query);
extern char *ba_driving_name_table(Oid relid);
extern RangeTblEntry *ba_driving_restrict(BaQuery *query, Oid wanted);

/* in batch_plan.c */
extern PlannedStmt *ba_plan_batch(BaQuery *query, List *leaves, const BaEstimate *estimate);
extern PlannedStmt *ba_plan_whole(BaQuery *query, int64 batch_size, int workers);
extern bool ba_plan_leader_only(PlannedStmt *stmt);
extern BaPlan *ba_plan_open(PlannedStmt *stmt, int first_bound);
extern void ba_plan_focus(BaPlan *plan, int leaf);

/* in batch_result.c */
extern BaColumns *ba_result_match(TupleDesc wanted, TupleDesc query, bool with_batch);
extern BaColumns *ba_result_from_map(TupleDesc query, int natts, const AttrNumber *from);
extern BaSink *ba_result_to_tuplestore(Tuplestorestate *store);
extern DestReceiver *ba_result_create_receiver(BaColumns *columns, BaSink *sink);
extern void ba_result_set_batch(DestReceiver *receiver, int64 batch);
extern void ba_result_set_sink(DestReceiver *receiver, BaSink *sink);

/* in batch_run.c */
extern BaRun *ba_run_open(BaPlan *plan, const char *text, ParamListInfo params, BaSource *source,
						  DestReceiver *dest);
extern void ba_run_batch(BaRun *run, const BaBatch *batch);
extern void ba_run_close(BaRun *run);
extern void ba_run_all(BaRun *run);
extern void ba_run_whole(PlannedStmt *stmt, const char *text, ParamListInfo params,
						 DestReceiver *dest);
extern void ba_run_check(PlannedStmt *stmt, const char *text, ParamListInfo params);

/* in batch_worker.c */
extern bool ba_worker_run_all(BaRun *run, BaColumns *columns, Tuplestorestate *store, int workers);

/* in batch_progress.c */
extern void ba_progress_begin(BaProgress *progress);
extern void ba_progress_report(const BaProgress *progress, int64 batches, int64 rows);
extern void ba_progress_end(BaProgress *progress);

#endif
