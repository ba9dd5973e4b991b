-- Accessors of states, and merging two of them.

CREATE FUNCTION num_vals(state stats) RETURNS bigint
	AS 'MODULE_PATHNAME', 'batchagg_stats_num_vals'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION num_vals(state stats) IS 'number of inputs, without NULLs';

CREATE FUNCTION sum(state stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_sum'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sum(state stats) IS 'sum of the inputs, correctly rounded';

CREATE FUNCTION average(state stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_average'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION average(state stats) IS 'average of the inputs, correctly rounded';

CREATE FUNCTION variance(state stats, method text DEFAULT 'sample') RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_variance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION variance(state stats, method text) IS 'variance of the inputs, correctly rounded; method sample or population';

CREATE FUNCTION stddev(state stats, method text DEFAULT 'sample') RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_stddev'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION stddev(state stats, method text) IS 'standard deviation of the inputs, correctly rounded; method sample or population';

CREATE FUNCTION min_val(state stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_min_val'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION min_val(state stats) IS 'least input';

CREATE FUNCTION max_val(state stats) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats_max_val'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION max_val(state stats) IS 'greatest input; NaN is above all';

CREATE FUNCTION to_json(state stats) RETURNS json
	AS 'MODULE_PATHNAME', 'batchagg_stats_to_json'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION to_json(state stats) IS 'what the state says, for people';

CREATE FUNCTION to_jsonb(state stats) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'batchagg_stats_to_jsonb'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION to_jsonb(state stats) IS 'what the state says, for people';

CREATE FUNCTION num_vals(state stats2d) RETURNS bigint
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_num_vals'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION num_vals(state stats2d) IS 'number of pairs without a NULL';

CREATE FUNCTION sum_y(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_sum_y'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sum_y(state stats2d) IS 'sum of the dependent variable, correctly rounded';

CREATE FUNCTION sum_x(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_sum_x'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sum_x(state stats2d) IS 'sum of the independent variable, correctly rounded';

CREATE FUNCTION average_y(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_average_y'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION average_y(state stats2d) IS 'average of the dependent variable, correctly rounded';

CREATE FUNCTION average_x(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_average_x'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION average_x(state stats2d) IS 'average of the independent variable, correctly rounded';

CREATE FUNCTION corr(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_corr'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION corr(state stats2d) IS 'correlation coefficient, correctly rounded';

CREATE FUNCTION covariance(state stats2d, method text DEFAULT 'sample') RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_covariance'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION covariance(state stats2d, method text) IS 'covariance, correctly rounded; method sample or population';

CREATE FUNCTION slope(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_slope'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION slope(state stats2d) IS 'slope of the least-squares line, correctly rounded';

CREATE FUNCTION intercept(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_intercept'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION intercept(state stats2d) IS 'y-intercept of the least-squares line, correctly rounded';

CREATE FUNCTION determination_coeff(state stats2d) RETURNS double precision
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_determination_coeff'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION determination_coeff(state stats2d) IS 'square of the correlation coefficient, correctly rounded';

CREATE FUNCTION to_json(state stats2d) RETURNS json
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_to_json'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION to_json(state stats2d) IS 'what the state says, for people';

CREATE FUNCTION to_jsonb(state stats2d) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'batchagg_stats2d_to_jsonb'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION to_jsonb(state stats2d) IS 'what the state says, for people';

-- The casts to json are what core's row_to_json, jsonb_agg and the like look for.
CREATE CAST (stats AS json) WITH FUNCTION to_json(stats);
CREATE CAST (stats AS jsonb) WITH FUNCTION to_jsonb(stats);
CREATE CAST (stats2d AS json) WITH FUNCTION to_json(stats2d);
CREATE CAST (stats2d AS jsonb) WITH FUNCTION to_jsonb(stats2d);

-- Not strict: NULL is neutral.
CREATE FUNCTION merge(a stats, b stats) RETURNS stats
	AS 'MODULE_PATHNAME', 'batchagg_merge_stats'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION merge(a stats, b stats) IS 'state of the inputs of both; NULL is neutral';

CREATE FUNCTION merge(a stats2d, b stats2d) RETURNS stats2d
	AS 'MODULE_PATHNAME', 'batchagg_merge_stats2d'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION merge(a stats2d, b stats2d) IS 'state of the inputs of both; NULL is neutral';
