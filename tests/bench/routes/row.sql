-- One row, asked of the database each time.
-- @http GET /bench/row/{id}
-- @param id int min=1
-- @result row
SELECT id, version FROM bench.pages WHERE id = :id
