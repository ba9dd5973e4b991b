# Hostile states: valid ones truncated, extended, with bits, bytes and integers
# changed, or plain noise, through text input and through binary COPY.  Each has
# to be refused with the error of a corrupt state, or accepted as a value that
# prints, reads back as itself, and may be used.  Both ways in must agree, as
# they run the same validator.  The server must not so much as restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Utils;
use Test::More;

seed_of_run();
my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = new_server('fuzz');
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

# How many mutants of each valid state come in as text, and how many as binary.
my %mutants = (text => 400, binary => 60);

my %accessors = (
	stats => [
		'num_vals($1)', 'sum($1)', 'average($1)', q{variance($1, 'sample')},
		q{stddev($1, 'population')}, 'min_val($1)', 'max_val($1)', 'to_jsonb($1)' ],
	stats2d => [
		'num_vals($1)', 'corr($1)', q{covariance($1, 'sample')}, 'slope($1)',
		'intercept($1)', 'determination_coeff($1)', 'to_jsonb($1)' ]);
my $one = q{
	('{}'), ('{1}'), ('{-0}'), ('{0,-0}'), ('{NaN}'), ('{inf,-inf,1}'), ('{1e308,-1e308,5e-324}'),
	('{1,2,3,4,5}'), ('{0.1,0.2,0.3,1e200}'), ('{1e-300,-1e-300}')};
my %valid = (
	stats => qq{SELECT batchagg.stats_agg(x) FROM (VALUES $one) v (a) LEFT JOIN LATERAL unnest(a::float8[]) x ON true GROUP BY a
		UNION ALL SELECT batchagg.stats_agg(x::int8) FROM unnest('{9223372036854775807,-9223372036854775808,0}'::int8[]) x
		UNION ALL SELECT batchagg.stats_agg(x) FROM (SELECT 2::float8 ^ n AS x FROM generate_series(-1000, 1000, 50) n) q},
	stats2d => qq{SELECT batchagg.stats_agg(x, abs(x)) FROM (VALUES $one) v (a) LEFT JOIN LATERAL unnest(a::float8[]) x ON true GROUP BY a});

$node->safe_psql('postgres', q{
	-- What became of one input: an SQLSTATE, or the value it was read as.
	CREATE FUNCTION read_text(type regtype, input text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE printed text;
	BEGIN
		EXECUTE format('SELECT $1::%s::text', type) INTO printed USING input;
		RETURN printed;
	EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
	END $$;
	CREATE FUNCTION read_binary(type regtype, path text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE printed text;
	BEGIN
		EXECUTE format('CREATE TEMP TABLE received (s %s)', type);
		EXECUTE format('COPY received FROM %L (FORMAT binary)', path);
		SELECT s::text INTO STRICT printed FROM received;
		DROP TABLE received;
		RETURN printed;
	EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
	END $$;
	-- Whether a value that was accepted may be used: the worst SQLSTATE met.
	CREATE FUNCTION use_state(type regtype, printed text, uses text[]) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		expression text;
		again text;
	BEGIN
		IF read_text(type, printed) <> printed THEN RETURN 'not the same when read again'; END IF;
		-- rolled up alone a state is taken apart and written anew (one of no inputs becomes NULL)
		EXECUTE format('SELECT batchagg.rollup(s)::text FROM (VALUES (%L::%s)) v (s)', printed, type) INTO again;
		IF again <> printed THEN RETURN 'not the only way to write ' || again; END IF;
		FOREACH expression IN ARRAY uses LOOP
			BEGIN
				EXECUTE 'SELECT ' || replace(expression, '$1', format('%L::%s', printed, type)) INTO again;
			EXCEPTION
				-- sums and counts that do not fit are honest answers
				WHEN numeric_value_out_of_range OR program_limit_exceeded THEN NULL;
				WHEN OTHERS THEN RETURN expression || ': ' || SQLSTATE || ' ' || SQLERRM;
			END;
		END LOOP;
		RETURN NULL;
	END $$;
});

# Writes one of a state's sums with a zero limb in front or behind: the same
# number, but not the one way to write it (doc/state-format.md has the layout).
sub respell
{
	my ($bytes, $windows) = @_;
	my ($parts, $counts, $n) = unpack 'x2 C C x Q>', $bytes;
	my $at = 13 + 8 * unpack('%32b8', chr $counts) + ($parts & 4 && $n ? 20 : 0);
	for (1 .. int rand $windows)
	{
		$at += 2 + 4 * unpack "x$at xC", $bytes;
	}
	my ($low, $limbs) = unpack "x$at CC", $bytes;
	my $behind = rand() < 0.5 && $low > 0;
	substr $bytes, $at, 2, pack 'CC', $low - ($behind ? 1 : 0), $limbs + 1;
	substr $bytes, $at + 2 + ($behind ? 4 * $limbs : 0), 0, "\0" x 4;
	return $bytes;
}

sub mutate
{
	my ($bytes, $windows) = @_;
	my $n = length $bytes;
	return respell($bytes, $windows) if rand() < 0.05;
	for (1 .. 1 + int(rand 2))
	{
		my $how = int rand 9;
		my $at = int rand($n || 1);
		# the head of a state holds its shape: it gets half of the changes
		$at = int rand($n < 16 ? $n || 1 : 16) if rand() < 0.5;
		if ($how == 0) { $bytes = substr $bytes, 0, $at }
		elsif ($how == 1) { $bytes .= join '', map { chr int rand 256 } 0 .. rand 9 }
		elsif ($how == 2) { $bytes = join '', map { chr int rand 256 } 0 .. rand 80 }
		elsif ($how == 3 && $n > $at) { substr $bytes, $at, 1, '' }
		elsif ($how == 4) { substr $bytes, $at, 0, chr int rand 256 }
		elsif ($how == 5 && $n >= $at + 4)
		{
			substr $bytes, $at, 4, pack 'N', (0, 1, 0x7fffffff, 0x80000000, 0xffffffff)[ rand 5 ];
		}
		elsif ($how == 6 && $n >= $at + 8)
		{
			substr $bytes, $at, 8, pack 'Q>', (0, 1, ~0, ~0 >> 1, 1 << 63)[ rand 5 ];
		}
		elsif ($how == 7 && $n > $at) { substr $bytes, $at, 1, chr((ord(substr $bytes, $at, 1) + (rand() < 0.5 ? 1 : 255)) % 256) }
		elsif ($n > $at) { substr $bytes, $at, 1, chr(ord(substr $bytes, $at, 1) ^ 1 << int rand 8) }
		$n = length $bytes;
	}
	return $bytes;
}

sub write_file
{
	my ($path, $content) = @_;
	open my $out, '>:raw', $path or die "$path: $!";
	print $out $content;
	close $out;
	return;
}

for my $type (sort keys %valid)
{
	my $send = $node->safe_psql('postgres',
		"SELECT typsend::oid::regproc FROM pg_type WHERE oid = 'batchagg.$type'::regtype");
	my @states = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres',
		"SELECT s::text, encode($send(s), 'hex') FROM ($valid{$type}) v (s) WHERE s IS NOT NULL");
	cmp_ok(scalar @states, '>=', 9, "$type: states to begin with");
	# The text of a state is its bytes in hexadecimal, perhaps after a prefix.
	my ($text, $hex) = @{ $states[0] };
	my $prefix = substr $text, 0, length($text) - length $hex;
	is((grep { $_->[0] ne $prefix . $_->[1] } @states), 0, "$type: the text is the binary form in hexadecimal");

	my ($n, @rows) = (0);
	for my $state (@states)
	{
		my $bytes = pack 'H*', $state->[1];
		for my $m (0 .. $mutants{text})
		{
			# the first of each is the valid state itself
			my $mutant = $m ? mutate($bytes, $type eq 'stats' ? 2 : 5) : $bytes;
			my $path = '\N';
			if ($m <= $mutants{binary})
			{
				$path = "$dir/$type." . ++$n;
				write_file($path, "PGCOPY\n\377\r\n\0" . pack('NN n N', 0, 0, 1, length $mutant) . $mutant . pack('n', 0xffff));
			}
			push @rows, join "\t", $m ? 'f' : 't', $prefix =~ s/\\/\\\\/gr . unpack('H*', $mutant), $path;
		}
	}
	write_file("$dir/$type.rows", join("\n", @rows) . "\n");
	my $uses = 'ARRAY[' . join(', ', map { "\$u\$$_\$u\$" }
		(map { "batchagg.$_" } @{ $accessors{$type} }),
		'batchagg.merge($1, $1)', "$send(\$1)", '$1 = $1', '(SELECT batchagg.rollup(s) FROM (VALUES ($1), ($1)) v (s))') . ']';
	my $result = $node->safe_psql('postgres', qq{
		CREATE TABLE ${type}_tried (valid bool, input text, path text);
		COPY ${type}_tried FROM '$dir/$type.rows';
		ALTER TABLE ${type}_tried ADD by_text text, ADD by_binary text, ADD used text;
		UPDATE ${type}_tried SET by_text = read_text('batchagg.$type', input);
		UPDATE ${type}_tried SET by_binary = read_binary('batchagg.$type', path) WHERE path IS NOT NULL;
		UPDATE ${type}_tried SET used = use_state('batchagg.$type', by_text, $uses) WHERE length(by_text) <> 5;
	});
	my $tried = $node->safe_psql('postgres', qq{
		SELECT format('%s tried, %s accepted, %s by way of binary', count(*),
			count(*) FILTER (WHERE length(by_text) <> 5), count(path)) FROM ${type}_tried});
	note("$type: $tried");
	is($node->safe_psql('postgres', qq{SELECT string_agg(DISTINCT by_text, ',') FROM ${type}_tried
			WHERE length(by_text) = 5 AND by_text NOT IN ('22P02', '22P03')}),
		'', "$type: text that is no state is refused as such");
	is($node->safe_psql('postgres', qq{SELECT string_agg(DISTINCT by_binary, ',') FROM ${type}_tried
			WHERE length(by_binary) = 5 AND by_binary <> '22P03'}),
		'', "$type: bytes that are no state are refused as such");
	is($node->safe_psql('postgres', qq{SELECT count(*), count(path) FROM ${type}_tried
			WHERE valid AND (by_text IS DISTINCT FROM input OR by_binary IS DISTINCT FROM input)}),
		'0|0', "$type: valid states are accepted");
	is($node->safe_psql('postgres', qq{SELECT format('%s: text %s, binary %s', input, by_text, by_binary) FROM ${type}_tried
			WHERE path IS NOT NULL AND by_text <> by_binary AND NOT (length(by_text) = 5 AND length(by_binary) = 5) LIMIT 3}),
		'', "$type: text and binary agree");
	is($node->safe_psql('postgres', qq{SELECT format('%s: %s', by_text, used) FROM ${type}_tried WHERE used IS NOT NULL LIMIT 3}),
		'', "$type: what is accepted may be used");
	my ($refused, $all) = split /\|/, $node->safe_psql('postgres',
		"SELECT count(*) FILTER (WHERE length(by_text) = 5), count(*) FROM ${type}_tried");
	cmp_ok($refused, '>', $all / 2, "$type: most mutants are refused");

	# text that is not even hexadecimal
	for my $text ('', ' ', 'x', '\\x', '\\x0', $prefix . '0', $prefix . 'zz', $prefix . $hex . ' x', "$hex$hex", '{}', "$prefix\xc3\xa4")
	{
		my ($state, $err) = sqlstate_of($node, "SELECT \$t\$$text\$t\$::batchagg.$type;");
		like($state, qr/^22P0[23]$/, "$type: '$text' is refused");
	}
}

is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $started, 'the server is the same');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP|XX000/, 'nothing crashed');

$node->stop;
done_testing();
