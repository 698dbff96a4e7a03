-- The items in the order of their names: all of them, those of a section, those that a search finds.
--
-- q is what one types into a search box, looked for in names and summaries: words must all be found, in any form;
-- "quoted words" side by side; or between two of them asks for either; a - before one excludes it.
-- @http GET /items
-- @param q text default=null maxlen=200
-- @param section text default=null maxlen=60
-- @param limit int default=20 min=1 max=100
-- @param skip int default=0 min=0 max=10000
-- @cache ttl=5m
SELECT i.id, i.name, i.summary, i.section, m.name AS maintainer
FROM (SELECT id, name, summary, section, maintainer_id
      FROM catalog.items
      WHERE (coalesce(:q::text, '') = '' OR search @@ websearch_to_tsquery('english', :q))
        AND (coalesce(:section::text, '') = '' OR section = :section)
      ORDER BY name
      LIMIT :limit OFFSET :skip) AS i
JOIN catalog.maintainers AS m ON m.id = i.maintainer_id
ORDER BY i.name
