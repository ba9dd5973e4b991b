/*
 * scan_page.c
 *		From a heap to visible tuples, a few pages at a time.
 *
 * scan_buffer.c gives one page after the other and scan_visible.c its visible tuples.
 * The pages are in the same order, shared with the same workers and read into the same
 * buffers as in core's sequential scan, whose descriptor stands behind all this.
 *
 * The tuples of the next rows are found before the rows at hand are given to
 * the caller, so that the cache lines that columns will be taken from come meanwhile
 * (scan_prefetch.c). So the pages of two vectors are pinned.
 *
 * Memory: all in a context below the one that ba_scan_begin was called in.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "scan_internal.h"

static const BaRowsOps rows_ops = {ba_scan_load_column, ba_scan_store_row};

/*
 * Makes a scan of a heap, allocated below the current context. It starts when the first rows are
 * asked for: `parallel`, if not NULL, must have been initialised by then. The snapshot must stay
 * registered, and the relation open, until ba_scan_end.
 */
BaScan *
ba_scan_begin(Relation rel, Snapshot snapshot, ParallelTableScanDesc parallel)
{
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "BatchAgg scan", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(memory);
	BaScan *scan = palloc0(sizeof(BaScan));

	scan->rel = rel;
	scan->snapshot = snapshot;
	scan->parallel = parallel;
	scan->memory = memory;
	scan->tuples = palloc(sizeof(BaTuples));
	scan->ahead = palloc(sizeof(BaTuples));
	scan->tuples->n = scan->tuples->npages = 0;
	scan->ahead->n = scan->ahead->npages = 0;
	scan->rows.slot = table_slot_create(rel, NULL);
	scan->rows.memory = AllocSetContextCreate(memory, "BatchAgg rows", ALLOCSET_DEFAULT_SIZES);
	scan->rows.ops = &rows_ops;

	/* Where buffers are very few, leave most to others, and to other scans of this process. */
	scan->max_pages =
		Max(1, Min(BA_VECTOR_PAGES, RelationUsesLocalBuffers(rel) ? num_temp_buffers / 64
																  : NBuffers / (4 * MaxBackends)));

	ba_scan_init_columns(scan);
	MemoryContextSwitchTo(caller);
	return scan;
}

/*
 * Lets a limited scan of a table that is large for the buffer pool leave its pages there all the same,
 * as they will be read again soon. To be called before ba_scan_limit.
 */
void
ba_scan_keep_pages(BaScan *scan)
{
	Assert(scan->desc == NULL);
	scan->keep_pages = true;
}

/*
 * Starts core's scan.
 */
static void
start(BaScan *scan)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->memory);

	if (scan->parallel != NULL)
		scan->desc = table_beginscan_parallel(scan->rel, scan->parallel);
	else if (scan->limited)
		/* not in step with other scans, which would begin anywhere */
		scan->desc =
			table_beginscan_strat(scan->rel, scan->snapshot, 0, NULL, !scan->keep_pages, false);
	else
		scan->desc = table_beginscan(scan->rel, scan->snapshot, 0, NULL);
	if (scan->snapshot->snapshot_type != SNAPSHOT_MVCC)
		elog(ERROR, "scan has no MVCC snapshot");
	MemoryContextSwitchTo(caller);
}

/*
 * Limits the scan to the pages of a range of TIDs. Core's scan must be at its start.
 */
static void
limit_pages(BaScan *scan)
{
	HeapScanDesc heap = (HeapScanDesc) scan->desc;
	BlockNumber first = ItemPointerGetBlockNumberNoCheck(&scan->first);
	BlockNumber last = ItemPointerGetBlockNumberNoCheck(&scan->last);

	if (ItemPointerCompare(&scan->first, &scan->last) > 0 || first >= heap->rs_nblocks)
		scan->at_end = true;
	else
		heap_setscanlimits(scan->desc, first, Min(last, heap->rs_nblocks - 1) - first + 1);
}

/*
 * Returns the page that probably comes after this one, NULL if nothing speaks for any: pages that were
 * read into the buffer pool one after the other often lie so, up or down, with others between them or not. This is
 * for prefetching alone, where a wrong guess costs next to nothing, so it does without the blocks that
 * scan_buffer.c keeps account of.
 */
static Page
expect_page(BaScan *scan, Page page)
{
	const intptr_t longest = BA_LONGEST_STEP * BLCKSZ;
	intptr_t step = (intptr_t) page - (intptr_t) scan->last_page;

	scan->last_page = page;
	return step >= -longest && step <= longest ? page + step : NULL;
}

/*
 * Adds the next page, pinned, if it has visible tuples; sets at_end if there is none.
 */
static void
add_page(BaScan *scan, BaTuples *tuples)
{
	BaPage *page = &tuples->pages[tuples->npages];
	Page next;

	page->buffer = ba_scan_next_buffer(scan);
	if (page->buffer == InvalidBuffer)
	{
		scan->at_end = true;
		return;
	}
	page->page = BufferGetPage(page->buffer);
	page->first = tuples->n;
	next = expect_page(scan, page->page);
	ba_scan_find_visible(scan, page, tuples->offsets + tuples->n, next);
	if (page->n == 0)
	{
		ReleaseBuffer(page->buffer);
		ba_scan_unmap(scan, page->page);
		return;
	}
	tuples->npages++;
	tuples->n += page->n;
	scan->counts.rows += page->n;
	scan->counts.pages++;
	scan->counts.all_visible_pages += page->all_visible;
	page->prefetch = false;
	if (page->unread)
	{
		page->prefetch = ba_prefetch_decide(scan, tuples, page);
		if (next != NULL)
		{
			/* the line pointers there; those of the next page are needed too soon */
			Page after_next = next + (next - page->page);

			ba_prefetch_lines(after_next, after_next + ((PageHeader) page->page)->pd_lower);
		}
	}
}

StaticAssertDecl(BA_VECTOR_ENOUGH + MaxHeapTuplesPerPage <= BA_VECTOR_ROWS,
				 "a page more than enough must have room");

/*
 * Fills `ahead` with the tuples of the next pages; none at the end of the table.
 */
static void
read_ahead(BaScan *scan)
{
	BaTuples *tuples = scan->ahead;

	while (!scan->at_end && tuples->npages < scan->max_pages && tuples->n < BA_VECTOR_ENOUGH)
		add_page(scan, tuples);
}

/*
 * Forgets tuples and lets go of their pages.
 */
static void
release(BaScan *scan, BaTuples *tuples)
{
	for (int i = 0; i < tuples->npages; i++)
		ba_scan_unmap(scan, tuples->pages[i].page);
	while (tuples->npages > 0)
		ReleaseBuffer(tuples->pages[--tuples->npages].buffer);
	tuples->n = 0;
}

/*
 * Lets go of the rows at hand.
 */
static void
release_rows(BaScan *scan)
{
	ExecClearTuple(scan->rows.slot);
	MemoryContextReset(scan->rows.memory);
	release(scan, scan->tuples);
}

/*
 * Limits the scan to the rows from first to last, both included; none if last is before first. To be
 * called before the first rows are asked for, and after a ba_scan_rescan where the range is another then. Not for
 * parallel scans.
 */
void
ba_scan_limit(BaScan *scan, ItemPointer first, ItemPointer last)
{
	Assert(scan->parallel == NULL && !scan->reading);
	scan->limited = true;
	scan->first = *first;
	scan->last = *last;
}

/*
 * Starts core's scan at its first page, unless that was done.
 */
static void
begin_reading(BaScan *scan)
{
	if (scan->reading)
		return;
	if (scan->desc == NULL)
		start(scan);
	if (scan->limited)
		limit_pages(scan);
	scan->reading = true;
}

/*
 * Sets ba_scan_rows() to the next rows; false if there are none.
 */
bool
ba_scan_next(BaScan *scan)
{
	BaTuples *next;

	if (!scan->reading)
	{
		begin_reading(scan);
		read_ahead(scan);
	}

	release_rows(scan);
	next = scan->ahead;
	scan->ahead = scan->tuples;
	scan->tuples = next;
	scan->rows.n = next->n;
	ba_scan_start_rows(scan);
	if (next->n == 0)
		return false;
	read_ahead(scan);
	scan->counts.vectors++;
	return true;
}

/*
 * Moves to the next page that has visible tuples and returns their number, 0 at the end. Not to be mixed
 * with ba_scan_next.
 */
int
ba_scan_next_page(BaScan *scan)
{
	begin_reading(scan);
	release(scan, scan->tuples);
	while (!scan->at_end && scan->tuples->n == 0)
		add_page(scan, scan->tuples);
	return scan->tuples->n;
}

/*
 * Sets *tid to where the tuple of a row is that was found, counted before any selection.
 */
void
ba_scan_get_tid(const BaScan *scan, int row, ItemPointer tid)
{
	const BaPage *page = ba_tuples_find_page(scan->tuples, row);

	ItemPointerSet(tid, BufferGetBlockNumber(page->buffer),
				   ba_page_offset(scan->tuples, page, row));
}

/*
 * Lets the scan begin anew. A parallel scan must have been reinitialised.
 */
void
ba_scan_rescan(BaScan *scan)
{
	release_rows(scan);
	release(scan, scan->ahead);
	scan->rows.n = 0;
	if (scan->reading)
		table_rescan(scan->desc, NULL);
	scan->reading = false;
	scan->at_end = false;
	scan->begun = false;
}

/*
 * Ends the scan and frees all it has.
 */
void
ba_scan_end(BaScan *scan)
{
	release_rows(scan);
	release(scan, scan->ahead);
	ExecDropSingleTupleTableSlot(scan->rows.slot);
	if (scan->desc != NULL)
		table_endscan(scan->desc);
	MemoryContextDelete(scan->memory);
}

/*
 * Returns the rows at hand; the same address all the time.
 */
BaRows *
ba_scan_rows(BaScan *scan)
{
	return &scan->rows;
}

/*
 * Returns what was counted since ba_scan_begin, rescans included.
 */
const BaScanCounts *
ba_scan_counts(const BaScan *scan)
{
	return &scan->counts;
}
