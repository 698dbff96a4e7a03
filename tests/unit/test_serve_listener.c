#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "serve/listener.h"

static bool is_busy(void *context)
{
    (void)context;
    return true;
}

static void relieve(void *context)
{
    (void)context;
}

static const struct listener_relief relief = {.busy = is_busy, .run = relieve};

static bool accepted(const struct counters *counters, const char *line)
{
    struct bytes text = BYTES_EMPTY;
    counters_append_prometheus(counters, &text);
    bool found = strstr(bytes_text(&text), line) != NULL;
    bytes_free(&text);
    return found;
}

/* A listening socket with a name that the system chooses. */
static int listen_anywhere(struct sockaddr_un *ret_address, socklen_t *ret_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address.sun_family), 0);
    *ret_size = sizeof *ret_address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, ret_size), 0);
    assert_int_equal(listen(fd, 10), 0);
    return fd;
}

static int client(const struct sockaddr_un *address, socklen_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, size), 0);
    assert_int_equal(write(fd, "x", 1), 1);
    return fd;
}

/* All descriptors but a few are in use. */
static void crowd(struct rlimit *before)
{
    int lowest = dup(0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
    struct rlimit few = {.rlim_cur = (rlim_t)lowest + 2, .rlim_max = before->rlim_max};
    close(lowest);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
}

static size_t next_count(struct listener *listener, int64_t patience,
                         int connections[static LISTENER_BATCH])
{
    size_t count = 0;
    assert_true(listener_next(listener, &relief, patience, connections, &count));
    return count;
}

static void who_has_something_else_to_do_does_not_wait_on(void **state)
{
    struct sockaddr_un address;
    socklen_t size;
    struct listener *listener;
    struct error error;
    int connections[LISTENER_BATCH], socket = listen_anywhere(&address, &size);
    (void)state;
    assert_true(listener_new(socket, &listener, &error));
    assert_int_equal(next_count(listener, 1000, connections), 0);
    int first = client(&address, size);
    assert_int_equal(next_count(listener, 1000, connections), 1);
    close(connections[0]);
    close(first);
    listener_free(listener);
    close(socket);
}

static void new_ones_wait_where_there_is_little_room_and_those_there_are_do_not(void **state)
{
    struct sockaddr_un address;
    socklen_t size;
    struct listener *listener;
    struct error error;
    struct rlimit before;
    int connections[LISTENER_BATCH], socket = listen_anywhere(&address, &size);
    struct counters *counters = counters_open_private();
    (void)state;
    assert_true(listener_new(socket, &listener, &error));
    listener_count_in(listener, counters);
    int first = client(&address, size);
    assert_int_equal(next_count(listener, -1, connections), 1);
    int kept = connections[0];
    assert_true(accepted(counters, "larder_fcgi_connections_total 1\n"));

    listener_keep(listener, kept);
    int second = client(&address, size);
    crowd(&before);
    assert_int_equal(next_count(listener, -1, connections), 1);
    assert_int_equal(connections[0], kept);
    assert_true(accepted(counters, "larder_fcgi_connections_total 1\n"));
    assert_int_equal(next_count(listener, -1, connections), 1);
    assert_int_not_equal(connections[0], kept);
    assert_true(accepted(counters, "larder_fcgi_connections_total 2\n"));

    setrlimit(RLIMIT_NOFILE, &before);
    close(connections[0]);
    close(kept);
    close(first);
    close(second);
    listener_free(listener);
    close(socket);
    counters_close(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_something_else_to_do_does_not_wait_on),
        cmocka_unit_test(new_ones_wait_where_there_is_little_room_and_those_there_are_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
