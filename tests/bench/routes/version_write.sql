-- Writes one row's version.
-- @http PUT /versions/{id}
-- @param id int min=1
-- @result row
UPDATE bench.versions SET version = :version WHERE id = :id RETURNING id, version
