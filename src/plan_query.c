/*
 * plan_query.c
 *		Which aggregations the engine takes.
 *
 * Declined is whatever is not known to be right; core's plan is then the only
 * one. doc/engine.md lists the reasons, one by one.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "group.h"
#include "kernel.h"
#include "node.h"
#include "plan.h"
#include "vector.h"

/* What the expressions above a partial aggregation are made of. */
typedef struct Parts
{
	List *keys;
	List *aggrefs; /* found */
} Parts;

/*
 * Finds the aggregates in an expression; true if it has a column that is no part of a key, or anything
 * else that a partial aggregation does not give. Keys are told as setrefs.c will: the largest
 * expression that is equal to one.
 */
static bool
find_parts_walker(Node *node, Parts *parts)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Aggref:
			parts->aggrefs = lappend(parts->aggrefs, node);
			return false;
		case T_Const:
		case T_List:
			break;
		default:
			if (list_member(parts->keys, node))
				return false;
	}
	if (IsA(node, Var) || IsA(node, GroupingFunc) || IsA(node, PlaceHolderVar))
		return true;
	return expression_tree_walker(node, find_parts_walker, (void *) parts);
}

/*
 * Makes the target of a partial aggregation: the grouping columns of the grouping's own target,
 * and every aggregate in it or in HAVING, in partial form. NULL if a column is needed that is
 * no part of these, such as one that depends on a primary key in GROUP BY.
 */
PathTarget *
ba_plan_make_target(PlannerInfo *root, PathTarget *target, Node *having)
{
	PathTarget *partial = create_empty_pathtarget();
	List *clause = root->parse->groupClause;
	List *others = NIL;
	Parts parts = {NIL};
	int i = 0;
	ListCell *cell;

	foreach (cell, target->exprs)
	{
		Index ref = get_pathtarget_sortgroupref(target, i++);

		if (ref != 0 && clause != NIL && get_sortgroupref_clause_noerr(ref, clause) != NULL)
			add_column_to_pathtarget(partial, lfirst(cell), ref);
		else
			others = lappend(others, lfirst(cell));
	}
	parts.keys = list_copy(partial->exprs);
	if (having != NULL)
		others = lappend(others, having);
	if (find_parts_walker((Node *) others, &parts))
		return NULL;
	add_new_columns_to_pathtarget(partial, parts.aggrefs);
	foreach (cell, partial->exprs)
	{
		Node *expr = lfirst(cell);

		if (IsA(expr, Aggref))
		{
			Aggref *aggref = makeNode(Aggref);

			memcpy(aggref, expr, sizeof(Aggref));
			mark_partial_aggref(aggref, AGGSPLIT_INITIAL_SERIAL);
			lfirst(cell) = aggref;
		}
	}

	/* without a column there would be nothing to tell a row by */
	if (partial->exprs == NIL)
		return NULL;
	return set_pathtarget_cost_width(root, partial);
}

/*
 * Tells whether every key, argument and FILTER of a target is supported, for the table relid.
 */
static bool
is_supported_target(PathTarget *target, Index relid)
{
	ListCell *cell;

	foreach (cell, target->exprs)
	{
		Node *expr = lfirst(cell);

		if (IsA(expr, Aggref))
		{
			Aggref *aggref = (Aggref *) expr;

			if (ba_kernel_find(aggref) == NULL ||
				!ba_expr_is_supported((Node *) aggref->args, relid) ||
				!ba_expr_is_supported((Node *) aggref->aggfilter, relid))
				return false;
		}
		else if (!ba_expr_is_supported(expr, relid) ||
				 !ba_group_supports_key(getBaseType(exprType(expr)), exprCollation(expr)))
			return false;
	}
	return true;
}

/*
 * Tells whether all conjuncts of WHERE on rel are supported.
 */
static bool
is_supported_filter(RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst(cell);

		if (rinfo->pseudoconstant || (!ba_node_is_tid_bound(rinfo->clause, rel->relid) &&
									  !ba_expr_is_supported((Node *) rinfo->clause, rel->relid)))
			return false;
	}
	return true;
}

/*
 * Tells whether a range of TIDs is read of a table. Such a scan is not shared between workers.
 */
bool
ba_plan_has_tid_bound(RelOptInfo *rel)
{
	ListCell *cell;

	foreach (cell, rel->baserestrictinfo)
		if (ba_node_is_tid_bound(lfirst_node(RestrictInfo, cell)->clause, rel->relid))
			return true;
	return false;
}

/*
 * Tells whether the query as a whole is an aggregation of the one table rel that the engine may
 * take; the table's leaves are judged by ba_plan_is_supported_leaf.
 */
bool
ba_plan_is_supported(PlannerInfo *root, RelOptInfo *rel, PathTarget *target)
{
	Query *parse = root->parse;
	RangeTblEntry *rte;

	if (parse->commandType != CMD_SELECT || parse->hasModifyingCTE || parse->rowMarks != NIL ||
		parse->groupingSets != NIL || parse->hasTargetSRFs || parse->hasWindowFuncs)
		return false;
	if (rel->reloptkind != RELOPT_BASEREL || rel->rtekind != RTE_RELATION ||
		!bms_is_empty(rel->lateral_relids) || IS_DUMMY_REL(rel))
		return false;
	rte = planner_rt_fetch(rel->relid, root);
	return rte->tablesample == NULL &&
		   (rte->relkind == RELKIND_RELATION || rte->relkind == RELKIND_MATVIEW ||
			rte->relkind == RELKIND_PARTITIONED_TABLE) &&
		   is_supported_target(target, rel->relid);
}

/*
 * Appends the leaves below a table to *leaves; false if one of them is out of reach.
 */
static bool
collect_leaves(PlannerInfo *root, RelOptInfo *rel, List **leaves)
{
	ListCell *cell;

	if (!planner_rt_fetch(rel->relid, root)->inh)
	{
		*leaves = lappend(*leaves, rel);
		return true;
	}
	foreach (cell, root->append_rel_list)
	{
		AppendRelInfo *appinfo = lfirst(cell);
		RelOptInfo *child;

		if (appinfo->parent_relid != rel->relid)
			continue;
		child = root->simple_rel_array[appinfo->child_relid];

		/* Pruned children have no RelOptInfo, or a dummy one. */
		if (child == NULL || IS_DUMMY_REL(child))
			continue;
		if (child->rtekind != RTE_RELATION || !collect_leaves(root, child, leaves))
			return false;
	}
	return true;
}

/*
 * Returns the RelOptInfos of the heaps that hold a table's rows: itself, or those of its
 * partitions or inheritance children that were not pruned. NIL if there are none.
 */
List *
ba_plan_find_leaves(PlannerInfo *root, RelOptInfo *rel)
{
	List *leaves = NIL;

	return collect_leaves(root, rel, &leaves) ? leaves : NIL;
}

/*
 * Tells whether the engine can read a table: core's own heap, with supported conditions.
 */
bool
ba_plan_is_supported_table(PlannerInfo *root, RelOptInfo *rel)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	Relation relation;
	bool is_heap;

	if (rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_MATVIEW)
		return false;
	relation = table_open(rte->relid, NoLock);
	is_heap = relation->rd_tableam == GetHeapamTableAmRoutine();
	table_close(relation, NoLock);
	return is_heap && is_supported_filter(rel);
}

/*
 * Tells whether the engine can aggregate a leaf.
 */
bool
ba_plan_is_supported_leaf(PlannerInfo *root, RelOptInfo *rel, PathTarget *target)
{
	return ba_plan_is_supported_table(root, rel) && is_supported_target(target, rel->relid);
}
