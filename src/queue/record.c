#include "queue/record.h"

#include "base/json.h"

static void values_write(const struct route *route, const struct value *values, struct bytes *out)
{
    const char *comma = "";
    for (size_t i = 0; i < route->param_count; i++) {
        if (values[i].state == VALUE_ABSENT)
            continue;
        bytes_append_text(out, comma);
        json_write_string(span_of(route->params[i].name), out);
        bytes_append_byte(out, ':');
        if (values[i].state == VALUE_TEXT)
            json_write_string(values[i].text, out);
        else
            bytes_append_text(out, "null");
        comma = ",";
    }
}

static void member_write(const char *name, const char *text, struct bytes *out)
{
    if (!text)
        return;
    bytes_append_format(out, ",\"%s\":", name);
    json_write_string(span_of(text), out);
}

void queue_record_write(const struct route *route, const struct queue_record *record,
                        struct bytes *out)
{
    bytes_append_text(out, "{\"values\":{");
    values_write(route, record->values, out);
    bytes_append_byte(out, '}');
    member_write("role", record->role, out);
    member_write("claims", record->claims, out);
    bytes_append_byte(out, '}');
}

static bool value_read(const struct json *json, struct arena *arena, struct value *ret_value,
                       struct error *error)
{
    struct value value = {.state = VALUE_NULL};
    if (json->kind == JSON_STRING) {
        value.state = VALUE_TEXT;
        if (!json_string(json, arena, &value.text))
            return error_set_memory(error);
    } else if (json->kind != JSON_NULL) {
        return error_set(error, ERROR_INVALID, "a value is neither text nor null");
    }
    *ret_value = value;
    return true;
}

static int param_find(const struct route *route, const struct json *name)
{
    for (size_t i = 0; i < route->param_count; i++)
        if (json_string_is(name, span_of(route->params[i].name)))
            return (int)i;
    return -1;
}

static bool lacking(const struct route *route, const struct value *values, struct error *error)
{
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].required && values[i].state == VALUE_ABSENT)
            return error_set(error, ERROR_INVALID, "the route needs %s now, which has no value",
                             route->params[i].name);
    return true;
}

static bool values_read(const struct json *object, const struct route *route, struct arena *arena,
                        struct value *values, struct error *error)
{
    struct json_place place = {0};
    struct json name, value;
    while (json_next_member(object, &place, &name, &value)) {
        int at = param_find(route, &name);
        if (at < 0)
            return error_set(error, ERROR_INVALID, "the route has no parameter %.*s now",
                             SPAN_PRINTF(name.text));
        if (!value_read(&value, arena, &values[at], error))
            return false;
    }
    return lacking(route, values, error);
}

/* A member that is a text, or none. */
static bool text_read(const struct json *document, const char *name, struct arena *arena,
                      const char **ret_text, struct error *error)
{
    struct json member;
    struct span text = {0};
    if (json_member(document, span_of(name), &member)) {
        if (member.kind != JSON_STRING)
            return error_set(error, ERROR_INVALID, "its %s is no text", name);
        if (!json_string(&member, arena, &text))
            return error_set_memory(error);
    }
    *ret_text = text.data;
    return true;
}

bool queue_record_read(struct span text, const struct route *route, struct arena *arena,
                       struct queue_record *ret_record, struct error *error)
{
    struct json document, object;
    struct queue_record record = {0};
    struct value *values = arena_array(arena, route->param_count, sizeof *values);
    if (!values)
        return error_set_memory(error);
    if (!json_read(text, JSON_DEPTH_MAX, arena, &document, error))
        return false;
    if (!json_member(&document, SPAN_LITERAL("values"), &object) || object.kind != JSON_OBJECT)
        return error_set(error, ERROR_INVALID, "it has no values");
    if (!values_read(&object, route, arena, values, error) ||
        !text_read(&document, "role", arena, &record.role, error) ||
        !text_read(&document, "claims", arena, &record.claims, error))
        return false;
    record.values = values;
    *ret_record = record;
    return true;
}
