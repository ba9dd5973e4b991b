/*
 * vector_compile.c
 *		Expressions of the planner -> trees of vector nodes.
 *
 * Parts that are equal become one node. What may call a function of core, or
 * computes a part without columns once, is only compiled where core would get to
 * it for every row (compiler->conditional is not set), because it may raise an
 * error; so a node is looked for among those there are only after its arguments
 * were compiled for the place where it stands.
 */
#include "postgres.h"

#include "compat.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "vector_expr.h"

/*
 * Returns the node that computes `source` by `eval` from nodes of args: one that there is, or a
 * new one. NULL if its values cannot be held.
 */
BaExpr *
ba_expr_make_node(BaExprProgram *program, BaExprEval eval, Expr *source, List *args)
{
	BaExpr *expr;
	BaType type;
	ListCell *cell;

	foreach (cell, program->nodes)
	{
		expr = lfirst(cell);
		if (expr->eval == eval && equal(expr->source, source))
			return expr;
	}
	type = ba_vector_type(exprType((Node *) source));
	if (!OidIsValid(type.oid))
		return NULL;
	expr = palloc0(sizeof(BaExpr));
	expr->eval = eval;
	expr->program = program;
	expr->source = source;
	expr->result.type = type;
	expr->result.lane = type.lane;
	expr->args = palloc(sizeof(BaExpr *) * Max(1, list_length(args)));
	foreach (cell, args)
		expr->args[expr->nargs++] = lfirst(cell);
	program->nodes = lappend(program->nodes, expr);
	return expr;
}

/*
 * Compiles a node; NULL if it or a part of it is not known.
 */
BaExpr *
ba_expr_compile_node(BaExprCompiler *compiler, Expr *expr)
{
	BaExprProgram *program = compiler->program;

	check_stack_depth();
	if (IsA(expr, Const))
		return ba_expr_make_node(program, ba_leaf_eval_const, expr, NIL);
	if (IsA(expr, Param) && compiler->conditional)
		return ba_expr_make_node(program, ba_leaf_eval_param, expr, NIL);
	if (!compiler->conditional && !contain_var_clause((Node *) expr))
		return ba_expr_make_node(program, ba_leaf_eval_once, expr, NIL);
	switch (nodeTag(expr))
	{
		case T_Var:
			return ba_expr_make_node(program, ba_leaf_eval_var, expr, NIL);
		default:
			return NULL;
	}
}
