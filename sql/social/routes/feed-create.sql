-- A new feed of the signed-in user.
--
-- Every page of feeds that it moves, and its author's profile, are fresh in the very next answer; nothing here has to
-- name them.
-- @http POST /feeds
-- @auth required
-- @limit 60/min by=user
-- @param content text maxlen=2000
-- @param image text default=null maxlen=500
-- @result row
-- @location /feeds/{id}
INSERT INTO social.feeds (user_id, content, image)
VALUES (:auth.sub, :content, :image)
RETURNING id, user_id, content, image, created_at
