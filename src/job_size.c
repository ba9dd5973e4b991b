/*
 * job_size.c
 *		How many rows the next batch gets.
 *
 * A batch should take target_time. The wanted size is the last batch's throughput times that, where
 * only the time of the command itself counts. The first measurement is taken as it is, since
 * stepping up from a wrong guess wastes hundreds of small batches; later ones move the size by
 * 0.4 of the difference, and at most double it. A batch of more than five times the target is
 * heeded at once. Near the end what is left is shared out in smaller batches, so that no worker
 * idles while another has a whole last one.
 */
#include "postgres.h"

#include "job.h"

#define SMOOTHING 0.4
#define MAX_GROWTH 2.0
#define FAR_TOO_SLOW 5.0

/*
 * Keeps a size within what the job allows.
 */
static int64
clamp(const BaJob *job, double size)
{
	return (int64) Max(Min(size, (double) job->max_batch_size), (double) job->min_batch_size);
}

/*
 * Returns the size of a job's first batch.
 */
int64
ba_size_first(const BaJob *job)
{
	return clamp(job, job->batch_size > 0 ? job->batch_size : batchagg_batch_size);
}

/*
 * Adapts the size of a run's next batch to what was measured of one of its batches.
 */
void
ba_size_adapt(const BaJob *job, BaJobRun *run, const BaMeasure *measure)
{
	double wanted;
	double size = run->batch_size;

	if (job->target_ms == 0 || measure->rows <= 0)
		return;
	wanted = measure->rows / Max(measure->ms, 0.01) * job->target_ms;
	if (!run->measured)
		size = wanted;
	else if (measure->ms > FAR_TOO_SLOW * job->target_ms)
		size = Min(size, wanted);
	else
		size = Min(size + SMOOTHING * (wanted - size), size * MAX_GROWTH);
	run->batch_size = clamp(job, size);
	run->measured = true;
}

/*
 * Returns the size of the batch to be cut now: the run's, or a part of what is left near its end.
 */
int64
ba_size_choose(const BaJob *job, const BaJobRun *run)
{
	int64 shares = 2 * (int64) job->workers;
	int64 rows_left = run->total_rows - run->cut_rows;

	if (job->target_ms == 0)
		return ba_size_first(job);
	if (job->workers == 1 || rows_left <= 0 || rows_left / shares >= run->batch_size)
		return clamp(job, run->batch_size);
	return clamp(job, rows_left / shares);
}
