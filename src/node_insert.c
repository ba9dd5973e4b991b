/*
 * node_insert.c
 *		The custom scan "BatchInsert": stores what its child gives, many rows at a time.
 *
 * Core's ModifyTable puts each row into the table, and into the WAL, by itself. Here rows are kept until there
 * are as many as COPY keeps, and go into the table page by page, with one WAL record a page. That takes half the
 * time, and processes that write at once meet at the WAL a hundred times less often.
 *
 * All that a row goes through is core's, in core's order for each row, but later: its constraints are checked when it
 * comes, it is stored and gets its index entries when some rows behind it have been read. plan_insert.c tells for which
 * commands that makes no difference.
 *
 * The node stands in the place of a ModifyTable without RETURNING: it returns no row, and counts those inserted.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "node.h"

#define INSERT_NODE_NAME "BatchInsert"

/* As many rows, or about as many bytes, are kept: what COPY does. */
#define MAX_ROWS 1000
#define MAX_BYTES 65535

/* How many pages are added to the table at most at a time. */
#define MAX_PAGES 128

typedef struct InsertNode
{
	CustomScanState css;
	ResultRelInfo *target;
	TupleDesc desc; /* of the target; not counted, for a thousand slots to share */
	int nkept;
	Size bytes;                      /* of rows kept */
	int reserved;                    /* pages that were added and not used yet */
	TupleTableSlot *slots[MAX_ROWS]; /* made when first needed */
} InsertNode;

static void
begin(CustomScanState *css, EState *estate, int eflags)
{
	InsertNode *node = (InsertNode *) css;
	CustomScan *cscan = (CustomScan *) css->ss.ps.plan;

	css->custom_ps = list_make1(ExecInitNode(linitial(cscan->custom_plans), estate, eflags));
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
		return;
	node->target = makeNode(ResultRelInfo);
	ExecInitResultRelation(estate, node->target, cscan->scan.scanrelid);
	ExecOpenIndices(node->target, false);
	node->desc = CreateTupleDescCopy(RelationGetDescr(node->target->ri_RelationDesc));
}

/*
 * Looks at the page beside one in the buffer pool, so that the kernel maps what lies around: it does so where a page is
 * read first, in pieces of 64 kB or so, but not where it is written to first, as those that are added are.
 */
static void
map_around(Page page)
{
	char *beside = (char *) ((uintptr_t) page ^ BLCKSZ);

	if (beside >= BufferBlocks && beside < BufferBlocks + (Size) NBuffers * BLCKSZ)
		(void) *(volatile char *) beside;
}

/*
 * Tells whether the table is known to have a page that is half empty, of the part that is to be filled.
 */
static bool
has_room(Relation rel)
{
	Size room = BLCKSZ / 2 + RelationGetTargetPageFreeSpace(rel, HEAP_DEFAULT_FILLFACTOR);

	return GetPageWithFreeSpace(rel, Min(room, MaxHeapTupleSize)) != InvalidBlockNumber;
}

/*
 * Adds empty pages to a table, for any process to fill, unless somebody else has done so. Returns how many.
 */
static int
add_pages(Relation rel, int n)
{
	BlockNumber first = InvalidBlockNumber;
	BlockNumber block = InvalidBlockNumber;

	LockRelationForExtension(rel, ExclusiveLock);
	if (has_room(rel))
		n = 0;
	for (int i = 0; i < n; i++)
	{
		Buffer buffer = ReadBufferExtended(rel, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, NULL);
		Page page = BufferGetPage(buffer);
		Size free;

		/* in no WAL: after a crash the page is a zeroed one, which is in order at a table's end */
		PageInit(page, BLCKSZ, 0);
		MarkBufferDirty(buffer);
		if (!BufferIsLocal(buffer))
			map_around(page);
		free = PageGetHeapFreeSpace(page);
		block = BufferGetBlockNumber(buffer);
		UnlockReleaseBuffer(buffer);
		RecordPageWithFreeSpace(rel, block, free);
		if (i == 0)
			first = block;
	}
	if (n > 0)
		FreeSpaceMapVacuumRange(rel, first, block + 1);
	UnlockRelationForExtension(rel, ExclusiveLock);
	return n;
}

/*
 * Estimates how many pages of a table the rows take that a plan gives; MAX_PAGES are enough.
 */
static int
estimate_pages(Relation rel, const Plan *plan)
{
	Size row = MAXALIGN(SizeofHeapTupleHeader) + MAXALIGN(plan->plan_width) + sizeof(ItemIdData);
	Size page = RelationGetTargetPageUsage(rel, HEAP_DEFAULT_FILLFACTOR);

	return (int) Min(plan->plan_rows * row / page + 1, MAX_PAGES);
}

/*
 * Sees to it that the table has pages for the rows that are kept. Where none with room is known of, those are added that
 * the query will take, or some of them: processes that write at once would otherwise wait for each other at every page.
 */
static void
reserve_pages(InsertNode *node)
{
	Relation rel = node->target->ri_RelationDesc;
	PlanState *child = linitial(node->css.custom_ps);
	int needed = Min(node->bytes, MAX_BYTES) / BLCKSZ + 1; /* what is long goes elsewhere */

	if (node->reserved < needed && !has_room(rel))
		node->reserved += add_pages(rel, Max(estimate_pages(rel, child->plan), needed));
	node->reserved = Max(node->reserved - needed, 0);
}

/*
 * Puts the rows that are kept into the table and its indexes.
 */
static void
flush(InsertNode *node)
{
	EState *estate = node->css.ss.ps.state;
	Relation rel = node->target->ri_RelationDesc;
	MemoryContext old;

	if (!BA_MULTI_INSERT_ADDS_PAGES)
		reserve_pages(node);
	/* may leave memory behind, says COPY; it goes with the next row */
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));
	table_multi_insert(rel, node->slots, node->nkept, estate->es_output_cid, 0, NULL);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < node->nkept; i++)
	{
		if (node->target->ri_NumIndices > 0)
		{
			ResetPerTupleExprContext(estate);
			list_free(ba_insert_index_tuples(node->target, node->slots[i], estate));
		}
		ExecClearTuple(node->slots[i]);
	}
	estate->es_processed += node->nkept;
	node->nkept = 0;
	node->bytes = 0;
}

/*
 * Keeps a row, if it meets the table's constraints.
 */
static void
keep_row(InsertNode *node, TupleTableSlot *row)
{
	Relation rel = node->target->ri_RelationDesc;
	TupleTableSlot **slot = &node->slots[node->nkept];

	if (*slot == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(node->css.ss.ps.state->es_query_cxt);

		*slot = MakeSingleTupleTableSlot(node->desc, table_slot_callbacks(rel));
		MemoryContextSwitchTo(old);
	}
	ExecCopySlot(*slot, row);
	/* a copy of a row that stands in a buffer would be a pin on that */
	ExecMaterializeSlot(*slot);
	(*slot)->tts_tableOid = RelationGetRelid(rel);
	if (rel->rd_att->constr != NULL)
		ExecConstraints(node->target, *slot, node->css.ss.ps.state);
	node->nkept++;
	node->bytes += ((HeapTupleTableSlot *) *slot)->tuple->t_len;
}

static TupleTableSlot *
execute(CustomScanState *css)
{
	InsertNode *node = (InsertNode *) css;
	PlanState *child = linitial(css->custom_ps);

	for (;;)
	{
		TupleTableSlot *row;

		ResetPerTupleExprContext(css->ss.ps.state);
		CHECK_FOR_INTERRUPTS();
		row = ExecProcNode(child);
		if (TupIsNull(row))
			break;
		keep_row(node, row);
		if (node->nkept == MAX_ROWS || node->bytes >= MAX_BYTES)
			flush(node);
	}
	if (node->nkept > 0)
		flush(node);
	return NULL;
}

/*
 * Indexes and the table are closed with the others that the query writes to.
 */
static void
end(CustomScanState *css)
{
	InsertNode *node = (InsertNode *) css;

	for (int i = 0; i < MAX_ROWS && node->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(node->slots[i]);
	ExecEndNode(linitial(css->custom_ps));
}

static void
rescan(CustomScanState *css)
{
	elog(ERROR, "%s cannot be run again", INSERT_NODE_NAME);
}

static const CustomExecMethods exec_methods = {
	.CustomName = INSERT_NODE_NAME,
	.BeginCustomScan = begin,
	.ExecCustomScan = execute,
	.EndCustomScan = end,
	.ReScanCustomScan = rescan,
};

/*
 * Makes the state of a BatchInsert; begin() does the rest.
 */
static Node *
create(CustomScan *cscan)
{
	InsertNode *node = (InsertNode *) newNode(sizeof(InsertNode), T_CustomScanState);

	node->css.methods = &exec_methods;
	return (Node *) node;
}

const CustomScanMethods ba_node_insert_scan_methods = {
	.CustomName = INSERT_NODE_NAME,
	.CreateCustomScanState = create,
};

/*
 * Makes the plan that inserts what another gives into a table of the query, with the costs of the plan that it stands for.
 */
Plan *
ba_node_make_insert(const Plan *instead_of, Plan *child, Index target)
{
	CustomScan *cscan = makeNode(CustomScan);
	NodeTag tag = nodeTag(cscan);

	cscan->scan.plan = *instead_of;
	cscan->scan.plan.type = tag;
	cscan->scan.plan.lefttree = NULL;
	cscan->scan.scanrelid = target;
	cscan->custom_relids = bms_make_singleton(target);
	cscan->custom_plans = list_make1(child);
	cscan->methods = &ba_node_insert_scan_methods;
	return &cscan->scan.plan;
}
