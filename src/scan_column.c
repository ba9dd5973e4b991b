/*
 * scan_column.c
 *		From tuples to columns.
 *
 * An attribute's place in a tuple depends on what stands before it. For the
 * rows at hand the attributes fall into two parts:
 *
 *		prefix		fixed-width attributes that every row has and that have only
 *					such before them: at the same offset in each row, so a column is
 *					one tight loop
 *		the rest	reached by walking, one attribute after the other, each for a block
 *					of rows: that keeps width and alignment out of the inner loop, and
 *					rows do not wait for each other. A block stays in the first level of
 *					the cache meanwhile. Where the walk got to is remembered, so no
 *					attribute is walked over twice.
 *
 * A column that was asked for once is wanted, and from then on it is stored
 * when a walk comes by. Rows with nulls or with fewer attributes than the table
 * make the vector incomplete: then the walk asks each row whether it has the attribute.
 *
 * A selection makes the rows fewer and dense again. Columns that were loaded before
 * any selection follow when they are asked for again, by way of origin[]; often
 * they are not, being the filter's. The others follow at once.
 *
 * Values by reference point into the page, or to the relation's default for rows
 * that are older than their column.
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "scan_internal.h"

/* How a value is read. */
typedef enum Fetch
{
	FETCH_INT1,
	FETCH_INT2,
	FETCH_INT4,
	FETCH_INT8,
	FETCH_FLOAT4,
	FETCH_FLOAT8,
	FETCH_POINTER,
} Fetch;

struct BaColumn
{
	/* of every attribute, dropped ones too */
	int len;       /* -1 varlena, -2 cstring */
	uint32 align;  /* bytes */
	uint32 offset; /* in the prefix; past it, where the prefix ends */
	bool wanted;   /* the fields below are set */

	Fetch fetch;
	uint64 stamp; /* rows that the vector is of */
	BaVector vector;
	bool *nulls;  /* buffer */
	bool storing; /* the walk under way stores it */
	bool missing_isnull;
	Datum missing; /* value in rows that are older than the column */
};

/* How many rows are walked over at a time. */
#define WALK_ROWS 64

/* So many rows are looked at for one that a condition drops, before stopping at one. */
#define TRUE_ROWS 64

/* A page ahead is asked for over so many rows, a line at each, if a walk can ask for the rest. */
#define ROWS_PER_PAGE_AHEAD (BLCKSZ / BA_CACHE_LINE)

/* A bitmap without nulls, for rows that have none. */
static bits8 no_nulls[(MaxTupleAttributeNumber + 7) / 8];

static uint32
alignment_bytes(char align)
{
	switch (align)
	{
		case TYPALIGN_CHAR:
			return 1;
		case TYPALIGN_SHORT:
			return ALIGNOF_SHORT;
		case TYPALIGN_INT:
			return ALIGNOF_INT;
		default:
			return ALIGNOF_DOUBLE;
	}
}

/*
 * Lays out the columns of the scan's relation.
 */
void
ba_scan_init_columns(BaScan *scan)
{
	TupleDesc desc = RelationGetDescr(scan->rel);
	uint32 offset = 0;
	bool fixed = true;

	memset(no_nulls, 0xFF, sizeof(no_nulls));
	scan->natts = desc->natts;
	scan->cursor = palloc0(sizeof(BaCursor));
	scan->columns = palloc0(sizeof(BaColumn) * Max(1, desc->natts));
	scan->wanted = palloc(sizeof(int) * Max(1, desc->natts));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		BaColumn *column = &scan->columns[i];

		column->len = att->attlen;
		column->align = alignment_bytes(att->attalign);
		fixed &= att->attlen > 0;
		if (fixed)
		{
			column->offset = TYPEALIGN(column->align, offset);
			offset = column->offset + column->len;
			scan->nfixed = i + 1;
		}
		else
			column->offset = offset;
	}
}

/*
 * Forgets what is known of the rows before, after rows.n and tuples were set.
 */
void
ba_scan_start_rows(BaScan *scan)
{
	scan->rows.stamp++;
	scan->found_stamp = scan->rows.stamp;
	scan->cursor->prepared = false;
}

/*
 * Sets up what only incomplete rows need, and makes the prefix end before the first attribute that
 * some row lacks.
 */
static void
prepare_incomplete(BaScan *scan)
{
	BaCursor *cursor = scan->cursor;

	for (int i = 0; i < scan->rows.n; i++)
	{
		HeapTupleHeader header = cursor->headers[i];
		const bits8 *bits = no_nulls;
		int natts = Min(HeapTupleHeaderGetNatts(header), scan->natts);
		int prefix = Min(natts, cursor->prefix);

		if ((header->t_infomask & HEAP_HASNULL) != 0)
			bits = header->t_bits;
		for (int k = 0; k < prefix; k++)
			if (att_isnull(k, bits))
				prefix = k;
		cursor->prefix = prefix;
		cursor->bits[i] = bits;
		cursor->natts[i] = natts;
	}
}

/*
 * Finds out where the tuples of a page are.
 */
static void
find_headers(const BaTuples *tuples, const BaPage *page, HeapTupleHeader *headers)
{
	if (page->dense)
	{
		const ItemIdData *lines = PageGetItemId(page->page, FirstOffsetNumber);

		for (int i = 0; i < page->n; i++)
			headers[i] = (HeapTupleHeader) (page->page + lines[i].lp_off);
	}
	else
		for (int i = 0; i < page->n; i++)
		{
			ItemId line = PageGetItemId(page->page, tuples->offsets[page->first + i]);

			headers[i] = (HeapTupleHeader) PageGetItem(page->page, line);
		}
}

/*
 * Finds out where the rows begin and how much of them is alike: once for all rows found, before any
 * selection.
 */
static void
prepare(BaScan *scan)
{
	BaCursor *cursor = scan->cursor;
	BaTuples *tuples = scan->tuples;
	const BaTuples *ahead = scan->ahead;
	int pages = cursor->walks ? Min(ahead->npages, tuples->n / ROWS_PER_PAGE_AHEAD) : ahead->npages;
	int shares = Max(1, pages); /* of the rows, over which a page ahead is asked for */
	int row = 0;
	BaPrefetch prefetch;
	int infomask = 0;
	int natts = scan->natts;

	Assert(scan->rows.stamp == scan->found_stamp);
	for (int i = 0; i < tuples->npages; i++)
		find_headers(tuples, &tuples->pages[i], cursor->headers + tuples->pages[i].first);
	for (int share = 0; share < shares; share++)
	{
		int end = tuples->n * (share + 1) / shares;

		prefetch.left = 0;
		if (share < pages)
			ba_prefetch_tuples(&prefetch, &ahead->pages[share], end - row);
		for (; row < end; row++)
		{
			HeapTupleHeader header = cursor->headers[row];

			ba_prefetch_step(&prefetch);
			cursor->data[row] = (char *) header + header->t_hoff;
			infomask |= header->t_infomask;
			natts = Min(natts, HeapTupleHeaderGetNatts(header));
		}
	}
	cursor->asked_pages = pages;
	cursor->incomplete = (infomask & HEAP_HASNULL) != 0 || natts < scan->natts;
	cursor->prefix = scan->nfixed;
	if (cursor->incomplete)
		prepare_incomplete(scan);
	cursor->walked = -1;
	cursor->walks = false;
	cursor->prepared = true;
}

/*
 * Makes a column one that is wanted.
 */
static void
want_column(BaScan *scan, int index)
{
	BaColumn *column = &scan->columns[index];
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(scan->rel), index);
	MemoryContext caller = MemoryContextSwitchTo(scan->memory);
	BaType type = ba_vector_type(getBaseType(att->atttypid));
	Datum missing;

	Assert(att->attlen != -2); /* fetched by its length, or by its header's */
	ba_vector_init(&column->vector, type, type.lane);
	column->nulls = palloc(BA_VECTOR_ROWS);
	if (type.lane == BA_LANE_FLOAT)
		column->fetch = att->attlen == sizeof(float4) ? FETCH_FLOAT4 : FETCH_FLOAT8;
	else if (!att->attbyval)
		column->fetch = FETCH_POINTER;
	else if (att->attlen == sizeof(int8_t))
		column->fetch = FETCH_INT1;
	else if (att->attlen == sizeof(int16))
		column->fetch = FETCH_INT2;
	else if (att->attlen == sizeof(int32))
		column->fetch = FETCH_INT4;
	else
		column->fetch = FETCH_INT8;
	Assert((type.lane == BA_LANE_DATUM) == (column->fetch == FETCH_POINTER));
	missing = getmissingattr(RelationGetDescr(scan->rel), index + 1, &column->missing_isnull);
	if (!column->missing_isnull)
		column->missing = datumCopy(missing, att->attbyval, att->attlen);
	column->wanted = true;
	scan->wanted[scan->nwanted++] = index;

	/* Prefetching reaches this far from now on; past the prefix it is anybody's guess. */
	scan->reach = Max(scan->reach, SizeofHeapTupleHeader + 1 + (int) column->offset +
									   (index < scan->nfixed ? column->len : 32));
	MemoryContextSwitchTo(caller);
}

/*
 * Reads a value of each row: at data[i] + offset, or if `walk` at reached[i], which moves behind it;
 * zero where absent[i]. Inlined for each set of arguments given as constants.
 */
static pg_attribute_always_inline void
fetch_values(BaColumn *column, BaCursor *cursor, int from, int end, bool walk, const bool *absent)
{
	BaVector *vector = &column->vector;
	uint32 align = column->align;
	uint32 len = column->len;
	uint32 offset = column->offset;
	char **data = cursor->data;
	char **reached = cursor->reached;

#define FETCH(lane, type)                                                                          \
	for (int i = from; i < end; i++)                                                               \
	{                                                                                              \
		const char *at = walk ? (char *) TYPEALIGN(align, reached[i]) : data[i] + offset;          \
                                                                                                   \
		if (absent != NULL && absent[i])                                                           \
		{                                                                                          \
			lane[i] = 0;                                                                           \
			continue;                                                                              \
		}                                                                                          \
		lane[i] = type;                                                                            \
		if (walk)                                                                                  \
			reached[i] = (char *) at + len;                                                        \
	}
#define AS(type) *(const type *) at

	switch (column->fetch)
	{
		case FETCH_INT1:
			FETCH(vector->ints, AS(signed char));
			break;
		case FETCH_INT2:
			FETCH(vector->ints, AS(int16));
			break;
		case FETCH_INT4:
			FETCH(vector->ints, AS(int32));
			break;
		case FETCH_INT8:
			FETCH(vector->ints, AS(int64));
			break;
		case FETCH_FLOAT4:
			FETCH(vector->floats, AS(float4));
			break;
		case FETCH_FLOAT8:
			FETCH(vector->floats, AS(float8));
			break;
		case FETCH_POINTER:
			FETCH(vector->datums, PointerGetDatum(at));
			break;
	}

#undef AS
#undef FETCH
}

/*
 * Tells whether a varlena has to be fetched or decompressed.
 */
static inline bool
is_extended(Datum value)
{
	return VARATT_IS_EXTERNAL(DatumGetPointer(value)) ||
		   VARATT_IS_COMPRESSED(DatumGetPointer(value));
}

/*
 * Walks over a varlena of each row that has it, storing it if `store`. It is aligned unless its
 * header is short, and a short header is told from padding by not being zero. Inlined likewise.
 */
static pg_attribute_always_inline void
walk_varlena(BaColumn *column, BaCursor *cursor, int from, int end, bool store, const bool *absent)
{
	Datum *datums = column->vector.datums;
	char **reached = cursor->reached;
	bool extended = false;

	for (int i = from; i < end; i++)
	{
		char *at = reached[i];
		Size size;

		if (absent != NULL && absent[i])
		{
			if (store)
				datums[i] = (Datum) 0;
			continue;
		}
		if (likely(VARATT_IS_SHORT(at) && !VARATT_IS_EXTERNAL(at)))
			size = VARSIZE_SHORT(at);
		else
		{
			if (!VARATT_NOT_PAD_BYTE(at))
				at = (char *) TYPEALIGN(column->align, at);
			size = VARSIZE_ANY(at);
			extended |= is_extended(PointerGetDatum(at));
		}
		if (store)
			datums[i] = PointerGetDatum(at);
		reached[i] = at + size;
	}
	if (store)
		column->vector.extended |= extended;
}

/*
 * Walks over an attribute of another kind that nobody wants.
 */
static pg_attribute_always_inline void
walk_unwanted(const BaColumn *column, BaCursor *cursor, int from, int end, const bool *absent)
{
	uint32 align = column->align;
	uint32 len = column->len;
	char **reached = cursor->reached;

	for (int i = from; i < end; i++)
	{
		char *at = (char *) TYPEALIGN(align, reached[i]);

		if (absent != NULL && absent[i])
			continue;
		reached[i] = at + (column->len > 0 ? len : strlen(at) + 1);
	}
}

/*
 * Walks over an attribute; see walk_varlena.
 */
static pg_attribute_always_inline void
walk_attribute(BaColumn *column, BaCursor *cursor, int from, int end, bool store,
			   const bool *absent)
{
	if (column->len == -1)
	{
		if (store)
			walk_varlena(column, cursor, from, end, true, absent);
		else
			walk_varlena(column, cursor, from, end, false, absent);
	}
	else if (store)
		fetch_values(column, cursor, from, end, true, absent);
	else
		walk_unwanted(column, cursor, from, end, absent);
}

/*
 * Puts the value that rows older than the column have into row i.
 */
static void
set_missing(BaColumn *column, int i)
{
	BaVector *vector = &column->vector;

	column->nulls[i] = column->missing_isnull;
	if (column->missing_isnull)
		return;
	switch (column->fetch)
	{
		case FETCH_INT1:
			vector->ints[i] = (signed char) DatumGetChar(column->missing);
			break;
		case FETCH_INT2:
			vector->ints[i] = DatumGetInt16(column->missing);
			break;
		case FETCH_INT4:
			vector->ints[i] = DatumGetInt32(column->missing);
			break;
		case FETCH_INT8:
			vector->ints[i] = DatumGetInt64(column->missing);
			break;
		case FETCH_FLOAT4:
			vector->floats[i] = DatumGetFloat4(column->missing);
			break;
		case FETCH_FLOAT8:
			vector->floats[i] = DatumGetFloat8(column->missing);
			break;
		case FETCH_POINTER:
			vector->datums[i] = column->missing;
			if (column->len == -1)
				vector->extended |= is_extended(column->missing);
			break;
	}
}

/*
 * Sets cursor->absent for an attribute of a block; true if any row lacks it.
 */
static bool
find_absent(BaCursor *cursor, int index, int from, int end)
{
	bool any = false;

	if (!cursor->incomplete)
		return false;
	for (int i = from; i < end; i++)
	{
		bool absent = index >= cursor->natts[i] || att_isnull(index, cursor->bits[i]);

		cursor->absent[i] = absent;
		any |= absent;
	}
	return any;
}

/*
 * Gets a column ready to be read from the rows at hand.
 */
static void
begin_column(BaScan *scan, BaColumn *column)
{
	column->stamp = scan->rows.stamp;
	column->vector.nulls = NULL;
	column->vector.extended = false;
}

/*
 * Completes a column after the values of a block were read: nulls, and what rows older than it have.
 */
static void
finish_block(BaCursor *cursor, BaColumn *column, int index, int from, int end, bool some_absent)
{
	if (some_absent && column->vector.nulls == NULL)
	{
		column->vector.nulls = column->nulls;
		memset(column->nulls, 0, from);
	}
	if (column->vector.nulls == NULL)
		return;
	if (!some_absent)
	{
		memset(column->nulls + from, 0, end - from);
		return;
	}
	memcpy(column->nulls + from, cursor->absent + from, end - from);
	for (int i = from; i < end; i++)
		if (index >= cursor->natts[i])
			set_missing(column, i);
}

/*
 * Walks over an attribute of a block, storing it if that is wanted.
 */
static void
walk_block(BaCursor *cursor, BaColumn *column, int index, int from, int end)
{
	bool some_absent = find_absent(cursor, index, from, end);

	if (some_absent)
		walk_attribute(column, cursor, from, end, column->storing, cursor->absent);
	else
		walk_attribute(column, cursor, from, end, column->storing, NULL);
	if (column->storing)
		finish_block(cursor, column, index, from, end, some_absent);
}

/*
 * Walks to the end of an attribute, storing those that are wanted.
 */
static void
walk_over(BaScan *scan, int last)
{
	BaCursor *cursor = scan->cursor;
	const BaTuples *ahead = scan->ahead;
	int n = scan->rows.n;
	BaPrefetch prefetch;
	int steps;
	int page_steps;

	/* Begin again where the attribute was passed before it was wanted. */
	if (cursor->walked < 0 || cursor->walked > last)
	{
		int prefix = cursor->prefix;
		uint32 end = 0;

		if (prefix > 0)
			end = scan->columns[prefix - 1].offset + scan->columns[prefix - 1].len;
		for (int i = 0; i < n; i++)
			cursor->reached[i] = cursor->data[i] + end;
		cursor->walked = prefix;
	}
	for (int index = cursor->walked; index <= last; index++)
	{
		BaColumn *column = &scan->columns[index];

		column->storing = column->wanted && column->stamp != scan->rows.stamp;
		if (column->storing)
			begin_column(scan, column);
	}

	/* The pages ahead that were not asked for yet are now, over all the steps of the walk. */
	prefetch.left = 0;
	steps = (n + WALK_ROWS - 1) / WALK_ROWS * (last + 1 - cursor->walked);
	page_steps = Max(1, steps / Max(1, ahead->npages - cursor->asked_pages));
	for (int from = 0; from < n; from += WALK_ROWS)
		for (int index = cursor->walked; index <= last; index++)
		{
			walk_block(cursor, &scan->columns[index], index, from, Min(n, from + WALK_ROWS));
			if (prefetch.left == 0 && cursor->asked_pages < ahead->npages)
				ba_prefetch_tuples(&prefetch, &ahead->pages[cursor->asked_pages++], page_steps);
			ba_prefetch_step(&prefetch);
		}
	cursor->walked = last + 1;
	cursor->walks |= n > scan->tuples->n / 2;
}

/*
 * Keeps of a loaded column the rows whose places are given, in rising order.
 */
static void
gather_column(BaColumn *column, int n, const uint16 *places)
{
	BaVector *vector = &column->vector;

	for (int i = 0; i < n; i++)
		vector->ints[i] = vector->ints[places[i]];
	if (vector->nulls != NULL)
		for (int i = 0; i < n; i++)
			column->nulls[i] = column->nulls[places[i]];
}

/*
 * Loads a column: BaRowsOps.load_column.
 */
const BaVector *
ba_scan_load_column(BaRows *rows, AttrNumber attno)
{
	BaScan *scan = (BaScan *) rows;
	int index = attno - 1;
	BaColumn *column;

	Assert(index >= 0 && index < scan->natts);
	column = &scan->columns[index];
	if (!column->wanted)
		want_column(scan, index);
	if (column->stamp == rows->stamp)
		return &column->vector;
	if (column->stamp == scan->found_stamp)
	{
		gather_column(column, rows->n, scan->origin);
		column->stamp = rows->stamp;
		return &column->vector;
	}

	if (!scan->cursor->prepared)
		prepare(scan);
	if (index < scan->cursor->prefix)
	{
		begin_column(scan, column);
		fetch_values(column, scan->cursor, 0, rows->n, false, NULL);
	}
	else
		walk_over(scan, index);
	return &column->vector;
}

/*
 * Returns the place in tuples of one of the rows at hand.
 */
static int
find_place(const BaScan *scan, int row)
{
	return scan->rows.stamp == scan->found_stamp ? row : scan->origin[row];
}

/*
 * Sets *tid to where the tuple of one of the rows at hand is.
 */
void
ba_scan_get_row_tid(const BaScan *scan, int row, ItemPointer tid)
{
	ba_scan_get_tid(scan, find_place(scan, row), tid);
}

/*
 * Stores a row in rows->slot: BaRowsOps.store_slot.
 */
void
ba_scan_store_row(BaRows *rows, int row)
{
	BaScan *scan = (BaScan *) rows;
	int place = find_place(scan, row);
	const BaPage *page = ba_tuples_find_page(scan->tuples, place);
	ItemId line = PageGetItemId(page->page, ba_page_offset(scan->tuples, page, place));
	HeapTupleData *tuple = &scan->stored;

	tuple->t_data = (HeapTupleHeader) PageGetItem(page->page, line);
	tuple->t_len = ItemIdGetLength(line);
	tuple->t_tableOid = RelationGetRelid(scan->rel);
	ba_scan_get_tid(scan, place, &tuple->t_self);
	ExecStoreBufferHeapTuple(tuple, rows->slot, page->buffer);
}

/*
 * Tells whether a condition is true for all rows, as one on the key of a batch mostly is.
 */
static bool
is_true_for_all(const BaVector *condition, int n)
{
	const int64 *values = condition->ints;
	int64 all = condition->nulls == NULL;

	for (int first = 0; first < n && all; first += TRUE_ROWS)
	{
		int end = Min(n, first + TRUE_ROWS);

		for (int i = first; i < end; i++)
			all &= values[i];
	}
	return all;
}

/*
 * Drops the rows at hand for which a condition is false or null; the others move up, in order.
 */
void
ba_scan_select(BaScan *scan, const BaVector *condition)
{
	BaRows *rows = &scan->rows;
	BaCursor *cursor = scan->cursor;
	uint16 places[BA_VECTOR_ROWS + 1];
	const int64 *values = condition->ints;
	const bool *nulls = condition->nulls;
	int n = 0;

	if (is_true_for_all(condition, rows->n))
		return;
	if (nulls == NULL)
		for (int i = 0; i < rows->n; i++)
		{
			places[n] = i;
			n += values[i] != 0;
		}
	else
		for (int i = 0; i < rows->n; i++)
		{
			places[n] = i;
			n += (values[i] != 0) & !nulls[i];
		}
	if (n == rows->n)
		return;

	if (!cursor->prepared)
		prepare(scan);
	if (rows->stamp == scan->found_stamp)
		memcpy(scan->origin, places, sizeof(uint16) * n);
	else
	{
		for (int i = 0; i < n; i++)
			scan->origin[i] = scan->origin[places[i]];
		for (int i = 0; i < scan->nwanted; i++)
		{
			BaColumn *column = &scan->columns[scan->wanted[i]];

			if (column->stamp == rows->stamp)
			{
				gather_column(column, n, places);
				column->stamp = rows->stamp + 1;
			}
		}
	}
	for (int i = 0; i < n; i++)
		cursor->data[i] = cursor->data[places[i]];
	if (cursor->incomplete)
		for (int i = 0; i < n; i++)
		{
			cursor->bits[i] = cursor->bits[places[i]];
			cursor->natts[i] = cursor->natts[places[i]];
		}
	if (cursor->walked >= 0)
		for (int i = 0; i < n; i++)
			cursor->reached[i] = cursor->reached[places[i]];
	rows->n = n;
	rows->stamp++;
}
