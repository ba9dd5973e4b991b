/*
 * batch_query.c
 *		From the text of a query to one analyzed SELECT with its parameters.
 *
 * The text goes through core's own parser, analyzer and rewriter, as the caller:
 * names are looked up in the caller's search_path, row security is the caller's,
 * views are expanded. What comes out is one SELECT that changes nothing and locks
 * no rows; anything else is refused before it is analyzed, since analysis alone
 * would lock what an UPDATE names.
 *
 * The types of $1, $2, ... are those that the query gives them; their values are
 * text and go through the types' input functions, like the parameters of a
 * protocol message.
 *
 * An error in the query is reported with the query as internal query and the place
 * in it, as SPI does.
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "batch.h"
#include "compat.h"

static const char *const keep_hint = "To keep the result, INSERT ... SELECT from the function.";

/*
 * Error context: makes a place in the query, which is the argument, an internal one.
 */
void
ba_query_error_callback(void *arg)
{
	const char *text = arg;
	int place = geterrposition();

	if (place > 0)
	{
		errposition(0);
		internalerrposition(place);
		internalerrquery(text);
	}
}

/*
 * Refuses anything in a query tree that writes or locks rows.
 */
static bool
check_reads_only(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;

		if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("query must be a SELECT that changes nothing"),
							errhint("%s", keep_hint)));
		if (query->rowMarks != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query must not lock rows"),
					 errhint("Leave out FOR UPDATE or FOR SHARE.")));
		return query_tree_walker(query, check_reads_only, context, 0);
	}
	return expression_tree_walker(node, check_reads_only, context);
}

/*
 * Reads the text array into parameter values of the given types, leaving room for the two bounds
 * of planning behind them, with no value set.
 */
static ParamListInfo
read_params(ArrayType *array, int nparams, const Oid *types)
{
	ParamListInfo params;
	Datum *texts = NULL;
	bool *nulls = NULL;
	int given = 0;

	if (array != NULL)
	{
		if (ARR_NDIM(array) > 1)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("params must be a one-dimensional array")));
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &given);
	}
	if (given != nparams)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("params does not fit the parameters of the query"),
				 errdetail("Values in params: %d. Parameters of the query: %d.", given, nparams),
				 errhint("Give a value for each of $1, $2, ...: params => ARRAY['...'].")));

	params = makeParamList(nparams + 2);
	for (int i = 0; i < nparams; i++)
	{
		ParamExternData *param = &params->params[i];
		Oid input;
		Oid ioparam;

		getTypeInputInfo(types[i], &input, &ioparam);
		param->ptype = types[i];
		param->isnull = nulls[i];
		param->value = OidInputFunctionCall(input, nulls[i] ? NULL : TextDatumGetCString(texts[i]),
											ioparam, -1);

		/* The value is the same in every batch, so the planner may build it in. */
		param->pflags = PARAM_FLAG_CONST;
	}

	/* The two bounds may stay unset; core sends them to its workers all the same. */
	for (int i = nparams; i < params->numParams; i++)
		params->params[i] = (ParamExternData){(Datum) 0, true, 0, InvalidOid};
	return params;
}

/*
 * Parses a text that must be one SELECT; the hint is for one that is not.
 */
static RawStmt *
parse_select(const char *text, const char *hint)
{
	List *statements = pg_parse_query(text);

	if (list_length(statements) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("query must be one statement, not %d", list_length(statements))));
	if (!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query must be a SELECT that changes nothing"), errhint("%s", hint)));
	return linitial_node(RawStmt, statements);
}

/*
 * Analyzes a SELECT that is to be kept, without parameters, as the caller, but does not rewrite it: relations are what
 * the text says, and nothing is checked besides. Allocated in the current context.
 */
Query *
ba_query_analyze(const char *text)
{
	ErrorContextCallback callback = {error_context_stack, ba_query_error_callback, (void *) text};
	Query *query;

	error_context_stack = &callback;
	query = parse_analyze_fixedparams(
		parse_select(text, "Write SELECT keys, aggregates FROM table GROUP BY keys."), text, NULL,
		0, NULL);
	error_context_stack = callback.previous;
	return query;
}

/*
 * Analyzes and rewrites a query as the caller, with params as text (NULL: none). Everything is
 * allocated in the current context. Throws where the query is not a single SELECT that only
 * reads, or params do not fit.
 */
BaQuery *
ba_query_read(const char *text, ArrayType *params)
{
	BaQuery *result = palloc0(sizeof(BaQuery));
	ErrorContextCallback callback = {error_context_stack, ba_query_error_callback, (void *) text};
	List *queries;
	Oid *types = NULL;

	error_context_stack = &callback;
	queries = pg_analyze_and_rewrite_varparams(parse_select(text, keep_hint), text, &types,
											   &result->nparams, NULL);
	error_context_stack = callback.previous;

	/* Only an ON SELECT rule can apply, and that gives one query. */
	if (list_length(queries) != 1)
		elog(ERROR, "rewriting a SELECT gave %d queries", list_length(queries));
	result->query = linitial_node(Query, queries);
	check_reads_only((Node *) result->query, NULL);
	result->text = text;
	result->columns = ExecCleanTypeFromTL(result->query->targetList);
	result->params = read_params(params, result->nparams, types);
	return result;
}

/*
 * Walker state: what was found to be not parallel safe.
 */
typedef struct Hazard
{
	char *what;
} Hazard;

static bool
check_function(Oid function, void *context)
{
	Hazard *hazard = context;

	if (func_parallel(function) == PROPARALLEL_SAFE)
		return false;
	hazard->what = psprintf("Function %s is not parallel safe.", format_procedure(function));
	return true;
}

static bool
find_hazard(Node *node, void *context)
{
	Hazard *hazard = context;

	if (node == NULL)
		return false;
	if (check_functions_in_node(node, check_function, context))
		return true;
	if (IsA(node, CoerceToDomain))
	{
		hazard->what = psprintf("A cast to domain %s runs the domain's constraints.",
								format_type_be(((CoerceToDomain *) node)->resulttype));
		return true;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->tablesample != NULL && check_function(rte->tablesample->tsmhandler, context);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_hazard, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, find_hazard, context);
}

/*
 * Returns a sentence saying what in the query a parallel worker must not run, or NULL.
 *
 * The rules are those of core's max_parallel_hazard, less two: window functions and subqueries are
 * no hazard, since a worker here runs the whole query of a batch and sees all of their input.
 */
char *
ba_query_parallel_hazard(Query *query)
{
	Hazard hazard = {NULL};

	(void) find_hazard((Node *) query, &hazard);
	return hazard.what;
}
