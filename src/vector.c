/*
 * vector.c
 *		Column vectors: types, buffers, and single values in and out.
 *
 * All lanes have elements of 8 bytes, so a buffer serves any of them. Room for
 * the nulls of BA_VECTOR_ROWS rows lies behind the values
 * (ba_vector_null_buffer); vector->nulls points there, or at the nulls of another
 * vector, or nowhere.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "vector.h"

StaticAssertDecl(sizeof(int64) == sizeof(Datum) && sizeof(double) == sizeof(Datum),
				 "elements of all lanes have 8 bytes");

/*
 * Describes a type, or the type below a domain. oid is InvalidOid if values of the type cannot
 * be held: cstring and pseudo-types.
 */
BaType
ba_vector_type(Oid type)
{
	BaType result = {.oid = getBaseType(type)};

	switch (get_typtype(result.oid))
	{
		case TYPTYPE_BASE:
		case TYPTYPE_COMPOSITE:
		case TYPTYPE_ENUM:
		case TYPTYPE_RANGE:
		case TYPTYPE_MULTIRANGE:
			break;
		default:
			return (BaType){.oid = InvalidOid};
	}
	get_typlenbyvalalign(result.oid, &result.len, &result.byval, &result.align);
	if (result.len == -2)
		return (BaType){.oid = InvalidOid};
	if (result.oid == FLOAT4OID || result.oid == FLOAT8OID)
		result.lane = BA_LANE_FLOAT;
	else
		result.lane = result.byval ? BA_LANE_INT : BA_LANE_DATUM;
	return result;
}

/*
 * Makes the buffers of a vector, in CurrentMemoryContext. Nulls and flags are cleared.
 */
void
ba_vector_init(BaVector *vector, BaType type, BaLane lane)
{
	memset(vector, 0, sizeof(BaVector));
	vector->type = type;
	vector->lane = lane;
	vector->ints = palloc0(BA_VECTOR_ROWS * (sizeof(int64) + sizeof(bool)));
}

/*
 * Returns the value of a row that is not null. What has to be allocated for it is in `memory`; a
 * pointer of BA_LANE_DATUM is returned as it is.
 */
Datum
ba_vector_get_datum(const BaVector *vector, int row, MemoryContext memory)
{
	switch (vector->lane)
	{
		case BA_LANE_INT:
			/* fetch_att() makes an unsigned char of a byte where char is unsigned */
			if (vector->type.len == 1)
				return CharGetDatum((char) vector->ints[row]);
			return Int64GetDatum(vector->ints[row]);
		case BA_LANE_FLOAT:
			if (vector->type.oid == FLOAT4OID)
				return Float4GetDatum((float4) vector->floats[row]);
			return Float8GetDatum(vector->floats[row]);
		case BA_LANE_NUMERIC:
		{
			MemoryContext old = MemoryContextSwitchTo(memory);
			int scale;
			int64 value = ba_numeric_get(vector, row, &scale);
			Datum datum = ba_numeric_encode(value, scale);

			MemoryContextSwitchTo(old);
			return datum;
		}
		case BA_LANE_DATUM:
			return vector->datums[row];
	}
	elog(ERROR, "unrecognized lane: %d", (int) vector->lane);
}

/*
 * Sets the value of a row, in the lane of the vector's type. A pointer is taken over as it is: what
 * it points at must live as long as the vector's values.
 */
void
ba_vector_set_datum(BaVector *vector, int row, Datum value)
{
	switch (vector->lane)
	{
		case BA_LANE_INT:
			switch (vector->type.len)
			{
				case 1:
					vector->ints[row] = (int8) value;
					break;
				case 2:
					vector->ints[row] = DatumGetInt16(value);
					break;
				case 4:
					vector->ints[row] = DatumGetInt32(value);
					break;
				default:
					vector->ints[row] = DatumGetInt64(value);
			}
			break;
		case BA_LANE_FLOAT:
			vector->floats[row] = vector->type.oid == FLOAT4OID ? (double) DatumGetFloat4(value)
																: DatumGetFloat8(value);
			break;
		case BA_LANE_NUMERIC:
			elog(ERROR, "a numeric cannot be put into a vector of scaled integers");
			break;
		case BA_LANE_DATUM:
			vector->datums[row] = value;
			if (vector->type.len == -1 && (VARATT_IS_COMPRESSED(DatumGetPointer(value)) ||
										   VARATT_IS_EXTERNAL(DatumGetPointer(value))))
				vector->extended = true;
			break;
	}
}

/*
 * Makes a row null. The vector's nulls must be its own or NULL.
 */
void
ba_vector_set_null(BaVector *vector, int row)
{
	if (vector->nulls == NULL)
	{
		vector->nulls = ba_vector_null_buffer(vector);
		memset(vector->nulls, 0, BA_VECTOR_ROWS);
	}
	vector->nulls[row] = true;
	vector->ints[row] = 0;
}

/*
 * Replaces values that are compressed or out of line by plain ones, allocated in `memory`. Short
 * headers stay. Writes into the vector's buffer, which must be the caller's own.
 */
void
ba_vector_detoast(BaVector *vector, int n, MemoryContext memory)
{
	MemoryContext old;

	if (!vector->extended)
		return;
	old = MemoryContextSwitchTo(memory);
	for (int i = 0; i < n; i++)
		if (vector->datums[i] != (Datum) 0)
			vector->datums[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(vector->datums[i]));
	MemoryContextSwitchTo(old);
	vector->extended = false;
}

/*
 * Returns the rows that are null in a or in b, either of which may be NULL: one of them if the
 * other has none, or `buffer`, filled, which may be one of them.
 */
const bool *
ba_vector_unite_nulls(bool *buffer, const bool *a, const bool *b, int n)
{
	if (a == NULL)
		return b;
	if (b == NULL || a == b)
		return a;
	for (int i = 0; i < n; i++)
		buffer[i] = a[i] | b[i];
	return buffer;
}

/*
 * Sets rejected[i] for the rows for which a condition is false or null, or that `already` has, which
 * may be NULL or the same array.
 */
void
ba_vector_find_untrue(bool *rejected, const BaVector *condition, const bool *already, int n)
{
	const int64 *values = condition->ints;
	const bool *nulls = condition->nulls;

	if (already == NULL)
		for (int i = 0; i < n; i++)
			rejected[i] = values[i] == 0;
	else
		for (int i = 0; i < n; i++)
			rejected[i] = already[i] | (values[i] == 0);
	if (nulls != NULL)
		for (int i = 0; i < n; i++)
			rejected[i] |= nulls[i];
}
