-- batchagg: what CREATE EXTENSION installs. The numbered parts of sql/ are
-- concatenated by make, one layer of the code a part.
\echo Use "CREATE EXTENSION batchagg" to load this file. \quit

