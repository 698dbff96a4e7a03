/*
 * What a client is told of a write that PostgreSQL refused: which fields, and why in plain words;
 * never SQL, nor what a constraint says.
 */
#ifndef LARDER_SERVE_WRITE_FAILURE_H
#define LARDER_SERVE_WRITE_FAILURE_H

#include "serve/exchange.h"

/* Settles the exchange, and logs what PostgreSQL said. */
void write_failure_answer(struct exchange *exchange, const struct db_failure *failure);

#endif
