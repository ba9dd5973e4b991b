/*
 * vector_like.c
 *		Constant patterns of LIKE, matched by bytes.
 *
 * A pattern is cut at its percent signs into segments. The first one is tied to the
 * start of the string unless a percent sign stands before it, the last one to its
 * end; each one in between is looked for from where the one before it ended. As a
 * segment matches a fixed number of characters, the leftmost place is as good as any
 * other, and nothing is ever tried again: the time is linear in most cases, and at worst
 * the product of the lengths.
 *
 * Bytes can be searched where a character never begins inside another one: in
 * single-byte encodings and UTF-8. In other encodings only patterns without wildcards
 * before literal text are taken, as there string and pattern stay in step.
 *
 * core's code decides what a backslash at the end of a pattern does.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "vector_text.h"

/* What two percent signs enclose; never empty unless the pattern has none. */
typedef struct Segment
{
	BaString literal; /* the bytes; what stands at a wildcard's place means nothing */
	bool *any;        /* which bytes stand for any character; NULL if none does */
	int rare[2];      /* the places of two bytes that are not met often, the same if there is one */
} Segment;

struct BaLike
{
	bool utf8;
	bool open_start; /* the pattern begins with % */
	bool open_end;   /* it ends with % */
	int nsegments;
	Segment *segments;
};

/* Sixteen bytes that are compared at once. */
typedef uint8 Bytes __attribute__((vector_size(16)));

/*
 * How common a byte is in texts, paths and numbers; 0 for what is not met often.
 */
static int
get_commonness(char byte)
{
	static const char common[] = "zqjxk_:v-bywgpfm9876543u.cdl2hrs1n0ioat/e ";
	const char *place = byte == '\0' ? NULL : strchr(common, byte);

	return place == NULL ? 0 : (int) (place - common) + 1;
}

static void
find_rare_bytes(Segment *segment)
{
	BaString s = segment->literal;
	int *rare = segment->rare;

	rare[0] = 0;
	rare[1] = s.size - 1;
	for (int i = 1; i < s.size; i++)
		if (get_commonness(s.bytes[i]) < get_commonness(s.bytes[rare[0]]))
			rare[0] = i;
	if (rare[0] == rare[1])
		rare[1] = 0;
	for (int i = 0; i < s.size; i++)
		if (i != rare[0] && get_commonness(s.bytes[i]) < get_commonness(s.bytes[rare[1]]))
			rare[1] = i;
}

/*
 * Compiles a pattern in `memory`; NULL to leave it to core.
 */
BaLike *
ba_like_compile(BaString pattern, MemoryContext memory)
{
	MemoryContext old = MemoryContextSwitchTo(memory);
	BaLike *like = palloc0(sizeof(BaLike));
	bool bytewise = pg_database_encoding_max_length() == 1;
	bool fits = true;
	char *bytes = palloc(pattern.size + 1);
	bool *any = palloc0(pattern.size + 1);
	bool has_any = false;
	int start = 0;
	int size = 0;

	like->utf8 = GetDatabaseEncoding() == PG_UTF8;
	like->segments = palloc((pattern.size + 1) * sizeof(Segment));
	for (int i = 0; i <= pattern.size; i++)
	{
		if (i == pattern.size || pattern.bytes[i] == '%')
		{
			bool whole = start == 0 && size == 0 && i == pattern.size && !like->open_start;

			if (size > start || whole)
			{
				Segment *segment = &like->segments[like->nsegments++];

				segment->literal = (BaString){bytes + start, size - start};
				segment->any = has_any ? any + start : NULL;
				if (size > start)
					find_rare_bytes(segment);
			}
			if (i < pattern.size)
			{
				if (size == 0)
					like->open_start = true;
				like->open_end = true;
			}
			has_any = false;
			start = size;
			continue;
		}
		like->open_end = false;
		if (pattern.bytes[i] == '_')
			has_any = any[size] = true;
		else if (pattern.bytes[i] == '\\' && ++i == pattern.size)
			fits = false;
		bytes[size++] = fits ? pattern.bytes[i] : '\0';
		/* in step only as long as there was no wildcard before */
		if (!bytewise && !like->utf8 && (has_any || like->nsegments > 0 || like->open_start))
			fits = false;
		if (!fits)
			break;
	}
	MemoryContextSwitchTo(old);
	return fits ? like : NULL;
}

static inline const char *
skip_char(const BaLike *like, const char *at, const char *end)
{
	at++;
	if (like->utf8)
		while (at < end && (*at & 0xC0) == 0x80)
			at++;
	return at;
}

/*
 * Where a segment that begins at `at` ends, NULL if it does not match there.
 */
static const char *
match_forward(const BaLike *like, const Segment *segment, const char *at, const char *end)
{
	BaString literal = segment->literal;

	if (segment->any == NULL)
	{
		if (end - at < literal.size || !ba_string_equal_bytes(at, literal.bytes, literal.size))
			return NULL;
		return at + literal.size;
	}
	for (int i = 0; i < literal.size; i++)
	{
		if (at >= end)
			return NULL;
		if (segment->any[i])
			at = skip_char(like, at, end);
		else if (*at++ != literal.bytes[i])
			return NULL;
	}
	return at;
}

/*
 * Where a segment that ends at `end` begins, not before `start`; NULL if it does not match there.
 */
static const char *
match_backward(const BaLike *like, const Segment *segment, const char *start, const char *end)
{
	BaString literal = segment->literal;

	if (segment->any == NULL)
	{
		if (end - start < literal.size ||
			!ba_string_equal_bytes(end - literal.size, literal.bytes, literal.size))
			return NULL;
		return end - literal.size;
	}
	for (int i = literal.size - 1; i >= 0; i--)
	{
		if (end <= start)
			return NULL;
		end--;
		if (!segment->any[i])
		{
			if (*end != literal.bytes[i])
				return NULL;
		}
		else if (like->utf8)
			while (end > start && (*end & 0xC0) == 0x80)
				end--;
	}
	return end;
}

/*
 * Looks for the bytes of a segment from `at` on; returns where they begin, or NULL. Sixteen places
 * at a time are ruled out by two bytes.
 */
static inline const char *
search_bytes(const Segment *segment, const char *at, const char *end)
{
	BaString needle = segment->literal;
	int places = (int) (end - at) - needle.size + 1;
	const char *one = at + segment->rare[0];
	const char *two = at + segment->rare[1];
	char one_byte = needle.bytes[segment->rare[0]];
	char two_byte = needle.bytes[segment->rare[1]];
	int i = 0;

	if (needle.size == 1)
		return places > 0 ? memchr(at, one_byte, places) : NULL;
	while (i < places)
	{
		Bytes a;
		Bytes b;
		uint64 hits[2];

		if (places - i < (int) sizeof(Bytes))
		{
			if (places < (int) sizeof(Bytes))
				break;
			/* the last places once more, with some before them */
			i = places - (int) sizeof(Bytes);
		}
		memcpy(&a, one + i, sizeof(Bytes));
		memcpy(&b, two + i, sizeof(Bytes));
		a = (Bytes) ((a == (uint8) one_byte) & (b == (uint8) two_byte));
		memcpy(hits, &a, sizeof(Bytes));
		if (unlikely(hits[0] | hits[1]))
		{
			for (int j = 0; j < (int) sizeof(Bytes); j++)
				if (a[j] && ba_string_equal_bytes(at + i + j, needle.bytes, needle.size))
					return at + i + j;
		}
		i += sizeof(Bytes);
	}
	for (; i < places; i++)
		if (one[i] == one_byte && two[i] == two_byte &&
			ba_string_equal_bytes(at + i, needle.bytes, needle.size))
			return at + i;
	return NULL;
}

/*
 * Looks for a segment from `at` on; returns where it ends, or NULL.
 */
static inline const char *
search_segment(const BaLike *like, const Segment *segment, const char *at, const char *end)
{
	if (segment->any == NULL)
	{
		at = search_bytes(segment, at, end);
		return at == NULL ? NULL : at + segment->literal.size;
	}
	while (at < end)
	{
		const char *behind = match_forward(like, segment, at, end);

		if (behind != NULL)
			return behind;
		at = skip_char(like, at, end);
	}
	return NULL;
}

/*
 * Whether a string matches.
 */
bool
ba_like_match(const BaLike *like, BaString string)
{
	const char *at = string.bytes;
	const char *end = at + string.size;
	int first = 0;
	int last = like->nsegments - 1;

	if (!like->open_start)
	{
		at = match_forward(like, &like->segments[first++], at, end);
		if (at == NULL)
			return false;
		if (first > last && !like->open_end)
			return at == end;
	}
	if (!like->open_end)
	{
		end = match_backward(like, &like->segments[last--], at, end);
		if (end == NULL)
			return false;
	}
	for (int i = first; i <= last; i++)
	{
		at = search_segment(like, &like->segments[i], at, end);
		if (at == NULL)
			return false;
	}
	return true;
}

/*
 * Matches plain strings. The common patterns, with one segment of plain bytes, have loops of their
 * own.
 */
void
ba_like_match_all(const BaLike *like, const Datum *strings, int n, bool negate, int64 *result)
{
	BaString literal;

	if (like->nsegments != 1 || like->segments[0].any != NULL)
	{
		for (int i = 0; i < n; i++)
			result[i] = ba_like_match(like, ba_string_get(strings[i])) != negate;
		return;
	}
	literal = like->segments[0].literal;
	if (like->open_start && like->open_end)
	{
		for (int i = 0; i < n; i++)
		{
			BaString s = ba_string_get(strings[i]);

			result[i] =
				(search_bytes(&like->segments[0], s.bytes, s.bytes + s.size) != NULL) != negate;
		}
	}
	else if (like->open_start)
	{
		for (int i = 0; i < n; i++)
		{
			BaString s = ba_string_get(strings[i]);

			result[i] = (s.size >= literal.size &&
						 ba_string_equal_bytes(s.bytes + s.size - literal.size, literal.bytes,
											   literal.size)) != negate;
		}
	}
	else
	{
		int most = like->open_end ? PG_INT32_MAX : literal.size;

		for (int i = 0; i < n; i++)
		{
			BaString s = ba_string_get(strings[i]);

			result[i] = (s.size >= literal.size && s.size <= most &&
						 ba_string_equal_bytes(s.bytes, literal.bytes, literal.size)) != negate;
		}
	}
}
