/*
 * Larder's own pages below /_larder/: counters and health. The web server decides who may see
 * them.
 */
#ifndef LARDER_SERVE_INTERNAL_H
#define LARDER_SERVE_INTERNAL_H

#include "serve/exchange.h"

/* Settles the exchange when its path is one of Larder's own; true when it did. */
bool internal_answer(struct exchange *exchange);

#endif
