/*
 * node_plan.c
 *		From the path of a BatchAgg to its plan (node.h tells the form).
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/restrictinfo.h"

#include "node.h"

/*
 * Makes the plan. The path has the bounds of a range of TIDs that is known to be enough; they go first, and decide
 * nothing but which pages are read. Core passes the conjuncts of WHERE in the order that security levels and costs
 * ask for.
 */
static Plan *
plan_batchagg(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist, List *clauses,
			  List *custom_plans)
{
	CustomScan *cscan = makeNode(CustomScan);
	List *quals = list_concat(extract_actual_clauses(path->custom_private, false),
							  extract_actual_clauses(clauses, false));
	List *columns = copyObject(tlist);
	ListCell *cell;

	foreach (cell, quals)
		columns = lappend(columns, makeTargetEntry(copyObject(lfirst(cell)),
												   list_length(columns) + 1, NULL, true));
	cscan->scan.plan.targetlist = tlist;
	cscan->scan.scanrelid = rel->relid;
	cscan->flags = path->flags;
	cscan->custom_scan_tlist = columns;
	cscan->custom_exprs = quals;
	cscan->custom_private = list_make1(makeInteger(list_length(tlist)));
	cscan->methods = &ba_node_scan_methods;
	return &cscan->scan.plan;
}

const CustomPathMethods ba_node_path_methods = {
	.CustomName = BA_NODE_NAME,
	.PlanCustomPath = plan_batchagg,
};

const CustomScanMethods ba_node_scan_methods = {
	.CustomName = BA_NODE_NAME,
	.CreateCustomScanState = ba_node_create,
};

/*
 * Matches ctid >= value or ctid <= value, for a value without columns: returns the value, or NULL.
 * split_batches makes such conditions, and people do with what it returns.
 */
Expr *
ba_node_match_tid_bound(Expr *clause, Index relid, bool *is_lower)
{
	OpExpr *op = (OpExpr *) clause;
	Var *var;
	Node *value;

	if (!IsA(clause, OpExpr) || (op->opno != TIDGreaterEqOperator && op->opno != TIDLessEqOperator))
		return NULL;
	var = linitial(op->args);
	value = lsecond(op->args);
	if (!IsA(var, Var) || var->varno != relid || var->varlevelsup != 0 ||
		var->varattno != SelfItemPointerAttributeNumber || !ba_expr_is_supported(value, 0))
		return NULL;
	*is_lower = op->opno == TIDGreaterEqOperator;
	return (Expr *) value;
}

/*
 * Returns the number of output columns: the first entries of custom_scan_tlist. The rest are the
 * conjuncts of WHERE.
 */
int
ba_node_count_columns(const CustomScan *cscan)
{
	return intVal(linitial(cscan->custom_private));
}

/*
 * Makes the node known by name, for parallel workers to read plans with it.
 */
void
ba_node_init(void)
{
	RegisterCustomScanMethods(&ba_node_scan_methods);
}
