-- The same, over its limit after the first few requests.
-- @http GET /limited/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=300s
-- @limit 10/day by=ip
SELECT u.id, u.username, u.display_name, u.profile_image, u.bio, u.created_at
FROM social.users AS u
WHERE u.id = :id
