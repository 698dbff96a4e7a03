#include "unit.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/peer.h"
#include "serve/gate.h"

#define NEVER (INT64_C(3600) * 1000000)
#define SOON (INT64_C(20) * 1000)

/* Whoever comes in a thread of his own, and what became of him. */
struct comer {
    struct gate *gate;
    int peer;
    struct gate_pass pass;
    pthread_t thread;
    bool passed;
};

static void *come(void *argument)
{
    struct comer *comer = argument;
    comer->passed = gate_enter(comer->gate, comer->peer, &comer->pass);
    return NULL;
}

static void comer_start(struct comer *comer, struct gate *gate, int peer)
{
    *comer = (struct comer){.gate = gate, .peer = peer};
    size_t before = gate_waiting(gate);
    assert_int_equal(pthread_create(&comer->thread, NULL, come, comer), 0);
    while (gate_waiting(gate) == before)
        usleep(100);
}

static bool comer_passed(struct comer *comer)
{
    pthread_join(comer->thread, NULL);
    return comer->passed;
}

static void nobody_waits_while_there_is_a_pass(void **state)
{
    (void)state;
    struct gate *gate = gate_new(2, NEVER);
    struct gate_pass passes[2] = {0};
    assert_non_null(gate);
    for (int i = 0; i < 3; i++) {
        assert_true(gate_enter(gate, PEER_NOBODY, &passes[0]));
        assert_true(gate_enter(gate, PEER_NOBODY, &passes[1]));
        gate_leave(gate, &passes[0]);
        gate_leave(gate, &passes[1]);
    }
    gate_free(gate);
}

static void whoever_came_first_is_next(void **state)
{
    (void)state;
    struct gate *gate = gate_new(1, NEVER);
    struct gate_pass pass = {0};
    struct comer comers[5];
    assert_true(gate_enter(gate, PEER_NOBODY, &pass));
    for (size_t i = 0; i < ARRAY_COUNT(comers); i++)
        comer_start(&comers[i], gate, PEER_NOBODY);
    gate_leave(gate, &pass);
    for (size_t i = 0; i < ARRAY_COUNT(comers); i++) {
        assert_true(comer_passed(&comers[i]));
        assert_int_equal(gate_waiting(gate), ARRAY_COUNT(comers) - 1 - i);
        gate_leave(gate, &comers[i].pass);
    }
    gate_free(gate);
}

static void a_pass_is_had_no_longer_than_it_may_be(void **state)
{
    (void)state;
    struct gate *gate = gate_new(1, SOON);
    struct gate_pass first = {0}, second = {0}, third = {0};
    assert_true(gate_enter(gate, PEER_NOBODY, &first));
    int64_t begun = clock_monotonic();
    assert_true(gate_enter(gate, PEER_NOBODY, &second));
    assert_true(clock_monotonic() - begun >= SOON / 2);
    gate_leave(gate, &first); /* has gone to the second */
    begun = clock_monotonic();
    assert_true(gate_enter(gate, PEER_NOBODY, &third));
    assert_true(clock_monotonic() - begun >= SOON / 2);
    gate_leave(gate, &second);
    gate_leave(gate, &third);
    gate_free(gate);
}

static void many_behind_those_who_never_give_back_pass_all_the_same(void **state)
{
    (void)state;
    struct gate *gate = gate_new(2, SOON);
    struct gate_pass passes[2] = {0};
    struct comer comers[10];
    for (size_t i = 0; i < ARRAY_COUNT(passes); i++)
        assert_true(gate_enter(gate, PEER_NOBODY, &passes[i]));
    for (size_t i = 0; i < ARRAY_COUNT(comers); i++)
        comers[i] = (struct comer){.gate = gate, .peer = PEER_NOBODY};
    for (size_t i = 0; i < ARRAY_COUNT(comers); i++)
        assert_int_equal(pthread_create(&comers[i].thread, NULL, come, &comers[i]), 0);
    for (size_t i = 0; i < ARRAY_COUNT(comers); i++)
        assert_true(comer_passed(&comers[i]));
    for (size_t i = 0; i < ARRAY_COUNT(comers); i++)
        gate_leave(gate, &comers[i].pass);
    gate_free(gate);
}

static void whoever_leaves_is_no_longer_in_line(void **state)
{
    (void)state;
    struct gate *gate = gate_new(1, NEVER);
    struct gate_pass pass = {0};
    struct comer leaver, stayer;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_true(gate_enter(gate, PEER_NOBODY, &pass));
    comer_start(&leaver, gate, ends[0]);
    comer_start(&stayer, gate, PEER_NOBODY);
    close(ends[1]);
    assert_false(comer_passed(&leaver));
    gate_leave(gate, &leaver.pass);
    assert_int_equal(gate_waiting(gate), 1);
    gate_leave(gate, &pass);
    assert_true(comer_passed(&stayer));
    gate_leave(gate, &stayer.pass);
    close(ends[0]);
    gate_free(gate);
}

static void a_pass_that_was_never_had_can_be_given_back(void **state)
{
    (void)state;
    struct gate *gate = gate_new(1, NEVER);
    struct gate_pass never = {0}, pass = {0};
    struct comer comer;
    gate_leave(gate, &never);
    assert_true(gate_enter(gate, PEER_NOBODY, &pass));
    comer_start(&comer, gate, PEER_NOBODY); /* there is no second pass */
    gate_leave(gate, &pass);
    gate_leave(gate, &pass);
    assert_true(comer_passed(&comer));
    gate_leave(gate, &comer.pass);
    gate_free(gate);
}

UNIT_MAIN(cmocka_unit_test(nobody_waits_while_there_is_a_pass),
          cmocka_unit_test(whoever_came_first_is_next),
          cmocka_unit_test(a_pass_is_had_no_longer_than_it_may_be),
          cmocka_unit_test(many_behind_those_who_never_give_back_pass_all_the_same),
          cmocka_unit_test(whoever_leaves_is_no_longer_in_line),
          cmocka_unit_test(a_pass_that_was_never_had_can_be_given_back))
