#include "db/session.h"

#include "db/install_value.h"
#include "route/statement_kind.h"

/* What calls of PostgreSQL's own say: text of functions, and the OIDs in parsed expressions. */
#define CALLS "set_config|advisory_lock|set_limit|dblink"

/* Behind what a statement may begin; in SQL made up as a text, behind its quote. */
#define COMMANDS                                                                                   \
    "(^|;|''|\\m(begin|then|else|loop))\\s*(set|reset|listen|load|prepare|discard)\\M"             \
    "|\\minto\\s+((local|global)\\s+)?temp|\\mexecute\\M|\\mwith\\s+hold\\M|\\mpg_temp"            \
    "|\\mcreate\\s+(or\\s+replace\\s+)?((local|global|recursive|unlogged|foreign)\\s+)*" CREATED

/* What may be made in the session's own schema, by whatever name that goes in the search_path. */
#define CREATED                                                                                    \
    "(temp|table|view|sequence|function|procedure|aggregate|type|domain|operator|collation"        \
    "|conversion|text)"

/* SELECT … INTO makes a table too, where INTO names no variable: in SQL alone. */
#define SELECTED "(?<!\\m(insert|merge)\\s+)\\minto\\M"

static const char question[] =
    "WITH call AS (SELECT ':funcid (' || pg_catalog.string_agg(oid::text, '|') || ') ' AS pattern"
    "  FROM pg_catalog.pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
    "  AND proname ~ '^(set_config|pg_(try_)?advisory_lock(_shared)?)$'), "
    "tree AS (SELECT adbin::text AS text FROM pg_catalog.pg_attrdef"
    "  UNION ALL SELECT conbin::text FROM pg_catalog.pg_constraint"
    "   WHERE conbin IS NOT NULL AND oid >= 16384"
    "  UNION ALL SELECT polqual::text FROM pg_catalog.pg_policy"
    "  UNION ALL SELECT polwithcheck::text FROM pg_catalog.pg_policy"
    "  UNION ALL SELECT t.tgqual::text FROM pg_catalog.pg_trigger AS t"
    "   JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid"
    "   JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace"
    "   WHERE t.tgqual IS NOT NULL AND n.nspname <> 'larder'"
    "  UNION ALL SELECT pg_catalog.concat(ev_qual, ev_action) FROM pg_catalog.pg_rewrite"
    "   WHERE ev_class >= 16384"
    "  UNION ALL SELECT pg_catalog.to_jsonb(p.*) OPERATOR(pg_catalog.->>) 'prosqlbody'"
    "   FROM pg_catalog.pg_proc AS p WHERE p.oid >= 16384) "
    "SELECT EXISTS (SELECT FROM tree, call WHERE tree.text ~ call.pattern) OR EXISTS ("
    " SELECT FROM pg_catalog.pg_proc AS p"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
    " JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang"
    " CROSS JOIN LATERAL (SELECT pg_catalog.regexp_replace("
    "  p.prosrc, '--[^\\n]*|/\\*.*?\\*/', ' ', 'g') AS bare) AS b"
    " WHERE p.oid >= 16384 AND (n.nspname, p.proname) NOT IN "
    "  (('larder', 'fresh'), ('larder', 'note'), ('larder', 'leave'), ('larder', 'know'), "
    "   ('larder', 'on_ddl'), ('larder', 'fingerprints'))"
    " AND NOT (n.nspname = 'larder' AND " INSTALL_VALUE_FUNCTION ")"
    " AND l.lanname NOT IN ('c', 'internal')"
    " AND (l.lanname NOT IN ('sql', 'plpgsql') OR p.prosrc ~* '" CALLS "' OR p.prosrc ~* '" COMMANDS
    "' OR b.bare ~* '" COMMANDS "' OR (l.lanname = 'sql' AND b.bare ~* '" SELECTED "')))";

static bool kept_by_text(const struct route *route)
{
    bool kept = statement_keeps(route->statement.sql);
    for (size_t i = 0; i < route->before_count; i++)
        kept = kept || statement_keeps(route->before[i].sql);
    return kept;
}

static bool look_now(struct db_connection *connection, int64_t timeout, struct session_look *look,
                     struct db_failure *failure)
{
    struct db_result *result;
    if (!db_execute(connection, question, NULL, 0, timeout, &result, failure))
        return false;
    *look =
        (struct session_look){.looked = true, .plain = span_is(db_result_value(result, 0, 0), "f")};
    db_result_free(result);
    return true;
}

bool session_ask_plain(struct db_connection *connection, const struct route *route, int64_t timeout,
                       struct session_look *look, bool *ret_plain, struct db_failure *failure)
{
    *ret_plain = false;
    if (kept_by_text(route))
        return true;
    if (!look->looked && !look_now(connection, timeout, look, failure))
        return false;
    *ret_plain = look->plain;
    return true;
}
