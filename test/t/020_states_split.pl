# The law of states: whatever way the input is split, and in whatever order and
# shape of tree the states are merged, the result is byte for byte the state of
# one pass.  And its counterpart in windows: a frame that moves by taking values
# out again gives what an aggregate of the frame's rows alone gives.
#
# The input is that of test/lib/exact_oracle.py, with all its extremes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = seed_of_run();
my $dir = PostgreSQL::Test::Utils::tempdir;
IPC::Run::run([ 'python3', "$FindBin::RealBin/../lib/exact_oracle.py", $seed, $dir ], '>', \my $made)
  or die 'the oracle failed';

# by core's own partial aggregation: the states' own functions are on trial
my $node = new_server('states', "autovacuum = off\nbatchagg.enabled = off");
my $setseed = sprintf 'SELECT setseed(%.6f)', ($seed % 1_000_003) / 1_000_003;

# Merges states until one is left: two at random by merge(), or some by rollup().
$node->safe_psql('postgres', q{
	CREATE FUNCTION merge_at_random(states anyarray) RETURNS anyelement LANGUAGE plpgsql AS $$
	DECLARE
		one states%TYPE;
		n int;
	BEGIN
		WHILE cardinality(states) > 1 LOOP
			SELECT array_agg(s ORDER BY random()) INTO states FROM unnest(states) s;
			IF random() < 0.3 THEN
				n := 2 + floor(random() * (cardinality(states) - 1));
				SELECT array_agg(r) INTO one FROM (SELECT batchagg.rollup(s) AS r FROM unnest(states[1:n]) s) q;
			ELSE
				n := 2;
				one := ARRAY[batchagg.merge(states[1], states[2])];
			END IF;
			states := one || states[n + 1:];
		END LOOP;
		RETURN states[1];
	END $$;
});

# ------------------------------------------------- splits and merging trees

my %columns = (
	f8 => 'x float8', f4 => 'x float4', i2 => 'x int2', i4 => 'x int4', i8 => 'x int8',
	pair => 'y float8, x float8', ixpair => 'y float8, x bigint');
for my $kind (sort keys %columns)
{
	my $arguments = $kind =~ /pair$/ ? 'y, x' : 'x';
	my $type = $kind =~ /pair$/ ? 'stats2d' : 'stats';
	my $send = $node->safe_psql('postgres',
		"SELECT typsend::oid::regproc FROM pg_type WHERE oid = 'batchagg.$type'::regtype");
	$node->safe_psql('postgres', qq{
		CREATE TABLE $kind (id int, g int, fits int, $columns{$kind});
		COPY $kind FROM '$dir/$kind.data';
		CREATE TABLE ${kind}_whole AS SELECT g, batchagg.stats_agg($arguments) AS s FROM $kind GROUP BY g;
	});
	for my $chunks (2, 5, 40)
	{
		# 40 chunks leave many groups with states of one row
		my $result = $node->safe_psql('postgres', qq{
			$setseed \\g /dev/null
			CREATE TEMP TABLE parts AS
			SELECT g, batchagg.stats_agg($arguments) AS s
			FROM (SELECT *, floor(random() * $chunks * random()) AS chunk FROM $kind) q GROUP BY g, chunk;
			SELECT count(*) > 40, count(*) FILTER (WHERE n > 1) > 20,
				count(*) FILTER (WHERE $send(m) IS DISTINCT FROM $send(s)),
				count(*) FILTER (WHERE m::text IS DISTINCT FROM s::text),
				count(*) FILTER (WHERE m IS DISTINCT FROM s),
				(array_agg(format('group %s: %s, not %s', g, m, s)) FILTER (WHERE $send(m) IS DISTINCT FROM $send(s)))[1:3]
			FROM (SELECT g, count(*) AS n, merge_at_random(array_agg(parts.s)) AS m FROM parts GROUP BY g) merged
				FULL JOIN ${kind}_whole USING (g)
		});
		is($result, 't|t|0|0|0|', "$kind: states of up to $chunks chunks merged at random");
	}

	# the whole of it in one state, by way of every group's
	is($node->safe_psql('postgres', qq{
			SELECT $send(batchagg.rollup(s)) = (SELECT $send(batchagg.stats_agg($arguments)) FROM $kind)
			FROM ${kind}_whole}),
		't', "$kind: states of all groups rolled up");

	# out of the server and in again
	for my $format ('text', 'binary')
	{
		is($node->safe_psql('postgres', qq{
				COPY ${kind}_whole TO '$dir/$kind.states' (FORMAT $format);
				CREATE TEMP TABLE back (LIKE ${kind}_whole);
				COPY back FROM '$dir/$kind.states' (FORMAT $format);
				SELECT count(*) > 40, bool_and($send(b.s) = $send(w.s)), bool_and(b.s = w.s)
				FROM back b FULL JOIN ${kind}_whole w USING (g)}),
			't|t|t', "$kind: $format COPY out and in");
	}

	# equal states hash alike, sums of different inputs differ
	is($node->safe_psql('postgres', qq{
			SET enable_sort = off;
			SELECT count(*) FROM (
				SELECT s FROM (SELECT s FROM ${kind}_whole UNION ALL SELECT s::text::batchagg.$type FROM ${kind}_whole) u
				GROUP BY s HAVING count(*) % 2 <> 0) odd}),
		'0', "$kind: equal states fall into one hash group");
}

# A split that loses or doubles a row is told: the comparison is able to fail.
is($node->safe_psql('postgres', q{
		SELECT count(*) FILTER (WHERE doubled = s OR doubled::text = s::text),
			count(*) FILTER (WHERE short = s)
		FROM (SELECT g, batchagg.merge(batchagg.stats_agg(x), (array_agg(batchagg.stats_agg(x)) OVER (PARTITION BY g))[1]) AS doubled,
				batchagg.stats_agg(x) FILTER (WHERE id <> first) AS short
			FROM (SELECT *, min(id) FILTER (WHERE x IS NOT NULL) OVER (PARTITION BY g) AS first FROM f8) q GROUP BY g) wrong
		JOIN f8_whole USING (g) WHERE batchagg.num_vals(s) > 0}),
	'0|0', 'a lost or doubled row shows');

# ------------------------------------------------------------ moving frames

# Values of one regime per partition; k, the order, has ties.
$node->safe_psql('postgres', qq{
	$setseed;
	CREATE TABLE walk AS
	SELECT regime, floor(random() * 60)::int AS k,
		CASE regime
			WHEN 'wide' THEN (random() - 0.5) * 2::float8 ^ (floor(random() * 800) - 400)
			WHEN 'huge' THEN (random() - 0.5) * 1e307
			WHEN 'cents' THEN round((random() * 100)::numeric, 2)::float8
			WHEN 'zeros' THEN (ARRAY[0.0, '-0'::float8, '-0'::float8, NULL])[1 + floor(random() * 4)]
			WHEN 'special' THEN CASE WHEN random() < 0.7 THEN random()
				ELSE (ARRAY['NaN', 'inf', '-inf', NULL, '-0', '5e-324']::float8[])[1 + floor(random() * 6)] END
		END AS x,
		CASE WHEN random() < 0.95 THEN random() * 10 - 5
			ELSE (ARRAY['NaN', 'inf', '-inf', NULL]::float8[])[1 + floor(random() * 4)] END AS y
	FROM unnest('{wide,huge,cents,zeros,special}'::text[]) regime, generate_series(1, 120);
	ALTER TABLE walk ADD f float4;
	UPDATE walk SET f = x WHERE regime IN ('cents', 'zeros') OR regime = 'special' AND x::text <> '5e-324';
});

my @functions = (
	(map { "float8send(batchagg.exact_$_(x))" } qw(sum avg var_pop var_samp stddev_pop stddev_samp)),
	'float4send(batchagg.exact_sum(f))',
	'float8send(batchagg.exact_var_samp(f))',
	'(batchagg.stats_agg(x))::text',
	'(batchagg.stats_agg(f))::text',
	'(batchagg.stats_agg(k))::text',
	'(batchagg.stats_agg(y, x))::text');
my @starts = ('UNBOUNDED PRECEDING', '%d PRECEDING', 'CURRENT ROW', '%d FOLLOWING');
my @ends = ('%d PRECEDING', 'CURRENT ROW', '%d FOLLOWING', 'UNBOUNDED FOLLOWING');
my @excludes = ('', '', '', 'EXCLUDE CURRENT ROW', 'EXCLUDE GROUP', 'EXCLUDE TIES');
my @modes = qw(ROWS ROWS RANGE GROUPS);

# Of every frame: the aggregate over the window, and the aggregate over its rows,
# which array_agg (it has no inverse) collects afresh for each row.
sub wrong_frames
{
	my ($function, $frame) = @_;
	my $over = $function =~ s/(batchagg\.\w+\([^()]*\))/$1 OVER w/r;
	my $plain = $function =~ s/\by\b/v.y/r =~ s/\b([xfk])\b/v.$1/r;
	my $fits = $function =~ /var_/ ? "regime <> 'huge'" : 'true';
	return qq{
		SELECT count(*), count(*) FILTER (WHERE got IS DISTINCT FROM (SELECT $plain FROM unnest(frame) v))
		FROM (SELECT $over AS got, array_agg(walk) OVER w AS frame FROM walk WHERE $fits
			WINDOW w AS (PARTITION BY regime ORDER BY k $frame)) q};
}

my @frames = ('ROWS BETWEEN 3 PRECEDING AND CURRENT ROW', 'ROWS BETWEEN 1 FOLLOWING AND 4 FOLLOWING');
while (@frames < 24)
{
	my ($s, $e) = (int rand @starts, int rand @ends);
	my ($from, $to) = (int rand 9, int rand 9);
	# a frame may not start after its end
	next if $s == 2 && $e == 0 || $s == 3 && $e < 2;
	push @frames, sprintf('%s BETWEEN %s AND %s %s',
		$modes[ rand @modes ],
		sprintf($starts[$s], $from),
		sprintf($ends[$e], $to),
		$excludes[ rand @excludes ]) =~ s/ +$//r;
}
for my $frame (@frames)
{
	my @unions = map { wrong_frames($_, $frame) } @functions;
	my $result = $node->safe_psql('postgres', join(' UNION ALL ', @unions));
	my @wrong = map { $functions[$_] . ': ' . (split /\n/, $result)[$_] }
	  grep { (split /\n/, $result)[$_] !~ /^\d+\|0$/ } 0 .. $#functions;
	is("@wrong", '', $frame);
}

# what makes those frames cheap: an inverse, and a final function that may run again
is($node->safe_psql('postgres', q{
		SELECT count(*) > 20, count(*) FILTER (WHERE aggminvtransfn = 0),
			count(*) FILTER (WHERE aggfinalmodify <> 'r' OR aggmfinalmodify <> 'r')
		FROM pg_aggregate JOIN pg_proc ON aggfnoid = pg_proc.oid
		WHERE pronamespace = 'batchagg'::regnamespace AND proname ~ '^exact_|^stats_agg' AND
			NOT 'numeric'::regtype = ANY (proargtypes)}),
	't|0|0', 'every exact aggregate has an inverse');

$node->stop;
done_testing();
