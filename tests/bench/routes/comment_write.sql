-- Comments a feed: as large as a like, with two tags to strike.
-- @http POST /bench/comments
-- @result row
INSERT INTO social.comments (feed_id, user_id, content) VALUES (:key, 1, :text) RETURNING id
