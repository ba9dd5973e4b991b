/*
 * agg_stats2d.c
 *		SQL functions over pairs (y, x): transitions and accessors of stats2d.
 *
 * As in core's regr_* and corr, the dependent variable is the first argument and
 * a pair with a NULL on either side is no pair (the functions are strict).
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "agg_sql.h"

static inline Datum
advance_doubles(FunctionCallInfo fcinfo, double y, double x)
{
	BaAggState *s = (BaAggState *) PG_GETARG_POINTER(0);
	BaAggValue values[2];

	if (likely(ba_agg_has_room(fcinfo, s, BA_AGG_STATS2D)))
	{
		ba_agg_push(s, y);
		ba_agg_push(s, x);
		PG_RETURN_POINTER(s);
	}
	values[BA_AXIS_Y] = ba_agg_value_from_double(y);
	values[BA_AXIS_X] = ba_agg_value_from_double(x);
	return ba_agg_advance(fcinfo, BA_AGG_STATS2D, values);
}

static inline Datum
advance_values(FunctionCallInfo fcinfo, BaAggValue y, BaAggValue x)
{
	BaAggValue values[2];

	if (y.remainder == 0 && x.remainder == 0)
		return advance_doubles(fcinfo, y.value, x.value);
	values[BA_AXIS_Y] = y;
	values[BA_AXIS_X] = x;
	return ba_agg_advance(fcinfo, BA_AGG_STATS2D, values);
}

static inline Datum
retract_values(FunctionCallInfo fcinfo, BaAggValue y, BaAggValue x)
{
	BaAggValue values[2];

	values[BA_AXIS_Y] = y;
	values[BA_AXIS_X] = x;
	return ba_agg_retract(fcinfo, BA_AGG_STATS2D, values);
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_trans_float8_float8);
Datum
batchagg_stats2d_trans_float8_float8(PG_FUNCTION_ARGS)
{
	return advance_doubles(fcinfo, PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_trans_int8_int8);
Datum
batchagg_stats2d_trans_int8_int8(PG_FUNCTION_ARGS)
{
	return advance_values(fcinfo, ba_agg_value_from_int64(PG_GETARG_INT64(1)),
						  ba_agg_value_from_int64(PG_GETARG_INT64(2)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_trans_int8_float8);
Datum
batchagg_stats2d_trans_int8_float8(PG_FUNCTION_ARGS)
{
	return advance_values(fcinfo, ba_agg_value_from_int64(PG_GETARG_INT64(1)),
						  ba_agg_value_from_double(PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_trans_float8_int8);
Datum
batchagg_stats2d_trans_float8_int8(PG_FUNCTION_ARGS)
{
	return advance_values(fcinfo, ba_agg_value_from_double(PG_GETARG_FLOAT8(1)),
						  ba_agg_value_from_int64(PG_GETARG_INT64(2)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_inv_float8_float8);
Datum
batchagg_stats2d_inv_float8_float8(PG_FUNCTION_ARGS)
{
	return retract_values(fcinfo, ba_agg_value_from_double(PG_GETARG_FLOAT8(1)),
						  ba_agg_value_from_double(PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_inv_int8_int8);
Datum
batchagg_stats2d_inv_int8_int8(PG_FUNCTION_ARGS)
{
	return retract_values(fcinfo, ba_agg_value_from_int64(PG_GETARG_INT64(1)),
						  ba_agg_value_from_int64(PG_GETARG_INT64(2)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_inv_int8_float8);
Datum
batchagg_stats2d_inv_int8_float8(PG_FUNCTION_ARGS)
{
	return retract_values(fcinfo, ba_agg_value_from_int64(PG_GETARG_INT64(1)),
						  ba_agg_value_from_double(PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_inv_float8_int8);
Datum
batchagg_stats2d_inv_float8_int8(PG_FUNCTION_ARGS)
{
	return retract_values(fcinfo, ba_agg_value_from_double(PG_GETARG_FLOAT8(1)),
						  ba_agg_value_from_int64(PG_GETARG_INT64(2)));
}

static BaAggState *
get_stats2d(FunctionCallInfo fcinfo)
{
	return ba_agg_get(PG_GETARG_DATUM(0), BA_AGG_STATS2D);
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_num_vals);
Datum
batchagg_stats2d_num_vals(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(get_stats2d(fcinfo)->n);
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_sum_y);
Datum
batchagg_stats2d_sum_y(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_sum(get_stats2d(fcinfo), BA_AXIS_Y, BA_EXACT_FLOAT8));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_sum_x);
Datum
batchagg_stats2d_sum_x(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_sum(get_stats2d(fcinfo), BA_AXIS_X, BA_EXACT_FLOAT8));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_average_y);
Datum
batchagg_stats2d_average_y(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_average(get_stats2d(fcinfo), BA_AXIS_Y));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_average_x);
Datum
batchagg_stats2d_average_x(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_average(get_stats2d(fcinfo), BA_AXIS_X));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_corr);
Datum
batchagg_stats2d_corr(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_corr(get_stats2d(fcinfo)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_covariance);
Datum
batchagg_stats2d_covariance(PG_FUNCTION_ARGS)
{
	bool population = ba_agg_is_population(PG_GETARG_TEXT_PP(1));

	return ba_agg_return(fcinfo, ba_agg_covariance(get_stats2d(fcinfo), population));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_slope);
Datum
batchagg_stats2d_slope(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_slope(get_stats2d(fcinfo)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_intercept);
Datum
batchagg_stats2d_intercept(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_intercept(get_stats2d(fcinfo)));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_determination_coeff);
Datum
batchagg_stats2d_determination_coeff(PG_FUNCTION_ARGS)
{
	return ba_agg_return(fcinfo, ba_agg_determination(get_stats2d(fcinfo)));
}

/* What a state says, as JSON text. */
static char *
describe(const BaAggState *s)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"num_vals\": " INT64_FORMAT, s->n);
	ba_agg_append_json(&json, "average_y", ba_agg_average(s, BA_AXIS_Y));
	ba_agg_append_json(&json, "average_x", ba_agg_average(s, BA_AXIS_X));
	ba_agg_append_json(&json, "corr", ba_agg_corr(s));
	ba_agg_append_json(&json, "covariance", ba_agg_covariance(s, false));
	ba_agg_append_json(&json, "slope", ba_agg_slope(s));
	ba_agg_append_json(&json, "intercept", ba_agg_intercept(s));
	ba_agg_append_json(&json, "determination_coeff", ba_agg_determination(s));
	appendStringInfoChar(&json, '}');
	return json.data;
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_to_json);
Datum
batchagg_stats2d_to_json(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(describe(get_stats2d(fcinfo))));
}

PG_FUNCTION_INFO_V1(batchagg_stats2d_to_jsonb);
Datum
batchagg_stats2d_to_jsonb(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(describe(get_stats2d(fcinfo))));
}
