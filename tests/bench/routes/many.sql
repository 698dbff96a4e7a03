-- One of many rows; every answer depends on the whole table.
-- @http GET /many/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=600s
SELECT id, version FROM bench.many WHERE id = :id
