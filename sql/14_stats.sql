-- Aggregates that give a state, and those that merge states.

CREATE AGGREGATE stats_agg(smallint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101070000000000000000000000000000',
	FINALFUNC = stats_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101070000000000000000000000000000',
	MFINALFUNC = stats_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(smallint) IS 'statistical state of the inputs';

CREATE AGGREGATE stats_agg(integer) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101070000000000000000000000000000',
	FINALFUNC = stats_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101070000000000000000000000000000',
	MFINALFUNC = stats_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(integer) IS 'statistical state of the inputs';

CREATE AGGREGATE stats_agg(bigint) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101070000000000000000000000000000',
	FINALFUNC = stats_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101070000000000000000000000000000',
	MFINALFUNC = stats_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(bigint) IS 'statistical state of the inputs';

CREATE AGGREGATE stats_agg(real) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101070000000000000000000000000000',
	FINALFUNC = stats_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101070000000000000000000000000000',
	MFINALFUNC = stats_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(real) IS 'statistical state of the inputs';

CREATE AGGREGATE stats_agg(double precision) (
	SFUNC = stats_trans, STYPE = stats, SSPACE = 256,
	INITCOND = '0101070000000000000000000000000000',
	FINALFUNC = stats_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	MSFUNC = stats_trans, MINVFUNC = stats_inv, MSTYPE = stats, MSSPACE = 256,
	MINITCOND = '0101070000000000000000000000000000',
	MFINALFUNC = stats_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(double precision) IS 'statistical state of the inputs';

CREATE AGGREGATE stats_agg(numeric) (
	SFUNC = refuse_numeric, STYPE = stats, FINALFUNC = refuse_numeric, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE stats_agg(double precision, double precision) (
	SFUNC = stats2d_trans, STYPE = stats2d, SSPACE = 512,
	INITCOND = '0201030000000000000000000000000000000000000000',
	FINALFUNC = stats2d_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats2d_combine,
	MSFUNC = stats2d_trans, MINVFUNC = stats2d_inv, MSTYPE = stats2d, MSSPACE = 512,
	MINITCOND = '0201030000000000000000000000000000000000000000',
	MFINALFUNC = stats2d_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(double precision, double precision) IS 'statistical state of the pairs (y, x)';

CREATE AGGREGATE stats_agg(bigint, bigint) (
	SFUNC = stats2d_trans, STYPE = stats2d, SSPACE = 512,
	INITCOND = '0201030000000000000000000000000000000000000000',
	FINALFUNC = stats2d_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats2d_combine,
	MSFUNC = stats2d_trans, MINVFUNC = stats2d_inv, MSTYPE = stats2d, MSSPACE = 512,
	MINITCOND = '0201030000000000000000000000000000000000000000',
	MFINALFUNC = stats2d_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(bigint, bigint) IS 'statistical state of the pairs (y, x)';

CREATE AGGREGATE stats_agg(bigint, double precision) (
	SFUNC = stats2d_trans, STYPE = stats2d, SSPACE = 512,
	INITCOND = '0201030000000000000000000000000000000000000000',
	FINALFUNC = stats2d_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats2d_combine,
	MSFUNC = stats2d_trans, MINVFUNC = stats2d_inv, MSTYPE = stats2d, MSSPACE = 512,
	MINITCOND = '0201030000000000000000000000000000000000000000',
	MFINALFUNC = stats2d_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(bigint, double precision) IS 'statistical state of the pairs (y, x)';

CREATE AGGREGATE stats_agg(double precision, bigint) (
	SFUNC = stats2d_trans, STYPE = stats2d, SSPACE = 512,
	INITCOND = '0201030000000000000000000000000000000000000000',
	FINALFUNC = stats2d_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats2d_combine,
	MSFUNC = stats2d_trans, MINVFUNC = stats2d_inv, MSTYPE = stats2d, MSSPACE = 512,
	MINITCOND = '0201030000000000000000000000000000000000000000',
	MFINALFUNC = stats2d_final, MFINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(double precision, bigint) IS 'statistical state of the pairs (y, x)';

-- Without all these, an implicit cast to double precision would win silently.
CREATE AGGREGATE stats_agg(numeric, numeric) (
	SFUNC = refuse_numeric, STYPE = stats2d, FINALFUNC = refuse_numeric, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(numeric, numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE stats_agg(numeric, double precision) (
	SFUNC = refuse_numeric, STYPE = stats2d, FINALFUNC = refuse_numeric, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(numeric, double precision) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE stats_agg(double precision, numeric) (
	SFUNC = refuse_numeric, STYPE = stats2d, FINALFUNC = refuse_numeric, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(double precision, numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE stats_agg(numeric, bigint) (
	SFUNC = refuse_numeric, STYPE = stats2d, FINALFUNC = refuse_numeric, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(numeric, bigint) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE stats_agg(bigint, numeric) (
	SFUNC = refuse_numeric, STYPE = stats2d, FINALFUNC = refuse_numeric, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stats_agg(bigint, numeric) IS 'refuses: numeric would have to be rounded first';

CREATE AGGREGATE rollup(stats) (
	SFUNC = stats_combine, STYPE = stats, SSPACE = 256,
	INITCOND = '0101070000000000000000000000000000',
	FINALFUNC = stats_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats_combine,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(stats) IS 'state of the inputs of all states';

CREATE AGGREGATE rollup(stats2d) (
	SFUNC = stats2d_combine, STYPE = stats2d, SSPACE = 512,
	INITCOND = '0201030000000000000000000000000000000000000000',
	FINALFUNC = stats2d_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = stats2d_combine,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(stats2d) IS 'state of the inputs of all states';
