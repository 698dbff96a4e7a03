#include "serve/live.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/cache_control.h"
#include "serve/folder.h"

struct live {
    _Atomic int references;
    struct arena *arena;
    struct route_table *table;
    struct served *served; /* sorted by the address of their routes */
    size_t count;
    _Atomic uint64_t known;      /* see live_know */
    bool (*ends)(void *context); /* or null */
    void *context;               /* … its */
};

static int by_route(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct served *)a)->route;
    uintptr_t y = (uintptr_t)((const struct served *)b)->route;
    return (x > y) - (x < y);
}

/* "user_agent" is User-Agent. */
static void append_field_name(struct bytes *out, const char *name)
{
    for (bool first = true; *name; name++) {
        bytes_append_byte(out, *name == '_' ? '-' : first ? (char)toupper(*name) : *name);
        first = *name == '_';
    }
}

/*
 * A body may come in a coding unless the route says compress=off, and differs with who asks where
 * the route wants to know, and with each header the route takes as a parameter. Too many of these
 * for one line of VARY_MAX bytes make it "*": nobody else keeps it.
 */
static void append_vary(const struct route *route, unsigned bits, struct bytes *head)
{
    struct bytes vary = BYTES_EMPTY;
    vary_write(bits | (route->cache.compress ? VARY_ACCEPT_ENCODING : 0U) |
                   (route->auth.kind != AUTH_NONE ? VARY_AUTHORIZATION : 0U) |
                   (route->stream.format_count > 1 ? VARY_ACCEPT : 0U),
               &vary);
    for (size_t i = 0; i < route->param_count; i++) {
        if (route->params[i].place != PLACE_HEADER)
            continue;
        bytes_append_text(&vary, vary.size ? ", " : "");
        append_field_name(&vary, route->params[i].name);
    }
    if (vary.size) {
        bytes_append_text(head, "Vary: ");
        bytes_append_text(head, vary.size > VARY_MAX ? "*" : bytes_text(&vary));
        bytes_append_text(head, "\r\n");
    }
    head->failed = head->failed || vary.failed;
    bytes_free(&vary);
}

/* What is sent where the route says nothing: a download is not worth a cache's room. */
static struct span control_fallback(const struct route *route)
{
    return route->stream.format_count ? SPAN_LITERAL("no-store") : SPAN_LITERAL("no-cache");
}

bool live_adds_private(const struct route *route, struct span control)
{
    struct cache_control said = cache_control_parse(control);
    return route->auth.kind != AUTH_NONE && !said.public && !said.private && !said.no_store;
}

static void append_control(const struct route *route, struct bytes *head)
{
    struct span value = route->control.size ? route->control : control_fallback(route);
    bytes_append_text(head, live_adds_private(route, value) ? "Cache-Control: private, "
                                                            : "Cache-Control: ");
    bytes_append_span(head, value);
    bytes_append_text(head, "\r\n");
}

/*
 * Does X-Accel-Expires come after this Cache-Control? In nginx before 1.23 the order counts: behind
 * X-Accel-Expires a Cache-Control is not read, so no-cache keeps nothing from nginx; behind a
 * Cache-Control with stale-while-revalidate nginx has that from it, and the ttl from
 * X-Accel-Expires.
 */
static bool nginx_reads(struct span control)
{
    struct cache_control read = cache_control_parse(control);
    return read.stale_while_revalidate != CACHE_CONTROL_NONE && !read.no_cache && !read.no_store &&
           !read.private;
}

static bool head_write(struct served *served, unsigned vary, struct arena *arena)
{
    struct bytes head = BYTES_EMPTY;
    append_control(served->route, &head);
    append_vary(served->route, vary, &head);
    served->control_first = nginx_reads(served->route->control);
    served->head = arena_span(arena, bytes_span(&head));
    bool good = !head.failed && served->head.data;
    bytes_free(&head);
    return good;
}

static bool served_init(struct served *served, const struct route *route, struct arena *arena,
                        const struct live_settings *settings)
{
    served->route = route;
    served->counters = counters_route(settings->counters, route->name);
    struct learned *learned = learn_unasked(route, arena);
    atomic_init(&served->learned, learned);
    return learned && cache_version_of(route->text, &served->version, NULL) &&
           head_write(served, settings->vary, arena);
}

static bool live_fill(struct live *live, const struct live_settings *settings)
{
    live->count = route_table_count(live->table);
    live->served = arena_array(live->arena, live->count, sizeof *live->served);
    if (!live->served)
        return false;
    for (size_t i = 0; i < live->count; i++)
        if (!served_init(&live->served[i], route_table_at(live->table, i), live->arena, settings))
            return false;
    qsort(live->served, live->count, sizeof *live->served, by_route);
    return true;
}

struct live *live_load(const struct live_settings *settings, struct fault_list *faults)
{
    struct live *live = calloc(1, sizeof *live);
    struct route_source *sources;
    size_t count;
    if (!live)
        return NULL;
    atomic_init(&live->references, 1);
    atomic_init(&live->known, 0);
    live->ends = settings->ends;
    live->context = settings->context;
    live->arena = arena_new();
    if (live->arena && route_folder_read(settings->folder, live->arena, faults, &sources, &count))
        live->table = route_table_new(sources, count, false, faults);
    if (live->table && faults->count == 0 && live_fill(live, settings))
        return live;
    live_unref(live);
    return NULL;
}

struct live *live_ref(struct live *live)
{
    atomic_fetch_add(&live->references, 1);
    return live;
}

void live_unref(struct live *live)
{
    if (!live || atomic_fetch_sub(&live->references, 1) != 1)
        return;
    route_table_unref(live->table);
    arena_free(live->arena);
    free(live);
}

const struct route_table *live_table(const struct live *live)
{
    return live->table;
}

size_t live_count(const struct live *live)
{
    return live->count;
}

struct served *live_at(struct live *live, size_t index)
{
    return &live->served[index];
}

struct served *live_find(struct live *live, const struct route *route)
{
    const struct served wanted = {.route = route};
    return bsearch(&wanted, live->served, live->count, sizeof wanted, by_route);
}

void live_know(struct live *live, uint64_t clock)
{
    atomic_store_explicit(&live->known, clock, memory_order_release);
}

uint64_t live_known(const struct live *live)
{
    return atomic_load_explicit(&live->known, memory_order_acquire);
}

/* For how long locks are waited for, of all routes together: µs. */
#define LOCKS_TIME (5 * INT64_C(1000000))

static void patience_begin(const struct live *live, struct db_connection *connection)
{
    const struct db_patience patience = {
        .deadline = clock_monotonic() + LOCKS_TIME, .ends = live->ends, .context = live->context};
    db_patience_set(connection, &patience);
}

/* One route that PostgreSQL could not be asked about in time must not keep it from the others. */
static bool only_this_route(const struct db_connection *connection,
                            const struct db_failure *failure)
{
    return (failure->kind == DB_FAILURE_TIMEOUT || failure->kind == DB_FAILURE_RETRY) &&
           db_usable(connection);
}

/* A write that PostgreSQL complained of is known to be none: nobody waits for it. */
static bool learned_refuse(struct live *live, struct served *served)
{
    struct learned *learned = learn_unasked(served->route, live->arena);
    if (!learned)
        return false;
    learned->write.refused = true;
    atomic_store(&served->learned, learned);
    return true;
}

static bool goes_on(const struct live *live, struct db_failure *failure)
{
    return !live->ends || !live->ends(live->context) ||
           db_failure_set(failure, DB_FAILURE_UNAVAILABLE, "the process is about to end");
}

bool live_learn(struct live *live, struct db_connection *connection, struct fault_list *faults,
                struct db_failure *failure)
{
    bool all = true;
    struct session_look look = {0};
    patience_begin(live, connection);
    for (size_t i = 0; i < live->count; i++) {
        struct served *served = &live->served[i];
        struct learned *learned;
        if (served->asked || served->route->statement.sql.size == 0)
            continue;
        if (!goes_on(live, failure))
            return false;
        served->asked =
            learn_route(connection, served->route, &look, live->arena, faults, &learned, failure);
        if (served->asked && learned)
            atomic_store(&served->learned, learned);
        else if (served->asked && !learned_refuse(live, served))
            return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
        all = all && served->asked;
        if (!served->asked && !only_this_route(connection, failure))
            return false;
    }
    return all;
}

static bool spans_equal(const struct span *left, const struct span *right, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!span_equal(left[i], right[i]))
            return false;
    return true;
}

/* The same dependencies; null: not known. */
static bool same_depends(const struct depends *left, const struct depends *right)
{
    if (!left || !right)
        return left == right;
    return left->watched == right->watched && left->tag_count == right->tag_count &&
           spans_equal(left->tags, right->tags, left->tag_count);
}

static bool same_before(const struct route *route, const struct learned *left,
                        const struct learned *right)
{
    for (size_t i = 0; i < route->before_count; i++)
        if (left->write.before[i].id != right->write.before[i].id)
            return false;
    return left->write.known == right->write.known;
}

static bool texts_equal(const char *left, const char *right)
{
    return left && right ? strcmp(left, right) == 0 : left == right;
}

/* The texts name types, which may have got another name. */
static bool same_stream(const struct learned_stream *left, const struct learned_stream *right)
{
    return texts_equal(left->table, right->table) && texts_equal(left->settings, right->settings);
}

static bool same_pages(const struct learned *left, const struct learned *right)
{
    return memcmp(left->page.ids, right->page.ids, sizeof left->page.ids) == 0;
}

static bool same(const struct route *route, const struct learned *left, const struct learned *right)
{
    return same_before(route, left, right) && same_stream(&left->stream, &right->stream) &&
           same_pages(left, right) && left->plain == right->plain &&
           strcmp(left->sql, right->sql) == 0 && same_depends(left->depends, right->depends) &&
           memcmp(left->types, right->types,
                  route->statement.parameter_count * sizeof *left->types) == 0;
}

/*
 * What PostgreSQL complains of may still give answers, as it did before; but what these read, and
 * what they leave in a session, is not known any more.
 */
static bool learned_doubt(struct live *live, struct served *served)
{
    const struct learned *before = atomic_load(&served->learned);
    if (!before->plain && !(before->depends && before->depends->watched))
        return true;
    struct learned *learned = arena_alloc(live->arena, sizeof *learned);
    struct depends *depends = arena_alloc(live->arena, sizeof *depends);
    if (!learned || !depends)
        return false;
    *learned = *before;
    learned->plain = false;
    if (before->depends) {
        *depends = *before->depends;
        depends->watched = false;
        learned->depends = depends;
    }
    atomic_store(&served->learned, learned);
    return true;
}

/* Learnt in memory that goes again: only what differs is learnt into the live's own. */
static bool learn_anew(struct live *live, struct served *served, struct db_connection *connection,
                       struct session_look *look, struct fault_list *faults, bool *changed,
                       struct db_failure *failure)
{
    struct arena *scratch = arena_new();
    struct learned *learned = NULL;
    if (!scratch)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    bool asked = learn_route(connection, served->route, look, scratch, faults, &learned, failure);
    bool complains = asked && !learned;
    bool differs = asked && learned && !same(served->route, learned, atomic_load(&served->learned));
    arena_free(scratch);
    if (differs &&
        !learn_route(connection, served->route, look, live->arena, faults, &learned, failure))
        return false;
    if (differs && learned) {
        atomic_store(&served->learned, learned);
        *changed = true;
    } else if ((complains || differs) && !learned_doubt(live, served)) {
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    }
    return asked;
}

bool live_learn_anew(struct live *live, struct db_connection *connection, struct fault_list *faults,
                     bool *ret_changed, struct db_failure *failure)
{
    bool all = true;
    struct session_look look = {0};
    *ret_changed = false;
    patience_begin(live, connection);
    for (size_t i = 0; i < live->count; i++) {
        struct served *served = &live->served[i];
        if (!goes_on(live, failure))
            return false;
        if (served->route->statement.sql.size == 0 ||
            learn_anew(live, served, connection, &look, faults, ret_changed, failure))
            continue;
        all = false;
        if (!only_this_route(connection, failure))
            return false;
    }
    return all;
}

bool live_unasked(const struct live *live)
{
    for (size_t i = 0; i < live->count; i++)
        if (!live->served[i].asked && live->served[i].route->statement.sql.size)
            return true;
    return false;
}
