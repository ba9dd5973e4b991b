/*
 * job_throttle.c
 *		Reasons not to start a batch now.
 *
 * Before each batch every throttle is asked, in order, and the first that has a reason holds the
 * whole run; the reason stands in run.hold_reason while it does. They are asked as the job's owner
 * inside a transaction. Shared statistics that hide from an ordinary role are to be read in C.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "job.h"

/*
 * batchagg.max_job_workers: a place among them is kept from the first batch to the last.
 */
static char *
no_free_slot(const BaJob *job)
{
	if (ba_lock_take_slot())
		return NULL;
	return psprintf("all %d of batchagg.max_job_workers are at work", batchagg_max_job_workers);
}

static const BaThrottle throttles[] = {
	{"max_job_workers", no_free_slot},
};

/*
 * Returns why no batch of the job should start now, NULL if one may.
 */
char *
ba_throttle_reason(const BaJob *job)
{
	for (int i = 0; i < lengthof(throttles); i++)
	{
		char *reason = throttles[i].reason(job);

		if (reason != NULL)
			return psprintf("%s: %s", throttles[i].name, reason);
	}
	return NULL;
}
