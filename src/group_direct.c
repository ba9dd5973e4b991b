/*
 * group_direct.c
 *		One integer key whose values lie close together: an array of records by value.
 *
 * The array is used while it has few places, or at least a quarter of its places have
 * a group: then it is not larger than the hash table would be, and a row takes one
 * load and no comparison. When a value outside turns up, ba_group_choose_index makes the array
 * longer, or changes to the hash table; it changes back where that has grown and
 * the values turned out to be dense.
 *
 * Behind the values stand the record of the null group, and a place that is always
 * NULL, for values outside.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "group_internal.h"

/* An array of so many places is always taken to be small. */
#define SMALL_RANGE 8192

/*
 * The value of a record, false for the null group.
 */
static bool
get_value(const BaGroups *groups, const char *record, int64 *value)
{
	const BaGroupKey *key = &groups->keys[0];
	const uint64 *words = (const uint64 *) record;

	*value = (int64) words[key->word];
	return key->null_word < 0 ? words[key->word] != BA_NULL_WORD : words[key->null_word] == 0;
}

/*
 * The place of a record in the array.
 */
static char **
get_place(const BaGroups *groups, const char *record)
{
	int64 value;

	if (!get_value(groups, record, &value))
		return &groups->direct[groups->direct_size];
	return &groups->direct[(uint64) value - groups->direct_base];
}

/*
 * Chooses between array and hash table, for the groups there are and those of n more rows, and
 * builds it. Where it chooses the array, it has places for all of them.
 */
void
ba_group_choose_index(BaGroups *groups, const BaVector *key, int n)
{
	int64 least = PG_INT64_MAX;
	int64 greatest = PG_INT64_MIN;
	uint64 distance;
	uint64 room;
	BaGroupCursor cursor;
	char *record;

	groups->reconsider = false;
	ba_group_rewind_made(groups, &cursor);
	while ((record = ba_group_next_made(groups, &cursor)) != NULL)
	{
		int64 value;

		if (get_value(groups, record, &value))
		{
			least = Min(least, value);
			greatest = Max(greatest, value);
		}
	}
	for (int i = 0; i < n; i++)
		if (key->nulls == NULL || !key->nulls[i])
		{
			least = Min(least, key->ints[i]);
			greatest = Max(greatest, key->ints[i]);
		}
	if (least > greatest)
		least = greatest = 0; /* nulls only */

	distance = (uint64) greatest - (uint64) least;
	if (distance >= Max(SMALL_RANGE, 4 * groups->count))
	{
		if (groups->slots == NULL)
			ba_group_build_slots(groups);
		return;
	}

	/* values may wander, up or down: the array gets longer by half at least on the side where it
	 * must */
	room = distance / 2 + 16;
	if (groups->direct == NULL)
	{
		groups->direct_base = least;
		groups->direct_size = distance + 1;
	}
	else
	{
		bool below = (uint64) least - groups->direct_base >= groups->direct_size;

		groups->direct_base = (uint64) least - (below ? room : 0);
		groups->direct_size = distance + 1 + room;
	}
	ba_group_drop_index(groups);
	groups->direct =
		MemoryContextAllocExtended(groups->memory, (groups->direct_size + 2) * sizeof(char *),
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	ba_group_rewind_made(groups, &cursor);
	while ((record = ba_group_next_made(groups, &cursor)) != NULL)
		*get_place(groups, record) = record;
}

/*
 * A record for a value or the null group.
 */
static char *
add_record(BaGroups *groups, int64 value, bool isnull)
{
	const BaGroupKey *key = &groups->keys[0];
	char *record = ba_group_add_record(groups);
	uint64 *words = (uint64 *) record;

	if (key->null_word >= 0)
	{
		words[key->null_word] = isnull ? key->null_bit : 0;
		words[key->word] = isnull ? 0 : value;
	}
	else
		words[key->word] = isnull ? BA_NULL_WORD : value;
	return record;
}

/*
 * ba_group_find by the array; -1 where a value lies outside.
 */
int
ba_group_find_direct(BaGroups *groups, const BaVector *key, int n, char **records, char **fresh)
{
	const int64 *values = key->ints;
	const bool *nulls = key->nulls;
	uint64 base = groups->direct_base;
	uint64 size = groups->direct_size;
	char **direct = groups->direct;
	bool found = true;
	int nfresh = 0;

	if (nulls == NULL)
		for (int i = 0; i < n; i++)
		{
			uint64 place = (uint64) values[i] - base;

			/* not `size`: that is the null group */
			records[i] = direct[place >= size ? size + 1 : place];
			found &= records[i] != NULL;
		}
	else
		for (int i = 0; i < n; i++)
		{
			uint64 place = (uint64) values[i] - base;

			place = place >= size ? size + 1 : place;
			records[i] = direct[nulls[i] ? size : place];
			found &= records[i] != NULL;
		}
	if (found)
		return 0;

	for (int i = 0; i < n; i++)
		if ((nulls == NULL || !nulls[i]) && (uint64) values[i] - base >= size)
			return -1;
	for (int i = 0; i < n; i++)
		if (records[i] == NULL)
		{
			bool isnull = nulls != NULL && nulls[i];
			char **place = &direct[isnull ? size : (uint64) values[i] - base];

			if (*place == NULL)
				*place = fresh[nfresh++] = add_record(groups, values[i], isnull);
			records[i] = *place;
		}
	return nfresh;
}
