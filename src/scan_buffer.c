/*
 * scan_buffer.c
 *		The next page of a heap, pinned.
 *
 * Core's scan descriptor says which pages: all from where other scans are, those
 * that heap_setscanlimits left, or those that workers share out. From 17 on a
 * read stream comes with it, which chooses, reads ahead and pins. Before, core
 * goes from block to block and looks up each in the table of all buffers; here
 * the blocks are taken in the same order, and mostly without looking up.
 *
 * A sixth of the time of scanning a large table in memory was that lookup: it
 * goes from one cold cache line to the next. But pages that were read one after the
 * other often lie so in the buffer pool, though others', as those of the table's indexes, may lie between
 * them. So the buffer that lies where the last ones lead one to expect, or one beside it, is tried first,
 * also where workers leave blocks out, with
 * ReadRecentBuffer, which pins it if it has the page and counts a hit. The one thing
 * it does not do is to raise a buffer's usage count as other reads do (its comment says so, but PinBuffer_Locked
 * leaves it as it is, in 15 to 18); that is done here.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/syncscan.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"

#include "compat.h"
#include "scan_internal.h"

/*
 * Returns the block to begin with, InvalidBlockNumber if there is none.
 */
static BlockNumber
first_block(HeapScanDesc heap)
{
	if (heap->rs_nblocks == 0 || heap->rs_numblocks == 0)
		return InvalidBlockNumber;
	if (heap->rs_base.rs_parallel == NULL)
		return heap->rs_startblock;
	table_block_parallelscan_startblock_init(
		heap->rs_base.rs_rd, heap->rs_parallelworkerdata,
		(ParallelBlockTableScanDesc) heap->rs_base.rs_parallel);
	return table_block_parallelscan_nextpage(
		heap->rs_base.rs_rd, heap->rs_parallelworkerdata,
		(ParallelBlockTableScanDesc) heap->rs_base.rs_parallel);
}

/*
 * Returns the block after another, InvalidBlockNumber after the last.
 */
static BlockNumber
next_block(HeapScanDesc heap, BlockNumber block)
{
	if (heap->rs_base.rs_parallel != NULL)
		return table_block_parallelscan_nextpage(
			heap->rs_base.rs_rd, heap->rs_parallelworkerdata,
			(ParallelBlockTableScanDesc) heap->rs_base.rs_parallel);

	block++;
	if (block >= heap->rs_nblocks)
		block = 0;
	/* At the end as well: other scans are to begin where this one did. */
	if ((heap->rs_base.rs_flags & SO_ALLOW_SYNC) != 0)
		ss_report_location(heap->rs_base.rs_rd, block);
	if (block == heap->rs_startblock)
		return InvalidBlockNumber;
	if (heap->rs_numblocks != InvalidBlockNumber && --heap->rs_numblocks == 0)
		return InvalidBlockNumber;
	return block;
}

/*
 * Raises the usage count of a pinned buffer as core does when it pins one. Core does so at a process's first pin
 * alone, which cannot be told from here; a scan seldom meets a page that its process has pinned already.
 */
static inline void
raise_usage_count(BufferDesc *buffer, BufferAccessStrategy strategy)
{
	uint32 limit = strategy == NULL ? BM_MAX_USAGE_COUNT : 1;
	uint32 state;

	/* mostly it is as high as it gets, which costs no lock to see */
	if (BUF_STATE_GET_USAGECOUNT(pg_atomic_read_u32(&buffer->state)) >= limit)
		return;
	state = LockBufHdr(buffer);
	if (BUF_STATE_GET_USAGECOUNT(state) < limit)
		state += BUF_USAGECOUNT_ONE;
	UnlockBufHdr(buffer, state);
}

/*
 * Pins a buffer if it has a block.
 */
static bool
try_pin(Relation rel, BlockNumber block, BufferAccessStrategy strategy, int64 buffer)
{
	BufferDesc *desc;

	if (buffer <= 0 || buffer > NBuffers)
		return false;
	desc = GetBufferDescriptor(buffer - 1);
	/* looking without a lock tells only whether trying is worth while */
	if (desc->tag.blockNum != block ||
		!ReadRecentBuffer(ba_relation_locator(rel), MAIN_FORKNUM, block, buffer))
		return false;
	raise_usage_count(desc, strategy);
	return true;
}

/*
 * Pins the buffer that is expected to have a block, or one beside it: where pages of a table were read or made among
 * others', as an index's, now one more of these lies between two and now one less. Counts a hit. InvalidBuffer if none of
 * them has the block.
 */
Buffer
ba_scan_try_buffer(Relation rel, BlockNumber block, BufferAccessStrategy strategy,
				   const BaBufferTrack *track)
{
	static const int deviations[] = {0, -1, 1};
	int64 expected = track->buffer + track->step * ((int64) block - track->block);

	if (track->step == 0)
		return InvalidBuffer;
	for (int i = 0; i < lengthof(deviations); i++)
	{
		int64 buffer = expected + deviations[i];

		if (!try_pin(rel, block, strategy, buffer))
			continue;
		/* what ReadBufferExtended counts besides */
		pgstat_count_buffer_read(rel);
		pgstat_count_buffer_hit(rel);
		ba_count_io_hit(strategy);
		return buffer;
	}
	return InvalidBuffer;
}

/*
 * Takes note of the buffer that a block was found in. The step stays as it was where this buffer lies
 * far away: the next may well follow it in the same way.
 */
void
ba_scan_track_buffer(BaBufferTrack *track, BlockNumber block, Buffer buffer)
{
	int64 blocks = (int64) block - track->block;
	int64 buffers = (int64) buffer - track->buffer;

	if (BufferIsLocal(buffer))
		return;
	if (track->buffer > 0 && blocks != 0 && buffers % blocks == 0)
	{
		int64 step = buffers / blocks;

		if (step >= -BA_LONGEST_STEP && step <= BA_LONGEST_STEP)
			track->step = step;
	}
	track->buffer = buffer;
	track->block = block;
}

/*
 * Pins the page of a block.
 */
static Buffer
read_block(BaScan *scan, HeapScanDesc heap, BlockNumber block)
{
	Buffer buffer = ba_scan_try_buffer(scan->rel, block, heap->rs_strategy, &scan->track);

	if (buffer == InvalidBuffer)
		buffer = ReadBufferExtended(scan->rel, MAIN_FORKNUM, block, RBM_NORMAL, heap->rs_strategy);
	ba_scan_track_buffer(&scan->track, block, buffer);
	return buffer;
}

/*
 * Returns the next page's buffer with a pin, which the caller has to release; InvalidBuffer after the
 * last page.
 */
Buffer
ba_scan_next_buffer(BaScan *scan)
{
	HeapScanDesc heap = (HeapScanDesc) scan->desc;

	CHECK_FOR_INTERRUPTS();
	if (ba_heap_read_stream(heap) != NULL)
		return read_stream_next_buffer(ba_heap_read_stream(heap), NULL);

	if (!scan->begun)
		scan->block = first_block(heap);
	else
		scan->block = next_block(heap, scan->block);
	scan->begun = true;
	if (scan->block == InvalidBlockNumber)
		return InvalidBuffer;
	return read_block(scan, heap, scan->block);
}
