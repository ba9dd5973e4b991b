/*
 * kernel.c
 *		Which aggregates the engine knows, and by which kernel.
 *
 * An aggregate of core is known by the partial state it leaves: a row of the table
 * names its transition function, the type and the start of its state, and how that
 * is serialised. All of it must match, so that a redefined aggregate is not taken
 * for what it was; the combine and final function do not matter, as core itself
 * runs them on what the kernel emits.
 *
 * Core's other aggregates go by their own transition function where that is strict
 * and the state is a value of an SQL type, and so do batchagg's own, which are known
 * by the C function behind their transition function: they have other OIDs in each
 * database. Aggregates that users made are declined.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "kernel.h"

/* A partial state of core's, and who makes it. */
typedef struct KernelEntry
{
	Oid transfn;
	Oid transtype;
	Oid serialfn;        /* InvalidOid for none */
	const char *initval; /* NULL for none */
	const BaKernel *kernel;
} KernelEntry;

#define PLAIN(transfn, type, kernel)                                                               \
	{                                                                                              \
		transfn, type, InvalidOid, NULL, &kernel                                                   \
	}
#define STARTED(transfn, type, initval, kernel)                                                    \
	{                                                                                              \
		transfn, type, InvalidOid, initval, &kernel                                                \
	}
#define SERIALISED(transfn, serialfn, kernel)                                                      \
	{                                                                                              \
		transfn, INTERNALOID, serialfn, NULL, &kernel                                              \
	}

static const KernelEntry entries[] = {
	STARTED(F_INT8INC, INT8OID, "0", ba_kernel_count_star),
	STARTED(F_INT8INC_ANY, INT8OID, "0", ba_kernel_count),
	STARTED(F_INT8INC_FLOAT8_FLOAT8, INT8OID, "0", ba_kernel_count),

	PLAIN(F_INT2_SUM, INT8OID, ba_kernel_sum_int4),
	PLAIN(F_INT4_SUM, INT8OID, ba_kernel_sum_int4),
	PLAIN(F_FLOAT4PL, FLOAT4OID, ba_kernel_sum_float4),
	PLAIN(F_FLOAT8PL, FLOAT8OID, ba_kernel_sum_float8),
	PLAIN(F_CASH_PL, MONEYOID, ba_kernel_sum_money),

	STARTED(F_INT2_AVG_ACCUM, INT8ARRAYOID, "{0,0}", ba_kernel_avg_int4),
	STARTED(F_INT4_AVG_ACCUM, INT8ARRAYOID, "{0,0}", ba_kernel_avg_int4),
	SERIALISED(F_INT8_AVG_ACCUM, F_INT8_AVG_SERIALIZE, ba_kernel_sum_int8),

	SERIALISED(F_INT2_ACCUM, F_NUMERIC_POLY_SERIALIZE, ba_kernel_var_int4),
	SERIALISED(F_INT4_ACCUM, F_NUMERIC_POLY_SERIALIZE, ba_kernel_var_int4),
	SERIALISED(F_INT8_ACCUM, F_NUMERIC_SERIALIZE, ba_kernel_var_int8),
	STARTED(F_FLOAT4_ACCUM, FLOAT8ARRAYOID, "{0,0,0}", ba_kernel_var_float),
	STARTED(F_FLOAT8_ACCUM, FLOAT8ARRAYOID, "{0,0,0}", ba_kernel_var_float),
	STARTED(F_FLOAT8_REGR_ACCUM, FLOAT8ARRAYOID, "{0,0,0,0,0,0}", ba_kernel_regr),

	SERIALISED(F_NUMERIC_AVG_ACCUM, F_NUMERIC_AVG_SERIALIZE, ba_kernel_sum_numeric),
	SERIALISED(F_NUMERIC_ACCUM, F_NUMERIC_SERIALIZE, ba_kernel_var_numeric),
	PLAIN(F_NUMERIC_SMALLER, NUMERICOID, ba_kernel_min_numeric),
	PLAIN(F_NUMERIC_LARGER, NUMERICOID, ba_kernel_max_numeric),

	PLAIN(F_INT2SMALLER, INT2OID, ba_kernel_min_int),
	PLAIN(F_INT4SMALLER, INT4OID, ba_kernel_min_int),
	PLAIN(F_INT8SMALLER, INT8OID, ba_kernel_min_int),
	PLAIN(F_DATE_SMALLER, DATEOID, ba_kernel_min_int),
	PLAIN(F_TIME_SMALLER, TIMEOID, ba_kernel_min_int),
	PLAIN(F_TIMESTAMP_SMALLER, TIMESTAMPOID, ba_kernel_min_int),
	PLAIN(F_TIMESTAMPTZ_SMALLER, TIMESTAMPTZOID, ba_kernel_min_int),
	PLAIN(F_CASHSMALLER, MONEYOID, ba_kernel_min_int),
	PLAIN(F_FLOAT4SMALLER, FLOAT4OID, ba_kernel_min_float),
	PLAIN(F_FLOAT8SMALLER, FLOAT8OID, ba_kernel_min_float),

	PLAIN(F_INT2LARGER, INT2OID, ba_kernel_max_int),
	PLAIN(F_INT4LARGER, INT4OID, ba_kernel_max_int),
	PLAIN(F_INT8LARGER, INT8OID, ba_kernel_max_int),
	PLAIN(F_DATE_LARGER, DATEOID, ba_kernel_max_int),
	PLAIN(F_TIME_LARGER, TIMEOID, ba_kernel_max_int),
	PLAIN(F_TIMESTAMP_LARGER, TIMESTAMPOID, ba_kernel_max_int),
	PLAIN(F_TIMESTAMPTZ_LARGER, TIMESTAMPTZOID, ba_kernel_max_int),
	PLAIN(F_CASHLARGER, MONEYOID, ba_kernel_max_int),
	PLAIN(F_FLOAT4LARGER, FLOAT4OID, ba_kernel_max_float),
	PLAIN(F_FLOAT8LARGER, FLOAT8OID, ba_kernel_max_float),

	PLAIN(F_TEXT_SMALLER, TEXTOID, ba_kernel_min_text),
	PLAIN(F_TEXT_LARGER, TEXTOID, ba_kernel_max_text),
	PLAIN(F_BPCHAR_SMALLER, BPCHAROID, ba_kernel_min_text),
	PLAIN(F_BPCHAR_LARGER, BPCHAROID, ba_kernel_max_text),

	PLAIN(F_BOOLAND_STATEFUNC, BOOLOID, ba_kernel_bool_and),
	PLAIN(F_BOOLOR_STATEFUNC, BOOLOID, ba_kernel_bool_or),
};

/*
 * Tells whether an aggregate of core can go by its own transition function.
 */
static bool
has_plain_transition(Form_pg_aggregate form)
{
	return OidIsValid(form->aggcombinefn) && form->aggtranstype != INTERNALOID &&
		   func_strict(form->aggtransfn);
}

/*
 * Finds the kernel that makes the partial states of one of core's aggregates.
 */
static const BaKernel *
find_core_kernel(Form_pg_aggregate form, const char *initval)
{
	for (int i = 0; i < lengthof(entries); i++)
	{
		const KernelEntry *entry = &entries[i];

		if (entry->transfn == form->aggtransfn && entry->transtype == form->aggtranstype &&
			entry->serialfn == form->aggserialfn &&
			(entry->initval == NULL ? initval == NULL
									: initval != NULL && strcmp(entry->initval, initval) == 0))
			return entry->kernel;
	}
	return has_plain_transition(form) ? &ba_kernel_transition : NULL;
}

/*
 * Finds the kernel of an aggregate call; NULL if the engine does not know it.
 */
const BaKernel *
ba_kernel_find(const Aggref *aggref)
{
	const BaKernel *kernel = NULL;
	HeapTuple tuple;
	Form_pg_aggregate form;
	Datum initval;
	bool isnull;

	if (aggref->aggkind != AGGKIND_NORMAL || aggref->aggvariadic || aggref->aggdirectargs != NIL ||
		aggref->aggdistinct != NIL || aggref->aggorder != NIL || aggref->agglevelsup != 0)
		return NULL;
	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	form = (Form_pg_aggregate) GETSTRUCT(tuple);
	if (aggref->aggfnoid < FirstUnpinnedObjectId)
	{
		initval = SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval, &isnull);
		kernel = find_core_kernel(form, isnull ? NULL : TextDatumGetCString(initval));
	}
	else if (OidIsValid(form->aggcombinefn) && ba_kernel_is_own_function(form->aggtransfn))
		kernel = &ba_kernel_transition;
	ReleaseSysCache(tuple);
	return kernel;
}

/*
 * Makes the running form of an aggregate in CurrentMemoryContext. Its states keep what they hold
 * out of line in `memory`; `scratch` is reset by the caller. The offset is the caller's to set.
 */
BaAgg *
ba_kernel_create_agg(const BaKernel *kernel, Aggref *aggref, MemoryContext memory,
					 MemoryContext scratch)
{
	BaAgg *agg = palloc0(sizeof(BaAgg));

	agg->kernel = kernel;
	agg->aggref = aggref;
	if (aggref->args != NIL)
		agg->argtype = ba_vector_type(
			getBaseType(exprType((Node *) linitial_node(TargetEntry, aggref->args)->expr)));
	agg->collation = aggref->inputcollid;
	agg->memory = memory;
	agg->scratch = scratch;
	if (kernel->prepare != NULL)
		kernel->prepare(agg);
	return agg;
}

/*
 * Refuses to run an aggregate that the user may not execute, or whose owner may not execute its
 * transition function. The other functions are checked where they run, in Finalize Aggregate.
 */
void
ba_kernel_check_acl(const Aggref *aggref)
{
	HeapTuple tuple;
	Oid transfn;
	Oid owner;
	AclResult result;

	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	transfn = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggtransfn;
	ReleaseSysCache(tuple);

	result = object_aclcheck(ProcedureRelationId, aggref->aggfnoid, GetUserId(), ACL_EXECUTE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_AGGREGATE, get_func_name(aggref->aggfnoid));
	InvokeFunctionExecuteHook(aggref->aggfnoid);

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", aggref->aggfnoid);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	result = object_aclcheck(ProcedureRelationId, transfn, owner, ACL_EXECUTE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(transfn));
	InvokeFunctionExecuteHook(transfn);
}

/*
 * What adding one row costs: a fraction of a call of a transition function.
 */
Cost
ba_kernel_cost(const BaKernel *kernel)
{
	return cpu_operator_cost * kernel->cost;
}
