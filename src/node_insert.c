/*
 * node_insert.c
 *		The custom scan "BatchInsert": stores what its child gives, many rows at a time.
 *
 * Core's ModifyTable puts each row into the table, and into the WAL, by itself. Here rows are kept until there
 * are as many as COPY keeps, and go into the table page by page, with one WAL record a page. That takes half the
 * time, and processes that write at once meet at the WAL a hundred times less often.
 *
 * Nor do they meet at the table's end, where core before 16 adds a page at a time, while others wait. Each process has
 * pages of its own to fill: some that the free space map knows of, which others are not told of any more, else new
 * ones, which it adds before it needs them and when nobody else is adding any. What it did not need it gives to the map in
 * the end; what an error keeps it from giving back, VACUUM finds, as the rows that were stored before the error.
 *
 * All that a row goes through is core's, in core's order for each row, but later: its constraints are checked when it
 * comes, it is stored and gets its index entries when some rows behind it have been read. plan_insert.c tells for which
 * commands that makes no difference.
 *
 * The node stands in the place of a ModifyTable without RETURNING: it returns no row, and counts those inserted.
 */
#include "postgres.h"

#include "access/heaptoast.h"
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

/* How many pages a process wants to have: enough for the rows that it keeps, and as many again. */
#define ENOUGH_PAGES (2 * (MAX_BYTES / BLCKSZ + 1))

/* How many are added to the table at most at a time: others, who cannot meanwhile, have enough for so long. */
#define MAX_NEW_PAGES (2 * ENOUGH_PAGES)

/* How much room in a page is worth telling others of. */
#define WORTH_TELLING (BLCKSZ / 16)

/* A page for this process to fill. */
typedef struct PageToFill
{
	BlockNumber block;
	int room; /* for rows with their line pointers, as far as is known */
} PageToFill;

typedef struct InsertNode
{
	CustomScanState css;
	ResultRelInfo *target;
	TupleDesc desc; /* of the target; not counted, for a thousand slots to share */
	int nkept;
	Size bytes;                      /* of rows kept */
	TupleTableSlot *slots[MAX_ROWS]; /* made when first needed */

	int npages;
	PageToFill pages[ENOUGH_PAGES + MAX_NEW_PAGES]; /* the first is being filled */
	int nadded;                                     /* pages added to the table */
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
 * Returns how much of a page's free space is for rows that are inserted.
 */
static int
get_room(Relation rel, Size free)
{
	return (int) free - (int) RelationGetTargetPageFreeSpace(rel, HEAP_DEFAULT_FILLFACTOR);
}

/*
 * Takes a page that the free space map says is half empty, of the part that is to be filled. Returns whether there is one.
 */
static bool
take_page(InsertNode *node)
{
	Relation rel = node->target->ri_RelationDesc;
	Size half = BLCKSZ / 2 + RelationGetTargetPageFreeSpace(rel, HEAP_DEFAULT_FILLFACTOR);
	BlockNumber block = GetPageWithFreeSpace(rel, Min(half, MaxHeapTupleSize));

	if (block == InvalidBlockNumber)
		return false;
	node->pages[node->npages++] =
		(PageToFill){block, get_room(rel, GetRecordedFreeSpace(rel, block))};
	RecordPageWithFreeSpace(rel, block, 0);
	return true;
}

/*
 * Adds empty pages to the table, unless that would be to wait for others who do, and need not be.
 */
static void
add_pages(InsertNode *node, int n, bool wait)
{
	Relation rel = node->target->ri_RelationDesc;

	if (wait)
		LockRelationForExtension(rel, ExclusiveLock);
	else if (!ConditionalLockRelationForExtension(rel, ExclusiveLock))
		return;
	for (int i = 0; i < n; i++)
	{
		Buffer buffer = ReadBufferExtended(rel, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, NULL);
		Page page = BufferGetPage(buffer);

		/* in no WAL: after a crash the page is a zeroed one, which is in order at a table's end */
		PageInit(page, BLCKSZ, 0);
		MarkBufferDirty(buffer);
		if (!BufferIsLocal(buffer))
			map_around(page);
		node->pages[node->npages++] =
			(PageToFill){BufferGetBlockNumber(buffer), get_room(rel, PageGetHeapFreeSpace(page))};
		UnlockReleaseBuffer(buffer);
	}
	UnlockRelationForExtension(rel, ExclusiveLock);
	node->nadded += n;
}

/*
 * Estimates how many pages more than were added so far the rows of the query take.
 */
static double
estimate_pages(InsertNode *node)
{
	Relation rel = node->target->ri_RelationDesc;
	const Plan *plan = ((PlanState *) linitial(node->css.custom_ps))->plan;
	Size row = MAXALIGN(SizeofHeapTupleHeader) + MAXALIGN(plan->plan_width) + sizeof(ItemIdData);
	Size page = RelationGetTargetPageUsage(rel, HEAP_DEFAULT_FILLFACTOR);

	return plan->plan_rows * row / page + 1 - node->nadded;
}

/*
 * Sees to it that there are enough pages, or at least one, for which others are waited for.
 */
static void
reserve_pages(InsertNode *node)
{
	double more;

	while (node->npages < ENOUGH_PAGES && take_page(node))
		;
	more = Min(estimate_pages(node), MAX_NEW_PAGES);
	if (node->npages == 0)
		add_pages(node, (int) Max(more, 1), true);
	else if (node->npages < ENOUGH_PAGES && more >= 1)
		add_pages(node, (int) more, false);
}

/*
 * Forgets the first page. The free space map, which took it to be full, is told if it is not.
 */
static void
give_back_page(InsertNode *node)
{
	Relation rel = node->target->ri_RelationDesc;
	Size reserved = RelationGetTargetPageFreeSpace(rel, HEAP_DEFAULT_FILLFACTOR);

	if (node->pages[0].room >= WORTH_TELLING)
		RecordPageWithFreeSpace(rel, node->pages[0].block, node->pages[0].room + reserved);
	node->npages--;
	memmove(&node->pages[0], &node->pages[1], sizeof(PageToFill) * node->npages);
}

/*
 * Gives all pages back, for others to find them.
 */
static void
give_back_pages(InsertNode *node)
{
	BlockNumber first = InvalidBlockNumber;
	BlockNumber last = 0;

	if (node->npages == 0)
		return;
	while (node->npages > 0)
	{
		first = Min(first, node->pages[0].block);
		last = Max(last, node->pages[0].block);
		give_back_page(node);
	}
	FreeSpaceMapVacuumRange(node->target->ri_RelationDesc, first, last + 1);
}

/*
 * Returns how much of a page the row in a slot takes, apart from its line pointer.
 */
static int
get_row_size(TupleTableSlot *slot)
{
	Size size = ((HeapTupleTableSlot *) slot)->tuple->t_len;

	return MAXALIGN(Min(size, TOAST_TUPLE_TARGET)); /* what is longer goes elsewhere, if it can */
}

/*
 * Returns how many of the rows kept, from one on, go to one page, at least one. The table is told which page that is. It is a
 * matter of speed alone: where there is less room than is known, core looks for another page.
 */
static int
choose_page(InsertNode *node, int from)
{
	int to = from;

	if (node->npages > 0 && node->pages[0].room < get_row_size(node->slots[from]))
		give_back_page(node);
	if (node->npages == 0)
		reserve_pages(node);
	for (; to < node->nkept; to++)
	{
		int size = get_row_size(node->slots[to]);

		if (to > from && node->pages[0].room < size)
			break;
		node->pages[0].room -= size + sizeof(ItemIdData);
	}
	RelationSetTargetBlock(node->target->ri_RelationDesc, node->pages[0].block);
	return to - from;
}

/*
 * Puts the rows that are kept into the table and its indexes.
 */
static void
flush(InsertNode *node)
{
	EState *estate = node->css.ss.ps.state;
	Relation rel = node->target->ri_RelationDesc;
	int n;

	if (!BA_MULTI_INSERT_ADDS_PAGES)
		reserve_pages(node);
	for (int from = 0; from < node->nkept; from += n)
	{
		/* may leave memory behind, says COPY; it goes with the next row */
		MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

		n = BA_MULTI_INSERT_ADDS_PAGES ? node->nkept : choose_page(node, from);
		table_multi_insert(rel, node->slots + from, n, estate->es_output_cid, 0, NULL);
		MemoryContextSwitchTo(old);
	}
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
	give_back_pages(node);
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
