#include "queue/behind.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/digest.h"
#include "redis/script.h"

/*
 * KEYS: the stream, perhaps what the request's key names. ARGV: the bound, route, document, owner;
 * beside a key what the request says and for how many ms it is known.
 */
static const char add_text[] =
    "if KEYS[2] then\n"
    "  local said = redis.call('GET', KEYS[2])\n"
    "  if said then return said == ARGV[5] and 1 or 2 end\n"
    "end\n"
    "if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 3 end\n"
    "redis.call('XADD', KEYS[1], '*', 'r', ARGV[2], 'd', ARGV[3], 'o', ARGV[4])\n"
    "if KEYS[2] then redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6]) end\n"
    "return 0\n";

static const enum queue_behind_outcome outcomes[] = {QUEUE_BEHIND_ADDED, QUEUE_BEHIND_AGAIN,
                                                     QUEUE_BEHIND_OTHER, QUEUE_BEHIND_FULL};

/* KEYS: streams. Reply: Redis' time in ms, then of each stream its length and oldest number. */
static const char look_text[] = "local time = redis.call('TIME')\n"
                                "local told = {time[1] * 1000 + math.floor(time[2] / 1000)}\n"
                                "for i = 1, #KEYS do\n"
                                "  local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', "
                                "1)[1]\n"
                                "  told[2 * i] = redis.call('XLEN', KEYS[i])\n"
                                "  told[2 * i + 1] = first and first[1] or ''\n"
                                "end\n"
                                "return told\n";

/* KEYS: the queue's name, the stream. ARGV: how many, a name for a queue that has none. */
static const char take_text[] =
    "local name = redis.call('GET', KEYS[1])\n"
    "if not name then\n"
    "  name = ARGV[2]\n"
    "  redis.call('SET', KEYS[1], name)\n"
    "end\n"
    "return {name, redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[1])}\n";

struct queue_behind {
    const char *prefix;
    struct redis_script add, look, take;
};

struct queue_behind *queue_behind_new(const char *prefix)
{
    struct queue_behind *behind = calloc(1, sizeof *behind);
    if (!behind)
        return NULL;
    behind->prefix = prefix;
    if (redis_script_init(&behind->add, add_text, NULL) &&
        redis_script_init(&behind->look, look_text, NULL) &&
        redis_script_init(&behind->take, take_text, NULL))
        return behind;
    queue_behind_free(behind);
    return NULL;
}

void queue_behind_free(struct queue_behind *behind)
{
    free(behind);
}

bool queue_behind_name(const struct queue_behind *behind, const char *route,
                       char ret_name[static QUEUE_BEHIND_NAME_SIZE], struct error *error)
{
    unsigned char digest[DIGEST_SIZE];
    char text[23];
    if (!digest_sha256(span_of(route), digest, error))
        return false;
    digest_base64url(digest, 16, text);
    snprintf(ret_name, QUEUE_BEHIND_NAME_SIZE, "%s:q:b:%s", behind->prefix, text);
    return true;
}

/* Runs one script; its reply, which is no error reply, is the caller's. */
static bool run(struct redis_connection *connection, const struct redis_script_call *call,
                int64_t deadline, struct redis_reply **ret_reply, struct error *error)
{
    struct redis_reply *reply;
    if (!redis_script_run(connection, call, 1, deadline, &reply, error))
        return false;
    struct span problem = redis_reply_error(reply);
    if (!problem.data) {
        *ret_reply = reply;
        return true;
    }
    error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s", SPAN_PRINTF(problem));
    redis_reply_free(reply);
    return false;
}

static bool nonsense(struct error *error)
{
    return error_set(error, ERROR_UNAVAILABLE, "Redis: an answer of another kind");
}

bool queue_behind_add(const struct queue_behind *behind, struct redis_connection *connection,
                      const struct queue_behind_write *write, int64_t deadline,
                      enum queue_behind_outcome *ret_outcome, struct error *error)
{
    char bound[24], known[24], name[QUEUE_BEHIND_NAME_SIZE], key[45];
    bool keyed = write->key.data;
    snprintf(bound, sizeof bound, "%" PRId64, write->bound);
    snprintf(known, sizeof known, "%" PRId64, write->known / 1000);
    if (keyed) {
        digest_base64url((const unsigned char *)write->key.data, DIGEST_SIZE, key);
        snprintf(name, sizeof name, "%s:q:o:%.22s", behind->prefix, key);
    }
    const struct span keys[] = {span_of(write->stream), span_of(keyed ? name : "")};
    const struct span arguments[] = {span_of(bound), write->route, write->document,
                                     write->owner,   write->body,  span_of(known)};
    const struct redis_script_call call = {.script = &behind->add,
                                           .keys = keys,
                                           .key_count = keyed ? 2 : 1,
                                           .arguments = arguments,
                                           .argument_count = keyed ? 6 : 4};
    struct redis_reply *reply;
    if (!run(connection, &call, deadline, &reply, error))
        return false;
    int64_t outcome = redis_reply_number(reply, -1);
    redis_reply_free(reply);
    if (outcome < 0 || outcome >= (int64_t)ARRAY_COUNT(outcomes))
        return nonsense(error);
    *ret_outcome = outcomes[outcome];
    return true;
}

static void states_take(const struct redis_reply *reply, size_t count,
                        struct queue_behind_state *states)
{
    int64_t now = redis_reply_number(redis_reply_at(reply, 0), 0);
    for (size_t i = 0; i < count; i++) {
        struct queue_behind_number oldest;
        states[i] = (struct queue_behind_state){
            .waiting = redis_reply_number(redis_reply_at(reply, 2 * i + 1), 0)};
        if (!queue_behind_number_read(redis_reply_element(reply, 2 * i + 2), &oldest))
            continue;
        int64_t age = now - (int64_t)oldest.milliseconds;
        states[i].age = age > 0 ? age * 1000 : 1;
    }
}

bool queue_behind_look(const struct queue_behind *behind, struct redis_connection *connection,
                       const char *const *streams, size_t count, int64_t deadline,
                       struct queue_behind_state *ret_states, struct error *error)
{
    struct span keys[QUEUE_BEHIND_STREAMS];
    for (size_t i = 0; i < count; i++)
        keys[i] = span_of(streams[i]);
    const struct redis_script_call call = {
        .script = &behind->look, .keys = keys, .key_count = count};
    struct redis_reply *reply;
    if (!run(connection, &call, deadline, &reply, error))
        return false;
    bool whole = redis_reply_count(reply) == 2 * count + 1;
    if (whole)
        states_take(reply, count, ret_states);
    redis_reply_free(reply);
    return whole ? true : nonsense(error);
}

/* A decimal number without a sign; false: there is none, or it is too large. */
static bool digits_read(struct span text, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (text.size == 0 || text.size > 20)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text.data[i] - '0'), &number))
            return false;
    }
    *ret_number = number;
    return true;
}

bool queue_behind_number_read(struct span text, struct queue_behind_number *ret_number)
{
    struct span rest = text;
    struct span milliseconds = span_split(&rest, '-');
    struct queue_behind_number number;
    if (!digits_read(milliseconds, &number.milliseconds) || !rest.data ||
        !digits_read(rest, &number.sequence))
        return false;
    *ret_number = number;
    return true;
}

void queue_behind_number_write(const struct queue_behind_number *number,
                               char ret_text[static QUEUE_BEHIND_NUMBER_SIZE])
{
    snprintf(ret_text, QUEUE_BEHIND_NUMBER_SIZE, "%" PRIu64 "-%" PRIu64, number->milliseconds,
             number->sequence);
}

int queue_behind_number_compare(const struct queue_behind_number *left,
                                const struct queue_behind_number *right)
{
    if (left->milliseconds != right->milliseconds)
        return left->milliseconds < right->milliseconds ? -1 : 1;
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

static void field_take(struct span name, struct span value, struct queue_behind_entry *entry)
{
    if (span_is(name, "r"))
        entry->route = value;
    else if (span_is(name, "d"))
        entry->document = value;
    else if (span_is(name, "o"))
        entry->owner = value;
}

/* [number, [name, value, …]]; false: it is something else. */
static bool entry_take(const struct redis_reply *reply, struct queue_behind_entry *ret_entry)
{
    struct queue_behind_entry entry = {.number = {0}};
    const struct redis_reply *fields = redis_reply_at(reply, 1);
    if (!fields || !queue_behind_number_read(redis_reply_element(reply, 0), &entry.number))
        return false;
    for (size_t i = 0; i + 1 < redis_reply_count(fields); i += 2)
        field_take(redis_reply_element(fields, i), redis_reply_element(fields, i + 1), &entry);
    *ret_entry = entry;
    return true;
}

static bool taken_read(struct queue_behind_taken *taken, struct error *error)
{
    const struct redis_reply *rows = redis_reply_at(taken->reply, 1);
    taken->queue = redis_reply_element(taken->reply, 0);
    if (!taken->queue.size || !rows)
        return nonsense(error);
    taken->count = redis_reply_count(rows);
    taken->entries = calloc(taken->count + 1, sizeof *taken->entries);
    if (!taken->entries)
        return error_set_memory(error);
    for (size_t i = 0; i < taken->count; i++)
        if (!entry_take(redis_reply_at(rows, i), &taken->entries[i]))
            return nonsense(error);
    return true;
}

bool queue_behind_take(const struct queue_behind *behind, struct redis_connection *connection,
                       const char *stream, size_t most, int64_t deadline,
                       struct queue_behind_taken *ret_taken, struct error *error)
{
    char name[QUEUE_BEHIND_NAME_SIZE], fresh[23], number[24];
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return error_set_errno(error, "getrandom");
    digest_base64url(random, sizeof random, fresh);
    snprintf(name, sizeof name, "%s:q:i", behind->prefix);
    snprintf(number, sizeof number, "%zu", most);
    const struct span keys[] = {span_of(name), span_of(stream)};
    const struct span arguments[] = {span_of(number), span_of(fresh)};
    const struct redis_script_call call = {.script = &behind->take,
                                           .keys = keys,
                                           .key_count = ARRAY_COUNT(keys),
                                           .arguments = arguments,
                                           .argument_count = ARRAY_COUNT(arguments)};
    struct queue_behind_taken taken = {.count = 0};
    if (!run(connection, &call, deadline, &taken.reply, error))
        return false;
    if (taken_read(&taken, error)) {
        *ret_taken = taken;
        return true;
    }
    queue_behind_taken_free(&taken);
    return false;
}

void queue_behind_taken_free(struct queue_behind_taken *taken)
{
    redis_reply_free(taken->reply);
    free(taken->entries);
    *taken = (struct queue_behind_taken){.count = 0};
}

bool queue_behind_trim(struct redis_connection *connection, const char *stream,
                       const struct queue_behind_number *last, int64_t deadline,
                       struct error *error)
{
    char text[QUEUE_BEHIND_NUMBER_SIZE];
    struct queue_behind_number next = *last;
    if (++next.sequence == 0)
        next.milliseconds++;
    queue_behind_number_write(&next, text);
    const struct span words[] = {SPAN_LITERAL("XTRIM"), span_of(stream), SPAN_LITERAL("MINID"),
                                 span_of(text)};
    const struct redis_command command = {words, ARRAY_COUNT(words)};
    struct redis_reply *reply;
    if (!redis_call(connection, &command, 1, deadline, &reply, error))
        return false;
    redis_reply_free(reply);
    return true;
}
