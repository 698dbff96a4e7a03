-- The newest feeds with their authors and their like and comment counts.
--
-- The page is chosen first, from an index alone; only its rows are then joined and counted, each count by index.
-- So a page costs much the same however many likes there are, and however deep it lies.
-- @http GET /feeds
-- @param limit int default=20 min=1 max=100
-- @param skip int default=0 min=0 max=10000
-- @cache ttl=300s
-- @depends likes.feed_id = id
-- @depends comments.feed_id = id
-- @depends users.id = user_id
SELECT f.id, f.content, f.image, f.created_at,
       f.user_id, u.username, u.display_name, u.profile_image,
       (SELECT count(*) FROM social.likes AS l WHERE l.feed_id = f.id) AS like_count,
       (SELECT count(*) FROM social.comments AS c WHERE c.feed_id = f.id) AS comment_count
FROM (SELECT id
      FROM social.feeds
      ORDER BY created_at DESC, id DESC
      LIMIT :limit OFFSET :skip) AS page
JOIN social.feeds AS f ON f.id = page.id
JOIN social.users AS u ON u.id = f.user_id
ORDER BY f.created_at DESC, f.id DESC
