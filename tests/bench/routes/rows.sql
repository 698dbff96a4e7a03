-- Orders, as many as are asked for: the same hundred thousand again and again, under other numbers.
-- @http GET /bench/rows
-- @param rows int min=1 max=10000000
-- @stream csv filename=rows.csv
SELECT turn * 100000 + o.id AS id, o.customer, o.email, o.quantity, o.amount, o.due, o.created, o.discount
FROM generate_series(0, :rows / 100000) AS turn CROSS JOIN bench.orders AS o
LIMIT :rows
