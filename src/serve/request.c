#include "serve/request.h"

#include <ctype.h>
#include <stddef.h>

/* Which parameter goes where. */
static const struct parameter_row {
    struct span name;
    size_t offset;
} parameter_rows[] = {
#define ROW(text, field)                                                                           \
    {                                                                                              \
        SPAN_LITERAL(text), offsetof(struct request, field)                                        \
    }
    ROW("REQUEST_METHOD", method),
    ROW("REQUEST_URI", target),
    ROW("CONTENT_LENGTH", content_length),
    ROW("CONTENT_TYPE", content_type),
    ROW("HTTP_CONTENT_ENCODING", content_encoding),
    ROW("HTTP_ACCEPT", accept),
    ROW("HTTP_ACCEPT_ENCODING", accept_encoding),
    ROW("HTTP_AUTHORIZATION", authorization),
    ROW("REMOTE_ADDR", remote_address),
    ROW("HTTP_ORIGIN", origin),
    ROW("HTTP_ACCESS_CONTROL_REQUEST_METHOD", cors_method),
    ROW("HTTP_IF_MATCH", if_match),
    ROW("HTTP_IF_NONE_MATCH", if_none_match),
    ROW("HTTP_IF_MODIFIED_SINCE", if_modified_since),
    ROW("HTTP_IF_UNMODIFIED_SINCE", if_unmodified_since),
    ROW("HTTP_IDEMPOTENCY_KEY", idempotency_key),
    ROW("HTTP_PREFER", prefer),
    ROW("LARDER_NGINX", nginx),
    ROW("LARDER_EXPORT", export_location),
#undef ROW
};

#define ROW_COUNT (sizeof parameter_rows / sizeof parameter_rows[0])

static void take(struct request *request, struct span name, struct span value)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (span_equal(name, parameter_rows[i].name)) {
            *(struct span *)(void *)((char *)request + parameter_rows[i].offset) = value;
            return;
        }
}

void request_read(char *const *parameters, struct request *ret_request)
{
    struct request request = {.parameters = parameters};
    for (; parameters && *parameters; parameters++) {
        struct span whole = span_of(*parameters);
        size_t at = span_find(whole, '=');
        if (at == whole.size)
            continue;
        struct span name = span_first(whole, at);
        take(&request, name, span_from(whole, at + 1));
        if (span_starts(name, "HTTP_"))
            request.header_size += whole.size - (sizeof "HTTP_" - 1);
    }
    *ret_request = request;
}

bool request_content_length(const struct request *request, uint64_t *ret_length)
{
    struct span text = request->content_length;
    uint64_t length = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || length > UINT64_MAX / 10 - 1)
            return false;
        length = length * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_length = length;
    return true;
}

static bool header_is(const char *parameter, const char *name)
{
    for (; *name; name++, parameter++)
        if (*parameter != toupper((unsigned char)*name))
            return false;
    return *parameter == '=';
}

struct span request_header(const struct request *request, const char *name)
{
    for (char *const *at = request->parameters; at && *at; at++)
        if (strncmp(*at, "HTTP_", 5) == 0 && header_is(*at + 5, name))
            return span_of(*at + 5 + strlen(name) + 1);
    return (struct span){0};
}

size_t request_lines(const struct request *request, const char *parameter, struct span *ret_lines,
                     size_t most)
{
    size_t length = strlen(parameter), count = 0;
    for (char *const *at = request->parameters; at && *at; at++) {
        if (strncmp(*at, parameter, length) != 0 || (*at)[length] != '=')
            continue;
        if (count == most)
            memmove(ret_lines, ret_lines + 1, --count * sizeof *ret_lines);
        ret_lines[count++] = span_of(*at + length + 1);
    }
    return count;
}
