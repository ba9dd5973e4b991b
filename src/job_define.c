/*
 * job_define.c
 *		create_job, alter_job, drop_job: a job's definition.
 *
 * All that can be checked without doing the work is checked here: the key, the commands, the
 * privileges that they take, rows with a NULL key.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "job.h"

PG_FUNCTION_INFO_V1(batchagg_create_job);
PG_FUNCTION_INFO_V1(batchagg_alter_job);
PG_FUNCTION_INFO_V1(batchagg_drop_job);

/* processes of one job */
#define MAX_WORKERS 64

/* what two workers could never do better than one; also a bound on arithmetic */
#define MAX_BATCH_SIZE INT64CONST(1000000000000)

static char *
get_text(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/*
 * Returns a time in ms, 0 for NULL, at most what a timeout may be.
 */
static int64
get_ms(FunctionCallInfo fcinfo, int arg)
{
	double seconds;

	if (PG_ARGISNULL(arg))
		return 0;
	seconds = DatumGetFloat8(
		DirectFunctionCall2(interval_part, CStringGetTextDatum("epoch"), PG_GETARG_DATUM(arg)));
	return (int64) Min(seconds * 1000, (double) PG_INT32_MAX);
}

/*
 * Throws if an argument is NULL that must not be.
 */
static void
require(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must not be null", name)));
}

/*
 * Throws unless a setting of a job is within its bounds.
 */
static void
check_bounds(const char *name, int64 value, int64 min, int64 max)
{
	if (value < min || value > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is out of range", name),
				 errdetail("It must be between " INT64_FORMAT " and " INT64_FORMAT ".", min, max)));
}

/*
 * Throws if a job could not be run as it is defined. Returns its relation as a range, and notes the
 * type and the collation of its key.
 */
static BaRange *
check_job(BaJob *job)
{
	BaRange *range;

	check_bounds("min_batch_size", job->min_batch_size, 1, MAX_BATCH_SIZE);
	check_bounds("max_batch_size", job->max_batch_size, job->min_batch_size, MAX_BATCH_SIZE);
	if (job->batch_size != 0)
		check_bounds("batch_size", job->batch_size, 1, MAX_BATCH_SIZE);
	check_bounds("workers", job->workers, 1, MAX_WORKERS);
	check_bounds("max_attempts", job->max_attempts, 1, 1000);
	check_bounds("max_skipped", job->max_skipped, 0, PG_INT64_MAX);
	check_bounds("target_time in ms", job->target_ms, 0, PG_INT32_MAX);
	check_bounds("statement_timeout in ms", job->statement_timeout, 0, PG_INT32_MAX);
	check_bounds("lock_timeout in ms", job->lock_timeout, 0, PG_INT32_MAX);
	check_bounds("retry_delay in ms", job->retry_delay, 0, PG_INT32_MAX);

	range = ba_range_open_job(job);
	job->key_type = range->type;
	job->key_collation = ba_range_get_collation(range);
	if (get_rel_persistence(job->relation) == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a job cannot work on a temporary table"),
						errdetail("Background processes do not see this session's.")));
	if (job->incremental)
		ba_range_check_lockable(range);
	ba_command_check("command", job->command, range->type);
	if (job->null_command != NULL)
		ba_command_check("null_command", job->null_command, InvalidOid);
	if (job->before_command != NULL)
		ba_command_check("before_command", job->before_command, InvalidOid);
	if (job->after_command != NULL)
		ba_command_check("after_command", job->after_command, InvalidOid);
	return range;
}

/*
 * Does work, for its errors and notices, and undoes it. An error is thrown on after that, so that
 * none leaves a transaction block that the caller did not open.
 */
void
ba_job_rehearse(void (*work)(void *), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL)
		ReThrowError(error);
}

/*
 * Shows what a run would do first.
 */
static void
show_dry_run(const BaJob *job, BaRange *range)
{
	int64 size = ba_size_first(job);
	int64 rows = ba_range_estimate_rows(range);
	char *end = range->kind->last_key(range);
	char *first;
	char *last;
	int64 count;

	if (end == NULL || !range->kind->next(range, NULL, end, size, &first, &last, &count))
	{
		ereport(NOTICE, (errmsg("%s is empty: there is no batch to run", range->relation_name)));
		return;
	}
	ereport(NOTICE, (errmsg("%s is cut by %s, from %s to %s", range->relation_name, range->key,
							first, end)));
	if (rows >= 0)
		ereport(NOTICE, (errmsg("about " INT64_FORMAT " batches of " INT64_FORMAT " rows%s",
								(rows + size - 1) / size, size,
								job->target_ms > 0 ? ", before sizes are adapted" : "")));
	ereport(NOTICE, (errmsg("the first batch is from %s to %s", first, last)));
	ereport(NOTICE,
			(errmsg_internal("%s", ba_command_explain(job->command, range, first, last, count))));
}

/*
 * Stores a job. Returns its number.
 */
static int64
insert_job(const BaJob *job)
{
	BaCatalog catalog;
	int64 id;

	ba_catalog_begin(&catalog);
	if (ba_catalog_execute("SELECT FROM batchagg.job WHERE name = $1", "t", job->name) > 0)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("job \"%s\" already exists", job->name)));
	ba_catalog_execute(
		"INSERT INTO batchagg.job (name, owner, relation, key, key_type, command, null_command, "
		"before_command, search_path, mode, batch_size, target_time, min_batch_size, "
		"max_batch_size, workers, statement_timeout, lock_timeout, max_attempts, retry_delay, "
		"max_skipped, after_command, throttle, key_collation) VALUES ($1, $2, $3, $4::name, $5, "
		"$6, $7, $8, $9, "
		"$10, NULLIF($11, 0), NULLIF($12, 0) * interval '1 millisecond', $13, $14, $15, "
		"NULLIF($16, 0) * interval '1 millisecond', NULLIF($17, 0) * interval '1 millisecond', "
		"$18, $19 * interval '1 millisecond', $20, $21, $22::jsonb, $23) RETURNING id",
		"tootottttt"
		"lllli"
		"iiillttt",
		job->name, job->owner, job->relation, job->key, job->key_type, job->command,
		job->null_command, job->before_command, job->search_path,
		job->incremental ? "incremental" : "once", job->batch_size, job->target_ms,
		job->min_batch_size, job->max_batch_size, job->workers, job->statement_timeout,
		job->lock_timeout, job->max_attempts, job->retry_delay, job->max_skipped,
		job->after_command, job->throttle, job->key_collation);
	id = ba_catalog_int(0, 0, 0);
	ba_catalog_end(&catalog);
	return id;
}

/*
 * create_job(name, relation, command, key, batch_size, mode, workers, target_time, min_batch_size,
 *			  max_batch_size, null_command, before_command, after_command, statement_timeout, lock_timeout,
 *			  max_attempts, retry_delay, max_skipped, throttle, schedule, dry_run)
 */
Datum
batchagg_create_job(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {
		"name", "relation",       "command",        NULL,          NULL, "mode", "workers",
		NULL,   "min_batch_size", "max_batch_size", NULL,          NULL, NULL,   NULL,
		NULL,   "max_attempts",   "retry_delay",    "max_skipped", NULL, NULL,   "dry_run"};
	BaJob job = {0};
	BaRange *range;
	char *mode;
	char *schedule;

	for (int i = 0; i < lengthof(names); i++)
	{
		if (names[i] != NULL)
			require(fcinfo, i, names[i]);
	}
	(void) ba_catalog_lock();
	job.name = get_text(fcinfo, 0);
	if (job.name[0] == '\0' || strlen(job.name) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the name of a job must have 1 to %d bytes", NAMEDATALEN - 1)));
	job.owner = GetUserId();
	job.relation = PG_GETARG_OID(1);
	job.command = get_text(fcinfo, 2);
	job.key = PG_ARGISNULL(3) ? ba_range_choose_key(job.relation) : NameStr(*PG_GETARG_NAME(3));
	if (!PG_ARGISNULL(4))
	{
		job.batch_size = PG_GETARG_INT64(4);
		check_bounds("batch_size", job.batch_size, 1, MAX_BATCH_SIZE);
	}
	mode = get_text(fcinfo, 5);
	job.incremental = strcmp(mode, "incremental") == 0;
	if (!job.incremental && strcmp(mode, "once") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no mode is called \"%s\"", mode),
				 errhint("Modes are \"once\" and \"incremental\".")));
	job.workers = PG_GETARG_INT32(6);
	job.target_ms = PG_ARGISNULL(7) && PG_ARGISNULL(4) ? 1000 : get_ms(fcinfo, 7);
	job.min_batch_size = PG_GETARG_INT64(8);
	job.max_batch_size = PG_GETARG_INT64(9);
	job.null_command = get_text(fcinfo, 10);
	job.before_command = get_text(fcinfo, 11);
	job.after_command = get_text(fcinfo, 12);
	job.statement_timeout = (int) get_ms(fcinfo, 13);
	job.lock_timeout = (int) get_ms(fcinfo, 14);
	job.max_attempts = PG_GETARG_INT32(15);
	job.retry_delay = get_ms(fcinfo, 16);
	job.max_skipped = PG_GETARG_INT64(17);
	schedule = get_text(fcinfo, 19);
	job.search_path = namespace_search_path;

	ba_job_worker_check_login(job.owner);
	range = check_job(&job);
	(void) ba_job_run_check_null_keys(&job, range);
	job.throttle = PG_ARGISNULL(18) ? NULL : ba_throttle_check(PG_GETARG_JSONB_P(18));
	if (PG_GETARG_BOOL(20))
	{
		show_dry_run(&job, range);
		if (schedule != NULL)
			ba_schedule_rehearse(&job, schedule);
		PG_RETURN_NULL();
	}
	(void) ba_command_explain(job.command, range, NULL, NULL, -1); /* for privileges */
	job.id = insert_job(&job);
	if (schedule != NULL)
		(void) ba_schedule_set(&job, schedule);
	PG_RETURN_INT64(job.id);
}

/*
 * Returns a job that the current user may steer. Throws where there is none.
 */
BaJob *
ba_job_get_own(const char *name)
{
	BaJob *job;

	(void) ba_catalog_lock();
	job = ba_catalog_get_job_by_name(name);
	if (job == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("job \"%s\" does not exist", name)));
	ba_job_check_owner(job);
	return job;
}

/*
 * Throws unless the current user may act for the owner of a job.
 */
void
ba_job_check_owner(const BaJob *job)
{
	if (!has_privs_of_role(GetUserId(), job->owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("must be owner of job \"%s\"", job->name),
						errhint("Members of the owner's role may steer it as well.")));
}

/*
 * Returns an argument that is a text, what there is where it is NULL, and NULL where it is empty.
 */
static char *
get_new_text(FunctionCallInfo fcinfo, int arg, char *old)
{
	char *text;

	if (PG_ARGISNULL(arg))
		return old;
	text = get_text(fcinfo, arg);
	return text[0] == '\0' ? NULL : text;
}

/*
 * alter_job(name, batch_size, workers, target_time, min_batch_size, max_batch_size,
 *			 statement_timeout, lock_timeout, max_attempts, retry_delay, max_skipped, throttle,
 *			 command, null_command, before_command, after_command)
 *
 * NULL leaves a setting as it is. What may be absent is taken away by 0, '' or '{}'.
 */
Datum
batchagg_alter_job(PG_FUNCTION_ARGS)
{
	/* arguments that are numbers */
	static const int numbers[] = {1, 2, 4, 5, 8, 10};
	int64 values[lengthof(numbers)];
	int64 *given[lengthof(numbers)];
	BaJob *job;
	BaRange *range;
	Oid user;
	int context;
	int guc_level;
	bool new_size;

	require(fcinfo, 0, "name");
	job = ba_job_get_own(get_text(fcinfo, 0));
	for (int i = 12; i <= 15; i++)
	{
		if (!PG_ARGISNULL(i) && ba_summary_has_job(job->id))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("the commands of a summary cannot be altered"),
							errhint("Drop the job and create the summary anew.")));
	}
	for (int i = 0; i < lengthof(numbers); i++)
	{
		bool is_int = numbers[i] == 2 || numbers[i] == 8;

		given[i] = PG_ARGISNULL(numbers[i]) ? NULL : &values[i];
		if (given[i] != NULL)
			values[i] = is_int ? PG_GETARG_INT32(numbers[i]) : PG_GETARG_INT64(numbers[i]);
	}
	if (given[0] != NULL)
		job->batch_size = values[0];
	if (given[1] != NULL)
		job->workers = (int) values[1];
	if (given[2] != NULL)
		job->min_batch_size = values[2];
	if (given[3] != NULL)
		job->max_batch_size = values[3];
	if (given[4] != NULL)
		job->max_attempts = (int) values[4];
	if (given[5] != NULL)
		job->max_skipped = values[5];
	job->target_ms = PG_ARGISNULL(3) ? job->target_ms : get_ms(fcinfo, 3);
	job->statement_timeout = PG_ARGISNULL(6) ? job->statement_timeout : (int) get_ms(fcinfo, 6);
	job->lock_timeout = PG_ARGISNULL(7) ? job->lock_timeout : (int) get_ms(fcinfo, 7);
	job->retry_delay = PG_ARGISNULL(9) ? job->retry_delay : get_ms(fcinfo, 9);
	job->command = PG_ARGISNULL(12) ? job->command : get_text(fcinfo, 12);
	job->null_command = get_new_text(fcinfo, 13, job->null_command);
	job->before_command = get_new_text(fcinfo, 14, job->before_command);
	job->after_command = get_new_text(fcinfo, 15, job->after_command);

	/* As its owner, whose privileges count; as for any maintenance of what belongs to another. */
	guc_level = NewGUCNestLevel();
	ba_command_use_settings(job);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(job->owner, context | SECURITY_RESTRICTED_OPERATION);
	range = check_job(job);
	(void) ba_command_explain(job->command, range, NULL, NULL, -1);
	if (!PG_ARGISNULL(11))
		job->throttle = ba_throttle_check(PG_GETARG_JSONB_P(11));
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(false, guc_level);

	/* the runs' locks before the job's, as everywhere: a batch may be cut just now */
	new_size = !PG_ARGISNULL(1) || !PG_ARGISNULL(12);
	if (new_size)
		(void) ba_catalog_execute_alone(
			"SELECT FROM batchagg.run WHERE job_id = $1 AND (measured "
			"OR status IN ('running', 'paused')) ORDER BY id FOR UPDATE",
			"l", job->id);
	(void) ba_catalog_execute_alone(
		"UPDATE batchagg.job SET batch_size = NULLIF($2, 0), workers = $3, target_time = "
		"NULLIF($4, "
		"0) * interval '1 millisecond', min_batch_size = $5, max_batch_size = $6, "
		"statement_timeout = NULLIF($7, 0) * interval '1 millisecond', lock_timeout = NULLIF($8, "
		"0) "
		"* interval '1 millisecond', max_attempts = $9, retry_delay = $10 * interval '1 "
		"millisecond', max_skipped = $11, command = $12, null_command = $13, before_command = $14, "
		"after_command = $15, throttle = $16::jsonb WHERE id = $1",
		"llilllii"
		"illttttt",
		job->id, job->batch_size, job->workers, job->target_ms, job->min_batch_size,
		job->max_batch_size, job->statement_timeout, job->lock_timeout, job->max_attempts,
		job->retry_delay, job->max_skipped, job->command, job->null_command, job->before_command,
		job->after_command, job->throttle);

	/* What was measured is of another command, or not wanted. */
	if (new_size)
		(void) ba_catalog_execute_alone("UPDATE batchagg.run SET measured = false, batch_size = "
										"CASE WHEN status IN ('running', 'paused') THEN $2 ELSE "
										"batch_size END WHERE job_id = $1 AND planned AND "
										"(measured OR status IN ('running', 'paused'))",
										"ll", job->id, ba_size_first(job));
	PG_RETURN_VOID();
}

/*
 * drop_job(name)
 */
Datum
batchagg_drop_job(PG_FUNCTION_ARGS)
{
	BaJob *job = ba_job_get_own(get_text(fcinfo, 0));
	BaCatalog catalog;

	/* the run first, as everywhere: its lock keeps others from cutting and judging */
	ba_catalog_begin(&catalog);
	ba_catalog_execute("SELECT FROM batchagg.run WHERE job_id = $1 ORDER BY id FOR UPDATE", "l",
					   job->id);
	ba_catalog_end(&catalog);
	ba_job_interrupt(job->id);
	ba_catalog_begin(&catalog);
	/* this waits for a start that is not committed, whose run goes with the others */
	ba_catalog_execute("DELETE FROM batchagg.job WHERE id = $1", "l", job->id);
	ba_catalog_execute("SELECT FROM batchagg.run WHERE job_id = $1 ORDER BY id FOR UPDATE", "l",
					   job->id);
	ba_catalog_execute("DELETE FROM batchagg.task USING batchagg.run WHERE run.id = run_id AND "
					   "job_id = $1",
					   "l", job->id);
	ba_catalog_execute("DELETE FROM batchagg.run WHERE job_id = $1", "l", job->id);
	ba_catalog_end(&catalog);
	ba_summary_drop(job->id);
	ba_schedule_drop(job);
	PG_RETURN_VOID();
}
