/*
 * job_summary_query.c
 *		From the text of a query to a BaSummary, or the reason why it cannot be one.
 *
 * A summary adds up: the answer over all rows must follow from the answers over parts of them,
 * whatever the parts. That holds for
 *
 *		SELECT keys, expressions over keys and aggregates
 *		FROM one relation WHERE condition GROUP BY keys HAVING condition
 *
 * where nothing is volatile and every aggregate merges. All else is refused, with what to write
 * instead: joins and subqueries would read other rows in each batch, DISTINCT and ORDER BY in an
 * aggregate need all its rows at once, ORDER BY and LIMIT belong into queries of the view.
 * HAVING is a condition on finished answers, so it becomes the view's WHERE.
 *
 * The query is analyzed but not rewritten: the relation may be a view, whose definition and row
 * security apply anew in each batch.
 *
 * An aggregate is kept in one of two forms:
 *
 *	- as its result, if results merge: batchagg's own states by merge(), and those of core's aggregates whose
 *	  result is the transition value itself (count, sum of integers, min, bool_and, ...) by their combine
 *	  function. Such a batch is an ordinary aggregation, which the engine runs, and the state
 *	  table can be read as it is;
 *	- as a partial_state otherwise, which takes anything that has a combine function.
 *
 * Core's are told by their pinned OIDs; nothing is known of how other aggregates' combine
 * functions bear being called outside of an aggregation.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "agg_partial.h"
#include "batch.h"
#include "compat.h"
#include "job_summary.h"

/*
 * The one refusal of a query for its shape. Does not return.
 */
static void
report_shape(const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("query cannot be kept as a summary"),
			 errdetail_internal("%s", detail), errhint("%s", hint)));
}

/*
 * An expression over the summary's relation as SQL, for messages.
 */
static char *
expression_text(const BaSummary *summary, Node *node)
{
	return deparse_expression(
		node, deparse_context_for(get_rel_name(summary->relid), summary->relid), false, false);
}

/*
 * Refuses clauses that have no meaning for a summary.
 */
static void
check_clauses(const Query *query)
{
	if (query->commandType != CMD_SELECT)
		report_shape("It is SELECT INTO.", "create_summary itself creates what keeps the result.");
	if (query->rowMarks != NIL)
		report_shape("It locks rows.", "Leave out FOR UPDATE or FOR SHARE.");
	if (query->setOperations != NULL)
		report_shape("It is a UNION, INTERSECT or EXCEPT.", "Create a summary for each arm.");
	if (query->cteList != NIL || query->hasSubLinks)
		report_shape("It has a subquery or WITH, which would be read anew for each batch.",
					 "Summarize a view that has the subquery, or join the summary's view to it.");
	if (query->hasWindowFuncs)
		report_shape("It has a window function, which needs all groups at once.",
					 "Use window functions in queries of the summary's view.");
	if (query->hasTargetSRFs)
		report_shape("It has a set-returning function in SELECT.",
					 "Use it in queries of the summary's view, or in a view that is summarized.");
	if (query->groupingSets != NIL)
		report_shape("It has GROUPING SETS, CUBE or ROLLUP.",
					 "Create a summary for each grouping set, or for the finest one.");
	if (query->distinctClause != NIL)
		report_shape("It has SELECT DISTINCT.", "Use GROUP BY.");
	if (query->sortClause != NIL)
		report_shape("It has ORDER BY.", "Order the queries of the summary's view.");
	if (query->limitCount != NULL || query->limitOffset != NULL)
		report_shape("It has LIMIT or OFFSET.", "Limit the queries of the summary's view.");
	if (!query->hasAggs)
		report_shape("It has no aggregate.", "Add one, such as count(*).");
	if (query->constraintDeps != NIL)
		report_shape("It shows a column that follows from a primary key in GROUP BY.",
					 "Add the column to GROUP BY.");
}

/*
 * Finds the relation that is summarized.
 */
static void
read_relation(const Query *query, BaSummary *summary)
{
	const char *hint = "Summarize one table, or a view that does the rest.";
	RangeTblEntry *rte;

	if (list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef))
		report_shape("It does not read exactly one relation.", hint);
	rte = rt_fetch(linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex, query->rtable);
	if (rte->rtekind != RTE_RELATION)
		report_shape("What stands in FROM is not a relation.", hint);
	if (rte->tablesample != NULL)
		report_shape("It has TABLESAMPLE.", "Leave out TABLESAMPLE.");
	if (get_rel_persistence(rte->relid) == RELPERSISTENCE_TEMP)
		report_shape("It reads a temporary relation, which background workers do not see.",
					 "Use a permanent one.");

	/* deparsing takes the only relation to be the first */
	Assert(linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex == 1);
	summary->relid = rte->relid;
	summary->only = !rte->inh;
}

static bool
is_volatile(Oid function, void *context)
{
	if (func_volatile(function) != PROVOLATILE_VOLATILE)
		return false;
	report_shape(psprintf("Function %s is volatile.", format_procedure(function)),
				 "Use functions that are IMMUTABLE or STABLE.");
	return true;
}

/*
 * Refuses volatile functions, and GROUPING(), anywhere in an expression.
 */
static bool
check_expression(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, GroupingFunc))
		report_shape("It has GROUPING().", "Without grouping sets it is always 0.");
	return check_functions_in_node(node, is_volatile, context) ||
		   expression_tree_walker(node, check_expression, context);
}

/*
 * A name for a column of the state table that none of its columns has yet.
 */
static char *
choose_column(const BaSummary *summary, const char *base)
{
	char *name = pstrdup(base);

	for (int i = 1;; i++)
	{
		bool taken = strcmp(name, "pass") == 0;
		ListCell *cell;

		foreach (cell, summary->keys)
			taken |= strcmp(((BaSummaryKey *) lfirst(cell))->column, name) == 0;
		foreach (cell, summary->aggregates)
			taken |= strcmp(((BaSummaryAggregate *) lfirst(cell))->column, name) == 0;
		if (!taken)
			return name;
		name = psprintf("%.*s%d", pg_mbcliplen(base, strlen(base), NAMEDATALEN - 8), base, i);
	}
}

/*
 * The name that the query gives to an expression, or other if it does not show it.
 */
static char *
shown_name(const BaSummary *summary, Expr *expr, const char *other)
{
	TargetEntry *entry = tlist_member(expr, summary->targets);

	return choose_column(summary, entry != NULL ? entry->resname : other);
}

static void
read_keys(Query *query, BaSummary *summary)
{
	ListCell *cell;

	foreach (cell, query->groupClause)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, cell);
		BaSummaryKey *key = palloc0(sizeof(BaSummaryKey));
		Oid type;

		key->expr = (Expr *) ba_flatten_group_exprs(
			query, get_sortgroupclause_expr(clause, query->targetList));
		type = exprType((Node *) key->expr);
		if (!OidIsValid(clause->sortop))
			report_shape(psprintf("GROUP BY has an expression of type %s, which has no order.",
								  format_type_be(type)),
						 "Group by a type that has a btree operator class, such as its text.");
		if (get_typtype(type) == TYPTYPE_PSEUDO)
			report_shape(
				psprintf("GROUP BY has an expression of the pseudo-type %s.", format_type_be(type)),
				"Group by the columns of the row instead.");
		(void) check_expression((Node *) key->expr, NULL);
		key->column = shown_name(summary, key->expr, "key");
		summary->keys = lappend(summary->keys, key);
	}
}

/*
 * batchagg.merge for states of a type, InvalidOid if there is none.
 */
static Oid
find_merge(Oid type)
{
	Oid types[] = {type, type};

	return LookupFuncName(list_make2(makeString("batchagg"), makeString("merge")), 2, types, true);
}

/*
 * Whether the aggregate is one of batchagg's own whose result merges, by "merge".
 */
static bool
gives_own_state(const Aggref *aggref, Oid merge)
{
	return OidIsValid(merge) && getExtensionOfObject(ProcedureRelationId, aggref->aggfnoid) ==
									getExtensionOfObject(ProcedureRelationId, merge);
}

/*
 * Whether the aggregate is one of core's whose results its combine function merges. Those over
 * ranges are left out: their functions want an aggregation around them.
 */
static bool
is_plain(const Aggref *aggref, const BaPartialAgg *agg)
{
	Oid result = get_func_rettype(agg->combinefn.fn_oid);

	return aggref->aggfnoid < FirstUnpinnedObjectId && !agg->has_finalfn &&
		   agg->transtype != INTERNALOID && agg->combinefn.fn_strict && result != ANYRANGEOID &&
		   result != ANYMULTIRANGEOID;
}

/*
 * Decides how the state of an aggregate is kept and merged; refuses an aggregate that has none.
 */
static void
choose_form(const BaSummary *summary, BaSummaryAggregate *aggregate)
{
	Aggref *aggref = aggregate->aggref;
	Oid argtypes[FUNC_MAX_ARGS];
	int nargs = 0;
	BaPartialAgg *agg;
	ListCell *cell;

	aggregate->merge = find_merge(aggref->aggtype);
	if (gives_own_state(aggref, aggregate->merge))
		return;

	foreach (cell, aggref->args)
		argtypes[nargs++] = exprType((Node *) lfirst_node(TargetEntry, cell)->expr);
	agg = ba_partial_resolve_call(aggref->aggfnoid, nargs, argtypes, aggref->inputcollid);
	if (is_plain(aggref, agg))
	{
		aggregate->merge = agg->combinefn.fn_oid;
		return;
	}
	aggregate->wrapped = true;
	aggregate->merge = find_merge(summary->partial_state);
}

/*
 * Refuses what an aggregate's parentheses may say besides its arguments.
 */
static void
check_aggregate(const BaSummary *summary, Aggref *aggref)
{
	HeapTuple tuple;
	bool any;

	if (AGGKIND_IS_ORDERED_SET(aggref->aggkind))
		return; /* refused by choose_form, for what it is */
	if (aggref->aggdistinct != NIL)
		report_shape(
			psprintf("%s needs all values at once.", expression_text(summary, (Node *) aggref)),
			"Leave out DISTINCT, or put the column into GROUP BY.");
	if (aggref->aggorder != NIL)
		report_shape(psprintf("%s needs its rows in an order that batches do not have.",
							  expression_text(summary, (Node *) aggref)),
					 "Leave out ORDER BY.");
	if (!aggref->aggvariadic)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", aggref->aggfnoid);
	any = ((Form_pg_proc) GETSTRUCT(tuple))->provariadic == ANYOID;
	ReleaseSysCache(tuple);
	if (any)
		report_shape(psprintf("%s takes its arguments as a VARIADIC array.",
							  expression_text(summary, (Node *) aggref)),
					 "Write the arguments out.");
}

/*
 * Adds the aggregates of an expression that the summary has not yet.
 */
static bool
collect_aggregates(Node *node, void *context)
{
	BaSummary *summary = context;
	BaSummaryAggregate *aggregate;
	ListCell *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Aggref))
		return expression_tree_walker(node, collect_aggregates, context);

	foreach (cell, summary->aggregates)
		if (equal(((BaSummaryAggregate *) lfirst(cell))->aggref, node))
			return false;
	aggregate = palloc0(sizeof(BaSummaryAggregate));
	aggregate->aggref = castNode(Aggref, node);
	check_aggregate(summary, aggregate->aggref);
	choose_form(summary, aggregate);
	aggregate->column =
		shown_name(summary, (Expr *) node, get_func_name(aggregate->aggref->aggfnoid));
	summary->aggregates = lappend(summary->aggregates, aggregate);
	return false;
}

/*
 * Sets what the view shows, under names that differ.
 */
static void
read_targets(Query *query, BaSummary *summary)
{
	List *names = NIL;
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (entry->resjunk)
			continue;
		if (list_member(names, makeString(entry->resname)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" appears more than once in the query", entry->resname),
					 errhint("Give each column a name of its own with AS.")));
		names = lappend(names, makeString(entry->resname));
		entry = flatCopyTargetEntry(entry);
		entry->expr = (Expr *) ba_flatten_group_exprs(query, (Node *) entry->expr);
		summary->targets = lappend(summary->targets, entry);
	}
}

/*
 * Reads a query as the caller; names and the range column are left to be set. Everything is
 * allocated in the current context.
 */
BaSummary *
ba_summary_read(const char *text)
{
	BaSummary *summary = palloc0(sizeof(BaSummary));
	Query *query = ba_query_analyze(text);

	summary->partial_state =
		GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("partial_state"),
						ObjectIdGetDatum(get_namespace_oid("batchagg", false)));
	check_clauses(query);
	read_relation(query, summary);
	summary->filter = query->jointree->quals;
	summary->having = ba_flatten_group_exprs(query, query->havingQual);
	read_targets(query, summary);
	(void) check_expression((Node *) summary->targets, NULL);
	(void) check_expression(summary->filter, NULL);
	(void) check_expression(summary->having, NULL);
	read_keys(query, summary);
	(void) collect_aggregates((Node *) summary->targets, summary);
	(void) collect_aggregates(summary->having, summary);
	return summary;
}
