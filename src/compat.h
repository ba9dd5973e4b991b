/*
 * compat.h
 *		The only place that knows the server's version.
 *
 * Older majors are wrapped into the newest major's interface, so that the code
 * is written against 18 and reads like it. Each wrapper says what changed.
 */
#ifndef BATCHAGG_COMPAT_H
#define BATCHAGG_COMPAT_H

#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 150000
#error "batchagg needs PostgreSQL 15 or later"
#endif

#ifndef HAVE_INT128
#error "batchagg needs a compiler with 128-bit integers"
#endif

/* 16 added soft errors of input functions; before, an error is an error */
#if PG_VERSION_NUM < 160000
#define ereturn(context, dummy_value, ...) ereport(ERROR, __VA_ARGS__)
#endif

/* 16 moved the varlena macros out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* the major this module is compiled for: states with a private format name it */
#define BA_SERVER_MAJOR (PG_VERSION_NUM / 10000)

/* 16 made one function of the per-catalog ACL checks; 15 has one a catalog */
#if PG_VERSION_NUM < 160000
static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	Assert(classid == ProcedureRelationId || classid == NamespaceRelationId);
	if (classid == ProcedureRelationId)
		return pg_proc_aclcheck(objectid, roleid, mode);
	return pg_namespace_aclcheck(objectid, roleid, mode);
}
#endif

/* fetch of core's limit on workers: guc headers moved it between majors */
#include "optimizer/cost.h"
#include "postmaster/bgworker_internals.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/pathnodes.h"
#include "nodes/plannodes.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "storage/buffile.h"

#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/*
 * 18 took the last argument of ExecutorRun: a plan is always run once.
 */
#if PG_VERSION_NUM < 180000
#define ExecutorRun(queryDesc, direction, count) ExecutorRun(queryDesc, direction, count, true)
#endif

/*
 * 18 added room in front of the tuple to heap_form_minimal_tuple.
 */
#if PG_VERSION_NUM < 180000
#define heap_form_minimal_tuple(desc, values, nulls, extra)                                        \
	heap_form_minimal_tuple(desc, values, nulls)
#endif

/*
 * 16 added reads that throw where a file is too short, or do so unless it is at its end.
 */
#if PG_VERSION_NUM < 160000
static inline size_t
BufFileReadMaybeEOF(BufFile *file, void *ptr, size_t size, bool eofOK)
{
	size_t n = BufFileRead(file, ptr, size);

	if (n != size && !(n == 0 && eofOK))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read from temporary file: read only %zu of %zu bytes", n,
							   size)));
	return n;
}

static inline void
BufFileReadExact(BufFile *file, void *ptr, size_t size)
{
	(void) BufFileReadMaybeEOF(file, ptr, size, false);
}
#endif

/*
 * 17 added an argument to ExplainOnePlan. Explains a plan without running it.
 */
static inline void
ba_explain_plan(PlannedStmt *stmt, ExplainState *es, const char *text, ParamListInfo params)
{
#if PG_VERSION_NUM >= 170000
	ExplainOnePlan(stmt, NULL, es, text, params, NULL, NULL, NULL, NULL);
#else
	ExplainOnePlan(stmt, NULL, es, text, params, NULL, NULL, NULL);
#endif
}

/*
 * 18 moved grouping expressions into a range table entry of their own. Returns those of an entry.
 */
static inline List *
ba_rte_groupexprs(RangeTblEntry *rte)
{
#if PG_VERSION_NUM >= 180000
	return rte->groupexprs;
#else
	return NIL;
#endif
}

/*
 * ... so that what is outside of it refers to its columns. Returns an expression of the query with the
 * grouping expressions back in place.
 */
static inline Node *
ba_flatten_group_exprs(Query *query, Node *node)
{
#if PG_VERSION_NUM >= 180000
	return query->hasGroupRTE ? flatten_group_exprs(NULL, query, node) : node;
#else
	return node;
#endif
}

/*
 * 18 moved pruning at executor start out of the appending nodes, and refuses to open a table that
 * was pruned. Makes an Append or MergeAppend of a plan run whatever children it has.
 */
static inline void
ba_disable_run_time_pruning(PlannedStmt *stmt, Plan *node)
{
#if PG_VERSION_NUM >= 180000
	stmt->unprunableRelids = bms_add_range(stmt->unprunableRelids, 1, list_length(stmt->rtable));
	if (IsA(node, Append))
		((Append *) node)->part_prune_index = -1;
	else
		((MergeAppend *) node)->part_prune_index = -1;
#else
	if (IsA(node, Append))
		((Append *) node)->part_prune_info = NULL;
	else
		((MergeAppend *) node)->part_prune_info = NULL;
#endif
}

/*
 * 16 drops grouping columns that are redundant and keeps the list apart. Returns the columns that
 * a grouping has to compare.
 */
static inline List *
ba_processed_group_clause(PlannerInfo *root)
{
#if PG_VERSION_NUM >= 160000
	return root->processed_groupClause;
#else
	return root->parse->groupClause;
#endif
}

/*
 * 16 takes RelOptInfos where sets of relation numbers were.
 */
#if PG_VERSION_NUM < 160000
#define adjust_appendrel_attrs_multilevel(root, node, child, parent)                               \
	adjust_appendrel_attrs_multilevel(root, node, (child)->relids, (parent)->relids)
#endif

/*
 * 18 has range table entries that are no tables, and counts the others. Core names a column's table
 * where there is more than one.
 */
static inline int
ba_explain_table_count(ExplainState *es)
{
#if PG_VERSION_NUM >= 180000
	return es->rtable_size;
#else
	return list_length(es->rtable);
#endif
}

/*
 * 17 lets LockHeldByMe ask for stronger locks as well.
 */
#include "storage/lock.h"
#if PG_VERSION_NUM < 170000
#define LockHeldByMe(locktag, lockmode, orstronger) LockHeldByMe(locktag, lockmode)
#endif

/*
 * 18 can do without deferrable primary keys.
 */
#include "utils/relcache.h"
#if PG_VERSION_NUM < 180000
#define RelationGetPrimaryKeyIndex(rel, deferrable_ok) RelationGetPrimaryKeyIndex(rel)
#endif

/*
 * Releases of August 2023 mark what an interrupted DROP DATABASE has left.
 */
#include "catalog/pg_database.h"
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB (-2)
#endif

/*
 * 16 named it by what it takes. Returns a process's entry in the statistics of activity, from 1 on.
 */
#if PG_VERSION_NUM < 160000
#include "utils/backend_status.h"
#define pgstat_get_local_beentry_by_index(idx) pgstat_fetch_stat_local_beentry(idx)
#endif

/*
 * 17 can connect a worker as a role without LOGIN. Before, such a role cannot have jobs.
 */
#if PG_VERSION_NUM >= 170000
#define BA_ROLES_NEED_LOGIN false
#define BA_WORKER_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define BA_ROLES_NEED_LOGIN true
#define BA_WORKER_CONNECT_FLAGS 0
#endif

/*
 * 17 lets a read stream choose and read the pages of a heap scan. Returns it, NULL where there is none.
 */
#if PG_VERSION_NUM >= 170000
#include "storage/read_stream.h"
#define ba_heap_read_stream(heap) ((heap)->rs_read_stream)
#else
typedef struct ReadStream ReadStream;
#define ba_heap_read_stream(heap) ((ReadStream *) NULL)
#define read_stream_next_buffer(stream, per_buffer_data) InvalidBuffer
#endif

/*
 * 16 renamed where the files of a relation are. Returns it for a relation.
 */
#if PG_VERSION_NUM >= 160000
#define ba_relation_locator(rel) ((rel)->rd_locator)
#else
#define ba_relation_locator(rel) ((rel)->rd_node)
#endif

/*
 * 16 counts in pg_stat_io as well. Counts there that a shared buffer had a page of a relation.
 */
#if PG_VERSION_NUM >= 180000
#define ba_count_io_hit(strategy)                                                                  \
	pgstat_count_io_op(IOOBJECT_RELATION, IOContextForStrategy(strategy), IOOP_HIT, 1, 0)
#elif PG_VERSION_NUM >= 160000
#define ba_count_io_hit(strategy)                                                                  \
	pgstat_count_io_op(IOOBJECT_RELATION, IOContextForStrategy(strategy), IOOP_HIT)
#else
#define ba_count_io_hit(strategy) ((void) 0)
#endif

/*
 * 18 lets index scans count for EXPLAIN. Begins one without ordering operators.
 */
#if PG_VERSION_NUM >= 180000
#define ba_index_beginscan(heap, index, snapshot, nkeys)                                           \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define ba_index_beginscan(heap, index, snapshot, nkeys)                                           \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/*
 * 16 adds all the pages to a table that the rows of one call take; 15 adds one at a time.
 */
#define BA_MULTI_INSERT_ADDS_PAGES (PG_VERSION_NUM >= 160000)

/*
 * 16 lets indexes be left out of an update. Makes the entries of a row that was inserted; returns the indexes
 * that have to be looked at again later.
 */
static inline List *
ba_insert_index_tuples(ResultRelInfo *rel, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	return ExecInsertIndexTuples(rel, slot, estate, false, false, NULL, NIL, false);
#else
	return ExecInsertIndexTuples(rel, slot, estate, false, false, NULL, NIL);
#endif
}

/*
 * 16 added an argument to the search of a b-tree, which only writers need, and 17 took one. Finds
 * the leaf page where a key belongs, and locks it for reading.
 */
#include "access/nbtree.h"
static inline BTStack
ba_bt_search(Relation index, BTScanInsert key, Buffer *buffer)
{
#if PG_VERSION_NUM >= 170000
	return _bt_search(index, NULL, key, buffer, BT_READ);
#elif PG_VERSION_NUM >= 160000
	return _bt_search(index, NULL, key, buffer, BT_READ, NULL);
#else
	return _bt_search(index, key, buffer, BT_READ, NULL);
#endif
}

/*
 * 17 took the setting old_snapshot_threshold. Raises an error where a page may have lost what a snapshot
 * is to see.
 */
#if PG_VERSION_NUM >= 170000
#define ba_test_for_old_snapshot(snapshot, rel, page) ((void) 0)
#else
#define ba_test_for_old_snapshot(snapshot, rel, page) TestForOldSnapshot(snapshot, rel, page)
#endif

/* 16 added SQL/JSON constructors, 17 the functions that read documents */
static inline bool
ba_is_json_expr(Node *node)
{
#if PG_VERSION_NUM >= 170000
	return IsA(node, JsonConstructorExpr) || IsA(node, JsonExpr);
#elif PG_VERSION_NUM >= 160000
	return IsA(node, JsonConstructorExpr);
#else
	return false;
#endif
}

#endif
