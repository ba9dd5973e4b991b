-- Statistical states in text and binary: golden states, and input that no aggregate made.
SET search_path = public, batchagg;
SET extra_float_digits = 1;

-- Golden states: these bytes are read, and written, for ever.
CREATE TABLE golden (name text, made stats, kept stats);
INSERT INTO golden VALUES
  ('one', (SELECT stats_agg(1)), '010107000000000000000000013ff000000000000000003ff00000000000000000210100040000430100000010'),
  ('negative', (SELECT stats_agg(-1.5::float8)), '01010700010000000000000001bff80000000000000000bff80000000000000000210100060000430100000024'),
  ('thirds', (SELECT stats_agg(x) FROM unnest('{0.1,0.2,-0.3}'::float8[]) x), '01010700000000000000000003bfd333333333333300003fc999999999999a00001f01080000003f05000000023d70a3d70a3d6f5c28f5c28f5c400000'),
  ('cancelled', (SELECT stats_agg(x) FROM unnest('{1e308,-1e308}'::float8[]) x), '01010700000000000000000002ffe1ccf385ebc8a000007fe1ccf385ebc8a000000000800400000009e6e366733f8565bb0197d320'),
  ('zeros', (SELECT stats_agg(x) FROM unnest('{0,-0}'::float8[]) x), '010107080000000000000000020000000000000001800000000000000000000000000000000000000000000000'),
  ('specials', (SELECT stats_agg(x) FROM unnest('{NaN,Infinity,-Infinity,NaN,2}'::float8[]) x), '01010707000000000000000005000000000000000200000000000000010000000000000001fff000000000000000007ff80000000000000000210100080000430100000040'),
  ('bigint', (SELECT stats_agg(x) FROM unnest('{9223372036854775807,9007199254740993}'::bigint[]) x), '010107000000000000000000024340000000000000000143e0000000000000ffff23010002008043050000000400003ffffffffff00400000000000020'),
  ('subnormal', (SELECT stats_agg(5e-324::float8)), '010107000000000000000000010000000000000001000000000000000000010000000100000001000100000001'),
  ('empty', NULL, '0101070000000000000000000000000000');
SELECT name FROM golden WHERE made <> kept OR made::text <> kept::text;
SELECT name, num_vals(kept), sum(kept), average(kept), stddev(kept), min_val(kept), max_val(kept) FROM golden;
CREATE TABLE golden2d (name text, made stats2d, kept stats2d);
INSERT INTO golden2d VALUES
  ('line', (SELECT stats_agg(y, x) FROM (VALUES (1::float8, 1::float8), (3, -2), (2, 3), (5, 4)) v (y, x)), '020103000000000000000000042101002c00002101001800004301000002704301000001e0430100000150'),
  ('specials', (SELECT stats_agg(y, x) FROM (VALUES ('NaN'::float8, 1::float8), (3, '-0')) v (y, x)), '02010381000000000000000002000000000000000100000000000000012101000c00002101000400004301000000904301000000100000'),
  ('empty', NULL, '0201030000000000000000000000000000000000000000');
SELECT name FROM golden2d WHERE made <> kept OR made::text <> kept::text;
SELECT name, num_vals(kept), sum_y(kept), sum_x(kept), slope(kept), intercept(kept), corr(kept), covariance(kept) FROM golden2d;
-- states that keep sums alone, or sums and squares, are valid too, but do not mix with others
SELECT sum(s), average(s) FROM (SELECT stats '01010100000000000000000001210100040000' AS s) t;
SELECT variance(stats '01010100000000000000000001210100040000');
SELECT min_val(stats '01010300000000000000000001210100040000430100000010');
SELECT to_json(stats '01010100000000000000000001210100040000'), to_json(stats '01010300000000000000000001210100040000430100000010');
SELECT merge(stats '01010100000000000000000001210100040000', stats_agg(1));
-- counts add up to 2^63 − 1 at most
SELECT num_vals(merge(s, s)) FROM (SELECT stats '01010700003fffffffffffffff000000000000000000000000000000000000000000000000' AS s) t;
SELECT merge(merge(s, s), merge(s, s)) FROM (SELECT stats '01010700003fffffffffffffff000000000000000000000000000000000000000000000000' AS s) t;

-- What is wrong with a state is said.
CREATE FUNCTION complaint(type regtype, state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE format('SELECT %L::%s', state, type);
  RETURN 'none';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN sqlstate || ': ' || detail;
END $$;
SELECT complaint('stats', state), what
FROM (VALUES
  ('', 'nothing'),
  ('1', 'half a byte'),
  ('0g', 'not a digit'),
  ('\x0101', 'bytea'),
  ('01', 'one byte'),
  ('0101070000', 'header cut'),
  ('020103000000000000000000000000000000000000000000', 'a stats2d'),
  ('8101070000000000000000000000000000', 'a working state'),
  ('0102070000000000000000000000000000', 'version 2'),
  ('0100070000000000000000000000000000', 'version 0'),
  ('0101040000000000000000000000000000', 'parts'),
  ('01010f0000000000000000000000000000', 'working parts'),
  ('0101071000000000000000000000000000', 'a count of another axis'),
  ('0101070004000000000000000000000000', 'a sign of no sum'),
  ('0101070001000000000000000000000000', 'a sign of zero'),
  ('0101070000800000000000000000000000', 'negative n'),
  ('0101030100000000000000000200000000', 'counts cut'),
  ('01010301000000000000000001000000000000000000000000', 'a count of zero'),
  ('01010301000000000000000001000000000000000200000000', 'more NaNs than inputs'),
  ('010103030000000000000000010000000000000001000000000000000100000000', 'more specials than inputs'),
  ('010103010000000000000000017fffffffffffffff00000000', 'a huge count'),
  ('010107000000000000000000013ff0000000000000', 'extremes cut'),
  ('010103000000000000000000012101', 'sum cut'),
  ('010103000000000000000000012101000400004301000000', 'limb cut'),
  ('01010300000000000000000001210100040000', 'no squares'),
  ('0101030000000000000000000121010004000043010000001000', 'a byte too many'),
  ('01010300000000000000000000000000000000', 'two bytes too many'),
  ('0101030000000000000000000121020000000000040000430100000010', 'leading zero limb'),
  ('0101030000000000000000000120020004000000000000430100000010', 'trailing zero limb'),
  ('0101030000000000000000000021000000', 'a position of zero'),
  ('01010300000000000000000001ff0100040000430100000010', 'a sum too high'),
  ('01010300000000000000000001430100000001850100000100', 'more than one input can be'),
  ('01010300000000000000000000210100040000430100000010', 'a sum of nothing'),
  ('010103080000000000000000010000000000000001210100040000430100000010', 'a sum of zeros'),
  ('01010300020000000000000001210100040000430100000010', 'negative squares'),
  ('0101030000000000000000000121010004000043010000000f', 'squares below the square of the sum'),
  ('010103000000000000000000012101000400000000', 'a sum without squares'),
  ('01010700000000000000000001400000000000000000003ff00000000000000000210100040000430100000010', 'least above greatest'),
  ('010107000000000000000000013ff000000000000000003ff00000000000000001210100040000430100000010', 'a remainder beside one'),
  ('010107000000000000000000013ff8000000000000000043400000000000000002210100040000430100000010', 'a remainder too large'),
  ('010107000000000000000000017ff800000000000000007ff80000000000000000210100040000430100000010', 'extremes are NaN, but no input'),
  ('0101070100000000000000000100000000000000017ff800000000000100007ff8000000000001000000000000', 'another NaN'),
  ('010107000000000000000000013ff000000000000000007ff00000000000000000210100040000430100000010', 'infinity, but no input'),
  ('01010700000000000000000001fff000000000000000003ff00000000000000000210100040000430100000010', '−infinity, but no input'),
  ('0101070200000000000000000100000000000000013ff000000000000000003ff0000000000000000000000000', 'an infinite input, but no extreme'),
  ('01010700000000000000000001800000000000000000003ff00000000000000000210100040000430100000010', '−0, but no input')
) v (state, what);
SELECT complaint('stats2d', state), what
FROM (VALUES
  ('0101070000000000000000000000000000', 'a stats'),
  ('020107000000000000000000000000000000000000000000', 'extremes'),
  ('020103000000000000000000042101002c00002101001800004301000002704301000001e0430100000250', 'products above the squares'),
  ('020103000400000000000000042101002c00002101001800004301000002704301000001e0430100000150', 'negative squares of y'),
  ('020103002000000000000000042101002c00002101001800004301000002704301000001e0430100000150', 'unknown sign'),
  ('020103000000000000000000042101002c00002101001800004301000002704301000001e0', 'cut')
) v (state, what);

-- Every prefix and every change of one byte is refused, or is a state in its only form that every function takes.
CREATE FUNCTION probe(type regtype, state text, reads text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  same boolean;
BEGIN
  BEGIN
    EXECUTE format('SELECT %L::%s::text = %1$L', state, type) INTO same;
  EXCEPTION WHEN invalid_text_representation THEN
    RETURN 'refused';
  END;
  IF NOT same THEN
    RETURN 'changed';
  END IF;
  BEGIN
    EXECUTE format('SELECT %s FROM (SELECT %L::%s AS s) t', reads, state, type);
  EXCEPTION WHEN numeric_value_out_of_range THEN
    NULL;
  END;
  RETURN 'read';
END $$;
SELECT DISTINCT probe('stats', left(kept::text, n), 'num_vals(s)')
FROM golden, generate_series(0, length(kept::text) - 1) n;
SELECT probe, count(*) > 100 AS many
FROM golden, generate_series(0, length(kept::text) / 2 - 1) n, unnest('{00,01,0f,3f,40,7f,80,c0,fe,ff}'::text[]) b,
     probe('stats', overlay(kept::text PLACING b FROM 2 * n + 1),
           'to_json(s), variance(s), stddev(s, ''pop''), min_val(s), max_val(s), merge(s, s), merge(s, (SELECT kept FROM golden LIMIT 1)), s = s')
GROUP BY probe ORDER BY probe;
SELECT probe, count(*) > 100 AS many
FROM golden2d, generate_series(0, length(kept::text) / 2 - 1) n, unnest('{00,01,0f,3f,40,7f,80,c0,fe,ff}'::text[]) b,
     probe('stats2d', overlay(kept::text PLACING b FROM 2 * n + 1),
           'to_json(s), sum_x(s), sum_y(s), covariance(s, ''pop''), merge(s, s), merge(s, (SELECT kept FROM golden2d LIMIT 1)), s = s')
GROUP BY probe ORDER BY probe;

-- Binary: out and in again, and the same validator.
\getenv builddir PG_ABS_BUILDDIR
\set filename :builddir '/results/stats_io.data'
COPY (SELECT g.kept, h.kept FROM golden g, golden2d h) TO :'filename' (FORMAT binary);
CREATE TEMP TABLE copied (s stats, s2 stats2d);
COPY copied FROM :'filename' (FORMAT binary);
SELECT count(*), count(DISTINCT s::text), count(DISTINCT s2::text), bool_and(s IN (SELECT kept FROM golden)) AS known FROM copied;
COPY (SELECT '\x0101'::bytea, NULL) TO :'filename' (FORMAT binary);
COPY copied FROM :'filename' (FORMAT binary);
COPY (SELECT '\x0102070000000000000000000000000000'::bytea, NULL) TO :'filename' (FORMAT binary);
COPY copied FROM :'filename' (FORMAT binary);
COPY (SELECT ''::bytea, NULL) TO :'filename' (FORMAT binary);
COPY copied FROM :'filename' (FORMAT binary);
COPY (SELECT NULL, '\x8201030000000000000000000000000000000000000000'::bytea) TO :'filename' (FORMAT binary);
COPY copied FROM :'filename' (FORMAT binary);

-- States out of line are read like any other.
CREATE TABLE wide (s stats, f text);
ALTER TABLE wide ALTER s SET STORAGE external, ALTER f SET STORAGE plain;
INSERT INTO wide SELECT stats_agg(x), repeat('x', 1900)
FROM generate_series(-1000, 1000, 10) e, LATERAL (SELECT power(2::float8, e)) v (x);
SELECT pg_relation_size(reltoastrelid) > 0 AS out_of_line FROM pg_class WHERE oid = 'wide'::regclass;
SELECT num_vals(s), sum(s) FROM wide;
SELECT num_vals(rollup(s)), rollup(s) = merge(s, NULL) AS same FROM wide GROUP BY s;

-- What a damaged page may hold: bytes that begin like a state of a running query. They cannot be typed in, so they
-- are made of a path, which begins with its number of points: 0x81 for the form, then the parts and 0 for the tail.
CREATE CAST (path AS stats) WITHOUT FUNCTION;
CREATE VIEW damaged AS
SELECT parts, ('(' || string_agg('(1e300,-1e-300)', ',') || ')')::path::stats AS s
FROM unnest('{0,1,7,15}'::int[]) parts, generate_series(1, 129 + 256 * parts) GROUP BY parts;
SELECT average(s) FROM damaged WHERE parts = 0;
SELECT s FROM damaged WHERE parts = 1;
SELECT rollup(s) FROM damaged WHERE parts = 7;
SELECT stddev(merge(s, s)) FROM damaged WHERE parts = 15;
DROP VIEW damaged;
DROP CAST (path AS stats);

-- Support functions are not for everybody.
CREATE ROLE regress_stats_user;
GRANT USAGE ON SCHEMA batchagg TO regress_stats_user;
SET ROLE regress_stats_user;
SELECT stats_trans(stats_agg(1), 2);
SELECT num_vals(rollup(s)), exact_sum(x) FROM (SELECT x, stats_agg(x) AS s FROM unnest('{1,2}'::float8[]) x GROUP BY x) t;
RESET ROLE;
REVOKE USAGE ON SCHEMA batchagg FROM regress_stats_user;
DROP ROLE regress_stats_user;

DROP TABLE golden, golden2d, wide;
DROP FUNCTION complaint, probe;
