/*
 * job_row.c
 *		Single rows of the tables of jobs, found by their number, without SQL.
 *
 * A process reads its job and its run before each batch, locks the run to cut the next one, and writes
 * three rows: a statement for each, planned once, still took most of what a batch costs beside its
 * command, as executors, privileges and settings are set up for a single row. So a row is looked up in
 * the primary key, locked and written by the calls that core's logical replication applies
 * changes with. All that asks for more than one row is SQL (job_catalog.c).
 *
 * A row is open from ba_row_open to ba_row_close, with a snapshot of its own. No privilege is asked for, as
 * nothing of anybody else's is run: these tables have no triggers of ours, and their indexes and
 * constraints call nothing but core's functions. Where their owner adds a trigger, or a foreign key that refers to
 * them, it is fired as that owner.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "job.h"

/*
 * Opens a table of jobs for one of its rows; write is for those that are changed. Waits for others, until a row is
 * locked, do not count as the job's waits for locks. ba_catalog_lock must have returned true in this transaction. An
 * error before ba_row_close is undone by the abort of the (sub)transaction.
 */
void
ba_row_open(BaRow *row, const char *table, bool write)
{
	row->guc_level = 0;
	if (LockTimeout > 0)
	{
		row->guc_level = NewGUCNestLevel();
		(void) set_config_option("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	row->rel = table_open(ba_catalog_get_table(table), write ? RowExclusiveLock : AccessShareLock);
	row->stored = table_slot_create(row->rel, NULL);
	row->slot = MakeSingleTupleTableSlot(RelationGetDescr(row->rel), &TTSOpsVirtual);
}

/*
 * Lets waits count again.
 */
static void
end_patience(BaRow *row)
{
	if (row->guc_level > 0)
		AtEOXact_GUC(true, row->guc_level);
	row->guc_level = 0;
}

/*
 * Lets go of it; the table stays locked until the transaction ends, as does a row that was locked.
 */
void
ba_row_close(BaRow *row)
{
	ExecDropSingleTupleTableSlot(row->slot);
	ExecDropSingleTupleTableSlot(row->stored);
	table_close(row->rel, NoLock);
	PopActiveSnapshot();
	end_patience(row);
}

/*
 * Makes what is stored the row's values, to be read and, where it is locked, changed.
 */
static void
take_stored(BaRow *row)
{
	int natts = RelationGetDescr(row->rel)->natts;

	slot_getallattrs(row->stored);
	ExecClearTuple(row->slot);
	memcpy(row->slot->tts_values, row->stored->tts_values, natts * sizeof(Datum));
	memcpy(row->slot->tts_isnull, row->stored->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(row->slot);
}

/*
 * Finds the row of a number by the primary key, in the row's snapshot. Returns false where there is none.
 */
static bool
find(BaRow *row, int64 id, ItemPointer tid)
{
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;

	ScanKeyInit(&key, get_attnum(RelationGetRelid(row->rel), "id"), BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(id));
	scan = systable_beginscan(row->rel, RelationGetPrimaryKeyIndex(row->rel, false), true,
							  GetActiveSnapshot(), 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		*tid = tuple->t_self;
		ExecForceStoreHeapTuple(tuple, row->stored, false);
	}
	systable_endscan(scan);
	return HeapTupleIsValid(tuple);
}

/*
 * Reads the row of a number. Returns false where there is none.
 */
bool
ba_row_read(BaRow *row, int64 id)
{
	ItemPointerData tid;

	if (!find(row, id, &tid))
		return false;
	take_stored(row);
	return true;
}

/*
 * Locks the row of a number, waiting for whoever has it, and reads it as it is then. Returns false where
 * there is none, or none any more.
 */
bool
ba_row_lock(BaRow *row, int64 id)
{
	ItemPointerData tid;
	TM_FailureData failure;
	TM_Result result;

	if (!find(row, id, &tid))
		return false;
	result = table_tuple_lock(
		row->rel, &tid, GetActiveSnapshot(), row->stored, GetCurrentCommandId(false),
		LockTupleNoKeyExclusive, LockWaitBlock,
		TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	if (result == TM_Deleted)
		return false;
	if (result != TM_Ok)
		elog(ERROR, "could not lock row " INT64_FORMAT " of %s: status %d", id,
			 RelationGetRelationName(row->rel), result);
	end_patience(row);
	take_stored(row);
	return true;
}

/*
 * Makes the row one that is to be inserted, of a new number: all other columns are NULL. Returns the
 * number.
 */
int64
ba_row_make(BaRow *row)
{
	char *sequence = psprintf("%s_id_seq", RelationGetRelationName(row->rel));
	int64 id = nextval_internal(ba_catalog_get_table(sequence), false);

	ExecClearTuple(row->slot);
	memset(row->slot->tts_isnull, true, RelationGetDescr(row->rel)->natts * sizeof(bool));
	ExecStoreVirtualTuple(row->slot);
	ba_row_set_int(row, "id", id);
	return id;
}

/*
 * Writes the row: inserts it if it was made, else puts it in the place of the one that was locked. Triggers
 * run as the table's owner, with a search_path in which nobody else can have put anything.
 */
static void
write_row(BaRow *row, bool insert)
{
	EState *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	EPQState epq = {0}; /* for rows that others change meanwhile, and this one is locked */
	int guc_level = NewGUCNestLevel();
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(row->rel->rd_rel->relowner, context | SECURITY_LOCAL_USERID_CHANGE);
	if (row->rel->trigdesc != NULL)
		(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	estate->es_output_cid = GetCurrentCommandId(true);
	AfterTriggerBeginQuery();
	InitResultRelInfo(result, row->rel, 0, NULL, 0);
	ExecOpenIndices(result, false);
	if (insert)
		ExecSimpleRelationInsert(result, estate, row->slot);
	else
		ExecSimpleRelationUpdate(result, estate, &epq, row->stored, row->slot);
	AfterTriggerEndQuery(estate);
	ExecCloseIndices(result);
	ExecCloseResultRelations(estate); /* those of triggers */
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
	AtEOXact_GUC(true, guc_level);
	SetUserIdAndSecContext(user, context);
	CommandCounterIncrement();
}

void
ba_row_insert(BaRow *row)
{
	write_row(row, true);
}

void
ba_row_update(BaRow *row)
{
	write_row(row, false);
}

/*
 * Returns the index of a column in a slot.
 */
static int
find_column(const BaRow *row, const char *column)
{
	TupleDesc desc = RelationGetDescr(row->rel);

	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), column) == 0 &&
			!TupleDescAttr(desc, i)->attisdropped)
			return i;
	}
	elog(ERROR, "%s has no column %s", RelationGetRelationName(row->rel), column);
}

static Oid
column_type(const BaRow *row, int column)
{
	return TupleDescAttr(RelationGetDescr(row->rel), column)->atttypid;
}

/*
 * Returns a column of type int4, int8 or of OIDs, or null_value for NULL.
 */
int64
ba_row_int(const BaRow *row, const char *column, int64 null_value)
{
	int i = find_column(row, column);

	return row->slot->tts_isnull[i]
			   ? null_value
			   : ba_catalog_number(row->slot->tts_values[i], column_type(row, i));
}

/*
 * Returns an interval in ms, or 0 for NULL.
 */
int64
ba_row_ms(const BaRow *row, const char *column)
{
	int i = find_column(row, column);
	Datum seconds;

	if (row->slot->tts_isnull[i])
		return 0;
	seconds =
		DirectFunctionCall2(interval_part, CStringGetTextDatum("epoch"), row->slot->tts_values[i]);
	return (int64) rint(DatumGetFloat8(seconds) * 1000);
}

/*
 * Returns a column of type text, name or jsonb, in the current context; NULL where it is.
 */
char *
ba_row_text(const BaRow *row, const char *column)
{
	int i = find_column(row, column);
	Datum value = row->slot->tts_values[i];

	if (row->slot->tts_isnull[i])
		return NULL;
	switch (column_type(row, i))
	{
		case TEXTOID:
			return TextDatumGetCString(value);
		case NAMEOID:
			return pstrdup(NameStr(*DatumGetName(value)));
		default:
			return DatumGetCString(DirectFunctionCall1(jsonb_out, value));
	}
}

/*
 * Returns a boolean column; NULL is false.
 */
bool
ba_row_bool(const BaRow *row, const char *column)
{
	int i = find_column(row, column);

	return !row->slot->tts_isnull[i] && DatumGetBool(row->slot->tts_values[i]);
}

/*
 * Sets a column of any type; what a Datum refers to has to live until the row is written.
 */
static void
set(BaRow *row, const char *column, Datum value)
{
	int i = find_column(row, column);

	row->slot->tts_values[i] = value;
	row->slot->tts_isnull[i] = false;
}

void
ba_row_set_null(BaRow *row, const char *column)
{
	row->slot->tts_isnull[find_column(row, column)] = true;
}

void
ba_row_set_int(BaRow *row, const char *column, int64 value)
{
	bool is_long = column_type(row, find_column(row, column)) == INT8OID;

	set(row, column, is_long ? Int64GetDatum(value) : Int32GetDatum((int32) value));
}

void
ba_row_set_float(BaRow *row, const char *column, double value)
{
	set(row, column, Float8GetDatum(value));
}

void
ba_row_set_bool(BaRow *row, const char *column, bool value)
{
	set(row, column, BoolGetDatum(value));
}

void
ba_row_set_text(BaRow *row, const char *column, const char *value)
{
	if (value == NULL)
		ba_row_set_null(row, column);
	else
		set(row, column, CStringGetTextDatum(value));
}

/*
 * Sets a timestamptz to the current time.
 */
void
ba_row_set_now(BaRow *row, const char *column)
{
	set(row, column, TimestampTzGetDatum(GetCurrentTimestamp()));
}
