/*
 * scan_visible.c
 *		The visible tuples of a page.
 *
 * What core's sequential scan does with a page is done here in the same order:
 * prune it if that is due, and under a share lock find the tuples that the
 * snapshot sees and check them for serializable conflicts. Each test is core's own,
 * by its own function where one does anything but compare: a page that is marked all-visible
 * has only visible tuples, unless the snapshot was taken in recovery; a tuple
 * whose inserter is marked as committed, is before all that the snapshot takes for running,
 * and that nobody deleted, is visible; all other tuples HeapTupleSatisfiesVisibility
 * decides on.
 *
 * The tuples are not looked at where the page answers for them, and if all its
 * line pointers have a tuple not even a list is made: the page is dense.
 *
 * Once the lock is gone the tuples found stay where they are, and their line pointers
 * as they are, as long as the page is pinned.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/transam.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "scan_internal.h"

/*
 * Returns a line pointer as one word, which loops over many can compare.
 */
static inline uint32
line_word(unsigned offset, unsigned flags)
{
	ItemIdData line = {.lp_off = offset, .lp_flags = flags, .lp_len = 0};
	uint32 word;

	StaticAssertStmt(sizeof(line) == sizeof(word), "a line pointer is a word");
	memcpy(&word, &line, sizeof(word));
	return word;
}

/*
 * Tells whether all of a page's line pointers have tuples.
 */
static bool
all_lines_normal(const uint32 *lines, int n)
{
	uint32 normal = line_word(0, LP_NORMAL);
	uint32 mask = line_word(0, 0x3);
	uint32 differ = 0;

	for (int i = 0; i < n; i++)
		differ |= lines[i] ^ normal;
	return (differ & mask) == 0;
}

/*
 * Tells whether a tuple is visible, having been inserted by who is known to be committed for the
 * snapshot and deleted by nobody. If not, it may be visible all the same.
 */
static inline bool
is_surely_visible(BaScan *scan, HeapTupleHeader header)
{
	TransactionId xmin;

	if ((header->t_infomask & (HEAP_XMIN_COMMITTED | HEAP_XMAX_INVALID)) !=
		(HEAP_XMIN_COMMITTED | HEAP_XMAX_INVALID))
		return false;
	if (HeapTupleHeaderXminFrozen(header))
		return true;
	xmin = HeapTupleHeaderGetRawXmin(header);
	if (xmin == scan->visible_xmin)
		return true;
	if (!TransactionIdPrecedes(xmin, scan->snapshot->xmin))
		return false;
	scan->visible_xmin = xmin;
	return true;
}

/*
 * Lists the visible tuples of a page by their offsets: returns how many. The page is locked.
 */
static int
list_visible(BaScan *scan, Buffer buffer, bool all_visible, bool serializable,
			 OffsetNumber *offsets, Page next)
{
	Page page = BufferGetPage(buffer);
	BlockNumber block = BufferGetBlockNumber(buffer);
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	BaPrefetch prefetch;
	int n = 0;

	/* Half of the tuples suffice: that page is the next to be looked at. */
	prefetch.left = 0;
	if (!all_visible && next != NULL)
		ba_prefetch_start(&prefetch, next, next + BLCKSZ, (last + 1) / 2);

	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		ItemId line = PageGetItemId(page, offset);
		HeapTupleData tuple;
		bool visible;

		ba_prefetch_step(&prefetch);
		if (!ItemIdIsNormal(line))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, line);
		tuple.t_len = ItemIdGetLength(line);
		tuple.t_tableOid = RelationGetRelid(scan->rel);
		ItemPointerSet(&tuple.t_self, block, offset);
		visible = all_visible || is_surely_visible(scan, tuple.t_data) ||
				  HeapTupleSatisfiesVisibility(&tuple, scan->snapshot, buffer);
		if (serializable)
			HeapCheckForSerializableConflictOut(visible, scan->rel, &tuple, buffer, scan->snapshot);
		if (visible)
			offsets[n++] = offset;
	}
	return n;
}

/*
 * Drops from a list the tuples that are not in the scan's range of TIDs: returns how many are left.
 */
static int
drop_outside(const BaScan *scan, BlockNumber block, OffsetNumber *offsets, int n)
{
	OffsetNumber first = FirstOffsetNumber;
	OffsetNumber last = MaxOffsetNumber;
	int kept = 0;

	if (block == ItemPointerGetBlockNumberNoCheck(&scan->first))
		first = ItemPointerGetOffsetNumberNoCheck(&scan->first);
	if (block == ItemPointerGetBlockNumberNoCheck(&scan->last))
		last = ItemPointerGetOffsetNumberNoCheck(&scan->last);
	for (int i = 0; i < n; i++)
		if (offsets[i] >= first && offsets[i] <= last)
			offsets[kept++] = offsets[i];
	return kept;
}

/*
 * Tells whether a page may have tuples outside of the scan's range of TIDs.
 */
static inline bool
is_at_limit(const BaScan *scan, BlockNumber block)
{
	return scan->limited && (block == ItemPointerGetBlockNumberNoCheck(&scan->first) ||
							 block == ItemPointerGetBlockNumberNoCheck(&scan->last));
}

/*
 * Finds the visible tuples of a pinned page: sets page->n and what the page is, and unless dense lists their line
 * pointers in offsets, which has room for MaxHeapTuplesPerPage. `next` is the page that probably comes
 * after it, or NULL.
 */
void
ba_scan_find_visible(BaScan *scan, BaPage *page, OffsetNumber *offsets, Page next)
{
	Buffer buffer = page->buffer;
	BlockNumber block = BufferGetBlockNumber(buffer);
	bool serializable;

	heap_page_prune_opt(scan->rel, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	ba_test_for_old_snapshot(scan->snapshot, scan->rel, page->page);

	page->n = PageGetMaxOffsetNumber(page->page);
	page->all_visible = PageIsAllVisible(page->page) && !scan->snapshot->takenDuringRecovery;
	serializable = CheckForSerializableConflictOutNeeded(scan->rel, scan->snapshot);
	page->unread = page->all_visible && !serializable;
	page->dense =
		page->unread && !is_at_limit(scan, block) &&
		all_lines_normal((const uint32 *) PageGetItemId(page->page, FirstOffsetNumber), page->n);
	if (!page->dense)
		page->n = list_visible(scan, buffer, page->all_visible, serializable, offsets, next);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	if (is_at_limit(scan, block))
		page->n = drop_outside(scan, block, offsets, page->n);
	pgstat_count_index_tuples(scan->rel, page->n); /* what tables return is counted there, too */
}
