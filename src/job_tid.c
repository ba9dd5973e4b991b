/*
 * job_tid.c
 *		Batches that are ranges of TIDs: the blocks of one heap, in physical order.
 *
 * A batch is whole blocks, as many as hold its rows by what is known of their density, so cutting
 * reads nothing. Only a batch that is split to find a bad row has bounds within a block. The table
 * must be the one that the run was planned for: a rewrite gives every row another TID. The lock on
 * the table that check takes keeps a rewrite away until the batch has committed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "compat.h"
#include "job.h"

/*
 * Reads a TID that is text.
 */
static void
read_tid(BaRange *range, const char *text, BlockNumber *block, OffsetNumber *offset)
{
	bool isnull;
	ItemPointer tid = (ItemPointer) DatumGetPointer(ba_range_key_in(range, text, &isnull));

	*block = ItemPointerGetBlockNumberNoCheck(tid);
	*offset = ItemPointerGetOffsetNumberNoCheck(tid);
}

static char *
write_tid(BlockNumber block, OffsetNumber offset)
{
	return psprintf("(%u,%u)", block, offset);
}

static char *
last_key(BaRange *range)
{
	Relation rel = table_open(range->relation, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, AccessShareLock);
	return blocks == 0 ? NULL : write_tid(blocks - 1, PG_UINT16_MAX);
}

/*
 * Returns how many rows a block of the relation is believed to hold.
 */
static double
estimate_density(BaRange *range)
{
	Relation rel = table_open(range->relation, AccessShareLock);
	BlockNumber pages;
	double tuples;
	double allvisfrac;

	estimate_rel_size(rel, NULL, &pages, &tuples, &allvisfrac);
	table_close(rel, AccessShareLock);
	return pages > 0 ? Max(tuples / pages, 1) : 1;
}

static bool
next(BaRange *range, const char *position, const char *end, int64 rows, char **first, char **last,
	 int64 *count)
{
	double density = estimate_density(range);
	BlockNumber block = 0;
	BlockNumber end_block;
	BlockNumber blocks;
	OffsetNumber offset;

	if (position != NULL)
	{
		read_tid(range, position, &block, &offset);
		block++;
	}
	read_tid(range, end, &end_block, &offset);
	if (block > end_block)
		return false;
	blocks = (BlockNumber) Min(Max(rows / density, 1), end_block - block + 1.0);
	*first = write_tid(block, 0);
	*last = write_tid(block + (blocks - 1), PG_UINT16_MAX);
	*count = (int64) (blocks * density);
	return true;
}

static bool
split(BaRange *range, const char *first, const char *last, char **left_last, char **right_first)
{
	BlockNumber first_block;
	BlockNumber last_block;
	OffsetNumber first_offset;
	OffsetNumber last_offset;

	read_tid(range, first, &first_block, &first_offset);
	read_tid(range, last, &last_block, &last_offset);
	if (first_block < last_block)
	{
		BlockNumber middle = first_block + (last_block - first_block) / 2;

		*left_last = write_tid(middle, PG_UINT16_MAX);
		*right_first = write_tid(middle + 1, 0);
		return true;
	}

	/* no row stands at offset 0, or beyond what a block has room for */
	first_offset = Max(first_offset, FirstOffsetNumber);
	last_offset = Min(last_offset, MaxHeapTuplesPerPage);
	if (first_offset >= last_offset)
		return false;
	*left_last = write_tid(first_block, (first_offset + last_offset) / 2);
	*right_first = write_tid(first_block, (first_offset + last_offset) / 2 + 1);
	return true;
}

static double
fraction(BaRange *range, const char *start, const char *position, const char *end)
{
	BlockNumber block;
	BlockNumber end_block;
	OffsetNumber offset;

	read_tid(range, position, &block, &offset);
	read_tid(range, end, &end_block, &offset);
	return (block + 1.0) / (end_block + 1.0);
}

static void
check(BaRange *range, Oid filenode)
{
	LockRelationOid(range->relation, AccessShareLock);
	if (ba_range_get_filenode(range->relation) != filenode)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s was rewritten while it was being cut by ctid", range->relation_name),
			 errdetail("Its rows are in other places now, so what is left to do cannot be told."),
			 errhint("Start another run, or use a key, which a rewrite does not change.")));
}

const BaRangeKind ba_tid_range = {
	.last_key = last_key,
	.next = next,
	.split = split,
	.fraction = fraction,
	.check = check,
};
