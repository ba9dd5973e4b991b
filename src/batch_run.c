/*
 * batch_run.c
 *		One batch through the executor; all batches, one after the other.
 *
 * By rule each batch starts the executor afresh. A plain rescan would be wrong:
 * parameters from outside never mark a node as changed, so hash tables and sorts
 * of the batch before would be played back. All that a batch allocates goes when
 * it ends; nothing grows with the number of batches or rows.
 *
 * A plan that only aggregates and sorts what it scans is started once, as JIT is
 * worth its while for all batches but not for each: before the next batch every
 * node is marked as changed by hand, which is how core makes nodes forget when
 * it runs a subplan again. Nodes that keep something of their own, subplans among
 * them, are not in such plans (is_repeatable in batch_plan.c).
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

	*run = (BaRun){plan, text, params, source, dest, .leaf = -1};
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
 * Starts the executor for a plan whose rows go to dest; all it allocates is in the current context.
 */
static QueryDesc *
start_plan(PlannedStmt *stmt, const char *text, ParamListInfo params, DestReceiver *dest)
{
	QueryDesc *desc =
		CreateQueryDesc(stmt, text, GetActiveSnapshot(), InvalidSnapshot, dest, params, NULL, 0);

	ExecutorStart(desc, 0);
	return desc;
}

/*
 * Makes a chain of nodes that has run to its end ready to run from the start, on other input.
 */
static void
rewind_plan(QueryDesc *desc)
{
	MemoryContext caller = MemoryContextSwitchTo(desc->estate->es_query_cxt);

	for (PlanState *node = desc->planstate; node != NULL; node = outerPlanState(node))
		node->chgParam = bms_make_singleton(0);
	MemoryContextSwitchTo(caller);
	ExecutorRewind(desc);
}

static void
end_plan(QueryDesc *desc)
{
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
	if (run->desc == NULL)
		run->desc = start_plan(run->plan->stmt, run->text, run->params, run->dest);
	else
		rewind_plan(run->desc);
	ExecutorRun(run->desc, ForwardScanDirection, 0);
	MemoryContextSwitchTo(caller);
	if (!run->plan->repeatable)
		ba_run_close(run);

	error_context_stack = callback.previous;
}

/*
 * Ends the executor, if it is started. To be called after the last batch.
 */
void
ba_run_close(BaRun *run)
{
	if (run->desc == NULL)
		return;
	end_plan(run->desc);
	run->desc = NULL;
	MemoryContextReset(run->context);
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
	int64 rows = 0;

	ba_progress_begin(&run->progress);
	ba_split_start(&position);
	while (ba_split_next(run->source, &position, &batch))
	{
		ba_split_pause(run->source);
		ba_run_batch(run, &batch);
		rows += Max(batch.rows, 0);
		ba_progress_report(&run->progress, batch.number, rows);
	}
	ba_progress_end(&run->progress);
	ba_run_close(run);
	foreach (cell, tables)
		relation_close(lfirst(cell), NoLock);
}

/*
 * Runs a plan of a whole query.
 */
void
ba_run_whole(PlannedStmt *stmt, const char *text, ParamListInfo params, DestReceiver *dest)
{
	QueryDesc *desc = start_plan(stmt, text, params, dest);

	ExecutorRun(desc, ForwardScanDirection, 0);
	end_plan(desc);
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
