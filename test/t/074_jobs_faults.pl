# What a server may lack in the middle of a run, and who may stand in its way: room
# on disk for the target or for temporary files, memory, processes, leave to connect;
# locks that others hold, deadlocks with them, prepared transactions.  The run goes
# on when the want is over, or says what is wrong, and each row was counted once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A tablespace needs a small file system: one that is mounted already, at
# BATCHAGG_SMALL_DISK, or one in a namespace that the whole server is started in.
my $node = PostgreSQL::Test::Cluster->new('faults');
$node->init(extra => ['--encoding=UTF8']);
$node->append_conf('postgresql.conf', q{
max_worker_processes = 8
batchagg.max_job_workers = 4
autovacuum = off
max_prepared_transactions = 2
log_min_messages = log
});
my $small_disk = $ENV{BATCHAGG_SMALL_DISK};
my $no_small_disk;
if (defined $small_disk)
{
	$node->start;
}
else
{
	$small_disk = $node->basedir . '/small';
	mkdir $small_disk or die "mkdir $small_disk: $!";
	# root of a namespace for the mount, and then the user again: the server refuses to be root
	my ($uid, $gid) = ($>, (split ' ', $))[0]);
	my @command = (
		'unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', qq{
		mount -t tmpfs -o size=6m,mode=0777 tmpfs "\$1" &&
		exec unshare --user --map-user=$uid --map-group=$gid \\
			pg_ctl --wait --pgdata "\$2" --log "\$3" --options "--cluster-name=faults" start}, 'sh',
		$small_disk, $node->data_dir, $node->logfile);
	if (system('unshare --user --map-root-user --mount true 2>/dev/null') == 0
		&& run_log(\@command, '>', $node->basedir . '/start.log', '2>&1'))
	{
		$node->_update_pid(1);
	}
	else
	{
		$no_small_disk = 'no small file system: BATCHAGG_SMALL_DISK is not set, and this user may not mount one in a namespace';
		$node->start;
	}
}
$node->safe_psql('postgres', 'CREATE EXTENSION batchagg; ALTER DATABASE postgres SET search_path = public, batchagg');

sub sql { return $node->safe_psql('postgres', $_[0]) }
my ($out, $err, $notice);

# Runs a job to its end, as psql does; the exit status, standard error in $err.
sub run_job
{
	my ($name) = @_;
	(my $rc, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\nCALL run_job('$name')", on_error_stop => 1);
	return $rc;
}

sub wait_until
{
	my ($query, $what) = @_;
	return ok($node->poll_query_until('postgres', $query), $what);
}

# The last run of a job, and its tasks.
sub last_run
{
	my ($name, $columns) = @_;
	return sql(qq{SELECT $columns FROM run WHERE id = (SELECT max(run.id) FROM run JOIN job ON job.id = job_id WHERE name = '$name')});
}

sub tasks
{
	my ($name, $columns) = @_;
	return sql(qq{SELECT $columns FROM task WHERE run_id = (SELECT max(run.id) FROM run JOIN job ON job.id = job_id WHERE name = '$name')});
}

sql(q{
	CREATE TABLE source (id int PRIMARY KEY, k int);
	INSERT INTO source SELECT n, n % 7 FROM generate_series(1, 4000) n;
	CREATE TABLE seen (id int, k int);
	ANALYZE source;
});
my $exact = q{SELECT count(*) = 4000 AND count(DISTINCT id) = 4000 AND sum(id) = 8002000 FROM seen};

# ----------------------------------------------------------------- a full disk

SKIP:
{
	skip $no_small_disk, 7 if $no_small_disk;
	my $place = "$small_disk/batchagg_faults";
	sql(qq{COPY (SELECT WHERE false) TO PROGRAM 'mkdir "$place"'}); # it may be seen by the server alone
	sql(qq{CREATE TABLESPACE small LOCATION '$place'});
	sql(q{
		CREATE TABLE target (id int, filler text) TABLESPACE small;
		ALTER TABLE target ALTER filler SET STORAGE plain;
		CREATE TABLE ballast (filler text) TABLESPACE small;
		INSERT INTO ballast SELECT repeat('x', 2000) FROM generate_series(1, 500);
		SELECT create_job('full', 'source', batch_size => 100, max_attempts => 100, retry_delay => '100 ms', command =>
			'INSERT INTO target SELECT id, repeat(''x'', 1300) FROM source WHERE id BETWEEN $1 AND $2')});
	sql(q{SELECT start_job('full')});
	wait_until(q{SELECT EXISTS (SELECT FROM task WHERE status = 'pending' AND sqlstate = '53100')}, 'a full disk: the batch is tried again and again');
	is(last_run('full', 'status'), 'running', 'the run goes on');
	sql('DROP TABLE ballast; CHECKPOINT');
	wait_until(q{SELECT status = 'done' FROM run ORDER BY id DESC LIMIT 1}, 'and ends when there is room');
	is(sql('SELECT count(*) = 4000 AND count(DISTINCT id) = 4000 FROM target'), 't', 'each row once');

	# and if there never is
	sql(q{TRUNCATE target; CREATE TABLE ballast (filler text) TABLESPACE small; CHECKPOINT;
		INSERT INTO ballast SELECT repeat('x', 2000) FROM generate_series(1, 500);
		SELECT alter_job('full', max_attempts => 2)});
	isnt(run_job('full'), 0, 'where there is no room at all the run fails');
	like(tasks('full', q{string_agg(DISTINCT sqlstate || ' ' || attempts, ', ') FILTER (WHERE status = 'failed')}), qr/^53100 2$/, 'with that error, after its attempts');
	is(sql(q{SELECT count(*) = count(DISTINCT id) AND count(*) = (SELECT sum(affected) FROM task WHERE status = 'done' AND run_id = (SELECT max(id) FROM run)) FROM target}),
		't', 'what is there is what was done');
	sql('DROP TABLE target, ballast; CHECKPOINT');
	sql('DROP TABLESPACE small');
}

# too many temporary files: smaller batches take less
sql(q{
	CREATE ROLE sorter LOGIN;
	ALTER ROLE sorter SET temp_file_limit = '300kB';
	ALTER ROLE sorter SET work_mem = '64kB';
	GRANT ALL ON source, seen TO sorter; GRANT USAGE ON SCHEMA batchagg TO sorter;
	SET ROLE sorter;
	SELECT create_job('spill', 'source', batch_size => 2000, command =>
		'INSERT INTO seen SELECT id, k FROM (SELECT id, k, repeat(id::text, 100) AS long FROM source WHERE id BETWEEN $1 AND $2 ORDER BY long OFFSET 0) s');
});
is(run_job('spill'), 0, 'temp_file_limit');
is(tasks('spill', q{bool_or(status = 'split' AND sqlstate = '53400') || ' ' || bool_and(status IN ('split', 'done'))}), 'true true', 'batches are halved until they fit');
is(sql($exact), 't', 'each row once');

# out of memory, as the server tells of it
sql(q{TRUNCATE seen;
	CREATE FUNCTION hungry(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		IF $1 > 600 THEN RAISE EXCEPTION 'out of memory' USING ERRCODE = '53200'; END IF; RETURN $1; END $$;
	SELECT create_job('hungry', 'source', batch_size => 2000, command =>
		'INSERT INTO seen SELECT id, k FROM source, hungry($2 - $1) WHERE id BETWEEN $1 AND $2')});
is(run_job('hungry'), 0, 'out of memory');
is(tasks('hungry', q{bool_or(status = 'split' AND sqlstate = '53200') || ' ' || bool_and(status IN ('split', 'done'))}), 'true true', 'batches are halved');
is(sql($exact), 't', 'each row once');
no_process_left($node, 'wants of memory');

# ------------------------------------------------------------------------ locks

sql(q{TRUNCATE seen; SELECT create_job('locked', 'source', batch_size => 1000, lock_timeout => '50 ms', max_attempts => 1000, retry_delay => '10 ms',
	command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')});
{
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('BEGIN; LOCK TABLE seen');
	sql(q{SELECT start_job('locked')});
	wait_until(q{SELECT EXISTS (SELECT FROM task WHERE sqlstate = '55P03' AND attempts > 1)}, 'a lock that is held: the batch gives up and is tried again');
	$holder->query_safe('COMMIT');
	$holder->quit;
}
wait_until(q{SELECT status = 'done' FROM run ORDER BY id DESC LIMIT 1}, 'the run ends when it is let go');
is(sql($exact), 't', 'each row once');
is(tasks('locked', q{string_agg(DISTINCT status, ', ')}), 'done', 'nothing was split for it');

# The batch locks the one row and then the other, somebody the other way round. An advisory
# lock brings them into step, and who has the shorter deadlock_timeout is the one to give way.
sql(q{TRUNCATE seen;
	CREATE TABLE two (id int PRIMARY KEY, n int); INSERT INTO two VALUES (1, 0), (2, 0);
	CREATE FUNCTION meet() RETURNS int LANGUAGE plpgsql SET deadlock_timeout = '500 ms' AS $$ BEGIN
		UPDATE two SET n = n + 1 WHERE id = 1;
		PERFORM pg_advisory_xact_lock(1);
		UPDATE two SET n = n + 1 WHERE id = 2;
		RETURN 1; END $$;
	SELECT create_job('crossing', 'source', batch_size => 4000, retry_delay => '10 ms', max_attempts => 1000, command =>
		'INSERT INTO seen SELECT s.* FROM meet(), source s WHERE s.id BETWEEN $1 AND $2')});
{
	my $other = $node->background_psql('postgres');
	$other->query_safe(q{SET deadlock_timeout = '1h'; SELECT pg_advisory_lock(1); BEGIN; UPDATE two SET n = 0 WHERE id = 2});
	sql(q{SELECT start_job('crossing')});
	wait_until(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%' AND wait_event = 'advisory')}, 'a batch has one of two rows');
	$other->query_safe(q{SELECT pg_advisory_unlock(1); UPDATE two SET n = 0 WHERE id = 1});
	ok(1, 'somebody who has the other gets it');
	$other->query_safe('COMMIT');
	$other->quit;
}
wait_until(q{SELECT status = 'done' FROM run ORDER BY id DESC LIMIT 1}, 'the run goes on after the deadlock');
is(tasks('crossing', q{bool_and(status = 'done' AND attempts > 1 AND sqlstate = '40P01')}), 't', 'by another attempt');
is(sql($exact), 't', 'each row once');
is(sql('SELECT string_agg(n::text, $$ $$) FROM two'), '1 1', 'and each effect');

# ------------------------------------------- writers that nobody is connected to

sql(q{CREATE TABLE stream (id bigserial PRIMARY KEY, k int);
	CREATE TABLE streamed (id bigint, k int);
	BEGIN; INSERT INTO stream (k) SELECT n FROM generate_series(1, 100) n; PREPARE TRANSACTION 'writer';
	INSERT INTO stream (k) SELECT n FROM generate_series(1, 100) n;
	SELECT create_job('stream', 'stream', mode => 'incremental', batch_size => 50, command =>
		'INSERT INTO streamed SELECT * FROM stream WHERE id BETWEEN $1 AND $2');
	SELECT start_job('stream')});
wait_until(q{SELECT hold_reason LIKE 'transactions that have written%' FROM run ORDER BY id DESC LIMIT 1}, 'an incremental run waits for a prepared transaction');
$node->restart;
is(sql('SELECT count(*) FROM streamed'), '0', 'and has done nothing');
(undef, $out, $notice) = $node->psql('postgres', q{SELECT start_job('stream')});
like($notice, qr/which was interrupted, goes on/, 'after a restart');
wait_until(q{SELECT run_is_alive(id) AND hold_reason LIKE 'transactions that have written%' FROM run ORDER BY id DESC LIMIT 1}, 'it waits again');
is(sql('SELECT count(*) FROM streamed'), '0', 'still');
sql(q{COMMIT PREPARED 'writer'});
wait_until(q{SELECT status = 'done' FROM run ORDER BY id DESC LIMIT 1}, 'it goes on after the commit');
is(sql('SELECT count(*), count(DISTINCT id) FROM streamed'), '200|200', 'with those rows');
no_process_left($node, 'a prepared transaction');

# ---------------------------------------------------- no processes, no connections

# The server cannot fork: who is connected stays, and nobody comes.
SKIP:
{
	skip 'prlimit is not installed', 5 if system('prlimit --version >/dev/null 2>&1') != 0;
	sql(q{TRUNCATE seen; SELECT create_job('forked', 'source', batch_size => 100, workers => 2, command =>
		'INSERT INTO seen SELECT s.* FROM source s, pg_sleep(0.01) WHERE id BETWEEN $1 AND $2')});
	my $session = $node->background_psql('postgres');
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $offset = -s $node->logfile;
	is(system("prlimit --pid $postmaster --nproc=1:"), 0, 'no process can be forked');
	my $run = $session->query_safe(q{SELECT start_job('forked')});
	like($run, qr/^\d+$/, 'start_job returns a run');
	ok($node->wait_for_log(qr/could not fork (?:worker|background worker) process/, $offset), 'whose runner cannot be forked');
	system("prlimit --pid $postmaster --nproc=\$(prlimit --pid $postmaster --nproc --noheadings --output HARD):");
	wait_until("SELECT status = 'done' FROM run WHERE id = $run", 'it is when that is over, and the run is done');
	is(sql($exact), 't', 'each row once');
	$session->quit;
}

# A runner that may not connect is not tried for ever: the next start makes another.
{
	sql(q{TRUNCATE seen; CREATE ROLE clerk LOGIN; GRANT ALL ON source, seen TO clerk; GRANT USAGE ON SCHEMA batchagg TO clerk;
		SET ROLE clerk; SELECT create_job('clerks', 'source', batch_size => 1000, command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN $1 AND $2')});
	my $session = $node->background_psql('postgres');
	$session->query_safe('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
	my $offset = -s $node->logfile;
	my $run = $session->query_safe(q{SELECT start_job('clerks')});
	ok($node->wait_for_log(qr/permission denied for database/, $offset), 'one that may not connect');
	wait_until(q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%')}, 'leaves');
	is(sql("SELECT status || run_is_alive(id) FROM run WHERE id = $run"), 'runningfalse', 'its run is interrupted');
	$session->query_safe('GRANT CONNECT ON DATABASE postgres TO PUBLIC; TRUNCATE seen');
	(undef, $out, $notice) = $node->psql('postgres', q{SELECT start_job('clerks')});
	is($out, $run, 'and goes on at the next start');
	wait_until("SELECT status = 'done' FROM run WHERE id = $run", 'to its end');
	is(() = slurp_file($node->logfile, $offset) =~ /permission denied for database/g, 1, 'there was one attempt');
	$session->quit;
}
no_process_left($node, 'all');

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal \d|XX000/, 'nothing crashed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');
$node->stop;
done_testing();
