# Every example in the documents is run, and what it prints is compared.
#
# A fenced block marked sql is run by psql, all blocks of a file in one session
# and in order. Where the next fenced block is marked text, it must be what the
# statements printed. Blocks marked otherwise are not looked at. Each file starts
# in a fresh database with the extension, the committed flights in the table
# flights, and batchagg in the search_path only where the file puts it there.
# What depends on the machine is left out of the comparison: costs, and notices
# of how far a run has got.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
my @documents = ("$top/README.md", sort glob("$top/doc/*.md"));

# The examples of one document: pairs of statements and expected output.
sub examples
{
	my ($file) = @_;
	my @found;
	my ($kind, $body, $line);
	for (split /\n/, slurp_file($file))
	{
		$line++;
		if (!defined $kind && /^```(\w*)/)
		{
			($kind, $body) = ($1, '');
		}
		elsif (defined $kind && /^```$/)
		{
			push @found, { sql => $body, line => $line } if $kind eq 'sql';
			$found[-1]{text} = $body if $kind eq 'text' && @found && !exists $found[-1]{text};
			undef $kind;
		}
		elsif (defined $kind)
		{
			$body .= "$_\n";
		}
	}
	return @found;
}

my $node = PostgreSQL::Test::Cluster->new('examples');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nlc_messages = 'C'");
$node->start;

for my $document (@documents)
{
	my $name = basename($document);
	my @examples = examples($document) or next;
	( my $database = lc "doc_$name" ) =~ s/\W/_/g;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database,
		'CREATE TABLE flights (date timestamp, delay int, distance int, origin text, destination text)');
	$node->safe_psql($database,
		"\\copy flights FROM PROGRAM 'xz -dc $top/test/data/flights-2001-01.csv.xz' WITH (FORMAT csv, HEADER)");
	$node->safe_psql($database, 'VACUUM ANALYZE flights');
	$node->safe_psql($database, 'CREATE EXTENSION batchagg') if $name ne 'README.md';

	# One session a document, with a mark between the examples.
	my $script = join '', map { "$_->{sql}\n\\echo --next--\n" } @examples;
	my $printed = '';
	run_log([ 'psql', '-X', '-q', '-f', '-', '-d', $node->connstr($database) ],
		'<', \$script, '>', \$printed, '2>&1');
	$printed =~ s/^psql:<stdin>:\d+: //mg;
	# how far a run has come is told where it takes seconds
	$printed =~ s/^NOTICE:  run \d+: .*\n//mg;
	my @printed = split /^--next--\n/m, $printed, -1;

	for my $i (0 .. $#examples)
	{
		my ($want, $got) = ($examples[$i]{text}, $printed[$i] // '');
		if (!defined $want)
		{
			unlike($got, qr/^(ERROR|FATAL)/m, "$name:$examples[$i]{line}: runs");
			next;
		}
		s/[ \t]+$//mg, s/\n+\z/\n/ for $want, $got;
		s/^NOTICE:  run \d+: \d+ batches done, \d+ rows\n//mg for $want, $got;
		# the majors cost plans differently
		s/\(cost=[^)]*\)/(cost)/g, s/^ *-+$/---/mg for $want, $got;
		is($got, $want, "$name:$examples[$i]{line}: prints what it says");
	}
}

done_testing();
