/*
 * The fields of a request's body, each brought to the parameter of its name.
 *
 * A field that the route does not have is a fault, as a misspelt one would be lost without a word;
 * but not where the route takes the whole body, which may hold whatever it likes.
 */
#ifndef LARDER_SERVE_FIELDS_H
#define LARDER_SERVE_FIELDS_H

#include "serve/binding.h"

/*
 * Binds the params of the body out of JSON. What is wrong with single ones is the binding's; false:
 * the text is no JSON that can be taken, and the exchange is settled.
 */
MUST_CHECK bool fields_bind_json(struct binding *binding, struct span body);

/* The same out of application/x-www-form-urlencoded: texts, as in a query. */
MUST_CHECK bool fields_bind_form(struct binding *binding, struct span body);

/* There is no body. */
void fields_bind_none(struct binding *binding);

#endif
