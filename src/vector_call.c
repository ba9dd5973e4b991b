/*
 * vector_call.c
 *		Functions that are nobody's operation, called for each row.
 *
 * If the arguments are vectors, a call by the function manager gives what core's
 * expression code would, without putting the row into a slot first. Only strict
 * functions: rows with a null argument are not called for. A call may raise
 * an error, so such a node must not stand where core might not get to it.
 *
 * The results of all rows are held at a time. Where they are long the node gives up: core's code
 * holds those of one row.
 */
#include "postgres.h"

#include "compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "pgstat.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "vector_expr.h"
#include "vector_ops.h"

typedef struct Call
{
	FmgrInfo flinfo;
	FunctionCallInfo fcinfo;
} Call;

/*
 * Whether a function may be called here. One whose calls are counted is core's.
 */
bool
ba_call_is_possible(Oid function)
{
	FmgrInfo flinfo;

	if (!func_strict(function) || get_func_retset(function))
		return false;
	if (pgstat_track_functions == TRACK_FUNC_OFF)
		return true;
	fmgr_info(function, &flinfo);
	return pgstat_track_functions <= flinfo.fn_stats;
}

/*
 * The function that a node of ba_call_eval calls.
 */
Oid
ba_call_get_function(const BaExpr *expr)
{
	if (IsA(expr->source, FuncExpr))
		return ((FuncExpr *) expr->source)->funcid;
	return ((OpExpr *) expr->source)->opfuncid;
}

static Call *
create_call(BaExpr *expr)
{
	MemoryContext old = MemoryContextSwitchTo(expr->program->memory);
	Call *call = palloc0(sizeof(Call));
	Node *source = (Node *) expr->source;

	fmgr_info(ba_call_get_function(expr), &call->flinfo);
	fmgr_info_set_expr(source, &call->flinfo);
	call->fcinfo = palloc0(SizeForFunctionCallInfo(expr->nargs));
	InitFunctionCallInfoData(*call->fcinfo, &call->flinfo, expr->nargs, exprInputCollation(source),
							 NULL, NULL);
	MemoryContextSwitchTo(old);
	return call;
}

/*
 * Calls the function of a FuncExpr or OpExpr for all rows without a null argument.
 */
const BaVector *
ba_call_eval(BaExpr *expr, BaRows *rows)
{
	ExprContext *econtext = expr->program->econtext;
	MemoryContext scratch = econtext->ecxt_per_tuple_memory;
	const BaVector *args[FUNC_MAX_ARGS];
	const bool *nulls = NULL;
	bool null_buffer[BA_VECTOR_ROWS];
	BaVector *result;
	Size bytes = 0;
	FunctionCallInfo fcinfo;

	for (int k = 0; k < expr->nargs; k++)
	{
		args[k] = ba_expr_get(expr->args[k], rows);
		if (args[k] == NULL)
			return NULL;
		nulls = ba_vector_unite_nulls(null_buffer, nulls, args[k]->nulls, rows->n);
	}
	if (expr->private == NULL)
		expr->private = create_call(expr);
	fcinfo = ((Call *) expr->private)->fcinfo;
	result = ba_expr_begin_result(expr, expr->result.type.lane);
	for (int i = 0; i < rows->n; i++)
	{
		Datum value;
		MemoryContext old;

		if (unlikely(bytes > BA_LONG_BYTES))
			return NULL;

		if (nulls != NULL && nulls[i])
		{
			ba_vector_set_null(result, i);
			continue;
		}
		CHECK_FOR_INTERRUPTS();
		for (int k = 0; k < expr->nargs; k++)
		{
			fcinfo->args[k].value = ba_vector_get_datum(args[k], i, scratch);
			fcinfo->args[k].isnull = false;
		}
		fcinfo->isnull = false;
		old = MemoryContextSwitchTo(scratch);
		value = FunctionCallInvoke(fcinfo);
		if (fcinfo->isnull)
			ba_vector_set_null(result, i);
		else
		{
			if (!result->type.byval)
			{
				MemoryContextSwitchTo(rows->memory);
				value = datumCopy(value, false, result->type.len);
				bytes += datumGetSize(value, false, result->type.len);
			}
			ba_vector_set_datum(result, i, value);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	return result;
}
