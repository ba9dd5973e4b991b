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
 * ones, which it adds before it needs them and when nobody else is adding any. What is left of them it gives to the map in
 * the end; after an error the process's next BatchInsert goes on with them, if it is on the same table. What is lost, if not, or as the
 * process ends, VACUUM finds, as it does the rows that were stored before an error.
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

/* How many pages a process looks for: enough for the rows that it keeps, and for as many again. */
#define ENOUGH_PAGES (2 * (MAX_BYTES / BLCKSZ + 1))

/* How many it adds at a time at most. Others, who cannot meanwhile, have enough for so long. */
#define MAX_NEW_PAGES (2 * ENOUGH_PAGES)

/* How much room in a page is worth telling others of. */
#define WORTH_TELLING (BLCKSZ / 16)

/* A page for this process to fill. */
typedef struct PageToFill
{
	BlockNumber block;
	int room; /* for rows with their line pointers, as far as is known */
} PageToFill;

/* The pages that this process has. */
static struct
{
	Oid relid;
	Oid filenode;
	int n;
	PageToFill pages[ENOUGH_PAGES + MAX_NEW_PAGES]; /* the first is being filled */
} reserve;

typedef struct InsertNode
{
	CustomScanState css;
	ResultRelInfo *target;
	TupleDesc desc; /* of the target; not counted, for a thousand slots to share */
	int nkept;
	Size bytes;                      /* of rows kept */
	TupleTableSlot *slots[MAX_ROWS]; /* made when first needed */
	int nfilled;                     /* pages */
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
 * Looks at how much room a page has.
 */
static int
find_room(Relation rel, BlockNumber block)
{
	Buffer buffer = ReadBuffer(rel, block);
	int room;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	room = get_room(rel, PageGetHeapFreeSpace(BufferGetPage(buffer)));
	UnlockReleaseBuffer(buffer);
	return room;
}

/*
 * Takes a page that the free space map says is half empty, of the part that is to be filled. Returns whether there is one.
 */
static bool
take_page(Relation rel)
{
	Size half = BLCKSZ / 2 + RelationGetTargetPageFreeSpace(rel, HEAP_DEFAULT_FILLFACTOR);
	BlockNumber block = GetPageWithFreeSpace(rel, Min(half, MaxHeapTupleSize));

	if (block == InvalidBlockNumber)
		return false;
	reserve.pages[reserve.n++] =
		(PageToFill){block, get_room(rel, GetRecordedFreeSpace(rel, block))};
	RecordPageWithFreeSpace(rel, block, 0);
	return true;
}

/*
 * Adds empty pages to the table, unless that would be to wait for others who do, and need not be.
 */
static void
add_pages(Relation rel, int n, bool wait)
{
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
		reserve.pages[reserve.n++] =
			(PageToFill){BufferGetBlockNumber(buffer), get_room(rel, PageGetHeapFreeSpace(page))};
		UnlockReleaseBuffer(buffer);
	}
	UnlockRelationForExtension(rel, ExclusiveLock);
}

/*
 * Estimates how many pages more than there are the rows of the query take. What turns out to be too little grows by a quarter.
 */
static int
estimate_pages(InsertNode *node)
{
	Relation rel = node->target->ri_RelationDesc;
	const Plan *plan = ((PlanState *) linitial(node->css.custom_ps))->plan;
	Size row = MAXALIGN(SizeofHeapTupleHeader) + MAXALIGN(plan->plan_width) + sizeof(ItemIdData);
	Size page = RelationGetTargetPageUsage(rel, HEAP_DEFAULT_FILLFACTOR);
	double all = plan->plan_rows * row / page + 1;

	if (all < node->nfilled)
		all = node->nfilled + node->nfilled / 4;
	return (int) Min(all - node->nfilled, MAX_NEW_PAGES) - reserve.n;
}

/*
 * Sees to it that there are pages for the rows that are kept, and for as many again if more come, or at least one page, for
 * which others are waited for.
 */
static void
reserve_pages(InsertNode *node)
{
	Relation rel = node->target->ri_RelationDesc;
	int wanted = Min(node->bytes, MAX_BYTES) / BLCKSZ + 1; /* what is long goes elsewhere */
	int more;

	if (estimate_pages(node) > wanted)
		wanted *= 2;
	while (reserve.n < wanted && take_page(rel))
		;
	more = estimate_pages(node);
	if (reserve.n == 0)
		add_pages(rel, Max(more, 1), true);
	else if (reserve.n < wanted && more > 0)
		add_pages(rel, more, false);
}

/*
 * Takes over what pages an earlier BatchInsert had to leave behind, if it was on this table.
 */
static void
inherit_pages(Relation rel)
{
	BlockNumber nblocks;
	int n = 0;

	if (reserve.relid != RelationGetRelid(rel) || reserve.filenode != rel->rd_rel->relfilenode)
	{
		reserve.relid = RelationGetRelid(rel);
		reserve.filenode = rel->rd_rel->relfilenode;
		reserve.n = 0;
	}
	if (reserve.n == 0)
		return;
	nblocks = RelationGetNumberOfBlocks(rel); /* VACUUM may have cut it off */
	for (int i = 0; i < reserve.n; i++)
		if (reserve.pages[i].block < nblocks)
			reserve.pages[n++] = reserve.pages[i];
	reserve.n = n;
}

/*
 * Forgets a page.
 */
static void
forget_page(int i)
{
	reserve.n--;
	memmove(&reserve.pages[i], &reserve.pages[i + 1], sizeof(PageToFill) * (reserve.n - i));
}

/*
 * Forgets the first page. The free space map, which took it to be full, is told if it is not.
 */
static void
give_back_page(Relation rel)
{
	PageToFill page = reserve.pages[0];
	Size reserved = RelationGetTargetPageFreeSpace(rel, HEAP_DEFAULT_FILLFACTOR);

	forget_page(0);
	if (page.room < WORTH_TELLING)
		return;
	RecordPageWithFreeSpace(rel, page.block, page.room + reserved);
	FreeSpaceMapVacuumRange(rel, page.block, page.block + 1);
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
 * Returns how many of the rows kept, from one on, may go to one page, at least one. The table is told which page that is.
 */
static int
choose_page(InsertNode *node, int from)
{
	Relation rel = node->target->ri_RelationDesc;
	int empty = get_room(rel, BLCKSZ - SizeOfPageHeaderData - sizeof(ItemIdData));
	int to = from;
	int room;

	room = reserve.n > 0 ? reserve.pages[0].room : 0;
	if (reserve.n > 0 && room < get_row_size(node->slots[from]) && room < empty)
	{
		give_back_page(rel);
		node->nfilled++;
	}
	if (reserve.n == 0)
		reserve_pages(node);
	room = reserve.pages[0].room;
	for (; to < node->nkept; to++)
	{
		int size = get_row_size(node->slots[to]);

		if (to > from && room < size)
			break;
		room -= size + sizeof(ItemIdData);
	}
	RelationSetTargetBlock(rel, reserve.pages[0].block);
	return to - from;
}

/*
 * After some rows have been stored: learns how much room is left where the last of them went. That is another page than
 * was chosen if core found no room for it there.
 */
static void
look_at_page(Relation rel)
{
	BlockNumber block = RelationGetTargetBlock(rel);

	if (block != InvalidBlockNumber && block != reserve.pages[0].block)
	{
		reserve.pages[0].room = find_room(rel, reserve.pages[0].block);
		give_back_page(rel);
		for (int i = reserve.n - 1; i >= 0; i--) /* it may be another of them */
			if (reserve.pages[i].block == block)
				forget_page(i);
		memmove(&reserve.pages[1], &reserve.pages[0], sizeof(PageToFill) * reserve.n);
		reserve.n++;
		reserve.pages[0].block = block;
	}
	reserve.pages[0].room = find_room(rel, reserve.pages[0].block);
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
		if (!BA_MULTI_INSERT_ADDS_PAGES)
			look_at_page(rel);
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

	inherit_pages(node->target->ri_RelationDesc);
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
	/* to others, who may be at work meanwhile */
	while (reserve.n > 0)
		give_back_page(node->target->ri_RelationDesc);
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
