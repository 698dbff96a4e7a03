#include "serve/body_tag.h"

#include <fcntl.h>
#include <unistd.h>

#define SECRET_MAX 4096

/* How many bytes of the digest a tag has. */
#define TAG_BYTES 16

static bool secret_read(const char *path, char secret[static SECRET_MAX], size_t *ret_size,
                        struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, secret, SECRET_MAX);
    if (size < 0)
        error_set_errno(error, "LARDER_ETAG_KEY_FILE: %s", path);
    else if (size == 0)
        error_set(error, ERROR_INVALID, "LARDER_ETAG_KEY_FILE: %s is empty", path);
    if (file >= 0)
        close(file);
    *ret_size = size > 0 ? (size_t)size : 0;
    return size > 0;
}

bool body_tag_key(const struct options *options, struct digest_key **ret_key, struct error *error)
{
    char secret[SECRET_MAX];
    size_t size;
    struct digest_key *key;
    const char *path = options_text(options, OPTION_ETAG_KEY_FILE);
    if (!*path) {
        key = digest_key_new(span_of(options_text(options, OPTION_PREFIX)));
    } else {
        if (!secret_read(path, secret, &size, error))
            return false;
        key = digest_key_new((struct span){.data = secret, .size = size});
        explicit_bzero(secret, sizeof secret);
    }
    if (!key)
        return error_set_memory(error);
    *ret_key = key;
    return true;
}

bool body_tag_make(const struct digest_key *key, struct span body,
                   char ret_tag[static ENTRY_TAG_SIZE + 1])
{
    unsigned char digest[DIGEST_SIZE];
    if (!digest_keyed(key, body, digest, NULL))
        return false;
    digest_base64url(digest, TAG_BYTES, ret_tag);
    return true;
}
