#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "db/watch.h"

#define WATCH(table_name, narrow_name, ...)                                                        \
    (struct watch)                                                                                 \
    {                                                                                              \
        .schema = "social", .table = (table_name), .columns = (const char *const[]){__VA_ARGS__},  \
        .column_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),               \
        .narrow = (const char *const[]){narrow_name}, .narrow_count = (narrow_name) != NULL        \
    }

typedef void appender(const struct watch *watch, struct bytes *out);

static void assert_appends(appender *append, const struct watch *watch, const char *expected)
{
    struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&out, "before ");
    append(watch, &out);
    assert_false(out.failed);
    assert_memory_equal(bytes_text(&out), "before ", 7);
    assert_string_equal(bytes_text(&out) + 7, expected);
}

static void a_tag_names_the_table_and_its_columns(void **state)
{
    const struct watch some = WATCH("feeds", NULL, "content", "id"),
                       odd = WATCH("a \"b\"", NULL, "Id", "user");
    const struct watch none = {.schema = "public", .table = "things"};
    (void)state;
    assert_appends(watch_append_tag, &some, "social.feeds(content,id)");
    assert_appends(watch_append_tag, &none, "public.things()");
    assert_appends(watch_append_tag, &odd, "social.\"a \"\"b\"\"\"(\"Id\",\"user\")");
}

/* 113 bytes with the bracket: room for seven more. */
#define LONG_TABLE                                                                                 \
    "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789"   \
    "j123456789abcde"

static void a_long_list_of_columns_becomes_its_hash(void **state)
{
    const struct watch fits = WATCH(LONG_TABLE, NULL, "abc", "de"),
                       over = WATCH(LONG_TABLE, NULL, "abc", "def");
    (void)state;
    assert_appends(watch_append_tag, &fits, "social." LONG_TABLE "(abc,de)");
    /* printf abc,def | sha256sum */
    assert_appends(watch_append_tag, &over, "social." LONG_TABLE "(#1b82fc6e2b788459)");
}

static void names_with_line_ends_do_not_break_the_tag(void **state)
{
    const struct watch watch = WATCH("a\nb", "c\nd", "c\nd");
    struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
    (void)state;
    watch_append_bulk_tag(&watch, &out);
    assert_null(strchr(bytes_text(&out), '\n'));
    assert_memory_equal(bytes_text(&out), "social.#", 8);
}

static void a_bulk_tag_names_the_narrowing_column(void **state)
{
    const struct watch watch = WATCH("feeds", "user", "id", "user");
    (void)state;
    assert_appends(watch_append_bulk_tag, &watch, "social.feeds(id,\"user\").\"user\"=*");
}

static void the_value_expression_is_qualified_and_never_null(void **state)
{
    const struct watch watch = WATCH("it's", "id", "id");
    struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
    (void)state;
    watch_append_value_sql(&watch, &(struct watch_value){.sql = "OLD.id"}, &out);
    const char *sql = bytes_text(&out);
    assert_non_null(
        strstr(sql, "(CASE WHEN (OLD.id) IS NULL THEN 'social.\"it''s\"(id).id is null'"));
    assert_non_null(strstr(sql, "'social.\"it''s\"(id).id=' OPERATOR(pg_catalog.||)"));
    assert_non_null(strstr(sql, "pg_catalog.md5("));
    assert_null(strstr(sql, " || "));
}

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

static void the_values_of_all_rows_are_made_tags_at_the_end(void **state)
{
    const struct watch watch = WATCH("it's", "id", "id");
    (void)state;
    for (int brief = 0; brief < 2; brief++) {
        struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
        watch_append_values_sql(&watch, &(struct watch_value){.sql = "r.id", .brief = brief}, 7,
                                &out);
        const char *sql = bytes_text(&out);
        assert_non_null(strstr(sql, "OPERATOR(pg_catalog.>) 7 THEN 'social.\"it''s\"(id)' ELSE"));
        assert_non_null(strstr(sql, "array_to_string(pg_catalog.array_agg(DISTINCT "));
        assert_non_null(strstr(sql, "E'\\n' OPERATOR(pg_catalog.||) 'social.\"it''s\"(id).id='"));
        assert_int_equal(times(sql, "pg_catalog.md5("), brief ? 0 : 2);
        assert_null(strstr(sql, " || "));
    }
}

static void only_updates_are_a_tag_of_their_own(void **state)
{
    struct watch watch = WATCH("feeds", "id", "id", "title");
    (void)state;
    watch.updates = true;
    assert_appends(watch_append_tag, &watch, "social.feeds(for id,title)");
    assert_appends(watch_append_bulk_tag, &watch, "social.feeds(for id,title).id=*");
    watch.columns = (const char *const[]){"for id", "title"};
    watch.updates = false;
    assert_appends(watch_append_tag, &watch, "social.feeds(\"for id\",title)");
}

static const char *const three[] = {"a", "B", "c"};

static void several_columns_are_parted_by_commas(void **state)
{
    const struct watch_value values[] = {{"OLD.a", true}, {"OLD.\"B\"", false}, {"OLD.c", true}};
    struct watch watch = WATCH("t", "a", "a");
    struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
    (void)state;
    watch.narrow = three;
    watch.narrow_count = 3;
    assert_appends(watch_append_bulk_tag, &watch, "social.t(a).a,\"B\",c=*");
    watch_append_value_sql(&watch, values, &out);
    assert_string_equal(
        bytes_text(&out),
        "('social.t(a).a,\"B\",c=' OPERATOR(pg_catalog.||) coalesce((OLD.a)::pg_catalog.text, "
        "'null') OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) coalesce(CASE WHEN "
        "pg_catalog.octet_length(((OLD.\"B\")::pg_catalog.text COLLATE pg_catalog.\"C\")) "
        "OPERATOR(pg_catalog.>) 64 OR ((OLD.\"B\")::pg_catalog.text COLLATE pg_catalog.\"C\") "
        "OPERATOR(pg_catalog.~) E'[^\\\\x20-\\\\x7e]' AND (pg_catalog.getdatabaseencoding() "
        "OPERATOR(pg_catalog.<>) 'UTF8' OR ((OLD.\"B\")::pg_catalog.text COLLATE "
        "pg_catalog.\"C\") OPERATOR(pg_catalog.~) E'[\\\\x01-\\\\x1f\\\\x7f]') THEN '#' "
        "OPERATOR(pg_catalog.||) "
        "pg_catalog.md5(((OLD.\"B\")::pg_catalog.text COLLATE pg_catalog.\"C\")) ELSE "
        "((OLD.\"B\")::pg_catalog.text COLLATE pg_catalog.\"C\") END, 'null') "
        "OPERATOR(pg_catalog.||) ',' OPERATOR(pg_catalog.||) coalesce((OLD.c)::pg_catalog.text, "
        "'null'))");
    bytes_clear(&out);
    watch_append_values_sql(&watch, values, 7, &out);
    assert_non_null(strstr(bytes_text(&out), "OPERATOR(pg_catalog.>) 7 THEN 'social.t(a)' ELSE"));
    assert_null(strstr(bytes_text(&out), "IS NOT NULL"));
}

static const struct {
    const char *name, *quoted;
} identifiers[] = {
    {"feeds", "feeds"},           {"_a1", "_a1"},         {"1a", "\"1a\""},
    {"Feeds", "\"Feeds\""},       {"order", "\"order\""}, {"all", "\"all\""},
    {"xmltable", "\"xmltable\""}, {"name", "name"},       {"a b", "\"a b\""},
    {"a\"b", "\"a\"\"b\""},       {"", "\"\""},           {"f\xc3\xbc", "\"f\xc3\xbc\""},
    {"a$b", "\"a$b\""},
};

static void identifiers_are_quoted_as_postgresql_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(identifiers); i++) {
        struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
        watch_append_identifier(identifiers[i].name, &out);
        assert_string_equal(bytes_text(&out), identifiers[i].quoted);
    }
}

static const struct {
    const char *text, *quoted;
} literals[] = {{"", "''"}, {"it's", "'it''s'"}, {"a\\b'c", "E'a\\\\b''c'"}, {"$$", "'$$'"}};

static void literals_hold_whatever_the_setting(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(literals); i++) {
        struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
        watch_append_literal(literals[i].text, &out);
        assert_string_equal(bytes_text(&out), literals[i].quoted);
    }
}

static void watches_have_an_order(void **state)
{
    const struct watch sorted[] = {
        {.schema = "a", .table = "z"},
        {.schema = "social", .table = "feeds"},
        WATCH("feeds", NULL, "id"),
        WATCH("feeds", "id", "id"),
        WATCH("feeds", "user_id", "id"),
        WATCH("feeds", NULL, "id", "user_id"),
        WATCH("feeds", NULL, "user_id"),
        {.schema = "social", .table = "likes", .columns = three, .column_count = 1},
        {.schema = "social",
         .table = "likes",
         .columns = three,
         .column_count = 1,
         .narrow = three,
         .narrow_count = 1},
        {.schema = "social",
         .table = "likes",
         .columns = three,
         .column_count = 1,
         .narrow = three,
         .narrow_count = 2},
        {.schema = "social",
         .table = "likes",
         .columns = three,
         .column_count = 1,
         .updates = true},
        WATCH("likes", NULL, "id"),
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sorted); i++)
        for (size_t j = 0; j < ARRAY_COUNT(sorted); j++) {
            int order = watch_compare(&sorted[i], &sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

UNIT_MAIN(cmocka_unit_test(a_tag_names_the_table_and_its_columns),
          cmocka_unit_test(a_long_list_of_columns_becomes_its_hash),
          cmocka_unit_test(names_with_line_ends_do_not_break_the_tag),
          cmocka_unit_test(a_bulk_tag_names_the_narrowing_column),
          cmocka_unit_test(the_value_expression_is_qualified_and_never_null),
          cmocka_unit_test(the_values_of_all_rows_are_made_tags_at_the_end),
          cmocka_unit_test(only_updates_are_a_tag_of_their_own),
          cmocka_unit_test(several_columns_are_parted_by_commas),
          cmocka_unit_test(identifiers_are_quoted_as_postgresql_does),
          cmocka_unit_test(literals_hold_whatever_the_setting),
          cmocka_unit_test(watches_have_an_order))
