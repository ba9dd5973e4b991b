/*
 * batchagg.c
 *		Module entry: the settings, and nothing else.
 *
 * Settings are defined here and only here, so that SHOW, the documents and this
 * file can be compared at a glance. They may be changed by any user at any time:
 * none of them changes an answer, only how the work is divided.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"

#include "batchagg.h"
#include "compat.h"

PG_MODULE_MAGIC;

int batchagg_batch_size = 100000;
int batchagg_max_parallel_workers = 2;

void _PG_init(void);

/*
 * Defines the settings and reserves their prefix.
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
	MarkGUCPrefixReserved("batchagg");
}
