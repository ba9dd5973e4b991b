/*
 * plan_path.c
 *		The engine's paths for an aggregation, beside core's own.
 *
 * Core calls the hook when all its paths for a grouping are made. A table that
 * is partitioned, or has inheritance children, gives one BatchAgg for each leaf
 * below an Append; the Append's parent is the table's own RelOptInfo, so that
 * core prunes partitions when the plan runs as it does for its own scans.
 *
 * Serial paths need nothing of core's parallel planning. A path below Gather is
 * made where core holds the grouping parallel safe and the table large enough.
 *
 * batchagg.debug_force_engine drops core's paths where ours exist; it is for tests.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "optimizer/tlist.h"
#include "port/pg_bitutils.h"
#include "utils/selfuncs.h"

#include "batchagg.h"
#include "compat.h"
#include "node.h"
#include "plan.h"

static create_upper_paths_hook_type previous_hook = NULL;

/*
 * Returns the partial target of a leaf: the table's, in terms of the leaf's columns.
 */
static PathTarget *
translate_target(PlannerInfo *root, RelOptInfo *leaf, RelOptInfo *rel, PathTarget *target)
{
	PathTarget *translated = copy_pathtarget(target);

	translated->exprs =
		(List *) adjust_appendrel_attrs_multilevel(root, (Node *) target->exprs, leaf, rel);
	return translated;
}

/*
 * Makes a BatchAgg over one heap; with workers > 0 its share of a parallel scan.
 */
static Path *
make_leaf_path(PlannerInfo *root, RelOptInfo *rel, PathTarget *target, double groups, int workers)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = target;
	path->path.parallel_aware = workers > 0;
	path->path.parallel_safe = rel->consider_parallel;
	path->path.parallel_workers = workers;
	path->methods = &ba_node_path_methods;
	if (workers == 0)
		path->custom_private = ba_plan_known_bounds(root, rel);
	ba_plan_cost(root, path, groups);
	return &path->path;
}

/*
 * Makes the path that gives the partial states of a whole table, or with parallel a process's
 * share of them; NULL if workers are of no use.
 */
static Path *
make_partial_path(PlannerInfo *root, RelOptInfo *rel, PathTarget *target, List *leaves,
				  double groups, bool parallel)
{
	List *paths = NIL;
	int workers = 0;
	AppendPath *append;
	ListCell *cell;

	foreach (cell, leaves)
	{
		RelOptInfo *leaf = lfirst(cell);
		int leaf_workers = 0;

		if (parallel)
		{
			leaf_workers =
				compute_parallel_worker(leaf, leaf->pages, -1, max_parallel_workers_per_gather);
			if (!leaf->consider_parallel || ba_plan_has_tid_bound(leaf))
				return NULL;

			/* A small leaf of a large table is still a parallel scan, of one page maybe. */
			if (leaf_workers == 0 && leaf != rel)
				leaf_workers = 1;
			workers = Max(workers, leaf_workers);
			if (leaf_workers == 0)
				return NULL;
		}
		if (leaf == rel)
			return make_leaf_path(root, rel, target, groups, leaf_workers);
		paths = lappend(paths, make_leaf_path(root, leaf, translate_target(root, leaf, rel, target),
											  groups, leaf_workers));
	}
	if (parallel)
	{
		/* as core does for a parallel append of many children */
		if (enable_parallel_append)
			workers = Max(workers, pg_leftmost_one_pos32(list_length(paths)) + 1);
		workers = Min(workers, max_parallel_workers_per_gather);
		if (workers == 0)
			return NULL;
	}
	append = create_append_path(root, rel, parallel ? NIL : paths, parallel ? paths : NIL, NIL,
								NULL, workers, parallel && enable_parallel_append, -1);
	append->path.pathtarget = target;
	return &append->path;
}

/*
 * Adds what finalizes a partial path: by hashing, by sorting, or plain.
 */
static void
add_final_paths(PlannerInfo *root, RelOptInfo *grouped_rel, Path *partial,
				GroupPathExtraData *extra, double groups)
{
	AggClauseCosts costs = {0};
	List *clause = ba_processed_group_clause(root);
	bool has_keys = root->parse->groupClause != NIL;

	get_agg_clause_costs(root, AGGSPLIT_FINAL_DESERIAL, &costs);
	if (!has_keys || (clause != NIL && (extra->flags & GROUPING_CAN_USE_HASH) != 0))
		add_path(grouped_rel, (Path *) create_agg_path(
								  root, grouped_rel, partial, grouped_rel->reltarget,
								  has_keys ? AGG_HASHED : AGG_PLAIN, AGGSPLIT_FINAL_DESERIAL,
								  clause, (List *) extra->havingQual, &costs, groups));
	if (has_keys && (extra->flags & GROUPING_CAN_USE_SORT) != 0)
	{
		/* Keys that conditions make constant need no sorting: all rows are one group. */
		Path *sorted =
			root->group_pathkeys == NIL
				? partial
				: (Path *) create_sort_path(root, grouped_rel, partial, root->group_pathkeys, -1.0);

		add_path(grouped_rel,
				 (Path *) create_agg_path(root, grouped_rel, sorted, grouped_rel->reltarget,
										  AGG_SORTED, AGGSPLIT_FINAL_DESERIAL, clause,
										  (List *) extra->havingQual, &costs, groups));
	}
}

/*
 * Adds the engine's paths for grouping rel to grouped_rel, if it can run the query.
 */
static void
add_engine_paths(PlannerInfo *root, RelOptInfo *rel, RelOptInfo *grouped_rel,
				 GroupPathExtraData *extra)
{
	PathTarget *target;
	List *leaves;
	ListCell *cell;
	double groups = 1;
	Path *serial;
	Path *parallel = NULL;

	if ((extra->flags & GROUPING_CAN_PARTIAL_AGG) == 0)
		return;
	target = ba_plan_make_target(root, grouped_rel->reltarget, extra->havingQual);
	if (target == NULL || !ba_plan_is_supported(root, rel, target))
		return;
	leaves = ba_plan_find_leaves(root, rel);
	if (leaves == NIL)
		return;
	foreach (cell, leaves)
	{
		RelOptInfo *leaf = lfirst(cell);

		if (!ba_plan_is_supported_leaf(
				root, leaf, leaf == rel ? target : translate_target(root, leaf, rel, target)))
			return;
	}

	if (root->parse->groupClause != NIL)
		groups = estimate_num_groups(
			root, get_sortgrouplist_exprs(ba_processed_group_clause(root), root->processed_tlist),
			rel->rows, NULL, NULL);
	serial = make_partial_path(root, rel, target, leaves, groups, false);
	if (rel->consider_parallel && grouped_rel->consider_parallel)
		parallel = make_partial_path(root, rel, target, leaves, groups, true);

	if (batchagg_debug_force_engine)
	{
		grouped_rel->pathlist = NIL;
		grouped_rel->partial_pathlist = NIL;
	}
	add_final_paths(root, grouped_rel, serial, extra, groups);
	if (parallel != NULL)
	{
		double rows = parallel->rows * parallel->parallel_workers;
		Path *gather =
			(Path *) create_gather_path(root, grouped_rel, parallel, target, NULL, &rows);

		add_final_paths(root, grouped_rel, gather, extra, groups);
	}
}

static void
create_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
				   RelOptInfo *output_rel, void *extra)
{
	if (previous_hook != NULL)
		previous_hook(root, stage, input_rel, output_rel, extra);
	if (batchagg_enabled && stage == UPPERREL_GROUP_AGG && extra != NULL)
		add_engine_paths(root, input_rel, output_rel, extra);
}

/*
 * Installs the hooks of the planner.
 */
void
ba_plan_init(void)
{
	previous_hook = create_upper_paths_hook;
	create_upper_paths_hook = create_upper_paths;
	ba_plan_init_known();
	ba_plan_init_jit();
}
