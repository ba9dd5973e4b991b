# What a person does to a run at an awkward moment: pause, cancel, drop or retry while a command before
# or after the batches is at work, or while a process is about to take its next batch.  Nobody waits
# for a command, and what is stopped has no effect.  Commands are held by advisory locks of a
# session of the test.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'steering', q{
max_worker_processes = 12
batchagg.max_job_workers = 6
autovacuum = off
});
my $holder = $node->background_psql('postgres', on_error_stop => 1);
my $run;

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub poll { return $node->poll_query_until('postgres', $_[0]) }

# Something that must not wait for the run.
sub at_once { return sql("SET statement_timeout = '10 s'; $_[0]") }

sub hold { $holder->query_safe("SELECT pg_advisory_lock($_) IS NULL") for @_ }
sub let_go { $holder->query_safe("SELECT pg_advisory_unlock($_)") for @_ }

# A process of a run waits for such a lock.
sub is_held
{
	my ($lock, $what) = @_;
	return ok(poll(qq{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE locktype = 'advisory' AND objid = $lock AND objsubid = 1 AND NOT granted AND backend_type LIKE 'batchagg%')}), $what);
}

sub processes_leave
{
	return ok(poll(q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%')}), "$_[0]: its processes leave");
}

sub status { return sql("SELECT status FROM batchagg.run WHERE id = $run") }
sub becomes { return ok(poll("SELECT status = '$_[0]' FROM batchagg.run WHERE id = $run"), $_[1]) }

sql(q{
	CREATE TABLE source (id int PRIMARY KEY, k int);
	INSERT INTO source SELECT n, n % 7 FROM generate_series(1, 1000) n;
	CREATE TABLE seen (id int, k int);
	CREATE TABLE ended (n int);
});
my $exact = q{SELECT count(*) = 1000 AND count(DISTINCT id) = 1000 FROM seen};

# --------------------------------------------------- while after_command is at work

sql(q{SELECT batchagg.create_job('slow_end', 'source', batch_size => 500, command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2',
	after_command => 'INSERT INTO ended SELECT 1 FROM pg_advisory_xact_lock_shared(1)')});
hold(1);
$run = sql(q{SELECT batchagg.start_job('slow_end')});
is_held(1, 'after_command is at work');
like(sql(q{SELECT query FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%'}), qr/^batchagg job slow_end, after_command: INSERT/, 'which is shown');
at_once(q{SELECT batchagg.pause_job('slow_end')});
is(status(), 'paused', 'pause_job does not wait for it');
let_go(1);
becomes('done', 'it comes to its end, and the run with it');
is(sql('SELECT count(*) FROM ended'), '1', 'with its effect');
is(sql(q{SELECT batchagg.resume_job('slow_end')}), '', 'no run is left to go on after the pause');
no_process_left($node, 'a pause');

hold(1);
$run = sql(q{SELECT batchagg.start_job('slow_end')});
is_held(1, 'after_command again');
is(at_once("SELECT batchagg.cancel_run($run)"), 't', 'cancel_run does not wait for it');
processes_leave('a cancel');
is(status(), 'cancelled', 'cancelled');
is(sql('SELECT count(*) FROM ended'), '1', 'without its effect');

# one that will not be cancelled
sql(q{CREATE FUNCTION stubborn() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_advisory_xact_lock_shared(1);
		RETURN 1;
	EXCEPTION WHEN query_canceled THEN
		PERFORM pg_advisory_xact_lock_shared(2);
		RETURN 2; END $$;
	SELECT batchagg.alter_job('slow_end', after_command => 'INSERT INTO ended SELECT stubborn()')});
hold(2);
$run = sql(q{SELECT batchagg.start_job('slow_end')});
is_held(1, 'an after_command that heeds no cancel');
at_once("SELECT batchagg.cancel_run($run)");
is_held(2, 'goes on');
is(status(), 'cancelled', 'in a run that is cancelled');
{
	my $cancelled = $run;
	sql('TRUNCATE seen');
	$run = sql(q{SELECT batchagg.start_job('slow_end')});
	ok(poll("SELECT hold_reason = 'a batch of an earlier run is still at work' FROM batchagg.run WHERE id = $run"), 'the next run waits for it');
	let_go(1, 2);
	becomes('done', 'that run is done');
	is(sql("SELECT status FROM batchagg.run WHERE id = $cancelled"), 'cancelled', 'the other stays cancelled');
	is(sql($exact), 't', 'each row once');
	is(sql('SELECT string_agg(n::text, $$ $$) FROM ended'), '1 1', 'one after_command more has had its effect');
}
no_process_left($node, 'a cancel');

# a task that is put back meanwhile makes the command come too early
sql(q{TRUNCATE seen, ended; CREATE TABLE bad (id int); INSERT INTO bad VALUES (7);
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM bad WHERE id = new.id) THEN RAISE EXCEPTION 'bad'; END IF; RETURN new; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION refuse();
	SELECT batchagg.alter_job('slow_end', max_skipped => 1,
		after_command => 'INSERT INTO ended SELECT count(*) FROM pg_advisory_xact_lock_shared(1), seen')});
hold(1);
$run = sql(q{SELECT batchagg.start_job('slow_end')});
is_held(1, 'all but a bad row is done');
sql('TRUNCATE bad');
is(at_once(qq{SELECT batchagg.retry_task(task_id) FROM batchagg.job_errors WHERE run_id = $run AND status = 'skipped'}), $run, 'retry_task does not wait either');
let_go(1);
becomes('done', 'the run does the task as well');
is(sql($exact), 't', 'each row once');
is(sql('SELECT string_agg(n::text, $$ $$) FROM ended'), '1000', 'and after_command once, after it');

hold(1);
$run = sql(q{SELECT batchagg.start_job('slow_end')});
is_held(1, 'after_command once more');
at_once(q{SELECT batchagg.drop_job('slow_end')});
processes_leave('drop_job does not wait for it');
is(sql('SELECT count(*) FROM ended'), '1', 'without its effect');

# -------------------------------------------------- while before_command is at work

sql(q{SELECT batchagg.create_job('slow_start', 'source', 'SELECT $1, $2', before_command => 'INSERT INTO ended SELECT 1 FROM pg_advisory_xact_lock_shared(1)')});
$run = sql(q{SELECT batchagg.start_job('slow_start')});
is_held(1, 'before_command is at work');
is(at_once("SELECT batchagg.cancel_run($run)"), 't', 'cancel_run');
processes_leave('a cancel before the first batch');
is(status(), 'cancelled', 'cancelled');
is(sql('SELECT count(*) FROM ended'), '1', 'without its effect');
let_go(1);
no_process_left($node, 'such a cancel');

# a run that is about to be cancelled when the command could begin: the runner sleeps when it is told
my $in_lock = q{FROM pg_stat_activity WHERE backend_type = 'batchagg runner' AND wait_event_type = 'Lock' AND wait_event};
{
	my ($writer, $canceller) = map { $node->background_psql('postgres', on_error_stop => 1) } 1 .. 2;
	sql(q{TRUNCATE ended; SELECT batchagg.create_job('not_begun', 'source', 'SELECT $1, $2', mode => 'incremental', before_command => 'INSERT INTO ended SELECT 1 FROM pg_advisory_xact_lock_shared(1)')});
	hold(1);
	$writer->query_safe('BEGIN; UPDATE source SET k = k WHERE id = 1');
	$run = sql(q{SELECT batchagg.start_job('not_begun')});
	ok(poll("SELECT hold_reason LIKE 'transactions that have written%' FROM batchagg.run WHERE id = $run"), 'a run waits before before_command');
	$canceller->query_safe("BEGIN; SELECT batchagg.cancel_run($run)");
	$writer->query_safe('COMMIT');
	ok(poll("SELECT EXISTS (SELECT $in_lock IN ('advisory', 'transactionid'))"), 'and not any more');
	is(sql("SELECT wait_event $in_lock IN ('advisory', 'transactionid')"), 'transactionid', 'before_command does not begin while somebody is about to cancel the run');
	$canceller->query_safe('COMMIT');
	processes_leave('a cancel just before');
	is(status(), 'cancelled', 'cancelled');
	let_go(1);
	$_->quit for $writer, $canceller;
}

# an error while one is put on record
sql(q{SELECT batchagg.create_job('wrong_start', 'source', 'SELECT $1, $2', before_command => 'SELECT 1 / (id - 1) FROM source, pg_advisory_xact_lock_shared(1) WHERE id = 1')});
hold(1);
$run = sql(q{SELECT batchagg.start_job('wrong_start')});
is_held(1, 'before_command is at work, and will fail');
{
	my $blocker = $node->background_psql('postgres', on_error_stop => 1);
	$blocker->query_safe("BEGIN; SELECT FROM batchagg.run WHERE id = $run FOR UPDATE");
	let_go(1);
	ok(poll("SELECT EXISTS (SELECT $in_lock = 'transactionid')"), 'which cannot be put on record yet');
	my ($pid, $begin) = split /\|/, sql("SELECT pid, xact_start $in_lock = 'transactionid'");
	sql("SELECT pg_cancel_backend($pid)");
	ok(poll("SELECT EXISTS (SELECT $in_lock = 'transactionid' AND xact_start > '$begin')"), 'nor is, as it is cancelled, and tried again');
	is(sql("SELECT pid $in_lock = 'transactionid'"), $pid, 'by the same runner');
	$blocker->quit;
	becomes('failed', 'which then fails the run');
	no_process_left($node, 'that');
}

# ----------------------------------------------------- triggers that are deferred

# they fire where nobody waits for them
sql(q{TRUNCATE ended; CREATE TABLE checked (n int);
	CREATE FUNCTION check_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER check_late AFTER INSERT ON checked DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_late()});
for my $when ('before_command', 'after_command')
{
	sql(qq{SELECT batchagg.create_job('late_$when', 'source', 'SELECT \$1, \$2', $when => 'INSERT INTO checked VALUES (1)')});
	hold(1);
	$run = sql(qq{SELECT batchagg.start_job('late_$when')});
	is_held(1, "a deferred trigger of $when");
	is(at_once("SELECT batchagg.cancel_run($run)"), 't', 'cancel_run does not wait for it');
	processes_leave('such a cancel');
	is(status(), 'cancelled', 'cancelled');
	is(sql('SELECT count(*) FROM checked'), '0', 'without its effect');
	let_go(1);
}

# ------------------------------------------------ a command that stops its own job

sql(q{SELECT batchagg.create_job('own', 'source', 'SELECT $1, $2', batch_size => 500, after_command => $$INSERT INTO ended SELECT 1 FROM batchagg.drop_job('own')$$)});
$run = sql(q{SELECT batchagg.start_job('own')});
processes_leave('an after_command that drops its job');
is(sql(q{SELECT count(*) FROM batchagg.job WHERE name = 'own'}), '0', 'the job is gone');
is(sql('SELECT count(*) FROM ended'), '1', 'and the command has had its effect');

sql(q{SELECT batchagg.create_job('own', 'source', 'SELECT $1, $2', batch_size => 500,
	after_command => 'INSERT INTO ended SELECT 1 FROM batchagg.cancel_run((SELECT max(id) FROM batchagg.run))')});
$run = sql(q{SELECT batchagg.start_job('own')});
processes_leave('one that cancels its run');
is(status(), 'cancelled', 'cancelled');
is(sql('SELECT count(*) FROM ended'), '2', 'with the effect of the command');

sql(q{CREATE FUNCTION change_mind() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		PERFORM batchagg.drop_job('own');
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN raise_exception THEN
		RETURN 1; END $$;
	SELECT batchagg.alter_job('own', after_command => 'INSERT INTO ended SELECT change_mind() + stubborn()')});
hold(1, 2);
$run = sql(q{SELECT batchagg.start_job('own')});
is_held(1, 'one that takes that back');
at_once("SELECT batchagg.cancel_run($run)");
is_held(2, 'and goes on though somebody else cancels the run');
let_go(1, 2);
processes_leave('which is in vain');
is(status(), 'cancelled', 'cancelled');
is(sql('SELECT count(*) FROM ended'), '2', 'without an effect');
$run = sql(q{SELECT batchagg.start_job('own')});
becomes('done', 'and otherwise done');
is(sql('SELECT count(*) FROM ended'), '3', 'with its effect');
no_process_left($node, 'that');

sql(q{TRUNCATE seen; SELECT batchagg.alter_job('own', after_command => '',
	command => 'INSERT INTO seen SELECT s.* FROM source s, batchagg.cancel_run((SELECT max(id) FROM batchagg.run)) WHERE id BETWEEN $1 AND $2')});
$run = sql(q{SELECT batchagg.start_job('own')});
processes_leave('a batch that cancels its run');
is(status(), 'cancelled', 'cancelled');
is(sql('SELECT count(*) FROM seen'), '500', 'that batch is done');

# ---------------------------------------- while a process is about to take a batch

# a task waits, and the runner has seen that the run goes on when it asks the throttle, last of all
sql(q{TRUNCATE seen, ended; INSERT INTO bad VALUES (7);
	SELECT batchagg.create_job('about', 'source', batch_size => 1000, max_attempts => 1, statement_timeout => '3 min',
		command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')});
$run = sql(q{SELECT batchagg.start_job('about')});
becomes('failed', 'a run with a bad row');
no_process_left($node, 'that');
sql(q{TRUNCATE bad; SELECT batchagg.alter_job('about', throttle => '{"query": "SELECT pg_advisory_xact_lock_shared(1) IS NULL"}')});
my $retry = qq{SELECT batchagg.retry_task(task_id) FROM batchagg.job_errors WHERE run_id = $run AND status IN ('failed', 'pending') AND task_id IS NOT NULL};
hold(1);
sql($retry);
is_held(1, 'the runner is about to take a task that waits');
at_once(q{SELECT batchagg.pause_job('about')});
let_go(1);
no_process_left($node, 'a pause just then');
is(sql("SELECT string_agg(status, ' ') FROM batchagg.task WHERE run_id = $run"), 'pending', 'the batch does not begin any more');
hold(1);
is(sql(q{SELECT batchagg.resume_job('about')}), $run, 'resumed');
is_held(1, 'the runner is about to take it again');
let_go(1);
becomes('done', 'and does so');
is(sql($exact), 't', 'each row once');
no_process_left($node, 'that');

# ------------------------------------------------- a process that has lost its task

# The worker gives all advisory locks up, those of the job among them, and stays at its task, which
# the runner then takes. That goes on undisturbed, however the worker ends.
sql(q{CREATE SEQUENCE lost MINVALUE 0;
	CREATE FUNCTION work(first int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		kind text := (SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid());
	BEGIN
		IF kind = 'batchagg worker' AND NOT (SELECT is_called FROM lost) THEN
			PERFORM pg_advisory_unlock_all();
			PERFORM setval('lost', first);
			PERFORM pg_advisory_xact_lock_shared(1);
			IF EXISTS (SELECT FROM bad) THEN RAISE lock_not_available; END IF;
		ELSIF (SELECT is_called AND last_value = first FROM lost) THEN
			PERFORM pg_advisory_xact_lock_shared(2);
		ELSE
			WHILE NOT (SELECT is_called FROM lost) LOOP PERFORM pg_sleep(0.01); END LOOP;
		END IF;
		RETURN 1;
	END $$;
	SELECT batchagg.create_job('lost', 'source', batch_size => 250, workers => 2, statement_timeout => '3 min',
		command => 'INSERT INTO seen SELECT s.* FROM work($1), source s WHERE id BETWEEN $1 AND $2')});
for my $end ('fails', 'succeeds')
{
	sql(q{TRUNCATE seen, bad; SELECT setval('lost', 0, false)} . ($end eq 'fails' ? '; INSERT INTO bad VALUES (0)' : ''));
	hold(1, 2);
	$run = sql(q{SELECT batchagg.start_job('lost')});
	is_held(2, 'a task is done by a second process while the first is still at it');
	let_go(1);
	ok(poll(q{SELECT NOT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type = 'batchagg worker' AND locktype = 'relation')}),
		"the first $end");
	is(sql("SELECT count(*) FROM batchagg.task WHERE run_id = $run AND status = 'running' AND attempts = 2"), '1', 'which is not put on record');
	is(status(), 'running', 'and does not end the run');
	let_go(2);
	becomes('done', 'the second does the task');
	is(sql($exact), 't', 'each row once');
	no_process_left($node, "a lost lock, the process $end");
}

# -------------------------------------------------- a key that changes meanwhile

# between two batches, and between the cutting of a batch and its work
for my $when ('between batches', 'before a batch that is cut')
{
	sql(q{DROP TABLE IF EXISTS words; TRUNCATE seen, bad;
		CREATE TABLE words (id int, k text COLLATE "C" PRIMARY KEY);
		INSERT INTO words SELECT n, chr(64 + n) FROM generate_series(1, 40) n;
		SELECT batchagg.create_job('words', 'words', mode => 'incremental', batch_size => 20,
			command => 'INSERT INTO seen SELECT id FROM pg_advisory_xact_lock_shared(1), words WHERE k BETWEEN $1 AND $2')});
	my $blocker = $node->background_psql('postgres', on_error_stop => 1);
	my $waits = q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s AND wait_event_type = 'Lock')};
	hold(1);
	$run = sql(q{SELECT batchagg.start_job('words')});
	is_held(1, "a key that gets another collation $when");
	if ($when ne 'between batches')
	{
		# the next batch is cut and cannot be stored
		$blocker->query_safe(q{BEGIN; SELECT FROM batchagg.job WHERE name = 'words' FOR UPDATE});
		let_go(1);
		ok(poll(sprintf $waits, q{backend_type = 'batchagg runner' AND wait_event = 'transactionid'}), 'the batch is cut');
	}
	my $altering = start_psql($node, 'ALTER TABLE words ALTER k TYPE text COLLATE "default"');
	ok(poll(sprintf $waits, q{query LIKE 'ALTER%'}), 'waits for the process');
	$when eq 'between batches' ? let_go(1) : $blocker->query_safe('COMMIT');
	is((finish_psql($altering))[0], 'none', 'and is done');
	$blocker->quit;
	becomes('failed', 'the run fails');
	like(sql("SELECT message FROM batchagg.run WHERE id = $run"),
		$when eq 'between batches' ? qr/key k of public.words (?:has another collation than when|was altered or dropped during)/ : qr/key k of public.words was altered or dropped during a batch/, 'and says why');
	is(sql('SELECT count(*) FROM seen'), '20', 'no other batch is done');
	no_process_left($node, $when);
	sql(q{SELECT batchagg.drop_job('words')});
}

# ------------------------------------------------------ a run that ends just then

# a start that finds a run in its way which has ended when it looks at it: held between the two, by a
# trigger at the end of its INSERT
sql(q{SELECT batchagg.create_job('ending', 'source', batch_size => 1000, command => 'SELECT pg_advisory_xact_lock_shared(1) WHERE $1 < $2');
	CREATE FUNCTION wait_3() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(3); RETURN NULL; END $$});
hold(1);
my $ending = sql(q{SELECT batchagg.start_job('ending')});
is_held(1, 'a run');
hold(3);
sql('CREATE TRIGGER wait_3 AFTER INSERT ON batchagg.run FOR EACH STATEMENT EXECUTE FUNCTION wait_3()');
my $starting = start_psql($node, q{SELECT batchagg.start_job('ending')});
ok(poll(q{SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 3 AND objsubid = 1 AND NOT granted)}), 'a start that finds it in its way');
at_once("SELECT batchagg.cancel_run($ending)");
let_go(3);
(my $state, $run) = finish_psql($starting);
is($state, 'none', 'and then not any more');
isnt($run, $ending, 'starts another');
sql('DROP TRIGGER wait_3 ON batchagg.run');
let_go(1);
becomes('done', 'which is done');

for my $what ('drop_job', 'cancel_run')
{
	my $stop = $what eq 'drop_job' ? q{$1 = $2 OR batchagg.drop_job('own') IS NULL} : q{$1 IS NULL OR $2 IS NULL};
	my $before = $what eq 'cancel_run' ? 'SELECT batchagg.cancel_run((SELECT max(id) FROM batchagg.run))' : '';
	sql(qq{SELECT batchagg.alter_job('own', command => \$_\$SELECT $stop\$_\$, before_command => '$before')});
	$run = sql(q{SELECT batchagg.start_job('own')});
	becomes('failed', "$what where it comes too early fails the run");
	is(sql("SELECT sqlstate FROM batchagg.run WHERE id = $run"), '55000', 'as it is no state for that');
	no_process_left($node, 'that');
}

# ------------------------------------------------------- tasks of an earlier run

# the next run takes one over while somebody retries it: held between its task and its run by a trigger
sql(q{TRUNCATE bad; INSERT INTO bad VALUES (0);
	CREATE FUNCTION forbid() RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM bad) THEN RAISE insufficient_privilege; END IF; RETURN 1; END $$;
	SELECT batchagg.create_job('again', 'source', 'SELECT forbid() WHERE $1 < $2', mode => 'incremental', batch_size => 100)});
$run = sql(q{SELECT batchagg.start_job('again')});
becomes('failed', 'a run that is not cut to its end');
no_process_left($node, 'that');
my $left = sql("SELECT id FROM batchagg.task WHERE run_id = $run AND status = 'failed'");
sql('TRUNCATE bad; CREATE TRIGGER wait_3 AFTER UPDATE ON batchagg.task FOR EACH STATEMENT EXECUTE FUNCTION wait_3()');
hold(3);
$run = sql(q{SELECT batchagg.start_job('again')});
is_held(3, 'the next one takes its task over');
my $retrying = start_psql($node, "SELECT batchagg.retry_task($left)");
ok(poll(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT batchagg.retry_task%' AND wait_event_type = 'Lock')}), 'while somebody retries it');
let_go(3);
is((finish_psql($retrying))[0], '55000', 'who is told that it is not to be retried any more');
becomes('done', 'the run is done');
sql('DROP TRIGGER wait_3 ON batchagg.task');
is(sql("SELECT run_id, status FROM batchagg.task WHERE id = $left"), "$run|done", 'with the task');

# ---------------------------------------------------------------- what is on record

# why a run held is not said of one that is paused or over
sql(q{SELECT batchagg.alter_job('ending', throttle => '{"query": "SELECT true"}')});
for my $end ('pause_job', 'cancel_run')
{
	$run = sql(q{SELECT batchagg.start_job('ending')});
	ok(poll("SELECT hold_reason IS NOT NULL FROM batchagg.run WHERE id = $run"), 'a run that holds');
	sql($end eq 'pause_job' ? q{SELECT batchagg.pause_job('ending')} : "SELECT batchagg.cancel_run($run)");
	no_process_left($node, $end);
	is(sql("SELECT status, hold_reason FROM batchagg.run WHERE id = $run"), $end eq 'pause_job' ? 'paused|' : 'cancelled|', "$end: no reason is left");
	sql(qq{SELECT batchagg.resume_job('ending'); SELECT batchagg.cancel_run($run)}) if $end eq 'pause_job';
	no_process_left($node, 'that');
}

# nor if a throttle finds a reason when it is over
sql(q{SELECT batchagg.alter_job('ending', throttle => '{"query": "SELECT pg_advisory_xact_lock_shared(1) IS NOT NULL"}', statement_timeout => '3 min')});
hold(1);
$run = sql(q{SELECT batchagg.start_job('ending')});
is_held(1, 'a throttle is asked');
at_once("SELECT batchagg.cancel_run($run)");
let_go(1);
no_process_left($node, 'a cancel while a throttle is asked');
is(sql("SELECT status, hold_reason FROM batchagg.run WHERE id = $run"), 'cancelled|', 'no reason is left');

# alter_job changes what is to come alone
sql(q{TRUNCATE bad; SELECT batchagg.create_job('sized', 'source', target_time => '1 h', batch_size => 100, max_batch_size => 300, command => 'SELECT $1, $2')});
my $sizes = q{SELECT string_agg(row_count::text, ' ' ORDER BY task.id) FROM batchagg.task WHERE run_id = %d};
my $done = q{CALL batchagg.run_job('sized'); SELECT max(id) FROM batchagg.run};
my $first = sql($done);
is(sql(sprintf $sizes, $first), '100 300 300 300', 'sizes follow what was measured');
is(sql("SELECT batch_size, measured FROM batchagg.run WHERE id = $first"), '300|t', 'which is on record');
sql(q{SELECT batchagg.alter_job('sized', batch_size => 200)});
is(sql("SELECT batch_size FROM batchagg.run WHERE id = $first"), '300', 'and stays when the job is altered');
is(sql(sprintf $sizes, sql($done)), '200 300 300 200', 'the next run begins with the new size');

# a cancelled run is over: its tasks cannot make it go on
for my $mode ('once', 'incremental')
{
	sql(qq{TRUNCATE seen, bad; INSERT INTO bad VALUES (7);
		SELECT batchagg.create_job('over_$mode', 'source', mode => '$mode', batch_size => 100, max_attempts => 1,
			command => 'INSERT INTO seen SELECT s.* FROM source s, pg_advisory_xact_lock_shared(CASE WHEN \$1 > 100 THEN 1 ELSE 9 END) WHERE id BETWEEN \$1 AND \$2')});
	hold(1);
	$run = sql(qq{SELECT batchagg.start_job('over_$mode')});
	is_held(1, "$mode: a run with a failed task");
	at_once("SELECT batchagg.cancel_run($run)");
	let_go(1);
	sql('TRUNCATE bad');
	my ($refused, $message) = sqlstate_of($node, qq{SELECT batchagg.retry_task(task_id) FROM batchagg.job_errors WHERE run_id = $run AND status = 'failed'});
	is($refused, '55000', 'which is not retried when that was cancelled');
	like($message, $mode eq 'once' ? qr/run $run was cancelled.*HINT:  Start another run/s : qr/run $run was cancelled.*HINT:  The next run does what is left/s, 'with a hint');
	is(status(), 'cancelled', 'it stays so');
	$run = sql(qq{SELECT batchagg.start_job('over_$mode')});
	becomes('done', 'another run is done');
	is(sql($exact), 't', 'each row once');
	no_process_left($node, $mode);
}

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal \d|XX000|40P01/, 'nothing crashed, no deadlock');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');
$holder->quit;
$node->stop;
done_testing();
