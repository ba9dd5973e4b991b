/*
 * batch_plan.c
 *		One plan for all batches.
 *
 * The query is planned once, with the range of a typical batch as estimate: the
 * bounds are parameters whose values the planner may look at but not build in.
 * Never with core's own parallelism, since a batch runs whole in one process and
 * a worker cannot start workers. JIT compiles at each start of the executor, so it
 * is for plans that one start serves (see batch_run.c), and the cost that decides
 * is that of all batches together.
 *
 * Then each scan of a leaf of the driving table gets parameters of its own. A
 * bound that would be anywhere else in the plan has no value when the plan runs,
 * which is an error, not a wrong answer; and a leaf that the plan scans without
 * bounds is refused here.
 *
 * For a batch only one leaf has a range that is not empty. ba_plan_focus leaves
 * out of the plan's appending nodes all children that have scans of other leaves
 * only, so that a batch of a table with thousands of partitions opens one.
 * That changes nothing but work done: a child whose driving leaves are all empty
 * gives no rows, or the partial state of no rows. One child always stays, as
 * executor nodes want one.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "batch.h"
#include "compat.h"
#include "node.h"
#include "plan.h"

/* An appending node with scans of driving leaves below. */
struct BaAppend
{
	Plan *node;
	List **children;  /* the node's own list of children */
	List *all;        /* what it was at first */
	List *leaf_lists; /* for each of all, the leaves scanned below */
};

/*
 * Returns the children of a plan node, without subplans of expressions.
 */
static List *
list_children(Plan *plan)
{
	List *children = NIL;

	switch (nodeTag(plan))
	{
		case T_Append:
			children = list_copy(((Append *) plan)->appendplans);
			break;
		case T_MergeAppend:
			children = list_copy(((MergeAppend *) plan)->mergeplans);
			break;
		case T_SubqueryScan:
			children = list_make1(((SubqueryScan *) plan)->subplan);
			break;
		case T_CustomScan:
			children = list_copy(((CustomScan *) plan)->custom_plans);
			break;
		default:
			break;
	}
	if (outerPlan(plan) != NULL)
		children = lappend(children, outerPlan(plan));
	if (innerPlan(plan) != NULL)
		children = lappend(children, innerPlan(plan));
	return children;
}

/*
 * Returns the range table index that a plan node scans a table by, or 0.
 */
static Index
scanned_rti(Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_ForeignScan:
		case T_CustomScan:
			return ((Scan *) plan)->scanrelid;
		default:
			return 0;
	}
}

/*
 * Returns the conditions of a scan in which a bound on ctid may be.
 */
static List *
list_conditions(Plan *plan)
{
	List *conditions = list_copy(plan->qual);

	if (IsA(plan, TidRangeScan))
		conditions = list_concat(conditions, ((TidRangeScan *) plan)->tidrangequals);
	else if (IsA(plan, CustomScan))
	{
		/* the engine's stand among its columns (node.h) */
		conditions = list_concat(conditions, ((CustomScan *) plan)->custom_exprs);
		conditions = list_concat(conditions, ((CustomScan *) plan)->custom_scan_tlist);
	}
	return conditions;
}

/*
 * Walker: collects the parameters of an expression that are bounds.
 */
typedef struct BoundSearch
{
	int first_id; /* ids from here on are bounds */
	List *params; /* of Param */
} BoundSearch;

static bool
find_bounds(Node *node, void *context)
{
	BoundSearch *search = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		Param *param = (Param *) node;

		if (param->paramkind == PARAM_EXTERN && param->paramid >= search->first_id)
			search->params = lappend(search->params, param);
		return false;
	}
	return expression_tree_walker(node, find_bounds, context);
}

/*
 * Returns the bounds in the conditions of a scan, as Param.
 */
static List *
list_bounds(Plan *plan, int first_id)
{
	BoundSearch search = {first_id, NIL};

	(void) find_bounds((Node *) list_conditions(plan), &search);
	return search.params;
}

/*
 * Returns the place of an OID in a list, or -1.
 */
static int
list_position_oid(List *list, Oid oid)
{
	ListCell *cell;

	foreach (cell, list)
	{
		if (lfirst_oid(cell) == oid)
			return foreach_current_index(cell);
	}
	return -1;
}

/*
 * Gives the scans of driving leaves at and below a node bounds of their own. The bounds they come
 * with are first_id and first_id + 1.
 */
static void
assign_bounds(PlannedStmt *stmt, Plan *plan, List *leaves, int first_id)
{
	Index rti = scanned_rti(plan);
	ListCell *cell;

	check_stack_depth();
	if (rti > 0 && rt_fetch(rti, stmt->rtable)->rtekind == RTE_RELATION)
	{
		Oid relid = rt_fetch(rti, stmt->rtable)->relid;
		int leaf = list_position_oid(leaves, relid);
		List *bounds = list_bounds(plan, first_id);
		bool lower = false;
		bool upper = false;

		if (leaf < 0 && bounds != NIL)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
							errmsg("partition \"%s\" was attached while the query was planned",
								   get_rel_name(relid)),
							errhint("Try again.")));
		foreach (cell, bounds)
		{
			Param *param = lfirst(cell);
			int which = param->paramid - first_id;

			if (which > 1)
				elog(ERROR, "plan has parameter %d twice", param->paramid);
			param->paramid += 2 + 2 * leaf;
			if (which == 0)
				lower = true;
			else
				upper = true;
		}
		if (leaf >= 0 && !(lower && upper))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("query reads table \"%s\" more than once", get_rel_name(relid)),
					 errdetail(
						 "A function that was inlined, or a row security policy, reads the driving "
						 "table as well."),
					 errhint("Declare the function VOLATILE, or cut another table.")));
	}
	foreach (cell, list_children(plan))
		assign_bounds(stmt, lfirst(cell), leaves, first_id);
}

/*
 * Tells whether one start of the executor may serve all batches of a plan: it is a single chain of
 * nodes that keep nothing but what their child gave them.
 */
static bool
is_repeatable(PlannedStmt *stmt)
{
	if (stmt->subplans != NIL)
		return false;
	for (Plan *plan = stmt->planTree; plan != NULL; plan = outerPlan(plan))
	{
		if (!IsA(plan, Agg) && !IsA(plan, Sort) && !IsA(plan, TidRangeScan) &&
			!ba_node_is_batchagg(plan) && !ba_node_is_batchscan(plan))
			return false;
	}
	return true;
}

/*
 * Returns what the planner would have JIT do for a plan of this cost.
 */
static int
choose_jit(double cost)
{
	int flags = PGJIT_PERFORM;

	if (!jit_enabled || jit_above_cost < 0 || cost <= jit_above_cost)
		return PGJIT_NONE;
	if (jit_optimize_above_cost >= 0 && cost > jit_optimize_above_cost)
		flags |= PGJIT_OPT3;
	if (jit_inline_above_cost >= 0 && cost > jit_inline_above_cost)
		flags |= PGJIT_INLINE;
	if (jit_expressions)
		flags |= PGJIT_EXPR;
	if (jit_tuple_deforming)
		flags |= PGJIT_DEFORM;
	return flags;
}

/*
 * Plans the query of a batch, the query being one that ba_driving_restrict has restricted; the
 * query tree is used up. Sets the bounds in query->params, and enlarges it to hold those of all
 * leaves, with no value set.
 */
PlannedStmt *
ba_plan_batch(BaQuery *query, List *leaves, const BaEstimate *estimate)
{
	int n = query->nparams;
	ItemPointerData first;
	ItemPointerData last;
	BlockNumber pages;
	PlannedStmt *stmt;
	ParamListInfo params;
	ListCell *cell;

	/*
	 * A batch that seems to be all of the table is planned as half of it: were there more batches
	 * than it seems, reading the whole table for each would cost far more than the half saves.
	 */
	pages = Max(1, Min(estimate->pages_per_batch, estimate->leaf_pages / 2));
	ItemPointerSet(&first, 0, FirstOffsetNumber);
	ItemPointerSet(&last, pages - 1, MaxOffsetNumber);
	query->params->params[n] = (ParamExternData){PointerGetDatum(&first), false, 0, TIDOID};
	query->params->params[n + 1] = (ParamExternData){PointerGetDatum(&last), false, 0, TIDOID};

	/* The planner may have made conditions share nodes; the copy shares none. */
	stmt = copyObject(ba_plan_for_all_rows(query->query, query->text, 0, query->params));
	stmt->jitFlags = is_repeatable(stmt)
						 ? choose_jit(ba_plan_cost_without_engine(stmt) * estimate->batches)
						 : PGJIT_NONE;

	/* Statistics by query count the statement that called the function, not each batch. */
	stmt->queryId = 0;

	assign_bounds(stmt, stmt->planTree, leaves, n + 1);
	foreach (cell, stmt->subplans)
	{
		if (lfirst(cell) != NULL)
			assign_bounds(stmt, lfirst(cell), leaves, n + 1);
	}

	params = makeParamList(n + 2 + 2 * list_length(leaves));
	memcpy(params->params, query->params->params, sizeof(ParamExternData) * n);
	for (int i = n; i < params->numParams; i++)
		params->params[i] = (ParamExternData){(Datum) 0, true, 0, i < n + 2 ? InvalidOid : TIDOID};
	query->params = params;
	return stmt;
}

/*
 * Plans a whole query for core's own parallel workers, at most so many; 0 means none.
 *
 * Core is told that starting workers costs nothing, and that a table is worth a worker from
 * batch_size rows on. The settings are back to the caller's before the plan runs.
 */
PlannedStmt *
ba_plan_whole(BaQuery *query, int64 batch_size, int workers)
{
	BaEstimate estimate;
	List *leaves = NIL;
	PlannedStmt *stmt;
	ListCell *cell;
	char value[32];
	int level;

	if (workers == 0)
		return pg_plan_query(query->query, query->text, 0, query->params);

	foreach (cell, ba_driving_list_tables(query->query))
		leaves = list_concat_unique_oid(
			leaves, find_all_inheritors(lfirst_oid(cell), AccessShareLock, NULL));
	ba_split_estimate(leaves, batch_size, &estimate);

	level = NewGUCNestLevel();
	snprintf(value, sizeof(value), "%d", workers);
	(void) set_config_option("max_parallel_workers_per_gather", value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	snprintf(value, sizeof(value), "%u", Min(estimate.pages_per_batch, INT_MAX / 3));
	(void) set_config_option("min_parallel_table_scan_size", value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("parallel_setup_cost", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	stmt = pg_plan_query(query->query, query->text, CURSOR_OPT_PARALLEL_OK, query->params);
	AtEOXact_GUC(true, level);
	return stmt;
}

/*
 * Tells whether a plan reads what parallel workers cannot: temporary or foreign tables.
 */
bool
ba_plan_leader_only(PlannedStmt *stmt)
{
	ListCell *cell;

	foreach (cell, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_RELATION &&
			(rte->relkind == RELKIND_FOREIGN_TABLE ||
			 get_rel_persistence(rte->relid) == RELPERSISTENCE_TEMP))
			return true;
	}
	return false;
}

/*
 * Notes the appending nodes at and below a node; returns the driving leaves scanned there.
 */
static Bitmapset *
note_appends(BaPlan *plan, Plan *node)
{
	Bitmapset *leaves = NULL;
	List *lists = NIL;
	ListCell *cell;

	check_stack_depth();
	if (scanned_rti(node) > 0)
	{
		foreach (cell, list_bounds(node, plan->first_bound))
			leaves =
				bms_add_member(leaves, (((Param *) lfirst(cell))->paramid - plan->first_bound) / 2);
	}
	foreach (cell, list_children(node))
	{
		Bitmapset *below = note_appends(plan, lfirst(cell));

		lists = lappend(lists, below);
		leaves = bms_add_members(leaves, below);
	}
	if (leaves != NULL && (IsA(node, Append) || IsA(node, MergeAppend)))
	{
		BaAppend *append = palloc(sizeof(BaAppend));

		append->node = node;
		append->children = IsA(node, Append) ? &((Append *) node)->appendplans
											 : &((MergeAppend *) node)->mergeplans;
		append->all = *append->children;
		append->leaf_lists = lists;
		plan->appends = lappend(plan->appends, append);
		ba_disable_run_time_pruning(plan->stmt, node);
	}
	return leaves;
}

/*
 * Makes a plan ready to be focused; the plan tree is changed by that, and is this process's own
 * from now on. The first leaf's bounds are first_bound and first_bound + 1.
 */
BaPlan *
ba_plan_open(PlannedStmt *stmt, int first_bound)
{
	BaPlan *plan = palloc0(sizeof(BaPlan));
	ListCell *cell;

	plan->stmt = stmt;
	plan->first_bound = first_bound;
	plan->repeatable = is_repeatable(stmt);
	(void) note_appends(plan, stmt->planTree);
	foreach (cell, stmt->subplans)
	{
		if (lfirst(cell) != NULL)
			(void) note_appends(plan, lfirst(cell));
	}
	return plan;
}

/*
 * Leaves in the plan's appending nodes only what is needed for one leaf.
 */
void
ba_plan_focus(BaPlan *plan, int leaf)
{
	ListCell *cell;

	foreach (cell, plan->appends)
	{
		BaAppend *append = lfirst(cell);
		List *kept = NIL;
		ListCell *child;
		ListCell *leaves;

		forboth (child, append->all, leaves, append->leaf_lists)
		{
			if (lfirst(leaves) == NULL || bms_is_member(leaf, lfirst(leaves)))
				kept = lappend(kept, lfirst(child));
		}
		if (kept == NIL)
			kept = list_make1(linitial(append->all));
		if (*append->children != append->all)
			list_free(*append->children);
		*append->children = kept;
	}
}
