/*
 * plan.h
 *		Recognising a query that the engine can run, and pricing it.
 *
 * When core has made its own paths for a grouping, plan_path.c looks whether
 * the query is an aggregation of one table (plan_query.c) all of whose parts are
 * supported. If so it adds paths of this shape, and core chooses by cost
 * (plan_cost.c):
 *
 *		Finalize Aggregate -> [Gather ->] [Append ->] BatchAgg
 *
 * BatchAgg gives the partial states of groups, as core's Partial Aggregate
 * would. HAVING, ORDER BY and all above is core's. Nothing of core's plan is
 * taken apart.
 */
#ifndef PLAN_H
#define PLAN_H

#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "utils/plancache.h"

/* in plan_path.c */
extern void ba_plan_init(void);

/* in plan_query.c */
extern PathTarget *ba_plan_make_target(PlannerInfo *root, PathTarget *target, Node *having);
extern bool ba_plan_is_supported(PlannerInfo *root, RelOptInfo *rel, PathTarget *target);
extern bool ba_plan_has_tid_bound(RelOptInfo *rel);
extern List *ba_plan_find_leaves(PlannerInfo *root, RelOptInfo *rel);
extern bool ba_plan_is_supported_table(PlannerInfo *root, RelOptInfo *rel);
extern bool ba_plan_is_supported_leaf(PlannerInfo *root, RelOptInfo *rel, PathTarget *target);

/* in plan_cost.c */
extern void ba_plan_cost(PlannerInfo *root, CustomPath *custom_path, double groups);
extern void ba_plan_cost_rows(PlannerInfo *root, Path *path, List *bounds);

/* in plan_rows.c */
extern void ba_plan_add_rows_path(PlannerInfo *root, RelOptInfo *rel, List *bounds);

/* in plan_insert.c */
extern bool ba_plan_may_insert_late(Query *query);
extern void ba_plan_use_insert(PlannedStmt *stmt);

/* in plan_known.c */

/* Plans of statements in core's plan cache. */
typedef enum BaPlanKind
{
	BA_PLAN_ONCE, /* for one execution: custom */
	BA_PLAN_KEPT  /* for many: generic */
} BaPlanKind;

/* What is known of a statement there: plan_known.c. */
typedef struct BaKnown
{
	CachedPlanSource *source;
	ParamListInfo params; /* of these the first nvalues are built into a plan that is not kept, */
	int nvalues;          /* and the planner looks at all of them */

	/* If not NULL, called before each planning. May set a range and values of parameters. */
	void (*describe)(struct BaKnown *known);
	void *caller;

	/* All rows of a table that meet a condition lie in a range of TIDs. */
	Oid relation; /* an ordinary table */
	List
		*condition; /* clauses, all to be met, over the table as number 1; NIL: no range is known */
	int first_param; /* number of the parameter that is the first TID; the last is the next */

	/* set meanwhile, the last two for each BaPlanKind */
	Query *query; /* that is planned */
	BaPlanKind kind;
	bool planned[2]; /* it was */
	bool offered[2]; /* the planner took note of the range: a plan may depend on it */
} BaKnown;

extern void ba_plan_init_known(void);
extern Expr *ba_plan_make_bound(Index rti, Oid operator, int param);
extern CachedPlan *ba_plan_get_cached(BaKnown *what);
extern PlannedStmt *ba_plan_for_all_rows(Query *query, const char *text, int options,
										 ParamListInfo params);
extern bool ba_plan_takes_all(Query *query);
extern List *ba_plan_known_bounds(PlannerInfo *root, RelOptInfo *rel);

/* in plan_jit.c */
extern void ba_plan_init_jit(void);
extern Cost ba_plan_cost_without_engine(PlannedStmt *stmt);

#endif
