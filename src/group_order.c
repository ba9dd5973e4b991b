/*
 * group_order.c
 *		The order in which many groups are emitted: that of core's hash table above.
 *
 * Finalize Aggregate puts the partial states of each group it sees into a hash table, in
 * the end walks that table by place, and follows pointers to what it allocated as rows came in.
 * With many groups in any other order, each of its steps is a cache miss, and these take longer
 * than all that the engine does. So the groups are sorted, roughly, by the place that they
 * will have there: neighbours in that table then come one after the other, and their
 * memory lies together.
 *
 * The hash is made as execGrouping.c makes it, from the hash functions of the keys' types. Nothing
 * but speed depends on its being the same, nor on the size of the table being what it is
 * thought to be: with twice or half as many places, there are two ordered runs through
 * one. Groups of equal keys have the same hash, and stay in the order in which they were
 * made.
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

/* Groups are distributed over 2^MAX_BITS runs at most, of 2^RUN_BITS or more. */
#define MAX_BITS 12
#define RUN_BITS 8

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
 * Bytes that the order will take.
 */
Size
ba_group_order_bytes(const BaGroups *groups)
{
	if (!groups->can_order || groups->count < MIN_ORDERED)
		return 0;
	return groups->count * (sizeof(char *) + sizeof(uint16));
}

/*
 * Orders the groups if that pays; ba_group_next then walks groups->order.
 */
void
ba_group_make_order(BaGroups *groups)
{
	int place_bits = pg_ceil_log2_64(groups->count + groups->count / 9); /* filled to 0.9 */
	int bits = Min(place_bits - RUN_BITS, MAX_BITS);
	uint32 starts[(1 << MAX_BITS) + 1] = {0};
	uint16 *runs;
	MemoryContext old;
	BaGroupCursor cursor;
	char *record;
	uint64 i;

	if (groups->order != NULL || ba_group_order_bytes(groups) == 0 || groups->count > PG_UINT32_MAX)
		return;

	runs = MemoryContextAllocHuge(groups->memory, groups->count * sizeof(uint16));
	old = MemoryContextSwitchTo(groups->scratch);
	ba_group_rewind_made(groups, &cursor);
	for (i = 0; (record = ba_group_next_made(groups, &cursor)) != NULL; i++)
	{
		uint64 place = hash_as_core(groups, record) & ((UINT64CONST(1) << place_bits) - 1);

		runs[i] = place >> (place_bits - bits);
		starts[runs[i] + 1]++;
		if (i % 1024 == 0)
			MemoryContextReset(groups->scratch);
	}
	MemoryContextSwitchTo(old);
	for (int run = 0; run < 1 << bits; run++)
		starts[run + 1] += starts[run];

	groups->order = MemoryContextAllocHuge(groups->memory, groups->count * sizeof(char *));
	ba_group_rewind_made(groups, &cursor);
	for (i = 0; (record = ba_group_next_made(groups, &cursor)) != NULL; i++)
		groups->order[starts[runs[i]]++] = record;
	pfree(runs);
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
	if (groups->order != NULL)
		pfree(groups->order);
	groups->order = NULL;
}
