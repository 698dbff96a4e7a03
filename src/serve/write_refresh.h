/*
 * Write-through: the reads that a write's @refreshes name are made anew when it is committed and
 * struck, and before it is answered, so that whoever reads next finds them kept.
 */
#ifndef LARDER_SERVE_WRITE_REFRESH_H
#define LARDER_SERVE_WRITE_REFRESH_H

#include "serve/exchange.h"

/*
 * Fills each of them under its lease, with the desk of the write and as its client, and waits
 * until Redis has them. One that is being made by another already, or that can't be, is left out.
 */
void write_refresh(struct exchange *exchange);

#endif
