/*
 * scan_internal.h
 *		What the files of the scan share: a BaScan from within.
 */
#ifndef SCAN_INTERNAL_H
#define SCAN_INTERNAL_H

#include "access/htup_details.h"
#include "storage/buf.h"
#include "storage/bufpage.h"

#include "scan.h"
#include "scan_prefetch.h"

/*
 * A vector takes pages until it has enough rows to make small what is done once a vector, but not
 * too many pages. Two vectors' are pinned at a time: a backend keeps track of eight pins without a
 * hash table, which matters little where rows are wide, and a scan of a table that is large for the
 * buffer pool has a ring of 32 buffers or more to reuse.
 */
#define BA_VECTOR_ENOUGH 384
#define BA_VECTOR_PAGES 8

/* A pinned page and the rows that are its visible tuples. */
typedef struct BaPage
{
	Buffer buffer;
	Page page;
	int first;        /* row */
	int n;            /* rows */
	bool all_visible; /* to the snapshot, by the page's flag */
	bool unread;      /* its tuples have not been looked at, therefore */
	bool dense;       /* the tuples of line pointers 1 to n; else of those listed */
	bool prefetch;    /* unread, and most lines of its tuples will be wanted */
} BaPage;

/* The visible tuples of some pinned pages. */
typedef struct BaTuples
{
	int n;
	int npages;
	BaPage pages[BA_VECTOR_PAGES];
	OffsetNumber offsets[BA_VECTOR_ROWS]; /* line pointers of rows on pages that are not dense */
} BaTuples;

typedef struct BaColumn BaColumn;

/* The rows at hand as scan_column.c sees them; its header tells how they are used. */
typedef struct BaCursor
{
	bool prepared;              /* the fields below are set */
	bool incomplete;            /* some row has nulls, or fewer attributes than the table */
	int prefix;                 /* leading attributes that stand at the same offset in every row */
	int walked;                 /* attributes that `reached` is behind; -1: not set */
	bool walks;                 /* most rows were walked over; before `prepared`: those before */
	int asked_pages;            /* of those ahead; the rest is left to a walk */
	char *data[BA_VECTOR_ROWS]; /* where a row's first attribute begins */
	char *reached[BA_VECTOR_ROWS];           /* the end of attribute walked - 1 */
	HeapTupleHeader headers[BA_VECTOR_ROWS]; /* of all rows found */
	const bits8 *bits[BA_VECTOR_ROWS]; /* incomplete only: the null bitmap, or one without nulls */
	uint16 natts[BA_VECTOR_ROWS];      /* incomplete only: attributes that the row has */
	bool absent[BA_VECTOR_ROWS];       /* scratch: null or missing */
} BaCursor;

struct BaScan
{
	BaRows rows; /* first: functions of BaRowsOps get a BaRows */
	Relation rel;
	Snapshot snapshot;
	ParallelTableScanDesc parallel;
	MemoryContext memory;
	BaScanCounts counts;

	/* scan_page.c */
	TableScanDesc desc; /* NULL until the first rows are asked for */
	int max_pages;      /* of a vector */
	bool reading;       /* core's scan has been put at its first page */
	bool at_end;        /* there are no more pages */
	bool keep_pages;    /* in the buffer pool */
	bool limited;       /* to the TIDs from first to last */
	ItemPointerData first;
	ItemPointerData last;
	BaTuples *tuples; /* that the rows at hand came from */
	BaTuples *ahead;  /* that the next rows will come from */
	Page last_page;   /* read last, with visible tuples or without */
	int reach;        /* bytes at the head of a tuple that columns were taken from */

	/* scan_buffer.c */
	bool begun;        /* block is set */
	BlockNumber block; /* read last */
	BaBufferTrack track;

	/* scan_unmap.c */
	Page read_from; /* pages that lie close together and were read */
	Page read_end;

	/* scan_visible.c */
	TransactionId visible_xmin; /* whose tuples are visible unless deleted; or invalid */

	/* scan_column.c */
	uint64 found_stamp; /* rows->stamp before any selection */
	BaCursor *cursor;
	uint16 origin[BA_VECTOR_ROWS + 1]; /* after a selection: a row's place in tuples */
	int natts;
	int nfixed;        /* leading attributes of fixed width */
	BaColumn *columns; /* of all attributes */
	int nwanted;
	int *wanted;          /* attributes that were asked for, in the order they were */
	HeapTupleData stored; /* in rows.slot */
};

/*
 * Returns the page that a row is on.
 */
static inline const BaPage *
ba_tuples_find_page(const BaTuples *tuples, int row)
{
	const BaPage *page = &tuples->pages[tuples->npages - 1];

	while (page->first > row)
		page--;
	return page;
}

/*
 * Returns the line pointer of a row of a page.
 */
static inline OffsetNumber
ba_page_offset(const BaTuples *tuples, const BaPage *page, int row)
{
	return page->dense ? FirstOffsetNumber + row - page->first : tuples->offsets[row];
}

/* in scan_prefetch.c */
extern void ba_prefetch_tuples(BaPrefetch *prefetch, const BaPage *page, int steps);
extern bool ba_prefetch_decide(const BaScan *scan, const BaTuples *tuples, const BaPage *page);

/* in scan_buffer.c */
extern Buffer ba_scan_next_buffer(BaScan *scan);

/* in scan_unmap.c */
extern void ba_scan_unmap(BaScan *scan, Page page);

/* in scan_visible.c */
extern void ba_scan_find_visible(BaScan *scan, BaPage *page, OffsetNumber *offsets, Page next);

/* in scan_column.c */
extern void ba_scan_init_columns(BaScan *scan);
extern void ba_scan_start_rows(BaScan *scan);
extern void ba_scan_store_row(BaRows *rows, int row);
extern const BaVector *ba_scan_load_column(BaRows *rows, AttrNumber attno);

#endif
