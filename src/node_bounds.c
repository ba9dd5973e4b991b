/*
 * node_bounds.c
 *		Conditions on ctid that limit a scan to a range of TIDs.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"

#include "node.h"

/* A condition ctid >= value or ctid <= value: part of the range that is scanned. */
typedef struct Bound
{
	bool is_lower;
	ExprState *value;
} Bound;

/*
 * Matches ctid >= value or ctid <= value: returns the value, or NULL.
 */
static Expr *
match_comparison(Expr *clause, Index relid, bool *is_lower)
{
	OpExpr *op = (OpExpr *) clause;
	Var *var;

	if (!IsA(clause, OpExpr) || (op->opno != TIDGreaterEqOperator && op->opno != TIDLessEqOperator))
		return NULL;
	var = linitial(op->args);
	if (!IsA(var, Var) || var->varno != relid || var->varlevelsup != 0 ||
		var->varattno != SelfItemPointerAttributeNumber)
		return NULL;
	*is_lower = op->opno == TIDGreaterEqOperator;
	return lsecond(op->args);
}

/*
 * Tells whether a condition is ctid >= value or ctid <= value, for a value without columns.
 * split_batches makes such conditions, and people do with what it returns.
 */
bool
ba_node_is_tid_bound(Expr *clause, Index relid)
{
	bool is_lower;
	Expr *value = match_comparison(clause, relid, &is_lower);

	return value != NULL && ba_expr_is_supported((Node *) value, 0);
}

/*
 * Takes a condition of WHERE as a bound of the scan, which is added to *bounds. Returns false if it is none. A plan has
 * no other conditions on ctid than bounds.
 */
bool
ba_node_take_bound(CustomScanState *css, Expr *condition, List **bounds)
{
	CustomScan *cscan = (CustomScan *) css->ss.ps.plan;
	bool is_lower;
	Expr *value = match_comparison(condition, cscan->scan.scanrelid, &is_lower);
	Bound *bound;

	if (value == NULL)
		return false;
	bound = palloc(sizeof(Bound));
	bound->is_lower = is_lower;
	bound->value = ExecInitExprWithParams(value, css->ss.ps.state->es_param_list_info);
	*bounds = lappend(*bounds, bound);
	return true;
}

/*
 * Limits the scan to the range of TIDs that the bounds leave, which may be none.
 */
void
ba_node_limit_scan(CustomScanState *css, List *bounds, BaScan *scan)
{
	ItemPointerData first;
	ItemPointerData last;
	ListCell *cell;

	if (bounds == NIL)
		return;
	ItemPointerSet(&first, 0, InvalidOffsetNumber);
	ItemPointerSet(&last, InvalidBlockNumber, PG_UINT16_MAX);
	foreach (cell, bounds)
	{
		Bound *bound = lfirst(cell);
		bool isnull;
		Datum value = ExecEvalExprSwitchContext(bound->value, css->ss.ps.ps_ExprContext, &isnull);
		ItemPointer tid = (ItemPointer) DatumGetPointer(value);

		if (isnull)
		{
			/* true of no row: any empty range will do */
			ItemPointerSet(&first, InvalidBlockNumber, PG_UINT16_MAX);
			ItemPointerSet(&last, 0, InvalidOffsetNumber);
			break;
		}
		if (bound->is_lower ? ItemPointerCompare(tid, &first) > 0
							: ItemPointerCompare(tid, &last) < 0)
			ItemPointerCopy(tid, bound->is_lower ? &first : &last);
	}
	ba_scan_limit(scan, &first, &last);
}
