-- Gives the signed-in user another tier. What it allows shows in the very next answers.
-- @http PUT /api/subscription/
-- @auth required
-- @param tier text enum=free,basic,premium
-- @result row
INSERT INTO review.subscriptions (user_id, tier)
VALUES (:auth.sub, :tier)
ON CONFLICT (user_id) DO UPDATE SET tier = excluded.tier, changed_at = now()
RETURNING tier, daily_reviews, max_interval_days, history_days, changed_at
