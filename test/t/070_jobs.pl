# Jobs on a real server: whole runs, by every kind of key, in both modes, by
# several workers; what a person may steer; what goes wrong in a batch.  After
# each run the output is what the plain statement gives, each row counted once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'jobs', q{
max_worker_processes = 12
batchagg.max_job_workers = 6
autovacuum = off
});

$node->safe_psql('postgres', q{
	CREATE TABLE source (id int PRIMARY KEY, k int);
	INSERT INTO source SELECT n, n % 7 FROM generate_series(1, 10000) n;
	CREATE TABLE seen (id int, k int);
	ANALYZE source;
});

my ($out, $err);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Runs a job to its end, as psql does; the exit status, standard error in $err.
sub run_job
{
	my ($name, $more) = @_;
	$more //= '';
	(my $rc, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\nCALL batchagg.run_job('$name'$more)", on_error_stop => 1);
	return $rc;
}

# What the tasks of the last run of a job say.
sub tasks
{
	my ($name) = @_;
	return sql(qq{SELECT string_agg(status || ' ' || n, ', ' ORDER BY status) FROM (
		SELECT status, count(*) AS n FROM batchagg.task WHERE run_id = (
			SELECT max(run.id) FROM batchagg.run JOIN batchagg.job ON job.id = job_id WHERE name = '$name')
		GROUP BY status) s});
}

sub last_run
{
	my ($name, $columns) = @_;
	return sql(qq{SELECT $columns FROM batchagg.run WHERE id = (
		SELECT max(run.id) FROM batchagg.run JOIN batchagg.job ON job.id = job_id WHERE name = '$name')});
}

# seen holds each row of source exactly once
my $exact = q{SELECT count(*) = (SELECT count(*) FROM source) AND count(DISTINCT id) = count(*)
	AND sum(id) = (SELECT sum(id) FROM source) FROM seen};

# ------------------------------------------------------------------ whole runs

sql(q{SELECT batchagg.create_job('plain', 'source', batch_size => 1000, command =>
	'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')});
is(run_job('plain'), 0, 'a run');
like($err, qr/run \d+ of job "plain" is done: 10 batches/, 'tells of its end');
is(tasks('plain'), 'done 10', 'ten batches');
is(sql($exact), 't', 'each row once');
is(sql(q{SELECT bool_and(affected = 1000 AND row_count = 1000 AND attempts = 1) FROM batchagg.task}), 't', 'a batch has its size');
no_process_left($node, 'a run');

# start_job returns at once, commits or not
sql('TRUNCATE seen');
my $run = sql(q{BEGIN; SELECT batchagg.start_job('plain'); SELECT pg_sleep(0.2); COMMIT});
ok($node->poll_query_until('postgres', "SELECT status = 'done' FROM batchagg.run WHERE id = " . ($run =~ /(\d+)/)[0]), 'started in a transaction block');
is(sql($exact), 't', 'each row once');
sql(q{BEGIN; SELECT batchagg.start_job('plain'); ROLLBACK});
no_process_left($node, 'a start rolled back');
is(sql(q{SELECT count(*) FROM batchagg.run}), '2', 'a start rolled back is no run');
is(sql($exact), 't', 'and did nothing');

# two starts at once are one run
sql(q{SELECT batchagg.create_job('twice', 'source', batch_size => 1000, command =>
	'SELECT pg_sleep(0.05) FROM (SELECT FROM source WHERE id BETWEEN $1 AND $2 LIMIT 1) s')});
{
	my $first = start_psql($node, q{BEGIN; SELECT batchagg.start_job('twice'); SELECT pg_sleep(0.5); COMMIT});
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
	my $second = start_psql($node, q{SELECT batchagg.start_job('twice')});
	(undef, $run) = finish_psql($first);
	(undef, $out, $err) = finish_psql($second);
	is($out, ($run =~ /^(\d+)/)[0], 'two starts at once return the same run');
	like($err, qr/NOTICE:.*job "twice" is running already, as run $out/, 'the second says so');
	ok($node->poll_query_until('postgres', "SELECT status = 'done' FROM batchagg.run WHERE id = $out"), 'it is done');
	is(tasks('twice'), 'done 10', 'once');
}
no_process_left($node, 'two starts');

# who may not log in, and when that matters
{
	my ($version) = sql('SHOW server_version_num');
	sql(q{CREATE ROLE nologin; GRANT SELECT ON source TO nologin; GRANT USAGE ON SCHEMA batchagg TO nologin; GRANT INSERT ON seen TO nologin});
	my $create = q{SET ROLE nologin; SELECT batchagg.create_job('nologin', 'source', 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')};
	if ($version < 170000)
	{
		my ($state, $message) = sqlstate_of($node, $create);
		is($state, '42501', 'a role without LOGIN cannot own jobs');
		like($message, qr/HINT:  ALTER ROLE ... LOGIN/, 'with a hint');
	}
	else
	{
		sql('TRUNCATE seen');
		sql($create);
		is(run_job('nologin'), 0, 'a role without LOGIN owns a job');
		is(sql($exact), 't', 'which runs');
	}
}

# several workers
sql('TRUNCATE seen');
sql(q{SELECT batchagg.create_job('many', 'source', batch_size => 100, workers => 4, command =>
	'INSERT INTO seen SELECT s.* FROM source s, pg_sleep(0.01) WHERE id BETWEEN $1 AND $2')});
is(run_job('many'), 0, 'four workers');
is(sql($exact), 't', 'each row once');
is(tasks('many'), 'done 100', 'a hundred batches');
cmp_ok(sql(q{SELECT count(DISTINCT pid) FROM batchagg.task WHERE run_id = (SELECT max(id) FROM batchagg.run)}), '>', 1, 'by more than one process');
no_process_left($node, 'four workers');

# no empty batches, none for an empty table
sql(q{CREATE TABLE nothing (id int PRIMARY KEY);
	SELECT batchagg.create_job('nothing', 'nothing', command => 'INSERT INTO seen SELECT id FROM nothing WHERE id BETWEEN $1 AND $2')});
is(run_job('nothing'), 0, 'an empty table');
like($err, qr/is done: 0 batches/, 'has no batches');

# ------------------------------------------------------------- every kind of key

for my $key (
	[ 'int2', 'n % 30000' ], [ 'int8', 'n * 10000000000' ], [ 'date', "date '2000-01-01' + n % 500" ],
	[ 'timestamp', "timestamp '2000-01-01' + n * interval '1.000001 second'" ],
	[ 'timestamptz', "timestamptz '2000-03-26 00:00+00' + n * interval '1 minute'" ],
	[ 'uuid', 'md5(n::text)::uuid' ], [ 'numeric', 'n / 7.0' ], [ 'text', q{md5(n::text) || E' \\'"\\\\é'} ],
	[ 'text COLLATE "C"', 'chr(65 + n % 60)' ], [ 'float8', 'n / 3.0' ], [ 'bpchar(5)', '(n % 77)::text' ],
	[ 'interval', q{n * interval '1 month 1 day'} ], [ 'int[]', 'ARRAY[n % 10, n]' ], [ 'bytea', 'decode(md5(n::text), $$hex$$)' ])
{
	my ($type, $value) = @$key;
	for my $index ('', 'CREATE INDEX ON keyed (k);')
	{
		sql(qq{DROP TABLE IF EXISTS keyed CASCADE; DROP TABLE IF EXISTS keyed_seen;
			CREATE TABLE keyed (id int, k $type);
			INSERT INTO keyed SELECT n, $value FROM generate_series(1, 3000) n;
			INSERT INTO keyed SELECT -n, NULL FROM generate_series(1, 10) n;
			$index
			ANALYZE keyed;
			CREATE TABLE keyed_seen (id int, first $type, last $type);
			SELECT batchagg.create_job('keyed', 'keyed', key => 'k', batch_size => 250,
				command => 'INSERT INTO keyed_seen SELECT id, \$1, \$2 FROM keyed WHERE k BETWEEN \$1 AND \$2',
				null_command => 'INSERT INTO keyed_seen SELECT id FROM keyed WHERE k IS NULL')});
		run_job('keyed');
		is(sql(q{SELECT count(*), count(DISTINCT id), sum(id) FROM keyed_seen}), '3010|3010|4501445',
			"$type" . ($index ? ' with an index' : '') . ': each row once');
		is(sql(q{SELECT count(*) FROM (SELECT FROM keyed_seen JOIN keyed USING (id) GROUP BY k HAVING count(DISTINCT first) > 1) s}),
			'0', 'equal keys are together');
		cmp_ok(sql(q{SELECT count(*) FROM batchagg.task WHERE run_id = (SELECT max(id) FROM batchagg.run)}), '>=', 8, 'in several batches');
		sql(q{SELECT batchagg.drop_job('keyed')});
	}
}

# other relations than tables
sql(q{
	CREATE VIEW viewed AS SELECT id, k FROM source WHERE id % 2 = 0;
	CREATE TABLE parted (id int PRIMARY KEY, k int) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (4000);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (4000) TO (20000);
	INSERT INTO parted SELECT * FROM source;
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'postgres', host '} . $node->host . q{', port '} . $node->port . q{');
	CREATE USER MAPPING FOR CURRENT_USER SERVER self;
	CREATE FOREIGN TABLE far (id int, k int) SERVER self OPTIONS (table_name 'source');
	CREATE MATERIALIZED VIEW kept AS SELECT * FROM source;
	CREATE TABLE "odd ""name'" ("odd ""key'" int, k int);
	INSERT INTO "odd ""name'" SELECT * FROM source;
});
for my $relation ([ 'viewed', 'id' ], [ 'parted', undef, 'id' ], [ 'far', 'id' ], [ 'kept', 'id' ], [ q{"odd ""name'"}, q{odd "key'} ], [ 'kept', 'ctid' ])
{
	my ($name, $key, $column) = @$relation;
	my ($q, $k) = map { my $s = $_ // ''; $s =~ s/'/''/g; $s } ($name, $key);
	(my $c = $key // $column) =~ s/"/""/g;
	$c =~ s/'/''/g;
	sql(qq{TRUNCATE seen; SELECT batchagg.create_job('other', '$q', } . (defined $key ? "key => '$k', " : '') .
		qq{batch_size => 700, workers => 2, command => 'INSERT INTO seen SELECT * FROM $q WHERE "$c" BETWEEN \$1 AND \$2')});
	is(run_job('other'), 0, "$name by " . ($key // 'its primary key'));
	is(sql("SELECT count(*) = (SELECT count(*) FROM $name) AND count(DISTINCT id) = count(*) FROM seen"), 't', 'each row once');
	cmp_ok((tasks('other') =~ /^done (\d+)$/)[0], '>=', 7, 'in several batches');
	sql(q{SELECT batchagg.drop_job('other')});
}

# ------------------------------------------------------------------------ TIDs

sql(q{TRUNCATE seen; CREATE TABLE heap AS SELECT * FROM source; ANALYZE heap;
	SELECT batchagg.create_job('heap', 'heap', batch_size => 500, command => 'INSERT INTO seen SELECT * FROM heap WHERE ctid BETWEEN $1 AND $2')});
is(sql(q{SELECT key FROM batchagg.job WHERE name = 'heap'}), 'ctid', 'a table without a key is cut by ctid');
run_job('heap');
is(sql($exact), 't', 'each row once');
cmp_ok((tasks('heap') =~ /^done (\d+)$/)[0], '>', 10, 'in several batches');
like(sql(q{SELECT last_key FROM batchagg.task ORDER BY id DESC LIMIT 1}), qr/^\(\d+,65535\)$/, 'of whole blocks');

sql(q{SELECT batchagg.drop_job('heap'); TRUNCATE seen;
	SELECT batchagg.create_job('heap', 'heap', batch_size => 500, command => 'INSERT INTO seen SELECT h.* FROM heap h, pg_sleep(0.2) WHERE ctid BETWEEN $1 AND $2')});
my $waiting = start_psql($node, q{CALL batchagg.run_job('heap')});
$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM seen');
sql('VACUUM FULL heap');
my ($state, undef, $message) = finish_psql($waiting);
is($state, '55000', 'a rewrite fails the run');
like($message, qr/heap was rewritten while it was being cut by ctid/, 'and is named');
is(last_run('heap', 'status'), 'failed', 'on record as well');
no_process_left($node, 'a rewrite');

# ---------------------------------------------------------------- incremental

sql(q{TRUNCATE seen; CREATE TABLE stream (id bigserial PRIMARY KEY, k int); INSERT INTO stream (k) SELECT n FROM generate_series(1, 1000) n;
	SELECT batchagg.create_job('stream', 'stream', mode => 'incremental', batch_size => 300,
		command => 'INSERT INTO seen SELECT * FROM stream WHERE id BETWEEN $1 AND $2', before_command => 'DELETE FROM seen')});
my $complete = q{SELECT count(*) = (SELECT count(*) FROM stream) AND count(DISTINCT id) = count(*) FROM seen};
is(run_job('stream'), 0, 'a first incremental run');
is(sql($complete), 't', 'takes all');
is(run_job('stream'), 0, 'a second');
is(tasks('stream'), '', 'finds nothing new');
sql('INSERT INTO stream (k) SELECT n FROM generate_series(1, 500) n');
run_job('stream');
is(tasks('stream'), 'done 2', 'a third takes what is new');
is(sql($complete), 't', 'each row once');
{
	# 23: a writer with a key below the bound that has not committed
	my $writer = $node->background_psql('postgres', on_error_stop => 1);
	$writer->query_safe('BEGIN; INSERT INTO stream (k) VALUES (-1)');
	sql('INSERT INTO stream (k) SELECT n FROM generate_series(1, 10) n');
	my $session = start_psql($node, q{CALL batchagg.run_job('stream')});
	ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM batchagg.run WHERE hold_reason LIKE 'transactions that have written%')}),
		'a run waits for a writer');
	is(tasks('stream'), '', 'and does nothing meanwhile');
	$writer->query_safe('COMMIT');
	$writer->quit;
	is((finish_psql($session))[0], 'none', 'and goes on after its commit');
	is(sql($complete), 't', 'with its row');
}
sql('UPDATE stream SET k = k + 1; DELETE FROM stream WHERE id <= 100');
is(run_job('stream', ', "full" => true'), 0, 'a full refresh');
is(sql($complete), 't', 'begins afresh');
is(sql('SELECT sum(k) = (SELECT sum(k) FROM stream) FROM seen'), 't', 'with what was updated');

# a run that failed leaves its rest to the next
sql(q{INSERT INTO stream (k) SELECT n FROM generate_series(1, 900) n;
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '55P03'; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON seen FOR EACH ROW WHEN (new.id % 900 = 0) EXECUTE FUNCTION refuse();
	SELECT batchagg.alter_job('stream', max_attempts => 2, retry_delay => '10 ms')});
isnt(run_job('stream'), 0, 'an incremental run with a bad row fails');
like(tasks('stream'), qr/^done 2, failed 1$/, 'its other batches are done');
sql('DROP TRIGGER refuse ON seen; INSERT INTO stream (k) VALUES (1)');
is(run_job('stream'), 0, 'the next');
is(tasks('stream'), 'done 2', 'takes over what failed, and takes what is new');
is(sql($complete), 't', 'each row once');
no_process_left($node, 'incremental runs');

# ----------------------------------------------------------- adaptive batch size

sql(q{SELECT batchagg.create_job('adaptive', 'source', target_time => '100 ms', batch_size => 10, command =>
	'SELECT pg_sleep(0.001) FROM source WHERE id BETWEEN $1 AND $2 AND id % 10 = 0')});
is(run_job('adaptive'), 0, 'a run with a target time');
cmp_ok(sql(q{SELECT max(row_count) FROM batchagg.task WHERE run_id = (SELECT max(id) FROM batchagg.run)}), '>', 50, 'grows its batches');
cmp_ok(sql(q{SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY work_ms) FROM (
	SELECT work_ms FROM batchagg.task WHERE run_id = (SELECT max(id) FROM batchagg.run) ORDER BY id OFFSET 1) t}), '<', 200, 'towards the target');

# ------------------------------------------------------------------ failures

sub fresh
{
	my ($options) = @_;
	sql(qq{TRUNCATE seen; DROP TRIGGER IF EXISTS refuse ON seen;
		SELECT batchagg.drop_job(name) FROM batchagg.job WHERE name = 'failing';
		SELECT batchagg.create_job('failing', 'source', batch_size => 500, retry_delay => '10 ms', $options command =>
			'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN \$1 AND \$2')});
}

# passing errors: tried again, then failed
fresh('max_attempts => 3,');
sql(q{CREATE SEQUENCE tries; CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('tries') < 3 THEN RAISE EXCEPTION 'not yet' USING ERRCODE = '40001', DETAIL = 'a detail', HINT = 'a hint'; END IF; RETURN new; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON seen FOR EACH ROW WHEN (new.id = 777) EXECUTE FUNCTION refuse()});
is(run_job('failing'), 0, 'an error that passes');
is(sql($exact), 't', 'each row once');
is(sql(q{SELECT attempts FROM batchagg.task WHERE run_id = (SELECT max(id) FROM batchagg.run) AND first_key = '501'}), '3', 'at the third attempt');

fresh('max_attempts => 2,');
sql(q{CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'never' USING ERRCODE = '40001', DETAIL = 'a detail', HINT = 'a hint'; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON seen FOR EACH ROW WHEN (new.id = 777) EXECUTE FUNCTION refuse()});
isnt(run_job('failing'), 0, 'an error that does not');
like($err, qr/55000.*run \d+ of job "failing" failed: 1 of 20 tasks failed/, 'fails the run at its end');
is(tasks('failing'), 'done 19, failed 1', 'after all other tasks');
is(sql(q{SELECT sqlstate, message, detail, hint, context LIKE '%refuse%' FROM batchagg.task WHERE status = 'failed' AND run_id = (SELECT max(id) FROM batchagg.run)}),
	'40001|never|a detail|a hint|t', 'the error is on record');
{
	my $task = sql(q{SELECT id FROM batchagg.task WHERE status = 'failed' AND run_id = (SELECT max(id) FROM batchagg.run)});
	sql('DROP TRIGGER refuse ON seen');
	$run = sql("SELECT batchagg.retry_task($task)");
	ok($node->poll_query_until('postgres', "SELECT status = 'done' FROM batchagg.run WHERE id = $run"), 'retry_task');
	is(sql($exact), 't', 'each row once');
	($state) = sqlstate_of($node, "SELECT batchagg.retry_task($task)");
	is($state, '55000', 'a task that is done is not retried');
}

# data errors: bisected down to the rows
fresh('max_skipped => 3,');
sql(q{CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'bad row %', new.id; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON seen FOR EACH ROW WHEN (new.id IN (1, 4000, 4001)) EXECUTE FUNCTION refuse()});
is(run_job('failing'), 0, 'three bad rows where three may be skipped');
like($err, qr/Incomplete: 3 were skipped/, 'and it says so');
is(sql('SELECT count(*), count(DISTINCT id) FROM seen'), '9997|9997', 'all others are there');
is(sql(q{SELECT string_agg(first_key || last_key || message, ',' ORDER BY first_key) FROM batchagg.task WHERE status = 'skipped' AND run_id = (SELECT max(id) FROM batchagg.run)}),
	'11bad row 1,40004000bad row 4000,40014001bad row 4001', 'the skipped ones on record');
fresh('max_skipped => 2,');
sql(q{CREATE TRIGGER refuse BEFORE INSERT ON seen FOR EACH ROW WHEN (new.id IN (1, 4000, 4001)) EXECUTE FUNCTION refuse()});
isnt(run_job('failing'), 0, 'three bad rows where two may be skipped');
like(tasks('failing'), qr/failed 1, skipped 2/, 'the third fails');
{
	my $task = sql(q{SELECT id FROM batchagg.task WHERE status = 'failed' AND run_id = (SELECT max(id) FROM batchagg.run)});
	my $listener = $node->background_psql('postgres');
	$listener->query_safe('LISTEN batchagg');
	$run = sql("SELECT batchagg.skip_task($task)");
	my $heard = $listener->query('SELECT 1') . ($listener->{stderr} // '');
	like($heard, qr/"run": $run, "status": "done"/, 'and tells who listens');
	$listener->quit;
	is(sql("SELECT status FROM batchagg.run WHERE id = $run"), 'done', 'skip_task of the last one makes the run done');
}

# by ctid, bisected within blocks
sql(q{TRUNCATE seen; SELECT batchagg.create_job('tids', 'heap', batch_size => 2000, max_skipped => 5, command =>
	'INSERT INTO seen SELECT * FROM heap WHERE ctid BETWEEN $1 AND $2')});
is(run_job('tids'), 0, 'bad rows by ctid');
is(sql('SELECT count(*), count(DISTINCT id) FROM seen'), '9997|9997', 'all others are there');
sql('DROP TRIGGER refuse ON seen');

# a statement timeout halves
sql(q{SELECT batchagg.create_job('slow', 'source', batch_size => 1000, statement_timeout => '200 ms', command =>
	'INSERT INTO seen SELECT id, k FROM source WHERE id BETWEEN $1 AND $2 AND pg_sleep(CASE WHEN id < 1000 THEN 0.0004 ELSE 0 END) IS NOT NULL')});
sql('TRUNCATE seen');
is(run_job('slow'), 0, 'a batch that takes too long');
like(tasks('slow'), qr/^done \d+, split \d+$/, 'is split');
is(sql($exact), 't', 'each row once');

# a command that cannot run fails the run at once
sql(q{CREATE TABLE short_lived (id int); SELECT batchagg.create_job('gone', 'source', batch_size => 100, command =>
	'INSERT INTO short_lived SELECT id FROM source WHERE id BETWEEN $1 AND $2'); DROP TABLE short_lived});
isnt(run_job('gone'), 0, 'a missing table');
like($err, qr/42P01.*relation "short_lived" does not exist/, 'is named');
is(tasks('gone'), 'failed 1', 'after one task');

# more than half of fifty
sql(q{SELECT batchagg.create_job('hopeless', 'source', batch_size => 10, max_attempts => 1, command =>
	'SELECT 1 / (id - id) FROM source WHERE id BETWEEN $1 AND $2')});
isnt(run_job('hopeless'), 0, 'a job of which all fails');
is(tasks('hopeless'), 'failed 50', 'stops after fifty');
no_process_left($node, 'failures');

# ------------------------------------------------------------------- steering

sql(q{TRUNCATE seen; SELECT batchagg.create_job('steered', 'source', batch_size => 100, workers => 2, command =>
	'INSERT INTO seen SELECT s.* FROM source s, pg_sleep(0.05) WHERE id BETWEEN $1 AND $2')});
$run = sql(q{SELECT batchagg.start_job('steered')});
$node->poll_query_until('postgres', 'SELECT count(*) > 500 FROM seen');
(undef, $out, $err) = $node->psql('postgres', q{SELECT batchagg.start_job('steered')});
is($out, $run, 'a second start returns the run under way');
like($err, qr/NOTICE:  job "steered" is running already, as run $run/, 'and says so');
like(sql(q{SELECT string_agg(DISTINCT application_name, ';') FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%'}), qr/^batchagg: steered$/, 'processes are named');
like(sql(q{SELECT query FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%' ORDER BY query DESC LIMIT 1}), qr/^batchagg job steered, task \d+ \(\d+ \.\. \d+\): INSERT/, 'and say what they do');
sql(q{SELECT batchagg.pause_job('steered')});
no_process_left($node, 'a pause');
is(sql("SELECT status FROM batchagg.run WHERE id = $run"), 'paused', 'paused');
($state) = sqlstate_of($node, q{SELECT batchagg.start_job('steered')});
is($state, '55000', 'a paused job is not started');
my $before = sql('SELECT count(*) FROM seen');
$node->restart;
is(sql('SELECT count(*) FROM seen'), $before, 'a pause lasts across a restart');
is(sql(q{SELECT batchagg.resume_job('steered')}), $run, 'resume_job');
sql(q{SELECT batchagg.alter_job('steered', batch_size => 1000, command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')});
ok($node->poll_query_until('postgres', "SELECT status = 'done' FROM batchagg.run WHERE id = $run"), 'goes on to its end');
is(sql($exact), 't', 'each row once');
is(sql("SELECT max(row_count) FROM batchagg.task WHERE run_id = $run"), '1000', 'alter_job takes effect during the run');

sql(q{TRUNCATE seen; SELECT batchagg.alter_job('steered', command => 'INSERT INTO seen SELECT s.* FROM source s, pg_sleep(100) WHERE id BETWEEN $1 AND $2')});
$run = sql(q{SELECT batchagg.start_job('steered')});
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%' AND wait_event = 'PgSleep'});
is(sql("SELECT batchagg.cancel_run($run)"), 't', 'cancel_run');
no_process_left($node, 'a cancel');
is(sql("SELECT status FROM batchagg.run WHERE id = $run"), 'cancelled', 'cancelled');
is(sql("SELECT batchagg.cancel_run($run)"), 'f', 'a second time there is nothing to cancel');
is(sql('SELECT count(*) FROM seen'), '0', 'batches at work are rolled back');

# a cancel during before_command, which has no task
sql(q{SELECT batchagg.alter_job('steered', before_command => 'INSERT INTO seen SELECT 0, 0 FROM pg_sleep(2)')});
$run = sql(q{SELECT batchagg.start_job('steered')});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%' AND wait_event = 'PgSleep'});
is(sql("SELECT batchagg.cancel_run($run)"), 't', 'cancel_run before the first batch');
no_process_left($node, 'such a cancel');
is(sql("SELECT status, planned FROM batchagg.run WHERE id = $run"), 'cancelled|f', 'cancelled');
is(sql('SELECT count(*) FROM seen'), '0', 'what came before is rolled back');
sql(q{SELECT batchagg.alter_job('steered', before_command => '')});

# a pause while a start is not committed, which it cannot see
{
	my $starter = $node->background_psql('postgres', on_error_stop => 1);
	$starter->query_safe('BEGIN');
	$run = $starter->query_safe(q{SELECT batchagg.start_job('steered')});
	sql(q{SELECT batchagg.pause_job('steered')});
	$starter->query_safe('COMMIT');
	$starter->quit;
	no_process_left($node, 'a pause beside a start');
	is(sql("SELECT status, planned FROM batchagg.run WHERE id = $run"), 'paused|f', 'the run is paused before it begins');
	is(sql(q{SELECT batchagg.resume_job('steered')}), $run, 'and resumed');
	sql("SELECT batchagg.cancel_run($run)");
	no_process_left($node, 'that');
}

# a drop while a start is not committed waits for it
{
	my ($starter, $dropper) = map { $node->background_psql('postgres', on_error_stop => 1) } 1 .. 2;
	sql(q{SELECT batchagg.create_job('raced', 'source', 'SELECT count(*) FROM source WHERE id BETWEEN $1 AND $2')});
	$starter->query_safe('BEGIN');
	$run = $starter->query_safe(q{SELECT batchagg.start_job('raced')});
	$dropper->query_until(qr/dropping/, "\\echo dropping\nSELECT batchagg.drop_job('raced');\n");
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'drop_job.*raced' AND wait_event = 'transactionid'}),
		'drop_job waits for a start');
	$starter->query_safe('COMMIT');
	$starter->quit;
	$dropper->quit;
	no_process_left($node, 'a drop beside a start');
	is(sql("SELECT count(*) FROM batchagg.run WHERE id = $run"), '0', 'no run is left without a job');
}

$run = sql(q{SELECT batchagg.start_job('steered')});
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%' AND wait_event = 'PgSleep'});
sql(q{SELECT batchagg.drop_job('steered')});
no_process_left($node, 'a drop');
is(sql("SELECT count(*) FROM batchagg.run WHERE id = $run"), '0', 'nothing is left of a dropped job');

cmp_ok(sql(q{SELECT batchagg.purge_history('0')}), '>', 5, 'purge_history');
is(sql(q{SELECT count(*) FROM batchagg.task WHERE run_id NOT IN (SELECT id FROM batchagg.run)}), '0', 'forgets the tasks as well');

# plans made while the tables are empty stay good when they have grown
sql(q{TRUNCATE seen; VACUUM ANALYZE batchagg.task; VACUUM ANALYZE batchagg.run});
is(sql('SELECT reltuples FROM pg_class WHERE oid = $$batchagg.task$$::regclass'), '0', 'no task is known');
my $scans = q{SELECT sum(seq_scan) FROM pg_stat_all_tables WHERE relid IN ('batchagg.task'::regclass, 'batchagg.run'::regclass, 'batchagg.job'::regclass)};
my $scans_before = sql($scans);
is(run_job('many'), 0, 'a run of a hundred batches');
cmp_ok(sql($scans) - $scans_before, '<', 20, 'does not read all tasks for each');

# run_job needs transactions of its own
($state) = sqlstate_of($node, q{BEGIN; CALL batchagg.run_job('plain')});
is($state, '2D000', 'run_job in a transaction block');
($state) = sqlstate_of($node, q{DO $$ BEGIN CALL batchagg.run_job('plain'); END $$});
is($state, 'none', 'run_job from a DO block that is not in a transaction');

# ------------------------------------------------------- listening for the end
{
	my $listener = $node->background_psql('postgres');
	$listener->query_safe('LISTEN batchagg');
	run_job('plain');
	my $heard = $listener->query(q{SELECT 1});
	like($heard . ($listener->{stderr} // ''), qr/"job": "plain", "run": \d+, "status": "done"/, 'NOTIFY at the end of a run');
	$listener->quit;
}

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');

$node->stop;
done_testing();
