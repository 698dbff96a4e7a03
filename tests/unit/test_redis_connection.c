#include "redis/connection.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

#define PATIENCE INT64_C(10000000)

/* How long a reply is waited for awake: µs. */
#define AWAKE INT64_C(150)

static int listen_at(const char *path)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(place.sun_path, sizeof place.sun_path, "%s", path);
    unlink(path);
    assert_int_equal(bind(listener, (struct sockaddr *)&place, sizeof place), 0);
    assert_int_equal(listen(listener, 1), 0);
    return listener;
}

/* How long a keen call takes whose reply has come together with that to the post before it: µs. */
static int64_t call_lasts(const struct redis_address *address, int listener)
{
    static const char replies[] = "+posted\r\n+called\r\n";
    const struct span word = SPAN_LITERAL("PING");
    const struct redis_command command = {&word, 1};
    struct redis_connection *connection = redis_connection_new(address, NULL);
    struct redis_reply *reply;
    assert_non_null(connection);
    assert_true(redis_post(connection, &command, 1, clock_monotonic() + PATIENCE, NULL));
    int server = accept(listener, NULL, NULL);
    assert_int_equal(write(server, replies, sizeof replies - 1), sizeof replies - 1);
    redis_set_keen(connection, true);
    int64_t begin = clock_monotonic();
    assert_true(redis_call(connection, &command, 1, begin + PATIENCE, &reply, NULL));
    int64_t lasted = clock_monotonic() - begin;
    assert_true(span_is(redis_reply_text(reply), "called"));
    redis_reply_free(reply);
    redis_connection_free(connection);
    close(server);
    return lasted;
}

/* On one processor Redis may have answered both before the first was looked for. */
static void what_has_been_read_already_is_not_waited_for(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "/tmp/larder-redis-%ld.sock", (long)getpid());
    const struct redis_address address = {.path = path};
    int listener = listen_at(path);
    int64_t least = PATIENCE;
    for (int i = 0; i < 50; i++) {
        int64_t lasted = call_lasts(&address, listener);
        least = lasted < least ? lasted : least;
    }
    assert_true(least < AWAKE);
    close(listener);
    unlink(path);
}

UNIT_MAIN(cmocka_unit_test(what_has_been_read_already_is_not_waited_for))
