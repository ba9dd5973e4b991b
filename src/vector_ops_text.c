/*
 * vector_ops_text.c
 *		Operations on text, char, bytea and uuid.
 *
 * Equality is a matter of bytes under every deterministic collation; order is under C only,
 * and goes through core's varstr_cmp otherwise. Under a nondeterministic collation, or where
 * there is none, every operation gives up.
 *
 * Vectors in which values may be compressed or out of line take a path of their own, which
 * fetches one value at a time and frees it again, so that long values do not pile up.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "vector_text.h"

/*
 * What a node finds out when it is first evaluated.
 */
typedef struct TextNode
{
	bool usable; /* the collation is deterministic */
	BaCollator collator;
	char *pattern; /* of LIKE, as a varlena; NULL before the first */
	BaLike *like;  /* NULL to leave the pattern to core */
} TextNode;

/* Results of a comparison for which an operator is true. */
typedef enum Orders
{
	ORDER_LT = 1,
	ORDER_EQ = 2,
	ORDER_GT = 4,
} Orders;

/* Which bytes are compared, and how. */
typedef enum StringKind
{
	STRING_TEXT,   /* by the collation */
	STRING_BPCHAR, /* likewise, without blanks at the end */
	STRING_BYTES,  /* byte by byte */
} StringKind;

static TextNode *
get_node(BaExpr *expr)
{
	TextNode *node = expr->private;

	if (node == NULL)
	{
		Oid collation = exprInputCollation((Node *) expr->source);

		node = MemoryContextAllocZero(expr->program->memory, sizeof(TextNode));
		node->usable = OidIsValid(collation) && get_collation_isdeterministic(collation);
		if (node->usable)
			ba_collator_init(&node->collator, collation, expr->program->memory);
		expr->private = node;
	}
	return node;
}

/*
 * Makes a node's result ready, with the nulls of its operands; b may be NULL.
 */
static BaVector *
begin_result(BaExpr *expr, const BaVector *a, const BaVector *b, int n)
{
	BaVector *result = ba_expr_begin_result(expr, expr->result.type.lane);

	result->nulls =
		unconstify(bool *, ba_vector_unite_nulls(ba_vector_null_buffer(result), a->nulls,
												 b == NULL ? NULL : b->nulls, n));
	return result;
}

static inline bool
is_extended(Datum value)
{
	const char *varlena = DatumGetPointer(value);

	return varlena != NULL && (VARATT_IS_COMPRESSED(varlena) || VARATT_IS_EXTERNAL(varlena));
}

/*
 * The value without compression, in CurrentMemoryContext where it had any.
 */
static inline Datum
detoast(Datum value)
{
	if (!is_extended(value))
		return value;
	return PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
}

static inline void
free_copy(Datum copy, Datum value)
{
	if (copy != value)
		pfree(DatumGetPointer(copy));
}

/*
 * Compares two plain strings: negative, 0 or positive.
 */
static inline int
compare_strings(TextNode *node, BaString a, BaString b, StringKind kind)
{
	if (kind == STRING_BPCHAR)
	{
		a = ba_string_trim(a);
		b = ba_string_trim(b);
	}
	if (kind == STRING_BYTES)
		return ba_string_compare(a, ba_string_prefix(a), b, ba_string_prefix(b));
	return ba_collator_compare(&node->collator, a, ba_string_prefix(a), b, ba_string_prefix(b));
}

static inline bool
are_equal(BaString a, BaString b, StringKind kind)
{
	if (kind == STRING_BPCHAR)
	{
		a = ba_string_trim(a);
		b = ba_string_trim(b);
	}
	return a.size == b.size && ba_string_equal_bytes(a.bytes, b.bytes, a.size);
}

static inline bool
is_among(int order, int orders)
{
	return (orders >> ((order > 0) - (order < 0) + 1)) & 1;
}

/*
 * Compares rows whose values may have to be fetched. Values of different lengths need not be, to
 * see that they differ.
 */
static void
compare_extended(TextNode *node, const BaVector *a, const BaVector *b, int n, int orders,
				 StringKind kind, int64 *out)
{
	bool equality = orders == ORDER_EQ || orders == (ORDER_LT | ORDER_GT);

	for (int i = 0; i < n; i++)
	{
		Datum x = a->datums[i];
		Datum y = b->datums[i];
		int order;

		if (x == (Datum) 0 || y == (Datum) 0)
			out[i] = false;
		else if (equality && kind != STRING_BPCHAR &&
				 toast_raw_datum_size(x) != toast_raw_datum_size(y))
			out[i] = orders != ORDER_EQ;
		else
		{
			Datum plain_x = detoast(x);
			Datum plain_y = detoast(y);

			if (equality)
				order = !are_equal(ba_string_get(plain_x), ba_string_get(plain_y), kind);
			else
				order = compare_strings(node, ba_string_get(plain_x), ba_string_get(plain_y), kind);
			out[i] = is_among(order, orders);
			free_copy(plain_x, x);
			free_copy(plain_y, y);
		}
	}
}

/*
 * Tells which strings equal one string, or do not.
 */
static void
equal_constant(const Datum *strings, BaString constant, int n, bool negate, StringKind kind,
			   int64 *out)
{
	uint64 prefix;

	if (kind == STRING_BPCHAR)
	{
		constant = ba_string_trim(constant);
		for (int i = 0; i < n; i++)
		{
			BaString s = ba_string_trim(ba_string_get(strings[i]));

			out[i] = (s.size == constant.size &&
					  ba_string_equal_bytes(s.bytes, constant.bytes, s.size)) != negate;
		}
		return;
	}
	if (constant.size > 8)
	{
		for (int i = 0; i < n; i++)
		{
			BaString s = ba_string_get(strings[i]);

			out[i] = (s.size == constant.size &&
					  ba_string_equal_bytes(s.bytes, constant.bytes, constant.size)) != negate;
		}
		return;
	}
	prefix = ba_string_prefix(constant);
	for (int i = 0; i < n; i++)
	{
		BaString s = ba_string_get(strings[i]);

		out[i] = (s.size == constant.size &&
				  ba_string_prefix((BaString){s.bytes, constant.size}) == prefix) != negate;
	}
}

/*
 * Compares plain strings with one string, under C.
 */
static void
compare_constant(const Datum *strings, BaString constant, int n, int orders, int64 *out)
{
	uint64 prefix = ba_string_prefix(constant);

	for (int i = 0; i < n; i++)
	{
		BaString s = ba_string_get(strings[i]);

		out[i] = is_among(ba_string_compare(s, ba_string_prefix(s), constant, prefix), orders);
	}
}

/*
 * The comparison operators. A constant on the left changes sides.
 */
static const BaVector *
compare(BaExpr *expr, BaRows *rows, int orders, StringKind kind)
{
	TextNode *node = get_node(expr);
	bool equality = orders == ORDER_EQ || orders == (ORDER_LT | ORDER_GT);
	int n = rows->n;
	const BaVector *a;
	const BaVector *b;
	BaVector *result;

	if (kind != STRING_BYTES && !node->usable)
		return NULL;
	if ((a = ba_expr_get(expr->args[0], rows)) == NULL ||
		(b = ba_expr_get(expr->args[1], rows)) == NULL)
		return NULL;
	if (a->constant && !b->constant)
	{
		const BaVector *other = a;

		a = b;
		b = other;
		orders = (orders & ORDER_EQ) | (orders & ORDER_LT ? ORDER_GT : 0) |
				 (orders & ORDER_GT ? ORDER_LT : 0);
	}
	result = begin_result(expr, a, b, n);
	if (a->extended || b->extended)
		compare_extended(node, a, b, n, orders, kind, result->ints);
	else if (b->constant && equality)
		equal_constant(a->datums, ba_string_get(b->datums[0]), n, orders != ORDER_EQ, kind,
					   result->ints);
	else if (b->constant && (kind == STRING_BYTES || (kind == STRING_TEXT && node->collator.is_c)))
		compare_constant(a->datums, ba_string_get(b->datums[0]), n, orders, result->ints);
	else if (equality)
		for (int i = 0; i < n; i++)
			result->ints[i] = are_equal(ba_string_get(a->datums[i]), ba_string_get(b->datums[i]),
										kind) == (orders == ORDER_EQ);
	else
		for (int i = 0; i < n; i++)
			result->ints[i] = is_among(compare_strings(node, ba_string_get(a->datums[i]),
													   ba_string_get(b->datums[i]), kind),
									   orders);
	return result;
}

#define COMPARISON(name, orders, kind)                                                             \
	static const BaVector *name(BaExpr *expr, BaRows *rows)                                        \
	{                                                                                              \
		return compare(expr, rows, orders, kind);                                                  \
	}
#define COMPARISONS(prefix, kind)                                                                  \
	COMPARISON(prefix##_eq, ORDER_EQ, kind)                                                        \
	COMPARISON(prefix##_ne, ORDER_LT | ORDER_GT, kind)                                             \
	ORDERINGS(prefix, kind)
#define ORDERINGS(prefix, kind)                                                                    \
	COMPARISON(prefix##_lt, ORDER_LT, kind)                                                        \
	COMPARISON(prefix##_le, ORDER_LT | ORDER_EQ, kind)                                             \
	COMPARISON(prefix##_ge, ORDER_EQ | ORDER_GT, kind)                                             \
	COMPARISON(prefix##_gt, ORDER_GT, kind)

COMPARISONS(text, STRING_TEXT)
COMPARISONS(bpchar, STRING_BPCHAR)
COMPARISONS(bytes, STRING_BYTES)

/*
 * The comparison operators of uuid: 16 bytes, not aligned.
 */
static const BaVector *
compare_uuid(BaExpr *expr, BaRows *rows, int orders)
{
	static const char zeros[UUID_LEN];
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	const BaVector *b = ba_expr_get(expr->args[1], rows);
	BaVector *result;

	if (a == NULL || b == NULL)
		return NULL;
	result = begin_result(expr, a, b, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		const char *x = DatumGetPointer(a->datums[i]);
		const char *y = DatumGetPointer(b->datums[i]);
		uint64 x_words[2];
		uint64 y_words[2];
		int order;

		memcpy(x_words, x == NULL ? zeros : x, UUID_LEN);
		memcpy(y_words, y == NULL ? zeros : y, UUID_LEN);
		if (x_words[0] != y_words[0])
			order = pg_ntoh64(x_words[0]) < pg_ntoh64(y_words[0]) ? -1 : 1;
		else if (x_words[1] != y_words[1])
			order = pg_ntoh64(x_words[1]) < pg_ntoh64(y_words[1]) ? -1 : 1;
		else
			order = 0;
		result->ints[i] = is_among(order, orders);
	}
	return result;
}

#undef COMPARISON
#define COMPARISON(name, orders, kind)                                                             \
	static const BaVector *name(BaExpr *expr, BaRows *rows)                                        \
	{                                                                                              \
		return compare_uuid(expr, rows, orders);                                                   \
	}
COMPARISONS(uuid, )

/*
 * LIKE and NOT LIKE, the pattern a constant. A pattern that is a parameter may be another after a
 * rescan, and is compiled again then.
 */
static const BaVector *
match_like(BaExpr *expr, BaRows *rows, bool negate)
{
	TextNode *node = get_node(expr);
	const BaVector *a;
	const BaVector *b;
	BaVector *result;
	BaString pattern;

	if (!node->usable || (b = ba_expr_get(expr->args[1], rows)) == NULL || !b->constant ||
		b->extended || b->datums[0] == (Datum) 0)
		return NULL;
	pattern = ba_string_get(b->datums[0]);
	if (node->pattern == NULL ||
		!are_equal(pattern, ba_string_get(PointerGetDatum(node->pattern)), STRING_BYTES))
	{
		node->pattern = MemoryContextAlloc(expr->program->memory, VARHDRSZ + pattern.size);
		SET_VARSIZE(node->pattern, VARHDRSZ + pattern.size);
		memcpy(VARDATA(node->pattern), pattern.bytes, pattern.size);
		node->like = ba_like_compile(pattern, expr->program->memory);
	}
	if (node->like == NULL || (a = ba_expr_get(expr->args[0], rows)) == NULL)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	if (!a->extended)
		ba_like_match_all(node->like, a->datums, rows->n, negate, result->ints);
	else
		for (int i = 0; i < rows->n; i++)
		{
			Datum plain = detoast(a->datums[i]);

			result->ints[i] = ba_like_match(node->like, ba_string_get(plain)) != negate;
			free_copy(plain, a->datums[i]);
		}
	return result;
}

static const BaVector *
text_like(BaExpr *expr, BaRows *rows)
{
	return match_like(expr, rows, false);
}

static const BaVector *
text_not_like(BaExpr *expr, BaRows *rows)
{
	return match_like(expr, rows, true);
}

/*
 * starts_with(text, text), also known as ^@.
 */
static const BaVector *
starts_with(BaExpr *expr, BaRows *rows)
{
	const TextNode *node = get_node(expr);
	const BaVector *a;
	const BaVector *b;
	BaVector *result;

	if (!node->usable || (a = ba_expr_get(expr->args[0], rows)) == NULL ||
		(b = ba_expr_get(expr->args[1], rows)) == NULL || b->extended)
		return NULL;
	result = begin_result(expr, a, b, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		Datum plain = a->extended ? detoast(a->datums[i]) : a->datums[i];
		BaString s = ba_string_get(plain);
		BaString start = ba_string_get(b->datums[i]);

		result->ints[i] =
			s.size >= start.size && ba_string_equal_bytes(s.bytes, start.bytes, start.size);
		free_copy(plain, a->datums[i]);
	}
	return result;
}

/*
 * Counts characters.
 */
static inline int
count_chars(BaString s, bool utf8, bool bytewise)
{
	if (bytewise)
		return s.size;
	return utf8 ? ba_string_count_utf8(s) : pg_mbstrlen_with_len(s.bytes, s.size);
}

static const BaVector *
get_length(BaExpr *expr, BaRows *rows, bool trim)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	bool utf8 = GetDatabaseEncoding() == PG_UTF8;
	bool bytewise = pg_database_encoding_max_length() == 1;
	BaVector *result;

	if (a == NULL)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		Datum plain = a->extended ? detoast(a->datums[i]) : a->datums[i];
		BaString s = ba_string_get(plain);

		result->ints[i] = count_chars(trim ? ba_string_trim(s) : s, utf8, bytewise);
		free_copy(plain, a->datums[i]);
	}
	return result;
}

static const BaVector *
text_length(BaExpr *expr, BaRows *rows)
{
	return get_length(expr, rows, false);
}

static const BaVector *
bpchar_length(BaExpr *expr, BaRows *rows)
{
	return get_length(expr, rows, true);
}

static const BaVector *
octet_length(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;

	if (a == NULL)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		if (a->extended && is_extended(a->datums[i]))
			result->ints[i] = toast_raw_datum_size(a->datums[i]) - VARHDRSZ;
		else
			result->ints[i] = ba_string_get(a->datums[i]).size;
	}
	return result;
}

/*
 * Copies the strings between two places in characters, the first of them from 0; the rest of it where
 * a string is shorter. Only short strings from a place near the start: they get short headers, in
 * room that is allocated at once. Gives up on others, whose cost is not in the call.
 */
#define MAX_SUBSTRING_BYTES (VARATT_SHORT_MAX - VARHDRSZ_SHORT)

static const BaVector *
cut(BaExpr *expr, BaRows *rows, int64 from, int64 to)
{
	const BaVector *a;
	BaVector *result;
	bool utf8 = GetDatabaseEncoding() == PG_UTF8;
	int width = pg_database_encoding_max_length();
	char *room;

	from = Max(from, 0);
	to = Max(to, from);
	if ((!utf8 && width > 1) || (to - from) * width > MAX_SUBSTRING_BYTES)
		return NULL;
	if ((a = ba_expr_get(expr->args[0], rows)) == NULL || a->extended)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	room = MemoryContextAlloc(rows->memory, rows->n * ((to - from) * width + VARHDRSZ_SHORT) + 1);
	for (int i = 0; i < rows->n; i++)
	{
		BaString s = ba_string_get(a->datums[i]);
		int start = from;
		int end = Min(s.size, to);

		if (a->datums[i] == (Datum) 0)
		{
			result->datums[i] = (Datum) 0;
			continue;
		}
		if (utf8)
		{
			int chars = 0;

			for (start = 0; start < s.size && chars < from; chars++)
				start = ba_string_next_char(s, start);
			for (end = start; end < s.size && chars < to; chars++)
				end = ba_string_next_char(s, end);
		}
		end = Max(start, end);
		result->datums[i] = PointerGetDatum(room);
		SET_VARSIZE_SHORT(room, VARHDRSZ_SHORT + end - start);
		memcpy(VARDATA_SHORT(room), s.bytes + start, end - start);
		room += VARSIZE_SHORT(room);
	}
	return result;
}

/*
 * The value of an argument that is a constant and not null.
 */
static bool
get_constant(BaExpr *arg, BaRows *rows, int64 *value)
{
	const BaVector *vector = ba_expr_get(arg, rows);

	if (vector == NULL || !vector->constant || (vector->nulls != NULL && vector->nulls[0]))
		return false;
	*value = vector->ints[0];
	return true;
}

/*
 * substr(text, start, length), which counts from 1; what is asked for in front of it is lost.
 */
static const BaVector *
substr(BaExpr *expr, BaRows *rows)
{
	int64 start;
	int64 length;

	if (!get_constant(expr->args[1], rows, &start) || !get_constant(expr->args[2], rows, &length) ||
		length < 0)
		return NULL;
	return cut(expr, rows, start - 1, start - 1 + length);
}

static const BaVector *
left(BaExpr *expr, BaRows *rows)
{
	int64 length;

	if (!get_constant(expr->args[1], rows, &length) || length < 0)
		return NULL;
	return cut(expr, rows, 0, length);
}

/*
 * bpchar -> text: loses the blanks at the end.
 */
static const BaVector *
bpchar_to_text(BaExpr *expr, BaRows *rows)
{
	const BaVector *a = ba_expr_get(expr->args[0], rows);
	BaVector *result;

	if (a == NULL || a->extended)
		return NULL;
	result = begin_result(expr, a, NULL, rows->n);
	for (int i = 0; i < rows->n; i++)
	{
		BaString s = ba_string_get(a->datums[i]);
		BaString trimmed = ba_string_trim(s);
		char *copy;

		result->datums[i] = a->datums[i];
		if (trimmed.size == s.size)
			continue;
		copy = MemoryContextAlloc(rows->memory, trimmed.size + VARHDRSZ);
		SET_VARSIZE(copy, trimmed.size + VARHDRSZ);
		memcpy(VARDATA(copy), trimmed.bytes, trimmed.size);
		result->datums[i] = PointerGetDatum(copy);
	}
	return result;
}

const BaOp ba_ops_text[] = {
	{F_TEXTEQ, text_eq, BA_LANE_INT},
	{F_TEXTNE, text_ne, BA_LANE_INT},
	{F_TEXT_LT, text_lt, BA_LANE_INT},
	{F_TEXT_LE, text_le, BA_LANE_INT},
	{F_TEXT_GE, text_ge, BA_LANE_INT},
	{F_TEXT_GT, text_gt, BA_LANE_INT},
	{F_BPCHAREQ, bpchar_eq, BA_LANE_INT},
	{F_BPCHARNE, bpchar_ne, BA_LANE_INT},
	{F_BPCHARLT, bpchar_lt, BA_LANE_INT},
	{F_BPCHARLE, bpchar_le, BA_LANE_INT},
	{F_BPCHARGE, bpchar_ge, BA_LANE_INT},
	{F_BPCHARGT, bpchar_gt, BA_LANE_INT},
	{F_BYTEAEQ, bytes_eq, BA_LANE_INT},
	{F_BYTEANE, bytes_ne, BA_LANE_INT},
	{F_BYTEALT, bytes_lt, BA_LANE_INT},
	{F_BYTEALE, bytes_le, BA_LANE_INT},
	{F_BYTEAGE, bytes_ge, BA_LANE_INT},
	{F_BYTEAGT, bytes_gt, BA_LANE_INT},
	{F_TEXT_PATTERN_LT, bytes_lt, BA_LANE_INT},
	{F_TEXT_PATTERN_LE, bytes_le, BA_LANE_INT},
	{F_TEXT_PATTERN_GE, bytes_ge, BA_LANE_INT},
	{F_TEXT_PATTERN_GT, bytes_gt, BA_LANE_INT},
	{F_UUID_EQ, uuid_eq, BA_LANE_INT},
	{F_UUID_NE, uuid_ne, BA_LANE_INT},
	{F_UUID_LT, uuid_lt, BA_LANE_INT},
	{F_UUID_LE, uuid_le, BA_LANE_INT},
	{F_UUID_GE, uuid_ge, BA_LANE_INT},
	{F_UUID_GT, uuid_gt, BA_LANE_INT},
	{F_TEXTLIKE, text_like, BA_LANE_INT},
	{F_TEXTNLIKE, text_not_like, BA_LANE_INT},
	{F_LIKE_TEXT_TEXT, text_like, BA_LANE_INT},
	{F_NOTLIKE_TEXT_TEXT, text_not_like, BA_LANE_INT},
	{F_BPCHARLIKE, text_like, BA_LANE_INT},
	{F_BPCHARNLIKE, text_not_like, BA_LANE_INT},
	{F_STARTS_WITH, starts_with, BA_LANE_INT},
	{F_LENGTH_TEXT, text_length, BA_LANE_INT},
	{F_TEXTLEN, text_length, BA_LANE_INT},
	{F_CHAR_LENGTH_TEXT, text_length, BA_LANE_INT},
	{F_CHARACTER_LENGTH_TEXT, text_length, BA_LANE_INT},
	{F_LENGTH_BPCHAR, bpchar_length, BA_LANE_INT},
	{F_CHAR_LENGTH_BPCHAR, bpchar_length, BA_LANE_INT},
	{F_CHARACTER_LENGTH_BPCHAR, bpchar_length, BA_LANE_INT},
	{F_OCTET_LENGTH_TEXT, octet_length, BA_LANE_INT},
	{F_OCTET_LENGTH_BPCHAR, octet_length, BA_LANE_INT},
	{F_OCTET_LENGTH_BYTEA, octet_length, BA_LANE_INT},
	{F_LENGTH_BYTEA, octet_length, BA_LANE_INT},
	{F_SUBSTR_TEXT_INT4_INT4, substr, BA_LANE_DATUM},
	{F_SUBSTRING_TEXT_INT4_INT4, substr, BA_LANE_DATUM},
	{F_LEFT, left, BA_LANE_DATUM},
	{F_TEXT_BPCHAR, bpchar_to_text, BA_LANE_DATUM},
	{InvalidOid},
};
