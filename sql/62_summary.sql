-- Summaries: queries whose answers jobs keep up to date.

CREATE TABLE summary (
	job_id bigint PRIMARY KEY,
	query text NOT NULL,                 -- as given; what runs is in the job
	view regclass NOT NULL,              -- its columns, finalized
	state regclass NOT NULL,             -- a row for each group in each pass
	pass regclass NOT NULL               -- which pass is shown, and which is filled
);
-- as for jobs: one that has lost any of these is no summary where it is restored
SELECT pg_catalog.pg_extension_config_dump('summary', $$
	WHERE view::oid IN (SELECT oid FROM pg_class) AND state::oid IN (SELECT oid FROM pg_class)
	AND pass::oid IN (SELECT oid FROM pg_class) AND job_id IN (
		SELECT id FROM batchagg.job
		WHERE owner::oid IN (SELECT oid FROM pg_roles) AND relation::oid IN (SELECT oid FROM pg_class))$$);

CREATE FUNCTION create_summary(
	name text,
	query text,
	key name DEFAULT NULL,
	batch_size bigint DEFAULT NULL,
	mode text DEFAULT 'incremental',
	workers int DEFAULT 1,
	target_time interval DEFAULT NULL,
	min_batch_size bigint DEFAULT 1,
	max_batch_size bigint DEFAULT 100000000,
	statement_timeout interval DEFAULT NULL,
	lock_timeout interval DEFAULT NULL,
	max_attempts int DEFAULT 5,
	retry_delay interval DEFAULT '1 second',
	max_skipped bigint DEFAULT 0,
	throttle jsonb DEFAULT NULL,
	schedule text DEFAULT NULL,
	dry_run boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'batchagg_create_summary'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION create_summary(text, text, name, bigint, text, int, interval, bigint, bigint, interval, interval, int, interval, bigint, jsonb, text, boolean) IS
'keeps the answer of a grouped query in a view of that name, by a job; returns the number of the job, or NULL after a dry run';
