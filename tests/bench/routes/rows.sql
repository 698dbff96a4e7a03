-- Rows of a made-up table, as many as are asked for.
-- @http GET /bench/rows
-- @param rows int min=1 max=10000000
-- @stream csv filename=rows.csv
SELECT n AS id, 'Row number ' || n AS name, n % 1000 AS amount, date '2026-01-01' + n % 365 AS day
FROM (SELECT generate_series(1, :rows) AS n) AS numbers
