/*
 * batch_result.c
 *		Result columns, and where result rows go.
 *
 * The rows that a function returns must have the columns that its caller has
 * declared, by a column definition list or by a row type: first batch where the
 * function has it, then the query's own. Types must be the same, and so must a
 * declared length or precision: the caller's plan takes it as given, so a longer
 * value would end up in a column that cannot hold it. Columns dropped from a row
 * type are NULL.
 *
 * A receiver brings each row of the executor into that form and gives it to a
 * sink. Sinks copy what they are given.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"

#include "batch.h"
#include "compat.h"

/* Receiver of the executor's rows. */
typedef struct BaReceiver
{
	DestReceiver pub;
	BaColumns *columns;
	BaSink *sink;
	int64 batch; /* the batch that runs */
	Datum *values;
	bool *nulls;
} BaReceiver;

/* Sink that fills a tuplestore. */
typedef struct StoreSink
{
	BaSink pub;
	Tuplestorestate *store;
} StoreSink;

/*
 * Returns the column definition list that fits a query, as a person would write it.
 */
static char *
describe_columns(TupleDesc query, bool with_batch)
{
	StringInfoData list;

	initStringInfo(&list);
	if (with_batch)
		appendStringInfoString(&list, "batch bigint");
	for (int i = 0; i < query->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(query, i);

		appendStringInfo(&list, "%s%s %s", list.len > 0 ? ", " : "",
						 quote_identifier(NameStr(attr->attname)),
						 format_type_with_typemod(attr->atttypid, attr->atttypmod));
	}
	return list.data;
}

/*
 * Throws the error of columns that do not fit.
 */
static void
refuse_columns(TupleDesc query, bool with_batch, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("declared result columns do not match those of the query"),
					errdetail_internal("%s", detail),
					errhint("The columns are: AS (%s).", describe_columns(query, with_batch))));
}

/*
 * Checks that the columns wanted fit a query, with a column batch before the query's own if so
 * asked, and returns which comes from where.
 */
BaColumns *
ba_result_match(TupleDesc wanted, TupleDesc query, bool with_batch)
{
	BaColumns *columns = palloc(sizeof(BaColumns));
	AttrNumber next = with_batch ? BA_COLUMN_BATCH : 1;
	int nwanted = 0;
	int nquery = query->natts + (with_batch ? 1 : 0);

	columns->desc = wanted;
	columns->from = palloc(sizeof(AttrNumber) * Max(1, wanted->natts));
	for (int i = 0; i < wanted->natts; i++)
	{
		columns->from[i] = BA_COLUMN_DROPPED;
		if (!TupleDescAttr(wanted, i)->attisdropped)
		{
			columns->from[i] = next++;
			nwanted++;
		}
	}
	if (nwanted != nquery)
		refuse_columns(
			query, with_batch,
			psprintf("Columns declared: %d. Columns of the result: %d.", nwanted, nquery));

	for (int i = 0; i < wanted->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(wanted, i);
		Oid type = INT8OID;
		int32 typmod = -1;

		if (columns->from[i] == BA_COLUMN_DROPPED)
			continue;
		if (columns->from[i] != BA_COLUMN_BATCH)
		{
			type = TupleDescAttr(query, columns->from[i] - 1)->atttypid;
			typmod = TupleDescAttr(query, columns->from[i] - 1)->atttypmod;
		}
		if (attr->atttypid != type || (attr->atttypmod >= 0 && attr->atttypmod != typmod))
			refuse_columns(query, with_batch,
						   psprintf("Column \"%s\" is declared as %s, but is %s.",
									NameStr(attr->attname),
									format_type_with_typemod(attr->atttypid, attr->atttypmod),
									format_type_with_typemod(type, typmod)));
	}
	return columns;
}

/*
 * Rebuilds columns in another process from what ba_result_match has found, good for forming rows.
 */
BaColumns *
ba_result_from_map(TupleDesc query, int natts, const AttrNumber *from)
{
	BaColumns *columns = palloc(sizeof(BaColumns));

	columns->desc = CreateTemplateTupleDesc(natts);
	columns->from = palloc(sizeof(AttrNumber) * Max(1, natts));
	for (int i = 0; i < natts; i++)
	{
		columns->from[i] = from[i];
		if (from[i] > 0)
			TupleDescCopyEntry(columns->desc, i + 1, query, from[i]);
		else
			/* The batch; or a dropped column, whose type does not matter as it is NULL. */
			TupleDescInitEntry(columns->desc, i + 1, "batch", INT8OID, -1, 0);
	}
	return columns;
}

static void
store_put(BaSink *sink, int64 batch, TupleDesc desc, Datum *values, bool *nulls)
{
	tuplestore_putvalues(((StoreSink *) sink)->store, desc, values, nulls);
}

/*
 * Makes a sink that adds the rows to a tuplestore, in the order they come.
 */
BaSink *
ba_result_to_tuplestore(Tuplestorestate *store)
{
	StoreSink *sink = palloc(sizeof(StoreSink));

	sink->pub.put = store_put;
	sink->store = store;
	return &sink->pub;
}

static bool
receive_slot(TupleTableSlot *slot, DestReceiver *self)
{
	BaReceiver *receiver = (BaReceiver *) self;
	BaColumns *columns = receiver->columns;

	slot_getallattrs(slot);
	for (int i = 0; i < columns->desc->natts; i++)
	{
		AttrNumber from = columns->from[i];

		if (from > 0)
		{
			receiver->values[i] = slot->tts_values[from - 1];
			receiver->nulls[i] = slot->tts_isnull[from - 1];
		}
		else
		{
			receiver->values[i] = Int64GetDatum(receiver->batch);
			receiver->nulls[i] = from == BA_COLUMN_DROPPED;
		}
	}
	receiver->sink->put(receiver->sink, receiver->batch, columns->desc, receiver->values,
						receiver->nulls);
	return true;
}

static void
start_receiver(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
shutdown_receiver(DestReceiver *self)
{
}

static void
destroy_receiver(DestReceiver *self)
{
	pfree(self);
}

/*
 * Makes a receiver that gives rows of these columns to a sink.
 */
DestReceiver *
ba_result_create_receiver(BaColumns *columns, BaSink *sink)
{
	BaReceiver *receiver = palloc0(sizeof(BaReceiver));

	receiver->pub.receiveSlot = receive_slot;
	receiver->pub.rStartup = start_receiver;
	receiver->pub.rShutdown = shutdown_receiver;
	receiver->pub.rDestroy = destroy_receiver;
	receiver->pub.mydest = DestNone;
	receiver->columns = columns;
	receiver->sink = sink;
	receiver->values = palloc(sizeof(Datum) * Max(1, columns->desc->natts));
	receiver->nulls = palloc(sizeof(bool) * Max(1, columns->desc->natts));
	return &receiver->pub;
}

/*
 * Says which batch the rows to come are of.
 */
void
ba_result_set_batch(DestReceiver *receiver, int64 batch)
{
	((BaReceiver *) receiver)->batch = batch;
}

/*
 * Sends the rows to come elsewhere.
 */
void
ba_result_set_sink(DestReceiver *receiver, BaSink *sink)
{
	((BaReceiver *) receiver)->sink = sink;
}
