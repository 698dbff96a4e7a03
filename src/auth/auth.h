/*
 * Who may ask: tokens verified by the configured algorithm and keys, and what they say of their
 * bearers. Usable by many threads at once; times are passed in.
 *
 * Invariant: nothing of a token, its header least of all, decides how it is verified. A token is
 * never logged and never part of an error's text.
 */
#ifndef LARDER_AUTH_AUTH_H
#define LARDER_AUTH_AUTH_H

#include "auth/algorithm.h"
#include "auth/claims.h"

struct auth;

struct auth_settings {
    enum auth_algorithm algorithm; /* not AUTH_OFF */
    const char *key_file;
    struct claims_rules rules;
};

/*
 * Reads the key file. The settings' texts must outlive it. ERROR_SYSTEM, ERROR_INVALID: the file
 * can't be read, others may write it, or it has no key; the text names LARDER_JWT_KEY_FILE.
 */
MUST_CHECK bool auth_open(const struct auth_settings *settings, struct auth **ret_auth,
                          struct error *error);

/* Null is allowed. */
void auth_free(struct auth *auth);

/*
 * Looks whether the key file has other keys by now, and takes them (*ret_changed): tokens verified
 * by the old ones are verified anew. On false the old keys stay, and *error says why; the same
 * trouble is told once. By one thread at a time.
 */
MUST_CHECK bool auth_refresh(struct auth *auth, bool *ret_changed, struct error *error);

/*
 * The bearer of a token at `now` (wall clock µs), in `arena`. *ret_known: verified a moment ago.
 * ERROR_INVALID: it does not count; the text is a sentence's end ("has expired") in plain ASCII
 * without quotes, fit for a client. Else memory, or libcrypto.
 */
MUST_CHECK bool auth_verify(struct auth *auth, struct span token, int64_t now, struct arena *arena,
                            struct principal *ret_principal, bool *ret_known, struct error *error);

/* Is its role this one, or among a list of them? */
bool auth_has_role(const struct auth *auth, const struct principal *principal, struct span role);

#endif
