/*
 * vector_slice.c
 *		A slice of a set of rows, as a set of its own.
 *
 * Where the values of an expression are long, those of all rows at hand are too much to
 * hold. The rows are then worked on a slice at a time, from the first to the last, and the
 * memory for computed values is used again for each. To expressions a slice is a set of rows
 * like any other: its columns are those of all rows, from a later place on. The rows it is
 * of must not change while it is in use.
 *
 * Stamps of slices begin where those of a scan never get to, as both are sets of rows for the
 * same expressions.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "vector.h"

#define FIRST_STAMP (UINT64CONST(1) << 63)

struct BaSlice
{
	BaRows rows; /* first: functions of BaRowsOps get a BaRows */
	BaRows *all;
	int first; /* row of `all` */
	MemoryContext memory;
	int ncolumns;
	BaVector **columns; /* by attno - 1, NULL if never asked for */
};

/*
 * A column of all rows from the slice's first row on.
 */
static const BaVector *
load_column(BaRows *rows, AttrNumber attno)
{
	BaSlice *slice = (BaSlice *) rows;
	const BaVector *whole = slice->all->ops->load_column(slice->all, attno);
	BaVector *column;

	if (attno > slice->ncolumns)
	{
		int ncolumns = slice->all->slot->tts_tupleDescriptor->natts;

		slice->columns = MemoryContextAllocZero(slice->memory, sizeof(BaVector *) * ncolumns);
		slice->ncolumns = ncolumns;
	}
	if (slice->columns[attno - 1] == NULL)
		slice->columns[attno - 1] = MemoryContextAlloc(slice->memory, sizeof(BaVector));
	column = slice->columns[attno - 1];
	*column = *whole;
	column->ints += slice->first;
	if (column->nulls != NULL)
		column->nulls += slice->first;
	return column;
}

static void
store_slot(BaRows *rows, int row)
{
	BaSlice *slice = (BaSlice *) rows;

	slice->all->ops->store_slot(slice->all, slice->first + row);
}

static const BaRowsOps rows_ops = {.load_column = load_column, .store_slot = store_slot};

/*
 * Makes an empty slice, allocated in `memory`.
 */
BaSlice *
ba_slice_create(MemoryContext memory)
{
	BaSlice *slice = MemoryContextAllocZero(memory, sizeof(BaSlice));

	slice->memory = memory;
	slice->rows.memory = AllocSetContextCreate(memory, "BatchAgg slice", ALLOCSET_DEFAULT_SIZES);
	slice->rows.ops = &rows_ops;
	slice->rows.stamp = FIRST_STAMP;
	return slice;
}

/*
 * Makes the slice n rows of `all`, from `first` on. What was computed for the rows it had is freed.
 */
BaRows *
ba_slice_take(BaSlice *slice, BaRows *all, int first, int n)
{
	Assert(first >= 0 && n > 0 && first + n <= all->n);
	slice->all = all;
	slice->first = first;
	slice->rows.slot = all->slot;
	slice->rows.n = n;
	slice->rows.stamp++;
	MemoryContextReset(slice->rows.memory);
	return &slice->rows;
}
