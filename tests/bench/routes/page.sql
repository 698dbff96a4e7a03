-- An answer that takes PostgreSQL a twentieth of a second and is kept for a quarter of a minute.
-- @http GET /pages/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=30s
-- @depends bench.pages.id = :id
SELECT p.id, p.version FROM bench.pages AS p, pg_sleep(0.05) WHERE p.id = :id
