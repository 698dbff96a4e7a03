/*
 * A route while its file is being read: what the annotations said so far.
 *
 * Only the annotation_*.c files, bind.c and route.c use it.
 */
#ifndef LARDER_ROUTE_DRAFT_H
#define LARDER_ROUTE_DRAFT_H

#include "route/path.h"
#include "route/place.h"
#include "route/route.h"
#include "route/words.h"

/* A @param as declared; the place is the method's to choose unless in= said it. */
struct declared {
    struct param param;
    struct span at; /* its name, in the file */
    bool place_given;
    bool used;
    struct declared *next;
};

/* A parameter's name in another annotation: {name}, :name. */
struct reference {
    struct span name; /* in the file */
    bool source;      /* may be a field of the body, as in the statement (@kv) */
    struct reference *next;
};

struct draft {
    const char *file;
    struct span text;
    struct arena *arena;
    struct fault_list *faults;
    struct route *route;

    struct place place; /* of the last fault: most come in the file's order */
    const char *word;   /* "@cache": the annotation being read */
    unsigned line;      /* where it stands */

    bool method_known; /* @http was read well so far */
    struct path path;  /* its path; count 0: not known */

    struct declared *declared, **declared_end;
    struct reference *references, **references_end;

    struct span nginx_at; /* @nginx's line; data null: none */
    bool signed_in;       /* @auth optional or required */
    const char *kv;       /* "set", "get", "delete"; null: no @kv */
    unsigned kv_line;
};

/* Appends a fault at `at`, a part of draft->text (null data: draft->line as a whole). */
void draft_fault(struct draft *draft, struct span at, const char *format, ...) PRINTF_LIKE(3, 4);

/* Memory ran out: the route can't be made. Returns false. */
bool draft_no_memory(struct draft *draft);

/* Notes that an annotation needs the parameter `name`. */
void draft_refer(struct draft *draft, struct span name, bool source);

/*
 * Notes each {name} in a text such as "user:{id}". False after a fault: a brace without its other,
 * or a name that can be none.
 */
bool draft_refer_places(struct draft *draft, struct span text, bool source);

/* Faults for words behind the last allowed one. */
void draft_end(struct draft *draft, struct span rest);

/* One name=value (or, with `flag`, one bare word) an annotation allows. */
struct attribute {
    const char *name;
    /* Reads the unquoted value into the field; false after a fault. */
    bool (*read)(struct draft *draft, const struct word *word, struct span value, void *field);
    size_t offset; /* of the field in the target */
    bool flag;     /* a bool set by the bare word */
    bool required;
    bool raw; /* the value is read as written, with its quotes */
};

/*
 * Reads all words of `rest` by the table into `target`. Unknown, repeated and missing ones are
 * faults that tell what is allowed.
 */
bool attributes_read(struct draft *draft, struct span rest, const struct attribute *rows,
                     size_t count, void *target);

/* Readers for attributes, each for the type of field it says. */
bool attribute_duration(struct draft *draft, const struct word *word, struct span value,
                        void *field); /* int64_t, microseconds, 0 allowed */
bool attribute_duration_positive(struct draft *draft, const struct word *word, struct span value,
                                 void *field); /* int64_t, above 0 */
/* From a millisecond to `most`, µs, as `wanted` says; for readers that know their bounds. */
bool attribute_duration_within(struct draft *draft, const struct word *word, struct span value,
                               int64_t most, const char *wanted, int64_t *ret_duration);
bool attribute_count(struct draft *draft, const struct word *word, struct span value,
                     void *field); /* int64_t, 1 to 1,000,000,000 */
bool attribute_count_or_zero(struct draft *draft, const struct word *word, struct span value,
                             void *field); /* int64_t, 0 to 1,000,000,000 */
bool attribute_switch(struct draft *draft, const struct word *word, struct span value,
                      void *field); /* bool, from on or off */
bool attribute_text(struct draft *draft, const struct word *word, struct span value,
                    void *field); /* struct span, not empty */

/*
 * The first word of `rest`, taken off it: its index among `words`, or -1 after a fault that says
 * what is `allowed` ("csv or ndjson").
 */
int draft_choice(struct draft *draft, struct span *rest, const char *const *words, size_t count,
                 const char *allowed);

/* A plain SQL identifier, such as a column's name? */
bool draft_is_identifier(struct span text);

/* The index of `text` in a table of words, or -1. */
int word_index(struct span text, const char *const *words, size_t count);

#endif
