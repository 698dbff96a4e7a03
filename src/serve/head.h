/*
 * The head of an answer as CGI has it: what every kind of answer begins and ends it with.
 */
#ifndef LARDER_SERVE_HEAD_H
#define LARDER_SERVE_HEAD_H

#include "serve/exchange.h"

/* "Status: 200 OK" */
void head_status(unsigned status, struct bytes *head);

void head_line(struct bytes *head, const char *name, struct span value);

/*
 * What does not depend on the answer itself: limits, other origins, times. Then the empty line
 * behind the head.
 */
void head_end(const struct exchange *exchange, struct bytes *head);

#endif
