# pg_upgrade takes jobs and a run under way along. While it works on the two clusters
# nothing runs in them, preloaded or not, and afterwards the run goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $preload = "shared_preload_libraries = 'batchagg'\n";
my $old = new_server('old', $preload);
$old->safe_psql('postgres', q{
	CREATE TABLE source (id int PRIMARY KEY, k int);
	INSERT INTO source SELECT n, n % 7 FROM generate_series(1, 10000) n;
	CREATE TABLE seen (id int, k int);
	SELECT batchagg.create_job('copied', 'source', batch_size => 500, command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2');
	SELECT batchagg.create_job('tids', 'source', batch_size => 500, key => 'ctid', command => 'INSERT INTO seen SELECT -id, k FROM source WHERE ctid BETWEEN $1 AND $2');
	SELECT batchagg.create_summary('counted', 'SELECT k, count(*), avg(id) FROM source GROUP BY k', workers => 2);
	CALL batchagg.run_job('counted');
	INSERT INTO source SELECT n, n % 7 FROM generate_series(10001, 11000) n;
});
# two runs that are under way when the server stops: what they write to is locked
my $session = start_psql($old, 'BEGIN; LOCK TABLE seen IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)');
$old->safe_psql('postgres', "SELECT batchagg.start_job('$_')") for 'copied', 'tids';
ok($old->poll_query_until('postgres', "SELECT count(*) = 2 FROM batchagg.task WHERE status = 'running'"), 'two runs are under way');
# 18 finds a library of an extension_control_path by $libdir as well, but pg_upgrade does not: it looks in the server's own directory alone
$old->safe_psql('postgres', q{SET allow_system_table_mods = on; UPDATE pg_proc SET probin = 'batchagg' WHERE probin = '$libdir/batchagg'})
  if $old->pg_version >= 18;
$old->stop('fast');
finish_psql($session);

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => ['--encoding=UTF8']);
$new->append_conf('postgresql.conf', $preload);
my $bindir = $old->config_data('--bindir');
my $work = $new->basedir;
chdir $work or die "cannot enter $work: $!";
command_ok(
	[
		'pg_upgrade', '--no-sync', '--old-bindir', $bindir, '--new-bindir', $bindir, '--old-datadir', $old->data_dir, '--new-datadir', $new->data_dir,
		'--old-port', $old->port, '--new-port', $new->port, '--socketdir', $new->host
	],
	'pg_upgrade');
chdir '/'; # that directory is to be removed

# not preloaded at first: nothing goes on by itself yet
$new->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$new->start;
is($new->safe_psql('postgres', 'SELECT job, state, batches_done FROM batchagg.job_status ORDER BY job'),
	"copied|interrupted|0\ncounted|idle|1\ntids|interrupted|0", 'no batch was done meanwhile');
$new->append_conf('postgresql.conf', $preload);
$new->restart;
ok($new->poll_query_until('postgres', q{SELECT bool_and(state = 'idle' AND last_status = 'done') FROM batchagg.job_status}), 'the runs go on')
  or diag($new->safe_psql('postgres', 'SELECT job, state, last_status, message FROM batchagg.job_status'));
is($new->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id), min(id), max(id) FROM seen'), '22000|22000|-11000|11000', 'each row once for each of them');
$new->safe_psql('postgres', q{CALL batchagg.run_job('counted')});
is($new->safe_psql('postgres', 'SELECT k, count, avg FROM counted EXCEPT SELECT k, count(*), avg(id) FROM source GROUP BY k'), '', 'the summary goes on as well');
is($new->safe_psql('postgres', 'SELECT sum(count) FROM counted'), '11000', 'and has all');
$new->stop;
done_testing();
