-- Private: the support functions of the aggregates over one and two variables.
-- An aggregate needs its owner's permission on them, not its caller's.

CREATE FUNCTION stats_trans(stats, smallint) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_trans_int2'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_trans(stats, integer) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_trans_int4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_trans(stats, bigint) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_trans_int8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_trans(stats, real) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_trans_float4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_trans(stats, double precision) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_trans_float8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_inv(stats, smallint) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_inv_int2'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_inv(stats, integer) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_inv_int4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_inv(stats, bigint) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_inv_int8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_inv(stats, real) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_inv_float4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_inv(stats, double precision) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_inv_float8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_combine(stats, stats) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_combine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_final(stats) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_stats_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_sum_float4(stats) RETURNS real
	AS 'MODULE_PATHNAME', 'batchagg_stats_sum_float4'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_var_pop(stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_var_pop'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_var_samp(stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_var_samp'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_stddev_pop(stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_stddev_pop'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats_stddev_samp(stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_stddev_samp'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION stats2d_trans(stats2d, double precision, double precision) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_trans_float8_float8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_trans(stats2d, bigint, bigint) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_trans_int8_int8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_trans(stats2d, bigint, double precision) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_trans_int8_float8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_trans(stats2d, double precision, bigint) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_trans_float8_int8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_inv(stats2d, double precision, double precision) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_inv_float8_float8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_inv(stats2d, bigint, bigint) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_inv_int8_int8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_inv(stats2d, bigint, double precision) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_inv_int8_float8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_inv(stats2d, double precision, bigint) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_inv_float8_int8'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_combine(stats2d, stats2d) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_combine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION stats2d_final(stats2d) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- Not strict: they refuse NULLs and empty inputs as well.
CREATE FUNCTION refuse_numeric(stats, numeric) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric(stats) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric_result(stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric(stats2d, numeric, numeric) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric(stats2d, numeric, double precision) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric(stats2d, double precision, numeric) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric(stats2d, numeric, bigint) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric(stats2d, bigint, numeric) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE FUNCTION refuse_numeric(stats2d) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_refuse_numeric'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

REVOKE EXECUTE ON FUNCTION
	stats_trans(stats, smallint),
	stats_trans(stats, integer),
	stats_trans(stats, bigint),
	stats_trans(stats, real),
	stats_trans(stats, double precision),
	stats_inv(stats, smallint),
	stats_inv(stats, integer),
	stats_inv(stats, bigint),
	stats_inv(stats, real),
	stats_inv(stats, double precision),
	stats_combine(stats, stats),
	stats_final(stats),
	stats_sum_float4(stats),
	stats_var_pop(stats),
	stats_var_samp(stats),
	stats_stddev_pop(stats),
	stats_stddev_samp(stats),
	stats2d_trans(stats2d, double precision, double precision),
	stats2d_trans(stats2d, bigint, bigint),
	stats2d_trans(stats2d, bigint, double precision),
	stats2d_trans(stats2d, double precision, bigint),
	stats2d_inv(stats2d, double precision, double precision),
	stats2d_inv(stats2d, bigint, bigint),
	stats2d_inv(stats2d, bigint, double precision),
	stats2d_inv(stats2d, double precision, bigint),
	stats2d_combine(stats2d, stats2d),
	stats2d_final(stats2d),
	refuse_numeric(stats, numeric),
	refuse_numeric(stats),
	refuse_numeric_result(stats),
	refuse_numeric(stats2d, numeric, numeric),
	refuse_numeric(stats2d, numeric, double precision),
	refuse_numeric(stats2d, double precision, numeric),
	refuse_numeric(stats2d, numeric, bigint),
	refuse_numeric(stats2d, bigint, numeric),
	refuse_numeric(stats2d)
	FROM PUBLIC;
