/*
 * job_catalog.c
 *		The tables of jobs, read and written by SQL as the extension's owner.
 *
 * The process runs as the job's owner or as whoever called a function, and neither may touch the
 * tables. As in core's checks of foreign keys, the identity is changed around each group of
 * statements and nothing that others wrote is run meanwhile: the statements are constants, their
 * names are qualified, search_path is pg_catalog, and the tables have no triggers but those of their
 * owner. (pg_temp stands last, where it cannot hide anything.)
 *
 * Plans are kept for the life of the process, found again by the address of the statement, and go by
 * indexes whatever the tables' size.
 */
#include "postgres.h"

#include <stdarg.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "job.h"

#define MAX_ARGUMENTS 24

/* A statement that was run before. */
typedef struct KeptPlan
{
	const char *sql;
	SPIPlanPtr plan;
} KeptPlan;

static KeptPlan kept_plans[100];
static int kept_plan_count = 0;
static MemoryContext caller_context = NULL; /* current at the last ba_catalog_begin */

/*
 * Locks the extension against being dropped until the transaction ends. Returns false where it is
 * not installed in this database, or no longer. Whoever has locked it before in this process need not look
 * it up again, as it lives as long as its table of jobs.
 */
bool
ba_catalog_lock(void)
{
	static Oid extension = InvalidOid;
	static Oid table = InvalidOid;

	if (OidIsValid(table))
	{
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
			return true;
		table = InvalidOid;
	}
	extension = get_extension_oid("batchagg", true);
	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	if (get_extension_oid("batchagg", true) != extension)
		return false;
	table = get_relname_relid("job", get_namespace_oid("batchagg", false));
	return true;
}

/*
 * Returns a table or sequence of the extension's. Throws where the extension is of a version without jobs.
 */
Oid
ba_catalog_get_table(const char *name)
{
	Oid relid = get_relname_relid(name, get_namespace_oid("batchagg", false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("extension batchagg has no jobs here"),
				 errhint("Update it: ALTER EXTENSION batchagg UPDATE.")));
	return relid;
}

/*
 * Returns the role that owns the tables, InvalidOid where the extension is of a version without.
 */
Oid
ba_catalog_find_owner(void)
{
	Oid relid = get_relname_relid("job", get_namespace_oid("batchagg", false));
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Becomes the owner of the tables, with a search_path that finds nothing but core's objects. Waits
 * for other processes of the run do not count as the job's waits for locks. Plans are made when
 * the tables are small and kept while they grow, so they have to be those for large tables.
 */
void
ba_catalog_begin(BaCatalog *catalog)
{
	static const char *const settings[][2] = {{"search_path", "pg_catalog, pg_temp"},
											  {"lock_timeout", "0"},
											  {"enable_seqscan", "off"},
											  {"jit", "off"}};
	Oid owner;

	(void) ba_catalog_get_table("job"); /* or throw */
	owner = ba_catalog_find_owner();
	caller_context = CurrentMemoryContext;
	GetUserIdAndSecContext(&catalog->user, &catalog->context);
	SetUserIdAndSecContext(owner, catalog->context | SECURITY_LOCAL_USERID_CHANGE);
	catalog->guc_level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot()); /* a background process has none by itself */
	SPI_connect();
}

/*
 * Becomes again who one was.
 */
void
ba_catalog_end(BaCatalog *catalog)
{
	SPI_finish();
	PopActiveSnapshot();
	AtEOXact_GUC(true, catalog->guc_level);
	SetUserIdAndSecContext(catalog->user, catalog->context);
}

/*
 * Returns the plan of a statement with arguments of the given types.
 */
static SPIPlanPtr
get_plan(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr plan;

	for (int i = 0; i < kept_plan_count; i++)
	{
		if (kept_plans[i].sql == sql)
			return kept_plans[i].plan;
	}
	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	if (kept_plan_count == lengthof(kept_plans))
		elog(ERROR, "no room to keep the plan of \"%s\"", sql);
	kept_plans[kept_plan_count++] = (KeptPlan){sql, plan};
	return plan;
}

/*
 * The work of ba_catalog_execute.
 */
static uint64
execute(const char *sql, const char *types, va_list args)
{
	Datum values[MAX_ARGUMENTS];
	char nulls[MAX_ARGUMENTS];
	Oid oids[MAX_ARGUMENTS];
	int n = strlen(types);
	int result;

	Assert(n <= MAX_ARGUMENTS);
	for (int i = 0; i < n; i++)
	{
		nulls[i] = ' ';
		switch (types[i])
		{
			case 'b':
				oids[i] = BOOLOID;
				values[i] = BoolGetDatum(va_arg(args, int));
				break;
			case 'i':
				oids[i] = INT4OID;
				values[i] = Int32GetDatum(va_arg(args, int));
				break;
			case 'l':
				oids[i] = INT8OID;
				values[i] = Int64GetDatum(va_arg(args, int64));
				break;
			case 'o':
				oids[i] = OIDOID;
				values[i] = ObjectIdGetDatum(va_arg(args, Oid));
				break;
			case 'f':
				oids[i] = FLOAT8OID;
				values[i] = Float8GetDatum(va_arg(args, double));
				break;
			case 't':
			{
				const char *text = va_arg(args, const char *);

				oids[i] = TEXTOID;
				if (text == NULL)
					nulls[i] = 'n';
				values[i] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
				break;
			}
			case 'p':
			{
				const int64 *number = va_arg(args, const int64 *);

				oids[i] = INT8OID;
				if (number == NULL)
					nulls[i] = 'n';
				values[i] = number == NULL ? (Datum) 0 : Int64GetDatum(*number);
				break;
			}
			case 'v':
			{
				void *interval = va_arg(args, void *);

				oids[i] = INTERVALOID;
				if (interval == NULL)
					nulls[i] = 'n';
				values[i] = PointerGetDatum(interval);
				break;
			}
			default:
				elog(ERROR, "no argument type is called \"%c\"", types[i]);
		}
	}
	result = SPI_execute_plan(get_plan(sql, n, oids), values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Runs a statement, a string constant, between ba_catalog_begin and ba_catalog_end. types has a
 * letter for each of its arguments: b bool, i int, l int64, o Oid, f double, and t const char *,
 * p const int64 *, v Interval *, which may be NULL. Returns the number of rows, which are in SPI_tuptable.
 */
uint64
ba_catalog_execute(const char *sql, const char *types, ...)
{
	va_list args;
	uint64 rows;

	va_start(args, types);
	rows = execute(sql, types, args);
	va_end(args);
	return rows;
}

/*
 * As ba_catalog_execute, for a single statement whose rows do not matter.
 */
uint64
ba_catalog_execute_alone(const char *sql, const char *types, ...)
{
	BaCatalog catalog;
	va_list args;
	uint64 rows;

	ba_catalog_begin(&catalog);
	va_start(args, types);
	rows = execute(sql, types, args);
	va_end(args);
	ba_catalog_end(&catalog);
	return rows;
}

/*
 * Returns a value of type int4, int8 or of OIDs as a number.
 */
int64
ba_catalog_number(Datum value, Oid type)
{
	switch (type)
	{
		case INT8OID:
			return DatumGetInt64(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return (int64) DatumGetObjectId(value);
	}
}

/*
 * Returns an integer column (int4, int8 or oid), or null_value for NULL.
 */
int64
ba_catalog_int(uint64 row, int column, int64 null_value)
{
	bool isnull;
	Datum value =
		SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, &isnull);

	return isnull ? null_value
				  : ba_catalog_number(value, SPI_gettypeid(SPI_tuptable->tupdesc, column + 1));
}

/*
 * Returns a text column, in the context of the caller of ba_catalog_begin.
 */
char *
ba_catalog_text(uint64 row, int column)
{
	char *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1);

	return value == NULL ? NULL : MemoryContextStrdup(caller_context, value);
}

/*
 * Returns a boolean column; NULL is false.
 */
bool
ba_catalog_bool(uint64 row, int column)
{
	bool isnull;
	Datum value =
		SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, &isnull);

	return !isnull && DatumGetBool(value);
}

/*
 * Returns a job by its number, in the current context; NULL where there is none.
 */
BaJob *
ba_catalog_get_job(int64 id)
{
	BaJob *job = NULL;
	BaRow row;

	ba_row_open(&row, "job", false);
	if (ba_row_read(&row, id))
	{
		job = palloc(sizeof(BaJob));
		*job = (BaJob){
			.id = id,
			.name = ba_row_text(&row, "name"),
			.owner = (Oid) ba_row_int(&row, "owner", 0),
			.relation = (Oid) ba_row_int(&row, "relation", 0),
			.key = ba_row_text(&row, "key"),
			.key_type = (Oid) ba_row_int(&row, "key_type", 0),
			.key_collation = ba_row_text(&row, "key_collation"),
			.command = ba_row_text(&row, "command"),
			.null_command = ba_row_text(&row, "null_command"),
			.before_command = ba_row_text(&row, "before_command"),
			.after_command = ba_row_text(&row, "after_command"),
			.search_path = ba_row_text(&row, "search_path"),
			.incremental = strcmp(ba_row_text(&row, "mode"), "incremental") == 0,
			.batch_size = ba_row_int(&row, "batch_size", 0),
			.target_ms = ba_row_ms(&row, "target_time"),
			.min_batch_size = ba_row_int(&row, "min_batch_size", 1),
			.max_batch_size = ba_row_int(&row, "max_batch_size", 1),
			.workers = (int) ba_row_int(&row, "workers", 1),
			.statement_timeout = (int) ba_row_ms(&row, "statement_timeout"),
			.lock_timeout = (int) ba_row_ms(&row, "lock_timeout"),
			.max_attempts = (int) ba_row_int(&row, "max_attempts", 1),
			.retry_delay = ba_row_ms(&row, "retry_delay"),
			.max_skipped = ba_row_int(&row, "max_skipped", 0),
			.throttle = ba_row_text(&row, "throttle"),
			.paused = ba_row_bool(&row, "paused"),
			.watermark = ba_row_text(&row, "watermark"),
		};
	}
	ba_row_close(&row);
	return job;
}

/*
 * As ba_catalog_get_job, by name.
 */
BaJob *
ba_catalog_get_job_by_name(const char *name)
{
	BaCatalog catalog;
	int64 id = 0;

	ba_catalog_begin(&catalog);
	if (ba_catalog_execute("SELECT id FROM batchagg.job WHERE name = $1", "t", name) > 0)
		id = ba_catalog_int(0, 0, 0);
	ba_catalog_end(&catalog);
	return id == 0 ? NULL : ba_catalog_get_job(id);
}

/*
 * Returns the run that a row is, in the current context.
 */
BaJobRun *
ba_catalog_read_run(const BaRow *row)
{
	BaJobRun *run = palloc(sizeof(BaJobRun));

	*run = (BaJobRun){
		.id = ba_row_int(row, "id", 0),
		.job_id = ba_row_int(row, "job_id", 0),
		.status = ba_row_text(row, "status"),
		.full = ba_row_bool(row, "is_full"),
		.planned = ba_row_bool(row, "planned"),
		.filenode = (Oid) ba_row_int(row, "filenode", 0),
		.position = ba_row_text(row, "position"),
		.end_key = ba_row_text(row, "end_key"),
		.start_key = ba_row_text(row, "start_key"),
		.cut_done = ba_row_bool(row, "cut_done"),
		.waiting = ba_row_bool(row, "waiting"),
		.batch_size = ba_row_int(row, "batch_size", 1),
		.measured = ba_row_bool(row, "measured"),
		.total_rows = ba_row_int(row, "total_rows", -1),
		.cut_rows = ba_row_int(row, "cut_rows", 0),
		.hold_reason = ba_row_text(row, "hold_reason"),
	};
	return run;
}

/*
 * Returns a run by its number, in the current context; NULL where there is none.
 */
BaJobRun *
ba_catalog_get_run(int64 id)
{
	BaJobRun *run = NULL;
	BaRow row;

	ba_row_open(&row, "run", false);
	if (ba_row_read(&row, id))
		run = ba_catalog_read_run(&row);
	ba_row_close(&row);
	return run;
}
