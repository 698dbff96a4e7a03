/*
 * A download straight from a responder's socket, thrown away as it comes.
 *
 *   drain ADDRESS TARGET
 *
 * ADDRESS is fastcgi:PATH. Prints the microseconds to the first byte of the answer, those to its
 * end, and how many bytes it had, head and body. An answer that breaks off, or is not 200, ends the
 * program with a message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"

enum { HEADER_SIZE = 8, END_REQUEST = 3, STDOUT = 6, PIECE = 1 << 18 };
static const char wanted[] = "Status: 200 ";

static unsigned char bytes[PIECE];
static size_t begin, end;

/* At least so many bytes in sight. */
static void fetch(int connection, size_t least)
{
    if (end - begin < least) {
        memmove(bytes, bytes + begin, end - begin);
        end -= begin;
        begin = 0;
    }
    while (end - begin < least) {
        ssize_t got = read(connection, bytes + end, PIECE - end);
        if (got <= 0)
            fail("the answer", "it broke off");
        end += (size_t)got;
    }
}

int main(int words, char **word)
{
    struct link link;
    if (words != 3)
        fail("usage", "drain fastcgi:PATH TARGET");
    link_open(word[1], &link);
    int64_t start = now(), first = 0;
    unsigned long long total = 0;
    link_send(&link, word[2]);
    for (;;) {
        fetch(link.fd, HEADER_SIZE);
        const unsigned char *header = bytes + begin;
        size_t content = (size_t)header[4] << 8 | header[5], size = content + header[6];
        bool ended = header[1] == END_REQUEST;
        bool answer = header[1] == STDOUT && content;
        begin += HEADER_SIZE;
        if (ended)
            break;
        fetch(link.fd, size);
        if (answer && !first) {
            first = now();
            if (content < sizeof wanted - 1 ||
                memcmp(bytes + begin, wanted, sizeof wanted - 1) != 0)
                fail("the answer is not 200", word[2]);
        }
        total += answer ? content : 0;
        begin += size;
    }
    printf("%lld %lld %llu\n", (long long)(first - start) / 1000, (long long)(now() - start) / 1000,
           total);
    return 0;
}
