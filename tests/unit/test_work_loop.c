#include "unit.h"

#include <signal.h>
#include <unistd.h>

#include "work/loop.h"

#define SECOND INT64_C(1000000)

/* Two tasks with one connection: what `other` reads was meant for `listener`. */
struct world {
    int pipe[2];
    bool held; /* read, but not yet looked at */
    bool heard, late;
};

static int64_t listen_run(void *context, int64_t now)
{
    struct world *world = context;
    (void)now;
    if (!world->held)
        return LOOP_NEVER;
    world->heard = true;
    raise(SIGTERM);
    return LOOP_NEVER;
}

static int listen_fd(const void *context)
{
    const struct world *world = context;
    return world->pipe[0];
}

static bool listen_woken(void *context)
{
    const struct world *world = context;
    return world->held;
}

static int64_t other_run(void *context, int64_t now)
{
    struct world *world = context;
    char byte;
    (void)now;
    world->held = read(world->pipe[0], &byte, 1) == 1;
    return LOOP_NEVER;
}

static int64_t end_run(void *context, int64_t now)
{
    struct world *world = context;
    if (!world->late) {
        world->late = true;
        return now + 5 * SECOND;
    }
    raise(SIGTERM);
    return LOOP_NEVER;
}

static void input_that_another_task_read_wakes_all_the_same(void **state)
{
    static const struct loop_task tasks[] = {{"listener", listen_run, listen_fd, listen_woken},
                                             {"other", other_run, NULL, NULL},
                                             {"end", end_run, NULL, NULL}};
    struct world world = {0};
    struct error error;
    (void)state;
    assert_int_equal(pipe(world.pipe), 0);
    assert_int_equal(write(world.pipe[1], "x", 1), 1);
    assert_true(loop_signals(60, &error));
    assert_true(loop_run(tasks, 3, &world, &error));
    assert_true(world.heard);
    alarm(0);
    close(world.pipe[0]);
    close(world.pipe[1]);
}

UNIT_MAIN(cmocka_unit_test(input_that_another_task_read_wakes_all_the_same))
