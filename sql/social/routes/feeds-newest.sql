-- The newest feeds page by page, each page as quick as the first.
--
-- The Link of an answer leads to the pages beside it, which feeds that are posted or go meanwhile do not move. Larder
-- puts order, place and size of the page around the statement, where the index feeds_newest serves them.
-- @http GET /feeds/newest
-- @page by="created_at desc, id desc"
-- @param limit int default=20 min=1 max=100
-- @cache ttl=300s
-- @depends likes.feed_id = id
-- @depends comments.feed_id = id
-- @depends users.id = user_id
SELECT f.id, f.content, f.image, f.created_at,
       f.user_id, u.username, u.display_name, u.profile_image,
       (SELECT count(*) FROM social.likes AS l WHERE l.feed_id = f.id) AS like_count,
       (SELECT count(*) FROM social.comments AS c WHERE c.feed_id = f.id) AS comment_count
FROM social.feeds AS f
JOIN social.users AS u ON u.id = f.user_id
