/*
 * job_command.c
 *		The command of a job: checked when it is defined, run for one batch.
 *
 * A command is one plannable statement. Its bounds are $1 and $2, typed as the key, and it is
 * planned for each batch with their values: a range is best planned as the range it is, and what
 * planning costs is little beside a batch. It is parsed once. Rows that it returns go nowhere.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "parser/analyze.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "batch.h"
#include "compat.h"
#include "job.h"

/*
 * Sets a setting for the rest of the transaction, unless it has that value.
 */
static void
use_setting(const char *name, const char *value)
{
	if (strcmp(GetConfigOption(name, false, false), value) != 0)
		(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
}

/*
 * Sets what holds for all of a transaction of the job: the search_path at its creation, and how
 * long it waits for locks.
 */
void
ba_command_use_settings(const BaJob *job)
{
	char timeout[20];

	snprintf(timeout, sizeof(timeout), "%d", job->lock_timeout);
	use_setting("search_path", job->search_path);
	use_setting("lock_timeout", timeout);
}

/*
 * Notes which parameters a query tree has, as bits of *context.
 */
static bool
find_params(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		if (((Param *) node)->paramkind == PARAM_EXTERN)
			*(int *) context |= 1 << ((Param *) node)->paramid;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_params, context, 0);
	return expression_tree_walker(node, find_params, context);
}

/*
 * Returns the analyzed query of a command, called what in errors, that is one statement with parameters of the
 * given types. Throws where it is not.
 */
Query *
ba_command_analyze(const char *what, const char *command, const Oid *types, int ntypes)
{
	ErrorContextCallback callback = {error_context_stack, ba_query_error_callback,
									 unconstify(char *, command)};
	List *statements;
	Query *query;

	error_context_stack = &callback;
	statements = pg_parse_query(command);
	if (list_length(statements) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be one SQL statement", what),
						errdetail("It has %d.", list_length(statements)),
						errhint("Call a function that does them all.")));
	query =
		parse_analyze_fixedparams(linitial_node(RawStmt, statements), command, types, ntypes, NULL);
	error_context_stack = callback.previous;
	return query;
}

/*
 * Throws unless a command, called what in errors, is one plannable statement that uses $1 and $2
 * of key_type, or no parameters where key_type is InvalidOid.
 */
void
ba_command_check(const char *what, const char *command, Oid key_type)
{
	Oid types[2] = {key_type, key_type};
	Query *query = ba_command_analyze(what, command, types, OidIsValid(key_type) ? 2 : 0);
	int params = 0;

	if (query->commandType == CMD_UTILITY)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("%s must be a SELECT, INSERT, UPDATE, DELETE or MERGE", what),
						errhint("Call a function that does the rest: SELECT a_function($1, $2).")));
	(void) find_params((Node *) query, &params);
	if (OidIsValid(key_type) && params != 6)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must use both $1 and $2", what),
						errdetail("They are the first and the last key of a batch."),
						errhint("Restrict it to the batch: WHERE key BETWEEN $1 AND $2.")));
}

/*
 * Returns EXPLAIN of the command for a batch, or of one without parameters where range is NULL.
 * Checks the privileges that running it takes.
 */
char *
ba_command_explain(const char *command, BaRange *range, const char *first, const char *last)
{
	int nparams = range != NULL ? 2 : 0;
	Oid types[2] = {InvalidOid, InvalidOid};
	StringInfoData buf;
	Datum values[2];
	char nulls[2];

	initStringInfo(&buf);
	SPI_connect();
	for (int i = 0; i < nparams; i++)
	{
		bool isnull;

		types[i] = range->type;
		values[i] = ba_range_key_in(range, i == 0 ? first : last, &isnull);
		nulls[i] = isnull ? 'n' : ' ';
	}
	if (SPI_execute_with_args(psprintf("EXPLAIN %s", command), nparams, types, values, nulls, false,
							  0) != SPI_OK_UTILITY)
		elog(ERROR, "could not explain \"%s\"", command);
	for (uint64 i = 0; i < SPI_processed; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? "\n" : "",
						 SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	SPI_finish();
	return buf.data;
}

/*
 * Prepares a command. That of batches is analyzed once for as many of them as this process does; core
 * does it again where something that it depends on has changed.
 */
static SPIPlanPtr
prepare(const char *command, int nparams, Oid *types)
{
	static SPIPlanPtr kept = NULL;
	static char *kept_command = NULL;
	static Oid kept_type = InvalidOid;
	SPIPlanPtr plan;

	if (kept != NULL && nparams > 0 && kept_type == types[0] && strcmp(kept_command, command) == 0)
		return kept;
	plan = SPI_prepare_cursor(command, nparams, types,
							  CURSOR_OPT_CUSTOM_PLAN | CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL)
		elog(ERROR, "could not prepare a command: %s", SPI_result_code_string(SPI_result));
	if (nparams == 0)
		return plan;
	if (kept != NULL)
	{
		SPI_freeplan(kept);
		kept = NULL;
		pfree(kept_command);
	}
	kept_command = MemoryContextStrdup(TopMemoryContext, command);
	kept_type = types[0];
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep a command");
	kept = plan;
	return plan;
}

/*
 * Runs a command for a batch, or one without parameters where range is NULL. Returns the number of
 * rows it processed.
 */
uint64
ba_command_run(const char *command, BaRange *range, const char *first, const char *last)
{
	int nparams = range != NULL ? 2 : 0;
	Oid types[2] = {InvalidOid, InvalidOid};
	ParamListInfo params = makeParamList(nparams);
	SPIExecuteOptions options = {.params = params, .dest = CreateDestReceiver(DestNone)};
	SPIPlanPtr plan;
	uint64 processed;
	int result;

	for (int i = 0; i < nparams; i++)
	{
		ParamExternData *param = &params->params[i];

		types[i] = param->ptype = range->type;
		param->pflags = PARAM_FLAG_CONST;
		param->value = ba_range_key_in(range, i == 0 ? first : last, &param->isnull);
	}
	SPI_connect();
	plan = prepare(command, nparams, types);
	result = SPI_execute_plan_extended(plan, &options);
	if (result < 0)
		elog(ERROR, "could not execute a command: %s", SPI_result_code_string(result));
	processed = SPI_processed;
	SPI_finish();
	return processed;
}
