#include "redis/breaker.h"

void breaker_init(struct breaker *breaker, int64_t probe_interval)
{
    atomic_init(&breaker->failures, 0);
    atomic_init(&breaker->next_probe, 0);
    breaker->probe_interval = probe_interval;
}

bool breaker_is_open(const struct breaker *breaker)
{
    return atomic_load_explicit(&breaker->failures, memory_order_relaxed) >= BREAKER_FAILURES;
}

bool breaker_allows(struct breaker *breaker, int64_t now)
{
    if (!breaker_is_open(breaker))
        return true;
    int64_t next = atomic_load(&breaker->next_probe);
    return now >= next && atomic_compare_exchange_strong(&breaker->next_probe, &next,
                                                         now + breaker->probe_interval);
}

bool breaker_succeeded(struct breaker *breaker)
{
    /* The usual case writes nothing, so that threads don't pass the cache line around. */
    if (atomic_load_explicit(&breaker->failures, memory_order_relaxed) == 0)
        return false;
    return atomic_exchange(&breaker->failures, 0) >= BREAKER_FAILURES;
}

bool breaker_failed(struct breaker *breaker, int64_t now)
{
    atomic_store(&breaker->next_probe, now + breaker->probe_interval);
    int before = atomic_load(&breaker->failures);
    while (before < BREAKER_FAILURES)
        if (atomic_compare_exchange_weak(&breaker->failures, &before, before + 1))
            return before + 1 == BREAKER_FAILURES;
    return false;
}
