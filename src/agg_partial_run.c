/*
 * agg_partial_run.c
 *		Runs another's aggregate: what nodeAgg.c does, for one aggregate at a time.
 *
 *		state = init;  state = trans(state, row) ...          while rows come in
 *		state = init;  state = combine(state, other) ...      for states
 *		payload = serialize(state) or send(state)             to keep it
 *		other = deserialize(payload) or receive(payload)      to have it back
 *		answer = final(state)
 *
 * The rules are nodeAgg.c's to the letter: a strict function with a NULL initial
 * state takes its first non-null input as the state, a NULL state stays NULL
 * under a strict function, by-reference states are copied into the aggregate
 * context and the old one is freed, unless the function returned its argument or
 * an expanded object that lives there already.
 *
 * "context" is what the functions see as fcinfo->context: the real AggState or
 * WindowAggState inside a query, a bare AggState outside (agg_partial.c). The
 * AggState's idea of the current Aggref is hidden from them, as that is the
 * wrapper's and not theirs; they see what they would in a window.
 *
 * A send or receive function converts text between the client's encoding and the
 * database's. A kept state must not depend on the client, and parallel workers
 * see another client encoding than their leader. So payloads are read and
 * written with the client encoding set to the database's, for just that call;
 * and text forms, where a type has no binary one, with the settings fixed that
 * change how values print.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "agg_partial.h"

/*
 * Starts a group in aggcontext.
 */
BaPartialState *
ba_partial_new_state(BaPartialAgg *agg, MemoryContext aggcontext)
{
	MemoryContext old = MemoryContextSwitchTo(aggcontext);
	BaPartialState *state = palloc(sizeof(BaPartialState));

	state->agg = agg;
	state->isnull = agg->initnull;
	state->novalue = agg->initnull;
	state->value =
		agg->initnull ? (Datum) 0 : datumCopy(agg->initvalue, agg->transbyval, agg->translen);
	MemoryContextSwitchTo(old);
	return state;
}

/*
 * Hides the wrapper's Aggref. nodeAgg.c sets these anew before each of its calls.
 */
static void
hide_aggref(Node *context)
{
	if (IsA(context, AggState))
	{
		((AggState *) context)->curpertrans = NULL;
		((AggState *) context)->curperagg = NULL;
	}
}

/*
 * Calls a transition or combine function with arguments 1 and up already in
 * fcinfo, and makes its result the state.
 */
static void
advance(BaPartialState *state, FunctionCallInfo fcinfo, MemoryContext aggcontext)
{
	BaPartialAgg *agg = state->agg;
	MemoryContext old;
	Datum value;

	if (fcinfo->flinfo->fn_strict)
	{
		for (int i = 1; i < fcinfo->nargs; i++)
			if (fcinfo->args[i].isnull)
				return;
		if (state->novalue)
		{
			old = MemoryContextSwitchTo(aggcontext);
			state->value = datumCopy(fcinfo->args[1].value, agg->transbyval, agg->translen);
			state->isnull = false;
			state->novalue = false;
			MemoryContextSwitchTo(old);
			return;
		}
		if (state->isnull)
			return;
	}

	hide_aggref(fcinfo->context);
	fcinfo->args[0].value = state->value;
	fcinfo->args[0].isnull = state->isnull;
	fcinfo->isnull = false;
	value = FunctionCallInvoke(fcinfo);

	if (!agg->transbyval && DatumGetPointer(value) != DatumGetPointer(state->value))
	{
		if (fcinfo->isnull)
			value = (Datum) 0;
		else
		{
			old = MemoryContextSwitchTo(aggcontext);
			if (!(DatumIsReadWriteExpandedObject(value, false, agg->translen) &&
				  MemoryContextGetParent(DatumGetEOHP(value)->eoh_context) == aggcontext))
				value = datumCopy(value, agg->transbyval, agg->translen);
			MemoryContextSwitchTo(old);
		}
		if (!state->isnull)
		{
			if (DatumIsReadWriteExpandedObject(state->value, false, agg->translen))
				DeleteExpandedObject(state->value);
			else
				pfree(DatumGetPointer(state->value));
		}
	}
	state->value = value;
	state->isnull = fcinfo->isnull;
}

/*
 * Adds a row: agg->nargs arguments. Call it in a short-lived context.
 */
void
ba_partial_advance_state(BaPartialState *state, Node *context, MemoryContext aggcontext,
						 const NullableDatum *args)
{
	BaPartialAgg *agg = state->agg;
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);

	Assert(agg->has_transfn && agg->nargs < FUNC_MAX_ARGS);
	InitFunctionCallInfoData(*fcinfo, &agg->transfn, agg->nargs + 1, agg->collation, context, NULL);
	memcpy(&fcinfo->args[1], args, sizeof(NullableDatum) * agg->nargs);
	advance(state, fcinfo, aggcontext);
}

/*
 * Adds another transition value, which may live anywhere. Call it in a
 * short-lived context.
 */
void
ba_partial_combine_state(BaPartialState *state, Node *context, MemoryContext aggcontext,
						 Datum value, bool isnull)
{
	BaPartialAgg *agg = state->agg;
	LOCAL_FCINFO(fcinfo, 2);

	InitFunctionCallInfoData(*fcinfo, &agg->combinefn, 2, agg->collation, context, NULL);
	fcinfo->args[1].value = value;
	fcinfo->args[1].isnull = isnull;
	advance(state, fcinfo, aggcontext);
}

/*
 * Computes the answer. A by-reference one may be the state itself or part of it:
 * copy it before the state goes.
 */
Datum
ba_partial_final_state(BaPartialState *state, Node *context, bool *isnull)
{
	BaPartialAgg *agg = state->agg;
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Datum result;

	if (!agg->has_finalfn)
	{
		*isnull = state->isnull;
		return state->value;
	}
	if (agg->finalfn.fn_strict && (state->isnull || agg->nfinalargs > 1))
	{
		*isnull = true;
		return (Datum) 0;
	}
	Assert(agg->nfinalargs <= FUNC_MAX_ARGS);
	hide_aggref(context);
	InitFunctionCallInfoData(*fcinfo, &agg->finalfn, agg->nfinalargs, agg->collation, context,
							 NULL);
	fcinfo->args[0].value = MakeExpandedObjectReadOnly(state->value, state->isnull, agg->translen);
	fcinfo->args[0].isnull = state->isnull;
	for (int i = 1; i < agg->nfinalargs; i++)
	{
		fcinfo->args[i].value = (Datum) 0;
		fcinfo->args[i].isnull = true;
	}
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

/*
 * Calls a function while the client's encoding is the database's.
 *
 * The database's encoding is always there to be set, and the client's was set
 * before, so neither SetClientEncoding needs a catalog or can fail.
 */
static Datum
call_in_database_encoding(FunctionCallInfo fcinfo)
{
	volatile int client_encoding = pg_get_client_encoding();
	Datum result;

	if (client_encoding == GetDatabaseEncoding())
		return FunctionCallInvoke(fcinfo);

	if (SetClientEncoding(GetDatabaseEncoding()) < 0)
		elog(ERROR, "could not set the client encoding to the database's");
	PG_TRY();
	{
		result = FunctionCallInvoke(fcinfo);
	}
	PG_CATCH();
	{
		(void) SetClientEncoding(client_encoding);
		PG_RE_THROW();
	}
	PG_END_TRY();
	(void) SetClientEncoding(client_encoding);
	return result;
}

/*
 * Calls a function that reads or writes a payload, untouched by the client's
 * encoding and, for a text form, by the session's settings.
 */
static Datum
call_transport(const BaPartialAgg *agg, FunctionCallInfo fcinfo)
{
	static const char *const settings[][2] = {{"datestyle", "ISO"},
											  {"intervalstyle", "postgres"},
											  {"extra_float_digits", "3"},
											  {"bytea_output", "hex"}};
	int guc_level;
	Datum result;

	if (!agg->as_text)
		return call_in_database_encoding(fcinfo);

	guc_level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	result = call_in_database_encoding(fcinfo);
	AtEOXact_GUC(true, guc_level);
	return result;
}

/*
 * Returns the state as a partial_state in CurrentMemoryContext. The state stays
 * as it is.
 */
bytea *
ba_partial_write_state(BaPartialState *state, Node *context)
{
	BaPartialAgg *agg = state->agg;
	LOCAL_FCINFO(fcinfo, 1);
	bytea *payload = NULL;

	/* serialize functions may accept NULL, send and output functions never do */
	if (!state->isnull || (OidIsValid(agg->serialfn) && !agg->writefn.fn_strict))
	{
		Datum result;

		hide_aggref(context);
		InitFunctionCallInfoData(*fcinfo, &agg->writefn, 1, InvalidOid,
								 OidIsValid(agg->serialfn) ? context : NULL, NULL);
		fcinfo->args[0].value =
			MakeExpandedObjectReadOnly(state->value, state->isnull, agg->translen);
		fcinfo->args[0].isnull = state->isnull;
		result = call_transport(agg, fcinfo);
		if (fcinfo->isnull)
			payload = NULL;
		else if (agg->as_text)
			payload = (bytea *) cstring_to_text(DatumGetCString(result));
		else
			payload = DatumGetByteaPP(result);
	}
	return ba_partial_build_state(agg->header, agg->header_length, payload);
}

/*
 * Returns the transition value that a payload holds, in CurrentMemoryContext.
 *
 * The payload comes from a state of this aggregate as resolved, and from a server
 * whose payloads are as ours. Beyond that nothing is trusted: types validate in
 * their receive or input function, payloads we know are checked, and of others
 * batchagg.partial_state accepts only what a serialize function wrote, or what a
 * privileged role typed.
 */
Datum
ba_partial_read_payload(BaPartialAgg *agg, Node *context, bool payload_null, const char *payload,
						Size length, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 3);
	StringInfoData buf = {0};
	Datum result;

	*isnull = true;
	if (OidIsValid(agg->serialfn))
	{
		if (payload_null && agg->readfn.fn_strict)
			return (Datum) 0;
		if (!payload_null && ba_partial_vouch_format(agg->serialfn, 0) &&
			!ba_partial_check_payload(agg->serialfn, payload, length))
			ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
							errmsg("invalid partial_state: its payload is not a state of %s",
								   ba_partial_aggregate_text(agg->aggregate))));
		hide_aggref(context);
		InitFunctionCallInfoData(*fcinfo, &agg->readfn, 2, InvalidOid, context, NULL);
		fcinfo->args[0].value =
			payload_null ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(payload, length));
		fcinfo->args[0].isnull = payload_null;
		fcinfo->args[1].value = (Datum) 0;
		fcinfo->args[1].isnull = false;
	}
	else
	{
		if (payload_null)
			return (Datum) 0;
		InitFunctionCallInfoData(*fcinfo, &agg->readfn, 3, InvalidOid, NULL, NULL);
		if (agg->as_text)
			fcinfo->args[0].value = CStringGetDatum(
				pg_any_to_server(pnstrdup(payload, length), length, GetDatabaseEncoding()));
		else
		{
			initStringInfo(&buf);
			appendBinaryStringInfo(&buf, payload, length);
			fcinfo->args[0].value = PointerGetDatum(&buf);
		}
		fcinfo->args[0].isnull = false;
		fcinfo->args[1].value = ObjectIdGetDatum(agg->typioparam);
		fcinfo->args[1].isnull = false;
		fcinfo->args[2].value = Int32GetDatum(-1);
		fcinfo->args[2].isnull = false;
	}

	result = call_transport(agg, fcinfo);
	if (buf.cursor != buf.len)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid partial_state: its payload is not a value of type %s",
							   format_type_be(agg->transtype))));
	*isnull = fcinfo->isnull;
	return result;
}
