# Fifty crashes at random, in the midst of jobs of every kind: by key, by ctid,
# incremental with rows coming in, a summary.  A worker or the runner is killed or
# terminated, the postmaster is killed, the server is stopped at once; while a batch
# is at work, when it is claimed and has done nothing yet (between its two
# transactions), when it has done all but the mark "done", or at any moment.  At
# the end, and whenever a full pass has ended, each row was counted once.
#
# BATCHAGG_SEED gives another course of events, BATCHAGG_CRASHES another number.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

seed_of_run();
my $crashes = $ENV{BATCHAGG_CRASHES} || 50;

my $node = new_server(
	'soak', q{
shared_preload_libraries = 'batchagg'
restart_after_crash = on
max_worker_processes = 20
batchagg.max_job_workers = 12
autovacuum = off
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A batch takes some 30 ms or more, a pass some seconds. Rows are stored one by one in one job, where a function is volatile,
# and many at a time in another.
sql(q{
	CREATE TABLE source (id int PRIMARY KEY, k int);
	INSERT INTO source SELECT n, n % 7 FROM generate_series(1, 10000) n;
	CREATE TABLE pile AS SELECT * FROM source;
	CREATE TABLE stream (id bigserial PRIMARY KEY, k int);
	CREATE TABLE keyed_seen (id int, k int);
	CREATE TABLE piled_seen (id int, k int);
	CREATE TABLE streamed_seen (id int, k int);
	ANALYZE;
	CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE STRICT LANGUAGE plpgsql AS
		'BEGIN IF $1 % 25 = 0 AND current_setting(''application_name'') LIKE ''batchagg%'' THEN PERFORM pg_sleep(0.03); END IF; RETURN $1; END';
	SELECT batchagg.create_job('keyed', 'source', batch_size => 100, workers => 3, max_attempts => 1000, retry_delay => '10 ms', command =>
		'INSERT INTO keyed_seen SELECT s.* FROM source s, pg_sleep(0.03) WHERE id BETWEEN $1 AND $2');
	SELECT batchagg.create_job('piled', 'pile', batch_size => 200, workers => 2, max_attempts => 1000, retry_delay => '10 ms', command =>
		'INSERT INTO piled_seen SELECT slowly(p.id), p.k FROM pile p WHERE ctid BETWEEN $1 AND $2');
	SELECT batchagg.create_job('streamed', 'stream', mode => 'incremental', batch_size => 20, workers => 2, max_attempts => 1000,
		retry_delay => '10 ms', command =>
		'INSERT INTO streamed_seen SELECT s.* FROM stream s, pg_sleep(0.03) WHERE id BETWEEN $1 AND $2');
	SELECT batchagg.create_summary('summed', 'SELECT k % 5 AS k, count(*), sum(public.slowly(k)) AS sum FROM stream GROUP BY 1',
		batch_size => 25, workers => 2, max_attempts => 1000, retry_delay => '10 ms');
});

my ($rc, $out, $plan) = $node->psql('postgres', q{SELECT create_job('plan', 'pile', (SELECT command FROM job WHERE name = 'piled'), key => 'ctid',
	batch_size => 200, dry_run => true)});
like($plan, qr/BatchInsert/, 'one job stores rows many at a time');

# target: what a process that has claimed a batch needs before it does anything.
# same: that each row was counted once.
my %jobs = (
	keyed => {
		target => 'keyed_seen',
		same => 'SELECT count(*) = 10000 AND count(DISTINCT id) = 10000 AND sum(id) = 50005000 FROM keyed_seen'
	},
	piled => {
		target => 'piled_seen',
		same => 'SELECT count(*) = 10000 AND count(DISTINCT id) = 10000 AND sum(id) = 50005000 FROM piled_seen'
	},
	streamed => {
		target => 'streamed_seen',
		same => 'SELECT NOT EXISTS ((TABLE stream EXCEPT ALL TABLE streamed_seen) UNION ALL (TABLE streamed_seen EXCEPT ALL TABLE stream))'
	},
	summed => {
		target => 'summed_state',
		same => q{SELECT NOT EXISTS (
			(TABLE summed EXCEPT SELECT k % 5, count(*), sum(k) FROM stream GROUP BY 1) UNION ALL
			(SELECT k % 5, count(*), sum(k) FROM stream GROUP BY 1 EXCEPT TABLE summed))}
	});
my @names = sort keys %jobs;
my %passes = map { $_ => 0 } @names;

sub one_of { return $_[ int(rand(@_)) ] }

# The status of a job's last run, and whether somebody is at it.
sub status_of
{
	my ($name) = @_;
	return sql(qq{SELECT coalesce((SELECT run.status FROM batchagg.run JOIN batchagg.job ON job.id = job_id
		WHERE name = '$name' ORDER BY run.id DESC LIMIT 1), 'none')});
}

# Sees to it that a job is under way; a full pass that has ended is compared first.
sub keep_going
{
	my ($name) = @_;
	my $status = status_of($name);
	return if $status eq 'running';
	is($status, 'done', "$name: a run ends well") if $status ne 'none';
	if ($name eq 'keyed' || $name eq 'piled')
	{
		if ($status eq 'done')
		{
			is(sql($jobs{$name}{same}), 't', "$name: each row once in a whole pass");
			$passes{$name}++;
		}
		sql("TRUNCATE $jobs{$name}{target}");
	}
	sql("SELECT batchagg.start_job('$name')");
}

# Finds processes of a job in a state, waiting a little for there to be any: their kinds by pid.
sub processes
{
	my ($name, $state, $patience) = @_;
	my $until = time + $patience;
	do
	{
		my %found = map { split /\|/ } split /\n/,
		  sql(qq{SELECT pid, backend_type FROM pg_stat_activity WHERE backend_type LIKE 'batchagg %er'
			AND application_name = 'batchagg: $name' AND ($state)});
		return %found if %found;
		select undef, undef, undef, 0.02;
	} while (time < $until);
	return ();
}

# Kills a process at once.  False if it came to its own end just before: then the server goes on.
sub crash
{
	my ($pid) = @_;
	my $offset = -s $node->logfile;
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	return 0 if !kill('KILL', $pid);
	while (time < $until)
	{
		# once the postmaster has seen its end and serves a connection again, it has logged what it made of it
		my $ended = !kill(0, $pid) && $node->psql('postgres', 'SELECT true') == 0;
		my $log = slurp_file($node->logfile, $offset);
		return 1 if $log =~ /all server processes terminated; reinitializing/;
		return 0 if $ended && $log !~ /\(PID $pid\) was terminated by signal/;
		select undef, undef, undef, 0.05;
	}
	die "the server does not notice that $pid was killed";
}

# Ends a session that stands in the way, whether it has come as far as that or not.
sub end_blocker
{
	my ($blocker) = @_;
	for (1 .. 600)
	{
		$blocker->{run}->pump_nb;
		last if !$blocker->{run}->pumpable;
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND query LIKE 'BEGIN; LOCK TABLE %'});
		select undef, undef, undef, 0.05;
	}
}

# When to strike: who stands in the way of the processes meanwhile, and how they then look.
my %moments = (
	'at work' => [ undef, "wait_event = 'PgSleep'" ],
	'claimed, nothing done' => [ 'LOCK TABLE TARGET', "state = 'active' AND wait_event_type = 'Lock'" ],
	'all done but the mark' => [ 'LOCK TABLE batchagg.task IN SHARE MODE', "state = 'active' AND wait_event_type = 'Lock'" ],
	'any' => [ undef, 'true' ]);
my @kinds = ('worker', 'worker', 'runner', 'runner', 'terminate', 'postmaster', 'immediate');
my %struck;
my $done = 0;
my $began = time;

for my $round (1 .. 3 * $crashes)
{
	last if $done == $crashes;
	my ($kind, $moment, $name) = (one_of(@kinds), one_of(sort keys %moments), one_of(@names));
	my ($hindrance, $state) = @{ $moments{$moment} };
	my ($writer, $blocker);
	my $crashed = 1;

	# rows come in, some of them from a transaction that is not at its end
	sql('INSERT INTO stream (k) SELECT n FROM generate_series(1, 250) n');
	$writer = start_psql($node, 'BEGIN; INSERT INTO stream (k) SELECT n FROM generate_series(1, 30) n; SELECT pg_sleep(0.2); COMMIT')
	  if rand() < 0.5;
	keep_going($_) for @names;

	if ($hindrance)
	{
		processes($name, "wait_event = 'PgSleep'", 1);
		$hindrance =~ s/TARGET/$jobs{$name}{target}/;
		$blocker = start_psql($node, "BEGIN; $hindrance; SELECT pg_sleep(600)");
	}
	my %victims = processes($name, $state, 1);
	my $met = %victims ? $moment : 'missed';
	%victims = processes($name, 'true', 0) if !%victims;
	my ($pid) = grep { $kind eq 'terminate' || $victims{$_} eq "batchagg $kind" } sort keys %victims;
	$pid //= (sort keys %victims)[0];

	if ($kind eq 'postmaster')
	{
		kill_postmaster($node);
	}
	elsif ($kind eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		$crashed = 0;
		my $struck = defined $pid && ($kind eq 'terminate' ? kill('TERM', $pid) : ($crashed = crash($pid)));
		$met = 'nobody there' if !$struck;
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
	}
	$struck{"$kind, $met"}++;
	$done++ if $met ne 'nobody there';
	end_blocker($blocker) if $blocker && !$crashed;
	finish_psql($_) for grep { defined } ($writer, $blocker);
}
is($done, $crashes, "$crashes crashes");
note(sprintf 'they took %.0f s:', time - $began);
note(sprintf '%3d  %s', $struck{$_}, $_) for sort keys %struck;

for my $moment (sort keys %moments)
{
	ok((grep { /, \Q$moment\E$/ } keys %struck), "struck: $moment") if $crashes >= 50;
}

# Let all of them come to their ends, and once more for what came in last.
for my $name (@names)
{
	ok($node->poll_query_until('postgres', qq{SELECT NOT EXISTS (SELECT FROM batchagg.run JOIN batchagg.job ON job.id = job_id
		WHERE name = '$name' AND status = 'running')}), "$name: the last run ends");
	is(status_of($name), 'done', "$name: and ends well");
	sql("CALL batchagg.run_job('$name')") if $name eq 'streamed' || $name eq 'summed';
	is(sql($jobs{$name}{same}), 't', "$name: each row once");
}
cmp_ok($passes{keyed} + $passes{piled}, '>', 2, 'several passes ended on the way') if $crashes >= 50;
is(sql(q{SELECT count(*) FROM batchagg.task WHERE status NOT IN ('done')}), '0', 'all tasks are done');
cmp_ok(sql('SELECT max(attempts) FROM batchagg.task'), '>', 1, 'some of them were tried more than once');
no_process_left($node, 'the crashes');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|signal 11|signal 6|XX000/, 'nothing crashed but what was killed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot)/, 'no leak was warned of');
$node->stop;
done_testing();
