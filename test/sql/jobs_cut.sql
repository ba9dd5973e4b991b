-- Jobs: relations and keys that are not what they seem. Nothing is left out.
SET client_min_messages = warning;
SET search_path = public;
CREATE TABLE counted (n bigint);

-- a child's TIDs are its own
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO child SELECT n, n FROM generate_series(1, 100) n;
SELECT batchagg.create_job('inherited', 'parent', 'SELECT $1, $2');
SELECT batchagg.create_summary('inherited', 'SELECT count(*) FROM parent', mode => 'once');
SELECT batchagg.create_job('inherited', 'parent', key => 'a', null_command => 'SELECT', batch_size => 30,
	command => 'INSERT INTO counted SELECT count(*) FROM parent WHERE a BETWEEN $1 AND $2') IS NOT NULL;
CALL batchagg.run_job('inherited');
SELECT count(*), sum(n) FROM counted;
ALTER TABLE child NO INHERIT parent;
SELECT batchagg.create_job('disinherited', 'parent', 'SELECT $1, $2') IS NOT NULL;
ALTER TABLE child INHERIT parent;
\set VERBOSITY sqlstate
CALL batchagg.run_job('disinherited');
\set VERBOSITY default
SELECT last_status, message FROM batchagg.job_status WHERE job = 'disinherited';

-- a row is a key also if there is a NULL in it, which IS NOT NULL denies; the last key is such a one
CREATE TYPE pair AS (x int, y int);
CREATE TABLE pairs (k pair);
INSERT INTO pairs SELECT ROW(n, nullif(n, n / 10 * 10))::pair FROM generate_series(1, 100) n;
INSERT INTO pairs VALUES (ROW(NULL, NULL)), (NULL), (NULL);
TRUNCATE counted;
SELECT batchagg.create_job('pairs', 'pairs', key => 'k', batch_size => 30,
	command => 'INSERT INTO counted SELECT count(*) FROM pairs WHERE k BETWEEN $1 AND $2',
	null_command => 'INSERT INTO counted SELECT count(*) FROM pairs WHERE k IS NOT DISTINCT FROM NULL') IS NOT NULL;
CALL batchagg.run_job('pairs');
SELECT count(*), sum(n) FROM counted;
SELECT batchagg.create_summary('pairs_counted', 'SELECT count(*), count(k) AS keys FROM pairs', key => 'k', mode => 'once', batch_size => 30) IS NOT NULL;
CALL batchagg.run_job('pairs_counted');
SELECT * FROM pairs_counted;

-- integers stay in order whatever their width; as text they do not
CREATE TABLE retyped (k int PRIMARY KEY);
INSERT INTO retyped SELECT generate_series(1, 20);
TRUNCATE counted;
SELECT batchagg.create_job('retyped', 'retyped', mode => 'incremental',
	command => 'INSERT INTO counted SELECT count(*) FROM retyped WHERE k BETWEEN $1 AND $2') IS NOT NULL;
CALL batchagg.run_job('retyped');
ALTER TABLE retyped ALTER k TYPE bigint;
INSERT INTO retyped SELECT generate_series(100, 110);
CALL batchagg.run_job('retyped');
SELECT sum(n) FROM counted;
ALTER TABLE retyped ALTER k TYPE text;
INSERT INTO retyped SELECT generate_series(120, 130);
\set VERBOSITY sqlstate
CALL batchagg.run_job('retyped');
\set VERBOSITY default
SELECT last_status, message, hint FROM batchagg.job_status WHERE job = 'retyped';
SELECT sum(n) FROM counted;

-- another collation is another order: "a" stands behind "B" in one and before it in others
CREATE TABLE worded (k text COLLATE "C" PRIMARY KEY);
INSERT INTO worded VALUES ('B'), ('a');
TRUNCATE counted;
SELECT batchagg.create_job('worded', 'worded', mode => 'incremental',
	command => 'INSERT INTO counted SELECT count(*) FROM worded WHERE k BETWEEN $1 AND $2') IS NOT NULL;
CALL batchagg.run_job('worded');
ALTER TABLE worded ALTER k TYPE varchar COLLATE "C";
INSERT INTO worded VALUES ('c');
CALL batchagg.run_job('worded');
SELECT sum(n) FROM counted;
ALTER TABLE worded ALTER k TYPE text COLLATE "default";
INSERT INTO worded VALUES ('d');
\set VERBOSITY sqlstate
CALL batchagg.run_job('worded');
\set VERBOSITY default
SELECT last_status, message, hint FROM batchagg.job_status WHERE job = 'worded';
SELECT detail FROM batchagg.job_errors WHERE job = 'worded';
SELECT batchagg.alter_job('worded', workers => 2);
SELECT sum(n) FROM counted;

-- who writes to a foreign partition cannot be waited for, whenever it is attached
CREATE FOREIGN DATA WRAPPER regress_nowhere;
CREATE SERVER regress_nowhere FOREIGN DATA WRAPPER regress_nowhere;
CREATE TABLE parted (k int NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE parted_here PARTITION OF parted FOR VALUES FROM (0) TO (100);
INSERT INTO parted SELECT generate_series(1, 20);
TRUNCATE counted;
SELECT batchagg.create_job('parted', 'parted', key => 'k', mode => 'incremental',
	command => 'INSERT INTO counted SELECT count(*) FROM parted_here WHERE k BETWEEN $1 AND $2') IS NOT NULL;
CREATE FOREIGN TABLE parted_far PARTITION OF parted FOR VALUES FROM (100) TO (200) SERVER regress_nowhere;
SELECT batchagg.create_job('parted_2', 'parted', key => 'k', mode => 'incremental', command => 'SELECT $1, $2');
SELECT batchagg.create_summary('parted_2', 'SELECT count(*) FROM parted', key => 'k');
\set VERBOSITY sqlstate
CALL batchagg.run_job('parted');
\set VERBOSITY default
SELECT last_status, message, hint FROM batchagg.job_status WHERE job = 'parted';
ALTER TABLE parted DETACH PARTITION parted_far;
CALL batchagg.run_job('parted');
SELECT sum(n) FROM counted;
DROP FOREIGN DATA WRAPPER regress_nowhere CASCADE;

-- purge_history leaves the runs of others alone, also for the time of its transaction
CREATE ROLE regress_purger;
GRANT USAGE ON SCHEMA batchagg TO regress_purger;
BEGIN;
SET LOCAL ROLE regress_purger;
SELECT batchagg.purge_history('0');
RESET ROLE;
SELECT count(*) > 0 AS has_runs, count(*) FILTER (WHERE xmax = pg_current_xact_id()::xid) AS locked FROM batchagg.run;
ROLLBACK;
DROP OWNED BY regress_purger;
DROP ROLE regress_purger;

SELECT batchagg.drop_job(name) FROM batchagg.job;
DROP TABLE child, parent, pairs, retyped, worded, parted, counted;
DROP TYPE pair;
