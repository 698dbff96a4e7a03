-- An answer that takes PostgreSQL a fifth of a second.
-- @http GET /slow/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=600s
-- @depends bench.pages.id = :id
SELECT p.id, p.version FROM bench.pages AS p, pg_sleep(0.2) WHERE p.id = :id
