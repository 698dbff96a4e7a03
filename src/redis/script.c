#include "redis/script.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"

bool redis_script_init(struct redis_script *script, const char *text, struct error *error)
{
    unsigned char digest[DIGEST_SHA1_SIZE];
    if (!digest_sha1(span_of(text), digest, error))
        return false;
    script->text = text;
    digest_hex(digest, DIGEST_SHA1_SIZE, script->digest);
    return true;
}

#define NUMBER_SIZE 24

/* EVAL or EVALSHA, the script, the number of keys. */
#define HEAD_WORDS 3

/* The commands of a round trip; one allocation each for the words and the rest. */
struct batch {
    struct redis_command *commands;
    size_t *origins; /* which call each command is of */
    struct span *words;
    char (*numbers)[NUMBER_SIZE];
    struct redis_reply **replies;
    size_t count, word_count;
};

static void batch_free(struct batch *batch)
{
    free(batch->commands);
    free(batch->origins);
    free(batch->words);
    free(batch->numbers);
    free(batch->replies);
}

static bool batch_init(struct batch *batch, const struct redis_script_call *calls, size_t count,
                       struct error *error)
{
    size_t words = 0;
    for (size_t i = 0; i < count; i++)
        words += HEAD_WORDS + calls[i].key_count + calls[i].argument_count;
    *batch = (struct batch){.commands = calloc(count, sizeof *batch->commands),
                            .origins = calloc(count, sizeof *batch->origins),
                            .words = calloc(words, sizeof *batch->words),
                            .numbers = calloc(count, sizeof *batch->numbers),
                            .replies = calloc(count, sizeof(struct redis_reply *))};
    if (batch->commands && batch->origins && batch->words && batch->numbers && batch->replies)
        return true;
    return error_set_memory(error);
}

static void words_add(struct batch *batch, const struct span *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        batch->words[batch->word_count++] = words[i];
}

static void batch_add(struct batch *batch, const char *verb, const char *script,
                      const struct redis_script_call *call, size_t origin)
{
    char *number = batch->numbers[batch->count];
    snprintf(number, NUMBER_SIZE, "%zu", call->key_count);
    const struct span head[HEAD_WORDS] = {span_of(verb), span_of(script), span_of(number)};
    struct redis_command *command = &batch->commands[batch->count];
    command->words = batch->words + batch->word_count;
    words_add(batch, head, HEAD_WORDS);
    words_add(batch, call->keys, call->key_count);
    words_add(batch, call->arguments, call->argument_count);
    command->count = HEAD_WORDS + call->key_count + call->argument_count;
    batch->origins[batch->count++] = origin;
}

static bool batch_send(struct batch *batch, struct redis_connection *connection, int64_t deadline,
                       struct error *error)
{
    return batch->count == 0 ||
           redis_ask(connection, batch->commands, batch->count, deadline, batch->replies, error);
}

static bool unknown(const struct redis_reply *reply)
{
    return span_starts(redis_reply_error(reply), "NOSCRIPT");
}

static void replies_free(struct redis_reply **replies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        redis_reply_free(replies[i]);
}

/* The second round trip: the texts of scripts the server does not know. */
static bool teach(struct batch *batch, struct redis_connection *connection,
                  const struct redis_script_call *calls, size_t count, int64_t deadline,
                  struct redis_reply **replies, struct error *error)
{
    batch->count = batch->word_count = 0;
    for (size_t i = 0; i < count; i++)
        if (unknown(replies[i]))
            batch_add(batch, "EVAL", calls[i].script->text, &calls[i], i);
    if (!batch_send(batch, connection, deadline, error)) {
        replies_free(replies, count);
        return false;
    }
    for (size_t i = 0; i < batch->count; i++) {
        redis_reply_free(replies[batch->origins[i]]);
        replies[batch->origins[i]] = batch->replies[i];
    }
    return true;
}

static bool run(struct batch *batch, struct redis_connection *connection,
                const struct redis_script_call *calls, size_t count, int64_t deadline,
                struct redis_reply **ret_replies, struct error *error)
{
    for (size_t i = 0; i < count; i++)
        batch_add(batch, "EVALSHA", calls[i].script->digest, &calls[i], i);
    if (!batch_send(batch, connection, deadline, error))
        return false;
    for (size_t i = 0; i < count; i++)
        ret_replies[i] = batch->replies[i];
    return teach(batch, connection, calls, count, deadline, ret_replies, error);
}

bool redis_script_run(struct redis_connection *connection, const struct redis_script_call *calls,
                      size_t count, int64_t deadline, struct redis_reply **ret_replies,
                      struct error *error)
{
    struct batch batch;
    bool done = batch_init(&batch, calls, count, error) &&
                run(&batch, connection, calls, count, deadline, ret_replies, error);
    batch_free(&batch);
    return done;
}

bool redis_script_post(struct redis_connection *connection, const struct redis_script_call *call,
                       int64_t deadline, struct error *error)
{
    struct batch batch;
    bool done = batch_init(&batch, call, 1, error);
    if (done) {
        batch_add(&batch, "EVALSHA", call->script->digest, call, 0);
        done = redis_post(connection, batch.commands, batch.count, deadline, error);
    }
    batch_free(&batch);
    return done;
}
