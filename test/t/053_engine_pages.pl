# The engine on pages that change under it or are not as they should be: beside writers, VACUUM and
# checkpoints in a buffer pool that is much too small, pages that are new, pages that are damaged,
# and pages that have lost what an old snapshot is to see.
#
# Core is the judge: in one snapshot both give the same answer, or both the same error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server(
	'pages', q{
shared_buffers = 1MB
max_connections = 20
autovacuum = off
session_preload_libraries = 'batchagg'
},
	extra => [ '--encoding=UTF8', '--data-checksums' ]);

my $parallel = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; };
my $engine = q{SET batchagg.debug_force_engine = on; };
my $core = q{SET batchagg.enabled = off; };
my $serial = q{SET max_parallel_workers_per_gather = 0; };

# ----------------------------------------------------------------- beside writers

# Writers move parts of v between rows, so its sum stays; each has rows of its own. Some of what they
# do is rolled back, whole or to a savepoint.
$node->safe_psql('postgres', q{
	CREATE TABLE moving (id int, v int, pad text) WITH (fillfactor = 60);
	INSERT INTO moving SELECT i, 1000, repeat('x', i % 60) FROM generate_series(1, 6000) i;
	CREATE INDEX ON moving (id);
	ANALYZE moving;

	CREATE PROCEDURE write(writer int, until timestamptz) LANGUAGE plpgsql AS $$
	DECLARE
		a int;
		b int;
	BEGIN
		WHILE clock_timestamp() < until LOOP
			a := 2 * floor(random() * 3000) + writer;
			b := 2 * floor(random() * 3000) + writer;
			UPDATE moving SET v = v - 7, pad = repeat('y', a % 70) WHERE id = a;
			BEGIN
				UPDATE moving SET v = v + 100000 WHERE id IN (a, b);
				RAISE division_by_zero;
			EXCEPTION WHEN division_by_zero THEN
				UPDATE moving SET v = v + 7 WHERE id = b;
			END;
			IF a % 5 = 0 THEN
				INSERT INTO moving SELECT 10000 + 2 * a + writer, 0, 'more' FROM generate_series(1, 60);
			ELSIF a % 5 = 1 THEN
				DELETE FROM moving WHERE id > 10000 AND id % 2 = writer % 2;
			END IF;
			IF random() < 0.2 THEN
				ROLLBACK;
			ELSE
				COMMIT;
			END IF;
		END LOOP;
	END $$;

	CREATE FUNCTION answer(query text, enabled text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		found text;
	BEGIN
		PERFORM set_config('batchagg.enabled', enabled, true);
		EXECUTE format('SELECT string_agg(q::text, '' '' ORDER BY q::text COLLATE "C") FROM (%s) AS q', query) INTO found;
		RETURN found;
	END $$;

	-- shows how often it compared, and fails where answers differ
	CREATE PROCEDURE read(workers int, until timestamptz) LANGUAGE plpgsql AS $$
	DECLARE
		query text;
		want text;
		got text;
		compared int := 0;
	BEGIN
		PERFORM set_config('batchagg.debug_force_engine', 'on', false), set_config('max_parallel_workers_per_gather', workers::text, false);
		PERFORM set_config(name, '0', false)
		FROM pg_settings WHERE name IN ('parallel_setup_cost', 'parallel_tuple_cost', 'min_parallel_table_scan_size');
		WHILE clock_timestamp() < until LOOP
			COMMIT;
			SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
			FOREACH query IN ARRAY ARRAY['SELECT sum(v) FROM moving', 'SELECT count(*), sum(id), max(pad) FROM moving',
				'SELECT id % 10 AS k, count(*), sum(v), min(length(pad)) FROM moving GROUP BY 1',
				'SELECT count(*), sum(v) FROM moving WHERE ctid >= ''(20,3)'' AND ctid <= ''(70,9)'''] LOOP
				got := answer(query, 'on');
				want := answer(query, 'off');
				IF got IS DISTINCT FROM want OR answer(query, 'on') IS DISTINCT FROM want THEN
					RAISE '%: % by the engine, % by core', query, got, want;
				END IF;
				IF query = 'SELECT sum(v) FROM moving' AND got <> '(6000000)' THEN
					RAISE 'the sum is %', got;
				END IF;
				compared := compared + 1;
			END LOOP;
		END LOOP;
		RAISE NOTICE 'compared % times', compared;
	END $$;
});
like($node->safe_psql('postgres', "$engine $serial EXPLAIN SELECT sum(v) FROM moving"), qr/BatchAgg/, 'the engine reads the table');

my $until = $node->safe_psql('postgres', q{SELECT clock_timestamp() + interval '6 s'});
my @writers = map { start_psql($node, "CALL write($_, '$until')") } 1 .. 2;
my @readers = map { start_psql($node, "CALL read($_, '$until')") } 0, 2;
my $vacuumed = 0;
while ($node->safe_psql('postgres', "SELECT clock_timestamp() < '$until'") eq 't')
{
	$node->safe_psql('postgres', $_) for 'VACUUM moving', 'CHECKPOINT', 'VACUUM (FREEZE, TRUNCATE off) moving';
	$vacuumed++;
}
cmp_ok($vacuumed, '>=', 1, 'vacuumed meanwhile');
for my $session (@writers, @readers)
{
	my ($state, undef, $err) = finish_psql($session);
	is($state, 'none', 'nothing was wrong') or diag($err);
	like($err, qr/compared [1-9]\d* times/, '... and something was compared') if grep { $_ == $session } @readers;
}

# ------------------------------------------------------------ new and damaged pages

my $query = 'SELECT count(*), sum(a), max(pad) FROM pages';
my @ways = ([ 'serial', $serial ], [ 'parallel', $parallel ]);

# Changes the file of table pages, which must not be in memory
sub change_file
{
	my ($change) = @_;
	my $file = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('pages')});
	$node->stop;
	open my $fh, '+<:raw', $file or die "$file: $!";
	$change->($fh);
	close $fh or die "$file: $!";
	$node->start;
}

$node->safe_psql('postgres', q{
	CREATE TABLE pages (a int, pad text);
	INSERT INTO pages SELECT i, repeat('z', 100) FROM generate_series(1, 20000) i;
});
my $size = $node->safe_psql('postgres', q{SELECT pg_relation_size('pages')});

# What is left of a file that was extended just before a crash: zeros
change_file(sub { my ($fh) = @_; seek $fh, 0, 2; print $fh "\0" x (7 * 8192); });
# fills the last of the zeros only
$node->safe_psql('postgres', q{INSERT INTO pages SELECT i, 'after' FROM generate_series(20001, 23000) i});
is($node->safe_psql('postgres', q{SELECT pg_relation_size('pages')}) > $size + 7 * 8192 ? 'more' : 'no more', 'more', 'new pages lie between others');
is($node->safe_psql('postgres', "$engine $_->[1] $query"), '23000|264511500|' . 'z' x 100, "new pages have no rows: $_->[0]") for @ways;

change_file(sub { my ($fh) = @_; seek $fh, 5 * 8192 + 4000, 0; print $fh 'garbage'; });
for my $way (@ways)
{
	my ($name, $settings) = @$way;
	my ($state, $err) = sqlstate_of($node, "$engine $settings $query");
	is($state, 'XX001', "a damaged page is an error: $name");
	like($err, qr/invalid page in block 5 of relation/, '... that names it');
	my $zero = "$settings SET zero_damaged_pages = on;";
	my $got = $node->safe_psql('postgres', "$engine $zero $query");
	like($got, qr/^229\d\d\|/, '... or passed over where that is asked for');
	is($got, $node->safe_psql('postgres', "$core $zero $query"), '... as by core');
	$node->restart;
}

# ------------------------------------------------------------------- old snapshots

SKIP:
{
	skip '17 has no old_snapshot_threshold', 2 if $node->pg_version >= 17;
	$node->append_conf('postgresql.conf', 'old_snapshot_threshold = 0');
	$node->restart;
	$node->safe_psql('postgres', q{CREATE TABLE old AS SELECT i AS a, i AS b FROM generate_series(1, 20000) i; VACUUM (FREEZE, ANALYZE) old});

	# The snapshot becomes too old some seconds after it was taken, once something is vacuumed.
	for my $way ([ 'engine', $engine ], [ 'core', $core ])
	{
		my ($name, $settings) = @$way;
		my $reader = $node->background_psql('postgres', on_error_stop => 0);
		$reader->query_safe("$settings $serial BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*), sum(b) FROM old;");
		my $seen = '';
		for (1 .. 100)
		{
			$node->safe_psql('postgres', $_) for 'UPDATE old SET b = b + 1 WHERE a % 100 = 0', 'SELECT count(*) FROM old', 'VACUUM old';
			$reader->query('SELECT count(*), sum(b) FROM old');
			last if $reader->{stderr} =~ /snapshot too old/;
			select undef, undef, undef, 0.2;
		}
		like($reader->{stderr}, qr/snapshot too old/, "what a snapshot no longer sees is an error: $name");
		$reader->quit;
	}
}

done_testing();
