-- partial_state: who may run what a value names, who may type a value in, and
-- that no value whatever crashes the server.
CREATE ROLE regress_partial_super SUPERUSER;
SET SESSION AUTHORIZATION regress_partial_super;
CREATE SCHEMA test_partial_security;
SET search_path = test_partial_security, batchagg;
GRANT USAGE ON SCHEMA batchagg, test_partial_security TO PUBLIC;
CREATE ROLE regress_partial_evil;
CREATE ROLE regress_partial_reader;
CREATE ROLE regress_partial_member IN ROLE regress_partial_evil;
CREATE ROLE regress_partial_admin;
CREATE SCHEMA evil AUTHORIZATION regress_partial_evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;

-- a value must not make its reader run its writer's functions

SET ROLE regress_partial_evil;
CREATE FUNCTION evil.trans(int8, int4) RETURNS int8 LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE FUNCTION evil.combine(int8, int8) RETURNS int8 LANGUAGE plpgsql AS
    $$BEGIN RAISE NOTICE 'combine runs as %', current_user; RETURN $1 + $2; END$$;
CREATE FUNCTION evil.final(int8) RETURNS int8 LANGUAGE plpgsql AS
    $$BEGIN RAISE NOTICE 'final runs as %', current_user; RETURN $1; END$$;
CREATE AGGREGATE evil.sum(int4) (SFUNC = evil.trans, STYPE = int8, INITCOND = '0',
    COMBINEFUNC = evil.combine, FINALFUNC = evil.final);
CREATE TABLE evil.states AS SELECT partial('evil.sum(int4)', i) AS s FROM generate_series(1, 4) i;
CREATE FUNCTION evil.check(int4) RETURNS bool LANGUAGE plpgsql AS
    $$BEGIN RAISE NOTICE 'check runs as %', current_user; RETURN true; END$$;
CREATE DOMAIN evil.number AS int4;
CREATE TABLE evil.domain_states AS SELECT partial('max(anyarray)', ARRAY[1::evil.number]) AS s;
ALTER DOMAIN evil.number ADD CHECK (evil.check(VALUE));
CREATE TYPE evil.mood AS ENUM ('bad', 'worse');
CREATE TABLE evil.enum_states AS
SELECT partial('max(anyenum)', m) AS s, partial('max(anyarray)', ARRAY[m]) AS a FROM unnest(enum_range(NULL::evil.mood)) m;
GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC;
SELECT finalize(s, NULL::bigint) AS own FROM evil.states;
RESET ROLE;

SELECT finalize(s, NULL::bigint) FROM evil.states;
SELECT rollup(s) FROM evil.states;
SELECT merge(s, s) FROM evil.states;
SELECT finalize(s, NULL::evil.number[]) FROM evil.domain_states;
-- an enum has no functions that could run
SELECT finalize(s, NULL::evil.mood), finalize(a, NULL::evil.mood[]) FROM evil.enum_states;
CREATE FUNCTION definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS 'SELECT batchagg.finalize(s, NULL::bigint) FROM evil.states';
SET ROLE regress_partial_reader;
SELECT finalize(s, NULL::bigint) FROM evil.states;
SELECT definer();
-- partial() runs what the caller names, as a plain call would; its result is a value
SELECT finalize(partial('evil.sum(int4)', 1), NULL::bigint);
SELECT to_jsonb(partial('evil.sum(int4)', 1)) -> 'aggregate' AS named;
-- being put into the writer's role is not one's own doing: it earns no trust
SET ROLE regress_partial_member;
SELECT finalize(s, NULL::bigint) FROM evil.states;
SELECT finalize(s, NULL::evil.number[]) FROM evil.domain_states;
SET ROLE regress_partial_evil;
SELECT finalize(s, NULL::bigint) AS owner FROM evil.states;
SELECT finalize(s, NULL::evil.number[]) AS owner FROM evil.domain_states;
RESET ROLE;
GRANT regress_partial_evil TO regress_partial_super;
SELECT finalize(s, NULL::bigint) FROM evil.states;
REVOKE regress_partial_evil FROM regress_partial_super;
-- but whoever has the reader's privileges anyhow gains none
GRANT regress_partial_admin TO regress_partial_evil;
SET ROLE regress_partial_admin;
SELECT finalize(s, NULL::bigint) AS admin FROM evil.states;
RESET ROLE;
-- the aggregate of a superuser over another's function
CREATE AGGREGATE mixed(int4) (SFUNC = int4_sum, STYPE = int8, COMBINEFUNC = int8pl, FINALFUNC = evil.final);
CREATE TABLE mixed_states AS SELECT partial('mixed(int4)', 1) AS s;
SELECT finalize(s, NULL::bigint) FROM mixed_states;
-- and once it belongs to a superuser, everybody may
ALTER FUNCTION evil.final(int8) OWNER TO CURRENT_USER;
SELECT finalize(s, NULL::bigint) FROM mixed_states;

-- EXECUTE and USAGE count as in a plain call

REVOKE EXECUTE ON FUNCTION mixed(int4) FROM PUBLIC;
GRANT SELECT ON mixed_states TO PUBLIC;
SET ROLE regress_partial_reader;
SELECT finalize(s, NULL::bigint) FROM mixed_states;
SELECT partial('mixed(int4)', 1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION mixed(int4) TO PUBLIC;
REVOKE EXECUTE ON FUNCTION evil.trans(int8, int4) FROM regress_partial_evil, PUBLIC;
SET ROLE regress_partial_evil;
SELECT finalize(s, NULL::bigint) FROM evil.states;
RESET ROLE;
GRANT EXECUTE ON FUNCTION evil.trans(int8, int4) TO PUBLIC;
REVOKE USAGE ON SCHEMA evil FROM PUBLIC;
CREATE FUNCTION state_of_evil() RETURNS partial_state LANGUAGE sql SECURITY DEFINER AS 'SELECT s FROM evil.states';
SET ROLE regress_partial_reader;
SELECT finalize(state_of_evil(), NULL::bigint);
RESET ROLE;

-- who may type a state in: nobody needs a privilege for payloads that are checked

CREATE TABLE typed (what text, s partial_state);
GRANT ALL ON typed TO PUBLIC;
-- an aggregate of int8's average whose serialize function is nobody's we know
CREATE FUNCTION unknown_serialize(internal) RETURNS bytea LANGUAGE internal STRICT PARALLEL SAFE AS 'int8_avg_serialize';
CREATE AGGREGATE unknown_avg(int8) (SFUNC = int8_avg_accum, STYPE = internal, FINALFUNC = numeric_poly_avg,
    COMBINEFUNC = int8_avg_combine, SERIALFUNC = unknown_serialize, DESERIALFUNC = int8_avg_deserialize);
INSERT INTO typed
SELECT 'count', partial('count(*)') FROM generate_series(1, 3) i UNION ALL
SELECT 'max', partial('max(text)', i::text) FROM generate_series(1, 3) i UNION ALL
SELECT 'avg int4', partial('avg(int4)', i) FROM generate_series(1, 3) i UNION ALL
SELECT 'avg int8', partial('avg(int8)', i::int8) FROM generate_series(1, 3) i UNION ALL
SELECT 'var int4', partial('var_samp(int4)', i) FROM generate_series(1, 3) i UNION ALL
SELECT 'sum', partial('sum(numeric)', i / 7.0) FROM generate_series(1, 3) i UNION ALL
SELECT 'var', partial('var_samp(numeric)', i / 7.0) FROM generate_series(1, 3) i UNION ALL
SELECT 'array', partial('max(anyarray)', ARRAY[i, 5]) FROM generate_series(1, 3) i UNION ALL
SELECT 'unknown', partial('unknown_avg(int8)', i::int8) FROM generate_series(1, 3) i;

CREATE FUNCTION retype(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text := (SELECT s::text FROM typed t WHERE t.what = retype.what);
    again text;
BEGIN
    EXECUTE format('SELECT (%L::batchagg.partial_state)::text', state) INTO again;
    RETURN CASE WHEN again = state THEN 'accepted' ELSE 'changed' END;
EXCEPTION WHEN insufficient_privilege THEN RETURN SQLERRM;
END $$;
SET ROLE regress_partial_reader;
SELECT what, retype(what) FROM typed ORDER BY what;
\copy (SELECT s FROM typed WHERE what <> 'unknown') TO 'results/partial_security.known' (FORMAT binary)
\copy (SELECT s FROM typed WHERE what = 'unknown') TO 'results/partial_security.unknown' (FORMAT binary)
\copy typed (s) FROM 'results/partial_security.known' (FORMAT binary)
\copy typed (s) FROM 'results/partial_security.unknown' (FORMAT binary)
SELECT count(*) = 8 AS all_back FROM typed a JOIN typed b ON a.s::text = b.s::text WHERE a.what IS NULL AND b.what IS NOT NULL;
RESET ROLE;
DELETE FROM typed WHERE what IS NULL;
GRANT EXECUTE ON FUNCTION partial_state_in(cstring), partial_state_recv(internal) TO regress_partial_reader;
SET ROLE regress_partial_reader;
SELECT retype('unknown');
\copy typed (s) FROM 'results/partial_security.unknown' (FORMAT binary)
RESET ROLE;
REVOKE EXECUTE ON FUNCTION partial_state_in(cstring), partial_state_recv(internal) FROM regress_partial_reader;
DELETE FROM typed WHERE what IS NULL;

CREATE FUNCTION as_name(name text) RETURNS text LANGUAGE sql AS
    $$SELECT lpad(to_hex(octet_length(name)), 2, '0') || encode(name::bytea, 'hex')$$;
SET ROLE regress_partial_reader;
-- another spelling of pg_catalog.internal is none: it would pass for an ordinary type
SELECT replace(s::text, '00' || as_name('internal'), as_name('pg_catalog') || as_name('internal'))::partial_state
FROM typed WHERE what = 'unknown';
RESET ROLE;

-- states of other majors and of other machines

CREATE FUNCTION altered(state partial_state, pos int, hex text) RETURNS partial_state LANGUAGE sql
    AS $$SELECT overlay(state::text PLACING hex FROM pos * 2 + 1)::partial_state$$;
SELECT what, finalize(altered(s, 3, '12'), NULL::numeric) AS of_18 FROM typed WHERE what IN ('avg int8', 'sum');
SELECT finalize(altered(s, 3, '13'), NULL::numeric) AS of_19 FROM typed WHERE what = 'sum';
SELECT finalize(altered(s, 3, '13'), NULL::bigint) AS of_19 FROM typed WHERE what = 'count';
SELECT finalize(altered(s, 2, '01'), NULL::numeric) AS other_order FROM typed WHERE what = 'sum';
SELECT finalize(altered(s, 2, '01'), NULL::numeric) AS other_order FROM typed WHERE what = 'unknown';
SET ROLE regress_partial_reader;
SELECT finalize(altered(s, 3, '13'), NULL::numeric) AS of_19 FROM typed WHERE what = 'sum';
RESET ROLE;

-- not a state at all

SELECT ''::partial_state;
SELECT 'x'::partial_state;
SELECT '500'::partial_state;
SELECT '51010000'::partial_state;
SELECT '50020000'::partial_state;
SELECT '50018000'::partial_state;
SELECT '5001000f'::partial_state;
SELECT (s::text || '00')::partial_state FROM typed WHERE what = 'count';
SELECT overlay(s::text PLACING 'ffffffffffffffff' FROM length(s::text) - 15)::partial_state FROM typed WHERE what = 'sum';

-- well-formed, but no call could have made it: a pseudo-type for anyelement
CREATE FUNCTION larger(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS 'SELECT greatest($1, $2)';
CREATE AGGREGATE largest(anyelement) (SFUNC = larger, STYPE = anyelement, COMBINEFUNC = larger);
CREATE TABLE largest_states AS SELECT partial('largest(anyelement)', i) AS s FROM generate_series(1, 3) i;
SELECT finalize(s, NULL::int) FROM largest_states;
SELECT finalize(replace(s::text, as_name('int4'), as_name(name))::partial_state, NULL::int)
FROM largest_states, (VALUES ('internal')) v (name);
SELECT finalize(replace(s::text, as_name('int4'), as_name(name))::partial_state, NULL::int)
FROM largest_states, (VALUES ('cstring')) v (name);
SELECT finalize(replace(s::text, as_name('int4'), as_name(name))::partial_state, NULL::int)
FROM largest_states, (VALUES ('record')) v (name);
SELECT finalize(replace(s::text, as_name('int4'), as_name(name))::partial_state, NULL::int)
FROM largest_states, (VALUES ('int8')) v (name);

-- digits of a sum below its scale: a numeric of them would not be what it prints
CREATE TABLE sum_states AS SELECT partial('sum(numeric)', 1.25) AS s;
SELECT finalize(s, NULL::numeric), s::text ~ '00000002000109c4' AS two_decimals FROM sum_states;
SELECT replace(s::text, '00000002000109c4', '00000001000109c4')::partial_state FROM sum_states;
SELECT finalize(replace(s::text, '00000002000109c4', '00000001000107d0')::partial_state, NULL::numeric) FROM sum_states;

-- as many arguments as a call can have, and one more
CREATE AGGREGATE joined(VARIADIC "any") (SFUNC = concat_ws, STYPE = text, INITCOND = '-', COMBINEFUNC = textcat,
    FINALFUNC = format, FINALFUNC_EXTRA);
CREATE FUNCTION of_arguments(state partial_state, n int) RETURNS text LANGUAGE sql AS
    $$SELECT replace(state::text, '01' || '0000' || as_name('text'),
                     lpad(to_hex(n), 2, '0') || repeat('0000' || as_name('text'), n))$$;
CREATE TABLE joined_states AS SELECT partial('joined("any")', 'a'::text) AS s;
SELECT finalize(of_arguments(s, 99)::partial_state, NULL::text) FROM joined_states;
SELECT finalize(of_arguments(s, 100)::partial_state, NULL::text) FROM joined_states;

-- every truncation, every flipped bit, and random damage: an error or a value,
-- as an ordinary role and as a superuser, in every function

CREATE FUNCTION try_state(hex text, result text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state partial_state;
    ignored text;
BEGIN
    state := hex;
    BEGIN
        PERFORM to_jsonb(state);
        EXECUTE format('SELECT finalize($1, NULL::%s)::text', result) INTO ignored USING state;
        PERFORM merge(state, state), rollup(s) FROM (VALUES (state), (state)) v (s);
        RETURN 'value';
    EXCEPTION WHEN OTHERS THEN
        RETURN 'unusable';
    END;
EXCEPTION WHEN OTHERS THEN
    RETURN 'refused';
END $$;
CREATE TABLE results (what text PRIMARY KEY, result text);
INSERT INTO results VALUES ('count', 'bigint'), ('max', 'text'), ('avg int4', 'numeric'), ('avg int8', 'numeric'),
    ('var int4', 'numeric'), ('sum', 'numeric'), ('var', 'numeric'), ('array', 'int[]');
CREATE FUNCTION flip(state bytea, n int) RETURNS text LANGUAGE sql
    AS $$SELECT encode(set_bit(state, n, 1 - get_bit(state, n)), 'hex')$$;
CREATE VIEW damage AS
SELECT what, 'cut' AS how, try_state(left(s::text, n * 2), result) AS outcome
FROM typed JOIN results USING (what), generate_series(0, length(s::text) / 2 - 1) n
UNION ALL
SELECT what, 'flip', try_state(flip(decode(s::text, 'hex'), n), result)
FROM typed JOIN results USING (what), generate_series(0, length(s::text) * 4 - 1) n
UNION ALL
SELECT what, 'mess', try_state(flip(decode(flip(decode(s::text, 'hex'), (random() * (length(s::text) * 4 - 1))::int), 'hex'),
                                    (random() * (length(s::text) * 4 - 1))::int), result)
FROM typed JOIN results USING (what), generate_series(1, 500);
GRANT SELECT ON damage TO PUBLIC;
SET client_min_messages = error;
SET ROLE regress_partial_reader;
SELECT how, count(*) > 500 AS many, bool_or(outcome = 'value') AS some_values FROM damage GROUP BY how ORDER BY how;
RESET ROLE;
SELECT how, count(*) > 500 AS many, bool_or(outcome = 'value') AS some_values FROM damage GROUP BY how ORDER BY how;

SET client_min_messages = warning;
RESET SESSION AUTHORIZATION;
DROP SCHEMA evil, test_partial_security CASCADE;
REVOKE USAGE ON SCHEMA batchagg FROM PUBLIC;
DROP OWNED BY regress_partial_super, regress_partial_evil, regress_partial_reader, regress_partial_member, regress_partial_admin;
DROP ROLE regress_partial_super, regress_partial_evil, regress_partial_reader, regress_partial_member, regress_partial_admin;
