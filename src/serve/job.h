/*
 * One FastCGI request with all that answering it takes: its connection, its exchange, its memory.
 * The only user of libfcgi.
 *
 * A job belongs to one thread at a time; handing it to another is handing over the pointer. What a
 * thread has of its own, a connection to Redis and a compressor, it lends to the job it has in
 * hand. A job that has ended is empty and can begin again.
 *
 * A known limit: a peer on the socket, which is to be the web server alone, can end the process by
 * a parameter whose lengths sum up to just under 2 GB, in an assertion of libfcgi 2.4.2. No HTTP
 * request makes a web server send that.
 */
#ifndef LARDER_SERVE_JOB_H
#define LARDER_SERVE_JOB_H

#include "serve/exchange.h"
#include "serve/listener.h"

/* What a thread lends. */
struct tools {
    struct redis_connection *redis;  /* null: without Redis */
    struct redis_connection *limits; /* to the Redis that counts requests; null: none does */
    struct redis_connection *queue;  /* to the Redis of jobs; null: there is none */
    struct compressor *compressor;
};

/* False: memory. */
MUST_CHECK bool tools_make(const struct server *server, struct tools *ret_tools);
void tools_free(struct tools *tools);

/* Once in a process, before the first job. */
MUST_CHECK bool job_library_init(struct error *error);

/* Null: memory. */
struct job *job_new(struct server *server) MUST_CHECK;
void job_free(struct job *job);

/*
 * Reads the request that waits on the connection; the connection is the job's from now on. False:
 * there was none, or not the whole of one; the connection is closed and the job empty.
 */
MUST_CHECK bool job_begin(struct job *job, int connection, const struct tools *tools);

struct exchange *job_exchange(struct job *job);
const struct exchange *job_exchange_const(const struct job *job);

/* Before another thread goes on with the job. */
void job_lend(struct job *job, const struct tools *tools);

/*
 * The exchange is answered: ends the request and gives the connection back, or closes it. The job
 * can still be worked on in the background (exchange_detach first), until job_end.
 */
void job_answered(struct job *job, struct listener *listener);

/* Nothing is left to do: the job is empty and can begin again. */
void job_end(struct job *job);

/* A list of jobs, first in, first out; not safe for two threads at once. */
struct job_list {
    struct job *first, *last;
    size_t count;
};

void job_list_append(struct job_list *list, struct job *job);

/* Null when the list is empty. */
struct job *job_list_take(struct job_list *list);

/* Moves all of `from` behind the jobs of `list`. */
void job_list_join(struct job_list *list, struct job_list *from);

/* The job behind this one in its list; null: the last. */
struct job *job_next(const struct job *job);

#endif
