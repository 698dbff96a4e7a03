/*
 * What one process knows of debts: how far those that Redis told of had run up, and what it counts
 * by itself while Redis is away.
 *
 * Bounded: a name that finds no room takes the place of the one whose debt is over first, which is
 * then known no more. Safe for any number of threads.
 */
#ifndef LARDER_LIMIT_LOCAL_H
#define LARDER_LIMIT_LOCAL_H

#include "base/compiler.h"
#include "base/span.h"
#include "limit/rate.h"

struct local;

/* Null: memory. */
struct local *local_new(void) MUST_CHECK;
void local_free(struct local *local);

/* The debt as far as it is known here, in µs. `now` is monotonic µs, here and below. */
double local_debt(struct local *local, struct span name, int64_t now);

/* The debt was at least this at `now`. */
void local_learn(struct local *local, struct span name, double debt, int64_t now);

/* Counts a request if it passes; *ret_debt is the debt after that, or the one that was too high. */
bool local_take(struct local *local, struct span name, const struct rate *rate, int64_t now,
                double *ret_debt);

/* Takes a request back that was counted. */
void local_give_back(struct local *local, struct span name, const struct rate *rate);

#endif
