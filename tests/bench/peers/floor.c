/*
 * The least a FastCGI responder can do, threads and all: it writes the same page again and again.
 *
 *   floor THREADS bytes FILE            the page, read once at the start
 *   floor THREADS redis HOST PORT KEY   the page, fetched for every request with one GET
 *
 * A page is its ETag, quotes included, followed by the body. The listening socket is fd 0.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcgiapp.h>
#include <hiredis/hiredis.h>

#define TAG_SIZE 24

struct page {
    const char *data;
    size_t size;
};

static struct page kept;
static const char *redis_host, *redis_key;
static int redis_port;

static void fail(const char *what)
{
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

static void page_write(FCGX_Request *request, struct page page)
{
    const char *known = FCGX_GetParam("HTTP_IF_NONE_MATCH", request->envp);
    bool same = known && strncmp(known, page.data, TAG_SIZE) == 0;
    size_t length = page.size - TAG_SIZE;
    char head[256];
    int size = snprintf(head, sizeof head, "ETag: %.*s\r\nCache-Control: no-cache\r\n", TAG_SIZE,
                        page.data);
    if (same)
        size +=
            snprintf(head + size, sizeof head - (size_t)size, "Status: 304 Not Modified\r\n\r\n");
    else
        size += snprintf(head + size, sizeof head - (size_t)size,
                         "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", length);
    FCGX_PutStr(head, size, request->out);
    if (!same)
        FCGX_PutStr(page.data + TAG_SIZE, (int)length, request->out);
}

static void answer_from_redis(FCGX_Request *request, redisContext *redis)
{
    redisReply *reply = redisCommand(redis, "GET %s", redis_key);
    if (!reply || reply->type != REDIS_REPLY_STRING || reply->len < TAG_SIZE)
        fail("Redis does not hold the page");
    page_write(request, (struct page){reply->str, (size_t)reply->len});
    freeReplyObject(reply);
}

static void *serve(void *argument)
{
    (void)argument;
    redisContext *redis = redis_key ? redisConnect(redis_host, redis_port) : NULL;
    if (redis_key && (!redis || redis->err))
        fail("Redis can't be reached");
    FCGX_Request request;
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        if (redis)
            answer_from_redis(&request, redis);
        else
            page_write(&request, kept);
        FCGX_Finish_r(&request);
    }
    return NULL;
}

static struct page page_read(const char *path)
{
    static char content[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(content, 1, sizeof content, file) : 0;
    if (size < TAG_SIZE)
        fail("the page can't be read");
    fclose(file);
    return (struct page){content, size};
}

static void arguments_read(int count, char **words)
{
    if (count == 4 && strcmp(words[2], "bytes") == 0) {
        kept = page_read(words[3]);
    } else if (count == 6 && strcmp(words[2], "redis") == 0) {
        redis_host = words[3];
        redis_port = atoi(words[4]);
        redis_key = words[5];
    } else {
        fail("usage: floor THREADS bytes FILE | floor THREADS redis HOST PORT KEY");
    }
}

int main(int count, char **words)
{
    arguments_read(count, words);
    FCGX_Init();
    for (int threads = atoi(words[1]); threads > 1; threads--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            fail("a thread can't be started");
    }
    serve(NULL);
    return 0;
}
