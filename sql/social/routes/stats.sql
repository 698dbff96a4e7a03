-- The likes, comments and views of one feed.
-- @http GET /stats
-- @param feed_id bigint min=1
-- @result row
-- @cache ttl=180s negative=10s
-- @depends feeds.id = :feed_id
-- @depends likes.feed_id = :feed_id
-- @depends comments.feed_id = :feed_id
-- @depends views.feed_id = :feed_id
SELECT f.id AS feed_id,
       (SELECT count(*) FROM social.likes AS l WHERE l.feed_id = f.id) AS likes,
       (SELECT count(*) FROM social.comments AS c WHERE c.feed_id = f.id) AS comments,
       f.views + (SELECT coalesce(sum(v.views), 0) FROM social.views AS v WHERE v.feed_id = f.id)::bigint AS views
FROM social.feeds AS f
WHERE f.id = :feed_id
