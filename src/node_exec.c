/*
 * node_exec.c
 *		A BatchAgg while it runs.
 *
 *		for each vector of rows:
 *			WHERE drops rows
 *			if values are long: for each slice of the rows
 *			keys -> the record of each row's group
 *			for each aggregate: argument and FILTER -> its kernel adds the rows to the records
 *			groups take more than hash_mem: emit them all and start over
 *		emit what is left
 *
 * A group may so be emitted more than once, as it is by each worker of a parallel
 * query; Finalize Aggregate above combines. That is why memory is bounded without
 * a file. Without GROUP BY there is one record, emitted if it has a row.
 *
 * Memory: `memory` lives as long as the node; groups and what their states hold
 * are thrown away when they were emitted.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "node.h"

/*
 * Makes an argument NULL where FILTER rejects the row: it must not be evaluated there, for that might
 * fail. Columns cannot fail and stay as they are.
 */
static Expr *
guard_argument(Expr *arg, Expr *filter)
{
	CaseExpr *guarded;
	CaseWhen *when;

	if (filter == NULL || IsA(arg, Var) || IsA(arg, Const))
		return arg;
	when = makeNode(CaseWhen);
	when->expr = filter;
	when->result = arg;
	when->location = -1;
	guarded = makeNode(CaseExpr);
	guarded->casetype = exprType((Node *) arg);
	guarded->casecollid = exprCollation((Node *) arg);
	guarded->args = list_make1(when);
	guarded->defresult =
		(Expr *) makeNullConst(guarded->casetype, exprTypmod((Node *) arg), guarded->casecollid);
	guarded->location = -1;
	return (Expr *) guarded;
}

/*
 * Returns the state that an Aggref uses, made if it is the first of its aggtransno.
 */
static int
find_agg(BaNode *node, Aggref *aggref)
{
	BaNodeAgg *new;
	ListCell *cell;

	for (int i = 0; i < node->naggs; i++)
		if (node->aggs[i].agg->aggref->aggtransno == aggref->aggtransno)
			return i;

	new = &node->aggs[node->naggs];
	new->agg =
		ba_kernel_create_agg(ba_kernel_find(aggref), aggref, node->group_memory, node->scratch);
	new->agg->offset = node->state_size;
	node->state_size += new->agg->kernel->state_size;
	node->has_init |= new->agg->kernel->init != NULL;
	new->args = palloc(sizeof(BaExpr *) * Max(1, list_length(aggref->args)));
	foreach (cell, aggref->args)
		new->args[new->nargs++] = ba_expr_compile(
			node->program, guard_argument(((TargetEntry *) lfirst(cell))->expr, aggref->aggfilter));
	if (aggref->aggfilter != NULL)
		new->filter = ba_expr_compile(node->program, aggref->aggfilter);
	new->skip = palloc(BA_VECTOR_ROWS);
	return node->naggs++;
}

/*
 * Notes a key or argument whose values may take much memory, in the group or while it is computed.
 */
static void
note_long(BaNode *node, BaExpr *expr)
{
	if (expr->result.type.len == -1)
		node->longs[node->nlongs++] = expr;
}

/*
 * Compiles output columns and conditions.
 */
static void
compile(BaNode *node)
{
	CustomScan *cscan = (CustomScan *) node->css.ss.ps.plan;
	int total = list_length(cscan->custom_scan_tlist);
	List *conjuncts = NIL;
	BaType *types = palloc(sizeof(BaType) * total);
	int nargs = 0;
	ListCell *cell;

	node->program = ba_expr_create_program(&node->css.ss.ps, cscan->scan.scanrelid);
	node->keys = palloc(sizeof(BaExpr *) * total);
	node->key_vectors = palloc(sizeof(BaVector *) * total);
	node->aggs = palloc0(sizeof(BaNodeAgg) * total);
	node->columns = palloc(sizeof(BaNodeColumn) * total);
	node->slice = ba_slice_create(node->memory);
	foreach (cell, cscan->custom_scan_tlist)
	{
		Expr *expr = ((TargetEntry *) lfirst(cell))->expr;

		if (foreach_current_index(cell) >= ba_node_count_columns(cscan))
		{
			if (!ba_node_take_bound(&node->css, expr, &node->bounds))
				conjuncts = lappend(conjuncts, expr);
		}
		else if (IsA(expr, Aggref))
		{
			ba_kernel_check_acl((Aggref *) expr);
			node->columns[node->ncolumns++] =
				(BaNodeColumn){.is_key = false, .index = find_agg(node, (Aggref *) expr)};
		}
		else
		{
			types[node->nkeys] = ba_vector_type(getBaseType(exprType((Node *) expr)));
			node->keys[node->nkeys] = ba_expr_compile(node->program, expr);
			node->columns[node->ncolumns++] =
				(BaNodeColumn){.is_key = true, .index = node->nkeys++};
		}
	}
	if (conjuncts != NIL)
		node->filter = ba_filter_create(node->program, conjuncts);
	if (node->nkeys > 0)
	{
		node->groups = ba_group_create(node->nkeys, types, node->state_size, node->memory);
		node->state_offset = ba_group_state_offset(node->groups);
	}
	else
		node->record = palloc0(Max(8, node->state_size));
	for (int i = 0; i < node->naggs; i++)
	{
		node->aggs[i].agg->offset += node->state_offset;
		nargs += node->aggs[i].nargs;
	}
	node->longs = palloc(sizeof(BaExpr *) * (node->nkeys + nargs));
	for (int i = 0; i < node->nkeys; i++)
		note_long(node, node->keys[i]);
	for (int i = 0; i < node->naggs; i++)
		for (int k = 0; k < node->aggs[i].nargs; k++)
			note_long(node, node->aggs[i].args[k]);
	node->records = palloc(sizeof(char *) * BA_VECTOR_ROWS);
	node->fresh = palloc(sizeof(char *) * BA_VECTOR_ROWS);
}

static void
begin(CustomScanState *css, EState *estate, int eflags)
{
	BaNode *node = (BaNode *) css;
	MemoryContext old;

	node->memory = AllocSetContextCreate(estate->es_query_cxt, "BatchAgg", ALLOCSET_DEFAULT_SIZES);
	node->group_memory =
		AllocSetContextCreate(node->memory, "BatchAgg groups", ALLOCSET_DEFAULT_SIZES);
	node->scratch = AllocSetContextCreate(node->memory, "BatchAgg scratch", ALLOCSET_DEFAULT_SIZES);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
		return;
	old = MemoryContextSwitchTo(node->memory);
	compile(node);
	node->memory_limit = ba_node_memory_limit();
	MemoryContextSwitchTo(old);
}

static void
start_states(BaNode *node, char *record)
{
	for (int i = 0; i < node->naggs; i++)
	{
		BaAgg *agg = node->aggs[i].agg;

		if (agg->kernel->init != NULL)
			agg->kernel->init(agg, record + agg->offset);
	}
}

/*
 * Forgets all groups.
 */
static void
reset_groups(BaNode *node)
{
	MemoryContextReset(node->group_memory);
	if (node->groups != NULL)
		ba_group_reset(node->groups);
	else
	{
		memset(node->record, 0, Max(8, node->state_size));
		start_states(node, node->record);
		node->seen_row = false;
	}
}

/*
 * Sets *skip to the rows that an aggregate passes over: rejected by FILTER, or with a null among
 * the arguments of a strict aggregate. NULL if none.
 */
static const bool *
find_skipped(BaNodeAgg *agg, BaRows *rows, const BaVector **args)
{
	const bool *skip = agg->nargs > 0 ? args[0]->nulls : NULL;

	for (int i = 1; i < agg->nargs; i++)
		skip = ba_vector_unite_nulls(agg->skip, skip, args[i]->nulls, rows->n);
	if (agg->filter != NULL)
	{
		ba_vector_find_untrue(agg->skip, ba_expr_evaluate(agg->filter, rows), skip, rows->n);
		skip = agg->skip;
	}
	return skip;
}

/*
 * Adds rows to their groups.
 */
static void
add_rows(BaNode *node, BaRows *rows)
{
	if (node->groups != NULL)
	{
		int nfresh;

		for (int i = 0; i < node->nkeys; i++)
			node->key_vectors[i] = ba_expr_evaluate(node->keys[i], rows);
		nfresh =
			ba_group_find(node->groups, node->key_vectors, rows->n, node->records, node->fresh);
		if (node->has_init)
			for (int i = 0; i < nfresh; i++)
				start_states(node, node->fresh[i]);
	}
	node->seen_row = true;
	for (int i = 0; i < node->naggs; i++)
	{
		BaNodeAgg *agg = &node->aggs[i];
		const BaVector *args[FUNC_MAX_ARGS];
		BaInput input = {.n = rows->n};

		for (int k = 0; k < agg->nargs; k++)
			args[k] = ba_expr_evaluate(agg->args[k], rows);
		input.value = agg->nargs > 0 ? args[0] : NULL;
		input.args = args;
		input.skip = find_skipped(agg, rows, args);
		if (node->groups != NULL)
			agg->agg->kernel->add_each(agg->agg, node->records, &input);
		else
			agg->agg->kernel->add_all(agg->agg, node->record + agg->agg->offset, &input);
	}
}

/*
 * Returns how much memory groups may take before they are emitted: of hash_mem the last quarter is
 * kept for what the next vector may add, as the index of groups grows by doubling.
 */
Size
ba_node_memory_limit(void)
{
	return get_hash_memory_limit() / 4 * 3;
}

static Size
group_memory(BaNode *node)
{
	return ba_group_memory(node->groups) + MemoryContextMemAllocated(node->group_memory, true);
}

/*
 * Returns as many of the rows that were not added yet as have values that can be held.
 */
static BaRows *
take_rows(BaNode *node, BaRows *all)
{
	int first = node->nadded;
	BaRows *rows = all;

	if (first > 0)
		rows = ba_slice_take(node->slice, all, first, Min(all->n - first, node->slice_rows));
	for (int i = 0; i < node->nlongs; i++)
	{
		int done = ba_expr_evaluate_long(node->longs[i], rows);

		if (done < rows->n)
		{
			node->slice_rows = done;
			rows = ba_slice_take(node->slice, all, first, done);
			i = -1; /* all again */
		}
	}
	node->nadded += rows->n;
	return rows;
}

/*
 * Returns the next rows to be added; NULL at the end of the table.
 */
static BaRows *
next_rows(BaNode *node)
{
	BaRows *all = ba_scan_rows(node->scan);

	while (node->nadded == all->n)
	{
		CHECK_FOR_INTERRUPTS();
		if (!ba_scan_next(node->scan))
			return NULL;
		if (node->filter != NULL)
			node->counts.filtered += ba_filter_apply(node->filter, node->scan);
		node->nadded = 0;
	}
	CHECK_FOR_INTERRUPTS();
	return take_rows(node, all);
}

/*
 * Reads the table, to its end or until the groups have to be emitted.
 */
static void
read_table(BaNode *node)
{
	BaRows *rows;

	if (node->scan == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(node->memory);

		node->scan = ba_scan_begin(node->css.ss.ss_currentRelation,
								   node->css.ss.ps.state->es_snapshot, node->parallel);
		MemoryContextSwitchTo(old);
		reset_groups(node);
	}
	if (!node->started)
	{
		ba_node_limit_scan(&node->css, node->bounds, node->scan);
		node->started = true;
	}
	while ((rows = next_rows(node)) != NULL)
	{
		Size used;

		MemoryContextReset(node->scratch);
		add_rows(node, rows);
		if (node->groups == NULL)
			continue;
		used = group_memory(node);
		node->counts.memory = Max(node->counts.memory, used);
		if (used > node->memory_limit)
		{
			node->counts.flushes++;
			return;
		}
	}
	node->at_end = true;
}

/*
 * Fills the scan slot from a record.
 */
static TupleTableSlot *
emit_record(BaNode *node, char *record)
{
	TupleTableSlot *slot = node->css.ss.ss_ScanTupleSlot;
	ExprContext *econtext = node->css.ss.ps.ps_ExprContext;
	MemoryContext old;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	MemoryContextReset(node->scratch);
	old = MemoryContextSwitchTo(node->scratch);
	for (int i = 0; i < node->ncolumns; i++)
	{
		BaNodeColumn *column = &node->columns[i];

		if (column->is_key)
			slot->tts_values[i] =
				ba_group_get_key(node->groups, record, column->index, &slot->tts_isnull[i]);
		else
		{
			BaAgg *agg = node->aggs[column->index].agg;

			slot->tts_isnull[i] = false;
			slot->tts_values[i] =
				agg->kernel->emit(agg, record + agg->offset, &slot->tts_isnull[i]);
		}
	}
	MemoryContextSwitchTo(old);
	ExecStoreVirtualTuple(slot);
	node->counts.groups++;
	if (node->css.ss.ps.ps_ProjInfo == NULL)
		return slot;
	ResetExprContext(econtext);
	econtext->ecxt_scantuple = slot;
	return ExecProject(node->css.ss.ps.ps_ProjInfo);
}

static TupleTableSlot *
execute(CustomScanState *css)
{
	BaNode *node = (BaNode *) css;

	for (;;)
	{
		switch (node->phase)
		{
			case BA_NODE_READ:
				read_table(node);
				if (node->groups != NULL)
					ba_group_rewind(node->groups, &node->cursor);
				node->phase = BA_NODE_EMIT;
				break;
			case BA_NODE_EMIT:
			{
				char *record = NULL;

				if (node->groups != NULL)
					record = ba_group_next(node->groups, &node->cursor);
				else if (node->seen_row)
				{
					record = node->record;
					node->seen_row = false;
				}
				if (record != NULL)
					return emit_record(node, record);
				if (node->at_end)
					node->phase = BA_NODE_DONE;
				else
				{
					reset_groups(node);
					node->phase = BA_NODE_READ;
				}
				break;
			}
			case BA_NODE_DONE:
				return NULL;
		}
	}
}

/*
 * Brings node->counts up to date with what scan and expressions counted.
 */
void
ba_node_collect_counts(BaNode *node)
{
	if (node->scan != NULL)
		node->counts.scan = *ba_scan_counts(node->scan);
	if (node->program != NULL)
		node->counts.core_rows = node->program->core_rows;
}

static void
rescan(CustomScanState *css)
{
	BaNode *node = (BaNode *) css;

	ExecClearTuple(css->ss.ss_ScanTupleSlot);
	node->phase = BA_NODE_READ;
	node->at_end = false;
	node->started = false;
	node->nadded = 0;
	if (node->program != NULL)
		ba_expr_rescan(node->program);
	if (node->scan != NULL)
	{
		ba_scan_rescan(node->scan);
		reset_groups(node);
	}
}

static void
end(CustomScanState *css)
{
	BaNode *node = (BaNode *) css;

	if (node->scan != NULL)
		ba_scan_end(node->scan);
	node->scan = NULL;
}

static const CustomExecMethods exec_methods = {
	.CustomName = BA_NODE_NAME,
	.BeginCustomScan = begin,
	.ExecCustomScan = execute,
	.EndCustomScan = end,
	.ReScanCustomScan = rescan,
	.EstimateDSMCustomScan = ba_node_estimate_dsm,
	.InitializeDSMCustomScan = ba_node_initialize_dsm,
	.ReInitializeDSMCustomScan = ba_node_reinitialize_dsm,
	.InitializeWorkerCustomScan = ba_node_initialize_worker,
	.ShutdownCustomScan = ba_node_shutdown,
	.ExplainCustomScan = ba_node_explain,
};

/*
 * Makes the state of a BatchAgg; begin() does the rest.
 */
Node *
ba_node_create(CustomScan *cscan)
{
	BaNode *node = (BaNode *) newNode(sizeof(BaNode), T_CustomScanState);

	node->css.methods = &exec_methods;
	return (Node *) node;
}
