#include "serve/version.h"

#include "base/clock.h"
#include "base/digest.h"
#include "http/etag.h"
#include "serve/answer.h"
#include "serve/steps.h"

_Static_assert((VERSION_MAX * 4 + 2) / 3 == ENTRY_TAG_MAX - ENTRY_TAG_SIZE - 1,
               "a tag has room for a version");

/* A string's characters, or a number's digits; false: it is neither, or too long. */
static bool text_of(const struct json *value, struct arena *arena, struct span *ret_text)
{
    *ret_text = value->text;
    if (value->kind == JSON_STRING && !json_string(value, arena, ret_text))
        return false;
    return (value->kind == JSON_STRING || value->kind == JSON_NUMBER) && ret_text->size &&
           ret_text->size <= VERSION_MAX;
}

/* Base64url has '-', with which the suffixes of codings begin. */
static void letters_swap(char *text, char from, char to)
{
    for (; *text; text++)
        if (*text == from)
            *text = to;
}

void version_append(const struct route *route, struct span body, char tag[static ENTRY_TAG_MAX + 1])
{
    struct span version;
    struct json row, value;
    struct arena *arena = route->version.column.size && body.size ? arena_new() : NULL;
    if (!arena)
        return;
    row = json_of(body);
    if (json_member(&row, route->version.column, &value) && text_of(&value, arena, &version)) {
        tag[ENTRY_TAG_SIZE] = '.';
        digest_base64url((const unsigned char *)version.data, version.size,
                         tag + ENTRY_TAG_SIZE + 1);
        letters_swap(tag + ENTRY_TAG_SIZE + 1, '-', '+');
    }
    arena_free(arena);
}

static int sextet_of(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    return letter == '+' ? 62 : letter == '_' ? 63 : -1;
}

/* Whole bytes alone, and nothing that could not stand in a text. */
static bool decode(struct span letters, char ret_text[static VERSION_MAX + 1])
{
    unsigned held = 0, bits = 0;
    size_t size = 0;
    if (!letters.size || letters.size > ENTRY_TAG_MAX - ENTRY_TAG_SIZE - 1)
        return false;
    for (size_t i = 0; i < letters.size; i++) {
        int sextet = sextet_of(letters.data[i]);
        if (sextet < 0)
            return false;
        held = (held << 6 | (unsigned)sextet) & 0xfff;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        ret_text[size] = (char)(held >> bits & 0xff);
        if (!ret_text[size++])
            return false;
    }
    ret_text[size] = '\0';
    return size > 0;
}

/* The version in one entity tag; false: it is none of a read with @version. */
static bool tag_read(struct span opaque, char ret_text[static VERSION_MAX + 1])
{
    if (opaque.size <= ENTRY_TAG_SIZE || opaque.data[ENTRY_TAG_SIZE] != '.')
        return false;
    struct span letters = span_from(opaque, ENTRY_TAG_SIZE + 1);
    return decode(span_first(letters, span_find(letters, '-')), ret_text);
}

enum version_kind version_read(struct span if_match, char ret_text[static VERSION_MAX + 1])
{
    enum version_kind kind = VERSION_OTHER;
    struct etag tag;
    char text[VERSION_MAX + 1];
    if (span_is(span_trim(if_match), "*"))
        return VERSION_ANY;
    while (etag_next(&if_match, &tag)) {
        if (tag.weak || !tag_read(tag.opaque, text))
            continue;
        if (kind == VERSION_GIVEN && strcmp(text, ret_text) != 0)
            return VERSION_SEVERAL;
        strcpy(ret_text, text);
        kind = VERSION_GIVEN;
    }
    return kind;
}

static void given_take(struct exchange *exchange)
{
    char text[VERSION_MAX + 1];
    exchange->version_kind = version_read(exchange->request.if_match, text);
    if (exchange->version_kind == VERSION_SEVERAL)
        exchange_problem(exchange, 400, "If-Match must name one version of the resource, or be *.");
    if (exchange->version_kind != VERSION_GIVEN)
        return;
    exchange->version = arena_span(exchange->desk->arena, span_of(text));
    if (!exchange->version.data)
        exchange_memory(exchange);
}

void version_ask(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    if (route->method == METHOD_GET || !route->version.column.size)
        return;
    if (exchange->request.if_match.data)
        given_take(exchange);
    else if (route->version.required)
        exchange_problem(exchange, 428,
                         "Send If-Match with the ETag that a GET of the resource had, so that no "
                         "change made since is overwritten.");
}

bool version_asked(const struct exchange *exchange)
{
    return exchange->version_kind == VERSION_GIVEN || exchange->version_kind == VERSION_OTHER;
}

/* The read at the same path with the same query, by whoever asks; false: there is none. */
static bool read_begin(const struct exchange *exchange, struct exchange *ret_read)
{
    const struct route *route = exchange->match.by_method[METHOD_GET];
    if (!route || route->unserved & UNSERVED_REFUSED || !route->version.column.size)
        return false;
    *ret_read = (struct exchange){.desk = exchange->desk,
                                  .server = exchange->server,
                                  .phase = PHASE_SEEKING,
                                  .started = exchange->started,
                                  .now = clock_wall(),
                                  .request = exchange->request,
                                  .path = exchange->path,
                                  .query = exchange->query,
                                  .live = live_ref(exchange->live),
                                  .match = exchange->match,
                                  .accept = exchange->accept};
    ret_read->served = live_find(ret_read->live, route);
    ret_read->counters = ret_read->served->counters;
    ret_read->timeout =
        answer_timeout(route, options_number(exchange->server->options, OPTION_TIMEOUT));
    return true;
}

static void answer_passed(struct exchange *exchange, const char *tag)
{
    exchange_problem(exchange, 412,
                     "The resource does not have the version that If-Match names: read it again.");
    const char *value = tag ? arena_format(exchange->desk->arena, "\"%s\"", tag) : NULL;
    if (value)
        exchange_header(exchange, "ETag", value);
}

/* Is it the version asked for all the same? Then the row is not the client's to write. */
static bool has_version(const struct exchange *exchange, const char *tag)
{
    char text[VERSION_MAX + 1];
    return exchange->version_kind == VERSION_GIVEN && tag_read(span_of(tag), text) &&
           span_is(exchange->version, text);
}

static void answer_by(struct exchange *exchange, const struct exchange *read)
{
    bool filled = read->phase == PHASE_FILLED;
    struct entry_tag tag = entry_tag_of(&read->meta, CODING_IDENTITY);
    if ((filled ? read->meta.status : read->status) == 404 ||
        (filled && has_version(exchange, tag.text))) {
        const struct problem problem = answer_missing(exchange->served->route, exchange->path);
        exchange_problem_whole(exchange, &problem);
    } else {
        answer_passed(exchange, filled ? tag.text : NULL);
    }
}

void version_answer(struct exchange *exchange)
{
    struct exchange read;
    if (exchange->recording || !read_begin(exchange, &read)) {
        answer_passed(exchange, NULL);
        return;
    }
    static step_function *const ways[] = {step_authenticate, step_bind, step_query};
    for (size_t i = 0; i < ARRAY_COUNT(ways) && read.phase == PHASE_SEEKING; i++)
        ways[i](&read);
    answer_by(exchange, &read);
    exchange_end(&read);
}
