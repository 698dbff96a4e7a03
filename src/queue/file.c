#include "queue/file.h"

#include <inttypes.h>
#include <stdio.h>

#include "queue/queue_base.h"

/*
 * KEYS: the job, the stream, the Idempotency-Key's, the dedupe's (the job's where there is none).
 * ARGV: the id, what stands before it in a job's name, what the Idempotency-Key is for (empty:
 * none), its ms, "1" where there is a dedupe; then the job's fields and values.
 *
 * Run twice it files once. Its first write is the one that a full Redis refuses, so it is done
 * wholly or not at all.
 */
const char queue_file_text[] =
    "if redis.call('EXISTS', KEYS[1]) == 1 then return 'filed ' .. ARGV[1] end\n"
    "local id, word, once = ARGV[1], 'filed', ARGV[3] ~= ''\n"
    "if once then\n"
    "  local kept = redis.call('GET', KEYS[3])\n"
    "  if kept then\n"
    "    local same = string.sub(kept, 24) == ARGV[3]\n"
    "    return (same and 'again ' or 'other ') .. string.sub(kept, 1, 22)\n"
    "  end\n"
    "end\n"
    "if ARGV[5] == '1' then\n"
    "  local first = redis.call('GET', KEYS[4])\n"
    "  local state = first and redis.call('HGET', ARGV[2] .. first, 's')\n"
    "  if state == 'queued' or state == 'running' then id, word = first, 'joined' end\n"
    "end\n"
    "if word == 'filed' then\n"
    "  redis.call('HSET', KEYS[1], unpack(ARGV, 6))\n"
    "  redis.call('XADD', KEYS[2], '*', 'j', id)\n"
    "  if ARGV[5] == '1' then redis.call('SET', KEYS[4], id) end\n"
    "end\n"
    "if once then redis.call('SET', KEYS[3], id .. ' ' .. ARGV[3], 'PX', ARGV[4]) end\n"
    "return word .. ' ' .. id\n";

#define NUMBER_SIZE 24
#define FIELD_COUNT 13
#define ARGUMENT_COUNT (5 + 2 * FIELD_COUNT)
#define HASH_COUNT (2 + 2 * FIELD_COUNT)
#define PLACE_COUNT 5

/* MULTI and EXEC, and two for each filing. */
#define COMMANDS_MAX (2 + 2 * QUEUE_BATCH)

/* What one filing's script is given, and its commands without one. */
struct words {
    char job[QUEUE_NAME_SIZE], jobs[QUEUE_NAME_SIZE], once[QUEUE_NAME_SIZE],
        dedupe[QUEUE_NAME_SIZE], before[QUEUE_NAME_SIZE];
    char filed[NUMBER_SIZE], retries[NUMBER_SIZE], timeout[NUMBER_SIZE], progress[NUMBER_SIZE],
        once_ms[NUMBER_SIZE];
    struct span keys[4], arguments[ARGUMENT_COUNT];
    struct span hash[HASH_COUNT], place[PLACE_COUNT];
};

static void names_write(const char *prefix, const struct queue_filing *filing, struct words *out)
{
    queue_name(prefix, QUEUE_KEY_JOB, span_of(filing->id), out->job);
    queue_name(prefix, QUEUE_KEY_JOB, (struct span){0}, out->before);
    queue_name(prefix, QUEUE_KEY_JOBS, (struct span){0}, out->jobs);
    if (filing->once)
        queue_name(prefix, QUEUE_KEY_DEDUPE, span_of(filing->once), out->once);
    if (filing->dedupe)
        queue_name(prefix, QUEUE_KEY_DEDUPE, span_of(filing->dedupe), out->dedupe);
    out->keys[0] = span_of(out->job);
    out->keys[1] = span_of(out->jobs);
    out->keys[2] = span_of(filing->once ? out->once : out->job);
    out->keys[3] = span_of(filing->dedupe ? out->dedupe : out->job);
}

static void numbers_write(const struct queue *queue, const struct queue_filing *filing,
                          struct words *out)
{
    snprintf(out->filed, NUMBER_SIZE, "%" PRId64, filing->now);
    snprintf(out->retries, NUMBER_SIZE, "%" PRId64, filing->retries);
    snprintf(out->timeout, NUMBER_SIZE, "%" PRId64, filing->timeout);
    snprintf(out->progress, NUMBER_SIZE, "0/%zu", filing->statements);
    snprintf(out->once_ms, NUMBER_SIZE, "%" PRId64, queue->settings.once_ttl / 1000);
}

static struct redis_script_call call_write(const struct queue *queue,
                                           const struct queue_filing *filing, struct words *out)
{
    names_write(queue->settings.prefix, filing, out);
    numbers_write(queue, filing, out);
    const struct span arguments[ARGUMENT_COUNT] = {
        span_of(filing->id),
        span_of(out->before),
        span_of(filing->once ? filing->once_for : ""),
        span_of(out->once_ms),
        filing->dedupe ? SPAN_LITERAL("1") : SPAN_LITERAL("0"),
        SPAN_LITERAL(QUEUE_STATE),
        span_of(queue_state_names[QUEUE_QUEUED]),
        SPAN_LITERAL(QUEUE_ROUTE),
        filing->route,
        SPAN_LITERAL(QUEUE_VERSION),
        filing->version,
        SPAN_LITERAL(QUEUE_OWNER),
        filing->owner,
        SPAN_LITERAL(QUEUE_DOCUMENT),
        filing->document,
        SPAN_LITERAL(QUEUE_FILED),
        span_of(out->filed),
        SPAN_LITERAL(QUEUE_TRIES),
        SPAN_LITERAL("0"),
        SPAN_LITERAL(QUEUE_RETRIES),
        span_of(out->retries),
        SPAN_LITERAL(QUEUE_TIMEOUT),
        span_of(out->timeout),
        SPAN_LITERAL(QUEUE_NEXT),
        SPAN_LITERAL("0"),
        SPAN_LITERAL(QUEUE_PROGRESS),
        span_of(out->progress),
        SPAN_LITERAL(QUEUE_DEDUPE),
        span_of(filing->dedupe ? out->dedupe : ""),
        SPAN_LITERAL(QUEUE_CANCEL),
        SPAN_LITERAL("0"),
    };
    memcpy(out->arguments, arguments, sizeof arguments);
    return (struct redis_script_call){.script = &queue->file,
                                      .keys = out->keys,
                                      .key_count = ARRAY_COUNT(out->keys),
                                      .arguments = out->arguments,
                                      .argument_count = ARGUMENT_COUNT};
}

/*
 * Where nothing is to be looked up a transaction is the script without its price, several times
 * that of the commands. As in the script, a full Redis refuses all or nothing.
 */
static bool is_plain(const struct queue_filing *filing)
{
    return !filing->once && !filing->dedupe;
}

static void plain_write(struct words *words, const struct queue_filing *filing,
                        struct redis_command *ret_commands)
{
    words->hash[0] = SPAN_LITERAL("HSET");
    words->hash[1] = span_of(words->job);
    memcpy(words->hash + 2, words->arguments + 5, 2 * FIELD_COUNT * sizeof words->hash[0]);
    const struct span place[PLACE_COUNT] = {SPAN_LITERAL("XADD"), span_of(words->jobs),
                                            SPAN_LITERAL("*"), SPAN_LITERAL("j"),
                                            span_of(filing->id)};
    memcpy(words->place, place, sizeof place);
    ret_commands[0] = (struct redis_command){words->hash, HASH_COUNT};
    ret_commands[1] = (struct redis_command){words->place, PLACE_COUNT};
}

/* How many commands there are; 0: one of the filings needs its script. */
static size_t transaction_write(struct words *words, struct queue_filing *const *filings,
                                size_t count, struct redis_command *ret_commands)
{
    static const struct span begin = {.data = "MULTI", .size = 5},
                             end = {.data = "EXEC", .size = 4};
    for (size_t i = 0; i < count; i++) {
        if (!is_plain(filings[i]))
            return 0;
        plain_write(&words[i], filings[i], ret_commands + 1 + 2 * i);
    }
    ret_commands[0] = (struct redis_command){&begin, 1};
    ret_commands[1 + 2 * count] = (struct redis_command){&end, 1};
    return 2 + 2 * count;
}

static const struct verdict {
    const char *word;
    enum queue_outcome outcome;
} verdicts[] = {
    {"filed", QUEUE_OUTCOME_FILED},
    {"joined", QUEUE_OUTCOME_JOINED},
    {"again", QUEUE_OUTCOME_AGAIN},
    {"other", QUEUE_OUTCOME_OTHER},
};

/* "filed <id>" */
static enum queue_outcome verdict_read(struct span reply, char ret_id[static QUEUE_ID_SIZE])
{
    struct span id = reply;
    struct span word = span_split(&id, ' ');
    for (size_t i = 0; i < ARRAY_COUNT(verdicts); i++) {
        if (!span_is(word, verdicts[i].word) || !queue_id_valid(id))
            continue;
        memcpy(ret_id, id.data, id.size);
        return verdicts[i].outcome;
    }
    return QUEUE_OUTCOME_UNKNOWN;
}

static void refused(struct queue *queue, struct span problem, struct queue_filing *filing,
                    struct error *ret_event)
{
    bool full = memmem(problem.data, problem.size, "OOM ", 4) != NULL;
    filing->outcome = full ? QUEUE_OUTCOME_FULL : QUEUE_OUTCOME_AWAY;
    queue_refused(queue, problem, ret_event);
}

/* Why the transaction was not done, from the command that was refused; data null: it was. */
static struct span transaction_problem(struct redis_reply *const *replies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span problem = redis_reply_error(replies[i]);
        if (problem.data)
            return problem;
    }
    return (struct span){0};
}

/* What the EXEC says of one filing, whose two replies begin at `place`. */
static void result_take(struct queue *queue, const struct redis_reply *results, size_t place,
                        struct queue_filing *filing, struct error *ret_event)
{
    for (size_t i = place; i < place + 2; i++) {
        const struct redis_reply *result = redis_reply_at(results, i);
        struct span problem = result ? redis_reply_error(result) : SPAN_LITERAL("no reply");
        if (!problem.data)
            continue;
        refused(queue, problem, filing, ret_event);
        return;
    }
    filing->outcome = QUEUE_OUTCOME_FILED;
    counters_add(queue->settings.counters, COUNTER_JOBS_FILED, 1);
}

static void replies_free(struct redis_reply *const *replies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        redis_reply_free(replies[i]);
}

/* Frees the replies. */
static void transaction_take(struct queue *queue, struct redis_reply *const *replies,
                             struct queue_filing *const *filings, size_t count,
                             struct error *ret_event)
{
    struct span problem = transaction_problem(replies, 2 + 2 * count);
    for (size_t i = 0; i < count; i++) {
        if (problem.data)
            refused(queue, problem, filings[i], ret_event);
        else
            result_take(queue, replies[1 + 2 * count], 2 * i, filings[i], ret_event);
    }
    replies_free(replies, 2 + 2 * count);
}

static void reply_take(struct queue *queue, const struct redis_reply *reply,
                       struct queue_filing *filing, struct error *ret_event)
{
    struct span problem = redis_reply_error(reply);
    if (problem.data) {
        refused(queue, problem, filing, ret_event);
        return;
    }
    filing->outcome = verdict_read(redis_reply_text(reply), filing->id);
    if (filing->outcome == QUEUE_OUTCOME_FILED)
        counters_add(queue->settings.counters, COUNTER_JOBS_FILED, 1);
    else if (filing->outcome == QUEUE_OUTCOME_JOINED)
        counters_add(queue->settings.counters, COUNTER_JOBS_JOINED, 1);
}

/* The same of scripts. */
static void replies_take(struct queue *queue, struct redis_reply *const *replies,
                         struct queue_filing *const *filings, size_t count, struct error *ret_event)
{
    for (size_t i = 0; i < count; i++)
        reply_take(queue, replies[i], filings[i], ret_event);
    replies_free(replies, count);
}

void queue_file(struct queue *queue, struct redis_connection *connection,
                struct queue_filing *const *filings, size_t count, int64_t *budget,
                struct error *ret_event)
{
    struct words words[QUEUE_BATCH];
    struct redis_script_call calls[QUEUE_BATCH];
    struct redis_command commands[COMMANDS_MAX];
    struct redis_reply *replies[COMMANDS_MAX];
    struct queue_filing *asked[QUEUE_BATCH];
    size_t asking = 0;
    for (size_t i = 0; i < count; i++) {
        filings[i]->outcome = QUEUE_OUTCOME_AWAY;
        if (!queue_id_new(filings[i]->id, ret_event))
            continue;
        calls[asking] = call_write(queue, filings[i], &words[asking]);
        asked[asking++] = filings[i];
    }
    if (!asking)
        return;
    const struct queue_work work = {.calls = calls,
                                    .call_count = asking,
                                    .commands = commands,
                                    .command_count =
                                        transaction_write(words, asked, asking, commands)};
    bool plain = false;
    enum queue_run run =
        queue_run_plain(queue, connection, &work, budget, replies, &plain, ret_event);
    for (size_t i = 0; i < asking && run == QUEUE_RUN_UNKNOWN; i++)
        asked[i]->outcome = QUEUE_OUTCOME_UNKNOWN;
    if (run == QUEUE_RUN_DONE)
        (plain ? transaction_take : replies_take)(queue, replies, asked, asking, ret_event);
}
