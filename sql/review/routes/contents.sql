-- A page of the signed-in user's contents, the newest first, each with its schedule.
-- @http GET /api/content/
-- @auth required
-- @param page int default=1 min=1 max=1000
-- @result json
-- @cache ttl=10m
-- @depends contents.author_id = :auth.sub
-- @depends review_schedules.user_id = :auth.sub
-- @depends subscriptions.user_id = :auth.sub
SELECT json_build_object(
           'results', coalesce((SELECT json_agg(row_to_json(entry) ORDER BY entry.id DESC)
                                FROM (SELECT c.id, c.title, c.content, c.category_slug, c.created_at, c.updated_at,
                                             s.due_on, s.active,
                                             least(review.interval_days(s.step),
                                                   coalesce((SELECT max_interval_days FROM review.subscriptions
                                                             WHERE user_id = :auth.sub), 14)) AS interval_days
                                      FROM (SELECT id, title, content, category_slug, created_at, updated_at
                                            FROM review.contents
                                            WHERE author_id = :auth.sub
                                            ORDER BY id DESC
                                            LIMIT 10 OFFSET 10 * (:page::int - 1)) AS c
                                      LEFT JOIN review.review_schedules AS s
                                          ON s.user_id = :auth.sub AND s.content_id = c.id) AS entry), '[]'),
           'count', totals.count, 'page', :page::int, 'pages', (totals.count + 9) / 10)
FROM (SELECT count(*) AS count FROM review.contents WHERE author_id = :auth.sub) AS totals
