-- The items with their newest versions, all or those of a section, as a table, as lines of JSON, or as one array.
--
-- Accept chooses. No value of the table looks like a formula to a spreadsheet.
-- @http GET /export/items
-- @param section text default=null maxlen=60
-- @stream csv,ndjson,json filename=items.csv guard=on
SELECT i.name, i.section, i.priority, v.version, v.architecture, v.size, v.installed_size, i.summary, i.homepage,
       m.name AS maintainer, m.email
FROM catalog.items AS i
JOIN catalog.versions AS v ON v.item_id = i.id AND v.age_rank = 1
JOIN catalog.maintainers AS m ON m.id = i.maintainer_id
WHERE coalesce(:section::text, '') = '' OR i.section = :section
ORDER BY i.name
