#include "route/param_rules.h"

const struct param_type_row param_types[TYPE_COUNT] = {
    [TYPE_UNKNOWN] = {TYPE_UNKNOWN, 0, 0, "unknown", {NULL}, "a text"},
    [TYPE_OTHER] = {TYPE_OTHER, 0, 0, "other", {NULL}, "a text"},
    [TYPE_SMALLINT] = {TYPE_SMALLINT,
                       21,
                       1005,
                       "smallint",
                       {"int2", NULL},
                       "a whole number from -32768 to 32767"},
    [TYPE_INTEGER] = {TYPE_INTEGER,
                      23,
                      1007,
                      "integer",
                      {"int", "int4", NULL},
                      "a whole number from -2147483648 to 2147483647"},
    [TYPE_BIGINT] = {TYPE_BIGINT,
                     20,
                     1016,
                     "bigint",
                     {"int8", NULL},
                     "a whole number from -9223372036854775808 to 9223372036854775807"},
    [TYPE_NUMERIC] = {TYPE_NUMERIC, 1700, 1231, "numeric", {"decimal", NULL}, "a number"},
    [TYPE_REAL] = {TYPE_REAL, 700, 1021, "real", {"float4", NULL}, "a number"},
    [TYPE_DOUBLE] =
        {TYPE_DOUBLE, 701, 1022, "double precision", {"float8", "double", "float"}, "a number"},
    [TYPE_BOOLEAN] = {TYPE_BOOLEAN, 16, 1000, "boolean", {"bool", NULL}, "true or false"},
    [TYPE_TEXT] =
        {TYPE_TEXT, 25, 1009, "text", {"varchar", "character varying", NULL}, "a text in UTF-8"},
    [TYPE_UUID] = {TYPE_UUID, 2950, 2951, "uuid", {NULL}, "a UUID (32 hexadecimal digits)"},
    [TYPE_DATE] = {TYPE_DATE, 1082, 1182, "date", {NULL}, "a date (YYYY-MM-DD)"},
    [TYPE_TIMESTAMP] = {TYPE_TIMESTAMP,
                        1114,
                        1115,
                        "timestamp",
                        {"timestamp without time zone", NULL},
                        "a date and time without time zone (YYYY-MM-DDThh:mm:ss)"},
    [TYPE_TIMESTAMPTZ] = {TYPE_TIMESTAMPTZ,
                          1184,
                          1185,
                          "timestamptz",
                          {"timestamp with time zone", NULL},
                          "a date and time with time zone (YYYY-MM-DDThh:mm:ssZ or …+hh:mm)"},
    [TYPE_JSON] = {TYPE_JSON, 114, 199, "json", {NULL}, "JSON"},
    [TYPE_JSONB] = {TYPE_JSONB, 3802, 3807, "jsonb", {NULL}, "JSON"},
};

const struct param_rules param_rules[TYPE_COUNT] = {
    [TYPE_UNKNOWN] = {.read = read_text, .noun = "a text", .words = true, .empty = true},
    [TYPE_OTHER] = {.read = read_text, .noun = "a text", .words = true, .empty = true},
    [TYPE_SMALLINT] = {.read = read_smallint,
                       .order = order_decimal,
                       .noun = "a whole number",
                       .least = "-32768",
                       .most = "32767"},
    [TYPE_INTEGER] = {.read = read_integer,
                      .order = order_decimal,
                      .noun = "a whole number",
                      .least = "-2147483648",
                      .most = "2147483647"},
    [TYPE_BIGINT] = {.read = read_bigint,
                     .order = order_decimal,
                     .noun = "a whole number",
                     .least = "-9223372036854775808",
                     .most = "9223372036854775807"},
    [TYPE_NUMERIC] = {.read = read_numeric, .order = order_decimal, .noun = "a number"},
    [TYPE_REAL] = {.read = read_real, .order = order_double, .noun = "a number"},
    [TYPE_DOUBLE] = {.read = read_double, .order = order_double, .noun = "a number"},
    [TYPE_BOOLEAN] = {.read = read_boolean, .noun = "true or false"},
    [TYPE_TEXT] = {.read = read_text, .noun = "a text in UTF-8", .words = true, .empty = true},
    [TYPE_UUID] = {.read = read_uuid, .noun = "a UUID (32 hexadecimal digits)"},
    [TYPE_DATE] = {.read = read_date, .order = order_moment, .noun = "a date (YYYY-MM-DD)"},
    [TYPE_TIMESTAMP] = {.read = read_timestamp,
                        .order = order_moment,
                        .noun = "a date and time without time zone (YYYY-MM-DDThh:mm:ss)"},
    [TYPE_TIMESTAMPTZ] = {.read = read_timestamptz,
                          .order = order_moment,
                          .noun =
                              "a date and time with time zone (YYYY-MM-DDThh:mm:ssZ or …+hh:mm)"},
    [TYPE_JSON] = {.read = read_json, .noun = "JSON", .whole = true},
    [TYPE_JSONB] = {.read = read_json, .noun = "JSON", .whole = true},
};

const char *const param_place_names[] = {
    [PLACE_PATH] = "path",       [PLACE_QUERY] = "query",    [PLACE_BODY] = "body",
    [PLACE_HEADER] = "header",   [PLACE_CLOCK] = "clock",    [PLACE_CLAIM] = "claim",
    [PLACE_WHOLE_BODY] = "body", [PLACE_VERSION] = "header",
};

/* PostgreSQL's other names for text: varchar, bpchar, name, unknown. */
static const struct {
    uint32_t oid, array_oid;
} text_oids[] = {{1043, 1015}, {1042, 1014}, {19, 1003}, {705, 0}};

enum param_type param_type_of_oid(uint32_t oid, bool *ret_array)
{
    *ret_array = false;
    for (size_t i = 0; oid && i < TYPE_COUNT; i++) {
        if (oid != param_types[i].oid && oid != param_types[i].array_oid)
            continue;
        *ret_array = oid == param_types[i].array_oid;
        return param_types[i].type;
    }
    for (size_t i = 0; oid && i < ARRAY_COUNT(text_oids); i++) {
        if (oid != text_oids[i].oid && oid != text_oids[i].array_oid)
            continue;
        *ret_array = oid == text_oids[i].array_oid;
        return TYPE_TEXT;
    }
    return TYPE_OTHER;
}

static bool row_has_name(const struct param_type_row *row, struct span name)
{
    if (span_is_nocase(name, row->name))
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(row->aliases) && row->aliases[i]; i++)
        if (span_is_nocase(name, row->aliases[i]))
            return true;
    return false;
}

enum param_type param_type_of_name(struct span name)
{
    for (enum param_type type = TYPE_SMALLINT; type < TYPE_COUNT; type++)
        if (row_has_name(&param_types[type], name))
            return type;
    return TYPE_OTHER;
}
