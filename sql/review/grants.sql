-- What the routes need and no more; run by the tables' owner:  psql -v role=larder -f grants.sql

GRANT USAGE ON SCHEMA review TO :"role";
GRANT SELECT ON ALL TABLES IN SCHEMA review TO :"role";
GRANT INSERT (author_id, category_slug, title, content) ON review.contents TO :"role";
GRANT UPDATE (category_slug, title, content, version, updated_at) ON review.contents TO :"role";
GRANT INSERT (user_id, content_id, due_on) ON review.review_schedules TO :"role";
GRANT UPDATE (step, due_on, reviews) ON review.review_schedules TO :"role";
GRANT INSERT (user_id, content_id, result, step, time_spent_seconds, notes, reviewed_on)
    ON review.review_histories TO :"role";
GRANT INSERT (user_id, tier), UPDATE (tier, changed_at) ON review.subscriptions TO :"role";
