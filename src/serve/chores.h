/*
 * What a process does ten times a second beside its requests, each such thing in a thread of its
 * own: to learn of the routes may take PostgreSQL seconds, and neither signals nor what has a bound
 * of its own can wait for that.
 */
#ifndef LARDER_SERVE_CHORES_H
#define LARDER_SERVE_CHORES_H

#include "base/error.h"

struct chores;
struct server;

/* Of a server that has its pool. */
MUST_CHECK bool chores_start(struct server *server, struct chores **ret_chores,
                             struct error *error);

/* Waits for those at work. Null is allowed. */
void chores_stop(struct chores *chores);

#endif
