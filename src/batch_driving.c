/*
 * batch_driving.c
 *		The driving table: which table of a query is cut, and whether it may be.
 *
 * A query per batch means: the query, as if the driving table held only this
 * batch. That is done by a condition on its ctid, put where the table is named,
 *
 *		ctid >= $n+1 AND ctid <= $n+2
 *
 * in the WHERE of that query level, which the planner turns into a TID range
 * scan. Under row security it goes into the lowest level of the table's security
 * conditions instead: the tid comparisons are leakproof, so nothing can be learnt
 * through them, and a condition of a higher level could not drive a scan.
 *
 * Refused is what would have no such meaning, or one that nobody expects: the
 * table on the nullable side of an outer join (rows of other batches would look
 * like missing ones), in a subquery expression, in a set operation or a CTE that
 * is read twice (the rest would be repeated for each batch), below a LIMIT.
 *
 * The whole tree is searched, as the rewriter left it: views are subqueries by
 * now. Row security policies are not searched: what they read belongs to them.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "batch.h"
#include "compat.h"
#include "plan.h"

/* Why a table cannot drive the batches from where it stands. */
typedef struct Obstacle
{
	const char *detail;
	const char *hint;
} Obstacle;

static const Obstacle below_limit = {
	"Table %s stands below a LIMIT or OFFSET, which would apply to each batch by itself.",
	"Put LIMIT outside, around the function's result."};
static const Obstacle below_set_operation = {
	"Table %s stands in a UNION, INTERSECT or EXCEPT, whose other arm would be repeated for each "
	"batch.",
	"Call the function for each arm."};
static const Obstacle nullable = {
	"Table %s stands on the nullable side of an outer join, where the rows of other batches would "
	"look like missing ones.",
	"Cut the other side of the join: name it as driving_table."};
static const Obstacle in_expression = {"Table %s is read by a subquery in an expression.",
									   "Join it in FROM, or name another driving_table."};
static const Obstacle shared_cte = {
	"Table %s is read by a CTE that is recursive or named more than once.",
	"Use a subquery in FROM, or name another driving_table."};
static const Obstacle sampled = {"Table %s is read by TABLESAMPLE.", "Leave out TABLESAMPLE."};

/* A plain table of the query. */
typedef struct Table
{
	Query *query; /* the level that names it */
	Index rti;    /* its place there */
	RangeTblEntry *rte;
	const Obstacle *obstacle; /* NULL if there is none */
} Table;

/* State of the search, for the level it is at. */
typedef struct Search
{
	struct Search *above;     /* NULL at the top */
	Query *query;             /* this level */
	const Obstacle *obstacle; /* what stands between this level and the top, or NULL */
	List **tables;            /* of Table: those found */
	List **ctes;              /* of CommonTableExpr: those searched */
} Search;

static void search_query(Query *query, Search *above, const Obstacle *obstacle);

/*
 * Searches a CTE where it is named, once.
 */
static void
search_cte(Search *search, RangeTblEntry *rte, const Obstacle *obstacle)
{
	Search *owner = search;
	ListCell *cell;

	for (Index up = 0; up < rte->ctelevelsup; up++)
		owner = owner->above;
	foreach (cell, owner->query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, cell);

		if (strcmp(cte->ctename, rte->ctename) != 0 || list_member_ptr(*search->ctes, cte))
			continue;
		*search->ctes = lappend(*search->ctes, cte);
		if (cte->cterecursive || cte->cterefcount != 1)
			obstacle = &shared_cte;
		search_query(castNode(Query, cte->ctequery), owner, obstacle);
	}
}

/*
 * Searches an item of FROM, or an arm of a set operation.
 */
static void
search_from(Search *search, Node *node, const Obstacle *obstacle)
{
	if (IsA(node, RangeTblRef))
	{
		Index rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, search->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY)
			search_query(rte->subquery, search, obstacle);
		else if (rte->rtekind == RTE_CTE)
			search_cte(search, rte, obstacle);
		else if (rte->rtekind == RTE_RELATION &&
				 (rte->relkind == RELKIND_RELATION || rte->relkind == RELKIND_MATVIEW ||
				  rte->relkind == RELKIND_PARTITIONED_TABLE))
		{
			Table *table = palloc(sizeof(Table));

			*table = (Table){search->query, rti, rte, obstacle};
			if (obstacle == NULL && rte->tablesample != NULL)
				table->obstacle = &sampled;
			*search->tables = lappend(*search->tables, table);
		}
	}
	else if (IsA(node, FromExpr))
	{
		ListCell *cell;

		foreach (cell, ((FromExpr *) node)->fromlist)
			search_from(search, lfirst(cell), obstacle);
	}
	else if (IsA(node, SetOperationStmt))
	{
		search_from(search, ((SetOperationStmt *) node)->larg, obstacle);
		search_from(search, ((SetOperationStmt *) node)->rarg, obstacle);
	}
	else
	{
		JoinExpr *join = castNode(JoinExpr, node);
		bool left = join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
		bool right = join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL;

		search_from(search, join->larg, left && obstacle == NULL ? &nullable : obstacle);
		search_from(search, join->rarg, right && obstacle == NULL ? &nullable : obstacle);
	}
}

/*
 * Walker: searches the subqueries of an expression.
 */
static bool
search_expression(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		search_query((Query *) node, context, &in_expression);
		return false;
	}
	return expression_tree_walker(node, search_expression, context);
}

/*
 * Searches a level of the query and all below it.
 */
static void
search_query(Query *query, Search *above, const Obstacle *obstacle)
{
	Search search = {above, query, obstacle, above->tables, above->ctes};
	ListCell *cell;

	check_stack_depth();
	if (obstacle == NULL && (query->limitCount != NULL || query->limitOffset != NULL))
		search.obstacle = &below_limit;
	if (search.obstacle == NULL && query->setOperations != NULL)
		search.obstacle = &below_set_operation;

	search_from(&search, (Node *) query->jointree, search.obstacle);
	if (query->setOperations != NULL)
		search_from(&search, query->setOperations, search.obstacle);

	/*
	 * The range table is gone through by hand: core's walker would enter security conditions as
	 * well.
	 */
	(void) query_tree_walker(query, search_expression, &search,
							 QTW_IGNORE_RANGE_TABLE | QTW_IGNORE_CTE_SUBQUERIES);
	foreach (cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		(void) search_expression((Node *) rte->functions, &search);
		(void) search_expression((Node *) rte->values_lists, &search);
		(void) search_expression((Node *) rte->tablefunc, &search);
		(void) search_expression((Node *) rte->tablesample, &search);
		(void) search_expression((Node *) ba_rte_groupexprs(rte), &search);
	}
}

/*
 * Returns the plain tables of a query, as Table.
 */
static List *
find_tables(Query *query)
{
	List *tables = NIL;
	List *ctes = NIL;
	Search top = {.tables = &tables, .ctes = &ctes};

	search_query(query, &top, NULL);
	return tables;
}

/*
 * Returns the OIDs of the plain tables of a query, each as often as it is named.
 */
List *
ba_driving_list_tables(Query *query)
{
	List *relids = NIL;
	ListCell *cell;

	foreach (cell, find_tables(query))
		relids = lappend_oid(relids, ((Table *) lfirst(cell))->rte->relid);
	return relids;
}

/*
 * Returns a relation's name as a person would write it now.
 */
char *
ba_driving_name_table(Oid relid)
{
	return DatumGetCString(DirectFunctionCall1(regclassout, ObjectIdGetDatum(relid)));
}

/*
 * Tells whether reading one table reads rows of the other as well: it is the same, or one is
 * below the other in an inheritance tree.
 */
static bool
tables_overlap(Table *one, Table *other)
{
	List *mine = one->rte->inh ? find_all_inheritors(one->rte->relid, AccessShareLock, NULL)
							   : list_make1_oid(one->rte->relid);
	List *others = other->rte->inh ? find_all_inheritors(other->rte->relid, AccessShareLock, NULL)
								   : list_make1_oid(other->rte->relid);

	ListCell *cell;

	foreach (cell, mine)
	{
		if (list_member_oid(others, lfirst_oid(cell)))
			return true;
	}
	return false;
}

/*
 * Picks the driving table: the one wanted, or the only one if wanted is InvalidOid.
 */
static Table *
pick_table(List *tables, Oid wanted)
{
	Table *picked = NULL;
	Table *able = NULL; /* one to suggest */
	StringInfoData names;
	List *seen = NIL;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, tables)
	{
		Table *table = lfirst(cell);

		if (list_member_oid(seen, table->rte->relid))
			continue;
		if (able == NULL || (able->obstacle != NULL && table->obstacle == NULL))
			able = table;
		seen = lappend_oid(seen, table->rte->relid);
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 ba_driving_name_table(table->rte->relid));
		if (!OidIsValid(wanted) || table->rte->relid == wanted)
			picked = table;
	}

	if (seen == NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("query reads no table that could be cut into batches"),
						errhint("Read a table, a partitioned table or a materialized view in "
								"FROM.")));
	if (OidIsValid(wanted) && picked == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query does not read driving table %s", ba_driving_name_table(wanted)),
				 errdetail("It reads %s.", names.data)));
	if (!OidIsValid(wanted) && list_length(seen) > 1)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("query reads more than one table that could be cut into batches"),
						errdetail("It reads %s.", names.data),
						errhint("Name the one to cut: driving_table => '%s'.",
								ba_driving_name_table(able->rte->relid))));
	return picked;
}

/*
 * Finds the driving table of a query, the one wanted or the only one if wanted is InvalidOid,
 * and adds the condition that restricts it to a batch. Returns its range table entry. Throws
 * where there is none, more than one, or it cannot be cut where it stands.
 */
RangeTblEntry *
ba_driving_restrict(BaQuery *query, Oid wanted)
{
	List *tables = find_tables(query->query);
	Table *driving = pick_table(tables, wanted);
	RangeTblEntry *rte = driving->rte;
	List *bounds;
	ListCell *cell;

	foreach (cell, tables)
	{
		Table *table = lfirst(cell);

		if (table != driving && tables_overlap(driving, table))
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query reads table %s more than once", ba_driving_name_table(rte->relid)),
				 errdetail("Only one of the two could be restricted to the batch."),
				 errhint("Name another driving_table, or write the query with one reference "
						 "to it.")));
	}
	if (driving->obstacle != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("query cannot be run batch by batch"),
						errdetail(driving->obstacle->detail, ba_driving_name_table(rte->relid)),
						errhint("%s", driving->obstacle->hint)));

	bounds = list_make2(ba_plan_make_bound(driving->rti, TIDGreaterEqOperator, query->nparams + 1),
						ba_plan_make_bound(driving->rti, TIDLessEqOperator, query->nparams + 2));
	if (rte->securityQuals != NIL)
		linitial(rte->securityQuals) =
			make_andclause(lappend(bounds, linitial(rte->securityQuals)));
	else
	{
		FromExpr *from = driving->query->jointree;

		if (from->quals != NULL)
			bounds = lappend(bounds, from->quals);
		from->quals = (Node *) make_andclause(bounds);
	}
	return rte;
}
