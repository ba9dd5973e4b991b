/*
 * group_internal.h
 *		What the files of the grouping layer share.
 *
 * A record is an array of 64-bit words followed by the states of the aggregates:
 *
 *		null words		a bit for each key whose own word has no value to spare for NULL (8-byte
 *						integers, float8, what takes two words); there are none without such keys
 *		key words		one for each key, two for what is 16 bytes long
 *		shown words		the key as the group's first row has it, for types in which equal keys may
 *						look different: 0.0 and -0.0, 1.0 and 1.00, a month and 30 days
 *		states			zeroed when the record is made
 *
 * Null and key words are made so that equal words mean equal keys and the other way round,
 * with one exception. A key of varying length is packed into its word where it is short, and
 * then the word's lowest bit is 1. Where it is long, the word of a row is a hash of it with
 * lowest bit 0 and highest bit 1, and the word of a record a pointer to its copy, a BaLongKey,
 * which has both bits 0. Only vectors that have long keys pay for telling them apart.
 */
#ifndef GROUP_INTERNAL_H
#define GROUP_INTERNAL_H

#include "fmgr.h"

#include "group.h"

/* What a key is, as far as its words go. */
typedef enum BaKeyKind
{
	BA_KEY_INT,      /* the value */
	BA_KEY_FLOAT,    /* the bits of the double, one zero and one NaN */
	BA_KEY_UUID,     /* the bytes */
	BA_KEY_INTERVAL, /* microseconds in 128 bits, as core compares them */
	/* keys of varying length */
	BA_KEY_TEXT,    /* a varlena as far as its bytes go */
	BA_KEY_NAME,    /* the bytes before the first zero */
	BA_KEY_NUMERIC, /* value and scale, long where they do not fit */
} BaKeyKind;

/* The word of a null key, where it has no bit for that: no int below 8 bytes, timestamp, float4 or
 * packed key has it. */
#define BA_NULL_WORD UINT64CONST(0x8000000000000001)

/* Whether a word of a key of varying length holds it all. */
#define BA_WORD_IS_PACKED(word) (((word) % 2) == 1)

/* The word of a row whose key is long and has such a hash: neither packed nor a pointer. */
#define BA_WORD_OF_HASH(hash) (((hash) & ~UINT64CONST(1)) | (UINT64CONST(1) << 63))

/* The copy of a long key. What stands in `bytes` is what a Datum points to, or goes into. */
typedef struct BaLongKey
{
	uint64 hash;  /* the word that a row with this key has */
	uint32 size;  /* of the payload */
	char head[4]; /* a varlena begins here */
	char bytes[FLEXIBLE_ARRAY_MEMBER];
} BaLongKey;

typedef struct BaGroupKey
{
	BaType type;
	BaKeyKind kind;
	int word;      /* its first word in a record */
	int nwords;    /* how many, there and as shown */
	int shown;     /* its first shown word, or -1: its words are shown */
	FmgrInfo hash; /* core's hash function (group_order.c) */
	int null_word; /* the word that has its null bit, or -1: BA_NULL_WORD is in use */
	uint64 null_bit;

	/* a key of varying length: the bytes of the vector's rows that are long */
	const char **bytes;
	uint32 *sizes;

	/* BA_KEY_NUMERIC */
	BaVector decoded; /* room for the integers of numerics */
	int scale;        /* of the first row; its words have this scale where they can. -1 before */
} BaGroupKey;

/* Records lie in chunks, which stay in the order in which they were filled. */
typedef struct BaGroupChunk
{
	struct BaGroupChunk *next;
	uint32 used; /* records */
	uint32 capacity;
	char records[FLEXIBLE_ARRAY_MEMBER];
} BaGroupChunk;

struct BaGroups
{
	MemoryContext memory;  /* everything but: */
	MemoryContext arena;   /* long keys */
	MemoryContext scratch; /* what one vector needs */

	/* the layout of a record */
	int nkeys;
	BaGroupKey *keys;
	int nlongs; /* keys of varying length */
	BaGroupKey **longs;
	BaGroupKey **long_of_word; /* the one that has a word, or NULL */
	int nnulls;                /* words of null bits, the first */
	int nwords;                /* with these, to be compared */
	int nshown;                /* shown words, behind them */
	Size record_size;

	/* records */
	BaGroupChunk *first;
	BaGroupChunk *last; /* in use; those behind it wait for being used again */
	uint64 count;
	Size chunk_bytes; /* of chunks in use */
	char *arena_free; /* the free part of the newest block of the arena */
	char *arena_end;
	Size arena_bytes;

	/* emitting many */
	bool can_order;
	char **order;        /* NULL before, and where they are emitted as they were made */
	uint64 *order_block; /* that it lies in, or NULL: in the slots */

	/* one integer key: its records by value, where the values lie close enough together */
	bool single_int;
	bool reconsider; /* see whether they do by now */
	uint64 direct_base;
	uint64 direct_size; /* behind the values: the null group, and a place that is always NULL */
	char **direct;      /* NULL where not in use */

	/* all other keys: open addressing with linear probing (group_index.c) */
	uint64 *slots; /* NULL where not in use */
	int slot_shift;
	uint64 slot_mask;
	uint64 max_count; /* grow beyond */
	char *blank;      /* a record for empty slots: all words 0 */

	/* the vector at hand */
	uint64 *words;  /* word w of row i is words[w * BA_VECTOR_ROWS + i] */
	uint64 *hashes; /* of the rows */
	bool has_long;  /* some word is a hash */
	int *misses;
};

/* Bytes of a record before its states. */
static inline Size
ba_group_words_size(const BaGroups *groups)
{
	return (groups->nwords + groups->nshown) * sizeof(uint64);
}

/* in group.c */
extern char *ba_group_add_record(BaGroups *groups);
extern void ba_group_rewind_made(BaGroups *groups, BaGroupCursor *cursor);
extern char *ba_group_next_made(BaGroups *groups, BaGroupCursor *cursor);
extern BaLongKey *ba_group_add_long(BaGroups *groups, Size size);

/* in group_key.c */
extern void ba_group_lay_out_keys(BaGroups *groups, const BaType *types);
extern void ba_group_encode_keys(BaGroups *groups, const BaVector **keys, int n);
extern uint64 ba_group_hash_record(const BaGroups *groups, const char *record);
extern void ba_group_copy_words(BaGroups *groups, char *record, int row);

/* in group_index.c */
extern int ba_group_find_hashed(BaGroups *groups, int n, char **records, char **fresh);
extern Size ba_group_index_bytes(const BaGroups *groups);
extern void ba_group_reset_index(BaGroups *groups);
extern void ba_group_drop_index(BaGroups *groups);
extern void ba_group_build_slots(BaGroups *groups);

/* in group_direct.c */
extern int ba_group_find_direct(BaGroups *groups, const BaVector *key, int n, char **records,
								char **fresh);
extern void ba_group_choose_index(BaGroups *groups, const BaVector *key, int n);

/* in group_order.c */
extern void ba_group_prepare_order(BaGroups *groups);
extern Size ba_group_order_bytes(const BaGroups *groups);
extern void ba_group_make_order(BaGroups *groups);
extern char *ba_group_get_ordered(const BaGroups *groups, uint32 place);
extern void ba_group_drop_order(BaGroups *groups);

#endif
