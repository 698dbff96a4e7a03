/*
 * What a client and the log are told of a failed statement. The detail never holds PostgreSQL's
 * words, but for what a function of the application's own raised for whoever asks.
 */
#ifndef LARDER_SERVE_FAILURES_H
#define LARDER_SERVE_FAILURES_H

#include "base/log.h"
#include "serve/exchange.h"

struct failure_row {
    unsigned status;
    const char *detail;
    bool retry;  /* Retry-After is sent */
    bool shared; /* whoever waited for the same answer is told the same */
    bool away;   /* the database could not be asked: error= lets a last good answer stand in */
    enum log_level level;
};

const struct failure_row *failure_row_of(enum db_failure_kind kind);

/*
 * Settles the exchange with the row's problem. What a client's own role may not do (@auth rls) is
 * the client's matter: 403, or 401 where nobody is signed in.
 */
void failure_answer(struct exchange *exchange, const struct failure_row *row);

/*
 * Can it be a client's value that PostgreSQL refused: a parameter's, or a claim's of a token, which
 * policies look at? Where neither is it is the statement's own doing.
 */
bool failure_has_suspects(const struct exchange *exchange);

/* Settles it, naming the parameters whose values PostgreSQL may have refused: none that has no
 * value.
 */
void failure_answer_value(struct exchange *exchange, const struct failure_row *row,
                          const struct db_failure *failure);

/* The problem that it raised, which lies in *failure. False: it raised none. */
bool failure_problem_raised(const struct db_failure *failure, struct problem *ret_problem);

/* Settles the exchange with that, and logs it as of `event`. False: it raised none. */
bool failure_answer_raised(struct exchange *exchange, const char *event,
                           const struct db_failure *failure);

/* How important it is to the log. */
enum log_level failure_level(const struct exchange *exchange, const struct failure_row *row);

/*
 * Settles an exchange that can't go on without what PostgreSQL has not told of its route: 500 where
 * it refused the statements, which is logged as of `event`, or else 503.
 */
void failure_answer_unlearned(struct exchange *exchange, const char *event);

#endif
