# What may go wrong while batches run in parallel workers: no slots, errors,
# cancelled and killed processes, timeouts, a stopping server, a full temporary
# file quota.  After every fault: the caller has a clean error or the right
# answer, no worker is left, no shared memory segment, no temporary file, no
# lock, and the next run gives the right answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Segments of type mmap are files of the data directory, so leaks can be counted.
my $node = new_server(
	'faults', q{
restart_after_crash = on
dynamic_shared_memory_type = mmap
max_worker_processes = 8
max_parallel_workers = 8
autovacuum = off
log_min_messages = log
},
	allows_streaming => 1);

$node->safe_psql('postgres', q{
	CREATE TABLE numbers AS SELECT n, n % 7 AS k FROM generate_series(1, 1000) n;
	ANALYZE numbers;
	-- Works for a while, and in a worker raises an error when it meets n.
	CREATE FUNCTION fails_in_worker(leader int, n int) RETURNS int PARALLEL SAFE LANGUAGE plpgsql AS $$
	BEGIN
		IF pg_backend_pid() <> leader THEN
			RAISE EXCEPTION 'no % here', n USING ERRCODE = 'UE123', DETAIL = 'A detail.', HINT = 'A hint.';
		END IF;
		PERFORM pg_sleep(0.01);
		RETURN n;
	END $$;
	CREATE FUNCTION who(n int) RETURNS int PARALLEL SAFE LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(0.0005);
		RETURN pg_backend_pid();
	END $$;
});

my $workers_alive = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'};
my $right = '10|500500';

# The thousand numbers in ten batches; $extra goes to each batch's query, doubled quotes and all.
sub batches
{
	my ($extra, $workers) = @_;
	$workers //= 2;
	$extra //= '';
	return "SELECT count(*), sum(s) FROM batchagg.each_batch('SELECT sum(n) FROM numbers $extra', "
	  . "batch_size => 100, workers => $workers) AS (batch bigint, s bigint);";
}
my $slowly = 'WHERE pg_sleep(0.01)::text IS NOT NULL';    # a second a batch

sub wait_for_workers
{
	my ($n) = @_;
	return $node->poll_query_until('postgres', "SELECT ($workers_alive) >= $n");
}

sub files_in
{
	my ($directory) = @_;
	return sort(grep { !/^\.\.?$/ } slurp_dir($node->data_dir . "/$directory"));
}

# The number of segments while nobody runs anything.  A session's own go before
# it leaves pg_stat_activity; the server's own (statistics) come and go.
sub segments_at_rest
{
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type IN ('client backend', 'parallel worker', 'autovacuum worker')});
	my @files = files_in('pg_dynshmem');
	return scalar @files;
}

# warms up whatever keeps a segment for good
is($node->safe_psql('postgres', batches()), $right, 'ten batches');
my $segments = segments_at_rest();

# The state in which every fault has to leave the server.
sub check_clean
{
	my ($what) = @_;
	ok($node->poll_query_until('postgres', "SELECT ($workers_alive) = 0"), "$what: no worker is left");
	ok($node->poll_query_until('postgres',
			q{SELECT count(*) = 0 FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype IN ('relation', 'transactionid')}),
		"$what: no lock is left");
	# one more than there were may be the statistics'; ten failed runs below tell it from a leak
	cmp_ok(segments_at_rest(), '<=', $segments + 1, "$what: no shared memory segment is left");
	is(join(' ', -d $node->data_dir . '/base/pgsql_tmp' ? files_in('base/pgsql_tmp') : ()),
		'', "$what: no temporary file is left");
	is($node->safe_psql('postgres', batches()), $right, "$what: the next run is right");
	return;
}

# ------------------------------------------------- rows are shared with workers

my $by_whom = "SELECT count(DISTINCT pid) FROM batchagg.each_batch('SELECT who(n) FROM numbers', "
  . 'batch_size => 10, workers => %s) AS (batch bigint, pid int);';
is($node->safe_psql('postgres', sprintf $by_whom, 2), '3', 'two workers and the leader take batches');
is($node->safe_psql('postgres', sprintf $by_whom, 0), '1', 'with no workers wanted the leader does it');

# -------------------------------------------------------- 1: no slots for workers

is($node->safe_psql('postgres', 'SET max_parallel_workers = 0; ' . sprintf $by_whom, 2),
	'1', 'no workers allowed: the leader does it');
is($node->safe_psql('postgres', 'SET max_parallel_workers = 1; ' . sprintf $by_whom, 2),
	'2', 'one worker allowed: one is used');
{
	# other sessions hold every slot
	my @fillers = map { start_psql($node, batches($slowly, 4)) } 1 .. 3;
	wait_for_workers(7);
	is($node->safe_psql('postgres', batches('', 4)), $right, 'slots exhausted: the answer is right');
	$node->safe_psql('postgres',
		q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND backend_type = 'client backend' AND pid <> pg_backend_pid()});
	is((finish_psql($_))[0], '57014', 'a filler is cancelled') for @fillers;
}
check_clean('slots exhausted');

# ------------------------------------------------------ failing again and again

{
	my $before = segments_at_rest();
	for (1 .. 10)
	{
		my ($state) = sqlstate_of($node, "SET statement_timeout = '300ms'; " . batches($slowly));
		is($state, '57014', "run $_ of ten is stopped");
	}
	cmp_ok(segments_at_rest(), '<', $before + 5, 'ten runs that are stopped leave no segments behind');
	check_clean('ten failures');
}

# ------------------------------------------------------------ 3: an error in a worker

{
	my $failing = q{SELECT * FROM batchagg.each_batch(format('SELECT sum(fails_in_worker(%s, n)) FROM numbers', pg_backend_pid()),
		batch_size => 10, workers => 2) AS (batch bigint, s bigint);};
	my ($state, $err) = sqlstate_of($node, $failing);
	is($state, 'UE123', 'the SQLSTATE of a worker\'s error');
	like($err, qr/ERROR:\s+UE123: no \d+ here/, 'its message');
	like($err, qr/DETAIL:\s+A detail\./, 'its detail');
	like($err, qr/HINT:\s+A hint\./, 'its hint');
	like($err, qr/CONTEXT:.*PL\/pgSQL function fails_in_worker\(integer,integer\) line \d+ at RAISE/s, 'its context');
	check_clean('an error in a worker');

	# 22: caught in the same transaction, after which the session goes on
	my $caught = $node->safe_psql('postgres', qq{
		BEGIN;
		INSERT INTO numbers VALUES (1000000, 0);
		DO \$do\$
		BEGIN
			FOR i IN 1 .. 3 LOOP
				BEGIN
					PERFORM 1 FROM batchagg.each_batch(format('SELECT sum(fails_in_worker(%s, n)) FROM numbers', pg_backend_pid()),
						batch_size => 10, workers => 2) AS (batch bigint, s bigint);
					RAISE 'not reached';
				EXCEPTION WHEN SQLSTATE 'UE123' THEN NULL;
				END;
			END LOOP;
		END \$do\$;
		@{[ batches() ]}
		ROLLBACK;
		@{[ batches() ]}});
	is($caught, "11|1500500\n$right", 'errors caught by an exception block, own rows seen after it');
	check_clean('errors caught');
}

# ------------------------------------- 5: the leader is cancelled, terminated, times out

for my $end ([ 'pg_cancel_backend', '57014' ], [ 'pg_terminate_backend', '57P01' ])
{
	my ($function, $want) = @$end;
	for my $workers (2, 0)
	{
		my $session = start_psql($node, batches($slowly, $workers));
		wait_for_workers($workers) if $workers;
		$node->poll_query_until('postgres',
			qq{SELECT bool_or($function(pid)) FROM pg_stat_activity
				WHERE query LIKE '%each_batch%' AND state = 'active' AND wait_event = 'PgSleep'
					AND backend_type = 'client backend' AND pid <> pg_backend_pid()});
		my ($state, $out) = finish_psql($session);
		is("$state:$out", "$want:", "$function of a leader with $workers workers");
		check_clean("$function with $workers workers");
	}
}
{
	my ($state) = sqlstate_of($node, "SET statement_timeout = '300ms'; " . batches($slowly));
	is($state, '57014', 'statement_timeout');
	check_clean('statement_timeout');
	($state) = sqlstate_of($node, "SET statement_timeout = '300ms';
		SELECT * FROM batchagg.all_batches('SELECT sum(n) FROM numbers $slowly', batch_size => 100, workers => 2) AS (s bigint);");
	is($state, '57014', 'statement_timeout in all_batches');
	check_clean('statement_timeout in all_batches');
}

# ----------------------------------------- 6: a worker is cancelled, terminated, 4: killed

for my $function ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $session = start_psql($node, batches($slowly));
	wait_for_workers(2);
	$node->safe_psql('postgres',
		"SELECT $function(pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1");
	my ($state, $out) = finish_psql($session);
	like("$state:$out", qr/^(?:57014|57P01):$/, "$function of a worker is the caller's error");
	check_clean("$function of a worker");
}
{
	my $session = start_psql($node, batches($slowly));
	wait_for_workers(2);
	my $pid = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1});
	kill 'KILL', $pid;
	my ($state, $out) = finish_psql($session);
	like("$state:$out", qr/^(?:57P02|lost):$/, 'kill -9 of a worker: the caller has an error');
	$node->poll_query_until('postgres', 'SELECT true');
	# the restarted server has a control segment of another name
	is($node->safe_psql('postgres', batches()), $right, 'kill -9: the restarted server is right');
	$segments = segments_at_rest();
	check_clean('kill -9 of a worker');
}

# --------------------------------------------------- 8: the server stops in the middle

for my $mode ('fast', 'immediate')
{
	my $session = start_psql($node, batches($slowly));
	wait_for_workers(2);
	$node->stop($mode);
	my ($state, $out) = finish_psql($session);
	like("$state:$out", qr/^(?:57P0[123]|lost):$/, "$mode stop is the caller's error");
	$node->start;
	is($node->safe_psql('postgres', batches()), $right, "after $mode stop");
	$segments = segments_at_rest();
	check_clean("$mode stop");
}

# --------------------------------------------------------------- 12: temporary files

{
	my $wide = q{SELECT count(*), sum(length(t)) FROM batchagg.each_batch(
		'SELECT repeat(n::text, 100) FROM numbers', batch_size => 100, workers => 2) AS (batch bigint, t text);};
	my $sorting = q{SELECT count(*), sum(n) FROM batchagg.each_batch(
		'SELECT numbers.n FROM numbers, generate_series(1, 100) g ORDER BY hashint4(numbers.n * g)', batch_size => 250, workers => 2) AS (batch bigint, n int);};
	for my $query ($wide, $sorting)
	{
		my $want = $node->safe_psql('postgres', $query);
		is($node->safe_psql('postgres', "SET work_mem = '64kB'; $query"), $want, 'results that spill are the same');
		my ($state) = sqlstate_of($node, "SET work_mem = '64kB'; SET temp_file_limit = '64kB'; $query");
		is($state, '53400', 'temp_file_limit is a clean error');
		check_clean('temp_file_limit');
	}
}

# ------------------------------------------- 13: read-only transactions, odd settings

is($node->safe_psql('postgres', 'SET default_transaction_read_only = on; ' . batches()), $right, 'read-only transaction');
{
	my $settings = q{
		SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kathmandu'; SET extra_float_digits = -3; SET bytea_output = 'escape';
		SET IntervalStyle = 'sql_standard'; SET enable_seqscan = off; SET work_mem = '64kB'; SET search_path = odd, public;
		SET debug_discard_caches = 0; SET jit_above_cost = 0; SET lc_monetary = 'C'; SET row_security = off};
	$node->safe_psql('postgres', q{CREATE SCHEMA odd; CREATE VIEW odd.numbers AS SELECT * FROM public.numbers WHERE n <= 10});
	my $query = q{SELECT string_agg(DISTINCT t, ';'), count(DISTINCT pid) FROM batchagg.each_batch($q$
		SELECT concat_ws(' ', timestamptz '2001-02-03 04:05:06+00', 0.1::float8 + 0.2, interval '1 day 2 hours', bytea '\x01ff',
			current_setting('work_mem'), current_setting('search_path'), current_user), who(n) FROM public.numbers $q$,
		batch_size => 10, workers => %s) AS (batch bigint, t text, pid int);};
	my ($alone) = split /\|/, $node->safe_psql('postgres', "$settings; " . sprintf $query, 0);
	is($node->safe_psql('postgres', "$settings; " . sprintf $query, 2), "$alone|3", 'workers have the settings of the caller');
	like($alone, qr{^03/02/2001 09:50:06 \S+ 0\.3 1 2:00:00 .*64kB odd, public}, 'and those are the odd ones');
	# SET LOCAL and function settings reach the workers, too
	is($node->safe_psql('postgres', q{
		BEGIN; SET LOCAL TimeZone = 'Asia/Kathmandu';
		SELECT string_agg(DISTINCT t, ';') FROM batchagg.each_batch('SELECT DISTINCT concat(current_setting($$TimeZone$$), min(who(n)) - min(who(n))) FROM numbers',
			batch_size => 10, workers => 2) AS (batch bigint, t text); COMMIT}),
		'Asia/Kathmandu0', 'SET LOCAL reaches the workers');
}

# -------------------------------------------------- 21: isolation levels, own rows

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	is($node->safe_psql('postgres', qq{
		BEGIN ISOLATION LEVEL $level;
		DELETE FROM numbers WHERE n > 900;
		SAVEPOINT a;
		INSERT INTO numbers SELECT n FROM generate_series(10001, 10050) n;
		SAVEPOINT b;
		DELETE FROM numbers WHERE n <= 50;
		ROLLBACK TO b;
		UPDATE numbers SET n = -n WHERE n <= 10;
		SELECT count(*) = (SELECT ceil(count(*) / 100.0) FROM numbers), sum(s) = (SELECT sum(n) FROM numbers) FROM
			batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => 100, workers => 2) AS (batch bigint, s bigint);
		SELECT s = (SELECT sum(n) FROM numbers) FROM
			batchagg.all_batches('SELECT sum(n) FROM numbers', batch_size => 100, workers => 2) AS (s bigint);
		ROLLBACK;
		@{[ batches() ]}}),
		"t|t\nt\n$right", "uncommitted rows are seen, $level");
}
check_clean('isolation levels');

# ------------------------------------------- 22: functions, cursors, INSERT ... SELECT

is($node->safe_psql('postgres', q{
	BEGIN;
	DECLARE c CURSOR FOR SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => 100, workers => 2) AS (batch bigint, s bigint);
	FETCH 2 FROM c;
	CLOSE c;
	DECLARE c CURSOR WITH HOLD FOR SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => 500, workers => 2) AS (batch bigint, s bigint);
	COMMIT;
	FETCH ALL FROM c}),
	"1|5050\n2|15050\n1|125250\n2|375250", 'cursors that stop early or outlive their transaction');
is($node->safe_psql('postgres', q{
	CREATE TABLE kept (batch bigint, s bigint);
	INSERT INTO kept SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => 100, workers => 2) AS (batch bigint, s bigint);
	CREATE TABLE kept_too AS SELECT * FROM batchagg.all_batches('SELECT sum(n) FROM numbers', batch_size => 100, workers => 2) AS (s bigint);
	SELECT count(*), sum(s), (SELECT sum(s) FROM kept_too) FROM kept}),
	'10|500500|500500', 'INSERT ... SELECT and CREATE TABLE AS');
is($node->safe_psql('postgres', q{
	CREATE FUNCTION by_function(size int) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE total bigint := 0; r record;
	BEGIN
		CREATE TEMP TABLE IF NOT EXISTS mine (n int);
		INSERT INTO mine VALUES (1);
		FOR r IN SELECT * FROM batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => size, workers => 2) AS (batch bigint, s bigint) LOOP
			INSERT INTO mine VALUES (r.batch);
			total := total + r.s;
			EXIT WHEN size = 7 AND r.batch = 2;
		END LOOP;
		RETURN total;
	EXCEPTION WHEN division_by_zero THEN RETURN -1;
	END $$;
	SELECT by_function(100), by_function(1000), by_function(7)}),
	'500500|500500|105', 'in a function with an exception block that writes');
is($node->safe_psql('postgres', q{
	PREPARE p(int, int) AS SELECT count(*), sum(s) FROM batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => $1, workers => $2) AS (batch bigint, s bigint);
	EXECUTE p(100, 2); EXECUTE p(10, 1); EXECUTE p(1, 0); EXECUTE p(300, 2); EXECUTE p(100, 2); EXECUTE p(100, 2); EXECUTE p(100, 2);
	SELECT size, sum(s) FROM (VALUES (10), (100)) v (size), LATERAL batchagg.each_batch('SELECT sum(n) FROM numbers', batch_size => size, workers => 2)
		AS (batch bigint, s bigint) GROUP BY size ORDER BY size}),
	"$right\n100|500500\n1000|500500\n4|500500\n$right\n$right\n$right\n10|500500\n100|500500", 'prepared and repeated');
check_clean('functions and cursors');

# --------------------------------------------- 25: many at once

{
	my @sessions = map { start_psql($node, batches() x 10) } 1 .. 6;
	my @wrong = grep { my ($state, $out) = finish_psql($_); $out ne join "\n", ($right) x 10 } @sessions;
	is(scalar @wrong, 0, 'six sessions at once have the right answers');
	check_clean('six sessions');
}

# ----------------------------------------------------------------- 11: hot standby

$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS n');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', batches()), $right, 'each_batch on a standby');
is($standby->safe_psql('postgres', sprintf $by_whom, 2), '3', 'with workers');
is($standby->safe_psql('postgres', q{SELECT count(*), sum(row_count) FROM batchagg.split_batches('numbers', 100)}),
	'10|1000', 'split_batches on a standby');
is($standby->safe_psql('postgres',
		q{SELECT * FROM batchagg.all_batches('SELECT sum(n) FROM numbers', batch_size => 100, workers => 2) AS (s bigint)}),
	'500500', 'all_batches on a standby');
for my $call (q{split_batches('unlogged')}, q{each_batch('SELECT n FROM unlogged') AS (batch bigint, n int)},
	q{all_batches('SELECT n FROM unlogged') AS (n int)})
{
	my ($state, $err) = sqlstate_of($standby, "SELECT * FROM batchagg.$call");
	is($state, '0A000', "an unlogged table on a standby: $call");
	like($err, qr/cannot access temporary or unlogged relations during recovery/, 'and why');
}
$standby->stop;

# -------------------------------- 1: a server with no worker slots

$node->safe_psql('postgres', q{
	ALTER SYSTEM SET max_worker_processes = 1;
	ALTER SYSTEM SET max_parallel_workers = 8;
});
$node->restart;
is($node->safe_psql('postgres', batches('', 4)), $right, 'no worker slots in the server: the leader does it');
is($node->safe_psql('postgres', sprintf $by_whom, 4), '1', 'alone');

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed but what was killed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');

$node->stop;
done_testing();
