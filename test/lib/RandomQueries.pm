# Random tables and random aggregate queries over them, for comparing the engine
# with core.
#
# A table has a random subset of the columns below and a history of inserts,
# updates, deletes, rolled back and prepared transactions, dropped and added
# columns.  A query is built from typed expressions: expression('int') is SQL
# text of some integer type, made of columns, constants and operations.
#
# What a query may be held to is told with it.  Most answers are the same whatever
# the order of the rows; some are not: sums of floats are rounded, and of equal
# numerics of different scale (1.0, 1.00) one stands for its group.  A query that has
# any such thing is marked "order" (comparable where core's order is kept), unless
# it was asked for without; a float result that stays near is in "fuzzy".
package RandomQueries;

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(pick random_table random_query);

sub pick { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }

# --------------------------------------------------------------------- columns

# name => [ type, an ordinary value, strange values ]
my %columns = (
	k  => [ 'int',       'floor(random() * %CARD)::int',         [ 0, 1 ] ],
	i2 => [ 'int2',      'floor(random() * 200 - 100)::int2',    [ -32768, 32767, 0 ] ],
	i4 => [ 'int',       'floor(random() * 2000 - 1000)::int',   [ -2147483648, 2147483647, 0 ] ],
	i8 => [ 'int8',      'floor((random() - 0.5) * 1e12)::int8', [ '-9223372036854775808', '9223372036854775807', 0 ] ],
	# a domain, and sums that are exact in any order
	dm => [ 'small',     'floor(random() * 9)::int', [ 0, 99 ] ],
	f4 => [ 'float4',    '(floor(random() * 2000 - 1000) / 4)::float4', [ 0, -0.25 ] ],
	f8 => [ 'float8',    'floor(random() * 1e6 - 5e5) / 8',             [ 0, 0.125 ] ],
	# and floats of any size
	x4 => [ 'float4', '((random() - 0.5) * 10 ^ floor(random() * 40 - 20))::float4',
		[qw(NaN Infinity -Infinity 3e38 -3e38 1e-45 0 -0)] ],
	x8 => [ 'float8', '(random() - 0.5) * 10 ^ floor(random() * 200 - 100)',
		[qw(NaN Infinity -Infinity 1.7e308 -1.7e308 5e-324 0 -0)] ],
	n2 => [ 'numeric(10,2)', '(random() * 2000 - 1000)::numeric(10,2)', [qw(0 99999999.99 -99999999.99 NaN)] ],
	nn => [ 'numeric',       '(random() * 1000)::numeric(20,%SCALE)',
		[qw(NaN Infinity -Infinity 0 0.000 1e-40 1e40 123456789012345678901234.5678 -99999999999999999999 1.10 1.1)] ],
	m  => [ 'money', '((random() * 2000 - 1000)::numeric(10,2))::money', [qw(0 10000000.01)] ],
	b  => [ 'bool',  'random() < 0.5', [qw(true false)] ],
	d  => [ 'date',  "date '1999-06-01' + floor(random() * 800)::int",
		[qw(infinity -infinity 4713-01-01BC 5874897-12-31 2000-02-29 1900-03-01)] ],
	ts => [ 'timestamp', "timestamp '1999-06-01' + random() * interval '800 days'",
		[qw(infinity -infinity 4713-01-01BC 1999-12-31T23:59:59.999999 2000-01-01 1900-03-01T12:00:00.5)] ],
	tz => [ 'timestamptz', "timestamptz '1999-06-01' + random() * interval '800 days'",
		[qw(infinity -infinity 2000-03-26T02:30:00 1999-10-31T02:30:00 1900-03-01T12:00:00.5)] ],
	tm => [ 'time',     "time '00:00' + random() * interval '1 day'",           [qw(00:00 24:00)] ],
	iv => [ 'interval', "floor(random() * 5) * interval '12 hours 1 day'",      [ '1 mon', '30 days', '-1 year' ] ],
	t  => [ 'text', "(ARRAY['a', 'abc', 'Abc', 'b', 'abd', 'zürich', 'a%b', 'a_b', 'ab\\c', '1999'])[1 + floor(random() * 10)]",
		[ '', ' ', 'a ', 'ß', '日本語', 'x' x 300 ] ],
	vc => [ 'varchar(20)', "substr(md5(floor(random() * %CARD)::text), 1, 1 + floor(random() * 5)::int)", [ '', 'a', 'a ' ] ],
	ch => [ 'char(10)',    "substr(md5(floor(random() * %CARD)::text), 1, floor(random() * 4)::int)",     [ '', 'a', ' b' ] ],
	u  => [ 'uuid',        'md5(floor(random() * %CARD)::text)::uuid', ['00000000-0000-0000-0000-000000000000'] ],
	e  => [ 'mood',        "(ARRAY['sad', 'ok', 'happy'])[1 + floor(random() * 3)]::mood", ['ok'] ],
	by => [ 'bytea',       "decode(md5(floor(random() * 5)::text), 'hex')", [ '', '\\x00' ] ],
	# compressed in line, and out of line
	lc => [ 'text', "repeat('compress me ' || floor(random() * 4), 400)", ['short'] ],
	lo => [ 'text', "(SELECT string_agg(md5((n + g)::text), '') FROM generate_series(1, 120) g)", ['short'] ]);
my @long = qw(lc lo);

# Columns by what may be done with them.
my %of = (
	int       => [qw(k i2 i4 i8 dm)],
	float     => [qw(f4 f8)],
	wild      => [qw(x4 x8)],
	numeric   => [qw(n2 nn)],
	text      => [qw(t vc)],
	date      => [qw(d)],
	timestamp => [qw(ts)],
	tz        => [qw(tz)],
	bool      => [qw(b)]);

# ---------------------------------------------------------------------- tables

sub value_of
{
	my ($column, $table) = @_;
	my ($type, $usual, $strange) = @{ $columns{$column} };
	my $nulls = $table->{nulls}{$column};
	my $odd = $table->{odd}{$column};
	$usual =~ s/%CARD/$table->{cardinality}/g;
	$usual =~ s/%SCALE/pick(0, 2, 2, 5)/ge;
	return 'NULL' if $nulls == 1;
	my @literals = map { "'" . s/'/''/gr . "'" } @$strange;
	my $value = $odd ? "CASE WHEN random() < $odd THEN (ARRAY[" . join(', ', @literals) . "]::$type\[])[1 + floor(random() * " . @$strange . ")] ELSE $usual END" : $usual;
	return $nulls ? "CASE WHEN random() >= $nulls THEN $value END" : $value;
}

# A table: its name, its columns, the statements that make it, statements that
# the session of the queries begins with (an open transaction), and whether it
# has several heaps.
sub random_table
{
	my ($name) = @_;
	my $rows = pick(0, 1, 10, 100, 500, 1000, 1023, 1024, 1025, 3000, 3000, 6000);
	my %table = (name => $name, rows => $rows, cardinality => pick(1, 3, 10, 10, 100, 1000, 100000));
	my @names = ('k', grep { chance($columns{$_}[0] =~ /int|num|float/ ? 0.75 : 0.55) } grep { $_ ne 'k' } sort keys %columns);
	@names = grep { my $n = $_; !grep { $n eq $_ } @long } @names if $rows > 1100;
	@names = sort { rand() <=> 0.5 } @names;
	my %shuffled = map { $_ => rand } @names;
	@names = sort { $shuffled{$a} <=> $shuffled{$b} } @names;
	# fixed-width columns in front, as tables often are
	@names = ((grep { $columns{$_}[0] =~ /^(?:int|float|date|timestamp)/ } @names), (grep { $columns{$_}[0] !~ /^(?:int|float|date|timestamp)/ } @names))
	  if chance(0.5);
	$table{columns} = \@names;
	$table{nulls}{$_} = pick(0, 0, 0, 0.05, 0.5, chance(0.2) ? 1 : 0) for @names;
	$table{odd}{$_} = pick(0, 0, 0, 0, 0.01, 0.3) for @names;

	my $collation = pick('', '', ' COLLATE "C"', ' COLLATE "und-x-icu"');
	my @definitions = map { "$_ $columns{$_}[0]" . ($_ eq 't' ? $collation : '') . ($table{nulls}{$_} ? '' : pick('', ' NOT NULL')) } @names;
	# the key of partitions has to be there from the start
	my $late = $names[-1] ne 'k' && chance(0.5) ? pop @names : undef;
	pop @definitions if defined $late;
	my $gone = int rand(@definitions + 1);
	splice @definitions, $gone, 0, pick('gone int', 'gone text', 'gone float8');

	my $insert = sub {
		my ($count, @which) = @_;
		return "INSERT INTO $name (" . join(', ', @which) . ') SELECT ' . join(', ', map { value_of($_, \%table) } @which)
		  . " FROM generate_series(1, $count) n;";
	};
	my @sql;
	my $kind = pick('plain', 'plain', 'plain', 'unlogged', 'partitioned', 'inherited', 'matview');
	my $body = join(', ', @definitions);
	if ($kind eq 'partitioned')
	{
		push @sql, "CREATE TABLE $name ($body) PARTITION BY RANGE (k);";
		push @sql, "CREATE TABLE ${name}_a PARTITION OF $name FOR VALUES FROM (MINVALUE) TO (1);";
		push @sql, "CREATE TABLE ${name}_b PARTITION OF $name FOR VALUES FROM (1) TO (5) PARTITION BY LIST (k);";
		push @sql, "CREATE TABLE ${name}_b1 PARTITION OF ${name}_b FOR VALUES IN (1, 2);";
		push @sql, "CREATE TABLE ${name}_b2 PARTITION OF ${name}_b DEFAULT;";
		# attached, its columns in another order and one of them dropped
		push @sql, "CREATE TABLE ${name}_c (lost text, " . join(', ', reverse @definitions) . ');';
		push @sql, "ALTER TABLE ${name}_c DROP lost;";
		push @sql, "ALTER TABLE $name ATTACH PARTITION ${name}_c DEFAULT;";
	}
	elsif ($kind eq 'inherited')
	{
		push @sql, "CREATE TABLE $name ($body);";
		push @sql, "CREATE TABLE ${name}_child (more int DEFAULT 5) INHERITS ($name);";
		push @sql, $insert->($rows, @names) =~ s/INSERT INTO $name/INSERT INTO ${name}_child/r;
	}
	else
	{
		push @sql, 'CREATE ' . ($kind eq 'unlogged' ? 'UNLOGGED ' : '') . "TABLE $name ($body)" . pick('', '', ' WITH (fillfactor = 40)') . ';';
	}
	$table{heaps} = $kind =~ /partitioned|inherited/;

	push @sql, $insert->(int($rows / 2), @names);
	push @sql, "ALTER TABLE $name DROP gone;" if chance(0.7);
	if (defined $late)
	{
		my $default = chance(0.7) ? " DEFAULT '" . pick(@{ $columns{$late}[2] }) =~ s/'/''/gr . "'" : '';
		push @sql, "ALTER TABLE $name ADD $late $columns{$late}[0]$default;";
		push @names, $late;
	}
	push @sql, $insert->($rows - int($rows / 2), @names);
	push @sql, 'BEGIN; ' . $insert->(pick(1, 50), @names) . ' ROLLBACK;' if chance(0.5);
	push @sql, "DELETE FROM $name WHERE random() < " . pick(0.05, 0.3, 0.95) . ';' if chance(0.4);
	push @sql, "VACUUM $name;" if chance(0.3);
	my $changed = pick(grep { $_ ne 'k' } @names) // 'k';
	push @sql, "UPDATE $name SET $changed = " . value_of($changed, \%table) . ' FROM (VALUES (1)) v (n) WHERE random() < ' . pick(0.1, 0.5) . ';' for 1 .. pick(0, 0, 1, 3);
	push @sql, "BEGIN; UPDATE $name SET k = k; DELETE FROM $name; ROLLBACK;" if chance(0.3);
	push @sql, 'VACUUM ' . pick('', '(FREEZE) ') . "$name;" if chance(0.4);
	push @sql, "CREATE INDEX ON $name (k);" if chance(0.3);
	if ($kind eq 'matview')
	{
		push @sql, "CREATE MATERIALIZED VIEW ${name}_view AS SELECT * FROM $name;";
		$table{name} = $name = "${name}_view";
	}
	push @sql, "ANALYZE $name;" if chance(0.7);
	# a transaction of somebody else that stays open
	my $open = $kind ne 'matview' && chance(0.3);
	push @sql, "BEGIN; UPDATE $name SET k = k WHERE random() < 0.2; DELETE FROM $name WHERE random() < 0.1; " . $insert->(20, @names) . " PREPARE TRANSACTION 'open $name';"
	  if $open;
	$table{sql} = \@sql;

	$table{begin} = [];
	if ($kind ne 'matview' && chance(0.3))
	{
		push @{ $table{begin} }, 'BEGIN ISOLATION LEVEL ' . pick('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE') . ';',
		  $insert->(pick(1, 100), @names), 'SAVEPOINT a;', $insert->(10, @names), $open ? () : "DELETE FROM $name;", 'ROLLBACK TO a;';
	}
	$table{zone} = pick('UTC', 'Europe/Berlin', 'America/St_Johns');
	return \%table;
}

# ----------------------------------------------------------------- expressions

# The query being made: the table's columns, parameters so far, marks.
my ($table, $query);

sub has { return grep { $_ eq $_[0] } @{ $table->{columns} } }

# A column of a class, the class's spare constant where the table has none.
sub column
{
	my ($class) = @_;
	my @there = grep { has($_) } @{ $of{$class} };
	@there = grep { $_ ne 'nn' } @there if $query->{strict};
	return @there ? pick(@there) : undef;
}

# A constant, or a parameter in its place.
sub constant
{
	my ($type, $value) = @_;
	my $literal = "'" . $value =~ s/'/''/gr . "'";
	if ($query->{prepared} && chance(0.7))
	{
		push @{ $query->{types} }, $type;
		push @{ $query->{values} }, chance(0.05) ? 'NULL' : $literal;
		return '$' . @{ $query->{types} };
	}
	return $type eq 'int' && $value >= 0 && chance(0.8) ? $value : "${literal}::$type";
}

my %constants = (
	int       => sub { constant(pick('int', 'int', 'int2', 'int8'), pick(0, 1, 2, 3, 5, 10, 50, 100, 1000, -1, -50)) },
	float     => sub { constant(pick('float8', 'float8', 'float4'), pick(0, 1, 2, 0.5, -100, 1000)) },
	wild      => sub { constant('float8', pick(0, 1, 'NaN', 'Infinity', 1e10)) },
	numeric   => sub { constant('numeric', pick('0', '1', '0.5', '10.00', '100', '-3.25', '0.1')) },
	text      => sub { constant('text', pick('a', 'abc', 'abd', '', 'b', '1999', '5')) },
	date      => sub { constant('date', pick('2000-01-01', '1999-12-31', '2001-02-03')) },
	timestamp => sub { constant('timestamp', pick('2000-01-01', '1999-12-31 12:00', '2001-02-03 04:05:06.789')) },
	tz        => sub { constant('timestamptz', pick('2000-01-01', '1999-12-31 12:00', '2001-02-03 04:05:06.789')) },
	bool      => sub { constant('bool', pick('true', 'false')) });

sub leaf
{
	my ($class) = @_;
	my $column = chance(0.85) ? column($class) : undef;
	return defined $column ? "%A$column" : $constants{$class}->();
}

my @units = qw(year quarter month week day hour minute second);

# SQL text of an expression of class $class.
sub expression
{
	my ($class, $depth) = @_;
	return leaf($class) if $depth <= 0 || chance(0.4);
	$depth--;
	my $e = sub { expression(pick(@_), $depth) };
	# what any type may have
	return pick(
		sub { 'CASE WHEN ' . condition($depth) . ' THEN ' . $e->($class) . pick('', ' ELSE ' . $e->($class)) . ' END' },
		sub { 'COALESCE(' . $e->($class) . ', ' . $e->($class) . ')' },
		sub { pick('NULLIF', 'GREATEST', 'LEAST') . '(' . leaf($class) . ', ' . leaf($class) . ')' })->()
	  if chance(0.15);
	my $text = {
		int => sub {
			pick(
				sub { '(' . $e->('int') . pick(' + ', ' - ', ' * ') . $e->('int') . ')' },
				sub { '(' . $e->('int') . pick(' / ', ' % ') . constant('int', pick(2, 3, 7, 100)) . ')' },
				sub { '(' . leaf('int') . pick(' / ', ' % ') . leaf('int') . ')' },
				sub { pick('(- ', 'abs(') . $e->('int') . ')' },
				sub { '(' . leaf(pick('float', 'numeric', 'int')) . ')::int' . pick('', '8', '2') },
				sub { 'extract(' . pick('year', 'month', 'day', 'dow', 'doy', 'week', 'quarter') . ' FROM ' . leaf(pick('date', 'timestamp', 'tz')) . ')::int' },
				sub { 'length(' . leaf('text') . ')' },
				sub { '(' . leaf('date') . ' - ' . leaf('date') . ')' })->();
		},
		float => sub {
			pick(
				sub { '(' . $e->('float', 'int') . pick(' + ', ' - ', ' * ') . $e->('float') . ')' },
				sub { '(' . leaf('float') . ' / ' . constant('float8', pick(2, 4, 0.5)) . ')' },
				sub { pick('(- ', 'abs(') . $e->('float') . ')' },
				sub { $query->{order} = 1; '(' . leaf('float') . ' / ' . leaf('float') . ')' },
				sub { '(' . leaf('int') . ')::float8' },
				sub { $query->{order} = 1; '(' . leaf(pick('int', 'numeric')) . ')::float' . pick('4', '8') })->();
		},
		wild => sub { '(' . leaf('wild') . pick(' + ', ' - ', ' * ', ' / ') . leaf('float') . ')' },
		numeric => sub {
			pick(
				sub { '(' . $e->('numeric') . pick(' + ', ' - ', ' * ') . $e->('numeric', 'numeric', 'int') . ')' },
				sub { '(' . constant('int', 1) . pick(' - ', ' + ') . $e->('numeric') . ')' },
				sub { '(' . leaf('numeric') . pick(' / ', ' % ') . constant('numeric', pick('2', '3.00', '0.7')) . ')' },
				sub { pick('(- ', 'abs(', 'round(', 'ceil(', 'floor(') . $e->('numeric') . ')' },
				sub { 'round(' . leaf('numeric') . ', ' . pick(0, 1, 3) . ')' },
				sub { '(' . leaf('int') . ')::numeric' . pick('', '(20,3)') },
				sub {
					my $class = pick('date', 'timestamp', 'tz');
					my @fields = $class eq 'date' ? qw(year month week day dow isodow epoch) : (@units, 'epoch', 'milliseconds');
					return 'extract(' . pick(@fields) . ' FROM ' . leaf($class) . ')';
				})->();
		},
		text => sub {
			pick(
				sub { pick('upper', 'lower', 'reverse', 'btrim') . '(' . $e->('text') . ')' },
				sub { 'substr(' . leaf('text') . ', 1, ' . pick(1, 2) . ')' },
				sub { '(' . leaf('text') . ' || ' . leaf('text') . ')' },
				sub { '(' . leaf(pick('int', 'bool')) . ')::text' })->();
		},
		date => sub {
			pick(
				sub { '(' . leaf('date') . pick(' + ', ' - ') . constant('int', pick(1, 30, 365)) . ')' },
				sub { '(' . leaf('timestamp') . ')::date' },
				sub { '(' . leaf('tz') . ')::date' })->();
		},
		timestamp => sub {
			pick(
				sub { "date_trunc('" . pick(@units) . "', " . $e->('timestamp') . ')' },
				sub { '(' . leaf('timestamp') . pick(' + ', ' - ') . "interval '" . pick('1 day', '3 hours', '1 month', '-90 minutes') . "')" },
				sub { '(' . leaf('date') . ')::timestamp' },
				sub { '(' . leaf('tz') . " AT TIME ZONE 'Europe/Berlin')" })->();
		},
		tz => sub {
			pick(
				sub { "date_trunc('" . pick(@units) . "', " . $e->('tz') . ')' },
				sub { "date_trunc('day', " . leaf('tz') . ", 'Asia/Kathmandu')" },
				sub { '(' . leaf('tz') . pick(' + ', ' - ') . "interval '" . pick('1 day', '3 hours', '1 month') . "')" },
				sub { '(' . leaf(pick('date', 'timestamp')) . ')::timestamptz' })->();
		},
		bool => sub { '(' . condition($depth) . ')' },
	}->{$class}->();
	# sums of what is not an exact float, or a very large one
	$query->{order} = 1 if $class eq 'float' && $text =~ /%A(?:i8|n2|nn)/;
	return $text;
}

# A condition, to stand anywhere as an operand of AND.
sub condition
{
	my ($depth) = @_;
	my $op = pick('=', '=', '<>', '<', '<=', '>', '>=', 'IS DISTINCT FROM', 'IS NOT DISTINCT FROM');
	if ($depth > 0 && chance(0.3))
	{
		$depth--;
		return pick(
			sub { '(' . condition($depth) . pick(' AND ', ' OR ') . condition($depth) . pick('', ' OR ' . condition(0)) . ')' },
			sub { 'NOT (' . condition($depth) . ')' },
			sub { '(' . condition($depth) . ') IS ' . pick('', 'NOT ') . pick('TRUE', 'FALSE', 'UNKNOWN') },
			sub { 'COALESCE(' . condition($depth) . ', ' . pick('true', 'false') . ')' })->();
	}
	my $class = pick('int', 'int', 'int', 'float', 'numeric', 'numeric', 'text', 'text', 'date', 'timestamp', 'tz', 'wild');
	return pick(
		sub { leaf($class) . " $op " . $constants{$class}->() },
		sub { leaf($class) . " $op " . $constants{$class}->() },
		sub { expression($class, $depth) . " $op " . expression($class, $depth) },
		sub { leaf(pick('int', 'float', 'numeric')) . " $op " . leaf(pick('int', 'float', 'numeric')) },
		sub { leaf(pick('date', 'timestamp', 'tz')) . " $op " . leaf(pick('date', 'timestamp', 'tz')) },
		sub { leaf($class) . pick(' ', ' NOT ') . 'BETWEEN ' . pick('', 'SYMMETRIC ') . $constants{$class}->() . ' AND ' . $constants{$class}->() },
		sub { leaf($class) . pick(' ', ' NOT ') . 'IN (' . join(', ', map { $constants{$class}->() } 1 .. pick(1, 2, 3, 12)) . ')' },
		sub { leaf($class) . ' IS ' . pick('', 'NOT ') . 'NULL' },
		sub { leaf('text') . pick(' ', ' NOT ') . pick('LIKE ', 'LIKE ', 'ILIKE ') . constant('text', pick('a%', '%b%', '%c', 'abc', 'a_c', '%\\%%', '', '%', '_', 'Z%', '%a%b%')) },
		sub { pick('', 'NOT ') . leaf('bool') },
		sub {
			my @others = grep { has($_) } qw(u e by iv tm ch m);
			return leaf('int') . " $op " . leaf('int') unless @others;
			my $c = pick(@others);
			return "%A$c $op '" . $columns{$c}[2][0] . "'";
		},
		sub {
			my @others = grep { has($_) } @long;
			return leaf('int') . " $op " . leaf('int') unless @others;
			my $c = pick(@others);
			return pick("%A$c LIKE '%me 2%'", "length(%A$c) > 10", "%A$c > 'd'");
		},
		sub { leaf('int') . " $op ANY ('{1,2,50,NULL}'::int[])" =~ s/IS (NOT )?DISTINCT FROM/=/r },
		sub { 'extract(' . pick('year', 'month', 'dow') . ' FROM ' . leaf(pick('date', 'timestamp', 'tz')) . ') = ' . pick(1, 6, 2000) })->();
}

# ------------------------------------------------------------------- aggregates

# An aggregate: its text and its type's family; marks go to the query.
sub aggregate
{
	my $argument = sub { my ($class) = @_; chance(0.6) ? leaf($class) : expression($class, 2) };
	my $number = sub {
		my ($name, @classes) = @_;
		my $class = pick(@classes);
		# a wild column is summed only where the order of additions is kept
		$class = 'float' if $class eq 'wild' && $query->{strict};
		$query->{order} = 1 if $class eq 'wild';
		push @{ $query->{fuzzy} }, $class =~ /float|wild/ ? 1 : 0;
		return "$name(" . $argument->($class) . ')';
	};
	my $plain = sub { push @{ $query->{fuzzy} }, 0; return $_[0] };
	my $text = pick(
		sub { $plain->('count(*)') },
		sub { $plain->('count(' . $argument->(pick(sort keys %of)) . ')') },
		sub { $number->('sum', 'int', 'int', 'float', 'numeric', 'numeric', 'wild') },
		sub { $number->('sum', 'int', 'int', 'float', 'numeric', 'numeric', 'wild') },
		sub { $number->('avg', 'int', 'int', 'float', 'numeric', 'numeric', 'wild') },
		sub { $number->(pick(qw(variance var_pop stddev stddev_pop)), 'int', 'int', 'float', 'numeric', 'wild') },
		sub {
			my $class = pick('int', 'float', 'numeric', 'date', 'timestamp', 'tz', 'text', 'wild');
			my $text = $argument->($class);
			# 0 and -0
			$query->{order} = 1 if $class eq 'wild' || $class eq 'float' && $text !~ /^%A\w+$/;
			return $plain->(pick('min', 'max') . "($text)");
		},
		sub { $plain->(pick('bool_and', 'bool_or', 'every') . '(' . condition(1) . ')') },
		sub {
			my @others = grep { has($_) } qw(m ch e tm iv lc lo);
			return $plain->('count(*)') unless @others;
			my $c = pick(@others);
			my $name = pick('min', 'max', $c =~ /^(?:m|iv)$/ ? 'sum' : ());
			# of "30 days" and "1 mon" any may be the answer
			if ($c eq 'iv' && $name ne 'sum') { $query->{order} = 1 }
			return $plain->("$name(%A$c)");
		},
		sub { $plain->('batchagg.exact_sum(' . leaf(pick('float', 'wild')) . ')') },
		sub { $plain->('batchagg.stats_agg(' . leaf(pick('int', 'float')) . ')::text') })->();
	# what the engine never does
	if (!$query->{order} && $query->{strict} && chance(0.04))
	{
		$query->{fuzzy}[-1] = 0;
		return pick('count(DISTINCT ' . leaf('int') . ')', 'string_agg(%Ak::text, \',\' ORDER BY %Ak::text)',
			'array_agg(%Ak ORDER BY %Ak DESC)', 'percentile_disc(0.5) WITHIN GROUP (ORDER BY ' . leaf('int') . ')');
	}
	$text =~ s/(\(.*\))(::text)?$/$1 . ' FILTER (WHERE ' . condition(1) . ')' . ($2 \/\/ '')/e if chance(0.2);
	return $text;
}

# A part of a date or a time, as people group by.
sub time_bucket
{
	my $class = pick('date', 'timestamp', 'timestamp', 'tz', 'tz');
	my @others = $class eq 'date' ? qw(week month quarter year) : @units;
	return chance(0.5) ? "date_trunc('" . pick(@others, 'decade', 'century') . "', " . leaf($class) . ')'
	  : 'extract(' . pick(@others, 'dow', 'isoyear', 'doy') . ' FROM ' . leaf($class) . ')';
}

# Keys of a group.
sub key
{
	my @others = grep { has($_) } qw(k i2 dm b e u ch d by tm);
	push @others, grep { has($_) } qw(f4 f8 n2 t vc) if chance(0.5);
	push @others, grep { has($_) } qw(x4 x8 iv lc), $query->{strict} ? () : 'nn' if chance(0.2);
	my $class = pick('int', 'int', 'text', 'date', 'timestamp', 'tz', 'bool', 'float', 'numeric');
	my $text = chance(0.65) ? '%A' . pick(@others) : expression($class, chance(0.7) ? 1 : 2);
	$text = time_bucket() if chance(0.1);
	# equal values that look different; also 1.0 and 1.00 made by arithmetic
	if ($text =~ /x4|x8|f4|f8|iv|nn|n2.*[*\/]|float|numeric|round/) { $query->{order} = $query->{ambiguous} = 1 }
	return $text;
}

# A query over a table, as %table => text to fill in...: returns
#	sql		the statement
#	reference	the same, such that core keeps the order of rows within a group
#	form	plain, prepared or cursor
#	types, values	of a prepared statement's parameters
#	fuzzy	one flag a column: a float that depends on the order of additions
#	order	comparable only where core's order of rows is kept
sub random_query
{
	($table) = @_;
	my $form = pick('plain', 'plain', 'plain', 'prepared', 'prepared', 'cursor');
	$query = { form => $form, prepared => $form eq 'prepared', types => [], values => [], fuzzy => [], strict => chance(0.5) };
	my $where = join ' AND ', map { condition(2) } 1 .. pick(0, 0, 1, 1, 2, 3);
	$where = " WHERE $where" if $where ne '';
	my @keys = map { key() } 1 .. pick(0, 0, 1, 1, 1, 2, 3, 5);
	push @{ $query->{fuzzy} }, (0) x @keys;
	my @aggregates = map { aggregate() } 1 .. pick(1, 1, 2, 3, 6);
	# of extremes alone, core may look for the first row only, and never get to one that is an error
	if (!grep { !/^(?:min|max|bool_and|bool_or|every)\b/ } @aggregates)
	{
		unshift @aggregates, 'count(*)';
		splice @{ $query->{fuzzy} }, scalar @keys, 0, 0;
	}
	# the sum and the average of one thing share their state
	if ($aggregates[0] =~ /^(?:sum|avg|stddev)(\(.*\))$/ && $aggregates[0] !~ /%A(?:iv|m)\b/ && chance(0.5))
	{
		push @aggregates, pick('sum', 'avg', 'variance') . $1;
		push @{ $query->{fuzzy} }, $query->{fuzzy}[ @keys ];
	}
	my $list = join ', ', map { "$keys[$_] AS g$_" } 0 .. $#keys;
	$list .= ', ' if @keys;
	$list .= join ', ', map { "$aggregates[$_] AS a$_" } 0 .. $#aggregates;
	my $group = @keys ? ' GROUP BY ' . join(', ', map { $_ + 1 } 0 .. $#keys) : '';
	if (@keys && chance(0.03))
	{
		$group = ' GROUP BY ROLLUP (' . join(', ', map { $_ + 1 } 0 .. $#keys) . ')';
		$query->{order} = 1;
	}
	my $having = '';
	$having = ' HAVING ' . pick('count(*) > 2', 'count(*) <> ' . constant('int', 3), 'max(%Ak) > 2', 'sum(%Ak) IS NULL OR min(%Ak) < 5') if chance(0.2);
	my $from = "$table->{name} AS t";
	my $core = "SELECT $list FROM $from$where$group$having";
	my $n = @keys;
	# all keys, so that LIMIT has one answer
	my $order = $n ? ' ORDER BY ' . join(', ', map { $_ + 1 . pick('', ' DESC', ' NULLS FIRST') } 0 .. $n - 1) : '';

	my $shape = pick(
		('plain') x 8, 'rows', 'rows', 'ordered', 'limited', 'lateral', 'correlated', 'scalar', 'initplan', 'cte', 'union', 'join', 'above', 'pruned');
	my $sql = $core;
	# of equal keys that look different, any may come first of a sort
	if (($shape eq 'ordered' || $shape eq 'limited') && $n && !$query->{ambiguous})
	{
		my $limit = $shape eq 'limited' ? ' LIMIT 5' : '';
		$sql = "$core$order$limit";
		# core is not to sort the rows first, which takes them out of their order; for a subquery it would, if groups are about as many
		$query->{reference} = "WITH q AS MATERIALIZED ($core) SELECT * FROM q$order$limit";
	}
	elsif ($shape eq 'lateral')
	{
		my $and = ($where eq '' ? ' WHERE ' : ' AND ') . pick('t.k = o.v', 't.k < o.v', 't.k % 3 = o.v % 3', '(t.k > o.v) IS NOT TRUE');
		$sql = "SELECT o.v, l.* FROM dim o LEFT JOIN LATERAL (SELECT $list FROM $from$where$and$group$having) l ON true";
		unshift @{ $query->{fuzzy} }, 0;
	}
	elsif ($shape eq 'correlated')
	{
		my $and = ($where eq '' ? ' WHERE ' : ' AND ') . 't.k = o.v';
		my ($first) = grep { $aggregates[$_] !~ /^(?:min|max|bool_and|bool_or|every)\b/ } 0 .. $#aggregates;
		$sql = "SELECT o.v, (SELECT $aggregates[$first] FROM $from$where$and) FROM dim o";
		$query->{fuzzy} = [ 0, $query->{fuzzy}[ $n + $first ] ];
	}
	elsif ($shape eq 'rows')
	{
		# no aggregation, but a range of TIDs: nothing depends on an order
		my @columns = @keys ? @keys : 't.k';
		# a condition may stand among the columns as well
		my $twice = pick('', '', 't.k IS NOT NULL', 't.k % 2 = 0', '(t.k < 5) IS NOT FALSE');
		my $tid = sub { "'(" . int(rand 12) . ',' . int(rand 60) . ")'" };
		my $range = pick('t.ctid >= ' . $tid->(), 't.ctid <= ' . $tid->(), "t.ctid BETWEEN '(0,1)' AND " . $tid->());
		push @columns, $twice, "CASE WHEN $twice THEN 1 ELSE 2 END" if $twice ne '';
		$range .= " AND $twice" if $twice ne '';
		$sql = 'SELECT ' . join(', ', @columns) . " FROM $from" . pick('', '', ' JOIN dim ON dim.v = t.k') . ($where eq '' ? ' WHERE ' : "$where AND ") . $range;
		$query->{fuzzy} = [ (0) x @columns ];
		$query->{order} = 0;
	}
	elsif ($shape eq 'scalar')
	{
		$sql = "SELECT v FROM dim WHERE (SELECT count(*) FROM $from$where) > v";
		$query->{fuzzy} = [0];
	}
	elsif ($shape eq 'initplan')
	{
		my $and = ($where eq '' ? ' WHERE ' : ' AND ') . pick('t.k > (SELECT min(v) FROM dim)', "t.k = (SELECT max(k) FROM $table->{name})", "(SELECT count(*) FROM dim WHERE v > 1000) = 0", 't.k IN (SELECT v FROM dim)');
		$sql = "SELECT $list FROM $from$where$and$group$having";
	}
	elsif ($shape eq 'cte') { $sql = 'WITH c AS ' . pick('', 'MATERIALIZED ') . "($core) SELECT * FROM c" }
	elsif ($shape eq 'union') { $sql = "$core UNION ALL $core" }
	elsif ($shape eq 'join' && $n)
	{
		$sql = "SELECT q.* FROM ($core) q JOIN dim ON dim.v = length(q.g0::text)";
	}
	elsif ($shape eq 'above' && $n)
	{
		$sql = "SELECT count(*), count(a0) FROM ($core) q";
		$query->{fuzzy} = [ 0, 0 ];
	}
	elsif ($shape eq 'pruned')
	{
		my $and = ($where eq '' ? ' WHERE ' : ' AND ') . pick('t.k = 1', 't.k IN (1, 7)', 't.k < ' . constant('int', 2), 'false', 't.k IS NULL');
		$sql = "SELECT $list FROM $from$where$and$group$having";
	}

	$query->{sql} = $sql =~ s/%A/t./gr;
	$query->{reference} = ($query->{reference} // $sql) =~ s/%A/t./gr;
	$query->{shape} = $shape;
	return $query;
}

1;
