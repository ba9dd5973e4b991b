/*
 * agg_io.c
 *		Statistical states at the boundary: arguments, transition values, input and output.
 *
 * A state may reach a function in either form and in any kind of varlena:
 * canonical from a table, working from a parallel worker (a state is its own
 * wire format there, header shortened on the way), working and ours to change
 * as a transition value. ba_agg_get and ba_agg_own are the two ways in.
 *
 * Only a transition value of a running aggregate is changed in place. A support
 * function called from plain SQL works on a copy and returns the canonical form,
 * so that no working state is ever stored.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "agg.h"

/* The first content byte of any form of a state. */
static inline uint8
form_of(const struct varlena *v)
{
	return *(const uint8 *) VARDATA_ANY(v);
}

/* The one complaint about a stored state that cannot be. Does not return. */
static void
report_corrupt(BaAggKind kind, const char *complaint)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("corrupt %s state", ba_agg_shapes[kind].type_name),
					errdetail("%s", complaint)));
}

static BaAggState *
check_working(BaAggState *s, BaAggKind kind)
{
	if (!ba_agg_is_sound(s, kind))
		report_corrupt(kind, "The state looks like one of a running query, but is none.");
	return s;
}

/*
 * Returns a working state with its own memory, in the current context.
 */
static BaAggState *
copy_state(const struct varlena *v, BaAggKind kind)
{
	BaAggState *s;
	const char *complaint;

	if (VARSIZE_ANY_EXHDR(v) >= 1 && form_of(v) == (kind | BA_AGG_WORKING))
	{
		size_t size = VARSIZE_ANY_EXHDR(v);

		/* the header may have been shortened, and the contents be unaligned */
		s = palloc(VARHDRSZ + size);
		memcpy(VARDATA(s), VARDATA_ANY(v), size);
		SET_VARSIZE(s, VARHDRSZ + size);
		return check_working(s, kind);
	}
	complaint = ba_agg_thaw((const uint8 *) VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v), kind, true, &s);
	if (complaint != NULL)
		report_corrupt(kind, complaint);
	return s;
}

/* Is this a working state that can be used where it is? */
static bool
is_usable(const struct varlena *v, BaAggKind kind)
{
	return VARATT_IS_4B_U(v) && form_of(v) == (kind | BA_AGG_WORKING) &&
		   (uintptr_t) v == MAXALIGN((uintptr_t) v);
}

/*
 * Returns an argument as a working state with nothing pending, to be read only.
 */
BaAggState *
ba_agg_get(Datum datum, BaAggKind kind)
{
	struct varlena *v = pg_detoast_datum_packed((struct varlena *) DatumGetPointer(datum));

	if (is_usable(v, kind) && !ba_agg_has_pending(check_working((BaAggState *) v, kind)))
		return (BaAggState *) v;
	return ba_agg_fold(copy_state(v, kind));
}

/*
 * Returns the first argument as a working state that may be changed: the
 * transition value itself inside an aggregate, else a copy.
 */
BaAggState *
ba_agg_own(FunctionCallInfo fcinfo, BaAggKind kind)
{
	struct varlena *v =
		pg_detoast_datum_packed((struct varlena *) DatumGetPointer(PG_GETARG_DATUM(0)));

	if (AggCheckCallContext(fcinfo, NULL) && is_usable(v, kind))
		return check_working((BaAggState *) v, kind);
	return copy_state(v, kind);
}

/*
 * Returns an argument in canonical form: as it is, if it is canonical already.
 */
struct varlena *
ba_agg_get_canonical(Datum datum, BaAggKind kind)
{
	struct varlena *v = pg_detoast_datum_packed((struct varlena *) DatumGetPointer(datum));

	if (VARSIZE_ANY_EXHDR(v) >= 1 && form_of(v) == kind)
		return v;
	return ba_agg_freeze(ba_agg_fold(copy_state(v, kind)));
}

/* What a support function returns: its state, or a stored form where SQL called it. */
static Datum
return_state(FunctionCallInfo fcinfo, BaAggState *s)
{
	if (AggCheckCallContext(fcinfo, NULL))
		PG_RETURN_POINTER(s);
	PG_RETURN_POINTER(ba_agg_freeze(ba_agg_fold(s)));
}

/*
 * A transition, wherever the fast path of ba_agg_has_room did not apply.
 *
 * In a window function a result is computed after each row: there is nothing to
 * gain from letting inputs wait.
 */
Datum
ba_agg_advance(FunctionCallInfo fcinfo, BaAggKind kind, const BaAggValue *values)
{
	BaAggState *s = ba_agg_own(fcinfo, kind);
	int axes = ba_agg_shape(s)->axes;
	bool wait = AggCheckCallContext(fcinfo, NULL) == AGG_CONTEXT_AGGREGATE;

	for (int axis = 0; axis < axes; axis++)
		wait &= values[axis].remainder == 0;
	if (wait)
	{
		s = ba_agg_make_room(s);
		for (int axis = 0; axis < axes; axis++)
			ba_agg_push(s, values[axis].value);
	}
	else
		s = ba_agg_add(s, values);
	return return_state(fcinfo, s);
}

/*
 * An inverse transition of moving-aggregate mode. NULL tells the executor to
 * start over.
 */
Datum
ba_agg_retract(FunctionCallInfo fcinfo, BaAggKind kind, const BaAggValue *values)
{
	BaAggState *s = ba_agg_remove(ba_agg_fold(ba_agg_own(fcinfo, kind)), values);

	if (s == NULL)
		PG_RETURN_NULL();
	return return_state(fcinfo, s);
}

/* The combine function of every aggregate: the second state is only read. */
static Datum
combine_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	BaAggState *other = ba_agg_get(PG_GETARG_DATUM(1), kind);

	return return_state(fcinfo, ba_agg_merge(ba_agg_own(fcinfo, kind), other));
}

/* merge(a, b): NULL is neutral, so that it may stand for "nothing yet". */
static Datum
merge_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	BaAggState *s;

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_POINTER(ba_agg_get_canonical(PG_GETARG_DATUM(PG_ARGISNULL(0) ? 1 : 0), kind));
	s = ba_agg_fold(copy_state(PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0)), kind));
	PG_RETURN_POINTER(ba_agg_freeze(ba_agg_merge(s, ba_agg_get(PG_GETARG_DATUM(1), kind))));
}

/* The final function of stats_agg and rollup: the state to be kept. */
static Datum
final_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	BaAggState *s = ba_agg_get(PG_GETARG_DATUM(0), kind);

	if (s->n == 0)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(ba_agg_freeze(s));
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Text input: the canonical bytes in lower-case hexadecimal digits. */
static Datum
input_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	char *text = PG_GETARG_CSTRING(0);
	size_t len = strlen(text) / 2;
	const char *complaint = NULL;
	struct varlena *v = palloc(VARHDRSZ + len);
	BaAggState *s;

	if (strspn(text, "0123456789abcdef") != 2 * len || text[2 * len] != '\0')
		complaint = "A state is written as an even number of the digits 0-9 and a-f.";
	else
	{
		for (size_t i = 0; i < len; i++)
			VARDATA(v)[i] = hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]);
		complaint = ba_agg_thaw((const uint8 *) VARDATA(v), len, kind, false, &s);
	}
	if (complaint != NULL)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input for type %s", ba_agg_shapes[kind].type_name),
				 errdetail("%s", complaint)));
	SET_VARSIZE(v, VARHDRSZ + len);
	PG_RETURN_POINTER(v);
}

static Datum
output_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	struct varlena *v = ba_agg_get_canonical(PG_GETARG_DATUM(0), kind);
	size_t len = VARSIZE_ANY_EXHDR(v);
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(v);
	char *text = palloc(2 * len + 1);

	for (size_t i = 0; i < len; i++)
	{
		text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	text[2 * len] = '\0';
	PG_RETURN_CSTRING(text);
}

/* Binary input: the canonical bytes, the rest of the message. */
static Datum
receive_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	StringInfo message = (StringInfo) PG_GETARG_POINTER(0);
	int len = message->len - message->cursor;
	const char *bytes = pq_getmsgbytes(message, len);
	const char *complaint;
	BaAggState *s;
	struct varlena *v;

	complaint = ba_agg_thaw((const uint8 *) bytes, len, kind, false, &s);
	if (complaint != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid binary input for type %s", ba_agg_shapes[kind].type_name),
						errdetail("%s", complaint)));
	v = palloc(VARHDRSZ + len);
	SET_VARSIZE(v, VARHDRSZ + len);
	memcpy(VARDATA(v), bytes, len);
	PG_RETURN_POINTER(v);
}

static Datum
send_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	struct varlena *v = ba_agg_get_canonical(PG_GETARG_DATUM(0), kind);
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendbytes(&message, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

static bool
equal_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	struct varlena *a = ba_agg_get_canonical(PG_GETARG_DATUM(0), kind);
	struct varlena *b = ba_agg_get_canonical(PG_GETARG_DATUM(1), kind);

	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

static Datum
hash_state(FunctionCallInfo fcinfo, BaAggKind kind)
{
	struct varlena *v = ba_agg_get_canonical(PG_GETARG_DATUM(0), kind);

	return hash_any((const unsigned char *) VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static Datum
hash_state_extended(FunctionCallInfo fcinfo, BaAggKind kind)
{
	struct varlena *v = ba_agg_get_canonical(PG_GETARG_DATUM(0), kind);

	return hash_any_extended((const unsigned char *) VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v),
							 PG_GETARG_INT64(1));
}

/* One SQL function of a state type; `call` is an expression of fcinfo. */
#define STATE_FUNCTION(name, call)                                                                 \
	PG_FUNCTION_INFO_V1(name);                                                                     \
	Datum name(PG_FUNCTION_ARGS)                                                                   \
	{                                                                                              \
		return call;                                                                               \
	}

/* All that both types have in common. */
#define STATE_TYPE(type, kind)                                                                     \
	STATE_FUNCTION(batchagg_##type##_in, input_state(fcinfo, kind))                                \
	STATE_FUNCTION(batchagg_##type##_out, output_state(fcinfo, kind))                              \
	STATE_FUNCTION(batchagg_##type##_recv, receive_state(fcinfo, kind))                            \
	STATE_FUNCTION(batchagg_##type##_send, send_state(fcinfo, kind))                               \
	STATE_FUNCTION(batchagg_##type##_eq, BoolGetDatum(equal_state(fcinfo, kind)))                  \
	STATE_FUNCTION(batchagg_##type##_ne, BoolGetDatum(!equal_state(fcinfo, kind)))                 \
	STATE_FUNCTION(batchagg_##type##_hash, hash_state(fcinfo, kind))                               \
	STATE_FUNCTION(batchagg_##type##_hash_extended, hash_state_extended(fcinfo, kind))             \
	STATE_FUNCTION(batchagg_##type##_combine, combine_state(fcinfo, kind))                         \
	STATE_FUNCTION(batchagg_##type##_final, final_state(fcinfo, kind))                             \
	STATE_FUNCTION(batchagg_merge_##type, merge_state(fcinfo, kind))

STATE_TYPE(stats, BA_AGG_STATS)
STATE_TYPE(stats2d, BA_AGG_STATS2D)

#undef STATE_TYPE
#undef STATE_FUNCTION
