/*
 * plan_jit.c
 *		Keeps JIT compilation out of plans that it cannot speed up.
 *
 * Core decides on JIT by the cost of the whole plan. What a BatchAgg costs is
 * spent in its own loops, where JIT changes nothing; compiling the few expressions
 * around it takes longer than the whole query may. So the decision is taken
 * again by core's rule, on the cost of the rest of the plan.
 */
#include "postgres.h"

#include "jit/jit.h"
#include "nodes/extensible.h"
#include "nodes/plannodes.h"
#include "optimizer/planner.h"

#include "node.h"
#include "plan.h"

static planner_hook_type previous_hook = NULL;

static Cost engine_cost(Plan *plan);

static Cost
engine_cost_of_list(List *plans)
{
	Cost cost = 0;
	ListCell *cell;

	foreach (cell, plans)
		cost += engine_cost(lfirst(cell));
	return cost;
}

/*
 * Sums the costs of the BatchAgg nodes in a plan tree.
 */
static Cost
engine_cost(Plan *plan)
{
	if (plan == NULL)
		return 0;
	switch (nodeTag(plan))
	{
		case T_CustomScan:
			if (ba_node_is_batchagg(plan) || ba_node_is_batchscan(plan))
				return plan->total_cost;
			return engine_cost_of_list(((CustomScan *) plan)->custom_plans);
		case T_Append:
			return engine_cost_of_list(((Append *) plan)->appendplans);
		case T_MergeAppend:
			return engine_cost_of_list(((MergeAppend *) plan)->mergeplans);
		case T_SubqueryScan:
			return engine_cost(((SubqueryScan *) plan)->subplan);
		default:
			return engine_cost(plan->lefttree) + engine_cost(plan->righttree);
	}
}

/*
 * Returns what a plan costs apart from its BatchAgg nodes.
 */
Cost
ba_plan_cost_without_engine(PlannedStmt *stmt)
{
	return stmt->planTree->total_cost - engine_cost(stmt->planTree) -
		   engine_cost_of_list(stmt->subplans);
}

static PlannedStmt *
plan_without_idle_jit(Query *parse, const char *query_string, int options, ParamListInfo params)
{
	PlannedStmt *stmt = previous_hook != NULL
							? previous_hook(parse, query_string, options, params)
							: standard_planner(parse, query_string, options, params);
	Cost rest;

	if (stmt->jitFlags == PGJIT_NONE)
		return stmt;
	rest = ba_plan_cost_without_engine(stmt);
	if (rest < stmt->planTree->total_cost)
	{
		if (rest <= jit_above_cost)
			stmt->jitFlags = PGJIT_NONE;
		if (rest <= jit_inline_above_cost)
			stmt->jitFlags &= ~PGJIT_INLINE;
		if (rest <= jit_optimize_above_cost)
			stmt->jitFlags &= ~PGJIT_OPT3;
	}
	return stmt;
}

/*
 * Installs the hook.
 */
void
ba_plan_init_jit(void)
{
	previous_hook = planner_hook;
	planner_hook = plan_without_idle_jit;
}
