-- Replaces one of the signed-in user's contents.
--
-- With If-Match and the entity tag that GET answered, only if nobody has changed it since; otherwise 412.
-- @http PUT /api/content/{id}/
-- @auth required
-- @param id bigint min=1
-- @param title text maxlen=200
-- @param content text maxlen=10000
-- @param category_slug text maxlen=40
-- @result row
-- @version version
UPDATE review.contents
SET title = :title, content = :content, category_slug = :category_slug, version = version + 1, updated_at = now()
WHERE id = :id AND author_id = :auth.sub AND version = coalesce(:version, version)
RETURNING id, title, content, category_slug, created_at, updated_at, version
