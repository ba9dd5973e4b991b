/*
 * plan_rows.c
 *		The engine's path for rows of a batch, beside core's own.
 *
 * Where a query reads a range of TIDs of a table, by its own conditions (those of split_batches, or of a
 * job by ctid) or because that is known to be enough (plan_known.c), the engine finds and filters the rows, and costs
 * decide between a BatchScan and core's TID range scan or index. The rest of the query is core's.
 *
 * Not for tables that the query writes to or whose rows it may have to look at again when others have
 * written to them, which core does by their TIDs; nor where it wants other system columns. Conditions
 * are evaluated for a vector of rows, so one that may raise an error must not meet a row that core would not have
 * come to: it is the engine's only where the query takes all rows of the table, whatever it finds in them.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/pathnode.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

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
 * Tells whether a function may raise an error. One that is leakproof may not, and core says so of its comparisons, but
 * for those of numeric.
 */
static bool
may_function_raise(Oid function, void *context)
{
	switch (function)
	{
		case F_NUMERIC_EQ:
		case F_NUMERIC_NE:
		case F_NUMERIC_LT:
		case F_NUMERIC_LE:
		case F_NUMERIC_GT:
		case F_NUMERIC_GE:
			return false;
		default:
			return !get_func_leakproof(function);
	}
}

/*
 * Tells whether an expression may raise an error for some row, as far as one can see.
 */
static bool
may_raise(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Param:
			/* others may be the answer of a subquery that has not been run yet */
			return ((Param *) node)->paramkind != PARAM_EXTERN;
		case T_List:
		case T_Var:
		case T_Const:
		case T_RelabelType:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
			return check_functions_in_node(node, may_function_raise, context) ||
				   expression_tree_walker(node, may_raise, context);
		default:
			return true;
	}
}

/*
 * Tells whether a condition on a table may raise an error for some row, apart from its range of TIDs.
 */
static bool
may_condition_raise(RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, rel->baserestrictinfo)
	{
		Expr *clause = lfirst_node(RestrictInfo, cell)->clause;

		if (!ba_node_is_tid_bound(clause, rel->relid) && may_raise((Node *) clause, NULL))
			return true;
	}
	return false;
}

/*
 * Tells whether a query reads its only table to the end, once it has begun. So it does where it aggregates, or puts rows in
 * an order, which a BatchScan does not give them in, before anything that may have enough; and where everybody
 * takes all rows, up to who runs it.
 */
static bool
takes_all_rows(PlannerInfo *root)
{
	do
	{
		Query *parse = root->parse;

		if (bms_membership(root->all_baserels) != BMS_SINGLETON)
			return false;
		if (parse->hasAggs || root->group_pathkeys != NIL)
			return true;
		/* a window may have a last row; what is ordered for the first one is ordered before */
		if ((parse->hasWindowFuncs ? root->window_pathkeys : root->query_pathkeys) != NIL)
			return true;
		/* of rows that are all alike DISTINCT takes one */
		if (parse->hasWindowFuncs || root->tuple_fraction > 0 || parse->limitCount != NULL ||
			parse->distinctClause != NIL)
			return false;
		if (root->parent_root == NULL)
			return ba_plan_takes_all(parse);
		root = root->parent_root;
	} while (true);
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
		get_plan_rowmark(root->rowMarks, rel->relid) != NULL ||
		(bounds == NIL && !ba_plan_has_tid_bound(rel)) || !wants_plain_columns(rel) ||
		(may_condition_raise(rel) && !takes_all_rows(root)) ||
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
