#include "queue/look.h"

#include <inttypes.h>
#include <stdio.h>

#include "queue/queue_base.h"

/* KEYS: the job. ARGV: its fields. */
const char queue_look_text[] = "return redis.call('HMGET', KEYS[1], unpack(ARGV))\n";

/*
 * KEYS: the job, those that wait for their next try. ARGV: the owner, the id, now, the ms that a
 * job is kept which has ended, the channel of news; then the job's fields. The first write takes no
 * memory, so that a full Redis refuses none of the others.
 */
const char queue_cancel_text[] =
    "local job = redis.call('HMGET', KEYS[1], 's', 'o', 'y')\n"
    "local state, owner, dedupe = job[1], job[2], job[3]\n"
    "if not state or (owner and owner ~= '' and owner ~= ARGV[1]) then return false end\n"
    "if state == 'queued' then\n"
    "  redis.call('ZREM', KEYS[2], ARGV[2])\n"
    "  redis.call('HSET', KEYS[1], 's', 'cancelled', 'e', ARGV[3])\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
    "  if dedupe and dedupe ~= '' and redis.call('GET', dedupe) == ARGV[2] then\n"
    "    redis.call('DEL', dedupe)\n"
    "  end\n"
    "  redis.call('PUBLISH', ARGV[5], ARGV[2] .. ' cancelled')\n"
    "elseif state == 'running' then\n"
    "  redis.call('ZREM', KEYS[2], ARGV[2])\n"
    "  redis.call('HSET', KEYS[1], 'c', '1')\n"
    "  redis.call('PUBLISH', ARGV[5], ARGV[2] .. ' running')\n"
    "else\n"
    "  state = 'ended'\n"
    "end\n"
    "local told = redis.call('HMGET', KEYS[1], unpack(ARGV, 6))\n"
    "told[#ARGV - 4] = state\n"
    "return told\n";

/* What is looked at, in the order of the reply; behind them a cancelling's word. */
enum field {
    FIELD_STATE,
    FIELD_OWNER,
    FIELD_FILED,
    FIELD_BEGUN,
    FIELD_ENDED,
    FIELD_NEXT,
    FIELD_TRIES,
    FIELD_PROGRESS,
    FIELD_CANCEL,
    FIELD_STATUS,
    FIELD_TYPE,
    FIELD_LOCATION,
    FIELD_BODY,
    FIELD_COUNT,
};

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_STATE] = QUEUE_STATE,   [FIELD_OWNER] = QUEUE_OWNER,
    [FIELD_FILED] = QUEUE_FILED,   [FIELD_BEGUN] = QUEUE_BEGUN,
    [FIELD_ENDED] = QUEUE_ENDED,   [FIELD_NEXT] = QUEUE_NEXT,
    [FIELD_TRIES] = QUEUE_TRIES,   [FIELD_PROGRESS] = QUEUE_PROGRESS,
    [FIELD_CANCEL] = QUEUE_CANCEL, [FIELD_STATUS] = QUEUE_STATUS,
    [FIELD_TYPE] = QUEUE_TYPE,     [FIELD_LOCATION] = QUEUE_LOCATION,
    [FIELD_BODY] = QUEUE_BODY,
};

#define NUMBER_SIZE 24
#define CANCEL_WORDS 5

/* What one look's script is given. */
struct words {
    char job[QUEUE_NAME_SIZE], later[QUEUE_NAME_SIZE], news[QUEUE_NAME_SIZE];
    char now[NUMBER_SIZE], kept[NUMBER_SIZE];
    struct span keys[2], arguments[CANCEL_WORDS + FIELD_COUNT];
};

static void words_write(const struct queue *queue, const struct queue_look *look, int64_t now,
                        struct words *out)
{
    const char *prefix = queue->settings.prefix;
    queue_name(prefix, QUEUE_KEY_JOB, span_of(look->id), out->job);
    queue_name(prefix, QUEUE_KEY_LATER, (struct span){0}, out->later);
    queue_name(prefix, QUEUE_KEY_NEWS, (struct span){0}, out->news);
    snprintf(out->now, NUMBER_SIZE, "%" PRId64, now);
    snprintf(out->kept, NUMBER_SIZE, "%" PRId64, queue->settings.job_ttl / 1000);
    out->keys[0] = span_of(out->job);
    out->keys[1] = span_of(out->later);
    out->arguments[0] = span_of(look->owner);
    out->arguments[1] = span_of(look->id);
    out->arguments[2] = span_of(out->now);
    out->arguments[3] = span_of(out->kept);
    out->arguments[4] = span_of(out->news);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        out->arguments[CANCEL_WORDS + i] = span_of(field_names[i]);
}

static struct redis_script_call call_write(const struct queue *queue, const struct queue_look *look,
                                           int64_t now, struct words *out)
{
    words_write(queue, look, now, out);
    if (look->cancel)
        return (struct redis_script_call){.script = &queue->cancel,
                                          .keys = out->keys,
                                          .key_count = 2,
                                          .arguments = out->arguments,
                                          .argument_count = CANCEL_WORDS + FIELD_COUNT};
    return (struct redis_script_call){.script = &queue->look,
                                      .keys = out->keys,
                                      .key_count = 1,
                                      .arguments = out->arguments + CANCEL_WORDS,
                                      .argument_count = FIELD_COUNT};
}

/* A decimal number; 0 where there is none. */
static int64_t number(struct span text)
{
    uint64_t value;
    return span_number(text, INT64_MAX, &value) ? (int64_t)value : 0;
}

static bool job_read(const struct redis_reply *reply, struct queue_job *ret_job)
{
    struct span fields[FIELD_COUNT];
    for (size_t i = 0; i < FIELD_COUNT; i++)
        fields[i] = redis_reply_element(reply, i);
    struct span of = fields[FIELD_PROGRESS];
    struct span done = span_split(&of, '/');
    struct queue_job job = {.filed = number(fields[FIELD_FILED]),
                            .begun = number(fields[FIELD_BEGUN]),
                            .ended = number(fields[FIELD_ENDED]),
                            .next = number(fields[FIELD_NEXT]),
                            .tries = number(fields[FIELD_TRIES]),
                            .done = number(done),
                            .of = number(of),
                            .cancelling = span_is(fields[FIELD_CANCEL], "1"),
                            .status = number(fields[FIELD_STATUS]),
                            .type = fields[FIELD_TYPE],
                            .location = fields[FIELD_LOCATION],
                            .body = fields[FIELD_BODY]};
    if (!queue_state_read(fields[FIELD_STATE], &job.state))
        return false;
    *ret_job = job;
    return true;
}

/* Nobody learns by the time it takes how much of another's digest he guessed. */
static bool is_owner(const struct redis_reply *reply, const char *owner)
{
    struct span whose = redis_reply_element(reply, FIELD_OWNER);
    return whose.size == 0 || digest_same(whose, span_of(owner));
}

static enum queue_found reply_read(const struct redis_reply *reply, struct queue_look *look)
{
    if (!is_owner(reply, look->owner) || !job_read(reply, &look->job))
        return QUEUE_MISSING;
    bool late = look->cancel && span_is(redis_reply_element(reply, FIELD_COUNT), "ended");
    return late ? QUEUE_ENDED_ALREADY : QUEUE_FOUND;
}

static void reply_take(struct queue *queue, struct redis_reply *reply, struct queue_look *look,
                       struct error *ret_event)
{
    struct span problem = redis_reply_error(reply);
    look->reply = reply;
    if (!problem.data)
        look->found = reply_read(reply, look);
    else
        queue_refused(queue, problem, ret_event);
}

void queue_look(struct queue *queue, struct redis_connection *connection,
                struct queue_look *const *looks, size_t count, int64_t now, int64_t *budget,
                struct error *ret_event)
{
    struct words words[QUEUE_LOOKS_MAX];
    struct redis_script_call calls[QUEUE_LOOKS_MAX];
    struct redis_reply *replies[QUEUE_LOOKS_MAX];
    for (size_t i = 0; i < QUEUE_LOOKS_MAX && i < count; i++) {
        queue_look_end(looks[i]);
        looks[i]->found = QUEUE_LOOK_AWAY;
        calls[i] = call_write(queue, looks[i], now, &words[i]);
    }
    if (count == 0 ||
        queue_run(queue, connection, calls, count, budget, replies, ret_event) != QUEUE_RUN_DONE)
        return;
    for (size_t i = 0; i < count; i++)
        reply_take(queue, replies[i], looks[i], ret_event);
}

void queue_look_end(struct queue_look *look)
{
    redis_reply_free(look->reply);
    look->reply = NULL;
}

bool queue_job_resultless(const struct queue_job *job)
{
    return job->state == QUEUE_DONE && span_is(job->type, "application/problem+json");
}
