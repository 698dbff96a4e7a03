#include "queue/behind.h"

#include "unit.h"

static struct queue_behind_number number_of(const char *text)
{
    struct queue_behind_number number;
    assert_true(queue_behind_number_read(span_of(text), &number));
    return number;
}

static void writes_what_it_reads(void **state)
{
    static const char *const texts[] = {"0-0", "1-2", "1763740000000-17",
                                        "18446744073709551615-18446744073709551615"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        char text[QUEUE_BEHIND_NUMBER_SIZE];
        struct queue_behind_number number = number_of(texts[i]);
        queue_behind_number_write(&number, text);
        assert_string_equal(text, texts[i]);
    }
}

static void refuses_what_is_no_number(void **state)
{
    static const char *const texts[] = {"",    "-",   "1",    "1-",   "-1",
                                        "a-1", "1-a", "1-1-", "+1-1", "18446744073709551616-0"};
    struct queue_behind_number number;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        assert_false(queue_behind_number_read(span_of(texts[i]), &number));
}

/* As numbers, not as texts. */
static void orders_numbers(void **state)
{
    static const char *const texts[] = {"0-0", "0-1", "0-10", "9-2", "10-1", "10-2"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        for (size_t j = 0; j < ARRAY_COUNT(texts); j++) {
            struct queue_behind_number left = number_of(texts[i]), right = number_of(texts[j]);
            int order = queue_behind_number_compare(&left, &right);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void names_streams_apart(void **state)
{
    char feed[QUEUE_NAME_SIZE], user[QUEUE_NAME_SIZE];
    const struct queue_settings settings = {.prefix = "p", .address = {.path = "/nowhere"}};
    struct queue *queue = queue_new(&settings);
    struct error error;
    (void)state;
    assert_non_null(queue);
    assert_true(queue_behind_name(queue, "POST /feeds/{id}/view", feed, &error));
    assert_true(queue_behind_name(queue, "POST /users/{id}/view", user, &error));
    assert_string_not_equal(feed, user);
    assert_memory_equal(feed, "p:q:b:", 6);
    assert_int_equal(strlen(feed), 6 + 22);
    queue_free(queue);
}

UNIT_MAIN(cmocka_unit_test(writes_what_it_reads), cmocka_unit_test(refuses_what_is_no_number),
          cmocka_unit_test(orders_numbers), cmocka_unit_test(names_streams_apart))
