/*
 * job_btree.c
 *		A range of keys in the leaf pages of a b-tree.
 *
 * Which is the first key of a batch an index scan tells, of visible rows alone (ba_btree_find_first).
 * Two other questions are answered by walking the leaf pages of an index on a job's key from left to
 * right, a page at a time under its lock, as an index scan does, but without looking at the heap:
 *
 *	ba_btree_cut	which key ends a batch of so many rows? Entries are counted; the key is
 *					read of the last one alone.
 *	ba_btree_find_blocks	in which blocks of the heap are the rows of a batch?
 *
 * Cutting: any key is a lawful bound, whether there is a row with it or not, since batches are
 * ranges and what lies between two of them is nothing. So entries of rows that are dead, or not committed yet,
 * and pages that are split meanwhile can only make a batch somewhat smaller or larger than asked
 * for; no key is lost or in two batches. Where the index has no entries but those of visible
 * rows the size is exact. Entries that an index scan has found dead (LP_DEAD) are not counted; others
 * are, until a scan or vacuum has met them. A table full of them gives batches of fewer rows, never one of none, as
 * a batch begins at the key of a row that is there, and never more batches than entries allow.
 *
 * Blocks: a row that a snapshot sees has an entry in the index when the snapshot is taken, for its
 * transaction had committed then, and nobody may remove it while the snapshot is there. The
 * entry stands under the row's own key and tells the block that the row is in: of a row that was updated
 * in place (HOT) it names the first version, which is in the same block and has the same key. Index
 * builds that met chains of other keys are kept from older snapshots by indcheckxmin, here as in core.
 * So a walk that begins after the snapshot was taken finds the block of every row that the snapshot sees; of
 * others, more than that.
 *
 * Only for an ordinary table, and a role that may read the key of every row: bounds are shown, and
 * row security hides keys. Only by an index of all rows, in the type's default order, ascending.
 * The locks on both are kept until the transaction ends.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "compat.h"
#include "job.h"
#include "scan.h"
#include "scan_prefetch.h"

struct BaBtree
{
	Relation heap;
	Relation index;
	AttrNumber column; /* of the heap */
};

/* Looks at the entries from..to of a leaf page, which is locked. Returns whether to go on. */
typedef bool (*Visit)(Page page, OffsetNumber from, OffsetNumber to, void *state);

/* How many of them at a time; meanwhile so much of the next page is asked for. */
#define VISIT_ENTRIES 16

/*
 * Tells whether the current role may know the key of every row.
 */
static bool
may_read_keys(const BaRange *range)
{
	return (pg_class_aclcheck(range->relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
			pg_attribute_aclcheck(range->relation, range->attno, GetUserId(), ACL_SELECT) ==
				ACLCHECK_OK) &&
		   check_enable_rls(range->relation, InvalidOid, true) != RLS_ENABLED;
}

/*
 * Tells whether an index has an entry for every row that a snapshot of now sees, in ascending
 * order of the key as SQL has it.
 */
static bool
is_usable(const BaRange *range, Relation heap, Relation index)
{
	Form_pg_index form = index->rd_index;
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(heap), range->attno - 1);
	TypeCacheEntry *type = lookup_type_cache(range->type, TYPECACHE_BTREE_OPFAMILY);

	return index->rd_rel->relam == BTREE_AM_OID && form->indkey.values[0] == range->attno &&
		   form->indisvalid && RelationGetIndexPredicate(index) == NIL &&
		   (!form->indcheckxmin ||
			TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data),
								  TransactionXmin)) &&
		   (index->rd_indoption[0] & INDOPTION_DESC) == 0 &&
		   index->rd_opfamily[0] == type->btree_opf &&
		   index->rd_opcintype[0] == type->btree_opintype &&
		   index->rd_indcollation[0] == column->attcollation &&
		   /* what stands in the index is the column's value, not something that stands for it */
		   TupleDescAttr(RelationGetDescr(index), 0)->atttypid == column->atttypid;
}

/*
 * Opens an index along which the range can be walked; NULL where there is none. There must be an
 * active snapshot.
 */
BaBtree *
ba_btree_open(const BaRange *range)
{
	BaBtree *btree = NULL;
	Relation heap;
	List *indexes;
	ListCell *lc;

	Assert(ActiveSnapshotSet());
	if (range->kind != &ba_key_range || !may_read_keys(range))
		return NULL;
	heap = try_table_open(range->relation, AccessShareLock);
	if (heap == NULL)
		return NULL; /* SQL has better words for it */
	if (heap->rd_rel->relkind != RELKIND_RELATION || heap->rd_rel->relam != HEAP_TABLE_AM_OID ||
		heap->rd_rel->relhassubclass)
	{
		table_close(heap, NoLock);
		return NULL;
	}
	indexes = RelationGetIndexList(heap);
	foreach (lc, indexes)
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_usable(range, heap, index))
		{
			btree = palloc(sizeof(BaBtree));
			*btree = (BaBtree){heap, index, range->attno};
			break;
		}
		index_close(index, NoLock);
	}
	list_free(indexes);
	if (btree == NULL)
		table_close(heap, NoLock);
	return btree;
}

/*
 * Ends what ba_btree_open began, but for the locks.
 */
void
ba_btree_close(BaBtree *btree)
{
	index_close(btree->index, NoLock);
	table_close(btree->heap, NoLock);
	pfree(btree);
}

/*
 * Makes a condition on the key, that is no null.
 */
static void
init_scan_key(ScanKey key, const BaBtree *btree, StrategyNumber strategy, Datum value)
{
	Relation index = btree->index;
	Oid type = index->rd_opcintype[0];
	Oid opno = get_opfamily_member(index->rd_opfamily[0], type, type, strategy);

	ScanKeyEntryInitialize(key, 0, 1, strategy, InvalidOid, index->rd_indcollation[0],
						   get_opcode(opno), value);
}

/*
 * Finds the first key behind another, or of all if that is NULL, up to the end, of the rows that the active snapshot
 * sees. Returns false if there is none.
 */
bool
ba_btree_find_first(BaBtree *btree, const Datum *after, Datum end, Datum *key)
{
	TupleTableSlot *slot = table_slot_create(btree->heap, NULL);
	int nkeys = after != NULL ? 2 : 1;
	IndexScanDesc scan = ba_index_beginscan(btree->heap, btree->index, GetActiveSnapshot(), nkeys);
	ScanKeyData keys[2];
	bool found;

	init_scan_key(&keys[0], btree, BTLessEqualStrategyNumber, end);
	if (after != NULL)
		init_scan_key(&keys[1], btree, BTGreaterStrategyNumber, *after);
	index_rescan(scan, keys, nkeys, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	if (found)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(btree->heap), btree->column - 1);
		bool isnull;
		Datum value = slot_getattr(slot, btree->column, &isnull);

		if (isnull)
			elog(ERROR, "NULL among the keys of index \"%s\"",
				 RelationGetRelationName(btree->index));
		if (column->attlen == -1)
			*key = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		else
			*key = datumCopy(value, column->attbyval, column->attlen);
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/*
 * Makes what entries are compared with.
 */
static BTScanInsert
make_search_key(Relation index, Datum value)
{
	BTScanInsert key = _bt_mkscankey(index, NULL);

	_bt_metaversion(index, &key->heapkeyspace, &key->allequalimage);
	key->keysz = 1;
	key->scankeys[0].sk_flags &= ~SK_ISNULL;
	key->scankeys[0].sk_argument = value;
	return key;
}

/*
 * Returns the first of the entries from..to that is not before the key, or with behind not at it
 * either; the place after them if there is none.
 */
static OffsetNumber
find_entry(Relation index, BTScanInsert key, Page page, OffsetNumber from, OffsetNumber to,
		   bool behind)
{
	while (from <= to)
	{
		OffsetNumber middle = from + (to - from) / 2;

		if (_bt_compare(index, key, page, middle) >= (behind ? 0 : 1))
			from = OffsetNumberNext(middle);
		else
			to = OffsetNumberPrev(middle);
	}
	return from;
}

/*
 * Pins the page after one that is locked, if it is where it is expected in the buffer pool: a lock does not
 * wait for a read.
 */
static Buffer
pin_ahead(Relation index, BlockNumber block, const BaBufferTrack *track)
{
	Buffer buffer = ba_scan_try_buffer(index, block, NULL, track);

	/* a look at the page maps it, which asking for it does not */
	if (buffer != InvalidBuffer)
		(void) *(volatile LocationIndex *) &((PageHeader) BufferGetPage(buffer))->pd_lower;
	return buffer;
}

/*
 * Visits entries of a page, while the page ahead, if any, is asked for.
 */
static bool
visit_entries(Page page, OffsetNumber from, OffsetNumber to, Buffer ahead, Visit visit, void *state)
{
	BaPrefetch prefetch = {.left = 0};

	if (ahead != InvalidBuffer)
		ba_prefetch_start(&prefetch, BufferGetPage(ahead), BufferGetPage(ahead) + BLCKSZ,
						  (to - from) / VISIT_ENTRIES + 1);
	for (int first = from; first <= to; first += VISIT_ENTRIES)
	{
		ba_prefetch_step(&prefetch);
		if (!visit(page, first, Min(first + VISIT_ENTRIES - 1, to), state))
			return false;
	}
	return true;
}

/*
 * Visits the entries whose key is first..last, page by page.
 */
static void
walk(BaBtree *btree, Datum first, Datum last, Visit visit, void *state)
{
	Relation index = btree->index;
	BTScanInsert begin = make_search_key(index, first);
	BTScanInsert end = make_search_key(index, last);
	BaBufferTrack track = {0};
	bool begun = false;
	bool more = true;
	Buffer buffer;

	_bt_freestack(ba_bt_search(index, begin, &buffer));
	if (!BufferIsValid(buffer))
		return; /* an empty index */
	for (;;)
	{
		Page page = BufferGetPage(buffer);
		BTPageOpaque opaque = BTPageGetOpaque(page);
		OffsetNumber from = P_FIRSTDATAKEY(opaque);
		OffsetNumber to = PageGetMaxOffsetNumber(page);
		BlockNumber next = opaque->btpo_next;
		Buffer ahead = InvalidBuffer;

		ba_test_for_old_snapshot(GetActiveSnapshot(), index, page);
		ba_scan_track_buffer(&track, BufferGetBlockNumber(buffer), buffer);
		if (P_RIGHTMOST(opaque))
			more = false;
		if (!P_IGNORE(opaque) && from <= to)
		{
			if (_bt_compare(index, end, page, to) < 0)
			{
				to = OffsetNumberPrev(find_entry(index, end, page, from, to, true));
				more = false;
			}
			/* what is further right is not smaller */
			if (!begun)
				from = find_entry(index, begin, page, from, to, false);
			if (from <= to)
			{
				begun = true;
				if (more)
					ahead = pin_ahead(index, next, &track);
				more = visit_entries(page, from, to, ahead, visit, state) && more;
			}
		}
		_bt_relbuf(index, buffer);
		if (!more)
		{
			if (ahead != InvalidBuffer)
				ReleaseBuffer(ahead);
			break;
		}
		CHECK_FOR_INTERRUPTS();
		if (ahead == InvalidBuffer)
			buffer = _bt_getbuf(index, next, BT_READ);
		else
		{
			buffer = ahead;
			_bt_lockbuf(index, buffer, BT_READ);
			_bt_checkpage(index, buffer);
		}
	}
	pfree(begin);
	pfree(end);
}

/* What count_entries counts. */
typedef struct Count
{
	BaBtree *btree;
	int64 wanted;
	int64 found;
	Datum key; /* of the last one wanted, once that is found */
} Count;

/*
 * An entry shorter than this has one TID: a list has two or more, behind a header and a key that
 * are aligned. So most entries are counted without touching them.
 */
#define BA_SHORTEST_LIST (MAXALIGN(sizeof(IndexTupleData) + 1) + 2 * sizeof(ItemPointerData))

static bool
count_entries(Page page, OffsetNumber from, OffsetNumber to, void *state)
{
	Count *count = state;
	bool plain = true;

	/* mostly they all count, as one each */
	for (OffsetNumber offset = from; offset <= to; offset = OffsetNumberNext(offset))
	{
		ItemId id = PageGetItemId(page, offset);

		plain &= !ItemIdIsDead(id) & (ItemIdGetLength(id) < BA_SHORTEST_LIST);
	}
	if (plain && count->found + to - from + 1 < count->wanted)
	{
		count->found += to - from + 1;
		return true;
	}

	for (OffsetNumber offset = from; offset <= to; offset = OffsetNumberNext(offset))
	{
		ItemId id = PageGetItemId(page, offset);
		IndexTuple entry = (IndexTuple) PageGetItem(page, id);

		if (ItemIdIsDead(id))
			continue;
		count->found += ItemIdGetLength(id) >= BA_SHORTEST_LIST && BTreeTupleIsPosting(entry)
							? BTreeTupleGetNPosting(entry)
							: 1;
		if (count->found >= count->wanted)
		{
			TupleDesc desc = RelationGetDescr(count->btree->index);
			Form_pg_attribute attribute = TupleDescAttr(desc, 0);
			bool isnull;
			Datum key = index_getattr(entry, 1, desc, &isnull);

			if (isnull)
				elog(ERROR, "NULL between two keys of index \"%s\"",
					 RelationGetRelationName(count->btree->index));
			count->key = datumCopy(key, attribute->attbyval, attribute->attlen);
			return false;
		}
	}
	return true;
}

/*
 * Looks for the key of the entry that is the rows-th in first..end. Sets it and returns true, or
 * returns false if there are fewer. Sets how many were found, `rows` at most.
 */
bool
ba_btree_cut(BaBtree *btree, Datum first, Datum end, int64 rows, Datum *last, int64 *found)
{
	Count count = {btree, rows, 0, (Datum) 0};

	walk(btree, first, end, count_entries, &count);
	*last = count.key;
	*found = Min(count.found, rows);
	return count.found >= rows;
}

/* What find_blocks looks for. */
typedef struct Blocks
{
	BlockNumber first;
	BlockNumber last;
} Blocks;

static inline void
add_block(Blocks *blocks, BlockNumber block)
{
	blocks->first = Min(blocks->first, block);
	blocks->last = Max(blocks->last, block);
}

static bool
find_blocks(Page page, OffsetNumber from, OffsetNumber to, void *state)
{
	Blocks plain = *(Blocks *) state;
	uint16 info = 0;

	/* mostly there are no lists among them, whose first field is no TID; a copy of the head is one load */
	for (int offset = from; offset <= to; offset++)
	{
		IndexTupleData head;

		memcpy(&head, PageGetItem(page, PageGetItemId(page, offset)), sizeof(head));
		info |= head.t_info;
		add_block(&plain, ItemPointerGetBlockNumberNoCheck(&head.t_tid));
	}
	if ((info & INDEX_ALT_TID_MASK) == 0)
	{
		*(Blocks *) state = plain;
		return true;
	}

	for (OffsetNumber offset = from; offset <= to; offset = OffsetNumberNext(offset))
	{
		IndexTuple entry = (IndexTuple) PageGetItem(page, PageGetItemId(page, offset));

		/* the TIDs of a list are in order */
		add_block(state, ItemPointerGetBlockNumber(BTreeTupleGetHeapTID(entry)));
		add_block(state, ItemPointerGetBlockNumber(BTreeTupleGetMaxHeapTID(entry)));
	}
	return true;
}

/*
 * Finds the first and the last block that rows of first..last are in, of all that a snapshot sees
 * that was taken before. Returns false if there is no such row.
 */
bool
ba_btree_find_blocks(BaBtree *btree, Datum first, Datum last, BlockNumber *first_block,
					 BlockNumber *last_block)
{
	Blocks blocks = {InvalidBlockNumber, 0};

	walk(btree, first, last, find_blocks, &blocks);
	*first_block = blocks.first;
	*last_block = blocks.last;
	return blocks.first <= blocks.last;
}

/*
 * Makes the condition that the key is between $1 and $2, of a type, as a list of clauses over a table
 * numbered 1. They look as the parser makes them.
 */
List *
ba_btree_make_condition(BaBtree *btree, Oid param_type)
{
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(btree->heap), btree->column - 1);
	Oid family = btree->index->rd_opfamily[0];
	Oid type = btree->index->rd_opcintype[0];
	Oid operand =
		IsPolymorphicType(type) || type == RECORDOID ? getBaseType(column->atttypid) : type;
	StrategyNumber strategies[2] = {BTGreaterEqualStrategyNumber, BTLessEqualStrategyNumber};
	List *clauses = NIL;

	for (int i = 0; i < 2; i++)
	{
		Expr *key = (Expr *) makeVar(1, btree->column, column->atttypid, column->atttypmod,
									 column->attcollation, 0);
		Param *param = makeNode(Param);
		Expr *bound = (Expr *) param;
		Oid opno = get_opfamily_member(family, type, type, strategies[i]);
		OpExpr *clause;

		param->paramkind = PARAM_EXTERN;
		param->paramid = i + 1;
		param->paramtype = param_type;
		param->paramtypmod = -1;
		param->paramcollid = get_typcollation(param_type);
		param->location = -1;
		if (column->atttypid != operand)
			key = (Expr *) makeRelabelType(key, operand, -1, column->attcollation,
										   COERCE_IMPLICIT_CAST);
		if (param_type != operand)
			bound = (Expr *) makeRelabelType(bound, operand, -1, param->paramcollid,
											 COERCE_IMPLICIT_CAST);
		clause = (OpExpr *) make_opclause(opno, BOOLOID, false, key, bound, InvalidOid,
										  column->attcollation);
		set_opfuncid(clause);
		clauses = lappend(clauses, clause);
	}
	return clauses;
}
