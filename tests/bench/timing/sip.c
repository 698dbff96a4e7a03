/*
 * Downloads that are read slowly.
 *
 *   sip PORT TARGET READERS RATE
 *
 * READERS connections to 127.0.0.1:PORT, each of which reads RATE bytes a second of TARGET, in
 * turn, until standard input ends. Then it prints how many bytes the readers have together. An
 * answer that is not 200, and a download that ends before, end the program with a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"

/* With the kernel's own room it would take megabytes for each before its reader is slow. */
enum { READERS_MAX = 1000, SIPS = 4 /* a second */, ROOM = 65536 };
static const int64_t SECOND = 1000000000;
static const char wanted[] = "HTTP/1.1 200 ";

struct reader {
    struct link link;
    size_t seen;
};

static struct reader readers[READERS_MAX];
static size_t count, sip;

/* What has come, but no more than a sip. */
static void reader_sip(struct reader *reader)
{
    static char bytes[(1 << 20) + 1];
    ssize_t got = read(reader->link.fd, bytes, sip);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("a download", "it ended");
    if (reader->seen == 0 && strncmp(bytes, wanted, sizeof wanted - 1) != 0)
        fail("the answer is not 200", bytes);
    reader->seen += (size_t)got;
}

static void readers_open(const char *port, const char *target)
{
    char address[32];
    int room = ROOM;
    snprintf(address, sizeof address, "http:%s", port);
    for (size_t i = 0; i < count; i++) {
        link_open(address, &readers[i].link);
        setsockopt(readers[i].link.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        link_send(&readers[i].link, target);
        fcntl(readers[i].link.fd, F_SETFL, O_NONBLOCK);
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
        fail("usage", "sip PORT TARGET READERS RATE");
    count = (size_t)atol(word[3]);
    sip = (size_t)atol(word[4]) / SIPS;
    if (count < 1 || count > READERS_MAX || sip < sizeof wanted || sip > 1 << 20)
        fail("READERS or RATE", "out of bounds");
    readers_open(word[1], word[2]);
    readers_sip();
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += readers[i].seen;
    printf("%zu\n", total);
    return 0;
}
