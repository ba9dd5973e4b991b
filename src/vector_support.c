/*
 * vector_support.c
 *		What the planner asks of expressions: may the engine have it, what does it cost.
 *
 * Whatever is not volatile can be had, as core's code computes what is not known
 * here; but it must be a matter of one row of the table and of parameters only.
 */
#include "postgres.h"

#include "compat.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "utils/memutils.h"
#include "vector_expr.h"

/* A node that works on whole vectors, in calls of a plain operator by core's code. */
#define VECTOR_NODE_COST 0.1

static bool
has_unsupported_walker(Node *node, void *context)
{
	Index scanrelid = *(Index *) context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		{
			Var *var = (Var *) node;

			return var->varno != scanrelid || var->varlevelsup > 0 || var->varattno <= 0;
		}
		case T_Param:
		{
			Param *param = (Param *) node;

			return param->paramkind != PARAM_EXTERN && param->paramkind != PARAM_EXEC;
		}
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_Aggref:
		case T_WindowFunc:
		case T_GroupingFunc:
		case T_CurrentOfExpr:
		case T_PlaceHolderVar:
		case T_NextValueExpr:
		case T_SetToDefault:
		case T_Query:
			return true;
		default:
			return expression_tree_walker(node, has_unsupported_walker, context);
	}
}

/*
 * Whether the engine can evaluate an expression, or each of a list, over the rows of a table.
 */
bool
ba_expr_is_supported(Node *expr, Index scanrelid)
{
	if (expr == NULL)
		return true;
	if (IsA(expr, List))
	{
		ListCell *cell;

		foreach (cell, (List *) expr)
			if (!ba_expr_is_supported(lfirst(cell), scanrelid))
				return false;
		return true;
	}
	if (IsA(expr, TargetEntry))
		expr = (Node *) ((TargetEntry *) expr)->expr;
	return !has_unsupported_walker(expr, &scanrelid) &&
		   OidIsValid(ba_vector_type(exprType(expr)).oid) && !contain_volatile_functions(expr) &&
		   !expression_returns_set(expr);
}

/*
 * The cost of an expression that core's code evaluates, with putting the row into a slot.
 */
static Cost
core_cost(PlannerInfo *root, Expr *expr)
{
	QualCost cost;

	cost_qual_eval_node(&cost, (Node *) expr, root);
	return cost.per_tuple + cpu_tuple_cost;
}

/*
 * The cost of an expression for one row.
 */
Cost
ba_expr_cost(PlannerInfo *root, Expr *expr, Index scanrelid)
{
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "BatchAgg cost", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(memory);
	BaExprProgram *program = ba_expr_create_program(NULL, scanrelid);
	BaExprCompiler compiler = {.program = program};
	Cost cost = 0;

	if (ba_expr_compile_node(&compiler, expr) != NULL)
	{
		ListCell *cell;

		foreach (cell, program->nodes)
		{
			BaExpr *node = lfirst(cell);

			if (node->eval == ba_lazy_eval && node->nargs == 0)
				cost += core_cost(root, node->source);
			if (node->eval == ba_call_eval)
			{
				QualCost call = {0};

				add_function_cost(root, ba_call_get_function(node), (Node *) node->source, &call);
				cost += call.per_tuple;
			}
			if (node->nargs > 0)
				cost += VECTOR_NODE_COST * cpu_operator_cost;
		}
	}
	else
		cost = core_cost(root, expr);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(memory);
	return cost;
}
