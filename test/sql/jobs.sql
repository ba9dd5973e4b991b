-- Jobs: what create_job and the others accept and refuse, who may, what stays on
-- record. Whole runs are in test/t/070_jobs.pl.
SET client_min_messages = warning;
CREATE TABLE things (id int PRIMARY KEY, at timestamptz, note text, u uuid NOT NULL UNIQUE);
INSERT INTO things SELECT n, now(), 'x', md5(n::text)::uuid FROM generate_series(1, 100) n;
CREATE TABLE copies (id int);
CREATE TABLE no_key (n int);
CREATE TABLE two_keys (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE by_unique (n int, m int NOT NULL UNIQUE);
CREATE VIEW seen_things AS SELECT * FROM things;
CREATE TABLE points (p point);
ANALYZE things;
RESET client_min_messages;

-- the key where none is named
SELECT batchagg.create_job('k1', 'things', 'SELECT $1, $2');
SELECT batchagg.create_job('k2', 'no_key', 'SELECT $1, $2');
SELECT batchagg.create_job('k3', 'two_keys', 'SELECT $1, $2');
SELECT batchagg.create_job('k4', 'by_unique', 'SELECT $1, $2');
SELECT batchagg.create_job('k5', 'seen_things', 'SELECT $1, $2');
SELECT name, key FROM batchagg.job ORDER BY name;

-- arguments
SELECT batchagg.create_job(NULL, 'things', 'SELECT $1, $2');
SELECT batchagg.create_job('', 'things', 'SELECT $1, $2');
SELECT batchagg.create_job(repeat('n', 64), 'things', 'SELECT $1, $2');
SELECT batchagg.create_job('k1', 'things', 'SELECT $1, $2');
SELECT batchagg.create_job('x', NULL, 'SELECT $1, $2');
SELECT batchagg.create_job('x', 'things', NULL);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', batch_size => 0);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', batch_size => -5);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', batch_size => 9223372036854775807);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', min_batch_size => 100, max_batch_size => 10);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', workers => 0);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', workers => NULL);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', target_time => '-1 s');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', retry_delay => NULL);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', max_attempts => 0);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', max_skipped => -1);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', mode => 'sometimes');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', key => 'nothing');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', key => 'xmin');
SELECT batchagg.create_job('x', 'points', 'SELECT $1, $2', key => 'p');
SELECT batchagg.create_job('x', 'seen_things', 'SELECT $1, $2', key => 'ctid');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', key => 'ctid', mode => 'incremental');
SELECT batchagg.create_job('x', 'seen_things', 'SELECT $1, $2', key => 'id', mode => 'incremental');
CREATE TEMP TABLE fleeting (id int PRIMARY KEY);
SELECT batchagg.create_job('x', 'fleeting', 'SELECT $1, $2');

-- commands
SELECT batchagg.create_job('x', 'things', 'SELECT 1 WHERE $1 > 0');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2; SELECT 1');
SELECT batchagg.create_job('x', 'things', '');
SELECT batchagg.create_job('x', 'things', 'VACUUM things');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2 INTO kept');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2, $3');
SELECT batchagg.create_job('x', 'things', 'SELEC $1, $2');
SELECT batchagg.create_job('x', 'things', 'INSERT INTO missing VALUES ($1, $2)');
SELECT batchagg.create_job('x', 'things', 'SELECT $1 = ''a'', $2');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', null_command => 'SELECT $1');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', before_command => 'TRUNCATE copies');
-- by the key's type: $1 and $2 are timestamptz
SELECT batchagg.create_job('x', 'things', 'INSERT INTO copies SELECT id FROM things WHERE at BETWEEN $1 AND $2 + interval ''0''', key => 'at') IS NOT NULL;
SELECT batchagg.drop_job('x');

-- rows with a NULL key are never left out in silence
INSERT INTO things VALUES (101, NULL, 'y', md5('101')::uuid);
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', key => 'at');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', key => 'at', mode => 'incremental', null_command => 'SELECT');
SELECT batchagg.create_job('x', 'things', 'SELECT $1, $2', key => 'at', null_command => 'SELECT') IS NOT NULL;
SELECT batchagg.drop_job('x');
DELETE FROM things WHERE id = 101;

-- a dry run shows batches and the first plan, and stores nothing
SELECT batchagg.create_job('x', 'things', 'INSERT INTO copies SELECT 1 FROM generate_series(1, 1) n WHERE n BETWEEN $1 AND $2', batch_size => 30, dry_run => true);
SELECT batchagg.create_job('x', 'no_key', 'SELECT $1, $2', dry_run => true);
SELECT count(*) FROM batchagg.job WHERE name = 'x';

-- altering
SELECT batchagg.alter_job('nobody', workers => 2);
SELECT batchagg.alter_job('k1', workers => 0);
SELECT batchagg.alter_job('k1', batch_size => -5);
SELECT batchagg.alter_job('k1', command => 'SELECT 1');
SELECT batchagg.alter_job('k1', workers => 3, target_time => '2 s', statement_timeout => '1 min', lock_timeout => '5 s', max_skipped => 7,
	max_attempts => 2, retry_delay => '3 s', min_batch_size => 10, max_batch_size => 1000, batch_size => 50, command => 'SELECT $2, $1');
SELECT * FROM batchagg.job WHERE name = 'k1' \gset job_
SELECT :job_workers, :'job_target_time', :'job_statement_timeout', :'job_lock_timeout', :job_max_skipped, :job_max_attempts, :'job_retry_delay',
	:job_min_batch_size, :job_max_batch_size, :job_batch_size, :'job_command';
SELECT batchagg.alter_job('k1', target_time => '0', statement_timeout => '0');
SELECT target_time, statement_timeout FROM batchagg.job WHERE name = 'k1';
-- NULL stays; what may be absent goes by 0, by '' and by {}
SELECT batchagg.alter_job('k1', null_command => 'SELECT 1', before_command => 'SELECT 2', after_command => 'SELECT 3', throttle => '{"active_sessions": 9}', batch_size => 60);
SELECT batchagg.alter_job('k1', null_command => NULL, workers => 2);
SELECT batch_size, lock_timeout, null_command, before_command, after_command, throttle FROM batchagg.job WHERE name = 'k1';
SELECT batchagg.alter_job('k1', batch_size => 0, lock_timeout => '0', null_command => '', before_command => '', after_command => '', throttle => '{}');
SELECT batch_size, lock_timeout, null_command, before_command, after_command, throttle FROM batchagg.job WHERE name = 'k1';
SELECT batchagg.alter_job('k1', command => '');

-- who may
SET client_min_messages = warning;
CREATE ROLE regress_job_owner LOGIN;
CREATE ROLE regress_job_other LOGIN;
CREATE ROLE regress_job_member LOGIN IN ROLE regress_job_owner;
RESET client_min_messages;
GRANT USAGE ON SCHEMA batchagg TO regress_job_owner, regress_job_other, regress_job_member;
SET ROLE regress_job_owner;
SELECT batchagg.create_job('mine', 'things', 'SELECT $1, $2');
RESET ROLE;
GRANT SELECT ON things TO regress_job_owner;
SET ROLE regress_job_owner;
SELECT batchagg.create_job('mine', 'things', 'INSERT INTO copies SELECT id FROM things WHERE id BETWEEN $1 AND $2');
SELECT batchagg.create_job('mine', 'things', 'SELECT id FROM things WHERE id BETWEEN $1 AND $2') IS NOT NULL;
SELECT * FROM batchagg.job;
SELECT * FROM batchagg.run;
SELECT * FROM batchagg.task;
SET ROLE regress_job_other;
SELECT batchagg.start_job('mine');
CALL batchagg.run_job('mine');
SELECT batchagg.alter_job('mine', workers => 2);
SELECT batchagg.pause_job('mine');
SELECT batchagg.resume_job('mine');
SELECT batchagg.drop_job('mine');
SET ROLE regress_job_member;
SELECT batchagg.pause_job('mine');
SELECT batchagg.start_job('mine');
SELECT batchagg.resume_job('mine');
RESET ROLE;
-- a superuser alters it as its owner, with the owner's privileges
SELECT batchagg.alter_job('mine', command => 'INSERT INTO copies SELECT id FROM things WHERE id BETWEEN $1 AND $2');
SELECT owner FROM batchagg.job WHERE name = 'mine';

-- things that are not there
SELECT batchagg.start_job('nobody');
SELECT batchagg.cancel_run(-1);
SELECT batchagg.retry_task(-1);
SELECT batchagg.skip_task(-1);
SELECT batchagg.start_job(NULL);
CALL batchagg.run_job(NULL);
SELECT batchagg.purge_history('1 day');

-- names are data
SELECT batchagg.create_job($$it's "odd"; \ é %s$$, 'things', 'SELECT $1, $2') IS NOT NULL;
CALL batchagg.run_job($$it's "odd"; \ é %s$$);
SELECT batchagg.drop_job($$it's "odd"; \ é %s$$);

-- names are looked up where they were at creation, and shadowing core's changes nothing
CREATE SCHEMA regress_shadow;
CREATE FUNCTION regress_shadow.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE FUNCTION regress_shadow.eq(int8, int8) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE FUNCTION regress_shadow.ge(int4, int4) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$;
CREATE OPERATOR regress_shadow.= (LEFTARG = int8, RIGHTARG = int8, FUNCTION = regress_shadow.eq);
CREATE OPERATOR regress_shadow.>= (LEFTARG = int4, RIGHTARG = int4, FUNCTION = regress_shadow.ge);
CREATE TABLE regress_shadow.copies (id int);
SET search_path = regress_shadow, pg_catalog, public;
SELECT batchagg.create_job('shadow', 'things', 'INSERT INTO copies SELECT id FROM things WHERE id OPERATOR(pg_catalog.>=) $1 AND id <= $2', batch_size => 40) IS NOT NULL;
RESET search_path;
CALL batchagg.run_job('shadow');
SELECT (SELECT count(*) FROM regress_shadow.copies), (SELECT count(*) FROM copies);
SELECT batchagg.drop_job('shadow');

-- a definition may be rolled back
BEGIN;
SELECT batchagg.create_job('brief', 'things', 'SELECT $1, $2') IS NOT NULL;
SELECT batchagg.start_job('brief') IS NOT NULL;
ROLLBACK;
SELECT batchagg.drop_job('brief');

SET client_min_messages = warning;
SELECT batchagg.drop_job(name) FROM batchagg.job;
SELECT count(*) FROM batchagg.run;
DROP SCHEMA regress_shadow CASCADE;
DROP TABLE things, copies, no_key, two_keys, by_unique, points CASCADE;
DROP OWNED BY regress_job_owner, regress_job_other, regress_job_member;
DROP ROLE regress_job_member, regress_job_owner, regress_job_other;
