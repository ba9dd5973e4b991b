/*
 * group_index.c
 *		The hash table from the words of a row to its group's record.
 *
 * Open addressing with linear probing over a power of two of slots. A slot is 0 or a
 * pointer to a record with 16 bits of its hash in the upper bits, which pointers
 * of user space leave free; the highest bits of the hash choose the slot. Growing walks the records
 * and hashes them again: their words are all that is needed.
 *
 * A vector is looked up in two passes. The first takes all rows to the records
 * they seem to belong to and is the whole work for rows whose group is known. While
 * the table is small it has no branch: it looks at the first slot only, and writes the
 * number of a row for which that did not do to a list. While it is large, it
 * prefetches the slots of some rows, then follows them and prefetches the records,
 * then compares. The second pass takes the rows on the list one by one, in their
 * order, and makes what groups are missing: so a new key that is in a vector twice
 * gets one record, and records are made in the order of the rows.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "group_internal.h"

#define MIN_SLOTS 1024

/* Up to so many slots, a table is kept emptier: it stays in the cache all the same. */
#define SMALL_SLOTS (16 * 1024)

/* Beyond so many bytes of index and records, they are prefetched. */
#define CACHED_BYTES (512 * 1024)

/* Rows whose slots and records are under way at a time. */
#define PREFETCHED_ROWS 128

#define TAG_SHIFT 48
#define SLOT_RECORD(slot) ((char *) ((slot) & ((UINT64CONST(1) << TAG_SHIFT) - 1)))
#define SLOT_HAS_TAG(slot, hash) (((slot) ^ ((hash) << TAG_SHIFT)) >> TAG_SHIFT == 0)

static inline uint64
make_slot(char *record, uint64 hash)
{
	Assert(((uintptr_t) record >> TAG_SHIFT) == 0);
	return (uint64) (uintptr_t) record | (hash << TAG_SHIFT);
}

Size
ba_group_index_bytes(const BaGroups *groups)
{
	if (groups->direct != NULL)
		return (groups->direct_size + 2) * sizeof(char *);
	return groups->slots != NULL ? (groups->slot_mask + 1) * sizeof(uint64) : 0;
}

void
ba_group_drop_index(BaGroups *groups)
{
	if (groups->direct != NULL)
		pfree(groups->direct);
	if (groups->slots != NULL)
		pfree(groups->slots);
	groups->direct = NULL;
	groups->slots = NULL;
}

/*
 * Empties the index.
 */
void
ba_group_reset_index(BaGroups *groups)
{
	if (groups->direct != NULL)
		memset(groups->direct, 0, ba_group_index_bytes(groups));
	else if (groups->slots != NULL)
		memset(groups->slots, 0, ba_group_index_bytes(groups));
}

/*
 * Makes slots for the records there are, and some more.
 */
void
ba_group_build_slots(BaGroups *groups)
{
	uint64 nslots = MIN_SLOTS;
	BaGroupCursor cursor;
	char *record;

	while (nslots / (nslots <= SMALL_SLOTS ? 4 : 2) <= groups->count)
		nslots *= 2;
	ba_group_drop_index(groups);
	groups->slots = MemoryContextAllocExtended(groups->memory, nslots * sizeof(uint64),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	groups->slot_mask = nslots - 1;
	groups->slot_shift = 64 - pg_ceil_log2_64(nslots);
	groups->max_count = nslots / (nslots <= SMALL_SLOTS ? 4 : 2);

	ba_group_rewind_made(groups, &cursor);
	while ((record = ba_group_next_made(groups, &cursor)) != NULL)
	{
		uint64 hash = ba_group_hash_record(groups, record);
		uint64 place = hash >> groups->slot_shift;

		while (groups->slots[place] != 0)
			place = (place + 1) & groups->slot_mask;
		groups->slots[place] = make_slot(record, hash);
	}
}

/*
 * Whether the long key of a row is the one whose copy a record has.
 */
static inline bool
equal_long(const BaGroupKey *key, uint64 theirs, uint64 mine, int row)
{
	const BaLongKey *copy = (const BaLongKey *) theirs;

	if (BA_WORD_IS_PACKED(theirs) || BA_WORD_IS_PACKED(mine))
		return false;
	return copy->hash == mine && copy->size == key->sizes[row] &&
		   memcmp(copy->bytes, key->bytes[row], copy->size) == 0;
}

/*
 * Whether a row has the words of a record.
 */
static pg_attribute_always_inline bool
equal_words(const BaGroups *groups, const char *record, int row, int nwords, bool has_long)
{
	const uint64 *theirs = (const uint64 *) record;
	uint64 difference = 0;

	for (int w = 0; w < nwords; w++)
	{
		uint64 mine = groups->words[w * BA_VECTOR_ROWS + row];

		if (!has_long)
			difference |= theirs[w] ^ mine;
		else if (theirs[w] != mine && (groups->long_of_word[w] == NULL ||
									   !equal_long(groups->long_of_word[w], theirs[w], mine, row)))
			return false;
	}
	return difference == 0;
}

/*
 * Looks at the first slot of each row only. Returns the number of rows for which that did not do.
 */
static pg_attribute_always_inline int
find_cached(const BaGroups *groups, int n, char **records, int nwords, bool has_long)
{
	int *misses = groups->misses;
	int nmisses = 0;

	for (int i = 0; i < n; i++)
	{
		uint64 slot = groups->slots[groups->hashes[i] >> groups->slot_shift];
		char *record = slot == 0 ? groups->blank : SLOT_RECORD(slot);
		bool equal;

		if (has_long)
			equal = slot != 0 && SLOT_HAS_TAG(slot, groups->hashes[i]) &&
					equal_words(groups, record, i, nwords, true);
		else
			equal = equal_words(groups, record, i, nwords, false) & (slot != 0);
		records[i] = record;
		misses[nmisses] = i;
		nmisses += !equal;
	}
	return nmisses;
}

/*
 * The same where slots and records come from memory: follows the slots, and has all of them under
 * way before it needs the first.
 */
static pg_attribute_always_inline int
find_prefetched(const BaGroups *groups, int n, char **records, int nwords, bool has_long)
{
	const uint64 *slots = groups->slots;
	const uint64 *hashes = groups->hashes;
	int *misses = groups->misses;
	int nmisses = 0;
	Size record_end = groups->record_size - 1;

	for (int from = 0; from < n; from += PREFETCHED_ROWS)
	{
		int to = Min(from + PREFETCHED_ROWS, n);

		if (from == 0)
			for (int i = 0; i < to; i++)
				__builtin_prefetch(&slots[hashes[i] >> groups->slot_shift]);
		for (int i = to; i < Min(to + PREFETCHED_ROWS, n); i++)
			__builtin_prefetch(&slots[hashes[i] >> groups->slot_shift]);
		for (int i = from; i < to; i++)
		{
			uint64 place = hashes[i] >> groups->slot_shift;

			while (slots[place] != 0 && !SLOT_HAS_TAG(slots[place], hashes[i]))
				place = (place + 1) & groups->slot_mask;
			records[i] = slots[place] == 0 ? groups->blank : SLOT_RECORD(slots[place]);
			__builtin_prefetch(records[i]);
			__builtin_prefetch(records[i] + record_end);
		}
		if (has_long)
			for (int i = from; i < to; i++)
				for (int l = 0; l < groups->nlongs; l++)
				{
					uint64 word = ((const uint64 *) records[i])[groups->longs[l]->word];

					__builtin_prefetch((const void *) (uintptr_t) word);
				}
		for (int i = from; i < to; i++)
		{
			bool equal =
				records[i] != groups->blank && equal_words(groups, records[i], i, nwords, has_long);

			misses[nmisses] = i;
			nmisses += !equal;
		}
	}
	return nmisses;
}

static pg_attribute_always_inline int
find_known(const BaGroups *groups, int n, char **records, int nwords, bool has_long)
{
	if (ba_group_memory(groups) > CACHED_BYTES)
		return find_prefetched(groups, n, records, nwords, has_long);
	return find_cached(groups, n, records, nwords, has_long);
}

/*
 * Finds the record of one row, or makes it. Sets *made if so.
 */
static char *
find_or_add(BaGroups *groups, int row, bool *made)
{
	uint64 hash = groups->hashes[row];
	uint64 place = hash >> groups->slot_shift;
	char *record;

	for (; groups->slots[place] != 0; place = (place + 1) & groups->slot_mask)
	{
		uint64 slot = groups->slots[place];

		if (SLOT_HAS_TAG(slot, hash) &&
			equal_words(groups, SLOT_RECORD(slot), row, groups->nwords, groups->has_long))
		{
			*made = false;
			return SLOT_RECORD(slot);
		}
	}
	record = ba_group_add_record(groups);
	ba_group_copy_words(groups, record, row);
	groups->slots[place] = make_slot(record, hash);
	if (groups->count > groups->max_count)
	{
		ba_group_build_slots(groups);
		groups->reconsider = true;
	}
	*made = true;
	return record;
}

/*
 * ba_group_find for keys whose words and hashes are made.
 */
int
ba_group_find_hashed(BaGroups *groups, int n, char **records, char **fresh)
{
	int nmisses;
	int nfresh = 0;

	/* loops with a constant number of words where there are one or two */
	if (groups->has_long && groups->nwords == 1)
		nmisses = find_known(groups, n, records, 1, true);
	else if (groups->has_long)
		nmisses = find_known(groups, n, records, groups->nwords, true);
	else if (groups->nwords == 1)
		nmisses = find_known(groups, n, records, 1, false);
	else if (groups->nwords == 2)
		nmisses = find_known(groups, n, records, 2, false);
	else
		nmisses = find_known(groups, n, records, groups->nwords, false);

	for (int m = 0; m < nmisses; m++)
	{
		int row = groups->misses[m];
		bool made;

		records[row] = find_or_add(groups, row, &made);
		fresh[nfresh] = records[row];
		nfresh += made;
	}
	return nfresh;
}
