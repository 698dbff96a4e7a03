/*
 * What went wrong, told once, to whoever can say it aloud.
 *
 * A fallible function returns true or false, is MUST_CHECK, and on false has filled the caller's
 * struct error; on true the struct is untouched and the outputs are written. Library code never
 * logs: its caller does, once. A null error pointer is allowed and drops the text.
 */
#ifndef LARDER_BASE_ERROR_H
#define LARDER_BASE_ERROR_H

#include <stdbool.h>

#include "base/compiler.h"

enum error_kind {
    ERROR_NONE,
    ERROR_MEMORY,      /* an allocation failed */
    ERROR_INVALID,     /* the input is wrong: the text names the thing and what is allowed */
    ERROR_UNAVAILABLE, /* a server is away, refuses, or does not answer in time */
    ERROR_TIMEOUT,     /* the time allowed is over */
    ERROR_BUSY,        /* a bounded resource is exhausted for now */
    ERROR_SYSTEM,      /* the operating system refused: the text carries strerror */
    ERROR_INTERNAL,    /* a defect, here or in a route's statement */
};

#define ERROR_TEXT_MAX 512

struct error {
    enum error_kind kind;
    char text[ERROR_TEXT_MAX]; /* always terminated; cut, never overrun */
};

/*
 * Fills *error (null: drops it). Always returns false, so that `return error_set(…)` reads well.
 * The arguments must not point into *error.
 */
bool error_set(struct error *error, enum error_kind kind, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The same with strerror(errno) after the text. */
bool error_set_errno(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* ERROR_MEMORY with one fixed text; formats nothing, so it can't fail itself. */
bool error_set_memory(struct error *error);

#endif
