-- A page of a user's contents, the newest first.
-- @http GET /review/content
-- @param user int min=1
-- @param page int default=1 min=1 max=1000
-- @cache ttl=10m
-- @depends bench.contents.user_id = :user
-- @depends bench.contents.id = id for category, title, body
SELECT id, category, title, body
FROM bench.contents
WHERE user_id = :user
ORDER BY id DESC
LIMIT 10 OFFSET 10 * (:page - 1)
