/*
 * application/problem+json (RFC 9457): the body of every error.
 */
#ifndef LARDER_HTTP_PROBLEM_H
#define LARDER_HTTP_PROBLEM_H

#include "base/bytes.h"
#include "base/span.h"

#define PROBLEM_MEDIA_TYPE "application/problem+json"

/* One thing that is wrong with the request. */
struct problem_item {
    const char *name;   /* the parameter */
    const char *in;     /* "path", "query", "body", "header"; null: left out */
    const char *detail; /* what is wrong and what is allowed */
};

struct problem {
    unsigned status;
    const char *type;     /* null: "about:blank" */
    const char *title;    /* null: the status's reason phrase */
    const char *detail;   /* null: left out */
    struct span instance; /* the request's path; data null: left out */
    const char *details;  /* further members of what a function of the application's raised, as */
    const char *hint;     /* PostgREST has them; null: left out */
    const struct problem_item *items;
    size_t item_count; /* 0: no "errors" member */
};

/* Appends one compact JSON object; texts that are not UTF-8 are mended, never passed on. */
void problem_write(const struct problem *problem, struct bytes *out);

#endif
