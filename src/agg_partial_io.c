/*
 * agg_partial_io.c
 *		Input and output of partial_state.
 *
 * Text is the hexadecimal form of the bytes, binary the bytes themselves; both
 * ways in go through one validator, and a value that made it in is well-formed.
 *
 * Who may type a state in: everybody, if its payload is a value of an ordinary
 * type or in one of the formats that we check ourselves. Any other payload would
 * go to a deserialize function that was written for bytes from the executor, and
 * crafted bytes could do anything to the server. Such input is for superusers and
 * for roles with EXECUTE on the input function itself, which core never checks
 * for input functions and which is revoked from PUBLIC here:
 *
 *		GRANT EXECUTE ON FUNCTION batchagg.partial_state_in(cstring) TO restorer;
 *		GRANT EXECUTE ON FUNCTION batchagg.partial_state_recv(internal) TO restorer;
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "agg_partial.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(batchagg_partial_state_in);
PG_FUNCTION_INFO_V1(batchagg_partial_state_out);
PG_FUNCTION_INFO_V1(batchagg_partial_state_recv);
PG_FUNCTION_INFO_V1(batchagg_partial_state_send);
PG_FUNCTION_INFO_V1(batchagg_partial_state_to_jsonb);

/*
 * Whether the current user may bring in payloads that nobody can check.
 */
static bool
may_input_unchecked(FunctionCallInfo fcinfo)
{
	Oid function = fcinfo->flinfo != NULL ? fcinfo->flinfo->fn_oid : InvalidOid;

	return superuser() ||
		   (OidIsValid(function) && object_aclcheck(ProcedureRelationId, function, GetUserId(),
													ACL_EXECUTE) == ACLCHECK_OK);
}

/*
 * The validator of both ways in: returns if the bytes are a state that the
 * current user may have typed.
 */
static void
check_input(FunctionCallInfo fcinfo, const char *bytes, Size length, int sqlerrcode)
{
	BaPartialHeader header;
	Oid serialfn;

	ba_partial_parse_bytes(bytes, length, sqlerrcode, &header);
	if (!ba_partial_is_internal(&header.transtype) || header.isnull)
		return;
	serialfn = ba_partial_find_serialfn(&header);
	if (ba_partial_vouch_format(serialfn, header.major))
	{
		if (!ba_partial_check_payload(serialfn, header.payload, header.payload_length))
			ereport(ERROR, (errcode(sqlerrcode),
							errmsg("invalid partial_state: its payload is not a state of %s",
								   ba_partial_signature_text(&header))));
		return;
	}
	if (!may_input_unchecked(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to input a partial_state of aggregate %s",
						ba_partial_signature_text(&header)),
				 errdetail("Its transition type is internal: its bytes cannot be checked."),
				 errhint("A superuser may, and roles with EXECUTE on the type's input function.")));
}

Datum
batchagg_partial_state_in(PG_FUNCTION_ARGS)
{
	char *text = PG_GETARG_CSTRING(0);
	Size length = strlen(text);
	bytea *state = palloc(VARHDRSZ + length / 2);
	Size decoded;

	if (length % 2 != 0 || strspn(text, "0123456789abcdefABCDEF") != length)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("invalid partial_state: it is not hexadecimal")));
	decoded = hex_decode(text, length, VARDATA(state));
	SET_VARSIZE(state, VARHDRSZ + decoded);
	check_input(fcinfo, VARDATA(state), decoded, ERRCODE_INVALID_TEXT_REPRESENTATION);
	PG_RETURN_BYTEA_P(state);
}

Datum
batchagg_partial_state_out(PG_FUNCTION_ARGS)
{
	bytea *state = PG_GETARG_BYTEA_PP(0);
	Size length = VARSIZE_ANY_EXHDR(state);
	char *text = palloc(length * 2 + 1);

	text[hex_encode(VARDATA_ANY(state), length, text)] = '\0';
	PG_RETURN_CSTRING(text);
}

Datum
batchagg_partial_state_recv(PG_FUNCTION_ARGS)
{
	StringInfo buf = (StringInfo) PG_GETARG_POINTER(0);
	Size length = buf->len - buf->cursor;
	bytea *state = palloc(VARHDRSZ + length);

	SET_VARSIZE(state, VARHDRSZ + length);
	pq_copymsgbytes(buf, VARDATA(state), length);
	check_input(fcinfo, VARDATA(state), length, ERRCODE_INVALID_BINARY_REPRESENTATION);
	PG_RETURN_BYTEA_P(state);
}

Datum
batchagg_partial_state_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_GETARG_BYTEA_P_COPY(0));
}

static void
push_key(JsonbParseState **parse, const char *key)
{
	JsonbValue value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	(void) pushJsonbValue(parse, WJB_KEY, &value);
}

static void
push_string(JsonbParseState **parse, JsonbIteratorToken token, const char *string)
{
	JsonbValue value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	(void) pushJsonbValue(parse, token, &value);
}

static void
push_number(JsonbParseState **parse, int64 number)
{
	JsonbValue value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	(void) pushJsonbValue(parse, WJB_VALUE, &value);
}

static void
push_null(JsonbParseState **parse)
{
	JsonbValue value;

	value.type = jbvNull;
	(void) pushJsonbValue(parse, WJB_VALUE, &value);
}

/*
 * What a state says of itself, for people. Runs nothing and looks nothing up, so
 * it works on a state that can no longer be used, and tells why.
 */
Datum
batchagg_partial_state_to_jsonb(PG_FUNCTION_ARGS)
{
	bytea *state = PG_GETARG_BYTEA_PP(0);
	BaPartialHeader header;
	JsonbParseState *parse = NULL;
	const BaPartialType *types;
	int ntypes;

	ba_partial_parse_bytes(VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state),
						   ERRCODE_INVALID_BINARY_REPRESENTATION, &header);
	types = header.nactual > 0 ? header.actual : header.declared;
	ntypes = header.nactual > 0 ? header.nactual : header.ndeclared;

	(void) pushJsonbValue(&parse, WJB_BEGIN_OBJECT, NULL);
	push_key(&parse, "aggregate");
	push_string(&parse, WJB_VALUE, ba_partial_signature_text(&header));
	push_key(&parse, "argument_types");
	(void) pushJsonbValue(&parse, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < ntypes; i++)
		push_string(&parse, WJB_ELEM, ba_partial_type_text(&types[i]));
	(void) pushJsonbValue(&parse, WJB_END_ARRAY, NULL);
	push_key(&parse, "transition_type");
	push_string(&parse, WJB_VALUE, ba_partial_type_text(&header.transtype));
	push_key(&parse, "collation");
	if (header.collation.name[0] == '\0')
		push_null(&parse);
	else
		push_string(&parse, WJB_VALUE, ba_partial_name_text(&header.collation));
	push_key(&parse, "encoding");
	if (header.encoding[0] == '\0')
		push_null(&parse);
	else
		push_string(&parse, WJB_VALUE, header.encoding);
	push_key(&parse, "server_major");
	push_number(&parse, header.major);
	push_key(&parse, "payload_bytes");
	if (header.isnull)
		push_null(&parse);
	else
		push_number(&parse, header.payload_length);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_OBJECT, NULL)));
}
