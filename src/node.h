/*
 * node.h
 *		The custom scans "BatchAgg" and "BatchScan" as plans and while they run.
 *
 * What a BatchAgg computes stands in its custom_scan_tlist, as expressions over
 * the table's columns: first its output columns, each a key or a partial Aggref;
 * then, resjunk, the conjuncts of WHERE in the order in which they must be
 * applied. So setrefs.c keeps all range table indexes right, and nothing about the
 * query has to be encoded anywhere else. custom_private holds one integer,
 * the number of output columns. The conjuncts stand in custom_exprs as well, where core looks for
 * parameters. A BatchScan is the same with the table's columns in place of keys and aggregates.
 */
#ifndef NODE_H
#define NODE_H

#include "nodes/execnodes.h"
#include "nodes/extensible.h"

#include "compat.h"
#include "group.h"
#include "kernel.h"
#include "scan.h"

#define BA_NODE_NAME "BatchAgg"

/* An output column: a key, or an aggregate. */
typedef struct BaNodeColumn
{
	bool is_key;
	int index; /* in keys or aggs */
} BaNodeColumn;

/* One transition state with its input. */
typedef struct BaNodeAgg
{
	BaAgg *agg;
	int nargs;
	BaExpr **args;
	BaExpr *filter; /* NULL for none */
	bool *skip;     /* buffer */
} BaNodeAgg;

/* What EXPLAIN ANALYZE shows, summed over processes. */
typedef struct BaNodeCounts
{
	BaScanCounts scan;
	uint64 filtered;  /* rows that WHERE rejected */
	uint64 core_rows; /* evaluations by core's expression code */
	uint64 groups;    /* partial states emitted */
	uint64 flushes;   /* times all groups were emitted before the end of the table */
	uint64 memory;    /* bytes of groups at their most, in one process */
} BaNodeCounts;

/* In dynamic shared memory, before the scan's own part. */
typedef struct BaNodeShared
{
	int nworkers;
	BaNodeCounts counts[FLEXIBLE_ARRAY_MEMBER]; /* a worker each */
} BaNodeShared;

typedef enum BaNodePhase
{
	BA_NODE_READ, /* the table is being read into groups */
	BA_NODE_EMIT, /* groups are being emitted; more of the table may follow */
	BA_NODE_DONE,
} BaNodePhase;

typedef struct BaNode
{
	CustomScanState css;
	int nkeys;
	BaExpr **keys;
	const BaVector **key_vectors;
	int naggs;
	BaNodeAgg *aggs;
	int ncolumns;
	BaNodeColumn *columns;

	BaExprProgram *program;
	int nlongs; /* keys and arguments whose values may be long */
	BaExpr **longs;
	BaFilter *filter; /* NULL for none */
	List *bounds;     /* of ba_node_take_bound */
	BaScan *scan;     /* NULL until the first row is wanted */
	BaSlice *slice;   /* of the rows at hand, where all of them are too much */
	int slice_rows;   /* that it has at most */
	int nadded;       /* of the rows at hand, the first */
	BaGroups *groups; /* NULL without GROUP BY */
	char *record;     /* then the one record */
	int state_offset; /* of the first state in a record */
	int state_size;   /* of all states of a record */
	bool has_init;    /* some state does not start as zeros */
	char **records;   /* of the rows at hand */
	char **fresh;     /* records that were just made */

	MemoryContext memory;       /* as long as the node */
	MemoryContext group_memory; /* what states hold out of line; reset with the groups */
	MemoryContext scratch;      /* reset with each vector and each row emitted */

	BaNodePhase phase;
	bool started;  /* the scan has its limits */
	bool at_end;   /* of the table */
	bool seen_row; /* without GROUP BY: the record is worth emitting */
	BaGroupCursor cursor;
	Size memory_limit;
	BaNodeCounts counts;     /* of this process, scans that ended */
	BaNodeCounts all_counts; /* of workers that ended */
	ParallelTableScanDesc parallel;
	BaNodeShared *shared; /* NULL unless parallel */
} BaNode;

/* in node_plan.c */
extern void ba_node_init(void);
extern const CustomPathMethods ba_node_path_methods;
extern const CustomScanMethods ba_node_scan_methods;

extern CustomScan *ba_node_make_plan(RelOptInfo *rel, CustomPath *path, List *tlist, List *columns,
									 List *bounds, List *clauses);
extern int ba_node_count_columns(const CustomScan *cscan);

/* in node_bounds.c */
extern bool ba_node_is_tid_bound(Expr *clause, Index relid);
extern bool ba_node_take_bound(CustomScanState *css, Expr *condition, List **bounds);
extern void ba_node_limit_scan(CustomScanState *css, List *bounds, BaScan *scan);

/* in node_rows.c */
extern const CustomPathMethods ba_node_rows_path_methods;
extern const CustomScanMethods ba_node_rows_scan_methods;

/* in node_insert.c */
extern const CustomScanMethods ba_node_insert_scan_methods;
extern Plan *ba_node_make_insert(const Plan *instead_of, Plan *child, Index target);

static inline bool
ba_node_is_batchagg(const Plan *plan)
{
	return IsA(plan, CustomScan) && ((const CustomScan *) plan)->methods == &ba_node_scan_methods;
}

static inline bool
ba_node_is_batchscan(const Plan *plan)
{
	return IsA(plan, CustomScan) &&
		   ((const CustomScan *) plan)->methods == &ba_node_rows_scan_methods;
}

/* in node_exec.c */
extern Node *ba_node_create(CustomScan *cscan);
extern Size ba_node_memory_limit(void);
extern void ba_node_collect_counts(BaNode *node);

/* in node_parallel.c: the callbacks of core's parallel execution */
extern Size ba_node_estimate_dsm(CustomScanState *css, ParallelContext *pcxt);
extern void ba_node_initialize_dsm(CustomScanState *css, ParallelContext *pcxt, void *coordinate);
extern void ba_node_reinitialize_dsm(CustomScanState *css, ParallelContext *pcxt, void *coordinate);
extern void ba_node_initialize_worker(CustomScanState *css, shm_toc *toc, void *coordinate);
extern void ba_node_shutdown(CustomScanState *css);

/* in node_explain.c */
extern void ba_node_explain(CustomScanState *css, List *ancestors, ExplainState *es);
extern void ba_node_explain_filter(CustomScanState *css, List *ancestors, ExplainState *es);
extern void ba_node_explain_scan(const BaNodeCounts *mine, const BaNodeCounts *others, bool filters,
								 double loops, ExplainState *es);

#endif
