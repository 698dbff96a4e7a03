/*
 * The least a FastCGI responder can do, threads and all: it writes the same page again and again.
 *
 *   floor THREADS bytes FILE            the page, read once at the start
 *   floor THREADS redis HOST PORT KEY   the page, fetched for every request with one GET
 *   floor THREADS file HOST PORT KEY    no page: the body is put with one XADD in the stream of
 * this name, among fields like a job's, and answered as a job is
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
static void (*answer)(FCGX_Request *request, redisContext *redis);

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

static void answer_from_memory(FCGX_Request *request, redisContext *redis)
{
    (void)redis;
    page_write(request, kept);
}

static void answer_from_redis(FCGX_Request *request, redisContext *redis)
{
    redisReply *reply = redisCommand(redis, "GET %s", redis_key);
    if (!reply || reply->type != REDIS_REPLY_STRING || reply->len < TAG_SIZE)
        fail("Redis does not hold the page");
    page_write(request, (struct page){reply->str, (size_t)reply->len});
    freeReplyObject(reply);
}

#define ID "q3Jx0wYvTtO5mBf1nZkL8g"

/* What Larder writes of a job (queue/names.h), and what it answers. */
static void answer_filed(FCGX_Request *request, redisContext *redis)
{
    static const char version[] = "0123456789abcdef0123456789abcdef";
    static const char answered[] = "Status: 202 Accepted\r\nContent-Type: application/json\r\n"
                                   "Cache-Control: no-store\r\nLocation: /jobs/" ID "\r\n"
                                   "Retry-After: 1\r\nContent-Length: 23\r\n\r\n"
                                   "{\"status\":\"processing\"}";
    char body[4096];
    int size = FCGX_GetStr(body, sizeof body, request->in);
    redisReply *reply =
        redisCommand(redis,
                     "XADD %s * j " ID " s queued r %s v %s o %s d %b f 1700000000000000 a 0 w 5 "
                     "x 10000000 n 0 p 0/1 y %s c 0",
                     redis_key, FCGX_GetParam("REQUEST_URI", request->envp), version, "", body,
                     (size_t)size, "");
    if (!reply || reply->type != REDIS_REPLY_STRING)
        fail("Redis takes no job");
    FCGX_PutStr(answered, sizeof answered - 1, request->out);
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
        answer(&request, redis);
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
        answer = answer_from_memory;
    } else if (count == 6 && (strcmp(words[2], "redis") == 0 || strcmp(words[2], "file") == 0)) {
        answer = words[2][0] == 'r' ? answer_from_redis : answer_filed;
        redis_host = words[3];
        redis_port = atoi(words[4]);
        redis_key = words[5];
    } else {
        fail("usage: floor THREADS bytes FILE | floor THREADS redis|file HOST PORT KEY");
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
