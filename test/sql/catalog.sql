-- What a person may call has a comment, and says how it may be used.
-- every object of the extension that somebody else may use
CREATE TEMP VIEW public_object AS
SELECT classid, objid, pg_describe_object(classid, objid, 0) AS object
FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'batchagg')
  AND deptype = 'e'
  AND CASE classid
        WHEN 'pg_proc'::regclass THEN has_function_privilege('public', objid, 'EXECUTE')
        WHEN 'pg_class'::regclass THEN has_table_privilege('public', objid, 'SELECT')
        WHEN 'pg_type'::regclass THEN -- arrays and row types follow their owners
          (SELECT typrelid = 0 AND typcategory <> 'A' FROM pg_type WHERE oid = objid)
        ELSE classid IN ('pg_operator'::regclass, 'pg_namespace'::regclass)
      END;

-- without a comment: none
SELECT object
FROM public_object
WHERE coalesce(obj_description(objid, classid::regclass::name), '') = ''
ORDER BY object COLLATE "C";

-- outside the extension's schema, but for casts: none
SELECT object
FROM public_object
JOIN pg_identify_object(classid, objid, 0) AS identity ON true
WHERE identity.schema <> 'batchagg'
ORDER BY object COLLATE "C";
