# What the tests of throttles share: a server $node, a job "held" of an ordinary role
# there, and its run $run, which holds and goes on.
package HeldJob;

use strict;
use warnings;
use Exporter 'import';
use Test::More;

our @EXPORT = qw($node $run $exact sql poll make_held_job throttle holds goes_on runs);
our ($node, $run);

# The answer is t when the job has taken each row once.
our $exact = q{SELECT count(*) = 1000 AND count(DISTINCT id) = 1000 FROM seen};

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub poll { return $node->poll_query_until('postgres', @_) }

# Makes role, tables and job.
sub make_held_job
{
	my ($workers) = @_;
	sql(qq{
		CREATE ROLE clerk LOGIN;
		GRANT USAGE ON SCHEMA batchagg TO clerk;
		GRANT CREATE ON SCHEMA public TO clerk;
		SET ROLE clerk;
		CREATE TABLE source (id int PRIMARY KEY, k int);
		INSERT INTO source SELECT n, n % 7 FROM generate_series(1, 1000) n;
		CREATE TABLE seen (id int, k int);
		SELECT batchagg.create_job('held', 'source', batch_size => 100, workers => $workers, before_command => 'DELETE FROM seen',
			command => 'INSERT INTO seen SELECT * FROM source WHERE id BETWEEN \$1 AND \$2');
	});
}

sub throttle
{
	my ($json) = @_;
	$json =~ s/'/''/g;
	sql("SELECT batchagg.alter_job('held', throttle => '$json')");
}

# Starts the job, which has to hold before its first batch for a reason like that.
sub holds
{
	my ($what, $reason) = @_;
	sql('TRUNCATE seen; INSERT INTO seen VALUES (-1)');
	$run = sql(q{SET ROLE clerk; SELECT batchagg.start_job('held')});
	ok(poll("SELECT coalesce(bool_or(hold_reason ~ '$reason' AND is_alive), false) FROM batchagg.progress WHERE run_id = $run"), "$what: holds")
	  or diag(sql("SELECT status, hold_reason, message FROM batchagg.run WHERE id = $run"));
	is(sql('SELECT count(*) FROM seen'), '1', "$what: nothing is done, not even what comes before the first batch");
}

# The job under way comes to its end.
sub goes_on
{
	my ($what) = @_;
	ok(poll("SELECT status = 'done' FROM batchagg.run WHERE id = $run"), "$what: goes on")
	  or diag(sql("SELECT status, hold_reason, message FROM batchagg.run WHERE id = $run"));
	is(sql($exact), 't', "$what: each row once");
	is(sql("SELECT hold_reason IS NULL FROM batchagg.run WHERE id = $run"), 't', "$what: no reason is left");
}

# The job is started and comes to its end.
sub runs
{
	my ($what) = @_;
	sql('TRUNCATE seen');
	$run = sql(q{SET ROLE clerk; SELECT batchagg.start_job('held')});
	goes_on($what);
}

1;
