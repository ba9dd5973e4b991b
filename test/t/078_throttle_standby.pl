# The throttle on replication lag, with a real standby: one that does not replay, one
# that does not answer, one that is gone.  The job is that of an ordinary role, which
# sees nothing of this in pg_stat_replication.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use HeldJob;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$node = new_server('primary', "max_worker_processes = 12\nautovacuum = off\nwal_keep_size = 512MB", allows_streaming => 1);

make_held_job(1);

# Waits until the server has measured a lag that is too long.
sub lags
{
	ok(poll(q{SELECT replay_lag > '1 s' FROM pg_stat_replication}), 'the standby lags');
}

$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->append_conf('postgresql.conf', "wal_receiver_status_interval = 1s");
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));

throttle('{"replication_lag": "1 s"}');
runs('a standby that keeps up');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
sql(q{SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))});
lags();
holds('a standby that does not replay', '^replication_lag: a standby is [0-9]+ s behind, more than 1 s$');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
goes_on('a standby that has caught up');

throttle('{"replication_lag": "500 kB"}');
runs('a standby that keeps up, by bytes');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
sql(q{SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))});
holds('a standby behind by bytes', '^replication_lag: a standby is [0-9]+ kB behind, more than 500 kB$');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
goes_on('a standby that has caught up, by bytes');

# one that hangs answers nothing, so that core measures nothing
throttle('{"replication_lag": "1 s"}');
{
	my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
	kill 'STOP', $receiver or die "could not stop process $receiver";
	sql(q{SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))});
	sql('TRUNCATE seen');
	sql(q{SELECT batchagg.alter_job('held', command => 'INSERT INTO seen SELECT s.* FROM source s, pg_sleep(0.4) WHERE id BETWEEN $1 AND $2')});
	$run = sql(q{SET ROLE clerk; SELECT batchagg.start_job('held')});
	ok(poll("SELECT hold_reason ~ '^replication_lag: a standby is [0-9]+ s behind' FROM batchagg.run WHERE id = $run"), 'a standby that hangs: holds');
	kill 'CONT', $receiver or die "could not wake process $receiver";
	goes_on('a standby that hangs no longer');
	sql(q{SELECT batchagg.alter_job('held', command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')});
}

# one that is gone does not count
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
sql(q{SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))});
lags();
holds('a standby that does not replay again', '^replication_lag: ');
$standby->stop('immediate');
goes_on('a standby that is gone');

# what receives WAL without applying it is no standby
{
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $receive = IPC::Run::start([ 'pg_receivewal', '-D', $dir, '-d', $node->connstr('postgres') ], '>', \my $out, '2>', \my $err);
	ok(poll(q{SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'}), 'pg_receivewal is connected');
	throttle('{"replication_lag": "1 kB"}');
	runs('with pg_receivewal alone');
	$receive->kill_kill;
}

no_process_left($node, 'all of it');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');

$node->stop;
done_testing();
