/*
 * agg_sql.c
 *		What the SQL functions of the state types share: results and arguments.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "agg_sql.h"

/*
 * Returns a result to SQL. Overflow is an error with core's own message, and only
 * if the rounded answer overflows: no intermediate step can.
 */
Datum
ba_agg_return(FunctionCallInfo fcinfo, BaAggResult result)
{
	if (result.status == BA_RESULT_NULL)
		PG_RETURN_NULL();
	if (result.status == BA_RESULT_OVERFLOW)
		float_overflow_error();
	PG_RETURN_FLOAT8(result.value);
}

static bool
text_is(const text *t, const char *s)
{
	return VARSIZE_ANY_EXHDR(t) == strlen(s) && memcmp(VARDATA_ANY(t), s, strlen(s)) == 0;
}

/*
 * Reads the method of a variance: does it divide by n rather than n − 1?
 */
bool
ba_agg_is_population(const text *method)
{
	bool population = text_is(method, "population") || text_is(method, "pop");

	if (!population && !text_is(method, "sample") && !text_is(method, "samp"))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown method \"%s\"", text_to_cstring(method)),
						errhint("The methods are \"population\" and \"sample\".")));
	return population;
}

/*
 * Appends a member to a JSON object that has one already. What JSON has no number
 * for is written as core's to_jsonb does, as a string.
 */
void
ba_agg_append_json(StringInfo json, const char *key, BaAggResult result)
{
	char number[DOUBLE_SHORTEST_DECIMAL_LEN];

	appendStringInfo(json, ", \"%s\": ", key);
	if (result.status == BA_RESULT_NULL)
		appendStringInfoString(json, "null");
	else if (result.status == BA_RESULT_OVERFLOW)
		appendStringInfoString(json, "\"overflow\"");
	else
	{
		bool quote = isnan(result.value) || isinf(result.value);

		double_to_shortest_decimal_buf(result.value, number);
		appendStringInfo(json, quote ? "\"%s\"" : "%s", number);
	}
}

/*
 * The transition and final function of the aggregates over numeric: they exist to
 * refuse, as an implicit cast to double precision would round without a word. The
 * final function refuses even where there are no rows.
 */
PG_FUNCTION_INFO_V1(batchagg_refuse_numeric);
Datum
batchagg_refuse_numeric(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("this aggregate does not take numeric"),
			 errdetail("Its states are exact over double precision and integers; a numeric would "
					   "have to be rounded first."),
			 errhint("Cast the argument to double precision if that rounding is acceptable, or use "
					 "the aggregates of PostgreSQL, which are exact over numeric.")));
	PG_RETURN_NULL();
}
