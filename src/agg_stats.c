/*
 * agg_stats.c
 *		SQL functions over one variable: transitions, exact_*, accessors of stats.
 *
 * The transition functions are shared by exact_sum, exact_var_samp, stats_agg and
 * the rest: the initial state says what is to be kept. exact_* and stats_agg
 * differ only in that and in their final functions; an accessor of a stored state
 * and the final function of an exact aggregate give the same bits, being the same
 * code.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/jsonb.h"

#include "agg_sql.h"

/* Integers up to this magnitude are doubles. */
#define EXACT_INTEGERS (INT64CONST(1) << 53)

/* Kept apart, so that the fast path needs no stack. */
static pg_noinline Datum
advance_slowly(FunctionCallInfo fcinfo, double value)
{
	BaAggValue v = ba_agg_value_from_double(value);

	return ba_agg_advance(fcinfo, BA_AGG_STATS, &v);
}

static pg_noinline Datum
advance_large_integer(FunctionCallInfo fcinfo, int64 value)
{
	BaAggValue v = ba_agg_value_from_int64(value);

	return ba_agg_advance(fcinfo, BA_AGG_STATS, &v);
}

static inline Datum
advance_double(FunctionCallInfo fcinfo, double value)
{
	BaAggState *s = (BaAggState *) PG_GETARG_POINTER(0);

	if (unlikely(!ba_agg_has_room(fcinfo, s, BA_AGG_STATS)))
		return advance_slowly(fcinfo, value);
	ba_agg_push(s, value);
	PG_RETURN_POINTER(s);
}

PG_FUNCTION_INFO_V1(batchagg_stats_trans_float8);
Datum
batchagg_stats_trans_float8(PG_FUNCTION_ARGS)
{
	return advance_double(fcinfo, PG_GETARG_FLOAT8(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_trans_float4);
Datum
batchagg_stats_trans_float4(PG_FUNCTION_ARGS)
{
	return advance_double(fcinfo, PG_GETARG_FLOAT4(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_trans_int2);
Datum
batchagg_stats_trans_int2(PG_FUNCTION_ARGS)
{
	return advance_double(fcinfo, PG_GETARG_INT16(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_trans_int4);
Datum
batchagg_stats_trans_int4(PG_FUNCTION_ARGS)
{
	return advance_double(fcinfo, PG_GETARG_INT32(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_trans_int8);
Datum
batchagg_stats_trans_int8(PG_FUNCTION_ARGS)
{
	int64 value = PG_GETARG_INT64(1);

	if (unlikely(value < -EXACT_INTEGERS || value > EXACT_INTEGERS))
		return advance_large_integer(fcinfo, value);
	return advance_double(fcinfo, (double) value);
}

static Datum
retract_double(FunctionCallInfo fcinfo, double value)
{
	BaAggValue v = ba_agg_value_from_double(value);

	return ba_agg_retract(fcinfo, BA_AGG_STATS, &v);
}

PG_FUNCTION_INFO_V1(batchagg_stats_inv_float8);
Datum
batchagg_stats_inv_float8(PG_FUNCTION_ARGS)
{
	return retract_double(fcinfo, PG_GETARG_FLOAT8(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_inv_float4);
Datum
batchagg_stats_inv_float4(PG_FUNCTION_ARGS)
{
	return retract_double(fcinfo, PG_GETARG_FLOAT4(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_inv_int2);
Datum
batchagg_stats_inv_int2(PG_FUNCTION_ARGS)
{
	return retract_double(fcinfo, PG_GETARG_INT16(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_inv_int4);
Datum
batchagg_stats_inv_int4(PG_FUNCTION_ARGS)
{
	return retract_double(fcinfo, PG_GETARG_INT32(1));
}

PG_FUNCTION_INFO_V1(batchagg_stats_inv_int8);
Datum
batchagg_stats_inv_int8(PG_FUNCTION_ARGS)
{
	BaAggValue v = ba_agg_value_from_int64(PG_GETARG_INT64(1));

	return ba_agg_retract(fcinfo, BA_AGG_STATS, &v);
}

/* The state of an accessor, which must keep what the accessor reads. */
static BaAggState *
get_stats(FunctionCallInfo fcinfo, uint8 parts)
{
	BaAggState *s = ba_agg_get(PG_GETARG_DATUM(0), BA_AGG_STATS);

	if ((s->parts & parts) != parts)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the stats state does not keep what is asked of it"),
						errhint("A state of stats_agg keeps everything.")));
	return s;
}

PG_FUNCTION_INFO_V1(batchagg_stats_num_vals);
Datum
batchagg_stats_num_vals(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(get_stats(fcinfo, 0)->n);
}

/* sum(stats), and the final function of exact_sum over float8 */
PG_FUNCTION_INFO_V1(batchagg_stats_sum);
Datum
batchagg_stats_sum(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_sum(get_stats(fcinfo, 0), 0, BA_EXACT_FLOAT8));
}

/* The final function of exact_sum over float4, rounded once, to float4. */
PG_FUNCTION_INFO_V1(batchagg_stats_sum_float4);
Datum
batchagg_stats_sum_float4(PG_FUNCTION_ARGS)
{
	BaAggResult result = ba_agg_sum(get_stats(fcinfo, 0), 0, BA_EXACT_FLOAT4);

	if (result.status == BA_RESULT_NULL)
		PG_RETURN_NULL();
	if (result.status == BA_RESULT_OVERFLOW)
		float_overflow_error();
	PG_RETURN_FLOAT4((float4) result.value);
}

PG_FUNCTION_INFO_V1(batchagg_stats_average);
Datum
batchagg_stats_average(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_average(get_stats(fcinfo, 0), 0));
}

PG_FUNCTION_INFO_V1(batchagg_stats_var_pop);
Datum
batchagg_stats_var_pop(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_variance(get_stats(fcinfo, BA_PART_PRODUCTS), 0, true));
}

PG_FUNCTION_INFO_V1(batchagg_stats_var_samp);
Datum
batchagg_stats_var_samp(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_variance(get_stats(fcinfo, BA_PART_PRODUCTS), 0, false));
}

PG_FUNCTION_INFO_V1(batchagg_stats_stddev_pop);
Datum
batchagg_stats_stddev_pop(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_stddev(get_stats(fcinfo, BA_PART_PRODUCTS), 0, true));
}

PG_FUNCTION_INFO_V1(batchagg_stats_stddev_samp);
Datum
batchagg_stats_stddev_samp(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_stddev(get_stats(fcinfo, BA_PART_PRODUCTS), 0, false));
}

PG_FUNCTION_INFO_V1(batchagg_stats_variance);
Datum
batchagg_stats_variance(PG_FUNCTION_ARGS)
{
	bool population = ba_agg_is_population(PG_GETARG_TEXT_PP(1));

	return ba_agg_return(fcinfo,
						 ba_agg_variance(get_stats(fcinfo, BA_PART_PRODUCTS), 0, population));
}

PG_FUNCTION_INFO_V1(batchagg_stats_stddev);
Datum
batchagg_stats_stddev(PG_FUNCTION_ARGS)
{
	bool population = ba_agg_is_population(PG_GETARG_TEXT_PP(1));

	return ba_agg_return(fcinfo, ba_agg_stddev(get_stats(fcinfo, BA_PART_PRODUCTS), 0, population));
}

PG_FUNCTION_INFO_V1(batchagg_stats_min_val);
Datum
batchagg_stats_min_val(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_min(get_stats(fcinfo, BA_PART_EXTREMES)));
}

PG_FUNCTION_INFO_V1(batchagg_stats_max_val);
Datum
batchagg_stats_max_val(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_max(get_stats(fcinfo, BA_PART_EXTREMES)));
}

/* What a state says, as JSON text. */
static char *
describe(const BaAggState *s)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"num_vals\": " INT64_FORMAT, s->n);
	ba_agg_append_json(&json, "sum", ba_agg_sum(s, 0, BA_EXACT_FLOAT8));
	ba_agg_append_json(&json, "average", ba_agg_average(s, 0));
	if ((s->parts & BA_PART_PRODUCTS) != 0)
		ba_agg_append_json(&json, "stddev", ba_agg_stddev(s, 0, false));
	if ((s->parts & BA_PART_EXTREMES) != 0)
	{
		ba_agg_append_json(&json, "min_val", ba_agg_min(s));
		ba_agg_append_json(&json, "max_val", ba_agg_max(s));
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

PG_FUNCTION_INFO_V1(batchagg_stats_to_json);
Datum
batchagg_stats_to_json(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(describe(get_stats(fcinfo, 0))));
}

PG_FUNCTION_INFO_V1(batchagg_stats_to_jsonb);
Datum
batchagg_stats_to_jsonb(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(describe(get_stats(fcinfo, 0))));
}
