#include "db/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

/* Bytes of a digest that stand for what is too long for a tag. */
#define HASH_SIZE 8

/* What quote_ident quotes though it is in lower case, in any version; sorted. */
/* clang-format off */
static const char *const keywords[] = {
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric",
    "authorization", "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast",
    "char", "character", "check", "coalesce", "collate", "collation", "column", "concurrently",
    "constraint", "create", "cross", "current_catalog", "current_date", "current_role",
    "current_schema", "current_time", "current_timestamp", "current_user", "dec", "decimal",
    "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "exists",
    "extract", "false", "fetch", "float", "for", "foreign", "freeze", "from", "full", "grant",
    "greatest", "group", "grouping", "having", "ilike", "in", "initially", "inner", "inout",
    "int", "integer", "intersect", "interval", "into", "is", "isnull", "join", "json",
    "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg", "json_query",
    "json_scalar", "json_serialize", "json_table", "json_value", "lateral", "leading", "least",
    "left", "like", "limit", "localtime", "localtimestamp", "merge_action", "national", "natural",
    "nchar", "none", "normalize", "not", "notnull", "null", "nullif", "numeric", "offset", "on",
    "only", "or", "order", "out", "outer", "overlaps", "overlay", "placing", "position",
    "precision", "primary", "real", "references", "returning", "right", "row", "select",
    "session_user", "setof", "similar", "smallint", "some", "substring", "symmetric",
    "system_user", "table", "tablesample", "then", "time", "timestamp", "to", "trailing", "treat",
    "trim", "true", "union", "unique", "user", "using", "values", "varchar", "variadic",
    "verbose", "when", "where", "window", "with", "xmlattributes", "xmlconcat", "xmlelement",
    "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot", "xmlserialize",
    "xmltable",
};
/* clang-format on */

static int by_text(const void *word, const void *row)
{
    return strcmp(word, *(const char *const *)row);
}

static bool is_plain(const char *name)
{
    bool first = true;
    for (const char *at = name; *at; at++, first = false) {
        bool letter = (*at >= 'a' && *at <= 'z') || *at == '_';
        if (!letter && (first || *at < '0' || *at > '9'))
            return false;
    }
    return *name && !bsearch(name, keywords, ARRAY_COUNT(keywords), sizeof keywords[0], by_text);
}

/* The text between quotes, those in it doubled. */
static void append_doubled(const char *text, char quote, struct bytes *out)
{
    bytes_append_byte(out, quote);
    for (; *text; text++) {
        if (*text == quote)
            bytes_append_byte(out, quote);
        bytes_append_byte(out, *text);
    }
    bytes_append_byte(out, quote);
}

void watch_append_identifier(const char *name, struct bytes *out)
{
    if (is_plain(name))
        bytes_append_text(out, name);
    else
        append_doubled(name, '"', out);
}

void watch_append_literal(const char *text, struct bytes *out)
{
    if (!strchr(text, '\\')) {
        append_doubled(text, '\'', out);
        return;
    }
    bytes_append_text(out, "E'");
    for (; *text; text++) {
        if (*text == '\\' || *text == '\'')
            bytes_append_byte(out, *text);
        bytes_append_byte(out, *text);
    }
    bytes_append_byte(out, '\'');
}

/* '#' and the beginning of the text's SHA-256. */
static void append_hash(struct span text, struct bytes *out)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * HASH_SIZE + 1];
    if (!digest_sha256(text, digest, NULL)) {
        out->failed = true;
        return;
    }
    digest_hex(digest, HASH_SIZE, hex);
    bytes_append_byte(out, '#');
    bytes_append_text(out, hex);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* Tags are lines of text elsewhere, so a name must not break them. */
static void append_name(const char *name, struct bytes *out)
{
    if (has_control(name))
        append_hash(span_of(name), out);
    else
        watch_append_identifier(name, out);
}

static void append_names(const char *const *names, size_t count, struct bytes *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            bytes_append_byte(out, ',');
        append_name(names[i], out);
    }
}

void watch_append_tag(const struct watch *watch, struct bytes *out)
{
    struct bytes columns CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t begin = out->size;
    append_name(watch->schema, out);
    bytes_append_byte(out, '.');
    append_name(watch->table, out);
    bytes_append_text(out, watch->updates ? "(for " : "(");
    append_names(watch->columns, watch->column_count, &columns);
    if (out->size - begin + columns.size + 1 > WATCH_TAG_MAX && columns.size)
        append_hash(bytes_span(&columns), out);
    else
        bytes_append_span(out, bytes_span(&columns));
    bytes_append_byte(out, ')');
    out->failed = out->failed || columns.failed;
}

void watch_append_tag_literal(const struct watch *watch, struct bytes *out)
{
    struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_tag(watch, &tag);
    watch_append_literal(bytes_text(&tag), out);
    out->failed = out->failed || tag.failed;
}

void watch_append_narrowed(const struct watch *watch, struct bytes *out)
{
    watch_append_tag(watch, out);
    bytes_append_byte(out, '.');
    append_names(watch->narrow, watch->narrow_count, out);
}

void watch_append_bulk_tag(const struct watch *watch, struct bytes *out)
{
    watch_append_narrowed(watch, out);
    bytes_append_text(out, "=*");
}

void watch_append_own_tag(const struct watch *watch, struct bytes *out)
{
    (watch->narrow_count ? watch_append_bulk_tag : watch_append_tag)(watch, out);
}

static void append_narrowed_literal(const struct watch *watch, const char *end, struct bytes *out)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_narrowed(watch, &text);
    bytes_append_text(&text, end);
    watch_append_literal(bytes_text(&text), out);
    out->failed = out->failed || text.failed;
}

/* "C" makes trigger and fill see the same control characters, whatever collation the column has. */
static void append_short_text(const char *value, struct bytes *out)
{
    bytes_append_format(out, "((%s)::pg_catalog.text COLLATE pg_catalog.\"C\")", value);
}

/*
 * The value as it stands in a tag. Of other encodings than UTF-8 not all has a text there, and one
 * such tag would keep larderd from reading any.
 */
static void append_text(const char *value, struct bytes *out)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    append_short_text(value, &text);
    bytes_append_format(out,
                        "CASE WHEN pg_catalog.octet_length(%s)"
                        " OPERATOR(pg_catalog.>) 64 OR %s OPERATOR(pg_catalog.~)"
                        " E'[^\\\\x20-\\\\x7e]' AND (pg_catalog.getdatabaseencoding()"
                        " OPERATOR(pg_catalog.<>) 'UTF8' OR %s OPERATOR(pg_catalog.~)"
                        " E'[\\\\x01-\\\\x1f\\\\x7f]') THEN '#' OPERATOR(pg_catalog.||)"
                        " pg_catalog.md5(%s) ELSE %s END",
                        bytes_text(&text), bytes_text(&text), bytes_text(&text), bytes_text(&text),
                        bytes_text(&text));
    out->failed = out->failed || text.failed;
}

static void append_long_value(const struct watch *watch, const char *value, struct bytes *out)
{
    bytes_append_format(out, "(CASE WHEN (%s) IS NULL THEN ", value);
    append_narrowed_literal(watch, " is null", out);
    bytes_append_text(out, " ELSE ");
    append_narrowed_literal(watch, "=", out);
    bytes_append_text(out, " OPERATOR(pg_catalog.||) ");
    append_text(value, out);
    bytes_append_text(out, " END COLLATE pg_catalog.\"C\")");
}

static void append_short_value(const struct watch *watch, const char *value, struct bytes *out)
{
    bytes_append_text(out, "coalesce(");
    append_narrowed_literal(watch, "=", out);
    bytes_append_format(out, " OPERATOR(pg_catalog.||) (%s)::pg_catalog.text, ", value);
    append_narrowed_literal(watch, " is null", out);
    bytes_append_byte(out, ')');
}

/* `coalesce(text, 'null') || ',' || coalesce(…)` */
static void append_texts(const struct watch *watch, const struct watch_value *values,
                         struct bytes *out)
{
    for (size_t i = 0; i < watch->narrow_count; i++) {
        bytes_append_text(out, i ? " OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) coalesce("
                                 : "coalesce(");
        if (values[i].brief)
            bytes_append_format(out, "(%s)::pg_catalog.text", values[i].sql);
        else
            append_text(values[i].sql, out);
        bytes_append_text(out, ", 'null')");
    }
}

void watch_append_value_sql(const struct watch *watch, const struct watch_value *values,
                            struct bytes *out)
{
    if (watch->narrow_count == 1) {
        (values->brief ? append_short_value : append_long_value)(watch, values->sql, out);
        return;
    }
    bytes_append_byte(out, '(');
    append_narrowed_literal(watch, "=", out);
    bytes_append_text(out, " OPERATOR(pg_catalog.||) ");
    append_texts(watch, values, out);
    bytes_append_byte(out, ')');
}

/*
 * The distinct values of all rows, as texts or what becomes its text at the end, since to sort
 * texts takes longer: what several watches share is made once.
 */
static void append_array(const struct watch *watch, const struct watch_value *values,
                         struct bytes *out)
{
    bytes_append_text(out, "pg_catalog.array_agg(DISTINCT ");
    if (watch->narrow_count > 1)
        append_texts(watch, values, out);
    else if (values->brief)
        bytes_append_text(out, values->sql);
    else
        append_text(values->sql, out);
    bytes_append_byte(out, ')');
    if (watch->narrow_count == 1)
        bytes_append_format(out, " FILTER (WHERE (%s) IS NOT NULL)", values->sql);
}

/* `, CASE WHEN a value was NULL THEN its tag END`; several columns' texts have it in them. */
static void append_null(const struct watch *watch, const char *value, struct bytes *out)
{
    bytes_append_format(out,
                        ", CASE WHEN pg_catalog.count(%s) OPERATOR(pg_catalog.<)"
                        " pg_catalog.count(*) THEN ",
                        value);
    append_narrowed_literal(watch, " is null", out);
    bytes_append_text(out, " END");
}

/* What makes a tag of each is put between them, so the rows cost no more for it. */
void watch_append_values_sql(const struct watch *watch, const struct watch_value *values,
                             unsigned most, struct bytes *out)
{
    struct bytes array CLEANUP(bytes_free) = BYTES_EMPTY;
    append_array(watch, values, &array);
    bytes_append_format(out,
                        "CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) 0"
                        " OR pg_catalog.cardinality(%s) OPERATOR(pg_catalog.>) %u THEN ",
                        bytes_text(&array), most);
    watch_append_tag_literal(watch, out);
    bytes_append_text(out, " ELSE pg_catalog.concat_ws(E'\\n', ");
    append_narrowed_literal(watch, "=", out);
    bytes_append_format(out, " OPERATOR(pg_catalog.||) pg_catalog.array_to_string(%s, ",
                        bytes_text(&array));
    bytes_append_text(out, "E'\\n' OPERATOR(pg_catalog.||) ");
    append_narrowed_literal(watch, "=", out);
    bytes_append_byte(out, ')');
    if (watch->narrow_count == 1)
        append_null(watch, values->sql, out);
    bytes_append_text(out, ") END");
    out->failed = out->failed || array.failed;
}

bool watch_has_name(const char *const *names, size_t count, const char *name)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || strcmp(names[i], name) == 0;
    return any;
}

static int names_compare(const char *const *left, size_t left_count, const char *const *right,
                         size_t right_count)
{
    for (size_t i = 0; i < left_count && i < right_count; i++) {
        int order = strcmp(left[i], right[i]);
        if (order)
            return order;
    }
    return (left_count > right_count) - (left_count < right_count);
}

int watch_compare(const struct watch *left, const struct watch *right)
{
    int order = strcmp(left->schema, right->schema);
    if (!order)
        order = strcmp(left->table, right->table);
    if (!order)
        order =
            names_compare(left->columns, left->column_count, right->columns, right->column_count);
    if (!order)
        order = left->updates - right->updates;
    return order ? order
                 : names_compare(left->narrow, left->narrow_count, right->narrow,
                                 right->narrow_count);
}
