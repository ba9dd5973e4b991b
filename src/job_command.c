/*
 * job_command.c
 *		The command of a job: checked when it is defined, run for one batch.
 *
 * A command is one plannable statement. Its bounds are $1 and $2, typed as the key, and it is
 * planned for each batch with their values: a range is best planned as the range it is, and what
 * planning costs is little beside a batch. Rows that it returns go nowhere.
 *
 * Where keys are in the order of the table, more or less, the batch's rows are in a few blocks
 * one after the other, and reading those costs less than going to each row by the index. job_btree.c
 * tells which they are, for one snapshot, so the command is planned and run here with that snapshot.
 * Where it cannot tell, SPI does both, and parses the command once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "batch.h"
#include "compat.h"
#include "job.h"
#include "plan.h"

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
 * A command planned for a batch whose rows are known to lie in some blocks of the job's table, as
 * an index tells: see job_btree.c for why that is so, and plan_known.c for what the planner makes of it.
 */
typedef struct BlockPlan
{
	PlannedStmt *stmt;
	ParamListInfo params; /* the two keys, and the TIDs as $3 and $4 */
	BaBtree *btree;
	Datum first;
	Datum last;
	ItemPointerData tids[2];
} BlockPlan;

/*
 * Error context: shows the statement, as SPI does for those it runs.
 */
static void
command_error_callback(void *arg)
{
	ba_query_error_callback(arg);
	errcontext("SQL statement \"%s\"", (const char *) arg);
}

/*
 * Sets the TIDs between which the batch's rows are, of all that the active snapshot sees: NULL,
 * which is true of no row, where there is none.
 */
static void
set_blocks(BlockPlan *plan)
{
	BlockNumber blocks[2];
	bool found = ba_btree_find_blocks(plan->btree, plan->first, plan->last, &blocks[0], &blocks[1]);

	for (int i = 0; i < 2; i++)
	{
		ItemPointerSet(&plan->tids[i], blocks[i], i == 0 ? 0 : PG_UINT16_MAX);
		plan->params->params[2 + i] =
			(ParamExternData){PointerGetDatum(&plan->tids[i]), !found, 0, TIDOID};
	}
}

/*
 * Tells whether a query reads nothing but the rows that it changes or deletes: of those no blocks are known.
 */
static bool
only_writes(const Query *query)
{
	return (query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE) &&
		   list_length(query->rtable) == 1 && query->cteList == NIL && !query->hasSubLinks;
}

/*
 * Plans a command for a batch whose blocks are known, and pushes the snapshot to run it with.
 * Returns false where they are not, or where rules make other than one query of the command; then
 * no snapshot is pushed.
 *
 * A statement's snapshot has to be taken when the tables that it reads are locked: one from before an ALTER
 * TABLE that it waited for would see no row. Analysis has locked those that the command names; where
 * planning comes upon others, such as partitions, the snapshot is taken anew, and the blocks are looked up again.
 *
 * A serializable transaction does without: core locks against phantoms what an index scan or a
 * scan of the whole table reads, and a range of TIDs not at all.
 */
static bool
plan_blocks(BlockPlan *plan, const char *command, BaRange *range, const char *first,
			const char *last)
{
	Oid types[2] = {range->type, range->type};
	BaKnownRange known = {.relation = range->relation, .first_param = 3};
	List *queries;
	List *locked;
	List *unused_items;
	bool unused;

	if (range->kind != &ba_key_range || IsolationIsSerializable())
		return false;

	/* first of all, for the locks that the command needs are not weaker than the index's */
	queries = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, pg_parse_query(command)),
												 command, types, 2, NULL);
	if (list_length(queries) != 1 || !linitial_node(Query, queries)->canSetTag ||
		only_writes(linitial(queries)))
		return false;
	plan->btree = ba_btree_open(range);
	if (plan->btree == NULL)
		return false;
	extract_query_dependencies((Node *) queries, &locked, &unused_items, &unused);
	plan->first = ba_range_key_in(range, first, &unused);
	plan->last = ba_range_key_in(range, last, &unused);
	plan->params = makeParamList(4);
	plan->params->params[0] = (ParamExternData){plan->first, false, PARAM_FLAG_CONST, range->type};
	plan->params->params[1] = (ParamExternData){plan->last, false, PARAM_FLAG_CONST, range->type};

	PushActiveSnapshot(GetTransactionSnapshot());
	set_blocks(plan);
	known.query = linitial(queries);
	known.condition = ba_btree_make_condition(plan->btree, plan->first, plan->last);
	plan->stmt = ba_plan_with_known_range(&known, command, CURSOR_OPT_PARALLEL_OK, plan->params);
	if (list_difference_oid(plan->stmt->relationOids, locked) != NIL)
	{
		PopActiveSnapshot();
		PushActiveSnapshot(GetTransactionSnapshot());
		set_blocks(plan);
	}
	return true;
}

/*
 * Returns EXPLAIN of the command for a batch whose blocks are known; NULL where they are not.
 */
static char *
explain_blocks(const char *command, BaRange *range, const char *first, const char *last)
{
	ExplainState *es = NewExplainState();
	BlockPlan plan;

	if (!plan_blocks(&plan, command, range, first, last))
		return NULL;
	es->costs = true;
	ba_explain_plan(plan.stmt, es, command, plan.params);
	es->str->data[--es->str->len] = '\0'; /* the last line's end */
	PopActiveSnapshot();
	ba_btree_close(plan.btree);
	return es->str->data;
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

	if (first != NULL)
	{
		char *plan = explain_blocks(command, range, first, last);

		if (plan != NULL)
			return plan;
	}
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
 * Runs a command for a batch whose blocks are known. Returns false where they are not; otherwise
 * sets the number of rows it processed.
 */
static bool
run_blocks(const char *command, BaRange *range, const char *first, const char *last,
		   uint64 *processed)
{
	ErrorContextCallback callback = {error_context_stack, command_error_callback,
									 unconstify(char *, command)};
	BlockPlan plan;
	QueryDesc *desc;

	error_context_stack = &callback;
	if (!plan_blocks(&plan, command, range, first, last))
	{
		error_context_stack = callback.previous;
		return false;
	}
	desc = CreateQueryDesc(plan.stmt, command, GetActiveSnapshot(), InvalidSnapshot, None_Receiver,
						   plan.params, NULL, 0);
	ExecutorStart(desc, 0);
	ExecutorRun(desc, ForwardScanDirection, 0);
	*processed = desc->estate->es_processed;
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
	ba_btree_close(plan.btree);
	error_context_stack = callback.previous;
	return true;
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

	if (range != NULL && run_blocks(command, range, first, last, &processed))
		return processed;
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
