/*
 * node_rows.c
 *		The custom scan "BatchScan": those rows of a batch that meet conditions.
 *
 * A BatchAgg without the aggregation. Rows are found and filtered a vector at a time; those that are
 * left leave the node one by one, with the columns that somebody above wants. Their values by reference
 * point into pages, which stay pinned as long as rows of theirs are at hand. The slot tells where the row is as
 * well, for WHERE CURRENT OF a cursor.
 *
 * It runs in the leader alone: what it reads is a range of TIDs (plan_rows.c).
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "utils/memutils.h"

#include "node.h"

#define ROWS_NODE_NAME "BatchScan"

typedef struct RowsNode
{
	CustomScanState css;
	int ncolumns; /* the first of the scan slot; the others are conditions */
	AttrNumber *attnos;
	const BaVector **vectors; /* of the rows at hand */
	BaExprProgram *program;
	BaFilter *filter; /* NULL for none */
	List *bounds;     /* of ba_node_take_bound */
	BaScan *scan;     /* NULL until the first row is wanted */
	bool started;     /* the scan has its limits */
	bool often;       /* there will be more scans: pages had better stay in the buffer pool */
	bool at_end;      /* of the range */
	int next;         /* of the rows at hand, the first that was not emitted */
	MemoryContext memory;
	BaNodeCounts counts;
} RowsNode;

static void
begin(CustomScanState *css, EState *estate, int eflags)
{
	RowsNode *node = (RowsNode *) css;
	CustomScan *cscan = (CustomScan *) css->ss.ps.plan;
	TupleTableSlot *slot = css->ss.ss_ScanTupleSlot;
	List *conjuncts = NIL;
	MemoryContext old;
	ListCell *cell;

	node->memory =
		AllocSetContextCreate(estate->es_query_cxt, ROWS_NODE_NAME, ALLOCSET_DEFAULT_SIZES);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
		return;
	old = MemoryContextSwitchTo(node->memory);
	node->often =
		(eflags & EXEC_FLAG_REWIND) != 0 || pull_paramids((Expr *) cscan->custom_exprs) != NULL;
	node->program = ba_expr_create_program(&css->ss.ps, cscan->scan.scanrelid);
	node->ncolumns = ba_node_count_columns(cscan);
	node->attnos = palloc(sizeof(AttrNumber) * Max(1, node->ncolumns));
	node->vectors = palloc(sizeof(BaVector *) * Max(1, node->ncolumns));
	foreach (cell, cscan->custom_scan_tlist)
	{
		int i = foreach_current_index(cell);
		Expr *expr = ((TargetEntry *) lfirst(cell))->expr;

		if (i < node->ncolumns)
			node->attnos[i] = castNode(Var, expr)->varattno;
		else if (!ba_node_take_bound(css, expr, &node->bounds))
			conjuncts = lappend(conjuncts, expr);
	}
	if (conjuncts != NIL)
		node->filter = ba_filter_create(node->program, conjuncts);

	/* Where the target list has a condition of WHERE in it, core reads it here. A row that leaves has met them all. */
	for (int i = node->ncolumns; i < slot->tts_tupleDescriptor->natts; i++)
	{
		slot->tts_values[i] = BoolGetDatum(true);
		slot->tts_isnull[i] = false;
	}
	MemoryContextSwitchTo(old);
}

/*
 * Gets the next rows that pass, with their columns. Returns false at the end of the range.
 */
static bool
load_rows(RowsNode *node)
{
	BaRows *rows;

	if (node->scan == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(node->memory);

		node->scan = ba_scan_begin(node->css.ss.ss_currentRelation,
								   node->css.ss.ps.state->es_snapshot, NULL);
		if (node->often)
			ba_scan_keep_pages(node->scan);
		MemoryContextSwitchTo(old);
	}
	if (!node->started)
	{
		ba_node_limit_scan(&node->css, node->bounds, node->scan);
		node->started = true;
	}
	rows = ba_scan_rows(node->scan);
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (node->at_end || !ba_scan_next(node->scan))
		{
			node->at_end = true;
			return false;
		}
		if (node->filter != NULL)
			node->counts.filtered += ba_filter_apply(node->filter, node->scan);
	} while (rows->n == 0);
	for (int i = 0; i < node->ncolumns; i++)
		node->vectors[i] = rows->ops->load_column(rows, node->attnos[i]);
	node->next = 0;
	return true;
}

/*
 * Fills the scan slot from a row.
 */
static void
store_row(RowsNode *node, TupleTableSlot *slot, int row)
{
	for (int i = 0; i < node->ncolumns; i++)
	{
		const BaVector *vector = node->vectors[i];
		bool isnull = vector->nulls != NULL && vector->nulls[row];

		slot->tts_isnull[i] = isnull;
		slot->tts_values[i] = isnull ? (Datum) 0 : ba_vector_get_datum(vector, row, NULL);
	}
	ExecStoreVirtualTuple(slot);
	ba_scan_get_row_tid(node->scan, row, &slot->tts_tid);
	slot->tts_tableOid = RelationGetRelid(node->css.ss.ss_currentRelation);
}

static TupleTableSlot *
execute(CustomScanState *css)
{
	RowsNode *node = (RowsNode *) css;
	TupleTableSlot *slot = css->ss.ss_ScanTupleSlot;
	ExprContext *econtext = css->ss.ps.ps_ExprContext;

	ExecClearTuple(slot);
	if ((node->scan == NULL || node->next >= ba_scan_rows(node->scan)->n) && !load_rows(node))
		return NULL;
	store_row(node, slot, node->next++);
	ResetExprContext(econtext);
	econtext->ecxt_scantuple = slot;
	return ExecProject(css->ss.ps.ps_ProjInfo);
}

static void
rescan(CustomScanState *css)
{
	RowsNode *node = (RowsNode *) css;

	ExecClearTuple(css->ss.ss_ScanTupleSlot);
	node->started = false;
	node->at_end = false;
	node->next = 0;
	if (node->program != NULL)
		ba_expr_rescan(node->program);
	if (node->scan != NULL)
		ba_scan_rescan(node->scan);
}

static void
end(CustomScanState *css)
{
	RowsNode *node = (RowsNode *) css;

	ExecClearTuple(css->ss.ss_ScanTupleSlot);
	if (node->scan != NULL)
		ba_scan_end(node->scan);
	node->scan = NULL;
}

static void
explain(CustomScanState *css, List *ancestors, ExplainState *es)
{
	RowsNode *node = (RowsNode *) css;
	BaNodeCounts none = {0};

	ba_node_explain_filter(css, ancestors, es);
	if (!es->analyze || css->ss.ps.instrument == NULL)
		return;
	if (node->scan != NULL)
		node->counts.scan = *ba_scan_counts(node->scan);
	if (node->program != NULL)
		node->counts.core_rows = node->program->core_rows;
	ba_node_explain_scan(&node->counts, &none, node->filter != NULL,
						 Max(1, css->ss.ps.instrument->nloops), es);
}

static const CustomExecMethods exec_methods = {
	.CustomName = ROWS_NODE_NAME,
	.BeginCustomScan = begin,
	.ExecCustomScan = execute,
	.EndCustomScan = end,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain,
};

/*
 * Makes the state of a BatchScan; begin() does the rest.
 */
static Node *
create(CustomScan *cscan)
{
	RowsNode *node = (RowsNode *) newNode(sizeof(RowsNode), T_CustomScanState);

	node->css.methods = &exec_methods;
	return (Node *) node;
}

/*
 * Makes the plan. Its columns are those that the table's target had when the path was made; that and the target list
 * may be replaced by expressions over them.
 */
static Plan *
plan_batchscan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist, List *clauses,
			   List *custom_plans)
{
	List *columns = NIL;
	CustomScan *cscan;
	ListCell *cell;

	foreach (cell, lsecond_node(List, path->custom_private))
		columns = lappend(columns, makeTargetEntry(copyObject(lfirst(cell)),
												   list_length(columns) + 1, NULL, false));
	cscan = ba_node_make_plan(rel, path, tlist, columns, linitial(path->custom_private), clauses);
	cscan->methods = &ba_node_rows_scan_methods;
	return &cscan->scan.plan;
}

const CustomPathMethods ba_node_rows_path_methods = {
	.CustomName = ROWS_NODE_NAME,
	.PlanCustomPath = plan_batchscan,
};

const CustomScanMethods ba_node_rows_scan_methods = {
	.CustomName = ROWS_NODE_NAME,
	.CreateCustomScanState = create,
};
