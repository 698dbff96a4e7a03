#include "auth/jwk.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/base64url.h"

#define EC_COORDINATE 32 /* bytes, of P-256 */

static void key_release(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void bio_release(BIO **bio)
{
    BIO_free(*bio);
}

static bool curve_is_p256(const EVP_PKEY *key)
{
    char name[32];
    size_t size;
    return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof name,
                                          &size) &&
           strcmp(name, "prime256v1") == 0;
}

static bool key_check(const EVP_PKEY *key, enum auth_algorithm algorithm, struct error *error)
{
    if (algorithm == AUTH_RS256 && !EVP_PKEY_is_a(key, "RSA"))
        return error_set(error, ERROR_INVALID, "is no RSA key, which RS256 needs");
    if (algorithm == AUTH_RS256 && EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
        return error_set(error, ERROR_INVALID, "has %d bits; RS256 needs %d at least",
                         EVP_PKEY_get_bits(key), RSA_BITS_MIN);
    if (algorithm == AUTH_ES256 && (!EVP_PKEY_is_a(key, "EC") || !curve_is_p256(key)))
        return error_set(error, ERROR_INVALID, "is no key on the curve P-256, which ES256 needs");
    return true;
}

static bool key_write(EVP_PKEY *key, struct bytes *ret_pem, struct error *error)
{
    BIO *out CLEANUP(bio_release) = BIO_new(BIO_s_mem());
    char *text;
    if (!out || !PEM_write_bio_PUBKEY(out, key))
        return error_set_memory(error);
    long size = BIO_get_mem_data(out, &text);
    bytes_append(ret_pem, text, size > 0 ? (size_t)size : 0);
    return ret_pem->failed ? error_set_memory(error) : true;
}

bool pem_public_key(struct span text, enum auth_algorithm algorithm, struct bytes *ret_pem,
                    struct error *error)
{
    BIO *in CLEANUP(bio_release) = BIO_new_mem_buf(text.data, (int)text.size);
    EVP_PKEY *key CLEANUP(key_release) = in ? PEM_read_bio_PUBKEY(in, NULL, NULL, NULL) : NULL;
    if (!in)
        return error_set_memory(error);
    if (!key)
        return error_set(error, ERROR_INVALID,
                         "has no public key as PEM (\"-----BEGIN PUBLIC KEY-----\")");
    return key_check(key, algorithm, error) && key_write(key, ret_pem, error);
}

/* A member that is a string; empty: none. */
static bool text_member(const struct json *jwk, const char *name, struct arena *arena,
                        struct span *ret_text, struct error *error)
{
    struct json member;
    *ret_text = (struct span){0};
    if (!json_member(jwk, span_of(name), &member) || member.kind != JSON_STRING)
        return true;
    return json_string(&member, arena, ret_text) ? true : error_set_memory(error);
}

static bool bytes_member(const struct json *jwk, const char *name, struct arena *arena,
                         struct span *ret_bytes, struct error *error)
{
    struct span text;
    if (!text_member(jwk, name, arena, &text, error))
        return false;
    if (!text.size || !base64url_read(text, arena, ret_bytes, NULL))
        return error_set(error, ERROR_INVALID, "has no \"%s\" as base64url", name);
    return true;
}

/* Says the key that it is for something else? Members that are not there say nothing. */
static bool member_differs(const struct json *jwk, const char *name, const char *wanted)
{
    struct json member;
    return json_member(jwk, span_of(name), &member) &&
           (member.kind != JSON_STRING || !json_string_is(&member, span_of(wanted)));
}

static bool fits(const struct json *jwk, enum auth_algorithm algorithm)
{
    static const char *const kinds[] = {
        [AUTH_OFF] = "", [AUTH_HS256] = "oct", [AUTH_RS256] = "RSA", [AUTH_ES256] = "EC"};
    struct json kind;
    return json_member(jwk, SPAN_LITERAL("kty"), &kind) &&
           !member_differs(jwk, "kty", kinds[algorithm]) && !member_differs(jwk, "use", "sig") &&
           !member_differs(jwk, "alg", auth_algorithm_names[algorithm]) &&
           (algorithm != AUTH_ES256 || !member_differs(jwk, "crv", "P-256"));
}

/* A key of these parameters, which are the function's to free. Null: no such key. */
static EVP_PKEY *key_make(const char *kind, OSSL_PARAM *parameters)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY *key = NULL;
    bool made = context && parameters && EVP_PKEY_fromdata_init(context) > 0 &&
                EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) > 0;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return made ? key : NULL;
}

static OSSL_PARAM *rsa_parameters(struct span modulus, struct span exponent)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn((const unsigned char *)modulus.data, (int)modulus.size, NULL);
    BIGNUM *e = BN_bin2bn((const unsigned char *)exponent.data, (int)exponent.size, NULL);
    OSSL_PARAM *parameters = NULL;
    if (builder && n && e && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
        parameters = OSSL_PARAM_BLD_to_param(builder);
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(builder);
    return parameters;
}

/* The point as its two coordinates, uncompressed (SEC 1, section 2.3.3). */
static OSSL_PARAM *ec_parameters(struct span x, struct span y)
{
    unsigned char point[1 + 2 * EC_COORDINATE] = {4};
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    memcpy(point + 1, x.data, EC_COORDINATE);
    memcpy(point + 1 + EC_COORDINATE, y.data, EC_COORDINATE);
    if (builder &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
        parameters = OSSL_PARAM_BLD_to_param(builder);
    OSSL_PARAM_BLD_free(builder);
    return parameters;
}

static bool public_key(EVP_PKEY *made, enum auth_algorithm algorithm, struct bytes *ret_pem,
                       struct error *error)
{
    EVP_PKEY *key CLEANUP(key_release) = made;
    if (!key)
        return error_set(error, ERROR_INVALID, "is no public key: its numbers make none");
    return key_check(key, algorithm, error) && key_write(key, ret_pem, error);
}

static bool rsa_key(const struct json *jwk, struct arena *arena, struct bytes *ret_pem,
                    struct error *error)
{
    struct span modulus, exponent;
    return bytes_member(jwk, "n", arena, &modulus, error) &&
           bytes_member(jwk, "e", arena, &exponent, error) &&
           public_key(key_make("RSA", rsa_parameters(modulus, exponent)), AUTH_RS256, ret_pem,
                      error);
}

static bool ec_key(const struct json *jwk, struct arena *arena, struct bytes *ret_pem,
                   struct error *error)
{
    struct span x, y;
    if (!bytes_member(jwk, "x", arena, &x, error) || !bytes_member(jwk, "y", arena, &y, error))
        return false;
    if (x.size != EC_COORDINATE || y.size != EC_COORDINATE)
        return error_set(error, ERROR_INVALID, "has coordinates that are not %d bytes",
                         EC_COORDINATE);
    return public_key(key_make("EC", ec_parameters(x, y)), AUTH_ES256, ret_pem, error);
}

static bool secret_key(const struct json *jwk, struct arena *arena, struct bytes *ret_secret,
                       struct error *error)
{
    struct span secret;
    if (!bytes_member(jwk, "k", arena, &secret, error))
        return false;
    bytes_append_span(ret_secret, secret);
    return ret_secret->failed ? error_set_memory(error) : true;
}

bool jwk_key(const struct json *jwk, enum auth_algorithm algorithm, struct arena *arena,
             struct bytes *ret_key, bool *ret_fits, struct error *error)
{
    static bool (*const readers[])(const struct json *, struct arena *, struct bytes *,
                                   struct error *) = {
        [AUTH_HS256] = secret_key, [AUTH_RS256] = rsa_key, [AUTH_ES256] = ec_key};
    bool wanted = fits(jwk, algorithm);
    if (wanted && !readers[algorithm](jwk, arena, ret_key, error))
        return false;
    *ret_fits = wanted;
    return true;
}
