/*
 * job_command.c
 *		The command of a job: checked when it is defined, run for one batch.
 *
 * A command is one plannable statement. Its bounds are $1 and $2, typed as the key. Rows that it returns
 * go nowhere.
 *
 * It is planned as core's plan cache plans what is prepared: for the first batches with the bounds as
 * constants; then once for many, if that costs no more, as it does unless constants tell the planner what
 * parameters do not. Unlike there the planner knows the batch that it makes the plan for, and a plan is made
 * anew for a batch that is much smaller or larger.
 *
 * Where keys are in the order of the table, more or less, the batch's rows are in a few blocks
 * one after the other, and reading those costs less than going to each row by the index. job_btree.c
 * tells which they are, for one snapshot, so the command is run with that snapshot, and the
 * planner is told that there are two more parameters, TIDs between which the rows are: plan_known.c tells what
 * it makes of them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "storage/proc.h"
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
 * Sets a setting for the rest of the transaction.
 */
void
ba_command_use_setting(const char *name, const char *value)
{
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
	if (strcmp(namespace_search_path, job->search_path) != 0)
		ba_command_use_setting("search_path", job->search_path);
	if (LockTimeout != job->lock_timeout)
		ba_command_use_setting("lock_timeout", psprintf("%d", job->lock_timeout));
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
 * A command for a batch, planned, with the snapshot pushed that it is to run with.
 */
typedef struct Batch
{
	const char *command;
	BaRange *range;
	int64 rows; /* -1: not known */
	Datum keys[2];
	BaPrepared *prepared;
	BaKnown known; /* its parameters are the two keys and, if rows are in blocks, two TIDs */
	BaBtree *btree;
	ItemPointerData tids[2];
	CachedPlan *plan;
	BaPlanKind kind;
	PlannedStmt *stmt; /* NULL if rules made other than one query of the command */
} Batch;

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
 * which is true of no row, where there is none. Returns the number of blocks.
 */
static int64
set_blocks(Batch *batch)
{
	BlockNumber blocks[2];
	bool found =
		ba_btree_find_blocks(batch->btree, batch->keys[0], batch->keys[1], &blocks[0], &blocks[1]);

	for (int i = 0; i < 2; i++)
	{
		ItemPointerSet(&batch->tids[i], blocks[i], i == 0 ? 0 : PG_UINT16_MAX);
		batch->known.params->params[2 + i] =
			(ParamExternData){PointerGetDatum(&batch->tids[i]), !found, 0, TIDOID};
	}
	return found ? (int64) blocks[1] - blocks[0] + 1 : 0;
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
 * BaKnown.describe of a batch of keys: tells the planner of the blocks, if an index tells them.
 *
 * Core has locked by now what the command names, with locks that are not weaker than the index's. What a
 * snapshot of before these locks sees is good enough for estimates.
 */
static void
describe_blocks(BaKnown *known)
{
	Batch *batch = known->caller;

	if (list_length(known->source->query_list) != 1 || !known->query->canSetTag ||
		only_writes(known->query) || known->condition != NIL)
		return;
	if (batch->btree == NULL)
		batch->btree = ba_btree_open(batch->range);
	if (batch->btree == NULL)
		return;
	(void) set_blocks(batch);
	known->condition = ba_btree_make_condition(batch->btree, batch->range->type);
}

/*
 * Tells whether a plan that was made for an amount is good for another; not if one is not known.
 */
static bool
is_alike(int64 one, int64 other)
{
	return one > 0 && other > 0 && one / 2 <= other && other / 2 <= one;
}

/*
 * Gets a plan of a batch's command. That a plan is kept shows where its statement says so.
 */
static void
get_plan(Batch *batch)
{
	Oid types[4] = {batch->range->type, batch->range->type, TIDOID, TIDOID};
	BaKnown *known = &batch->known;
	BaPrepared *prepared =
		ba_prepared_get(batch->command, known->params->numParams, types, CURSOR_OPT_PARALLEL_OK);

	batch->prepared = prepared;
	known->source = linitial(SPI_plan_get_plan_sources(prepared->plan));
	known->condition = NIL;
	known->planned[BA_PLAN_ONCE] = known->planned[BA_PLAN_KEPT] = false;
	known->offered[BA_PLAN_KEPT] = prepared->has_blocks;
	batch->plan = ba_plan_get_cached(known);
	batch->kind = batch->plan == known->source->gplan ? BA_PLAN_KEPT : BA_PLAN_ONCE;
	batch->stmt = NULL;
	if (list_length(batch->plan->stmt_list) == 1 &&
		linitial_node(PlannedStmt, batch->plan->stmt_list)->canSetTag)
		batch->stmt = linitial(batch->plan->stmt_list);
	prepared->has_blocks = known->offered[BA_PLAN_KEPT];
	if (known->planned[BA_PLAN_KEPT])
	{
		prepared->rows = batch->rows;
		prepared->blocks = -1;
	}
}

/*
 * Pushes the snapshot that a batch is to run with, and finds its blocks if the plan reads them. Returns
 * false where the plan is not for a batch like this; never if it was made for it, as is told or can be seen, or rules made
 * no query at all of the command, of which there is nothing to plan.
 *
 * A statement's snapshot has to be taken when all that it reads is locked, which is so once there is a plan: one
 * from before an ALTER TABLE that it waited for would see no row.
 */
static bool
push_snapshot(Batch *batch, bool is_new)
{
	BaPrepared *prepared = batch->prepared;
	int64 blocks = 0;

	is_new = is_new || batch->known.planned[batch->kind];

	if (!is_new && batch->stmt != NULL && !is_alike(prepared->rows, batch->rows))
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!batch->known.offered[batch->kind])
		return true;
	if (batch->btree == NULL)
		batch->btree = ba_btree_open(batch->range);
	if (batch->btree != NULL)
		blocks = set_blocks(batch);
	if (is_new && batch->kind == BA_PLAN_KEPT)
		prepared->blocks = blocks;
	if (is_new || (batch->btree != NULL && (blocks == 0 || is_alike(prepared->blocks, blocks))))
		return true;
	PopActiveSnapshot();
	return false;
}

/*
 * Ends what get_plan began.
 */
static void
release_plan(Batch *batch, bool to_forget)
{
	BaPrepared *prepared = batch->prepared;

	ReleaseCachedPlan(batch->plan, CurrentResourceOwner);
	batch->prepared = NULL;
	ba_prepared_release(prepared, to_forget);
}

/*
 * Plans a command for a batch, and pushes the snapshot to run it with.
 *
 * A serializable transaction does without blocks: core locks against phantoms what an index scan or a
 * scan of the whole table reads, and a range of TIDs not at all.
 */
static void
begin_batch(Batch *batch, const char *command, BaRange *range, const char *first, const char *last,
			int64 rows)
{
	bool by_blocks = range->kind == &ba_key_range && !IsolationIsSerializable();
	ParamListInfo params = makeParamList(by_blocks ? 4 : 2);
	bool unused;

	*batch = (Batch){.command = command, .range = range, .rows = rows};
	batch->keys[0] = ba_range_key_in(range, first, &unused);
	batch->keys[1] = ba_range_key_in(range, last, &unused);
	for (int i = 0; i < params->numParams; i++)
		params->params[i] = i < 2 ? (ParamExternData){batch->keys[i], false, 0, range->type}
								  : (ParamExternData){(Datum) 0, true, 0, TIDOID};
	batch->known = (BaKnown){.params = params,
							 .nvalues = 2,
							 .describe = by_blocks ? describe_blocks : NULL,
							 .caller = batch,
							 .relation = range->relation,
							 .first_param = 3};
	get_plan(batch);
	if (!push_snapshot(batch, false))
	{
		release_plan(batch, true);
		get_plan(batch);
		(void) push_snapshot(batch, true);
	}
}

/*
 * Ends what begin_batch began.
 */
static void
end_batch(Batch *batch)
{
	PopActiveSnapshot();
	release_plan(batch, false);
	if (batch->btree != NULL)
		ba_btree_close(batch->btree);
}

/*
 * Runs a batch. Returns the number of rows it processed.
 */
static uint64
run_batch(Batch *batch)
{
	SPIExecuteOptions options = {.params = batch->known.params,
								 .dest = CreateDestReceiver(DestNone)};
	QueryDesc *desc;
	uint64 processed;

	if (batch->stmt == NULL)
	{
		int result;

		SPI_connect();
		result = SPI_execute_plan_extended(batch->prepared->plan, &options);
		if (result < 0)
			elog(ERROR, "could not execute a command: %s", SPI_result_code_string(result));
		processed = SPI_processed;
		SPI_finish();
		return processed;
	}
	desc = CreateQueryDesc(batch->stmt, batch->command, GetActiveSnapshot(), InvalidSnapshot,
						   options.dest, batch->known.params, NULL, 0);
	ExecutorStart(desc, 0);
	ExecutorRun(desc, ForwardScanDirection, 0);
	processed = desc->estate->es_processed;
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	CommandCounterIncrement();
	return processed;
}

/*
 * Returns EXPLAIN of a batch; NULL where rules made other than one query of the command.
 */
static char *
explain_batch(Batch *batch)
{
	ExplainState *es = NewExplainState();

	if (batch->stmt == NULL)
		return NULL;
	es->costs = true;
	ba_explain_plan(batch->stmt, es, batch->command, batch->known.params);
	es->str->data[--es->str->len] = '\0'; /* the last line's end */
	return es->str->data;
}

/*
 * Does either of the two with a command for a batch. Returns false where explain_batch returned NULL.
 */
static bool
with_batch(const char *command, BaRange *range, const char *first, const char *last, int64 rows,
		   char **explanation, uint64 *processed)
{
	ErrorContextCallback callback = {error_context_stack, command_error_callback,
									 unconstify(char *, command)};
	Batch batch = {0};

	error_context_stack = &callback;
	PG_TRY();
	{
		begin_batch(&batch, command, range, first, last, rows);
		if (explanation != NULL)
			*explanation = explain_batch(&batch);
		else
			*processed = run_batch(&batch);
		end_batch(&batch);
	}
	PG_CATCH();
	{
		/* to forget: what is known of a plan is of no use if one was made and nobody came to note what */
		if (batch.prepared != NULL)
			ba_prepared_release(batch.prepared, true);
		PG_RE_THROW();
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	return explanation == NULL || *explanation != NULL;
}

/*
 * Returns EXPLAIN of the command for a batch, or of one without parameters where range is NULL.
 * Checks the privileges that running it takes.
 */
char *
ba_command_explain(const char *command, BaRange *range, const char *first, const char *last,
				   int64 rows)
{
	int nparams = range != NULL ? 2 : 0;
	Oid types[2] = {InvalidOid, InvalidOid};
	StringInfoData buf;
	Datum values[2];
	char nulls[2];

	char *explanation;

	if (first != NULL && with_batch(command, range, first, last, rows, &explanation, NULL))
		return explanation;
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
 * Runs a command for a batch, or one without parameters where range is NULL. Returns the number of
 * rows it processed.
 */
uint64
ba_command_run(const char *command, BaRange *range, const char *first, const char *last, int64 rows)
{
	uint64 processed;
	int result;

	if (range != NULL)
	{
		(void) with_batch(command, range, first, last, rows, NULL, &processed);
		return processed;
	}
	SPI_connect();
	result = SPI_execute(command, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute a command: %s", SPI_result_code_string(result));
	processed = SPI_processed;
	SPI_finish();
	return processed;
}
