/*
 * What is wrong with route files: every fault, each with its place, so that one run of
 * `larder check` tells all of them.
 */
#ifndef LARDER_ROUTE_FAULT_H
#define LARDER_ROUTE_FAULT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/compiler.h"
#include "base/log.h"

struct fault {
    const char *file;
    unsigned line;    /* from 1; 0: the file as a whole */
    unsigned column;  /* from 1, in characters; 0: the line as a whole */
    const char *text; /* what, and what is allowed */
};

/* The list's texts are in `arena`; the array is its own (fault_list_free). */
struct fault_list {
    struct arena *arena;
    struct fault *faults;
    size_t count;
    size_t capacity;
    bool failed; /* memory ran out: there are more faults than listed */
};

/* The file's name is copied too. */
void fault_add(struct fault_list *list, const char *file, unsigned line, unsigned column,
               const char *format, ...) PRINTF_LIKE(5, 6);
void fault_add_arguments(struct fault_list *list, const char *file, unsigned line, unsigned column,
                         const char *format, va_list arguments)
    __attribute__((format(printf, 5, 0)));

/* By file, line, column; faults of one place keep their order. */
void fault_sort(struct fault_list *list);

void fault_list_free(struct fault_list *list);

/* "file:line:column: text", as far as it has them. */
void fault_print(const struct fault *fault, FILE *to);

/* A line of log for each, in their order: file and line, where it has one. */
void fault_log(enum log_level level, const char *event, struct fault_list *faults);

#endif
