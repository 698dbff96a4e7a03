-- The sections with the number of items in each.
--
-- The same for everyone and seldom changed: browsers and proxies may use it for an hour without asking.
-- @http GET /static-data
-- @cache ttl=1h
-- @control public, max-age=3600
-- @nginx ttl=1m
SELECT s.name,
       (SELECT count(*) FROM catalog.items AS i WHERE i.section = s.name) AS item_count
FROM catalog.sections AS s
ORDER BY s.name
