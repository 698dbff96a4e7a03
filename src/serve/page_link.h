/*
 * What a request and its answer have of pages (@page): the cursor that is asked with, and the Link
 * (RFC 8288) that names the pages beside this one.
 */
#ifndef LARDER_SERVE_PAGE_LINK_H
#define LARDER_SERVE_PAGE_LINK_H

#include "serve/binding.h"

/* Complains of a cursor that is none of the route's; of a route without pages nothing. */
void page_bind(struct binding *binding);

/* Appends the Link line of the answer at hand, if there is anything to name. */
void page_append_link(const struct exchange *exchange, struct bytes *head);

#endif
