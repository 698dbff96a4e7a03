-- The people a user follows, the latest followed first.
--
-- An empty list for a user who follows nobody, and for one who does not exist. The LATERAL with its own LIMIT makes
-- PostgreSQL fetch each person by key, where for a long page it would rather read all users once.
-- @http GET /follows
-- @param user_id bigint min=1
-- @param limit int default=100 min=1 max=500
-- @param skip int default=0 min=0 max=10000
-- @cache ttl=300s
-- @depends follows.follower_id = :user_id
-- @depends users.id = id
SELECT u.id, u.username, u.display_name, u.profile_image, page.created_at AS followed_at
FROM (SELECT followee_id, created_at
      FROM social.follows
      WHERE follower_id = :user_id
      ORDER BY created_at DESC, followee_id DESC
      LIMIT :limit OFFSET :skip) AS page
CROSS JOIN LATERAL (SELECT id, username, display_name, profile_image
                    FROM social.users
                    WHERE id = page.followee_id
                    LIMIT 1) AS u
ORDER BY page.created_at DESC, page.followee_id DESC
