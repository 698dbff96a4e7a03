/*
 * Sends requests at the times that a schedule names, however slow the answers are.
 *
 *   replay ADDRESS CONNECTIONS SCHEDULE
 *
 * ADDRESS is as in link.h; all CONNECTIONS are opened before the first request. A line of SCHEDULE
 * is the microseconds after the start at which a request is due, and its target; the times rise.
 * A request for which no connection is free waits for one, and that wait counts. Prints one line
 * a request, in the order of the answers:
 *
 *   the request's line (from 0), the microsecond at which it was due, microseconds from then to the
 *   end of its answer, the status, and the word of Cache-Status that says what became of it ("hit"
 * of whichever cache, "fwd=uri-miss" ...; "-" when it has none)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "link.h"

enum { CONNECTIONS_MAX = 10000, TARGET_MAX = 256, EVENTS = 256, PATIENCE = 60 };
static const int64_t SECOND = 1000000000;

struct request {
    int64_t due; /* microseconds */
    char target[TARGET_MAX];
};

static struct request *requests;
static size_t request_count;

struct connection {
    struct link link;
    size_t request; /* that is on its way */
};

static struct connection *connections;
static struct connection **idle;
static size_t connection_count, idle_count;
static int poller;
static int64_t start;

static void schedule_read(const char *path)
{
    FILE *file = fopen(path, "r");
    long long due;
    char target[TARGET_MAX];
    if (!file)
        fail("can't be read", path);
    while (fscanf(file, "%lld %255s", &due, target) == 2) {
        if (request_count % 1024 == 0)
            requests = realloc(requests, (request_count + 1024) * sizeof *requests);
        if (!requests)
            fail("memory", "there is none left");
        struct request *request = &requests[request_count++];
        request->due = due;
        memcpy(request->target, target, sizeof target);
    }
    fclose(file);
}

static void connections_open(const char *address)
{
    poller = epoll_create1(0);
    connections = calloc(connection_count, sizeof *connections);
    idle = calloc(connection_count, sizeof *idle);
    if (!connections || !idle)
        fail("memory", "there is none left");
    for (size_t i = 0; i < connection_count; i++) {
        link_open(address, &connections[i].link);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, connections[i].link.fd, &event);
        idle[idle_count++] = &connections[i];
    }
}

static void answer_print(const struct connection *connection)
{
    const struct request *request = &requests[connection->request];
    const char *told = link_field(&connection->link, "Cache-Status");
    char word[32] = "-";
    if (link_hit(&connection->link))
        strcpy(word, "hit");
    else if (told)
        sscanf(told, "larder; %31[^;\r\n]", word);
    printf("%zu %lld %lld %d %s\n", connection->request, (long long)request->due,
           (long long)((now() - start) / 1000 - request->due), link_status(&connection->link),
           word);
}

/* Until `time`, or until something has come when there is nothing to wait for. */
static size_t answers_take(int64_t time)
{
    struct epoll_event events[EVENTS];
    struct timespec left = {0};
    int64_t rest = time - now();
    if (rest > 0)
        left = (struct timespec){rest / SECOND, rest % SECOND};
    int ready = epoll_pwait2(poller, events, EVENTS, &left, NULL);
    size_t taken = 0;
    for (int i = 0; i < ready; i++) {
        struct connection *connection = events[i].data.ptr;
        if (!link_receive(&connection->link))
            continue;
        answer_print(connection);
        idle[idle_count++] = connection;
        taken++;
    }
    return taken;
}

/* The connection that has been idle longest comes last, so that few of many are in use. */
static void request_send(size_t number)
{
    struct connection *connection = idle[--idle_count];
    connection->request = number;
    link_send(&connection->link, requests[number].target);
}

static void requests_replay(void)
{
    size_t sent = 0, answered = 0;
    int64_t heard = start = now();
    while (answered < request_count) {
        int64_t due = sent < request_count ? start + requests[sent].due * 1000 : INT64_MAX;
        if (idle_count && now() >= due) {
            request_send(sent++);
            continue;
        }
        int64_t until = now() + SECOND;
        size_t taken = answers_take(idle_count && due < until ? due : until);
        answered += taken;
        heard = taken || answered == sent ? now() : heard;
        if (now() > heard + PATIENCE * SECOND)
            fail("an answer", "it did not come within a minute");
    }
}

int main(int count, char **words)
{
    if (count != 4)
        fail("usage", "replay ADDRESS CONNECTIONS SCHEDULE");
    connection_count = (size_t)atol(words[2]);
    if (connection_count < 1 || connection_count > CONNECTIONS_MAX)
        fail("CONNECTIONS is from 1 to 10000, not", words[2]);
    prctl(PR_SET_TIMERSLACK, 1UL);
    schedule_read(words[3]);
    connections_open(words[1]);
    requests_replay();
    return 0;
}
