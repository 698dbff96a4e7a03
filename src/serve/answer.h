/*
 * From bound values to an answer: what is asked of PostgreSQL for a route, and what its result
 * means. Whoever fills an entry and whoever makes it again to compare have the same rules from
 * here. Pure.
 */
#ifndef LARDER_SERVE_ANSWER_H
#define LARDER_SERVE_ANSWER_H

#include "db/connection.h"
#include "http/problem.h"
#include "serve/live.h"

/* What rows mean to a route. */
enum answer_kind {
    ANSWER_BODY,     /* 200: the body is answer_body's */
    ANSWER_MISSING,  /* 404: answer_missing's problem, kept where the route says negative= */
    ANSWER_EMPTY,    /* 204: the route wants no rows */
    ANSWER_TOO_MANY, /* 500: more rows than the route's @result has room for */
};

/* The values of $1, $2, … out of those of the parameters. Null: memory. */
struct value *answer_values(const struct route *route, const struct value *by_param,
                            struct arena *arena) MUST_CHECK;

/*
 * The route's statement, as learnt, with the values of $1, $2, … and µs it may run. It lives as
 * long as the arena and the values. False: memory.
 */
MUST_CHECK bool answer_statement(const struct route *route, const struct learned *learned,
                                 const struct value *values, int64_t timeout, struct arena *arena,
                                 struct db_statement *ret_statement);

/*
 * The same for all statements of a write, in their order: one more than route->before_count. Null:
 * memory.
 */
struct db_statement *answer_write(const struct route *route, const struct learned *learned,
                                  const struct value *by_param, int64_t timeout,
                                  struct arena *arena) MUST_CHECK;

/* Tells of the statements of a write that they leave nothing in the session. */
void answer_plain(const struct route *route, struct db_statement *statements);

/* µs that the route's statement may run; `fallback` where it has no @timeout. */
int64_t answer_timeout(const struct route *route, int64_t fallback);

enum answer_kind answer_kind(const struct route *route, const struct db_result *result);

/* The body of ANSWER_BODY; lives as long as the result. */
struct span answer_body(const struct db_result *result);

/*
 * The problem of ANSWER_MISSING. One that is kept has no instance, which would be the path as the
 * first who asked wrote it.
 */
struct problem answer_missing(const struct route *route, struct span path);

#endif
