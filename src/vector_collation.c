/*
 * vector_collation.c
 *		Whether a collation compares bytes.
 *
 * Core knows it, but each major tells it in another way, and from a header that
 * wants ICU's, which need not be installed. The catalogs are the same: a collation of the
 * builtin provider compares bytes always, one of the C library if its name is C or
 * POSIX, one of ICU never; the default collation is the database's.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "vector_text.h"

#define PROVIDER_BUILTIN 'b' /* known since 17 */

static bool
compares_bytes(char provider, const char *locale)
{
	if (provider == PROVIDER_BUILTIN)
		return true;
	return provider == COLLPROVIDER_LIBC &&
		   (strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0);
}

static bool
default_is_c(void)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	Datum locale;
	bool isnull;
	bool result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	locale = SysCacheGetAttr(DATABASEOID, tuple, Anum_pg_database_datcollate, &isnull);
	result = !isnull && compares_bytes(((Form_pg_database) GETSTRUCT(tuple))->datlocprovider,
									   TextDatumGetCString(locale));
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Tells whether comparing two strings under a collation is comparing their bytes.
 */
bool
ba_collation_is_c(Oid collation)
{
	HeapTuple tuple;
	char provider;
	Datum locale;
	bool isnull;
	bool result;

	if (collation == C_COLLATION_OID)
		return true;
	if (collation == DEFAULT_COLLATION_OID)
		return default_is_c();
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	provider = ((Form_pg_collation) GETSTRUCT(tuple))->collprovider;
	locale = SysCacheGetAttr(COLLOID, tuple, Anum_pg_collation_collcollate, &isnull);
	result = compares_bytes(provider, isnull ? "" : TextDatumGetCString(locale));
	ReleaseSysCache(tuple);
	return result;
}
