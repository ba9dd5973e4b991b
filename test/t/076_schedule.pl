# Schedules, with the real pg_cron: two servers at once, one on which it runs
# commands in background workers, one on which it connects as a client.  All that
# is scheduled is ticked together, since before pg_cron 1.5 a tick takes up to a
# minute to come; what needs no tick is tested meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $sharedir = `pg_config --sharedir`);
plan skip_all => "pg_cron is not installed for this server" if !-e "$sharedir/extension/pg_cron.control";

my ($server, $elsewhere) = ('', q{else "where'});
my $yearly = '0 0 1 1 *';
my $odd = qq{it's "odd"; \\ é\n%s \$1};
my @long = map { ('n' x 60) . $_ } 1, 2;

sub sql { return $server->safe_psql('postgres', $_[0]) }

sub quoted
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# A statement that fails, as a role: SQLSTATE, and what psql printed.
sub failure
{
	my ($sql, $role) = @_;
	return sqlstate_of($server, (defined $role ? "SET ROLE $role;\n" : '') . $sql);
}

# What pg_cron has for a job.
sub cron
{
	my ($job, $columns) = @_;
	$columns //= 'schedule, command, database, username, active';
	return sql("SELECT $columns FROM cron.job WHERE command = 'SELECT batchagg.start_job(' || quote_literal(" . quoted($job) . ") || ')'");
}

my %preload = (workers => 'pg_cron, batchagg', sessions => 'pg_cron');
my %server;
for my $name (sort keys %preload)
{
	my $node = $server{$name} = PostgreSQL::Test::Cluster->new("cron_$name");
	my $workers = $name eq 'workers' ? 'on' : 'off';
	$node->init(extra => ['--encoding=UTF8']);
	$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = '$preload{$name}'
cron.database_name = 'postgres'
cron.use_background_workers = $workers
cron.max_running_jobs = 12
cron.host = '} . $node->host . q{'
max_worker_processes = 40
batchagg.max_job_workers = 12
});
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION batchagg');
}

# ------------------------------------------------------------ where pg_cron is not, yet

$server = $server{workers};
sql(q{CREATE TABLE source (id int PRIMARY KEY); SELECT batchagg.create_job('early', 'source', 'SELECT $1, $2');
	CREATE SCHEMA cron; CREATE FUNCTION cron.schedule(text, text, text) RETURNS bigint LANGUAGE sql AS 'SELECT 1/0'});
my ($state, $err) = failure("SELECT batchagg.schedule_job('early', '$yearly')");
is($state, '55000', 'without the extension there is no schedule');
like($err, qr/extension pg_cron is not installed in this database.*HINT:  Run as a superuser: CREATE EXTENSION pg_cron;/s, 'with a hint');
is((failure(q{SELECT batchagg.unschedule_job('early')}))[0], '55000', 'nor can one be taken away');
is(sql(q{SELECT batchagg.drop_job('early')}), '', 'a job can be dropped');
sql('DROP SCHEMA cron CASCADE; DROP TABLE source');

# ------------------------------------------------------------ what is to be ticked

my ($every, %gate);
for my $name (sort keys %server)
{
	$server = $server{$name};
	sql(q{
		CREATE EXTENSION pg_cron;
		CREATE TABLE source (id int PRIMARY KEY);
		CREATE TABLE seen (job text, id int);
		CREATE TABLE gate ();
		INSERT INTO source SELECT generate_series(1, 1000);
		ANALYZE source;
		CREATE ROLE clerk LOGIN;
		CREATE ROLE stranger LOGIN;
		CREATE ROLE helper LOGIN IN ROLE clerk;
		GRANT USAGE ON SCHEMA batchagg TO clerk, stranger, helper;
		GRANT USAGE ON SCHEMA cron TO clerk;
		GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk, stranger;
		GRANT CREATE ON SCHEMA public TO clerk;
	});
	$every //= sql(q{SELECT extversion LIKE '1.4%' FROM pg_extension WHERE extname = 'pg_cron'}) eq 't' ? '* * * * *' : '1 second';
	my $command = sub { return q{'INSERT INTO seen SELECT } . quoted(quoted($_[0])) =~ s/^'|'$//gr . q{, id FROM source WHERE id BETWEEN $1 AND $2'} };

	# a summary that has seen the first thousand rows, and is to see the next
	sql(qq{SET ROLE clerk; SELECT batchagg.create_summary('total', 'SELECT count(*), sum(id) FROM source', schedule => '$yearly')});
	sql(q{CALL batchagg.run_job('total'); INSERT INTO source SELECT generate_series(1001, 2000)});

	# one that is at work when the tick comes
	sql(q{SELECT batchagg.create_job('slow', 'source', 'INSERT INTO seen SELECT ''slow'', id FROM source WHERE id BETWEEN $1 AND $2 AND NOT EXISTS (SELECT FROM gate)')});
	$gate{$name} = $server->background_psql('postgres', on_error_stop => 1);
	$gate{$name}->query_safe('BEGIN; LOCK TABLE gate');
	sql(q{SELECT batchagg.start_job('slow')});

	# one that is paused, names of every kind, one scheduled by its owner, one by a superuser for its owner
	sql(q{SELECT batchagg.create_job('paused', 'source', 'SELECT $1, $2'); SELECT batchagg.pause_job('paused')});
	for my $job ($odd, @long)
	{
		sql('SELECT batchagg.create_job(' . quoted($job) . q{, 'source', } . $command->($job) . ", schedule => '$every')");
	}
	sql(q{SET ROLE clerk; SELECT batchagg.create_job('own', 'source', } . $command->('own') . ", schedule => '$every')");
	sql(q{SET ROLE clerk; SELECT batchagg.create_job('lent', 'source', } . $command->('lent') . ')');
	ok($server->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted}),
		"$name: a job is at work");
	sql("SELECT batchagg.schedule_job(name, '$every') FROM unnest('{total,slow,paused,lent}'::text[]) name");

	is(cron('total'), "$every|SELECT batchagg.start_job('total')|postgres|clerk|t", "$name: a schedule that was replaced");
	is(cron('own', 'username'), 'clerk', "$name: its owner's schedule");
	is(cron('lent', 'username'), 'clerk', "$name: a superuser schedules as the owner");
	is(cron($odd, 'count(*)'), '1', "$name: an odd name");
	is(sql(q{SELECT count(DISTINCT jobname) = count(*) AND max(octet_length(jobname::text)) = 63 FROM cron.job}), 't', "$name: long names differ");
	is(cron('own', 'jobname'), 'batchagg postgres.own', "$name: short ones can be read");
}

# ------------------------------------------------------------ meanwhile: another database

$server = $server{workers};
sql(q{CREATE DATABASE } . q{"else ""where'"});
$server->safe_psql($elsewhere, q{
	CREATE EXTENSION batchagg; GRANT USAGE ON SCHEMA batchagg TO clerk; GRANT CREATE ON SCHEMA public TO clerk; SET ROLE clerk;
	CREATE TABLE source (id int PRIMARY KEY); INSERT INTO source SELECT generate_series(1, 1000); CREATE TABLE seen (id int);
	SELECT batchagg.create_job(} . quoted($odd) . q{, 'source', 'INSERT INTO seen SELECT id FROM source WHERE id BETWEEN $1 AND $2')});

# The statement that the hint of a failing call in that database gives.
sub hinted
{
	my ($call) = @_;
	my ($rc, $out, $message) = $server->psql($elsewhere, "\\set VERBOSITY verbose\nSET ROLE clerk; SELECT batchagg.$call");
	like($message, qr/ERROR:  55000: pg_cron works in database "postgres", and not in this one\nDETAIL:  A session cannot change/, "$call: refused");
	like($message, qr/HINT:  Run there, as a superuser: SELECT /, "$call: with a statement");
	return ($message =~ /Run there, as a superuser: (SELECT .*);\nLOCATION/s)[0];
}

my $there = hinted('schedule_job(' . quoted($odd) . ", '$every')");
like($there, qr/^SELECT cron\.schedule_in_database\(/, 'that for another database');
sql($there);
is(sql(q{SELECT count(*) FROM cron.job WHERE database = } . quoted($elsewhere) . q{ AND username = 'clerk'}), '1', 'which works there');
sql($there);
is(sql(q{SELECT count(*) FROM cron.job WHERE database = } . quoted($elsewhere)), '1', 'twice');
my ($rc, undef, $message) = $server->psql($elsewhere, qq{SELECT batchagg.create_job('none', 'source', 'SELECT \$1, \$2', schedule => '$yearly')});
is($rc, '3', 'neither is a job created there with a schedule');
is($server->safe_psql($elsewhere, q{SELECT count(*) FROM batchagg.job}), '1', 'that it cannot have');

# ------------------------------------------------------------ meanwhile: rights and errors

for my $name (sort keys %server)
{
	$server = $server{$name};
	my $create = q{SELECT batchagg.create_job('x', 'source', 'SELECT id FROM source WHERE id BETWEEN $1 AND $2'};
	my $before = sql('SELECT count(*) FROM cron.job');
	for my $case (
		[ $create . ", schedule => '$yearly')", 'stranger', '42501', qr/role "stranger" may not have pg_cron run its jobs.*GRANT USAGE ON SCHEMA cron TO stranger; or let a scheduler outside of the server run: SELECT batchagg.start_job\('x'\);/s ],
		[ $create . ", schedule => 'now and then')", 'clerk', '22023', qr/invalid schedule: now and then/ ],
		[ $create . ", schedule => '')", 'clerk', '22023', qr/invalid schedule/ ],
		[ $create . ", schedule => 'now and then', dry_run => true)", 'clerk', '22023', qr/invalid schedule/ ],
		[ q{SELECT batchagg.create_summary('x', 'SELECT count(*) FROM source', schedule => 'now and then')}, 'clerk', '22023', qr/invalid schedule/ ],
		[ qq{SELECT batchagg.schedule_job('slow', '$yearly')}, 'clerk', '42501', qr/must be owner of job "slow"/ ],
		[ q{SELECT batchagg.unschedule_job('slow')}, 'clerk', '42501', qr/must be owner of job "slow"/ ],
		[ qq{SELECT batchagg.schedule_job('nobody', '$yearly')}, 'clerk', '42704', qr/job "nobody" does not exist/ ])
	{
		my ($sql, $role, $want, $text) = @$case;
		($state, $err) = failure($sql, $role);
		is($state, $want, "$name: refused: $sql");
		like($err, $text, "$name: for the reason");
	}
	sql("SET ROLE clerk; $create, schedule => '$yearly', dry_run => true)");
	is(sql(q{SELECT count(*) FROM batchagg.job WHERE name = 'x'}), '0', "$name: none of these left a job");
	is(sql(q{SELECT count(*) FROM pg_class WHERE relname LIKE 'x%'}), '0', "$name: or a relation");
	is(sql('SELECT count(*) FROM cron.job'), $before, "$name: or a schedule");
	is(sql(q{SELECT batchagg.schedule_job('total', NULL) IS NULL}), 't', "$name: no schedule is no change");

	# pg_cron's functions and nobody else's
	sql('REVOKE EXECUTE ON FUNCTION cron.schedule(text, text, text) FROM PUBLIC');
	($state, $err) = failure("$create, schedule => '$yearly')", 'clerk');
	is($state, '42501', "$name: pg_cron may be closed");
	like($err, qr/GRANT EXECUTE ON FUNCTION cron\.schedule\(text, text, text\) TO clerk;/, "$name: with a hint");
	sql('GRANT EXECUTE ON FUNCTION cron.schedule(text, text, text) TO PUBLIC; ALTER EXTENSION pg_cron DROP FUNCTION cron.schedule(text, text, text)');
	($state, $err) = failure("$create, schedule => '$yearly')", 'clerk');
	is($state, '42883', "$name: a function that is not pg_cron's is not called");
	like($err, qr/HINT:  Update it: ALTER EXTENSION pg_cron UPDATE;/, "$name: with a hint");
	sql('ALTER EXTENSION pg_cron ADD FUNCTION cron.schedule(text, text, text)');

	# a member schedules as the owner; whoever may drop a job takes its schedule along
	sql("SET ROLE clerk; $create)");
	my $id = sql(qq{SET ROLE helper; SELECT batchagg.schedule_job('x', '$yearly')});
	is(cron('x', 'jobid, username'), "$id|clerk", "$name: a member schedules as the owner");
	is(sql(q{SET quote_all_identifiers = on; SELECT batchagg.schedule_job('x', '5 * * * *')}), $id, "$name: in place of the old schedule");
	is(cron('x', 'schedule'), '5 * * * *', "$name: by the new one");
	is((failure(q{BEGIN READ ONLY; SELECT batchagg.unschedule_job('x')}))[0], '25006', "$name: not taken away by a transaction that is read only");
	is(sql(q{SET ROLE helper; SELECT batchagg.unschedule_job('x')}), 't', "$name: it is taken away");
	is(cron('x', 'count(*)'), '0', "$name: from pg_cron");
	is(sql(q{SET ROLE clerk; SELECT batchagg.unschedule_job('x')}), 'f', "$name: once");
	sql(qq{SET ROLE clerk; SELECT batchagg.schedule_job('x', '$yearly')});
	sql('REVOKE USAGE ON SCHEMA cron FROM clerk');
	sql(q{SET ROLE clerk; SELECT batchagg.drop_job('x')});
	is(cron('x', 'count(*)'), '0', "$name: a job that is dropped is not scheduled");
	sql('GRANT USAGE ON SCHEMA cron TO clerk');

	# roles without LOGIN, which own jobs from PostgreSQL 17 on
	sql(qq{CREATE ROLE retired LOGIN; GRANT clerk TO retired; SET ROLE retired; $create)});
	sql('ALTER ROLE retired NOLOGIN');
	($state, $err) = failure("SELECT batchagg.schedule_job('x', '$yearly')");
	is($state, '42501', "$name: a role that may not log in is not scheduled");
	like($err, qr/ALTER ROLE (?:retired|\.\.\.) LOGIN/, "$name: with a hint");
	sql(q{SELECT batchagg.drop_job('x')});

	# rolled back with the rest
	sql(qq{BEGIN; SELECT batchagg.schedule_job('own', '$yearly'); ROLLBACK});
	is(cron('own', 'schedule'), $every, "$name: a schedule rolls back");
}

# ------------------------------------------------------------ the tick

# How often pg_cron ran a job in database postgres, by status.
my $ticks = q{SELECT jobname, status, return_message FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE end_time IS NOT NULL};
for my $name (sort keys %server)
{
	$server = $server{$name};
	ok($server->poll_query_until('postgres', "SELECT count(DISTINCT jobname) = (SELECT count(*) FROM cron.job) FROM ($ticks) t"), "$name: all were ticked");
	like(sql("SELECT string_agg(DISTINCT jobname || ' ' || status || ' ' || return_message, ', ') FROM ($ticks) t WHERE status <> 'succeeded'"),
		qr/^batchagg postgres\.paused failed ERROR: +job "paused" is paused\n/, "$name: all but the paused one succeeded");

	# those that run to their end
	ok($server->poll_query_until('postgres', q{SELECT count(*) = 2000 FROM (SELECT DISTINCT id FROM source) s JOIN total ON sum = 2001000}), "$name: the summary has what is new");
	for my $job ($odd, @long, 'own', 'lent')
	{
		ok($server->poll_query_until('postgres', 'SELECT count(*) >= 2000 AND count(DISTINCT id) = 2000 FROM seen WHERE job = ' . quoted($job)), "$name: $job has run");
	}
	is(sql(q{SELECT DISTINCT username FROM cron.job_run_details WHERE command LIKE '%own%' OR command LIKE '%lent%'}), 'clerk', "$name: as its owner");

	# the one that was at work
	is(sql(q{SELECT count(*) FROM batchagg.run JOIN batchagg.job ON job.id = job_id WHERE name = 'slow'}), '1', "$name: a tick of a running job starts nothing");
	is(sql(q{SELECT batchagg.unschedule_job('slow')}), 't', "$name: no more ticks");
	$gate{$name}->query_safe('COMMIT');
	$gate{$name}->quit;
	ok($server->poll_query_until('postgres', q{SELECT count(*) = 1 AND bool_and(status = 'done') FROM batchagg.run JOIN batchagg.job ON job.id = job_id WHERE name = 'slow'}),
		"$name: the run goes on to its end");
	is(sql(q{SELECT count(*), count(DISTINCT id) FROM seen WHERE job = 'slow'}), '2000|2000', "$name: each row once");
	is(sql(q{SELECT count(*) FROM batchagg.run JOIN batchagg.job ON job.id = job_id WHERE name = 'paused'}), '0', "$name: a paused job did not run");
}
$server = $server{workers};
ok($server->poll_query_until($elsewhere, 'SELECT count(*) >= 1000 AND count(DISTINCT id) = 1000 FROM seen'), 'the job in the other database has run');
sql(hinted('unschedule_job(' . quoted($odd) . ')'));
is(sql(q{SELECT count(*) FROM cron.job WHERE database = } . quoted($elsewhere)), '0', 'and is no longer scheduled');

# ------------------------------------------------------------ pg_cron goes

my $dump = "${PostgreSQL::Test::Utils::tmp_check}/schedule.sql";
command_ok([ 'pg_dump', '--no-sync', '--file', $dump, $server->connstr('postgres') ], 'a dump');
like(slurp_file($dump), qr/^COPY cron\.job .*\n(?:.*\n)*?.*\tbatchagg postgres\.own$/m, "carries pg_cron's schedules, by its own doing");

sql(qq{SELECT batchagg.schedule_job(name, '$yearly') FROM batchagg.job});
$server->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$server->restart;
($state, $err) = failure("SELECT batchagg.schedule_job('own', '$yearly')");
is($state, '55000', 'pg_cron is not loaded any more');
like($err, qr/pg_cron is not loaded.*let a scheduler outside of the server run: SELECT batchagg\.start_job\('own'\);/s, 'with a hint');
($rc, undef, $message) = $server->psql('postgres', q{SELECT batchagg.drop_job('own')});
is($rc, '0', 'a job can be dropped all the same');
my ($id) = $message =~ /WARNING:  the schedule of job "own" is left in pg_cron.*\nHINT:  When it is, run: SELECT cron\.unschedule\((\d+)\);/;
is(cron('own', 'jobid'), $id // '', 'and tells what is left');
$server->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'");
$server->restart;
is(sql("SELECT cron.unschedule($id)"), 't', 'which can be done later');
is(sql(q{SELECT batchagg.drop_job('lent')}), '', 'another');
is(cron('lent', 'count(*)'), '0', 'takes its schedule along');
sql('DROP EXTENSION pg_cron');
is(sql(q{SELECT count(batchagg.drop_job(name)) FROM batchagg.job}), '6', 'without pg_cron all can be dropped');

for my $name (sort keys %server)
{
	my $log = slurp_file($server{$name}->logfile);
	unlike($log, qr/TRAP:|PANIC|signal 11|signal 6|XX000/, "$name: nothing crashed");
	unlike($log, qr/WARNING:.*(?:leak|reference|snapshot)/, "$name: no leak was warned of");
	$server{$name}->stop;
}
done_testing();
