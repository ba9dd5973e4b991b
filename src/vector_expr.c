/*
 * vector_expr.c
 *		Expressions over vectors: programs, roots, and what falls back to core.
 *
 * A root is what the node of the plan asks for: a key, an argument, a filter. It has the
 * compiled tree below it, if there is one, and core's own expression state,
 * which is made when it is first needed:
 *
 *		eval_root: the tree gives a vector, or else core computes row by row
 *
 * A tree that gave up several times in a row is only tried now and then from
 * there on.
 *
 * core's states have no parent: the parent's scan slot has the type of the node's
 * output, while these expressions read rows->slot, of the table's type. They are
 * not compiled by JIT for that reason. Functions are checked for permission when
 * the program is made, as core does it when it initialises an expression.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "compat.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "vector_expr.h"

/* Of a root. */
typedef struct Root
{
	ExprState *state;
	int failures; /* vectors since the tree last gave one */
	int done;     /* rows that the latest values are of: the first */
} Root;

/*
 * Makes the vector of a node's result ready to be filled: without nulls or flags. Buffers are
 * allocated when first asked for, and are the node's own, so that a node whose result is
 * another's vector must not come here.
 */
BaVector *
ba_expr_begin_result(BaExpr *expr, BaLane lane)
{
	BaVector *result = &expr->result;

	if (result->ints == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(expr->program->memory);

		ba_vector_init(result, result->type, lane);
		MemoryContextSwitchTo(old);
	}
	result->lane = lane;
	result->constant = false;
	result->extended = false;
	result->nulls = NULL;
	result->scales = NULL;
	return result;
}

/*
 * Evaluates a root row by row. Values by reference are copied to rows->memory; once these are
 * BA_LONG_BYTES, the rows that are left have none.
 */
static const BaVector *
evaluate_by_core(BaExpr *root, BaRows *rows)
{
	BaExprProgram *program = root->program;
	ExprContext *econtext = program->econtext;
	Root *info = root->private;
	BaVector *result = ba_expr_begin_result(root, root->result.type.lane);
	BaType type = result->type;
	Size bytes = 0;
	int i;

	if (info->state == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(program->memory);

		info->state = ExecInitExprWithParams(root->source, econtext->ecxt_param_list_info);
		MemoryContextSwitchTo(old);
	}
	for (i = 0; i < rows->n && bytes < BA_LONG_BYTES; i++)
	{
		Datum value;
		bool isnull;

		CHECK_FOR_INTERRUPTS();
		rows->ops->store_slot(rows, i);
		econtext->ecxt_scantuple = rows->slot;
		value = ExecEvalExprSwitchContext(info->state, econtext, &isnull);
		if (isnull)
			ba_vector_set_null(result, i);
		else
		{
			if (!type.byval)
			{
				MemoryContext old = MemoryContextSwitchTo(rows->memory);

				value = datumCopy(value, false, type.len);
				bytes += datumGetSize(value, false, type.len);
				MemoryContextSwitchTo(old);
			}
			ba_vector_set_datum(result, i, value);
		}
		ResetExprContext(econtext);
	}
	program->core_rows += i;
	info->done = i;
	return result;
}

static const BaVector *
eval_root(BaExpr *root, BaRows *rows)
{
	Root *info = root->private;

	info->done = rows->n;
	if (rows->n == 0)
		return ba_expr_begin_result(root, root->result.type.lane);
	if (root->nargs > 0)
	{
		if (ba_expr_is_worth_trying(info->failures))
		{
			const BaVector *vector = ba_expr_get(root->args[0], rows);

			if (vector != NULL)
			{
				info->failures = 0;
				return vector;
			}
		}
		info->failures++;
	}
	return evaluate_by_core(root, rows);
}

/*
 * Makes an empty program for a node of a plan, or without a parent, whose expressions cannot be
 * evaluated. Lives in CurrentMemoryContext.
 */
BaExprProgram *
ba_expr_create_program(PlanState *parent, Index scanrelid)
{
	BaExprProgram *program = palloc0(sizeof(BaExprProgram));

	program->parent = parent;
	program->scanrelid = scanrelid;
	program->memory = CurrentMemoryContext;
	if (parent != NULL)
		program->econtext = CreateExprContext(parent->state);
	return program;
}

static bool
check_function(Oid function, void *context)
{
	AclResult aclresult = object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE);

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FUNCTION, get_func_name(function));
	InvokeFunctionExecuteHook(function);
	return false;
}

static bool
check_functions_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) || IsA(node, OpExpr) || IsA(node, DistinctExpr) ||
		IsA(node, NullIfExpr) || IsA(node, ScalarArrayOpExpr))
		check_functions_in_node(node, check_function, context);
	return expression_tree_walker(node, check_functions_walker, context);
}

/*
 * Compiles an expression whose functions the user may execute.
 */
BaExpr *
ba_expr_compile_root(BaExprProgram *program, Expr *expr)
{
	BaExprCompiler compiler = {.program = program};
	MemoryContext old = MemoryContextSwitchTo(program->memory);
	BaExpr *tree = ba_expr_compile_node(&compiler, expr);
	BaExpr *root =
		ba_expr_make_node(program, eval_root, expr, tree == NULL ? NIL : list_make1(tree));

	if (root->private == NULL)
		root->private = palloc0(sizeof(Root));
	MemoryContextSwitchTo(old);
	return root;
}

/*
 * Compiles an expression. Equal expressions of a program share one root. Raises an error if the
 * user may not execute a function of it.
 */
BaExpr *
ba_expr_compile(BaExprProgram *program, Expr *expr)
{
	check_functions_walker((Node *) expr, NULL);
	return ba_expr_compile_root(program, expr);
}

/*
 * Evaluates a root for as many rows, from the first on, as have values of BA_LONG_BYTES together, and
 * for one at least. Returns how many. If it is not all, no value of the root may be used, but for
 * such a slice of the rows.
 */
int
ba_expr_evaluate_long(BaExpr *root, BaRows *rows)
{
	const BaVector *vector = ba_expr_get(root, rows);
	int done = ((Root *) root->private)->done;
	Size bytes = 0;

	/* what neither was copied nor has to be fetched lies in a few pages */
	if (done < rows->n || vector->lane != BA_LANE_DATUM || vector->type.len != -1 ||
		!(vector->extended || vector->constant))
		return done;
	for (int i = 0; i < rows->n; i++)
	{
		if (bytes >= BA_LONG_BYTES)
			return i;
		if (vector->datums[i] != (Datum) 0)
			bytes += toast_raw_datum_size(vector->datums[i]);
	}
	return rows->n;
}

/*
 * The values of a root for all rows; never NULL. May raise what errors core would. A root whose
 * values may be long needs ba_expr_evaluate_long before.
 */
const BaVector *
ba_expr_evaluate(BaExpr *root, BaRows *rows)
{
	return ba_expr_get(root, rows);
}

/*
 * To be called when parameters may have changed.
 */
void
ba_expr_rescan(BaExprProgram *program)
{
	ListCell *cell;

	foreach (cell, program->nodes)
	{
		ba_leaf_rescan(lfirst(cell));
		ba_lazy_rescan(lfirst(cell));
	}
}
