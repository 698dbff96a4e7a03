-- Gives the signed-in user another profile, whole; nobody can change anybody else's.
--
-- With If-Match and the entity tag of the profile, only if nobody has changed it since; otherwise 412.
-- @http PUT /users/{id}
-- @auth required
-- @param id bigint min=1
-- @param display_name text maxlen=80
-- @param bio text default="" maxlen=500
-- @param profile_image text default=null maxlen=500
-- @result row
-- @version version
UPDATE social.users
SET display_name = :display_name, bio = :bio, profile_image = :profile_image, version = version + 1
WHERE id = :id AND id = :auth.sub AND version = coalesce(:version, version)
RETURNING id, username, display_name, profile_image, bio, created_at, version
