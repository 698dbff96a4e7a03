#include "serve/fields.h"

/* How much of a name that the client made up is told back, and how many of the route's. */
#define NAME_SHOWN_MAX 64
#define NAMES_SHOWN_MAX 20

static const struct route *route_of(const struct binding *binding)
{
    return binding->exchange->served->route;
}

static struct arena *arena_of(const struct binding *binding)
{
    return binding->exchange->desk->arena;
}

static bool has_place(const struct binding *binding, enum param_place place)
{
    const struct route *route = route_of(binding);
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].place == place)
            return true;
    return false;
}

/* "title, content" */
static const char *names_of(const struct binding *binding)
{
    const struct route *route = route_of(binding);
    struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t shown = 0;
    for (size_t i = 0; i < route->param_count && shown < NAMES_SHOWN_MAX; i++)
        if (route->params[i].place == PLACE_BODY)
            bytes_append_format(&names, "%s%s", shown++ ? ", " : "", route->params[i].name);
    return names.failed ? NULL : arena_text(arena_of(binding), bytes_span(&names));
}

static void item_add(struct binding *binding, const char *name, const char *detail)
{
    if (!name || !detail)
        binding->failed = true;
    else
        binding->items[binding->item_count++] =
            (struct problem_item){.name = name, .in = "body", .detail = detail};
}

/* The fields the route does not have, the first of them. */
struct unknown {
    struct span names[BINDING_UNKNOWN_MAX];
    size_t count;
    bool welcome;
};

static void unknown_note(struct unknown *unknown, struct span name)
{
    if (!unknown->welcome && unknown->count < BINDING_UNKNOWN_MAX)
        unknown->names[unknown->count++] = name;
}

static void unknown_complain(struct binding *binding, const struct unknown *unknown)
{
    const char *names = unknown->count ? names_of(binding) : NULL;
    for (size_t i = 0; i < unknown->count; i++) {
        struct span name = unknown->names[i];
        bool cut = name.size > NAME_SHOWN_MAX;
        item_add(binding,
                 arena_format(arena_of(binding), "%.*s%s",
                              SPAN_PRINTF(span_first(name, cut ? NAME_SHOWN_MAX : name.size)),
                              cut ? "…" : ""),
                 names ? arena_format(arena_of(binding), "is no field of this route, which has %s",
                                      names)
                       : NULL);
    }
}

static void whole_bind(struct binding *binding, const struct json *value)
{
    const struct route *route = route_of(binding);
    for (size_t i = 0; i < route->param_count; i++) {
        if (route->params[i].place != PLACE_WHOLE_BODY)
            continue;
        struct span text = arena_span(arena_of(binding), value->text);
        binding->failed = binding->failed || !text.data;
        binding->by_param[i] = (struct value){.state = VALUE_TEXT, .text = text};
    }
}

static bool is_field(const struct param *param, const struct json *name)
{
    return param->place == PLACE_BODY && json_string_is(name, span_of(param->name));
}

/* The members by param; kept from one walk over what may be a megabyte. */
static void members_find(struct binding *binding, const struct json *object, struct json *given,
                         struct unknown *unknown)
{
    const struct route *route = route_of(binding);
    struct json_place place = {0};
    struct json name, value;
    while (json_next_member(object, &place, &name, &value)) {
        size_t at = 0;
        while (at < route->param_count && !is_field(&route->params[at], &name))
            at++;
        struct span text = {0};
        if (at < route->param_count)
            given[at] = value;
        else if (json_string(&name, arena_of(binding), &text))
            unknown_note(unknown, text);
    }
}

static void members_bind(struct binding *binding, const struct json *object)
{
    const struct route *route = route_of(binding);
    struct unknown unknown = {.welcome = has_place(binding, PLACE_WHOLE_BODY)};
    struct json *given = arena_array(arena_of(binding), route->param_count, sizeof *given);
    if (!given) {
        binding->failed = true;
        return;
    }
    members_find(binding, object, given, &unknown);
    for (size_t i = 0; i < route->param_count; i++) {
        if (route->params[i].place != PLACE_BODY)
            continue;
        if (given[i].text.data)
            binding_given_json(binding, i, &given[i]);
        else
            binding_absent(binding, i);
    }
    unknown_complain(binding, &unknown);
}

bool fields_bind_json(struct binding *binding, struct span body)
{
    struct error error;
    struct json value;
    if (!json_read(body, JSON_DEPTH_MAX, arena_of(binding), &value, &error)) {
        if (error.kind == ERROR_INVALID)
            exchange_problem(
                binding->exchange, 400,
                arena_format(arena_of(binding), "The body can't be read as JSON: %s.", error.text));
        else
            exchange_memory(binding->exchange);
        return false;
    }
    whole_bind(binding, &value);
    if (!has_place(binding, PLACE_BODY))
        return true;
    if (value.kind == JSON_OBJECT)
        members_bind(binding, &value);
    else
        item_add(binding, "body",
                 arena_format(arena_of(binding), "must be an object with the fields %s",
                              names_of(binding)));
    return true;
}

/* Might an empty text be one of its values? Of types without rules here PostgreSQL decides. */
static bool takes_empty(const struct param *param)
{
    bool text =
        param->type == TYPE_TEXT || param->type == TYPE_UNKNOWN || param->type == TYPE_OTHER;
    bool chosen = false;
    for (size_t i = 0; i < param->choice_count; i++)
        chosen = chosen || param->choices[i].size == 0;
    return param->array || (text && (!param->choice_count || chosen));
}

/* A browser sends a field of a form also where nothing was put into it. */
static bool left_empty(const struct param *param, const struct span *given, size_t count)
{
    bool optional = !param->required || param->default_text.data || param->default_null;
    return optional && count == 1 && !given[0].size && !takes_empty(param);
}

static void pairs_bind(struct binding *binding, const struct query_pair *pairs, size_t count)
{
    const struct route *route = route_of(binding);
    struct span given[QUERY_PAIRS_MAX];
    for (size_t i = 0; i < route->param_count; i++) {
        size_t found = 0;
        if (route->params[i].place != PLACE_BODY)
            continue;
        for (size_t at = 0; at < count; at++)
            if (span_is(pairs[at].name, route->params[i].name))
                given[found++] = pairs[at].value;
        if (found && !left_empty(&binding->learned->params[i], given, found))
            binding_given(binding, i, given, found);
        else
            binding_absent(binding, i);
    }
}

static bool is_known(const struct binding *binding, struct span name)
{
    const struct route *route = route_of(binding);
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].place == PLACE_BODY && span_is(name, route->params[i].name))
            return true;
    return false;
}

bool fields_bind_form(struct binding *binding, struct span body)
{
    struct error error;
    struct unknown unknown = {0};
    size_t count;
    struct query_pair *pairs = arena_array(arena_of(binding), QUERY_PAIRS_MAX, sizeof *pairs);
    if (!pairs) {
        exchange_memory(binding->exchange);
        return false;
    }
    if (!query_parse(body, arena_of(binding), pairs, QUERY_PAIRS_MAX, &count, &error)) {
        exchange_problem(
            binding->exchange, 400,
            arena_format(arena_of(binding), "The body can't be read as a form: %s.", error.text));
        return false;
    }
    pairs_bind(binding, pairs, count);
    for (size_t i = 0; i < count; i++)
        if (!is_known(binding, pairs[i].name))
            unknown_note(&unknown, pairs[i].name);
    unknown_complain(binding, &unknown);
    return true;
}

void fields_bind_none(struct binding *binding)
{
    const struct route *route = route_of(binding);
    for (size_t i = 0; i < route->param_count; i++) {
        if (route->params[i].place == PLACE_BODY)
            binding_absent(binding, i);
        else if (route->params[i].place == PLACE_WHOLE_BODY)
            binding_complain(binding, &route->params[i], "is required");
    }
}
