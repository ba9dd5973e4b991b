# Batches by a key that has an index: where they end is read off its leaf pages, and so is in
# which blocks a batch's rows are, which the command's plan may make use of. No row is lost or taken twice
# for keys of any type, whatever the index looks like, and what others do meanwhile; where the index may not be
# used SQL finds the ends. The oracle is a condition that is no range of the key for the planner, in
# the same statement and so of the same snapshot.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use BatchaggTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('index', q{
autovacuum = off
max_worker_processes = 8
batchagg.max_job_workers = 4
});

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Plans from here on are the engine's or core's, and with forced any but an index scan.
sub plans
{
	my ($engine, $forced) = @_;
	my $core = $forced ? 'off' : 'on';
	sql(qq{ALTER DATABASE postgres SET batchagg.enabled = $engine;
		ALTER DATABASE postgres SET batchagg.debug_force_engine = $engine;
		ALTER DATABASE postgres SET enable_indexscan = $core;
		ALTER DATABASE postgres SET enable_indexonlyscan = $core;
		ALTER DATABASE postgres SET enable_bitmapscan = $core;
		ALTER DATABASE postgres SET enable_seqscan = $core;});
}

# The plan of a command for the first batch.
sub plan_of
{
	my ($relation, $command, $options) = @_;
	$options //= '';
	my ($rc, $out, $err) = $node->psql('postgres',
		"SELECT create_job('plan', '$relation', \$job\$$command\$job\$, dry_run => true, batch_size => 100 $options)");
	is($rc, 0, "dry run of $command") or diag($err);
	return $err;
}

# Runs a job of batches of 100 rows, or as many as said, over a table (id, k) once, after something else, and asks what
# it left.
sub run_over
{
	my ($table, $command, $before, $question, $rows) = @_;
	$rows //= 100;
	return sql(qq{
		$before;
		TRUNCATE got;
		DO \$\$
		BEGIN
			PERFORM create_job('over', '$table', \$job\$$command\$job\$, key => 'k', null_command => 'SELECT', batch_size => $rows);
		END \$\$;
		CALL run_job('over');
		DO 'BEGIN PERFORM drop_job(''over''); END';
		$question});
}

my $count = q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE k BETWEEN $1 AND $2};
sql('CREATE TABLE got (n bigint, ids bigint)');

# Each type of key, with half the rows deleted and not vacuumed away: their entries count where the index is
# walked, ten batches, and do not where SQL finds the ends, five.
sql(q{
	CREATE DOMAIN small AS int CHECK (VALUE >= 0);
	CREATE TYPE pair AS (x int, y int);
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
});
my @tables = (
	# type, value of row n, index, whether it is walked
	['int', 'n', '(k)', 1],
	['bigint', '-n', '(k)', 1],
	['smallint', 'n', '(k)', 1],
	['numeric', 'n / 7.0', '(k)', 1],
	['float8', 'n / 7.0', '(k)', 1],
	['date', q{date '2001-01-01' + n}, '(k)', 1],
	['timestamptz', q{timestamptz '2001-01-01' + n * interval '7 hours'}, '(k)', 1],
	['uuid', 'md5(n::text)::uuid', '(k)', 1],
	['text', 'md5(n::text)', '(k)', 1],
	['text COLLATE "C"', 'chr(65 + n % 26) || n', '(k)', 1],
	['text COLLATE loose', q{CASE n % 2 WHEN 0 THEN 'KEY ' ELSE 'key ' END || n / 4}, '(k)', 1],
	['varchar(20)', 'md5(n::text)::varchar(20)', '(k)', 1],
	['char(40)', 'md5(n::text)', '(k)', 1],
	['bytea', 'decode(md5(n::text), $$hex$$)', '(k)', 1],
	['small', 'n', '(k)', 1],
	['pair', 'ROW(n / 10, nullif(n % 10, 3))::pair', '(k)', 1],
	['int[]', 'ARRAY[n / 10, n % 10]', '(k)', 1],
	['int4range', 'int4range(n, n + 5)', '(k)', 1],
	['int', 'n', '(k, id)', 1],
	['int', 'n', '(k) INCLUDE (id)', 1],
	['int', 'n', '(k NULLS FIRST)', 1],
	['int', 'CASE WHEN n % 10 > 0 THEN n END', '(k)', 1],
	['int', 'CASE WHEN n % 10 > 0 THEN n END', '(k NULLS FIRST)', 1],
	['int', 'n', '(k DESC)', 0],
	['int', 'n', '(k) WHERE id > 0', 0],
	['int', 'n', '((k + 0))', 0],
	['int', 'n', '(id, k)', 0],
	['text', 'md5(n::text)', '(k text_pattern_ops)', 0],
	['text', 'md5(n::text)', '(k COLLATE "POSIX")', 0],
	['name', 'n::text::name', '(k)', 0]);
my $engine = 'off';
for my $table (@tables)
{
	my ($type, $value, $index, $walked) = @$table;
	plans($engine, 1);
	sql(qq{DROP TABLE IF EXISTS t;
		CREATE TABLE t (id int, k $type);
		INSERT INTO t SELECT n, $value FROM generate_series(1, 1000) n;
		CREATE INDEX ON t $index;
		DELETE FROM t WHERE id % 2 = 0;});
	my $name = "$type as $value, index on $index, engine $engine";
	# one more batch where equal keys are not split, or an entry was found dead
	is(run_over('t', $count, '', q{
			SELECT n = rows, ids = total, batches > 7
			FROM (SELECT sum(n) AS n, sum(ids) AS ids, count(*) AS batches FROM got) AS batches,
				(SELECT count(k) AS rows, sum(id) FILTER (WHERE k IS DISTINCT FROM NULL) AS total FROM t) AS plain}),
		't|t|' . ($walked ? 't' : 'f'), "$name: each row once, the index is " . ($walked ? 'walked' : 'not walked'));
	$engine = $engine eq 'on' ? 'off' : 'on';
}

# Batches of many leaf pages, whatever is on these: entries of the shortest kind alone or others as well, in the order of
# their keys or not, with dead ones that are marked or not. A tenth of the rows lies far from their neighbours.
for my $table (
	['int', 'n'], ['bigint', 'n * 10000000000'], ['timestamptz', q{timestamptz '2001-01-01' + n * interval '7 hours'}], ['"char"', '(n / 10000)::text::"char"'],
	['int', 'n / 3'], ['uuid', q{lpad(n::text, 32, '0')::uuid}], ['text', q{'key ' || lpad(n::text, 10, '0')}])
{
	my ($type, $value) = @$table;
	my $order = 'CASE WHEN n % 10 = 3 THEN hashint4(n) ELSE n END';
	my $name = "$type as $value, many pages";
	sql(qq{DROP TABLE t;
		CREATE TABLE t (id int, k $type);
		INSERT INTO t SELECT n, $value FROM generate_series(1, 30000) n WHERE n % 4 < 2 ORDER BY $order;
		CREATE INDEX ON t (k);
		INSERT INTO t SELECT n, $value FROM generate_series(1, 30000) n WHERE n % 4 >= 2 ORDER BY $order;});
	for my $engine ('on', 'off')
	{
		plans($engine, 1);
		my ($exact, $batches) = split /\|/, run_over('t', $count, '', 'SELECT sum(n) = 30000 AND sum(ids) = 450015000, count(*) FROM got', 3000);
		is($exact, 't', "$name, engine $engine: each row once");
		is($batches, $type eq '"char"' ? 4 : 10, "$name, engine $engine: as many rows as asked for") if $value ne 'n / 3';
	}
	plans('off', 0);
	sql(q{DELETE FROM t WHERE id % 5 = 2; SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(id) FROM t WHERE k < (SELECT k FROM t WHERE id = 12000)});
	for my $engine ('on', 'off')
	{
		plans($engine, 1);
		is(run_over('t', $count, '', 'SELECT sum(n) = 24000 AND sum(ids) = (SELECT sum(id) FROM t) FROM got', 3000), 't',
			"$name, engine $engine, a fifth dead: each row once");
	}
}

# Equal keys in posting lists: none is split, and each batch has the rows that it should.
plans('off', 1);
sql(q{DROP TABLE t;
	CREATE TABLE t (id int, k int);
	INSERT INTO t SELECT n, n / 37 FROM generate_series(0, 9999) n;
	INSERT INTO t SELECT n, 300 FROM generate_series(10000, 14999) n;
	CREATE INDEX ON t (k);
	CREATE EXTENSION pageinspect;});
cmp_ok(sql(q{SELECT count(*) FROM bt_page_items('t_k_idx', 1) WHERE array_length(tids, 1) > 1}), '>', 3, 'there are posting lists');
is(run_over('t', q{INSERT INTO got SELECT count(*), count(DISTINCT k) FROM t WHERE k BETWEEN $1 AND $2}, '', 'SELECT sum(n) FROM got'),
	'15000', 'equal keys: each row once');
is(sql('SELECT sum(ids) FROM got'), sql('SELECT count(DISTINCT k) FROM t'), 'equal keys: none is split');
is(sql('SELECT n, count(*) FROM got GROUP BY n ORDER BY n'), "111|90\n5010|1", 'equal keys: three make a batch');

# A key twice as long as a page has room for three of is compressed in the index.
sql(q{CREATE TABLE long (id int, k text);
	INSERT INTO long SELECT n, repeat(to_char(n, '0000'), 1000) FROM generate_series(1, 500) n;
	CREATE INDEX ON long (k)});
is(run_over('long', $count =~ s/FROM t /FROM long /r, '', 'SELECT count(*), sum(n), sum(ids) FROM got'), '5|500|125250', 'long keys');

plans('off', 0);

# Purging: rows of a run before it, dead in the index, are in the way of none; no batch is empty.
sql(q{DROP TABLE t;
	CREATE TABLE t (id int, k int PRIMARY KEY);
	INSERT INTO t SELECT n, n FROM generate_series(1, 20000) n;
	DELETE FROM t WHERE id % 1000 > 0 AND id <= 10000});
sql(q{SELECT create_job('purge', 't', 'WITH gone AS (DELETE FROM t WHERE k BETWEEN $1 AND $2 RETURNING id)
	INSERT INTO got SELECT count(*), sum(id) FROM gone', batch_size => 100);
	TRUNCATE got; CALL run_job('purge')});
is(sql('SELECT sum(n), min(n) > 0, count(*) <= 200 FROM got'), '10010|t|t', 'purge: no batch is empty, and none is one too many');
sql(q{INSERT INTO t SELECT n, n FROM generate_series(500, 20000, 500) n;
	TRUNCATE got; CALL run_job('purge')});
is(sql('SELECT sum(n), min(n) > 0, count(*) <= 41 FROM got'), '40|t|t', 'purge again: the same');
is(sql('SELECT count(*) FROM t'), '0', 'purge: nothing is left');

# What is planned with the blocks, and what is not: only what reads the job's table, at that place.
sql(q{DROP TABLE t;
	CREATE TABLE t (id int, k int PRIMARY KEY, x int);
	INSERT INTO t SELECT n, n, n % 10 FROM generate_series(1, 1000) n;
	CREATE TABLE other (id int, x int);
	INSERT INTO other SELECT n, n FROM generate_series(1, 1000) n;
	CREATE FUNCTION inside(int, int) RETURNS bigint LANGUAGE sql VOLATILE
		RETURN (SELECT count(*) FROM t WHERE k BETWEEN $1 AND $2);
	CREATE FUNCTION lowest() RETURNS int LANGUAGE plpgsql IMMUTABLE
		AS 'BEGIN RETURN (SELECT min(x) FROM t WHERE k BETWEEN 1 AND 100); END';
	CREATE VIEW seen AS SELECT * FROM t;
	CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM t WHERE x > 2;
	CREATE TABLE target (n bigint, other bigint);
	CREATE UNIQUE INDEX ON target (n);});
my $blocks = qr/ctid >= \$3\) AND \(ctid <= \$4|TID Cond: \(\(ctid >= \$3/;
my @commands = (
	# whether, and the command; a colon marks what (k + 0) takes the place of where blocks are not wanted
	[1, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE :k BETWEEN $1 AND $2}],
	[1, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE $2 >= :k AND x < 5 AND $1 <= :k}],
	[1, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE :k > $1 AND :k < $2::bigint}],
	[1, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE :k BETWEEN $1 AND $2 AND x > lowest()}],
	[1, q{INSERT INTO got SELECT count(*), sum(id) FROM seen WHERE :k BETWEEN $1 AND $2}],
	[1, q{INSERT INTO got SELECT count(*), sum(id) FROM guarded WHERE :k BETWEEN $1 AND $2}],
	[1, q{INSERT INTO got SELECT count(*), sum(a.id) FROM t a JOIN t b USING (k) WHERE :a.k BETWEEN $1 AND $2 AND :b.k BETWEEN $1 AND $2}],
	[1, q{INSERT INTO got SELECT count(*), sum(a.id) FROM t a JOIN t b ON b.k = a.k - 50 WHERE :a.k BETWEEN $1 AND $2}],
	[1, q{INSERT INTO got SELECT count(*), sum(b.id) FROM other a LEFT JOIN t b ON b.k = a.id AND :b.k BETWEEN $1 AND $2}],
	[1, q{INSERT INTO got SELECT count(*), sum(b.id) FROM t a LEFT JOIN other b USING (id) WHERE :a.k BETWEEN $1 AND $2}],
	[1, q{WITH a AS MATERIALIZED (SELECT * FROM t WHERE :k BETWEEN $1 AND $2) INSERT INTO got SELECT count(*), sum(id) FROM a}],
	[1, q{INSERT INTO got SELECT count(*), sum(id) FROM other WHERE id IN (SELECT k FROM t WHERE :k BETWEEN $1 AND $2)}],
	[1, q{INSERT INTO got SELECT (SELECT min(k) FROM t WHERE :k BETWEEN $1 AND $2 AND x = 3), inside($1, $2)}],
	[1, q{INSERT INTO target SELECT k, x FROM t WHERE :k BETWEEN $1 AND $2 ON CONFLICT (n) DO UPDATE SET other = target.other + excluded.other}],
	[1, q{UPDATE other SET x = other.x + 1 FROM t WHERE t.k = other.id AND :t.k BETWEEN $1 AND $2}],
	[0, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE k BETWEEN $1 AND $2 OR x = 3}],
	[0, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE NOT k BETWEEN $1 AND $2}],
	[0, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE k BETWEEN $1 - 1 AND $2}],
	[0, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE k >= $1 AND id <= $2}],
	[0, q{INSERT INTO got SELECT count(*), sum(id) FROM t WHERE id BETWEEN $1 AND $2}],
	[0, q{INSERT INTO got SELECT count(b.k), sum(a.id) FROM other a LEFT JOIN t b ON b.x = a.x AND a.id BETWEEN $1 AND $2}],
	[0, q{INSERT INTO got SELECT inside($1, $2), 0}],
	[0, q{WITH a AS (SELECT id FROM t WHERE k BETWEEN $1 AND $2 FOR UPDATE) INSERT INTO got SELECT count(*), sum(id) FROM a}],
	[0, q{UPDATE t SET x = x + 1 WHERE k BETWEEN $1 AND $2}],
	[0, q{WITH gone AS (DELETE FROM t WHERE k BETWEEN $1 AND $2 RETURNING 1) INSERT INTO got SELECT count(*), 0 FROM gone}]);
for my $engine ('off', 'on')
{
	plans($engine, 1);
	for (@commands)
	{
		my ($has, $command) = @$_;
		(my $plain = $command) =~ s/:((?:\w\.)?k)\b/($1 + 0)/g;
		$command =~ s/:((?:\w\.)?k)\b/$1/g;
		my $plan = plan_of('t', $command);
		is($plan =~ $blocks ? 1 : 0, $has, 'planned ' . ($has ? 'with blocks: ' : 'without: ') . $command) or diag($plan);
		next if !$has;
		unlike(plan_of('t', $plain), $blocks, 'the other one without');
		my @answers = map {
			run_over('t', $_, 'TRUNCATE target; UPDATE other SET x = id',
				q{SELECT 'got', n, ids FROM got UNION ALL SELECT 'target', * FROM target UNION ALL SELECT 'other', * FROM other ORDER BY 1, 2, 3});
		} ($command, $plain);
		is($answers[0], $answers[1], "engine $engine: and its effect is the same");
	}
}
is(sql('SELECT count(*), sum(id) FROM t'), '1000|500500', 'dry runs and counting changed nothing');
unlike(plan_of('t', q{INSERT INTO got SELECT count(*), 0 FROM t WHERE ctid BETWEEN $1 AND $2}, q{, key => 'ctid'}), $blocks,
	'a job by ctid has no use for it');

# Rows that were updated in place are where their first version was; a serializable transaction
# goes without; so does who may not see every row, from whom bounds must hide the others.
plans('off', 1);
sql(q{ALTER TABLE t SET (fillfactor = 50); VACUUM FULL t; UPDATE t SET x = x + 1; UPDATE t SET x = x + 1 WHERE id % 3 = 0;});
is(run_over('t', $count, '', 'SELECT count(*), sum(n), sum(ids) FROM got'), '10|1000|500500', 'updated in place');
like(plan_of('t', $count), $blocks, 'the same table otherwise');
unlike(
	do
	{
		my ($rc, $out, $err) = $node->psql('postgres',
			"BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT create_job('plan', 't', \$job\$$count\$job\$, dry_run => true)");
		is($rc, 0, 'dry run');
		$err;
	},
	$blocks,
	'serializable');
sql(q{CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA batchagg TO clerk;
	GRANT SELECT ON t TO clerk; GRANT INSERT, TRUNCATE ON got TO clerk;
	ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY even ON t TO clerk USING (k % 2 = 0)});
sql(qq{TRUNCATE got; SET ROLE clerk;
	SELECT create_job('clerks', 't', \$job\$$count\$job\$, batch_size => 100);
	CALL run_job('clerks')});
is(sql('SELECT sum(n), sum(ids) FROM got'), '500|250500', 'row security: the rows that the role may see');
is(sql(q{SELECT count(*) FROM batchagg.task JOIN batchagg.run ON run.id = run_id JOIN batchagg.job ON job.id = job_id
		WHERE name = 'clerks' AND (first_key::int % 2 <> 0 OR last_key::int % 2 <> 0)}), '0', 'row security: no bound is a key that it may not see');
sql(q{ALTER TABLE t DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON t FROM clerk; GRANT SELECT (k, id) ON t TO clerk; TRUNCATE got;
	SET ROLE clerk; CALL run_job('clerks')});
is(sql('SELECT sum(n), sum(ids) FROM got'), '1000|500500', 'privileges on columns');

# A table that the command had to wait for is seen as it is then, named by it or found by planning.
sql(q{CREATE TABLE parts (id int) PARTITION BY RANGE (id);
	CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (1001);
	INSERT INTO part SELECT generate_series(1, 1000)});
for (['other', 'other'], ['parts', 'part'])
{
	my ($read, $rewritten) = @$_;

	# creating a job waits as well
	sql("SELECT create_job('$read', 't', batch_size => 100, command =>
		'INSERT INTO got SELECT count(*), sum(id) FROM t JOIN $read USING (id) WHERE k BETWEEN \$1 AND \$2')");
	my $session = start_psql($node, qq{
		DO \$\$
		BEGIN
			TRUNCATE $rewritten;
			INSERT INTO $rewritten (id) SELECT generate_series(1, 1000);
			FOR i IN 1 .. 6000 LOOP
				PERFORM pg_sleep(0.01);
				EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE relation = '$rewritten'::regclass AND NOT granted);
			END LOOP;
		END \$\$});
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = '$rewritten'::regclass AND mode = 'AccessExclusiveLock')"),
		"$rewritten is being rewritten");
	is(sql("TRUNCATE got; CALL run_job('$read'); SELECT sum(n), sum(ids) FROM got"), '1000|500500', "$rewritten is seen as it was left");
	is((finish_psql($session))[0], 'none', 'the other session');
}

# One plan does for many batches, until what it was made for has changed: the table or its index, where rows are,
# who may read them, how large batches are, what becomes of the command's rows. Each tenth batch waits at a gate
# until the next change is made or waits for the batch.
sql(q{CREATE TABLE u (id int, k int, x int);
	INSERT INTO u SELECT n, n, 0 FROM generate_series(1, 20000) n;
	CREATE INDEX u_k ON u (k);
	CREATE TABLE met (id int);
	CREATE TABLE met_too (id int);
	GRANT SELECT ON u TO clerk;
	GRANT SELECT, INSERT, DELETE ON met, met_too TO clerk;
	CREATE TABLE changes (name text);
	CREATE SEQUENCE batch;
	CREATE FUNCTION gate() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('batch') % 10 = 0 THEN
			PERFORM pg_advisory_xact_lock_shared(1);
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER gate AFTER INSERT ON met FOR EACH STATEMENT EXECUTE FUNCTION gate();
	SET ROLE clerk;
	SELECT create_job('kept', 'u', key => 'k', batch_size => 20, before_command => 'DELETE FROM met',
		command => 'INSERT INTO met SELECT id FROM u WHERE k BETWEEN $1 AND $2', null_command => 'SELECT')});
for my $engine ('off', 'on')
{
	plans($engine, 1);
	sql('SELECT setval($$batch$$, 1)');
	my $gate = $node->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	sql(q{SET ROLE clerk; SELECT start_job('kept')});
	for my $change (
		'DROP INDEX u_k',
		'CREATE INDEX u_k ON u (k)',
		'UPDATE u SET x = x + 1 WHERE k % 50 = 0',
		'ALTER TABLE u ADD y int DEFAULT 7',
		'VACUUM FULL u',
		'REVOKE SELECT ON u FROM clerk; GRANT SELECT (id, k) ON u TO clerk',
		'GRANT SELECT ON u TO clerk',
		q{CREATE RULE too AS ON INSERT TO met DO ALSO INSERT INTO met_too VALUES (NEW.id)},
		'DROP RULE too ON met',
		q{SELECT alter_job('kept', batch_size => 200)},
		'DROP TRIGGER gate ON met')
	{
		ok($node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND NOT granted)}),
			"engine $engine: a batch waits before $change");
		my $session = start_psql($node, q{SET application_name = 'change'}, split(/; /, $change), "INSERT INTO changes VALUES (\$\$$change\$\$)");
		ok($node->poll_query_until('postgres', qq{SELECT EXISTS (SELECT FROM changes WHERE name = \$\$$change\$\$)
				OR EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'change' AND wait_event_type = 'Lock')}),
			"engine $engine: it is made, or waits for the batch");
		# who waits for the lock gets it, and keeps it until the end of the batch
		$gate->query_safe('SELECT pg_advisory_unlock(1)');
		$gate->query_safe('SELECT pg_advisory_lock(1)');
		is((finish_psql($session))[0], 'none', "engine $engine: $change");
	}
	$gate->quit;
	ok($node->poll_query_until('postgres', q{SELECT status = 'done' FROM batchagg.run ORDER BY id DESC LIMIT 1}), "engine $engine: done");
	is(sql('SELECT count(*), count(DISTINCT id), sum(id) FROM met'), '20000|20000|200010000', "engine $engine: each row once");
	is(sql('WITH too AS (DELETE FROM met_too RETURNING id) SELECT count(*) >= 200, count(*) = count(DISTINCT id) FROM too'), 't|t',
		"engine $engine: with both queries that a rule made");
	sql(q{TRUNCATE changes; ALTER TABLE u DROP y; SELECT alter_job('kept', batch_size => 20);
		CREATE TRIGGER gate AFTER INSERT ON met FOR EACH STATEMENT EXECUTE FUNCTION gate()});
}

# Rules may leave nothing of a command that is planned.
plans('off', 0);
for my $action ('NOTHING', 'NOTIFY met')
{
	sql("CREATE RULE instead AS ON INSERT TO met DO INSTEAD $action");
	is(sql(q{CALL run_job('kept'); SELECT status FROM batchagg.run ORDER BY id DESC LIMIT 1}), 'done', "instead: $action");
	is(sql('SELECT count(*) FROM met'), '0', 'nothing is done');
	sql('DROP RULE instead ON met');
}

# What others do meanwhile: keys that come, go and move, pages that split. Each batch compares itself with the same rows found
# without the index, and what nobody touches is counted once.
sql(q{CREATE TABLE busy (id int, k int PRIMARY KEY, x int) WITH (fillfactor = 90);
	INSERT INTO busy SELECT n, 10 * n, 0 FROM generate_series(1, 3000) n;
	CREATE TABLE compared (first int, last int, n bigint, ids bigint, plain_n bigint, plain_ids bigint, untouched bigint);
	CREATE TABLE stop ();
	SELECT create_job('busy', 'busy', batch_size => 300, workers => 2, command => 'INSERT INTO compared
		SELECT $1, $2, a.n, a.ids, b.n, b.ids, a.untouched
		FROM (SELECT count(*) AS n, sum(id) AS ids, count(*) FILTER (WHERE k % 100 = 0) AS untouched FROM busy WHERE k BETWEEN $1 AND $2) a,
			(SELECT count(*) AS n, sum(id) AS ids FROM busy WHERE k + 0 BETWEEN $1 AND $2) b');});
my @sessions;
for my $session (0, 1)
{
	push @sessions, start_psql($node, qq{
		DO \$\$
		DECLARE
			i int;
		BEGIN
			FOR round IN 1 .. 1000000 LOOP
				i := 1 + 10 * (2 * (random() * 1498)::int + $session);
				CASE round % 6
					WHEN 0 THEN INSERT INTO busy SELECT 100000 + n, i + n, 0 FROM generate_series(0, 8) n ON CONFLICT DO NOTHING;
					WHEN 1 THEN DELETE FROM busy WHERE k BETWEEN i AND i + 8;
					WHEN 2 THEN UPDATE busy SET x = x + 1 WHERE k BETWEEN i - 1 AND i + 8;
					WHEN 3 THEN UPDATE busy SET k = i + 5 WHERE k = (SELECT min(k) FROM busy WHERE k > i AND k % 10 > 0)
						AND NOT EXISTS (SELECT FROM busy WHERE k = i + 5);
					WHEN 4 THEN INSERT INTO busy VALUES (1, i + 3, 0) ON CONFLICT DO NOTHING; ROLLBACK;
					ELSE NULL;
				END CASE;
				COMMIT;
				EXIT WHEN EXISTS (SELECT FROM stop);
			END LOOP;
		END \$\$});
}
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE query ~ 'round' AND pid <> pg_backend_pid()}), 'two write');
my $runs = 0;
for my $engine ('off', 'on')
{
	plans($engine, 1);
	for (1 .. 4)
	{
		sql('TRUNCATE compared');
		sql(q{CALL run_job('busy')});
		$runs++ if sql(q{SELECT count(*) >= 10 AND sum(untouched) = 300
			AND count(*) FILTER (WHERE n <> plain_n OR ids <> plain_ids) = 0 FROM compared}) eq 't';
		diag(sql('SELECT * FROM compared WHERE n <> plain_n OR ids <> plain_ids')) if $runs == 0;
		sql('VACUUM busy');
	}
}
sql('INSERT INTO stop DEFAULT VALUES');
is((finish_psql($_))[0], 'none', 'a session that writes') for @sessions;
is($runs, 8, 'beside writers: each batch has all rows of its snapshot');
cmp_ok(sql(q{SELECT n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'busy'}), '>', 1000, 'which they did');
no_process_left($node, 'at the end');

done_testing();
