-- Throttles: what is taken, how it is kept, what is refused. Holding and letting go
-- is in test/t/077_throttles.pl.
SET client_min_messages = warning;
CREATE TABLE goods (id int PRIMARY KEY);
INSERT INTO goods SELECT generate_series(1, 10);
CREATE ROLE regress_throttle_owner LOGIN;
GRANT USAGE ON SCHEMA batchagg TO regress_throttle_owner;
GRANT SELECT ON goods TO regress_throttle_owner;
RESET client_min_messages;
SET TIME ZONE 'Europe/Berlin';

-- what is kept: the zone is that of the session where none is given, false is none
SELECT batchagg.create_job('all', 'goods', 'SELECT $1, $2', throttle => '{
	"query": "SELECT count(*) > 100 FROM goods", "autovacuum": true, "active_sessions": 20, "archive_backlog": 0,
	"wal_rate": "50 MB", "replication_lag": "10 s", "time_window": "22:00-06:00"}') IS NOT NULL AS created;
SELECT jsonb_pretty(throttle) FROM batchagg.job WHERE name = 'all';
SELECT batchagg.alter_job('all', workers => 2);
SELECT throttle ->> 'time_window' AS stays FROM batchagg.job WHERE name = 'all';
SELECT batchagg.alter_job('all', throttle => '{"autovacuum": false, "replication_lag": "16MB", "time_window": "00:00-24:00 UTC"}');
SELECT batchagg.alter_job('all', throttle => '{"autovacuum": false, "replication_lag": "16MB", "time_window": "08:30-24:00 UTC"}');
SELECT throttle FROM batchagg.job WHERE name = 'all';
SELECT batchagg.alter_job('all', throttle => '{}');
SELECT throttle IS NULL AS none FROM batchagg.job WHERE name = 'all';
SELECT batchagg.alter_job('all', throttle => '{"query": "SELECT ''no'' WHERE false", "wal_rate": "1.5GB"}');
SELECT throttle FROM batchagg.job WHERE name = 'all';
SELECT batchagg.alter_job('all', throttle => '{"autovacuum": false}');
SELECT throttle IS NULL AS none FROM batchagg.job WHERE name = 'all';

-- one bad value after the other; each says what to write
CREATE FUNCTION refused(throttle jsonb) RETURNS TABLE (state text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM batchagg.alter_job('all', throttle => refused.throttle);
	message := 'taken';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT;
END $$;
\x
\pset tuples_only
SELECT throttle, r.* FROM (VALUES
	(1, '[]'), (2, '"autovacuum"'), (3, '20'), (4, '{"lag": "10 s"}'), (5, '{"Autovacuum": true}'), (6, '{"": true}'),
	(10, '{"replication_lag": 10}'), (11, '{"replication_lag": "10"}'), (12, '{"replication_lag": "10 parsecs"}'),
	(13, '{"replication_lag": "-10 s"}'), (14, '{"replication_lag": ""}'), (15, '{"replication_lag": null}'),
	(16, '{"replication_lag": ["10 s"]}'), (17, '{"replication_lag": {"s": 10}}'), (18, '{"replication_lag": "0 s"}'),
	(20, '{"wal_rate": "50"}'), (21, '{"wal_rate": "50 MB/s"}'), (22, '{"wal_rate": "10 s"}'), (23, '{"wal_rate": "0 MB"}'),
	(24, '{"wal_rate": "nan MB"}'), (25, '{"wal_rate": "inf MB"}'), (26, '{"wal_rate": "1e300 TB"}'),
	(30, '{"active_sessions": "20"}'), (31, '{"active_sessions": -1}'), (32, '{"active_sessions": 1.5}'),
	(33, '{"active_sessions": 1e300}'), (34, '{"archive_backlog": true}'), (35, '{"archive_backlog": [1, 2]}'),
	(40, '{"autovacuum": "yes"}'), (41, '{"autovacuum": 1}'), (42, '{"autovacuum": {}}'),
	(50, '{"time_window": "22:00"}'), (51, '{"time_window": "22-06"}'), (52, '{"time_window": "24:01-06:00"}'),
	(53, '{"time_window": "22:60-06:00"}'), (54, '{"time_window": "06:00-06:00"}'), (55, '{"time_window": "22:00-06:00 Mars/Base"}'),
	(56, '{"time_window": "22:00-06:00CET"}'), (57, '{"time_window": "22:00-06:00 "}'), (58, '{"time_window": "22:00 - 06:00"}'),
	(59, '{"time_window": "9:00-17:00"}'), (60, '{"time_window": 22}'), (61, '{"time_window": "1"}'),
	(70, '{"query": true}'), (71, '{"query": ""}'), (72, '{"query": "SELEC true"}'), (73, '{"query": "SELECT true; SELECT true"}'),
	(74, '{"query": "SELECT 1"}'), (75, '{"query": "SELECT true, false"}'), (76, '{"query": "SELECT"}'), (77, '{"query": "DELETE FROM goods RETURNING true"}'),
	(78, '{"query": "WITH d AS (DELETE FROM goods RETURNING true) SELECT true FROM d"}'), (79, '{"query": "SELECT true FROM goods FOR UPDATE"}'),
	(80, '{"query": "VACUUM goods"}'), (81, '{"query": "SELECT $1"}'), (82, '{"query": "SELECT true INTO other"}'), (83, '{"query": "SELECT now()"}'),
	(84, '{"query": "SELECT true FROM nowhere"}'), (85, '{"query": "SELECT count(*) > 1 FROM pg_authid"}'),
	(90, '{"query": "SELECT id > 5 FROM goods ORDER BY id DESC"}'), (91, '{"query": "SELECT ''a''::varchar(3)"}'), (92, '{"query": "VALUES (NULL::text)"}')
) AS v (n, throttle), refused(throttle::jsonb) AS r ORDER BY n;
\x
\pset tuples_only
SELECT throttle FROM batchagg.job WHERE name = 'all';

-- of two members of one name the last counts, as JSON has it
SELECT batchagg.alter_job('all', throttle => '{"active_sessions": 1, "active_sessions": 2}');
SELECT throttle FROM batchagg.job WHERE name = 'all';

-- a query is the owner's: looked at with the owner's privileges
SET ROLE regress_throttle_owner;
SELECT batchagg.create_job('theirs', 'goods', 'SELECT $1, $2', throttle => '{"query": "SELECT count(*) > 1 FROM pg_authid"}');
SELECT batchagg.create_job('theirs', 'goods', 'SELECT $1, $2', throttle => '{"query": "SELECT count(*) > 100 FROM goods"}') IS NOT NULL AS created;
RESET ROLE;
SELECT batchagg.alter_job('theirs', throttle => '{"query": "SELECT count(*) > 1 FROM pg_authid"}');
SELECT throttle FROM batchagg.job WHERE name = 'theirs';

-- a summary's job has them as well
SELECT batchagg.create_summary('summed', 'SELECT count(*) FROM goods', throttle => '{"lag": 1}');
SELECT batchagg.create_summary('summed', 'SELECT count(*) FROM goods', throttle => '{"active_sessions": 50}') IS NOT NULL AS created;
SELECT throttle FROM batchagg.job WHERE name = 'summed';
SELECT batchagg.alter_job('summed', throttle => '{}');
SELECT throttle IS NULL AS none FROM batchagg.job WHERE name = 'summed';

SET client_min_messages = warning;
SELECT batchagg.drop_job(name) FROM batchagg.job;
DROP TABLE goods;
DROP FUNCTION refused;
DROP OWNED BY regress_throttle_owner;
DROP ROLE regress_throttle_owner;
