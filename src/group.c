/*
 * group.c
 *		Grouping: the records of the groups, and the way from a vector of keys to them.
 *
 * ba_group_find takes one of two ways. A single integer key whose values lie close
 * together is looked up in an array (group_direct.c). All other keys become words
 * (group_key.c), are hashed and looked up in an open-addressing table (group_index.c).
 * Both lead to the same records, so that it is possible to change from one way to the
 * other at any time.
 *
 * Records are carved from chunks that grow with their number, and never move. Long keys
 * are carved from blocks of the arena. ba_group_reset keeps the chunks, as they are
 * about to be filled again; those not yet used again do not count as memory
 * in use.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "group_internal.h"

#define MIN_CHUNK_BYTES (8 * 1024)
#define MAX_CHUNK_BYTES (4 * 1024 * 1024)

/*
 * What to allocate at a time where some is in use: a quarter more.
 */
static Size
get_chunk_bytes(Size in_use)
{
	return Min(Max(in_use / 4, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES);
}

/*
 * Makes an empty set of groups in a context of its own below `memory`. state_size is a
 * multiple of 8.
 */
BaGroups *
ba_group_create(int nkeys, const BaType *keys, int state_size, MemoryContext memory)
{
	MemoryContext mine = AllocSetContextCreate(memory, "batchagg groups", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(mine);
	BaGroups *groups = palloc0(sizeof(BaGroups));

	Assert(state_size % 8 == 0);
	groups->memory = mine;
	groups->arena = AllocSetContextCreate(mine, "batchagg long keys", ALLOCSET_SMALL_SIZES);
	groups->scratch = AllocSetContextCreate(mine, "batchagg key scratch", ALLOCSET_SMALL_SIZES);
	groups->nkeys = nkeys;
	ba_group_lay_out_keys(groups, keys);
	groups->record_size = ba_group_words_size(groups) + state_size;
	groups->single_int = nkeys == 1 && groups->keys[0].kind == BA_KEY_INT;
	groups->blank = palloc0(groups->record_size);
	groups->words = palloc0(ba_group_words_size(groups) * BA_VECTOR_ROWS);
	groups->hashes = palloc(BA_VECTOR_ROWS * sizeof(uint64));
	groups->misses = palloc(BA_VECTOR_ROWS * sizeof(int));
	ba_group_prepare_order(groups);
	MemoryContextSwitchTo(old);
	return groups;
}

int
ba_group_find(BaGroups *groups, const BaVector **keys, int n, char **records, char **fresh)
{
	if (groups->single_int)
	{
		if (groups->reconsider || (groups->direct == NULL && groups->slots == NULL))
			ba_group_choose_index(groups, keys[0], n);
		if (groups->direct != NULL)
		{
			int made = ba_group_find_direct(groups, keys[0], n, records, fresh);

			if (made >= 0)
				return made;
			ba_group_choose_index(groups, keys[0], n);
			if (groups->direct != NULL)
				return ba_group_find_direct(groups, keys[0], n, records, fresh);
		}
	}
	else if (groups->slots == NULL)
		ba_group_build_slots(groups);

	ba_group_encode_keys(groups, keys, n);
	return ba_group_find_hashed(groups, n, records, fresh);
}

int
ba_group_state_offset(const BaGroups *groups)
{
	return ba_group_words_size(groups);
}

uint64
ba_group_count(const BaGroups *groups)
{
	return groups->count;
}

/*
 * Bytes in use by records, long keys and the index, or needed to emit them; not counting buffers
 * for one vector.
 */
Size
ba_group_memory(const BaGroups *groups)
{
	return groups->chunk_bytes + groups->arena_bytes + ba_group_index_bytes(groups) +
		   ba_group_order_bytes(groups);
}

/*
 * Forgets all groups, for a start from the beginning. The index is kept at its size unless it
 * is most of what was in use: then the next groups may be other ones, and it starts small.
 */
void
ba_group_reset(BaGroups *groups)
{
	if (ba_group_index_bytes(groups) > ba_group_memory(groups) / 2)
		ba_group_drop_index(groups);
	else
		ba_group_reset_index(groups);
	ba_group_drop_order(groups);
	MemoryContextReset(groups->arena);
	groups->arena_free = groups->arena_end = NULL;
	groups->arena_bytes = 0;
	groups->last = NULL;
	groups->chunk_bytes = 0;
	groups->count = 0;
}

/*
 * The bytes of a chunk, from its number of records.
 */
static Size
get_chunk_size(const BaGroups *groups, uint32 capacity)
{
	return offsetof(BaGroupChunk, records) + capacity * groups->record_size;
}

/*
 * Takes the next chunk into use, one that an earlier reset left or a new one.
 */
static void
open_chunk(BaGroups *groups)
{
	BaGroupChunk **next = groups->last == NULL ? &groups->first : &groups->last->next;

	if (*next == NULL)
	{
		Size bytes = get_chunk_bytes(groups->chunk_bytes) - offsetof(BaGroupChunk, records);
		uint32 capacity = Max(bytes / groups->record_size, 1);
		BaGroupChunk *chunk =
			MemoryContextAllocHuge(groups->memory, get_chunk_size(groups, capacity));

		chunk->next = NULL;
		chunk->capacity = capacity;
		*next = chunk;
	}
	groups->last = *next;
	groups->last->used = 0;
	groups->chunk_bytes += get_chunk_size(groups, groups->last->capacity);
}

/*
 * A new record; its words are for the caller to fill, its states are zeroed.
 */
char *
ba_group_add_record(BaGroups *groups)
{
	Size words = ba_group_words_size(groups);
	char *record;

	if (groups->last == NULL || groups->last->used == groups->last->capacity)
		open_chunk(groups);
	record = groups->last->records + groups->last->used++ * groups->record_size;
	memset(record + words, 0, groups->record_size - words);
	groups->count++;
	return record;
}

/*
 * Room for a long key of some size, aligned to 8 bytes.
 */
BaLongKey *
ba_group_add_long(BaGroups *groups, Size size)
{
	char *place;

	size = MAXALIGN(offsetof(BaLongKey, bytes) + size);
	if (groups->arena_end - groups->arena_free < (ptrdiff_t) size)
	{
		Size bytes = Max(get_chunk_bytes(groups->arena_bytes), size);

		place = MemoryContextAllocHuge(groups->arena, bytes);
		groups->arena_bytes += bytes;
		if (groups->arena_end - groups->arena_free >= (ptrdiff_t) (bytes - size))
			return (BaLongKey *) place; /* the block before has more room left */
		groups->arena_free = place;
		groups->arena_end = place + bytes;
	}
	place = groups->arena_free;
	groups->arena_free += size;
	return (BaLongKey *) place;
}

void
ba_group_rewind(BaGroups *groups, BaGroupCursor *cursor)
{
	ba_group_make_order(groups);
	ba_group_rewind_made(groups, cursor);
}

char *
ba_group_next(BaGroups *groups, BaGroupCursor *cursor)
{
	if (groups->order == NULL)
		return ba_group_next_made(groups, cursor);
	return cursor->place < groups->count ? ba_group_get_ordered(groups, cursor->place++) : NULL;
}

/*
 * Walks all groups in the order in which they were made.
 */
void
ba_group_rewind_made(BaGroups *groups, BaGroupCursor *cursor)
{
	cursor->chunk = groups->last == NULL ? NULL : groups->first;
	cursor->place = 0;
}

char *
ba_group_next_made(BaGroups *groups, BaGroupCursor *cursor)
{
	BaGroupChunk *chunk = cursor->chunk;

	if (chunk != NULL && cursor->place == chunk->used)
	{
		cursor->chunk = chunk = chunk == groups->last ? NULL : chunk->next;
		cursor->place = 0;
	}
	if (chunk == NULL)
		return NULL;
	return chunk->records + cursor->place++ * groups->record_size;
}
