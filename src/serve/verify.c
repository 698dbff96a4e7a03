#include "serve/verify.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cache/store.h"
#include "db/pool.h"
#include "serve/answer.h"
#include "serve/body_tag.h"
#include "serve/page.h"

/* A look at Redis may take this long at least; no request waits for it. */
#define PATIENCE INT64_C(1000000)

/* How long PostgreSQL may take to let us in, and over each question about a route: µs. */
#define LEARN_TIMEOUT (5 * INT64_C(1000000))

struct verifier {
    const struct options *options;
    struct counters *counters;
    struct arena *arena;   /* the Redis address's texts */
    struct arena *scratch; /* of the entry at hand */
    struct cache_store *store;
    struct redis_connection *redis;
    struct db_pool *pool;
    struct digest_key *key;
    struct live *live;
};

/* The entry at hand. */
struct subject {
    struct span key;
    const struct served *served;
    struct value *by_param;
    struct value *values; /* of each $n */
};

static int64_t patience(const struct verifier *verifier)
{
    int64_t limit = options_number(verifier->options, OPTION_REDIS_TIMEOUT);
    return limit > PATIENCE ? limit : PATIENCE;
}

/* Opening */

static bool store_begin(struct verifier *verifier, struct error *error)
{
    if (!cache_store_open(verifier->options, verifier->arena, verifier->counters, &verifier->store,
                          error))
        return false;
    if (!verifier->store)
        return error_set(error, ERROR_INVALID, "LARDER_REDIS is not set: nothing is kept anywhere");
    verifier->redis = cache_store_connection(verifier->store);
    return verifier->redis ? true : error_set_memory(error);
}

static bool pool_begin(struct verifier *verifier, struct error *error)
{
    const struct options *options = verifier->options;
    const struct db_pool_settings settings = {
        .connections = 1,
        .wait = options_number(options, OPTION_DB_WAIT),
        .connection = db_settings_of(options, options_number(options, OPTION_TIMEOUT))};
    verifier->pool = db_pool_new(&settings, verifier->counters);
    return verifier->pool ? true : error_set_memory(error);
}

bool verifier_new(const struct options *options, struct counters *counters,
                  struct verifier **ret_verifier, struct error *error)
{
    struct verifier *verifier = calloc(1, sizeof *verifier);
    if (!verifier)
        return error_set_memory(error);
    verifier->options = options;
    verifier->counters = counters;
    verifier->arena = arena_new();
    verifier->scratch = arena_new();
    bool made = verifier->arena && verifier->scratch ? true : error_set_memory(error);
    if (made && store_begin(verifier, error) && pool_begin(verifier, error) &&
        body_tag_key(options, &verifier->key, error)) {
        *ret_verifier = verifier;
        return true;
    }
    verifier_free(verifier);
    return false;
}

void verifier_free(struct verifier *verifier)
{
    if (!verifier)
        return;
    live_unref(verifier->live);
    digest_key_free(verifier->key);
    db_pool_free(verifier->pool);
    redis_connection_free(verifier->redis);
    cache_store_free(verifier->store);
    arena_free(verifier->scratch);
    arena_free(verifier->arena);
    free(verifier);
}

/* Routes */

static struct served *find_version(struct live *live, struct span version)
{
    for (size_t i = 0; live && i < live_count(live); i++)
        if (span_is(version, live_at(live, i)->version.hex))
            return live_at(live, i);
    return NULL;
}

static bool same_routes(struct live *left, struct live *right)
{
    if (!left || live_count(left) != live_count(right))
        return false;
    for (size_t i = 0; i < live_count(left); i++)
        if (!find_version(right, span_of(live_at(left, i)->version.hex)))
            return false;
    return true;
}

static bool learn(struct verifier *verifier, struct live *live, struct fault_list *faults,
                  struct error *error)
{
    const struct db_settings settings = db_settings_of(verifier->options, LEARN_TIMEOUT);
    struct db_connection *connection;
    struct db_failure failure = {0};
    bool told = db_connect(&settings, clock_monotonic() + LEARN_TIMEOUT, &connection, &failure);
    if (told) {
        told = live_learn(live, connection, faults, &failure);
        db_disconnect(connection);
    }
    return told ? true : error_set(error, ERROR_UNAVAILABLE, "PostgreSQL: %.400s", failure.message);
}

bool verifier_load(struct verifier *verifier, bool again, struct fault_list *faults,
                   struct error *error)
{
    const char *folder = options_text(verifier->options, OPTION_ROUTES);
    const struct live_settings settings = {.folder = folder, .counters = verifier->counters};
    struct live *live = live_load(&settings, faults);
    if (!live)
        return error_set(error, ERROR_INVALID, "the routes in %.400s were not loaded", folder);
    db_pool_renew_itself(verifier->pool, LEARN_TIMEOUT);
    if (!again && same_routes(verifier->live, live)) {
        live_unref(live);
        return true;
    }
    if (!learn(verifier, live, faults, error)) {
        live_unref(live);
        return false;
    }
    live_unref(verifier->live);
    verifier->live = live;
    db_pool_forget_prepared(verifier->pool);
    return true;
}

struct live *verifier_live(struct verifier *verifier)
{
    return verifier->live;
}

static bool uses_clock(const struct route *route)
{
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].place == PLACE_CLOCK)
            return true;
    return false;
}

/* By the time, by chance or by the session: its answers differ though no table changed. */
static bool varies(const struct served *served)
{
    const struct learned *learned = atomic_load(&served->learned);
    const struct depends *depends = learned->depends;
    for (size_t i = 0; depends && i < depends->hazard_count; i++)
        if (depends->hazards[i].kind == HAZARD_CLOCK ||
            depends->hazards[i].kind == HAZARD_LITERAL ||
            depends->hazards[i].kind == HAZARD_RANDOM || depends->hazards[i].kind == HAZARD_SETTING)
            return true;
    return false;
}

enum verify_outcome verify_route(const struct served *served)
{
    if (served->route->auth.rls)
        return VERIFY_ROLE;
    return uses_clock(served->route) ? VERIFY_CLOCK : varies(served) ? VERIFY_VARYING : VERIFY_SAME;
}

bool verify_walk(struct verifier *verifier, cache_scan_visit *visit, void *context,
                 struct error *error)
{
    return cache_store_resolve(verifier->store, clock_monotonic(), error) &&
           cache_scan(verifier->redis, options_text(verifier->options, OPTION_PREFIX),
                      patience(verifier), visit, context, error);
}

/* One entry */

static enum verify_outcome subject_make(struct verifier *verifier, struct span text,
                                        struct subject *ret_subject)
{
    struct cache_key key;
    if (!cache_key_read(options_text(verifier->options, OPTION_PREFIX), text, &key))
        return VERIFY_UNKNOWN;
    struct served *served = find_version(verifier->live, key.version);
    if (!served || key.hashed)
        return served ? VERIFY_HASHED : VERIFY_UNKNOWN;
    ret_subject->served = served;
    if (served->route->auth.rls)
        return VERIFY_ROLE;
    size_t count = served->route->param_count;
    *ret_subject = (struct subject){
        .key = text,
        .served = served,
        .by_param = arena_array(verifier->scratch, count, sizeof *ret_subject->by_param)};
    bool read =
        ret_subject->by_param && cache_key_values(&key, served->route->name, verifier->scratch,
                                                  ret_subject->by_param, count);
    if (!read)
        return VERIFY_UNKNOWN;
    ret_subject->values = answer_values(served->route, ret_subject->by_param, verifier->scratch);
    return verify_route(served);
}

static void kept_take(const struct verifier *verifier, const struct store_found *found,
                      struct verify_finding *finding)
{
    const struct entry_meta *meta = &found->meta;
    finding->created = meta->created;
    finding->clock = meta->clock;
    finding->kept.status = meta->status;
    memcpy(finding->label, meta->tag, ENTRY_TAG_SIZE);
    finding->label[ENTRY_TAG_SIZE] = '\0';
    bytes_clear(&finding->tags);
    const struct page_cursors cursors = {.next = meta->next, .previous = meta->previous};
    if (!page_tag(verifier->key, found->body, &cursors, finding->kept.tag))
        finding->tags.failed = true;
    for (size_t i = 0; i < meta->tag_count; i++) {
        bytes_append_text(&finding->tags, i ? "\n" : "");
        bytes_append_span(&finding->tags, meta->tags[i]);
    }
}

/* Looks the entry up as a responder does; *ret_served: it would serve it as fresh. */
static bool look(struct verifier *verifier, const struct subject *subject,
                 struct verify_finding *finding, bool *ret_served, struct error *error)
{
    const struct coding_accept accept = coding_accept_parse((struct span){0});
    struct store_query query = {
        .key = subject->key, .accept = &accept, .now = clock_wall(), .body_wanted = true};
    struct store_query *const queries[] = {&query};
    struct error event = {0};
    int64_t budget = patience(verifier);
    cache_store_lookup(verifier->store, verifier->redis, queries, 1, &budget, &event);
    *ret_served = query.outcome == STORE_HIT;
    if (*ret_served)
        kept_take(verifier, &query.found, finding);
    redis_reply_free(query.found.reply);
    if (query.outcome != STORE_BYPASS)
        return true;
    return error_set(error, ERROR_UNAVAILABLE, "%s",
                     *event.text ? event.text : "Redis does not answer");
}

static bool side_fill(const struct verifier *verifier, unsigned status, struct span body,
                      struct verify_side *side)
{
    *side = (struct verify_side){.status = status};
    return !body.data || body_tag_make(verifier->key, body, side->tag);
}

static bool missing_fill(const struct verifier *verifier, const struct route *route,
                         struct verify_side *side)
{
    const struct problem problem = answer_missing(route, (struct span){0});
    struct bytes body CLEANUP(bytes_free) = BYTES_EMPTY;
    problem_write(&problem, &body);
    return !body.failed && side_fill(verifier, 404, bytes_span(&body), side);
}

static bool body_fill(const struct verifier *verifier, const struct subject *subject,
                      const struct db_result *result, struct verify_side *side)
{
    const struct served *served = subject->served;
    const struct cursor_owner owner = {verifier->key, served->route->name, &served->version};
    struct page_cursors cursors;
    enum page_outcome outcome = page_cursors_of(&owner, served->route, subject->values, result,
                                                verifier->scratch, &cursors);
    if (outcome == PAGE_MEMORY)
        return false;
    if (outcome != PAGE_GOOD)
        return side_fill(verifier, 500, (struct span){0}, side);
    *side = (struct verify_side){.status = 200};
    return page_tag(verifier->key, answer_body(result), &cursors, side->tag);
}

static bool now_fill(const struct verifier *verifier, const struct subject *subject,
                     const struct db_result *result, struct verify_side *side)
{
    const struct route *route = subject->served->route;
    switch (answer_kind(route, result)) {
    case ANSWER_BODY:
        return body_fill(verifier, subject, result, side);
    case ANSWER_MISSING:
        return missing_fill(verifier, route, side);
    case ANSWER_EMPTY:
        return side_fill(verifier, 204, (struct span){0}, side);
    case ANSWER_TOO_MANY:
        return side_fill(verifier, 500, (struct span){0}, side);
    }
    return false;
}

static bool run(struct verifier *verifier, const struct subject *subject,
                struct db_result **ret_result, struct db_failure *failure)
{
    const struct route *route = subject->served->route;
    struct db_statement statement;
    int64_t timeout = answer_timeout(route, options_number(verifier->options, OPTION_TIMEOUT));
    if (!subject->values ||
        !answer_statement(route, atomic_load(&subject->served->learned), subject->values, timeout,
                          verifier->scratch, &statement))
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    bool standby;
    return db_pool_read(verifier->pool, &statement, ret_result, &standby, failure);
}

static bool is_away(enum db_failure_kind kind)
{
    return kind == DB_FAILURE_UNAVAILABLE || kind == DB_FAILURE_BUSY || kind == DB_FAILURE_MEMORY;
}

/* Makes the answer again; *ret_made is false where the statement failed. */
static bool make(struct verifier *verifier, const struct subject *subject,
                 struct verify_finding *finding, bool *ret_made, struct error *error)
{
    struct db_result *result = NULL;
    *ret_made = run(verifier, subject, &result, &finding->failure);
    if (*ret_made) {
        bool filled = now_fill(verifier, subject, result, &finding->now);
        db_result_free(result);
        return filled ? true : error_set_memory(error);
    }
    if (!is_away(finding->failure.kind))
        return true;
    return error_set(error, ERROR_UNAVAILABLE, "PostgreSQL: %.400s", finding->failure.message);
}

static enum verify_outcome compare(const struct verify_finding *finding)
{
    bool same = finding->kept.status == finding->now.status &&
                strcmp(finding->kept.tag, finding->now.tag) == 0 &&
                strcmp(finding->label, finding->now.tag) == 0;
    return same ? VERIFY_SAME : VERIFY_DIFFERS;
}

bool verify_entry(struct verifier *verifier, struct span key, struct verify_finding *finding,
                  struct error *error)
{
    struct subject subject = {0};
    bool served, made;
    arena_reset(verifier->scratch);
    finding->outcome = subject_make(verifier, key, &subject);
    finding->served = subject.served;
    if (finding->outcome != VERIFY_SAME)
        return true;
    if (!look(verifier, &subject, finding, &served, error))
        return false;
    finding->outcome = VERIFY_GONE;
    if (!served)
        return true;
    if (!make(verifier, &subject, finding, &made, error))
        return false;
    finding->outcome = made ? compare(finding) : VERIFY_FAILED;
    return finding->tags.failed ? error_set_memory(error) : true;
}

bool verify_confirm(struct verifier *verifier, struct span key, struct verify_finding *finding,
                    struct error *error)
{
    struct subject subject = {0};
    bool served, made;
    int64_t created = finding->created;
    uint64_t clock = finding->clock;
    arena_reset(verifier->scratch);
    finding->outcome = subject_make(verifier, key, &subject);
    finding->served = subject.served;
    if (finding->outcome != VERIFY_SAME)
        return true;
    if (!make(verifier, &subject, finding, &made, error) ||
        !look(verifier, &subject, finding, &served, error))
        return false;
    bool same_entry = served && finding->created == created && finding->clock == clock;
    finding->outcome = !made ? VERIFY_FAILED : same_entry ? compare(finding) : VERIFY_GONE;
    return finding->tags.failed ? error_set_memory(error) : true;
}

void verify_finding_free(struct verify_finding *finding)
{
    bytes_free(&finding->tags);
}
