/*
 * job_key.c
 *		Batches that are ranges of a column.
 *
 * Questions are SQL: the last key is the first one in descending order; the end of a batch is
 * the key that stands batch_size - 1 places behind its first. With an index on the key these are
 * walks along it, and cutting batches is left to job_btree.c where it can, which takes a tenth of the time that SQL
 * does. Whatever is equal to the end belongs to the batch, since bounds are inclusive. Where
 * fewer keys are left than a batch has the batch ends where the run does, and is counted.
 *
 * Operators are named by their schema and those of the type's default order, so the answers
 * depend on no search_path. An upper bound stands in all of them, never an open end: keys beyond the
 * run's end are not its business, and NULL is never between bounds. (A row with a NULL in it is a
 * key like any other, which IS NOT NULL would not say; IS DISTINCT FROM NULL does.)
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "job.h"

/*
 * Runs a query with up to two keys and a number as parameters, prepared for the next time. Leaves its rows
 * in SPI_tuptable, and SPI connected.
 */
static void
ask(BaRange *range, const char *sql, const char *first, const char *last, int64 number)
{
	Oid types[3] = {range->type, range->type, INT8OID};
	Datum values[3];
	char nulls[3] = {' ', ' ', ' '};
	bool isnull;
	BaPrepared *prepared;
	volatile int result = 0;

	SPI_connect();
	values[0] = ba_range_key_in(range, first, &isnull);
	nulls[0] = isnull ? 'n' : ' ';
	values[1] = ba_range_key_in(range, last, &isnull);
	nulls[1] = isnull ? 'n' : ' ';
	values[2] = Int64GetDatum(number);
	/* planned for each range, which may be small or almost all */
	prepared = ba_prepared_get(sql, lengthof(types), types, CURSOR_OPT_CUSTOM_PLAN);
	PG_TRY();
	{
		result = SPI_execute_plan(prepared->plan, values, nulls, true, 0);
	}
	PG_FINALLY();
	{
		ba_prepared_release(prepared, false);
	}
	PG_END_TRY();
	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", sql);
}

/*
 * Returns a column of the row that ask found as text, in the given context; NULL if there is no
 * row or its key is NULL.
 */
static char *
answer(BaRange *range, int column, MemoryContext context)
{
	MemoryContext old;
	Datum value;
	bool isnull;
	char *text;

	if (SPI_processed == 0)
		return NULL;
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(context);
	text = ba_range_key_out(range, value);
	MemoryContextSwitchTo(old);
	return text;
}

/*
 * Asks for one key.
 */
static char *
ask_key(BaRange *range, const char *sql, const char *first, const char *last, int64 number)
{
	MemoryContext context = CurrentMemoryContext;
	char *key;

	ask(range, sql, first, last, number);
	key = answer(range, 1, context);
	SPI_finish();
	return key;
}

/*
 * Counts the rows of a range.
 */
static int64
count_rows(BaRange *range, const char *first, const char *last)
{
	bool isnull;
	int64 rows;

	ask(range,
		psprintf("SELECT pg_catalog.count(*) FROM %s WHERE %s", range->relation_name,
				 range->bounds_sql),
		first, last, 0);
	rows = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return rows;
}

static char *
last_key(BaRange *range)
{
	return ask_key(range,
				   psprintf("SELECT %s FROM %s WHERE %s IS DISTINCT FROM NULL ORDER BY %s DESC "
							"LIMIT 1",
							range->key, range->relation_name, range->key, range->key),
				   NULL, NULL, 0);
}

/*
 * Returns the first key above position, or of all, up to end; NULL where there is none.
 */
static char *
first_key(BaRange *range, const char *position, const char *end)
{
	if (position != NULL)
		return ask_key(range,
					   psprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1", range->key,
								range->relation_name, range->after_sql, range->key),
					   position, end, 0);
	return ask_key(range,
				   psprintf("SELECT %s FROM %s WHERE %s IS DISTINCT FROM NULL ORDER BY %s LIMIT 1",
							range->key, range->relation_name, range->key, range->key),
				   NULL, NULL, 0);
}

/*
 * Cuts the next batch along an index.
 */
static bool
next_in_index(BaRange *range, BaBtree *btree, const char *position, const char *end, int64 rows,
			  char **first, char **last, int64 *count)
{
	bool isnull;
	Datum end_value = ba_range_key_in(range, end, &isnull);
	Datum position_value = (Datum) 0;
	Datum first_value;
	Datum last_value;

	if (position != NULL)
		position_value = ba_range_key_in(range, position, &isnull);
	if (!ba_btree_find_first(btree, position != NULL ? &position_value : NULL, end_value,
							 &first_value))
		return false;
	*first = ba_range_key_out(range, first_value);
	*last = ba_btree_cut(btree, first_value, end_value, rows, &last_value, count)
				? ba_range_key_out(range, last_value)
				: pstrdup(end);
	return true;
}

static bool
next(BaRange *range, const char *position, const char *end, int64 rows, char **first, char **last,
	 int64 *count)
{
	BaBtree *btree = ba_btree_open(range);

	if (btree != NULL)
	{
		bool found = next_in_index(range, btree, position, end, rows, first, last, count);

		ba_btree_close(btree);
		return found;
	}

	*first = first_key(range, position, end);
	if (*first == NULL)
		return false;
	*last = ask_key(range,
					psprintf("SELECT %s FROM %s WHERE %s ORDER BY %s OFFSET $3 LIMIT 1", range->key,
							 range->relation_name, range->bounds_sql, range->key),
					*first, end, rows - 1);
	*count = rows;
	if (*last == NULL)
	{
		*count = count_rows(range, *first, end);
		*last = pstrdup(end);
		/* Without a position the first key is looked for without the end, and may be behind it. */
		if (*count == 0)
			return false;
	}
	return true;
}

static bool
split(BaRange *range, const char *first, const char *last, char **left_last, char **right_first)
{
	int64 rows = count_rows(range, first, last);

	/* The key in the middle goes to the left, with all that are equal to it; if that is all, to the right. */
	*left_last = ask_key(range,
						 psprintf("SELECT %s FROM %s WHERE %s ORDER BY %s OFFSET $3 LIMIT 1",
								  range->key, range->relation_name, range->bounds_sql, range->key),
						 first, last, Max(0, (rows - 1) / 2));
	if (*left_last == NULL)
		return false;
	*right_first = first_key(range, *left_last, last);
	if (*right_first == NULL)
	{
		*right_first = *left_last;
		*left_last =
			ask_key(range,
					psprintf("SELECT %s FROM %s WHERE %s ORDER BY %s DESC LIMIT 1", range->key,
							 range->relation_name, range->before_sql, range->key),
					first, *right_first, 0);
	}
	return *left_last != NULL;
}

/*
 * Returns a key as a number that grows with it, NaN where its type has none.
 */
static double
key_to_number(BaRange *range, const char *text)
{
	bool isnull;
	Datum key = ba_range_key_in(range, text, &isnull);

	if (isnull)
		return get_float8_nan();
	switch (range->type)
	{
		case INT2OID:
			return DatumGetInt16(key);
		case INT4OID:
			return DatumGetInt32(key);
		case INT8OID:
			return (double) DatumGetInt64(key);
		case FLOAT4OID:
			return DatumGetFloat4(key);
		case FLOAT8OID:
			return DatumGetFloat8(key);
		case NUMERICOID:
			return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, key));
		case DATEOID:
			return DatumGetDateADT(key);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return (double) DatumGetTimestamp(key);
		default:
			return get_float8_nan();
	}
}

/*
 * As if keys were spread evenly.
 */
static double
fraction(BaRange *range, const char *start, const char *position, const char *end)
{
	double from = key_to_number(range, start);
	double to = key_to_number(range, end);
	double part = (key_to_number(range, position) - from) / (to - from);

	return part > 0 && part <= 1 ? part : -1;
}

/*
 * Tells whether there are rows whose key is NULL, for a column that may be.
 */
bool
ba_range_has_null_key(BaRange *range)
{
	bool found;

	if (!range->nullable)
		return false;
	ask(range,
		psprintf("SELECT 1 FROM %s WHERE %s IS NOT DISTINCT FROM NULL LIMIT 1",
				 range->relation_name, range->key),
		NULL, NULL, 0);
	found = SPI_processed > 0;
	SPI_finish();
	return found;
}

/*
 * A key is a value: it means the same whatever became of the rows, but for its type and order.
 */
static void
check(BaRange *range, Oid filenode)
{
	ba_range_check_key(range);
}

const BaRangeKind ba_key_range = {
	.last_key = last_key,
	.next = next,
	.split = split,
	.fraction = fraction,
	.check = check,
};
