-- One row whose version counts its writes.
-- @http GET /versions/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=300s
-- @depends bench.versions.id = :id
SELECT id, version FROM bench.versions WHERE id = :id
