#include "work/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

static volatile sig_atomic_t ending, hung_up;
static int wake_fd = -1;
static unsigned last_limit; /* seconds */

static void on_end(int number)
{
    const uint64_t one = 1;
    int saved = errno;
    (void)number;
    ending = 1;
    alarm(last_limit);
    ssize_t written = write(wake_fd, &one, sizeof one);
    (void)written;
    errno = saved;
}

static void on_hang_up(int number)
{
    (void)number;
    hung_up = 1;
}

bool loop_hung_up(void)
{
    bool was = hung_up;
    hung_up = 0;
    return was;
}

static void on_patience_over(int number)
{
    (void)number;
    _exit(0);
}

bool loop_signals(unsigned patience, struct error *error)
{
    struct sigaction end = {.sa_handler = on_end}, over = {.sa_handler = on_patience_over},
                     again = {.sa_handler = on_hang_up, .sa_flags = SA_RESTART};
    last_limit = patience;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return error_set_errno(error, "eventfd");
    if (sigaction(SIGALRM, &over, NULL) != 0 || sigaction(SIGTERM, &end, NULL) != 0 ||
        sigaction(SIGINT, &end, NULL) != 0 || sigaction(SIGHUP, &again, NULL) != 0)
        return error_set_errno(error, "sigaction");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of its writer's */
    return true;
}

struct loop {
    const struct loop_task *tasks;
    size_t count;
    void *context;
    int64_t due[LOOP_TASKS_MAX];
};

static void run_due(struct loop *loop)
{
    for (size_t i = 0; i < loop->count && !ending; i++) {
        int64_t now = clock_monotonic();
        if (loop->due[i] <= now)
            loop->due[i] = loop->tasks[i].run(loop->context, now);
    }
}

static int64_t earliest(const struct loop *loop)
{
    int64_t least = LOOP_NEVER;
    for (size_t i = 0; i < loop->count; i++)
        if (loop->due[i] < least)
            least = loop->due[i];
    return least;
}

/*
 * Input of one task may have been read by another that uses the same connection: its descriptor is
 * then silent, so the tasks are asked before the wait as well.
 */
static bool woken_already(struct loop *loop)
{
    bool any = false;
    for (size_t i = 0; i < loop->count; i++)
        if (loop->tasks[i].woken && loop->tasks[i].woken(loop->context)) {
            loop->due[i] = clock_monotonic();
            any = true;
        }
    return any;
}

/* Waits until a task is due or something is readable; poll passes over descriptors of -1. */
static void wait_for_work(struct loop *loop)
{
    struct pollfd fds[LOOP_TASKS_MAX + 1];
    if (woken_already(loop))
        return;
    for (size_t i = 0; i < loop->count; i++)
        fds[i] = (struct pollfd){.fd = loop->tasks[i].fd ? loop->tasks[i].fd(loop->context) : -1,
                                 .events = POLLIN};
    fds[loop->count] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
    int64_t now = clock_monotonic();
    int64_t left = earliest(loop) > now ? earliest(loop) - now : 0;
    const struct timespec wait = clock_timespec(left);
    if (ppoll(fds, loop->count + 1, &wait, NULL) <= 0)
        return;
    for (size_t i = 0; i < loop->count; i++)
        if (fds[i].revents && loop->tasks[i].woken(loop->context))
            loop->due[i] = now;
}

bool loop_run(const struct loop_task *tasks, size_t count, void *context, struct error *error)
{
    struct loop loop = {.tasks = tasks, .count = count, .context = context};
    if (count > LOOP_TASKS_MAX)
        return error_set(error, ERROR_INTERNAL, "too many tasks");
    while (!ending) {
        run_due(&loop);
        if (!ending)
            wait_for_work(&loop);
    }
    return true;
}
