/*
 * One route, as its file declares it.
 *
 * A route is made once by route_parse and never changes: request threads read it without locks.
 * All its memory is in the arena of the table it belongs to. What PostgreSQL alone can tell (the
 * types of parameters without one, the statement's columns) is not here: see db/learn.h.
 */
#ifndef LARDER_ROUTE_ROUTE_H
#define LARDER_ROUTE_ROUTE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"
#include "route/fault.h"
#include "route/param.h"
#include "route/statement.h"

enum route_method {
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_COUNT,
};

/* "GET", …; also what `@http` accepts. HEAD and OPTIONS are answered by the responder itself. */
extern const char *const route_method_names[METHOD_COUNT];

/* How the statement's rows become a body. */
enum route_result {
    RESULT_ROWS,  /* an array of objects */
    RESULT_ROW,   /* one object, 404 when there is no row */
    RESULT_VALUE, /* the one column of the one row as JSON, 404 when there is no row */
    RESULT_JSON,  /* the one column of the one row is the body, 404 when there is no row */
    RESULT_NONE,  /* no body: 204 */
};

extern const char *const route_result_names[];

/* One piece of a path: a literal, or a parameter's place. A final slash is an empty last literal.
 */
struct route_segment {
    struct span text; /* the literal, percent-decoded; empty for a parameter */
    int param;        /* index into route.params, or -1 for a literal */
};

/* @cache; durations in microseconds. */
struct route_cache {
    bool present;
    int64_t ttl;
    int64_t stale;    /* stale-while-revalidate beyond the ttl, 0: none */
    int64_t error;    /* stale-if-error beyond the ttl, 0: none */
    int64_t negative; /* how long a 404 is kept, 0: not at all */
    bool l1;          /* kept in the responder's memory too */
    bool compress;    /* gzip and br variants are made */
};

/* @tags, @invalidates: a tag with `{param}` places in it. */
struct route_tag {
    struct span text;
};

/* @auth: who may ask. */
enum route_auth_kind {
    AUTH_NONE,     /* no token is looked at */
    AUTH_OPTIONAL, /* one that is there must be good */
    AUTH_REQUIRED, /* 401 without one */
};

struct route_auth {
    enum route_auth_kind kind;
    struct span role; /* what the role claim must be or hold, else 403; empty: any */
    bool rls;         /* the statement runs as the claim's role, with request.jwt.claims */
};

/* So many @limit at most in one file. */
#define ROUTE_LIMITS_MAX 8

/* @limit: `count` requests a `period` (µs), at most `burst` of them at once. */
enum route_limit_by {
    LIMIT_BY_IP,
    LIMIT_BY_USER,
    LIMIT_BY_PARAM,
};

struct route_limit {
    int64_t count;
    int64_t period;
    int64_t burst; /* `count` where it is not given */
    enum route_limit_by by;
    struct span param; /* the parameter's name, for LIMIT_BY_PARAM */
    size_t param_at;   /* … and its place in route.params */
    unsigned line;
};

/* @version: the result's column that tells a row's version; data null: none. */
struct route_version {
    struct span column;
    bool required; /* of a write: 428 without If-Match */
};

/* @refreshes GET /path: a read that is made anew right after the write. */
struct route_refresh {
    struct span path; /* with {name} places */
    unsigned line;
};

/* @kv: a value that Redis alone has. Texts have {name} places. */
enum route_kv_kind {
    KV_NONE,
    KV_SET,
    KV_GET,
    KV_DELETE,
};

struct route_kv {
    enum route_kv_kind kind;
    struct span key;
    struct span value; /* of KV_SET */
    int64_t ttl;       /* µs, of KV_SET; 0: it stays */
};

/* @async: the write is filed as a job, and a daemon makes it. */
struct route_async {
    bool present;
    bool preferred;     /* only for a request that says Prefer: respond-async */
    int64_t retries;    /* how often a job that failed is tried again */
    int64_t timeout;    /* µs for one try; 0: the route's */
    struct span dedupe; /* with {name} places: one job at a time of the same text; empty: any */
};

/* So many writes a transaction at most. */
#define BEHIND_BATCH_MAX 4000

/* @behind: the write is queued, and a daemon makes many of them in one transaction. */
struct route_behind {
    bool present;
    int64_t batch; /* at most so many a transaction */
    int64_t every; /* µs: how long the first of a batch waits for others */
    int64_t bound; /* so many may wait … */
    bool full_now; /* … beyond which a write is made at once; or else refused with 429 */
};

/* @stream: the formats that a download is offered in; the first one is the default. */
enum route_format {
    FORMAT_CSV,
    FORMAT_NDJSON,
    FORMAT_JSON, /* an array of objects */
    FORMAT_COUNT,
};

struct route_stream {
    enum route_format formats[FORMAT_COUNT];
    size_t format_count;  /* 0: no download */
    struct span filename; /* with {name} places; empty: none is suggested */
    bool mark;            /* CSV begins with a byte order mark */
    bool guard;           /* no CSV value begins as a formula does */
};

/* @page by=created_at,id: so many columns at most. */
#define ROUTE_PAGE_MAX 8

struct route_page_column {
    struct span name; /* of the result */
    bool descending;
};

struct route_page {
    struct route_page_column columns[ROUTE_PAGE_MAX];
    size_t column_count; /* 0: no pages */
    unsigned size;       /* n of the $n, behind the statement's own, that is the page's size … */
    unsigned cursor;     /* … and of the cursor: where the page begins or ends */
};

/* The most columns that one @depends narrows by. */
#define ROUTE_DEPEND_TERMS 3

/* `column = :param` or `column = column` of a @depends. */
struct route_depend_term {
    struct span column; /* of the table, as written */
    struct span value;  /* the parameter's or the result column's name */
    bool by_param;
};

/* @depends table.column = value [and column = value]… [for column, column…] */
struct route_depend {
    struct span table; /* as written, perhaps schema-qualified */
    struct route_depend_term terms[ROUTE_DEPEND_TERMS];
    size_t term_count;
    struct span *columns; /* behind "for", as written: the line is for changes of these alone */
    size_t column_count;  /* 0: it is for the rows themselves, and for all other columns */
    unsigned line;
};

struct route {
    const char *file; /* as named on the command line or found in the folder */
    struct span text; /* the whole file */
    unsigned line;    /* of the @http line */

    struct span summary;     /* first documentation line; may be empty */
    struct span description; /* all documentation lines, newline between */

    enum route_method method;
    struct span path; /* "/users/{id}" as written */
    const char *name; /* "GET /users/{id}": logs, counters, `larder routes` */
    struct route_segment *segments;
    size_t segment_count;

    struct param *params; /* those of the path in its order, then by first appearance in the file */
    size_t param_count;

    enum route_result result;
    struct route_cache cache;
    struct span control; /* the Cache-Control to send; empty: the default */
    int64_t nginx_ttl;   /* microseconds; 0: nginx does not keep it */
    int64_t timeout;     /* microseconds; 0: the default of the options */

    struct route_tag *tags;
    size_t tag_count;
    struct route_depend *depends;
    size_t depend_count;
    struct route_auth auth;
    struct route_limit *limits;
    size_t limit_count;
    struct route_version version;
    struct span location; /* @location's path, with {name} places; empty: none */
    struct route_tag *invalidates;
    size_t invalidate_count;
    struct route_refresh *refreshes;
    size_t refresh_count;
    struct route_kv kv;
    struct route_async async;
    struct route_behind behind;
    struct route_stream stream;
    struct route_page page;

    struct statement *before; /* of a write: the statements before the last, in their order */
    size_t before_count;
    struct statement statement; /* the only one or the last, whose rows answer; empty for @kv */
};

/*
 * Reads one file's text. Every fault found is appended to `faults` (file:line, what, what is
 * allowed), not only the first. Returns the route (in `arena`) or null when there was any fault.
 * Out of memory is null with faults->failed. `file` and `text` must live as long as the arena.
 * Never reads past text, whatever it holds. Give the route to route_release before the arena goes.
 */
MUST_CHECK struct route *route_parse(const char *file, struct span text, struct arena *arena,
                                     struct fault_list *faults);

/*
 * A GET asks in a session that only reads: false, and a fault (null: none wanted), where its
 * statement changes data. Such a route is 500 by itself and keeps no other from being served.
 */
bool route_reads(const struct route *route, struct fault_list *faults);

/* Has the route's SQL :name where it is no parameter, in a string or a comment? And what to say. */
bool route_quotes(const struct route *route, const char *name);
#define ROUTE_QUOTED                                                                               \
    "; in quotes or a comment it is none: write it outside, as in '%' || :name || '%'"

/* The index of the parameter of this name among the route's; -1: it has none. */
int route_param_find(const struct route *route, struct span name);

/* Frees what an arena can't: the compiled patterns. Call before the arena goes. Null is allowed. */
void route_release(struct route *route);

#endif
