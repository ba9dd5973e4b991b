/*
 * batch_sql.c
 *		The SQL-callable functions of batches: arguments in, rows out.
 *
 * An argument that is NULL means the value of its setting. Results go into a
 * tuplestore, which spills to disk beyond work_mem.
 */
#include "postgres.h"

#include <math.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "postmaster/bgworker_internals.h"
#include "utils/builtins.h"
#include "utils/regproc.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "batch.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(batchagg_split_batches);
PG_FUNCTION_INFO_V1(batchagg_each_batch);
PG_FUNCTION_INFO_V1(batchagg_each_batch_as);
PG_FUNCTION_INFO_V1(batchagg_all_batches);
PG_FUNCTION_INFO_V1(batchagg_all_batches_as);
PG_FUNCTION_INFO_V1(batchagg_explain_batches);

/*
 * Reads an argument that is the number of rows in a batch.
 */
static int64
get_batch_size(FunctionCallInfo fcinfo, int arg)
{
	int64 batch_size;

	if (PG_ARGISNULL(arg))
		return batchagg_batch_size;
	batch_size = PG_GETARG_INT64(arg);
	if (batch_size <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("batch_size must be greater than zero")));
	return batch_size;
}

/*
 * Reads an argument that is a number of workers, and limits it to what could be started.
 */
static int
get_workers(FunctionCallInfo fcinfo, int arg)
{
	int workers = PG_ARGISNULL(arg) ? batchagg_max_parallel_workers : PG_GETARG_INT32(arg);

	if (workers < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("workers must not be negative")));
	return Min(workers, Min(max_parallel_workers, MAX_PARALLEL_WORKER_LIMIT));
}

/*
 * Reads an argument that is a query.
 */
static char *
get_query(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("query must not be null")));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/*
 * Returns the columns that the caller wants rows of, for a function that returns records (by a
 * column definition list) or rows of a type (by its first argument).
 */
static TupleDesc
get_wanted_columns(FunctionCallInfo fcinfo, bool by_type)
{
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
	{
		if (by_type)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("row_type must be a value of a row type"),
							errhint("Give NULL::a_table or NULL::a_composite_type.")));
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a column definition list is required"),
						errhint("Call the function in FROM, with AS (column type, ...).")));
	}
	return desc;
}

/*
 * Makes the tuplestore of the function's result. Its columns are a copy of those that the caller
 * expects: core frees them.
 */
static Tuplestorestate *
begin_result(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	return ((ReturnSetInfo *) fcinfo->resultinfo)->setResult;
}

/*
 * split_batches(relation regclass, batch_size bigint)
 */
Datum
batchagg_split_batches(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64 batch_size = get_batch_size(fcinfo, 1);
	Oid relid;
	Tuplestorestate *store;
	BaSource *source;
	BaPosition position;
	BaBatch batch;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("relation must not be null")));
	relid = PG_GETARG_OID(0);
	ba_split_check_select(relid);
	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("cannot count the rows of a table under row security"),
						errdetail("The batches would tell of rows that you may not see."),
						errhint("Use each_batch, which applies the policies.")));

	store = begin_result(fcinfo);
	source = ba_split_open_list(ba_split_find_leaves(relid, true), batch_size, true, false,
								GetActiveSnapshot());
	ba_split_start(&position);
	while (ba_split_next(source, &position, &batch))
	{
		Datum values[5] = {ObjectIdGetDatum(batch.relation), Int64GetDatum(batch.number),
						   PointerGetDatum(&batch.first), PointerGetDatum(&batch.last),
						   Int64GetDatum(batch.rows)};
		bool nulls[5] = {false};

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(store, rsinfo->setDesc, values, nulls);
	}
	ba_split_close(source);
	return (Datum) 0;
}

/* A query to be run batch by batch, planned. */
typedef struct Prepared
{
	Oid driving; /* its driving table */
	BaSource *source;
	BaEstimate estimate;
	char *hazard; /* why workers must not run it, or NULL */
	PlannedStmt *stmt;
} Prepared;

/*
 * Finds the driving table of a query, the one wanted or the only one if wanted is InvalidOid,
 * and plans the query for its batches; read_again says that each batch is run as soon as it is
 * cut.
 */
static void
prepare_batches(Prepared *prepared, BaQuery *query, Oid wanted, int64 batch_size, bool read_again)
{
	RangeTblEntry *rte = ba_driving_restrict(query, wanted);
	List *leaves;
	bool secured;

	/* The number of batches tells the number of rows, also where a view hides the table. */
	prepared->driving = rte->relid;
	ba_split_check_select(rte->relid);
	secured =
		rte->securityQuals != NIL || check_enable_rls(rte->relid, InvalidOid, true) == RLS_ENABLED;

	leaves = ba_split_find_leaves(rte->relid, rte->inh);
	ba_split_estimate(leaves, batch_size, &prepared->estimate);
	prepared->source =
		ba_split_open_list(leaves, batch_size, !secured, read_again, GetActiveSnapshot());
	prepared->hazard = ba_query_parallel_hazard(query->query);
	prepared->stmt = ba_plan_batch(query, leaves, &prepared->estimate);

	/* A table without batches would not run the plan, nor check what it reads besides. */
	ba_run_check(prepared->stmt, query->text, query->params);
}

/*
 * Returns how many workers to start for a query: as many as wanted, but no more than have a batch
 * to run beside the leader, and none where they could not do what the leader can.
 */
static int
limit_workers(const Prepared *prepared, int workers)
{
	if (workers > 0 && prepared->hazard != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("query cannot be run by parallel workers"),
						errdetail_internal("%s", prepared->hazard),
						errhint("Run it in the leader alone: workers => 0.")));
	if (IsInParallelMode() || ba_plan_leader_only(prepared->stmt))
		return 0;
	return (int) Min(workers, Max(0, prepared->estimate.batches - 1));
}

/*
 * The work of each_batch and each_batch_as: their arguments from first_arg on are the same.
 */
static Datum
each_batch(FunctionCallInfo fcinfo, int first_arg)
{
	char *text = get_query(fcinfo, first_arg);
	int64 batch_size = get_batch_size(fcinfo, first_arg + 1);
	int workers = get_workers(fcinfo, first_arg + 2);
	Oid driving = PG_ARGISNULL(first_arg + 3) ? InvalidOid : PG_GETARG_OID(first_arg + 3);
	ArrayType *params = PG_ARGISNULL(first_arg + 4) ? NULL : PG_GETARG_ARRAYTYPE_P(first_arg + 4);
	TupleDesc wanted = get_wanted_columns(fcinfo, first_arg > 0);
	BaQuery *query = ba_query_read(text, params);
	BaColumns *columns = ba_result_match(wanted, query->columns, true);
	Prepared prepared;
	Tuplestorestate *store;
	BaRun *run;

	prepare_batches(&prepared, query, driving, batch_size, true);
	workers = limit_workers(&prepared, workers);
	store = begin_result(fcinfo);
	run = ba_run_open(ba_plan_open(prepared.stmt, query->nparams + 3), text, query->params,
					  prepared.source,
					  ba_result_create_receiver(columns, ba_result_to_tuplestore(store)));
	run->progress.relation = prepared.driving;
	run->progress.counts_rows = ba_split_counts_rows(prepared.source);
	run->progress.batches_total =
		(int64) (run->progress.counts_rows ? ceil(prepared.estimate.rows / batch_size)
										   : prepared.estimate.batches);
	if (workers == 0 || !ba_worker_run_all(run, columns, store, workers))
		ba_run_all(run);
	ba_split_close(prepared.source);
	return (Datum) 0;
}

/*
 * each_batch(query text, batch_size bigint, workers int, driving_table regclass, params text[])
 */
Datum
batchagg_each_batch(PG_FUNCTION_ARGS)
{
	return each_batch(fcinfo, 0);
}

/*
 * each_batch_as(row_type anyelement, query text, batch_size bigint, workers int,
 *				 driving_table regclass, params text[])
 */
Datum
batchagg_each_batch_as(PG_FUNCTION_ARGS)
{
	return each_batch(fcinfo, 1);
}

/*
 * The work of all_batches and all_batches_as: their arguments from first_arg on are the same.
 */
static Datum
all_batches(FunctionCallInfo fcinfo, int first_arg)
{
	char *text = get_query(fcinfo, first_arg);
	int64 batch_size = get_batch_size(fcinfo, first_arg + 1);
	int workers = get_workers(fcinfo, first_arg + 2);
	ArrayType *params = PG_ARGISNULL(first_arg + 3) ? NULL : PG_GETARG_ARRAYTYPE_P(first_arg + 3);
	TupleDesc wanted = get_wanted_columns(fcinfo, first_arg > 0);
	BaQuery *query = ba_query_read(text, params);
	BaColumns *columns = ba_result_match(wanted, query->columns, false);
	PlannedStmt *stmt = ba_plan_whole(query, batch_size, IsInParallelMode() ? 0 : workers);
	Tuplestorestate *store = begin_result(fcinfo);
	BaProgress progress = {.is_whole = true, .workers = -1};

	/* As in ba_worker_run_all: the plan may go into parallel mode. */
	if (stmt->parallelModeNeeded)
		CommandCounterIncrement();
	ba_progress_begin(&progress);
	ba_run_whole(stmt, text, query->params,
				 ba_result_create_receiver(columns, ba_result_to_tuplestore(store)));
	ba_progress_end(&progress);
	return (Datum) 0;
}

/*
 * all_batches(query text, batch_size bigint, workers int, params text[])
 */
Datum
batchagg_all_batches(PG_FUNCTION_ARGS)
{
	return all_batches(fcinfo, 0);
}

/*
 * all_batches_as(row_type anyelement, query text, batch_size bigint, workers int, params text[])
 */
Datum
batchagg_all_batches_as(PG_FUNCTION_ARGS)
{
	return all_batches(fcinfo, 1);
}

/*
 * Adds each line of a text to a tuplestore.
 */
static void
put_lines(Tuplestorestate *store, TupleDesc desc, char *text)
{
	for (char *next; text != NULL && *text != '\0'; text = next)
	{
		Datum value;
		bool isnull = false;

		next = strchr(text, '\n');
		if (next != NULL)
			*next++ = '\0';
		value = CStringGetTextDatum(text);
		tuplestore_putvalues(store, desc, &value, &isnull);
	}
}

/*
 * explain_batches(query text, batch_size bigint, driving_table regclass, params text[])
 */
Datum
batchagg_explain_batches(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char *text = get_query(fcinfo, 0);
	int64 batch_size = get_batch_size(fcinfo, 1);
	Oid driving = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
	ArrayType *params = PG_ARGISNULL(3) ? NULL : PG_GETARG_ARRAYTYPE_P(3);
	ExplainState *es = NewExplainState();
	BaQuery *query = ba_query_read(text, params);
	Tuplestorestate *store;
	Prepared prepared;
	BaPosition position;
	BaBatch batch;
	int first_leaf = 0;

	prepare_batches(&prepared, query, driving, batch_size, false);
	ba_split_start(&position);
	while (ba_split_next(prepared.source, &position, &batch))
	{
		if (batch.number == 1)
			first_leaf = batch.leaf;
	}
	ba_split_close(prepared.source);

	appendStringInfo(es->str,
					 "Batches: " INT64_FORMAT " of %s " INT64_FORMAT " rows (driving table %s)\n",
					 position.number, ba_split_counts_rows(prepared.source) ? "at most" : "about",
					 batch_size, ba_driving_name_table(prepared.driving));
	ba_plan_focus(ba_plan_open(prepared.stmt, query->nparams + 3), first_leaf);
	ba_explain_plan(prepared.stmt, es, text, query->params);

	store = begin_result(fcinfo);
	put_lines(store, rsinfo->setDesc, es->str->data);
	return (Datum) 0;
}
