# Random tables, random queries, random batch sizes: the batches of split_batches
# hold every visible row exactly once, and what each_batch gives for a batch is
# what the plain query gives on the rows of that batch's ctid range, in the same
# order where the query has one.  all_batches gives what the plain query gives.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = seed_of_run();
my $node = new_server(
	'batches', q{
autovacuum = off
max_worker_processes = 8
max_parallel_workers = 8
});
my $tables = 14;

sub pick { return $_[ rand @_ ] }

# ---------------------------------------------------------------- random tables

# a is always there for queries to use, as are b, c, d and e; others come and go
my %columns = (
	a => [ 'int', 'floor(random() * 20)::int' ],
	b => [ 'bigint', 'floor(random() * 1e12)::bigint' ],
	c => [ 'text', "md5(random()::text)" ],
	d => [ 'numeric', 'round((random() * 1000)::numeric, 2)' ],
	e => [ 'float8', 'random() * 1e6' ],
	f => [ 'bool', 'random() < 0.5' ],
	g => [ 'date', "date '2001-01-01' + floor(random() * 365)::int" ],
	h => [ 'int2[]', 'ARRAY[1, floor(random() * 9)]' ],
	i => [ 'jsonb', q(jsonb_build_object('k', floor(random() * 9))) ],
	j => [ 'text', "repeat(md5(random()::text), floor(random() * 200)::int)" ],
	k => [ 'char(40)', "md5(random()::text)" ]);

sub or_null
{
	my ($expression, $density) = @_;
	return "CASE WHEN random() >= $density THEN $expression END";
}

# Statements that make table $name, with all that leaves traces in a heap.
sub make_table
{
	my ($name) = @_;
	my @names = qw(a b c d e);
	push @names, grep { rand() < 0.4 } qw(f g h i j k);
	@names = sort { rand() <=> 0.5 } @names;
	# every column may be dropped and added again later, so that attribute numbers move
	my @definitions = map { "$_ $columns{$_}[0]" } @names;
	splice @definitions, int rand @definitions, 0, 'gone int';
	my $fill = sub {
		my ($rows, @which) = @_;
		return "INSERT INTO $name (" . join(', ', @which) . ") SELECT "
		  . join(', ', map { or_null($columns{$_}[1], pick(0, 0, 0.1, 0.5)) } @which)
		  . " FROM generate_series(1, $rows);";
	};
	my $size = pick(0, 1, 7, 100, 300, 1000, 3000);
	my $fillfactor = pick('', ' WITH (fillfactor = 30)');
	my @sql;
	my $partitioned = rand() < 0.4;

	if ($partitioned)
	{
		push @sql, "CREATE TABLE $name (" . join(', ', @definitions) . ") PARTITION BY LIST (a);";
		push @sql, "CREATE TABLE ${name}_low PARTITION OF $name FOR VALUES IN (0, 1, 2, 3, 4, 5);";
		push @sql, "CREATE TABLE ${name}_none PARTITION OF $name FOR VALUES IN (1000);";
		push @sql, "CREATE TABLE ${name}_mid PARTITION OF $name FOR VALUES IN (6, 7, 8, 9, 10, 11) PARTITION BY RANGE (a, b);";
		push @sql, "CREATE TABLE ${name}_mid1 PARTITION OF ${name}_mid FOR VALUES FROM (MINVALUE, MINVALUE) TO (8, 0);";
		push @sql, "CREATE TABLE ${name}_mid2 PARTITION OF ${name}_mid DEFAULT;";
		# attached, its columns in another order and one of them dropped
		push @sql, "CREATE TABLE ${name}_rest (lost text, " . join(', ', reverse @definitions) . ");";
		push @sql, "ALTER TABLE ${name}_rest DROP lost;";
		push @sql, "ALTER TABLE $name ATTACH PARTITION ${name}_rest DEFAULT;";
	}
	else
	{
		push @sql, 'CREATE ' . pick('', '', 'UNLOGGED ') . "TABLE $name (" . join(', ', @definitions) . ")$fillfactor;";
	}
	push @sql, $fill->(int(1 + $size / 2), @names) if $size;
	push @sql, "ALTER TABLE $name DROP gone;" if rand() < 0.7;
	push @sql, $fill->($size - int($size / 2), @names) if $size;
	push @sql, "ALTER TABLE $name ADD late int DEFAULT 42;" if rand() < 0.5;
	push @sql, "BEGIN; " . $fill->(pick(1, 50), @names) . " ROLLBACK;" if rand() < 0.5;
	push @sql, "DELETE FROM $name WHERE random() < " . pick(0.05, 0.3, 0.95) . ';' if rand() < 0.6;
	push @sql, "VACUUM $name;" if rand() < 0.3;
	push @sql, "UPDATE $name SET e = e + 1, a = a WHERE random() < " . pick(0.1, 0.5) . ';' if rand() < 0.6;
	push @sql, "BEGIN; UPDATE $name SET e = 0; DELETE FROM $name; ROLLBACK;" if rand() < 0.3;
	push @sql, $fill->(pick(1, 20), @names) if $size && rand() < 0.3;
	push @sql, "DELETE FROM $name WHERE a < 3;" if rand() < 0.2;
	push @sql, 'VACUUM ' . pick('', '(FREEZE) ') . "$name;" if rand() < 0.4;
	push @sql, "CREATE INDEX ON $name (a);" if rand() < 0.5;
	push @sql, "ANALYZE $name;" if rand() < 0.7;
	return @sql;
}

# --------------------------------------------------------------- random queries

# Each query with its columns; %T stands for the table.  "ordered" says that the
# query orders its rows in full, so that their order is compared as well.
sub random_where
{
	return '' if rand() < 0.4;
	return 'WHERE '
	  . pick('a < 10', 'a IS NULL', 'a = 3', 'b % 2 = 0', 'e > 5e5', "c < '8'", 'd BETWEEN 100 AND 700',
		'a IN (SELECT v FROM dim WHERE v > 10)',
		'EXISTS (SELECT FROM dim WHERE dim.v = a AND w > 0)',
		'false', 'a > (SELECT avg(v) FROM dim)', 'coalesce(a, 0) < ANY (ARRAY[4, 9])');
}

sub random_query
{
	my $where = random_where();
	my @aggregates = (
		[ 'count(*)', 'bigint' ], [ 'sum(a)', 'bigint' ], [ 'sum(b)', 'numeric' ],
		[ 'avg(d)', 'numeric' ], [ 'min(c)', 'text' ], [ 'max(b)', 'bigint' ],
		[ 'count(DISTINCT a)', 'bigint' ], [ 'count(c) FILTER (WHERE a > 5)', 'bigint' ],
		[ 'batchagg.exact_sum(e)', 'float8' ], [ 'batchagg.exact_stddev_samp(e)', 'float8' ],
		[ 'bool_or(a = 4)', 'bool' ], [ "string_agg(c, ',' ORDER BY c)", 'text' ],
		[ '(batchagg.stats_agg(a))::text', 'text' ]);
	my @chosen = map { pick(@aggregates) } 0 .. rand 3;
	my $list = join ', ', map { $_->[0] } @chosen;
	my $types = join ', ', map { "x$_ $chosen[$_][1]" } 0 .. $#chosen;
	my $group = pick('a', 'b % 3', "left(c, 1)");
	my $group_type = { a => 'int', 'b % 3' => 'bigint' }->{$group} // 'text';

	return @{ pick(
			[ "SELECT $list FROM %T $where", $types ],
			[ "SELECT $list FROM %T $where", $types ],
			[ "SELECT $group, $list FROM %T $where GROUP BY 1", "g $group_type, $types" ],
			[ "SELECT $group, $list FROM %T $where GROUP BY 1 ORDER BY 1", "g $group_type, $types", 1 ],
			[ "SELECT $group, $list FROM %T $where GROUP BY 1 HAVING count(*) > 2", "g $group_type, $types" ],
			[ "SELECT a, $list FROM %T $where GROUP BY ROLLUP (a)", "g int, $types" ],
			[ "SELECT a, b, c FROM %T $where", 'a int, b bigint, c text' ],
			[ "SELECT c, d FROM %T $where ORDER BY b, c, d DESC", 'c text, d numeric', 1 ],
			[ "SELECT DISTINCT a FROM %T $where", 'a int' ],
			[ "SELECT t::text FROM %T AS t $where", 't text' ],
			[ "SELECT a, rank() OVER (PARTITION BY a ORDER BY b), sum(d) OVER (ORDER BY b, c) FROM %T $where",
				'a int, r bigint, s numeric' ],
			[ "SELECT t.a, w, count(*) FROM %T AS t JOIN dim ON v = t.a GROUP BY t.a, w", 'a int, w int, n bigint' ],
			[ "SELECT t.b, w FROM %T AS t LEFT JOIN dim ON v = t.a", 'b bigint, w int' ],
			[ "SELECT t.b, x FROM %T AS t, LATERAL (SELECT max(w) AS x FROM dim WHERE v > t.a) l", 'b bigint, x int' ],
			[ "SELECT s.a, n + 1 FROM (SELECT a, count(*) AS n FROM %T $where GROUP BY a) s", 'a int, n bigint' ],
			[ "WITH q AS (SELECT a, b FROM %T $where) SELECT a, max(b) FROM q GROUP BY a", 'a int, m bigint' ]
	) };
}

# ---------------------------------------------------------------------- checks

$node->safe_psql('postgres', q{
	CREATE TABLE dim AS SELECT v, v * 2 - 20 AS w FROM generate_series(0, 25) v;
});

# Both sides as rows (batch, place within the batch or NULL, row as text).
sub compare
{
	my ($name, $query, $types, $ordered, $size, $workers) = @_;
	my $place = $ordered ? 'row_number() OVER (PARTITION BY batch ORDER BY place)' : 'NULL::bigint';
	my $plain = $query =~ s/%T AS t/%T/r;
	my $restricted = $query =~
	  s/%T( AS t)?/"(SELECT * FROM $name WHERE tableoid = b.relation AND ctid BETWEEN b.first_tid AND b.last_tid) " . ($1 \/\/ "AS $name")/er;
	# whole rows print the columns of the table, however it is called
	my $whole = $query =~ s/%T/$name/r;
	my $width = () = $types =~ /\w+ \w+(?:,|$)/g;
	my $names = join ', ', map { /^\s*(\w+)/ } split /,/, $types;
	return qq{
		WITH given AS MATERIALIZED (
			SELECT batch, $place AS place, ($names)::text AS r FROM ROWS FROM (
				batchagg.each_batch(\$q\$$whole\$q\$, batch_size => $size, workers => $workers, driving_table => '$name')
				AS (batch bigint, $types)) WITH ORDINALITY AS e (batch, $names, place)),
		wanted AS MATERIALIZED (
			SELECT batch, $place AS place, ($names)::text AS r
			FROM batchagg.split_batches('$name', $size) b,
				LATERAL (SELECT *, row_number() OVER () AS place FROM ($restricted) p ($names)) q)
		SELECT (SELECT count(*) FROM given), (SELECT count(*) FROM wanted),
			(SELECT count(*) FROM ((TABLE given EXCEPT ALL TABLE wanted) UNION ALL (TABLE wanted EXCEPT ALL TABLE given)) d),
			(SELECT bool_and(batch >= before) FROM (SELECT batch, lag(batch) OVER (ORDER BY place) AS before FROM ROWS FROM (
				batchagg.each_batch(\$q\$$whole\$q\$, batch_size => $size, workers => $workers, driving_table => '$name')
				AS (batch bigint, $types)) WITH ORDINALITY AS e (batch, $names, place)) o WHERE before IS NOT NULL)
	};
}

my ($compared, $nonempty) = (0, 0);
for my $t (1 .. $tables)
{
	my $name = "t$t";
	my @made = make_table($name);
	$node->safe_psql('postgres', "SELECT setseed(" . sprintf('%.6f', rand) . ");\n" . join "\n", @made);
	my $rows = $node->safe_psql('postgres', "SELECT count(*) FROM $name");
	my $wrong = 0;

	my @sizes = (pick(7, 10, 33), pick(100, 250), $rows > 1 ? $rows - 1 : 1, $rows || 1, $rows + 5);
	unshift @sizes, 1 if $rows <= 300;
	for my $size (@sizes)
	{
		my $result = $node->safe_psql('postgres', qq{
			WITH b AS MATERIALIZED (
				SELECT * FROM batchagg.split_batches('$name', $size) WITH ORDINALITY AS s (relation, batch, first_tid, last_tid, row_count, n)),
			hits AS MATERIALIZED (
				SELECT t.tableoid, t.ctid, count(b.batch) AS times, min(b.batch) AS batch FROM $name t
				LEFT JOIN b ON b.relation = t.tableoid AND t.ctid BETWEEN b.first_tid AND b.last_tid GROUP BY 1, 2),
			counted AS MATERIALIZED (SELECT batch, count(*) AS visible FROM hits GROUP BY batch),
			placed AS MATERIALIZED (
				SELECT b.*, visible, lag(last_tid) OVER leaf AS last_before,
					lead(batch) OVER leaf IS NULL AS last_of_leaf, lag(relation) OVER (ORDER BY n) AS relation_before
				FROM b LEFT JOIN counted USING (batch) WINDOW leaf AS (PARTITION BY relation ORDER BY n))
			SELECT
				(SELECT count(*) FROM hits WHERE times <> 1),
				count(*) FILTER (WHERE row_count IS DISTINCT FROM visible),
				coalesce(sum(row_count), 0) - $rows,
				count(*) FILTER (WHERE row_count <> $size AND NOT (last_of_leaf AND row_count BETWEEN 1 AND $size)),
				count(*) FILTER (WHERE batch <> n OR first_tid <= last_before OR first_tid > last_tid),
				count(*) FILTER (WHERE relation <> relation_before) + least(count(*), 1) - count(DISTINCT relation)
			FROM placed
		});
		next if $result eq '0|0|0|0|0|0';
		$wrong++;
		diag("$name in batches of $size: not in one|miscounted|surplus|wrong size|disordered|leaves mixed = $result");
	}
	is($wrong, 0, "$name: $rows rows, each in one batch");
	diag(join "\n", @made) if $wrong;

	$wrong = 0;
	for my $q (1 .. 6)
	{
		my ($query, $types, $ordered) = random_query();
		my $size = pick(@sizes[ 1 .. $#sizes ]);
		my $workers = pick(0, 1, 2);
		my ($rc, $out, $err) = $node->psql('postgres', compare($name, $query, $types, $ordered, $size, $workers));
		$compared++;
		my @counts = split /\|/, $out // '';
		$nonempty++ if $counts[1];
		if ($err ne '' || $counts[2] != 0 || $counts[0] != $counts[1] || ($counts[3] // '') eq 'f')
		{
			$wrong++;
			diag("each_batch over $name, size $size, $workers workers: $query\ngiven|wanted|differing|in order = $out $err");
		}

		# the whole, by all_batches
		my $plain = $query =~ s/%T/$name/r;
		my $names = join ', ', map { /^\s*(\w+)/ } split /,/, $types;
		my $place = $ordered ? 'place' : 'NULL';
		($rc, $out, $err) = $node->psql('postgres', qq{
			WITH given AS MATERIALIZED (SELECT $place AS place, ($names)::text AS r FROM ROWS FROM (
					batchagg.all_batches(\$q\$$plain\$q\$, batch_size => $size, workers => $workers) AS ($types)) WITH ORDINALITY AS e ($names, place)),
			wanted AS MATERIALIZED (SELECT $place AS place, ($names)::text AS r FROM (SELECT *, row_number() OVER () FROM ($plain) p) q ($names, place))
			SELECT count(*) FROM ((TABLE given EXCEPT ALL TABLE wanted) UNION ALL (TABLE wanted EXCEPT ALL TABLE given)) d});
		if ($err ne '' || $out ne '0')
		{
			$wrong++;
			diag("all_batches over $name, size $size, $workers workers: $plain\ndiffering rows: $out $err");
		}
	}
	is($wrong, 0, "$name: random queries");
	diag(join "\n", @made) if $wrong;
}
cmp_ok($nonempty, '>', $compared / 2, 'most queries give rows');

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|terminated by signal|XX000/, 'nothing crashed');
$node->stop;
done_testing();
