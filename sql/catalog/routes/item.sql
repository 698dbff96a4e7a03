-- One item with its section, its maintainer and its versions, each with what it depends on.
--
-- A dependency is met by any one of its "any_of"; their "item_id" is null for what the catalogue does not hold.
-- @http GET /items/{id}
-- @param id bigint min=1
-- @result row
-- @cache ttl=1h negative=10s
-- @depends items.id = :id
-- @depends versions.item_id = :id
SELECT i.id, i.name, i.summary, i.homepage, i.section, i.priority,
       json_build_object('id', m.id, 'name', m.name, 'email', m.email) AS maintainer,
       (SELECT json_agg(row_to_json(v) ORDER BY v.age_rank)
        FROM (SELECT v.version, v.architecture, v.age_rank, v.source, v.suites, v.size, v.installed_size, v.filename,
                     encode(v.sha256, 'hex') AS sha256,
                     (SELECT coalesce(json_agg(row_to_json(d) ORDER BY d.kind, d.place), '[]')
                      FROM (SELECT d.kind, d.place,
                                   json_agg(json_build_object('name', d.target,
                                                              'item_id', d.target_item_id,
                                                              'architecture', d.architecture,
                                                              'relation', d.version_relation,
                                                              'version', d.version_bound)
                                            ORDER BY d.alternative) AS any_of
                            FROM catalog.dependencies AS d
                            WHERE d.version_id = v.id
                            GROUP BY d.kind, d.place) AS d) AS dependencies
              FROM catalog.versions AS v
              WHERE v.item_id = i.id) AS v) AS versions
FROM catalog.items AS i
JOIN catalog.maintainers AS m ON m.id = i.maintainer_id
WHERE i.id = :id
