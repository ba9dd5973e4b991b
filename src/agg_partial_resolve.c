/*
 * agg_partial_resolve.c
 *		From a regprocedure or from a state's header to an aggregate ready to run.
 *
 * All rules stand here. An aggregate is run if
 *
 *	- its kind allows it: a plain aggregate with a combine function, and with
 *	  serialize and deserialize functions if its transition type is internal;
 *	- the arguments fit without a cast: the types given equal the declared ones,
 *	  are binary-coercible to them, or make polymorphic ones consistent;
 *	- the current user may EXECUTE it and its owner its component functions,
 *	  exactly what nodeAgg.c checks;
 *	- it is parallel safe enough for where we are: partial() is PARALLEL SAFE
 *	  itself, so the planner has not looked;
 *	- if it was not the caller who named it but a stored value, its owner is
 *	  trusted.
 *
 * That last rule is because anyone may store a state naming an aggregate of
 * their own. Whoever finalizes it runs its functions with their own rights, and
 * reading a table must not be that dangerous. Trusted are the current user and
 * those who have all the current user's privileges already: superusers, and
 * members of the current user's role. That the current user is a member of the
 * owner's role says nothing: whoever administers a role may put anybody into it,
 * a superuser too. The same goes for the owners of the component functions, and
 * of the types, as a domain's CHECK runs when a value of it is read.
 *
 * Results live in CurrentMemoryContext, and no call keeps a catalog lock.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "agg_partial.h"
#include "compat.h"

/* the catalog rows of an aggregate, held while it is resolved */
typedef struct Lookup
{
	Oid aggregate;
	HeapTuple proc_tuple;
	HeapTuple agg_tuple;
	Form_pg_proc proc;
	Form_pg_aggregate agg;
} Lookup;

/*
 * The aggregate for messages: as regprocedure prints it, but count(*).
 */
char *
ba_partial_aggregate_text(Oid aggregate)
{
	char *text = format_procedure(aggregate);
	Size length = strlen(text);

	if (length > 2 && strcmp(text + length - 2, "()") == 0)
		return psprintf("%.*s(*)", (int) (length - 2), text);
	return text;
}

/*
 * The one refusal of an aggregate for what it is. Does not return.
 */
static void
report_unfit(Oid aggregate, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("aggregate %s has no partial state that can be kept",
						   ba_partial_aggregate_text(aggregate)),
					errdetail("%s", detail), hint != NULL ? errhint("%s", hint) : 0));
}

static void
begin_lookup(Oid aggregate, Lookup *lookup)
{
	lookup->aggregate = aggregate;
	lookup->proc_tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggregate));
	if (!HeapTupleIsValid(lookup->proc_tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("aggregate with OID %u does not exist", aggregate)));
	lookup->proc = (Form_pg_proc) GETSTRUCT(lookup->proc_tuple);
	if (lookup->proc->prokind != PROKIND_AGGREGATE)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("function %s is not an aggregate", format_procedure(aggregate))));
	lookup->agg_tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	if (!HeapTupleIsValid(lookup->agg_tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggregate);
	lookup->agg = (Form_pg_aggregate) GETSTRUCT(lookup->agg_tuple);
}

static void
end_lookup(Lookup *lookup)
{
	ReleaseSysCache(lookup->agg_tuple);
	ReleaseSysCache(lookup->proc_tuple);
}

static void
check_kind(const Lookup *lookup)
{
	Form_pg_aggregate agg = lookup->agg;

	if (agg->aggkind != AGGKIND_NORMAL)
		report_unfit(lookup->aggregate,
					 "It is an ordered-set aggregate: it needs all rows at once.", NULL);
	if (!OidIsValid(agg->aggcombinefn))
		report_unfit(lookup->aggregate, "It has no combine function.",
					 "Its author can give it one: CREATE AGGREGATE (..., COMBINEFUNC = ...).");
	if (agg->aggtranstype == INTERNALOID &&
		(!OidIsValid(agg->aggserialfn) || !OidIsValid(agg->aggdeserialfn)))
		report_unfit(
			lookup->aggregate,
			"Its state is internal, and it has no functions to serialize and deserialize it.",
			"Its author can give it those: CREATE AGGREGATE (..., SERIALFUNC = ..., "
			"DESERIALFUNC = ...).");
}

/*
 * Lets objects run on a value's word only if their owner gains nothing by it.
 */
static void
check_trusted(Oid aggregate, Oid owner, const char *what)
{
	if (has_privs_of_role(owner, GetUserId()))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("aggregate %s, which a partial state names, is not trusted",
				ba_partial_aggregate_text(aggregate)),
		 errdetail("%s belongs to role \"%s\", and would run with the privileges of role \"%s\".",
				   what, GetUserNameFromId(owner, false), GetUserNameFromId(GetUserId(), false)),
		 errhint("Use the state as the owner, for instance after SET ROLE.")));
}

static void
check_trusted_function(Oid aggregate, Oid function)
{
	HeapTuple tuple;
	Oid owner;

	if (!OidIsValid(function))
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	check_trusted(aggregate, owner, psprintf("Its function %s", format_procedure(function)));
}

/*
 * Types as well run code of their owner, except for enums and arrays of them.
 */
static void
check_trusted_type(Oid aggregate, Oid type)
{
	HeapTuple tuple;
	Oid owner;

	if (type_is_enum(type) || type_is_enum(get_element_type(type)))
		return;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	owner = ((Form_pg_type) GETSTRUCT(tuple))->typowner;
	ReleaseSysCache(tuple);
	check_trusted(aggregate, owner, psprintf("Type %s", format_type_be(type)));
}

/*
 * The current user's and the owner's EXECUTE, as ExecInitAgg checks them.
 */
static void
check_privileges(const Lookup *lookup, bool by_value)
{
	Form_pg_aggregate agg = lookup->agg;
	Oid owner = lookup->proc->proowner;
	Oid functions[] = {agg->aggtransfn, agg->aggcombinefn, agg->aggfinalfn, agg->aggserialfn,
					   agg->aggdeserialfn};
	AclResult result;

	result = object_aclcheck(ProcedureRelationId, lookup->aggregate, GetUserId(), ACL_EXECUTE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_AGGREGATE, NameStr(lookup->proc->proname));
	InvokeFunctionExecuteHook(lookup->aggregate);

	if (by_value)
		check_trusted(lookup->aggregate, owner, "The aggregate");
	for (int i = 0; i < lengthof(functions); i++)
	{
		if (!OidIsValid(functions[i]))
			continue;
		result = object_aclcheck(ProcedureRelationId, functions[i], owner, ACL_EXECUTE);
		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_FUNCTION, get_func_name(functions[i]));
		InvokeFunctionExecuteHook(functions[i]);
		if (by_value)
			check_trusted_function(lookup->aggregate, functions[i]);
	}
}

static void
check_parallel(const Lookup *lookup)
{
	char parallel = lookup->proc->proparallel;

	if (parallel == PROPARALLEL_SAFE || !IsInParallelMode() ||
		(parallel == PROPARALLEL_RESTRICTED && !IsParallelWorker()))
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
					errmsg("aggregate %s is not parallel safe, but this query runs in parallel",
						   ba_partial_aggregate_text(lookup->aggregate)),
					errhint("Declare the aggregate PARALLEL SAFE if it is, or SET "
							"max_parallel_workers_per_gather = 0.")));
}

/*
 * The refusal of arguments that do not fit. Does not return.
 */
static void
report_mismatch(const Lookup *lookup, int nargs, const Oid *argtypes)
{
	StringInfoData types;

	initStringInfo(&types);
	for (int i = 0; i < nargs; i++)
		appendStringInfo(&types, "%s%s", i > 0 ? ", " : "", format_type_be(argtypes[i]));
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("aggregate %s does not take arguments of type (%s)",
						   ba_partial_aggregate_text(lookup->aggregate), types.data),
					errhint("The arguments are not converted: cast them, or name the aggregate "
							"for their types.")));
}

/*
 * Sets agg's argument, transition and result types from the types given, as the
 * parser would have for a plain call of the aggregate, except that nothing is
 * cast.
 */
static void
resolve_types(const Lookup *lookup, int nargs, const Oid *argtypes, BaPartialAgg *agg)
{
	Form_pg_proc proc = lookup->proc;
	Oid *declared = palloc(sizeof(Oid) * Max(nargs, 1));
	bool any = proc->provariadic == ANYOID;

	if (any ? nargs < proc->pronargs : nargs != proc->pronargs)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_plural("aggregate %s takes %d argument, not %d",
						   "aggregate %s takes %d arguments, not %d", proc->pronargs,
						   ba_partial_aggregate_text(lookup->aggregate), proc->pronargs, nargs),
			 errhint("The arguments of partial() after its first are those of the aggregate.")));
	for (int i = 0; i < nargs; i++)
	{
		declared[i] = i < proc->pronargs ? proc->proargtypes.values[i] : ANYOID;
		if (get_typtype(argtypes[i]) == TYPTYPE_PSEUDO && argtypes[i] != RECORDOID &&
			argtypes[i] != RECORDARRAYOID)
			report_mismatch(lookup, nargs, argtypes);
	}
	if (!check_generic_type_consistency(argtypes, declared, nargs))
		report_mismatch(lookup, nargs, argtypes);

	agg->nargs = nargs;
	agg->argtypes = declared;
	agg->resulttype =
		enforce_generic_type_consistency(argtypes, declared, nargs, proc->prorettype, false);
	for (int i = 0; i < nargs; i++)
	{
		switch (declared[i])
		{
			case ANYOID:
			case ANYELEMENTOID:
			case ANYNONARRAYOID:
				declared[i] = argtypes[i];
				break;
			case ANYARRAYOID:
			case ANYENUMOID:
			case ANYRANGEOID:
			case ANYMULTIRANGEOID:
				/* the parser passes a domain over one of these as what it is a domain over */
				declared[i] = getBaseType(argtypes[i]);
				break;
			default:
				if (!IsBinaryCoercible(argtypes[i], declared[i]))
					report_mismatch(lookup, nargs, argtypes);
		}
	}
	agg->transtype = resolve_aggregate_transtype(lookup->aggregate, lookup->agg->aggtranstype,
												 agg->argtypes, nargs);

	if (agg->transtype != INTERNALOID && get_typtype(agg->transtype) == TYPTYPE_PSEUDO)
		report_unfit(
			lookup->aggregate,
			psprintf("Its transition type is the pseudo-type %s.", format_type_be(agg->transtype)),
			NULL);
	if (get_typtype(agg->resulttype) == TYPTYPE_PSEUDO)
		report_unfit(
			lookup->aggregate,
			psprintf("Its result is of the pseudo-type %s.", format_type_be(agg->resulttype)),
			NULL);
	get_typlenbyval(agg->transtype, &agg->translen, &agg->transbyval);
}

static void
prepare_function(Oid function, Expr *expr, FmgrInfo *flinfo)
{
	fmgr_info(function, flinfo);
	fmgr_info_set_expr((Node *) expr, flinfo);
}

/*
 * Sets up the functions that turn transition values into payloads and back.
 */
static void
prepare_transport(const Lookup *lookup, BaPartialAgg *agg)
{
	Expr *expr;
	HeapTuple tuple;
	Form_pg_type type;

	if (agg->transtype == INTERNALOID)
	{
		agg->serialfn = lookup->agg->aggserialfn;
		build_aggregate_serialfn_expr(agg->serialfn, &expr);
		prepare_function(agg->serialfn, expr, &agg->writefn);
		build_aggregate_deserialfn_expr(lookup->agg->aggdeserialfn, &expr);
		prepare_function(lookup->agg->aggdeserialfn, expr, &agg->readfn);
		return;
	}

	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(agg->transtype));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", agg->transtype);
	type = (Form_pg_type) GETSTRUCT(tuple);
	agg->typioparam = getTypeIOParam(tuple);
	agg->as_text = !OidIsValid(type->typsend) || !OidIsValid(type->typreceive);
	fmgr_info(agg->as_text ? type->typoutput : type->typsend, &agg->writefn);
	fmgr_info(agg->as_text ? type->typinput : type->typreceive, &agg->readfn);
	ReleaseSysCache(tuple);
}

static void
prepare_initvalue(const Lookup *lookup, BaPartialAgg *agg)
{
	Datum inittext =
		SysCacheGetAttr(AGGFNOID, lookup->agg_tuple, Anum_pg_aggregate_agginitval, &agg->initnull);
	Oid typinput;
	Oid typioparam;

	if (agg->initnull)
		return;
	getTypeInputInfo(agg->transtype, &typinput, &typioparam);
	agg->initvalue = OidInputFunctionCall(typinput, TextDatumGetCString(inittext), typioparam, -1);
}

/*
 * Sets up the functions that compute, with expression nodes from which
 * polymorphic ones learn the types; and repeats nodeAgg.c's checks of strictness,
 * which may have changed since the aggregate was created.
 */
static void
prepare_functions(const Lookup *lookup, BaPartialAgg *agg)
{
	Form_pg_aggregate form = lookup->agg;
	Oid combine_types[] = {agg->transtype, agg->transtype};
	Expr *expr;

	if (agg->has_transfn)
	{
		build_aggregate_transfn_expr(agg->argtypes, agg->nargs, 0, false, agg->transtype,
									 agg->collation, form->aggtransfn, InvalidOid, &expr, NULL);
		prepare_function(form->aggtransfn, expr, &agg->transfn);
		if (agg->transfn.fn_addr == batchagg_partial_transfn ||
			agg->transfn.fn_addr == batchagg_partial_transfn_text ||
			agg->transfn.fn_addr == batchagg_partial_rollup_transfn)
			report_unfit(lookup->aggregate, "Its result is a partial state already.",
						 "Merge partial states with rollup().");
		if (agg->transfn.fn_strict && agg->initnull &&
			(agg->nargs == 0 || !IsBinaryCoercible(agg->argtypes[0], agg->transtype)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
					 errmsg("aggregate %s needs to have compatible input type and transition type",
							ba_partial_aggregate_text(lookup->aggregate))));
	}

	build_aggregate_transfn_expr(combine_types, 2, 1, false, agg->transtype, agg->collation,
								 form->aggcombinefn, InvalidOid, &expr, NULL);
	prepare_function(form->aggcombinefn, expr, &agg->combinefn);
	if (agg->combinefn.fn_strict && agg->transtype == INTERNALOID)
		ereport(ERROR, (errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
						errmsg("combine function %s of aggregate %s must not be declared STRICT",
							   format_procedure(form->aggcombinefn),
							   ba_partial_aggregate_text(lookup->aggregate))));

	agg->has_finalfn = OidIsValid(form->aggfinalfn);
	agg->nfinalargs = form->aggfinalextra ? agg->nargs + 1 : 1;
	if (agg->has_finalfn)
	{
		build_aggregate_finalfn_expr(agg->argtypes, agg->nfinalargs, agg->transtype,
									 agg->resulttype, agg->collation, form->aggfinalfn, &expr);
		prepare_function(form->aggfinalfn, expr, &agg->finalfn);
	}
}

/*
 * Gives the name under which a state finds an object again.
 */
static void
name_object(Oid aggregate, Oid namespace, const char *name, BaPartialName *result)
{
	if (isAnyTempNamespace(namespace))
		report_unfit(aggregate,
					 psprintf("\"%s\" is a temporary object: a stored state outlives it.", name),
					 NULL);
	result->schema = namespace == PG_CATALOG_NAMESPACE ? "" : get_namespace_name(namespace);
	if (result->schema == NULL)
		elog(ERROR, "cache lookup failed for schema %u", namespace);
	result->name = pstrdup(name);
}

static void
name_type(Oid aggregate, Oid type, BaPartialType *result)
{
	Oid element = get_element_type(type);
	HeapTuple tuple;
	Form_pg_type form;

	/* int2vector and oidvector look like arrays but are not their element's array type */
	result->is_array = OidIsValid(element) && get_array_type(element) == type;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(result->is_array ? element : type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	name_object(aggregate, form->typnamespace, NameStr(form->typname), &result->name);
	ReleaseSysCache(tuple);
}

static BaPartialType *
name_types(Oid aggregate, int count, const Oid *types)
{
	BaPartialType *result = palloc(sizeof(BaPartialType) * Max(count, 1));

	for (int i = 0; i < count; i++)
		name_type(aggregate, types[i], &result[i]);
	return result;
}

/*
 * Whether values of the type are the same bytes in every encoding. Only core's
 * own numbers, dates, intervals and booleans are known to be.
 */
static bool
is_encoding_free(Oid type)
{
	Oid element = get_element_type(type);
	char category;
	bool preferred;

	if (OidIsValid(element))
		type = element;
	if (type >= FirstGenbkiObjectId)
		return false;
	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_NUMERIC || category == TYPCATEGORY_DATETIME ||
		   category == TYPCATEGORY_TIMESPAN || category == TYPCATEGORY_BOOLEAN;
}

/*
 * Prepares the bytes that every state written by agg begins with.
 */
static void
prepare_header(const Lookup *lookup, BaPartialAgg *agg)
{
	Form_pg_proc proc = lookup->proc;
	Oid aggregate = lookup->aggregate;
	BaPartialHeader header = {0};

#ifdef WORDS_BIGENDIAN
	header.flags |= BA_PARTIAL_BIG_ENDIAN;
#endif
	if (agg->as_text)
		header.flags |= BA_PARTIAL_TEXT;
	header.major = BA_SERVER_MAJOR;
	name_object(aggregate, proc->pronamespace, NameStr(proc->proname), &header.aggregate);
	header.ndeclared = proc->pronargs;
	header.declared = name_types(aggregate, proc->pronargs, proc->proargtypes.values);
	if (agg->nargs != proc->pronargs ||
		memcmp(agg->argtypes, proc->proargtypes.values, sizeof(Oid) * agg->nargs) != 0)
	{
		header.nactual = agg->nargs;
		header.actual = name_types(aggregate, agg->nargs, agg->argtypes);
	}
	name_type(aggregate, agg->transtype, &header.transtype);
	header.collation.schema = "";
	header.collation.name = "";
	if (OidIsValid(agg->collation))
	{
		HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(agg->collation));
		Form_pg_collation form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for collation %u", agg->collation);
		form = (Form_pg_collation) GETSTRUCT(tuple);
		name_object(aggregate, form->collnamespace, NameStr(form->collname), &header.collation);
		ReleaseSysCache(tuple);
	}
	header.encoding = unconstify(char *, GetDatabaseEncodingName());
	if (agg->transtype == INTERNALOID ? ba_partial_vouch_format(agg->serialfn, BA_SERVER_MAJOR)
									  : is_encoding_free(agg->transtype))
		header.encoding = "";
	agg->header = ba_partial_build_header(&header, &agg->header_length);
}

/*
 * The work common to all ways of naming an aggregate. by_value: it was a stored
 * state that named it. with_rows: it will be fed rows.
 */
static BaPartialAgg *
resolve(Oid aggregate, int nargs, const Oid *argtypes, Oid collation, bool by_value, bool with_rows)
{
	BaPartialAgg *agg = palloc0(sizeof(BaPartialAgg));
	Lookup lookup;

	agg->context = CurrentMemoryContext;
	agg->aggregate = aggregate;
	agg->user = GetUserId();
	agg->collation = collation;
	agg->has_transfn = with_rows;

	begin_lookup(aggregate, &lookup);
	check_kind(&lookup);
	check_privileges(&lookup, by_value);
	check_parallel(&lookup);
	resolve_types(&lookup, nargs, argtypes, agg);
	if (by_value)
	{
		check_trusted_type(aggregate, agg->transtype);
		for (int i = 0; i < nargs; i++)
			check_trusted_type(aggregate, agg->argtypes[i]);
	}
	prepare_initvalue(&lookup, agg);
	prepare_transport(&lookup, agg);
	prepare_functions(&lookup, agg);
	prepare_header(&lookup, agg);
	end_lookup(&lookup);
	return agg;
}

/*
 * Makes the aggregate that the caller named ready to be fed rows of these types,
 * or says why it cannot be.
 */
BaPartialAgg *
ba_partial_resolve_call(Oid aggregate, int nargs, const Oid *argtypes, Oid collation)
{
	return resolve(aggregate, nargs, argtypes, collation, false, true);
}

/*
 * Resolves an aggregate once more, to be combined only, into CurrentMemoryContext:
 * for a state that is to outlive agg. It was trusted or named by the caller.
 */
BaPartialAgg *
ba_partial_resolve_again(const BaPartialAgg *agg)
{
	return resolve(agg->aggregate, agg->nargs, agg->argtypes, agg->collation, false, false);
}

/*
 * The OID of a schema that a state names, InvalidOid if there is none.
 */
static Oid
find_schema(const BaPartialName *name)
{
	return name->schema[0] == '\0' ? PG_CATALOG_NAMESPACE : get_namespace_oid(name->schema, true);
}

static Oid
find_type(const BaPartialType *type)
{
	Oid schema = find_schema(&type->name);
	Oid oid = InvalidOid;

	if (OidIsValid(schema))
		oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(type->name.name),
							  ObjectIdGetDatum(schema));
	if (OidIsValid(oid) && type->is_array)
		oid = get_array_type(oid);
	if (OidIsValid(oid) && !get_typisdefined(oid))
		oid = InvalidOid;
	return oid;
}

static Oid *
find_types(const BaPartialType *types, int count)
{
	Oid *oids = palloc(sizeof(Oid) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		oids[i] = find_type(&types[i]);
		if (!OidIsValid(oids[i]))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("type %s, which a partial state names, does not exist",
								   ba_partial_type_text(&types[i]))));
	}
	return oids;
}

/*
 * The OID of the function of that name and with those argument types, InvalidOid
 * if there is none.
 */
static Oid
find_function(Oid schema, const BaPartialHeader *header)
{
	Oid *types = find_types(header->declared, header->ndeclared);

	return GetSysCacheOid3(
		PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(header->aggregate.name),
		PointerGetDatum(buildoidvector(types, header->ndeclared)), ObjectIdGetDatum(schema));
}

/*
 * Finds the aggregate that a header names. The schema is looked at as if its name
 * stood in the query, so USAGE on it is required.
 */
static Oid
find_aggregate(const BaPartialHeader *header)
{
	Oid schema = find_schema(&header->aggregate);
	Oid aggregate = InvalidOid;
	AclResult result;

	if (OidIsValid(schema))
	{
		result = object_aclcheck(NamespaceRelationId, schema, GetUserId(), ACL_USAGE);
		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_SCHEMA, header->aggregate.schema);
		aggregate = find_function(schema, header);
	}
	if (!OidIsValid(aggregate))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("aggregate %s, which a partial state names, does not exist",
							   ba_partial_signature_text(header))));
	return aggregate;
}

static Oid
find_collation(const BaPartialHeader *header)
{
	const BaPartialName *name = &header->collation;
	Oid collation;

	if (name->name[0] == '\0')
		return InvalidOid;
	collation = get_collation_oid(
		list_make2(makeString(name->schema[0] != '\0' ? name->schema : "pg_catalog"),
				   makeString(name->name)),
		true);
	if (!OidIsValid(collation))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("collation %s, which a partial state names, does not exist",
							   ba_partial_name_text(name))));
	return collation;
}

/*
 * Refuses states whose payload means something else here than where it was
 * written.
 */
static void
check_origin(const BaPartialHeader *header, const BaPartialAgg *agg)
{
	bool private =
		OidIsValid(agg->serialfn) && !ba_partial_vouch_format(agg->serialfn, header->major);
	bool other_order = (header->flags & BA_PARTIAL_BIG_ENDIAN) != 0;

	if (find_type(&header->transtype) != agg->transtype ||
		((header->flags & BA_PARTIAL_TEXT) != 0) != agg->as_text)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("aggregate %s has changed since this partial state was written",
							   ba_partial_aggregate_text(agg->aggregate)),
						errdetail("Its transition type is %s, that of the state is %s.",
								  format_type_be(agg->transtype),
								  ba_partial_type_text(&header->transtype))));
	if (private && header->major != BA_SERVER_MAJOR)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("partial state of aggregate %s was written by PostgreSQL %d",
						ba_partial_aggregate_text(agg->aggregate), header->major),
				 errdetail("The format of its internal state is private to each major version.")));
#ifdef WORDS_BIGENDIAN
	other_order = !other_order;
#endif
	if (private && other_order)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("partial state of aggregate %s was written by a machine of the other "
						"byte order",
						ba_partial_aggregate_text(agg->aggregate)),
				 errdetail("The format of its internal state may depend on it.")));
	if (header->encoding[0] != '\0' && strcmp(header->encoding, GetDatabaseEncodingName()) != 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("partial state of aggregate %s was written in encoding %s",
							   ba_partial_aggregate_text(agg->aggregate), header->encoding),
						errdetail("Its text cannot be converted to this database's encoding %s.",
								  GetDatabaseEncodingName())));
}

/*
 * Makes the aggregate that a state names ready to combine and finalize, or says
 * why it cannot be: all the rules at the top of this file. by_value: the state is
 * a stored value, not on its way through a query that named the aggregate.
 */
BaPartialAgg *
ba_partial_resolve_header(const BaPartialHeader *header, bool by_value)
{
	Oid aggregate = find_aggregate(header);
	bool declared = header->nactual == 0;
	int nargs = declared ? header->ndeclared : header->nactual;
	Oid *argtypes = find_types(declared ? header->declared : header->actual, nargs);
	BaPartialAgg *agg =
		resolve(aggregate, nargs, argtypes, find_collation(header), by_value, false);

	check_origin(header, agg);
	return agg;
}

/*
 * The serialize function of the aggregate that a header names, InvalidOid if that
 * is not one of core's. Looks, and checks nothing: for input of a state.
 */
Oid
ba_partial_find_serialfn(const BaPartialHeader *header)
{
	Oid aggregate;
	HeapTuple tuple;
	Oid serialfn = InvalidOid;

	if (header->aggregate.schema[0] != '\0')
		return InvalidOid;
	aggregate = find_function(PG_CATALOG_NAMESPACE, header);
	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	if (HeapTupleIsValid(tuple))
	{
		serialfn = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggserialfn;
		ReleaseSysCache(tuple);
	}
	return serialfn;
}
