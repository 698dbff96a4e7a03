-- A page of the signed-in user's contents, the newest first, each with its schedule.
-- @http GET /api/content/
-- @auth required
-- @param page int default=1 min=1 max=1000
-- @result row
-- @cache ttl=10m
-- @depends contents.author_id = :auth.sub
-- @depends review_schedules.user_id = :auth.sub
-- @depends subscriptions.user_id = :auth.sub
SELECT (SELECT coalesce(json_agg(row_to_json(entry) ORDER BY entry.id DESC), '[]')
        FROM (SELECT c.id, c.title, c.content, c.category_slug, c.created_at, c.updated_at, s.due_on, s.active,
                     least(review.interval_days(s.step), plan.max_interval_days) AS interval_days
              FROM (SELECT id, title, content, category_slug, created_at, updated_at
                    FROM review.contents
                    WHERE author_id = :auth.sub
                    ORDER BY id DESC
                    LIMIT 10 OFFSET 10 * (:page::int - 1)) AS c
              LEFT JOIN review.review_schedules AS s ON s.user_id = :auth.sub AND s.content_id = c.id) AS entry)
           AS results,
       totals.count, :page::int AS page, (totals.count + 9) / 10 AS pages
FROM (SELECT count(*) AS count FROM review.contents WHERE author_id = :auth.sub) AS totals,
     (SELECT coalesce(max(max_interval_days), 14) AS max_interval_days
      FROM review.subscriptions
      WHERE user_id = :auth.sub) AS plan
