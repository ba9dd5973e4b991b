# Looking at jobs: the view progress while runs and calls of each_batch are under
# way, what it estimates and from what, who sees it; pg_stat_activity; NOTIFY at a
# run's end.  What the views say of jobs at rest is in test/sql/jobs_views.sql.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'looked_at', q{
max_worker_processes = 12
batchagg.max_job_workers = 6
autovacuum = off
});

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub poll { return $node->poll_query_until('postgres', @_) }

# A gate that batches wait at: a row of gate lets so many of them pass.
sql(q{
	CREATE ROLE owner LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
	GRANT USAGE ON SCHEMA batchagg TO owner, stranger, monitor;
	GRANT CREATE ON SCHEMA public TO owner;
	SET ROLE owner;
	CREATE TABLE gate (pass int);
	INSERT INTO gate VALUES (0);
	CREATE SEQUENCE passed;
	CREATE FUNCTION wait_at_gate() RETURNS boolean LANGUAGE plpgsql AS $$
	DECLARE mine int := nextval('passed');
	BEGIN
		WHILE mine > (SELECT pass FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
		RETURN true;
	END $$;
	CREATE TABLE source (id int PRIMARY KEY, name text UNIQUE NOT NULL, at timestamptz UNIQUE NOT NULL);
	INSERT INTO source SELECT n, md5(n::text), '2000-01-01'::timestamptz + n * interval '1 minute' FROM generate_series(1, 10000) n;
	CREATE TABLE seen (id int);
});

# Makes a job over a column of source in batches of 500, that waits at the gate.
sub create
{
	my ($name, $key, $options) = @_;
	sql(qq{SET ROLE owner; SELECT batchagg.create_job('$name', 'source', key => '$key', batch_size => 500, } . ($options // '') . qq{
		command => 'INSERT INTO seen SELECT id FROM source, wait_at_gate() WHERE source.$key BETWEEN \$1 AND \$2')});
}

# Starts a job and lets so many of its batches pass.
sub start
{
	my ($name, $pass) = @_;
	sql(q{ALTER SEQUENCE passed RESTART; UPDATE gate SET pass = 0; TRUNCATE seen});
	my $run = sql("SET ROLE owner; SELECT batchagg.start_job('$name')");
	pass_gate($run, $pass);
	return $run;
}

sub pass_gate
{
	my ($run, $pass) = @_;
	sql("UPDATE gate SET pass = $pass");
	ok(poll("SELECT count(*) = $pass FROM batchagg.task WHERE run_id = $run AND status = 'done'"), "$pass batches are done")
	  or diag(sql("SELECT status, message FROM batchagg.run WHERE id = $run"));
}

sub end
{
	my ($run) = @_;
	sql('UPDATE gate SET pass = 1000000');
	ok(poll("SELECT status = 'done' FROM batchagg.run WHERE id = $run"), 'and then all');
}

sub progress
{
	my ($run, $columns) = @_;
	return sql("SELECT $columns FROM batchagg.progress WHERE run_id = $run");
}

# ------------------------------------------------------------------ a run, watched

create('watched', 'id', 'workers => 2,');
sql('ANALYZE source');
my $run = start('watched', 5);
ok(poll("SELECT workers = 2 FROM batchagg.progress WHERE run_id = $run"), 'two processes are at work');
is(progress($run, 'kind, job, pid IS NULL, relation, status, is_alive, batches_done, batches_failed, rows_done, hold_reason IS NULL'),
	'run|watched|t|source|running|t|5|0|2500|t', 'how far the run is');
is(progress($run, 'batches_total, rows_total, is_estimate, percent'), '20|10000|t|25.0', 'of what is estimated by the statistics');
is(progress($run, q{rows_per_second > 0 AND eta > now() AND eta < now() + interval '10 minutes' AND started_at <= now()}), 't', 'how fast, and until when');
is(progress($run, q{abs(extract(epoch FROM eta - clock_timestamp()) - 7500 / rows_per_second) < 1}), 't', 'which agree');

# pg_stat_activity shows what each process does
is(sql(qq{SELECT count(*) FROM pg_stat_activity a JOIN batchagg.task t ON t.pid = a.pid AND t.status = 'running' AND run_id = $run
	WHERE application_name = 'batchagg: watched' AND usename = 'owner' AND state = 'active'
		AND starts_with(query, format('batchagg job watched, task %s (%s .. %s): INSERT INTO seen', t.id, first_key, last_key))}),
	'2', 'pg_stat_activity has the job and the batch of both');
is(sql(q{SELECT string_agg(backend_type, ',' ORDER BY backend_type) FROM pg_stat_activity WHERE application_name = 'batchagg: watched'}),
	'batchagg runner,batchagg worker', 'and which is the runner');

# who sees it
my $seen_by = 'SELECT count(*) FROM batchagg.progress';
is(sql("SET ROLE owner; $seen_by"), '1', 'the owner sees the run');
is(sql("SET ROLE stranger; $seen_by"), '0', 'nobody else does');
is(sql("SET ROLE monitor; $seen_by"), '1', 'but for pg_read_all_stats');

pass_gate($run, 19);
is(progress($run, 'batches_done, batches_total, percent'), '19|20|95.0', 'near the end');
end($run);
is(progress($run, '*'), '', 'a run that has ended is not under way');
is(sql('SELECT count(*), count(DISTINCT id) FROM seen'), '10000|10000', 'each row once');

# ------------------------------------------------------- where there are no statistics

sql('SET ROLE owner; CREATE TABLE fresh AS SELECT * FROM source; DROP TABLE source; ALTER TABLE fresh RENAME TO source; SELECT batchagg.drop_job(\'watched\')');
is(sql(q{SELECT reltuples FROM pg_class WHERE relname = 'source'}), '-1', 'nothing is known of the table');
for my $key ('id', 'at')
{
	create("by $key", $key, "null_command => 'SELECT',");
	$run = start("by $key", 5);
	poll("SELECT workers = 1 FROM batchagg.progress WHERE run_id = $run");
	is(progress($run, 'abs(rows_total - 10000) < 20 AND batches_total BETWEEN 20 AND 21 AND is_estimate AND percent BETWEEN 24.9 AND 25.1'), 't', "by $key: the rest is estimated by the range of keys")
	  or diag(progress($run, '*'));
	end($run);
}
create('by ctid', 'ctid');
$run = start('by ctid', 5);
is(progress($run, 'percent BETWEEN 10 AND 50 AND rows_total BETWEEN 5000 AND 20000'), 't', 'by ctid: by blocks')
  or diag(progress($run, '*'));
end($run);
create('by name', 'name', "null_command => 'SELECT',");
$run = start('by name', 5);
is(progress($run, 'batches_done, rows_done, batches_total IS NULL, rows_total IS NULL, percent IS NULL, eta IS NULL'), '5|2500|t|t|t|t', 'by a text nothing is known, and nothing said');
end($run);

# a range of keys that is out of all proportion
sql(q{SET ROLE owner; CREATE TABLE wide (x float8 UNIQUE NOT NULL); INSERT INTO wide SELECT n FROM generate_series(1, 1000) n; INSERT INTO wide VALUES (1e300);
	SELECT batchagg.create_job('wide', 'wide', key => 'x', batch_size => 500, command => 'INSERT INTO seen SELECT 1 FROM wide, wait_at_gate() WHERE x BETWEEN $1 AND $2')});
$run = start('wide', 1);
is(progress($run, 'batches_done, rows_total IS NULL, percent IS NULL, eta IS NULL'), '1|t|t|t', 'an estimate beyond all bounds is none');
end($run);

# an incremental run has its own part of the keys
sql(q{SET ROLE owner; ALTER TABLE source ADD PRIMARY KEY (id)});
create('growing', 'id', "mode => 'incremental',");
end(start('growing', 0));
sql(q{INSERT INTO source SELECT n, n, now() + n * interval '1 minute' FROM generate_series(10001, 12000) n});
$run = start('growing', 1);
is(progress($run, 'abs(rows_total - 2000) < 10, batches_total, percent BETWEEN 24.9 AND 25.1'), 't|4|t', 'an incremental run: of what is new')
  or diag(progress($run, '*'));
end($run);

# ------------------------------------------------------------ interrupted and paused

$run = start('growing', 0);
sql(q{INSERT INTO source SELECT n, n, now() + n * interval '1 minute' FROM generate_series(12001, 14000) n});
end($run);
$run = start('growing', 1);
$node->restart;
is(progress($run, 'status, is_alive, workers, batches_done, eta IS NULL'), 'running|f|0|1|t', 'after a restart without preload nobody is at work');
is(sql(q{SELECT state, last_run, batches_done FROM batchagg.job_status WHERE job = 'growing'}), "interrupted|$run|1", 'job_status says interrupted');
sql(q{UPDATE gate SET pass = 0; ALTER SEQUENCE passed RESTART; SET ROLE owner; SELECT batchagg.start_job('growing')});
ok(poll("SELECT is_alive AND workers = 1 FROM batchagg.progress WHERE run_id = $run"), 'it goes on');
is(sql(q{SELECT state FROM batchagg.job_status WHERE job = 'growing'}), 'running', 'job_status says running');
sql(q{SELECT batchagg.pause_job('growing'); UPDATE gate SET pass = 1});
ok(poll("SELECT NOT is_alive AND status = 'paused' AND eta IS NULL FROM batchagg.progress WHERE run_id = $run"), 'a paused run');
is(sql(q{SELECT state FROM batchagg.job_status WHERE job = 'growing'}), 'paused', 'job_status says paused');
sql(q{SELECT batchagg.resume_job('growing')});
end($run);
is(sql(q{SELECT state, last_status, failures_in_a_row, watermark FROM batchagg.job_status WHERE job = 'growing'}), 'idle|done|0|14000', 'job_status says idle');

# ------------------------------------------------------------------------ errors

sql(q{SET ROLE owner; CREATE SEQUENCE tries;
	CREATE FUNCTION try(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('tries') < n THEN RAISE EXCEPTION 'not yet' USING ERRCODE = '40001', DETAIL = 'a detail', HINT = 'a hint'; END IF; RETURN n; END $$;
	SELECT batchagg.create_job('stumbling', 'source', batch_size => 100000, retry_delay => '10 ms',
		command => 'SELECT try(3) FROM source WHERE id BETWEEN $1 AND $2 LIMIT 1')});
$run = sql(q{SET ROLE owner; SELECT batchagg.start_job('stumbling')});
ok(poll("SELECT status = 'done' FROM batchagg.run WHERE id = $run"), 'a run that fails twice and then does not');
is(sql(qq{SELECT status, first_key, last_key, attempt, sqlstate, message, detail, hint, context LIKE '%try(integer)%', at < t.finished_at
	FROM batchagg.job_errors JOIN batchagg.task t USING (run_id, status, first_key, last_key, sqlstate, message, detail, hint, context) WHERE run_id = $run}),
	'done|1|14000|2|40001|not yet|a detail|a hint|t|t', 'job_errors keeps the failed attempt of a batch that is done');

# a command that is taken away while its batch is still to be done
sql(q{SET ROLE owner; CREATE TABLE holes (id int UNIQUE); INSERT INTO holes VALUES (1), (NULL);
	SELECT batchagg.create_job('holes', 'holes', key => 'id', max_attempts => 1, command => 'SELECT $1, $2', null_command => 'SELECT 1 / count(id) FROM holes WHERE id IS NULL')});
$run = sql(q{SET ROLE owner; SELECT batchagg.start_job('holes')});
ok(poll("SELECT status = 'failed' FROM batchagg.run WHERE id = $run"), 'a null_command that fails');
sql(q{SELECT batchagg.alter_job('holes', null_command => '')});
is(sql(qq{SELECT batchagg.retry_task(task_id) FROM batchagg.job_errors WHERE run_id = $run AND null_keys}), $run, 'and is taken away');
ok(poll("SELECT status = 'failed' FROM batchagg.run WHERE id = $run"), 'the run fails again');
is(sql("SELECT sqlstate, message, hint FROM batchagg.job_errors WHERE run_id = $run AND null_keys"),
	'55000|job "holes" has no null_command any more|Give the job one and retry the task, or skip it.', 'and says why');
is(sql(qq{SELECT batchagg.skip_task(task_id) FROM batchagg.job_errors WHERE run_id = $run AND null_keys}), $run, 'the task is skipped');
is(sql("SELECT status FROM batchagg.run WHERE id = $run"), 'done', 'which makes the run done');

# --------------------------------------------------------------------- each_batch

sql(q{ANALYZE source});
for my $workers (0, 1)
{
	sql(q{ALTER SEQUENCE passed RESTART; UPDATE gate SET pass = 0});
	my $session = start_psql($node, qq{SET ROLE owner; SELECT * FROM batchagg.each_batch('SELECT count(*) FROM source, pg_sleep(0.3)', batch_size => 200, workers => $workers)
		AS (batch bigint, count bigint)});
	ok(poll(q{SELECT coalesce(bool_and(batches_done > 3), false) FROM batchagg.progress}), "each_batch with $workers workers is seen");
	is(sql(qq{SELECT kind, job IS NULL, run_id IS NULL, relation, status, is_alive, workers, batches_failed, is_estimate, hold_reason IS NULL,
		percent > 0 AND percent < 100 AND rows_per_second > 0 AND eta > now() AND rows_done = 200 * batches_done AND batches_total BETWEEN 65 AND 75
		FROM batchagg.progress}), 'query|t|t|source|running|t|' . ($workers + 1) . '|0|t|t|t', 'how far it is') or diag(sql('SELECT * FROM batchagg.progress'));
	is(sql(q{SELECT query LIKE '%each_batch%' FROM batchagg.progress JOIN pg_stat_activity USING (pid)}), 't', 'by its pid pg_stat_activity has the query');
	is(sql(q{SELECT (SELECT count(*) FROM pg_stat_progress_vacuum) + (SELECT count(*) FROM pg_stat_progress_analyze) + (SELECT count(*) FROM pg_stat_progress_cluster)
		+ (SELECT count(*) FROM pg_stat_progress_create_index) + (SELECT count(*) FROM pg_stat_progress_basebackup) + (SELECT count(*) FROM pg_stat_progress_copy)}), '0',
		q{it is in none of core's views});
	is(sql("SET ROLE stranger; $seen_by"), '0', 'nobody else sees it');
	is(sql("SET ROLE monitor; $seen_by"), '1', 'but for pg_read_all_stats');
	sql(q{SELECT pg_cancel_backend(pid) FROM batchagg.progress});
	is((finish_psql($session))[0], '57014', 'it is cancelled');
	is(sql($seen_by), '0', 'and is not under way any more');
}

# a call of all_batches has no batches to count
{
	sql(q{ALTER SEQUENCE passed RESTART; UPDATE gate SET pass = 0});
	my $session = start_psql($node, q{SET ROLE owner; SELECT * FROM batchagg.all_batches('SELECT count(*) FROM source WHERE wait_at_gate()', workers => 0) AS (count bigint)});
	ok(poll(q{SELECT count(*) = 1 FROM batchagg.progress}), 'all_batches is seen');
	is(sql(q{SELECT kind, is_alive, hold_reason IS NULL, num_nulls(relation, workers, batches_done, batches_total, batches_failed, rows_done, rows_total, percent, rows_per_second, eta),
		query LIKE '%all_batches%', p.started_at <= now() FROM batchagg.progress p JOIN pg_stat_activity USING (pid)}), 'query|t|t|10|t|t', 'and no more is said than is known');
	is(sql("SET ROLE stranger; $seen_by"), '0', 'nobody else sees it');
	sql('UPDATE gate SET pass = 1000000');
	is((finish_psql($session))[0], 'none', 'it ends well');
	is(sql($seen_by), '0', 'and is not under way any more');
}

# in one session: ended by an error, by a subtransaction, within COPY, one within another
{
	my $own = 'SELECT count(*) FROM batchagg.progress';
	my $each = sub { my ($q, $more) = @_; "FROM batchagg.each_batch('$q', batch_size => 1000" . ($more // ', workers => 0') . ') AS (batch bigint, n bigint)' };
	my $failing = $node->background_psql('postgres', on_error_stop => 0);
	$failing->query('SELECT * ' . $each->('SELECT sum(1 / (id - 7777)) FROM source'));
	is($failing->query($own), '0', 'nothing is left after an error');
	$failing->quit;
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	$session->query_safe(q{CREATE FUNCTION look() RETURNS bigint LANGUAGE sql AS 'SELECT pg_stat_clear_snapshot(); SELECT coalesce(sum(batches_done), -1)::bigint FROM batchagg.progress WHERE kind = ''query'''});
	$session->query_safe(q{CREATE FUNCTION stumble() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 / 0; RETURN 0; EXCEPTION WHEN division_by_zero THEN RETURN 0; END $$});
	is($session->query_safe(q{SELECT string_agg(n::text, ',' ORDER BY batch) } . $each->('SELECT look() FROM (SELECT max(id) FROM source) s')),
		join(',', 0 .. 13), 'a batch sees how many are done');
	is($session->query_safe(q{SELECT string_agg(n::text, ',' ORDER BY batch) } . $each->('SELECT look() + stumble() FROM (SELECT max(id) FROM source) s')),
		join(',', 0 .. 13), 'also where a subtransaction was rolled back before');
	is($session->query_safe(q{COPY (SELECT string_agg(n::text, ',' ORDER BY batch) } . $each->('SELECT look() FROM (SELECT max(id) FROM source) s') . ') TO STDOUT'),
		join(',', map { -1 } 0 .. 13), 'within COPY it is COPY that is shown');
	is($session->query_safe($own), '0', 'nothing is left at the end');
	is($session->query_safe('SELECT sum(n) ' . $each->('SELECT count(*) FROM source', ', workers => 1')), '14000', 'with a worker');
	is($session->query_safe($own), '0', 'nor is there after it');
	$session->quit;
}

# ------------------------------------------------------------------ NOTIFY at the end
{
	my $listener = $node->background_psql('postgres');
	$listener->query_safe('LISTEN batchagg');
	sql(q{SET ROLE owner; SELECT batchagg.create_job('it''s "odd"', 'source', batch_size => 100, max_attempts => 1, command => 'SELECT 1 / (id - id) FROM source WHERE id BETWEEN $1 AND $2')});
	$run = sql(q{SET ROLE owner; SELECT batchagg.start_job('it''s "odd"')});
	ok(poll("SELECT status = 'failed' FROM batchagg.run WHERE id = $run"), 'a run fails');
	my $cancelled = sql(q{ALTER SEQUENCE passed RESTART; UPDATE gate SET pass = 0; SET ROLE owner; SELECT batchagg.start_job('growing', true)});
	sql("SELECT batchagg.cancel_run($cancelled)");
	my $heard = $listener->query('SELECT 1') . ($listener->{stderr} // '');
	like($heard, qr/"batchagg" with payload "\{"job": "it's \\"odd\\"", "run": $run, "status": "failed"\}"/, 'NOTIFY at a failure');
	like($heard, qr/"batchagg" with payload "\{"job": "growing", "run": $cancelled, "status": "cancelled"\}"/, 'NOTIFY at a cancel');
	$listener->quit;
}

ok(poll(q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%')}), 'no process is left');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');

$node->stop;
done_testing();
