-- A maintainer with the number of their items and a page of these, in the order of their names.
-- @http GET /maintainers/{id}
-- @param id bigint min=1
-- @param limit int default=20 min=1 max=100
-- @param skip int default=0 min=0 max=10000
-- @result row
-- @cache ttl=1h negative=10s
-- @depends maintainers.id = :id
-- @depends items.maintainer_id = :id
SELECT m.id, m.name, m.email,
       (SELECT count(*) FROM catalog.items AS i WHERE i.maintainer_id = m.id) AS item_count,
       (SELECT coalesce(json_agg(row_to_json(page) ORDER BY page.name), '[]')
        FROM (SELECT i.id, i.name, i.summary, i.section
              FROM catalog.items AS i
              WHERE i.maintainer_id = m.id
              ORDER BY i.name
              LIMIT :limit OFFSET :skip) AS page) AS items
FROM catalog.maintainers AS m
WHERE m.id = :id
