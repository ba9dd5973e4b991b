/*
 * kernel_transition.c
 *		Aggregates by their own transition function, called row by row.
 *
 * That is what core does, and most of what is gained lies around it: the rows come
 * out of vectors. It serves aggregates that are too rare for loops of their own,
 * and batchagg's exact ones, whose states take in values by the vector anyhow:
 * as long as there is room in a state, pushing a value is all there is to a row.
 *
 * Only strict functions run here: rows with a null argument are skipped, whatever
 * the state is. Their states are values of SQL types, never internal, and are emitted
 * as they are. Calls and states are those of agg_partial_run.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_agg.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "agg.h"
#include "agg_partial.h"
#include "kernel.h"

/* Integers up to this magnitude are doubles, and may be pushed. */
#define EXACT_INTEGERS (INT64CONST(1) << 53)

/* A transition or combine function of batchagg's, and what it makes of numbers. */
typedef struct OwnFunction
{
	PGFunction function;
	BaAggKind kind; /* 0: its arguments are no numbers */
} OwnFunction;

static const OwnFunction own_functions[] = {
	{batchagg_stats_trans_int2, BA_AGG_STATS},
	{batchagg_stats_trans_int4, BA_AGG_STATS},
	{batchagg_stats_trans_int8, BA_AGG_STATS},
	{batchagg_stats_trans_float4, BA_AGG_STATS},
	{batchagg_stats_trans_float8, BA_AGG_STATS},
	{batchagg_stats2d_trans_float8_float8, BA_AGG_STATS2D},
	{batchagg_stats2d_trans_float8_int8, BA_AGG_STATS2D},
	{batchagg_stats2d_trans_int8_float8, BA_AGG_STATS2D},
	{batchagg_stats2d_trans_int8_int8, BA_AGG_STATS2D},
	{batchagg_stats_combine, 0},
	{batchagg_stats2d_combine, 0},
};

/* What the running kernel needs. */
typedef struct Transition
{
	BaPartialAgg agg;
	AggState context; /* bare: functions ask it only where states live */
	BaAggKind push;   /* states that values may be pushed to, or 0 */
} Transition;

static const OwnFunction *
find_own_function(const FmgrInfo *function)
{
	for (int i = 0; i < lengthof(own_functions); i++)
		if (own_functions[i].function == function->fn_addr)
			return &own_functions[i];
	return NULL;
}

/*
 * Tells whether a transition function is one of batchagg's own.
 */
bool
ba_kernel_is_own_function(Oid transfn)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(transfn));
	bool candidate;
	FmgrInfo function;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", transfn);
	candidate = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId &&
				((Form_pg_proc) GETSTRUCT(tuple))->proisstrict;
	ReleaseSysCache(tuple);
	if (!candidate)
		return false;
	fmgr_info(transfn, &function);
	return find_own_function(&function) != NULL;
}

/* Makes the transition function callable, told its argument types for it may be polymorphic. */
static void
prepare_function(BaPartialAgg *agg, Oid transfn, Aggref *aggref)
{
	Oid types[FUNC_MAX_ARGS];
	Expr *expr;

	agg->nargs = get_aggregate_argtypes(aggref, types);
	agg->has_transfn = true;
	fmgr_info(transfn, &agg->transfn);
	build_aggregate_transfn_expr(types, agg->nargs, 0, false, agg->transtype, agg->collation,
								 transfn, InvalidOid, &expr, NULL);
	fmgr_info_set_expr((Node *) expr, &agg->transfn);
}

static void
prepare(BaAgg *agg)
{
	Transition *transition = palloc0(sizeof(Transition));
	BaPartialAgg *partial = &transition->agg;
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(agg->aggref->aggfnoid));
	const OwnFunction *own;
	Datum initval;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", agg->aggref->aggfnoid);
	partial->context = CurrentMemoryContext;
	partial->aggregate = agg->aggref->aggfnoid;
	partial->collation = agg->collation;
	partial->transtype = agg->aggref->aggtranstype;
	get_typlenbyval(partial->transtype, &partial->translen, &partial->transbyval);
	initval = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval, &partial->initnull);
	if (!partial->initnull)
	{
		Oid input;
		Oid ioparam;

		getTypeInputInfo(partial->transtype, &input, &ioparam);
		partial->initvalue = OidInputFunctionCall(input, TextDatumGetCString(initval), ioparam, -1);
	}
	prepare_function(partial, ((Form_pg_aggregate) GETSTRUCT(tuple))->aggtransfn, agg->aggref);
	ReleaseSysCache(tuple);

	NodeSetTag(&transition->context, T_AggState);
	transition->context.curaggcontext = makeNode(ExprContext);
	transition->context.curaggcontext->ecxt_per_query_memory = agg->memory;
	transition->context.curaggcontext->ecxt_per_tuple_memory = agg->memory;
	transition->context.tmpcontext = makeNode(ExprContext);
	transition->context.tmpcontext->ecxt_per_query_memory = agg->scratch;
	transition->context.tmpcontext->ecxt_per_tuple_memory = agg->scratch;

	own = find_own_function(&partial->transfn);
	if (own != NULL)
		transition->push = own->kind;
	agg->private = transition;
}

static void
init(BaAgg *agg, void *state)
{
	BaPartialState *s = state;
	BaPartialAgg *partial = &((Transition *) agg->private)->agg;

	s->agg = partial;
	s->isnull = partial->initnull;
	s->novalue = partial->initnull;
	if (!partial->initnull)
	{
		MemoryContext old = MemoryContextSwitchTo(agg->memory);

		s->value = datumCopy(partial->initvalue, partial->transbyval, partial->translen);
		MemoryContextSwitchTo(old);
	}
}

/* Calls the transition function for a row. */
static pg_noinline void
call_function(BaAgg *agg, BaPartialState *s, const BaInput *input, int row)
{
	Transition *transition = agg->private;
	NullableDatum args[FUNC_MAX_ARGS];

	for (int k = 0; k < transition->agg.nargs; k++)
	{
		args[k].value = ba_vector_get_datum(input->args[k], row, agg->scratch);
		args[k].isnull = false;
	}
	ba_partial_advance_state(s, (Node *) &transition->context, agg->memory, args);
}

/* Gets a number as a double; false if no double is equal to it. */
static inline bool
get_double(const BaVector *vector, int row, double *value)
{
	if (vector->lane == BA_LANE_FLOAT)
	{
		*value = vector->floats[row];
		return true;
	}
	*value = (double) vector->ints[row];
	return vector->ints[row] >= -EXACT_INTEGERS && vector->ints[row] <= EXACT_INTEGERS;
}

/* Adds a row to a state that takes single numbers or pairs of them. */
static pg_attribute_always_inline void
push_row(BaAgg *agg, BaPartialState *s, const BaInput *input, int row, BaAggKind kind)
{
	BaAggState *stats = (BaAggState *) DatumGetPointer(s->value);
	double values[2];

	if (likely(ba_agg_can_push(stats, kind) && get_double(input->args[0], row, &values[0]) &&
			   (kind == BA_AGG_STATS || get_double(input->args[1], row, &values[1]))))
	{
		ba_agg_push(stats, values[0]);
		if (kind == BA_AGG_STATS2D)
			ba_agg_push(stats, values[1]);
	}
	else
		call_function(agg, s, input, row);
}

static inline void
add_row(BaAgg *agg, BaPartialState *s, const BaInput *input, int row)
{
	switch (((Transition *) agg->private)->push)
	{
		case BA_AGG_STATS:
			push_row(agg, s, input, row, BA_AGG_STATS);
			break;
		case BA_AGG_STATS2D:
			push_row(agg, s, input, row, BA_AGG_STATS2D);
			break;
		default:
			call_function(agg, s, input, row);
			break;
	}
}

static void
add_all(BaAgg *agg, void *state, const BaInput *input)
{
	MemoryContext old = MemoryContextSwitchTo(agg->scratch);

	for (int i = 0; i < input->n; i++)
		if (input->skip == NULL || !input->skip[i])
			add_row(agg, state, input, i);
	MemoryContextSwitchTo(old);
}

static void
add_each(BaAgg *agg, char **records, const BaInput *input)
{
	MemoryContext old = MemoryContextSwitchTo(agg->scratch);

	for (int i = 0; i < input->n; i++)
		if (input->skip == NULL || !input->skip[i])
			add_row(agg, (BaPartialState *) (records[i] + agg->offset), input, i);
	MemoryContextSwitchTo(old);
}

static Datum
emit(BaAgg *agg, void *state, bool *isnull)
{
	BaPartialState *s = state;

	*isnull = s->isnull;
	return s->value;
}

const BaKernel ba_kernel_transition = {
	.name = "transition function",
	.cost = 1.0,
	.state_size = MAXALIGN(sizeof(BaPartialState)),
	.prepare = prepare,
	.init = init,
	.add_all = add_all,
	.add_each = add_each,
	.emit = emit,
};
