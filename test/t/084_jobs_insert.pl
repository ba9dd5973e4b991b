# INSERT ... SELECT as the command of a job is run by BatchInsert where the table has nothing that
# could tell the difference, and by core's ModifyTable where it has. Either way the table ends up as by the plain statement
# without the engine, its indexes have an entry for each row, and errors are core's, down to the one row that is skipped.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('insert', q{
autovacuum = off
max_worker_processes = 8
shared_buffers = 1MB
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

my $rows = 3000;
sql(qq{
	CREATE EXTENSION amcheck;
	ALTER DATABASE postgres SET search_path = work, public, batchagg;
	CREATE TABLE source (id int PRIMARY KEY, gone int, small smallint, big bigint, n numeric, f float8, t text, a int[], at timestamptz, b bytea);
	ALTER TABLE source ALTER t SET STORAGE EXTERNAL;
	INSERT INTO source SELECT i, 0, i % 100, i * 10000000000, i / 8.0, i / 7.0,
		CASE WHEN i % 500 = 0 THEN repeat('long ' || i, 3000) WHEN i % 7 = 0 THEN NULL ELSE 't' || i END,
		CASE WHEN i % 11 > 0 THEN ARRAY[i, NULL, i + 1] END, timestamptz '2001-01-01 UTC' + i * interval '7 hours', decode(md5(i::text), 'hex')
		FROM generate_series(1, $rows) i;
	ALTER TABLE source DROP gone;
	VACUUM ANALYZE source;
	CREATE FUNCTION shout(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper(t)';
	CREATE FUNCTION stored() RETURNS bigint VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM by_job); END';
	CREATE FUNCTION numbered(id int, so_far bigint DEFAULT stored()) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN so_far; END';
	CREATE TABLE spread (id int PRIMARY KEY, t text);
	ALTER TABLE spread ALTER t SET STORAGE PLAIN;
	INSERT INTO spread SELECT i, CASE WHEN i < 0 THEN repeat('x', 7000) END
		FROM generate_series(1, $rows) n, LATERAL (VALUES (n), (-n)) v(i) ORDER BY n;
	VACUUM ANALYZE spread;
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
	CREATE DOMAIN natural_number AS int CHECK (VALUE > 0);
	CREATE TYPE pair AS (n natural_number, t text);
	CREATE TYPE parity AS ENUM ('even', 'odd');
	CREATE FUNCTION count_stored(n bigint, id int) RETURNS bigint VOLATILE LANGUAGE plpgsql AS 'BEGIN RETURN stored(); END';
	CREATE AGGREGATE so_far(int) (SFUNC = count_stored, STYPE = bigint);
	CREATE AGGREGATE greatest_of(int) (SFUNC = int4larger, STYPE = int);
	CREATE ROLE clerk LOGIN;
	GRANT SELECT ON source TO clerk;
	GRANT USAGE ON SCHEMA batchagg TO clerk;
});

my $inserted = 'Custom Scan (BatchInsert)';
my $core = 'Insert';

# What a target is made by, {t} being its name; the command, {in} being the batch's condition; what its plan is.
my %targets = (
	'many types' => [
		'CREATE TABLE {t} (LIKE source)',
		'INSERT INTO {t} SELECT * FROM source WHERE {in}', $inserted ],
	'expressions' => [
		'CREATE TABLE {t} (id bigint, t varchar(4), c char(8))',
		'INSERT INTO {t} SELECT id + 1, left(t, 4), id FROM source WHERE {in} AND id % 3 < 2', $inserted ],
	'some columns' => [
		q{CREATE TABLE {t} (a int, id int, gone int, late text DEFAULT 'x'); ALTER TABLE {t} DROP gone; ALTER TABLE {t} ADD later int DEFAULT 7},
		'INSERT INTO {t} (late, id) SELECT t, id FROM source WHERE {in}', $inserted ],
	'indexes' => [
		'CREATE TABLE {t} (id int PRIMARY KEY, t text, EXCLUDE USING btree (id WITH =)); CREATE INDEX ON {t} (shout(t));
			CREATE INDEX ON {t} (t) WHERE id % 2 = 0; CREATE INDEX ON {t} USING brin (id); CREATE INDEX ON {t} USING hash (t)',
		'INSERT INTO {t} SELECT id, left(t, 20) FROM source WHERE {in}', $inserted ],
	'constraints' => [
		'CREATE TABLE {t} (id int NOT NULL CHECK (id > 0), n numeric, CHECK (n * 8 = id))',
		'INSERT INTO {t} SELECT id, n FROM source WHERE {in}', $inserted ],
	'little room in a page' => [
		'CREATE TABLE {t} (id int, t text) WITH (fillfactor = 20)',
		'INSERT INTO {t} SELECT id, t FROM source WHERE {in}', $inserted ],
	'an unlogged table' => [
		'CREATE UNLOGGED TABLE {t} (id int)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $inserted ],
	'a table that inherits' => [
		'CREATE TABLE {t}_up (id int); CREATE TABLE {t} () INHERITS ({t}_up)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $inserted ],
	'an aggregate' => [
		'CREATE TABLE {t} (id int, n bigint)',
		'INSERT INTO {t} SELECT id, count(*) FROM source, generate_series(1, 2) WHERE {in} GROUP BY id', $inserted ],
	'a join and a sort' => [
		'CREATE TABLE {t} (id int, t text)',
		'INSERT INTO {t} SELECT s.id, o.t FROM source s JOIN source o USING (id) WHERE s.{in} AND s.small < 50 ORDER BY o.t, 1', $inserted ],
	'a sort by what is not stored' => [
		'CREATE TABLE {t} (id int)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in} ORDER BY n', $inserted ],
	'few rows' => [
		'CREATE TABLE {t} (n bigint, s numeric)',
		'INSERT INTO {t} SELECT count(*), sum(n) FROM source WHERE {in}', $core, 'SELECT sum(n), sum(s) FROM {t}' ],
	'a trigger of rows' => [
		'CREATE TABLE {t} (id int); CREATE TRIGGER t BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION nothing()',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a trigger of statements' => [
		'CREATE TABLE {t} (id int); CREATE TRIGGER t AFTER INSERT ON {t} EXECUTE FUNCTION nothing()',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a foreign key' => [
		'CREATE TABLE {t} (id int REFERENCES source)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a deferrable key' => [
		'CREATE TABLE {t} (id int UNIQUE DEFERRABLE)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a generated column' => [
		'CREATE TABLE {t} (id int, twice int GENERATED ALWAYS AS (id * 2) STORED)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a domain' => [
		'CREATE TABLE {t} (id natural_number)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a text read as a type with a domain in it' => [
		'CREATE TABLE {t} (id int, p pair)',
		q{INSERT INTO {t} SELECT id, ('(' || id || ',)')::pair FROM source WHERE {in}}, $core ],
	'a document read as a type with a domain in it' => [
		'CREATE TABLE {t} (id int, p pair)',
		q{INSERT INTO {t} SELECT id, json_populate_record(NULL::pair, json_build_object('n', id)) FROM source WHERE {in}}, $core ],
	'a document read as columns of domains' => [
		'CREATE TABLE {t} (id int, n int)',
		q{INSERT INTO {t} SELECT id, r.n FROM source, json_to_record(json_build_object('n', id)) r (n natural_number) WHERE {in}}, $core ],
	'documents read as columns of a table' => [
		'CREATE TABLE {t} (id int, n int)',
		q{INSERT INTO {t} SELECT id, x.n FROM source, xmltable('/x' PASSING xmlelement(name x, id) COLUMNS n int PATH '.') x WHERE {in}}, $core ],
	'a document of a type of its own' => [
		'CREATE TABLE {t} (id int, j jsonb)',
		q{INSERT INTO {t} SELECT id, to_jsonb(ROW(id, NULL::parity)) FROM source WHERE {in}}, $core ],
	'types of its own' => [
		'CREATE TABLE {t} (id int, p parity)',
		q{INSERT INTO {t} SELECT id, CASE id % 2 WHEN 0 THEN 'even'::parity ELSE 'odd' END FROM source WHERE {in} AND 'odd'::parity > 'even'}, $inserted ],
	'an aggregate that looks at the table' => [
		'CREATE TABLE {t} (id int, n bigint)',
		'INSERT INTO {t} SELECT id, so_far(id) FROM source WHERE {in} GROUP BY id', $core, 'SELECT id FROM {t}' ],
	'an aggregate over a window that looks at the table' => [
		'CREATE TABLE {t} (id int, n bigint)',
		'INSERT INTO {t} SELECT id, so_far(id) OVER (ORDER BY id) FROM source WHERE {in}', $core, 'SELECT id FROM {t}' ],
	'an aggregate of its own' => [
		'CREATE TABLE {t} (id int, n bigint)',
		'INSERT INTO {t} SELECT id, greatest_of(small) FROM source WHERE {in} GROUP BY id', $inserted ],
	'a check that looks at the table' => [
		'CREATE TABLE {t} (id int CHECK (stored() % 700 >= 0), n bigint DEFAULT 0)',
		'INSERT INTO {t} SELECT id, small FROM source WHERE {in}', $core ],
	'an argument that looks at the table' => [
		'CREATE TABLE {t} (id int, n bigint)',
		'INSERT INTO {t} SELECT id, numbered(id) FROM source WHERE {in}', $core, 'SELECT id FROM {t}' ],
	'a check that looks by an argument' => [
		'CREATE TABLE {t} (id int CHECK (numbered(id) >= 0))',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'an argument of a function of core that is left out' => [
		'CREATE TABLE {t} (id int, i interval)',
		'INSERT INTO {t} SELECT id, make_interval(days => id) FROM source WHERE {in}', $inserted ],
	'a look at the transaction' => [
		'CREATE TABLE {t} (id int, b boolean)',
		'INSERT INTO {t} SELECT id, pg_current_xact_id_if_assigned() IS NULL AND false FROM source WHERE {in}', $core ],
	'rows as they stand in their buffers, each in another' => [
		'CREATE TABLE {t} (LIKE spread)',
		'INSERT INTO {t} SELECT * FROM spread WHERE {in} AND id > 0 AND tableoid > 0', $inserted ],
	'a rule that makes another command' => [
		'CREATE TABLE {t} (id int); CREATE TABLE {t}_other (id int); CREATE RULE r AS ON INSERT TO {t} DO ALSO INSERT INTO {t}_other VALUES (1)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a partitioned table' => [
		'CREATE TABLE {t} (id int) PARTITION BY LIST (id); CREATE TABLE {t}_1 PARTITION OF {t} DEFAULT',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a partition' => [
		'CREATE TABLE {t}_up (id int) PARTITION BY LIST (id); CREATE TABLE {t} PARTITION OF {t}_up DEFAULT',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a view with a check' => [
		'CREATE TABLE {t}_base (id int); CREATE VIEW {t} AS SELECT * FROM {t}_base WHERE id > 0 WITH CHECK OPTION',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core ],
	'a view' => [
		'CREATE TABLE {t}_base (id int, t text); CREATE VIEW {t} AS SELECT t, id FROM {t}_base',
		'INSERT INTO {t} SELECT t, id FROM source WHERE {in}', $inserted ],
	'row security' => [
		'CREATE TABLE {t} (id int); ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; ALTER TABLE {t} FORCE ROW LEVEL SECURITY;
			CREATE POLICY p ON {t} USING (true) WITH CHECK (id > 0)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in}', $core, undef, 'clerk' ],
	'a volatile function' => [
		'CREATE TABLE {t} (id int)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in} AND random() < 2', $core ],
	'what to do about a conflict' => [
		'CREATE TABLE {t} (id int PRIMARY KEY)',
		'INSERT INTO {t} SELECT id FROM source, generate_series(1, 2) WHERE {in} ON CONFLICT DO NOTHING', $core ],
	'rows returned' => [
		'CREATE TABLE {t} (id int)',
		'INSERT INTO {t} SELECT id FROM source WHERE {in} RETURNING id', $core ],
	'another command in WITH' => [
		'CREATE TABLE {t} (id int); CREATE TABLE {t}_other (id int)',
		'WITH o AS (INSERT INTO {t}_other SELECT id FROM source WHERE {in} RETURNING id) INSERT INTO {t} SELECT id FROM o', $core ],
);

# A string with its places filled in.
sub fill
{
	my ($text, %places) = @_;
	$text =~ s/\{(\w+)\}/$places{$1}/g;
	return $text;
}

# Runs a command over the source as a job: how the first plan begins.
sub run_job
{
	my ($command, $key, $role, $options) = @_;
	my $text = fill($command, t => 'by_job', in => "$key BETWEEN \$1 AND \$2");
	my $job = "'j', 'source', \$job\$$text\$job\$, key => '$key', batch_size => 700";
	my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE $role; SELECT create_job($job, dry_run => true)");

	is($rc, 0, "dry run of $text") or diag($err);
	sql("SELECT drop_job(name) FROM job; SET ROLE $role; SELECT create_job($job $options)");
	$node->psql('postgres', "CALL run_job('j')");
	return $err =~ /NOTICE:  (Custom Scan \(BatchInsert\)|Insert) on / ? $1 : $err;
}

foreach my $name (sort keys %targets)
{
	my ($definition, $command, $plan, $answer, $role) = @{ $targets{$name} };

	$answer //= 'TABLE {t}';
	$role //= 'postgres';
	foreach my $key ('id', 'ctid')
	{
		next if $key eq 'ctid' && $command =~ /GROUP BY id|JOIN|FROM spread/;
		sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS work CASCADE; CREATE SCHEMA work AUTHORIZATION $role");
		sql("SET ROLE $role; " . fill($definition, t => $_)) foreach ('by_job', 'plain');
		is(run_job($command, $key, $role, ''), $plan, "$name, by $key: the plan");
		sql("SET ROLE $role; SET batchagg.enabled = off; " . fill($command, t => 'plain', in => "$key IS NOT NULL"));
		my ($by_job, $plain) = map { '(' . fill($answer, t => $_) . ')' } ('by_job', 'plain');
		is(sql(qq{SELECT count(*) > 0, (SELECT count(*) FROM ($by_job EXCEPT ALL $plain) d), (SELECT count(*) FROM ($plain EXCEPT ALL $by_job) d)
			FROM $plain p}), 't|0|0', "$name, by $key: the same rows");
		sql(q{SELECT bt_index_check(i.indexrelid, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE i.indrelid = 'by_job'::regclass AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')});
	}
}

# The source is the target.
sql(q{DROP SCHEMA work CASCADE; CREATE SCHEMA work; CREATE TABLE by_job AS SELECT id, t FROM source; CREATE INDEX ON by_job (id); ANALYZE by_job;
	SELECT drop_job(name) FROM job;
	SELECT create_job('j', 'by_job', 'INSERT INTO by_job SELECT -id, t FROM by_job WHERE id BETWEEN $1 AND $2', key => 'id', batch_size => 700)});
sql(q{CALL run_job('j')});
is(sql('SELECT count(*), count(DISTINCT id), sum(id), count(t) FROM by_job'), sql("SELECT $rows * 2, $rows * 2, 0, count(t) * 2 FROM source"),
	'a table that is inserted into itself');

# Numbers of a sequence, and rows that others insert meanwhile.
sql(q{DROP SCHEMA work CASCADE; CREATE SCHEMA work; CREATE TABLE by_job (n serial PRIMARY KEY, m int GENERATED BY DEFAULT AS IDENTITY, id int, t text)});
is(run_job('INSERT INTO {t} (id, t) SELECT id, t FROM source WHERE {in}', 'id', 'postgres', ', workers => 2'), $inserted, 'a sequence: the plan');
is(sql('SELECT count(*), count(DISTINCT n), count(DISTINCT m), count(DISTINCT id), count(t) FROM by_job'),
	sql("SELECT $rows, $rows, $rows, $rows, count(t) FROM source"), 'a sequence: each row once, with numbers of its own');

# One bad row in the middle of a batch, however few rows are tried at last: the error is core's, and all other rows are there.
sql('ALTER DATABASE postgres SET batchagg.debug_force_engine = on');
my %errors = (
	'a null' => [ 'CREATE TABLE {t} (id int NOT NULL)', 'INSERT INTO {t} SELECT nullif(id, 1234) FROM source WHERE {in}' ],
	'a check' => [ 'CREATE TABLE {t} (id int CHECK (id <> 1234))', 'INSERT INTO {t} SELECT id FROM source WHERE {in}' ],
	'a key' => [ 'CREATE TABLE {t} (id int PRIMARY KEY); INSERT INTO {t} VALUES (1234)', 'INSERT INTO {t} SELECT id FROM source WHERE {in}' ],
	'an expression' => [ 'CREATE TABLE {t} (id int)', 'INSERT INTO {t} SELECT id + 0 / (id - 1234) FROM source WHERE {in}' ],
	'an index' => [ 'CREATE TABLE {t} (id int); CREATE INDEX ON {t} ((1 / (id - 1234)))', 'INSERT INTO {t} SELECT id FROM source WHERE {in}' ],
);
foreach my $name (sort keys %errors)
{
	my ($definition, $command) = @{ $errors{$name} };

	sql("DROP SCHEMA work CASCADE; CREATE SCHEMA work;" . fill("$definition;", t => 'by_job') . fill("$definition;", t => 'plain'));
	is(run_job($command, 'id', 'postgres', ', max_skipped => 1'), $inserted, "$name is wrong: the plan");
	my ($rc, $out, $err) = $node->psql('postgres', 'SET batchagg.enabled = off;' . fill($command, t => 'plain', in => 'true'));
	$err =~ s/plain/by_job/g;
	my ($message) = $err =~ /ERROR:  (.*)/;
	is(sql(q{SELECT message, detail FROM job_errors WHERE first_key = '1234' AND last_key = '1234'}),
		$message . '|' . ($err =~ /DETAIL:  (.*)/ ? $1 : ''), "$name is wrong: the error of the row");
	is(sql("SELECT status, (SELECT count(*) FROM by_job), (SELECT count(*) FROM by_job WHERE id = 1234) FROM run WHERE job_id = (SELECT id FROM job)"),
		'done|' . ($name eq 'a key' ? "$rows|1" : $rows - 1 . '|0'), "$name is wrong: all other rows");
}

sql('ALTER DATABASE postgres RESET batchagg.debug_force_engine');

# Pages are filled: what one batch reserves and does not use the next one takes, in either process, and so it does with what VACUUM finds.
foreach my $fill (100, 30, 10)
{
	my $select = 'SELECT id, md5((id * k)::text) FROM source, generate_series(1, 20) k';
	my $job = "'j', 'source', \$job\$INSERT INTO by_job $select WHERE id BETWEEN \$1 AND \$2\$job\$, key => 'id', batch_size => 25, workers => 2";

	sql(qq{DROP SCHEMA work CASCADE; CREATE SCHEMA work; CREATE TABLE by_job (id int, t text) WITH (fillfactor = $fill);
		CREATE TABLE plain (LIKE by_job) WITH (fillfactor = $fill); SELECT drop_job(name) FROM job});
	like(($node->psql('postgres', "SELECT create_job($job, dry_run => true)"))[2], qr/BatchInsert/, "fillfactor $fill: the plan");
	sql("SELECT create_job($job); CALL run_job('j')");
	sql("SET batchagg.enabled = off; INSERT INTO plain $select");
	is(sql('SELECT count(*), count(DISTINCT (id, t)) FROM by_job'), sql('SELECT count(*), count(DISTINCT (id, t)) FROM plain'), 'all rows');
	my $pages = sql(q{SELECT pg_relation_size('plain') / 8192});
	cmp_ok(sql(q{SELECT pg_relation_size('by_job') / 8192}), '<=', 1.1 * $pages + 64, 'few pages more than without');
	sql(q{DELETE FROM by_job WHERE id <= 2000; VACUUM by_job; CREATE TABLE before AS SELECT pg_relation_size('by_job') / 8192 AS pages; CALL run_job('j')});
	cmp_ok(sql(q{SELECT pg_relation_size('by_job') / 8192 - pages FROM before}), '<=', 1.1 * $pages / 3 + 64, 'pages that are empty are filled again');
}

# So they are where rows take less room than they seem to, since their texts go elsewhere or are compressed, or more, since they cannot.
my %texts = (
	'compressed' => [ '', q{repeat('text ' || id, 500)} ],
	'stored elsewhere' => [ 'ALTER TABLE {t} ALTER t SET STORAGE EXTERNAL', q{repeat('text ' || id, 500)} ],
	'kept in place' => [ 'ALTER TABLE {t} ALTER t SET STORAGE PLAIN', q{repeat('x', 1000 + id)} ],
	'of many lengths' => [ '', q{repeat('x', id % 1500)} ]);
foreach my $name (sort keys %texts)
{
	my ($definition, $text) = @{ $texts{$name} };

	sql('DROP SCHEMA work CASCADE; CREATE SCHEMA work;' . join('', map { fill("CREATE TABLE {t} (id int, t text); $definition;", t => $_) } ('by_job', 'plain')));
	is(run_job("INSERT INTO {t} SELECT id, $text FROM source WHERE {in}", 'id', 'postgres', ''), $inserted, "texts $name: the plan");
	sql("SET batchagg.enabled = off; INSERT INTO plain SELECT id, $text FROM source");
	is(sql('SELECT count(*) FROM (TABLE by_job EXCEPT TABLE plain) d'), '0', 'all rows');
	my $pages = sql(q{SELECT pg_relation_size('plain') / 8192});
	cmp_ok(sql(q{SELECT pg_relation_size('by_job') / 8192}), '<=', 1.1 * $pages + 64, 'few pages more than without');
}

# Batches that fail do not lose pages that were empty.
sql(q{DROP SCHEMA work CASCADE; CREATE SCHEMA work; CREATE TABLE by_job (id int PRIMARY KEY, t text);
	INSERT INTO by_job SELECT -n, repeat('x', 200) FROM generate_series(1, 30000) n; INSERT INTO by_job SELECT n * 150, 'in the way' FROM generate_series(1, 20) n;
	DELETE FROM by_job WHERE id < 0; VACUUM by_job; CREATE TABLE before AS SELECT pg_relation_size('by_job') / 8192 AS pages});
is(run_job(q{INSERT INTO {t} SELECT id, repeat('x', 200) FROM source WHERE {in}}, 'id', 'postgres', ', max_skipped => 1000'), $inserted, 'keys are in the way: the plan');
is(sql('SELECT count(*), count(*) FILTER (WHERE t LIKE \'x%\') FROM by_job'), "$rows|" . ($rows - 20), 'all other rows');
cmp_ok(sql(q{SELECT pg_relation_size('by_job') / 8192 - pages FROM before}), '<=', 64, 'few new pages');

# Nor are others told of pages that a batch had, once VACUUM has cut them off: not by a batch of the same process that finds no row to store.
SKIP:
{
	skip 'pg_freespacemap is not installed', 4
	  unless sql(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_freespacemap'});
	sql(q{
		CREATE EXTENSION pg_freespacemap WITH SCHEMA public;
		DROP SCHEMA work CASCADE; CREATE SCHEMA work; CREATE TABLE by_job (id int CHECK (id <> 1400), t text); CREATE TABLE go_on ();
		CREATE FUNCTION slow(id int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN IF id = 1 THEN PERFORM pg_sleep(0.5); END IF; RETURN id < 1500; END';
		SELECT drop_job(name) FROM job});
	my $job = q{'j', 'source', 'INSERT INTO by_job SELECT id, repeat(''x'', 200) FROM source WHERE id BETWEEN $1 AND $2 AND slow(id)', key => 'id', batch_size => 1500,
		max_attempts => 1, throttle => '{"query": "SELECT EXISTS (SELECT FROM job_errors) AND NOT EXISTS (SELECT FROM go_on)"}'};
	like(($node->psql('postgres', "SELECT create_job($job, dry_run => true)"))[2], qr/BatchInsert/, 'a batch without rows: the plan');
	sql("SELECT create_job($job); SELECT start_job('j')");
	ok($node->poll_query_until('postgres', q{SELECT hold_reason IS NOT NULL AND batches_failed = 1 FROM job_status}), 'the first batch has failed, the second is still to come');
	sql('VACUUM by_job; INSERT INTO go_on DEFAULT VALUES');
	ok($node->poll_query_until('postgres', q{SELECT state = 'idle' AND batches_done = 1 FROM job_status}), 'the second is done');
	is(sql(q{SELECT pg_relation_size('by_job'), max(pg_freespace('by_job', block)) FROM generate_series(0, 100) block}), '0|0', 'no page is offered that is not there');
}

done_testing();
