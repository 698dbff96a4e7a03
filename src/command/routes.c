#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/duration.h"
#include "command/command.h"
#include "command/folder.h"
#include "route/param.h"
#include "serve/live.h"

enum column {
    COLUMN_METHOD,
    COLUMN_PATH,
    COLUMN_PARAMETERS,
    COLUMN_AUTH,
    COLUMN_CACHE,
    COLUMN_CONTROL,
    COLUMN_COUNT
};

static const char *const titles[COLUMN_COUNT] = {"METHOD", "PATH",  "PARAMETERS",
                                                 "AUTH",   "CACHE", "CONTROL"};

static void append_type(const struct route *route, const struct learned *learned, size_t index,
                        struct bytes *out)
{
    const struct param *param = learned ? &learned->params[index] : &route->params[index];
    if (param->type == TYPE_UNKNOWN)
        bytes_append_text(out, "?");
    else if (param->type == TYPE_OTHER && param->type_name.size)
        bytes_append_span(out, param->type_name);
    else
        bytes_append_text(out, param_types[param->type].name);
    if (param->array)
        bytes_append_text(out, "[]");
}

static void append_default(const struct param *param, struct bytes *out)
{
    if (param->default_text.data)
        bytes_append_format(out, "=%.*s", SPAN_PRINTF(param->default_text));
    else if (param->default_null || (param->place == PLACE_BODY && !param->required))
        bytes_append_text(out, "=null");
}

static void cell_parameters(const struct route *route, const struct learned *learned,
                            struct bytes *out)
{
    for (size_t i = 0; i < route->param_count; i++) {
        bytes_append_format(out, "%s%s ", i ? ", " : "", route->params[i].name);
        append_type(route, learned, i, out);
        append_default(&route->params[i], out);
    }
    if (route->param_count == 0)
        bytes_append_text(out, "-");
}

static void cell_auth(const struct route_auth *auth, struct bytes *out)
{
    static const char *const words[] = {
        [AUTH_NONE] = "-", [AUTH_OPTIONAL] = "optional", [AUTH_REQUIRED] = "required"};
    bytes_append_text(out, words[auth->kind]);
    if (auth->role.size)
        bytes_append_format(out, " role=%.*s", SPAN_PRINTF(auth->role));
    if (auth->rls)
        bytes_append_text(out, " rls");
}

static void append_duration(const char *name, int64_t duration, struct bytes *out)
{
    char text[32];
    if (duration)
        bytes_append_format(out, "%s%s=%s", out->size ? " " : "", name,
                            duration_format(duration, text));
}

static void cell_cache(const struct route *route, struct bytes *out)
{
    const struct route_cache *cache = &route->cache;
    append_duration("ttl", cache->ttl, out);
    append_duration("stale", cache->stale, out);
    append_duration("error", cache->error, out);
    append_duration("negative", cache->negative, out);
    if (!cache->present)
        bytes_append_text(out, "-");
}

/* Nobody keeps the answer to a write, a download, nor a value that may be set anew at any time. */
static struct span control_of(const struct route *route)
{
    if (route->control.size)
        return route->control;
    bool kept_by_none =
        route->method != METHOD_GET || route->kv.kind != KV_NONE || route->stream.format_count;
    return kept_by_none ? SPAN_LITERAL("no-store") : SPAN_LITERAL("no-cache");
}

static void cells_fill(const struct route *route, const struct learned *learned,
                       struct bytes cells[COLUMN_COUNT])
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        bytes_clear(&cells[i]);
    bytes_append_text(&cells[COLUMN_METHOD], route_method_names[route->method]);
    bytes_append_span(&cells[COLUMN_PATH], route->path);
    cell_parameters(route, learned, &cells[COLUMN_PARAMETERS]);
    cell_auth(&route->auth, &cells[COLUMN_AUTH]);
    cell_cache(route, &cells[COLUMN_CACHE]);
    if (live_adds_private(route, control_of(route)))
        bytes_append_text(&cells[COLUMN_CONTROL], "private, ");
    bytes_append_span(&cells[COLUMN_CONTROL], control_of(route));
}

static void widths_take(const struct command_folder *folder, struct bytes cells[COLUMN_COUNT],
                        size_t widths[COLUMN_COUNT])
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        widths[i] = strlen(titles[i]);
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        cells_fill(route_table_at(folder->table, i), folder->learned[i], cells);
        for (size_t column = 0; column < COLUMN_COUNT; column++)
            if (cells[column].size > widths[column])
                widths[column] = cells[column].size;
    }
}

/* What stands between two columns. */
#define GAP 2

/*
 * What a column gives, down to how many bytes, where the terminal is too narrow, one after the
 * other. A terminal that is still too narrow then breaks the lines itself.
 */
static const struct {
    enum column column;
    size_t least;
} giving[] = {{COLUMN_PARAMETERS, 24},
              {COLUMN_CACHE, 11},
              {COLUMN_CONTROL, 12},
              {COLUMN_AUTH, 8},
              {COLUMN_PARAMETERS, 12}};

/* 0: standard output is no terminal, and its lines may be as long as they are. */
static size_t terminal_width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void widths_fit(size_t widths[COLUMN_COUNT])
{
    size_t width = terminal_width(), wanted = (COLUMN_COUNT - 1) * (size_t)GAP;
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        wanted += widths[i];
    for (size_t i = 0; width && wanted > width && i < ARRAY_COUNT(giving); i++) {
        size_t *own = &widths[giving[i].column];
        size_t spare = *own > giving[i].least ? *own - giving[i].least : 0;
        size_t given = spare < wanted - width ? spare : wanted - width;
        *own -= given;
        wanted -= given;
    }
}

/* As many whole parts as fit, one word at least: up to a comma, or else to a space. */
static struct span line_take(struct span *rest, size_t width)
{
    struct span all = *rest;
    size_t comma = 0, space = 0;
    for (size_t i = 1; all.size > width && i < all.size && (i <= width || !space); i++) {
        if (all.data[i] != ' ')
            continue;
        space = i;
        if (i <= width && all.data[i - 1] == ',')
            comma = i;
    }
    size_t end = comma ? comma : space;
    *rest = end ? span_from(all, end + 1) : (struct span){0};
    return end ? span_first(all, end) : all;
}

/* One line of it, what is left of any column for the next. Is there any? */
static bool print_line(struct span rests[COLUMN_COUNT], const size_t widths[COLUMN_COUNT])
{
    struct span lines[COLUMN_COUNT];
    size_t last = 0;
    bool more = false;
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        lines[i] = line_take(&rests[i], widths[i]);
        last = lines[i].size ? i : last;
        more = more || rests[i].size;
    }
    for (size_t i = 0; i <= last; i++)
        printf("%-*.*s%s", i == last ? 0 : (int)widths[i], SPAN_PRINTF(lines[i]),
               i == last ? "\n" : "  ");
    return more;
}

static void print_row(const char *const texts[COLUMN_COUNT], const size_t widths[COLUMN_COUNT])
{
    struct span rests[COLUMN_COUNT];
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        rests[i] = span_of(texts[i]);
    while (print_line(rests, widths))
        continue;
}

static void print_table(const struct command_folder *folder)
{
    struct bytes cells[COLUMN_COUNT] = {0};
    size_t widths[COLUMN_COUNT];
    widths_take(folder, cells, widths);
    widths_fit(widths);
    print_row(titles, widths);
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        const char *texts[COLUMN_COUNT];
        cells_fill(route_table_at(folder->table, i), folder->learned[i], cells);
        for (size_t column = 0; column < COLUMN_COUNT; column++)
            texts[column] = bytes_text(&cells[column]);
        print_row(texts, widths);
    }
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        bytes_free(&cells[i]);
}

int command_routes(const struct options *options, int count, char **arguments)
{
    struct command_folder folder;
    bool depends;
    int status = command_folder_begin(options, count, arguments, "--depends", &depends, &folder);
    if (status)
        return status;
    if (depends)
        command_print_depends(&folder);
    else
        print_table(&folder);
    if (folder.asked == ASKED_FAILED)
        fprintf(stderr, "larder routes: %s, PostgreSQL was not asked: %s\n",
                depends ? "what is read is not known" : "types are the files' own",
                folder.failure.message);
    size_t faults = folder.faults.count;
    if (faults)
        fprintf(stderr, "larder routes: %zu fault%s: \"larder check\" tells %s\n", faults,
                faults == 1 ? "" : "s", faults == 1 ? "it" : "them");
    command_folder_close(&folder);
    return faults ? 1 : 0;
}
