#include "serve/flight.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Flights last as long as a query, so there are few: a chain is short in any of these. */
#define BUCKETS 1024
#define LOCKS 16

struct flight {
    struct flight *next; /* in its bucket */
    size_t bucket;
    struct job_list parked;
    size_t key_size;
    char key[];
};

struct flights {
    pthread_mutex_t locks[LOCKS]; /* bucket b's is locks[b % LOCKS] */
    struct flight *buckets[BUCKETS];
};

struct flights *flights_new(void)
{
    struct flights *flights = calloc(1, sizeof *flights);
    if (!flights)
        return NULL;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&flights->locks[i], NULL);
    return flights;
}

void flights_free(struct flights *flights)
{
    if (!flights)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&flights->locks[i]);
    free(flights);
}

/* FNV-1a. Keys that collide by design only make one chain as long as there are requests. */
static size_t bucket_of(struct span key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    return (size_t)(hash ^ hash >> 32) % BUCKETS;
}

static struct flight *find(struct flight *flight, struct span key)
{
    while (flight && !(flight->key_size == key.size && !memcmp(flight->key, key.data, key.size)))
        flight = flight->next;
    return flight;
}

static struct flight *begin(struct flight **bucket, size_t index, struct span key)
{
    struct flight *flight = malloc(sizeof *flight + key.size);
    if (!flight)
        return NULL;
    *flight = (struct flight){.next = *bucket, .bucket = index, .key_size = key.size};
    memcpy(flight->key, key.data, key.size);
    *bucket = flight;
    return flight;
}

bool flight_join(struct flights *flights, struct span key, struct job *job,
                 struct flight **ret_flight)
{
    size_t index = bucket_of(key);
    pthread_mutex_t *lock = &flights->locks[index % LOCKS];
    pthread_mutex_lock(lock);
    struct flight *flight = find(flights->buckets[index], key);
    bool leads = flight == NULL;
    if (leads)
        *ret_flight = begin(&flights->buckets[index], index, key);
    else
        job_list_append(&flight->parked, job);
    pthread_mutex_unlock(lock);
    return leads;
}

struct job_list flight_end(struct flights *flights, struct flight *flight)
{
    if (!flight)
        return (struct job_list){0};
    pthread_mutex_t *lock = &flights->locks[flight->bucket % LOCKS];
    pthread_mutex_lock(lock);
    struct flight **link = &flights->buckets[flight->bucket];
    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
    pthread_mutex_unlock(lock);
    struct job_list parked = flight->parked;
    free(flight);
    return parked;
}
