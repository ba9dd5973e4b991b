/*
 * scan.h
 *		Heap pages -> visible tuples -> rows whose columns can be loaded.
 *
 * A BaScan walks one heap like a sequential scan: the same pages (serial
 * or parallel, synchronised with other scans or not), read into the same buffers,
 * pruned and locked as there, with visibility decided a page at a time by core's
 * tests (scan_buffer.c, scan_visible.c). The visible tuples of a few pages
 * become one BaRows, and columns are taken from the tuples when an expression
 * first asks for them (scan_column.c). A filter drops rows in between, so that
 * later columns are fetched for surviving rows only.
 *
 * Who only wants to know where tuples are goes from page to page by
 * ba_scan_next_page instead.
 *
 * Invariants: the pages of the current rows stay pinned until the next call of
 * ba_scan_next, ba_scan_next_page, ba_scan_rescan or ba_scan_end, so pointers into them stay good;
 * tuples whose visibility was decided do not move while their page is pinned.
 */
#ifndef SCAN_H
#define SCAN_H

#include "access/relscan.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "vector.h"

typedef struct BaScan BaScan;

typedef struct BaScanCounts
{
	uint64 rows;              /* visible tuples */
	uint64 pages;             /* pages that had any */
	uint64 all_visible_pages; /* of these, marked all-visible */
	uint64 vectors;           /* calls of ba_scan_next that gave rows */
} BaScanCounts;

/* in scan_page.c */
extern BaScan *ba_scan_begin(Relation rel, Snapshot snapshot, ParallelTableScanDesc parallel);
extern void ba_scan_keep_pages(BaScan *scan);
extern void ba_scan_limit(BaScan *scan, ItemPointer first, ItemPointer last);
extern bool ba_scan_next(BaScan *scan);
extern int ba_scan_next_page(BaScan *scan);
extern void ba_scan_get_tid(const BaScan *scan, int row, ItemPointer tid);
extern void ba_scan_get_row_tid(const BaScan *scan, int row, ItemPointer tid);
extern void ba_scan_select(BaScan *scan, const BaVector *condition);
extern void ba_scan_rescan(BaScan *scan);
extern void ba_scan_end(BaScan *scan);
extern BaRows *ba_scan_rows(BaScan *scan);
extern const BaScanCounts *ba_scan_counts(const BaScan *scan);

/*
 * Where a page was found in the buffer pool last: pages read one after the other often lie side by side. All
 * zeros before the first.
 */
typedef struct BaBufferTrack
{
	Buffer buffer;
	BlockNumber block;
	int step; /* from the buffer of a block to that of the next; 0: not known */
} BaBufferTrack;

/* Buffers that lie further apart have nothing to do with each other. */
#define BA_LONGEST_STEP 16

/* in scan_buffer.c */
extern Buffer ba_scan_try_buffer(Relation rel, BlockNumber block, BufferAccessStrategy strategy,
								 const BaBufferTrack *track);
extern void ba_scan_track_buffer(BaBufferTrack *track, BlockNumber block, Buffer buffer);

/* in scan_filter.c: conjuncts in the order given, each on what the ones before left */
typedef struct BaFilter BaFilter;

extern BaFilter *ba_filter_create(BaExprProgram *program, List *conjuncts);
extern uint64 ba_filter_apply(BaFilter *filter, BaScan *scan); /* rows dropped */

#endif
