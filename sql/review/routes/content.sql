-- One of the signed-in user's contents.
--
-- Somebody else's is answered 404, as one that nobody wrote is.
-- @http GET /api/content/{id}/
-- @auth required
-- @param id bigint min=1
-- @result row
-- @cache ttl=10m
-- @version version
-- @depends contents.id = :id
SELECT c.id, c.title, c.content, c.category_slug, c.created_at, c.updated_at, c.version
FROM review.contents AS c
WHERE c.id = :id AND c.author_id = :auth.sub
