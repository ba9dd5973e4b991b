/*
 * batch_split.c
 *		Where one batch ends and the next begins.
 *
 * A relation is its leaves: itself, or the heaps below a partitioned table or an
 * inheritance parent. Leaves are cut one after the other, and each in physical
 * order, in one of two ways:
 *
 *		by rows		every batch but a leaf's last has batch_size visible rows, and
 *					its ends are the TIDs of its first and last
 *		by pages	a fixed number of pages; for tables under row security, where
 *					a count would tell of rows that the caller may not see
 *
 * Counting goes page by page, by the engine's scan (scan.h): TIDs are only asked
 * for in the page where a batch begins or ends.
 *
 * All that goes from one batch to the next is a BaPosition. Any process that
 * holds it can cut the next batch; the scan is moved to it where it stands
 * elsewhere.
 *
 * Locks: leaves are locked AccessShareLock until the transaction ends, as by a
 * query that reads them. Under SERIALIZABLE each leaf is predicate locked whole
 * when it is opened, which the TID range scans of the batches do not do. Between
 * batches no page stays pinned once ba_split_pause was called.
 */
#include "postgres.h"

#include <math.h>

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "batch.h"
#include "compat.h"

/*
 * Refuses a relation whose rows the caller may not count: the rule of SELECT count(*), that is
 * SELECT on the table or on any column of it.
 */
void
ba_split_check_select(Oid relid)
{
	Oid role = GetUserId();

	if (pg_class_aclcheck(relid, role, ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck_all(relid, role, ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK)
		return;
	aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relid)),
				   get_rel_name(relid));
}

/*
 * Tells whether a table's file is there: those of unlogged tables are not on a standby.
 */
static bool
has_storage(Relation rel)
{
	return RelationIsPermanent(rel) || !RecoveryInProgress();
}

/*
 * Refuses a relation that has no heap to be cut. Only core's own heap lays out its pages as the
 * counting pass expects.
 */
static void
check_splittable(Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION && rel->rd_rel->relkind != RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot cut relation \"%s\" into batches", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Name a table, a partitioned table or a materialized view.")));
	if (RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot access temporary tables of other sessions")));
	if (!has_storage(rel))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("cannot access temporary or unlogged relations during recovery")));
	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot cut relation \"%s\" into batches", RelationGetRelationName(rel)),
				 errdetail("Its access method is not heap.")));
	if (!RelationIsScannable(rel))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("materialized view \"%s\" has not been populated",
							   RelationGetRelationName(rel)),
						errhint("Use the REFRESH MATERIALIZED VIEW command.")));
}

/*
 * Returns the OIDs of the heaps that hold the rows of a relation, locked AccessShareLock to the
 * end of the transaction: the relation alone, or with inherit all below it as well, in the order
 * of find_all_inheritors, which is stable. Throws where one of them cannot be cut.
 */
List *
ba_split_find_leaves(Oid relid, bool inherit)
{
	List *relids;
	List *leaves = NIL;
	ListCell *cell;

	LockRelationOid(relid, AccessShareLock);
	relids = inherit ? find_all_inheritors(relid, AccessShareLock, NULL) : list_make1_oid(relid);
	foreach (cell, relids)
	{
		Relation rel = relation_open(lfirst_oid(cell), NoLock);

		/* Like the planner, pass over what has no rows or none that can be read. */
		if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE &&
			!(rel->rd_id != relid && RELATION_IS_OTHER_TEMP(rel)))
		{
			check_splittable(rel);
			leaves = lappend_oid(leaves, rel->rd_id);
		}
		relation_close(rel, NoLock);
	}
	return leaves;
}

/*
 * Returns the number of pages that hold about batch_size rows of rel, at least 1, its pages and rows.
 * Only figures that anybody may see go into it.
 */
static BlockNumber
estimate_pages_per_batch(Relation rel, int64 batch_size, BlockNumber *pages, double *rows)
{
	double allvisfrac;
	double wanted;

	table_relation_estimate_size(rel, NULL, pages, rows, &allvisfrac);
	if (*rows < 1)
		return 1;
	wanted = ceil(batch_size * (double) *pages / *rows);
	return (BlockNumber) Max(1, Min(wanted, MaxBlockNumber));
}

/*
 * Estimates what batches the leaves give. Relations that this session cannot read page by page
 * count as empty.
 */
void
ba_split_estimate(List *leaves, int64 batch_size, BaEstimate *estimate)
{
	ListCell *cell;

	*estimate = (BaEstimate){.leaf_pages = 0, .pages_per_batch = 1};
	foreach (cell, leaves)
	{
		Relation rel = table_open(lfirst_oid(cell), AccessShareLock);

		if (rel->rd_tableam != NULL && !RELATION_IS_OTHER_TEMP(rel) && has_storage(rel))
		{
			BlockNumber pages;
			double rows;
			BlockNumber per_batch = estimate_pages_per_batch(rel, batch_size, &pages, &rows);

			estimate->rows += rows;
			estimate->batches += ceil(pages / (double) per_batch);
			if (pages > estimate->leaf_pages)
			{
				estimate->leaf_pages = pages;
				estimate->pages_per_batch = per_batch;
			}
		}
		table_close(rel, NoLock);
	}
}

/*
 * Moves the scan to the first visible tuple behind *position; false if there is none.
 */
static bool
seek_position(BaSource *source, const BaPosition *position)
{
	BaScan *scan = source->scan;
	ItemPointerData tid;

	for (source->row = 0; source->row < source->page_rows; source->row++)
	{
		ba_scan_get_tid(scan, source->row, &tid);
		if (ItemPointerGetBlockNumber(&tid) != position->block)
			break;
		if (ItemPointerGetOffsetNumber(&tid) > position->offset)
			return true;
	}
	if (source->row < source->page_rows || source->page_rows == 0)
	{
		ItemPointerData last;

		/* The scan stands elsewhere. */
		ba_scan_rescan(scan);
		ItemPointerSet(&tid, position->block, position->offset + 1);
		ItemPointerSet(&last, position->nblocks - 1, MaxOffsetNumber);
		ba_scan_limit(scan, &tid, &last);
	}
	source->row = 0;
	source->page_rows = ba_scan_next_page(scan);
	return source->page_rows > 0;
}

static void
begin_rows(BaSource *source)
{
	source->scan = ba_scan_begin(source->rel, source->snapshot, NULL);
	if (source->read_again)
		ba_scan_keep_pages(source->scan);
	source->page_rows = 0;
}

static bool
next_rows(BaSource *source, BaPosition *position, BaBatch *batch)
{
	if (position->block >= position->nblocks)
		return false;
	if (!seek_position(source, position))
	{
		position->block = position->nblocks;
		return false;
	}

	batch->rows = 0;
	ba_scan_get_tid(source->scan, source->row, &batch->first);
	while (batch->rows + source->page_rows - source->row < source->batch_size)
	{
		batch->rows += source->page_rows - source->row;
		ba_scan_get_tid(source->scan, source->page_rows - 1, &batch->last);
		source->row = 0;
		source->page_rows = ba_scan_next_page(source->scan);
		if (source->page_rows == 0)
		{
			position->block = position->nblocks;
			return true;
		}
	}
	ba_scan_get_tid(source->scan, source->row + source->batch_size - batch->rows - 1, &batch->last);
	batch->rows = source->batch_size;
	position->block = ItemPointerGetBlockNumber(&batch->last);
	position->offset = ItemPointerGetOffsetNumber(&batch->last);
	return true;
}

static void
pause_rows(BaSource *source)
{
	ba_scan_rescan(source->scan);
	source->page_rows = 0;
}

static void
end_rows(BaSource *source)
{
	ba_scan_end(source->scan);
}

static const BaSourceKind by_rows = {begin_rows, next_rows, pause_rows, end_rows};

static void
begin_pages(BaSource *source)
{
	BlockNumber pages;
	double rows;

	source->pages_per_batch =
		estimate_pages_per_batch(source->rel, source->batch_size, &pages, &rows);
}

static bool
next_pages(BaSource *source, BaPosition *position, BaBatch *batch)
{
	BlockNumber end;

	if (position->block >= position->nblocks)
		return false;
	end = position->block + Min(source->pages_per_batch, position->nblocks - position->block);
	ItemPointerSet(&batch->first, position->block, FirstOffsetNumber);
	ItemPointerSet(&batch->last, end - 1, MaxOffsetNumber);
	batch->rows = -1;
	position->block = end;
	return true;
}

static void
pause_pages(BaSource *source)
{
}

static void
end_pages(BaSource *source)
{
}

static const BaSourceKind by_pages = {begin_pages, next_pages, pause_pages, end_pages};

/*
 * Makes a source of batches of the leaves, allocated in the current context. It cuts by rows or by
 * pages; read_again says that each batch is read as soon as it is cut. The snapshot must stay
 * active or registered, and the leaves array untouched, until ba_split_close.
 */
BaSource *
ba_split_open(int nleaves, Oid *leaves, int64 batch_size, bool count_rows, bool read_again,
			  Snapshot snapshot)
{
	BaSource *source = palloc0(sizeof(BaSource));

	source->kind = count_rows ? &by_rows : &by_pages;
	source->snapshot = snapshot;
	source->batch_size = batch_size;
	source->read_again = read_again;
	source->nleaves = nleaves;
	source->leaves = leaves;
	source->leaf = -1;
	return source;
}

/*
 * As ba_split_open, for a list.
 */
BaSource *
ba_split_open_list(List *leaves, int64 batch_size, bool count_rows, bool read_again,
				   Snapshot snapshot)
{
	Oid *array = palloc(sizeof(Oid) * Max(1, list_length(leaves)));
	int n = 0;
	ListCell *cell;

	foreach (cell, leaves)
		array[n++] = lfirst_oid(cell);
	return ba_split_open(n, array, batch_size, count_rows, read_again, snapshot);
}

/*
 * Tells whether the source cuts by rows.
 */
bool
ba_split_counts_rows(const BaSource *source)
{
	return source->kind == &by_rows;
}

/*
 * Sets *position before the first batch.
 */
void
ba_split_start(BaPosition *position)
{
	*position = (BaPosition){.nblocks = InvalidBlockNumber};
}

/*
 * Closes the open leaf, if any; its lock is kept.
 */
static void
close_leaf(BaSource *source)
{
	if (source->leaf < 0)
		return;
	source->kind->end(source);
	table_close(source->rel, NoLock);
	source->leaf = -1;
}

/*
 * Opens the leaf at *position, unless it is the open one.
 */
static void
open_leaf(BaSource *source, BaPosition *position)
{
	if (source->leaf != position->leaf)
	{
		close_leaf(source);
		source->rel = table_open(source->leaves[position->leaf], AccessShareLock);
		PredicateLockRelation(source->rel, source->snapshot);
		source->kind->begin(source);
		source->leaf = position->leaf;
	}

	/* Rows behind the size of now are not visible to the snapshot, which is older. */
	if (position->nblocks == InvalidBlockNumber)
		position->nblocks = RelationGetNumberOfBlocks(source->rel);
}

/*
 * Cuts the next batch at *position and moves *position behind it; false if there is none.
 */
bool
ba_split_next(BaSource *source, BaPosition *position, BaBatch *batch)
{
	MemoryContext caller = CurrentMemoryContext;

	for (; position->leaf < source->nleaves; position->leaf++)
	{
		bool found;

		MemoryContextSwitchTo(GetMemoryChunkContext(source));
		open_leaf(source, position);
		found = source->kind->next(source, position, batch);
		MemoryContextSwitchTo(caller);
		if (found)
		{
			batch->number = ++position->number;
			batch->leaf = position->leaf;
			batch->relation = source->leaves[position->leaf];
			return true;
		}
		position->nblocks = InvalidBlockNumber;
		position->block = 0;
		position->offset = InvalidOffsetNumber;
	}
	return false;
}

/*
 * Lets go of every buffer, before the caller does something that takes long.
 */
void
ba_split_pause(BaSource *source)
{
	if (source->leaf >= 0)
		source->kind->pause(source);
}

/*
 * Closes whatever the source has open. The locks stay.
 */
void
ba_split_close(BaSource *source)
{
	close_leaf(source);
}
