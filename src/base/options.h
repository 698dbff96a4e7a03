/*
 * Configuration: the LARDER_* environment, from one table.
 *
 * From option_rows come the parser, the bounds, `larder config`, the sample of
 * /etc/default/larder and the manual page. A value is read once, at start; after that a struct
 * options is constant. PostgreSQL's own PG* variables are libpq's and are not in here.
 */
#ifndef LARDER_BASE_OPTIONS_H
#define LARDER_BASE_OPTIONS_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"

enum option {
#define OPTION(symbol, ...) OPTION_##symbol,
#include "base/options.def"
#undef OPTION
    OPTION_COUNT,
};

enum option_type {
    OPTION_TYPE_TEXT,
    OPTION_TYPE_NAME, /* letters, digits, '_', '.', '-' */
    OPTION_TYPE_PATH,
    OPTION_TYPE_URL,      /* of a Redis server */
    OPTION_TYPE_SITE,     /* of a web server: http://host[:port] */
    OPTION_TYPE_ORIGINS,  /* of pages: "*", or https://host[:port], parted by commas */
    OPTION_TYPE_TOKENS,   /* names of methods or header fields, parted by commas */
    OPTION_TYPE_NETWORKS, /* addresses and networks, parted by commas */
    OPTION_TYPE_NUMBER,
    OPTION_TYPE_DURATION, /* microseconds */
    OPTION_TYPE_SIZE,     /* bytes */
    OPTION_TYPE_CHOICE,   /* the index of the word in `choices` */
};

struct option_row {
    const char *name; /* "LARDER_THREADS" */
    enum option_type type;
    const char *fallback; /* the default, as it would be written */
    int64_t min, max;     /* of numbers, durations, sizes; bytes of texts */
    const char *choices;  /* "off,on" */
    const char *prose;    /* what it does; whole sentences */
};

extern const struct option_row option_rows[OPTION_COUNT];

struct options {
    struct option_value {
        int64_t number;
        const char *text; /* as written; the environment's memory */
        bool given;       /* from the environment, not the default */
    } values[OPTION_COUNT];
};

/* Where values come from: getenv in the programs, a table in tests. Null: not set. */
typedef const char *option_lookup(const char *name);

/*
 * Reads every option. On false `ret_faults` holds one line for each bad value: name, value, what
 * is allowed. A value set to the empty text counts as not set.
 */
MUST_CHECK bool options_load(option_lookup *lookup, struct options *ret_options,
                             struct bytes *ret_faults);

/* One line for each LARDER_* variable in `environment` that no row knows. */
void options_unknown(char *const *environment, struct bytes *ret_lines);

static inline int64_t options_number(const struct options *options, enum option option)
{
    return options->values[option].number;
}

static inline const char *options_text(const struct options *options, enum option option)
{
    return options->values[option].text;
}

/* A value that is safe to print: the user and password of a URL are replaced by "***". */
void options_append_printable(const struct options *options, enum option option,
                              struct bytes *ret_text);

/* "a whole number from 1 to 1024": what the row allows. */
void options_append_allowed(const struct option_row *row, struct bytes *ret_text);

/* A sample of /etc/default/larder with every option, its prose, bounds and default. */
void options_append_sample(struct bytes *ret_text);

/* The same as man-page entries (man(7) macros). */
void options_append_manual(struct bytes *ret_text);

#endif
