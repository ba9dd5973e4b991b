-- Batches: a table cut into ranges of rows, and a query run once per range.

CREATE FUNCTION split_batches(relation regclass, batch_size bigint DEFAULT NULL)
RETURNS TABLE (relation regclass, batch bigint, first_tid tid, last_tid tid, row_count bigint)
AS 'MODULE_PATHNAME', 'batchagg_split_batches'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION split_batches(regclass, bigint) IS
'the batches of a table: ranges of ctid with batch_size visible rows each';

CREATE FUNCTION each_batch(
	query text,
	batch_size bigint DEFAULT NULL,
	workers int DEFAULT NULL,
	driving_table regclass DEFAULT NULL,
	params text[] DEFAULT NULL)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'batchagg_each_batch'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION each_batch(text, bigint, int, regclass, text[]) IS
'runs a query once for each batch of its driving table, by parallel workers; the first column is the batch';

CREATE FUNCTION each_batch_as(
	row_type anyelement,
	query text,
	batch_size bigint DEFAULT NULL,
	workers int DEFAULT NULL,
	driving_table regclass DEFAULT NULL,
	params text[] DEFAULT NULL)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'batchagg_each_batch_as'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION each_batch_as(anyelement, text, bigint, int, regclass, text[]) IS
'as each_batch, with the columns of a row type instead of a column definition list';

CREATE FUNCTION all_batches(
	query text,
	batch_size bigint DEFAULT NULL,
	workers int DEFAULT NULL,
	params text[] DEFAULT NULL)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'batchagg_all_batches'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION all_batches(text, bigint, int, text[]) IS
'runs a query once over all rows, by parallel workers';

CREATE FUNCTION all_batches_as(
	row_type anyelement,
	query text,
	batch_size bigint DEFAULT NULL,
	workers int DEFAULT NULL,
	params text[] DEFAULT NULL)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'batchagg_all_batches_as'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION all_batches_as(anyelement, text, bigint, int, text[]) IS
'as all_batches, with the columns of a row type instead of a column definition list';

CREATE FUNCTION explain_batches(
	query text,
	batch_size bigint DEFAULT NULL,
	driving_table regclass DEFAULT NULL,
	params text[] DEFAULT NULL)
RETURNS SETOF text
AS 'MODULE_PATHNAME', 'batchagg_explain_batches'
LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION explain_batches(text, bigint, regclass, text[]) IS
'how many batches each_batch would run, and the plan of one';

