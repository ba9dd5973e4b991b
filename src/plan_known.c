/*
 * plan_known.c
 *		What a caller knows of a query that is planned, and the planner cannot know.
 *
 * Whoever has a query planned may know more of a table than the query says: that all rows which
 * meet a condition, and which the snapshot of the query's execution sees, lie in some range
 * of TIDs. If then the conditions by which the query restricts the table imply that condition,
 * reading that range reads all that the query wants. So beside core's paths for the table there are a TID
 * range scan and a BatchScan, and a BatchAgg of the table is limited to the range; costs decide. Nothing of the query changes,
 * nor any estimate of rows.
 *
 * That conditions are implied is for core's prover to tell (predtest.c), from those that
 * will be checked at the scan. The range holds for one query and the snapshot it runs with:
 *
 *	- queries that functions plan meanwhile are not part of it, subqueries and functions that
 *	  are inlined are;
 *	- a table that is written to, or whose rows are locked, is left alone: newer versions of its
 *	  rows than the snapshot sees may be elsewhere.
 *
 * The bounds are parameters of type tid, whose values the planner looks at but does not build in:
 * they may yet change before the plan is run.
 *
 * The other thing that is known are the values that parameters will have, more or less, in all runs of a plan
 * that core's plan cache keeps: the planner looks at these as well, in place of supposing something.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"

#include "compat.h"
#include "plan.h"

static planner_hook_type previous_planner = NULL;
static set_rel_pathlist_hook_type previous_pathlist = NULL;

/* What is known of the query that is being planned, NULL for nothing. */
static BaKnown *known = NULL;

/* A query whose caller will take all its rows, NULL for none. */
static Query *taken_whole = NULL;

/* The options of the cursor that it is planned for. */
static int cursor_options = 0;

/*
 * Tells whether rows of a table of the query are merely read.
 */
static bool
is_only_read(PlannerInfo *root, RelOptInfo *rel)
{
	PlanRowMark *mark = get_plan_rowmark(root->rowMarks, rel->relid);

	return !bms_is_member(rel->relid, root->all_result_relids) &&
		   (mark == NULL || mark->markType == ROW_MARK_REFERENCE);
}

/*
 * Tells whether a table of a query is the one that something is known of, restricted to what it is
 * known of.
 */
static bool
is_known(PlannerInfo *root, RelOptInfo *rel)
{
	PlannerInfo *top = root;
	RangeTblEntry *rte;
	List *condition;

	if (known == NULL || known->condition == NIL || rel->reloptkind != RELOPT_BASEREL ||
		rel->rtekind != RTE_RELATION || IS_DUMMY_REL(rel) || !bms_is_empty(rel->lateral_relids))
		return false;
	rte = planner_rt_fetch(rel->relid, root);
	if (rte->relid != known->relation || rte->inh || rte->tablesample != NULL ||
		!is_only_read(root, rel))
		return false;
	while (top->parent_root != NULL)
		top = top->parent_root;
	if (top->parse != known->query)
		return false;
	condition = (List *) eval_const_expressions(root, (Node *) copyObject(known->condition));
	ChangeVarNodes((Node *) condition, 1, rel->relid, 0);
	return predicate_implied_by(condition, extract_actual_clauses(rel->baserestrictinfo, false),
								false);
}

/*
 * Returns the condition "ctid operator $param" on a table of a query.
 */
Expr *
ba_plan_make_bound(Index rti, Oid operator, int param)
{
	Param *value = makeNode(Param);
	Expr *bound;

	value->paramkind = PARAM_EXTERN;
	value->paramid = param;
	value->paramtype = TIDOID;
	value->paramtypmod = -1;
	value->paramcollid = InvalidOid;
	value->location = -1;
	bound = make_opclause(operator, BOOLOID, false,
						  (Expr *) makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1,
										   InvalidOid, 0),
						  (Expr *) value, InvalidOid, InvalidOid);
	set_opfuncid((OpExpr *) bound);
	return bound;
}

/*
 * Makes a bound of the range that is known.
 */
static RestrictInfo *
make_bound(PlannerInfo *root, RelOptInfo *rel, Oid operator, int param)
{
	return make_simple_restrictinfo(root, ba_plan_make_bound(rel->relid, operator, param));
}

/*
 * Returns the bounds of the range of TIDs that all rows wanted of a table lie in, as RestrictInfo;
 * NIL where none is known.
 */
List *
ba_plan_known_bounds(PlannerInfo *root, RelOptInfo *rel)
{
	if (!is_known(root, rel))
		return NIL;
	known->offered[known->kind] = true;
	return list_make2(make_bound(root, rel, TIDGreaterEqOperator, known->first_param),
					  make_bound(root, rel, TIDLessEqOperator, known->first_param + 1));
}

static void
add_tid_range_path(PlannerInfo *root, RelOptInfo *rel, List *bounds)
{
	TidRangePath *path = create_tidrangescan_path(root, rel, bounds, NULL);
	QualCost cost;

	/* Core has taken off what the bounds cost as conditions of the query, which they are not. */
	cost_qual_eval(&cost, bounds, root);
	path->path.total_cost += cost.per_tuple * rel->tuples *
							 clauselist_selectivity(root, bounds, rel->relid, JOIN_INNER, NULL);
	add_path(rel, &path->path);
}

/*
 * Tells whether somebody may go back in what is planned, and change the row where he stands: a cursor that is not
 * declared NO SCROLL. Core's TID range scan can do both.
 */
static bool
may_go_back(void)
{
	return (cursor_options & (CURSOR_OPT_FAST_PLAN | CURSOR_OPT_SCROLL)) != 0 &&
		   (cursor_options & CURSOR_OPT_NO_SCROLL) == 0;
}

static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	List *bounds;

	if (previous_pathlist != NULL)
		previous_pathlist(root, rel, rti, rte);
	bounds = ba_plan_known_bounds(root, rel);
	if (bounds != NIL && enable_tidscan)
		add_tid_range_path(root, rel, bounds);
	if (!may_go_back())
		ba_plan_add_rows_path(root, rel, bounds);
}

/*
 * Has a query planned, while the options are known to others here.
 */
static PlannedStmt *
plan_with_options(Query *parse, const char *text, int options, ParamListInfo params)
{
	int outer_options = cursor_options;
	PlannedStmt *stmt;

	cursor_options = options;
	PG_TRY();
	{
		stmt = previous_planner != NULL ? previous_planner(parse, text, options, params)
										: standard_planner(parse, text, options, params);
	}
	PG_FINALLY();
	{
		cursor_options = outer_options;
	}
	PG_END_TRY();
	return stmt;
}

static PlannedStmt *
plan_known_query(Query *parse, const char *text, int options, ParamListInfo params)
{
	bool insert_late = false;
	PlannedStmt *stmt;

	/* the text is where the plan cache has it, so nobody else's query has it there */
	if (known != NULL && text == known->source->query_string)
	{
		insert_late = list_length(known->source->query_list) == 1 && ba_plan_may_insert_late(parse);
		known->query = parse;
		known->kind = params == NULL ? BA_PLAN_KEPT : BA_PLAN_ONCE;
		known->planned[known->kind] = true;
		known->offered[known->kind] = false;
		params = known->params;
		for (int i = 0; i < known->nvalues; i++)
			params->params[i].pflags = known->kind == BA_PLAN_ONCE ? PARAM_FLAG_CONST : 0;
		if (known->describe != NULL)
			known->describe(known);
	}
	stmt = plan_with_options(parse, text, options, params);
	if (insert_late)
		ba_plan_use_insert(stmt);
	return stmt;
}

/*
 * Plans a query as pg_plan_query does, for a caller who will take all its rows.
 */
PlannedStmt *
ba_plan_for_all_rows(Query *query, const char *text, int options, ParamListInfo params)
{
	Query *outer = taken_whole;
	PlannedStmt *stmt;

	taken_whole = query;
	PG_TRY();
	{
		stmt = pg_plan_query(query, text, options, params);
	}
	PG_FINALLY();
	{
		taken_whole = outer;
	}
	PG_END_TRY();
	return stmt;
}

/*
 * Tells whether whoever runs a query that is planned, and not part of another, takes all its rows: it gives none,
 * or is a batch.
 */
bool
ba_plan_takes_all(Query *query)
{
	return (query->commandType != CMD_SELECT && query->returningList == NIL) ||
		   query == taken_whole || (known != NULL && query == known->query);
}

/*
 * Returns a plan of a statement that core's plan cache has, as GetCachedPlan does. Where there is something to
 * plan, what is known is made use of.
 */
CachedPlan *
ba_plan_get_cached(BaKnown *what)
{
	BaKnown *outer = known;
	CachedPlan *plan;

	known = what;
	PG_TRY();
	{
		plan = GetCachedPlan(what->source, what->params, CurrentResourceOwner, NULL);
	}
	PG_FINALLY();
	{
		known = outer;
	}
	PG_END_TRY();
	return plan;
}

/*
 * Installs the hooks of the planner.
 */
void
ba_plan_init_known(void)
{
	previous_planner = planner_hook;
	planner_hook = plan_known_query;
	previous_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_rel_pathlist;
}
