/*
 * job_summary.h
 *		A query kept up to date batch by batch: what the parts of create_summary share.
 *
 * The parts, in the order a call goes through them:
 *
 *		job_summary.c			create_summary: runs the statements and creates the job
 *		job_summary_query.c		text -> BaSummary, or why it cannot be one
 *		job_summary_text.c		BaSummary -> the statements
 */
#ifndef JOB_SUMMARY_H
#define JOB_SUMMARY_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

/* A column of the state table that is a GROUP BY expression. */
typedef struct BaSummaryKey
{
	Expr *expr;
	char *column; /* its name in the state table */
} BaSummaryKey;

/* A column of the state table that merges: one for each different aggregate of the query. */
typedef struct BaSummaryAggregate
{
	Aggref *aggref;
	char *column;
	bool wrapped;  /* kept as a partial_state; otherwise as the aggregate's result */
	Oid merge;     /* function that merges two states */
	Const *no_row; /* the answer where there is no state, NULL if that is NULL */
} BaSummaryAggregate;

/* A query SELECT keys, aggregates FROM one relation [WHERE filter] GROUP BY keys [HAVING having]. */
typedef struct BaSummary
{
	Oid relid;
	bool only; /* the query says FROM ONLY */
	Node *filter;
	List *keys;       /* of BaSummaryKey, in the order of GROUP BY */
	List *aggregates; /* of BaSummaryAggregate */
	List *targets;    /* of TargetEntry: what the view shows */
	Node *having;
	char *schema;      /* where it keeps what it creates, */
	char *view;        /* and the names of that: what people read, */
	char *state;       /* the states, a row for each group in each pass, */
	char *pass;        /* which pass is shown, and which is filled */
	Oid partial_state; /* the type */
} BaSummary;

/* in job_summary_query.c */
extern BaSummary *ba_summary_read(const char *text);

/* in job_summary_text.c */
extern char *ba_summary_no_row_query(const BaSummary *summary, const BaSummaryAggregate *aggregate);
extern char *ba_summary_create_state(const BaSummary *summary, int workers);
extern char *ba_summary_create_state_index(const BaSummary *summary);
extern char *ba_summary_create_pass(const BaSummary *summary);
extern char *ba_summary_create_view(const BaSummary *summary, Oid state);
extern char *ba_summary_command(const BaSummary *summary, const char *range);
extern char *ba_summary_before_command(const BaSummary *summary);
extern char *ba_summary_after_command(const BaSummary *summary);

#endif
