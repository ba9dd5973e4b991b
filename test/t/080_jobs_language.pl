# A server whose messages are not in English: what they mean for a batch is the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# gettext takes the language from here for any locale but C
local $ENV{LANGUAGE} = 'de';
my $node = new_server('language', "lc_messages = 'C.UTF-8'");
my (undef, undef, $error) = $node->psql('postgres', 'SELECT 1 / 0');
plan skip_all => 'the server has no German messages here' unless $error =~ /durch Null/;

$node->safe_psql('postgres', q{
	CREATE TABLE source (id int PRIMARY KEY);
	INSERT INTO source SELECT n FROM generate_series(1, 100) n;
	SELECT batchagg.create_job('slow', 'source', batch_size => 100, statement_timeout => '1 s',
		command => 'SELECT pg_sleep(0.02) FROM source WHERE id BETWEEN $1 AND $2');
});
my ($rc) = $node->psql('postgres', q{CALL batchagg.run_job('slow')});
is($rc, 0, 'a run with batches that take too long is done');
is($node->safe_psql('postgres', q{SELECT status, message ~ 'Zeit' FROM batchagg.task ORDER BY id LIMIT 1}), 'split|t', 'as such a batch is halved');
$node->stop;
done_testing();
