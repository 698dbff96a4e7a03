#include "unit.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "redis/resolver.h"
#include "redis/subscription.h"

#define SILENCE INT64_C(50000)
#define PATIENCE INT64_C(10000000)

/* A subscription, and the server's end of its line. */
struct line {
    struct redis_address address;
    struct redis_resolver *resolver;
    struct redis_subscription *subscription;
    int listener, server;
};

static void say(struct line *line, const char *text)
{
    assert_int_equal(write(line->server, text, strlen(text)), strlen(text));
}

/* Reads what the subscription says next, which ends as `end` does. */
static void read_up_to(struct line *line, const char *end)
{
    char text[200] = "";
    size_t size = 0;
    while (!strstr(text, end)) {
        ssize_t count = read(line->server, text + size, sizeof text - 1 - size);
        assert_true(count > 0);
        size += (size_t)count;
        text[size] = '\0';
    }
}

static void *let_in(void *argument)
{
    struct line *line = argument;
    line->server = accept(line->listener, NULL, NULL);
    read_up_to(line, "feed\r\n");
    say(line, "*3\r\n$9\r\nsubscribe\r\n$4\r\nfeed\r\n:1\r\n");
    return NULL;
}

static int listen_on(struct redis_address *address)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&place, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&place, &size), 0);
    *address = (struct redis_address){.host = "127.0.0.1", .port = ntohs(place.sin_port)};
    return listener;
}

static int line_open(void **state)
{
    struct line *line = calloc(1, sizeof *line);
    pthread_t thread;
    assert_non_null(line);
    line->listener = listen_on(&line->address);
    line->resolver = redis_resolver_new(&line->address);
    line->subscription = redis_subscription_new(&line->address, line->resolver, SILENCE);
    assert_non_null(line->subscription);
    assert_int_equal(pthread_create(&thread, NULL, let_in, line), 0);
    assert_true(redis_subscribe(line->subscription, SPAN_LITERAL("feed"),
                                clock_monotonic() + PATIENCE, NULL));
    pthread_join(thread, NULL);
    *state = line;
    return 0;
}

static int line_close(void **state)
{
    struct line *line = *state;
    redis_subscription_free(line->subscription);
    redis_resolver_free(line->resolver);
    close(line->server);
    close(line->listener);
    free(line);
    return 0;
}

/* Nobody looks at the line for longer than it may be silent. */
static void stand_still(void)
{
    int64_t until = clock_monotonic() + SILENCE;
    while (clock_monotonic() <= until)
        usleep(1000);
}

/* What the line has; null text: nothing. */
static bool look(struct line *line, struct span *ret_text, struct error *error)
{
    struct redis_reply *message;
    if (!redis_next_message(line->subscription, 0, &message, ret_text, error))
        return false;
    bool some = message != NULL;
    redis_reply_free(message);
    if (!some)
        *ret_text = (struct span){0};
    return true;
}

/* Looks after a silence, which asks. */
static void ask(struct line *line)
{
    struct span text;
    stand_still();
    assert_true(look(line, &text, NULL));
    assert_null(text.data);
    read_up_to(line, "PING\r\n");
}

static void a_silent_line_is_asked_and_then_given_up(void **state)
{
    struct line *line = *state;
    struct error error;
    struct span text;
    ask(line);
    stand_still();
    assert_false(look(line, &text, &error));
    assert_int_equal(error.kind, ERROR_TIMEOUT);
}

static void an_answer_counts_however_late_it_is_read(void **state)
{
    struct line *line = *state;
    struct span text;
    ask(line);
    say(line, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    stand_still();
    assert_true(look(line, &text, NULL));
    assert_null(text.data);
}

static void a_message_counts_as_an_answer(void **state)
{
    struct line *line = *state;
    struct span text;
    ask(line);
    say(line, "*3\r\n$7\r\nmessage\r\n$4\r\nfeed\r\n$1\r\n7\r\n");
    stand_still();
    assert_true(look(line, &text, NULL));
    assert_non_null(text.data);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(a_silent_line_is_asked_and_then_given_up, line_open,
                                          line_close),
          cmocka_unit_test_setup_teardown(an_answer_counts_however_late_it_is_read, line_open,
                                          line_close),
          cmocka_unit_test_setup_teardown(a_message_counts_as_an_answer, line_open, line_close))
