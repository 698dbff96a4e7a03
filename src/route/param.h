/*
 * A route's parameters: what a request may say, and how its text becomes a bound value.
 *
 * Pure: the clock and PostgreSQL's word on types are passed in.
 */
#ifndef LARDER_ROUTE_PARAM_H
#define LARDER_ROUTE_PARAM_H

#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/span.h"

enum param_place {
    PLACE_PATH,
    PLACE_QUERY,
    PLACE_BODY,
    PLACE_HEADER,
    PLACE_CLOCK,      /* :now, :today */
    PLACE_CLAIM,      /* :auth.x */
    PLACE_WHOLE_BODY, /* :body */
    PLACE_VERSION,    /* :version of a write with @version: from If-Match */
};

extern const char *const param_place_names[];

/*
 * Types Larder checks and brings into one canonical text itself. Every other type is TYPE_OTHER:
 * passed on as text, and PostgreSQL's complaint becomes a 422.
 */
enum param_type {
    TYPE_UNKNOWN, /* not declared; PostgreSQL is asked (Describe) */
    TYPE_OTHER,
    TYPE_SMALLINT,
    TYPE_INTEGER,
    TYPE_BIGINT,
    TYPE_NUMERIC,
    TYPE_REAL,
    TYPE_DOUBLE,
    TYPE_BOOLEAN,
    TYPE_TEXT,
    TYPE_UUID,
    TYPE_DATE,
    TYPE_TIMESTAMP,
    TYPE_TIMESTAMPTZ,
    TYPE_JSON,
    TYPE_JSONB,
    TYPE_COUNT,
};

/* One row a type: PostgreSQL's oid (0: none), its name, and the aliases @param accepts. */
struct param_type_row {
    enum param_type type;
    uint32_t oid;
    uint32_t array_oid;
    const char *name;       /* "integer" */
    const char *aliases[4]; /* "int", "int4"; null-terminated; compared without case */
    const char *allowed;    /* "a whole number from -2147483648 to 2147483647" */
};

extern const struct param_type_row param_types[TYPE_COUNT];

/* The type behind PostgreSQL's oid: TYPE_OTHER when Larder has no rules for it. */
enum param_type param_type_of_oid(uint32_t oid, bool *ret_array);

struct param {
    const char *name;
    unsigned line; /* of its @param, or where it first stands */
    enum param_place place;
    bool used;             /* the statement or an annotation has it, not the path alone */
    enum param_type type;  /* of one element when `array` */
    bool array;            /* "int[]": a query parameter given several times, or {a,b} */
    struct span type_name; /* as written, for TYPE_OTHER */

    bool required;
    bool default_null;        /* default=null */
    struct span default_text; /* canonical; data null: none */

    struct span min, max; /* canonical; data null: none. For numbers, dates and timestamps */
    int64_t maxlen;       /* in characters; -1: none */
    struct span *choices; /* enum=; canonical */
    size_t choice_count;
    struct span pattern; /* a POSIX extended regular expression for the whole value, on bytes */
    void *regex;         /* regex_t *, compiled once; null: none; owned (param_release) */
};

/* How a value was come by; NULL, empty and absent stay apart in the cache key. */
enum value_state {
    VALUE_ABSENT, /* not given and no default: bound as NULL */
    VALUE_NULL,   /* null by default=null or by JSON's null */
    VALUE_TEXT,
};

struct value {
    enum value_state state;
    struct span text; /* canonical, terminated, without NUL inside; in the request's arena */
};

/*
 * Checks `given` (percent-decoded bytes) against the type and every constraint and brings it into
 * its canonical text ("007" is "7", "TRUE" is "true", a UUID is lower case), so that equal values
 * make one cache key. `type` and `array` are the param's own or, where it has none, what
 * PostgreSQL said (TYPE_UNKNOWN: not yet known, taken as text). On false *ret_problem says what is
 * wrong and what is allowed, as an end of the sentence "<name> …" ("must be a whole number from 1
 * to 100, not \"500\""; valid UTF-8 without control characters, the value cut to 40 characters), or
 * is null when memory ran out. Numbers are written and read in the C locale.
 */
MUST_CHECK bool param_read(const struct param *param, enum param_type type, bool array,
                           struct span given, struct arena *arena, struct value *ret_value,
                           const char **ret_problem);

/*
 * The same for an array parameter given `count` times: one element each when count > 1 or when the
 * text is no array literal ({…}); the result is PostgreSQL's array literal.
 */
MUST_CHECK bool param_read_array(const struct param *param, enum param_type type,
                                 const struct span *given, size_t count, struct arena *arena,
                                 struct value *ret_value, const char **ret_problem);

/* The same, always one element each: for a claim's array, where "{a,b}" is a text like any other.
 */
MUST_CHECK bool param_read_elements(const struct param *param, enum param_type type,
                                    const struct span *given, size_t count, struct arena *arena,
                                    struct value *ret_value, const char **ret_problem);

/*
 * The same for a value of a JSON body, which has a kind of its own: numbers must be JSON numbers
 * (their digits stay as they came), true and false booleans, texts and dates strings, arrays JSON
 * arrays, one element each; json and jsonb take any value as its text. Types that PostgreSQL alone
 * knows take anything but null. null is VALUE_NULL, unless the param is required; in an array it is
 * an element that is NULL.
 */
MUST_CHECK bool param_read_json(const struct param *param, enum param_type type,
                                const struct json *given, struct arena *arena,
                                struct value *ret_value, const char **ret_problem);

/*
 * Checks the constraints against the param's type and each other, brings min, max, enum and default
 * into their canonical texts and compiles the pattern. route_parse does so for every param. Once
 * PostgreSQL has told the type of a param without one, do it again on a copy that has the type (the
 * copy shares the compiled pattern with the original, which frees it). On false *ret_problem is an
 * end of the sentence "@param <name>: …", or null when memory ran out.
 */
MUST_CHECK bool param_settle(struct param *param, struct arena *arena, const char **ret_problem);

/* Frees the compiled pattern. */
void param_release(struct param *param);

/* The type @param's word means ("int8", "double precision"), without []; TYPE_OTHER: none of ours.
 */
enum param_type param_type_of_name(struct span name);

#endif
