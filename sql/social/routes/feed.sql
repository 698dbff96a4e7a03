-- One feed with its author and its like and comment counts.
-- @http GET /feeds/{id}
-- @param id bigint min=1
-- @result row
-- @cache ttl=300s negative=10s
-- @depends feeds.id = :id
-- @depends likes.feed_id = :id
-- @depends comments.feed_id = :id
-- @depends users.id = user_id
SELECT f.id, f.content, f.image, f.created_at,
       f.user_id, u.username, u.display_name, u.profile_image,
       (SELECT count(*) FROM social.likes AS l WHERE l.feed_id = f.id) AS like_count,
       (SELECT count(*) FROM social.comments AS c WHERE c.feed_id = f.id) AS comment_count
FROM social.feeds AS f
JOIN social.users AS u ON u.id = f.user_id
WHERE f.id = :id
