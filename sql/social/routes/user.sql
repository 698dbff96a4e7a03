-- A user's profile with the numbers of their feeds, followers and the people they follow.
--
-- An unknown id is answered with 404; that answer is kept for a shorter time, since the user may yet sign up.
-- @http GET /users/{id}
-- @param id bigint min=1
-- @result row
-- @cache ttl=600s negative=10s
-- @version version
-- @depends users.id = :id
-- @depends feeds.user_id = :id
-- @depends follows.followee_id = :id
-- @depends follows.follower_id = :id
SELECT u.id, u.username, u.display_name, u.profile_image, u.bio, u.created_at, u.version,
       (SELECT count(*) FROM social.feeds AS f WHERE f.user_id = u.id) AS feed_count,
       (SELECT count(*) FROM social.follows AS f WHERE f.followee_id = u.id) AS follower_count,
       (SELECT count(*) FROM social.follows AS f WHERE f.follower_id = u.id) AS following_count
FROM social.users AS u
WHERE u.id = :id
