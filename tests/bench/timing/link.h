/*
 * One request after another over a kept connection, to a FastCGI responder or to an HTTP server.
 * Whatever goes wrong ends the program with a message: these are measuring programs.
 */
#ifndef LARDER_BENCH_LINK_H
#define LARDER_BENCH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data; /* terminated once something is in it */
    size_t size, room;
};

/* Zeroed but for the first three between requests; see link_open. */
struct link {
    int fd;
    bool fastcgi;
    const char *host;     /* asked for, of http */
    struct buffer raw;    /* as received */
    struct buffer answer; /* status line or fields, an empty line, the body */
    size_t taken;         /* bytes of `raw` that have gone into `answer` */
};

/* Ends the program with "PROGRAM: what: detail". */
_Noreturn void fail(const char *what, const char *detail);

/* Nanoseconds of the monotonic clock. */
int64_t now(void);

/* Waits with a resolution of microseconds; at once when `time` (as of now()) is over. */
void wait_for(int64_t time);

/*
 * `address` is fastcgi:PATH (a UNIX socket), http:PORT (of 127.0.0.1), or http:PORT:HOST where
 * another host than "larder" is asked for; it stays the caller's while the link is used.
 */
void link_open(const char *address, struct link *ret_link);

/* One of those that are measured in turn. */
struct way {
    const char *target; /* null: not by the link */
    struct link link;
};

/* From "ADDRESS TARGET", which it takes apart and keeps pointing into. */
void way_open(char *words, struct way *ret_way);

/* Sends a GET of `target` with nothing but the fields that every request has. */
void link_send(struct link *link, const char *target);

/* The same with another method and a body of JSON. */
void link_send_json(struct link *link, const char *method, const char *target, const char *body);

/* Reads once what has come, waiting for it; true when the answer is whole. */
bool link_receive(struct link *link);

/* Sends and waits for the whole answer. */
void link_ask(struct link *link, const char *target);

void link_ask_json(struct link *link, const char *method, const char *target, const char *body);

/* Of a whole answer. */
int link_status(const struct link *link);

/* Where a field's value begins (it ends with the line), or null. */
const char *link_field(const struct link *link, const char *name);

/* Does Cache-Status say that some cache had the answer? */
bool link_hit(const struct link *link);

const char *link_body(const struct link *link);

#endif
