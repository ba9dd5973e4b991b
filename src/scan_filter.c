/*
 * scan_filter.c
 *		WHERE: drops the rows that do not pass.
 *
 * Each condition is evaluated for the rows that all conditions before it left,
 * so that one may guard the next (b <> 0 AND a / b > 1), as it does where core
 * goes from row to row. Only comparisons of one number with constants, as in BETWEEN, are
 * put together to one condition: to drop rows after each costs more. They are known to raise no
 * error and to show nobody what they compare, which matters, since AND goes on after a NULL and a
 * list of conditions does not.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "scan.h"

struct BaFilter
{
	int n;
	BaExpr **conjuncts;
};

/*
 * Returns the column of numbers, dates or times that a condition compares with a constant by an operator
 * of ours, NULL if it is another condition.
 */
static Var *
get_compared(Expr *condition)
{
	OpExpr *op = (OpExpr *) condition;
	Node *left;
	Node *right;
	BaType type;

	if (!IsA(condition, OpExpr) || list_length(op->args) != 2)
		return NULL;
	set_opfuncid(op);
	if (ba_op_find(op->opfuncid) == NULL)
		return NULL;
	left = linitial(op->args);
	right = lsecond(op->args);
	if (IsA(right, Var))
	{
		Node *swap = left;

		left = right;
		right = swap;
	}
	type = ba_vector_type(exprType(left));
	if (!IsA(left, Var) || !IsA(right, Const) ||
		(type.lane == BA_LANE_DATUM && type.oid != NUMERICOID))
		return NULL;
	return (Var *) left;
}

/*
 * Compiles conditions, all of which must be true; allocated in the current context.
 */
BaFilter *
ba_filter_create(BaExprProgram *program, List *conjuncts)
{
	BaFilter *filter = palloc0(sizeof(BaFilter));
	int n = list_length(conjuncts);
	int i = 0;

	filter->conjuncts = palloc(sizeof(BaExpr *) * Max(1, n));
	while (i < n)
	{
		Expr *condition = list_nth(conjuncts, i++);
		Var *compared = get_compared(condition);
		List *together = list_make1(condition);

		while (compared != NULL && i < n && equal(get_compared(list_nth(conjuncts, i)), compared))
			together = lappend(together, list_nth(conjuncts, i++));
		if (list_length(together) > 1)
			condition = makeBoolExpr(AND_EXPR, together, -1);
		filter->conjuncts[filter->n++] = ba_expr_compile(program, condition);
	}
	return filter;
}

/*
 * Drops the rows at hand that do not pass, and returns how many.
 */
uint64
ba_filter_apply(BaFilter *filter, BaScan *scan)
{
	BaRows *rows = ba_scan_rows(scan);
	int n = rows->n;

	for (int i = 0; i < filter->n && rows->n > 0; i++)
		ba_scan_select(scan, ba_expr_evaluate(filter->conjuncts[i], rows));
	return n - rows->n;
}
