-- The signed-in user likes a feed: answered at once, and made by a worker.
--
-- The answer is {"status":"processing"} and the Location of the job, which tells later what became of it. The like, the
-- author's notification and a NOTIFY to whoever sends notifications on are one transaction: all three once, however
-- often the worker is cut short, or none. Liking a feed again changes nothing and tells nobody. Where there is no such feed,
-- the job fails with 404.
-- @http POST /feeds/{id}/like
-- @auth required
-- @limit 600/min by=user
-- @param id bigint min=1
-- @result row
-- @async retries=5 timeout=10s
WITH liked AS (
    INSERT INTO social.likes (feed_id, user_id)
    SELECT f.id, :auth.sub::bigint FROM social.feeds AS f WHERE f.id = :id
    ON CONFLICT DO NOTHING
    RETURNING feed_id, user_id
), told AS (
    INSERT INTO social.notifications (user_id, actor_id, kind, feed_id)
    SELECT f.user_id, l.user_id, 'like', f.id
    FROM liked AS l JOIN social.feeds AS f ON f.id = l.feed_id
    WHERE f.user_id <> l.user_id
    RETURNING id, user_id, actor_id, kind, feed_id
)
SELECT pg_notify('social_notifications', row_to_json(told)::text) FROM told;
SELECT f.id AS feed_id, (SELECT count(*) FROM social.likes AS l WHERE l.feed_id = f.id) AS likes
FROM social.feeds AS f
WHERE f.id = :id
