#include "unit.h"

#include "cache/feed_message.h"

static struct feed_message read_good(const char *text)
{
    struct feed_message message;
    assert_true(feed_message_read(span_of(text), &message));
    return message;
}

static void a_bump_has_a_number_and_tags(void **state)
{
    struct feed_message message = read_good("41\n42\npublic.feeds(id)\n*");
    (void)state;
    assert_true(message.bump);
    assert_int_equal(message.previous, 41);
    assert_int_equal(message.number, 42);
    assert_true(span_is(span_split(&message.tags, '\n'), "public.feeds(id)"));
    assert_true(span_is(span_split(&message.tags, '\n'), "*"));
    assert_null(message.tags.data);
}

static void a_bump_of_no_tag_is_one_all_the_same(void **state)
{
    struct feed_message message = read_good("0\n9007199254740991");
    (void)state;
    assert_true(message.bump);
    assert_true(message.number == UINT64_C(9007199254740991));
    assert_null(message.tags.data);
}

static void a_number_alone_is_a_heartbeat(void **state)
{
    struct feed_message message = read_good("42");
    (void)state;
    assert_false(message.bump);
    assert_int_equal(message.number, 42);
    assert_null(message.tags.data);
}

static void anything_else_is_no_message(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "x",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1\n",
                                        "\n1",
                                        "1\nx",
                                        "1.5",
                                        "1\n\na",
                                        "0x10",
                                        "5\n5\na",
                                        "6\n5\na",
                                        "1\n2x\na",
                                        "x\n2\na",
                                        "9007199254740992",
                                        "99999999999999999999999999",
                                        "1\n9007199254740992\na"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct feed_message message = {.number = 7};
        if (feed_message_read(span_of(texts[i]), &message))
            fail_msg("\"%s\" was taken for a message", texts[i]);
        assert_int_equal(message.number, 7);
    }
}

static enum feed_word hear(struct feed_place *place, const char *text)
{
    struct feed_message message = read_good(text);
    return feed_place_hear(place, &message);
}

static void bumps_in_order_move_the_place_on(void **state)
{
    struct feed_place place = {.last = 10};
    (void)state;
    assert_int_equal(hear(&place, "10\n20\na"), FEED_NEXT);
    assert_int_equal(hear(&place, "20"), FEED_NEXT);
    assert_int_equal(hear(&place, "20\n30\na"), FEED_NEXT);
    assert_int_equal(place.last, 30);
}

static void the_first_bump_ever_follows_none(void **state)
{
    struct feed_place place = {0};
    (void)state;
    assert_int_equal(hear(&place, "0"), FEED_KNOWN);
    assert_int_equal(hear(&place, "0\n5\na"), FEED_NEXT);
}

/* Published between the subscription and the reading of the last number. */
static void what_was_known_at_the_beginning_is_nothing_new(void **state)
{
    struct feed_place place = {.last = 30};
    (void)state;
    assert_int_equal(hear(&place, "10\n20\na"), FEED_KNOWN);
    assert_int_equal(hear(&place, "20"), FEED_KNOWN);
    assert_int_equal(hear(&place, "20\n30\na"), FEED_KNOWN);
    assert_int_equal(hear(&place, "30"), FEED_KNOWN);
    assert_int_equal(place.last, 30);
    assert_int_equal(hear(&place, "30\n40\na"), FEED_NEXT);
}

static void a_missing_bump_is_a_gap(void **state)
{
    struct feed_place place = {.last = 10};
    (void)state;
    assert_int_equal(hear(&place, "20\n30\na"), FEED_GAP);
    assert_int_equal(hear(&place, "20"), FEED_GAP);
    assert_int_equal(place.last, 10);
}

/* A server that lost its data, or one that took over without all of it. */
static void a_forgetful_server_is_a_gap(void **state)
{
    struct feed_place place = {.last = 10};
    (void)state;
    assert_int_equal(hear(&place, "0\n20\na"), FEED_GAP);
    assert_int_equal(hear(&place, "10\n20\na"), FEED_NEXT);
    assert_int_equal(hear(&place, "0\n15\na"), FEED_GAP);
    assert_int_equal(hear(&place, "0"), FEED_GAP);
}

UNIT_MAIN(cmocka_unit_test(a_bump_has_a_number_and_tags),
          cmocka_unit_test(a_bump_of_no_tag_is_one_all_the_same),
          cmocka_unit_test(a_number_alone_is_a_heartbeat),
          cmocka_unit_test(anything_else_is_no_message),
          cmocka_unit_test(bumps_in_order_move_the_place_on),
          cmocka_unit_test(the_first_bump_ever_follows_none),
          cmocka_unit_test(what_was_known_at_the_beginning_is_nothing_new),
          cmocka_unit_test(a_missing_bump_is_a_gap), cmocka_unit_test(a_forgetful_server_is_a_gap))
