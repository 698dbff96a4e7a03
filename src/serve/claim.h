/*
 * A claim of the caller's token as a bound value (:auth.sub).
 */
#ifndef LARDER_SERVE_CLAIM_H
#define LARDER_SERVE_CLAIM_H

#include "serve/exchange.h"

/*
 * The value of the parameter `auth.…`; NULL where nobody is signed in or there is no such claim. An
 * array of JSON gives an array parameter its elements, a json parameter has the claim as it stands,
 * every other the claim's text. On false *ret_problem is the end of a sentence that begins with
 * what the claim is called, or null when memory ran out.
 */
MUST_CHECK bool claim_bind(const struct exchange *exchange, const struct param *param,
                           struct value *ret_value, const char **ret_problem);

#endif
