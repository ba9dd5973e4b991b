/*
 * vector_leaf.c
 *		What an expression starts from: columns, constants, and what is computed once.
 *
 * A part of an expression without columns has one value while the node scans,
 * until its parameters change: it is computed by core's code when the first rows ask for
 * it, and after each rescan again. That is how core would have it for stable
 * functions and for parameters, an init plan's among them, only that core does it for each row.
 *
 * Where core might not get to it (a branch of CASE), only a parameter is taken,
 * and only if fetching it runs nothing: an init plan that has not run yet may
 * raise an error. Then the node gives up, and core's code runs it if it has to.
 *
 * Memory: a value's copy lives in program->memory until the next one replaces it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "vector_expr.h"

/* Of a node that is computed once. */
typedef struct Once
{
	ExprState *state;
	bool valid;
	Datum value; /* as computed; a copy where by reference */
	bool isnull;
	uint64 version; /* changes with the value */
} Once;

/*
 * Gives all rows of a vector one value.
 */
static void
fill(BaVector *vector, Datum value, bool isnull)
{
	if (isnull)
	{
		ba_vector_set_null(vector, 0);
		memset(vector->nulls, true, BA_VECTOR_ROWS);
	}
	else
		ba_vector_set_datum(vector, 0, value);
	for (int i = 1; i < BA_VECTOR_ROWS; i++)
		vector->ints[i] = vector->ints[0];
	vector->constant = true;
}

/*
 * A column of the table. Numerics are decoded here if they can be, once for whatever uses them.
 */
const BaVector *
ba_leaf_eval_var(BaExpr *expr, BaRows *rows)
{
	const BaVector *column = rows->ops->load_column(rows, ((Var *) expr->source)->varattno);
	const BaVector *decoded = NULL;

	if (column->type.oid == NUMERICOID)
		decoded =
			ba_numeric_decode_vector(column, rows->n, ba_expr_begin_result(expr, BA_LANE_NUMERIC));
	return decoded != NULL ? decoded : column;
}

/*
 * A constant, filled in once for ever.
 */
const BaVector *
ba_leaf_eval_const(BaExpr *expr, BaRows *rows)
{
	if (expr->result.ints == NULL)
	{
		Const *con = (Const *) expr->source;

		fill(ba_expr_begin_result(expr, expr->result.type.lane), con->constvalue, con->constisnull);
	}
	return &expr->result;
}

static Once *
get_once(BaExpr *expr)
{
	if (expr->private == NULL)
		expr->private = MemoryContextAllocZero(expr->program->memory, sizeof(Once));
	return expr->private;
}

/*
 * Computes the value of a node without columns, unless it has one.
 */
static Once *
compute_once(BaExpr *expr)
{
	BaExprProgram *program = expr->program;
	Once *once = get_once(expr);
	BaType type = expr->result.type;
	MemoryContext old;
	Datum value;

	if (once->valid)
		return once;
	old = MemoryContextSwitchTo(program->memory);
	if (once->state == NULL)
		once->state = ExecInitExprWithParams(expr->source, program->econtext->ecxt_param_list_info);
	if (!type.byval && !once->isnull && DatumGetPointer(once->value) != NULL)
		pfree(DatumGetPointer(once->value));
	once->value = (Datum) 0;
	value = ExecEvalExprSwitchContext(once->state, program->econtext, &once->isnull);
	if (!once->isnull)
		once->value = datumCopy(value, type.byval, type.len);
	ResetExprContext(program->econtext);
	fill(ba_expr_begin_result(expr, type.lane), once->value, once->isnull);
	MemoryContextSwitchTo(old);
	once->version++;
	once->valid = true;
	return once;
}

/*
 * A part without columns, where core would compute it for each row.
 */
const BaVector *
ba_leaf_eval_once(BaExpr *expr, BaRows *rows)
{
	compute_once(expr);
	return &expr->result;
}

/*
 * A parameter where core might not ask for it: gives up if fetching it runs anything.
 */
const BaVector *
ba_leaf_eval_param(BaExpr *expr, BaRows *rows)
{
	Param *param = (Param *) expr->source;
	ExprContext *econtext = expr->program->econtext;

	if (!get_once(expr)->valid)
	{
		if (param->paramkind == PARAM_EXEC)
		{
			if (econtext->ecxt_param_exec_vals[param->paramid].execPlan != NULL)
				return NULL;
		}
		else if (econtext->ecxt_param_list_info->paramFetch != NULL)
			return NULL;
		compute_once(expr);
	}
	return &expr->result;
}

/*
 * Whether a node has one value for all rows. Sets it, and a version that is another when the
 * value may be; the node must have been evaluated since the last rescan.
 */
bool
ba_leaf_get_constant(BaExpr *expr, Datum *value, bool *isnull, uint64 *version)
{
	if (expr->eval == ba_leaf_eval_const)
	{
		*value = ((Const *) expr->source)->constvalue;
		*isnull = ((Const *) expr->source)->constisnull;
		*version = 1;
		return true;
	}
	if (expr->eval == ba_leaf_eval_once || expr->eval == ba_leaf_eval_param)
	{
		Once *once = expr->private;

		Assert(once->valid);
		*value = once->value;
		*isnull = once->isnull;
		*version = once->version;
		return true;
	}
	return false;
}

/*
 * Parameters may have changed: forgets what was computed once.
 */
void
ba_leaf_rescan(BaExpr *expr)
{
	if ((expr->eval == ba_leaf_eval_once || expr->eval == ba_leaf_eval_param) &&
		expr->private != NULL)
	{
		((Once *) expr->private)->valid = false;
		expr->stamp = 0;
	}
}
