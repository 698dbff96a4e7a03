/*
 * Who asks: what a verified token says of its bearer. Texts live as long as the request.
 */
#ifndef LARDER_AUTH_PRINCIPAL_H
#define LARDER_AUTH_PRINCIPAL_H

#include "base/json.h"
#include "base/span.h"

struct principal {
    struct span subject; /* the claim sub; empty: none */
    struct span role;    /* the role claim; empty: none */
    struct json claims;  /* the object of all claims */
    /*
     * The claims in one canonical text: keys sorted, no space, without those that change from token
     * to token and say nothing of the bearer (exp, nbf, iat, jti). What row level security may read
     * is this and no more, so it can be part of a key.
     */
    struct span canonical;
    /* Tells two principals apart: issuer and subject, or all claims where there is no subject. */
    struct span identity;
};

#endif
