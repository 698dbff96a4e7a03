#include "serve/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct listener {
    int socket;
    int epoll;
    int stop; /* an eventfd that stays readable once stopped */
    int rest; /* a timerfd: over is the time in which no connection is accepted */
    _Atomic bool rested;
    _Atomic bool stopped;
    struct counters *counters;
};

static bool is_listening(int socket)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    return getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

static bool watch(struct listener *listener, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(listener->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool listener_open(struct listener *listener)
{
    int flags = fcntl(listener->socket, F_GETFL);
    listener->epoll = epoll_create1(EPOLL_CLOEXEC);
    listener->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    listener->rest = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return flags >= 0 && fcntl(listener->socket, F_SETFL, flags | O_NONBLOCK) == 0 &&
           listener->epoll >= 0 && listener->stop >= 0 &&
           watch(listener, listener->socket, EPOLLIN) && watch(listener, listener->stop, EPOLLIN) &&
           listener->rest >= 0 && watch(listener, listener->rest, EPOLLIN);
}

bool listener_new(int socket, struct listener **ret_listener, struct error *error)
{
    if (!is_listening(socket))
        return error_set(error, ERROR_INVALID,
                         "file descriptor %d is not a listening socket: start larder-fcgi under "
                         "spawn-fcgi, or from a systemd socket unit",
                         socket);
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return error_set_memory(error);
    listener->socket = socket;
    listener->epoll = listener->stop = listener->rest = -1;
    if (!listener_open(listener)) {
        error_set_errno(error, "preparing the listening socket");
        listener_free(listener);
        return false;
    }
    *ret_listener = listener;
    return true;
}

void listener_count_in(struct listener *listener, struct counters *counters)
{
    listener->counters = counters;
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    if (listener->epoll >= 0)
        close(listener->epoll);
    if (listener->stop >= 0)
        close(listener->stop);
    if (listener->rest >= 0)
        close(listener->rest);
    free(listener);
}

void listener_stop(struct listener *listener)
{
    uint64_t one = 1;
    atomic_store(&listener->stopped, true);
    epoll_ctl(listener->epoll, EPOLL_CTL_DEL, listener->socket, NULL);
    if (write(listener->stop, &one, sizeof one) < 0) {
        /* Already readable: the counter is full. */
    }
}

/* A silent peer must not hold a thread: reads and writes give up. */
void listener_forgive(int connection, int64_t silence)
{
    int64_t most = silence < 1000 ? 1000 : silence; /* 0 would mean for ever */
    const struct timeval limit = {.tv_sec = most / 1000000, .tv_usec = most % 1000000};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* Has the peer closed without sending anything further? */
static bool ended(int connection)
{
    char byte;
    return recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool readable(int connection)
{
    struct pollfd pollfd = {.fd = connection, .events = POLLIN};
    return poll(&pollfd, 1, 0) > 0;
}

static bool watch_once(struct listener *listener, int connection, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
                                .data.fd = connection};
    return epoll_ctl(listener->epoll, operation, connection, &event) == 0;
}

/* Is the last quarter of the descriptors all that is left? The lowest free one tells. */
static bool crowded(const struct listener *listener)
{
    struct rlimit limit;
    int lowest = fcntl(listener->socket, F_DUPFD_CLOEXEC, 0);
    if (lowest < 0)
        return true;
    close(lowest);
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
           (rlim_t)lowest >= limit.rlim_cur - limit.rlim_cur / 4;
}

/* How long no connection is accepted where there is little room for it, ns. */
#define REST (10 * 1000000L)

static void accepting(struct listener *listener, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = listener->socket};
    epoll_ctl(listener->epoll, EPOLL_CTL_MOD, listener->socket, &event);
}

/* The connections there are are served meanwhile. */
static void rest_begin(struct listener *listener)
{
    const struct itimerspec once = {.it_value = {.tv_nsec = REST}};
    accepting(listener, 0);
    timerfd_settime(listener->rest, 0, &once, NULL);
}

static void rest_end(struct listener *listener)
{
    uint64_t times;
    if (read(listener->rest, &times, sizeof times) < 0)
        return; /* another thread has seen to it */
    atomic_store(&listener->rested, true);
    accepting(listener, EPOLLIN);
}

/* A new connection that can be read at once, or -1: none, or it is watched from now on. */
static int accept_ready(struct listener *listener, const struct listener_relief *relief)
{
    /* What is at work may need descriptors of its own before others come. */
    if (crowded(listener) && relief->busy(relief->context) &&
        !atomic_exchange(&listener->rested, false)) {
        rest_begin(listener);
        return -1;
    }
    int connection = accept4(listener->socket, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) {
        /* Out of descriptors or memory the socket stays readable: don't spin. */
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            relief->run(relief->context);
            rest_begin(listener);
        }
        return -1;
    }
    if (listener->counters)
        counters_add(listener->counters, COUNTER_CONNECTIONS, 1);
    listener_forgive(connection, LISTENER_SILENCE);
    if (readable(connection))
        return connection;
    if (!watch_once(listener, connection, EPOLL_CTL_ADD))
        close(connection);
    return -1;
}

/* A kept connection that can be read, or -1: its peer has closed it, and so it is here. */
static int kept_ready(int connection, uint32_t events)
{
    if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || !ended(connection))
        return connection;
    close(connection);
    return -1;
}

/* The connection behind an event, or -1: none. */
static int event_connection(struct listener *listener, const struct listener_relief *relief,
                            const struct epoll_event *event)
{
    int fd = event->data.fd;
    if (fd == listener->stop)
        return -1;
    if (fd == listener->rest) {
        rest_end(listener);
        return -1;
    }
    return fd == listener->socket ? accept_ready(listener, relief) : kept_ready(fd, event->events);
}

bool listener_is_ready(const struct listener *listener)
{
    struct pollfd pollfd = {.fd = listener->epoll, .events = POLLIN};
    return poll(&pollfd, 1, 0) > 0;
}

/*
 * Whatever is ready, the stop included: how many; 0 when nothing was within `patience`, -1 when
 * nothing can be waited for.
 */
static int ready_wait(struct listener *listener, int64_t patience,
                      struct epoll_event events[static LISTENER_BATCH])
{
    int most = patience < 0 ? -1 : (int)((patience + 999) / 1000), count;
    do {
        count = epoll_wait(listener->epoll, events, LISTENER_BATCH, most);
    } while (count < 0 && errno == EINTR);
    return count;
}

/*
 * Once stopped, the stop's descriptor is always ready; when it alone is, nothing else is left, as
 * no connection is accepted or kept any more.
 */
bool listener_next(struct listener *listener, const struct listener_relief *relief,
                   int64_t patience, int ret_connections[static LISTENER_BATCH], size_t *ret_count)
{
    struct epoll_event events[LISTENER_BATCH];
    size_t found = 0;
    do {
        int count = ready_wait(listener, patience, events);
        if (count < 0 || (count == 1 && events[0].data.fd == listener->stop))
            return false;
        for (int i = 0; i < count; i++) {
            int connection = event_connection(listener, relief, &events[i]);
            if (connection >= 0)
                ret_connections[found++] = connection;
        }
    } while (found == 0 && patience < 0);
    *ret_count = found;
    return true;
}

bool listener_request_whole(int connection)
{
    unsigned char bytes[8192];
    ssize_t got = recv(connection, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    for (ssize_t at = 0; at + 8 <= got;) {
        const unsigned char *record = bytes + at; /* version, type, identifier, length, padding */
        int content = record[4] << 8 | record[5];
        if (record[1] == 5 && content == 0)
            return true;
        at += 8 + content + record[6];
    }
    return false;
}

void listener_keep(struct listener *listener, int connection)
{
    if (atomic_load(&listener->stopped) ||
        (!watch_once(listener, connection, EPOLL_CTL_MOD) &&
         !(errno == ENOENT && watch_once(listener, connection, EPOLL_CTL_ADD))))
        close(connection);
}
