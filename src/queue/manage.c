#include "queue/manage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "redis/script.h"

/*
 * KEYS: jobs, later, dead, what stands before an id, the channel of news. ARGV: the place, from
 * where, how many. Replies where to go on, empty at the end, then of each job its id and fields.
 */
static const char list_text[] =
    "local names = {'s', 'r', 'a', 'f', 'n', 'rs', 'd', 'p', 'rt', 'rb', 'rw'}\n"
    "local place, from, most = ARGV[1], ARGV[2], tonumber(ARGV[3])\n"
    "local ids, go_on = {}, ''\n"
    "if place == 'one' then\n"
    "  ids = {from}\n"
    "elseif place == 'later' then\n"
    "  ids = redis.call('ZRANGE', KEYS[2], from, from + most - 1)\n"
    "  if #ids == most then go_on = string.format('%.0f', from + most) end\n"
    "else\n"
    "  local entries = redis.call('XRANGE', place == 'dead' and KEYS[3] or KEYS[1],\n"
    "    from == '0' and '-' or '(' .. from, '+', 'COUNT', most)\n"
    "  for i, entry in ipairs(entries) do ids[i] = entry[2][2] end\n"
    "  if #entries == most then go_on = entries[most][1] end\n"
    "end\n"
    "local jobs = {go_on}\n"
    "for _, id in ipairs(ids) do\n"
    "  local fields = redis.call('HMGET', KEYS[4] .. id, unpack(names))\n"
    "  if fields[1] then\n"
    "    local job = {id}\n"
    "    for i = 1, #names do job[i + 1] = fields[i] or '' end\n"
    "    jobs[#jobs + 1] = job\n"
    "  end\n"
    "end\n"
    "return jobs\n";

/*
 * KEYS as above. ARGV: "retry" or "drop", the id, the ms that an end is kept. Replies "changed", or
 * the state.
 */
static const char change_text[] =
    "local change, id = ARGV[1], ARGV[2]\n"
    "local key = KEYS[4] .. id\n"
    "local state = redis.call('HGET', key, 's')\n"
    "if not state then return 'none' end\n"
    "local time = redis.call('TIME')\n"
    "local now = string.format('%.0f', time[1] * 1000000 + time[2])\n"
    "local function bury()\n"
    "  local from = '-'\n"
    "  while true do\n"
    "    local entries = redis.call('XRANGE', KEYS[3], from, '+', 'COUNT', 1000)\n"
    "    for _, entry in ipairs(entries) do\n"
    "      if entry[2][2] == id then redis.call('XDEL', KEYS[3], entry[1]) end\n"
    "    end\n"
    "    if #entries < 1000 then return end\n"
    "    from = '(' .. entries[1000][1]\n"
    "  end\n"
    "end\n"
    "local alike = redis.call('HGET', key, 'y')\n"
    "if alike and alike ~= '' and redis.call('GET', alike) ~= id then alike = nil end\n"
    "if change == 'retry' then\n"
    "  if state ~= 'failed' then return state end\n"
    "  bury()\n"
    "  redis.call('HDEL', key, 'e', 'b', 'rs', 'rt', 'rl', 'rb', 'rw', 'z')\n"
    "  redis.call('HSET', key, 's', 'queued', 'a', '0', 'n', '0', 'c', '0')\n"
    "  redis.call('PERSIST', key)\n"
    "  redis.call('XADD', KEYS[1], '*', 'j', id)\n"
    "  redis.call('PUBLISH', KEYS[5], id .. ' queued')\n"
    "  return 'changed'\n"
    "end\n"
    "if state == 'failed' then\n"
    "  bury()\n"
    "  redis.call('DEL', key)\n"
    "elseif state == 'queued' then\n"
    "  redis.call('ZREM', KEYS[2], id)\n"
    "  redis.call('HSET', key, 's', 'cancelled', 'e', now, 'n', '0')\n"
    "  redis.call('PEXPIRE', key, ARGV[3])\n"
    "  if alike and alike ~= '' then redis.call('DEL', alike) end\n"
    "  redis.call('PUBLISH', KEYS[5], id .. ' cancelled')\n"
    "else\n"
    "  return state\n"
    "end\n"
    "return 'changed'\n";

#define PAGE "500"
#define KEY_COUNT 5
#define FIELD_COUNT 12

struct queue_manager {
    char names[KEY_COUNT][QUEUE_NAME_SIZE];
    struct redis_script list, change;
    char kept[24]; /* ms */
};

static const char *const place_words[QUEUE_PLACE_COUNT] = {
    [QUEUE_PLACE_JOBS] = "jobs",
    [QUEUE_PLACE_LATER] = "later",
    [QUEUE_PLACE_DEAD] = "dead",
};

static const char *const change_words[] = {
    [QUEUE_CHANGE_RETRY] = "retry",
    [QUEUE_CHANGE_DROP] = "drop",
};

struct queue_manager *queue_manager_new(const struct queue *queue, int64_t job_ttl)
{
    static const enum queue_key order[KEY_COUNT] = {QUEUE_KEY_JOBS, QUEUE_KEY_LATER, QUEUE_KEY_DEAD,
                                                    QUEUE_KEY_JOB, QUEUE_KEY_NEWS};
    struct queue_manager *manager = calloc(1, sizeof *manager);
    if (!manager)
        return NULL;
    for (size_t i = 0; i < KEY_COUNT; i++)
        queue_name(queue_prefix(queue), order[i], (struct span){0}, manager->names[i]);
    snprintf(manager->kept, sizeof manager->kept, "%" PRId64, job_ttl / 1000);
    if (redis_script_init(&manager->list, list_text, NULL) &&
        redis_script_init(&manager->change, change_text, NULL))
        return manager;
    free(manager);
    return NULL;
}

void queue_manager_free(struct queue_manager *manager)
{
    free(manager);
}

static bool run(const struct queue_manager *manager, struct redis_connection *connection,
                const struct redis_script *script, const struct span *arguments, size_t count,
                int64_t patience, struct redis_reply **ret_reply, struct error *error)
{
    struct span keys[KEY_COUNT];
    for (size_t i = 0; i < KEY_COUNT; i++)
        keys[i] = span_of(manager->names[i]);
    const struct redis_script_call call = {.script = script,
                                           .keys = keys,
                                           .key_count = KEY_COUNT,
                                           .arguments = arguments,
                                           .argument_count = count};
    if (!redis_script_run(connection, &call, 1, clock_monotonic() + patience, ret_reply, error))
        return false;
    struct span problem = redis_reply_error(*ret_reply);
    if (!problem.data)
        return true;
    error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s",
              (int)(problem.size < 300 ? problem.size : 300), problem.data);
    redis_reply_free(*ret_reply);
    return false;
}

static bool listed_read(const struct redis_reply *fields, struct queue_listed *ret_job)
{
    struct span id = redis_reply_element(fields, 0);
    if (redis_reply_count(fields) != FIELD_COUNT || !queue_id_valid(id))
        return false;
    *ret_job = (struct queue_listed){
        .state = redis_reply_element(fields, 1),
        .route = redis_reply_element(fields, 2),
        .tries = redis_reply_element(fields, 3),
        .filed = redis_reply_element(fields, 4),
        .next = redis_reply_element(fields, 5),
        .status = redis_reply_element(fields, 6),
        .document = redis_reply_element(fields, 7),
        .progress = redis_reply_element(fields, 8),
        .type = redis_reply_element(fields, 9),
        .body = redis_reply_element(fields, 10),
        .why = redis_reply_element(fields, 11),
    };
    memcpy(ret_job->id, id.data, id.size);
    return true;
}

/* One page; *ret_go_on: from where there may be more, empty: nowhere. */
static bool page_list(const struct queue_manager *manager, struct redis_connection *connection,
                      const char *place, char go_on[static QUEUE_NAME_SIZE], int64_t patience,
                      queue_visit *visit, void *context, struct error *error)
{
    const struct span arguments[] = {span_of(place), span_of(go_on), SPAN_LITERAL(PAGE)};
    struct redis_reply *reply;
    if (!run(manager, connection, &manager->list, arguments, ARRAY_COUNT(arguments), patience,
             &reply, error))
        return false;
    struct span next = redis_reply_element(reply, 0);
    bool on = true;
    for (size_t i = 1; on && i < redis_reply_count(reply); i++) {
        struct queue_listed job;
        if (listed_read(redis_reply_at(reply, i), &job))
            on = visit(context, &job);
    }
    snprintf(go_on, QUEUE_NAME_SIZE, "%.*s", on ? (int)next.size : 0, next.data ? next.data : "");
    redis_reply_free(reply);
    return true;
}

bool queue_list(const struct queue_manager *manager, struct redis_connection *connection,
                enum queue_place_kind place, int64_t patience, queue_visit *visit, void *context,
                struct error *error)
{
    char go_on[QUEUE_NAME_SIZE] = "0";
    while (*go_on)
        if (!page_list(manager, connection, place_words[place], go_on, patience, visit, context,
                       error))
            return false;
    return true;
}

bool queue_show(const struct queue_manager *manager, struct redis_connection *connection,
                const char *id, int64_t patience, queue_visit *visit, void *context,
                struct error *error)
{
    char from[QUEUE_NAME_SIZE];
    snprintf(from, sizeof from, "%s", id);
    return page_list(manager, connection, "one", from, patience, visit, context, error);
}

bool queue_change(const struct queue_manager *manager, struct redis_connection *connection,
                  enum queue_change change, const char *id, int64_t patience, bool *ret_changed,
                  enum queue_state *ret_state, struct error *error)
{
    const struct span arguments[] = {span_of(change_words[change]), span_of(id),
                                     span_of(manager->kept)};
    struct redis_reply *reply;
    if (!run(manager, connection, &manager->change, arguments, ARRAY_COUNT(arguments), patience,
             &reply, error))
        return false;
    struct span word = redis_reply_text(reply);
    *ret_changed = span_is(word, "changed");
    if (!queue_state_read(word, ret_state))
        *ret_state = QUEUE_STATE_COUNT;
    redis_reply_free(reply);
    return true;
}
