/*
 * Files jobs as clients that do not give up: each number is posted until somebody has answered 202.
 *
 *   poster SOCKET TARGET FIRST COUNT CONNECTIONS SECONDS
 *
 * Posts {"number":N} with the Idempotency-Key N to the FastCGI responder at SOCKET, for COUNT
 * numbers from FIRST on, over so many kept connections. 503 and a lost connection mean "again";
 * any other answer, or SECONDS that are over, end the program with status 1. At the end it prints
 * a line for each number: the number, the tries it took, and the Location.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 8, BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };
enum { TEXT_MAX = 4096, LOCATION_MAX = 64, CONNECTIONS_MAX = 256 };

struct filed {
    int tries;
    char location[LOCATION_MAX];
};

static struct {
    const char *socket, *target;
    int first, count;
    int64_t end; /* ns */
    atomic_int next;
    struct filed *filed;
} task;

struct text {
    unsigned char data[TEXT_MAX];
    size_t size;
};

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "poster: %s: %s\n", what, detail);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* The request */

static void add(struct text *text, const void *data, size_t size)
{
    if (text->size + size > sizeof text->data)
        fail("a request is too long", task.target);
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

static void add_record(struct text *text, unsigned char kind, const void *content, size_t size)
{
    const unsigned char header[HEADER] = {
        1, kind, 0, 1, (unsigned char)(size >> 8), (unsigned char)size};
    add(text, header, HEADER);
    add(text, content, size);
}

static void add_pair(struct text *pairs, const char *name, const char *value)
{
    const unsigned char sizes[] = {(unsigned char)strlen(name), (unsigned char)strlen(value)};
    add(pairs, sizes, sizeof sizes);
    add(pairs, name, sizes[0]);
    add(pairs, value, sizes[1]);
}

static void make_request(int number, struct text *ret_text)
{
    static const unsigned char begin[] = {0, 1, 1, 0, 0, 0, 0, 0}; /* a responder, kept */
    char body[64], size[16], key[16];
    snprintf(body, sizeof body, "{\"number\":%d}", number);
    snprintf(size, sizeof size, "%zu", strlen(body));
    snprintf(key, sizeof key, "%d", number);
    struct text pairs = {.size = 0};
    add_pair(&pairs, "REQUEST_METHOD", "POST");
    add_pair(&pairs, "REQUEST_URI", task.target);
    add_pair(&pairs, "QUERY_STRING", "");
    add_pair(&pairs, "REQUEST_SCHEME", "http");
    add_pair(&pairs, "SERVER_PROTOCOL", "HTTP/1.1");
    add_pair(&pairs, "SERVER_NAME", "larder.test");
    add_pair(&pairs, "SERVER_PORT", "80");
    add_pair(&pairs, "REMOTE_ADDR", "127.0.0.1");
    add_pair(&pairs, "HTTP_HOST", "larder.test");
    add_pair(&pairs, "HTTP_IDEMPOTENCY_KEY", key);
    add_pair(&pairs, "CONTENT_TYPE", "application/json");
    add_pair(&pairs, "CONTENT_LENGTH", size);
    ret_text->size = 0;
    add_record(ret_text, BEGIN, begin, sizeof begin);
    add_record(ret_text, PARAMS, pairs.data, pairs.size);
    add_record(ret_text, PARAMS, "", 0);
    add_record(ret_text, STDIN, body, strlen(body));
    add_record(ret_text, STDIN, "", 0);
}

/* The connection: what goes wrong with it makes it -1, and the number is tried again. */

static int connect_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", task.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool receive(int fd, void *data, size_t size)
{
    return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* The whole answer, terminated; of a long one the beginning. */
static bool receive_answer(int fd, struct text *answer)
{
    unsigned char header[HEADER], content[65535 + 255];
    answer->size = 0;
    do {
        size_t size = 0;
        if (!receive(fd, header, HEADER))
            return false;
        size = (size_t)(header[4] << 8 | header[5]);
        if (!receive(fd, content, size + header[6]))
            return false;
        size_t room = sizeof answer->data - 1 - answer->size;
        if (header[1] == STDOUT)
            add(answer, content, size < room ? size : room);
    } while (header[1] != END);
    answer->data[answer->size] = '\0';
    return true;
}

static bool ask(int *fd, const struct text *request, struct text *answer)
{
    if (*fd < 0)
        *fd = connect_socket();
    if (*fd < 0)
        return false;
    if (send(*fd, request->data, request->size, MSG_NOSIGNAL) == (ssize_t)request->size &&
        receive_answer(*fd, answer))
        return true;
    close(*fd);
    *fd = -1;
    return false;
}

/* One number */

static const char *field(const struct text *answer, const char *name)
{
    const char *found = strstr((const char *)answer->data, name);
    return found ? found + strlen(name) : NULL;
}

static bool is_filed(const struct text *answer, struct filed *filed)
{
    const char *status = field(answer, "Status: "), *location = field(answer, "Location: ");
    if (status && atoi(status) == 503)
        return false;
    if (!status || atoi(status) != 202 || !location)
        fail("an answer that is neither 202 nor 503", (const char *)answer->data);
    snprintf(filed->location, sizeof filed->location, "%.*s", (int)strcspn(location, "\r\n"),
             location);
    return true;
}

static void post(int *fd, int number, struct filed *filed)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    struct text request, answer;
    make_request(number, &request);
    for (filed->tries = 1; !ask(fd, &request, &answer) || !is_filed(&answer, filed);
         filed->tries++) {
        if (now() > task.end)
            fail("the time is over", task.target);
        nanosleep(&pause, NULL);
    }
}

static void *run(void *unused)
{
    int fd = -1, place;
    while ((place = atomic_fetch_add(&task.next, 1)) < task.count)
        post(&fd, task.first + place, &task.filed[place]);
    if (fd >= 0)
        close(fd);
    return unused;
}

int main(int count, char **words)
{
    if (count != 7)
        fail("usage", "poster SOCKET TARGET FIRST COUNT CONNECTIONS SECONDS");
    task.socket = words[1];
    task.target = words[2];
    task.first = atoi(words[3]);
    task.count = atoi(words[4]);
    task.end = now() + (int64_t)atoi(words[6]) * 1000000000;
    task.filed = calloc((size_t)task.count, sizeof *task.filed);
    int connections = atoi(words[5]);
    if (!task.filed || connections < 1 || connections > CONNECTIONS_MAX)
        fail("connections must be from 1 to 256, and memory be there, not", words[5]);
    pthread_t threads[CONNECTIONS_MAX];
    for (int i = 0; i < connections; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            fail("threads", strerror(errno));
    for (int i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < task.count; i++)
        printf("%d %d %s\n", task.first + i, task.filed[i].tries, task.filed[i].location);
    return 0;
}
