/*
 * group.h
 *		Grouping: keys of a vector of rows -> the record of each row's group.
 *
 * A group is a record: its keys, then the states of the aggregates, next to each
 * other so that a row touches one or two cache lines. Records lie in chunks that
 * never move. Two keys are one group if core's equality says so, and the group has the
 * key of its first row, as with core. There are exceptions where looking equal up would cost
 * too much (bpchar with and without trailing blanks, numerics of more than 17 digits that differ in
 * trailing zeros): these make two groups, which Finalize Aggregate above merges. Of these,
 * the one seen first is emitted first.
 *
 * Memory: when ba_group_memory exceeds the caller's budget, the caller emits all
 * groups and calls ba_group_reset; one vector can add BA_VECTOR_ROWS groups at
 * most, so the budget is overrun by little.
 */
#ifndef GROUP_H
#define GROUP_H

#include "vector.h"

typedef struct BaGroups BaGroups;

/* in group.c */
extern bool ba_group_supports_key(Oid type, Oid collation);
extern BaGroups *ba_group_create(int nkeys, const BaType *keys, int state_size,
								 MemoryContext memory);

/*
 * Sets records[i] to the record of row i's group, made where there was none. Returns how many were
 * made and puts them into fresh, which has room for n: their states are all bytes 0 and for the
 * caller to start. Key vectors may be in any lane.
 */
extern int ba_group_find(BaGroups *groups, const BaVector **keys, int n, char **records,
						 char **fresh);

/* Where the states begin in a record, a multiple of 8. */
extern int ba_group_state_offset(const BaGroups *groups);
extern uint64 ba_group_count(const BaGroups *groups);
extern Size ba_group_memory(const BaGroups *groups);
extern void ba_group_reset(BaGroups *groups);

/* Walks all groups: in the order they were made while they are few, otherwise in one that suits the
 * hash table of Finalize Aggregate. No ba_group_find after it before the next ba_group_reset. */
typedef struct BaGroupCursor
{
	void *chunk;
	uint32 place;
} BaGroupCursor;

extern void ba_group_rewind(BaGroups *groups, BaGroupCursor *cursor);
extern char *ba_group_next(BaGroups *groups, BaGroupCursor *cursor); /* NULL at the end */
extern Datum ba_group_get_key(BaGroups *groups, const char *record, int key, bool *isnull);

#endif
