#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_SIZE = 8, BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };
enum { RECORD_MAX = 65535, REQUEST_MAX = 8192, PIECE = 65536 };

void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, detail);
    exit(1);
}

int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void wait_for(int64_t time)
{
    struct timespec until = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}

static void buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->size + more < buffer->room)
        return;
    buffer->room = 2 * buffer->room + more + 1;
    buffer->data = realloc(buffer->data, buffer->room);
    if (!buffer->data)
        fail("memory", "there is none left");
}

static void buffer_append(struct buffer *buffer, const char *data, size_t size)
{
    buffer_reserve(buffer, size);
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
}

/* Connecting */

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    /* A full backlog refuses at once; it empties as the responder accepts. */
    for (int tries = 0; connect(fd, (struct sockaddr *)&address, sizeof address) != 0; tries++) {
        if (errno != EAGAIN || tries == 1000)
            fail(path, strerror(errno));
        wait_for(now() + 1000000);
    }
    return fd;
}

static int connect_port(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail(port, strerror(errno));
    return fd;
}

void link_open(const char *address, struct link *ret_link)
{
    const char *place = strchr(address, ':');
    if (!place)
        fail("an address is fastcgi:PATH or http:PORT, not", address);
    bool fastcgi = strncmp(address, "fastcgi:", 8) == 0;
    int fd = fastcgi ? connect_unix(place + 1) : connect_port(place + 1);
    const char *host = fastcgi ? NULL : strchr(place + 1, ':');
    *ret_link = (struct link){.fd = fd, .fastcgi = fastcgi, .host = host ? host + 1 : "larder"};
}

/* Sending */

static void record_append(struct buffer *request, int kind, const char *content, size_t size)
{
    const char header[HEADER_SIZE] = {1, (char)kind, 0, 1, (char)(size >> 8), (char)size, 0, 0};
    buffer_append(request, header, HEADER_SIZE);
    buffer_append(request, content, size);
}

static void size_append(struct buffer *pairs, size_t size)
{
    const char wide[] = {(char)(size >> 24 | 0x80), (char)(size >> 16), (char)(size >> 8),
                         (char)size};
    if (size < 0x80)
        buffer_append(pairs, wide + 3, 1);
    else
        buffer_append(pairs, wide, 4);
}

static void pair_append(struct buffer *pairs, const char *name, const char *value)
{
    size_append(pairs, strlen(name));
    size_append(pairs, strlen(value));
    buffer_append(pairs, name, strlen(name));
    buffer_append(pairs, value, strlen(value));
}

struct question {
    const char *method, *target, *body; /* null: none */
    const char *host;
};

static void pairs_append_body(struct buffer *pairs, const char *body)
{
    char size[24];
    snprintf(size, sizeof size, "%zu", strlen(body));
    pair_append(pairs, "CONTENT_TYPE", "application/json");
    pair_append(pairs, "CONTENT_LENGTH", size);
}

/* A whole request on a kept connection, as nginx sends it. */
static void fastcgi_append(struct buffer *request, const struct question *question)
{
    static const char begin[] = {0, 1, 1, 0, 0, 0, 0, 0}; /* a responder, the connection kept */
    const char *query = strchr(question->target, '?');
    struct buffer pairs = {0};
    pair_append(&pairs, "REQUEST_METHOD", question->method);
    pair_append(&pairs, "REQUEST_URI", question->target);
    pair_append(&pairs, "QUERY_STRING", query ? query + 1 : "");
    pair_append(&pairs, "REQUEST_SCHEME", "http");
    pair_append(&pairs, "SERVER_PROTOCOL", "HTTP/1.1");
    pair_append(&pairs, "SERVER_NAME", "larder");
    pair_append(&pairs, "SERVER_PORT", "80");
    pair_append(&pairs, "REMOTE_ADDR", "127.0.0.1");
    pair_append(&pairs, "HTTP_HOST", "larder");
    if (question->body)
        pairs_append_body(&pairs, question->body);
    record_append(request, BEGIN_REQUEST, begin, sizeof begin);
    record_append(request, PARAMS, pairs.data, pairs.size);
    record_append(request, PARAMS, "", 0);
    if (question->body)
        record_append(request, STDIN, question->body, strlen(question->body));
    record_append(request, STDIN, "", 0);
    free(pairs.data);
}

static void http_append(struct buffer *request, const struct question *question)
{
    char head[RECORD_MAX];
    int size = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\n", question->method,
                        question->target, question->host);
    buffer_append(request, head, (size_t)size);
    if (question->body) {
        size =
            snprintf(head, sizeof head, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                     strlen(question->body));
        buffer_append(request, head, (size_t)size);
    }
    buffer_append(request, "\r\n", 2);
    if (question->body)
        buffer_append(request, question->body, strlen(question->body));
}

static void question_send(struct link *link, const struct question *question)
{
    static _Thread_local struct buffer request;
    request.size = link->raw.size = link->answer.size = link->taken = 0;
    (link->fastcgi ? fastcgi_append : http_append)(&request, question);
    if (send(link->fd, request.data, request.size, MSG_NOSIGNAL) != (ssize_t)request.size)
        fail("a request could not be sent", strerror(errno));
}

void way_open(char *words, struct way *ret_way)
{
    const char *address = strtok(words, " ");
    ret_way->target = strtok(NULL, " ");
    if (!ret_way->target)
        fail("a way is ADDRESS TARGET, not", words);
    link_open(address, &ret_way->link);
}

void link_send(struct link *link, const char *target)
{
    question_send(link, &(struct question){"GET", target, NULL, link->host});
}

void link_send_json(struct link *link, const char *method, const char *target, const char *body)
{
    question_send(link, &(struct question){method, target, body, link->host});
}

/* Receiving */

/* Moves the content of whole records; true after the last one. */
static bool fastcgi_take(struct link *link)
{
    while (link->raw.size >= link->taken + HEADER_SIZE) {
        const unsigned char *header = (const unsigned char *)link->raw.data + link->taken;
        size_t content = (size_t)(header[4] << 8 | header[5]);
        size_t whole = HEADER_SIZE + content + header[6];
        if (link->raw.size < link->taken + whole)
            return false;
        if (header[1] == STDOUT)
            buffer_append(&link->answer, (const char *)header + HEADER_SIZE, content);
        link->taken += whole;
        if (header[1] == END_REQUEST)
            return true;
    }
    return false;
}

static bool http_take(struct link *link)
{
    buffer_append(&link->answer, link->raw.data + link->taken, link->raw.size - link->taken);
    link->taken = link->raw.size;
    const char *body = link_body(link), *length = body ? link_field(link, "Content-Length") : NULL;
    if (!body)
        return false;
    if (!length && link_status(link) != 304)
        fail("an answer without a Content-Length", link->answer.data);
    size_t head = (size_t)(body - link->answer.data);
    return link->answer.size >= head + (length ? strtoul(length, NULL, 10) : 0);
}

bool link_receive(struct link *link)
{
    buffer_reserve(&link->raw, PIECE);
    ssize_t got = recv(link->fd, link->raw.data + link->raw.size, PIECE, 0);
    if (got <= 0)
        fail("an answer broke off", got < 0 ? strerror(errno) : "the connection was closed");
    link->raw.size += (size_t)got;
    return link->fastcgi ? fastcgi_take(link) : http_take(link);
}

static void answer_await(struct link *link)
{
    while (!link_receive(link))
        continue;
}

void link_ask(struct link *link, const char *target)
{
    link_send(link, target);
    answer_await(link);
}

void link_ask_json(struct link *link, const char *method, const char *target, const char *body)
{
    link_send_json(link, method, target, body);
    answer_await(link);
}

/* Reading an answer */

const char *link_body(const struct link *link)
{
    const char *end = link->answer.size ? strstr(link->answer.data, "\r\n\r\n") : NULL;
    return end ? end + 4 : NULL;
}

const char *link_field(const struct link *link, const char *name)
{
    const char *body = link_body(link);
    size_t size = strlen(name);
    for (const char *line = link->answer.data; body && line < body - 2;
         line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, name, size) == 0 && line[size] == ':')
            return line + size + 1 + strspn(line + size + 1, " ");
    return NULL;
}

bool link_hit(const struct link *link)
{
    const char *told = link_field(link, "Cache-Status"), *hit = told ? strstr(told, "; hit") : NULL;
    return hit && hit < strstr(told, "\r\n");
}

int link_status(const struct link *link)
{
    const char *status = link->fastcgi ? link_field(link, "Status") : NULL;
    if (!link->fastcgi)
        status = link->answer.data + strlen("HTTP/1.1 ");
    return status ? atoi(status) : 200;
}
