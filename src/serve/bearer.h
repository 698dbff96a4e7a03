/*
 * Bearer tokens in requests and answers (RFC 6750): what a request says, and how it is refused.
 */
#ifndef LARDER_SERVE_BEARER_H
#define LARDER_SERVE_BEARER_H

#include "serve/exchange.h"

/* ERROR_INVALID: LARDER_JWT_ALG is set without LARDER_JWT_KEY_FILE. No file is looked at. */
MUST_CHECK bool bearer_options_check(const struct options *options, struct error *error);

/*
 * Opens what LARDER_JWT_ALG and LARDER_JWT_KEY_FILE say; *ret_auth is null where tokens are off.
 * ERROR_INVALID, ERROR_SYSTEM otherwise.
 */
MUST_CHECK bool bearer_open(const struct options *options, struct auth **ret_auth,
                            struct error *error);

/* A fault for each route that asks who it is, where there is nothing to verify tokens by. */
void bearer_check(const struct auth *auth, const struct live *live, struct fault_list *faults);

/* Once a second: takes other keys, and says so in the log. */
void bearer_tick(struct server *server);

/* The token of an Authorization field; data null: none, or of another scheme. */
struct span bearer_token(struct span authorization);

/* Learns who asks by the request's token, where there is one; 401 without one that is required, and
 * for one that does not count. */
void bearer_take(struct exchange *exchange, bool required);

/* Adds to a settled 401 what it must say of how to sign in. */
void bearer_challenge(struct exchange *exchange);

/* 401: nobody is signed in. */
void bearer_ask(struct exchange *exchange, const char *detail);

/* 401: the token does not count; `problem` ends the sentence "The token …". */
void bearer_refuse(struct exchange *exchange, const char *problem);

/* 403 for who is signed in, else 401. */
void bearer_forbid(struct exchange *exchange, const char *detail);

#endif
