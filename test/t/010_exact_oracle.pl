# The exact aggregates and the stats accessors, bit for bit against integer
# arithmetic that cannot round (test/lib/exact_oracle.py), under every way in
# which the server may split the input: one process, parallel workers, spilled
# hash tables, sorts, partitions, any order, stored states rolled up.
#
# Answers are compared as the bytes of float8send, so that -0 and 0 differ.  An
# answer that does not fit has to be error 22003, whatever order the rows come in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = seed_of_run();
my $dir = PostgreSQL::Test::Utils::tempdir;
my ($made, $complaint);
IPC::Run::run([ 'python3', "$FindBin::RealBin/../lib/exact_oracle.py", $seed, $dir ],
	'>', \$made, '2>', \$complaint)
  or die "the oracle failed: $complaint";
note($made);
my ($float8s) = $made =~ /^f8: (\d+) inputs/m;
cmp_ok($float8s, '>=', 100_000, 'a hundred thousand float8 inputs');

my $node = new_server(
	'exact', q{
autovacuum = off
batchagg.enabled = off # core's own partial aggregation is on trial
max_worker_processes = 8
max_parallel_workers = 8
});

# ------------------------------------------------------------------ the data

my %columns = (
	f8 => 'x float8', f4 => 'x float4', i2 => 'x int2', i4 => 'x int4', i8 => 'x int8',
	pair => 'y float8, x float8', ipair => 'y bigint, x bigint',
	iypair => 'y bigint, x float8', ixpair => 'y float8, x bigint');
my @kinds = sort keys %columns;

sub is_pair { return $_[0] =~ /pair$/ }
sub arguments { return is_pair($_[0]) ? 'y, x' : 'x' }

for my $kind (@kinds)
{
	$node->safe_psql(
		'postgres', qq{
		CREATE TABLE $kind (id int, g int, fits int, $columns{$kind},
			all_fit bool GENERATED ALWAYS AS (fits & 63 = 63) STORED);
		COPY $kind FROM '$dir/$kind.data';
		CREATE TABLE ${kind}_want (g int PRIMARY KEY, family text, exact bytea[], stats bytea[]);
		COPY ${kind}_want FROM '$dir/$kind.want';
		CREATE TABLE ${kind}_backwards AS SELECT * FROM $kind ORDER BY id DESC;
		CREATE TABLE ${kind}_parted (LIKE $kind) PARTITION BY HASH (id);
		CREATE TABLE ${kind}_parted0 PARTITION OF ${kind}_parted FOR VALUES WITH (MODULUS 3, REMAINDER 0);
		CREATE TABLE ${kind}_parted1 PARTITION OF ${kind}_parted FOR VALUES WITH (MODULUS 3, REMAINDER 1);
		CREATE TABLE ${kind}_parted2 PARTITION OF ${kind}_parted FOR VALUES WITH (MODULUS 3, REMAINDER 2);
		INSERT INTO ${kind}_parted SELECT * FROM $kind;
		ANALYZE;
	});
}

# ------------------------------------------------------------- the questions

my @exact = map { "exact_$_" } qw(sum avg var_pop var_samp stddev_pop stddev_samp);
my %stats = (
	one => [
		map { "batchagg.$_" } 'num_vals(%s)::float8',
		'sum(%s)',
		'average(%s)',
		"variance(%s, 'population')",
		"variance(%s, 'sample')",
		"stddev(%s, 'population')",
		"stddev(%s, 'sample')",
		'min_val(%s)',
		'max_val(%s)' ],
	pair => [
		map { "batchagg.$_" } 'num_vals(%s)::float8',
		'corr(%s)',
		"covariance(%s, 'population')",
		"covariance(%s, 'sample')",
		'slope(%s)',
		'intercept(%s)',
		'determination_coeff(%s)' ]);

# One exact aggregate's answer in bytes.  exact_sum over float4 gives float4.
sub exact_answer
{
	my ($kind, $name, $order) = @_;
	my $send = $kind eq 'f4' && $name eq 'exact_sum' ? 'float4send' : 'float8send';
	return "$send(batchagg.$name(x$order) FILTER (WHERE %s))";
}

# All exact answers of a group.  The final function runs whether or not anybody
# wants its answer, so aggregates whose answer does not fit see no rows at all.
sub exact_answers
{
	my ($kind, $order, $all_fit) = @_;
	return "'{}'::bytea[]" if is_pair($kind);
	my @answers;
	for my $i (0 .. $#exact)
	{
		my $call = exact_answer($kind, $exact[$i], $order);
		my $bit = 1 << $i;
		$call =
		  $all_fit
		  ? $call =~ s/ FILTER \(WHERE %s\)//r
		  : sprintf($call, "fits & $bit <> 0");
		push @answers, $call;
	}
	return 'ARRAY[' . join(', ', @answers) . ']';
}

sub stats_answers
{
	my ($kind, $state) = @_;
	my $bit = 32;
	return 'ARRAY['
	  . join(
		', ',
		map {
			$bit *= 2;
			"CASE WHEN min(fits) & $bit <> 0 THEN float8send(" . sprintf($_, $state) . ") END"
		} @{ $stats{ is_pair($kind) ? 'pair' : 'one' } })
	  . ']';
}

# The query that a split runs: g, exact, stats for every group of a table.
# Groups whose answers all fit are asked for without a FILTER, so that the
# aggregates share one transition state.
sub answers
{
	my ($kind, $table, $order, $all_fit) = @_;
	my $arguments = arguments($kind);
	my $which = !is_pair($kind) ? 'WHERE ' . ($all_fit ? 'all_fit' : 'NOT all_fit') : '';
	return
		"SELECT g, "
	  . exact_answers($kind, $order, $all_fit)
	  . " AS exact, "
	  . stats_answers($kind, "batchagg.stats_agg($arguments$order)")
	  . " AS stats FROM $table $which GROUP BY g";
}

# Compares a table of answers, got(g, exact, stats), with those wanted.  Text of
# the differences, empty if there are none; $groups restricts the groups.
sub differences
{
	my ($kind, $groups) = @_;
	return qq{
		SELECT count(*), (array_agg(format('group %s (%s) %s[%s]: got %s, want %s',
			g, family, list, i, got, want) ORDER BY g, list, i))[1:8]
		FROM (
			SELECT g, family, 'exact' AS list, i, got.exact[i] AS got, want.exact[i] AS want
			FROM ${kind}_want want LEFT JOIN got USING (g), generate_subscripts(want.exact, 1) i
			UNION ALL
			SELECT g, family, 'stats', i, got.stats[i], want.stats[i]
			FROM ${kind}_want want LEFT JOIN got USING (g), generate_subscripts(want.stats, 1) i
			UNION ALL
			SELECT g, NULL, 'group', 0, NULL, NULL FROM got
			WHERE g NOT IN (SELECT g FROM ${kind}_want)) differ
		WHERE got IS DISTINCT FROM nullif(want, '') AND ($groups);
	};
}

# Runs the queries of one split in one session and compares what they give.
sub check_split
{
	my ($what, $kind, $settings, @queries) = @_;
	my $sql = "$settings;\nCREATE TEMP TABLE got (g int, exact bytea[], stats bytea[]);\n";
	# CREATE TABLE AS may use workers, INSERT may not
	my $part = 0;
	for my $query (@queries)
	{
		$part++;
		$sql .= "CREATE TEMP TABLE got$part AS $query;\nINSERT INTO got SELECT * FROM got$part;\n";
	}
	my $result = $node->safe_psql('postgres', $sql . differences($kind, 'true'));
	is($result, '0|', "$kind: $what");
	return;
}

# Asks a table under some settings, having seen that the plan is what the split is about.
sub check_table
{
	my ($what, $kind, $settings, $table, $plan, $order) = @_;
	my @queries = answers($kind, $table, $order // '', 1);
	push @queries, answers($kind, $table, $order // '', 0) unless is_pair($kind);
	my $explained = $node->safe_psql('postgres', "$settings; EXPLAIN (COSTS OFF) $queries[0]");
	like($explained, $plan, "$kind: $what: the plan") if $plan;
	return check_split($what, $kind, $settings, @queries);
}

# ---------------------------------------------------------------- the splits

my $serial = 'SET max_parallel_workers_per_gather = 0';
my $parallel = q{
	SET max_parallel_workers_per_gather = 2;
	SET parallel_setup_cost = 0;
	SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0};
my $spill = q{
	SET work_mem = '64kB';
	SET hash_mem_multiplier = 1};

my $in_workers = qr/Finalize.*Gather.*Partial/s;
for my $kind (@kinds)
{
	check_table('one process', $kind, $serial, $kind, qr/^HashAggregate(?!.*Gather)/s);
	check_table('rows in reverse', $kind, $serial, "${kind}_backwards");
	check_table('parallel workers', $kind, $parallel, $kind, $in_workers);
	check_table('parallel workers without the leader',
		$kind, "$parallel; SET parallel_leader_participation = off", "${kind}_backwards", $in_workers);
	check_table('hash tables spilled', $kind, "$serial; $spill; SET enable_sort = off", $kind, qr/^HashAggregate/);
	check_table('hash tables spilled in workers',
		$kind, "$parallel; $spill; SET enable_sort = off", $kind, qr/Finalize.*Gather.*Partial HashAggregate/s);
	check_table('sorted, spilled', $kind, "$serial; $spill; SET enable_hashagg = off", $kind, qr/^GroupAggregate.*Sort/s);
	check_table('sorted, spilled in workers',
		$kind, "$parallel; $spill; SET enable_hashagg = off", $kind, qr/Finalize.*Gather.*Partial GroupAggregate.*Sort/s);
	check_table('partitionwise',
		$kind, "$serial; SET enable_partitionwise_aggregate = on", "${kind}_parted", qr/Finalize.*Append.*Partial/s);
	check_table('partitionwise in workers',
		$kind, "$parallel; SET enable_partitionwise_aggregate = on", "${kind}_parted", $in_workers);
}
check_table('ascending', 'f8', $serial, 'f8', undef, ' ORDER BY x');
check_table('falling magnitudes', 'f8', $serial, 'f8', undef, ' ORDER BY abs(x) DESC');
check_table('rising magnitudes', 'f4', $serial, 'f4', undef, ' ORDER BY abs(x)');
check_table('rising magnitudes', 'pair', $serial, 'pair', undef, ' ORDER BY abs(x), abs(y)');

# What the plan cannot show: workers start, hash tables spill.
my $analyze = 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ' . answers('f8', 'f8', '', 1);
like($node->safe_psql('postgres', "$parallel; $analyze"), qr/Workers Launched: 2/, 'two workers are launched');
like($node->safe_psql('postgres', "$serial; $spill; SET enable_sort = off; $analyze"),
	qr/HashAggregate.*Batches: (?:[2-9]|\d\d)/s, 'the hash table spills');

# Grouping sets: the detail rows, next to coarser ones in the same pass.  Coarse
# sums may overflow, so only the groups of one family that stays small take part.
for my $settings ($serial, "$serial; SET enable_hashagg = off", "$serial; $spill")
{
	my $detail = answers('f8', 'f8', '', 1);
	$detail =~ s/^SELECT/SELECT grouping(g) AS coarse,/;
	$detail =~ s/WHERE /WHERE g IN (SELECT g FROM f8_want WHERE family IN ('money', 'offset', 'ulps')) AND /;
	$detail =~ s/GROUP BY g$/GROUP BY GROUPING SETS ((g), ())/;
	my $result = $node->safe_psql('postgres',
			"$settings; CREATE TEMP TABLE got AS SELECT g, exact, stats FROM ($detail) q WHERE coarse = 0; "
		  . differences('f8', "family IN ('money', 'offset', 'ulps')"));
	is($result, '0|', 'f8: grouping sets');
}

# Stored states of random chunks, rolled up.
for my $kind (@kinds)
{
	my $arguments = arguments($kind);
	$node->safe_psql('postgres', qq{
		SELECT setseed(0.5);
		CREATE TABLE ${kind}_chunks AS
		SELECT g, chunk, min(fits) AS fits, batchagg.stats_agg($arguments) AS s
		FROM (SELECT *, floor(random() * 5) AS chunk FROM $kind) q GROUP BY g, chunk;
	});
	# only the stats are asked for: the exact list is taken as wanted
	for my $order ('', ' ORDER BY chunk DESC')
	{
		check_split('states of chunks rolled up' . lc $order,
			$kind, $serial,
				"SELECT g, (SELECT array_agg(nullif(a, '') ORDER BY n) FROM ${kind}_want w, "
			  . "unnest(w.exact) WITH ORDINALITY u(a, n) WHERE w.g = c.g) AS exact, "
			  . stats_answers($kind, "batchagg.rollup(s$order)")
			  . " AS stats FROM ${kind}_chunks c GROUP BY g");
	}
}

# --------------------------------------------------------------- the errors

$node->safe_psql('postgres', q{
	CREATE FUNCTION outcome(expression text, source text, OUT bits bytea) LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('SELECT %s FROM %s', expression, source) INTO bits;
	EXCEPTION WHEN numeric_value_out_of_range THEN bits := '';
	END $$;
});
for my $kind (qw(f8 f4 pair))
{
	my $arguments = arguments($kind);
	my @calls = map { "($_, " . ($_ + 1) . ", 'exact', \$e\$" .
		  (exact_answer($kind, $exact[$_], '') =~ s/ FILTER \(WHERE %s\)//r) . "\$e\$)" } 0 .. $#exact;
	@calls = () if is_pair($kind);
	my $i = 0;
	my $state = "batchagg.stats_agg($arguments)";
	for my $call (@{ $stats{ is_pair($kind) ? 'pair' : 'one' } })
	{
		$i++;
		push @calls, '(' . ($i + 5) . ", $i, 'stats', \$e\$float8send(" . sprintf($call, $state) . ")\$e\$)";
	}
	my $result = $node->safe_psql('postgres', qq{
		CREATE TABLE ${kind}_odd AS SELECT $kind.* FROM $kind JOIN ${kind}_want USING (g)
		WHERE exact @> ARRAY[''::bytea] OR stats @> ARRAY[''::bytea];
		CREATE INDEX ON ${kind}_odd (g);
		ANALYZE ${kind}_odd;
		SELECT count(*) > 10, count(*) FILTER (WHERE got IS DISTINCT FROM ''),
			(array_agg(format('group %s (%s) %s: %s', g, family, expression, got))
				FILTER (WHERE got IS DISTINCT FROM ''))[1:5]
		FROM (
			SELECT g, family, expression, outcome(expression, format('${kind}_odd WHERE g = %s', g)) AS got
			FROM ${kind}_want, (VALUES @{[ join(', ', @calls) ]}) AS calls (b, i, list, expression)
			WHERE CASE list WHEN 'exact' THEN exact[i] ELSE stats[i] END = '') outcomes
	});
	is($result, 't|0|', "$kind: what does not fit is an error");
}

# ------------------------------------------------- the comparison can fail

# Core's own aggregates, put in the place of ours, are caught: the inputs are
# such that rounding on the way shows.
for my $pair ([ 'exact_sum', 'sum' ], [ 'exact_avg', 'avg' ], [ 'exact_var_samp', 'var_samp' ])
{
	my ($ours, $core) = @$pair;
	my $families = "family IN ('money', 'integers', 'offset')";
	my $query = answers('f8', 'f8', '', 1);
	$query =~ s/batchagg\.$ours\(/$core(/;
	$query =~ s/WHERE /WHERE g IN (SELECT g FROM f8_want WHERE $families) AND /;
	my $result = $node->safe_psql('postgres', "$serial; CREATE TEMP TABLE got AS $query; "
		  . differences('f8', "$families AND g IN (SELECT g FROM got)"));
	my ($count) = split /\|/, $result;
	cmp_ok($count, '>', 10, "core's $core is told from $ours");
}

$node->stop;
done_testing();
