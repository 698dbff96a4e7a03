/*
 * Times likes that many clients give at once, each its next as soon as its last is answered.
 *
 *   crowd ADDRESS TARGET CLIENTS LIKES FEEDS USERS FIRST
 *
 * ADDRESS is as in link.h, the likes are those of likes.h from the one numbered FIRST on. Prints
 * one line a like, in the order of the answers: nanoseconds after the start at which it was
 * answered, and how many of these it took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "likes.h"
#include "link.h"

enum { CLIENTS_MAX = 1000, EVENTS = 64 };

struct client {
    struct link link;
    int64_t sent;
};

static struct client clients[CLIENTS_MAX];
static struct likes likes;
static const char *target;

static void like_send(struct client *client)
{
    char body[LIKE_SIZE];
    likes_draw(&likes, body);
    client->sent = now();
    link_send_json(&client->link, "POST", target, body);
}

static int clients_connect(const char *address, int count)
{
    int poller = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        link_open(address, &clients[i].link);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, clients[i].link.fd, &event);
    }
    return poller;
}

/* Is a like answered now? */
static bool like_take(struct client *client, int64_t start)
{
    if (!link_receive(&client->link))
        return false;
    int64_t answered = now();
    if (link_status(&client->link) / 100 != 2)
        fail("a like was refused", client->link.answer.data);
    printf("%lld %lld\n", (long long)(answered - start), (long long)(answered - client->sent));
    return true;
}

static void likes_give(int poller, int client_count, long count)
{
    int64_t start = now();
    long sent = 0, answered = 0;
    for (; sent < client_count && sent < count; sent++)
        like_send(&clients[sent]);
    while (answered < count) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (!like_take(client, start))
                continue;
            answered++;
            if (sent++ < count)
                like_send(client);
        }
    }
}

int main(int count, char **words)
{
    if (count != 8 || atoi(words[3]) < 1 || atoi(words[3]) > CLIENTS_MAX)
        fail("usage", "crowd ADDRESS TARGET CLIENTS LIKES FEEDS USERS FIRST");
    target = words[2];
    likes = (struct likes){strtoull(words[5], NULL, 10), strtoull(words[6], NULL, 10),
                           strtoull(words[7], NULL, 10)};
    int client_count = atoi(words[3]);
    likes_give(clients_connect(words[1], client_count), client_count, atol(words[4]));
    return 0;
}
