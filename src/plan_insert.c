/*
 * plan_insert.c
 *		INSERT ... SELECT as the command of a job: a BatchInsert in the place of core's ModifyTable.
 *
 * The query is planned by core, and the finished plan's top node replaced. A BatchInsert makes the entries of a
 * row later than core does, and does less. So it takes rows for one ordinary heap table that nothing but indexes and
 * constraints hangs on: no trigger (nor foreign key, which is one), no partition, no generated
 * column, no view's check or row security of new rows, nothing of RETURNING and ON CONFLICT.
 *
 * And nothing may be able to look at what has been inserted so far. Volatile functions could, in the query, in arguments
 * that are left to their defaults (which the planner puts in), in the checks of the table and of domains. nextval does not,
 * and is in most tables' defaults.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "batchagg.h"
#include "node.h"
#include "plan.h"

/* Fewer rows are not worth the trouble. */
#define MIN_ROWS 100

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
	if (IsA(node, CoerceToDomain))
		return true;
	if (IsA(node, FuncExpr))
	{
		FuncExpr *call = (FuncExpr *) node;

		/* defaults of core's own are constants */
		if ((call->funcid >= FirstNormalObjectId &&
			 list_length(call->args) < get_func_nargs(call->funcid)) ||
			call->funcid == F_PG_CURRENT_XACT_ID_IF_ASSIGNED ||
			call->funcid == F_TXID_CURRENT_IF_ASSIGNED)
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
