/*
 * agg_partial.c
 *		The SQL surface of partial_state.
 *
 *		partial(aggregate, args...)   rows -> state       aggregate
 *		rollup(state)                 states -> state     aggregate
 *		merge(state, state)           two states -> state
 *		finalize(state, type)         state -> answer
 *
 * Within a query the running state is internal: a BaPartialState in the
 * aggregate context. The final function and serialize write it as a flat
 * partial_state, deserialize and the other functions read it back.
 *
 * Resolving an aggregate costs catalog look-ups, so a BaPartialAgg is kept in the
 * fn_extra of the function that needed it, in a list, as rollup() may meet states
 * of several aggregates in turn. It must live as long as the states pointing to
 * it. In PostgreSQL's own executor fn_mcxt lives as long as the query, and the
 * aggregate contexts below it. Distributed engines set up their FmgrInfo afresh
 * for each row, in memory of that row: there the aggregate is resolved for each
 * group into the aggregate context itself. lasting_context tells the two apart.
 *
 * NULL is the neutral element everywhere: rollup() skips it, merge() returns the
 * other argument, finalize() answers NULL; and partial() of no rows is NULL, as
 * without a row it never learns which aggregate it is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "agg_partial.h"

PG_FUNCTION_INFO_V1(batchagg_partial_transfn);
PG_FUNCTION_INFO_V1(batchagg_partial_transfn_text);
PG_FUNCTION_INFO_V1(batchagg_partial_rollup_transfn);
PG_FUNCTION_INFO_V1(batchagg_partial_combinefn);
PG_FUNCTION_INFO_V1(batchagg_partial_serialfn);
PG_FUNCTION_INFO_V1(batchagg_partial_deserialfn);
PG_FUNCTION_INFO_V1(batchagg_partial_finalfn);
PG_FUNCTION_INFO_V1(batchagg_merge_partial_state);
PG_FUNCTION_INFO_V1(batchagg_finalize_partial_state);

/* a resolved aggregate, and what it was resolved from */
typedef struct CacheEntry
{
	struct CacheEntry *next;
	BaPartialAgg *agg;
	char *header; /* of the states it stands for; NULL: the caller named it */
	Size header_length;
	char *text; /* as the caller spelt it, if not by regprocedure */
} CacheEntry;

/* what the inner functions get as their context outside of an aggregation */
typedef struct Scope
{
	AggState aggstate;
	MemoryContext aggcontext;
} Scope;

/*
 * The context of the aggregation that calls us, in *aggcontext.
 */
static Node *
get_agg_context(FunctionCallInfo fcinfo, MemoryContext *aggcontext)
{
	if (AggCheckCallContext(fcinfo, aggcontext) == 0)
		elog(ERROR, "partial state function called outside of an aggregation");
	return fcinfo->context;
}

/*
 * Whether what lives in "context" is still there as long as "dependent" is.
 */
static bool
outlives(MemoryContext context, MemoryContext dependent)
{
	for (; dependent != NULL; dependent = MemoryContextGetParent(dependent))
		if (dependent == context)
			return true;
	return false;
}

/*
 * Where to resolve an aggregate for states that live in "dependent"; *cached
 * tells whether fn_extra may remember it.
 */
static MemoryContext
lasting_context(FunctionCallInfo fcinfo, MemoryContext dependent, bool *cached)
{
	*cached = outlives(fcinfo->flinfo->fn_mcxt, dependent);
	return *cached ? fcinfo->flinfo->fn_mcxt : dependent;
}

/*
 * Remembers a resolved aggregate in fn_extra.
 */
static CacheEntry *
remember(FunctionCallInfo fcinfo, BaPartialAgg *agg)
{
	CacheEntry *entry = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CacheEntry));

	entry->agg = agg;
	entry->next = fcinfo->flinfo->fn_extra;
	fcinfo->flinfo->fn_extra = entry;
	return entry;
}

/*
 * Resolves the aggregate that a partial() call names, with the types of the
 * call's further arguments, for states in aggcontext.
 */
static BaPartialAgg *
resolve_call(FunctionCallInfo fcinfo, MemoryContext aggcontext, Oid aggregate, const char *text)
{
	int nargs = PG_NARGS() - 2;
	Oid argtypes[FUNC_MAX_ARGS];
	bool cached;
	MemoryContext old;
	BaPartialAgg *agg;

	if (get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("partial() does not take its arguments as a VARIADIC array")));
	for (int i = 0; i < nargs; i++)
	{
		argtypes[i] = get_fn_expr_argtype(fcinfo->flinfo, i + 2);
		if (!OidIsValid(argtypes[i]))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("partial() cannot determine the types of its arguments here"),
							errdetail("It was called without its expression.")));
	}
	old = MemoryContextSwitchTo(lasting_context(fcinfo, aggcontext, &cached));
	agg = ba_partial_resolve_call(aggregate, nargs, argtypes,
								  nargs > 0 ? PG_GET_COLLATION() : InvalidOid);
	if (cached)
	{
		CacheEntry *entry = remember(fcinfo, agg);

		entry->text = text != NULL ? pstrdup(text) : NULL;
	}
	MemoryContextSwitchTo(old);
	return agg;
}

/*
 * The aggregate that a partial() call names by OID, for a group with that state,
 * or for a new one in aggcontext.
 */
static BaPartialAgg *
get_agg_by_oid(FunctionCallInfo fcinfo, MemoryContext aggcontext, const BaPartialState *state,
			   Oid aggregate, const char *text)
{
	CacheEntry *entry;

	if (state != NULL && state->agg->aggregate == aggregate)
		return state->agg;
	for (entry = fcinfo->flinfo->fn_extra; entry != NULL; entry = entry->next)
		if (entry->agg->aggregate == aggregate && entry->agg->user == GetUserId())
			return entry->agg;
	return resolve_call(fcinfo, aggcontext, aggregate, text);
}

/*
 * The OID of an aggregate without arguments, given as text: count(*) or count().
 */
static Oid
find_aggregate_by_text(const char *text)
{
	char *name = pstrdup(text);
	Size length = strlen(name);
	char *star;

	while (length > 0 && scanner_isspace(name[length - 1]))
		name[--length] = '\0';
	star = strrchr(name, '*');
	if (star != NULL && star > name && star[-1] == '(' && strcmp(star, "*)") == 0)
		strcpy(star, ")");
	return DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(name)));
}

/*
 * As get_agg_by_oid, for an aggregate named by text.
 */
static BaPartialAgg *
get_agg_by_text(FunctionCallInfo fcinfo, MemoryContext aggcontext, const BaPartialState *state,
				const text *name)
{
	CacheEntry *entry;
	char *string;

	for (entry = fcinfo->flinfo->fn_extra; entry != NULL; entry = entry->next)
		if (strlen(entry->text) == VARSIZE_ANY_EXHDR(name) &&
			memcmp(entry->text, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0 &&
			entry->agg->user == GetUserId())
			return entry->agg;
	string = text_to_cstring(name);
	return get_agg_by_oid(fcinfo, aggcontext, state, find_aggregate_by_text(string), string);
}

/*
 * Takes a flat state apart: returns its aggregate, ready for what lives in
 * "dependent", and its payload in *header (of which only the payload is set).
 * by_value is as for ba_partial_resolve_header.
 */
static BaPartialAgg *
get_agg_by_value(FunctionCallInfo fcinfo, MemoryContext dependent, const bytea *flat, bool by_value,
				 BaPartialHeader *header)
{
	const char *bytes = VARDATA_ANY(flat);
	Size length = VARSIZE_ANY_EXHDR(flat);
	bool cached;
	MemoryContext lasting = lasting_context(fcinfo, dependent, &cached);
	CacheEntry *entry;
	BaPartialAgg *agg;
	MemoryContext old;

	for (entry = cached ? fcinfo->flinfo->fn_extra : NULL; entry != NULL; entry = entry->next)
		if (length >= entry->header_length &&
			memcmp(bytes, entry->header, entry->header_length) == 0 &&
			entry->agg->user == GetUserId())
		{
			ba_partial_parse_payload(bytes, length, entry->header_length,
									 ERRCODE_INVALID_BINARY_REPRESENTATION, header);
			return entry->agg;
		}

	ba_partial_parse_bytes(bytes, length, ERRCODE_INVALID_BINARY_REPRESENTATION, header);
	old = MemoryContextSwitchTo(lasting);
	agg = ba_partial_resolve_header(header, by_value);
	if (cached)
	{
		entry = remember(fcinfo, agg);
		entry->header = memcpy(palloc(header->length), bytes, header->length);
		entry->header_length = header->length;
	}
	MemoryContextSwitchTo(old);
	return agg;
}

/*
 * An aggregate with its argument types and collation, for messages.
 */
static char *
describe(const BaPartialAgg *agg)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, ba_partial_aggregate_text(agg->aggregate));
	for (int i = 0; i < agg->nargs; i++)
		appendStringInfo(&buf, "%s%s", i == 0 ? " of " : ", ", format_type_be(agg->argtypes[i]));
	if (OidIsValid(agg->collation))
		appendStringInfo(&buf, " collate \"%s\"", get_collation_name(agg->collation));
	return buf.data;
}

/*
 * Refuses to merge states that do not belong together.
 */
static void
check_same(const BaPartialAgg *a, const BaPartialAgg *b)
{
	if (a == b || (a->aggregate == b->aggregate && a->collation == b->collation &&
				   a->transtype == b->transtype && a->nargs == b->nargs &&
				   memcmp(a->argtypes, b->argtypes, sizeof(Oid) * a->nargs) == 0))
		return;
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("partial states of different aggregates cannot be merged"),
					errdetail("One is of %s, the other of %s.", describe(a), describe(b))));
}

/*
 * Adds a flat state to a running one, which is started if it is NULL.
 */
static BaPartialState *
combine_flat(FunctionCallInfo fcinfo, Node *context, MemoryContext aggcontext,
			 BaPartialState *state, const bytea *flat)
{
	BaPartialHeader header;
	BaPartialAgg *agg = get_agg_by_value(fcinfo, state == NULL ? aggcontext : CurrentMemoryContext,
										 flat, true, &header);
	Datum value;
	bool isnull;

	if (state == NULL)
		state = ba_partial_new_state(agg, aggcontext);
	else
		check_same(state->agg, agg);
	value = ba_partial_read_payload(agg, context, header.isnull, header.payload,
									header.payload_length, &isnull);
	ba_partial_combine_state(state, context, aggcontext, value, isnull);
	return state;
}

/*
 * The running state in argument n of a support function, NULL if there is none.
 */
static BaPartialState *
get_state(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : (BaPartialState *) PG_GETARG_POINTER(n);
}

/*
 * Adds a row to the running state of the group, which must be of this aggregate.
 */
static Datum
add_row(FunctionCallInfo fcinfo, Node *context, MemoryContext aggcontext, BaPartialState *state,
		BaPartialAgg *agg)
{
	if (state == NULL)
		state = ba_partial_new_state(agg, aggcontext);
	else if (state->agg->aggregate != agg->aggregate)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the aggregate of partial() changes within a group"),
				 errdetail("It was %s, then %s.", ba_partial_aggregate_text(state->agg->aggregate),
						   ba_partial_aggregate_text(agg->aggregate)),
				 errhint("Add the aggregate to GROUP BY.")));
	ba_partial_advance_state(state, context, aggcontext, &fcinfo->args[2]);
	PG_RETURN_POINTER(state);
}

/*
 * The one guard against a NULL for the aggregate.
 */
static void
check_aggregate_given(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the aggregate of partial() must not be NULL")));
}

Datum
batchagg_partial_transfn(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	Node *context = get_agg_context(fcinfo, &aggcontext);
	BaPartialState *state = get_state(fcinfo, 0);

	check_aggregate_given(fcinfo);
	return add_row(fcinfo, context, aggcontext, state,
				   get_agg_by_oid(fcinfo, aggcontext, state, PG_GETARG_OID(1), NULL));
}

Datum
batchagg_partial_transfn_text(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	Node *context = get_agg_context(fcinfo, &aggcontext);
	BaPartialState *state = get_state(fcinfo, 0);

	check_aggregate_given(fcinfo);
	return add_row(fcinfo, context, aggcontext, state,
				   get_agg_by_text(fcinfo, aggcontext, state, PG_GETARG_TEXT_PP(1)));
}

Datum
batchagg_partial_rollup_transfn(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	Node *context = get_agg_context(fcinfo, &aggcontext);
	BaPartialState *state = get_state(fcinfo, 0);

	if (!PG_ARGISNULL(1))
		state = combine_flat(fcinfo, context, aggcontext, state, PG_GETARG_BYTEA_PP(1));
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

Datum
batchagg_partial_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	Node *context = get_agg_context(fcinfo, &aggcontext);
	BaPartialState *state = get_state(fcinfo, 0);
	BaPartialState *other = get_state(fcinfo, 1);

	if (other != NULL)
	{
		if (state == NULL)
		{
			BaPartialAgg *agg = other->agg;

			if (!outlives(agg->context, aggcontext))
			{
				MemoryContext old = MemoryContextSwitchTo(aggcontext);

				agg = ba_partial_resolve_again(agg);
				MemoryContextSwitchTo(old);
			}
			state = ba_partial_new_state(agg, aggcontext);
		}
		else
			check_same(state->agg, other->agg);
		ba_partial_combine_state(state, context, aggcontext, other->value, other->isnull);
	}
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

Datum
batchagg_partial_serialfn(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	Node *context = get_agg_context(fcinfo, &aggcontext);

	PG_RETURN_BYTEA_P(ba_partial_write_state((BaPartialState *) PG_GETARG_POINTER(0), context));
}

/*
 * Only the executor can call this, with what serialfn returned in another process
 * of the same query: who may run the aggregate was decided there, by the rule for
 * the function that met it first.
 */
Datum
batchagg_partial_deserialfn(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	Node *context = get_agg_context(fcinfo, &aggcontext);
	BaPartialState *state = palloc(sizeof(BaPartialState));
	BaPartialHeader header;

	state->agg =
		get_agg_by_value(fcinfo, CurrentMemoryContext, PG_GETARG_BYTEA_PP(0), false, &header);
	state->value = ba_partial_read_payload(state->agg, context, header.isnull, header.payload,
										   header.payload_length, &state->isnull);
	state->novalue = state->isnull;
	PG_RETURN_POINTER(state);
}

Datum
batchagg_partial_finalfn(PG_FUNCTION_ARGS)
{
	MemoryContext aggcontext;
	Node *context = get_agg_context(fcinfo, &aggcontext);

	PG_RETURN_BYTEA_P(ba_partial_write_state((BaPartialState *) PG_GETARG_POINTER(0), context));
}

/*
 * Sets up what the functions of an aggregate expect around them: an aggregate
 * context for the state, and another for what they leave lying about, which
 * becomes the current one. They live in the caller's context, returned, and so
 * do not survive an error.
 */
static MemoryContext
begin_scope(Scope *scope)
{
	memset(scope, 0, sizeof(Scope));
	NodeSetTag(&scope->aggstate, T_AggState);
	scope->aggstate.curaggcontext = CreateStandaloneExprContext();
	scope->aggstate.tmpcontext = CreateStandaloneExprContext();
	scope->aggcontext = scope->aggstate.curaggcontext->ecxt_per_tuple_memory;
	return MemoryContextSwitchTo(scope->aggstate.tmpcontext->ecxt_per_tuple_memory);
}

/*
 * Ends the scope, running what functions registered for that. What is to stay was
 * copied to the caller's context, which must be the current one again.
 */
static void
end_scope(Scope *scope)
{
	FreeExprContext(scope->aggstate.tmpcontext, true);
	FreeExprContext(scope->aggstate.curaggcontext, true);
}

Datum
batchagg_merge_partial_state(PG_FUNCTION_ARGS)
{
	Scope scope;
	Node *context = (Node *) &scope.aggstate;
	MemoryContext caller;
	BaPartialState *state;
	bytea *result;

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_DATUM(PG_GETARG_DATUM(PG_ARGISNULL(0) ? 1 : 0));

	caller = begin_scope(&scope);
	state = combine_flat(fcinfo, context, scope.aggcontext, NULL, PG_GETARG_BYTEA_PP(0));
	state = combine_flat(fcinfo, context, scope.aggcontext, state, PG_GETARG_BYTEA_PP(1));
	MemoryContextSwitchTo(caller);
	result = ba_partial_write_state(state, context);
	end_scope(&scope);
	PG_RETURN_BYTEA_P(result);
}

Datum
batchagg_finalize_partial_state(PG_FUNCTION_ARGS)
{
	Oid wanted = get_fn_expr_argtype(fcinfo->flinfo, 1);
	Scope scope;
	Node *context = (Node *) &scope.aggstate;
	MemoryContext caller;
	BaPartialState *state;
	Datum result;
	bool isnull;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (!OidIsValid(wanted))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("finalize() cannot determine the type of its second argument here"),
						errdetail("It was called without its expression.")));

	caller = begin_scope(&scope);
	state = combine_flat(fcinfo, context, scope.aggcontext, NULL, PG_GETARG_BYTEA_PP(0));
	if (state->agg->resulttype != wanted)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("aggregate %s returns %s, not %s",
							   ba_partial_aggregate_text(state->agg->aggregate),
							   format_type_be(state->agg->resulttype), format_type_be(wanted)),
						errhint("Pass NULL::%s as the second argument.",
								format_type_be(state->agg->resulttype))));
	result = ba_partial_final_state(state, context, &isnull);
	MemoryContextSwitchTo(caller);
	if (!isnull)
	{
		int16 typlen;
		bool typbyval;

		get_typlenbyval(wanted, &typlen, &typbyval);
		result = datumCopy(result, typbyval, typlen);
	}
	end_scope(&scope);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}
