/*
 * scan_unmap.c
 *		Lets a parallel worker go of the buffers that it has read.
 *
 * A worker maps each page of the buffer pool that it touches, and at its exit the
 * kernel takes down all those mappings, while the leader can only wait: a sixth of the
 * time of a query on a table in memory. Taken down bit by bit, behind the scan, they cost the same,
 * but then the leader still scans, and the pages are shared out by who is
 * ready for more.
 *
 * MADV_DONTNEED takes down the mapping and leaves the pages, which belong to the
 * shared memory; who touches one again gets it mapped again. That is what Linux
 * promises; elsewhere nothing is done. Only workers of parallel scans do this: other scans may
 * come by the same pages again, as may the leader, whose session goes on.
 *
 * Huge pages cost next to nothing to map, so there nothing is done either. Nor should it: they are larger than what is let go of, and some
 * kernels (5.18 to 6.0) do harm to a shared mapping when they are asked to.
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "access/parallel.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

#include "scan_internal.h"

#ifdef __linux__

/* How many bytes are let go of at a time, and how few are left to the exit. */
#define UNMAP_AT_MOST (1024 * 1024)
#define UNMAP_AT_LEAST (64 * 1024)

/* Pages that lie no further apart are let go of together, with those between them. */
#define LARGEST_GAP (BA_LONGEST_STEP * BLCKSZ)

/* With a page the kernel maps what lies in the same block of this size, as far as it is in memory. */
#define MAPPED_AROUND (64 * 1024)

/*
 * Tells whether the buffer pool is in huge pages. The kernel lets go of these only as a whole, so it refuses to
 * for one that begins at an odd page. With ordinary pages one is let go of, which does no harm.
 */
static bool
is_in_huge_pages(void)
{
	static bool known = false;
	static bool huge;

	if (!known)
	{
		long size = sysconf(_SC_PAGESIZE);

		huge = madvise((char *) TYPEALIGN(2 * size, BufferBlocks) + size, size, MADV_DONTNEED) != 0;
		known = true;
	}
	return huge;
}

/*
 * Lets go of the pages noted, and of what was mapped along with them below and above, as told.
 */
static void
unmap(BaScan *scan, bool below, bool above)
{
	long size = sysconf(_SC_PAGESIZE);
	char *from = scan->read_from;
	char *end = scan->read_end;

	/* Pages that lie alone may be mapped again soon, along with others. */
	if (end - from < UNMAP_AT_LEAST)
		return;
	if (below)
		from = Max((char *) TYPEALIGN_DOWN(MAPPED_AROUND, from), BufferBlocks);
	if (above)
		end = Min((char *) TYPEALIGN(MAPPED_AROUND, end), BufferBlocks + (Size) NBuffers * BLCKSZ);
	from = (char *) TYPEALIGN(size, from);
	end = (char *) TYPEALIGN_DOWN(size, end);

	/* if this fails they stay mapped */
	(void) madvise(from, end - from, MADV_DONTNEED);
	scan->read_from = scan->read_end = NULL;
}

/*
 * Takes note that a page is not needed any more.
 */
void
ba_scan_unmap(BaScan *scan, Page page)
{
	bool upwards = page >= scan->read_end;
	bool downwards = page < scan->read_from;

	if (scan->parallel == NULL || !IsParallelWorker() || is_in_huge_pages())
		return;
	if (page > scan->read_end + LARGEST_GAP || page + BLCKSZ < scan->read_from - LARGEST_GAP)
	{
		unmap(scan, true, true);
		scan->read_from = page;
		scan->read_end = page + BLCKSZ;
	}
	else if (upwards)
		scan->read_end = page + BLCKSZ;
	else if (downwards)
		scan->read_from = page;

	/* what comes next is in use already */
	if (scan->read_end - scan->read_from >= UNMAP_AT_MOST)
		unmap(scan, upwards, downwards);
}

#else

void
ba_scan_unmap(BaScan *scan, Page page)
{
}

#endif
