/*
 * job_throttle.c
 *		Reasons not to start a batch now.
 *
 * A job's throttles are a JSON object, one member for each, in job.throttle. Before a batch each
 * is asked, in the order of the table below, and the first that has a reason holds the whole run;
 * the reason stands in run.hold_reason while it does. They are asked as the job's owner inside a
 * short transaction, and a process that was let through asks again only after LOOK_PAUSE, so that
 * looking costs little beside small batches.
 *
 * To add a throttle, add a line to the table: how the member is read and checked, which may throw,
 * and the question. What the server itself tells is read in job_pressure.c.
 *
 * A query of the user's must never lose the run: its error is a reason to hold, too.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "job.h"

/* a process that found no reason does not look again before, ms */
#define LOOK_PAUSE 250

/* how long a query of the user's may take where the job has no statement_timeout, ms */
#define QUERY_TIMEOUT 5000

/* A throttle: the member's name, how it is read, and what it asks. */
typedef struct Throttle
{
	const char *name;

	/* Reads and checks the member. Leaves limit->text NULL where it asks for nothing. */
	void (*read)(const char *name, const JsonbValue *value, BaLimit *limit);

	/* Returns in half a sentence why no batch should start now, NULL if one may. */
	char *(*reason)(const BaJob *job, const BaLimit *limit);
} Throttle;

/*
 * Throws: a throttle is not what it should be.
 */
static void
refuse(const char *name, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("throttle \"%s\" has an invalid value", name), errhint("%s", hint)));
}

/*
 * Returns a member that is a string; any other throws with a hint.
 */
static char *
get_string(const char *name, const JsonbValue *value, const char *hint)
{
	if (value->type != jbvString || value->val.string.len == 0)
		refuse(name, hint);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Reads an amount as configuration files have it, with its unit; unit is one of GUC_UNIT_*. Returns
 * whether it is one, above 0.
 */
static bool
read_amount(const char *text, int unit, double *amount)
{
	return isalpha((unsigned char) text[strlen(text) - 1]) &&
		   parse_real(text, amount, unit, NULL) && *amount > 0 && *amount < (double) PG_INT64_MAX;
}

static void
read_lag(const char *name, const JsonbValue *value, BaLimit *limit)
{
	const char *hint = "Write a time such as \"10 s\" or an amount of WAL such as \"64 MB\".";

	limit->text = get_string(name, value, hint);
	limit->in_bytes = read_amount(limit->text, GUC_UNIT_BYTE, &limit->amount);
	if (!limit->in_bytes && !read_amount(limit->text, GUC_UNIT_MS, &limit->amount))
		refuse(name, hint);
}

static void
read_rate(const char *name, const JsonbValue *value, BaLimit *limit)
{
	const char *hint = "Write the bytes in a second with their unit, such as \"50 MB\".";

	limit->text = get_string(name, value, hint);
	if (!read_amount(limit->text, GUC_UNIT_BYTE, &limit->amount))
		refuse(name, hint);
}

static void
read_count(const char *name, const JsonbValue *value, BaLimit *limit)
{
	if (value->type != jbvNumeric)
		refuse(name, "Write a number without quotes.");
	limit->text =
		DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	limit->amount =
		DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value->val.numeric)));
	if (limit->amount < 0 || limit->amount > PG_INT32_MAX ||
		limit->amount != (double) (int64) limit->amount)
		refuse(name, "Write a whole number from 0 on.");
}

static void
read_switch(const char *name, const JsonbValue *value, BaLimit *limit)
{
	if (value->type != jbvBool)
		refuse(name, "Write true or false.");
	limit->text = value->val.boolean ? "true" : NULL;
}

/*
 * Reads HH:MM at *text and moves behind it. Returns minutes since midnight, -1 if it is none.
 */
static int
read_time_of_day(const char **text)
{
	const char *s = *text;
	int hour;
	int minute;

	if (!isdigit((unsigned char) s[0]) || !isdigit((unsigned char) s[1]) || s[2] != ':' ||
		!isdigit((unsigned char) s[3]) || !isdigit((unsigned char) s[4]))
		return -1;
	hour = (s[0] - '0') * 10 + (s[1] - '0');
	minute = (s[3] - '0') * 10 + (s[4] - '0');
	if (minute > 59 || hour * 60 + minute > 24 * 60)
		return -1;
	*text += 5;
	return hour * 60 + minute;
}

/*
 * Reads HH:MM-HH:MM and a time zone, which is that of the session where none is given; the zone then
 * becomes part of the text.
 */
static void
read_window(const char *name, const JsonbValue *value, BaLimit *limit)
{
	const char *hint = "Write from when to when and where, such as \"22:00-06:00 Europe/Berlin\".";
	char *text = get_string(name, value, hint);
	const char *rest = text;

	limit->from = read_time_of_day(&rest);
	if (limit->from < 0 || *rest++ != '-')
		refuse(name, hint);
	limit->to = read_time_of_day(&rest);
	if (limit->to < 0 || limit->to % (24 * 60) == limit->from % (24 * 60))
		refuse(name, hint);
	if (*rest == '\0')
	{
		limit->text = psprintf("%s %s", text, pg_get_timezone_name(session_timezone));
		rest = limit->text + strlen(text);
	}
	else
		limit->text = text;
	if (*rest++ != ' ')
		refuse(name, hint);
	limit->zone = pg_tzset(rest);
	if (limit->zone == NULL)
		refuse(name, "The time zone is unknown; pg_timezone_names has those there are.");
}

static char *
outside_window(const BaJob *job, const BaLimit *limit)
{
	struct pg_tm tm;
	fsec_t fsec;
	int tz;
	int now;
	bool inside;

	if (timestamp2tm(GetCurrentTimestamp(), &tz, &tm, &fsec, NULL, limit->zone) != 0)
		elog(ERROR, "could not convert the current time");
	now = tm.tm_hour * 60 + tm.tm_min;
	if (limit->from < limit->to)
		inside = limit->from <= now && now < limit->to;
	else
		inside = limit->from <= now || now < limit->to;
	return inside ? NULL : psprintf("batches start in %s only", limit->text);
}

static void
read_query(const char *name, const JsonbValue *value, BaLimit *limit)
{
	limit->text = get_string(name, value, "Write a SELECT of one column.");
}

/*
 * Throws unless a query can be asked: one SELECT that writes and locks nothing, of one column that
 * is a boolean or a text.
 */
static void
check_query(const char *text)
{
	Query *query = ba_command_analyze("throttle \"query\"", text, NULL, 0);
	TargetEntry *column =
		query->targetList == NIL ? NULL : linitial_node(TargetEntry, query->targetList);
	Oid type;

	if (query->commandType != CMD_SELECT || query->rowMarks != NIL || query->hasModifyingCTE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("throttle \"query\" must be a SELECT that writes nothing"),
						errhint("It is asked again and again while the run waits.")));
	type = column == NULL ? InvalidOid : getBaseType(exprType((Node *) column->expr));
	if (ExecCleanTargetListLength(query->targetList) != 1 ||
		(type != BOOLOID && TypeCategory(type) != TYPCATEGORY_STRING))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("throttle \"query\" must have one column, boolean or text"),
						errdetail("The run holds while it is true, or while it is a text, which "
								  "is shown as the reason.")));
	(void) ba_command_explain(text, NULL, NULL, NULL, -1); /* for privileges */
}

/*
 * Runs the query and returns its answer as a reason, in the given context.
 */
static char *
ask_query(const char *text, MemoryContext context)
{
	char *reason = NULL;

	if (SPI_execute(text, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "throttle \"query\" is not a SELECT");
	if (SPI_processed > 0)
	{
		bool isnull;
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		if (isnull)
			return NULL;
		if (getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, 1)) != BOOLOID)
			reason = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		else if (DatumGetBool(value))
			reason = "its answer is true";
	}
	return reason == NULL ? NULL : MemoryContextStrdup(context, reason);
}

/*
 * Asks the user's query, as the job's owner, in a subtransaction that may not write. An error in it
 * is a reason as well.
 */
static char *
held_by_query(const BaJob *job, const BaLimit *limit)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char *volatile reason = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int guc_level = NewGUCNestLevel();

		XactReadOnly = true; /* until the subtransaction ends */
		enable_timeout_after(STATEMENT_TIMEOUT,
							 job->statement_timeout > 0 ? job->statement_timeout : QUERY_TIMEOUT);
		PushActiveSnapshot(GetTransactionSnapshot());
		SPI_connect();
		reason = ask_query(limit->text, context);
		SPI_finish();
		PopActiveSnapshot();
		disable_timeout(STATEMENT_TIMEOUT, false);
		AtEOXact_GUC(true, guc_level);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		HOLD_INTERRUPTS();
		disable_timeout(STATEMENT_TIMEOUT, false);
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		reason =
			psprintf("it failed with %s, %s", unpack_sql_state(error->sqlerrcode), error->message);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return reason;
}

/* All throttles: what is cheap to ask stands first. */
static const Throttle throttles[] = {
	{"time_window", read_window, outside_window},
	{"replication_lag", read_lag, ba_pressure_replication_lag},
	{"wal_rate", read_rate, ba_pressure_wal_rate},
	{"archive_backlog", read_count, ba_pressure_archive_backlog},
	{"active_sessions", read_count, ba_pressure_active_sessions},
	{"autovacuum", read_switch, ba_pressure_autovacuum},
	{"query", read_query, held_by_query},
};

/*
 * Finds a throttle by a JSON key; throws where there is none of that name.
 */
static int
find_throttle(const JsonbValue *key)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(throttles); i++)
	{
		const char *name = throttles[i].name;

		if (strlen(name) == key->val.string.len &&
			memcmp(name, key->val.string.val, key->val.string.len) == 0)
			return i;
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("no throttle is called \"%.*s\"", key->val.string.len, key->val.string.val),
			 errhint("Throttles are %s.", names.data)));
}

/*
 * Reads all throttles of an object into limits, one for each line of the table, in the current
 * context. Throws where the object is not one of throttles.
 */
static void
read_all(Jsonb *object, BaLimit *limits)
{
	JsonbIterator *it;
	JsonbValue value;
	JsonbIteratorToken token;
	int i = 0;

	memset(limits, 0, sizeof(BaLimit) * lengthof(throttles));
	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("throttle must be a JSON object"),
				 errhint("Such as {\"replication_lag\": \"10 s\"}.")));
	it = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			i = find_throttle(&value);
		else if (token == WJB_VALUE)
			throttles[i].read(throttles[i].name, &value, &limits[i]);
	}
}

/*
 * Checks the throttles that a job is given and returns them as they are to be stored, NULL where
 * there is none. Throws where one could not be asked. To be called as the job's owner, with the
 * job's search_path.
 */
char *
ba_throttle_check(Jsonb *object)
{
	BaLimit limits[lengthof(throttles)];
	StringInfoData buf;

	read_all(object, limits);
	initStringInfo(&buf);
	for (int i = 0; i < lengthof(throttles); i++)
	{
		if (limits[i].text == NULL)
			continue;
		if (throttles[i].read == read_query)
			check_query(limits[i].text);
		appendStringInfo(&buf, "%s\"%s\": ", buf.len > 0 ? ", " : "{", throttles[i].name);
		if (throttles[i].read == read_count || throttles[i].read == read_switch)
			appendStringInfoString(&buf, limits[i].text);
		else
			escape_json(&buf, limits[i].text);
	}
	if (buf.len == 0)
		return NULL;
	appendStringInfoChar(&buf, '}');
	return buf.data;
}

/*
 * Returns why no batch of the job should start now, NULL if one may.
 */
char *
ba_throttle_reason(const BaJob *job)
{
	/* the job's throttles as they were at the last look, and what they mean */
	static MemoryContext context = NULL;
	static char *known = NULL;
	static BaLimit limits[lengthof(throttles)];
	static TimestampTz let_through = 0;
	bool is_new;

	if (job->throttle == NULL)
		return NULL;
	is_new = known == NULL || strcmp(known, job->throttle) != 0;
	if (is_new)
	{
		MemoryContext old;

		if (context == NULL)
			context =
				AllocSetContextCreate(TopMemoryContext, "batchagg throttles", ALLOCSET_SMALL_SIZES);
		MemoryContextReset(context);
		known = NULL;
		old = MemoryContextSwitchTo(context);
		read_all(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(job->throttle))),
				 limits);
		known = pstrdup(job->throttle);
		MemoryContextSwitchTo(old);
	}
	else if (!TimestampDifferenceExceeds(let_through, GetCurrentTimestamp(), LOOK_PAUSE))
		return NULL;

	let_through = 0;
	for (int i = 0; i < lengthof(throttles); i++)
	{
		char *reason = limits[i].text == NULL ? NULL : throttles[i].reason(job, &limits[i]);

		if (reason != NULL)
			return psprintf("%s: %s", throttles[i].name, reason);
	}
	let_through = GetCurrentTimestamp();
	return NULL;
}
