-- One user, kept for a moment only: most of its requests miss.
-- @http GET /short/{id}
-- @param id int min=1
-- @result row
-- @cache ttl=2s
SELECT u.id, u.username, u.display_name, u.profile_image, u.bio, u.created_at
FROM social.users AS u
WHERE u.id = :id
