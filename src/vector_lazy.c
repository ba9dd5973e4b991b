/*
 * vector_lazy.c
 *		Operands that core computes only for the rows that need them.
 *
 * An operand of AND, OR, CASE or COALESCE behind the first is computed for all rows
 * all the same, if it is made of operations: they raise no errors. Where that is
 * not so, or where it gave up, it is computed for just the rows that core
 * would compute it for: these become a set of rows of their own, with a program of
 * its own for the operand, as if the others were not there. So
 *
 *		CASE WHEN b <> 0 THEN a / b END
 *
 * stays in vectors where some b is 0, and a function in a branch of CASE is called for the
 * rows of that branch.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "vector_expr.h"

/* A column of the rows that need the operand. */
typedef struct Column
{
	uint64 stamp;
	BaVector vector;
} Column;

typedef struct Lazy
{
	BaRows rows; /* those that need the operand: must be first */
	BaRows *all; /* the rows they are of … */
	int *places; /* … and which */
	int ncolumns;
	Column **columns; /* by attno - 1, NULL if never asked for */
	BaExprProgram *program;
	BaExpr *root;
	int failures; /* vectors since the operand last was computed for all rows */
} Lazy;

/*
 * Picks the values of a column for the rows that need the operand.
 */
static const BaVector *
load_column(BaRows *rows, AttrNumber attno)
{
	Lazy *lazy = (Lazy *) rows;
	const BaVector *from;
	BaVector *vector;
	Column *column;

	if (attno > lazy->ncolumns)
	{
		int ncolumns = Max(attno, 2 * lazy->ncolumns);
		Column **columns =
			MemoryContextAllocZero(lazy->program->memory, sizeof(Column *) * ncolumns);

		if (lazy->ncolumns > 0)
			memcpy(columns, lazy->columns, sizeof(Column *) * lazy->ncolumns);
		lazy->columns = columns;
		lazy->ncolumns = ncolumns;
	}
	column = lazy->columns[attno - 1];
	from = column != NULL && column->stamp == rows->stamp
			   ? NULL
			   : lazy->all->ops->load_column(lazy->all, attno);
	if (column == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(lazy->program->memory);

		column = lazy->columns[attno - 1] = palloc0(sizeof(Column));
		ba_vector_init(&column->vector, from->type, from->lane);
		MemoryContextSwitchTo(old);
	}
	vector = &column->vector;
	if (from == NULL)
		return vector;
	for (int i = 0; i < rows->n; i++)
		vector->ints[i] = from->ints[lazy->places[i]];
	vector->extended = from->extended;
	vector->nulls = NULL;
	if (from->nulls != NULL)
	{
		vector->nulls = ba_vector_null_buffer(vector);
		for (int i = 0; i < rows->n; i++)
			vector->nulls[i] = from->nulls[lazy->places[i]];
	}
	column->stamp = rows->stamp;
	return vector;
}

static void
store_slot(BaRows *rows, int row)
{
	Lazy *lazy = (Lazy *) rows;

	lazy->all->ops->store_slot(lazy->all, lazy->places[row]);
}

static const BaRowsOps rows_ops = {.load_column = load_column, .store_slot = store_slot};

/*
 * Makes a node of an operand. `eager` computes it for all rows, and is NULL if that cannot be.
 * Nodes are not shared: the rows that need one depend on what it is an operand of.
 */
BaExpr *
ba_lazy_create(BaExprProgram *program, Expr *source, BaExpr *eager)
{
	BaExpr *expr =
		ba_expr_append_node(program, ba_lazy_eval, source, eager == NULL ? NIL : list_make1(eager));

	if (expr != NULL)
	{
		Lazy *lazy = palloc0(sizeof(Lazy));

		lazy->rows.ops = &rows_ops;
		expr->private = lazy;
	}
	return expr;
}

/*
 * The operand for all rows; gives up where only some of them can be computed.
 */
const BaVector *
ba_lazy_eval(BaExpr *expr, BaRows *rows)
{
	Lazy *lazy = expr->private;
	const BaVector *vector = NULL;

	if (expr->nargs > 0 && ba_expr_is_worth_trying(lazy->failures))
		vector = ba_expr_get(expr->args[0], rows);
	lazy->failures = vector != NULL ? 0 : lazy->failures + 1;
	return vector;
}

/*
 * The operand for the rows whose mask is -1, not 0; others may have it as well, or something harmless.
 * Gives up only if expr is no node of ba_lazy_create, or if the values are too long to be held.
 */
const BaVector *
ba_lazy_get(BaExpr *expr, BaRows *rows, const int64 *mask)
{
	const BaVector *vector = ba_expr_get(expr, rows);
	Lazy *lazy = expr->private;
	BaVector *result;
	int n = 0;
	int done;

	if (vector != NULL || expr->eval != ba_lazy_eval)
		return vector;
	if (lazy->program == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(expr->program->memory);

		lazy->places = palloc(sizeof(int) * BA_VECTOR_ROWS);
		lazy->program = palloc(sizeof(BaExprProgram));
		*lazy->program = *expr->program;
		lazy->program->nodes = NIL;
		lazy->program->core_rows = 0;
		lazy->root = ba_expr_compile_root(lazy->program, expr->source);
		MemoryContextSwitchTo(old);
	}
	for (int i = 0; i < rows->n; i++)
	{
		lazy->places[n] = i;
		n -= (int) mask[i];
	}
	lazy->all = rows;
	lazy->rows.n = n;
	lazy->rows.stamp++;
	lazy->rows.memory = rows->memory;
	lazy->rows.slot = rows->slot;
	if (n == 0)
	{
		/* good in any lane */
		result = ba_expr_begin_result(expr, expr->result.type.lane);
		memset(result->ints, 0, BA_VECTOR_ROWS * sizeof(int64));
		result->nulls = ba_vector_null_buffer(result);
		memset(result->nulls, true, BA_VECTOR_ROWS);
		result->constant = true;
		return result;
	}
	done = ba_expr_evaluate_long(lazy->root, &lazy->rows);
	expr->program->core_rows += lazy->program->core_rows;
	lazy->program->core_rows = 0;
	if (done < n)
		return NULL;
	vector = ba_expr_evaluate(lazy->root, &lazy->rows);

	result = ba_expr_begin_result(expr, vector->lane);
	result->scale = vector->scale;
	result->extended = vector->extended;
	memset(result->ints, 0, rows->n * sizeof(int64));
	for (int i = 0; i < n; i++)
		result->ints[lazy->places[i]] = vector->ints[i];
	if (vector->scales != NULL)
	{
		uint8 *scales = MemoryContextAllocZero(rows->memory, rows->n);

		for (int i = 0; i < n; i++)
			scales[lazy->places[i]] = vector->scales[i];
		result->scales = scales;
	}
	if (vector->nulls != NULL)
	{
		result->nulls = ba_vector_null_buffer(result);
		memset(result->nulls, 0, rows->n);
		for (int i = 0; i < n; i++)
			result->nulls[lazy->places[i]] = vector->nulls[i];
	}
	return result;
}

/*
 * Parameters may have changed.
 */
void
ba_lazy_rescan(BaExpr *expr)
{
	if (expr->eval == ba_lazy_eval && ((Lazy *) expr->private)->program != NULL)
		ba_expr_rescan(((Lazy *) expr->private)->program);
}
