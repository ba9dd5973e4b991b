# What the TAP tests share: a server with the extension, a seed that is shown,
# and small helpers that wait with a bound.
package BatchaggTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server seed_of_run sqlstate_of start_psql finish_psql kill_postmaster no_process_left);

# A file that takes longer hangs, s
my $longest = 900;
$SIG{ALRM} = sub { die "after $longest s this file has not come to its end" };
alarm $longest;

# A running server with the extension created in database postgres.  $conf is
# added to its configuration, %init goes to initdb's wrapper.
sub new_server
{
	my ($name, $conf, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	# some majors take the encoding from the locale, others not
	$node->init(extra => ["--encoding=UTF8"], %init);
	$node->append_conf('postgresql.conf', $conf // '');
	$node->start;
	# the path is for operators
	$node->safe_psql('postgres',
		'CREATE EXTENSION batchagg; ALTER DATABASE postgres SET search_path = public, batchagg');
	return $node;
}

# The seed of a randomised test: BATCHAGG_SEED, or a fixed one.  It is shown, so
# that a failure can be repeated.
sub seed_of_run
{
	my $seed = $ENV{BATCHAGG_SEED} // 20010101;
	note("seed $seed; set BATCHAGG_SEED for another");
	srand($seed);
	return $seed;
}

# The SQLSTATE in psql's verbose output, 'none' if there was no error.
sub sqlstate_in
{
	my ($err) = @_;
	return $err =~ /(?:ERROR|FATAL):\s+([0-9A-Z]{5}):/ ? $1 : 'none';
}

# Runs a statement that has to fail; its SQLSTATE and its whole stderr.
sub sqlstate_of
{
	my ($node, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
	return (sqlstate_in($err), $err);
}

# Starts statements in a session of their own and returns at once. One argument is one transaction, unless it says
# otherwise.
sub start_psql
{
	my ($node, @sql) = @_;
	my %session = (out => '', err => '');
	$session{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
			'-d', $node->connstr('postgres'), map { ('-c', $_) } @sql
		],
		'<', '/dev/null', '>', \$session{out}, '2>', \$session{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

# Waits for such a session's end: its SQLSTATE, stdout and stderr.
sub finish_psql
{
	my ($session) = @_;
	$session->{run}->finish;
	chomp $session->{out};
	my $state = sqlstate_in($session->{err});
	# a server that goes away leaves no SQLSTATE behind
	$state = 'lost' if $state eq 'none' && $session->{err} =~ /server closed the connection|connection to server/;
	return ($state, $session->{out}, $session->{err});
}

# Kills the postmaster as if the machine had failed, and starts the server again.
sub kill_postmaster
{
	my ($node) = @_;
	my $postmaster = $node->{_pid};
	$node->kill9;
	for (1 .. 600)
	{
		# it has to be gone, and then the other processes have to notice
		return if !kill(0, $postmaster) && $node->start(fail_ok => 1);
		select undef, undef, undef, 0.1;
	}
	die "the server does not start again";
}

# Waits until jobs have neither a process nor a lock left.
sub no_process_left
{
	my ($node, $after) = @_;
	return ok($node->poll_query_until('postgres',
			q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'batchagg%')
				AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')}),
		"no process and no lock is left: $after");
}

1;
