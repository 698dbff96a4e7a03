-- The maintainers of the most items, with their addresses and numbers of items.
--
-- For the reader alone: no proxy may keep it, and a browser asks each time whether its copy still holds.
-- @http GET /private-data
-- @param limit int default=50 min=1 max=500
-- @cache ttl=5m
-- @control private, no-cache
SELECT m.id, m.name, m.email, counts.item_count
FROM (SELECT maintainer_id, count(*) AS item_count
      FROM catalog.items
      GROUP BY maintainer_id
      ORDER BY item_count DESC, maintainer_id
      LIMIT :limit) AS counts
JOIN catalog.maintainers AS m ON m.id = counts.maintainer_id
ORDER BY counts.item_count DESC, m.id
