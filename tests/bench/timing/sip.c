/*
 * Downloads that are read slowly.
 *
 *   sip http:PORT TARGET READERS RATE
 *   sip libpq STATEMENT READERS RATE
 *
 * READERS connections to 127.0.0.1:PORT, each of which reads RATE bytes a second of TARGET, in
 * turn, until standard input ends. Then it prints how many bytes the readers have together. An
 * answer that is not 200, and a download that ends before, end the program with a message.
 *
 * With libpq they are sessions of PostgreSQL, as libpq's environment has it, and what is read of
 * their sockets is what a COPY … TO STDOUT sends: nothing stands between.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "link.h"

/* With the kernel's own room it would take megabytes for each before its reader is slow. */
enum { READERS_MAX = 1000, SIPS = 4 /* a second */, ROOM = 65536 };
static const int64_t SECOND = 1000000000;
static const char wanted_http[] = "HTTP/1.1 200 ", wanted_rows[] = "H"; /* CopyOutResponse */

struct reader {
    int fd;
    size_t seen;
};

static struct reader readers[READERS_MAX];
static const char *wanted = wanted_http;
static size_t count, sip;

/* What has come, but no more than a sip. */
static void reader_sip(struct reader *reader)
{
    static char bytes[(1 << 20) + 1];
    ssize_t got = read(reader->fd, bytes, sip);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("a download", "it ended");
    if (reader->seen == 0 && strncmp(bytes, wanted, strlen(wanted)) != 0)
        fail("the answer is no download", bytes);
    reader->seen += (size_t)got;
}

static int open_http(const char *address, const char *target)
{
    static struct link links[READERS_MAX];
    struct link *link = &links[count];
    int room = ROOM;
    link_open(address, link);
    setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    link_send(link, target);
    return link->fd;
}

static int open_rows(const char *statement)
{
    PGconn *session = PQconnectdb("");
    if (PQstatus(session) != CONNECTION_OK || !PQsendQuery(session, statement) ||
        PQflush(session) != 0)
        fail("PostgreSQL", PQerrorMessage(session));
    return PQsocket(session);
}

static void readers_open(size_t wished, const char *address, const char *target)
{
    bool rows = strcmp(address, "libpq") == 0;
    wanted = rows ? wanted_rows : wanted_http;
    for (; count < wished; count++) {
        readers[count].fd = rows ? open_rows(target) : open_http(address, target);
        fcntl(readers[count].fd, F_SETFL, O_NONBLOCK);
    }
}

static bool input_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

/* Spread over the second, so that they do not all come at one moment. */
static void readers_sip(void)
{
    int64_t due = now();
    while (!input_ended())
        for (size_t i = 0; i < count; i++) {
            wait_for(due += SECOND / (int64_t)(SIPS * count));
            reader_sip(&readers[i]);
        }
}

int main(int words, char **word)
{
    if (words != 5)
        fail("usage", "sip ADDRESS TARGET READERS RATE");
    size_t wished = (size_t)atol(word[3]);
    sip = (size_t)atol(word[4]) / SIPS;
    if (wished < 1 || wished > READERS_MAX || sip < sizeof wanted_http || sip > 1 << 20)
        fail("READERS or RATE", "out of bounds");
    readers_open(wished, word[1], word[2]);
    readers_sip();
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += readers[i].seen;
    printf("%zu\n", total);
    return 0;
}
