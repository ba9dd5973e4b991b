# The engine against core: random tables, random queries, each run by core and
# by the engine: serial, serial with little memory, and by parallel workers.
#
# Answers are compared as sorted rows. They have to be the same to the last
# character, floats included, wherever the engine adds in core's order: serial, one heap, no
# flush of groups. Elsewhere sums of floats that depend on the order may differ by
# 1e-12 of their size, and queries whose answer is arbitrary by nature are left
# out. If one side raises an error, the other does, with the same SQLSTATE;
# where several rows are wrong in different ways, it is left open which of them is met
# first.
#
# All statements of one table go to one psql, as a script; RandomQueries.pm makes them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use RandomQueries;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = seed_of_run();
my $tables = $ENV{BATCHAGG_TABLES} // 64;
my $queries = $ENV{BATCHAGG_QUERIES} // 80;

# ------------------------------------------------------------------ comparing

# What stands between two columns, and for a null
my ($separator, $null) = ("\x1f", '~');

sub near
{
	my ($a, $b) = @_;
	return 1 if $a eq $b;
	return 0 if grep { !/^-?\d+(?:\.\d+)?(?:e[-+]?\d+)?$/ } $a, $b;
	return abs($a - $b) <= max(1e-12 * max(abs $a, abs $b), 1e-9);
}

# Why two answers, { state, rows }, are not the same; '' where they are. $fuzzy has
# a flag for each column in which near is near enough.
sub difference
{
	my ($want, $got, $fuzzy) = @_;
	if ($want->{state} ne $got->{state})
	{
		# 0A000: NaN to an integer
		return '' if $want->{state} =~ /^(?:22|0A)/ && $got->{state} =~ /^(?:22|0A)/;
		return "SQLSTATE $want->{state} by core, $got->{state} by the engine";
	}
	return '' if $want->{state} ne '00000';
	my @want = sort @{ $want->{rows} };
	my @got = sort @{ $got->{rows} };
	return @want . ' rows by core, ' . @got . ' by the engine' if @want != @got;
	for my $r (0 .. $#want)
	{
		next if $want[$r] eq $got[$r];
		my @a = split /$separator/, $want[$r], -1;
		my @b = split /$separator/, $got[$r], -1;
		next if @a == @b && !grep { !($a[$_] eq $b[$_] || $fuzzy->[$_] && near($a[$_], $b[$_])) } 0 .. $#a;
		return "core\t" . join(' | ', @a) . "\nengine\t" . join(' | ', @b);
	}
	return '';
}

# The judge has to be able to find fault.
{
	my $answer = sub { my ($state, @rows) = @_; return { state => $state, rows => [ map { join $separator, @$_ } @rows ] } };
	my $core = $answer->('00000', [ 1, '0.1' ], [ 2, 'NaN' ]);
	is(difference($core, $answer->('00000', [ 2, 'NaN' ], [ 1, '0.1' ]), []), '', 'the order of rows is nothing');
	isnt(difference($core, $answer->('00000', [ 2, 'NaN' ], [ 1, '0.10' ]), []), '', 'a digit is');
	isnt(difference($core, $answer->('00000', [ 1, '0.1' ], [ 2, $null ]), [ 0, 1 ]), '', 'so is a null');
	isnt(difference($core, $answer->('00000', [ 1, '0.1' ]), []), '', 'and a row that is not there');
	isnt(difference($core, $answer->('00000', [ 1, '0.1' ], [ 2, 'NaN' ], [ 2, 'NaN' ]), []), '', 'or is there twice');
	isnt(difference($core, $answer->('22012'), []), '', 'and an error');
	isnt(difference($answer->('22012'), $answer->('XX000'), []), '', 'or another one');
	is(difference($core, $answer->('00000', [ 1, '0.10000000000000001' ], [ 2, 'NaN' ]), [ 0, 1 ]), '', 'the last bit of a float may be left open');
	isnt(difference($core, $answer->('00000', [ 1, '0.1000001' ], [ 2, 'NaN' ]), [ 0, 1 ]), '', 'not more');
}

# ------------------------------------------------------------------ the script

# The ways of running a query. Core hashes, so that it adds in the order of the heap; its
# answers are what the others are compared with.
my %ways = (
	core => 'SET batchagg.enabled = off; SET enable_sort = off; SET enable_indexscan = off; SET enable_bitmapscan = off; '
	  . 'SET enable_indexonlyscan = off; SET enable_partitionwise_aggregate = off; SET synchronize_seqscans = off; '
	  . "SET max_parallel_workers_per_gather = 0; SET work_mem = '64MB';",
	engine => 'SET batchagg.enabled = on; SET batchagg.debug_force_engine = on;',
	small  => q(SET work_mem = '64kB'; SET hash_mem_multiplier = 1;),
	parallel => q(SET work_mem = '4MB'; SET max_parallel_workers_per_gather = 2; RESET enable_sort; RESET enable_indexscan;)
	  . ' RESET enable_bitmapscan; RESET enable_indexonlyscan; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; '
	  . 'SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0;');
my @ways = qw(core engine small parallel);

# The statements that run a query, its answer between two marks.
sub statements
{
	my ($table, $q, $number, $way) = @_;
	my $query = $way eq 'core' ? $q->{reference} : $q->{sql};
	my ($sql, $explain) = ("$query;", "EXPLAIN (COSTS OFF) $query;");
	my ($before, $after, $last) = ('', '', '');
	if ($q->{form} eq 'prepared')
	{
		my $types = @{ $q->{types} } ? '(' . join(', ', @{ $q->{types} }) . ')' : '';
		my $execute = 'EXECUTE p' . (@{ $q->{values} } ? '(' . join(', ', @{ $q->{values} }) . ')' : '') . ';';
		$before = "SET plan_cache_mode = $q->{plans}; PREPARE p$types AS $query;";
		$last = 'DEALLOCATE p;';
		($sql, $explain) = ($execute, "EXPLAIN (COSTS OFF) $execute");
	}
	elsif ($q->{form} eq 'cursor')
	{
		# what follows an error only says that the portal has failed
		$sql = ($table->{begin}[0] ? '' : 'BEGIN; ') . "DECLARE c $q->{plans}CURSOR FOR $query; FETCH 3 FROM c;\n\\if :ERROR\n\\else\n"
		  . ($q->{plans} eq 'SCROLL ' ? 'MOVE BACKWARD ALL IN c; MOVE 3 FROM c; ' : '') . "FETCH ALL FROM c;\n\\endif";
		$after = $table->{begin}[0] ? 'CLOSE c;' : 'COMMIT;';
	}
	my $mark = "\n\\echo ${separator}$number $way";
	return "$before$mark answer\n$sql$mark end :SQLSTATE\n$after"
	  . ($way eq 'core' || $way eq 'small' ? '' : "$mark plan\n$explain$mark end\n") . "$last\n";
}

# Runs a table's queries every way; { number => { way => { state, rows, plan } } }.
sub run_script
{
	my ($node, $table, @queries) = @_;
	my $script = "\\set VERBOSITY sqlstate\n\\set ON_ERROR_ROLLBACK on\n\\set ON_ERROR_STOP off\n\\pset null '$null'\n"
	  . "SET TimeZone = '$table->{zone}'; SET jit = off; SET client_min_messages = error;\n"
	  . "SELECT setseed(0.5);\n" . join("\n", @{ $table->{begin} }) . "\n";
	for my $way (@ways)
	{
		$script .= "$ways{$way}\n";
		for my $n (0 .. $#queries)
		{
			my $q = $queries[$n];
			next unless grep { $_ eq $way } @{ $q->{ways} };
			$script .= statements($table, $q, $n, $way);
		}
	}
	my ($out, $err) = ('', '');
	IPC::Run::run(
		[ 'psql', '-XAtq', '-F', $separator, '-d', $node->connstr('postgres'), '-f', '-' ],
		'<', \$script, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default * 2));
	my (%answers, $into);
	for my $line (split /\n/, $out)
	{
		if ($line =~ /^$separator(\d+) (\w+) (\w+) ?(\w*)$/)
		{
			my ($n, $way, $what, $state) = ($1, $2, $3, $4);
			if ($what eq 'end')
			{
				$answers{$n}{$way}{state} = $state if $state ne '';
				undef $into;
			}
			else { $into = $answers{$n}{$way}{ $what eq 'plan' ? 'plan' : 'rows' } = [] }
		}
		elsif ($into) { push @$into, $line }
	}
	return (\%answers, $err);
}

# ---------------------------------------------------------------- the whole run

my $node = new_server(
	'oracle', q{
autovacuum = off
max_worker_processes = 8
max_parallel_workers = 8
max_prepared_transactions = 100
lock_timeout = 10s
session_preload_libraries = 'batchagg'
});
$node->safe_psql('postgres', q{
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE DOMAIN small AS int CHECK (VALUE < 100);
	CREATE TABLE dim AS SELECT v FROM generate_series(0, 5) v;
});

my %count = map { $_ => 0 } qw(queries compared errors engine parallel rows);
my %seen;
my $failures = 0;
for my $t (1 .. $tables)
{
	my $table = random_table("t$t");
	my $made = join "\n", sprintf('SELECT setseed(%.6f);', rand), "SET TimeZone = '$table->{zone}';", @{ $table->{sql} };
	$node->safe_psql('postgres', $made);

	my @queries;
	for (1 .. $queries)
	{
		my $q = random_query($table);
		$q->{plans} = pick('force_generic_plan', 'force_generic_plan', 'force_custom_plan') if $q->{form} eq 'prepared';
		$q->{plans} = pick('', 'SCROLL ', 'NO SCROLL ') if $q->{form} eq 'cursor';
		# several heaps are added up one by one, workers and flushes cut a heap in pieces
		$q->{ways} = [ 'core', 'engine' ];
		push @{ $q->{ways} }, 'small' if rand() < 0.4 && !$q->{order};
		push @{ $q->{ways} }, 'parallel' if rand() < 0.4 && !$q->{order} && $q->{form} ne 'cursor';
		push @queries, $q unless $table->{heaps} && $q->{order};
	}
	my ($answers, $err) = run_script($node, $table, @queries);
	my $wrong = 0;
	for my $n (0 .. $#queries)
	{
		my $q = $queries[$n];
		my $core = $answers->{$n}{core};
		if (!defined $core || !defined $core->{state})
		{
			diag("no answer by core; seed $seed\n$q->{sql}\n$err");
			$wrong++;
			last;
		}
		$count{queries}++;
		$count{rows}++ if @{ $core->{rows} };
		$count{errors}++ if $core->{state} ne '00000';
		diag("not a query: $core->{state} $q->{sql}") if $core->{state} =~ /^42/;
		for my $way (grep { $_ ne 'core' } @{ $q->{ways} })
		{
			my $got = $answers->{$n}{$way};
			$got->{state} //= 'lost';
			my $plan = join "\n", @{ $got->{plan} // [] };
			my $in_order = $way eq 'engine' && !$table->{heaps} && $plan =~ /BatchAgg/;
			next if $q->{order} && !$in_order;
			# behind LIMIT, nobody has to get as far as the group that is an error
			next if $q->{shape} eq 'limited' && $core->{state} ne $got->{state};
			my $why = difference($core, $got, $in_order ? [] : $q->{fuzzy});
			$count{compared}++;
			$count{engine}++ if $way eq 'engine' && $plan =~ /Batch(?:Agg|Scan)/;
			$count{parallel}++ if $way eq 'parallel' && $plan =~ /Gather.*BatchAgg/s;
			if ($way eq 'engine' && $plan =~ /Batch(?:Agg|Scan)/)
			{
				$seen{$_}++ for $q->{sql} =~ /\b(sum|avg|min|max|count|variance|var_pop|stddev|stddev_pop|bool_and|bool_or|every|exact_sum|stats_agg)\(/g;
				$seen{$_}++ for "form $q->{form}", "shape $q->{shape}", ($q->{sql} =~ /FILTER/ ? 'filter' : ());
			}
			next if $why eq '';
			$wrong++;
			next if $wrong > 3;
			my $text = join ' ', map { "\$$_=" . $q->{values}[ $_ - 1 ] } 1 .. @{ $q->{values} };
			diag("$way, seed $seed, table $table->{name}, $q->{form} " . ($q->{plans} // '') . "\n$q->{sql}\n$text\n$why\n$plan");
		}
		last if $wrong && !defined $answers->{$n}{engine}{rows};
	}
	is($wrong, 0, "$table->{name}: " . @queries . ' queries');
	diag(join "\n", 'the table was made by', $made, @{ $table->{begin} }) if $wrong;
	last if ++$failures > 5 && $wrong;
	$failures-- if !$wrong;
}

note(join ', ', map { "$count{$_} $_" } sort keys %count);
note(join ', ', map { "$_ $seen{$_}" } sort keys %seen);
cmp_ok($count{rows}, '>', $count{queries} * 0.6, 'most queries give rows');
cmp_ok($count{errors}, '<', $count{queries} * 0.2, 'few give errors');
cmp_ok($count{errors}, '>', 0, 'but some do');
cmp_ok($count{engine}, '>', $count{queries} * 0.6, 'most run in the engine');
cmp_ok($count{parallel}, '>', $count{queries} * 0.1, 'many run in workers');
ok($seen{$_}, "the engine ran $_")
  for qw(sum avg min max count variance var_pop stddev stddev_pop bool_and bool_or every exact_sum stats_agg filter),
  'form plain', 'form prepared', 'form cursor', map { "shape $_" } qw(rows lateral correlated scalar initplan cte union join above pruned);

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|terminated by signal|XX000/, 'nothing crashed');
unlike(slurp_file($node->logfile), qr/WARNING:.*(?:leak|reference|snapshot|not closed)/, 'no leak was warned of');
$node->stop;
done_testing();
