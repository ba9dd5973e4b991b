/*
 * node_plan.c
 *		From the path of a BatchAgg or BatchScan to its plan (node.h tells the form).
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/restrictinfo.h"

#include "node.h"

/*
 * Makes a plan with the given output columns. Bounds of a range of TIDs that is known to be enough
 * go first, and decide nothing but which pages are read. Core passes the conjuncts of WHERE in the order that security
 * levels and costs ask for.
 */
CustomScan *
ba_node_make_plan(RelOptInfo *rel, CustomPath *path, List *tlist, List *columns, List *bounds,
				  List *clauses)
{
	CustomScan *cscan = makeNode(CustomScan);
	List *quals =
		list_concat(extract_actual_clauses(bounds, false), extract_actual_clauses(clauses, false));
	ListCell *cell;

	cscan->custom_private = list_make1(makeInteger(list_length(columns)));
	foreach (cell, quals)
		columns = lappend(columns, makeTargetEntry(copyObject(lfirst(cell)),
												   list_length(columns) + 1, NULL, true));
	cscan->scan.plan.targetlist = tlist;
	cscan->scan.scanrelid = rel->relid;
	cscan->flags = path->flags;
	cscan->custom_scan_tlist = columns;
	cscan->custom_exprs = quals;
	return cscan;
}

static Plan *
plan_batchagg(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist, List *clauses,
			  List *custom_plans)
{
	CustomScan *cscan =
		ba_node_make_plan(rel, path, tlist, copyObject(tlist), path->custom_private, clauses);

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
 * Returns the number of output columns: the first entries of custom_scan_tlist. The rest are the
 * conjuncts of WHERE.
 */
int
ba_node_count_columns(const CustomScan *cscan)
{
	return intVal(linitial(cscan->custom_private));
}

/*
 * Makes the nodes known by name, for parallel workers to read plans with it.
 */
void
ba_node_init(void)
{
	RegisterCustomScanMethods(&ba_node_scan_methods);
	RegisterCustomScanMethods(&ba_node_rows_scan_methods);
	RegisterCustomScanMethods(&ba_node_insert_scan_methods);
}
