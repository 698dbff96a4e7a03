-- Counts a look at a feed.
--
-- Answered before it is counted: looks are many, each is cheap to lose sight of for a moment, and hundreds of them make
-- one transaction. A feed that nobody wrote is not counted.
-- @http POST /feeds/{id}/view
-- @param id bigint min=1
-- @behind batch=500 every=200ms bound=50000
-- @result none
INSERT INTO social.views (feed_id, day, views)
SELECT id, :today, 1 FROM social.feeds WHERE id = :id
ON CONFLICT (feed_id, day) DO UPDATE SET views = views.views + 1
