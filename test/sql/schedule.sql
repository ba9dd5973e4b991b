-- Schedules where there is no pg_cron: what is refused, and that nothing else is.
-- With pg_cron: test/t/076_schedule.pl.
CREATE TABLE scheduled (id int PRIMARY KEY);
SELECT batchagg.create_job($$it's \ odd$$, 'scheduled', 'SELECT $1, $2') IS NOT NULL AS created;
SELECT batchagg.schedule_job($$it's \ odd$$, '5 * * * *');
SELECT batchagg.unschedule_job($$it's \ odd$$);
SELECT batchagg.schedule_job('nobody', '5 * * * *');
SELECT batchagg.unschedule_job('nobody');
SELECT batchagg.schedule_job(NULL, '5 * * * *'), batchagg.unschedule_job(NULL);

-- all or nothing
\set SHOW_CONTEXT never
SELECT batchagg.create_job('later', 'scheduled', 'SELECT $1, $2', schedule => '5 * * * *');
SELECT batchagg.create_job('later', 'scheduled', 'SELECT $1, $2', schedule => '5 * * * *', dry_run => true);
SELECT batchagg.create_summary('later', 'SELECT count(*) FROM scheduled', schedule => '5 * * * *');
SELECT batchagg.create_summary('later', 'SELECT count(*) FROM scheduled', schedule => '5 * * * *', dry_run => true);
\set SHOW_CONTEXT errors
SELECT count(*) FROM batchagg.job;
SELECT count(*) FROM pg_class WHERE relname LIKE 'later%';

-- what looks like pg_cron is not called
SET cron.database_name = 'contrib_regression';
CREATE SCHEMA cron;
CREATE FUNCTION cron.schedule(text, text, text) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0';
CREATE TABLE cron.job (jobid bigint, jobname text, username text);
SELECT batchagg.schedule_job($$it's \ odd$$, '5 * * * *');
RESET cron.database_name;
SELECT batchagg.drop_job($$it's \ odd$$);

SET client_min_messages = warning;
DROP SCHEMA cron CASCADE;
DROP TABLE scheduled;
