#include "auth/keys.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <jwt.h>

#include "auth/jwk.h"
#include "base/digest.h"

struct key {
    struct bytes material; /* the secret, or PEM */
    struct bytes kid;
    bool named;              /* by kid */
    struct digest_key *hmac; /* of a secret */
};

struct keys {
    _Atomic int references;
    enum auth_algorithm algorithm;
    size_t count;
    struct key items[KEYS_MAX];
};

static void key_free(struct key *key)
{
    if (key->material.data)
        explicit_bzero(key->material.data, key->material.capacity);
    bytes_free(&key->material);
    bytes_free(&key->kid);
    digest_key_free(key->hmac);
}

struct keys *keys_ref(struct keys *keys)
{
    atomic_fetch_add(&keys->references, 1);
    return keys;
}

void keys_unref(struct keys *keys)
{
    if (!keys || atomic_fetch_sub(&keys->references, 1) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++)
        key_free(&keys->items[i]);
    free(keys);
}

/* Makes the last item, whose material is there, ready. */
static bool key_finish(const struct keys *keys, struct key *key, struct error *error)
{
    struct span material = bytes_span(&key->material);
    if (key->material.failed || key->kid.failed)
        return error_set_memory(error);
    if (keys->algorithm != AUTH_HS256)
        return true;
    if (material.size < SECRET_MIN)
        return error_set(error, ERROR_INVALID, "has a secret of %zu bytes; HS256 needs %d at least",
                         material.size, SECRET_MIN);
    key->hmac = digest_key_new(material);
    return key->hmac ? true : error_set_memory(error);
}

static bool secret_add(struct keys *keys, struct span text, struct error *error)
{
    struct key *key = &keys->items[keys->count++];
    if (text.size && text.data[text.size - 1] == '\n')
        text.size--;
    if (text.size && text.data[text.size - 1] == '\r')
        text.size--;
    bytes_append_span(&key->material, text);
    return key_finish(keys, key, error);
}

static bool pem_add(struct keys *keys, struct span text, struct error *error)
{
    struct key *key = &keys->items[keys->count++];
    return pem_public_key(text, keys->algorithm, &key->material, error) &&
           key_finish(keys, key, error);
}

static bool kid_take(const struct json *jwk, struct arena *arena, struct key *key,
                     struct error *error)
{
    struct json member;
    struct span kid;
    if (!json_member(jwk, SPAN_LITERAL("kid"), &member) || member.kind != JSON_STRING)
        return true;
    if (!json_string(&member, arena, &kid))
        return error_set_memory(error);
    bytes_append_span(&key->kid, kid);
    key->named = true;
    return true;
}

static bool jwk_add(struct keys *keys, const struct json *jwk, struct arena *arena,
                    struct error *error)
{
    struct key *key = &keys->items[keys->count];
    struct error reason = {0};
    bool fits;
    if (keys->count == KEYS_MAX)
        return error_set(error, ERROR_INVALID, "has more than %d keys", KEYS_MAX);
    keys->count++;
    bool made = jwk_key(jwk, keys->algorithm, arena, &key->material, &fits, &reason) &&
                (!fits || (kid_take(jwk, arena, key, &reason) && key_finish(keys, key, &reason)));
    if (!made)
        return error_set(error, reason.kind, "has a key that %.400s", reason.text);
    keys->count -= !fits;
    return true;
}

static bool set_add(struct keys *keys, const struct json *set, struct arena *arena,
                    struct error *error)
{
    struct json list, jwk;
    struct json_place place = {0};
    if (!json_member(set, SPAN_LITERAL("keys"), &list))
        return jwk_add(keys, set, arena, error);
    if (list.kind != JSON_ARRAY)
        return error_set(error, ERROR_INVALID, "has \"keys\" that are no array");
    while (json_next_element(&list, &place, &jwk))
        if (!jwk_add(keys, &jwk, arena, error))
            return false;
    return true;
}

static bool json_add(struct keys *keys, struct span text, struct error *error)
{
    struct arena *arena = arena_new();
    struct json set;
    bool added = false;
    if (!arena)
        error_set_memory(error);
    else if (!json_read(text, JSON_DEPTH_MAX, arena, &set, NULL))
        error_set(error, ERROR_INVALID, "is no valid JSON");
    else
        added = set_add(keys, &set, arena, error);
    arena_free(arena);
    if (added && !keys->count)
        return error_set(error, ERROR_INVALID, "has no key for %s",
                         auth_algorithm_names[keys->algorithm]);
    return added;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool text_add(struct keys *keys, struct span text, struct error *error)
{
    struct span begin = text;
    while (begin.size && is_blank(begin.data[0]))
        begin = span_from(begin, 1);
    if (span_starts(begin, "{"))
        return json_add(keys, text, error);
    if (keys->algorithm == AUTH_HS256 && span_starts(begin, "-----BEGIN "))
        return error_set(error, ERROR_INVALID, "is PEM, but HS256 needs a secret");
    return keys->algorithm == AUTH_HS256 ? secret_add(keys, text, error)
                                         : pem_add(keys, text, error);
}

bool keys_read(struct span text, enum auth_algorithm algorithm, struct keys **ret_keys,
               struct error *error)
{
    struct keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        return error_set_memory(error);
    atomic_init(&keys->references, 1);
    keys->algorithm = algorithm;
    if (!text_add(keys, text, error)) {
        keys_unref(keys);
        return false;
    }
    *ret_keys = keys;
    return true;
}

/* In a time that says nothing of where they differ. */
static bool same_bytes(struct span a, const unsigned char *b, size_t size)
{
    unsigned char differs = 0;
    if (a.size != size)
        return false;
    for (size_t i = 0; i < size; i++)
        differs |= (unsigned char)((unsigned char)a.data[i] ^ b[i]);
    return differs == 0;
}

/* Before the library, whose comparison of HMACs may tell by its time how much of one is right. */
static bool hmac_good(const struct key *key, const struct token *token)
{
    unsigned char digest[DIGEST_SIZE];
    return !key->hmac || (digest_keyed(key->hmac, token->signed_text, digest, NULL) &&
                          same_bytes(token->signature, digest, sizeof digest));
}

static bool library_verifies(const struct keys *keys, const struct key *key,
                             const struct token *token)
{
    static const jwt_alg_t algorithms[] = {[AUTH_OFF] = JWT_ALG_NONE,
                                           [AUTH_HS256] = JWT_ALG_HS256,
                                           [AUTH_RS256] = JWT_ALG_RS256,
                                           [AUTH_ES256] = JWT_ALG_ES256};
    jwt_t *jwt = NULL;
    bool good = jwt_decode(&jwt, token->text, (const unsigned char *)key->material.data,
                           (int)key->material.size) == 0 &&
                jwt_get_alg(jwt) == algorithms[keys->algorithm];
    jwt_free(jwt);
    return good;
}

static bool key_may(const struct key *key, const struct token *token)
{
    return !key->named || !token->kid.data || span_equal(bytes_span(&key->kid), token->kid);
}

bool keys_verify(const struct keys *keys, const struct token *token, struct error *error)
{
    bool any = false;
    for (size_t i = 0; i < keys->count; i++) {
        const struct key *key = &keys->items[i];
        if (!key_may(key, token))
            continue;
        any = true;
        if (hmac_good(key, token) && library_verifies(keys, key, token))
            return true;
    }
    return error_set(error, ERROR_INVALID, "%s",
                     any ? "is not signed by a key that this server trusts"
                         : "names a key that this server does not have");
}
