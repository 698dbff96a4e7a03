-- What a user is to review.
-- @http GET /review/today
-- @param user int min=1
-- @param category text default=null maxlen=40
-- @cache ttl=1h
-- @depends bench.schedules.user_id = :user and category = :category
-- @depends bench.contents.user_id = :user and category = :category
SELECT c.id, c.category, c.title, s.due, s.step
FROM bench.schedules AS s
JOIN bench.contents AS c ON c.id = s.content_id
WHERE s.user_id = :user AND c.user_id = :user AND s.active AND s.due <= date '2026-01-06'
  AND (:category::text IS NULL OR s.category = :category AND c.category = :category)
ORDER BY s.due, c.id
