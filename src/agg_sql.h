/*
 * agg_sql.h
 *		What the SQL functions of the state types share: results and arguments.
 */
#ifndef AGG_SQL_H
#define AGG_SQL_H

#include "lib/stringinfo.h"

#include "agg.h"

/* in agg_sql.c */
extern Datum ba_agg_return(FunctionCallInfo fcinfo, BaAggResult result);
extern bool ba_agg_is_population(const text *method);
extern void ba_agg_append_json(StringInfo json, const char *key, BaAggResult result);

#endif
