# Throttles: each holds a run before its next batch and lets it go, on a server where
# what it looks at really happens: an archive_command that fails, an autovacuum worker
# at work.  The jobs are those of
# an ordinary role.  What a held run costs, and what may be done to it meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use HeldJob;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

$node = new_server(
	'throttles', q{
max_worker_processes = 12
batchagg.max_job_workers = 2
autovacuum = on
autovacuum_naptime = 1s
wal_level = replica
archive_mode = on
archive_command = 'true'
});

make_held_job(2);
sql(q{
	SET ROLE clerk;
	CREATE TABLE reason (why text);
	SELECT batchagg.create_job('other', 'source', batch_size => 100,
		command => 'SELECT count(*) FROM source WHERE id BETWEEN $1 AND $2');
});

# --------------------------------------------------------------- the user's query

throttle('{"query": "SELECT why FROM reason"}');
runs('a query without a row');
sql(q{INSERT INTO reason VALUES (NULL)});
runs('a query with NULL');
sql(q{UPDATE reason SET why = 'it''s month''s end'});
holds('a query', q{^query: it''s month''s end$});

# what a held run costs
my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'batchagg runner'});
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%'}), '1', 'a held run has its runner alone');
sub cpu_ticks { my @f = split / /, (slurp_file("/proc/$pid/stat") =~ /\) (.*)/)[0]; return $f[11] + $f[12] }
{
	my ($version, $ticks) = (sql("SELECT xmin, ctid FROM batchagg.run WHERE id = $run"), cpu_ticks());
	my $idle = sql(qq{
		CREATE TEMP TABLE looked (idle bool);
		DO \$\$ BEGIN FOR i IN 1..60 LOOP
			PERFORM pg_sleep(0.05);
			PERFORM pg_stat_clear_snapshot();
			INSERT INTO looked SELECT state = 'idle' AND xact_start IS NULL AND backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid;
		END LOOP; END \$\$;
		SELECT count(*) FILTER (WHERE idle) FROM looked});
	cmp_ok($idle, '>=', 40, 'it has no transaction and no snapshot but for an instant');
	cmp_ok(cpu_ticks() - $ticks, '<=', 30, 'in three seconds it takes less than a tenth of a processor');
	is(sql("SELECT xmin, ctid FROM batchagg.run WHERE id = $run"), $version, 'and writes nothing');
}
is(sql(qq{SELECT status, is_alive, workers, batches_done, eta IS NULL, started_at IS NULL FROM batchagg.progress WHERE run_id = $run}),
	'running|t|0|0|t|t', 'what progress says of it');
is(sql(q{SELECT state, hold_reason FROM batchagg.job_status WHERE job = 'held'}), q{holding|query: it's month's end}, 'and job_status');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = 0}), '0', 'it keeps no other from working');

# it may be paused, altered and cancelled
sql(q{SELECT batchagg.pause_job('held')});
no_process_left($node, 'a pause of a held run');
is(sql("SELECT status FROM batchagg.run WHERE id = $run"), 'paused', 'paused');
sql(q{UPDATE reason SET why = 'still'});
is(sql(q{SELECT batchagg.resume_job('held')}), $run, 'resumed');
ok(poll("SELECT hold_reason = 'query: still' FROM batchagg.progress WHERE run_id = $run"), 'it holds again');
sql(q{DELETE FROM reason});
goes_on('a query that has no reason any more');

sql(q{INSERT INTO reason VALUES ('cancel me')});
holds('a query', '^query: cancel me$');
is(sql("SELECT batchagg.cancel_run($run)"), 't', 'a held run is cancelled');
no_process_left($node, 'a cancel of a held run');
holds('a query', '^query: cancel me$');
throttle('{}');
goes_on('a throttle taken away');

# true, errors, writes, timeouts
throttle('{"query": "SELECT true FROM reason"}');
holds('a query that is true', '^query: its answer is true$');
sql(q{DELETE FROM reason});
goes_on('a query that is true');

sql(q{CREATE FUNCTION asked() RETURNS boolean LANGUAGE sql AS 'SELECT 1 / count(*) > 5 FROM reason'});
throttle('{"query": "SELECT asked()"}');
holds('a query that fails', '^query: it failed with 22012, division by zero$');
sql(q{CREATE OR REPLACE FUNCTION asked() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO reason VALUES ('x'); RETURN false; END $$});
ok(poll("SELECT hold_reason = 'query: it failed with 25006, cannot execute INSERT in a read-only transaction' FROM batchagg.run WHERE id = $run", 't'),
	'a query may not write') or diag(sql("SELECT hold_reason FROM batchagg.run WHERE id = $run"));
is(sql(q{SELECT count(*) FROM reason}), '0', 'and has not');
sql(q{SELECT batchagg.alter_job('held', statement_timeout => '100 ms');
	CREATE OR REPLACE FUNCTION asked() RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(100) IS NULL'});
ok(poll("SELECT hold_reason = 'query: it failed with 57014, canceling statement due to statement timeout' FROM batchagg.run WHERE id = $run"),
	'a query may not take long') or diag(sql("SELECT hold_reason FROM batchagg.run WHERE id = $run"));
sql(q{SELECT batchagg.alter_job('held', statement_timeout => '0');
	CREATE OR REPLACE FUNCTION asked() RETURNS boolean LANGUAGE sql AS 'SELECT current_user = ''clerk'' AND NOT pg_has_role(session_user, ''pg_monitor'', ''USAGE'')'});
ok(poll("SELECT hold_reason = 'query: its answer is true' FROM batchagg.run WHERE id = $run"), 'it is asked as the owner');
sql(q{DROP FUNCTION asked()});
ok(poll("SELECT hold_reason LIKE 'query: it failed with 42883, function asked() does not exist' FROM batchagg.run WHERE id = $run"), 'a query whose function is gone');
sql(q{CREATE FUNCTION asked() RETURNS boolean LANGUAGE sql AS 'SELECT false'});
goes_on('a query that does not fail any more');
is(sql("SELECT count(*) FROM batchagg.job_errors WHERE run_id = $run"), '0', 'and the run is none the worse');

# a held run leaves its place among batchagg.max_job_workers to others
throttle(q({"query": "SELECT 'all held'"}));
holds('two of two', '^query: all held$');
sql(q{SET ROLE clerk; SELECT batchagg.create_job('held too', 'source', command => 'SELECT $1, $2', throttle => '{"query": "SELECT true"}');
	SELECT batchagg.start_job('held too')});
ok(poll(q{SELECT bool_or(hold_reason = 'query: its answer is true') FROM batchagg.progress WHERE job = 'held too'}), 'a second job holds');
is(($node->psql('postgres', q{CALL batchagg.run_job('other')}))[0], 0, 'a third one runs beside as many held runs as there may be processes');
sql(q{SELECT batchagg.drop_job('held too')});
throttle('{}');
goes_on('two of two');

# ------------------------------------------------------------------- time window

{
	# a zone in which it is now the given hour
	sub zone_at
	{
		my ($hour) = @_;
		my $offset = ($hour - (gmtime)[2] + 12) % 24 - 12;
		return sprintf 'Etc/GMT%+d', -$offset;
	}
	my ($night, $noon, $small) = (zone_at(23), zone_at(12), zone_at(2));
	throttle(qq({"time_window": "22:00-06:00 $night"}));
	runs('before midnight in a window across it');
	throttle(qq({"time_window": "22:00-06:00 $small"}));
	runs('after midnight in a window across it');
	throttle(qq({"time_window": "22:00-06:00 $noon"}));
	holds('at noon', '^time_window: batches start in 22:00-06:00 Etc/GMT[-+0-9]+ only$');
	throttle(qq({"time_window": "10:00-16:00 $night"}));
	ok(poll("SELECT hold_reason ~ '^time_window: batches start in 10:00-16:00' FROM batchagg.run WHERE id = $run"), 'at night, in a window of the day, as well');
	throttle(qq({"time_window": "10:00-16:00 $noon"}));
	goes_on('at noon in a window of the day');
	throttle(qq({"time_window": "10:00-12:00 $noon"}));
	holds('at the end of a window, which is not part of it', '^time_window: ');
	throttle(qq({"time_window": "12:00-24:00 $noon"}));
	goes_on('at the start of a window');
}

# --------------------------------------------------------------- active sessions

throttle('{"active_sessions": 1}');
{
	my @sessions = map { start_psql($node, 'SELECT pg_sleep(200)') } 1 .. 2;
	my $idle = $node->background_psql('postgres');
	$idle->query_safe('BEGIN');
	poll(q{SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
	holds('two active sessions', '^active_sessions: [23] sessions are active, more than 1$');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
	goes_on('idle sessions do not count');
	finish_psql($_) for @sessions;
	$idle->quit;

	# nobody but the one who waits; were that one counted this would never end
	throttle('{"active_sessions": 0}');
	sql('TRUNCATE seen');
	my $waiting = start_psql($node, q{CALL batchagg.run_job('held')});
	is((finish_psql($waiting))[0], 'none', 'a session that waits in run_job is not counted');
	is(sql($exact), 't', 'each row once');
}

# ---------------------------------------------------------------------- WAL rate

throttle('{"wal_rate": "2 MB"}');
sql(q{SELECT batchagg.alter_job('held', command =>
	'INSERT INTO seen SELECT s.* FROM source s, pg_logical_emit_message(false, ''x'', repeat(''x'', 1500000)), pg_sleep(0.2) WHERE id BETWEEN $1 AND $2')});
{
	sql('TRUNCATE seen');
	my ($lsn, $start) = (sql('SELECT pg_current_wal_insert_lsn()'), time);
	$run = sql(q{SET ROLE clerk; SELECT batchagg.start_job('held')});
	ok(poll("SELECT hold_reason ~ '^wal_rate: WAL was written faster than 2 MB a second, which takes [0-9.]+ s to make up for' FROM batchagg.run WHERE id = $run"),
		'WAL rate: holds');
	goes_on('WAL rate');
	my $rate = sql("SELECT pg_current_wal_insert_lsn() - '$lsn'") / (time - $start);
	cmp_ok($rate, '<', 3.5 * 1024 * 1024, 'the rate of the whole run is about the limit');
}
sql(q{SELECT batchagg.alter_job('held', command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')});

# --------------------------------------------------------------- archive backlog

throttle('{"archive_backlog": 2}');
sub switch_wal { sql(q{SELECT pg_logical_emit_message(true, 'x', 'y'); SELECT pg_switch_wal()}) for 1 .. $_[0] }
sql(q{ALTER SYSTEM SET archive_command = 'false'; SELECT pg_reload_conf()});
poll(q{SELECT setting = 'false' FROM pg_settings WHERE name = 'archive_command'});
switch_wal(4);
holds('a failing archive_command', '^archive_backlog: more than 2 WAL files wait to be archived$');
sql(q{ALTER SYSTEM SET archive_command = 'true'; SELECT pg_reload_conf()});
switch_wal(1);
goes_on('an archive_command that works');

# -------------------------------------------------------------------- autovacuum

throttle('{"autovacuum": true}');
sql(q{SET ROLE clerk;
	CREATE TABLE vacuumed (id int PRIMARY KEY, k int) PARTITION BY RANGE (id);
	CREATE TABLE vacuumed_1 PARTITION OF vacuumed FOR VALUES FROM (0) TO (1000000)
		WITH (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_insert_threshold = -1,
			autovacuum_analyze_threshold = 1000000000, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
	INSERT INTO vacuumed SELECT n, 0 FROM generate_series(1, 50000) n;
	DELETE FROM vacuumed WHERE id % 2 = 0;
	SELECT batchagg.create_job('vacuumed', 'vacuumed', batch_size => 10000, throttle => '{"autovacuum": true}',
		command => 'SELECT count(*) FROM vacuumed WHERE id BETWEEN $1 AND $2')});
ok(poll(q{SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
	WHERE p.relid = 'vacuumed_1'::regclass AND backend_type = 'autovacuum worker')}), 'a partition is being vacuumed, slowly');
runs('while another table is vacuumed');
$run = sql(q{SET ROLE clerk; SELECT batchagg.start_job('vacuumed')});
ok(poll("SELECT hold_reason = 'autovacuum: the table is being vacuumed' FROM batchagg.run WHERE id = $run"), 'autovacuum: holds');
sql(q{ALTER TABLE vacuumed_1 SET (autovacuum_enabled = off)});   # which cancels it
ok(poll("SELECT status = 'done' FROM batchagg.run WHERE id = $run"), 'autovacuum: goes on');
is(sql("SELECT rows_done FROM batchagg.job_status WHERE job = 'vacuumed'"), '25000', 'with all batches');

no_process_left($node, 'all of it');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');

$node->stop;
done_testing();
