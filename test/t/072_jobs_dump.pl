# A dump carries jobs with their watermarks, and of runs what incremental ones have
# left to do: nothing is taken again, in the same database or another, nor left out.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('dumped');
$node->safe_psql('postgres', q{
	CREATE ROLE clerk LOGIN;
	CREATE SCHEMA "odd ""one";
	CREATE TABLE "odd ""one".source (id serial PRIMARY KEY, k int);
	INSERT INTO "odd ""one".source (k) SELECT n FROM generate_series(1, 1000) n;
	CREATE TABLE seen (id int, k int);
	GRANT ALL ON ALL TABLES IN SCHEMA public, "odd ""one" TO clerk;
	GRANT USAGE ON SCHEMA batchagg, "odd ""one" TO clerk;
	SET ROLE clerk;
	SET search_path = "odd ""one", public;
	SELECT batchagg.create_job('stream', 'source', mode => 'incremental', batch_size => 300, workers => 2, target_time => '2 s', max_batch_size => 300,
		command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2');
	SELECT batchagg.create_job('other', 'source', command => 'SELECT $1, $2', max_skipped => 7, throttle => '{"time_window": "22:00-06:00 Europe/Berlin", "active_sessions": 9}');
	CALL batchagg.run_job('stream');
	SELECT batchagg.create_job('once', 'source', command => 'SELECT 1 / ($2 - 300) BETWEEN $1 AND $2', batch_size => 300, max_attempts => 1);
});
# two batches that wait for somebody to mend something, one of each kind of job
$node->safe_psql('postgres', q{
	ALTER TABLE seen ADD CONSTRAINT small CHECK (id <= 1300);
	INSERT INTO "odd ""one".source (k) SELECT n FROM generate_series(1, 700) n;
	SET ROLE clerk;
	SELECT batchagg.alter_job('stream', max_attempts => 1);
});
for my $job ('stream', 'once')
{
	my (undef, undef, $error) = $node->psql('postgres', "SET ROLE clerk; CALL batchagg.run_job('$job')");
	like($error, qr/failed/, "job $job has something left to do");
}
is($node->safe_psql('postgres', q{SELECT job, status, first_key, last_key FROM batchagg.job_errors WHERE task_id IS NOT NULL ORDER BY 1, 3}),
	"once|failed|1|300\nstream|failed|1301|1600\nstream|failed|1601|1700", 'what that is');
# jobs that have lost their owner or relation, one of them with something left to do, and a summary its view
$node->safe_psql('postgres', q{
	CREATE ROLE ghost LOGIN;
	CREATE TABLE gone (id int PRIMARY KEY);
	GRANT USAGE ON SCHEMA batchagg TO ghost;
	GRANT SELECT ON seen TO ghost;
	SET ROLE ghost;
	SELECT batchagg.create_job('lost owner', 'seen', mode => 'incremental', key => 'id', null_command => 'SELECT', max_attempts => 1,
		command => 'SELECT 1 / ($1 - 1), $2');
	RESET ROLE;
	ALTER TABLE seen ALTER id SET NOT NULL;
	SELECT batchagg.create_job('lost relation', 'gone', 'SELECT $1, $2');
	SELECT batchagg.create_summary('lost_view', 'SELECT k % 2, count(*) FROM seen GROUP BY 1', key => 'id');
});
{
	my (undef, undef, $error) = $node->psql('postgres', "SET ROLE ghost; CALL batchagg.run_job('lost owner')");
	like($error, qr/1 of 1 tasks failed/, 'a job that will lose its owner has something left to do');
}
$node->safe_psql('postgres', 'DROP OWNED BY ghost; DROP ROLE ghost; DROP TABLE gone; DROP VIEW lost_view');
like($node->safe_psql('postgres', q{SELECT owner, relation FROM batchagg.job WHERE name LIKE 'lost %' ORDER BY name}), qr/^\d+\|seen\npostgres\|\d+$/, 'of what is gone the number is left');
my $definitions = q{SELECT j FROM batchagg.job j WHERE name NOT LIKE 'lost%' ORDER BY id};
my $want = $node->safe_psql('postgres', $definitions);
like($want, qr/,1700,/, 'the watermark is part of the definition');
my $last_run = $node->safe_psql('postgres', 'SELECT max(id) FROM batchagg.run');

my $file = $node->basedir . '/dump';
for my $format ('plain', 'custom')
{
	$node->command_ok([ 'pg_dump', '--format', $format, '--file', $file, $node->connstr('postgres') ], "$format dump");
	$node->safe_psql('template1', "CREATE DATABASE restored TEMPLATE template0");
	if ($format eq 'plain')
	{
		$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $file ], 'restored by psql');
	}
	else
	{
		$node->command_ok([ 'pg_restore', '--exit-on-error', '--jobs', '2', '--dbname', $node->connstr('restored'), $file ], 'restored by pg_restore');
	}
	is($node->safe_psql('restored', $definitions), $want, "$format: the jobs are there");
	is($node->safe_psql('restored', 'SELECT name, run.status, (SELECT count(*) FROM batchagg.task WHERE run_id = run.id) FROM batchagg.run JOIN batchagg.job ON job.id = job_id'),
		'stream|failed|2', "$format: of runs what an incremental job has left to do");
	is($node->safe_psql('restored', q{SELECT (SELECT string_agg(name, ' ') FROM batchagg.job WHERE name LIKE 'lost%'), (SELECT count(*) FROM batchagg.summary)}),
		'lost_view|0', "$format: none without its owner or relation, no summary without its view");
	is($node->safe_psql('restored', q{SELECT batchagg.drop_job('lost_view'); SELECT count(*) FROM pg_class WHERE relname IN ('lost_view_state', 'lost_view_pass')}),
		"\n2", "$format: to drop its job touches nothing else");
	$node->safe_psql('restored', q{
		ALTER TABLE seen DROP CONSTRAINT small;
		INSERT INTO "odd ""one".source (k) SELECT n FROM generate_series(1, 100) n;
		SET ROLE clerk;
		CALL batchagg.run_job('stream')});
	is($node->safe_psql('restored', q{SELECT count(*), count(DISTINCT id) FROM seen}), '1800|1800', "$format: goes on at the watermark, and does what was left");
	cmp_ok($node->safe_psql('restored', 'SELECT max(id) FROM batchagg.run'), '>', $last_run, "$format: numbers are not given twice");
	is($node->safe_psql('restored', q{SET ROLE clerk; SELECT batchagg.create_job('third', '"odd ""one".source', 'SELECT $1, $2')}), '7', "$format: nor those of jobs");
	$node->safe_psql('postgres', 'DROP DATABASE restored');
}
$node->stop;
done_testing();
