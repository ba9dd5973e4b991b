/*
 * agg_partial_format.c
 *		The bytes of a partial_state.
 *
 * A state is a header, then the length of the payload, then the payload:
 *
 *		'P' version flags major
 *		aggregate name, declared argument types, actual argument types,
 *		transition type, collation, encoding
 *		payload length (all ones: the transition value is NULL), payload
 *
 * Numbers are big-endian, a string is a length byte and its bytes, a name is a
 * schema and a name, a list is a count byte and its members. There are no OIDs:
 * a dump and restore moves them. doc/partial-state.md has the table.
 *
 * The header describes itself, byte by byte, so two states whose first
 * header->length bytes agree have the same header: callers cache on that.
 *
 * Everything here works on untrusted bytes and knows no catalogs. Each read is
 * checked against the end, each name against the limits of a name and against
 * the database encoding, and nothing may follow the payload.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "agg_partial.h"
#include "compat.h"

#define PARTIAL_KIND 'P'
#define PARTIAL_VERSION 1
#define PARTIAL_NULL 0xFFFFFFFF /* payload length of a NULL transition value */

/* what is left to parse, and how to complain about it */
typedef struct Reader
{
	const char *next;
	const char *end;
	int sqlerrcode;
} Reader;

/*
 * The one complaint about bytes that are not a state. Does not return.
 */
static void
report_corrupt(const Reader *reader, const char *what)
{
	ereport(ERROR, (errcode(reader->sqlerrcode), errmsg("invalid partial_state: %s", what)));
}

static const char *
read_bytes(Reader *reader, Size length)
{
	const char *bytes = reader->next;

	if (length > (Size) (reader->end - reader->next))
		report_corrupt(reader, "it ends too early");
	reader->next += length;
	return bytes;
}

static uint8
read_byte(Reader *reader)
{
	return (uint8) *read_bytes(reader, 1);
}

/*
 * Reads a string that may serve as an identifier, or is empty; palloc'd.
 */
static char *
read_string(Reader *reader)
{
	uint8 length = read_byte(reader);
	const char *bytes = read_bytes(reader, length);

	if (length >= NAMEDATALEN)
		report_corrupt(reader, "a name is too long");
	if (memchr(bytes, '\0', length) != NULL || !pg_verifymbstr(bytes, length, true))
		report_corrupt(reader, "a name is not valid in the database encoding");
	return pnstrdup(bytes, length);
}

/*
 * Reads a name. One has one spelling: rules that go by the name of what is in
 * pg_catalog would miss it under another.
 */
static void
read_name(Reader *reader, BaPartialName *name)
{
	name->schema = read_string(reader);
	name->name = read_string(reader);
	if (strcmp(name->schema, "pg_catalog") == 0)
		report_corrupt(reader, "it spells out pg_catalog");
}

static void
read_type(Reader *reader, BaPartialType *type)
{
	uint8 is_array = read_byte(reader);

	if (is_array > 1)
		report_corrupt(reader, "a type is neither plain nor an array");
	type->is_array = is_array != 0;
	read_name(reader, &type->name);
	if (type->name.name[0] == '\0')
		report_corrupt(reader, "a type has no name");
}

static BaPartialType *
read_types(Reader *reader, int *count)
{
	BaPartialType *types;

	*count = read_byte(reader);
	/* one less than a function may have, as a transition function takes the state too */
	if (*count >= FUNC_MAX_ARGS)
		report_corrupt(reader, "it has too many argument types");
	types = palloc(sizeof(BaPartialType) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		read_type(reader, &types[i]);
	return types;
}

/*
 * Sets the payload fields of *header, for bytes of which the first header_length
 * are a header already parsed. Checked like everything else.
 */
void
ba_partial_parse_payload(const char *bytes, Size length, Size header_length, int sqlerrcode,
						 BaPartialHeader *header)
{
	Reader reader = {bytes + header_length, bytes + length, sqlerrcode};
	uint32 payload_length;

	memcpy(&payload_length, read_bytes(&reader, sizeof(uint32)), sizeof(uint32));
	payload_length = pg_ntoh32(payload_length);
	header->isnull = payload_length == PARTIAL_NULL;
	header->payload = reader.next;
	header->payload_length = header->isnull ? 0 : payload_length;
	(void) read_bytes(&reader, header->payload_length);
	if (reader.next != reader.end)
		report_corrupt(&reader, "it goes on after its end");
}

/*
 * Takes a state apart into *header, which keeps pointing into the bytes for the
 * payload; all else is palloc'd.
 *
 * The bytes may be anything. What is not a state of a known version is an error
 * with the given code; what returns is well-formed, though its names may exist
 * nowhere and its payload may mean nothing.
 */
void
ba_partial_parse_bytes(const char *bytes, Size length, int sqlerrcode, BaPartialHeader *header)
{
	Reader reader = {bytes, bytes + length, sqlerrcode};

	if (read_byte(&reader) != PARTIAL_KIND)
		report_corrupt(&reader, "it does not begin like one");
	if (read_byte(&reader) != PARTIAL_VERSION)
		report_corrupt(&reader, "its format version is unknown");
	header->flags = read_byte(&reader);
	if ((header->flags & ~BA_PARTIAL_FLAGS) != 0)
		report_corrupt(&reader, "it has unknown flags");
	header->major = read_byte(&reader);
	read_name(&reader, &header->aggregate);
	if (header->aggregate.name[0] == '\0')
		report_corrupt(&reader, "its aggregate has no name");
	header->declared = read_types(&reader, &header->ndeclared);
	header->actual = read_types(&reader, &header->nactual);
	read_type(&reader, &header->transtype);
	read_name(&reader, &header->collation);
	if (header->collation.name[0] == '\0' && header->collation.schema[0] != '\0')
		report_corrupt(&reader, "its collation has no name");
	header->encoding = read_string(&reader);
	header->length = reader.next - bytes;

	ba_partial_parse_payload(bytes, length, header->length, sqlerrcode, header);
}

static void
append_string(StringInfo buf, const char *string)
{
	Size length = strlen(string);

	Assert(length < NAMEDATALEN);
	appendStringInfoChar(buf, (char) length);
	appendBinaryStringInfo(buf, string, length);
}

static void
append_name(StringInfo buf, const BaPartialName *name)
{
	append_string(buf, name->schema);
	append_string(buf, name->name);
}

static void
append_types(StringInfo buf, const BaPartialType *types, int count)
{
	appendStringInfoChar(buf, (char) count);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoChar(buf, types[i].is_array);
		append_name(buf, &types[i].name);
	}
}

/*
 * Returns the bytes before the payload length, palloc'd, and their number.
 */
char *
ba_partial_build_header(const BaPartialHeader *header, Size *length)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, PARTIAL_KIND);
	appendStringInfoChar(&buf, PARTIAL_VERSION);
	appendStringInfoChar(&buf, (char) header->flags);
	appendStringInfoChar(&buf, (char) header->major);
	append_name(&buf, &header->aggregate);
	append_types(&buf, header->declared, header->ndeclared);
	append_types(&buf, header->actual, header->nactual);
	appendStringInfoChar(&buf, header->transtype.is_array);
	append_name(&buf, &header->transtype.name);
	append_name(&buf, &header->collation);
	append_string(&buf, header->encoding);
	*length = buf.len;
	return buf.data;
}

/*
 * Returns a whole partial_state, palloc'd, from header bytes and a payload; no
 * payload means that the transition value is NULL.
 */
bytea *
ba_partial_build_state(const char *header, Size header_length, bytea *payload)
{
	Size length = payload != NULL ? VARSIZE_ANY_EXHDR(payload) : 0;
	uint32 payload_length = pg_hton32(payload != NULL ? (uint32) length : PARTIAL_NULL);
	Size total = VARHDRSZ + header_length + sizeof(uint32) + length;
	bytea *state = palloc(total);
	char *next = VARDATA(state);

	SET_VARSIZE(state, total);
	memcpy(next, header, header_length);
	next += header_length;
	memcpy(next, &payload_length, sizeof(uint32));
	next += sizeof(uint32);
	if (payload != NULL)
		memcpy(next, VARDATA_ANY(payload), length);
	return state;
}

/*
 * Whether the transition type is internal, so that the payload is private to the
 * aggregate's serialize and deserialize functions.
 */
bool
ba_partial_is_internal(const BaPartialType *type)
{
	return !type->is_array && type->name.schema[0] == '\0' &&
		   strcmp(type->name.name, "internal") == 0;
}

/*
 * A name for people: quoted where SQL would need it, pg_catalog left out.
 */
char *
ba_partial_name_text(const BaPartialName *name)
{
	return quote_qualified_identifier(name->schema[0] != '\0' ? name->schema : NULL, name->name);
}

/*
 * A type for people. Core's are not quoted for being keywords, as quote_identifier
 * does; but "char" and "any" mean something else without.
 */
char *
ba_partial_type_text(const BaPartialType *type)
{
	char *name = type->name.name;

	if (type->name.schema[0] != '\0' || strcmp(name, "char") == 0 || strcmp(name, "any") == 0)
		name = ba_partial_name_text(&type->name);

	return type->is_array ? psprintf("%s[]", name) : name;
}

/*
 * The aggregate with its declared argument types, for people; count(*) as such.
 */
char *
ba_partial_signature_text(const BaPartialHeader *header)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s(", ba_partial_name_text(&header->aggregate));
	for (int i = 0; i < header->ndeclared; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "",
						 ba_partial_type_text(&header->declared[i]));
	appendStringInfoString(&buf, header->ndeclared == 0 ? "*)" : ")");
	return buf.data;
}
