#include "base/thread.h"

#include <semaphore.h>
#include <string.h>

#include "unit.h"

struct call {
    sem_t may_end, called;
    char name[16];
};

static void *called(void *context)
{
    struct call *call = context;
    sem_wait(&call->may_end);
    pthread_getname_np(pthread_self(), call->name, sizeof call->name);
    sem_post(&call->called);
    return NULL;
}

static void call_init(struct call *call)
{
    *call = (struct call){0};
    sem_init(&call->may_end, 0, 0);
    sem_init(&call->called, 0, 0);
}

static void call_end(struct call *call)
{
    sem_destroy(&call->may_end);
    sem_destroy(&call->called);
}

static void it_has_its_name_and_is_waited_for(void **state)
{
    (void)state;
    const struct thread_kind kind = {.name = "caller", .run = called, .stack = THREAD_STACK_SMALL};
    struct thread thread = {0};
    struct call call;
    call_init(&call);
    assert_true(thread_start(&thread, &kind, &call, NULL));
    sem_post(&call.may_end);
    thread_join(&thread);
    assert_int_equal(sem_trywait(&call.called), 0);
    assert_string_equal(call.name, "caller");
    thread_join(&thread);
    call_end(&call);
}

static void nobody_waits_for_one_alone(void **state)
{
    (void)state;
    static struct call call; /* it may still be at it when this ends */
    call_init(&call);
    assert_true(
        thread_start_alone(&(struct thread_kind){.name = "alone", .run = called}, &call, NULL));
    sem_post(&call.may_end);
    assert_int_equal(sem_wait(&call.called), 0);
}

static void one_that_does_not_begin_is_told_by_its_name(void **state)
{
    (void)state;
    const struct thread_kind kind = {
        .name = "vast", .run = called, .stack = SIZE_MAX / 4096 * 2048};
    struct thread thread = {0};
    struct error error = {0};
    assert_false(thread_start(&thread, &kind, NULL, &error));
    assert_false(thread.started);
    thread_join(&thread);
    assert_int_equal(error.kind, ERROR_SYSTEM);
    assert_non_null(strstr(error.text, "starting the thread \"vast\": "));
    assert_false(thread_start_alone(&kind, NULL, &error));
}

UNIT_MAIN(cmocka_unit_test(it_has_its_name_and_is_waited_for),
          cmocka_unit_test(nobody_waits_for_one_alone),
          cmocka_unit_test(one_that_does_not_begin_is_told_by_its_name))
