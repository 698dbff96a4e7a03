/*
 * A download: rows go to the client as PostgreSQL makes them.
 *
 * Until the first of them is sent a failure is a problem like any other's. After that only a broken
 * connection can say that the rest is missing.
 */
#ifndef LARDER_SERVE_DOWNLOAD_H
#define LARDER_SERVE_DOWNLOAD_H

#include "serve/exchange.h"

/* Sends the rows (SENT), or settles with a problem. */
void download_run(struct exchange *exchange, enum route_format format, bool gzip);

#endif
