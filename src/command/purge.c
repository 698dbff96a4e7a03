/*
 * Strikes kept answers by hand: by tag, by table, or all of them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cache/bump.h"
#include "command/command.h"
#include "command/folder.h"
#include "db/watches.h"

#define USAGE "[--all] [--table TABLE]... [TAG]..."

/* How long Redis, and PostgreSQL, may take: µs. */
#define PATIENCE (5 * INT64_C(1000000))

/* A tag that a route or a table makes is far shorter. */
#define TAG_MAX 1024

struct purge {
    const struct options *options;
    struct arena *arena;
    struct bytes tags;   /* struct span */
    struct bytes tables; /* const char * */
    bool failed;         /* memory */
};

static const struct span *tags_of(const struct purge *purge, size_t *ret_count)
{
    *ret_count = purge->tags.size / sizeof(struct span);
    return (const void *)purge->tags.data;
}

/* Each tag once. */
static void tag_add(void *context, struct span tag)
{
    struct purge *purge = context;
    size_t count;
    const struct span *tags = tags_of(purge, &count);
    for (size_t i = 0; i < count; i++)
        if (span_equal(tags[i], tag))
            return;
    struct span copy = arena_span(purge->arena, tag);
    purge->failed = purge->failed || !copy.data;
    bytes_append(&purge->tags, &copy, sizeof copy);
}

/* Reading the call */

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return true;
    return false;
}

static bool tag_allowed(struct span tag)
{
    if (tag.size && tag.size <= TAG_MAX && !has_control(tag))
        return true;
    if (!tag.size)
        fprintf(stderr, "larder purge: a tag is empty");
    else if (tag.size > TAG_MAX)
        fprintf(stderr, "larder purge: the tag \"%.40s…\" has %zu bytes", tag.data, tag.size);
    else
        fprintf(stderr, "larder purge: a tag has a control character");
    fprintf(stderr, "; allowed: 1 to %d bytes without control characters\n", TAG_MAX);
    return false;
}

static bool not_allowed(const char *word)
{
    fprintf(stderr, "larder purge: \"%s\" is not allowed; allowed: " USAGE "\n", word);
    return false;
}

static bool table_take(struct purge *purge, const char *name)
{
    if (!name || !*name) {
        fprintf(stderr, "larder purge: --table needs a table's name, as in social.users\n");
        return false;
    }
    bytes_append(&purge->tables, &name, sizeof name);
    return true;
}

static bool tag_take(struct purge *purge, const char *word)
{
    if (!tag_allowed(span_of(word)))
        return false;
    tag_add(purge, span_of(word));
    return true;
}

static bool arguments_read(struct purge *purge, int count, char **arguments)
{
    bool words = false; /* after "--" */
    bool good = true;
    for (int i = 1; good && i < count; i++) {
        const char *word = arguments[i];
        if (words || word[0] != '-')
            good = tag_take(purge, word);
        else if (strcmp(word, "--") == 0)
            words = true;
        else if (strcmp(word, "--all") == 0)
            good = tag_take(purge, CACHE_TAG_ALL);
        else if (strcmp(word, "--table") == 0)
            good = table_take(purge, arguments[++i]);
        else
            good = not_allowed(word);
    }
    if (good && !purge->tags.size && !purge->tables.size) {
        fprintf(stderr, "larder purge: nothing is named; allowed: " USAGE "\n");
        good = false;
    }
    return good;
}

/* From tables to tags */

static bool same_table(const struct watch *watch, const struct table_name *table)
{
    return strcmp(watch->schema, table->schema) == 0 && strcmp(watch->table, table->name) == 0;
}

static void watch_take(struct purge *purge, const struct watch *watch)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_own_tag(watch, &text);
    purge->failed = purge->failed || text.failed;
    tag_add(purge, bytes_span(&text));
}

/* What the routes read, whether or not triggers were installed for it. */
static void routes_take(struct purge *purge, const struct command_folder *folder,
                        const struct table_name *table)
{
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        const struct learned *learned = folder->learned[i];
        const struct depends *depends = learned ? learned->depends : NULL;
        for (size_t j = 0; depends && j < depends->count; j++)
            if (same_table(&depends->items[j].watch, table))
                watch_take(purge, &depends->items[j].watch);
    }
}

static bool database_failed(const struct db_failure *failure)
{
    fprintf(stderr, "larder purge: PostgreSQL: %s\n", failure->message);
    return false;
}

/* Who leaves the schema out is told of the table that the routes read. */
static void print_no_table(const struct command_folder *folder, const char *name)
{
    const struct watch *meant = NULL;
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        const struct learned *learned = folder->learned[i];
        const struct depends *depends = learned ? learned->depends : NULL;
        for (size_t j = 0; depends && j < depends->count; j++)
            if (strcmp(depends->items[j].watch.table, name) == 0)
                meant = &depends->items[j].watch;
    }
    fprintf(stderr, "larder purge: PostgreSQL has no table \"%s\"%s%s%s%s\n", name,
            meant ? " in its search_path; the routes read " : "", meant ? meant->schema : "",
            meant ? "." : "", meant ? meant->table : "");
}

static bool table_purge(struct purge *purge, const struct command_folder *folder,
                        struct db_connection *connection, const char *name)
{
    struct table_name *tables;
    size_t count, before = purge->tags.size;
    struct db_failure failure;
    if (!watches_tables(connection, name, purge->arena, &tables, &count, &failure))
        return database_failed(&failure);
    if (!count) {
        print_no_table(folder, name);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!watches_tags(connection, &tables[i], tag_add, purge, &failure))
            return database_failed(&failure);
        routes_take(purge, folder, &tables[i]);
    }
    if (purge->tags.size == before)
        fprintf(stderr,
                "larder purge: no route in %s reads \"%s\", and larder.watch has no row of it\n",
                options_text(purge->options, OPTION_ROUTES), name);
    return purge->tags.size > before;
}

static bool tables_purge(struct purge *purge, const struct command_folder *folder)
{
    const struct db_settings settings = db_settings_of(purge->options, PATIENCE);
    struct db_connection *connection;
    struct db_failure failure;
    if (!db_connect(&settings, clock_monotonic() + PATIENCE, &connection, &failure))
        return database_failed(&failure);
    const char *const *names = (const void *)purge->tables.data;
    bool good = true;
    for (size_t i = 0; good && i < purge->tables.size / sizeof *names; i++)
        good = table_purge(purge, folder, connection, names[i]);
    db_disconnect(connection);
    return good;
}

static bool tables_resolve(struct purge *purge)
{
    struct command_folder folder;
    if (!purge->tables.size)
        return true;
    if (!command_folder_open(purge->options, options_text(purge->options, OPTION_ROUTES), false,
                             &folder)) {
        purge->failed = true;
        return false;
    }
    bool good = tables_purge(purge, &folder);
    command_folder_close(&folder);
    return good;
}

/* Striking */

static void print_struck(const struct span *tags, size_t count, int64_t clock)
{
    if (count == 1 && span_is(tags[0], CACHE_TAG_ALL)) {
        printf("struck everything (the tag \"*\") at clock %" PRId64 "\n", clock);
        return;
    }
    printf("struck %zu tag%s at clock %" PRId64 ":", count, count == 1 ? "" : "s", clock);
    for (size_t i = 0; i < count; i++)
        printf("%s \"%.*s\"", i ? "," : "", SPAN_PRINTF(tags[i]));
    printf("\n");
}

static bool bump(struct purge *purge, struct redis_resolver *resolver,
                 struct redis_connection *connection, struct error *error)
{
    size_t count;
    const struct span *tags = tags_of(purge, &count);
    int64_t clock;
    if (redis_resolver_needed(resolver) && !redis_resolver_refresh(resolver, error))
        return false;
    if (!cache_bump(connection, options_text(purge->options, OPTION_PREFIX), tags, count,
                    clock_monotonic() + PATIENCE, &clock, error))
        return false;
    print_struck(tags, count, clock);
    return true;
}

static bool strike(struct purge *purge, struct error *error)
{
    struct redis_address address;
    if (!*options_text(purge->options, OPTION_REDIS))
        return error_set(error, ERROR_INVALID, "LARDER_REDIS is not set: nothing is kept anywhere");
    if (!redis_address_of(purge->options, OPTION_REDIS, purge->arena, &address, error))
        return false;
    struct redis_resolver *resolver = redis_resolver_new(&address);
    struct redis_connection *connection =
        resolver ? redis_connection_new(&address, resolver) : NULL;
    bool done = connection ? bump(purge, resolver, connection, error) : error_set_memory(error);
    redis_connection_free(connection);
    redis_resolver_free(resolver);
    return done;
}

static int purge_run(struct purge *purge, int count, char **arguments)
{
    struct error error = {0};
    if (!arguments_read(purge, count, arguments))
        return 2;
    bool named = tables_resolve(purge);
    if (purge->failed || purge->tags.failed || purge->tables.failed)
        error_set_memory(&error);
    else if (named && strike(purge, &error))
        return 0;
    if (*error.text)
        fprintf(stderr, "larder purge: %s\n", error.text);
    return 1;
}

int command_purge(const struct options *options, int count, char **arguments)
{
    struct purge purge = {.options = options, .arena = arena_new()};
    int status = 1;
    if (purge.arena)
        status = purge_run(&purge, count, arguments);
    else
        fprintf(stderr, "larder purge: out of memory\n");
    bytes_free(&purge.tags);
    bytes_free(&purge.tables);
    arena_free(purge.arena);
    return status;
}
