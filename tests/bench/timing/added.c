/*
 * Times the same query again and again over several ways, in turn, from one thread of one process,
 * so that whatever else the machine does falls on all of them alike.
 *
 *   added ROUNDS STATEMENT-FILE VALUE,VALUE WAY...
 *
 * The first way is always bare libpq: a prepared statement on one connection, found by libpq's
 * environment. A WAY is KIND:ADDRESS:REQUEST-FILE, KIND being fastcgi (ADDRESS a UNIX socket) or
 * http (ADDRESS a loopback port); the file holds the whole request as sent. Prints one line a
 * round: nanoseconds of each way.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define WAYS_MAX 8
#define VALUES_MAX 8
#define WARM_UP 200
#define FILE_MAX 65536
#define ANSWER_MAX (1 << 20)

struct text {
    char data[FILE_MAX];
    size_t size;
};

struct way {
    bool (*ask)(struct way *way);
    int socket;
    struct text request;
};

static PGconn *database;
static const char *values[VALUES_MAX];
static int value_count;
static char answer[ANSWER_MAX];

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "added: %s: %s\n", what, detail);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void file_read(const char *path, struct text *ret_text)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("can't be read", path);
    ret_text->size = fread(ret_text->data, 1, FILE_MAX - 1, file);
    ret_text->data[ret_text->size] = '\0';
    fclose(file);
}

static bool ask_libpq(struct way *way)
{
    (void)way;
    PGresult *result = PQexecPrepared(database, "page", value_count, values, NULL, NULL, 0);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && PQgetlength(result, 0, 0) > 2;
    PQclear(result);
    return good;
}

static bool send_all(int socket, const struct text *text)
{
    return send(socket, text->data, text->size, MSG_NOSIGNAL) == (ssize_t)text->size;
}

/* Appends what has come to `answer`; 0 at the end of the connection or of the room. */
static size_t receive(int socket, size_t have)
{
    ssize_t got = have < ANSWER_MAX ? recv(socket, answer + have, ANSWER_MAX - have, 0) : 0;
    return got > 0 ? (size_t)got : 0;
}

/* Reads records until END_REQUEST; good when the first began with status 200. */
static bool ask_fastcgi(struct way *way)
{
    enum { HEADER_SIZE = 8, END_REQUEST = 3 };
    size_t have = 0, at = 0;
    if (!send_all(way->socket, &way->request))
        return false;
    for (;;) {
        while (have >= at + HEADER_SIZE) {
            const unsigned char *header = (const unsigned char *)answer + at;
            size_t size = HEADER_SIZE + (size_t)(header[4] << 8 | header[5]) + header[6];
            if (have < at + size)
                break;
            if (header[1] == END_REQUEST)
                return strncmp(answer + HEADER_SIZE, "Status: 200", 11) == 0;
            at += size;
        }
        size_t got = receive(way->socket, have);
        if (!got)
            return false;
        have += got;
    }
}

/* The whole answer's size, once its headers are there; else 0. */
static size_t http_size(size_t have)
{
    static const char field[] = "\r\ncontent-length:", end[] = "\r\n\r\n";
    const char *body = memmem(answer, have, end, 4);
    if (!body)
        return 0;
    for (const char *at = answer; at < body; at++)
        if (strncasecmp(at, field, sizeof field - 1) == 0)
            return (size_t)(body - answer) + 4 + strtoul(at + sizeof field - 1, NULL, 10);
    return 0;
}

static bool ask_http(struct way *way)
{
    size_t have = 0, size = 0;
    if (!send_all(way->socket, &way->request))
        return false;
    while (!size || have < size) {
        size_t got = receive(way->socket, have);
        if (!got)
            return false;
        have += got;
        size = size ? size : http_size(have);
    }
    return strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("can't be connected to", path);
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
        fail("can't be connected to", port);
    return fd;
}

static void way_open(char *words, struct way *ret_way)
{
    const char *kind = strtok(words, ":"), *address = strtok(NULL, ":"), *file = strtok(NULL, ":");
    if (!file)
        fail("a way is KIND:ADDRESS:REQUEST-FILE", words);
    bool fastcgi = strcmp(kind, "fastcgi") == 0;
    ret_way->ask = fastcgi ? ask_fastcgi : ask_http;
    ret_way->socket = fastcgi ? connect_unix(address) : connect_port(address);
    file_read(file, &ret_way->request);
}

static void database_open(const char *statement_file)
{
    static struct text statement;
    file_read(statement_file, &statement);
    database = PQconnectdb("");
    if (PQstatus(database) != CONNECTION_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    PGresult *result = PQprepare(database, "page", statement.data, value_count, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail("PostgreSQL", PQerrorMessage(database));
    PQclear(result);
}

/* One request over each way; every round begins with another one. */
static void round_run(struct way *ways, int count, int number, int64_t *durations)
{
    for (int i = 0; i < count; i++) {
        int chosen = (i + number) % count;
        int64_t begin = now();
        if (!ways[chosen].ask(&ways[chosen]))
            fail("an answer is not what it should be", answer);
        durations[chosen] = now() - begin;
    }
}

int main(int argument_count, char **arguments)
{
    static struct way ways[WAYS_MAX];
    int64_t durations[WAYS_MAX];
    int count = 1;
    if (argument_count < 5 || argument_count > 4 + WAYS_MAX - 1)
        fail("usage", "added ROUNDS STATEMENT-FILE VALUE,VALUE WAY...");
    for (char *value = strtok(arguments[3], ","); value && value_count < VALUES_MAX;
         value = strtok(NULL, ","))
        values[value_count++] = value;
    database_open(arguments[2]);
    ways[0].ask = ask_libpq;
    for (int i = 4; i < argument_count; i++)
        way_open(arguments[i], &ways[count++]);
    for (int i = 0; i < WARM_UP; i++)
        round_run(ways, count, i, durations);
    for (int i = 0; i < atoi(arguments[1]); i++) {
        round_run(ways, count, i, durations);
        for (int way = 0; way < count; way++)
            printf("%lld%c", (long long)durations[way], way == count - 1 ? '\n' : ' ');
    }
    PQfinish(database);
    return 0;
}
