/*
 * batchagg.h
 *		What every layer may use: the settings and the layers' start-up calls.
 *
 * The layers, each including only those above it in this list:
 *
 *		exact_*		superaccumulator arithmetic, no SQL in it
 *		agg_*		aggregates and their state types
 *		vector_*	column vectors and expressions over them
 *		scan_*		heap pages into rows, filters
 *		kernel_*	inner loops of aggregates
 *		group_*		keys of rows into groups
 *		plan_*, node_*	recognise a query, price it, run it as a custom scan
 *		batch_*		a relation cut into batches, a query run per batch
 *		job_*		a command run per batch in the background, each in its own transaction
 *
 * A value of a setting is read where it is used, never copied at start-up.
 */
#ifndef BATCHAGG_H
#define BATCHAGG_H

#include "postgres.h"

/* in batchagg.c: settings, named after the SQL name with the dot as underscore */
extern int batchagg_batch_size;           /* rows in a batch where the caller names none */
extern int batchagg_max_parallel_workers; /* workers of one query where the caller names none */
extern int batchagg_max_job_workers;      /* processes of all jobs in the server */
extern bool batchagg_enabled;             /* the planner may choose the engine */
extern bool batchagg_debug_force_engine;  /* and must, for tests */

#endif
