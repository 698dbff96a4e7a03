-- The categories that contents belong to, the same for everybody.
-- @http GET /api/categories/
-- @cache ttl=1h
-- @control public, max-age=60
-- @nginx ttl=1m
SELECT slug, name
FROM review.categories
ORDER BY slug
