#include "db/install_value.h"

/* A column's value as the function has it: `before0`, `after0`. */
static void append_argument(size_t column, bool before, struct bytes *out)
{
    bytes_append_format(out, "%s%zu", before ? "before" : "after", column);
}

const struct install_column *install_group_column(const struct install_group *group, size_t column)
{
    return install_column_find(group->table, group->lead->narrow[column]);
}

bool install_event_has_two(const struct install_event *event)
{
    return event->before != event->after;
}

/* `before0 pg_catalog.int4, after0 pg_catalog.int4`; of other than brief types the texts. */
static void append_parameters(const struct install_group *group, const struct install_event *event,
                              struct bytes *out)
{
    for (size_t i = 0; i < group->lead->narrow_count; i++) {
        const char *type =
            install_group_column(group, i)->brief ? install_group_column(group, i)->brief : "text";
        bytes_append_text(out, i ? ", " : "");
        if (install_event_has_two(event))
            bytes_append_format(out, "before%zu pg_catalog.%s, ", i, type);
        bytes_append_format(out, "after%zu pg_catalog.%s", i, type);
    }
}

static void append_value(const struct install_group *group, const struct watch *watch, bool before,
                         struct bytes *out)
{
    struct bytes arguments[WATCH_NARROW_MAX] = {0};
    struct watch_value values[WATCH_NARROW_MAX];
    for (size_t i = 0; i < watch->narrow_count; i++) {
        append_argument(i, before, &arguments[i]);
        values[i] = (struct watch_value){.sql = bytes_text(&arguments[i]),
                                         .brief = install_group_column(group, i)->brief != NULL};
        out->failed = out->failed || arguments[i].failed;
    }
    watch_append_value_sql(watch, values, out);
    for (size_t i = 0; i < watch->narrow_count; i++)
        bytes_free(&arguments[i]);
}

void install_append_bulk(const struct watch *watch, struct bytes *out)
{
    struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_bulk_tag(watch, &tag);
    watch_append_literal(bytes_text(&tag), out);
    out->failed = out->failed || tag.failed;
}

static const char line_break[] =
    " OPERATOR(pg_catalog.||) E'\\n' OPERATOR(pg_catalog.||)\n            ";

/* What is carried goes with the row's values as it is now, not with those before. */
static void append_carried(const struct install_group *group, struct bytes *out)
{
    for (size_t i = 0; i < group->carried_count; i++) {
        watch_append_tag_literal(group->carried[i], out);
        bytes_append_text(out, line_break);
    }
}

static void append_bulks(const struct install_group *group, struct bytes *out)
{
    append_carried(group, out);
    for (size_t i = 0; i < group->count; i++) {
        bytes_append_text(out, i ? line_break : "");
        install_append_bulk(group->watches[i], out);
    }
}

static void append_values(const struct install_group *group, bool before, struct bytes *out)
{
    for (size_t i = 0; i < group->count; i++) {
        bytes_append_text(out, i ? line_break : "");
        append_value(group, group->watches[i], before, out);
    }
}

/* Of texts each byte counts, whatever the column's collation takes for equal. */
static void append_moved(const struct install_group *group, size_t column, struct bytes *out)
{
    const char *bytewise =
        install_group_column(group, column)->brief ? "" : " COLLATE pg_catalog.\"C\"";
    bytes_append_format(out,
                        "(before%zu IS NULL) OPERATOR(pg_catalog.<>) (after%zu IS NULL)"
                        " OR before%zu OPERATOR(pg_catalog.<>) after%zu%s",
                        column, column, column, column, bytewise);
}

/* One value mostly: a change of the narrowing columns themselves is rare. */
static void append_others(const struct install_group *group, struct bytes *out)
{
    bytes_append_text(out, "        IF ");
    for (size_t i = 0; i < group->lead->narrow_count; i++) {
        bytes_append_text(out, i ? " OR " : "");
        append_moved(group, i, out);
    }
    bytes_append_text(out, " THEN\n            tags := tags");
    bytes_append_text(out, line_break);
    append_values(group, true, out);
    bytes_append_text(out, ";\n        END IF;\n");
}

/* The row's value as a text of its own; of several columns an array's. */
static void append_key(const struct install_group *group, bool before, struct bytes *out)
{
    size_t count = group->lead->narrow_count;
    bytes_append_text(out, count > 1 ? "ARRAY[" : "");
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(out, i ? ", " : "");
        append_argument(i, before, out);
        bytes_append_text(out, "::pg_catalog.text COLLATE pg_catalog.\"C\"");
    }
    bytes_append_text(out, count > 1 ? "]::pg_catalog.text" : "");
}

/* The first row of a transaction has nothing to be compared with. */
static void append_look(const struct install_group *group, const char *key,
                        const struct install_event *event, struct bytes *out)
{
    bytes_append_format(out,
                        "    IF seen OPERATOR(pg_catalog.<>) '' THEN\n"
                        "        seen := larder.fresh('%s', ",
                        key);
    append_key(group, install_event_has_two(event), out);
    bytes_append_text(out, ", ");
    append_key(group, false, out);
    bytes_append_format(out,
                        ");\n"
                        "        IF seen IS NULL THEN\n"
                        "            RETURN false;\n"
                        "        END IF;\n"
                        "    ELSE\n"
                        "        seen := pg_catalog.set_config('larder.v%s', ',', true);\n"
                        "    END IF;\n",
                        key);
}

static void append_tags(const struct install_group *group, const struct install_event *event,
                        struct bytes *out)
{
    bytes_append_text(out, "    IF seen OPERATOR(pg_catalog.=) '*' THEN\n"
                           "        tags := ");
    append_bulks(group, out);
    bytes_append_text(out, ";\n    ELSE\n        tags := ");
    append_carried(group, out);
    append_values(group, false, out);
    bytes_append_text(out, ";\n");
    if (install_event_has_two(event))
        append_others(group, out);
    bytes_append_text(out, "    END IF;\n");
}

/*
 * The row is larderd's, the note the responder's whose write it is. Variables would have the
 * columns' collation, by which PostgreSQL may refuse to search.
 */
static void append_body(const struct install_group *group, const char *key,
                        const struct install_event *event, struct bytes *out)
{
    bytes_append_format(out,
                        "DECLARE\n"
                        "    seen pg_catalog.text COLLATE pg_catalog.\"C\" :="
                        " pg_catalog.current_setting('larder.v%s', true);\n"
                        "    tags pg_catalog.text COLLATE pg_catalog.\"C\";\n"
                        "BEGIN\n",
                        key);
    append_look(group, key, event, out);
    append_tags(group, event, out);
    bytes_append_text(out, "    INSERT INTO larder.outbox (tag) VALUES (tags);\n"
                           "    seen := pg_catalog.current_setting('larder.struck', true);\n"
                           "    IF seen OPERATOR(pg_catalog.<>) '' THEN\n"
                           "        seen := larder.note(seen, tags);\n"
                           "    ELSIF pg_catalog.pg_sequence_last_value('larder.asleep')"
                           " OPERATOR(pg_catalog.=) 2 THEN\n"
                           "        PERFORM larder.wake();\n"
                           "    END IF;\n"
                           "    RETURN false;\n"
                           "END");
}

/* Anybody's write calls it. */
static void append_function(const char *name, const struct bytes *parameters,
                            const struct bytes *body, struct bytes *sql)
{
    bytes_append_format(sql,
                        "CREATE FUNCTION larder.%s(%s) RETURNS boolean LANGUAGE plpgsql "
                        "SECURITY DEFINER AS ",
                        name, bytes_text(parameters));
    watch_append_literal(bytes_text(body), sql);
    bytes_append_format(sql, ";\nGRANT EXECUTE ON FUNCTION larder.%s TO PUBLIC;\n", name);
}

bool install_want_value(const struct install_making *making, const struct install_group *group,
                        const char *key, const struct install_event *event, const char **ret_name)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes parameters CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes body CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    char own[INSTALL_KEY_SIZE];
    append_parameters(group, event, &parameters);
    append_body(group, key, event, &body);
    bytes_append_format(&text, "%s\n%s", bytes_text(&parameters), bytes_text(&body));
    if (parameters.failed || body.failed || text.failed || !install_key(bytes_span(&text), own))
        return false;
    const char *name = arena_format(making->arena, "value_%s", own);
    if (!name)
        return false;
    append_function(name, &parameters, &body, &sql);
    *ret_name = name;
    return install_want(making, INSTALL_FUNCTION, NULL, name, &sql);
}
