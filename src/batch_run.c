/*
 * batch_run.c
 *		One batch through the executor; all batches, one after the other.
 *
 * Each batch starts the executor afresh. Rescanning would be wrong: parameters
 * from outside never mark a node as changed, so hash tables and sorts of the
 * batch before would be played back. All that a batch allocates goes when it
 * ends; nothing grows with the number of batches or rows.
 *
 * The snapshot is the caller's active one throughout.
 */
#include "postgres.h"

#include "access/relation.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "batch.h"
#include "compat.h"

/*
 * Makes a process ready to run batches, in the current context. The bounds in params are set to
 * point into the batches that are run.
 */
BaRun *
ba_run_open(BaPlan *plan, const char *text, ParamListInfo params, BaSource *source,
			DestReceiver *dest)
{
	BaRun *run = palloc(sizeof(BaRun));

	*run = (BaRun){plan, text, params, source, dest, -1, NULL, NULL};
	run->context =
		AllocSetContextCreate(CurrentMemoryContext, "batchagg batch", ALLOCSET_DEFAULT_SIZES);
	return run;
}

/* What the error context tells of. */
typedef struct Running
{
	const BaRun *run;
	const BaBatch *batch;
} Running;

/*
 * Error context: says which batch it was. May be called wherever an error can be thrown, with
 * locks of the server's own held: it looks nothing up.
 */
static void
batch_error_callback(void *arg)
{
	const Running *running = arg;
	const BaBatch *batch = running->batch;

	errcontext("batch " INT64_FORMAT ", rows (%u,%u) to (%u,%u) of table \"%s\"", batch->number,
			   ItemPointerGetBlockNumberNoCheck(&batch->first),
			   ItemPointerGetOffsetNumberNoCheck(&batch->first),
			   ItemPointerGetBlockNumberNoCheck(&batch->last),
			   ItemPointerGetOffsetNumberNoCheck(&batch->last), running->run->leaf_name);
}

/*
 * Runs a plan once, from start to end, into dest.
 */
static void
run_plan(PlannedStmt *stmt, const char *text, ParamListInfo params, DestReceiver *dest)
{
	QueryDesc *desc =
		CreateQueryDesc(stmt, text, GetActiveSnapshot(), InvalidSnapshot, dest, params, NULL, 0);

	ExecutorStart(desc, 0);
	ExecutorRun(desc, ForwardScanDirection, 0);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}

/*
 * Sets the range of a batch for its leaf, and an empty one for the leaf before. What it allocates
 * must outlive the batch.
 */
static void
set_bounds(BaRun *run, const BaBatch *batch)
{
	ParamExternData *bounds = &run->params->params[run->plan->first_bound - 1];

	if (run->leaf != batch->leaf)
	{
		if (run->leaf >= 0)
		{
			bounds[2 * run->leaf].isnull = true;
			bounds[2 * run->leaf + 1].isnull = true;
		}
		ba_plan_focus(run->plan, batch->leaf);
		run->leaf = batch->leaf;
		if (run->leaf_name != NULL)
			pfree(run->leaf_name);
		run->leaf_name = get_rel_name(batch->relation);
	}
	bounds[2 * batch->leaf].value = PointerGetDatum(&batch->first);
	bounds[2 * batch->leaf].isnull = false;
	bounds[2 * batch->leaf + 1].value = PointerGetDatum(&batch->last);
	bounds[2 * batch->leaf + 1].isnull = false;
}

/*
 * Runs the query for one batch; its rows go to run->dest.
 */
void
ba_run_batch(BaRun *run, const BaBatch *batch)
{
	Running running = {run, batch};
	ErrorContextCallback callback = {error_context_stack, batch_error_callback, &running};
	MemoryContext caller;

	set_bounds(run, batch);

	error_context_stack = &callback;
	caller = MemoryContextSwitchTo(run->context);
	ba_result_set_batch(run->dest, batch->number);
	run_plan(run->plan->stmt, run->text, run->params, run->dest);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(run->context);

	error_context_stack = callback.previous;
}

/*
 * Opens every table of a plan, and returns them. A batch opens those that it reads; were the
 * others not open as well, a function of the query could truncate or alter one before its turn,
 * which core refuses while the plain query runs.
 */
static List *
open_tables(PlannedStmt *stmt)
{
	List *tables = NIL;
	ListCell *cell;

	foreach (cell, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_RELATION)
			tables = lappend(tables, relation_open(rte->relid, NoLock));
	}
	return tables;
}

/*
 * Cuts and runs all batches in this process.
 */
void
ba_run_all(BaRun *run)
{
	List *tables = open_tables(run->plan->stmt);
	BaPosition position;
	BaBatch batch;
	ListCell *cell;

	ba_split_start(&position);
	while (ba_split_next(run->source, &position, &batch))
	{
		ba_split_pause(run->source);
		ba_run_batch(run, &batch);
	}
	foreach (cell, tables)
		relation_close(lfirst(cell), NoLock);
}

/*
 * Runs a plan of a whole query.
 */
void
ba_run_whole(PlannedStmt *stmt, const char *text, ParamListInfo params, DestReceiver *dest)
{
	run_plan(stmt, text, params, dest);
}

/*
 * Checks the caller's privileges as running the plan would, without running it.
 */
void
ba_run_check(PlannedStmt *stmt, const char *text, ParamListInfo params)
{
	QueryDesc *desc = CreateQueryDesc(stmt, text, GetActiveSnapshot(), InvalidSnapshot,
									  None_Receiver, params, NULL, 0);

	ExecutorStart(desc, EXEC_FLAG_EXPLAIN_ONLY);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
}
