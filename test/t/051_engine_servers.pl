# The engine in a server where things happen: statistics and buffers are counted as for
# core's scan, EXPLAIN ANALYZE adds up what workers did, statements time out and are
# cancelled in the middle of a scan, workers are killed, memory stays within its bounds,
# and a standby gives the primary's answers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'servers', q{
restart_after_crash = on
max_worker_processes = 8
max_parallel_workers = 8
autovacuum = off
synchronize_seqscans = off
session_preload_libraries = 'batchagg'
},
	allows_streaming => 1);

# In four columns, about ten thousand pages
$node->safe_psql('postgres', q{
	CREATE TABLE facts WITH (fillfactor = 20) AS
		SELECT i, i % 100 AS k, i % 1000 / 8.0::float8 AS f, (i % 10000 / 100.0)::numeric(10,2) AS n, 'text ' || i % 50 AS t FROM generate_series(1, 300000) i;
	DELETE FROM facts WHERE i % 11 = 0;
	CREATE TABLE small AS SELECT i, i % 3 AS k FROM generate_series(1, 1000) i;
	ANALYZE facts, small;
	-- gives time to be stopped in the middle of the table
	CREATE FUNCTION slow(i int) RETURNS int STABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
	BEGIN
		IF i % 1000 = 0 THEN
			PERFORM pg_sleep(0.02);
		END IF;
		RETURN i;
	END $$;
	CREATE FUNCTION plan_json(query text) RETURNS json LANGUAGE plpgsql AS $$
	DECLARE
		plan json;
	BEGIN
		EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
		RETURN plan -> 0 -> 'Plan';
	END $$;
	-- the node that reads the table
	CREATE FUNCTION scan_of(plan json) RETURNS json LANGUAGE sql AS $$
		WITH RECURSIVE nodes (node) AS (
			SELECT plan UNION ALL SELECT json_array_elements(node -> 'Plans') FROM nodes WHERE node -> 'Plans' IS NOT NULL)
		SELECT node FROM nodes WHERE node ->> 'Relation Name' IS NOT NULL LIMIT 1 $$;
});

my $parallel = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; };
my $engine = q{SET batchagg.debug_force_engine = on; };
my $core = q{SET batchagg.enabled = off; };
my $serial = q{SET max_parallel_workers_per_gather = 0; };
my $whole = 'SELECT count(*), sum(i), sum(f), avg(n), min(t), max(n) FROM facts';
my $grouped = 'SELECT k, count(*), sum(i), sum(f), avg(n), min(t) FROM facts WHERE i > 1000 GROUP BY k ORDER BY k';

sub plan_of
{
	my ($settings, $query) = @_;
	return $node->safe_psql('postgres', "$settings EXPLAIN (COSTS OFF) $query");
}

my @right = map { $node->safe_psql('postgres', "$core $serial $_") } $whole, $grouped;
like(plan_of($engine . $serial, $whole), qr/Custom Scan \(BatchAgg\) on facts/, 'the engine runs it');
like(plan_of($engine . $parallel, $grouped), qr/Gather.*Parallel Custom Scan \(BatchAgg\) on facts/s, 'and so do workers');
is($node->safe_psql('postgres', "$engine $_->[0] $_->[1]"), $_->[2], 'its answer')
  for [ $serial, $whole, $right[0] ], [ $serial, $grouped, $right[1] ], [ $parallel, $whole, $right[0] ], [ $parallel, $grouped, $right[1] ];

# -------------------------------------------------------- chosen and not chosen

like(plan_of($serial, $whole), qr/BatchAgg/, 'a large table is taken without being asked');
like(plan_of('SET jit = on; SET jit_above_cost = 0; ' . $serial, $grouped), qr/BatchAgg/, 'with JIT as well');
$node->safe_psql('postgres', 'CREATE INDEX ON facts (i); VACUUM ANALYZE facts');
unlike(plan_of('', 'SELECT count(*), sum(f) FROM facts WHERE i = 4711'), qr/BatchAgg/, 'one row by its index is left to core');
unlike(plan_of('', 'SELECT sum(f) FROM facts WHERE i BETWEEN 100 AND 200'), qr/BatchAgg/, 'and so are a hundred');
unlike(plan_of('', 'SELECT min(i), max(i) FROM facts'), qr/BatchAgg/, 'and the ends of an index');
like(plan_of($serial, 'SELECT sum(f) FROM facts WHERE i > 1000'), qr/BatchAgg/, 'most of the table is not');
$node->safe_psql('postgres', 'DROP INDEX facts_i_idx');

# ------------------------------------------------------------------- statistics

# What a query adds to the statistics of table facts: scans, tuples, blocks
sub statistics_of
{
	my ($settings, $query) = @_;
	my $counts = sub {
		return split /\|/, $node->safe_psql('postgres', q{
			SELECT s.seq_scan, s.seq_tup_read, coalesce(s.idx_scan, 0), io.heap_blks_read + io.heap_blks_hit
			FROM pg_stat_user_tables s JOIN pg_statio_user_tables io USING (relid) WHERE s.relname = 'facts'});
	};
	my @before = $counts->();
	# statistics are sent when the session ends, if not before
	$node->safe_psql('postgres', "$settings $query");
	my @after;
	for (1 .. 100)
	{
		@after = $counts->();
		last if $after[0] > $before[0];
		select undef, undef, undef, 0.1;
	}
	return join '|', map { $after[$_] - $before[$_] } 0 .. 3;
}

my $want = statistics_of($core . $serial, $whole);
like($want, qr/^1\|272728\|0\|\d\d\d\d+$/, 'one sequential scan, all of its tuples');
is(statistics_of($engine . $serial, $whole), $want, 'the statistics views count the engine\'s scan as core\'s');
is(statistics_of($engine . $serial, $grouped), statistics_of($core . $serial, $grouped), 'with a filter and groups');
# each process is a scan in core's count
is(statistics_of($engine . $parallel, $whole), statistics_of($core . $parallel, $whole), 'with workers');

# Buffers of a plan: hit + read
my $buffers = sub {
	my ($settings, $query) = @_;
	return $node->safe_psql('postgres',
		"$settings SELECT (p ->> 'Shared Hit Blocks')::int + (p ->> 'Shared Read Blocks')::int FROM scan_of(plan_json(\$q\$$query\$q\$)) p");
};
my $pages = $node->safe_psql('postgres', q{SELECT pg_relation_size('facts') / 8192});
is($buffers->($engine . $serial, $whole), $buffers->($core . $serial, $whole), 'EXPLAIN (BUFFERS) counts the same blocks');
cmp_ok($buffers->($engine . $parallel, $whole), '>=', $pages, 'those of workers, too');

# How often its buffers were used is what the server decides by which pages to keep. Two tables of the
# same size, read as often by core and by the engine, are left alike after each time.
SKIP:
{
	skip 'pg_buffercache is not installed', 2
	  unless $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_buffercache'});
	my $roomy = new_server('roomy', "autovacuum = off\nshared_buffers = 64MB\nsession_preload_libraries = 'batchagg'\n");
	$roomy->safe_psql('postgres', 'CREATE EXTENSION pg_buffercache');
	$roomy->safe_psql('postgres', "CREATE TABLE $_ AS SELECT i AS a FROM generate_series(1, 20000) i; VACUUM (FREEZE) $_;")
	  for qw(used_by_core used_by_engine);
	my @uses = map { [] } 1 .. 2;
	for (1 .. 7)
	{
		for my $i (0, 1)
		{
			my $table = (qw(used_by_core used_by_engine))[$i];
			$roomy->safe_psql('postgres', ($core, $engine)[$i] . "$serial SELECT sum(a), count(*) FROM $table");
			push @{ $uses[$i] }, $roomy->safe_psql('postgres', qq{
				SELECT string_agg(usagecount::text, ' ' ORDER BY relblocknumber) FROM pg_buffercache
				WHERE relfilenode = pg_relation_filenode('$table') AND relforknumber = 0
				AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())});
		}
	}
	is_deeply($uses[1], $uses[0], 'usage counts of buffers rise as they do by core\'s scans');
	like($uses[0][6], qr/^5( 5)*$/, '... up to the most there is');
	$roomy->stop;
}

# ------------------------------------------------------------- EXPLAIN (ANALYZE)

for my $way ([ 'serial', $serial, 0 ], [ 'parallel', $parallel, 2 ])
{
	my ($name, $settings, $workers) = @$way;
	my $counts = sub {
		my ($query, @names) = @_;
		return $node->safe_psql('postgres',
			"$engine $settings SELECT " . join(', ', map { "p ->> '$_'" } @names) . " FROM scan_of(plan_json(\$q\$$query\$q\$)) p");
	};
	is($counts->($whole, 'Rows Scanned', 'Pages', 'All-Visible Pages'), "272728|$pages|$pages", "$name: rows and pages, all-visible after VACUUM");
	my ($rows, $groups, $flushes, $memory, $vectors) = split /\|/,
	  $counts->($grouped, 'Rows Scanned', 'Groups', 'Flushes', 'Peak Memory', 'Vectors');
	is($rows, 272728, "$name: rows");
	cmp_ok($groups, '>=', 100, "$name: every group");
	cmp_ok($groups, '<=', 100 * ($workers + 1), "$name: from each process once");
	is($flushes, 0, "$name: no flush");
	cmp_ok($memory, '>', 0, "$name: memory");
	cmp_ok($vectors, '>=', 272728 / 1024, "$name: vectors");
	my ($removed, $loops) = split /\|/, $counts->($grouped, 'Rows Removed by Filter', 'Actual Loops');
	cmp_ok(abs($removed * $loops - 910), '<=', $loops, "$name: rows removed by the filter, an average per loop");
}
like($node->safe_psql('postgres', "$engine $parallel EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) $grouped"),
	qr/Workers Launched: 2.*BatchAgg.*Rows Scanned: 272728.*Worker 0:/s, 'EXPLAIN (ANALYZE, VERBOSE) with workers');
is($node->safe_psql('postgres', "$engine $parallel SELECT plan_json(\$q\$$grouped\$q\$) IS NOT NULL"), 't', 'its JSON is well-formed');

# ---------------------------------------------------------------------- memory

{
	# a group for nearly every row, of text as long as a line
	my $many = q{SELECT count(*), sum(c), min(length(g)), max(length(g)), sum(s) FROM
		(SELECT i || repeat('x', 100) AS g, count(*) AS c, sum(i) AS s, max(t) AS m FROM facts GROUP BY 1) q};
	my $right = $node->safe_psql('postgres', "$core $serial $many");
	for my $way ($serial, $parallel)
	{
		is($node->safe_psql('postgres', "SET work_mem = '256kB'; $engine $way $many"), $right, 'very many groups in little memory');
	}
	my ($flushes, $memory) = split /\|/, $node->safe_psql('postgres',
		"SET work_mem = '1MB'; SET hash_mem_multiplier = 1; $engine $serial SELECT p ->> 'Flushes', p ->> 'Peak Memory' FROM scan_of(plan_json(\$q\$SELECT i, max(t), sum(n) FROM facts GROUP BY i\$q\$)) p");
	cmp_ok($flushes, '>', 5, 'groups are flushed');
	cmp_ok($memory, '<', 2048, 'and stay within hash_mem, but for what one vector adds');
}

# ------------------------------------------------- stopped in the middle of a scan

my $slowly = 'SELECT k, sum(slow(i)) FROM facts GROUP BY k';
my $workers_alive = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'};

# The state in which every interruption has to leave the server.
sub check_clean
{
	my ($what) = @_;
	ok($node->poll_query_until('postgres', "SELECT ($workers_alive) = 0"), "$what: no worker is left");
	ok($node->poll_query_until('postgres',
			q{SELECT count(*) = 0 FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype IN ('relation', 'transactionid')}),
		"$what: no lock is left");
	is($node->safe_psql('postgres', "$engine $parallel $whole"), $right[0], "$what: the next answer is right");
	return;
}

for my $way ([ 'serial', $serial ], [ 'parallel', $parallel ])
{
	my ($name, $settings) = @$way;
	my ($state) = sqlstate_of($node, "$engine $settings SET statement_timeout = '300ms'; $slowly;");
	is($state, '57014', "$name: statement_timeout");
	check_clean("$name, statement_timeout");

	# also where no function of core is called for any row
	$node->safe_psql('postgres', q{CREATE TABLE IF NOT EXISTS fillers AS SELECT g FROM generate_series(1, 100000) g});
	($state) = sqlstate_of($node, "$engine $settings SET statement_timeout = '300ms'; SELECT (SELECT sum(i) FROM facts WHERE k <> g) FROM fillers;");
	is($state, '57014', "$name: statement_timeout of a scan that is done again and again");

	for my $end ([ 'pg_cancel_backend', '57014' ], [ 'pg_terminate_backend', '57P01' ])
	{
		my ($function, $state_wanted) = @$end;
		my $session = start_psql($node, "$engine $settings $slowly");
		$node->poll_query_until('postgres',
			qq{SELECT bool_or($function(pid)) FROM pg_stat_activity
				WHERE query LIKE '%slow(i)%' AND state = 'active' AND wait_event = 'PgSleep' AND backend_type = 'client backend' AND pid <> pg_backend_pid()});
		my ($got) = finish_psql($session);
		is($got, $state_wanted, "$name: $function");
		check_clean("$name, $function");
	}
}

# an error in the middle of a scan, caught; the transaction goes on
is($node->safe_psql('postgres', qq{
		$engine $parallel
		BEGIN;
		INSERT INTO small VALUES (1001, 3);
		DO \$do\$
		BEGIN
			FOR i IN 1 .. 5 LOOP
				BEGIN
					PERFORM sum(1 / (facts.i - 250001)) FROM facts;
					RAISE 'not reached';
				EXCEPTION WHEN division_by_zero THEN NULL;
				END;
			END LOOP;
		END \$do\$;
		SELECT count(*) FROM small;
		ROLLBACK;}),
	'1001', 'errors that are caught');
check_clean('errors caught');

# a worker is killed
{
	my $session = start_psql($node, "$engine $parallel SET parallel_leader_participation = off; $slowly");
	$node->poll_query_until('postgres', "SELECT ($workers_alive) = 2");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1");
	my ($state) = finish_psql($session);
	is($state, '57P01', 'a terminated worker is the query\'s error');
	check_clean('a terminated worker');

	$session = start_psql($node, "$engine $parallel SET parallel_leader_participation = off; $slowly");
	$node->poll_query_until('postgres', "SELECT ($workers_alive) = 2");
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1});
	kill 'KILL', $pid;
	($state) = finish_psql($session);
	like($state, qr/^(?:57P02|lost)$/, 'kill -9 of a worker: the caller has an error');
	$node->poll_query_until('postgres', 'SELECT true');
	check_clean('kill -9 of a worker');
}

# fewer workers than planned
is($node->safe_psql('postgres', "$engine $parallel SET max_parallel_workers = $_; $grouped"), $right[1], "at most $_ workers") for 0, 1;
is($node->safe_psql('postgres', "$engine $parallel SET parallel_leader_participation = off; $grouped"), $right[1], 'without the leader');

# many sessions at once, while others write
{
	my @sessions = map { start_psql($node, "$engine $parallel " . "SELECT sum(k), count(*) FROM small WHERE i <= 1000; " x 20) } 1 .. 4;
	my $writer = start_psql($node, 'UPDATE small SET k = k; ' x 20 . 'INSERT INTO small VALUES (2000, 0);');
	my @wrong = grep { (finish_psql($_))[1] ne join "\n", ('1000|1000') x 20 } @sessions;
	is(scalar @wrong, 0, 'sessions beside a writer have the right answers');
	finish_psql($writer);
}

# ---------------------------------------------------------------- hot standby

$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS n');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', q{
	UPDATE facts SET f = f + 1, k = 100 WHERE i <= 2000;
	DELETE FROM facts WHERE i BETWEEN 5000 AND 5100;
	VACUUM facts;
	INSERT INTO facts SELECT i, 101, 1, 1, 'new' FROM generate_series(1, 100) i;
});
$node->wait_for_catchup($standby);
like($standby->safe_psql('postgres', "$engine $serial EXPLAIN (COSTS OFF) $whole"), qr/BatchAgg/, 'the engine runs on a standby');
for my $query ($whole, $grouped, 'SELECT count(*) FROM facts WHERE k > 99')
{
	my $primary = $node->safe_psql('postgres', "$core $serial $query");
	is($standby->safe_psql('postgres', "$_ $query"), $primary, 'a standby\'s answer') for "$core $serial", "$engine $serial", "$engine $parallel";
}
# while the primary's transaction is under way, and after it
my $open = $node->safe_psql('postgres', "$core $serial $whole");
{
	my $session = start_psql($node, 'BEGIN; DELETE FROM facts WHERE i < 1000; SELECT pg_advisory_lock(1); SELECT pg_sleep(60); ROLLBACK');
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory'});
	$node->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', "$engine $serial $whole"), $open, 'what the primary has not committed is not seen');
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()});
	finish_psql($session);
	$node->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', "$engine $serial $whole"), $open, 'nor what it rolled back');
}
my ($state, $err) = sqlstate_of($standby, "$engine SELECT count(*) FROM unlogged;");
is($state, '0A000', 'an unlogged table on a standby');
unlike(slurp_file($standby->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed on the standby');
$standby->stop;

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed but what was killed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot|not closed)/, 'no leak was warned of');
$node->stop;
done_testing();
