/*
 * batchagg.c
 *		Module entry: the settings, the start-up calls of the layers, and nothing else.
 *
 * Settings are defined here and only here, so that SHOW, the documents and this
 * file can be compared at a glance. They may be changed by any user at any time:
 * none of them changes an answer, only how it is found.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"

#include "batchagg.h"
#include "compat.h"
#include "job.h"
#include "node.h"
#include "plan.h"

PG_MODULE_MAGIC;

int batchagg_batch_size = 100000;
int batchagg_max_parallel_workers = 2;
int batchagg_max_job_workers = 4;
bool batchagg_enabled = true;
bool batchagg_debug_force_engine = false;

void _PG_init(void);

/*
 * Defines the settings, reserves their prefix, and starts the layers that hook into the server.
 */
void
_PG_init(void)
{
	DefineCustomIntVariable("batchagg.batch_size", "Rows in one batch where the caller names none.",
							"Used when batch_size is NULL.", &batchagg_batch_size, 100000, 1,
							INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("batchagg.max_parallel_workers",
							"Parallel workers of one query where the caller names none.",
							"Used when workers is NULL. The leader works as well.",
							&batchagg_max_parallel_workers, 2, 0, MAX_PARALLEL_WORKER_LIMIT,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("batchagg.max_job_workers",
							"Background processes of all jobs in the server.",
							"A run that finds none free waits.", &batchagg_max_job_workers, 4, 0,
							MAX_PARALLEL_WORKER_LIMIT, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("batchagg.enabled", "Lets the planner choose the engine.",
							 "The custom scan BatchAgg then takes aggregations that it makes "
							 "cheaper.",
							 &batchagg_enabled, true, PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	DefineCustomBoolVariable("batchagg.debug_force_engine",
							 "Takes the engine wherever it can run an aggregation.",
							 "For tests: costs decide nothing.", &batchagg_debug_force_engine,
							 false, PGC_USERSET, GUC_EXPLAIN | GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	MarkGUCPrefixReserved("batchagg");

	ba_node_init();
	ba_plan_init();
	ba_job_starter_init();
}
