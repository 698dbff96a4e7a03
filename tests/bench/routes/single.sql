-- The only answer that depends on its table.
-- @http GET /single/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=600s
SELECT id, version FROM bench.single WHERE id = :id
