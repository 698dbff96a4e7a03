#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/precondition.h"

#define BEFORE "Sat, 29 Oct 1994 19:43:30 GMT"
#define CHANGED_TEXT "Sat, 29 Oct 1994 19:43:31 GMT"
#define CHANGED INT64_C(783459811)
#define AFTER "Sat, 29 Oct 1994 19:43:32 GMT"

#define OK PRECONDITION_PROCEED
#define SAME PRECONDITION_NOT_MODIFIED
#define FAIL PRECONDITION_FAILED

static const struct span tags[] = {SPAN_LITERAL("t"), SPAN_LITERAL("t-gz")};

static struct span text(const char *header)
{
    return header ? span_of(header) : (struct span){0};
}

static const struct precondition_case {
    const char *if_match, *if_unmodified_since, *if_none_match, *if_modified_since;
    enum precondition_verdict read, write; /* GET and HEAD; others */
} cases[] = {
    {NULL, NULL, NULL, NULL, OK, OK},
    /* If-Match */
    {"\"t\"", NULL, NULL, NULL, OK, OK},
    {"\"t-gz\"", NULL, NULL, NULL, OK, OK},
    {"W/\"t\"", NULL, NULL, NULL, FAIL, FAIL},
    {"\"x\"", NULL, NULL, NULL, FAIL, FAIL},
    {"*", NULL, NULL, NULL, OK, OK},
    {"", NULL, NULL, NULL, FAIL, FAIL},
    /* If-Unmodified-Since; its date may be the very second */
    {NULL, BEFORE, NULL, NULL, FAIL, FAIL},
    {NULL, CHANGED_TEXT, NULL, NULL, OK, OK},
    {NULL, AFTER, NULL, NULL, OK, OK},
    {NULL, "yesterday", NULL, NULL, OK, OK},
    {NULL, "", NULL, NULL, OK, OK},
    /* … counts only without If-Match */
    {"\"t\"", BEFORE, NULL, NULL, OK, OK},
    {"\"x\"", AFTER, NULL, NULL, FAIL, FAIL},
    /* If-None-Match */
    {NULL, NULL, "\"t\"", NULL, SAME, FAIL},
    {NULL, NULL, "W/\"t-gz\"", NULL, SAME, FAIL},
    {NULL, NULL, "\"x\", \"t\"", NULL, SAME, FAIL},
    {NULL, NULL, "*", NULL, SAME, FAIL},
    {NULL, NULL, "\"x\"", NULL, OK, OK},
    {NULL, NULL, "", NULL, OK, OK},
    {NULL, NULL, "t", NULL, OK, OK},
    /* If-Modified-Since, of GET and HEAD alone */
    {NULL, NULL, NULL, BEFORE, OK, OK},
    {NULL, NULL, NULL, CHANGED_TEXT, SAME, OK},
    {NULL, NULL, NULL, AFTER, SAME, OK},
    {NULL, NULL, NULL, "Saturday", OK, OK},
    /* … is ignored beside If-None-Match, even one that names nothing */
    {NULL, NULL, "\"x\"", AFTER, OK, OK},
    {NULL, NULL, "", AFTER, OK, OK},
    {NULL, NULL, "\"t\"", BEFORE, SAME, FAIL},
    /* the first step that fails decides */
    {"\"x\"", NULL, "\"t\"", NULL, FAIL, FAIL},
    {"\"t\"", NULL, "\"t\"", NULL, SAME, FAIL},
    {"\"t\"", NULL, "\"x\"", NULL, OK, OK},
    {NULL, BEFORE, "\"t\"", NULL, FAIL, FAIL},
    {NULL, AFTER, "\"t\"", NULL, SAME, FAIL},
    {"\"t\"", NULL, NULL, AFTER, SAME, OK},
    {NULL, BEFORE, NULL, AFTER, FAIL, FAIL},
};

static enum precondition_verdict evaluate(const struct precondition_case *row,
                                          const struct precondition_state *state, bool get_or_head)
{
    struct precondition_headers headers = {
        .if_match = text(row->if_match),
        .if_unmodified_since = text(row->if_unmodified_since),
        .if_none_match = text(row->if_none_match),
        .if_modified_since = text(row->if_modified_since),
    };
    return precondition_evaluate(&headers, state, get_or_head);
}

static void keeps_the_order_of_the_rfc(void **unused)
{
    (void)unused;
    const struct precondition_state state = {
        .exists = true, .tags = tags, .tag_count = ARRAY_COUNT(tags), .last_modified = CHANGED};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(evaluate(&cases[i], &state, true), cases[i].read);
        assert_int_equal(evaluate(&cases[i], &state, false), cases[i].write);
    }
}

static void without_a_modification_date_dates_are_ignored(void **unused)
{
    (void)unused;
    const struct precondition_state state = {
        .exists = true, .tags = tags, .tag_count = ARRAY_COUNT(tags), .last_modified = -1};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct precondition_case undated = cases[i];
        undated.if_unmodified_since = undated.if_modified_since = NULL;
        assert_int_equal(evaluate(&cases[i], &state, true), evaluate(&undated, &state, true));
        assert_int_equal(evaluate(&cases[i], &state, false), evaluate(&undated, &state, false));
    }
}

static void what_does_not_exist_matches_nothing(void **unused)
{
    (void)unused;
    const struct precondition_state state = {.exists = false, .last_modified = -1};
    static const struct precondition_case absent[] = {
        {"*", NULL, NULL, NULL, OK, FAIL},   {"\"t\"", NULL, NULL, NULL, OK, FAIL},
        {NULL, NULL, "*", NULL, OK, OK},     {NULL, NULL, "\"t\"", NULL, OK, OK},
        {NULL, BEFORE, NULL, AFTER, OK, OK},
    };
    for (size_t i = 0; i < ARRAY_COUNT(absent); i++) {
        assert_int_equal(evaluate(&absent[i], &state, true), absent[i].read);
        assert_int_equal(evaluate(&absent[i], &state, false), absent[i].write);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_of_the_rfc),
        cmocka_unit_test(without_a_modification_date_dates_are_ignored),
        cmocka_unit_test(what_does_not_exist_matches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
