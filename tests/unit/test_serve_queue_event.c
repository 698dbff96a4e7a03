#include "unit.h"

#include "serve/queue_event.h"

static void those_who_are_told_the_same_share_it(void **state)
{
    (void)state;
    struct queue_events *events = queue_events_new(1000);
    struct queue_event *first = queue_event_take(events, QUEUE_DONE, "tag", span_of("{}"));
    struct queue_event *again = queue_event_take(events, QUEUE_DONE, "tag", span_of("{}"));
    struct queue_event *other = queue_event_take(events, QUEUE_DONE, "other", span_of("[]"));
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
    queue_event_give_back(events, first);
    assert_true(span_is(queue_event_text(again), "event: done\nid: tag\ndata: {}\n\n"));
    queue_event_give_back(events, again);
    queue_event_give_back(events, other);
    queue_event_give_back(events, NULL);
    queue_events_free(events);
}

static void what_all_hold_is_bounded(void **state)
{
    (void)state;
    struct queue_events *events = queue_events_new(10);
    struct queue_event *large = queue_event_take(events, QUEUE_DONE, "a", span_of("[1,2,3,4,5,6]"));
    assert_non_null(large);
    assert_null(queue_event_take(events, QUEUE_DONE, "b", span_of("{}")));
    assert_ptr_equal(queue_event_take(events, QUEUE_DONE, "a", span_of("[1,2,3,4,5,6]")), large);
    queue_event_give_back(events, large);
    queue_event_give_back(events, large);
    struct queue_event *next = queue_event_take(events, QUEUE_DONE, "b", span_of("{}"));
    assert_non_null(next);
    queue_event_give_back(events, next);
    queue_events_free(events);
}

UNIT_MAIN(cmocka_unit_test(those_who_are_told_the_same_share_it),
          cmocka_unit_test(what_all_hold_is_bounded))
