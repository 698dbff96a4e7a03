/*
 * What nginx keeps on this host: which URLs, and of which tags, so that a change can be answered by
 * asking for them anew.
 *
 * Responders note an answer before they send it; larderd finds those whose tags were struck since.
 * A record is kept until nginx may not serve the answer any more. The memory is the file urls-3 in
 * LARDER_RUN and bounded: while it is full nginx is given no further answer to keep, for none that
 * it keeps may be forgotten here. Nobody waits longer than a moment for a process that was stopped
 * or killed while it wrote.
 *
 * All times are wall-clock microseconds, passed in.
 */
#ifndef LARDER_CACHE_URLS_H
#define LARDER_CACHE_URLS_H

#include "cache/clocks.h"
#include "cache/entry.h"

/* No longer target is noted; nginx/snippets/larder-upstreams.conf has the same bound. */
#define URLS_TARGET_MAX 1024

/* The clients nginx tells apart, by what it passes on as Accept-Encoding. */
enum url_coding {
    URL_IDENTITY,
    URL_GZIP,
    URL_BROTLI,
    URL_CODING_COUNT,
};

extern const char *const url_coding_names[URL_CODING_COUNT];

/* False: Accept-Encoding is none of the texts above, so it did not come from nginx's maps. */
MUST_CHECK bool url_coding_of(struct span accept_encoding, enum url_coding *ret_coding);

struct urls;

/* Fails as shared_file_map does. */
MUST_CHECK bool urls_open(const char *folder, struct urls **ret_urls, struct error *error);

/* Null is allowed. */
void urls_close(struct urls *urls);

/* One answer that nginx is to keep. */
struct url_note {
    struct span target; /* as it was sent */
    enum url_coding coding;
    uint64_t clock;   /* its tags were not struck up to this one */
    uint64_t version; /* the route's (cache_version); not 0 */
    const struct span *tags;
    size_t tag_count;
    int64_t ttl;  /* µs nginx may keep it at most */
    bool refresh; /* larderd asked, no client */
};

/*
 * Notes the answer. *ret_until is when nginx has to stop serving it: the ttl from now, or, for a
 * refresh, from the last client's request, so that what nobody reads is not refreshed for ever.
 * False: it can't be noted now, for want of room mostly, or no client asked within the ttl, and
 * nginx must not keep it.
 */
MUST_CHECK bool urls_note(struct urls *urls, const struct url_note *note, int64_t now,
                          int64_t *ret_until);

/* nginx has the URL no more. */
void urls_forget(struct urls *urls, struct span target, enum url_coding coding);

/* Changes with every note, and with urls_outdate where there are any; 0: none was ever made. */
uint64_t urls_notes(const struct urls *urls);

/* Does this version of a route answer the target now? Its record is held meanwhile: never waits. */
typedef bool (*urls_current)(void *context, struct span target, uint64_t version);

/*
 * The routes are other ones: what they would not answer counts as stale from now on. False: some
 * records were held by another process and not looked at, so it is to be done again.
 */
MUST_CHECK bool urls_outdate(struct urls *urls, int64_t now, urls_current is_current,
                             void *context);

struct url_found {
    uint64_t key; /* the URL and its coding in one number */
    uint64_t clock;
    int64_t until;
    enum url_coding coding;
    char target[URLS_TARGET_MAX + 1];
};

/* One look at all records; all zeros at first. */
struct urls_look {
    size_t place;
    bool passed_over; /* some were held by another process: this look says nothing of them */
};

/*
 * The next record that nginx may still serve and of which a tag was struck after its clock, or that
 * urls_outdate found. False: no more.
 */
MUST_CHECK bool urls_stale_next(struct urls *urls, const struct clocks *clocks, int64_t now,
                                struct urls_look *look, struct url_found *ret_found);

#endif
