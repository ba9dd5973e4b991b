# What may happen to the processes of a run and to what it needs: terminated,
# killed, a stopped server, a standby; tables, roles, the database or the
# extension dropped; no slots.  After each: each row was counted exactly once, or
# the run has a clear end; nothing is left.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'crashes', q{
restart_after_crash = on
max_worker_processes = 8
batchagg.max_job_workers = 4
autovacuum = off
max_prepared_transactions = 2
}, allows_streaming => 1);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# The server may be in the middle of a restart.
sub wait_until
{
	my ($query, $what, $database) = @_;
	return ok($node->poll_query_until($database // 'postgres', $query), $what);
}

# A job over 4000 rows in 40 batches of about 50 ms each.
my $setup = q{
	CREATE TABLE source (id int PRIMARY KEY, k int);
	INSERT INTO source SELECT n, n % 7 FROM generate_series(1, 4000) n;
	CREATE TABLE seen (id int, k int);
	SELECT batchagg.create_job('j', 'source', batch_size => 100, workers => 2, retry_delay => '10 ms', command =>
		'INSERT INTO seen SELECT s.* FROM source s, pg_sleep(0.05) WHERE id BETWEEN $1 AND $2');
};
sql($setup);
my $exact = q{SELECT count(*) = 4000 AND count(DISTINCT id) = 4000 AND sum(id) = 8002000 FROM seen};
my $processes = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'batchagg %s'};
my $run;

# Starts the job afresh and waits until it is well under way.
sub under_way
{
	sql('TRUNCATE seen');
	$run = sql(q{SELECT batchagg.start_job('j')});
	$node->poll_query_until('postgres', q{SELECT count(*) > 500 AND (SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%') FROM seen});
}

sub ends_well
{
	my ($after) = @_;
	wait_until("SELECT status = 'done' FROM batchagg.run WHERE id = $run", "$after: the run goes on to its end");
	is(sql($exact), 't', "$after: each row once");
	nothing_left($after);
}

sub nothing_left { return no_process_left($node, $_[0]) }

# ------------------------------------------------- processes that are terminated

for my $who ('worker', 'runner')
{
	for my $function ('pg_cancel_backend', 'pg_terminate_backend')
	{
		under_way();
		sql("SELECT $function(pid) FROM (" . sprintf($processes, $who) . ') p');
		ends_well("$function of the $who");
	}
	under_way();
	kill 'KILL', sql(sprintf $processes, $who);
	ends_well("kill -9 of the $who");
}
cmp_ok(sql('SELECT max(attempts) FROM batchagg.task'), '>', 1, 'what was interrupted counts as an attempt');

# a batch that takes its process with it every time
sql(q{SELECT batchagg.create_job('poison', 'source', batch_size => 2000, max_attempts => 2, command =>
	'SELECT pg_terminate_backend(pg_backend_pid()) FROM source WHERE id BETWEEN $1 AND $2 AND id = 1')});
$run = sql(q{SELECT batchagg.start_job('poison')});
wait_until("SELECT status = 'failed' FROM batchagg.run WHERE id = $run", 'a batch that ends its process fails in the end');
is(sql("SELECT status, attempts, sqlstate FROM batchagg.task WHERE run_id = $run AND first_key = '1'"), 'failed|2|57P02', 'after its attempts');
is(sql("SELECT status FROM batchagg.task WHERE run_id = $run AND first_key = '2001'"), 'done', 'and the others are done');
nothing_left('a batch that ends its process');

# ------------------------------------------------------ the server stops, no preload

for my $mode ('fast', 'immediate')
{
	under_way();
	$node->stop($mode);
	$node->start;
	is(sql("SELECT status || batchagg.run_is_alive(id) FROM batchagg.run WHERE id = $run"), 'runningfalse', "$mode stop without preload: the run is interrupted");
	my (undef, $out, $err) = $node->psql('postgres', q{SELECT batchagg.start_job('j')});
	is($out, $run, 'the next start_job takes it up');
	like($err, qr/run $run of job "j", which was interrupted, goes on/, 'and says so');
	ends_well("$mode stop");
}

# ------------------------------------------------------------------ with preload

$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'batchagg'});
$node->restart;
for my $mode ('fast', 'immediate')
{
	under_way();
	$node->stop($mode);
	$node->start;
	ends_well("$mode stop with preload");
}
under_way();
kill_postmaster($node);
ends_well('kill -9 of the postmaster');

# ------------------------------------------------------------ what a run needs goes

# the table
sql(q{CREATE TABLE going AS SELECT * FROM source; ALTER TABLE going ADD PRIMARY KEY (id);
	SELECT batchagg.create_job('going', 'going', batch_size => 100, command =>
		'INSERT INTO seen SELECT s.* FROM going s, pg_sleep(0.05) WHERE id BETWEEN $1 AND $2')});
sql('TRUNCATE seen');
$run = sql(q{SELECT batchagg.start_job('going')});
$node->poll_query_until('postgres', 'SELECT count(*) > 200 FROM seen');
sql('DROP TABLE going');
wait_until("SELECT status = 'failed' AND sqlstate = '42P01' FROM batchagg.run WHERE id = $run", 'DROP TABLE: the run fails');
nothing_left('DROP TABLE');
is(sql('SELECT count(*) = count(DISTINCT id) FROM seen'), 't', 'what was done stays');

# a privilege, the role
sql(q{CREATE ROLE clerk LOGIN; GRANT SELECT ON source TO clerk; GRANT INSERT ON seen TO clerk; GRANT USAGE ON SCHEMA batchagg TO clerk;
	SET ROLE clerk;
	SELECT batchagg.create_job('clerks', 'source', batch_size => 100, command =>
		'INSERT INTO seen SELECT s.* FROM source s, pg_sleep(0.05) WHERE id BETWEEN $1 AND $2')});
$run = sql(q{SELECT batchagg.start_job('clerks')});
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'clerk' AND wait_event = 'PgSleep'});
sql('REVOKE INSERT ON seen FROM clerk');
wait_until("SELECT status = 'failed' AND sqlstate = '42501' FROM batchagg.run WHERE id = $run", 'REVOKE: the run fails');
nothing_left('REVOKE');
sql('GRANT INSERT ON seen TO clerk');
$run = sql(q{SELECT batchagg.start_job('clerks')});
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'clerk' AND wait_event = 'PgSleep'});
sql('DROP OWNED BY clerk; DROP ROLE clerk');
wait_until("SELECT status = 'failed' FROM batchagg.run WHERE id = $run", 'DROP ROLE: the run fails');
nothing_left('DROP ROLE');
my ($state, $message) = sqlstate_of($node, q{SELECT batchagg.start_job('clerks')});
is($state, '42704', 'and does not start again');
sql(q{SELECT batchagg.drop_job('clerks')});

# the database
for my $force ('', ' WITH (FORCE)')
{
	$node->safe_psql('postgres', 'CREATE DATABASE going');
	$node->safe_psql('going', "CREATE EXTENSION batchagg; $setup SELECT batchagg.start_job('j')");
	$node->poll_query_until('going', 'SELECT count(*) > 500 FROM seen');
	is($node->psql('postgres', "DROP DATABASE going$force"), 0, "DROP DATABASE$force");
	nothing_left("DROP DATABASE$force");
}

# the extension
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', "CREATE EXTENSION batchagg; $setup SELECT batchagg.start_job('j')");
$node->poll_query_until('other', 'SELECT count(*) > 500 FROM seen');
is($node->psql('other', 'DROP EXTENSION batchagg'), 0, 'DROP EXTENSION');
nothing_left('DROP EXTENSION');
is($node->safe_psql('other', 'SELECT count(*) = count(DISTINCT id) FROM seen'), 't', 'what was done stays');
# and back, while the same connections live on
$node->safe_psql('other', "CREATE EXTENSION batchagg; DROP TABLE seen, source; $setup CALL batchagg.run_job('j')");
is($node->safe_psql('other', $exact), 't', 'and with the extension again');

# ------------------------------------------------------------------------- slots

# other jobs have all places
sql(q{SELECT batchagg.create_job('filler', 'source', batch_size => 4000, command => 'SELECT pg_sleep(100) FROM (SELECT 1 FROM source WHERE id BETWEEN $1 AND $2 LIMIT 1) s');
	ALTER SYSTEM SET batchagg.max_job_workers = 1; SELECT pg_reload_conf()});
my $filler = sql(q{SELECT batchagg.start_job('filler')});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
sql('TRUNCATE seen');
$run = sql(q{SELECT batchagg.start_job('j')});
wait_until("SELECT hold_reason = 'max_job_workers: all 1 of batchagg.max_job_workers are at work' FROM batchagg.run WHERE id = $run", 'a run waits for a place');
sql("SELECT batchagg.cancel_run($filler)");
ends_well('a place got free');
is(sql("SELECT count(DISTINCT pid) FROM batchagg.task WHERE run_id = $run"), '1', 'and does it all alone');
is(() = slurp_file($node->logfile) =~ /job "j" goes on with fewer workers/g, 1, 'which the log tells once');

# the server has no slots
sql(q{ALTER SYSTEM SET batchagg.max_job_workers = 8; ALTER SYSTEM SET max_worker_processes = 2});
$node->restart;
sql('TRUNCATE seen');
$run = sql(q{SELECT batchagg.start_job('j')});
ends_well('one worker slot');
$filler = sql(q{SELECT batchagg.start_job('filler')});
($state, $message) = sqlstate_of($node, q{SELECT batchagg.start_job('j')});
is($state, '53000', 'no worker slot: start_job fails');
like($message, qr/HINT:  Try again later, or increase max_worker_processes/, 'with a hint');
sql("SELECT batchagg.cancel_run($filler)");
nothing_left('no slots');
sql('ALTER SYSTEM RESET max_worker_processes');
$node->restart;

# ------------------------------------------------------------------------ standby

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
under_way();
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%'}), '0', 'nothing runs on a standby');
($state) = sqlstate_of($standby, q{SELECT batchagg.start_job('j')});
is($state, '25006', 'nor can it be started there');
$node->stop('immediate');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed but what was killed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');
$standby->promote;
$node = $standby;
ends_well('promotion');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed on the standby');
$node->stop;
done_testing();
