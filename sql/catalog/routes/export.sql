-- All that each version of an item needs, as a table of more than a million rows.
--
-- Step 1 is what it depends on itself; step 2 what that, by its newest version, depends on in turn ("via" names it).
-- Of alternatives any one is enough: they share a place. A requirement is a relation and a version: "(>= 2.36)".
-- @http GET /export/csv
-- @stream csv filename=export.csv
SELECT i.name AS item, v.version, v.architecture, n.step, n.via, n.kind, n.place, n.alternative, n.target,
       n.target_architecture, '(' || n.version_relation || ' ' || n.version_bound || ')' AS requirement
FROM catalog.items AS i
JOIN catalog.versions AS v ON v.item_id = i.id
CROSS JOIN LATERAL (
    SELECT 1 AS step, NULL AS via, d.kind, d.place, d.alternative, d.target, d.architecture AS target_architecture,
           d.version_relation, d.version_bound
    FROM catalog.dependencies AS d
    WHERE d.version_id = v.id AND d.kind IN ('Depends', 'Pre-Depends')
    UNION ALL
    SELECT 2, d.target, e.kind, e.place, e.alternative, e.target, e.architecture, e.version_relation, e.version_bound
    FROM (SELECT DISTINCT target, target_item_id
          FROM catalog.dependencies
          WHERE version_id = v.id AND kind IN ('Depends', 'Pre-Depends')) AS d
    JOIN catalog.versions AS w ON w.item_id = d.target_item_id AND w.age_rank = 1
    JOIN catalog.dependencies AS e ON e.version_id = w.id AND e.kind IN ('Depends', 'Pre-Depends')
) AS n
ORDER BY i.name, v.age_rank, n.step, n.via, n.kind, n.place, n.alternative
