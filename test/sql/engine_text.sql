-- Text in the engine: every operation over odd strings, by the engine and by core. check_keys and
-- its like show only what is not as it should be.
LOAD 'batchagg';
SET jit = off;
\getenv srcdir PG_ABS_SRCDIR
\set check :srcdir '/lib/engine_check.sql'
\set ECHO none
\i :check
\set vector_check :srcdir '/lib/engine_vector_check.sql'
\i :vector_check
\set ECHO all
SET max_parallel_workers_per_gather = 0;

-- Strings of 0 to 12 characters of these, of which all are of one byte, some of two bytes if the encoding
-- is UTF8; null; and long ones.
SELECT 'ab%_\ zA' || CASE getdatabaseencoding() WHEN 'UTF8' THEN chr(233) || chr(26085) || chr(119070) ELSE 'xyz' END AS letters \gset
CREATE FUNCTION pg_temp.noise(i int, seed int) RETURNS int IMMUTABLE LANGUAGE sql
	RETURN hashint4(i * 31 + seed) & 2147483647;
CREATE FUNCTION pg_temp.word(i int, seed int, longest int, letters text) RETURNS text LANGUAGE sql
	RETURN (SELECT coalesce(string_agg(substr(letters, 1 + pg_temp.noise(i * 100 + g, seed) % length(letters), 1), '' ORDER BY g), '')
		FROM generate_series(1, pg_temp.noise(i, seed) % (longest + 1)) AS g);
CREATE TABLE words AS
SELECT i, CASE WHEN i % 17 > 0 THEN v END AS v, w, CASE WHEN i % 13 > 0 THEN w::varchar(20) END AS c, left(v, 12)::char(12) AS b, left(w, 4)::char(4) AS b4, u,
	decode(md5(w), 'hex') AS y, CASE WHEN i % 11 > 0 THEN md5(w)::uuid END AS id
FROM (SELECT i, pg_temp.word(i, 1, 12, :'letters') AS v, pg_temp.word(i, 2, 3, :'letters') AS w, pg_temp.word(i, 3, 2, 'Ab') AS u
	FROM generate_series(1, 3000) AS i) AS s;
-- out of line and compressed
CREATE TABLE longer (i int, v text, w text, b char(3000), y bytea);
ALTER TABLE longer ALTER v SET STORAGE EXTERNAL;
INSERT INTO longer SELECT i, repeat(v, 300), repeat(w, 3000), v::char(3000), convert_to(repeat(w, 3000), 'UTF8') FROM words WHERE i < 60;
INSERT INTO longer SELECT i, v, w, v::char(3000), y FROM words WHERE i < 60;
ANALYZE words, longer;

-- comparisons, in the database's collation and in others; a constant on either side
SELECT * FROM pg_temp.check_comparisons('words', 'v', 'w', 'v', '''a''', '''b''', 'w', 'w', '''''', 'c', 'w', 'c', '''ab''',
	'v', '''ab%_\ zA''', 'v', 'NULL::text', 'c', '(SELECT ''b'')', 'u', '''A''');
SELECT * FROM pg_temp.check_comparisons('words', 'v COLLATE "C"', 'w', 'v COLLATE "C"', '''a''', '''b''', 'w COLLATE "C"', 'w COLLATE "POSIX"', '''''',
	'v COLLATE "C"', '''ab%_\ zA''', 'u COLLATE "C"', '''A''');
SELECT * FROM pg_temp.check_comparisons('words', 'b', 'b4', 'b', '''a''::bpchar', 'b4', '''a ''::char(2)', '''''::bpchar', 'b4', 'b COLLATE "C"', 'b4',
	'b COLLATE "C"', '''a''::bpchar', 'b4::text', 'w');
SELECT * FROM pg_temp.check_comparisons('words', 'y', '''\x81''::bytea', 'y', '''\x''::bytea', 'y', 'decode(''8f'', ''hex'')',
	'id', '''8f000000-0000-0000-0000-000000000000''::uuid', 'id', 'id');
SELECT * FROM pg_temp.check_comparisons('longer', 'v', 'w', 'v', '''a''', 'w', 'repeat(''a'', 3000)', 'v', 'v', 'b', '''a''::bpchar', 'b', 'b',
	'v COLLATE "C"', 'w', 'y', 'y');
SELECT * FROM pg_temp.check_keys('words', 'v ~<~ w', 'v ~<=~ w', 'v ~>=~ ''a''', 'v ~>~ ''ab''');
SELECT * FROM pg_temp.check_keys('words', 'w IN (''a'', ''b'', '''', ''zA'')', 'w NOT IN (''a'', ''_'')', 'w IS DISTINCT FROM c', 'NULLIF(w, ''a'')');

-- LIKE: all patterns of up to three characters of some, and longer ones
CREATE FUNCTION pg_temp.check_like(relation text, condition text, patterns text[]) RETURNS TABLE (checked bigint, other text) LANGUAGE sql AS $$
	SELECT count(*), string_agg(CASE WHEN NOT same OR by_core <> 0 THEN format('%s: %s %s', pattern, same, by_core) END, '; ' ORDER BY pattern COLLATE "C")
	FROM (SELECT pattern, (pg_temp.engine_check(query)).same, pg_temp.rows_by_core(query) AS by_core
		FROM (SELECT pattern, format('SELECT count(*), sum(i) FROM %s WHERE ' || condition, relation, pattern) AS query FROM unnest(patterns) AS pattern) AS p) AS q
$$;
SELECT array_agg(DISTINCT rtrim(x || y || z, '~')) AS patterns FROM unnest('{~,a,b,%,_}'::text[]) AS x, unnest('{~,a,%,_}'::text[]) AS y, unnest('{~,b,%,_}'::text[]) AS z
WHERE x || y || z !~ '~[^~]' \gset
SELECT * FROM pg_temp.check_like('words', 'w LIKE %L', :'patterns');
SELECT * FROM pg_temp.check_like('words', 'v NOT LIKE %L', :'patterns');
SELECT ARRAY['a%a%a', '%a%b%', '%ab%_', '_%b%a_', '%\%%', '\%%', '%\_', '%\\%', '\a%', '%\a\b%', '% %', '%a ', 'ab%_\ z%', '%_b_%', '__', '%__%__%', '%%%',
	'%' || right(:'letters', 1), '%' || right(:'letters', 2) || '%', '%' || substr(:'letters', 9, 1) || '_%', '_' || right(:'letters', 1) || '%',
	substr(:'letters', 10, 1) || '%' || substr(:'letters', 9, 1), '%' || :'letters' || '%'] AS patterns \gset
SELECT * FROM pg_temp.check_like('words', 'v LIKE %L', :'patterns');
SELECT * FROM pg_temp.check_like('words', 'c NOT LIKE %L', :'patterns');
SELECT * FROM pg_temp.check_like('words', 'b LIKE %L', :'patterns');
SELECT * FROM pg_temp.check_like('longer', 'v LIKE %L', :'patterns');
SELECT * FROM pg_temp.check_like('longer', 'b NOT LIKE %L', :'patterns');
-- a needle at each place of a longer string, and where it is almost
CREATE TABLE hay AS SELECT i, repeat('-', i) || substr('needle', 1, 6 - i % 3) || repeat('.', 40 - i / 2) || repeat('e', i % 20) AS v FROM generate_series(0, 79) AS i;
SELECT * FROM pg_temp.check_like('hay', 'v LIKE %L', '{%needle%,%needl%,%n%,%le%,%l.%,%needle.,%eeeeeeeeeeeeeeee%,%-needle%,%needle%e%e,%n_edle%}');
-- left to core: a backslash at the end, which is an error in some places, and patterns of a column
SELECT p, pg_temp.is_same(format('SELECT count(*) FROM words WHERE v LIKE %L', p)) AS same, pg_temp.is_same(format('SELECT count(*) FROM words WHERE v = ''ab'' AND v LIKE %L', p)) AS same_of_few
FROM unnest('{a\\,%\\,\\,_\\}'::text[]) AS p;
SELECT run_by, same FROM pg_temp.engine_check('SELECT count(*), sum(i) FROM words WHERE v LIKE w || ''%'' AND v NOT LIKE ''%\_''');
SELECT run_by, same FROM pg_temp.engine_check('SELECT count(*), sum(i) FROM words WHERE v ILIKE ''%AB%''');
-- a pattern that changes from run to run
SET plan_cache_mode = force_generic_plan;
SET batchagg.debug_force_engine = on;
PREPARE words_like (text) AS SELECT count(*) FILTER (WHERE w LIKE $1) = count(*) FILTER (WHERE left(w, 1) = rtrim($1, '%')) AS same FROM words;
EXECUTE words_like ('a%');
EXECUTE words_like ('b%');
EXECUTE words_like (NULL);
DEALLOCATE words_like;
RESET plan_cache_mode;
SELECT run_by, same FROM pg_temp.engine_check($$SELECT p, (SELECT count(*) FROM words WHERE v LIKE p) FROM unnest('{a%,%b,a%}'::text[]) AS p$$);

-- lengths and parts
SELECT * FROM pg_temp.check_keys('words', 'length(v)', 'char_length(c)', 'character_length(v)', 'length(b)', 'octet_length(v)', 'octet_length(b)', 'length(y)', 'octet_length(y)',
	'starts_with(v, ''ab'')', 'v ^@ w', 'v ^@ ''''', 'b::text');
SELECT * FROM pg_temp.check_keys('longer', 'length(v)', 'length(b)', 'octet_length(v)', 'octet_length(y)', 'starts_with(v, ''ab'')');
SELECT * FROM pg_temp.check_keys('words', 'substr(v, 2, 3)', 'substr(v, 1, 1)', 'substr(v, -2, 5)', 'substr(v, 3, 0)', 'substr(v, -5, 2)', 'substring(v FROM 4 FOR 2)',
	'substr(v, 100, 5)', 'substr(v, -2147483648, 4)', 'left(v, 2)', 'left(v, 0)', 'left(w, 20)', 'substr(v, 2147483647, 1)');
-- longer parts, parts of long strings, and places of columns are core's; so are errors
SELECT e, c.run_by, c.same FROM unnest('{"substr(v, 3)","left(v, -2)","substr(v, i % 5, 2)","left(v, 100)","right(v, 2)","substr(v, 1, -1)"}'::text[]) AS e,
	pg_temp.engine_check(format('SELECT %s, count(*) FROM words GROUP BY 1', e)) AS c;
SELECT e, c.run_by, c.same FROM unnest('{"substr(v, 3, 2)","left(w, 2999)","b::text","v ^@ w"}'::text[]) AS e,
	pg_temp.engine_check(format('SELECT %s, count(*) FROM longer GROUP BY 1', e)) AS c;

-- min and max
CREATE FUNCTION pg_temp.check_extremes(relation text, groups text, VARIADIC arguments text[]) RETURNS TABLE (argument text, run_by text, same boolean, by_core int) LANGUAGE sql AS $$
	SELECT a, c.run_by, c.same, pg_temp.rows_by_core(q)
	FROM unnest(arguments) AS a, format('SELECT min(%1$s), max(%1$s), min(%1$s) FILTER (WHERE i %% 2 = 0), max(%1$s) FILTER (WHERE i %% 1000 = 7) FROM %2$s %3$s', a, relation, groups) AS q,
		pg_temp.engine_check(q) AS c
$$;
SELECT * FROM pg_temp.check_extremes('words', '', 'v', 'w', 'c', 'b', 'b4', 'u', 'v COLLATE "C"', 'w COLLATE "C"', 'b COLLATE "C"', 'u COLLATE "C"', 'NULL::text', 'left(v, 3)');
SELECT * FROM pg_temp.check_extremes('words', 'GROUP BY i % 97', 'v', 'w', 'c', 'b', 'b4', 'u', 'v COLLATE "C"', 'w COLLATE "C"', 'b COLLATE "C"', 'u COLLATE "C"');
SELECT * FROM pg_temp.check_extremes('longer', 'GROUP BY i % 7', 'v', 'w', 'b', 'v COLLATE "C"', 'b COLLATE "C"');
SELECT * FROM pg_temp.check_extremes('words WHERE i < 0', '', 'v', 'b');
-- which of equal values is kept: they differ where blanks end a char
CREATE TABLE blanks (i int, b bpchar);
INSERT INTO blanks VALUES (1, 'b'), (2, 'b  '), (3, 'a '), (4, 'a'), (5, 'b '), (6, NULL), (7, ''), (8, '  ');
SELECT * FROM pg_temp.engine_check('SELECT min(b) || ''|'', max(b) || ''|'', octet_length(min(b)), octet_length(max(b)) FROM blanks');
SELECT * FROM pg_temp.engine_check('SELECT octet_length(min(b COLLATE "C")), octet_length(max(b COLLATE "C")) FROM blanks WHERE b <> ''''');
-- without a collation, core's error
CREATE TABLE torn (v text COLLATE "C", w text COLLATE "POSIX");
INSERT INTO torn VALUES ('a', 'b'), ('a', 'b');
SELECT run_by, same, answer FROM pg_temp.engine_check('SELECT min(v || w), max(w || v) FROM torn');
SELECT run_by, same, answer FROM pg_temp.engine_check('SELECT count(*) FROM torn WHERE v > w');
DELETE FROM torn WHERE ctid > '(0,1)';
SELECT run_by, same, answer FROM pg_temp.engine_check('SELECT min(v || w), max(w || v) FROM torn');

-- collations of ICU: comparing ignores case at first, or for good
CREATE COLLATION words_icu (provider = icu, locale = 'und');
CREATE COLLATION words_caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT * FROM pg_temp.check_comparisons('words', 'v COLLATE words_icu', 'w', 'u COLLATE words_icu', '''AB''');
SELECT * FROM pg_temp.check_extremes('words', 'GROUP BY i % 97', 'v COLLATE words_icu', 'u COLLATE words_icu', 'b COLLATE words_icu', 'u COLLATE words_caseless', 'b COLLATE words_caseless');
SELECT o, c.run_by, c.same FROM unnest('{=,<>,<,>=}'::text[]) AS o, pg_temp.engine_check(format('SELECT u %s ''AB'' COLLATE words_caseless, count(*) FROM words GROUP BY 1', o)) AS c;
SELECT run_by, same FROM pg_temp.engine_check('SELECT count(*) FROM words WHERE u IN (''ab'' COLLATE words_caseless, ''b'')');
-- 18 can match by these collations, before it was an error
SELECT pg_temp.is_same('SELECT count(*) FROM words WHERE u LIKE ''a%'' COLLATE words_caseless');
SELECT pg_temp.is_same('SELECT count(*) FROM words WHERE starts_with(u, ''a'' COLLATE words_caseless)');

DROP TABLE words, longer, hay, blanks, torn;
DROP COLLATION words_icu, words_caseless;
