#include "queue/names.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/bytes.h"

const char *const queue_state_names[QUEUE_STATE_COUNT] = {
    [QUEUE_QUEUED] = "queued", [QUEUE_RUNNING] = "running",     [QUEUE_DONE] = "done",
    [QUEUE_FAILED] = "failed", [QUEUE_CANCELLED] = "cancelled",
};

bool queue_state_read(struct span name, enum queue_state *ret_state)
{
    for (enum queue_state state = 0; state < QUEUE_STATE_COUNT; state++) {
        if (!span_is(name, queue_state_names[state]))
            continue;
        *ret_state = state;
        return true;
    }
    return false;
}

bool queue_state_ended(enum queue_state state)
{
    return state >= QUEUE_DONE;
}

#define ID_BYTES 16

bool queue_id_new(char ret_id[static QUEUE_ID_SIZE], struct error *error)
{
    unsigned char bytes[ID_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return error_set_errno(error, "making a job's id");
    digest_base64url(bytes, sizeof bytes, ret_id);
    return true;
}

bool queue_id_valid(struct span text)
{
    if (text.size != QUEUE_ID_SIZE - 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i], lower = (char)(byte | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(byte >= '0' && byte <= '9') && byte != '-' &&
            byte != '_')
            return false;
    }
    return true;
}

static const char *const key_words[] = {
    [QUEUE_KEY_JOBS] = "jobs", [QUEUE_KEY_LATER] = "later", [QUEUE_KEY_DEAD] = "dead",
    [QUEUE_KEY_NEWS] = "news", [QUEUE_KEY_BELL] = "bell",   [QUEUE_KEY_JOB] = "j:",
    [QUEUE_KEY_DEDUPE] = "d:", [QUEUE_KEY_BEHIND] = "b:",
};

void queue_name(const char *prefix, enum queue_key key, struct span rest,
                char ret_name[static QUEUE_NAME_SIZE])
{
    snprintf(ret_name, QUEUE_NAME_SIZE, "%s:q:%s%.*s", prefix, key_words[key], SPAN_PRINTF(rest));
}

bool queue_digest(const struct span *parts, size_t count, char ret_digest[static QUEUE_DIGEST_SIZE],
                  struct error *error)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    unsigned char digest[DIGEST_SIZE];
    for (size_t i = 0; i < count; i++) {
        bytes_append_format(&text, "%zu:", parts[i].size);
        bytes_append_span(&text, parts[i]);
    }
    if (text.failed)
        return error_set_memory(error);
    if (!digest_sha256(bytes_span(&text), digest, error))
        return false;
    digest_base64url(digest, ID_BYTES, ret_digest);
    return true;
}

bool queue_owner(struct span identity, char ret_owner[static QUEUE_OWNER_SIZE], struct error *error)
{
    unsigned char digest[DIGEST_SIZE];
    ret_owner[0] = '\0';
    if (!identity.data)
        return true;
    if (!digest_sha256(identity, digest, error))
        return false;
    digest_hex(digest, DIGEST_SIZE, ret_owner);
    return true;
}
