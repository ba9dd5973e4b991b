# Summaries on a real server: whole runs by several workers that merge into the
# same groups, increments, full refreshes with readers beside them, crashes, a
# dump.  The view always equals the plain query, or what it was before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'summary', q{
max_worker_processes = 12
batchagg.max_job_workers = 6
autovacuum = off
restart_after_crash = on
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub run_job
{
	my ($name, $more) = @_;
	return sql("CALL batchagg.run_job('$name'" . ($more // '') . ')');
}

# The number of rows in which a summary's view and its query differ.
sub differences
{
	my ($name, $database) = @_;
	my $query = sql("SELECT query FROM batchagg.summary WHERE view = '$name'::regclass");
	return $node->safe_psql($database // 'postgres', qq{
		SET search_path = public, batchagg;
		SELECT count(*) FROM ((TABLE $name EXCEPT ALL ($query)) UNION ALL (($query) EXCEPT ALL TABLE $name)) d});
}

sub last_run
{
	my ($name, $columns) = @_;
	return sql(qq{SELECT $columns FROM batchagg.run WHERE id = (
		SELECT max(run.id) FROM batchagg.run JOIN batchagg.job ON job.id = job_id WHERE name = '$name')});
}

sql(q{
	CREATE TABLE sales (id bigserial PRIMARY KEY, shop int, price numeric(10,2), weight float8);
	INSERT INTO sales (shop, price, weight)
	SELECT nullif(n * 7919 % 500, 0), n % 1000 / 10.0, n / 8.0 FROM generate_series(1, 50000) n;
	ANALYZE sales;
});

# ------------------------------------------------------------ runs and increments

my $created = sql(q{
	SELECT create_summary('shops', 'SELECT shop, count(*), sum(price) AS sum, avg(price) AS avg, max(price) FILTER (WHERE weight > 100) AS max,
		average(stats_agg(weight)) AS weight FROM sales GROUP BY shop HAVING count(*) > 1', batch_size => 1000, workers => 4)});
sql(q{SELECT create_summary('total', 'SELECT count(*), sum(price), avg(price) FROM sales', batch_size => 1000, workers => 4)});
is(sql('TABLE total'), '0||', 'before the first run a total is of nothing');
is(sql('SELECT count(*) FROM shops'), '0', 'and there are no groups');
for my $name ('shops', 'total')
{
	run_job($name);
	is(last_run($name, 'status'), 'done', "$name: the first run is done");
	is(differences($name), '0', "$name: the view is the query's answer");
}
is(sql(q{SELECT count(*) > 40 AND max(attempts) = 1 FROM batchagg.task WHERE status = 'done'}), 't',
	'four workers merged the same groups, and none had to try again');
sql(q{INSERT INTO sales (shop, price, weight) SELECT n % 700, n % 99, n FROM generate_series(1, 2500) n});
isnt(differences('shops'), '0', 'new rows are not seen yet');
for my $name ('shops', 'total')
{
	run_job($name);
	is(differences($name), '0', "$name: an incremental run takes them");
	run_job($name);
	is(differences($name), '0', "$name: and the next finds nothing");
}
is(last_run('shops', 'is_full'), 'f', 'they were no full passes');

# ------------------------------------------------------------ full refreshes

# Updates are not seen by increments; batches are slow, so that there is a middle.
sql(q{
	UPDATE sales SET price = price + 1 WHERE shop = 7;
	CREATE FUNCTION slowly(numeric) RETURNS numeric IMMUTABLE STRICT LANGUAGE plpgsql AS
		'BEGIN IF current_setting(''application_name'') LIKE ''batchagg%'' THEN PERFORM pg_sleep(0.001); END IF; RETURN $1; END';
	SELECT create_summary('slow', 'SELECT shop % 10 AS k, count(*), sum(public.slowly(price)) AS sum FROM sales WHERE id <= 5000 GROUP BY 1',
		batch_size => 250, workers => 2);
});
run_job('slow');
my $old = sql('SELECT * FROM slow ORDER BY k');
sql('UPDATE sales SET price = price + 1 WHERE shop = 8');
sql(q{SELECT start_job('slow', true)});
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM slow_state WHERE pass = (SELECT filled FROM slow_pass)
	AND (SELECT filled <> shown FROM slow_pass)}), 'a full refresh is under way');
is(sql('SELECT * FROM slow ORDER BY k'), $old, 'readers see what was before');
sql(q{SELECT cancel_run(max(id)) FROM batchagg.run});
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%')}),
	'it is cancelled');
is(sql('SELECT * FROM slow ORDER BY k'), $old, 'they still do');
is(sql('SELECT filled <> shown FROM slow_pass'), 't', 'half of a pass is there');
run_job('slow');
is(last_run('slow', q{status || ' ' || is_full}), 'done false', 'an incremental run takes over what was left');
is(differences('slow'), '0', 'and shows the new pass whole');
is(sql('SELECT count(DISTINCT pass) FROM slow_state'), '1', 'the old one is gone');
sql('UPDATE sales SET price = price + 1 WHERE shop = 9');
sql(q{SELECT start_job('slow', true)});
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM slow_state WHERE pass > (SELECT shown FROM slow_pass)}), 'one more');
sql(q{SELECT cancel_run(max(id)) FROM batchagg.run});
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%')}), 'is cancelled');
run_job('slow', ', true');
is(differences('slow'), '0', 'a full refresh after it counts nothing twice');
run_job('shops', ', true');
is(differences('shops'), '0', 'so does that of another');

# ------------------------------------------------------------ crashes

# Each killed worker takes the server through a restart; with half of a batch merged
# or not, each row is counted once.
sql(q{DELETE FROM sales WHERE id > 5000; TRUNCATE slow_state; SELECT drop_job('slow');
	SELECT create_summary('crash', 'SELECT shop % 10 AS k, count(*), sum(public.slowly(price)) AS sum FROM sales GROUP BY 1',
		batch_size => 250, workers => 3, retry_delay => '10 ms')});
sql(q{SELECT start_job('crash')});
for my $round (1 .. 3)
{
	ok($node->poll_query_until('postgres', qq{SELECT count(*) >= $round FROM batchagg.task JOIN batchagg.run ON run.id = run_id
		JOIN batchagg.job ON job.id = job_id WHERE name = 'crash' AND task.status = 'done'}), "crash $round: a batch was done");
	ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%' AND query LIKE '%crash%'}),
		"crash $round: a batch is at work");
	my $offset = -s $node->logfile;
	is(kill('KILL', sql(q{SELECT min(pid) FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%'})), 1, "crash $round: its process is killed");
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	ok($node->poll_query_until('postgres', 'SELECT true'), "crash $round: the server is there again");
	sql(q{SELECT start_job('crash') WHERE EXISTS (SELECT FROM batchagg.run JOIN batchagg.job ON job.id = job_id
		WHERE name = 'crash' AND status = 'running')});
}
ok($node->poll_query_until('postgres', q{SELECT status <> 'running' FROM batchagg.run ORDER BY id DESC LIMIT 1}), 'the run comes to its end');
is(last_run('crash', 'status'), 'done', 'which is that all is done');
is(differences('crash'), '0', 'each row was counted once');

# ------------------------------------------------------------ batches that fail

sql(q{CREATE TABLE ratios (id int PRIMARY KEY, x int); INSERT INTO ratios SELECT n, n % 50 + 1 FROM generate_series(1, 1000) n;
	SELECT create_summary('risky', 'SELECT x % 3 AS k, count(*), sum(100 / x) AS sum FROM ratios GROUP BY 1', batch_size => 100, max_attempts => 1)});
run_job('risky');
sql(q{INSERT INTO ratios SELECT n, n % 50 FROM generate_series(1001, 1200) n});
my ($state, $err) = sqlstate_of($node, q{CALL batchagg.run_job('risky')});
is(last_run('risky', 'status'), 'failed', 'a row that cannot be computed fails its batch');
my $failed = sql(q{SELECT min(id) FROM batchagg.task WHERE status = 'failed'});
sql('UPDATE ratios SET x = 1 WHERE x = 0');
sql("SELECT retry_task(id) FROM batchagg.task WHERE status = 'failed'");
ok($node->poll_query_until('postgres', q{SELECT status = 'done' FROM batchagg.run ORDER BY id DESC LIMIT 1}), 'retried, it is done');
is(differences('risky'), '0', 'and counted once');

sql(q{INSERT INTO ratios SELECT n, n % 50 FROM generate_series(1201, 1300) n});
sqlstate_of($node, q{CALL batchagg.run_job('risky')});
$failed = sql(q{SELECT min(id) FROM batchagg.task WHERE status = 'failed'});
sql('UPDATE ratios SET x = 1 WHERE x = 0');
run_job('risky', ', true');
is(differences('risky'), '0', 'a full refresh takes the place of what failed');
($state, $err) = sqlstate_of($node, "SELECT batchagg.retry_task($failed)");
is($state, '55000', 'which cannot be retried then');
is(differences('risky'), '0', 'or it would count twice');

# a batch left out for good: what is shown is the rest, whole
sql(q{TRUNCATE ratios; INSERT INTO ratios SELECT n, n % 5 + 1 FROM generate_series(1, 100) n; UPDATE ratios SET x = 0 WHERE id = 15;
	SELECT create_summary('partly', 'SELECT x AS k, count(*), sum(100 / x) AS sum FROM ratios GROUP BY x', batch_size => 10, max_attempts => 1)});
sqlstate_of($node, q{CALL batchagg.run_job('partly')});
is(sql('SELECT count(*) FROM partly'), '0', 'a first run that failed shows nothing');
sql(q{SELECT pause_job('partly'); SELECT skip_task(id) FROM batchagg.task WHERE status = 'failed'});
is(last_run('partly', 'status'), 'paused', 'skip_task of the last failed task: the run goes on');
is(sql(q{SELECT resume_job('partly') = max(id) FROM batchagg.run}), 't', 'as soon as the job is not paused');
ok($node->poll_query_until('postgres', q{SELECT status = 'done' FROM batchagg.run ORDER BY id DESC LIMIT 1}), 'and is done');
is(sql(q{SELECT count(*) FROM (TABLE partly EXCEPT ALL SELECT x, count(*), sum(100 / x) FROM ratios WHERE id NOT BETWEEN 11 AND 20 GROUP BY x) d}), '0', 'the rest is shown');
is(sql('SELECT sum(count) FROM partly'), '90', 'all of it');
# but not where another pass has begun since, which is not whole
sql(q{SELECT drop_job('partly'); SELECT create_summary('partly', 'SELECT x AS k, count(*), sum(100 / x) AS sum FROM ratios GROUP BY x',
	mode => 'once', batch_size => 10, max_attempts => 1)});
sqlstate_of($node, q{CALL batchagg.run_job('partly')});
$failed = sql(q{SELECT id FROM batchagg.task WHERE status = 'failed'});
sql(q{UPDATE ratios SET x = CASE id WHEN 15 THEN 1 ELSE 0 END WHERE id IN (15, 35)});
sqlstate_of($node, q{CALL batchagg.run_job('partly')});
is(last_run('partly', 'status'), 'failed', 'another pass fails as well');
my $before = sql("SELECT batchagg.skip_task($failed)");
is(sql("SELECT status FROM batchagg.run WHERE id = $before"), 'done', 'skip_task in the run before makes that done');
is(sql('SELECT count(*) FROM partly'), '0', 'does not show the half of it');
sql(q{SELECT drop_job('partly')});

# ------------------------------------------------------------ what else may happen to it

is(sql(q{SELECT create_summary('dry', 'SELECT count(*) FROM sales', dry_run => true) IS NULL}), 't', 'a dry run');
is(sql(q{SELECT count(*) FROM pg_class WHERE relname LIKE 'dry%'}), '0', 'leaves nothing');
is(sql(q{SELECT count(*) FROM batchagg.job WHERE name = 'dry'}), '0', 'no job either');
($state, $err) = sqlstate_of($node, q{SELECT batchagg.alter_job('total', command => 'SELECT $1, $2')});
is($state, '0A000', 'the command of a summary cannot be altered');
sql(q{SELECT batchagg.alter_job('total', batch_size => 500)});
is(sql(q{SELECT batch_size FROM batchagg.job WHERE name = 'total'}), '500', 'its batch size can');

# a summary whose state is gone: the run fails and says why
sql(q{SELECT create_summary('broken', 'SELECT count(*) FROM sales')});
sql('DROP TABLE broken_state CASCADE');
($state, $err) = sqlstate_of($node, q{CALL batchagg.run_job('broken')});
is(last_run('broken', 'status'), 'failed', 'a run without its state table fails');
sql(q{SELECT drop_job('broken')});

# dropped in the middle of a run
sql(q{SELECT create_summary('gone', 'SELECT count(*), sum(public.slowly(price)) FROM sales', batch_size => 250, workers => 2)});
sql(q{SELECT start_job('gone')});
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM gone_state}), 'a run is under way');
sql(q{SELECT drop_job('gone')});
is(sql(q{SELECT count(*) FROM pg_class WHERE relname LIKE 'gone%'}), '0', 'a summary can be dropped meanwhile');
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%')}),
	'and its workers leave');

# ------------------------------------------------------------ dump and restore

my $dump = "${PostgreSQL::Test::Utils::tmp_check}/summary.sql";
run_job('shops');
run_job('total', ', true');
run_job('shops', ', true');
command_ok([ 'pg_dump', '--no-sync', '--file', $dump, $node->connstr('postgres') ], 'a dump');
sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'is restored');
for my $name ('shops', 'total')
{
	is(differences($name, 'restored'), '0', "$name: a restored view shows the same");
	is( $node->safe_psql('restored', "SELECT view, state, pass FROM batchagg.summary WHERE view = '$name'::regclass"),
		"$name|${name}_state|${name}_pass", "$name: and is known");
}
$node->safe_psql('restored', q{INSERT INTO sales (shop, price, weight) SELECT n % 20, n, n FROM generate_series(1, 3000) n});
for my $name ('shops', 'total')
{
	$node->safe_psql('restored', "CALL batchagg.run_job('$name')");
	is(differences($name, 'restored'), '0', "$name: goes on where it was");
	is($node->safe_psql('restored', q{SELECT sum(row_count) FROM batchagg.task WHERE run_id = (SELECT max(id) FROM batchagg.run)}),
		'3000', "$name: from its watermark");
}

$node->stop;
done_testing();
