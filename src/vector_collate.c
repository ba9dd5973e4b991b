/*
 * vector_collate.c
 *		Comparing strings by a collation: what is not in the loops (vector_text.h).
 */
#include "postgres.h"

#include "utils/varlena.h"

#include "vector_text.h"

/*
 * Makes a collator ready; what it remembers is in `memory`. Without a collation each comparison
 * raises core's error.
 */
void
ba_collator_init(BaCollator *collator, Oid collation, MemoryContext memory)
{
	collator->collation = collation;
	collator->is_c = OidIsValid(collation) && ba_collation_is_c(collation);
	collator->memos = NULL;
	if (collator->is_c)
		return;
	collator->memos = MemoryContextAlloc(memory, sizeof(BaMemo) << BA_MEMO_BITS);
	for (int i = 0; i < 1 << BA_MEMO_BITS; i++)
		collator->memos[i].sizes = -1;
}

/*
 * Compares strings by core's function.
 */
int
ba_collator_call(const BaCollator *collator, BaString a, BaString b)
{
	return varstr_cmp(a.bytes, a.size, b.bytes, b.size, collator->collation);
}
