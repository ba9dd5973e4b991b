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
 * Most pages of an index on numbers or times are dense: all their entries are of the shortest kind there is. How many these
 * are the page's header says, and their TIDs are read off the page from one end to the other, without
 * going by the line pointers.
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

/* Where rows are. */
typedef struct Blocks
{
	BlockNumber first;
	BlockNumber last;
} Blocks;

/* What is looked for among the entries of a range of keys. */
typedef struct Walk
{
	Relation index;
	int64 wanted;
	int64 found;    /* entries that may be rows, wanted or more if the walk ended there */
	Datum key;      /* then the one of the last wanted */
	Blocks *blocks; /* that entries are in; NULL: not wanted */
} Walk;

/* How many entries are looked at at a time; meanwhile so much of the next page is asked for. */
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

	/* a look at the page maps it, which asking for it does not; its high key and its end are looked at next */
	if (buffer != InvalidBuffer)
	{
		Page page = BufferGetPage(buffer);
		ItemIdData high = *(volatile ItemIdData *) PageGetItemId(page, P_HIKEY);

		__builtin_prefetch(page + high.lp_off);
		__builtin_prefetch(page + BLCKSZ - 1);
	}
	return buffer;
}

static inline void
add_block(Blocks *blocks, BlockNumber block)
{
	blocks->first = Min(blocks->first, block);
	blocks->last = Max(blocks->last, block);
}

/*
 * Adds the blocks of the entries from..to of a page.
 */
static void
add_blocks(Blocks *blocks, Page page, OffsetNumber from, OffsetNumber to)
{
	Blocks plain = *blocks;
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
		*blocks = plain;
		return;
	}

	for (OffsetNumber offset = from; offset <= to; offset = OffsetNumberNext(offset))
	{
		IndexTuple entry = (IndexTuple) PageGetItem(page, PageGetItemId(page, offset));

		/* the TIDs of a list are in order */
		add_block(blocks, ItemPointerGetBlockNumber(BTreeTupleGetHeapTID(entry)));
		add_block(blocks, ItemPointerGetBlockNumber(BTreeTupleGetMaxHeapTID(entry)));
	}
}

/* No entry is shorter than that. */
#define BA_SHORTEST_ENTRY MAXALIGN(sizeof(IndexTupleData) + 1)

/*
 * An entry shorter than this has one TID: a list has two or more, behind a header and a key that
 * are aligned. So most entries are counted without touching them.
 */
#define BA_SHORTEST_LIST (BA_SHORTEST_ENTRY + 2 * sizeof(ItemPointerData))

/*
 * Tells whether all entries of a page are of the shortest kind, as those of keys up to eight bytes are, and none of
 * them is marked dead, as far as the page says, which is mostly right. So they need no looking for, one by one.
 */
static bool
is_dense(Page page)
{
	PageHeader header = (PageHeader) page;

	return !P_HAS_GARBAGE(BTPageGetOpaque(page)) &&
		   header->pd_special - header->pd_upper ==
			   PageGetMaxOffsetNumber(page) * (int) BA_SHORTEST_ENTRY;
}

/*
 * Adds the blocks of the entries that lie in from..end of a dense page. Meanwhile the same lines of a page at a distance
 * are asked for.
 */
static void
add_dense_blocks(Blocks *blocks, const char *from, const char *end, ptrdiff_t distance)
{
	Blocks dense = *blocks;

	for (const char *entry = from; entry < end; entry += BA_SHORTEST_ENTRY)
	{
		IndexTupleData head;

		memcpy(&head, entry, sizeof(head));
		add_block(&dense, ItemPointerGetBlockNumberNoCheck(&head.t_tid));
		if (((uintptr_t) entry & (BA_CACHE_LINE - 1)) == 0)
			__builtin_prefetch(entry + distance);
	}
	*blocks = dense;
}

/*
 * Looks at all entries of a dense page. A page ahead, if any, is asked for, as far as it will be looked at if it is like
 * this one.
 */
static void
visit_dense_page(Walk *walk, Page page, Page ahead)
{
	PageHeader header = (PageHeader) page;
	const char *from = page + header->pd_upper;
	const char *end = page + header->pd_special;
	ptrdiff_t distance = ahead != NULL ? ahead - page : 0;

	walk->found += PageGetMaxOffsetNumber(page) - P_FIRSTDATAKEY(BTPageGetOpaque(page)) + 1;
	if (walk->blocks == NULL)
		return;
	if (!P_RIGHTMOST(BTPageGetOpaque(page)))
	{
		const char *high = (const char *) PageGetItem(page, PageGetItemId(page, P_HIKEY));

		add_dense_blocks(walk->blocks, from, high, distance);
		from = high + BA_SHORTEST_ENTRY;
	}
	add_dense_blocks(walk->blocks, from, end, distance);
}

/*
 * Ends a walk at an entry.
 */
static void
end_walk(Walk *walk, IndexTuple entry)
{
	TupleDesc desc = RelationGetDescr(walk->index);
	Form_pg_attribute attribute = TupleDescAttr(desc, 0);
	bool isnull;
	Datum key = index_getattr(entry, 1, desc, &isnull);

	if (isnull)
		elog(ERROR, "NULL between two keys of index \"%s\"", RelationGetRelationName(walk->index));
	walk->key = datumCopy(key, attribute->attbyval, attribute->attlen);
}

/*
 * Looks at some entries of a page. Returns whether to go on.
 */
static bool
visit_entries(Walk *walk, Page page, OffsetNumber from, OffsetNumber to)
{
	bool plain = true;

	/* mostly they all count, as one each */
	for (OffsetNumber offset = from; offset <= to; offset = OffsetNumberNext(offset))
	{
		ItemId id = PageGetItemId(page, offset);

		plain &= !ItemIdIsDead(id) & (ItemIdGetLength(id) < BA_SHORTEST_LIST);
	}
	if (plain && walk->found + to - from + 1 < walk->wanted)
		walk->found += to - from + 1;
	else
	{
		for (OffsetNumber offset = from; offset <= to; offset = OffsetNumberNext(offset))
		{
			ItemId id = PageGetItemId(page, offset);
			IndexTuple entry = (IndexTuple) PageGetItem(page, id);

			if (ItemIdIsDead(id))
				continue;
			walk->found += ItemIdGetLength(id) >= BA_SHORTEST_LIST && BTreeTupleIsPosting(entry)
							   ? BTreeTupleGetNPosting(entry)
							   : 1;
			if (walk->found >= walk->wanted)
			{
				end_walk(walk, entry);
				return false;
			}
		}
	}
	if (walk->blocks != NULL)
		add_blocks(walk->blocks, page, from, to);
	return true;
}

/*
 * Looks at the entries from..to of a page, while the page ahead, if any, is asked for. Returns whether to go on.
 */
static bool
visit_page(Walk *walk, Page page, OffsetNumber from, OffsetNumber to, Buffer ahead)
{
	Page next = ahead != InvalidBuffer ? BufferGetPage(ahead) : NULL;
	BaPrefetch prefetch = {.left = 0};

	if (from == P_FIRSTDATAKEY(BTPageGetOpaque(page)) && to == PageGetMaxOffsetNumber(page) &&
		walk->found + to - from + 1 < walk->wanted && is_dense(page))
	{
		visit_dense_page(walk, page, next);
		return true;
	}

	if (next != NULL)
		ba_prefetch_start(&prefetch, next, next + BLCKSZ, (to - from) / VISIT_ENTRIES + 1);
	for (int first = from; first <= to; first += VISIT_ENTRIES)
	{
		ba_prefetch_step(&prefetch);
		if (!visit_entries(walk, page, first, Min(first + VISIT_ENTRIES - 1, to)))
			return false;
	}
	return true;
}

/*
 * Looks at the entries whose key is first..last, page by page.
 */
static void
run_walk(Walk *walk, Datum first, Datum last)
{
	Relation index = walk->index;
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
			/* what is further right is not smaller than the high key */
			if (!more || _bt_compare(index, end, page, P_HIKEY) < 0)
			{
				to = OffsetNumberPrev(find_entry(index, end, page, from, to, true));
				more = false;
			}
			if (!begun)
				from = find_entry(index, begin, page, from, to, false);
			if (from <= to)
			{
				begun = true;
				if (more)
					ahead = pin_ahead(index, next, &track);
				more = visit_page(walk, page, from, to, ahead) && more;
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

/*
 * Looks for the key of the entry that is the rows-th in first..end. Sets it and returns true, or
 * returns false if there are fewer. Sets how many were found, `rows` at most.
 */
bool
ba_btree_cut(BaBtree *btree, Datum first, Datum end, int64 rows, Datum *last, int64 *found)
{
	Walk walk = {.index = btree->index, .wanted = rows};

	run_walk(&walk, first, end);
	*last = walk.key;
	*found = Min(walk.found, rows);
	return walk.found >= rows;
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
	Walk walk = {.index = btree->index, .wanted = PG_INT64_MAX, .blocks = &blocks};

	run_walk(&walk, first, last);
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
