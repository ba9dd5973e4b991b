-- Exact aggregates in one step: correctly rounded, the same bits in any order.

CREATE AGGREGATE exact_sum(double precision) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 128,
	INITCOND = '010101000000000000000000000000',
	FINALFUNC = sum, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 128,
	MINITCOND = '010101000000000000000000000000',
	MFINALFUNC = sum, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_sum(double precision) IS 'sum, exact and rounded once';

CREATE AGGREGATE exact_sum(real) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 128,
	INITCOND = '010101000000000000000000000000',
	FINALFUNC = stats_sum_float4, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 128,
	MINITCOND = '010101000000000000000000000000',
	MFINALFUNC = stats_sum_float4, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_sum(real) IS 'sum, exact and rounded once';

CREATE AGGREGATE exact_sum(bigint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 128,
	INITCOND = '010101000000000000000000000000',
	FINALFUNC = sum, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 128,
	MINITCOND = '010101000000000000000000000000',
	MFINALFUNC = sum, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_sum(bigint) IS 'sum, exact and rounded once';

CREATE AGGREGATE exact_sum(numeric) (
	SFUNC = refuse_numeric, STYPE = stats, FINALFUNC = refuse_numeric_result, PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_sum(numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE exact_avg(double precision) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 128,
	INITCOND = '010101000000000000000000000000',
	FINALFUNC = average, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 128,
	MINITCOND = '010101000000000000000000000000',
	MFINALFUNC = average, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_avg(double precision) IS 'average, exact and rounded once';

CREATE AGGREGATE exact_avg(real) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 128,
	INITCOND = '010101000000000000000000000000',
	FINALFUNC = average, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 128,
	MINITCOND = '010101000000000000000000000000',
	MFINALFUNC = average, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_avg(real) IS 'average, exact and rounded once';

CREATE AGGREGATE exact_avg(bigint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 128,
	INITCOND = '010101000000000000000000000000',
	FINALFUNC = average, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 128,
	MINITCOND = '010101000000000000000000000000',
	MFINALFUNC = average, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_avg(bigint) IS 'average, exact and rounded once';

CREATE AGGREGATE exact_avg(numeric) (
	SFUNC = refuse_numeric, STYPE = stats, FINALFUNC = refuse_numeric_result, PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_avg(numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE exact_var_pop(double precision) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_var_pop, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_var_pop, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_pop(double precision) IS 'population variance, exact and rounded once';

CREATE AGGREGATE exact_var_pop(real) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_var_pop, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_var_pop, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_pop(real) IS 'population variance, exact and rounded once';

CREATE AGGREGATE exact_var_pop(bigint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_var_pop, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_var_pop, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_pop(bigint) IS 'population variance, exact and rounded once';

CREATE AGGREGATE exact_var_pop(numeric) (
	SFUNC = refuse_numeric, STYPE = stats, FINALFUNC = refuse_numeric_result, PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_pop(numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE exact_var_samp(double precision) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_var_samp, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_var_samp, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_samp(double precision) IS 'sample variance, exact and rounded once';

CREATE AGGREGATE exact_var_samp(real) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_var_samp, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_var_samp, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_samp(real) IS 'sample variance, exact and rounded once';

CREATE AGGREGATE exact_var_samp(bigint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_var_samp, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_var_samp, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_samp(bigint) IS 'sample variance, exact and rounded once';

CREATE AGGREGATE exact_var_samp(numeric) (
	SFUNC = refuse_numeric, STYPE = stats, FINALFUNC = refuse_numeric_result, PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_var_samp(numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE exact_stddev_pop(double precision) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_stddev_pop, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_stddev_pop, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_pop(double precision) IS 'population standard deviation, exact and rounded once';

CREATE AGGREGATE exact_stddev_pop(real) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_stddev_pop, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_stddev_pop, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_pop(real) IS 'population standard deviation, exact and rounded once';

CREATE AGGREGATE exact_stddev_pop(bigint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_stddev_pop, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_stddev_pop, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_pop(bigint) IS 'population standard deviation, exact and rounded once';

CREATE AGGREGATE exact_stddev_pop(numeric) (
	SFUNC = refuse_numeric, STYPE = stats, FINALFUNC = refuse_numeric_result, PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_pop(numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE exact_stddev_samp(double precision) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_stddev_samp, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_stddev_samp, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_samp(double precision) IS 'sample standard deviation, exact and rounded once';

CREATE AGGREGATE exact_stddev_samp(real) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_stddev_samp, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_stddev_samp, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_samp(real) IS 'sample standard deviation, exact and rounded once';

CREATE AGGREGATE exact_stddev_samp(bigint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101030000000000000000000000000000',
	FINALFUNC = stats_stddev_samp, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101030000000000000000000000000000',
	MFINALFUNC = stats_stddev_samp, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_samp(bigint) IS 'sample standard deviation, exact and rounded once';

CREATE AGGREGATE exact_stddev_samp(numeric) (
	SFUNC = refuse_numeric, STYPE = stats, FINALFUNC = refuse_numeric_result, PARALLEL = SAFE
);
COMMENT ON AGGREGATE exact_stddev_samp(numeric) IS 'refuses: numeric would have to be rounded first';
