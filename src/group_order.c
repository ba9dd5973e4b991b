/*
 * group_order.c
 *		The order in which many groups are emitted: that of core's hash table above.
 *
 * Finalize Aggregate puts the partial states of each group it sees into a hash table, in
 * the end walks that table by place, and follows pointers to what it allocated as rows came in.
 * With many groups in any other order, each of its steps is a cache miss, and these take longer
 * than all that the engine does. So the groups are sorted by the place that they will have
 * there: core's steps then go through its memory from one end to the other. The sort is
 * by distribution, twice, and takes its room from the index, which is not needed any
 * more, where that is large enough.
 *
 * The hash is made as execGrouping.c makes it, from the hash functions of the keys' types. Nothing
 * but speed depends on its being the same, nor on the size of the table being what it is
 * thought to be: with twice as many places there are two ordered walks through the table
 * instead of one. Groups of equal keys have the same hash, and stay in the order in
 * which they were made.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "group_internal.h"

/* Fewer are emitted as they are: core's table stays in the cache. */
#define MIN_ORDERED 16384

/* Each distribution is by so many bits at most; the lowest bits of a place that are left over are
 * not looked at. */
#define DIGIT_BITS 11

/* In between, a record's pointer carries the digit that is left. */
#define TAG_SHIFT 48

/* How many records ahead a walk asks for. */
#define PREFETCH_DISTANCE 12

/*
 * Looks up the hash functions of the keys; without them there is no order, and no hash table above.
 */
void
ba_group_prepare_order(BaGroups *groups)
{
	groups->can_order = true;
	for (int k = 0; k < groups->nkeys; k++)
	{
		BaGroupKey *key = &groups->keys[k];
		TypeCacheEntry *type = lookup_type_cache(key->type.oid, TYPECACHE_HASH_PROC);

		if (!OidIsValid(type->hash_proc))
		{
			groups->can_order = false;
			return;
		}
		fmgr_info_cxt(type->hash_proc, &key->hash, groups->memory);
	}
}

/*
 * The hash that core will have for a group. Deterministic collations all hash alike.
 */
static uint32
hash_as_core(BaGroups *groups, const char *record)
{
	uint32 hash = 0;

	for (int k = 0; k < groups->nkeys; k++)
	{
		bool isnull;
		Datum key = ba_group_get_key(groups, record, k, &isnull);

		hash = (hash << 1) | (hash >> 31);
		if (!isnull)
			hash ^= DatumGetUInt32(FunctionCall1Coll(&groups->keys[k].hash, C_COLLATION_OID, key));
	}
	return murmurhash32(hash);
}

/*
 * Whether the index has room for the order.
 */
static bool
index_has_room(const BaGroups *groups)
{
	return groups->slots != NULL && groups->slot_mask + 1 >= 2 * groups->count;
}

/*
 * Bytes that the order will take.
 */
Size
ba_group_order_bytes(const BaGroups *groups)
{
	if (!groups->can_order || groups->count < MIN_ORDERED)
		return 0;
	return groups->count * (sizeof(uint32) + (index_has_room(groups) ? 0 : 2 * sizeof(char *)));
}

/*
 * Makes the numbers of members of each digit into where they start.
 */
static void
sum_up(uint32 *counts, int n)
{
	uint32 sum = 0;

	for (int i = 0; i < n; i++)
	{
		uint32 count = counts[i];

		counts[i] = sum;
		sum += count;
	}
}

/*
 * Orders the groups if that pays; ba_group_next then walks groups->order. Spoils the index.
 */
void
ba_group_make_order(BaGroups *groups)
{
	int place_bits = pg_ceil_log2_64(groups->count + groups->count / 9); /* filled to 0.9 */
	int ignored_bits = Max(place_bits - 2 * DIGIT_BITS, 0);
	uint64 place_mask = (UINT64CONST(1) << place_bits) - 1;
	uint64 digit_mask = (1 << DIGIT_BITS) - 1;
	uint32 low_starts[1 << DIGIT_BITS] = {0};
	uint32 high_starts[1 << DIGIT_BITS] = {0};
	uint64 *block;
	uint64 *tagged;
	uint32 *places;
	MemoryContext old;
	BaGroupCursor cursor;
	char *record;
	uint64 i;

	if (groups->order != NULL || ba_group_order_bytes(groups) == 0 || groups->count > PG_UINT32_MAX)
		return;

	places = MemoryContextAllocHuge(groups->memory, groups->count * sizeof(uint32));
	old = MemoryContextSwitchTo(groups->scratch);
	ba_group_rewind_made(groups, &cursor);
	for (i = 0; (record = ba_group_next_made(groups, &cursor)) != NULL; i++)
	{
		places[i] = (hash_as_core(groups, record) & place_mask) >> ignored_bits;
		low_starts[places[i] & digit_mask]++;
		high_starts[places[i] >> DIGIT_BITS]++;
		if (i % 1024 == 0)
			MemoryContextReset(groups->scratch);
	}
	MemoryContextSwitchTo(old);
	sum_up(low_starts, 1 << DIGIT_BITS);
	sum_up(high_starts, 1 << DIGIT_BITS);

	if (index_has_room(groups))
		block = groups->slots;
	else
		block = groups->order_block =
			MemoryContextAllocHuge(groups->memory, 2 * groups->count * sizeof(uint64));
	tagged = block + groups->count;
	ba_group_rewind_made(groups, &cursor);
	for (i = 0; (record = ba_group_next_made(groups, &cursor)) != NULL; i++)
		tagged[low_starts[places[i] & digit_mask]++] =
			(uint64) record | ((uint64) (places[i] >> DIGIT_BITS) << TAG_SHIFT);
	pfree(places);

	groups->order = (char **) block;
	for (i = 0; i < groups->count; i++)
	{
		record = (char *) (tagged[i] & ((UINT64CONST(1) << TAG_SHIFT) - 1));
		groups->order[high_starts[tagged[i] >> TAG_SHIFT]++] = record;
	}
}

/*
 * The record at some place of the order.
 */
char *
ba_group_get_ordered(const BaGroups *groups, uint32 place)
{
	if (place + PREFETCH_DISTANCE < groups->count)
	{
		const char *ahead = groups->order[place + PREFETCH_DISTANCE];

		__builtin_prefetch(ahead);
		__builtin_prefetch(ahead + groups->record_size - 1);
	}
	return groups->order[place];
}

/*
 * Forgets the order.
 */
void
ba_group_drop_order(BaGroups *groups)
{
	if (groups->order_block != NULL)
		pfree(groups->order_block);
	groups->order_block = NULL;
	groups->order = NULL;
}
