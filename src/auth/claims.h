/*
 * What the claims of a verified token say: whether it counts now and here (RFC 7519, section 4.1),
 * and who its bearer is. Pure; times are passed in.
 */
#ifndef LARDER_AUTH_CLAIMS_H
#define LARDER_AUTH_CLAIMS_H

#include <stdint.h>

#include "auth/principal.h"
#include "base/error.h"

struct claims_rules {
    const char *audience; /* one of the token's aud must be it; empty: any */
    const char *issuer;   /* iss must be it; empty: any */
    const char *role;     /* which claim is the role: a path as claims_find takes it */
    int64_t leeway;       /* µs that the issuer's clock may differ from ours */
};

/*
 * Does the token count at `now` (wall clock µs)? *ret_until: its exp, INT64_MAX where it has none.
 * ERROR_INVALID as token_read's: expired, not yet, made in the future, for others, by others.
 */
MUST_CHECK bool claims_check(const struct json *claims, const struct claims_rules *rules,
                             int64_t now, int64_t *ret_until, struct error *error);

/*
 * The claim of this path: "sub", or "app.role" for the member role of app. A member whose name has
 * the dots itself comes first.
 */
MUST_CHECK bool claims_find(const struct json *claims, struct span path, struct json *ret_claim);

/*
 * A claim as text, terminated: a string's characters, a number's digits, true or false, an object
 * or array as JSON in one canonical form. False: memory.
 */
MUST_CHECK bool claims_text(const struct json *claim, struct arena *arena, struct span *ret_text);

/* The bearer; texts in `arena`, terminated, but for the claims' own. False: memory. */
MUST_CHECK bool claims_principal(const struct json *claims, const struct claims_rules *rules,
                                 struct arena *arena, struct principal *ret_principal);

/* Is the role claim this role, or a list that has it? */
bool claims_have_role(const struct json *claims, const struct claims_rules *rules,
                      struct span role);

#endif
