#include "redis/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "redis/wire.h"

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

/* What Redis 6 and 7.0 say of a command that a script may not run, without its name. */
static const struct denial {
    const char *said;
    const char *before, *after; /* what is said instead, around the name */
} denials[] = {
    {"can't run this command", "NOPERM the user may not run ", " in a script"},
    {"can't access at least one of the keys", "NOPERM the user may not use a key of ",
     " in a script"},
    {"can't publish to the channel", "NOPERM the user may not use the channel of ", " in a script"},
    {"Unknown Redis command called from script", "ERR unknown command ", " in a script"},
};

static const struct denial *denial_find(const char *said)
{
    for (size_t i = 0; i < ARRAY_COUNT(denials); i++)
        if (strstr(said, denials[i].said))
            return &denials[i];
    return NULL;
}

/* The script's line that the error is of; null data: it does not tell. */
static struct span line_find(const char *script, const char *said)
{
    static const char mark[] = "@user_script:";
    const char *at = strstr(said, mark);
    long number = at ? strtol(at + sizeof mark - 1, NULL, 10) : 0;
    struct span rest = span_of(script), line = {0};
    for (long i = 0; i < number && rest.data; i++)
        line = span_split(&rest, '\n');
    return line;
}

/* The line's commands: "GET or DEL". */
static void commands_list(struct span line, char *out, size_t size)
{
    static const char call[] = "call('";
    size_t used = 0;
    out[0] = '\0';
    for (const char *at; (at = memmem(line.data, line.size, call, sizeof call - 1));) {
        line = span_from(line, (size_t)(at - line.data) + sizeof call - 1);
        struct span name = span_first(line, span_find(line, '\''));
        int more =
            snprintf(out + used, size - used, "%s%.*s", used ? " or " : "", SPAN_PRINTF(name));
        used += (size_t)more < size - used ? (size_t)more : size - used - 1;
    }
}

bool redis_script_denial(const char *script, const char *said,
                         char ret_text[static REDIS_SCRIPT_DENIAL_SIZE])
{
    char names[64] = "";
    const struct denial *denial = denial_find(said);
    struct span line = denial ? line_find(script, said) : (struct span){0};
    if (line.size)
        commands_list(line, names, sizeof names);
    if (!names[0])
        return false;
    snprintf(ret_text, REDIS_SCRIPT_DENIAL_SIZE, "%s%s%s", denial->before, names, denial->after);
    return true;
}

static void denial_name(const struct redis_script *script, struct redis_reply *reply)
{
    char said[256], text[REDIS_SCRIPT_DENIAL_SIZE];
    struct span error = redis_reply_error(reply);
    if (!error.data)
        return;
    snprintf(said, sizeof said, "%.*s", SPAN_PRINTF(error));
    if (redis_script_denial(script->text, said, text))
        redis_reply_put_error(reply, text);
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
    if (!teach(batch, connection, calls, count, deadline, ret_replies, error))
        return false;
    for (size_t i = 0; i < count; i++)
        denial_name(calls[i].script, ret_replies[i]);
    return true;
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
