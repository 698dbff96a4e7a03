#include "cache/bump.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cache/feed_message.h"
#include "redis/script.h"

/*
 * Every script writes something that takes no memory first: a full Redis refuses a script's first
 * write that would take some, and none after it ("Memory management during script execution").
 *
 * Where the clock is missing while the journal is not (evicted), the journal knows how far it was.
 */
#define CLOCK_BEGIN                                                                                \
    "redis.call('HDEL', KEYS[1], '')\n"                                                            \
    "local known = redis.call('HMGET', KEYS[1], 'n', 'b', 'r', 'd')\n"                             \
    "local function text(number) return string.format('%.0f', number) end\n"                       \
    "local function now()\n"                                                                       \
    "  local time = redis.call('TIME')\n"                                                          \
    "  local number = math.max(time[1] * 1000000 + time[2], tonumber(known[1] or 0) or 0)\n"       \
    "  if known[1] then return number end\n"                                                       \
    "  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]\n"                   \
    "  return math.max(number, last and tonumber(string.match(last[1], '^%d+')) or 0)\n"           \
    "end\n"

/*
 * KEYS: clock, journal, tags. ARGV: channel, the tags without what their keys begin with, a line
 * each, and 1 where CACHE_TAG_DEFINITIONS is among them. All tags are asked for at once, and only
 * those that an answer has are set: each call from a script, and each string that it makes, takes
 * Redis longer than the command itself.
 */
static const char bump_text[] = CLOCK_BEGIN
    "local top = now()\n"
    "local values = redis.call('MGET', unpack(KEYS, 3))\n"
    "for i = 1, #values do\n"
    "  local value = values[i] and #values[i] <= 16 and string.match(values[i], '^%d+$')\n"
    "  value = value and tonumber(value)\n"
    "  if value and value > top then top = value end\n"
    "end\n"
    "local number = text(top + 1)\n"
    "redis.call('HSET', KEYS[1], 'n', number, 'b', number)\n"
    "for i = 1, #values do\n"
    "  if values[i] then redis.call('SET', KEYS[i + 2], number, 'XX', 'PX', 86400000) end\n"
    "end\n"
    "local previous, defined = known[2] or '0', known[4] or '0'\n"
    "if ARGV[3] == '1' then\n"
    "  defined = number\n"
    "  redis.call('HSET', KEYS[1], 'd', number)\n"
    "end\n"
    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', #KEYS > 52 and 1000 or 10000, number .. '-0', "
    "'t', ARGV[2])\n"
    "redis.call('PUBLISH', ARGV[1], previous .. '\\n' .. number .. '\\n' .. ARGV[2])\n"
    "return number .. ' ' .. previous .. ' ' .. defined\n";

/* KEYS: clock, journal. ARGV: by how many µs, the last number known. */
static const char jump_text[] =
    CLOCK_BEGIN "local number = math.max(now(), tonumber(ARGV[2])) + ARGV[1]\n"
                "redis.call('HSET', KEYS[1], 'n', text(number))\n"
                "return 'done'\n";

/* KEYS: clock, journal. */
static const char read_text[] = CLOCK_BEGIN "local number = text(now())\n"
                                            "redis.call('HSET', KEYS[1], 'n', number)\n"
                                            "return {number, known[2] or '0'}\n";

/* KEYS: clock. ARGV: the server. */
static const char settle_text[] = "redis.call('HDEL', KEYS[1], '')\n"
                                  "redis.call('HSET', KEYS[1], 'r', ARGV[1])\n"
                                  "return 'done'\n";

/*
 * KEYS: clock, journal, heartbeat. ARGV: channel, the heartbeat's ms, the server, the number of a
 * bump it was told. The journal is cut to the last minute and the one record before it, which
 * proves that the minute is whole.
 */
static const char beat_text[] = CLOCK_BEGIN
    "if known[3] ~= ARGV[3] or (tonumber(known[2] or '') or 0) < tonumber(ARGV[4]) then\n"
    "  return 'unknown'\n"
    "end\n"
    "redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])\n"
    "local minute = text(now() - 60000000)\n"
    "local last = redis.call('XREVRANGE', KEYS[2], minute, '-', 'COUNT', 1)[1]\n"
    "if last then redis.call('XTRIM', KEYS[2], 'MINID', '~', last[1]) end\n"
    "redis.call('PUBLISH', ARGV[1], known[2] or '0')\n"
    "return 'done'\n";

static struct redis_script bump_script, jump_script, read_script, settle_script, beat_script;
static bool scripts_made;
static pthread_once_t scripts_once = PTHREAD_ONCE_INIT;

static void scripts_make(void)
{
    scripts_made = redis_script_init(&bump_script, bump_text, NULL) &&
                   redis_script_init(&jump_script, jump_text, NULL) &&
                   redis_script_init(&read_script, read_text, NULL) &&
                   redis_script_init(&settle_script, settle_text, NULL) &&
                   redis_script_init(&beat_script, beat_text, NULL);
}

/* An error reply, whose words before the code differ with Redis' version. */
static bool refused(const struct redis_reply *reply, struct error *error)
{
    struct span text = redis_reply_error(reply);
    if (text.data)
        return error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s", SPAN_PRINTF(text));
    return error_set(error, ERROR_UNAVAILABLE, "Redis: an answer of another kind");
}

/* Runs one script; *ret_reply is the caller's. */
static bool run_any(struct redis_connection *connection, const struct redis_script_call *call,
                    int64_t deadline, struct redis_reply **ret_reply, struct error *error)
{
    pthread_once(&scripts_once, scripts_make);
    if (!scripts_made)
        return error_set(error, ERROR_INTERNAL, "libcrypto refused to name a script");
    return redis_script_run(connection, call, 1, deadline, ret_reply, error);
}

/* The same for a script whose reply is a text. */
static bool run(struct redis_connection *connection, const struct redis_script_call *call,
                int64_t deadline, struct redis_reply **ret_reply, struct error *error)
{
    struct redis_reply *reply;
    if (!run_any(connection, call, deadline, &reply, error))
        return false;
    if (redis_reply_text(reply).data) {
        *ret_reply = reply;
        return true;
    }
    refused(reply, error);
    redis_reply_free(reply);
    return false;
}

void cache_feed_name(const struct redis_connection *connection, const char *prefix,
                     char ret_name[static CACHE_NAME_SIZE])
{
    int database = redis_database(connection);
    if (database)
        snprintf(ret_name, CACHE_NAME_SIZE, "%s:f:%d", prefix, database);
    else
        snprintf(ret_name, CACHE_NAME_SIZE, "%s:f", prefix);
}

/* The keys that scripts are given, from one prefix. */
struct names {
    char clock[CACHE_NAME_SIZE], journal[CACHE_NAME_SIZE], beat[CACHE_NAME_SIZE];
    char feed[CACHE_NAME_SIZE];
    char tag[CACHE_NAME_SIZE]; /* what stands before a tag */
};

static void names_of(const struct redis_connection *connection, const char *prefix,
                     struct names *names)
{
    cache_feed_name(connection, prefix, names->feed);
    snprintf(names->clock, sizeof names->clock, "%s:c", prefix);
    snprintf(names->journal, sizeof names->journal, "%s:j", prefix);
    snprintf(names->beat, sizeof names->beat, "%s:beat", prefix);
    snprintf(names->tag, sizeof names->tag, "%s:t:", prefix);
}

/* The keys of all tags in one piece of memory; two keys more go before them. */
static bool tag_keys(const struct names *names, const struct span *tags, size_t count,
                     struct bytes *memory, struct span *keys)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(memory, names->tag);
        bytes_append_span(memory, tags[i]);
    }
    for (size_t i = 0; i < count && !memory->failed; i++) {
        size_t size = strlen(names->tag) + tags[i].size;
        keys[i] = (struct span){.data = memory->data + at, .size = size};
        at += size;
    }
    return !memory->failed;
}

/* False: memory. */
static bool tag_lines(const struct span *tags, size_t count, struct bytes *lines)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            bytes_append_byte(lines, '\n');
        bytes_append_span(lines, tags[i]);
    }
    return !lines->failed;
}

static bool has_definitions(const struct span *tags, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_is(tags[i], CACHE_TAG_DEFINITIONS))
            return true;
    return false;
}

/* One run of the bump script; `call` points into the rest. */
struct bump {
    struct names names;
    struct bytes tags, lines;
    struct span keys[2 + CACHE_BUMP_BATCH], arguments[3];
    struct redis_script_call call;
};

/* Freed by bump_end in any case. */
static bool bump_begin(struct bump *bump, const struct redis_connection *connection,
                       const char *prefix, const struct span *tags, size_t count,
                       struct error *error)
{
    names_of(connection, prefix, &bump->names);
    bump->tags = bump->lines = (struct bytes)BYTES_EMPTY;
    pthread_once(&scripts_once, scripts_make);
    if (!scripts_made)
        return error_set(error, ERROR_INTERNAL, "libcrypto refused to name a script");
    if (!tag_keys(&bump->names, tags, count, &bump->tags, bump->keys + 2) ||
        !tag_lines(tags, count, &bump->lines))
        return error_set_memory(error);
    bump->keys[0] = span_of(bump->names.clock);
    bump->keys[1] = span_of(bump->names.journal);
    bump->arguments[0] = span_of(bump->names.feed);
    bump->arguments[1] = bytes_span(&bump->lines);
    bump->arguments[2] = span_of(has_definitions(tags, count) ? "1" : "0");
    bump->call = (struct redis_script_call){&bump_script, bump->keys, 2 + count, bump->arguments,
                                            ARRAY_COUNT(bump->arguments)};
    return true;
}

static void bump_end(struct bump *bump)
{
    bytes_free(&bump->tags);
    bytes_free(&bump->lines);
}

/* Frees the reply. */
static bool bump_take(struct redis_reply *reply, struct cache_bumped *ret_bumped,
                      struct error *error)
{
    struct span text = redis_reply_text(reply);
    char *end;
    if (!text.data) {
        refused(reply, error);
        redis_reply_free(reply);
        return false;
    }
    ret_bumped->clock = strtoll(text.data, &end, 10);
    ret_bumped->previous = strtoll(end, &end, 10);
    ret_bumped->definitions = strtoll(end, NULL, 10);
    ret_bumped->alone = true;
    redis_reply_free(reply);
    return true;
}

static bool bump_batch(struct redis_connection *connection, const char *prefix,
                       const struct span *tags, size_t count, int64_t deadline,
                       struct cache_bumped *ret_bumped, struct error *error)
{
    struct bump bump;
    struct redis_reply *reply;
    bool done = bump_begin(&bump, connection, prefix, tags, count, error) &&
                redis_script_run(connection, &bump.call, 1, deadline, &reply, error) &&
                bump_take(reply, ret_bumped, error);
    bump_end(&bump);
    return done;
}

bool cache_bump_telling(struct redis_connection *connection, const char *prefix,
                        const struct span *tags, size_t count, int64_t deadline,
                        struct cache_bumped *ret_bumped, struct error *error)
{
    struct cache_bumped all = {0}, batch;
    for (size_t done = 0, size; done < count; done += size) {
        size = count - done < CACHE_BUMP_BATCH ? count - done : CACHE_BUMP_BATCH;
        if (!bump_batch(connection, prefix, tags + done, size, deadline, &batch, error))
            return false;
        if (done)
            batch = (struct cache_bumped){.previous = all.previous,
                                          .clock = batch.clock,
                                          .definitions = batch.definitions,
                                          .alone = all.alone && batch.previous == all.clock};
        all = batch;
    }
    *ret_bumped = all;
    return true;
}

void cache_bumped_tell(const struct cache_bumped *bumped, struct clocks *clocks,
                       const uint64_t *hashes, size_t count)
{
    const uint64_t definitions = clocks_hash(SPAN_LITERAL(CACHE_TAG_DEFINITIONS));
    clocks_bump(clocks, definitions, (uint64_t)bumped->definitions);
    for (size_t i = 0; i < count; i++)
        clocks_bump(clocks, hashes[i], (uint64_t)bumped->clock);
}

bool cache_bump(struct redis_connection *connection, const char *prefix, const struct span *tags,
                size_t count, int64_t deadline, int64_t *ret_clock, struct error *error)
{
    struct cache_bumped bumped;
    if (!cache_bump_telling(connection, prefix, tags, count, deadline, &bumped, error))
        return false;
    *ret_clock = bumped.clock;
    return true;
}

/* The value of a line `name:value` of INFO. */
static struct span info_value(struct span info, const char *name)
{
    while (info.data) {
        struct span line = span_split(&info, '\n');
        size_t colon = span_find(line, ':');
        if (colon == line.size || !span_is(span_first(line, colon), name))
            continue;
        struct span value = span_from(line, colon + 1);
        if (value.size && value.data[value.size - 1] == '\r')
            value.size--;
        return value;
    }
    return (struct span){0};
}

enum { ASKED_SERVER, ASKED_ROLE, ASKED_KNOWN, ASKED_COUNT };

static bool server_take(struct redis_reply *const *replies, struct cache_server *ret_server,
                        struct error *error)
{
    struct cache_server server = {0};
    for (size_t i = 0; i < ASKED_COUNT; i++)
        if (redis_reply_error(replies[i]).data)
            return refused(replies[i], error);
    struct span run_id = info_value(redis_reply_text(replies[ASKED_SERVER]), "run_id");
    struct span role = info_value(redis_reply_text(replies[ASKED_ROLE]), "role");
    if (run_id.size == 0 || run_id.size >= sizeof server.run_id)
        return error_set(error, ERROR_UNAVAILABLE, "Redis: INFO has no run_id");
    memcpy(server.run_id, run_id.data, run_id.size);
    server.is_replica = !span_is(role, "master");
    server.is_the_known = span_equal(redis_reply_element(replies[ASKED_KNOWN], 0), run_id);
    struct span last = redis_reply_element(replies[ASKED_KNOWN], 1);
    server.last = last.data ? strtoll(last.data, NULL, 10) : 0;
    *ret_server = server;
    return true;
}

bool cache_server_read(struct redis_connection *connection, const char *prefix, int64_t deadline,
                       struct cache_server *ret_server, struct error *error)
{
    struct names names;
    names_of(connection, prefix, &names);
    const struct span server[] = {SPAN_LITERAL("INFO"), SPAN_LITERAL("server")};
    const struct span role[] = {SPAN_LITERAL("INFO"), SPAN_LITERAL("replication")};
    const struct span known[] = {SPAN_LITERAL("HMGET"), span_of(names.clock), SPAN_LITERAL("r"),
                                 SPAN_LITERAL("b")};
    const struct redis_command commands[ASKED_COUNT] = {
        [ASKED_SERVER] = {server, 2}, [ASKED_ROLE] = {role, 2}, [ASKED_KNOWN] = {known, 4}};
    struct redis_reply *replies[ASKED_COUNT];
    if (!redis_ask(connection, commands, ASKED_COUNT, deadline, replies, error))
        return false;
    bool done = server_take(replies, ret_server, error);
    for (size_t i = 0; i < ASKED_COUNT; i++)
        redis_reply_free(replies[i]);
    return done;
}

bool cache_clock_jump(struct redis_connection *connection, const char *prefix, int64_t by,
                      uint64_t known, int64_t deadline, struct error *error)
{
    char microseconds[24], number[24];
    struct names names;
    struct redis_reply *reply;
    names_of(connection, prefix, &names);
    snprintf(microseconds, sizeof microseconds, "%" PRId64, by);
    snprintf(number, sizeof number, "%" PRIu64, known);
    const struct span keys[] = {span_of(names.clock), span_of(names.journal)};
    const struct span values[] = {span_of(microseconds), span_of(number)};
    const struct redis_script_call call = {&jump_script, keys, ARRAY_COUNT(keys), values,
                                           ARRAY_COUNT(values)};
    if (!run(connection, &call, deadline, &reply, error))
        return false;
    redis_reply_free(reply);
    return true;
}

bool cache_clock_read(struct redis_connection *connection, const char *prefix, int64_t deadline,
                      uint64_t *ret_clock, uint64_t *ret_bump, struct error *error)
{
    struct names names;
    struct redis_reply *reply;
    names_of(connection, prefix, &names);
    const struct span keys[] = {span_of(names.clock), span_of(names.journal)};
    const struct redis_script_call call = {&read_script, keys, ARRAY_COUNT(keys), NULL, 0};
    if (!run_any(connection, &call, deadline, &reply, error))
        return false;
    uint64_t clock, bump;
    bool good = feed_number_read(redis_reply_element(reply, 0), &clock) &&
                feed_number_read(redis_reply_element(reply, 1), &bump);
    if (!good)
        refused(reply, error);
    redis_reply_free(reply);
    if (!good)
        return false;
    *ret_clock = clock;
    *ret_bump = bump;
    return true;
}

bool cache_server_settle(struct redis_connection *connection, const char *prefix,
                         const struct cache_server *server, int64_t deadline, struct error *error)
{
    struct names names;
    struct redis_reply *reply;
    names_of(connection, prefix, &names);
    const struct span key = span_of(names.clock), argument = span_of(server->run_id);
    const struct redis_script_call call = {&settle_script, &key, 1, &argument, 1};
    if (!run(connection, &call, deadline, &reply, error))
        return false;
    redis_reply_free(reply);
    return true;
}

bool cache_beat(struct redis_connection *connection, const char *prefix,
                const struct cache_server *server, int64_t lifetime, int64_t told, int64_t deadline,
                bool *ret_known, struct error *error)
{
    char milliseconds[24], number[24];
    struct names names;
    struct redis_reply *reply;
    names_of(connection, prefix, &names);
    snprintf(milliseconds, sizeof milliseconds, "%" PRId64, (lifetime + 999) / 1000);
    snprintf(number, sizeof number, "%" PRId64, told);
    const struct span keys[] = {span_of(names.clock), span_of(names.journal), span_of(names.beat)};
    const struct span arguments[] = {span_of(names.feed), span_of(milliseconds),
                                     span_of(server->run_id), span_of(number)};
    const struct redis_script_call call = {&beat_script, keys, ARRAY_COUNT(keys), arguments,
                                           ARRAY_COUNT(arguments)};
    if (!run(connection, &call, deadline, &reply, error))
        return false;
    *ret_known = span_is(redis_reply_text(reply), "done");
    redis_reply_free(reply);
    return true;
}
