/*
 * node_parallel.c
 *		A BatchAgg below Gather: sharing the scan, and bringing counts home.
 *
 * Processes share nothing but the place of the parallel scan. For EXPLAIN ANALYZE
 * each worker leaves its counts in shared memory when it ends; the leader adds
 * them up when it shuts the node down, or rescans, after the workers have ended.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/tableam.h"

#include "node.h"

/*
 * The bytes before the scan's part.
 */
static Size
shared_size(int nworkers)
{
	return MAXALIGN(
		add_size(offsetof(BaNodeShared, counts), mul_size(sizeof(BaNodeCounts), nworkers)));
}

Size
ba_node_estimate_dsm(CustomScanState *css, ParallelContext *pcxt)
{
	return add_size(
		shared_size(pcxt->nworkers),
		table_parallelscan_estimate(css->ss.ss_currentRelation, css->ss.ps.state->es_snapshot));
}

static void
find_shared(BaNode *node, void *coordinate)
{
	node->shared = coordinate;
	node->parallel =
		(ParallelTableScanDesc) ((char *) coordinate + shared_size(node->shared->nworkers));
}

void
ba_node_initialize_dsm(CustomScanState *css, ParallelContext *pcxt, void *coordinate)
{
	BaNode *node = (BaNode *) css;
	BaNodeShared *shared = coordinate;

	shared->nworkers = pcxt->nworkers;
	memset(shared->counts, 0, sizeof(BaNodeCounts) * pcxt->nworkers);
	find_shared(node, coordinate);
	table_parallelscan_initialize(css->ss.ss_currentRelation, node->parallel,
								  css->ss.ps.state->es_snapshot);
}

/*
 * Adds the counts that workers left to the leader's, and forgets them.
 */
static void
add_worker_counts(BaNode *node)
{
	BaNodeCounts *all = &node->all_counts;

	for (int i = 0; i < node->shared->nworkers; i++)
	{
		BaNodeCounts *one = &node->shared->counts[i];

		all->scan.rows += one->scan.rows;
		all->scan.pages += one->scan.pages;
		all->scan.all_visible_pages += one->scan.all_visible_pages;
		all->scan.vectors += one->scan.vectors;
		all->filtered += one->filtered;
		all->core_rows += one->core_rows;
		all->groups += one->groups;
		all->flushes += one->flushes;
		all->memory = Max(all->memory, one->memory);
		memset(one, 0, sizeof(BaNodeCounts));
	}
}

void
ba_node_reinitialize_dsm(CustomScanState *css, ParallelContext *pcxt, void *coordinate)
{
	BaNode *node = (BaNode *) css;

	add_worker_counts(node);
	table_parallelscan_reinitialize(css->ss.ss_currentRelation, node->parallel);
}

void
ba_node_initialize_worker(CustomScanState *css, shm_toc *toc, void *coordinate)
{
	find_shared((BaNode *) css, coordinate);
}

void
ba_node_shutdown(CustomScanState *css)
{
	BaNode *node = (BaNode *) css;

	if (node->shared == NULL)
		return;
	if (IsParallelWorker())
	{
		ba_node_collect_counts(node);
		node->shared->counts[ParallelWorkerNumber] = node->counts;
	}
	else
		add_worker_counts(node);
	node->shared = NULL;
}
