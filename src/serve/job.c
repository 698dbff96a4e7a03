#include "serve/job.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <fastcgi.h>
#include <fcgiapp.h>

#include "base/clock.h"
#include "cache/compress.h"

/* More body than this is not read to the end: the connection is given up instead. */
#define DRAIN_MAX ((size_t)16 * 1024 * 1024)

/* How long the rest of a body nobody wanted may take, µs. */
#define DRAIN_TIME INT64_C(250000)

/* Buffers that one huge answer made large are not kept for the next. */
#define BUFFER_KEEP ((size_t)256 * 1024)

/* What a record's length has room for (FastCGI 1.0, section 3.3), kept to multiples of eight. */
#define RECORD_MAX ((size_t)65528)

/* More is not copied into libfcgi's buffer. */
#define WRITE_PAST ((size_t)8192)

struct fcgi_writer {
    struct writer writer;
    FCGX_Stream *out;
    int request; /* its number on the connection */
    bool gone;   /* the peer, in the midst of a record */
    /* Of the record being sent by fcgi_send: what is left of it. */
    unsigned char header[8];
    size_t header_left, content_left;
};

struct fcgi_reader {
    struct reader reader;
    FCGX_Stream *in;
};

struct job {
    struct job *next; /* in a list */
    struct desk desk;
    struct exchange exchange;
    struct fcgi_writer writer;
    struct fcgi_reader reader;
    FCGX_Request request;
};

bool tools_make(const struct server *server, struct tools *ret_tools)
{
    struct tools tools = {.compressor = compressor_new()};
    if (server->store)
        tools.redis = cache_store_connection(server->store);
    if (server->queue)
        tools.queue = queue_connection(server->queue);
    bool connected = limiter_connection(server->limiter, &tools.limits) &&
                     (tools.redis || !server->store) && (tools.queue || !server->queue);
    if (!tools.compressor || !connected) {
        tools_free(&tools);
        return false;
    }
    *ret_tools = tools;
    return true;
}

void tools_free(struct tools *tools)
{
    redis_connection_free(tools->redis);
    redis_connection_free(tools->limits);
    redis_connection_free(tools->queue);
    compressor_free(tools->compressor);
}

bool job_library_init(struct error *error)
{
    return FCGX_Init() == 0 ? true : error_set(error, ERROR_SYSTEM, "libfcgi did not start");
}

struct job *job_new(struct server *server)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->desk.server = server;
    job->desk.arena = arena_new();
    if (job->desk.arena)
        return job;
    job_free(job);
    return NULL;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    arena_free(job->desk.arena);
    bytes_free(&job->desk.key);
    bytes_free(&job->desk.body);
    bytes_free(&job->desk.document);
    bytes_free(&job->desk.head);
    for (size_t i = 0; i < CODING_COUNT; i++)
        bytes_free(&job->desk.compressed[i]);
    free(job);
}

static void record_begin(struct fcgi_writer *fcgi, size_t size)
{
    size_t content = size < RECORD_MAX ? size : RECORD_MAX;
    const unsigned char header[] = {FCGI_VERSION_1,
                                    FCGI_STDOUT,
                                    (unsigned char)(fcgi->request >> 8),
                                    (unsigned char)fcgi->request,
                                    (unsigned char)(content >> 8),
                                    (unsigned char)content,
                                    0,
                                    0};
    memcpy(fcgi->header, header, sizeof header);
    fcgi->header_left = sizeof header;
    fcgi->content_left = content;
}

static ssize_t record_send(const struct fcgi_writer *fcgi, struct span rest)
{
    struct iovec parts[] = {
        {.iov_base = (void *)(uintptr_t)(fcgi->header + sizeof fcgi->header - fcgi->header_left),
         .iov_len = fcgi->header_left},
        {.iov_base = (void *)(uintptr_t)rest.data, .iov_len = fcgi->content_left}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_COUNT(parts)};
    return sendmsg(fcgi->writer.peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void record_sent(struct fcgi_writer *fcgi, size_t size, struct span *rest)
{
    size_t header = size < fcgi->header_left ? size : fcgi->header_left;
    fcgi->header_left -= header;
    fcgi->content_left -= size - header;
    *rest = span_from(*rest, size - header);
}

/* Waits until there is room, or the peer is gone, which sending tells then. */
static bool room_wait(int connection, int64_t until)
{
    struct pollfd polled = {.fd = connection, .events = POLLOUT};
    int ready;
    do {
        ready = poll(&polled, 1, clock_remaining_ms(until, clock_monotonic()));
    } while (ready < 0 && errno == EINTR);
    return ready != 0;
}

/*
 * Past libfcgi, whose records hold 8 kB, whose writes wait as long as the socket's own limit says,
 * and which takes it for the end when the process is stopped meanwhile and goes on (EINTR). Nothing
 * of it is in libfcgi's buffer, which ends the stream as it would any other.
 */
static enum writer_outcome fcgi_send(struct writer *writer, struct span *rest, int64_t until)
{
    struct fcgi_writer *fcgi = (struct fcgi_writer *)writer;
    while (rest->size) {
        if (!fcgi->header_left && !fcgi->content_left)
            record_begin(fcgi, rest->size);
        ssize_t sent = record_send(fcgi, *rest);
        if (sent >= 0)
            record_sent(fcgi, (size_t)sent, rest);
        else if (errno != EAGAIN && errno != EINTR)
            return WRITER_GONE;
        else if (!room_wait(writer->peer, until))
            return WRITER_LATE;
    }
    return WRITER_SENT;
}

/* Waits for room as long as the peer takes some of it again and again. */
static bool write_past(struct fcgi_writer *fcgi, struct span bytes)
{
    enum writer_outcome outcome;
    size_t before;
    if (FCGX_FFlush(fcgi->out) != 0)
        return false;
    do {
        before = bytes.size;
        outcome = fcgi_send(&fcgi->writer, &bytes, clock_monotonic() + LISTENER_SILENCE);
        if (outcome == WRITER_LATE) /* there may be room for less than what poll calls room */
            outcome = fcgi_send(&fcgi->writer, &bytes, 0);
    } while (outcome == WRITER_LATE && bytes.size < before);
    fcgi->gone = outcome != WRITER_SENT;
    return !fcgi->gone;
}

/* What libfcgi's buffer holds goes with what ends the request. */
static bool fcgi_write(struct writer *writer, struct span bytes)
{
    struct fcgi_writer *fcgi = (struct fcgi_writer *)writer;
    if (bytes.size > WRITE_PAST)
        return write_past(fcgi, bytes);
    return FCGX_PutStr(bytes.data, (int)bytes.size, fcgi->out) == (int)bytes.size;
}

static bool fcgi_read(struct reader *reader, char *into, size_t room, size_t *ret_size)
{
    FCGX_Stream *in = ((struct fcgi_reader *)reader)->in;
    int got = FCGX_GetStr(into, room > 1 << 30 ? 1 << 30 : (int)room, in);
    if (got < 0 || FCGX_GetError(in) != 0)
        return false;
    *ret_size = (size_t)got;
    return true;
}

/* Listening on no socket, libfcgi reads this connection and never accepts another. */
static bool request_accept(struct job *job, int connection)
{
    FCGX_Request *request = &job->request;
    FCGX_InitRequest(request, -1, FCGI_FAIL_ACCEPT_ON_INTR);
    request->ipcFd = connection;
    request->keepConnection = 1; /* or FCGX_Accept_r closes it as the end of a former request */
    request->detached = 1; /* a failed connection is closed at once, without waiting for the peer */
    return FCGX_Accept_r(request) == 0;
}

bool job_begin(struct job *job, int connection, const struct tools *tools)
{
    struct server *server = job->desk.server;
    if (!request_accept(job, connection)) {
        /* libfcgi has closed it: what came was no request, or not the whole of one. */
        counters_add(server->counters, COUNTER_CONNECTIONS_BROKEN, 1);
        return false;
    }
    job->writer = (struct fcgi_writer){
        .writer = {.write = fcgi_write, .send = fcgi_send, .peer = job->request.ipcFd},
        .out = job->request.out,
        .request = job->request.requestId};
    job->reader = (struct fcgi_reader){.reader.read = fcgi_read, .in = job->request.in};
    job->exchange = (struct exchange){.desk = &job->desk,
                                      .server = server,
                                      .writer = &job->writer.writer,
                                      .reader = &job->reader.reader,
                                      .phase = PHASE_SEEKING,
                                      .started = clock_monotonic(),
                                      .now = clock_wall(),
                                      .counters = server->unrouted};
    job_lend(job, tools);
    request_read(job->request.envp, &job->exchange.request);
    return true;
}

struct exchange *job_exchange(struct job *job)
{
    return &job->exchange;
}

const struct exchange *job_exchange_const(const struct job *job)
{
    return &job->exchange;
}

void job_lend(struct job *job, const struct tools *tools)
{
    job->desk.redis = tools->redis;
    job->desk.queue = tools->queue;
    job->desk.compressor = tools->compressor;
}

/*
 * What is left of the request's body must be read, or the next request would begin in its midst;
 * what does not come at once is not waited for, since this may be a front.
 */
static bool drain(FCGX_Stream *in, int64_t deadline)
{
    size_t drained = 0;
    while (FCGX_GetChar(in) != EOF) {
        drained += (size_t)(in->stop - in->rdNext) + 1;
        in->rdNext = in->stop;
        if (drained > DRAIN_MAX || clock_monotonic() >= deadline)
            return false;
    }
    return FCGX_GetError(in) == 0;
}

static bool may_have_body(const struct request *request)
{
    return request->content_length.size ||
           !(span_is(request->method, "GET") || span_is(request->method, "HEAD"));
}

static bool request_drain(struct job *job)
{
    FCGX_Request *request = &job->request;
    bool body = may_have_body(&job->exchange.request);
    if (FCGX_HasSeenEOF(request->in))
        return FCGX_GetError(request->in) == 0;
    if (body)
        listener_forgive(request->ipcFd, DRAIN_TIME);
    bool drained = drain(request->in, clock_monotonic() + DRAIN_TIME);
    if (body)
        listener_forgive(request->ipcFd, LISTENER_SILENCE);
    return drained;
}

/* The answer is not whole, and only the connection can say so: no record ends the request. */
static void request_break(struct job *job)
{
    FCGX_Free(&job->request, true);
    counters_add(job->desk.server->counters, COUNTER_CONNECTIONS_BROKEN, 1);
}

/* The connection, if it is to be kept; -1: it is closed. */
static int request_finish(struct job *job)
{
    FCGX_Request *request = &job->request;
    bool keep = request->keepConnection;
    bool drained = request_drain(job);
    if (!drained)
        request->keepConnection = 0;
    FCGX_Finish_r(request);
    if (request->ipcFd < 0 && (keep || !drained))
        counters_add(job->desk.server->counters, COUNTER_CONNECTIONS_BROKEN, 1);
    return request->ipcFd;
}

void job_answered(struct job *job, struct listener *listener)
{
    if (job->exchange.broken || job->writer.gone) {
        request_break(job);
        return;
    }
    int connection = request_finish(job);
    if (connection >= 0)
        listener_keep(listener, connection);
}

void job_end(struct job *job)
{
    exchange_end(&job->exchange);
    arena_reset(job->desk.arena);
    if (job->desk.body.capacity > BUFFER_KEEP)
        bytes_free(&job->desk.body);
    if (job->desk.document.capacity > BUFFER_KEEP)
        bytes_free(&job->desk.document);
    for (size_t i = 0; i < CODING_COUNT; i++)
        if (job->desk.compressed[i].capacity > BUFFER_KEEP)
            bytes_free(&job->desk.compressed[i]);
}

void job_list_append(struct job_list *list, struct job *job)
{
    job->next = NULL;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->count++;
}

struct job *job_list_take(struct job_list *list)
{
    struct job *job = list->first;
    if (!job)
        return NULL;
    list->first = job->next;
    if (!list->first)
        list->last = NULL;
    list->count--;
    job->next = NULL;
    return job;
}

void job_list_join(struct job_list *list, struct job_list *from)
{
    if (!from->first)
        return;
    if (list->last)
        list->last->next = from->first;
    else
        list->first = from->first;
    list->last = from->last;
    list->count += from->count;
    *from = (struct job_list){0};
}

struct job *job_next(const struct job *job)
{
    return job->next;
}
