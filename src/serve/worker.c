#include "serve/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <fcgiapp.h>

#include "base/clock.h"
#include "cache/compress.h"
#include "serve/steps.h"

/* A thread's stack: the deepest is libpq's and brotli's, well under half of it. */
#define STACK_SIZE ((size_t)512 * 1024)

/* More body than this is not read to the end: the connection is given up instead. */
#define DRAIN_MAX ((size_t)16 * 1024 * 1024)

struct crew {
    struct server *server;
    struct listener *listener;
    size_t count;
    pthread_t threads[];
};

struct fcgi_writer {
    struct writer writer;
    FCGX_Stream *out;
};

bool worker_library_init(struct error *error)
{
    return FCGX_Init() == 0 ? true : error_set(error, ERROR_SYSTEM, "libfcgi did not start");
}

static bool fcgi_write(struct writer *writer, struct span bytes)
{
    FCGX_Stream *out = ((struct fcgi_writer *)writer)->out;
    while (bytes.size) {
        int size = bytes.size > 1 << 30 ? 1 << 30 : (int)bytes.size;
        if (FCGX_PutStr(bytes.data, size, out) != size)
            return false;
        bytes = span_from(bytes, (size_t)size);
    }
    return true;
}

/* What is left of the request's body must be read, or the next request would begin in its midst. */
static bool drain(FCGX_Stream *in)
{
    char scratch[4096];
    size_t drained = 0;
    int got;
    while ((got = FCGX_GetStr(scratch, sizeof scratch, in)) > 0) {
        drained += (size_t)got;
        if (drained > DRAIN_MAX)
            return false;
    }
    return FCGX_GetError(in) == 0;
}

static void answer(struct worker *worker, FCGX_Request *request)
{
    struct fcgi_writer writer = {.writer.write = fcgi_write, .out = request->out};
    struct exchange exchange = {.worker = worker,
                                .server = worker->server,
                                .writer = &writer.writer,
                                .phase = PHASE_SEEKING,
                                .started = clock_monotonic(),
                                .now = clock_wall(),
                                .counters = worker->server->unrouted};
    request_read(request->envp, &exchange.request);
    steps_walk(&exchange);
    exchange_end(&exchange);
    arena_reset(worker->arena);
}

/* Buffers that one huge answer made large are not kept for the next. */
#define BUFFER_KEEP ((size_t)256 * 1024)

static void worker_tidy(struct worker *worker)
{
    for (size_t i = 0; i < CODING_COUNT; i++)
        if (worker->compressed[i].capacity > BUFFER_KEEP)
            bytes_free(&worker->compressed[i]);
}

/* Serves the request that waits on the connection, then keeps or closes it. */
static void serve_connection(struct worker *worker, struct listener *listener, int connection)
{
    /* Listening on no socket, libfcgi reads this connection and never accepts another. */
    FCGX_Request request;
    FCGX_InitRequest(&request, -1, FCGI_FAIL_ACCEPT_ON_INTR);
    request.ipcFd = connection;
    request.keepConnection = 1; /* or FCGX_Accept_r closes it as the end of a former request */
    request.detached = 1; /* a failed connection is closed at once, without waiting for the peer */
    if (FCGX_Accept_r(&request) != 0) {
        /* libfcgi has closed it: what came was no request, or not the whole of one. */
        counters_add(worker->server->counters, COUNTER_CONNECTIONS_BROKEN, 1);
        return;
    }
    answer(worker, &request);
    worker_tidy(worker);
    bool keep = request.keepConnection;
    bool drained = drain(request.in);
    if (!drained)
        request.keepConnection = 0;
    FCGX_Finish_r(&request);
    if (request.ipcFd >= 0)
        listener_keep(listener, request.ipcFd);
    else if (keep || !drained)
        counters_add(worker->server->counters, COUNTER_CONNECTIONS_BROKEN, 1);
}

static void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    arena_free(worker->arena);
    redis_connection_free(worker->redis);
    compressor_free(worker->compressor);
    bytes_free(&worker->key);
    bytes_free(&worker->head);
    for (size_t i = 0; i < CODING_COUNT; i++)
        bytes_free(&worker->compressed[i]);
    free(worker);
}

static struct worker *worker_new(struct server *server)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return NULL;
    worker->server = server;
    worker->arena = arena_new();
    worker->compressor = compressor_new();
    if (server->store)
        worker->redis = cache_store_connection(server->store);
    if (worker->arena && worker->compressor && (worker->redis || !server->store))
        return worker;
    worker_free(worker);
    return NULL;
}

static void *worker_run(void *argument)
{
    struct crew *crew = argument;
    struct worker *worker = worker_new(crew->server);
    int connection;
    while (worker && (connection = listener_next(crew->listener)) >= 0)
        serve_connection(worker, crew->listener, connection);
    worker_free(worker);
    return NULL;
}

bool crew_start(struct server *server, struct listener *listener, size_t count,
                struct crew **ret_crew, struct error *error)
{
    struct crew *crew = calloc(1, sizeof *crew + count * sizeof crew->threads[0]);
    if (!crew)
        return error_set_memory(error);
    crew->server = server;
    crew->listener = listener;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int failure = 0;
    while (crew->count < count && !failure) {
        failure = pthread_create(&crew->threads[crew->count], &attributes, worker_run, crew);
        if (!failure)
            pthread_setname_np(crew->threads[crew->count++], "worker");
    }
    pthread_attr_destroy(&attributes);
    if (failure) {
        error_set(error, ERROR_SYSTEM, "thread %zu of LARDER_THREADS could not be started",
                  crew->count + 1);
        listener_stop(listener);
        crew_join(crew);
        return false;
    }
    *ret_crew = crew;
    return true;
}

void crew_join(struct crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        pthread_join(crew->threads[i], NULL);
    free(crew);
}
