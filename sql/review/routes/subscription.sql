-- The signed-in user's subscription and what it allows.
-- @http GET /api/subscription/
-- @auth required
-- @result row
-- @cache ttl=10m
-- @depends subscriptions.user_id = :auth.sub
SELECT tier, daily_reviews, max_interval_days, history_days, changed_at
FROM review.subscriptions
WHERE user_id = :auth.sub
