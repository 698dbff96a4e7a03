#include "base/bus_error.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"

#define PLACES 16

static struct place {
    atomic_bool taken;
    _Atomic(uintptr_t) begin; /* 0: nothing is said of it */
    size_t size;
    char path[256];
} places[PLACES];

static const struct place *place_of(uintptr_t address)
{
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        uintptr_t begin = atomic_load(&places[i].begin);
        if (begin && address >= begin && address - begin < places[i].size)
            return &places[i];
    }
    return NULL;
}

/*
 * It may call what no other handler may: only our own accesses to such memory get here, so this
 * thread is not in the midst of malloc or the like. Once it has returned the access fails again,
 * now by the default; other threads that fail meanwhile wait for that.
 */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    bool sent = info->si_code <= 0;
    const struct place *place = sent ? NULL : place_of((uintptr_t)info->si_addr);
    (void)context;
    while (place && atomic_flag_test_and_set(&said))
        pause();
    if (place)
        log_event(LOG_ERROR, "shared-memory",
                  "%s was cut short, or its disk can't be read: this process ends by SIGBUS; "
                  "nothing but Larder may change the files of LARDER_RUN",
                  place->path);
    signal(number, SIG_DFL);
    if (sent)
        raise(number); /* no access fails again */
}

void bus_error_watch(const void *memory, size_t size, const char *folder, const char *name)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    size_t i = 0;
    while (i < ARRAY_COUNT(places) && atomic_exchange(&places[i].taken, true))
        i++;
    if (i == ARRAY_COUNT(places))
        return;
    places[i].size = size;
    snprintf(places[i].path, sizeof places[i].path, "%s/%s", folder, name);
    atomic_store(&places[i].begin, (uintptr_t)memory);
    sigaction(SIGBUS, &action, NULL);
}

void bus_error_forget(const void *memory)
{
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        uintptr_t begin = (uintptr_t)memory;
        if (atomic_compare_exchange_strong(&places[i].begin, &begin, 0))
            atomic_store(&places[i].taken, false);
    }
}
