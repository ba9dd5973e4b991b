-- Statistical states: the types stats and stats2d (src/agg_io.c, doc/state-format.md).

CREATE TYPE stats;

CREATE FUNCTION stats_in(cstring) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_in(cstring) IS 'I/O';
CREATE FUNCTION stats_out(stats) RETURNS cstring
	AS 'MODULE_PATHNAME', 'batchagg_stats_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_out(stats) IS 'I/O';
CREATE FUNCTION stats_recv(internal) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_recv(internal) IS 'I/O';
CREATE FUNCTION stats_send(stats) RETURNS bytea
	AS 'MODULE_PATHNAME', 'batchagg_stats_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_send(stats) IS 'I/O';

CREATE TYPE stats (
	INPUT = stats_in, OUTPUT = stats_out, RECEIVE = stats_recv, SEND = stats_send,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE stats IS 'exact statistical state of numbers: count, sum, sum of squares, least, greatest';

CREATE FUNCTION stats_eq(stats, stats) RETURNS boolean
	AS 'MODULE_PATHNAME', 'batchagg_stats_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_eq(stats, stats) IS 'implementation of = operator';
CREATE FUNCTION stats_ne(stats, stats) RETURNS boolean
	AS 'MODULE_PATHNAME', 'batchagg_stats_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_ne(stats, stats) IS 'implementation of <> operator';
CREATE FUNCTION stats_hash(stats) RETURNS integer
	AS 'MODULE_PATHNAME', 'batchagg_stats_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_hash(stats) IS 'hash of the canonical form';
CREATE FUNCTION stats_hash_extended(stats, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'batchagg_stats_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats_hash_extended(stats, bigint) IS 'hash of the canonical form, with a seed';

CREATE OPERATOR = (
	LEFTARG = stats, RIGHTARG = stats, FUNCTION = stats_eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
COMMENT ON OPERATOR = (stats, stats) IS 'same canonical form';

CREATE OPERATOR <> (
	LEFTARG = stats, RIGHTARG = stats, FUNCTION = stats_ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (stats, stats) IS 'different canonical forms';

CREATE OPERATOR CLASS stats_hash_ops DEFAULT FOR TYPE stats USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 stats_hash(stats),
	FUNCTION 2 stats_hash_extended(stats, bigint);

CREATE TYPE stats2d;

CREATE FUNCTION stats2d_in(cstring) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_in'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_in(cstring) IS 'I/O';
CREATE FUNCTION stats2d_out(stats2d) RETURNS cstring
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_out(stats2d) IS 'I/O';
CREATE FUNCTION stats2d_recv(internal) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_recv'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_recv(internal) IS 'I/O';
CREATE FUNCTION stats2d_send(stats2d) RETURNS bytea
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_send(stats2d) IS 'I/O';

CREATE TYPE stats2d (
	INPUT = stats2d_in, OUTPUT = stats2d_out, RECEIVE = stats2d_recv, SEND = stats2d_send,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE stats2d IS 'exact statistical state of pairs (y, x): count, sums, sums of squares and of products';

CREATE FUNCTION stats2d_eq(stats2d, stats2d) RETURNS boolean
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_eq'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_eq(stats2d, stats2d) IS 'implementation of = operator';
CREATE FUNCTION stats2d_ne(stats2d, stats2d) RETURNS boolean
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_ne'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_ne(stats2d, stats2d) IS 'implementation of <> operator';
CREATE FUNCTION stats2d_hash(stats2d) RETURNS integer
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_hash'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_hash(stats2d) IS 'hash of the canonical form';
CREATE FUNCTION stats2d_hash_extended(stats2d, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_hash_extended'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stats2d_hash_extended(stats2d, bigint) IS 'hash of the canonical form, with a seed';

CREATE OPERATOR = (
	LEFTARG = stats2d, RIGHTARG = stats2d, FUNCTION = stats2d_eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
COMMENT ON OPERATOR = (stats2d, stats2d) IS 'same canonical form';

CREATE OPERATOR <> (
	LEFTARG = stats2d, RIGHTARG = stats2d, FUNCTION = stats2d_ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (stats2d, stats2d) IS 'different canonical forms';

CREATE OPERATOR CLASS stats2d_hash_ops DEFAULT FOR TYPE stats2d USING hash AS
	OPERATOR 1 =,
	FUNCTION 1 stats2d_hash(stats2d),
	FUNCTION 2 stats2d_hash_extended(stats2d, bigint);
