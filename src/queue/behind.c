#include "queue/behind.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/queue_base.h"

/*
 * KEYS: the stream, perhaps the Idempotency-Key's. ARGV: the bound, route, document, owner; beside
 * a key what the request says, and for how many ms that is known.
 *
 * Its first write is the one that a full Redis refuses, so it is done wholly or not at all.
 */
const char queue_behind_add_text[] =
    "if KEYS[2] then\n"
    "  local said = redis.call('GET', KEYS[2])\n"
    "  if said then return said == ARGV[5] and 1 or 2 end\n"
    "end\n"
    "if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 3 end\n"
    "redis.call('XADD', KEYS[1], '*', 'r', ARGV[2], 'd', ARGV[3], 'o', ARGV[4])\n"
    "if KEYS[2] then redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6]) end\n"
    "return 0\n";

/* KEYS: streams. Reply: Redis' time in ms, then of each stream its length and oldest number. */
const char queue_behind_look_text[] =
    "local time = redis.call('TIME')\n"
    "local told = {time[1] * 1000 + math.floor(time[2] / 1000)}\n"
    "for i = 1, #KEYS do\n"
    "  local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', "
    "1)[1]\n"
    "  told[2 * i] = redis.call('XLEN', KEYS[i])\n"
    "  told[2 * i + 1] = first and first[1] or ''\n"
    "end\n"
    "return told\n";

/* KEYS: the queue's name, the stream. ARGV: how many, a name for a queue that has none. */
const char queue_behind_take_text[] =
    "local name = redis.call('GET', KEYS[1])\n"
    "if not name then\n"
    "  name = ARGV[2]\n"
    "  redis.call('SET', KEYS[1], name)\n"
    "end\n"
    "return {name, redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[1])}\n";

bool queue_behind_name(const struct queue *queue, const char *route,
                       char ret_name[static QUEUE_NAME_SIZE], struct error *error)
{
    const struct span name = span_of(route);
    char digest[QUEUE_DIGEST_SIZE];
    if (!queue_digest(&name, 1, digest, error))
        return false;
    queue_name(queue->settings.prefix, QUEUE_KEY_BEHIND, span_of(digest), ret_name);
    return true;
}

#define NUMBER_SIZE 24

/* What the script is given. */
struct words {
    char stream[QUEUE_NAME_SIZE], once[QUEUE_NAME_SIZE];
    char bound[NUMBER_SIZE], once_ms[NUMBER_SIZE];
    struct span keys[2], arguments[6];
};

static bool words_write(const struct queue *queue, const struct queue_behind_write *write,
                        struct words *out, struct error *error)
{
    char route[QUEUE_NAME_SIZE];
    if (!queue_digest(&write->route, 1, route, error))
        return false;
    queue_name(queue->settings.prefix, QUEUE_KEY_BEHIND, span_of(route), out->stream);
    queue_name(queue->settings.prefix, QUEUE_KEY_DEDUPE, span_of(write->once ? write->once : ""),
               out->once);
    snprintf(out->bound, NUMBER_SIZE, "%" PRId64, write->bound);
    snprintf(out->once_ms, NUMBER_SIZE, "%" PRId64, queue->settings.once_ttl / 1000);
    const struct span keys[] = {span_of(out->stream), span_of(out->once)};
    const struct span arguments[] = {span_of(out->bound),
                                     write->route,
                                     write->document,
                                     write->owner,
                                     span_of(write->once ? write->once_for : ""),
                                     span_of(out->once_ms)};
    memcpy(out->keys, keys, sizeof keys);
    memcpy(out->arguments, arguments, sizeof arguments);
    return true;
}

static enum queue_behind_outcome verdict_read(struct queue *queue, const struct redis_reply *reply,
                                              struct error *ret_event)
{
    static const enum queue_behind_outcome outcomes[] = {QUEUE_BEHIND_ADDED, QUEUE_BEHIND_AGAIN,
                                                         QUEUE_BEHIND_OTHER, QUEUE_BEHIND_BOUND};
    struct span problem = redis_reply_error(reply);
    int64_t verdict = redis_reply_number(reply, -1);
    if (problem.data) {
        queue_refused(queue, problem, ret_event);
        return memmem(problem.data, problem.size, "OOM ", 4) ? QUEUE_BEHIND_ROOM
                                                             : QUEUE_BEHIND_AWAY;
    }
    return verdict >= 0 && verdict < (int64_t)ARRAY_COUNT(outcomes) ? outcomes[verdict]
                                                                    : QUEUE_BEHIND_UNKNOWN;
}

static struct redis_script_call add_call(const struct queue *queue,
                                         const struct queue_behind_write *write,
                                         const struct words *words)
{
    return (struct redis_script_call){.script = &queue->behind_add,
                                      .keys = words->keys,
                                      .key_count = write->once ? 2 : 1,
                                      .arguments = words->arguments,
                                      .argument_count = write->once ? 6 : 4};
}

/* What Redis said of each; without a word each stays as it is, or unknown. */
static void outcomes_take(struct queue *queue, struct queue_behind_write *const *writes,
                          size_t count, enum queue_run run, struct redis_reply *const *replies,
                          struct error *ret_event)
{
    for (size_t i = 0; i < count; i++) {
        if (run == QUEUE_RUN_UNKNOWN)
            writes[i]->outcome = QUEUE_BEHIND_UNKNOWN;
        if (run != QUEUE_RUN_DONE)
            continue;
        writes[i]->outcome = verdict_read(queue, replies[i], ret_event);
        redis_reply_free(replies[i]);
    }
}

void queue_behind_add(struct queue *queue, struct redis_connection *connection,
                      struct queue_behind_write *const *writes, size_t count, int64_t *budget,
                      struct error *ret_event)
{
    struct words words[QUEUE_BATCH];
    struct redis_script_call calls[QUEUE_BATCH];
    struct redis_reply *replies[QUEUE_BATCH];
    struct queue_behind_write *asked[QUEUE_BATCH];
    size_t asking = 0;
    for (size_t i = 0; i < count && i < QUEUE_BATCH; i++) {
        writes[i]->outcome = QUEUE_BEHIND_AWAY;
        if (!words_write(queue, writes[i], &words[asking], ret_event))
            continue;
        calls[asking] = add_call(queue, writes[i], &words[asking]);
        asked[asking++] = writes[i];
    }
    if (!asking)
        return;
    redis_set_once(connection, true);
    enum queue_run run = queue_run(queue, connection, calls, asking, budget, replies, ret_event);
    redis_set_once(connection, false);
    outcomes_take(queue, asked, asking, run, replies, ret_event);
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

bool queue_behind_look(const struct queue *queue, struct redis_connection *connection,
                       const char *const *streams, size_t count, int64_t deadline,
                       struct queue_behind_state *ret_states, struct error *error)
{
    struct span keys[QUEUE_BEHIND_STREAMS];
    for (size_t i = 0; i < count; i++)
        keys[i] = span_of(streams[i]);
    const struct redis_script_call call = {
        .script = &queue->behind_look, .keys = keys, .key_count = count};
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

bool queue_behind_take(const struct queue *queue, struct redis_connection *connection,
                       const char *stream, size_t most, int64_t deadline,
                       struct queue_behind_taken *ret_taken, struct error *error)
{
    char name[QUEUE_NAME_SIZE], fresh[QUEUE_ID_SIZE], number[NUMBER_SIZE];
    if (!queue_id_new(fresh, error))
        return false;
    snprintf(name, sizeof name, "%s:q:i", queue->settings.prefix);
    snprintf(number, sizeof number, "%zu", most);
    const struct span keys[] = {span_of(name), span_of(stream)};
    const struct span arguments[] = {span_of(number), span_of(fresh)};
    const struct redis_script_call call = {.script = &queue->behind_take,
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

/*
 * KEYS: the job, the dead letters, the channel of news. ARGV: the job's id, ms that it is kept, and
 * its fields and values. Its first write is the one that a full Redis refuses.
 */
const char queue_behind_bury_text[] = "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end\n"
                                      "redis.call('HSET', KEYS[1], unpack(ARGV, 3))\n"
                                      "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
                                      "redis.call('XADD', KEYS[2], '*', 'j', ARGV[1])\n"
                                      "redis.call('PUBLISH', KEYS[3], ARGV[1] .. ' failed')\n"
                                      "return 1\n";

/* What no principal's digest is. */
#define NOBODY "behind"

/* The names and numbers of a dead letter. */
struct dead_words {
    char job[QUEUE_NAME_SIZE], letters[QUEUE_NAME_SIZE], news[QUEUE_NAME_SIZE];
    char kept[NUMBER_SIZE], filed[NUMBER_SIZE], ended[NUMBER_SIZE], timeout[NUMBER_SIZE],
        progress[NUMBER_SIZE];
};

static void dead_words_write(const struct queue *queue, const struct queue_behind_dead *dead,
                             const char *id, struct dead_words *out)
{
    const char *prefix = queue->settings.prefix;
    queue_name(prefix, QUEUE_KEY_JOB, span_of(id), out->job);
    queue_name(prefix, QUEUE_KEY_DEAD, (struct span){0}, out->letters);
    queue_name(prefix, QUEUE_KEY_NEWS, (struct span){0}, out->news);
    snprintf(out->kept, NUMBER_SIZE, "%" PRId64, dead->kept / 1000);
    snprintf(out->filed, NUMBER_SIZE, "%" PRIu64, dead->entry->number.milliseconds * 1000);
    snprintf(out->ended, NUMBER_SIZE, "%" PRId64, dead->now);
    snprintf(out->timeout, NUMBER_SIZE, "%" PRId64, dead->timeout);
    snprintf(out->progress, NUMBER_SIZE, "0/%zu", dead->statements);
}

static bool dead_id(const struct queue_behind_dead *dead, char ret_id[static QUEUE_ID_SIZE],
                    struct error *error)
{
    char number[QUEUE_BEHIND_NUMBER_SIZE];
    queue_behind_number_write(&dead->entry->number, number);
    const struct span parts[] = {span_of(dead->stream), span_of(number)};
    return queue_digest(parts, ARRAY_COUNT(parts), ret_id, error);
}

bool queue_behind_bury(const struct queue *queue, struct redis_connection *connection,
                       const struct queue_behind_dead *dead, struct span problem, int64_t deadline,
                       char ret_id[static QUEUE_ID_SIZE], struct error *error)
{
    struct dead_words words;
    struct redis_reply *reply;
    char id[QUEUE_ID_SIZE];
    if (!dead_id(dead, id, error))
        return false;
    dead_words_write(queue, dead, id, &words);
    const struct span keys[] = {span_of(words.job), span_of(words.letters), span_of(words.news)};
    const struct span arguments[] = {
        span_of(id),
        span_of(words.kept),
#define FIELD(name, value) SPAN_LITERAL(name), value
        FIELD(QUEUE_STATE, span_of(queue_state_names[QUEUE_FAILED])),
        FIELD(QUEUE_ROUTE, dead->entry->route),
        FIELD(QUEUE_VERSION, span_of(dead->version)),
        FIELD(QUEUE_OWNER, SPAN_LITERAL(NOBODY)),
        FIELD(QUEUE_DOCUMENT, dead->entry->document),
        FIELD(QUEUE_FILED, span_of(words.filed)),
        FIELD(QUEUE_BEGUN, span_of(words.ended)),
        FIELD(QUEUE_ENDED, span_of(words.ended)),
        FIELD(QUEUE_TRIES, SPAN_LITERAL("1")),
        FIELD(QUEUE_RETRIES, SPAN_LITERAL("0")),
        FIELD(QUEUE_TIMEOUT, span_of(words.timeout)),
        FIELD(QUEUE_NEXT, SPAN_LITERAL("0")),
        FIELD(QUEUE_PROGRESS, span_of(words.progress)),
        FIELD(QUEUE_DEDUPE, SPAN_LITERAL("")),
        FIELD(QUEUE_CANCEL, SPAN_LITERAL("0")),
        FIELD(QUEUE_STATUS, SPAN_LITERAL("500")),
        FIELD(QUEUE_TYPE, SPAN_LITERAL("application/problem+json")),
        FIELD(QUEUE_LOCATION, SPAN_LITERAL("")),
        FIELD(QUEUE_BODY, problem),
#undef FIELD
    };
    const struct redis_script_call call = {.script = &queue->behind_bury,
                                           .keys = keys,
                                           .key_count = ARRAY_COUNT(keys),
                                           .arguments = arguments,
                                           .argument_count = ARRAY_COUNT(arguments)};
    if (!run(connection, &call, deadline, &reply, error))
        return false;
    redis_reply_free(reply);
    memcpy(ret_id, id, sizeof id);
    return true;
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
