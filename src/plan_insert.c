/*
 * plan_insert.c
 *		INSERT ... SELECT as the command of a job: a BatchInsert in the place of core's ModifyTable.
 *
 * The query is planned by core, and the finished plan's top node replaced. A BatchInsert makes the entries of a
 * row later than core does, and does less. So it takes rows for one ordinary heap table that nothing but indexes and
 * constraints hangs on: no trigger (nor foreign key, which is one), no partition, no generated
 * column, no view's check or row security of new rows, nothing of RETURNING and ON CONFLICT.
 *
 * And nothing may be able to look at what has been inserted so far. Volatile functions could, in the query and in the checks of
 * the table; nextval does not, and is in most tables' defaults. They may hide from core's search for them in
 *
 *		arguments left to their defaults	which the planner puts in
 *		aggregates							which are all called immutable, whatever they are made of
 *		checks of domains					which are called where a value is made, also by functions that read a
 *											text or a JSON document as a value of a type with such a domain in it
 *		casts to JSON						which core's functions look up for the values they are given
 *
 * So, besides volatile functions, no function of core's may have to do with a type that is not one of core's, of which
 * it could call whatever belongs to it. Comparisons are taken to be what indexes need them to be.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "batchagg.h"
#include "compat.h"
#include "node.h"
#include "plan.h"

/* Fewer rows are not worth the trouble. */
#define MIN_ROWS 100

/*
 * Tells whether a type is somebody's own, or may have values of such a type in it.
 */
static bool
is_own_type(Oid type)
{
	return type >= FirstNormalObjectId || type == RECORDOID || type == RECORDARRAYOID;
}

static bool
have_own_type(List *exprs)
{
	ListCell *lc;

	foreach (lc, exprs)
		if (is_own_type(exprType(lfirst(lc))))
			return true;
	return false;
}

/*
 * Tells whether one of some types is somebody's own.
 */
static bool
is_one_own(List *types)
{
	ListCell *lc;

	foreach (lc, types)
		if (is_own_type(lfirst_oid(lc)))
			return true;
	return false;
}

/*
 * Tells whether an aggregate that is not one of core's is made of a volatile function.
 */
static bool
is_made_of_volatile(Oid aggregate)
{
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	Form_pg_aggregate form;
	bool found = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	{
		Oid functions[] = {form->aggtransfn,     form->aggfinalfn,    form->aggcombinefn,
						   form->aggserialfn,    form->aggdeserialfn, form->aggmtransfn,
						   form->aggminvtransfn, form->aggmfinalfn};

		for (int i = 0; i < lengthof(functions) && !found; i++)
			found = OidIsValid(functions[i]) && func_volatile(functions[i]) == PROVOLATILE_VOLATILE;
	}
	ReleaseSysCache(tuple);
	return found;
}

/*
 * Tells whether a call of a function or aggregate, the node given, may come to a volatile function that core's search for them
 * does not see.
 */
static bool
may_call_hidden(Node *call)
{
	switch (nodeTag(call))
	{
		case T_FuncExpr:
		{
			FuncExpr *func = (FuncExpr *) call;

			if (func->funcid < FirstNormalObjectId) /* defaults of core's own are constants */
				return func->funcresulttype >= FirstNormalObjectId || have_own_type(func->args) ||
					   func->funcid == F_PG_CURRENT_XACT_ID_IF_ASSIGNED ||
					   func->funcid == F_TXID_CURRENT_IF_ASSIGNED;
			return list_length(func->args) < get_func_nargs(func->funcid);
		}
		case T_Aggref:
		{
			Aggref *agg = (Aggref *) call;

			return agg->aggfnoid < FirstNormalObjectId ? is_one_own(agg->aggargtypes)
													   : is_made_of_volatile(agg->aggfnoid);
		}
		case T_WindowFunc:
		{
			WindowFunc *func = (WindowFunc *) call;

			return func->winfnoid < FirstNormalObjectId ? have_own_type(func->args)
														: is_made_of_volatile(func->winfnoid);
		}
		default:
			return false;
	}
}

/*
 * Looks for what may hide a volatile function from core's search, or tells whether a row was inserted.
 */
static bool
has_hidden_look(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_hidden_look, context, 0);
	switch (nodeTag(node))
	{
		case T_CoerceToDomain:
		case T_TableFunc: /* XMLTABLE and JSON_TABLE, which make values of types that they are told */
			return true;
		case T_CoerceViaIO:
			if (is_own_type(((CoerceViaIO *) node)->resulttype) ||
				is_own_type(exprType((Node *) ((CoerceViaIO *) node)->arg)))
				return true;
			break;
		case T_RangeTblFunction:
			if (is_one_own(((RangeTblFunction *) node)->funccoltypes))
				return true;
			break;
		default:
			if (may_call_hidden(node) || ba_is_json_expr(node))
				return true;
	}
	return expression_tree_walker(node, has_hidden_look, context);
}

/*
 * Tells whether rows of a query, which is yet to be planned, may be inserted later than core would.
 */
bool
ba_plan_may_insert_late(Query *query)
{
	return batchagg_enabled && query->commandType == CMD_INSERT && query->canSetTag &&
		   query->onConflict == NULL && query->returningList == NIL &&
		   query->withCheckOptions == NIL && !query->hasModifyingCTE &&
		   !contain_volatile_functions_not_nextval((Node *) query) &&
		   !has_hidden_look((Node *) query, NULL);
}

/*
 * Tells whether inserting rows of so many columns into a table is no more than storing them, checking constraints and
 * making index entries.
 */
static bool
is_plain_table(Oid relid, int ncolumns)
{
	Relation rel = table_open(relid, NoLock);
	TupleDesc desc = RelationGetDescr(rel);
	bool plain = rel->rd_rel->relkind == RELKIND_RELATION &&
				 rel->rd_rel->relam == HEAP_TABLE_AM_OID && !rel->rd_rel->relispartition &&
				 rel->trigdesc == NULL && desc->natts == ncolumns;

	for (int i = 0; i < desc->natts && plain; i++)
		plain = TupleDescAttr(desc, i)->attgenerated == '\0';
	for (int i = 0; plain && desc->constr != NULL && i < desc->constr->num_check; i++)
	{
		Node *check = stringToNode(desc->constr->check[i].ccbin);

		plain = !contain_volatile_functions(check) && !has_hidden_look(check, NULL);
	}
	table_close(rel, NoLock);
	return plain;
}

/*
 * Puts a BatchInsert into the plan of a query of which ba_plan_may_insert_late was true, if it can do that.
 */
void
ba_plan_use_insert(PlannedStmt *stmt)
{
	ModifyTable *modify = (ModifyTable *) stmt->planTree;
	Plan *child;
	Index target;

	if (!IsA(modify, ModifyTable) || list_length(modify->resultRelations) != 1)
		return;
	child = outerPlan(modify);
	target = linitial_int(modify->resultRelations);
	if ((child->plan_rows >= MIN_ROWS || batchagg_debug_force_engine) &&
		is_plain_table(rt_fetch(target, stmt->rtable)->relid, list_length(child->targetlist)))
		stmt->planTree = ba_node_make_insert(&modify->plan, child, target);
}
