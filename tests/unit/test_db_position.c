#include "unit.h"

#include "db/position.h"

static struct position after(const char *snapshot, const char *skipped)
{
    struct position position = {0};
    position_advance(&position, span_of(snapshot), span_of(skipped));
    return position;
}

static void assert_position(const char *snapshot, const char *skipped, uint64_t next,
                            const char *pending)
{
    struct position position = after(snapshot, skipped);
    assert_int_equal(position.next, next);
    assert_string_equal(bytes_text(&position.pending), pending);
    position_free(&position);
}

static void what_comes_next_starts_at_the_snapshot_s_end(void **state)
{
    (void)state;
    assert_position("100:100:", "", 100, "");
    assert_position("100:100:", NULL, 100, "");
    assert_position("18446744073709551000:18446744073709551001:", NULL,
                    UINT64_C(18446744073709551001), "");
}

static void what_ran_or_was_locked_is_pending(void **state)
{
    (void)state;
    assert_position("90:100:90,95", "", 100, "90,95");
    assert_position("100:100:", "40,41", 100, "40,41");
    assert_position("90:100:90,95", "80", 100, "90,95,80");
}

static void each_poll_forgets_what_was_pending_before(void **state)
{
    struct position position = after("90:100:90,95", "80");
    (void)state;
    position_advance(&position, span_of("95:120:95"), span_of(NULL));
    assert_int_equal(position.next, 120);
    assert_string_equal(bytes_text(&position.pending), "95");
    position_free(&position);
}

static void nonsense_leads_back_to_the_start(void **state)
{
    static const char *const texts[] = {
        "",        "12",    "12:",    "a:b:", "1:2:x", "1:2:3,,4",
        "1:2:3;4", "1:2:'", "-1:-2:", ":2:",  "1 :2:", "111111111111111111111:2:"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        assert_position(texts[i], "", 0, "");
    assert_position("1:2:", "3,x", 0, "");
}

static void a_pending_list_past_all_bounds_leads_back_to_the_start(void **state)
{
    struct bytes skipped = BYTES_EMPTY;
    (void)state;
    for (size_t i = 0; i < POSITION_PENDING_MAX; i++)
        bytes_append_text(&skipped, i ? ",7" : "7");
    assert_position("1:2:", bytes_text(&skipped), 0, "");
    bytes_free(&skipped);
}

static void the_oldest_running_is_the_snapshot_s_start(void **state)
{
    (void)state;
    assert_int_equal(position_oldest_running(span_of("90:100:90,95")), 90);
    assert_int_equal(position_oldest_running(span_of("")), 0);
}

static void the_end_is_where_no_transaction_had_begun(void **state)
{
    (void)state;
    assert_int_equal(position_end(span_of("90:100:90,95")), 100);
    assert_int_equal(position_end(span_of("nonsense")), 0);
}

UNIT_MAIN(cmocka_unit_test(what_comes_next_starts_at_the_snapshot_s_end),
          cmocka_unit_test(what_ran_or_was_locked_is_pending),
          cmocka_unit_test(each_poll_forgets_what_was_pending_before),
          cmocka_unit_test(nonsense_leads_back_to_the_start),
          cmocka_unit_test(a_pending_list_past_all_bounds_leads_back_to_the_start),
          cmocka_unit_test(the_oldest_running_is_the_snapshot_s_start),
          cmocka_unit_test(the_end_is_where_no_transaction_had_begun))
