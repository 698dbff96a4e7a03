/*
 * The algorithms a token may be signed with (RFC 7518, section 3.1). One is configured; what a
 * token says of its own is only ever compared with it.
 */
#ifndef LARDER_AUTH_ALGORITHM_H
#define LARDER_AUTH_ALGORITHM_H

/* In the order of LARDER_JWT_ALG's choices. */
enum auth_algorithm {
    AUTH_OFF,
    AUTH_HS256,
    AUTH_RS256,
    AUTH_ES256,
};

extern const char *const auth_algorithm_names[];

#endif
