/*
 * agg_partial.h
 *		partial_state: the partial state of any aggregate as a value.
 *
 * The files of the family, each knowing only those above it:
 *
 *		agg_partial_format.c	bytes <-> BaPartialHeader; no catalogs
 *		agg_partial_vouch.c		which of core's private payloads we can check ourselves
 *		agg_partial_resolve.c	header or regprocedure -> BaPartialAgg: every rule about
 *								which aggregate may run, and for whom
 *		agg_partial_run.c		BaPartialAgg + BaPartialState: what nodeAgg.c does with them
 *		agg_partial_io.c		the type's input and output
 *		agg_partial.c			the SQL surface: partial, rollup, merge, finalize
 */
#ifndef AGG_PARTIAL_H
#define AGG_PARTIAL_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/nodes.h"

/* a name as a state carries it; an empty schema stands for pg_catalog */
typedef struct BaPartialName
{
	char *schema;
	char *name;
} BaPartialName;

typedef struct BaPartialType
{
	BaPartialName name; /* of the element type, if is_array */
	bool is_array;      /* array types are renamed by the server at will: name the element */
} BaPartialType;

#define BA_PARTIAL_BIG_ENDIAN 0x01 /* written by a big-endian server */
#define BA_PARTIAL_TEXT 0x02 /* payload is the transition type's text, it has no binary form */
#define BA_PARTIAL_FLAGS (BA_PARTIAL_BIG_ENDIAN | BA_PARTIAL_TEXT)

/* a partial_state taken apart; doc/partial-state.md has the byte table */
typedef struct BaPartialHeader
{
	uint8 flags;
	int major;               /* of the server that wrote it */
	BaPartialName aggregate; /* with declared, what pg_proc's unique index needs */
	int ndeclared;
	BaPartialType *declared; /* declared argument types, polymorphic ones included */
	int nactual;
	BaPartialType *actual;   /* what they were in the call; none where equal to declared */
	BaPartialType transtype; /* pg_catalog.internal: payload by the serialize function */
	BaPartialName collation; /* empty name: the call had none */
	char *encoding;          /* of text in the payload; empty: none in it */
	Size length;             /* bytes up to here: equal bytes, equal header */
	bool isnull;             /* the transition value is NULL, no payload */
	const char *payload;     /* points into the parsed bytes */
	Size payload_length;
} BaPartialHeader;

/*
 * An aggregate made ready to run for one list of argument types, one collation
 * and one user. Lives in "context"; states point to it and must not live longer.
 */
typedef struct BaPartialAgg
{
	MemoryContext context;
	Oid aggregate;
	Oid user; /* whose privileges were checked */
	int nargs;
	Oid *argtypes; /* as nodeAgg.c would see them: polymorphic ones resolved */
	Oid collation;
	Oid transtype;
	int16 translen;
	bool transbyval;
	Oid resulttype;
	Datum initvalue;
	bool initnull;
	bool has_transfn; /* only partial() feeds rows */
	FmgrInfo transfn;
	FmgrInfo combinefn;
	bool has_finalfn;
	FmgrInfo finalfn;
	int nfinalargs;
	FmgrInfo writefn; /* serialize, or the type's send or output */
	FmgrInfo readfn;  /* deserialize, or the type's receive or input */
	Oid typioparam;   /* for receive and input */
	bool as_text;     /* writefn and readfn are output and input */
	Oid serialfn;     /* InvalidOid unless transtype is internal */
	char *header;     /* the first bytes of every state it writes */
	Size header_length;
} BaPartialAgg;

/* the running state of one group; lives in the aggregate context */
typedef struct BaPartialState
{
	BaPartialAgg *agg;
	Datum value;
	bool isnull;
	bool novalue; /* a strict function takes the first non-null input as the state */
} BaPartialState;

/* in agg_partial_format.c */
extern void ba_partial_parse_bytes(const char *bytes, Size length, int sqlerrcode,
								   BaPartialHeader *header);
extern void ba_partial_parse_payload(const char *bytes, Size length, Size header_length,
									 int sqlerrcode, BaPartialHeader *header);
extern char *ba_partial_build_header(const BaPartialHeader *header, Size *length);
extern bytea *ba_partial_build_state(const char *header, Size header_length, bytea *payload);
extern bool ba_partial_is_internal(const BaPartialType *type);
extern char *ba_partial_type_text(const BaPartialType *type);
extern char *ba_partial_name_text(const BaPartialName *name);
extern char *ba_partial_signature_text(const BaPartialHeader *header);

/* in agg_partial_vouch.c */
extern bool ba_partial_vouch_format(Oid serialfn, int major);
extern bool ba_partial_check_payload(Oid serialfn, const char *payload, Size length);

/* in agg_partial_resolve.c */
extern BaPartialAgg *ba_partial_resolve_call(Oid aggregate, int nargs, const Oid *argtypes,
											 Oid collation);
extern BaPartialAgg *ba_partial_resolve_header(const BaPartialHeader *header, bool by_value);
extern BaPartialAgg *ba_partial_resolve_again(const BaPartialAgg *agg);
extern Oid ba_partial_find_serialfn(const BaPartialHeader *header);
extern char *ba_partial_aggregate_text(Oid aggregate);

/* in agg_partial_run.c */
extern BaPartialState *ba_partial_new_state(BaPartialAgg *agg, MemoryContext aggcontext);
extern void ba_partial_advance_state(BaPartialState *state, Node *context, MemoryContext aggcontext,
									 const NullableDatum *args);
extern void ba_partial_combine_state(BaPartialState *state, Node *context, MemoryContext aggcontext,
									 Datum value, bool isnull);
extern Datum ba_partial_final_state(BaPartialState *state, Node *context, bool *isnull);
extern bytea *ba_partial_write_state(BaPartialState *state, Node *context);
extern Datum ba_partial_read_payload(BaPartialAgg *agg, Node *context, bool payload_null,
									 const char *payload, Size length, bool *isnull);

/* in agg_partial.c: named here because a partial state cannot wrap itself */
extern PGDLLEXPORT Datum batchagg_partial_transfn(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_partial_transfn_text(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum batchagg_partial_rollup_transfn(PG_FUNCTION_ARGS);

#endif
