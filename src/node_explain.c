/*
 * node_explain.c
 *		What EXPLAIN says of a BatchAgg, and of a BatchScan.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/ruleutils.h"

#include "node.h"

/*
 * Shows an expression, or a conjunction.
 */
static char *
deparse(Expr *expr, List *context, bool prefix)
{
	return deparse_expression((Node *) expr, context, prefix, false);
}

/*
 * Shows the expressions of custom_scan_tlist: those that are no aggregates as keys, if a label is given for them, and
 * the conditions.
 */
static void
explain_plan(CustomScanState *css, const char *keys_label, List *ancestors, ExplainState *es)
{
	CustomScan *cscan = (CustomScan *) css->ss.ps.plan;
	List *context = set_deparse_context_plan(es->deparse_cxt, &cscan->scan.plan, ancestors);
	bool prefix = ba_explain_table_count(es) > 1 || es->verbose;
	List *keys = NIL;
	List *conjuncts = NIL;
	ListCell *cell;

	foreach (cell, cscan->custom_scan_tlist)
	{
		Expr *expr = ((TargetEntry *) lfirst(cell))->expr;

		if (foreach_current_index(cell) >= ba_node_count_columns(cscan))
			conjuncts = lappend(conjuncts, expr);
		else if (!IsA(expr, Aggref) && keys_label != NULL)
			keys = lappend(keys, deparse(expr, context, prefix));
	}
	if (keys != NIL)
		ExplainPropertyList(keys_label, keys, es);
	if (conjuncts != NIL)
		ExplainPropertyText("Filter", deparse(make_ands_explicit(conjuncts), context, es->verbose),
							es);
}

/*
 * Shows the conditions.
 */
void
ba_node_explain_filter(CustomScanState *css, List *ancestors, ExplainState *es)
{
	explain_plan(css, NULL, ancestors, es);
}

/*
 * Shows what was counted while rows were found and filtered, here and in other processes.
 */
void
ba_node_explain_scan(const BaNodeCounts *mine, const BaNodeCounts *others, bool filters,
					 double loops, ExplainState *es)
{
	if (filters)
		ExplainPropertyFloat("Rows Removed by Filter", NULL,
							 (mine->filtered + others->filtered) / loops, 0, es);
	ExplainPropertyUInteger("Rows Scanned", NULL, mine->scan.rows + others->scan.rows, es);
	ExplainPropertyUInteger("Pages", NULL, mine->scan.pages + others->scan.pages, es);
	ExplainPropertyUInteger("All-Visible Pages", NULL,
							mine->scan.all_visible_pages + others->scan.all_visible_pages, es);
	ExplainPropertyUInteger("Vectors", NULL, mine->scan.vectors + others->scan.vectors, es);
	if (mine->core_rows + others->core_rows > 0)
		ExplainPropertyUInteger("Rows Evaluated by Core", NULL, mine->core_rows + others->core_rows,
								es);
}

static void
explain_counts(BaNode *node, ExplainState *es)
{
	BaNodeCounts *mine = &node->counts;
	BaNodeCounts *others = &node->all_counts;

	ba_node_collect_counts(node);
	ba_node_explain_scan(mine, others, node->filter != NULL,
						 Max(1, node->css.ss.ps.instrument->nloops), es);
	ExplainPropertyUInteger("Groups", NULL, mine->groups + others->groups, es);
	if (node->nkeys > 0)
	{
		ExplainPropertyUInteger("Flushes", NULL, mine->flushes + others->flushes, es);
		ExplainPropertyUInteger("Peak Memory", "kB",
								(Max(mine->memory, others->memory) + 1023) / 1024, es);
	}
}

void
ba_node_explain(CustomScanState *css, List *ancestors, ExplainState *es)
{
	explain_plan(css, "Group Key", ancestors, es);
	if (es->analyze && css->ss.ps.instrument != NULL)
		explain_counts((BaNode *) css, es);
}
