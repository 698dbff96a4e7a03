/*
 * How each parameter type is read, compared and spoken of. Only the param_*.c files use it.
 */
#ifndef LARDER_ROUTE_PARAM_RULES_H
#define LARDER_ROUTE_PARAM_RULES_H

#include "route/param.h"

enum reading {
    READING_OK,
    READING_WRONG,
    READING_NO_MEMORY,
};

/*
 * Brings a text into its type's canonical form, terminated and in `arena`. With READING_WRONG
 * *ret_hint may be set to what else to tell; it is null before.
 */
typedef enum reading param_reader(struct span given, struct arena *arena, struct span *ret_text,
                                  const char **ret_hint);

param_reader read_smallint, read_integer, read_bigint, read_numeric, read_real, read_double;
param_reader read_boolean, read_text, read_uuid, read_json;
param_reader read_date, read_timestamp, read_timestamptz;

/* The order of two canonical texts: below, at or above 0. */
typedef int param_order(struct span a, struct span b);

param_order order_decimal, order_double, order_moment;

struct param_rules {
    param_reader *read;
    param_order *order; /* null: min= and max= don't fit */
    const char *noun;   /* "a whole number" */
    const char *least;  /* its range as min and max, unless they say more; null: none */
    const char *most;
    bool words; /* maxlen= and pattern= fit */
    bool empty; /* the empty text is a value */
    bool whole; /* enum= doesn't fit */
};

extern const struct param_rules param_rules[TYPE_COUNT];

/* "\"abc\"": cut to 40 characters, without control characters; null: memory ran out. */
const char *problem_quote(struct span given, struct arena *arena);

/* "must be …, not "given" (hint)"; null: memory ran out. The hint may be null. */
const char *problem_value(const struct param *param, enum param_type type, struct span given,
                          const char *hint, struct arena *arena);

/*
 * The text of a JSON value, where the type takes values of its kind. On false *ret_problem says
 * what it takes (null: memory ran out).
 */
MUST_CHECK bool json_text(const struct param *param, enum param_type type, const struct json *given,
                          struct arena *arena, struct span *ret_text, const char **ret_problem);

/* A JSON array as an array literal. */
MUST_CHECK bool param_read_json_array(const struct param *param, enum param_type type,
                                      const struct json *given, struct arena *arena,
                                      struct value *ret_value, const char **ret_problem);

/* Compiles the pattern for whole values. On false *ret_problem tells why (null: memory). */
MUST_CHECK bool pattern_compile(struct span pattern, struct arena *arena, void **ret_regex,
                                const char **ret_problem);

bool pattern_matches(const void *regex, const char *text);
void pattern_free(void *regex);

/* One text without regard to `array`: type, bounds, enum, length, pattern. */
MUST_CHECK bool param_read_scalar(const struct param *param, enum param_type type,
                                  struct span given, struct arena *arena, struct span *ret_text,
                                  const char **ret_problem);

#endif
