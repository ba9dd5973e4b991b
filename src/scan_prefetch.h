/*
 * scan_prefetch.h
 *		Asking for memory before it is needed, a bit at a time; scan_prefetch.c tells why.
 */
#ifndef SCAN_PREFETCH_H
#define SCAN_PREFETCH_H

#define BA_CACHE_LINE 64

/* Memory to ask for, in steps of equal size. */
typedef struct BaPrefetch
{
	const char *next;
	int stride; /* bytes of a step, */
	int lines;  /* that begin in this many cache lines */
	int left;   /* steps */
} BaPrefetch;

/* in scan_prefetch.c */
extern void ba_prefetch_start(BaPrefetch *prefetch, const char *from, const char *end, int steps);

/*
 * Asks for the cache lines of one step. Inlined like the next, as a call of a function that does nothing
 * else is optimized away.
 */
static pg_attribute_always_inline void
ba_prefetch_step(BaPrefetch *prefetch)
{
	if (prefetch->left <= 0)
		return;
	prefetch->left--;
	for (int i = 0; i < prefetch->lines; i++)
		__builtin_prefetch(prefetch->next + i * BA_CACHE_LINE, 0, 2);
	prefetch->next += prefetch->stride;
}

/*
 * Asks for cache lines at once.
 */
static pg_attribute_always_inline void
ba_prefetch_lines(const char *from, const char *end)
{
	for (const char *line = from; line < end; line += BA_CACHE_LINE)
		__builtin_prefetch(line);
}

#endif
