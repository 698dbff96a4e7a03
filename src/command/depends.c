/*
 * What the routes read, one line a table.
 */
#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "command/folder.h"

enum column {
    COLUMN_METHOD,
    COLUMN_PATH,
    COLUMN_TABLE,
    COLUMN_KIND,
    COLUMN_NARROWED,
    COLUMN_COLUMNS,
    COLUMN_COUNT
};

static const char *const titles[COLUMN_COUNT] = {"METHOD", "PATH",     "TABLE",
                                                 "KIND",   "NARROWED", "COLUMNS"};

struct line {
    const char *cells[COLUMN_COUNT];
};

static const char *kind_name(char kind)
{
    switch (kind) {
    case 'p':
        return "partitioned";
    case 'm':
        return "materialized";
    case 'f':
        return "foreign";
    default:
        return "table";
    }
}

static const char *text_keep(struct command_folder *folder, const struct bytes *text)
{
    const char *kept = text->failed ? NULL : arena_text(folder->arena, bytes_span(text));
    return kept ? kept : "";
}

static const char *table_text(struct command_folder *folder, const struct watch *watch)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_identifier(watch->schema, &text);
    bytes_append_byte(&text, '.');
    watch_append_identifier(watch->table, &text);
    return text_keep(folder, &text);
}

static const char *columns_text(struct command_folder *folder, const struct watch *watch)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < watch->column_count; i++) {
        bytes_append_text(&text, i ? ", " : "");
        watch_append_identifier(watch->columns[i], &text);
    }
    bytes_append_text(&text, watch->column_count ? "" : "(number of rows)");
    bytes_append_text(&text, watch->updates ? " (updates alone)" : "");
    return text_keep(folder, &text);
}

static void line_add(struct command_folder *folder, const struct route *route, struct bytes *lines)
{
    const char *path = arena_text(folder->arena, route->path);
    struct line line = {{route_method_names[route->method], path ? path : "", "-", "-", "-", "-"}};
    bytes_append(lines, &line, sizeof line);
}

static struct line *line_last(struct bytes *lines)
{
    return (struct line *)(void *)(lines->data + lines->size) - 1;
}

static void item_add(struct command_folder *folder, const struct route *route,
                     const struct dependency *item, struct bytes *lines)
{
    line_add(folder, route, lines);
    if (lines->failed)
        return;
    struct line *line = line_last(lines);
    line->cells[COLUMN_TABLE] = table_text(folder, &item->watch);
    line->cells[COLUMN_KIND] = kind_name(item->kind);
    line->cells[COLUMN_NARROWED] = item->note ? item->note : "-";
    line->cells[COLUMN_COLUMNS] = columns_text(folder, &item->watch);
}

/*
 * A route that reads nothing, or of which it is not known, has a line of its own; so has a
 * download, which nobody keeps, so that it is not asked what it reads.
 */
static void route_add(struct command_folder *folder, size_t index, struct bytes *lines)
{
    const struct route *route = route_table_at(folder->table, index);
    const struct learned *learned = folder->learned[index];
    const struct depends *depends = learned ? learned->depends : NULL;
    bool known =
        route->stream.format_count ||
        (depends && !(depends->hazard_count && depends->hazards[0].kind == HAZARD_REFUSED));
    size_t before = lines->size;
    for (size_t i = 0; depends && i < depends->count; i++)
        if (depends->items[i].part == DEPENDENCY_OWN)
            item_add(folder, route, &depends->items[i], lines);
    if (lines->size > before || lines->failed)
        return;
    line_add(folder, route, lines);
    if (!known && !lines->failed)
        line_last(lines)->cells[COLUMN_TABLE] = "?";
}

static void widths_take(const struct line *lines, size_t count, size_t widths[COLUMN_COUNT])
{
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        widths[column] = strlen(titles[column]);
        for (size_t i = 0; i < count; i++)
            if (strlen(lines[i].cells[column]) > widths[column])
                widths[column] = strlen(lines[i].cells[column]);
    }
}

static void print_line(const char *const cells[COLUMN_COUNT], const size_t widths[COLUMN_COUNT])
{
    for (size_t i = 0; i + 1 < COLUMN_COUNT; i++)
        printf("%-*s  ", (int)widths[i], cells[i]);
    printf("%s\n", cells[COLUMN_COUNT - 1]);
}

void command_print_depends(struct command_folder *folder)
{
    struct bytes lines CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t widths[COLUMN_COUNT];
    for (size_t i = 0; i < route_table_count(folder->table); i++)
        route_add(folder, i, &lines);
    const struct line *all = (const void *)lines.data;
    size_t count = lines.failed ? 0 : lines.size / sizeof *all;
    widths_take(all, count, widths);
    print_line(titles, widths);
    for (size_t i = 0; i < count; i++)
        print_line(all[i].cells, widths);
}
