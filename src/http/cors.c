#include "http/cors.h"

#include <inttypes.h>
#include <stdlib.h>

#include "http/field.h"

struct cors {
    struct cors_settings settings;
    bool any; /* "*" */
};

static bool list_has(const char *list, struct span wanted)
{
    struct span rest = span_of(list), member;
    while (field_member_next(&rest, &member))
        if (span_equal(member, wanted))
            return true;
    return false;
}

static bool settings_check(const struct cors_settings *settings, struct error *error)
{
    const struct {
        const char *name, *list;
    } rows[] = {{"LARDER_CORS_ORIGINS", settings->origins},
                {"LARDER_CORS_HEADERS", settings->headers},
                {"LARDER_CORS_EXPOSE", settings->expose}};
    for (size_t i = 0; settings->credentials && i < ARRAY_COUNT(rows); i++)
        if (list_has(rows[i].list, SPAN_LITERAL("*")))
            return error_set(error, ERROR_INVALID,
                             "LARDER_CORS_CREDENTIALS is \"on\", but must be off while %s is "
                             "\"*\": with credentials each must be named",
                             rows[i].name);
    return true;
}

bool cors_new(const struct cors_settings *settings, struct cors **ret_cors, struct error *error)
{
    if (!*settings->origins) {
        *ret_cors = NULL;
        return true;
    }
    if (!settings_check(settings, error))
        return false;
    struct cors *cors = calloc(1, sizeof *cors);
    if (!cors)
        return error_set_memory(error);
    cors->settings = *settings;
    cors->any = list_has(settings->origins, SPAN_LITERAL("*"));
    *ret_cors = cors;
    return true;
}

void cors_free(struct cors *cors)
{
    free(cors);
}

bool cors_varies(const struct cors *cors)
{
    return !cors->any;
}

bool cors_allows_method(const struct cors *cors, struct span method)
{
    return list_has(cors->settings.methods, SPAN_LITERAL("*")) ||
           list_has(cors->settings.methods, method);
}

static bool allows_origin(const struct cors *cors, struct span origin)
{
    return cors->any || (origin.size && list_has(cors->settings.origins, origin));
}

static void append_line(struct bytes *head, const char *name, const char *value)
{
    bytes_append_text(head, name);
    bytes_append_text(head, ": ");
    bytes_append_text(head, value);
    bytes_append_text(head, "\r\n");
}

void cors_append(const struct cors *cors, struct span origin, struct bytes *head)
{
    if (!allows_origin(cors, origin))
        return;
    bytes_append_text(head, "Access-Control-Allow-Origin: ");
    bytes_append_span(head, cors->any ? SPAN_LITERAL("*") : origin);
    bytes_append_text(head, "\r\n");
    if (cors->settings.credentials)
        append_line(head, "Access-Control-Allow-Credentials", "true");
    append_line(head, "Access-Control-Expose-Headers", cors->settings.expose);
}

/* "*" does not stand for Authorization (Fetch, section 3.2.4). */
static const char *headers_allowed(const struct cors *cors)
{
    bool any = list_has(cors->settings.headers, SPAN_LITERAL("*"));
    return any ? "*, Authorization" : cors->settings.headers;
}

void cors_append_preflight(const struct cors *cors, struct span origin, struct span methods,
                           struct bytes *head)
{
    if (!allows_origin(cors, origin))
        return;
    bytes_append_format(head, "Access-Control-Allow-Methods: %.*s\r\n", SPAN_PRINTF(methods));
    append_line(head, "Access-Control-Allow-Headers", headers_allowed(cors));
    bytes_append_format(head, "Access-Control-Max-Age: %" PRId64 "\r\n",
                        cors->settings.max_age / 1000000);
}
