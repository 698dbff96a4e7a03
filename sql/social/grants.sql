-- What the routes need and no more; run by the tables' owner:  psql -v role=larder -f grants.sql

GRANT USAGE ON SCHEMA social TO :"role";
GRANT SELECT ON ALL TABLES IN SCHEMA social TO :"role";
GRANT INSERT (user_id, content, image) ON social.feeds TO :"role";
GRANT INSERT (feed_id, user_id) ON social.likes TO :"role";
GRANT INSERT (user_id, actor_id, kind, feed_id) ON social.notifications TO :"role";
GRANT UPDATE (display_name, bio, profile_image, version) ON social.users TO :"role";
GRANT INSERT, UPDATE (views) ON social.views TO :"role";
