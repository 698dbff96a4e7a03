-- What the signed-in user is to review today, of all categories or of one: the longest overdue first.
--
-- Due is what is active and due today (UTC) or before; the subscription says how many a day there may be. The day is
-- part of what the answer is kept under, so midnight needs no invalidation.
-- @http GET /api/review/today/
-- @auth required
-- @param category_slug text default=null maxlen=40
-- @result row
-- @cache ttl=1h
-- @depends review_schedules.user_id = :auth.sub
-- @depends contents.author_id = :auth.sub
-- @depends subscriptions.user_id = :auth.sub
SELECT coalesce(json_agg(row_to_json(due) ORDER BY due.due_on, due.content_id), '[]') AS results, count(due.id) AS count
FROM (SELECT s.id, s.content_id, c.title, c.content, c.category_slug, s.due_on, s.step, s.reviews
      FROM review.review_schedules AS s
      JOIN review.contents AS c ON c.id = s.content_id AND c.author_id = :auth.sub
      WHERE s.user_id = :auth.sub AND s.active AND s.due_on <= :today
        AND (coalesce(:category_slug::text, '') = '' OR c.category_slug = :category_slug)
      ORDER BY s.due_on, s.content_id
      LIMIT coalesce((SELECT daily_reviews FROM review.subscriptions WHERE user_id = :auth.sub), 20)) AS due
