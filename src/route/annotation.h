/*
 * The annotations, one table row a word.
 */
#ifndef LARDER_ROUTE_ANNOTATION_H
#define LARDER_ROUTE_ANNOTATION_H

#include "route/draft.h"

/* Reads the words behind the annotation's own; faults go to the draft. */
typedef void annotation_reader(struct draft *draft, struct span rest);

struct annotation {
    const char *word; /* "@cache" */
    annotation_reader *read;
    const char *usage; /* for prose: what may stand behind the word */
    unsigned methods;  /* bits 1 << METHOD_x it makes sense with */
    bool repeatable;
};

extern const struct annotation annotations[];
extern const size_t annotation_count;

/* Most rows there may be: a bit each in an unsigned. */
#define ANNOTATIONS_MAX 32

/*
 * Reads one line's annotation. `text` begins with the '@' and ends with the line. *seen has a bit a
 * row and line_of[row] the line of its first.
 */
void annotation_read(struct draft *draft, struct span text, unsigned *seen,
                     unsigned line_of[static ANNOTATIONS_MAX]);

/* Once all lines are read: what doesn't fit the method or each other. */
void annotations_check(struct draft *draft, unsigned seen,
                       const unsigned line_of[static ANNOTATIONS_MAX]);

/* Once the parameters are known that have a source: finds those that limits count by. */
void limits_settle(struct draft *draft);

/*
 * Once the declared parameters are bound: adds those that @page brings, two at most, for which
 * route.params has room.
 */
void page_params(struct draft *draft);

/* Once the statement is bound too: checks it, and gives it the $n of @page. False: memory. */
MUST_CHECK bool page_settle(struct draft *draft);

annotation_reader annotate_http, annotate_param, annotate_result, annotate_timeout;
annotation_reader annotate_cache, annotate_control, annotate_nginx;
annotation_reader annotate_tags, annotate_depends, annotate_invalidates, annotate_refreshes;
annotation_reader annotate_auth, annotate_limit, annotate_async, annotate_behind, annotate_stream;
annotation_reader annotate_kv, annotate_location, annotate_version, annotate_page;

#endif
