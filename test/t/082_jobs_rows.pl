# What a process of a run does to the rows of its job, run and tasks: it looks for
# waiting tasks where there may be one, and before it cuts on; waits for these rows
# are not the job's waits for locks; nobody waits for them while it waits for the job's
# table; they are found again in another extension.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('rows', q{
max_worker_processes = 8
autovacuum = off
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub wait_until
{
	my ($query, $what) = @_;
	return ok($node->poll_query_until('postgres', $query), $what);
}

# A job of a hundred batches, which take some milliseconds; refuse() tells whether a row may not be
# inserted.
sql(q{
	CREATE TABLE source (id int PRIMARY KEY);
	INSERT INTO source SELECT generate_series(1, 1000);
	ANALYZE source;
	CREATE TABLE seen (id int);
	CREATE FUNCTION refuse(id int) RETURNS boolean LANGUAGE sql AS 'SELECT false';
	CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF refuse(new.id) THEN RAISE EXCEPTION 'not yet' USING ERRCODE = '40001'; END IF; RETURN new; END $$;
	CREATE TRIGGER guard BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION guard();
});
my $exact = q{SELECT count(*) = 1000 AND count(DISTINCT id) = 1000 FROM seen};
my $run;

# Starts the job anew, with more options.
sub start
{
	my ($options) = @_;
	sql(qq{
		TRUNCATE seen;
		SELECT batchagg.drop_job(name) FROM batchagg.job WHERE name = 'j';
		SELECT batchagg.create_job('j', 'source', batch_size => 10, retry_delay => '1 ms', $options command =>
			'INSERT INTO seen SELECT s.* FROM pg_sleep(0.01), source s WHERE id BETWEEN \$1 AND \$2')});
	$run = sql(q{SELECT batchagg.start_job('j')});
}

sub ends_well
{
	my ($what) = @_;
	wait_until("SELECT status = 'done' FROM batchagg.run WHERE id = $run", "$what: the run ends");
	is(sql($exact), 't', "$what: each row once");
	no_process_left($node, $what);
}

my $first_before_last = q{SELECT (SELECT finished_at FROM batchagg.task WHERE run_id = %1$d ORDER BY id LIMIT 1) <
	(SELECT started_at FROM batchagg.task WHERE run_id = %1$d ORDER BY id DESC LIMIT 1)};
my $searches = q{SELECT idx_scan FROM pg_stat_all_indexes WHERE indexrelname = 'task_open_idx'};

# ---------------------------------------------------------------- tasks that wait

my $before = sql($searches);
start('');
ends_well('a run in which nothing waits');
cmp_ok(sql($searches) - $before, '<', 10, 'does not look for waiting tasks at each batch');

sql(q{CREATE SEQUENCE tries;
	CREATE OR REPLACE FUNCTION refuse(id int) RETURNS boolean LANGUAGE sql AS $$SELECT CASE WHEN id = 1 THEN nextval('tries') = 1 ELSE false END$$});
start('');
ends_well('a batch that fails once');
is(sql("SELECT attempts FROM batchagg.task WHERE run_id = $run ORDER BY id LIMIT 1"), '2', 'is tried again');
is(sql(sprintf $first_before_last, $run), 't', 'before others are cut');
is(sql("SELECT waiting FROM batchagg.run WHERE id = $run"), 'f', 'and then nothing waits any more');

sql(q{CREATE OR REPLACE FUNCTION refuse(id int) RETURNS boolean LANGUAGE sql AS 'SELECT id = 1'});
start('max_attempts => 1,');
wait_until("SELECT EXISTS (SELECT FROM batchagg.task WHERE run_id = $run AND status = 'failed')", 'a batch that fails for good');
sql(q{CREATE OR REPLACE FUNCTION refuse(id int) RETURNS boolean LANGUAGE sql AS 'SELECT false'});
is(sql("SELECT batchagg.retry_task(id) FROM batchagg.task WHERE run_id = $run AND status = 'failed'"), $run, 'is retried by hand');
ends_well('a task retried by hand');
is(sql(sprintf $first_before_last, $run), 't', 'comes before batches that are not cut yet');

# --------------------------------------------------------- waits for rows of the run

my $waits = q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%' AND NOT granted
	AND waitstart < clock_timestamp() - interval '200 ms')};
for my $lock ('SELECT FROM batchagg.run FOR UPDATE', 'LOCK TABLE batchagg.task IN SHARE MODE')
{
	start(q{workers => 2, max_attempts => 1, lock_timeout => '20 ms',});
	wait_until("SELECT count(*) > 10 FROM seen", "$lock: the run is under way");
	my $holder = $node->background_psql('postgres');
	$holder->query_safe("BEGIN; $lock");
	wait_until($waits, 'its processes wait for longer than lock_timeout');
	$holder->query_safe('COMMIT');
	$holder->quit;
	ends_well($lock);
}
unlike(slurp_file($node->logfile), qr/lock timeout/, 'no wait was given up');

# Whoever waits for the table does not have the run's row meanwhile, and no longer than lock_timeout says.
start(q{max_attempts => 1000, lock_timeout => '100 ms',});
wait_until("SELECT count(*) > 10 FROM seen", 'the run is under way');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE source');
my $waits_since = q{FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%' AND NOT granted
	AND relation = 'source'::regclass AND waitstart > '%s'};
wait_until(sprintf("SELECT EXISTS (SELECT $waits_since)", 'epoch'), 'its process waits for the table');
is(sql(q{SET lock_timeout = '60 s'; SELECT count(*) FROM (SELECT FROM batchagg.run ORDER BY id DESC LIMIT 1 FOR UPDATE) r}), '1', q{others have the run's row});
my $now = sql('SELECT clock_timestamp()');
wait_until(sprintf("SELECT EXISTS (SELECT $waits_since)", $now), 'the wait is given up, and another begun');
$holder->query_safe('COMMIT');
ends_well('a table that was locked');

# A lock that is held for long is no error while batches are cut: the run holds until it is free. The command waits at a
# gate, while others ask for the lock, which they have at the next batch.
sql(q{CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
	WHILE NOT pg_try_advisory_xact_lock_shared(2) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN true; END $$});
for my $case (['LOCK TABLE source', '50 ms'], ['REINDEX INDEX source_pkey', '0'])
{
	my ($lock, $timeout) = @$case;
	my $locker = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(2)');
	sql(qq{
		TRUNCATE seen;
		SELECT batchagg.drop_job('j');
		SELECT batchagg.create_job('j', 'source', batch_size => 100, workers => 2, max_attempts => 1, lock_timeout => '$timeout', command =>
			'INSERT INTO seen SELECT s.* FROM (SELECT gate() OFFSET 0) g, source s WHERE id BETWEEN \$1 AND \$2')});
	$run = sql(q{SELECT batchagg.start_job('j')});
	wait_until("SELECT count(*) = 2 FROM batchagg.task WHERE run_id = $run", "$lock: two batches are at work");
	$locker->query_until(qr/asks/, "\\echo asks\nBEGIN; $lock;\n");
	wait_until(q{SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted)}, 'somebody wants a lock');
	$holder->query_safe('SELECT pg_advisory_unlock(2)');
	my $holds = "SELECT hold_reason = 'somebody has a lock that the run waits for' FROM batchagg.run WHERE id = $run AND status = 'running'";
	wait_until($holds, 'has it, and the run holds');
	is(sql(qq{SET lock_timeout = '60 s'; SELECT id FROM batchagg.run WHERE id = $run FOR UPDATE}), $run, q{others have the run's row});
	wait_until(sprintf(q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%%' AND NOT granted
		AND locktype = 'relation' AND waitstart > '%s')}, sql('SELECT clock_timestamp()')), 'it tries again');
	is(sql($holds), 't', 'while it holds');
	$locker->query_safe('COMMIT');
	$locker->quit;
	ends_well($lock);
	is(sql("SELECT max(attempts) || ' ' || count(hold_reason) FROM batchagg.task, batchagg.run WHERE run_id = run.id AND run.id = $run"), '1 0',
		'nothing was tried twice, and nothing is held for any more');
}

# So it is while a run is planned.
sql(q{TRUNCATE seen; SELECT batchagg.alter_job('j', lock_timeout => '50 ms')});
$holder->query_safe('BEGIN; LOCK TABLE source');
$run = sql(q{SELECT batchagg.start_job('j')});
wait_until("SELECT hold_reason = 'somebody has a lock that the run waits for' AND NOT planned FROM batchagg.run WHERE id = $run", 'a run that begins holds');
$holder->query_safe('COMMIT');
ends_well('a table that was locked at first');

# Also where it is an index that is locked. Who waited for it and has it cancels the command before the batches at once, and
# nothing says any more that the run holds.
sql(q{SELECT batchagg.alter_job('j', before_command => 'SELECT gate()', max_attempts => 2)});
$holder->query_safe('SELECT pg_advisory_lock(2); BEGIN; REINDEX INDEX source_pkey');
$run = sql(q{SELECT batchagg.start_job('j')});
wait_until("SELECT hold_reason = 'somebody has a lock that the run waits for' AND NOT planned FROM batchagg.run WHERE id = $run", 'a run holds for an index');
wait_until(sprintf(q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%%' AND NOT granted
	AND locktype = 'relation' AND waitstart > '%s')}, sql('SELECT clock_timestamp()')), 'it tries again') for 1 .. 3;
is(sql("SELECT status FROM batchagg.run WHERE id = $run"), 'running', 'as often as it takes');
$holder->query_safe('COMMIT');
wait_until(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%' AND query LIKE '%before_command: SELECT gate()')}, 'it goes on');
is(sql("SELECT hold_reason IS NULL FROM batchagg.run WHERE id = $run"), 't', 'and holds no more');
is(sql("SET statement_timeout = '10 s'; SELECT batchagg.cancel_run($run)"), 't', 'it is cancelled at once');
$holder->query_safe('SELECT pg_advisory_unlock(2)');
no_process_left($node, 'a run that was cancelled before its batches');
sql(q{SELECT batchagg.alter_job('j', before_command => '', max_attempts => 1)});

# And a batch that took too long, and cannot be halved for a lock, waits for that with the error it had.
sql(q{TRUNCATE seen; SELECT batchagg.alter_job('j', statement_timeout => '5 s', workers => 1)});
$holder->query_safe('SELECT pg_advisory_lock(2)');
$run = sql(q{SELECT batchagg.start_job('j')});
wait_until("SELECT count(*) = 1 FROM batchagg.task WHERE run_id = $run", 'a batch is at work');
{
	my $locker = $node->background_psql('postgres');
	$locker->query_until(qr/asks/, "\\echo asks\nBEGIN; LOCK TABLE source;\n");
	wait_until("SELECT status = 'pending' AND sqlstate = '57014' FROM batchagg.task WHERE run_id = $run", 'it takes too long, and somebody has the table then');
	is(sql("SELECT status FROM batchagg.run WHERE id = $run"), 'running', 'the run goes on');
	$holder->query_safe('SELECT pg_advisory_unlock(2)');
	$locker->query_safe('COMMIT');
	$locker->quit;
}
ends_well('a batch that was not halved');

# Of an incremental job a batch is cut while its size is altered: each waits for the other, not both.
sql(q{
	CREATE TABLE stream (id int PRIMARY KEY);
	INSERT INTO stream SELECT generate_series(1, 500);
	CREATE FUNCTION cut_gate() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4); RETURN true; END $$;
	CREATE ROLE clerk LOGIN;
	ALTER TABLE stream OWNER TO clerk;
	GRANT USAGE ON SCHEMA batchagg TO clerk;
	ALTER TABLE stream ENABLE ROW LEVEL SECURITY;
	ALTER TABLE stream FORCE ROW LEVEL SECURITY;
	CREATE POLICY p ON stream USING (cut_gate());
	SET ROLE clerk;
	SELECT batchagg.create_job('stream', 'stream', 'SELECT $1, $2, gate()', mode => 'incremental', batch_size => 100, max_attempts => 1)});
$holder->query_safe('SELECT pg_advisory_lock(2)');
$run = sql(q{SELECT batchagg.start_job('stream')});
wait_until("SELECT count(*) = 1 FROM batchagg.task WHERE run_id = $run", 'the first batch is at work');
$holder->query_safe('SELECT pg_advisory_lock(4); SELECT pg_advisory_unlock(2)');
wait_until(q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%' AND NOT granted AND locktype = 'advisory' AND objid = 4)},
	'the second is being cut');
{
	my $altering = start_psql($node, q{SELECT batchagg.alter_job('stream', batch_size => 50)});
	wait_until(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%alter_job(%' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid())}, 'whoever alters waits');
	$holder->query_safe('SELECT pg_advisory_lock(2); SELECT pg_advisory_unlock(4)');
	my ($state, $out, $err) = finish_psql($altering);
	is($state, 'none', 'not in vain') or diag($err);
}
$holder->query_safe('SELECT pg_advisory_unlock(2)');
wait_until("SELECT status = 'done' FROM batchagg.run WHERE id = $run", 'nor does the run');
is(sql("SELECT array_agg(row_count ORDER BY id) FROM batchagg.task WHERE run_id = $run"), '{100,100,50,50,50,50,50,50}', 'what was altered holds from the next batch on');

# A cancel while a batch that failed is to be halved leaves it with the error it had, for another attempt.
sql(q{SELECT batchagg.drop_job('stream'); SET ROLE clerk;
	SELECT batchagg.create_job('halved', 'stream', 'SELECT 1 / (id - 1), $2 FROM (SELECT gate() AS open, $1 AS id OFFSET 0) s WHERE open', batch_size => 500, retry_delay => '1 ms', max_skipped => 1)});
$holder->query_safe('SELECT pg_advisory_lock(2)');
$run = sql(q{SELECT batchagg.start_job('halved')});
wait_until("SELECT count(*) = 1 FROM batchagg.task WHERE run_id = $run", 'a batch is at work');
$holder->query_safe('SELECT pg_advisory_lock(4); SELECT pg_advisory_unlock(2)');
wait_until(q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%' AND NOT granted AND locktype = 'advisory' AND objid = 4)},
	'it has failed and is to be halved');
sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%'});
wait_until("SELECT attempts = 2 AND failed_attempt = 1 AND sqlstate = '22012' FROM batchagg.task WHERE run_id = $run", 'it is tried again');
$holder->query_safe('SELECT pg_advisory_unlock(4)');
wait_until("SELECT status = 'done' FROM batchagg.run WHERE id = $run", 'and halved then');
is(sql("SELECT first_key, last_key, sqlstate FROM batchagg.task WHERE run_id = $run AND status = 'skipped'"), '1|1|22012', 'down to the key that is bad');

# A run whose workers find no place does not hold, as its others are at work.
sql(q{LOAD 'batchagg'; ALTER SYSTEM SET batchagg.max_job_workers = 2; SELECT pg_reload_conf();
	SELECT batchagg.alter_job('j', workers => 5, statement_timeout => '0'); TRUNCATE seen});
$holder->query_safe('SELECT pg_advisory_lock(2)');
$run = sql(q{SELECT batchagg.start_job('j')});
wait_until("SELECT count(*) = 2 FROM batchagg.task WHERE run_id = $run", 'two of five processes are at work');
wait_until(q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%'}, 'the others are gone');
is(sql(q{SELECT state, hold_reason IS NULL FROM batchagg.job_status WHERE job = 'j'}), 'running|t', 'the run does not hold');
$holder->query_safe('SELECT pg_advisory_unlock(2)');
ends_well('fewer processes than wanted');

# A row that is committed while a process waits to cut the batch that it belongs to is in that batch.
sql('CREATE TABLE gaps (id int PRIMARY KEY); INSERT INTO gaps SELECT generate_series(10, 1000, 10); CREATE TABLE taken (id int)');
$holder->query_safe('SELECT pg_advisory_lock(1)');
sql(q{SELECT batchagg.create_job('gaps', 'gaps', batch_size => 1, command =>
	'INSERT INTO taken SELECT id FROM (SELECT pg_advisory_xact_lock_shared(1)) l, gaps WHERE id BETWEEN $1 AND $2')});
$run = sql(q{SELECT batchagg.start_job('gaps')});
wait_until(q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%' AND NOT granted AND locktype = 'advisory')},
	'the first batch waits');
$holder->query_safe("BEGIN; SELECT FROM batchagg.run WHERE id = $run FOR UPDATE; SELECT pg_advisory_unlock(1)");
wait_until(q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type LIKE 'batchagg%' AND NOT granted AND locktype = 'transactionid')},
	'the process waits to cut the second');
sql('INSERT INTO gaps VALUES (15)');
$holder->query_safe('COMMIT');
$holder->quit;
wait_until("SELECT status = 'done' FROM batchagg.run WHERE id = $run", 'the run ends');
is(sql('SELECT count(*), count(DISTINCT id), bool_or(id = 15) FROM taken'), '101|101|t', 'the row that came meanwhile is not left out');

# ------------------------------------------- triggers and foreign keys of the tables' owner

sql(q{
	CREATE TABLE notes (run bigint REFERENCES batchagg.run (id) ON DELETE CASCADE);
	CREATE TABLE audit (task bigint, by name, path text);
	CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.audit VALUES (new.id, current_user, current_setting('search_path')); RETURN new; END $$;
	CREATE TRIGGER audit AFTER INSERT OR UPDATE ON batchagg.task FOR EACH ROW EXECUTE FUNCTION audit();
	CREATE TRIGGER before BEFORE INSERT OR UPDATE ON batchagg.task FOR EACH ROW EXECUTE FUNCTION audit();
	CREATE ROLE plain LOGIN;
	GRANT USAGE ON SCHEMA batchagg TO plain;
	GRANT SELECT ON source TO plain;
	GRANT INSERT, SELECT ON seen TO plain;
	TRUNCATE seen;
});
is(sql(q{
	SET ROLE plain;
	SELECT batchagg.create_job('watched', 'source', 'INSERT INTO seen SELECT id FROM source WHERE id BETWEEN $1 AND $2', batch_size => 100) IS NOT NULL;
	CALL batchagg.run_job('watched');
	RESET ROLE;
	SELECT status FROM batchagg.run ORDER BY id DESC LIMIT 1}), "t\ndone", 'a job runs in spite of them');
is(sql($exact), 't', 'each row once');
is(sql('SELECT DISTINCT by, path FROM audit'), sql('SELECT current_user') . '|pg_catalog, pg_temp', 'they run as the owner, and find what is in pg_catalog');
is(sql('SELECT count(*) FROM audit'), '40', 'at each write');
sql('DROP TRIGGER audit ON batchagg.task; DROP TRIGGER before ON batchagg.task; DROP TABLE notes');

# ------------------------------------------- an extension that was created once more

is(sql(q{
	DROP EXTENSION batchagg CASCADE;
	CREATE EXTENSION batchagg;
	DO $$ BEGIN PERFORM batchagg.create_job('k', 'source', 'SELECT FROM source WHERE id BETWEEN $1 AND $2'); END $$;
	DROP EXTENSION batchagg CASCADE;
	CREATE EXTENSION batchagg;
	BEGIN;
	DO $$ BEGIN PERFORM batchagg.create_job('k', 'source', 'SELECT FROM source WHERE id BETWEEN $1 AND $2'); END $$;
	SELECT count(*) FROM pg_locks JOIN pg_extension e ON e.oid = objid AND e.tableoid = classid
		WHERE pid = pg_backend_pid() AND extname = 'batchagg' AND mode = 'AccessShareLock';
	COMMIT}), '1', 'in another extension of the same session the lock is on that one');
is(sql(q{SELECT count(*) FROM batchagg.job}), '1', 'and the job is there');

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');

$node->stop;
done_testing();
