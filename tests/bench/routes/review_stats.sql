-- How a user's reviews have gone.
-- @http GET /review/stats
-- @param user int min=1
-- @result row
-- @cache ttl=5m
-- @depends bench.histories.user_id = :user
SELECT count(*) AS reviews, count(DISTINCT reviewed) AS days, avg(result)::float8 AS mean,
       count(*) FILTER (WHERE result = 3) AS perfect
FROM bench.histories
WHERE user_id = :user
