-- The same, which nginx keeps as well.
-- @http GET /public/versions/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=300s
-- @depends bench.versions.id = :id
-- @control public, no-cache
-- @nginx ttl=60s
SELECT id, version FROM bench.versions WHERE id = :id
