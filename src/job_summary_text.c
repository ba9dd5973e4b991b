/*
 * job_summary_text.c
 *		From a BaSummary to the statements that create it and keep it up to date.
 *
 * Summary "hourly" of SELECT hour, count(*), avg(x) FROM readings GROUP BY hour is
 *
 *		hourly_state	(pass, hour, count, avg), unique in (pass, hour)
 *		hourly_pass		(shown, filled), one row: numbers of passes
 *		hourly			the view: hourly_state where pass = shown, finalized
 *
 * and its job runs for each batch
 *
 *		WITH groups AS MATERIALIZED (SELECT hour, count(*), partial('avg(x)', x) FROM readings
 *			WHERE key >= $1 AND key <= $2 GROUP BY 1)
 *		INSERT INTO hourly_state AS s SELECT filled, groups.* FROM groups ... ORDER BY hour
 *		ON CONFLICT (pass, hour) DO UPDATE SET count = s.count + excluded.count, ...
 *
 * Locks. A row that was merged into stays locked until the batch commits, and workers merge into
 * the same rows. So the batch is aggregated to its end before the first row is merged (the query
 * counts the groups first), which makes the locks last for the short rest of the transaction; and
 * all workers merge in the order of the keys, so that none waits for one that waits for it.
 *
 * Passes. A full refresh fills a pass of its own beside the one that is shown, and at its end one
 * statement shows the new one and deletes the old. Readers see one or the other, whole. A pass
 * that was not finished is filled on by the runs that follow, or deleted by the next full refresh.
 *
 * Names. All is deparsed with a search_path that has pg_catalog alone, and so every name of
 * anything else comes out qualified: the caller must see to that search_path here and in the job.
 * Where deparsing would not qualify, this file does, OPERATOR() included.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"

#include "job_summary.h"

/*
 * A relation among those that the summary creates, as SQL.
 */
static char *
own_name(const BaSummary *summary, const char *name)
{
	return quote_qualified_identifier(summary->schema, name);
}

/*
 * The summarized relation as it stands in FROM, under the name that deparsing gives it.
 */
static char *
source_name(const BaSummary *summary)
{
	return psprintf(
		"%s%s AS r", summary->only ? "ONLY " : "",
		quote_qualified_identifier(get_namespace_name(get_rel_namespace(summary->relid)),
								   get_rel_name(summary->relid)));
}

/*
 * An expression over the summarized relation as SQL.
 */
static char *
source_expression(const BaSummary *summary, Node *node)
{
	return deparse_expression(node, deparse_context_for("r", summary->relid), true, true);
}

static char *
function_name(Oid function)
{
	return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
									  get_func_name(function));
}

/*
 * What a batch keeps of an aggregate: the aggregate itself, or partial() of it.
 */
static char *
state_expression(const BaSummary *summary, const BaSummaryAggregate *aggregate)
{
	Aggref *aggref = aggregate->aggref;
	StringInfoData buf;
	ListCell *cell;

	if (!aggregate->wrapped)
		return source_expression(summary, (Node *) aggref);

	initStringInfo(&buf);
	appendStringInfo(&buf, "batchagg.partial(%s::pg_catalog.regprocedure",
					 quote_literal_cstr(format_procedure_qualified(aggref->aggfnoid)));
	foreach (cell, aggref->args)
		appendStringInfo(&buf, ", %s",
						 source_expression(summary, (Node *) lfirst_node(TargetEntry, cell)->expr));
	appendStringInfoChar(&buf, ')');
	if (aggref->aggfilter != NULL)
		appendStringInfo(&buf, " FILTER (WHERE %s)",
						 source_expression(summary, (Node *) aggref->aggfilter));
	return buf.data;
}

/*
 * A query for the answer of an aggregate over no row, with the right type.
 */
char *
ba_summary_no_row_query(const BaSummary *summary, const BaSummaryAggregate *aggregate)
{
	return psprintf("SELECT %s FROM %s WHERE false",
					source_expression(summary, (Node *) aggregate->aggref), source_name(summary));
}

/*
 * Adds a column to a CREATE TABLE.
 */
static void
add_column(StringInfo buf, const char *column, Oid type, int32 typmod, Oid collation)
{
	/* without FORMAT_TYPE_TYPEMOD_GIVEN, bit and bpchar of any length would become those of length 1 */
	appendStringInfo(
		buf, ", %s %s", quote_identifier(column),
		format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation))
		appendStringInfo(buf, " COLLATE %s", generate_collation_name(collation));
}

/*
 * The statement that creates the state table.
 *
 * A merge replaces rows. It costs least where the new version finds room on the page of the old
 * one, which then also needs no index entry. The old one's room is free for the next merge, but
 * not while another worker's batch, begun before, may still look at it.
 */
char *
ba_summary_create_state(const BaSummary *summary, int workers)
{
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TABLE %s (pass bigint NOT NULL",
					 own_name(summary, summary->state));
	foreach (cell, summary->keys)
	{
		BaSummaryKey *key = lfirst(cell);
		Node *expr = (Node *) key->expr;

		add_column(&buf, key->column, exprType(expr), exprTypmod(expr), exprCollation(expr));
	}
	foreach (cell, summary->aggregates)
	{
		BaSummaryAggregate *aggregate = lfirst(cell);

		if (aggregate->wrapped)
			appendStringInfo(&buf, ", %s batchagg.partial_state",
							 quote_identifier(aggregate->column));
		else
			add_column(&buf, aggregate->column, aggregate->aggref->aggtype, -1,
					   aggregate->aggref->aggcollid);
	}
	appendStringInfo(&buf, ") WITH (fillfactor = %d)", Max(20, 50 / Max(workers, 1)));
	return buf.data;
}

/*
 * Adds what a row of the state table is found by.
 */
static void
add_keys(StringInfo buf, const BaSummary *summary)
{
	ListCell *cell;

	appendStringInfoString(buf, "pass");
	foreach (cell, summary->keys)
		appendStringInfo(buf, ", %s", quote_identifier(((BaSummaryKey *) lfirst(cell))->column));
}

/*
 * The statement that makes groups unique: NULL is a key like any other.
 */
char *
ba_summary_create_state_index(const BaSummary *summary)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE UNIQUE INDEX ON %s (", own_name(summary, summary->state));
	add_keys(&buf, summary);
	appendStringInfoString(&buf, ") NULLS NOT DISTINCT");
	return buf.data;
}

/*
 * The statement that creates the table of passes. Its row is put in by the caller.
 */
char *
ba_summary_create_pass(const BaSummary *summary)
{
	return psprintf("CREATE TABLE %s AS SELECT 1::bigint AS shown, 1::bigint AS filled",
					own_name(summary, summary->pass));
}

/*
 * Where an expression of the view finds the keys and aggregates.
 */
typedef struct StateColumns
{
	const BaSummary *summary;
	Oid finalize;
} StateColumns;

/*
 * A column of the state table: pass is the first.
 */
static Var *
state_column(int place, Oid type, int32 typmod, Oid collation)
{
	return makeVar(1, place + 2, type, typmod, collation, 0);
}

/*
 * The answer of an aggregate, from the state table.
 */
static Node *
answer_expression(const StateColumns *columns, const BaSummaryAggregate *aggregate, int place)
{
	Aggref *aggref = aggregate->aggref;
	Var *state = state_column(place, aggref->aggtype, -1, aggref->aggcollid);
	Node *answer = (Node *) state;
	NullTest *test;
	CaseWhen *when;
	CaseExpr *result;

	if (aggregate->wrapped)
	{
		Const *type = makeNullConst(aggref->aggtype, -1, aggref->aggcollid);

		state->vartype = columns->summary->partial_state;
		state->varcollid = InvalidOid;
		answer = (Node *) makeFuncExpr(columns->finalize, aggref->aggtype, list_make2(state, type),
									   aggref->aggcollid, aggref->aggcollid, COERCE_EXPLICIT_CALL);
	}
	if (aggregate->no_row == NULL)
		return answer;

	test = makeNode(NullTest);
	test->arg = (Expr *) state;
	test->nulltesttype = IS_NULL;
	when = makeNode(CaseWhen);
	when->expr = (Expr *) test;
	when->result = (Expr *) aggregate->no_row;
	result = makeNode(CaseExpr);
	result->casetype = aggref->aggtype;
	result->casecollid = aggref->aggcollid;
	result->args = list_make1(when);
	result->defresult = (Expr *) answer;
	return (Node *) result;
}

/*
 * Puts columns of the state table in the place of keys and aggregates.
 */
static Node *
use_state_columns(Node *node, void *context)
{
	const StateColumns *columns = context;
	int place = 0;
	ListCell *cell;

	if (node == NULL)
		return NULL;
	foreach (cell, columns->summary->keys)
	{
		BaSummaryKey *key = lfirst(cell);

		if (equal(key->expr, node))
			return (Node *) state_column(place, exprType(node), exprTypmod(node),
										 exprCollation(node));
		place++;
	}
	foreach (cell, columns->summary->aggregates)
	{
		BaSummaryAggregate *aggregate = lfirst(cell);

		if (equal(aggregate->aggref, node))
			return answer_expression(columns, aggregate, place);
		place++;
	}
	if (IsA(node, Var))
		elog(ERROR, "summary shows a column that is not grouped");
	return expression_tree_mutator(node, use_state_columns, context);
}

/*
 * The statement that creates the view. The state table must exist: the view's expressions are
 * deparsed as those over it. Without GROUP BY there is one row of answers, whatever there is.
 */
char *
ba_summary_create_view(const BaSummary *summary, Oid state)
{
	Oid argtypes[] = {summary->partial_state, ANYELEMENTOID};
	StateColumns columns = {
		summary, LookupFuncName(list_make2(makeString("batchagg"), makeString("finalize")), 2,
								argtypes, false)};
	List *context = deparse_context_for("s", state);
	const char *separator = "";
	StringInfoData buf;
	ListCell *cell;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE VIEW %s AS SELECT ", own_name(summary, summary->view));
	foreach (cell, summary->targets)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		appendStringInfo(&buf, "%s%s AS %s", separator,
						 deparse_expression(use_state_columns((Node *) entry->expr, &columns),
											context, true, false),
						 quote_identifier(entry->resname));
		separator = ", ";
	}
	appendStringInfo(&buf, " FROM %s AS p %sJOIN %s AS s ON s.pass = p.shown",
					 own_name(summary, summary->pass), summary->keys == NIL ? "LEFT " : "",
					 own_name(summary, summary->state));
	if (summary->having != NULL)
		appendStringInfo(
			&buf, " WHERE %s",
			deparse_expression(use_state_columns(summary->having, &columns), context, true, false));
	return buf.data;
}

/*
 * Adds the conditions under which a row belongs to the batch and to the query.
 */
static void
add_conditions(StringInfo buf, const BaSummary *summary, const char *range)
{
	appendStringInfo(buf, " WHERE %s", range);
	if (summary->filter != NULL)
		appendStringInfo(buf, " AND (%s)", source_expression(summary, summary->filter));
}

/*
 * Adds "SELECT keys, states FROM relation", the groups of one batch.
 */
static void
add_groups(StringInfo buf, const BaSummary *summary, const char *range)
{
	const char *separator = "";
	ListCell *cell;

	appendStringInfoString(buf, "SELECT ");
	foreach (cell, summary->keys)
	{
		BaSummaryKey *key = lfirst(cell);

		appendStringInfo(buf, "%s%s AS %s", separator,
						 source_expression(summary, (Node *) key->expr),
						 quote_identifier(key->column));
		separator = ", ";
	}
	foreach (cell, summary->aggregates)
	{
		BaSummaryAggregate *aggregate = lfirst(cell);

		appendStringInfo(buf, "%s%s AS %s", separator, state_expression(summary, aggregate),
						 quote_identifier(aggregate->column));
		separator = ", ";
	}
	appendStringInfo(buf, " FROM %s", source_name(summary));
	add_conditions(buf, summary, range);
	for (int i = 1; i <= list_length(summary->keys); i++)
		appendStringInfo(buf, "%s%d", i == 1 ? " GROUP BY " : ", ", i);
}

/*
 * Adds the columns of the state table behind pass, each with a prefix.
 */
static void
add_columns(StringInfo buf, const BaSummary *summary, const char *prefix)
{
	ListCell *cell;

	foreach (cell, summary->keys)
		appendStringInfo(buf, ", %s%s", prefix,
						 quote_identifier(((BaSummaryKey *) lfirst(cell))->column));
	foreach (cell, summary->aggregates)
		appendStringInfo(buf, ", %s%s", prefix,
						 quote_identifier(((BaSummaryAggregate *) lfirst(cell))->column));
}

/*
 * Adds "column = merged" for each aggregate. A strict function, which any of core's is, says
 * nothing of NULL; that is no state, and neutral. merge() knows.
 */
static void
add_merges(StringInfo buf, const BaSummary *summary)
{
	const char *separator = "";
	ListCell *cell;

	foreach (cell, summary->aggregates)
	{
		BaSummaryAggregate *aggregate = lfirst(cell);
		const char *column = quote_identifier(aggregate->column);
		char *merge =
			psprintf("%s(s.%s, excluded.%s)", function_name(aggregate->merge), column, column);

		if (func_strict(aggregate->merge))
			merge = psprintf("COALESCE(%s, s.%s, excluded.%s)", merge, column, column);
		appendStringInfo(buf, "%s%s = %s", separator, column, merge);
		separator = ", ";
	}
}

/*
 * The command of a batch, whose rows are those for which "range" holds.
 */
char *
ba_summary_command(const BaSummary *summary, const char *range)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "WITH groups AS MATERIALIZED (");
	add_groups(&buf, summary, range);
	appendStringInfo(&buf, ") INSERT INTO %s AS s (pass", own_name(summary, summary->state));
	add_columns(&buf, summary, "");
	appendStringInfo(&buf, ") SELECT (SELECT p.filled FROM %s AS p)",
					 own_name(summary, summary->pass));
	add_columns(&buf, summary, "g.");

	/* reads all groups before the first is merged, see above */
	appendStringInfoString(&buf,
						   " FROM groups AS g WHERE (SELECT pg_catalog.count(*) FROM groups) > 0");
	for (int i = 1; i <= list_length(summary->keys); i++)
		appendStringInfo(&buf, "%s%d", i == 1 ? " ORDER BY " : ", ", i + 1);
	appendStringInfoString(&buf, " ON CONFLICT (");
	add_keys(&buf, summary);
	appendStringInfoString(&buf, ") DO UPDATE SET ");
	add_merges(&buf, summary);
	return buf.data;
}

/*
 * The command before a full pass: fills the next pass, from nothing.
 */
char *
ba_summary_before_command(const BaSummary *summary)
{
	return psprintf("WITH p AS (UPDATE %s SET filled = shown + 1 RETURNING filled) "
					"DELETE FROM %s AS s USING p WHERE s.pass = p.filled",
					own_name(summary, summary->pass), own_name(summary, summary->state));
}

/*
 * The command after a run that did all there was: shows the pass that it filled, if that is not
 * the one shown, and deletes others.
 */
char *
ba_summary_after_command(const BaSummary *summary)
{
	return psprintf(
		"WITH p AS (UPDATE %s SET shown = filled WHERE shown <> filled RETURNING shown) "
		"DELETE FROM %s AS s USING p WHERE s.pass <> p.shown",
		own_name(summary, summary->pass), own_name(summary, summary->state));
}
