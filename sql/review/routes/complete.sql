-- Notes how a review that is due went, and moves the schedule on.
--
-- remembered takes the next, longer interval, partial the same again, forgot the first. Both statements are one
-- transaction: the schedule moves and its history grows, or neither. FOR UPDATE makes a second answer to the same
-- review wait for the first, and then find it no longer due: 404, as for a content that is not the user's.
-- @http POST /api/review/complete/
-- @auth required
-- @param content_id bigint min=1
-- @param result text enum=remembered,partial,forgot
-- @param time_spent_seconds int default=null min=0 max=86400
-- @param notes text default=null maxlen=1000
-- @result row
INSERT INTO review.review_histories (user_id, content_id, result, step, time_spent_seconds, notes, reviewed_on)
SELECT s.user_id, s.content_id, :result, s.step, :time_spent_seconds, :notes, :today
FROM (SELECT user_id, content_id, step
      FROM review.review_schedules
      WHERE user_id = :auth.sub AND content_id = :content_id AND active AND due_on <= :today
      FOR UPDATE) AS s;
UPDATE review.review_schedules AS s
SET step = moved.step,
    due_on = :today::date + least(review.interval_days(moved.step), moved.max_interval_days),
    reviews = s.reviews + 1
FROM (SELECT d.id,
             CASE :result WHEN 'remembered' THEN least(d.step + 1, 7) WHEN 'partial' THEN d.step ELSE 0 END AS step,
             coalesce((SELECT max_interval_days FROM review.subscriptions WHERE user_id = :auth.sub), 14)
                 AS max_interval_days
      FROM review.review_schedules AS d
      WHERE d.user_id = :auth.sub AND d.content_id = :content_id AND d.active AND d.due_on <= :today) AS moved
WHERE s.id = moved.id
RETURNING s.content_id, s.step, s.due_on, s.reviews
