-- The same, counted.
-- @http GET /counted/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=300s
-- @limit 100000000/s by=ip
SELECT u.id, u.username, u.display_name, u.profile_image, u.bio, u.created_at
FROM social.users AS u
WHERE u.id = :id
