# Parameters of the extended protocol, as drivers send them: the engine's answers are core's
# for unnamed and named statements, with plans made for the values and without, for
# parameters with a type and without, in text and binary, NULL and such that raise errors; from portals
# that are read to the end, in parts, two at a time, or not to the end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use WireClient;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('protocol', q{
session_preload_libraries = 'batchagg'
autovacuum = off
max_parallel_workers_per_gather = 0
});
$node->safe_psql('postgres', q{
	CREATE TABLE facts AS
		SELECT i, i % 10 AS k, i::bigint * 1000000007 AS big, i / 8.0::float8 AS f, (i % 1000 / 100.0)::numeric(10,2) AS n,
			CASE WHEN i % 7 <> 0 THEN 'text ' || i % 50 END AS t, i % 3 = 0 AS b,
			timestamptz '2001-01-01 00:00+00' + i * interval '1 hour' AS at, date '2001-01-01' + i % 400 AS d
		FROM generate_series(1, 5000) i;
	CREATE TABLE parts (k int, v bigint) PARTITION BY LIST (k);
	CREATE TABLE parts0 PARTITION OF parts FOR VALUES IN (0, NULL);
	CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
	CREATE TABLE parts2 PARTITION OF parts FOR VALUES IN (2);
	INSERT INTO parts SELECT nullif(i % 4, 3), i FROM generate_series(1, 3000) i;
	ANALYZE facts, parts;
});

my %oid = (bool => 16, int8 => 20, int4 => 23, text => 25, float8 => 701, date => 1082, timestamptz => 1184, numeric => 1700, int4s => 1007);

sub binary
{
	my ($type, $value) = @_;
	return undef unless defined $value;
	return [ pack('C', $value) ] if $type eq 'bool';
	return [ pack('q>', $value) ] if $type eq 'int8';
	return [ pack('l>', $value) ] if $type eq 'int4';
	return [ pack('d>', $value) ] if $type eq 'float8';
	return [$value] if $type eq 'text';
	return $value;
}

# Queries, the types of their parameters, and lists of these. Bool is 1 or 0 here.
my @queries = (
	[ 'SELECT count(*), sum(i), sum(f), avg(n), max(t) FROM facts WHERE i > $1', ['int4'], [10], [4999], [undef], [-1] ],
	[ 'SELECT k, count(*), sum(big), min(at) FROM facts WHERE big BETWEEN $1 AND $2 GROUP BY k', [ 'int8', 'int8' ], [ 5, 400000000000 ], [ undef, 5 ], [ 7, 3 ] ],
	[ 'SELECT k + $1, sum(i * $2), sum(n * $3) FROM facts GROUP BY k + $1', [ 'int4', 'int4', 'numeric' ], [ 1, 2, '1.50' ], [ 0, -1, '-0.001' ], [ 5, undef, 'NaN' ] ],
	[ 'SELECT count(*) FILTER (WHERE i > $1), count(*) FILTER (WHERE i > $2), sum(f) FILTER (WHERE b = $3) FROM facts', [ 'int4', 'int4', 'bool' ], [ 10, 20, 1 ], [ 4000, undef, 0 ] ],
	[ 'SELECT t, count(*) FROM facts WHERE t LIKE $1 OR t = $2 GROUP BY t', [ 'text', 'text' ], [ '%1', 'text 3' ], [ 'text _', undef ], [ '', 'x' ] ],
	[ 'SELECT count(*), sum(i) FROM facts WHERE k = ANY ($1) AND f < $2', [ 'int4s', 'float8' ], [ '{1,2,NULL}', 300 ], [ '{}', 1e300 ], [ undef, 1 ] ],
	[ 'SELECT date_trunc($1, at, \'UTC\'), sum(i) FROM facts WHERE at >= $2 GROUP BY 1', [ 'text', 'timestamptz' ], [ 'month', '2001-02-03 04:05+00' ], [ 'year', '-infinity' ], [ 'decade', undef ] ],
	[ 'SELECT sum(CASE WHEN i % 10 = $1 THEN i / $2 ELSE 0 END), min(coalesce(t, $3)) FROM facts', [ 'int4', 'int4', 'text' ], [ 3, 7, 'none' ], [ 11, 0, undef ], [ 3, 0, 'x' ] ],
	[ 'SELECT sum(i / $1), max(f / $2) FROM facts', [ 'int4', 'float8' ], [ 3, 0.5 ], [ 0, 1 ], [ 1, 0 ] ],
	[ 'SELECT k, v % $2, count(*), sum(v) FROM parts WHERE k = $1 GROUP BY 1, 2', [ 'int4', 'int8' ], [ 1, 3 ], [ 2, 2 ], [ 9, 1 ], [ undef, 1 ] ],
	[ 'SELECT d, max(n) FROM facts WHERE d > $1 GROUP BY d HAVING max(n) > $2 ORDER BY d LIMIT $3', [ 'date', 'numeric', 'int8' ], [ '2001-03-01', '3.5', 7 ], [ '2001-01-01', '0', undef ] ],
	[ 'SELECT a.x, s.* FROM generate_series(1, $1) AS a(x), LATERAL (SELECT count(*), sum(i) FROM facts WHERE k = a.x % $2) AS s', [ 'int4', 'int4' ], [ 5, 4 ], [ 3, 1 ] ],
);

sub show
{
	my ($answer) = @_;
	return $answer->{error} if defined $answer->{error};
	return join "\n", sort map { join '|', map { $_ // 'NULL' } @$_ } @{ $answer->{rows} };
}

# One round trip of a statement that was parsed.
sub run
{
	my ($client, $name, @parameters) = @_;
	my $error = $client->bind('', $name, @parameters);
	my $answer = defined $error ? { error => $error } : $client->fetch('', 0);
	$client->sync;
	return show($answer);
}

my $core = WireClient->new($node, 'postgres');
my $engine = WireClient->new($node, 'postgres');
$core->query('SET batchagg.enabled = off');
$engine->query('SET batchagg.debug_force_engine = on');

my @modes = ('auto', 'force_custom_plan', 'force_generic_plan');
for my $number (0 .. $#queries)
{
	my ($sql, $types, @lists) = @{ $queries[$number] };
	my @oids = map { $oid{$_} } @$types;
	my ($runs, $errors) = (0, 0);
	my (@differing, %answers);

	is($core->parse("q$number", $sql, @oids), undef, "core takes $sql");
	for my $mode (@modes)
	{
		$engine->query("SET plan_cache_mode = $mode");
		# the engine runs it, with parameters in the plan if that is for any value
		$engine->parse("explain", "EXPLAIN (COSTS OFF) $sql", @oids);
		$engine->bind('', 'explain', @{ $lists[0] });
		my $plan = join "\n", map { $_->[0] } @{ $engine->fetch('', 0)->{rows} };
		$engine->sync;
		like($plan, qr/Custom Scan \(BatchAgg\)/, "$mode: the engine runs it");

		$engine->parse("$mode$number", $sql, @oids);
		# seven rounds: from the sixth on core may think of a generic plan
		for my $round (1 .. 7)
		{
			for my $list (@lists)
			{
				my @bytes = map { binary($types->[$_], $list->[$_]) } 0 .. $#$types;
				my $expected = run($core, "q$number", @$list);
				my %got;

				$answers{$expected} = 1;
				$errors++ if $expected =~ /^[0-9A-Z]{5}: /;
				$got{text} = run($engine, "$mode$number", @$list);
				$got{binary} = run($engine, "$mode$number", @bytes);
				if ($round == 1)
				{
					$engine->parse('', $sql, @oids);
					$got{unnamed} = run($engine, '', @bytes);
					$engine->parse('', $sql);
					$got{untyped} = run($engine, '', @$list);
				}
				for my $way (sort keys %got)
				{
					$runs++;
					push @differing, "$way of " . join(', ', map { $_ // 'NULL' } @$list) . ": $got{$way}, core: $expected"
					  if $got{$way} ne $expected;
				}
			}
		}
		$engine->query("DEALLOCATE \"explain\"");
	}
	is(join("\n", @differing), '', "$runs runs give core's answer");
	cmp_ok(scalar keys %answers, '>', 1, 'which depends on the parameters');
	is($errors > 0, $sql =~ /\/ \$/, 'and is an error where one divides by zero');
}

# Parameters are parameters in a generic plan
$engine->query('SET plan_cache_mode = force_generic_plan');
$engine->query('PREPARE shown(int, bigint) AS SELECT sum(big) FROM facts WHERE i > $1 AND big < $2');
like(join("\n", map { $_->[0] } @{ $engine->query('EXPLAIN (COSTS OFF) EXECUTE shown(1, 2)') }),
	qr/BatchAgg.*Filter: \(\(i > \$1\) AND \(big < \$2\)\)/s, 'a generic plan has parameters in its filter');

# Portals: of one statement at the same time with different parameters, fetched from in turn
for my $mode ('force_custom_plan', 'force_generic_plan')
{
	my $sql = 'SELECT i % $1, count(*), sum(f * $2), max(t) FROM facts WHERE k <> $3 GROUP BY 1 ORDER BY 1';
	my @lists = ([ 700, 2, 3 ], [ 900, '0.5', 4 ]);
	my (@expected, @got);

	for my $client ($core, $engine)
	{
		$client->query("SET plan_cache_mode = $mode");
		$client->parse("portal_$mode", $sql, $oid{int4}, $oid{float8}, $oid{int4});
		$client->sync;
	}
	push @expected, run($core, "portal_$mode", @$_) for @lists;
	$engine->query('BEGIN');
	is($engine->bind("p$_", "portal_$mode", @{ $lists[$_] }), undef, "$mode: portal $_ opens") for 0, 1;
	my @open = (1, 1);
	my $parts = 0;
	while ($open[0] || $open[1])
	{
		for my $p (0, 1)
		{
			next unless $open[$p];
			my $answer = $engine->fetch("p$p", 37 + 20 * $p);
			push @{ $got[$p] }, @{ $answer->{rows} };
			$open[$p] = $answer->{more};
			$parts++;
		}
	}
	is(show({ rows => $got[$_] }), $expected[$_], "$mode: portal $_ fetched from in turn") for 0, 1;
	cmp_ok($parts, '>', 20, "$mode: in parts");

	# one that is not read to its end, and an error in another, leave the session well
	$engine->bind('stopped', "portal_$mode", @{ $lists[0] });
	ok($engine->fetch('stopped', 1)->{more}, "$mode: a portal stops after a row");
	$engine->close_portal('stopped');
	$engine->bind('failing', "portal_$mode", 0, 1, 1);
	like($engine->fetch('failing', 1)->{error}, qr/^22012/, "$mode: a parameter of zero divides");
	$engine->sync;
	$engine->query('ROLLBACK');
	is(run($engine, "portal_$mode", @{ $lists[1] }), $expected[1], "$mode: and the statement runs on");
}

$_->finish for $core, $engine;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal|still referenced|leak/, 'no crash, no leak');
done_testing();
