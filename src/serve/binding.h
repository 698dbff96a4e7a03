/*
 * A request's values on their way: what is bound already, and every fault found so far, so that one
 * answer names them all.
 *
 * The step bind begins it with what stands in the request's head. It is ended there, or by the step
 * body for a route that takes something from the body. All of it is in the desk's arena.
 */
#ifndef LARDER_SERVE_BINDING_H
#define LARDER_SERVE_BINDING_H

#include "serve/exchange.h"

/* How many fields that the route does not know are named in one answer. */
#define BINDING_UNKNOWN_MAX 8

struct binding {
    struct exchange *exchange;
    const struct learned *learned;
    struct value *by_param;
    struct problem_item *items;
    size_t item_count;
    size_t path_at;            /* the next of the match's path values */
    bool failed;               /* memory */
    const char *claim_problem; /* of the token; null: none */
};

/* Null: memory. */
struct binding *binding_new(struct exchange *exchange) MUST_CHECK;

/* The param's value has this problem; null: memory ran out. */
void binding_complain(struct binding *binding, const struct param *param, const char *problem);

/* The request does not have the param: its default, NULL, or a fault. */
void binding_absent(struct binding *binding, size_t index);

/* The param is given as texts; several only where it is an array. `count` is above 0. */
void binding_given(struct binding *binding, size_t index, const struct span *given, size_t count);

/* The param is given as a value of a JSON text. */
void binding_given_json(struct binding *binding, size_t index, const struct json *given);

/* Settles with what is wrong, or gives the exchange its values. */
void binding_end(struct binding *binding);

#endif
