#include "auth/auth.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/keys.h"
#include "auth/token_cache.h"

#define KEY_FILE_MAX ((size_t)64 * 1024)

struct auth {
    struct auth_settings settings;
    struct token_cache *cache;
    pthread_mutex_t lock; /* guards `keys` and `generation`, not what is behind the pointer */
    struct keys *keys;
    uint64_t generation;
    unsigned char content[DIGEST_SIZE]; /* of the file as it was last read; the refresher's */
    struct error trouble;               /* told last; the refresher's */
};

/* A file that others may write would let them sign for anybody. */
static bool file_check(int file, const char *path, struct error *error)
{
    struct stat status;
    if (fstat(file, &status) != 0)
        return error_set_errno(error, "LARDER_JWT_KEY_FILE: %s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_INVALID, "LARDER_JWT_KEY_FILE: %s is no file", path);
    if (status.st_mode & S_IWOTH)
        return error_set(error, ERROR_INVALID,
                         "LARDER_JWT_KEY_FILE: everybody may write %s; chmod o-w", path);
    return true;
}

static bool file_take(int file, const char *path, struct bytes *text, struct error *error)
{
    for (;;) {
        size_t left = KEY_FILE_MAX + 1 - text->size; /* taken at once: growing would leave copies */
        char *room = bytes_reserve(text, left);
        ssize_t size = room ? read(file, room, left) : 0;
        if (!room)
            return error_set_memory(error);
        if (size < 0)
            return error_set_errno(error, "LARDER_JWT_KEY_FILE: %s", path);
        text->size += (size_t)size;
        text->data[text->size] = '\0';
        if (text->size > KEY_FILE_MAX)
            return error_set(error, ERROR_INVALID, "LARDER_JWT_KEY_FILE: %s is larger than 64 KB",
                             path);
        if (size == 0)
            return true;
    }
}

static bool file_read(const char *path, struct bytes *text, struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return error_set_errno(error, "LARDER_JWT_KEY_FILE: %s", path);
    bool done = file_check(file, path, error) && file_take(file, path, text, error);
    close(file);
    return done;
}

static void secret_release(struct bytes *text)
{
    if (text->data)
        explicit_bzero(text->data, text->capacity);
    bytes_free(text);
}

/* Tokens verified by the old keys have another generation, so none of them is found any more. */
static void keys_publish(struct auth *auth, struct keys *keys)
{
    pthread_mutex_lock(&auth->lock);
    struct keys *old = auth->keys;
    auth->keys = keys;
    auth->generation++;
    pthread_mutex_unlock(&auth->lock);
    keys_unref(old);
}

static bool keys_load(struct auth *auth, bool *ret_changed, struct error *error)
{
    const struct auth_settings *settings = &auth->settings;
    struct bytes text CLEANUP(secret_release) = BYTES_EMPTY;
    unsigned char content[DIGEST_SIZE];
    struct error reason = {0};
    struct keys *keys;
    if (!file_read(settings->key_file, &text, error) ||
        !digest_sha256(bytes_span(&text), content, error))
        return false;
    *ret_changed = !auth->keys || memcmp(content, auth->content, sizeof content) != 0;
    if (!*ret_changed)
        return true;
    if (!keys_read(bytes_span(&text), settings->algorithm, &keys, &reason)) {
        *ret_changed = false;
        return error_set(error, reason.kind, "LARDER_JWT_KEY_FILE: %.200s %.250s",
                         settings->key_file, reason.text);
    }
    memcpy(auth->content, content, sizeof content);
    keys_publish(auth, keys);
    return true;
}

bool auth_open(const struct auth_settings *settings, struct auth **ret_auth, struct error *error)
{
    struct auth *auth = calloc(1, sizeof *auth);
    bool changed;
    if (!auth)
        return error_set_memory(error);
    auth->settings = *settings;
    pthread_mutex_init(&auth->lock, NULL);
    auth->cache = token_cache_new();
    bool opened = auth->cache ? keys_load(auth, &changed, error) : error_set_memory(error);
    if (!opened) {
        auth_free(auth);
        return false;
    }
    *ret_auth = auth;
    return true;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    keys_unref(auth->keys);
    token_cache_free(auth->cache);
    pthread_mutex_destroy(&auth->lock);
    free(auth);
}

bool auth_refresh(struct auth *auth, bool *ret_changed, struct error *error)
{
    struct error trouble = {0};
    if (keys_load(auth, ret_changed, &trouble)) {
        auth->trouble = (struct error){0};
        return true;
    }
    *ret_changed = false;
    bool told = strcmp(trouble.text, auth->trouble.text) == 0;
    auth->trouble = trouble;
    return told ? true : error_set(error, trouble.kind, "%s", trouble.text);
}

static struct keys *keys_take(struct auth *auth, uint64_t *ret_generation)
{
    pthread_mutex_lock(&auth->lock);
    struct keys *keys = keys_ref(auth->keys);
    *ret_generation = auth->generation;
    pthread_mutex_unlock(&auth->lock);
    return keys;
}

/* The token verified from its first byte to its last; *ret_until: its exp. */
static bool verify_wholly(const struct auth *auth, const struct keys *keys, struct span text,
                          int64_t now, struct arena *arena, struct principal *ret_principal,
                          int64_t *ret_until, struct error *error)
{
    const struct claims_rules *rules = &auth->settings.rules;
    struct token token;
    if (!token_read(text, auth->settings.algorithm, arena, &token, error) ||
        !keys_verify(keys, &token, error) ||
        !claims_check(&token.claims, rules, now, ret_until, error))
        return false;
    return claims_principal(&token.claims, rules, arena, ret_principal) ? true
                                                                        : error_set_memory(error);
}

bool auth_verify(struct auth *auth, struct span token, int64_t now, struct arena *arena,
                 struct principal *ret_principal, bool *ret_known, struct error *error)
{
    struct token_name name;
    int64_t until;
    if (token.size > TOKEN_MAX)
        return error_set(error, ERROR_INVALID, "is longer than %d bytes", TOKEN_MAX);
    if (!digest_sha256(token, name.digest, error))
        return false;
    struct keys *keys = keys_take(auth, &name.generation);
    bool known = token_cache_get(auth->cache, &name, now, arena, ret_principal);
    bool good = known || verify_wholly(auth, keys, token, now, arena, ret_principal, &until, error);
    if (good && !known)
        token_cache_put(auth->cache, &name, now, until, ret_principal);
    keys_unref(keys);
    if (good)
        *ret_known = known;
    return good;
}

bool auth_has_role(const struct auth *auth, const struct principal *principal, struct span role)
{
    return claims_have_role(&principal->claims, &auth->settings.rules, role);
}
