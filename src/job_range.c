/*
 * job_range.c
 *		A relation as a range that can be cut: what keys and TIDs have in common.
 *
 * A key travels as text, since it is stored between transactions and handed from process to
 * process. Text is read and written under settings of its own, so that it comes back as it was
 * whatever the role's DateStyle says.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "job.h"

/*
 * Begins a stretch in which keys of a type are written and read the same way everywhere. Returns what
 * end_key_settings needs.
 */
static int
begin_key_settings(Oid type)
{
	static const char *const settings[][2] = {{"DateStyle", "ISO, YMD"},
											  {"IntervalStyle", "postgres"},
											  {"extra_float_digits", "3"},
											  {"bytea_output", "hex"}};
	int level;

	/* the commonest keys need none */
	if (type == TIDOID || type == INT8OID || type == INT4OID || type == INT2OID)
		return 0;
	level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/*
 * Ends it.
 */
static void
end_key_settings(int level)
{
	if (level > 0)
		AtEOXact_GUC(true, level);
}

/*
 * Returns the value of a key that is text; NULL is NULL.
 */
Datum
ba_range_key_in(BaRange *range, const char *text, bool *isnull)
{
	Oid input;
	Oid ioparam;
	int level;
	Datum value;

	*isnull = text == NULL;
	if (text == NULL)
		return (Datum) 0;
	level = begin_key_settings(range->type);
	getTypeInputInfo(range->type, &input, &ioparam);
	value = OidInputFunctionCall(input, unconstify(char *, text), ioparam, -1);
	end_key_settings(level);
	return value;
}

/*
 * Returns a key as text, in the current context.
 */
char *
ba_range_key_out(BaRange *range, Datum value)
{
	int level = begin_key_settings(range->type);
	Oid output;
	bool isvarlena;
	char *text;

	getTypeOutputInfo(range->type, &output, &isvarlena);
	text = OidOutputFunctionCall(output, value);
	end_key_settings(level);
	return text;
}

/*
 * Returns the relation's row of pg_class, throwing where it is gone.
 */
static HeapTuple
get_relation_tuple(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the job's relation is gone"),
						errdetail("There is no relation with OID %u.", relation),
						errhint("Drop the job: SELECT batchagg.drop_job(...).")));
	return tuple;
}

/*
 * Returns the file that a table is stored in, which a rewrite changes.
 */
Oid
ba_range_get_filenode(Oid relation)
{
	HeapTuple tuple = get_relation_tuple(relation);
	Oid filenode = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;

	ReleaseSysCache(tuple);
	return filenode;
}

/*
 * Throws unless whoever writes to the relation holds a lock on it, or on a partition of it, that a run
 * can wait for, and finds a place in the order of a column.
 */
void
ba_range_check_lockable(const BaRange *range)
{
	ListCell *lc;

	foreach (lc, find_all_inheritors(range->relation, NoLock, NULL))
	{
		Oid relation = lfirst_oid(lc);
		char relkind = get_rel_relkind(relation);

		if (relkind == RELKIND_FOREIGN_TABLE && relation != range->relation)
			ereport(
				ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an incremental job cannot work on a table with foreign partitions"),
				 errdetail("Those who write to \"%s\" on its own server hold no lock here that a "
						   "run could wait for.",
						   get_rel_name(relation)),
				 errhint("Create jobs for the partitions that are tables, or use mode => "
						 "'once'.")));
		if (range->type == TIDOID ||
			(relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("an incremental job needs a table with a key column"),
					 errdetail("New rows are found by their keys, and writers by their locks on "
							   "the table."),
					 errhint("Name a column of a table that grows, or use mode => 'once'.")));
	}
}

/*
 * Returns the rows that the relation is believed to have, partitions included, -1 if nobody knows.
 */
int64
ba_range_estimate_rows(BaRange *range)
{
	HeapTuple tuple = get_relation_tuple(range->relation);
	double rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;

	ReleaseSysCache(tuple);
	return rows < 0 ? -1 : (int64) rows;
}

/*
 * Returns the column that a relation is cut by where the user named none: the primary key, or
 * another unique and NOT NULL column, else TIDs. Throws where there is no such thing.
 */
char *
ba_range_choose_key(Oid relation)
{
	Relation rel = table_open(relation, AccessShareLock);
	AttrNumber attno = InvalidAttrNumber;
	char *key;

	if (rel->rd_rel->relkind == RELKIND_RELATION || rel->rd_rel->relkind == RELKIND_MATVIEW ||
		rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		List *indexes = RelationGetIndexList(rel);
		ListCell *lc;

		foreach (lc, indexes)
		{
			Relation index = index_open(lfirst_oid(lc), AccessShareLock);
			Form_pg_index form = index->rd_index;
			AttrNumber column = form->indkey.values[0];

			if (form->indisunique && form->indisvalid && form->indnkeyatts == 1 && column > 0 &&
				index->rd_rel->relam == BTREE_AM_OID && RelationGetIndexPredicate(index) == NIL &&
				TupleDescAttr(RelationGetDescr(rel), column - 1)->attnotnull &&
				(attno == InvalidAttrNumber || form->indisprimary))
				attno = column;
			index_close(index, AccessShareLock);
		}
	}
	if (attno != InvalidAttrNumber)
		key = get_attname(relation, attno, false);
	else if (RELKIND_HAS_STORAGE(rel->rd_rel->relkind) && rel->rd_rel->relam == HEAP_TABLE_AM_OID)
		key = pstrdup("ctid");
	else
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("no key is known to cut \"%s\" by", RelationGetRelationName(rel)),
						errhint("Name a column: key => 'column'.")));
	table_close(rel, AccessShareLock);
	return key;
}

/*
 * Appends "left operator right" for two expressions of a type, the operator standing where it
 * does in the type's default order.
 */
static void
append_comparison(StringInfo buf, TypeCacheEntry *type, const char *left, StrategyNumber strategy,
				  const char *right)
{
	Oid opno =
		get_opfamily_member(type->btree_opf, type->btree_opintype, type->btree_opintype, strategy);

	if (!OidIsValid(opno))
		elog(ERROR, "no operator %d in operator family %u", strategy, type->btree_opf);
	generate_operator_clause(buf, left, type->btree_opintype, opno, right, type->btree_opintype);
}

/*
 * Returns "key OP $1 AND key OP $2".
 */
static char *
make_condition(BaRange *range, TypeCacheEntry *type, StrategyNumber first, StrategyNumber second)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_comparison(&buf, type, range->key, first, "$1");
	appendStringInfoString(&buf, " AND ");
	append_comparison(&buf, type, range->key, second, "$2");
	return buf.data;
}

/*
 * Opens a relation to be cut along a key, in the current context. Throws where either is gone or
 * cannot be used.
 */
BaRange *
ba_range_open(Oid relation, const char *key)
{
	BaRange *range = palloc0(sizeof(BaRange));
	HeapTuple tuple = get_relation_tuple(relation);
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
	TypeCacheEntry *type;

	range->relation = relation;
	range->relation_name =
		quote_qualified_identifier(get_namespace_name(form->relnamespace), NameStr(form->relname));
	if (pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relation, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(form->relkind),
					   NameStr(form->relname));
	if (strcmp(key, "ctid") == 0)
	{
		if (!RELKIND_HAS_STORAGE(form->relkind) || form->relam != HEAP_TABLE_AM_OID)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("only a heap table can be cut by ctid"),
							errdetail("\"%s\" is not one.", NameStr(form->relname)),
							errhint("Name a column: key => 'column'.")));
		if (find_inheritance_children(relation, NoLock) != NIL)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("a table that others inherit from cannot be cut by ctid"),
							errdetail("The children of \"%s\" have TIDs of their own.",
									  NameStr(form->relname)),
							errhint("Name a column: key => 'column'.")));
		range->kind = &ba_tid_range;
		range->type = TIDOID;
		range->key = pstrdup("ctid");
		type = lookup_type_cache(TIDOID, TYPECACHE_BTREE_OPFAMILY);
	}
	else
	{
		AttrNumber attno = get_attnum(relation, key);
		HeapTuple attribute;

		if (attno == InvalidAttrNumber || attno < 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("column \"%s\" of relation \"%s\" does not exist", key,
								   NameStr(form->relname))));
		attribute = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attno));
		range->kind = &ba_key_range;
		range->type = getBaseType(((Form_pg_attribute) GETSTRUCT(attribute))->atttypid);
		range->attno = attno;
		range->collation = ((Form_pg_attribute) GETSTRUCT(attribute))->attcollation;
		range->nullable = !((Form_pg_attribute) GETSTRUCT(attribute))->attnotnull;
		ReleaseSysCache(attribute);
		range->key = pstrdup(quote_identifier(key));
		type = lookup_type_cache(range->type, TYPECACHE_BTREE_OPFAMILY);
		if (!OidIsValid(type->btree_opf) || range->type == MONEYOID)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("a relation cannot be cut by a column of type %s",
								   format_type_be(range->type)),
							errhint("Name a column of a type with an order, or use ctid.")));
	}
	range->bounds_sql =
		make_condition(range, type, BTGreaterEqualStrategyNumber, BTLessEqualStrategyNumber);
	range->after_sql =
		make_condition(range, type, BTGreaterStrategyNumber, BTLessEqualStrategyNumber);
	range->before_sql =
		make_condition(range, type, BTGreaterEqualStrategyNumber, BTLessStrategyNumber);
	ReleaseSysCache(tuple);
	return range;
}

/*
 * Tells whether what was printed as a key of one type is the same key, in the same order, read as one
 * of another.
 */
static bool
means_same(Oid old, Oid new)
{
	Oid family;

	if (old == new)
		return true;
	family = lookup_type_cache(new, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	return lookup_type_cache(old, TYPECACHE_BTREE_OPFAMILY)->btree_opf == family &&
		   (family == INTEGER_BTREE_FAM_OID || IsBinaryCoercible(old, new));
}

/*
 * Returns the qualified name of a range's collation, NULL where it has none. Numbers would mean
 * another one after a restore.
 */
char *
ba_range_get_collation(const BaRange *range)
{
	HeapTuple tuple;
	Form_pg_collation form;
	char *name;

	if (!OidIsValid(range->collation))
		return NULL;
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(range->collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", range->collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	name = psprintf("%s.%s", get_namespace_name(form->collnamespace), NameStr(form->collname));
	ReleaseSysCache(tuple);
	return name;
}

/*
 * Throws unless the column that is a range's key still has the collation that it had when the range
 * was opened, and a type that means the same, and keeps it so until the transaction ends.
 */
void
ba_range_check_key(const BaRange *range)
{
	HeapTuple tuple;
	Form_pg_attribute form;

	LockRelationOid(range->relation, AccessShareLock);
	ReleaseSysCache(get_relation_tuple(range->relation));
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(range->relation), Int16GetDatum(range->attno));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u", range->attno,
			 range->relation);
	form = (Form_pg_attribute) GETSTRUCT(tuple);
	if (form->attisdropped || !means_same(range->type, getBaseType(form->atttypid)) ||
		form->attcollation != range->collation)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key %s of %s was altered or dropped during a batch", range->key,
						range->relation_name),
				 errdetail(
					 "The first and the last key of a batch do not tell what is between them now."),
				 errhint("Drop the job and create it anew.")));
	ReleaseSysCache(tuple);
}

/*
 * Opens the relation of a job. Throws where its key has got another type or collation, as the keys
 * that are stored would mean others, or stand in another order. A job without a key_type has none stored.
 */
BaRange *
ba_range_open_job(const BaJob *job)
{
	BaRange *range = ba_range_open(job->relation, job->key);
	char *collation = ba_range_get_collation(range);

	if (OidIsValid(job->key_type) && !means_same(job->key_type, range->type))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("key %s of %s has another type than when the job was created",
							   range->key, range->relation_name),
						errdetail("It was %s and is %s; keys of the one do not tell where to go on "
								  "among those of the other.",
								  format_type_be(job->key_type), format_type_be(range->type)),
						errhint("Drop the job and create it anew.")));
	if (OidIsValid(job->key_type) && job->key_collation != NULL && collation != NULL &&
		strcmp(job->key_collation, collation) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_COLLATION_MISMATCH),
				 errmsg("key %s of %s has another collation than when the job was created",
						range->key, range->relation_name),
				 errdetail("It was %s and is %s; keys in the order of the one do not tell where to "
						   "go on in that of the other.",
						   job->key_collation, collation),
				 errhint("Drop the job and create it anew.")));
	return range;
}
