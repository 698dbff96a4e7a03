#include "unit.h"

#include "queue/names.h"

static void assert_name(enum queue_key key, const char *rest, const char *expected)
{
    char name[QUEUE_NAME_SIZE];
    queue_name("larder", key, span_of(rest), name);
    assert_string_equal(name, expected);
}

static void names_keys(void **state)
{
    (void)state;
    assert_name(QUEUE_KEY_JOBS, "", "larder:q:jobs");
    assert_name(QUEUE_KEY_LATER, "", "larder:q:later");
    assert_name(QUEUE_KEY_DEAD, "", "larder:q:dead");
    assert_name(QUEUE_KEY_NEWS, "", "larder:q:news");
    assert_name(QUEUE_KEY_BELL, "", "larder:q:bell");
    assert_name(QUEUE_KEY_JOB, "x", "larder:q:j:x");
    assert_name(QUEUE_KEY_DEDUPE, "x", "larder:q:d:x");
    assert_name(QUEUE_KEY_BEHIND, "x", "larder:q:b:x");
}

static void makes_ids(void **state)
{
    char one[QUEUE_ID_SIZE], other[QUEUE_ID_SIZE];
    (void)state;
    assert_true(queue_id_new(one, NULL) && queue_id_new(other, NULL));
    assert_true(queue_id_valid(span_of(one)));
    assert_string_not_equal(one, other);
}

static void takes_no_other_ids(void **state)
{
    static const char *const others[] = {"",
                                         "abc",
                                         "0123456789012345678901",
                                         "012345678901234567890*",
                                         "01234567890123456789 1",
                                         "01234567890123456789012"};
    (void)state;
    assert_true(queue_id_valid(span_of("abcXYZ-_90123456789012")));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (queue_id_valid(span_of(others[i])) != (i == 2))
            fail_msg("\"%s\"", others[i]);
}

static void tells_states_apart(void **state)
{
    (void)state;
    for (enum queue_state each = 0; each < QUEUE_STATE_COUNT; each++) {
        enum queue_state read = QUEUE_STATE_COUNT;
        assert_true(queue_state_read(span_of(queue_state_names[each]), &read));
        assert_int_equal(read, each);
        assert_int_equal(queue_state_ended(each), each != QUEUE_QUEUED && each != QUEUE_RUNNING);
    }
    enum queue_state read;
    assert_false(queue_state_read(span_of("don"), &read));
}

static void digests_lists_apart(void **state)
{
    const struct span one[] = {SPAN_LITERAL("ab"), SPAN_LITERAL("c")};
    const struct span other[] = {SPAN_LITERAL("a"), SPAN_LITERAL("bc")};
    char first[QUEUE_DIGEST_SIZE], second[QUEUE_DIGEST_SIZE], again[QUEUE_DIGEST_SIZE];
    (void)state;
    assert_true(queue_digest(one, 2, first, NULL) && queue_digest(other, 2, second, NULL) &&
                queue_digest(one, 2, again, NULL));
    assert_string_not_equal(first, second);
    assert_string_equal(first, again);
}

static void owners_have_no_names(void **state)
{
    char nobody[QUEUE_OWNER_SIZE], ann[QUEUE_OWNER_SIZE], empty[QUEUE_OWNER_SIZE];
    (void)state;
    assert_true(queue_owner((struct span){0}, nobody, NULL) &&
                queue_owner(SPAN_LITERAL("ann"), ann, NULL) &&
                queue_owner(SPAN_LITERAL(""), empty, NULL));
    assert_string_equal(nobody, "");
    assert_int_equal(strlen(ann), 2 * DIGEST_SIZE);
    assert_null(strstr(ann, "ann"));
    assert_int_equal(strlen(empty), 2 * DIGEST_SIZE);
}

UNIT_MAIN(cmocka_unit_test(names_keys), cmocka_unit_test(makes_ids),
          cmocka_unit_test(takes_no_other_ids), cmocka_unit_test(tells_states_apart),
          cmocka_unit_test(digests_lists_apart), cmocka_unit_test(owners_have_no_names))
