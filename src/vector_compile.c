/*
 * vector_compile.c
 *		Expressions of the planner -> trees of vector nodes.
 *
 * Parts that are equal become one node. What may call a function of core, or
 * computes a part without columns once, is only compiled where core would get to
 * it for every row (compiler->conditional is not set), because it may raise an
 * error. So the same part may be two nodes, depending on where it stands: a node
 * is shared if its operands are the same nodes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "vector_expr.h"

/* Elements of an array that are compared one after the other, at most. */
#define MAX_SPELLED_OUT 32

/*
 * Makes a node that computes `source` by `eval` from nodes of args. NULL if its values cannot be held.
 */
BaExpr *
ba_expr_append_node(BaExprProgram *program, BaExprEval eval, Expr *source, List *args)
{
	BaType type = ba_vector_type(exprType((Node *) source));
	BaExpr *expr;
	ListCell *cell;

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
 * Whether a node has the operands listed. Lazy ones are those of an equal operation if both are lazy.
 */
static bool
has_args(const BaExpr *expr, List *args)
{
	if (expr->nargs != list_length(args))
		return false;
	for (int i = 0; i < expr->nargs; i++)
	{
		const BaExpr *arg = list_nth(args, i);

		if (expr->args[i] != arg &&
			(expr->args[i]->eval != ba_lazy_eval || arg->eval != ba_lazy_eval))
			return false;
	}
	return true;
}

/*
 * The same, or the node that there is for it.
 */
BaExpr *
ba_expr_make_node(BaExprProgram *program, BaExprEval eval, Expr *source, List *args)
{
	ListCell *cell;

	foreach (cell, program->nodes)
	{
		BaExpr *expr = lfirst(cell);

		if (expr->eval == eval && has_args(expr, args) && equal(expr->source, source))
			return expr;
	}
	return ba_expr_append_node(program, eval, source, args);
}

/*
 * Compiles an operand that core may not get to for each row. If core gets to the operation for
 * each row, the operand can be left to the rows that need it, whatever it is.
 */
static BaExpr *
compile_conditional(BaExprCompiler *compiler, Expr *expr)
{
	bool outer = compiler->conditional;
	BaExpr *node;

	compiler->conditional = true;
	node = ba_expr_compile_node(compiler, expr);
	compiler->conditional = outer;
	if (outer || (node != NULL && (IsA(expr, Const) || IsA(expr, Var))))
		return node;
	return ba_lazy_create(compiler->program, expr, node);
}

/*
 * Compiles each of a list. With `lazy` core evaluates them one after the other until the answer
 * is clear: only the first is sure to be. False if one is not known.
 */
static bool
compile_list(BaExprCompiler *compiler, List *exprs, bool lazy, List **nodes)
{
	ListCell *cell;

	foreach (cell, exprs)
	{
		Expr *expr = lfirst(cell);
		BaExpr *node = lazy && foreach_current_index(cell) > 0
						   ? compile_conditional(compiler, expr)
						   : ba_expr_compile_node(compiler, expr);

		if (node == NULL)
			return false;
		*nodes = lappend(*nodes, node);
	}
	return true;
}

static BaExpr *
compile_all(BaExprCompiler *compiler, BaExprEval eval, Expr *source, List *exprs, bool lazy)
{
	List *nodes = NIL;

	if (!compile_list(compiler, exprs, lazy, &nodes))
		return NULL;
	return ba_expr_make_node(compiler->program, eval, source, nodes);
}

/*
 * A function: an operation of the tables, or else called for each row.
 */
static BaExpr *
compile_function(BaExprCompiler *compiler, Expr *expr, Oid function, List *args)
{
	const BaOp *op = ba_op_find(function);

	if (op != NULL)
		return compile_all(compiler, op->eval, expr, args, false);
	if (compiler->conditional || !ba_call_is_possible(function))
		return NULL;
	return compile_all(compiler, ba_call_eval, expr, args, false);
}

/*
 * Returns the equality that a DistinctExpr or NullIfExpr goes by as an expression of its own.
 */
static Expr *
make_equality(OpExpr *expr)
{
	OpExpr *equality = makeNode(OpExpr);

	*equality = *expr;
	equality->xpr.type = T_OpExpr;
	equality->opresulttype = BOOLOID;
	return (Expr *) equality;
}

static BaExpr *
compile_distinct(BaExprCompiler *compiler, OpExpr *expr, bool nullif)
{
	List *operands = nullif ? list_make1(linitial(expr->args)) : list_copy(expr->args);

	set_opfuncid(expr);
	return compile_all(compiler, nullif ? ba_logic_eval_nullif : ba_logic_eval_distinct,
					   (Expr *) expr, lappend(operands, make_equality(expr)), false);
}

/*
 * x op ANY (array). If it is not an equality, and the array is a constant of few elements, it is
 * `x op a OR x op b OR …`, for ALL with AND.
 */
static BaExpr *
compile_array_op(BaExprCompiler *compiler, ScalarArrayOpExpr *expr)
{
	Expr *scalar = linitial(expr->args);
	Expr *array = lsecond(expr->args);
	List *nodes = NIL;
	ArrayType *constant;
	BaType type;
	Datum *elements;
	bool *nulls;
	int n;

	set_sa_opfuncid(expr);
	if (ba_array_is_possible(expr) && !contain_var_clause((Node *) array))
	{
		/* the array must be a leaf */
		if (compiler->conditional && !IsA(array, Const) && !IsA(array, Param))
			return NULL;
		return compile_all(compiler, ba_array_eval, (Expr *) expr, expr->args, false);
	}
	if (!IsA(array, Const) || ((Const *) array)->constisnull || ba_op_find(expr->opfuncid) == NULL)
		return NULL;
	constant = DatumGetArrayTypeP(((Const *) array)->constvalue);
	type = ba_vector_type(ARR_ELEMTYPE(constant));
	if (!OidIsValid(type.oid))
		return NULL;
	deconstruct_array(constant, ARR_ELEMTYPE(constant), type.len, type.byval, type.align, &elements,
					  &nulls, &n);
	if (n == 0 || n > MAX_SPELLED_OUT)
		return NULL;
	for (int i = 0; i < n; i++)
	{
		Expr *element =
			(Expr *) makeConst(type.oid, -1, get_typcollation(type.oid), type.len,
							   nulls[i] ? (Datum) 0 : elements[i], nulls[i], type.byval);
		Expr *comparison = make_opclause(expr->opno, BOOLOID, false, scalar, element, InvalidOid,
										 expr->inputcollid);
		BaExpr *node;

		((OpExpr *) comparison)->opfuncid = expr->opfuncid;
		node = ba_expr_compile_node(compiler, comparison);
		if (node == NULL)
			return NULL;
		nodes = lappend(nodes, node);
	}
	return ba_expr_make_node(compiler->program, expr->useOr ? ba_logic_eval_or : ba_logic_eval_and,
							 (Expr *) expr, nodes);
}

/* What stands for the value that a simple CASE compares, and whether it cannot be told. */
typedef struct TestValue
{
	Expr *value;
	bool unclear;
} TestValue;

static Node *
replace_test_mutator(Node *node, TestValue *test)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return (Node *) test->value;
	if (IsA(node, CaseExpr) || IsA(node, ArrayCoerceExpr))
		test->unclear = true; /* may have such a value of its own */
	return expression_tree_mutator(node, replace_test_mutator, (void *) test);
}

/*
 * CASE. The conditions of a simple CASE get the value it compares in place of CaseTestExpr: it is
 * computed once as equal parts are.
 */
static BaExpr *
compile_case(BaExprCompiler *compiler, CaseExpr *expr)
{
	BaExprProgram *program = compiler->program;
	TestValue test = {.value = expr->arg};
	List *conditions = NIL;
	List *values = NIL;
	BaExpr *node;
	Expr *otherwise = expr->defresult;
	ListCell *cell;

	foreach (cell, expr->args)
	{
		CaseWhen *when = lfirst(cell);
		Expr *condition = when->expr;

		if (expr->arg != NULL)
			condition = (Expr *) replace_test_mutator((Node *) condition, &test);
		if (test.unclear)
			return NULL;
		node = foreach_current_index(cell) == 0 ? ba_expr_compile_node(compiler, condition)
												: compile_conditional(compiler, condition);
		if (node == NULL)
			return NULL;
		conditions = lappend(conditions, node);
		node = compile_conditional(compiler, when->result);
		if (node == NULL)
			return NULL;
		values = lappend(values, node);
	}
	if (otherwise == NULL)
		otherwise = (Expr *) makeNullConst(expr->casetype, -1, expr->casecollid);
	node = compile_conditional(compiler, otherwise);
	if (node == NULL)
		return NULL;
	return ba_expr_make_node(program, ba_logic_eval_case, (Expr *) expr,
							 list_concat(lappend(values, node), conditions));
}

/*
 * GREATEST and LEAST, where the order of the type is that of the lane.
 */
static BaExpr *
compile_min_max(BaExprCompiler *compiler, MinMaxExpr *expr)
{
	switch (getBaseType(expr->minmaxtype))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case MONEYOID:
			return compile_all(compiler, ba_logic_eval_min_max, (Expr *) expr, expr->args, false);
		default:
			return NULL;
	}
}

static BaExpr *
compile_bool(BaExprCompiler *compiler, BoolExpr *expr)
{
	switch (expr->boolop)
	{
		case AND_EXPR:
			return compile_all(compiler, ba_logic_eval_and, (Expr *) expr, expr->args, true);
		case OR_EXPR:
			return compile_all(compiler, ba_logic_eval_or, (Expr *) expr, expr->args, true);
		case NOT_EXPR:
			return compile_all(compiler, ba_logic_eval_not, (Expr *) expr, expr->args, false);
	}
	return NULL;
}

/*
 * Whether an expression without columns cannot raise an error, so that it does no harm to compute it
 * where core may not.
 */
static bool
is_harmless(Expr *expr)
{
	if (IsA(expr, SQLValueFunction))
		return ((SQLValueFunction *) expr)->op <= SVFOP_LOCALTIMESTAMP_N;
	if (!IsA(expr, FuncExpr))
		return false;
	switch (((FuncExpr *) expr)->funcid)
	{
		case F_NOW:
		case F_STATEMENT_TIMESTAMP:
		case F_TRANSACTION_TIMESTAMP:
			return true;
		default:
			return false;
	}
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
	if ((!compiler->conditional || is_harmless(expr)) && !contain_var_clause((Node *) expr))
		return ba_expr_make_node(program, ba_leaf_eval_once, expr, NIL);
	switch (nodeTag(expr))
	{
		case T_Var:
			return ba_expr_make_node(program, ba_leaf_eval_var, expr, NIL);
		case T_RelabelType:
			return ba_expr_compile_node(compiler, ((RelabelType *) expr)->arg);
		case T_FuncExpr:
		{
			FuncExpr *func = (FuncExpr *) expr;

			return compile_function(compiler, expr, func->funcid, func->args);
		}
		case T_OpExpr:
			set_opfuncid((OpExpr *) expr);
			return compile_function(compiler, expr, ((OpExpr *) expr)->opfuncid,
									((OpExpr *) expr)->args);
		case T_DistinctExpr:
			return compile_distinct(compiler, (OpExpr *) expr, false);
		case T_NullIfExpr:
			return compile_distinct(compiler, (OpExpr *) expr, true);
		case T_ScalarArrayOpExpr:
			return compile_array_op(compiler, (ScalarArrayOpExpr *) expr);
		case T_BoolExpr:
			return compile_bool(compiler, (BoolExpr *) expr);
		case T_NullTest:
			if (((NullTest *) expr)->argisrow)
				return NULL;
			return compile_all(compiler, ba_logic_eval_null_test, expr,
							   list_make1(((NullTest *) expr)->arg), false);
		case T_BooleanTest:
			return compile_all(compiler, ba_logic_eval_boolean_test, expr,
							   list_make1(((BooleanTest *) expr)->arg), false);
		case T_CaseExpr:
			return compile_case(compiler, (CaseExpr *) expr);
		case T_CoalesceExpr:
			return compile_all(compiler, ba_logic_eval_coalesce, expr,
							   ((CoalesceExpr *) expr)->args, true);
		case T_MinMaxExpr:
			return compile_min_max(compiler, (MinMaxExpr *) expr);
		default:
			return NULL;
	}
}
