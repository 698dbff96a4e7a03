-- How the signed-in user's reviews have gone: totals, success, the streak of days, and each category.
--
-- It looks as far back as the subscription says. The streak is the number of days in a row, up to today or yesterday,
-- on which there was a review.
-- @http GET /api/analytics/stats/
-- @auth required
-- @result row
-- @cache ttl=5m
-- @depends review_histories.user_id = :auth.sub
-- @depends review_schedules.user_id = :auth.sub
-- @depends contents.author_id = :auth.sub
-- @depends subscriptions.user_id = :auth.sub
WITH plan AS (
    SELECT coalesce(max(tier), 'free') AS tier, :today::date - coalesce(max(history_days), 30) AS since
    FROM review.subscriptions
    WHERE user_id = :auth.sub
), seen AS MATERIALIZED (
    SELECT h.content_id, h.result, h.time_spent_seconds, h.reviewed_on
    FROM review.review_histories AS h
    WHERE h.user_id = :auth.sub AND h.reviewed_on > (SELECT since FROM plan)
), days AS (
    SELECT reviewed_on, count(*) AS reviews,
           :today::date - reviewed_on - row_number() OVER (ORDER BY reviewed_on DESC) AS island
    FROM seen
    GROUP BY reviewed_on
), streaks AS (
    SELECT count(*) AS length, max(reviewed_on) AS last_on FROM days GROUP BY island
)
SELECT (SELECT tier FROM plan) AS tier,
       (SELECT since FROM plan) AS since,
       count(*) AS total_reviews,
       count(*) FILTER (WHERE seen.reviewed_on = :today) AS reviews_today,
       count(DISTINCT seen.content_id) AS contents_reviewed,
       count(*) FILTER (WHERE seen.result = 'remembered') AS remembered,
       count(*) FILTER (WHERE seen.result = 'partial') AS partial,
       count(*) FILTER (WHERE seen.result = 'forgot') AS forgot,
       round(100.0 * count(*) FILTER (WHERE seen.result = 'remembered') / nullif(count(*), 0), 1) AS success_rate,
       coalesce(sum(seen.time_spent_seconds), 0) AS time_spent_seconds,
       (SELECT coalesce(max(length) FILTER (WHERE last_on >= :today::date - 1), 0) FROM streaks) AS streak_days,
       (SELECT coalesce(max(length), 0) FROM streaks) AS longest_streak_days,
       (SELECT count(*) FROM review.review_schedules AS s
        WHERE s.user_id = :auth.sub AND s.active AND s.due_on <= :today) AS due_today,
       (SELECT coalesce(json_agg(row_to_json(daily) ORDER BY daily.date), '[]')
        FROM (SELECT reviewed_on AS date, reviews FROM days WHERE reviewed_on > :today::date - 14) AS daily)
           AS last_days,
       (SELECT coalesce(json_agg(row_to_json(part) ORDER BY part.slug), '[]')
        FROM (SELECT k.slug, k.name, count(*) AS reviews,
                     round(100.0 * count(*) FILTER (WHERE s.result = 'remembered') / count(*), 1) AS success_rate
              FROM seen AS s
              JOIN review.contents AS c ON c.id = s.content_id AND c.author_id = :auth.sub
              JOIN review.categories AS k ON k.slug = c.category_slug
              GROUP BY k.slug) AS part) AS by_category
FROM seen
