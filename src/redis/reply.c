/*
 * Reading replies.
 */
#include "redis/wire.h"

void redis_reply_free(struct redis_reply *reply)
{
    if (reply)
        freeReplyObject(reply);
}

static const redisReply *raw(const struct redis_reply *reply)
{
    return (const redisReply *)reply;
}

struct span redis_reply_error(const struct redis_reply *reply)
{
    if (raw(reply)->type != REDIS_REPLY_ERROR)
        return (struct span){0};
    return (struct span){.data = raw(reply)->str, .size = (size_t)raw(reply)->len};
}

void redis_reply_put_error(struct redis_reply *reply, const char *text)
{
    redisReply *error = (redisReply *)reply;
    size_t size = strlen(text);
    if (size > (size_t)error->len)
        return;
    memcpy(error->str, text, size + 1);
    error->len = size;
}

struct span redis_reply_text(const struct redis_reply *reply)
{
    if (raw(reply)->type != REDIS_REPLY_STRING && raw(reply)->type != REDIS_REPLY_STATUS)
        return (struct span){0};
    return (struct span){.data = raw(reply)->str, .size = (size_t)raw(reply)->len};
}

int64_t redis_reply_number(const struct redis_reply *reply, int64_t otherwise)
{
    return raw(reply)->type == REDIS_REPLY_INTEGER ? raw(reply)->integer : otherwise;
}

size_t redis_reply_count(const struct redis_reply *reply)
{
    return reply && raw(reply)->type == REDIS_REPLY_ARRAY ? raw(reply)->elements : 0;
}

struct span redis_reply_element(const struct redis_reply *reply, size_t index)
{
    if (index >= redis_reply_count(reply))
        return (struct span){0};
    const redisReply *element = raw(reply)->element[index];
    if (element->type != REDIS_REPLY_STRING)
        return (struct span){0};
    return (struct span){.data = element->str, .size = (size_t)element->len};
}

const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t index)
{
    return index < redis_reply_count(reply) ? (const struct redis_reply *)raw(reply)->element[index]
                                            : NULL;
}
