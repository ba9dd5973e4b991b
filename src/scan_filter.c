/*
 * scan_filter.c
 *		WHERE: drops the rows that do not pass.
 *
 * Each condition is evaluated for the rows that all conditions before it left,
 * so that one may guard the next (b <> 0 AND a / b > 1), as it does where core
 * goes from row to row.
 */
#include "postgres.h"

#include "scan.h"

struct BaFilter
{
	int n;
	BaExpr **conjuncts;
	bool keep[BA_VECTOR_ROWS];
};

/*
 * Compiles conditions, all of which must be true; allocated in the current context.
 */
BaFilter *
ba_filter_create(BaExprProgram *program, List *conjuncts)
{
	BaFilter *filter = palloc0(sizeof(BaFilter));
	ListCell *cell;

	filter->conjuncts = palloc(sizeof(BaExpr *) * Max(1, list_length(conjuncts)));
	foreach (cell, conjuncts)
		filter->conjuncts[filter->n++] = ba_expr_compile(program, lfirst(cell));
	return filter;
}

/*
 * Sets keep[i] where a condition is true for row i, that is neither false nor null.
 */
static void
find_true(const BaVector *condition, int n, bool *keep)
{
	const int64 *values = condition->ints;
	const bool *nulls = condition->nulls;

	if (nulls == NULL)
		for (int i = 0; i < n; i++)
			keep[i] = values[i] != 0;
	else
		for (int i = 0; i < n; i++)
			keep[i] = (values[i] != 0) & !nulls[i];
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
	{
		find_true(ba_expr_evaluate(filter->conjuncts[i], rows), rows->n, filter->keep);
		ba_scan_select(scan, filter->keep);
	}
	return n - rows->n;
}
