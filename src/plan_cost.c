/*
 * plan_cost.c
 *		What a BatchAgg or a BatchScan costs, in the planner's units.
 *
 *		pages		as a sequential scan reads them
 *		rows		BA_ROW_COST of cpu_tuple_cost each, for core takes about 65 ns a row that
 *					it scans and counts, and the engine about 8 on the machine measured
 *		WHERE		each conjunct on the rows that those before it leave
 *		arguments	on the rows that remain, with BA_COLUMN_COST for each aggregate's column
 *		groups		the hash of the keys, and the rows emitted; where the groups do not fit
 *					into hash_mem, more partial states than groups leave the node
 *		start		buffers and tables are set up before the first row
 *
 * Pages are not discounted: an index that finds few rows wins as it does
 * against a sequential scan.
 */
#include "postgres.h"

#include <math.h>

#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/spccache.h"

#include "kernel.h"
#include "node.h"
#include "plan.h"
#include "vector.h"

#define BA_ROW_COST 0.12   /* of cpu_tuple_cost: scanning one row */
#define BA_COLUMN_COST 0.1 /* of cpu_operator_cost: taking one column */
#define BA_KEY_COST 0.4    /* of cpu_operator_cost: hashing one key of a row */
#define BA_START_COST 800  /* of cpu_tuple_cost */
#define BA_RECORD_BYTES 48 /* of a group, apart from its keys and states */

/*
 * Estimates how many partial states leave a node that reads `rows` rows of `groups` groups, evenly
 * mixed, and starts over whenever it holds `capacity` of them.
 */
static double
estimate_states(double rows, double groups, double capacity)
{
	double phase;

	groups = Max(1, Min(groups, rows));
	if (groups <= capacity)
		return groups;
	phase = -groups * log1p(-capacity / groups); /* rows until `capacity` groups were met */
	return Min(rows, capacity * Max(1, rows / phase));
}

/*
 * Sets what it costs to find the rows of a table, or of a range of TIDs that is known to be enough: to read
 * pages, and to filter rows.
 */
static void
cost_scan(PlannerInfo *root, RelOptInfo *rel, List *known_bounds, Cost *page_cost, Cost *row_cost)
{
	double one_page_cost;
	double left = rel->tuples;
	double pages = rel->pages;
	List *bounds = list_copy(known_bounds);
	List *others = NIL;
	ListCell *cell;

	get_tablespace_page_costs(rel->reltablespace, NULL, &one_page_cost);

	/* A range of TIDs is what the scan is limited to; the other conditions come after. */
	foreach (cell, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst(cell);

		if (ba_node_is_tid_bound(rinfo->clause, rel->relid))
			bounds = lappend(bounds, rinfo);
		else
			others = lappend(others, rinfo);
	}
	if (bounds != NIL)
	{
		double fraction = clauselist_selectivity(root, bounds, rel->relid, JOIN_INNER, NULL);

		pages = ceil(pages * fraction);
		left *= fraction;
	}
	*page_cost = one_page_cost * pages;
	*row_cost = cpu_tuple_cost * BA_ROW_COST * left;
	foreach (cell, others)
	{
		RestrictInfo *rinfo = lfirst(cell);
		List *clauses = list_make1(rinfo);

		*row_cost += ba_expr_cost(root, rinfo->clause, rel->relid) * left;
		left *= clauselist_selectivity(root, clauses, rel->relid, JOIN_INNER, NULL);
		list_free(clauses);
	}
}

/*
 * Sets rows and costs of a BatchScan's path, whose parent and target are set, and which has known bounds.
 */
void
ba_plan_cost_rows(PlannerInfo *root, Path *path, List *bounds)
{
	Cost page_cost;
	Cost row_cost;

	cost_scan(root, path->parent, bounds, &page_cost, &row_cost);
	path->rows = path->parent->rows;
	path->startup_cost = BA_START_COST * cpu_tuple_cost + path->pathtarget->cost.startup;
	path->total_cost =
		path->startup_cost + page_cost + row_cost +
		path->rows * (cpu_tuple_cost + path->pathtarget->cost.per_tuple +
					  BA_COLUMN_COST * cpu_operator_cost * list_length(path->pathtarget->exprs));
}

/*
 * Sets rows and costs of a BatchAgg's path, whose parent, target and parallel_workers are set, for
 * a table that has that many groups.
 */
void
ba_plan_cost(PlannerInfo *root, CustomPath *custom_path, double groups)
{
	Path *path = &custom_path->path;
	RelOptInfo *rel = path->parent;
	double divisor = 1;
	double left = rel->rows;
	Cost page_cost;
	Cost row_cost;
	Cost work = 0;
	Size width = BA_RECORD_BYTES;
	ListCell *cell;

	cost_scan(root, rel, custom_path->custom_private, &page_cost, &row_cost);
	foreach (cell, path->pathtarget->exprs)
	{
		Expr *expr = lfirst(cell);

		if (IsA(expr, Aggref))
		{
			Aggref *aggref = (Aggref *) expr;
			const BaKernel *kernel = ba_kernel_find(aggref);
			ListCell *arg;

			foreach (arg, aggref->args)
				work += ba_expr_cost(root, ((TargetEntry *) lfirst(arg))->expr, rel->relid) +
						BA_COLUMN_COST * cpu_operator_cost;
			if (aggref->aggfilter != NULL)
				work += ba_expr_cost(root, aggref->aggfilter, rel->relid);
			work += ba_kernel_cost(kernel);
			width += kernel->state_size;
		}
		else
		{
			work += ba_expr_cost(root, expr, rel->relid) + BA_KEY_COST * cpu_operator_cost;
			width += 8;
		}
	}
	row_cost += work * left;

	if (path->parallel_workers > 0)
	{
		/* as get_parallel_divisor in costsize.c */
		divisor = path->parallel_workers;
		if (parallel_leader_participation && path->parallel_workers < 4)
			divisor += 1.0 - 0.3 * path->parallel_workers;
	}
	path->rows = clamp_row_est(
		estimate_states(left / divisor, groups, ba_node_memory_limit() / (double) width));
	path->startup_cost = BA_START_COST * cpu_tuple_cost + page_cost + row_cost / divisor;
	path->total_cost = path->startup_cost + cpu_tuple_cost * path->rows;
}
