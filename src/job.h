/*
 * job.h
 *		Jobs: a command run once per batch of a relation, in transactions of their own.
 *
 * doc/jobs.md tells what is promised and draws the states. The parts, from what a person calls
 * down to what the others stand on:
 *
 *		job_define.c	create_job, alter_job, drop_job
 *		job_summary*.c	create_summary: a job that keeps a query's answer
 *		job_control.c	start_job, run_job and the functions that steer runs
 *		job_schedule.c	schedule_job: pg_cron starts the runs
 *		job_starter.c	runs go on after a restart of the server
 *		job_worker.c	the processes of a run: runner and workers
 *		job_plan.c		what the runner waits for before it plans
 *		job_run.c		the life of a run: planned, worked on, ended
 *		job_task.c		the life of a task: cut, claimed, done, failed
 *		job_command.c	the command: checked, run for one batch
 *		job_prepared.c	... and planned once for many
 *		job_failure.c	what becomes of a task or run after an error
 *		job_size.c		how many rows the next batch gets
 *		job_throttle.c	reasons not to start a batch now
 *		job_pressure.c	... that the server itself gives
 *		job_range.c		the seam below: a relation as a range, by key or by TID
 *		job_key.c		batches that are ranges of a column
 *		job_btree.c		... read off the leaf pages of an index
 *		job_tid.c		batches that are ranges of TIDs
 *		job_lock.c		who is alive: session locks with tags of our own
 *		job_catalog.c	the tables, read and written by SQL as the extension's owner
 *		job_row.c		... and single rows of them, without SQL
 *
 * Two identities. The process is connected as the job's owner, and everything that reads the
 * job's relation or runs its command is done as that role. Only statements on the extension's own tables
 * run as their owner, between ba_catalog_begin and ba_catalog_end, which no other code of the
 * job's can come between: search_path is pg_catalog, the tables have no triggers.
 *
 * Locks are taken in the order: extension (shared, in every transaction, so that DROP EXTENSION
 * comes before or after it), run row, task row. Session locks never wait but where said.
 */
#ifndef JOB_H
#define JOB_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "pgtime.h"
#include "utils/elog.h"
#include "utils/jsonb.h"

#include "batchagg.h"

/* ---- job_catalog.c: the tables ---- */

/* A row of batchagg.job. Strings are NULL where the column is. */
typedef struct BaJob
{
	int64 id;
	char *name;
	Oid owner;
	Oid relation;
	char *key;           /* column, or "ctid" */
	Oid key_type;        /* when the job was created, domains looked through */
	char *key_collation; /* then, by its qualified name */
	char *command;
	char *null_command;
	char *before_command;
	char *after_command;
	char *search_path;
	bool incremental;
	int64 batch_size; /* 0: the setting's */
	int64 target_ms;  /* 0: batches of a fixed size */
	int64 min_batch_size;
	int64 max_batch_size;
	int workers;
	int statement_timeout; /* ms, 0: none */
	int lock_timeout;      /* ms, 0: none */
	int max_attempts;
	int64 retry_delay; /* ms */
	int64 max_skipped;
	char *throttle; /* JSON, see job_throttle.c */
	bool paused;
	char *watermark;
} BaJob;

/* A row of batchagg.run. */
typedef struct BaJobRun
{
	int64 id;
	int64 job_id;
	char *status;
	bool full;
	bool planned;
	Oid filenode;
	char *position;
	char *end_key;
	char *start_key; /* where cutting began; set when a batch is cut */
	bool cut_done;
	bool waiting;     /* some of its tasks may wait for a process */
	int64 batch_size; /* of the next batch */
	bool measured;    /* that size follows a measurement */
	int64 total_rows; /* -1: not known */
	int64 cut_rows;   /* in the tasks so far */
	char *hold_reason;
} BaJobRun;

/* What a process needs of a row of batchagg.task. */
typedef struct BaTask
{
	int64 id;
	bool null_keys;
	char *first; /* bounds as text, both inclusive; NULL for the batch of NULL keys */
	char *last;
	int64 rows; /* as cut, -1: not known */
	int attempts;
} BaTask;

/*
 * Statements on the extension's tables, between begin and end, run as their owner. begin needs
 * ba_catalog_lock to have returned true in this transaction. It must not be nested. An error in
 * between is undone by the abort of the (sub)transaction.
 */
typedef struct BaCatalog
{
	Oid user;
	int context;
	int guc_level;
} BaCatalog;

extern bool ba_catalog_lock(void);
extern Oid ba_catalog_find_owner(void);
extern Oid ba_catalog_get_table(const char *name);
extern void ba_catalog_begin(BaCatalog *catalog);
extern void ba_catalog_end(BaCatalog *catalog);
extern uint64 ba_catalog_execute(const char *sql, const char *types, ...);
extern uint64 ba_catalog_execute_alone(const char *sql, const char *types, ...);

/*
 * Columns of the row of SPI_tuptable, by number from 0 on. Strings are allocated in the context
 * that was current at ba_catalog_begin, and are NULL where the column is.
 */
extern int64 ba_catalog_number(Datum value, Oid type);
extern int64 ba_catalog_int(uint64 row, int column, int64 null_value);
extern char *ba_catalog_text(uint64 row, int column);
extern bool ba_catalog_bool(uint64 row, int column);

/* ---- job_row.c: single rows without SQL ---- */

/* A row of one of the tables, with a snapshot of its own, from ba_row_open to ba_row_close. */
typedef struct BaRow
{
	Relation rel;
	TupleTableSlot *stored; /* as it was found */
	TupleTableSlot *slot;   /* as it is, or is to be */
	int guc_level;          /* 0: no setting was changed */
} BaRow;

extern void ba_row_open(BaRow *row, const char *table, bool write);
extern void ba_row_close(BaRow *row);
extern bool ba_row_read(BaRow *row, int64 id);
extern bool ba_row_lock(BaRow *row, int64 id);
extern int64 ba_row_make(BaRow *row);
extern void ba_row_insert(BaRow *row);
extern void ba_row_update(BaRow *row);

/* Columns by name; what is returned is allocated in the current context. */
extern int64 ba_row_int(const BaRow *row, const char *column, int64 null_value);
extern int64 ba_row_ms(const BaRow *row, const char *column);
extern char *ba_row_text(const BaRow *row, const char *column);
extern bool ba_row_bool(const BaRow *row, const char *column);
extern void ba_row_set_null(BaRow *row, const char *column);
extern void ba_row_set_int(BaRow *row, const char *column, int64 value);
extern void ba_row_set_float(BaRow *row, const char *column, double value);
extern void ba_row_set_bool(BaRow *row, const char *column, bool value);
extern void ba_row_set_text(BaRow *row, const char *column, const char *value);
extern void ba_row_set_now(BaRow *row, const char *column);

/* Rows by number or name, in the current context, NULL where there is none; outside of begin. */
extern BaJob *ba_catalog_get_job(int64 id);
extern BaJob *ba_catalog_get_job_by_name(const char *name);
extern BaJobRun *ba_catalog_get_run(int64 id);
extern BaJobRun *ba_catalog_read_run(const BaRow *row);

/* ---- job_lock.c: who is alive ---- */

/* What a lock stands for: the fourth field of an advisory lock's tag, where people's have 1 or 2. */
typedef enum BaLockKind
{
	BA_LOCK_RUN = 0xBA01, /* of a run: its runner */
	BA_LOCK_JOB,          /* of a job: all of its processes, shared */
	BA_LOCK_TASK,         /* of a task: the process that works on it */
	BA_LOCK_SLOT          /* one of batchagg.max_job_workers, in no database */
} BaLockKind;

extern bool ba_lock_try(BaLockKind kind, int64 id, LOCKMODE mode);
extern void ba_lock_release(BaLockKind kind, int64 id, LOCKMODE mode);
extern bool ba_lock_is_mine(BaLockKind kind, int64 id, LOCKMODE mode);
extern int ba_lock_count_holders(BaLockKind kind, int64 id);
extern List *ba_lock_list_holders(BaLockKind kind, int64 id);
extern bool ba_lock_take_slot(void);
extern void ba_lock_leave_slot(void);
extern int ba_lock_count_free_slots(void);
extern bool ba_lock_database_is_going(void);

/* ---- job_range.c: a relation as a range ---- */

/*
 * A relation that is cut along a key. Keys are text here, as the key's type prints them; every
 * process of a run opens a range of its own. All of it runs as the job's owner, inside a
 * transaction with a snapshot.
 */
typedef struct BaRange
{
	const struct BaRangeKind *kind;
	Oid relation;
	char *relation_name; /* quoted and qualified */
	char *key;           /* quoted */
	Oid type;            /* of $1 and $2 */
	AttrNumber attno;    /* of the key; not for ctid */
	Oid collation;       /* of the key, InvalidOid where its type has none */
	bool nullable;       /* the key may be NULL, for all the catalogs say */
	char *bounds_sql;    /* key BETWEEN $1 AND $2, with operators of the type's own order */
	char *after_sql;     /* key > $1 AND key <= $2 */
	char *before_sql;    /* key >= $1 AND key < $2 */
} BaRange;

typedef struct BaRangeKind
{
	/* Sets the last key there is now, NULL for an empty relation. */
	char *(*last_key)(BaRange *range);

	/*
	 * Finds a batch of about rows rows behind position (NULL: from the start) up to end. Sets its
	 * bounds, and how many rows it has, -1 if that is not known. Returns false where nothing is left.
	 */
	bool (*next)(BaRange *range, const char *position, const char *end, int64 rows, char **first,
				 char **last, int64 *count);

	/*
	 * Finds a place to split first..last: sets the last key of the first part and the first of the
	 * second. Returns false where there is only one key.
	 */
	bool (*split)(BaRange *range, const char *first, const char *last, char **left_last,
				  char **right_first);

	/* Tells what part of start..end lies up to position, -1 where nobody can. */
	double (*fraction)(BaRange *range, const char *start, const char *position, const char *end);

	/* Throws where the relation is no longer the one that was cut (TIDs alone know). */
	void (*check)(BaRange *range, Oid filenode);
} BaRangeKind;

extern BaRange *ba_range_open(Oid relation, const char *key);
extern BaRange *ba_range_open_job(const BaJob *job);
extern char *ba_range_get_collation(const BaRange *range);
extern void ba_range_check_key(const BaRange *range);
extern char *ba_range_choose_key(Oid relation);
extern bool ba_range_has_null_key(BaRange *range);
extern void ba_range_check_lockable(const BaRange *range);
extern int64 ba_range_estimate_rows(BaRange *range);
extern Oid ba_range_get_filenode(Oid relation);
extern Datum ba_range_key_in(BaRange *range, const char *text, bool *isnull);
extern char *ba_range_key_out(BaRange *range, Datum value);
extern const BaRangeKind ba_key_range, ba_tid_range;

/* ---- job_btree.c: a range of keys in an index ---- */

typedef struct BaBtree BaBtree;

extern BaBtree *ba_btree_open(const BaRange *range);
extern void ba_btree_close(BaBtree *btree);
extern bool ba_btree_find_first(BaBtree *btree, const Datum *after, Datum end, Datum *key);
extern bool ba_btree_cut(BaBtree *btree, Datum first, Datum end, int64 rows, Datum *last,
						 int64 *found);
extern bool ba_btree_find_blocks(BaBtree *btree, Datum first, Datum last, BlockNumber *first_block,
								 BlockNumber *last_block);
extern List *ba_btree_make_condition(BaBtree *btree, Oid param_type);

/* ---- job_prepared.c: statements that are run for one batch after the other ---- */

typedef struct BaPrepared
{
	char *text;
	int ntypes;
	Oid types[4];
	SPIPlanPtr plan;
	bool engine; /* batchagg.enabled was on */
	int users;   /* that have not released it */
	bool forgotten;

	/* of the plan that is kept, for job_command.c */
	int64 rows;      /* of the batch it was made for, -1: not known */
	int64 blocks;    /* that these were in */
	bool has_blocks; /* it reads a range of blocks that has to be found for each batch */
} BaPrepared;

extern BaPrepared *ba_prepared_get(const char *text, int ntypes, Oid *types, int options);
extern void ba_prepared_release(BaPrepared *prepared, bool to_forget);

/* ---- job_command.c: the command ---- */

extern void ba_command_use_setting(const char *name, const char *value);
extern void ba_command_use_settings(const BaJob *job);
extern Query *ba_command_analyze(const char *what, const char *command, const Oid *types,
								 int ntypes);
extern void ba_command_check(const char *what, const char *command, Oid key_type);
extern char *ba_command_explain(const char *command, BaRange *range, const char *first,
								const char *last, int64 rows);
extern uint64 ba_command_run(const char *command, BaRange *range, const char *first,
							 const char *last, int64 rows);

/* ---- job_size.c: how many rows the next batch gets ---- */

/* What a process measured of its last batch; rows 0: nothing. */
typedef struct BaMeasure
{
	int64 rows;
	double ms;
} BaMeasure;

extern int64 ba_size_first(const BaJob *job);
extern void ba_size_adapt(const BaJob *job, BaJobRun *run, const BaMeasure *measure);
extern int64 ba_size_choose(const BaJob *job, const BaJobRun *run);

/* ---- job_throttle.c: reasons to hold ---- */

/* What a throttle compares with, as the job gives it. */
typedef struct BaLimit
{
	char *text; /* as it is shown; NULL: the job does not have this throttle */
	double amount;
	bool in_bytes; /* amount is bytes, not ms */
	int from;      /* minutes since midnight, in zone */
	int to;
	pg_tz *zone;
} BaLimit;

extern char *ba_throttle_check(Jsonb *object);
extern char *ba_throttle_reason(const BaJob *job);

/* ---- job_pressure.c: reasons that the server itself gives, NULL for none ---- */

extern char *ba_pressure_replication_lag(const BaJob *job, const BaLimit *limit);
extern char *ba_pressure_wal_rate(const BaJob *job, const BaLimit *limit);
extern char *ba_pressure_archive_backlog(const BaJob *job, const BaLimit *limit);
extern char *ba_pressure_active_sessions(const BaJob *job, const BaLimit *limit);
extern char *ba_pressure_autovacuum(const BaJob *job, const BaLimit *limit);

/* ---- job_task.c: the life of a task ---- */

typedef enum BaClaim
{
	BA_CLAIM_TASK, /* there is one, held by this process */
	BA_CLAIM_WAIT, /* none just now: others work on the last ones, or a retry has to wait */
	BA_CLAIM_END   /* none, and none to come */
} BaClaim;

extern BaClaim ba_task_claim(const BaJob *job, BaJobRun *run, BaRange *range,
							 const BaMeasure *measure, BaTask *task);
extern const char *ba_task_command(const BaJob *job, const BaTask *task);
extern void ba_task_execute(const BaJob *job, const BaJobRun *run, BaRange *range,
							const BaTask *task, BaMeasure *measure);
extern void ba_task_release(void);

/* ---- job_failure.c: after an error ---- */

/* What an error tells of further attempts. */
typedef enum BaFailure
{
	BA_FAILURE_PASSING,   /* may go away */
	BA_FAILURE_TOO_LARGE, /* a smaller batch may pass */
	BA_FAILURE_DATA,      /* a row is bad */
	BA_FAILURE_FINAL      /* every batch will fail so */
} BaFailure;

extern BaFailure ba_failure_classify(const ErrorData *error);
extern int64 ba_failure_delay(const BaJob *job, int attempts);
extern void ba_failure_record_task(const BaJob *job, BaJobRun *run, BaRange *range,
								   const BaTask *task, const ErrorData *error, bool locked);

/* ---- job_run.c: the life of a run ---- */

extern bool ba_job_run_may_begin(int64 run_id);
extern bool ba_job_run_check_null_keys(const BaJob *job, BaRange *range);
extern void ba_job_run_plan(const BaJob *job, BaJobRun *run, BaRange *range, const char *end_key,
							bool null_keys);
extern void ba_job_run_notify(const BaJob *job, int64 run_id, const char *status);
extern bool ba_job_run_end(const BaJob *job, int64 run_id, const char *status,
						   const ErrorData *error);
extern bool ba_job_run_try_finish(const BaJob *job, int64 run_id);

/* ---- job_summary.c: queries kept up to date ---- */

extern bool ba_summary_has_job(int64 job_id);
extern void ba_summary_drop(int64 job_id);

/* ---- job_schedule.c: pg_cron ---- */

extern int64 ba_schedule_set(const BaJob *job, const char *schedule);
extern void ba_schedule_rehearse(const BaJob *job, const char *schedule);
extern void ba_schedule_drop(const BaJob *job);

/* ---- job_worker.c: the processes ---- */

extern void ba_job_worker_launch_runner(const BaJob *job, int64 run_id);
extern void ba_job_worker_check_login(Oid role);
extern bool ba_job_worker_is_of(int64 job_id);

/* ---- job_define.c, job_control.c: for each other and for functions built on jobs ---- */

extern void ba_job_rehearse(void (*work)(void *), void *arg);
extern BaJob *ba_job_get_own(const char *name);
extern void ba_job_check_owner(const BaJob *job);
extern void ba_job_interrupt(int64 job_id);
extern bool ba_job_is_stopped_by_itself(void);

/* ---- job_starter.c: after a restart of the server ---- */

extern void ba_job_starter_init(void);

#endif
