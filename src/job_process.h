/*
 * job_process.h
 *		What the files of a run's processes share; see job_worker.c.
 */
#ifndef JOB_PROCESS_H
#define JOB_PROCESS_H

#include "job.h"

/* in job_worker.c: transactions, pauses and the state of the process's run */
extern bool ba_process_lock_means_hold;
extern void ba_process_begin(void);
extern void ba_process_commit(void);
extern void ba_process_nap(long ms);
extern bool ba_process_load(BaJob **job, BaJobRun **run);
extern void ba_process_set_hold(BaJobRun *run, const char *reason);

/* in job_plan.c: what comes before the first batch */
extern bool ba_process_plan(BaJob *job, BaJobRun *run);

#endif
