/*
 * job_summary.c
 *		create_summary: a query whose answer is kept up to date by a job.
 *
 * In one transaction, as the caller: the query is read (job_summary_query.c), the statements are
 * made of it (job_summary_text.c) and run, create_job is called for the batches, and
 * batchagg.summary remembers what belongs together, so that drop_job can drop it all.
 *
 * The query is analyzed under the caller's search_path. All that follows, the job included, has
 * pg_catalog alone in it: the statements name everything else in full, and mean the same whatever is
 * created later. Functions that look names up themselves have to bring a search_path of their own,
 * as they have to for an index or a materialized view.
 *
 * A dry run does it all and undoes it.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "job.h"
#include "job_summary.h"

PG_FUNCTION_INFO_V1(batchagg_create_summary);

/* arguments of create_summary that are looked at here; create_job looks at the others */
#define ARGUMENT_NAME 0
#define ARGUMENT_QUERY 1
#define ARGUMENT_KEY 2
#define ARGUMENT_WORKERS 5
#define ARGUMENT_DRY_RUN 16
#define ARGUMENT_COUNT 17

/*
 * Fixes the settings that change how names and constants are deparsed, until the caller ends the
 * level that is returned.
 */
static int
begin_deparsing(void)
{
	static const char *const settings[][2] = {{"search_path", "pg_catalog, pg_temp"},
											  {"datestyle", "ISO"},
											  {"intervalstyle", "postgres"},
											  {"extra_float_digits", "3"}};
	int guc_level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return guc_level;
}

/*
 * Runs a statement that create_summary made.
 */
static void
execute(const char *sql)
{
	int result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
}

/*
 * Chooses the names of what is created, in the schema where a CREATE TABLE would put it. Returns
 * the schema.
 */
static Oid
choose_names(BaSummary *summary, char *name)
{
	Oid schema;

	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG),
						errmsg("name of a summary must be shorter than %d bytes", NAMEDATALEN),
						errdetail("It is the name of its view.")));
	schema = RangeVarGetCreationNamespace(makeRangeVar(NULL, name, -1));
	if (isTempNamespace(schema))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a summary cannot be temporary"),
				 errdetail("Background workers do not see temporary tables."),
				 errhint("Put another schema first in search_path.")));
	if (OidIsValid(get_relname_relid(name, schema)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE), errmsg("relation \"%s\" already exists", name),
				 errhint("A summary's view bears its name: choose another, or another "
						 "schema by search_path.")));
	summary->schema = get_namespace_name(schema);
	summary->view = name;
	summary->state = ChooseRelationName(name, NULL, "state", schema, false);
	summary->pass = ChooseRelationName(name, NULL, "pass", schema, false);
	return schema;
}

/*
 * Asks an aggregate for its answer over no row, where a group of the summary can come to need it:
 * a partial_state is NULL where FILTER lets no row through, and without GROUP BY there is an
 * answer even where there is no row.
 */
static void
find_no_row_answer(const BaSummary *summary, BaSummaryAggregate *aggregate)
{
	int16 length;
	bool by_value;
	bool isnull;
	Datum value;

	if (summary->keys != NIL && (!aggregate->wrapped || aggregate->aggref->aggfilter == NULL))
		return;
	execute(ba_summary_no_row_query(summary, aggregate));
	Assert(SPI_processed == 1);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		return;
	get_typlenbyval(aggregate->aggref->aggtype, &length, &by_value);
	aggregate->no_row = makeConst(aggregate->aggref->aggtype, -1, aggregate->aggref->aggcollid,
								  length, datumCopy(value, by_value, length), false, by_value);
}

/*
 * Creates the tables and the view, for the caller.
 */
static void
create_relations(const BaSummary *summary, Oid schema, int workers)
{
	ListCell *cell;
	AttrNumber column = 1;

	execute(ba_summary_create_state(summary, workers));
	execute(ba_summary_create_state_index(summary));
	execute(ba_summary_create_pass(summary));
	foreach (cell, summary->aggregates)
		find_no_row_answer(summary, lfirst(cell));
	execute(ba_summary_create_view(summary, get_relname_relid(summary->state, schema)));

	/* the promise, and a check of what was deparsed */
	foreach (cell, summary->targets)
	{
		Node *expr = (Node *) lfirst_node(TargetEntry, cell)->expr;
		Oid type;
		int32 typmod;
		Oid collation;

		get_atttypetypmodcoll(get_relname_relid(summary->view, schema), column, &type, &typmod,
							  &collation);
		if (type != exprType(expr) || typmod != exprTypmod(expr) ||
			collation != exprCollation(expr))
			elog(ERROR, "column %d of the view would be of another type than that of the query",
				 column);
		column++;
	}
}

/*
 * Creates the job, with the arguments of create_summary that both have. Returns what create_job
 * does.
 */
static Datum
create_job(FunctionCallInfo fcinfo, const BaSummary *summary, const char *key, const BaRange *range,
		   bool *isnull)
{
	static const char *const sql =
		"SELECT batchagg.create_job(name => $1, key => $3, batch_size => $4, mode => $5, "
		"workers => $6, target_time => $7, min_batch_size => $8, max_batch_size => $9, "
		"statement_timeout => $10, lock_timeout => $11, max_attempts => $12, retry_delay => $13, "
		"max_skipped => $14, throttle => $15, schedule => $16, dry_run => $17, relation => $18, "
		"command => $2, null_command => $19, before_command => $20, after_command => $21)";
	Oid types[] = {TEXTOID,  TEXTOID, NAMEOID,     INT8OID,     TEXTOID, INT4OID,     INTERVALOID,
				   INT8OID,  INT8OID, INTERVALOID, INTERVALOID, INT4OID, INTERVALOID, INT8OID,
				   JSONBOID, TEXTOID, BOOLOID,     REGCLASSOID, TEXTOID, TEXTOID,     TEXTOID};
	Datum values[lengthof(types)];
	char nulls[lengthof(types)];
	NameData key_name;

	memset(nulls, ' ', sizeof(nulls));
	for (int i = 0; i < ARGUMENT_COUNT; i++)
	{
		values[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	values[ARGUMENT_QUERY] = CStringGetTextDatum(ba_summary_command(summary, range->bounds_sql));
	namestrcpy(&key_name, key);
	values[ARGUMENT_KEY] = NameGetDatum(&key_name);
	nulls[ARGUMENT_KEY] = ' ';
	values[ARGUMENT_COUNT] = ObjectIdGetDatum(summary->relid);
	values[ARGUMENT_COUNT + 1] = CStringGetTextDatum(
		ba_summary_command(summary, psprintf("%s IS NOT DISTINCT FROM NULL", range->key)));
	if (!range->nullable)
		nulls[ARGUMENT_COUNT + 1] = 'n';
	values[ARGUMENT_COUNT + 2] = CStringGetTextDatum(ba_summary_before_command(summary));
	values[ARGUMENT_COUNT + 3] = CStringGetTextDatum(ba_summary_after_command(summary));
	if (SPI_execute_with_args(sql, lengthof(types), types, values, nulls, false, 0) !=
			SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not call create_job");
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
}

/* A call of create_summary, and what it returns: the job's number, NULL for a dry run. */
typedef struct SummaryCall
{
	FunctionCallInfo fcinfo;
	Datum job;
	bool isnull;
} SummaryCall;

/*
 * Does all of create_summary.
 */
static void
create_summary(void *arg)
{
	SummaryCall *call = arg;
	FunctionCallInfo fcinfo = call->fcinfo;
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_NAME));
	BaSummary *summary = ba_summary_read(text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_QUERY)));
	Oid schema = choose_names(summary, name);
	int guc_level = begin_deparsing();
	char *key = PG_ARGISNULL(ARGUMENT_KEY) ? ba_range_choose_key(summary->relid)
										   : NameStr(*PG_GETARG_NAME(ARGUMENT_KEY));
	BaRange *range = ba_range_open(summary->relid, key);

	SPI_connect();
	create_relations(summary, schema,
					 PG_ARGISNULL(ARGUMENT_WORKERS) ? 1 : PG_GETARG_INT32(ARGUMENT_WORKERS));
	call->job = create_job(fcinfo, summary, key, range, &call->isnull);
	if (!call->isnull)
		ba_catalog_execute_alone(
			"INSERT INTO batchagg.summary (job_id, view, state, pass, query) "
			"VALUES ($1, $2, $3, $4, $5)",
			"looot", DatumGetInt64(call->job), get_relname_relid(summary->view, schema),
			get_relname_relid(summary->state, schema), get_relname_relid(summary->pass, schema),
			text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_QUERY)));
	SPI_finish();
	AtEOXact_GUC(true, guc_level);
}

/*
 * The name of a relation as SQL.
 */
static char *
relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/*
 * Tells whether a job belongs to a summary.
 */
bool
ba_summary_has_job(int64 job_id)
{
	return ba_catalog_execute_alone("SELECT FROM batchagg.summary WHERE job_id = $1", "l", job_id) >
		   0;
}

/*
 * Drops what create_summary made for a job, as the current user; nothing if the job is none of a
 * summary. What is gone already is passed over, and anything that depends on the rest is an error.
 */
void
ba_summary_drop(int64 job_id)
{
	/* what relations[i] is, how it is dropped, and its first column, if that is known */
	static const struct
	{
		char relkind;
		const char *sql;
		const char *column;
	} drops[] = {{RELKIND_VIEW, "DROP VIEW %s", NULL},
				 {RELKIND_RELATION, "DROP TABLE %s", "pass"},
				 {RELKIND_RELATION, "DROP TABLE %s", "shown"}};
	Oid relations[lengthof(drops)];
	BaCatalog catalog;
	bool found;

	ba_catalog_begin(&catalog);
	found =
		ba_catalog_execute("DELETE FROM batchagg.summary WHERE job_id = $1 RETURNING view::oid, "
						   "state::oid, pass::oid",
						   "l", job_id) > 0;
	for (int i = 0; found && i < lengthof(drops); i++)
		relations[i] = (Oid) ba_catalog_int(0, i, InvalidOid);
	ba_catalog_end(&catalog);
	if (!found)
		return;

	SPI_connect();
	for (int i = 0; i < lengthof(drops); i++)
	{
		/* one that was dropped may have left its OID to another relation */
		if (get_rel_relkind(relations[i]) == drops[i].relkind &&
			(drops[i].column == NULL || get_attnum(relations[i], drops[i].column) == 1))
			execute(psprintf(drops[i].sql, relation_name(relations[i])));
	}
	SPI_finish();
}

/*
 * create_summary(name text, query text, key name, batch_size bigint, mode text, workers int,
 *				  target_time interval, min_batch_size bigint, max_batch_size bigint,
 *				  statement_timeout interval, lock_timeout interval, max_attempts int,
 *				  retry_delay interval, max_skipped bigint, throttle jsonb, schedule text, dry_run boolean)
 */
Datum
batchagg_create_summary(PG_FUNCTION_ARGS)
{
	bool dry_run = !PG_ARGISNULL(ARGUMENT_DRY_RUN) && PG_GETARG_BOOL(ARGUMENT_DRY_RUN);
	SummaryCall call = {.fcinfo = fcinfo};

	Assert(PG_NARGS() == ARGUMENT_COUNT);
	if (PG_ARGISNULL(ARGUMENT_NAME))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("name must not be null")));
	if (PG_ARGISNULL(ARGUMENT_QUERY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("query must not be null")));

	if (dry_run)
		ba_job_rehearse(create_summary, &call);
	else
		create_summary(&call);
	if (call.isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(call.job);
}
