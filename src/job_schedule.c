/*
 * job_schedule.c
 *		schedule_job, unschedule_job: pg_cron starts the runs of a job.
 *
 * pg_cron keeps its schedules in tables of one database, cron.database_name, and runs a command as
 * the role that a row names. What it is given here is SELECT batchagg.start_job('name'), which
 * returns at once, never a call that waits: pg_cron up to 1.4 waits along with it.
 *
 * One schedule a job. Its name in pg_cron, unique for each role there, is made of the names of
 * database and job, so that scheduling again replaces it. pg_cron alone knows it; nothing of it is
 * stored here.
 *
 * Identity. A job is scheduled as its owner, whoever calls: pg_cron runs it as the role that called
 * cron.schedule, and that role's privileges on pg_cron count. To take a schedule away needs no
 * privilege beyond that on the job.
 *
 * Schema cron is believed to be pg_cron's only as far as it belongs to that extension: a
 * function by the right name that somebody else put there is not called. pg_cron's functions are
 * called directly, not by SQL, so that nobody's search_path and overloads matter.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "compat.h"
#include "job.h"

PG_FUNCTION_INFO_V1(batchagg_schedule_job);
PG_FUNCTION_INFO_V1(batchagg_unschedule_job);

/* Where pg_cron is, seen from this database. */
typedef enum CronPlace
{
	CRON_IS_HERE,
	CRON_IS_NOT_CREATED, /* its server process looks here, but the extension is not installed */
	CRON_IS_ELSEWHERE,   /* it looks into another database */
	CRON_IS_NOT_LOADED
} CronPlace;

/*
 * Finds out where pg_cron is. Sets the database that it looks into, if it is loaded.
 */
static CronPlace
find_cron(const char **database)
{
	/* a value that somebody gave to a setting nobody defined says nothing */
	if (GetConfigOptionFlags("cron.database_name", true) & GUC_CUSTOM_PLACEHOLDER)
		return CRON_IS_NOT_LOADED;
	*database = GetConfigOption("cron.database_name", true, false);
	if (*database == NULL)
		return CRON_IS_NOT_LOADED;
	if (strcmp(*database, get_database_name(MyDatabaseId)) != 0)
		return CRON_IS_ELSEWHERE;
	if (!OidIsValid(get_extension_oid("pg_cron", true)))
		return CRON_IS_NOT_CREATED;
	return CRON_IS_HERE;
}

/*
 * What pg_cron runs.
 */
static char *
start_command(const BaJob *job)
{
	return psprintf("SELECT batchagg.start_job(%s)", quote_literal_cstr(job->name));
}

/*
 * What pg_cron calls the schedule of a job: "batchagg database.job". Before 1.5 pg_cron cuts names
 * off at NAMEDATALEN; a longer one ends in a hash of the whole.
 */
static char *
cron_name(const BaJob *job)
{
	int guc_level = NewGUCNestLevel();
	char *name;
	int length;

	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	name = psprintf("batchagg %s",
					quote_qualified_identifier(get_database_name(MyDatabaseId), job->name));
	AtEOXact_GUC(true, guc_level);

	length = strlen(name);
	if (length >= NAMEDATALEN)
	{
		uint64 hash = hash_bytes_extended((const unsigned char *) name, length, 0);

		name = psprintf("%.*s %08x%08x", pg_mbcliplen(name, length, NAMEDATALEN - 1 - 17), name,
						(uint32) (hash >> 32), (uint32) hash);
	}
	return name;
}

/*
 * Throws unless pg_cron can be used from this database. statement is what does the same in the
 * database where it can.
 */
static void
require_cron(const BaJob *job, const char *statement)
{
	const char *database = NULL;

	switch (find_cron(&database))
	{
		case CRON_IS_HERE:
			return;
		case CRON_IS_NOT_CREATED:
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("extension pg_cron is not installed in this database"),
							errhint("Run as a superuser: CREATE EXTENSION pg_cron;")));
			break;
		case CRON_IS_ELSEWHERE:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("pg_cron works in database \"%s\", and not in this one", database),
					 errdetail("A session cannot change what is stored in another database."),
					 errhint("Run there, as a superuser: %s;", statement)));
			break;
		case CRON_IS_NOT_LOADED:
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("pg_cron is not loaded"),
							errdetail("It has to be in shared_preload_libraries."),
							errhint("Install pg_cron, or let a scheduler outside of the server "
									"run: %s;",
									start_command(job))));
			break;
	}
}

/*
 * Returns a function of pg_cron's by its name and arguments.
 */
static Oid
find_cron_function(const char *name, const Oid *types, int ntypes)
{
	Oid schema = get_namespace_oid("cron", true);
	Oid function =
		GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						PointerGetDatum(buildoidvector(types, ntypes)), ObjectIdGetDatum(schema));

	if (!OidIsValid(function) ||
		getExtensionOfObject(ProcedureRelationId, function) != get_extension_oid("pg_cron", false))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("extension pg_cron has no function cron.%s of the kind that is "
							   "needed",
							   name),
						errhint("Update it: ALTER EXTENSION pg_cron UPDATE;")));
	return function;
}

/*
 * Throws unless the owner of a job, who exists, may have pg_cron run it, by calling function.
 */
static void
check_owner(const BaJob *job, Oid function)
{
	char *owner = GetUserNameFromId(job->owner, false);
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(job->owner));
	bool can_login = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	const char *remedy;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (!can_login)
		remedy = psprintf("ALTER ROLE %s LOGIN", quote_identifier(owner));
	else if (object_aclcheck(NamespaceRelationId, get_namespace_oid("cron", false), job->owner,
							 ACL_USAGE) != ACLCHECK_OK)
		remedy = psprintf("GRANT USAGE ON SCHEMA cron TO %s", quote_identifier(owner));
	else if (object_aclcheck(ProcedureRelationId, function, job->owner, ACL_EXECUTE) != ACLCHECK_OK)
		remedy = psprintf("GRANT EXECUTE ON FUNCTION cron.schedule(text, text, text) TO %s",
						  quote_identifier(owner));
	else
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("role \"%s\" may not have pg_cron run its jobs", owner),
					errdetail("A job is scheduled as its owner."),
					errhint("Run as a superuser: %s; or let a scheduler outside of the server run: "
							"%s;",
							remedy, start_command(job))));
}

/*
 * Becomes the owner of a job, as for any maintenance of what belongs to another.
 */
static void
become_owner(const BaJob *job, Oid *user, int *context)
{
	GetUserIdAndSecContext(user, context);
	SetUserIdAndSecContext(job->owner, *context | SECURITY_RESTRICTED_OPERATION);
}

/*
 * Has pg_cron start the job by a schedule, instead of the one it had, if it had one. Returns
 * pg_cron's number for it. What is wrong with the schedule, pg_cron says.
 */
int64
ba_schedule_set(const BaJob *job, const char *schedule)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID};
	char *name = cron_name(job);
	char *command = start_command(job);
	Oid function;
	Oid user;
	int context;
	int64 id;

	ba_job_worker_check_login(job->owner);
	require_cron(job, psprintf("SELECT cron.schedule_in_database(%s, %s, %s, %s, %s)",
							   quote_literal_cstr(name), quote_literal_cstr(schedule),
							   quote_literal_cstr(command),
							   quote_literal_cstr(get_database_name(MyDatabaseId)),
							   quote_literal_cstr(GetUserNameFromId(job->owner, false))));
	function = find_cron_function("schedule", types, lengthof(types));
	check_owner(job, function);

	become_owner(job, &user, &context);
	id = DatumGetInt64(OidFunctionCall3(function, CStringGetTextDatum(name),
										CStringGetTextDatum(schedule),
										CStringGetTextDatum(command)));
	SetUserIdAndSecContext(user, context);
	return id;
}

/* A schedule to rehearse. */
typedef struct Rehearsal
{
	const BaJob *job;
	const char *schedule;
} Rehearsal;

static void
rehearse(void *arg)
{
	const Rehearsal *rehearsal = arg;

	(void) ba_schedule_set(rehearsal->job, rehearsal->schedule);
}

/*
 * Throws if a job could not be scheduled so. Leaves nothing behind.
 */
void
ba_schedule_rehearse(const BaJob *job, const char *schedule)
{
	Rehearsal rehearsal = {job, schedule};

	ba_job_rehearse(rehearse, &rehearsal);
}

/*
 * Returns pg_cron's number for the schedule of a job, 0 where there is none. The extension has to
 * be installed in this database. The owner of batchagg looks, since the job's may see nothing of it.
 */
static int64
find_schedule(const BaJob *job)
{
	char *owner = GetUserNameFromId(job->owner, true);
	char *name = cron_name(job);
	BaCatalog catalog;
	int64 id = 0;

	if (owner == NULL)
		return 0;
	ba_catalog_begin(&catalog);
	if (ba_catalog_execute("SELECT jobid FROM cron.job WHERE jobname = $1 AND username = $2", "tt",
						   name, owner) > 0)
		id = ba_catalog_int(0, 0, 0);
	ba_catalog_end(&catalog);
	return id;
}

/*
 * Takes a schedule away from pg_cron, which has to be here.
 */
static void
unschedule(const BaJob *job, int64 id)
{
	static const Oid types[] = {INT8OID};
	Oid function = find_cron_function("unschedule", types, lengthof(types));
	Oid user;
	int context;

	become_owner(job, &user, &context);
	(void) OidFunctionCall1(function, Int64GetDatum(id));
	SetUserIdAndSecContext(user, context);
}

/*
 * Takes the schedule of a job that is dropped away, as far as that can be done from here; a job can
 * be dropped without pg_cron.
 */
void
ba_schedule_drop(const BaJob *job)
{
	const char *database = NULL;
	int64 id = OidIsValid(get_extension_oid("pg_cron", true)) ? find_schedule(job) : 0;

	if (id == 0)
		return;
	if (find_cron(&database) == CRON_IS_HERE)
		unschedule(job, id);
	else
		ereport(WARNING,
				(errmsg("the schedule of job \"%s\" is left in pg_cron, which is not at work here",
						job->name),
				 errhint("When it is, run: SELECT cron.unschedule(" INT64_FORMAT ");", id)));
}

/*
 * schedule_job(name, schedule)
 */
Datum
batchagg_schedule_job(PG_FUNCTION_ARGS)
{
	BaJob *job = ba_job_get_own(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_INT64(ba_schedule_set(job, text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/*
 * unschedule_job(name)
 */
Datum
batchagg_unschedule_job(PG_FUNCTION_ARGS)
{
	BaJob *job = ba_job_get_own(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	char *owner = GetUserNameFromId(job->owner, true);
	int64 id;

	/* pg_cron deletes without asking the executor, which would */
	PreventCommandIfReadOnly("unschedule_job()");
	require_cron(job, psprintf("SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = %s AND "
							   "username = %s",
							   quote_literal_cstr(cron_name(job)),
							   quote_literal_cstr(owner == NULL ? "" : owner)));
	id = find_schedule(job);
	if (id != 0)
		unschedule(job, id);
	PG_RETURN_BOOL(id != 0);
}
