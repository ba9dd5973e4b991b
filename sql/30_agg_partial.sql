-- partial_state: the partial state of any aggregate as a value.

CREATE TYPE partial_state;

CREATE FUNCTION partial_state_in(cstring) RETURNS partial_state
	AS 'MODULE_PATHNAME', 'batchagg_partial_state_in'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION partial_state_out(partial_state) RETURNS cstring
	AS 'MODULE_PATHNAME', 'batchagg_partial_state_out'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION partial_state_recv(internal) RETURNS partial_state
	AS 'MODULE_PATHNAME', 'batchagg_partial_state_recv'
	LANGUAGE C STABLE STRICT PARALLEL SAFE;

CREATE FUNCTION partial_state_send(partial_state) RETURNS bytea
	AS 'MODULE_PATHNAME', 'batchagg_partial_state_send'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION partial_state_in(cstring) IS 'I/O; EXECUTE on it is the privilege to input states whose payload cannot be checked';
COMMENT ON FUNCTION partial_state_out(partial_state) IS 'I/O';
COMMENT ON FUNCTION partial_state_recv(internal) IS 'I/O; EXECUTE on it is the privilege to input states whose payload cannot be checked';
COMMENT ON FUNCTION partial_state_send(partial_state) IS 'I/O';

CREATE TYPE partial_state (
	INPUT = partial_state_in,
	OUTPUT = partial_state_out,
	RECEIVE = partial_state_recv,
	SEND = partial_state_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = extended
);
COMMENT ON TYPE partial_state IS 'partial state of any aggregate: made by partial(), merged by rollup() and merge(), read by finalize()';

-- private: what the aggregates below are made of

CREATE FUNCTION partial_transfn(internal, regprocedure, VARIADIC "any") RETURNS internal
	AS 'MODULE_PATHNAME', 'batchagg_partial_transfn'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION partial_transfn(internal, regprocedure) RETURNS internal
	AS 'MODULE_PATHNAME', 'batchagg_partial_transfn'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION partial_transfn(internal, text) RETURNS internal
	AS 'MODULE_PATHNAME', 'batchagg_partial_transfn_text'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION partial_rollup_transfn(internal, partial_state) RETURNS internal
	AS 'MODULE_PATHNAME', 'batchagg_partial_rollup_transfn'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION partial_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'batchagg_partial_combinefn'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;

CREATE FUNCTION partial_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'batchagg_partial_serialfn'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION partial_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'batchagg_partial_deserialfn'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION partial_finalfn(internal) RETURNS partial_state
	AS 'MODULE_PATHNAME', 'batchagg_partial_finalfn'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

REVOKE EXECUTE ON FUNCTION
	partial_transfn(internal, regprocedure, VARIADIC "any"),
	partial_transfn(internal, regprocedure),
	partial_transfn(internal, text),
	partial_rollup_transfn(internal, partial_state),
	partial_combinefn(internal, internal),
	partial_serialfn(internal),
	partial_deserialfn(bytea, internal),
	partial_finalfn(internal)
	FROM PUBLIC;

-- EXECUTE on these two is the privilege to input states whose bytes cannot be
-- checked; input of all others needs no privilege, as core asks for none
REVOKE EXECUTE ON FUNCTION partial_state_in(cstring), partial_state_recv(internal) FROM PUBLIC;

-- public

CREATE AGGREGATE partial(aggregate regprocedure, VARIADIC "any") (
	SFUNC = partial_transfn,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = partial_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = partial_combinefn,
	SERIALFUNC = partial_serialfn,
	DESERIALFUNC = partial_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE partial(regprocedure, VARIADIC "any") IS 'partial state of an aggregate over its arguments, such as partial(''sum(numeric)'', price)';

CREATE AGGREGATE partial(aggregate regprocedure) (
	SFUNC = partial_transfn,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = partial_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = partial_combinefn,
	SERIALFUNC = partial_serialfn,
	DESERIALFUNC = partial_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE partial(regprocedure) IS 'partial state of an aggregate without arguments';

CREATE AGGREGATE partial(aggregate text) (
	SFUNC = partial_transfn,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = partial_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = partial_combinefn,
	SERIALFUNC = partial_serialfn,
	DESERIALFUNC = partial_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE partial(text) IS 'partial state of an aggregate without arguments: partial(''count(*)'')';

CREATE AGGREGATE rollup(state partial_state) (
	SFUNC = partial_rollup_transfn,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = partial_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = partial_combinefn,
	SERIALFUNC = partial_serialfn,
	DESERIALFUNC = partial_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(partial_state) IS 'partial states of one aggregate, merged';

CREATE FUNCTION merge(a partial_state, b partial_state) RETURNS partial_state
	AS 'MODULE_PATHNAME', 'batchagg_merge_partial_state'
	LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION merge(partial_state, partial_state) IS 'two partial states of one aggregate, merged; NULL adds nothing';

CREATE FUNCTION finalize(state partial_state, result_type anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'batchagg_finalize_partial_state'
	LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION finalize(partial_state, anyelement) IS 'answer of the aggregate, in the type of the second argument: finalize(state, NULL::numeric)';

CREATE FUNCTION to_jsonb(state partial_state) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'batchagg_partial_state_to_jsonb'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION to_jsonb(partial_state) IS 'what a partial state says of itself: aggregate, types, writer; nothing is run';

