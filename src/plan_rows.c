/*
 * plan_rows.c
 *		The engine's path for rows of a batch, beside core's own.
 *
 * Where a query reads a range of TIDs of a table, by its own conditions (those of split_batches, or of a
 * job by ctid) or because that is known to be enough (plan_known.c), the engine finds and filters the rows, and costs
 * decide between a BatchScan and core's TID range scan or index. The rest of the query is core's.
 *
 * Not for tables that the query writes to or whose rows it may have to look at again when others have
 * written to them, which core does by their TIDs; nor where it wants other system columns. Nor where the query may
 * have enough with a few rows: conditions are evaluated for a vector of rows, so that one that core would not have come to might raise an error.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/pathnode.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"

#include "batchagg.h"
#include "node.h"
#include "plan.h"
#include "vector.h"

/*
 * Tells whether all that is wanted of a table are columns that vectors can hold.
 */
static bool
wants_plain_columns(RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, rel->reltarget->exprs)
	{
		Var *var = lfirst(cell);

		if (!IsA(var, Var) || var->varattno <= 0 || !OidIsValid(ba_vector_type(var->vartype).oid))
			return false;
	}
	return true;
}

/*
 * Tells whether the query may end before it has read all its rows: there is a LIMIT or the like, and nothing that
 * takes in all rows before it gives one, as to put them in an order does. Of rows that are all alike DISTINCT takes one.
 */
static bool
may_end_early(PlannerInfo *root)
{
	Query *parse = root->parse;

	return (root->tuple_fraction > 0 && root->query_pathkeys == NIL && !parse->hasAggs) ||
		   (parse->distinctClause != NIL && root->distinct_pathkeys == NIL);
}

/*
 * Adds a BatchScan of a table that is not inherited from, if the engine can do that. bounds are those that are known.
 */
void
ba_plan_add_rows_path(PlannerInfo *root, RelOptInfo *rel, List *bounds)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	CustomPath *path;

	if (!batchagg_enabled || rel->reloptkind != RELOPT_BASEREL || rel->rtekind != RTE_RELATION ||
		rte->inh || rte->tablesample != NULL || IS_DUMMY_REL(rel) ||
		!bms_is_empty(rel->lateral_relids) || bms_is_member(rel->relid, root->all_result_relids) ||
		get_plan_rowmark(root->rowMarks, rel->relid) != NULL || may_end_early(root) ||
		(bounds == NIL && !ba_plan_has_tid_bound(rel)) || !wants_plain_columns(rel) ||
		!ba_plan_is_supported_table(root, rel))
		return;
	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &ba_node_rows_path_methods;
	path->custom_private = list_make2(bounds, rel->reltarget->exprs);
	ba_plan_cost_rows(root, &path->path, bounds);
	if (batchagg_debug_force_engine)
	{
		rel->pathlist = NIL;
		rel->partial_pathlist = NIL;
	}
	add_path(rel, &path->path);
}
