-- A new content of the signed-in user, to be reviewed for the first time tomorrow.
-- @http POST /api/content/
-- @auth required
-- @limit 60/min by=user
-- @param title text maxlen=200
-- @param content text maxlen=10000
-- @param category_slug text maxlen=40
-- @result row
-- @location /api/content/{id}/
WITH made AS (
    INSERT INTO review.contents (author_id, category_slug, title, content)
    VALUES (:auth.sub, :category_slug, :title, :content)
    RETURNING id, author_id, title, content, category_slug, created_at, updated_at, version
), scheduled AS (
    INSERT INTO review.review_schedules (user_id, content_id, due_on)
    SELECT author_id, id, :today::date + review.interval_days(0) FROM made
    RETURNING due_on
)
SELECT made.id, made.title, made.content, made.category_slug, made.created_at, made.updated_at, made.version,
       scheduled.due_on
FROM made, scheduled
