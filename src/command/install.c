/*
 * larder install: what the routes read is watched by triggers in the database, all in one
 * transaction that is opened before the first look.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/duration.h"
#include "command/command.h"
#include "command/folder.h"
#include "command/install.h"
#include "db/install_survey.h"

/* For how long it is begun anew where others' locks are in the way, without --wait: µs. */
#define TRY_TIME (10 * INT64_C(1000000))

/*
 * How long locks are waited for once a table is held, all together, and each at least: µs. Who has
 * used one and waits for another that we hold looks for a deadlock after a second of that; by then
 * we have let go.
 */
#define HELD_TIME (800 * INT64_C(1000))
#define HELD_LEAST (200 * INT64_C(1000))

#define USAGE "[--print] [--remove] [--replica] [--no-module] [--to ROLE] [--wait DURATION] [DIR]"

struct call {
    bool print, remove, no_module;
    int64_t wait; /* µs; 0: not given */
    char *path;
    struct install_settings settings;
};

/* One run of the command; what is null is not there yet. */
struct run {
    struct call call;
    struct arena *arena;
    struct db_settings database;
    struct db_connection *connection;
    struct db_failure failure;
    struct install_place place;
    struct bytes watches; /* struct watch */
    struct install_table *tables;
    size_t table_count;
    const struct install_plan *plan;
    int64_t until;         /* monotonic µs: begun anew till then */
    int64_t held;          /* monotonic µs: since then a table is locked; 0: none */
    const char *in_way_of; /* the table whose lock was not had while another was held; null: none */
    bool alone;            /* the step at work needs its table with not even readers beside */
    bool again;
};

static int complain(const char *text)
{
    fprintf(stderr, "larder install: %s\n", text);
    return 1;
}

/* What helps where PostgreSQL denies something. */
static const char *remedy_of(const struct db_failure *failure)
{
    return strcmp(failure->sqlstate, "42501") == 0 ? "; run it as the owner, or as a superuser"
                                                   : "";
}

static int complain_failure(const struct db_failure *failure)
{
    fprintf(stderr, "larder install: %s%s\n",
            failure->kind == DB_FAILURE_MEMORY ? "out of memory" : failure->message,
            remedy_of(failure));
    return 1;
}

static bool flag_read(const char *word, struct call *call)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {{"--print", &call->print},
                 {"--remove", &call->remove},
                 {"--replica", &call->settings.always},
                 {"--no-module", &call->no_module}};
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++)
        if (strcmp(word, flags[i].word) == 0)
            return *flags[i].flag = true;
    return false;
}

static bool to_read(struct call *call, const char *text)
{
    call->settings.daemon = text;
    return true;
}

static bool wait_read(struct call *call, const char *text)
{
    struct error error;
    return duration_parse(span_of(text), &call->wait, &error) && call->wait > 0;
}

static const struct valued {
    const char *word, *needs;
    bool (*read)(struct call *call, const char *text);
} valued[] = {{"--to", "a role", to_read},
              {"--wait", "a duration above 0, as 30s or 5m", wait_read}};

static const struct valued *valued_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_COUNT(valued); i++)
        if (strcmp(word, valued[i].word) == 0)
            return &valued[i];
    return NULL;
}

static bool word_read(char *word, struct call *call)
{
    if (flag_read(word, call))
        return true;
    if (word[0] == '-' || call->path) {
        fprintf(stderr, "larder install: \"%s\" is not allowed; allowed: " USAGE "\n", word);
        return false;
    }
    call->path = word;
    return true;
}

static bool call_read(int count, char **arguments, struct call *call)
{
    for (int i = 1; i < count; i++) {
        const struct valued *row = valued_find(arguments[i]);
        if (row && (++i == count || !row->read(call, arguments[i]))) {
            fprintf(stderr, "larder install: %s needs %s; allowed: " USAGE "\n", row->word,
                    row->needs);
            return false;
        }
        if (!row && !word_read(arguments[i], call))
            return false;
    }
    return true;
}

static int watch_order(const void *left, const void *right)
{
    return watch_compare(left, right);
}

/* Only of answers that somebody keeps are changes to be told. */
static const struct depends *depends_kept(const struct command_folder *folder, size_t index)
{
    const struct route *route = route_table_at(folder->table, index);
    bool kept = route->cache.present || route->nginx_ttl;
    return kept && folder->learned[index] ? folder->learned[index]->depends : NULL;
}

static void watches_gather(const struct command_folder *folder, struct bytes *watches)
{
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        const struct depends *depends = depends_kept(folder, i);
        for (size_t j = 0; depends && j < depends->count; j++)
            if (depends->items[j].kind != 'f')
                bytes_append(watches, &depends->items[j].watch, sizeof(struct watch));
    }
}

/* Sorted, each once. */
static void watches_settle(struct bytes *watches)
{
    struct watch *items = (void *)watches->data;
    size_t count = watches->size / sizeof *items, kept = 0;
    if (count)
        qsort(items, count, sizeof *items, watch_order);
    for (size_t i = 0; i < count; i++)
        if (!kept || watch_compare(&items[kept - 1], &items[i]) != 0)
            items[kept++] = items[i];
    watches->size = kept * sizeof *items;
}

static int folder_judge(const struct command_folder *folder)
{
    if (folder->asked == ASKED_NOT)
        return complain("no database is configured: PGHOST, PGDATABASE, … say where it is");
    if (folder->asked == ASKED_FAILED)
        return complain_failure(&folder->failure);
    if (folder->faults.count == 0)
        return 0;
    fprintf(stderr, "larder install: %zu fault%s: \"larder check\" tells %s; nothing was changed\n",
            folder->faults.count, folder->faults.count == 1 ? "" : "s",
            folder->faults.count == 1 ? "it" : "them");
    return 1;
}

/* What the folder's routes read; the folder stays open, for the watches' texts are its own. */
static int watches_read(const struct options *options, char *name, struct run *run,
                        struct command_folder *folder)
{
    char *arguments[] = {name, run->call.path, NULL};
    int status =
        command_folder_begin(options, run->call.path ? 2 : 1, arguments, NULL, NULL, folder);
    if (status)
        return status;
    status = folder_judge(folder);
    if (status)
        return status;
    watches_gather(folder, &run->watches);
    watches_settle(&run->watches);
    return run->watches.failed ? complain("out of memory") : 0;
}

static const struct watch *watches_of(const struct run *run, size_t *ret_count)
{
    *ret_count = run->watches.size / sizeof(struct watch);
    return (const void *)run->watches.data;
}

/* Of the sorted watches those of the table; they follow each other. */
static const struct watch *watches_of_table(const struct run *run,
                                            const struct install_table *table, size_t *ret_count)
{
    size_t all, first = 0, count = 0;
    const struct watch *watches = watches_of(run, &all);
    for (size_t i = 0; i < all; i++) {
        bool own = strcmp(watches[i].schema, table->schema) == 0 &&
                   strcmp(watches[i].table, table->table) == 0;
        first = own && !count ? i : first;
        count += own;
    }
    *ret_count = count;
    return watches ? watches + first : NULL;
}

static bool want(struct run *run, struct bytes *things)
{
    for (size_t i = 0; i < run->table_count; i++) {
        size_t count;
        const struct watch *watches = watches_of_table(run, &run->tables[i], &count);
        if (!install_want_table(&run->tables[i], watches, count, &run->call.settings, run->arena,
                                things))
            return false;
    }
    return install_want_event_trigger(&run->call.settings, things);
}

static bool plan_make(struct run *run)
{
    struct bytes things CLEANUP(bytes_free) = BYTES_EMPTY;
    run->call.settings.event_trigger = run->place.superuser;
    run->call.settings.module = run->place.module.state == MODULE_READY;
    if (!run->call.remove && !want(run, &things))
        return false;
    const struct install_things wanted = {
        .items = (void *)arena_span(run->arena, bytes_span(&things)).data,
        .count = things.size / sizeof *wanted.items,
    };
    run->plan = run->call.remove
                    ? install_plan_remove(&run->place.state, run->arena)
                    : install_plan(&run->place.state, &wanted, &run->call.settings, run->arena);
    return wanted.items && run->plan;
}

/*
 * Larderd, and writers who hold what is kept, may come to the same tables in another order: all was
 * rolled back then, and can be done again.
 */
static bool may_go_again(struct run *run, const char *table)
{
    bool locked = (run->held || run->call.wait) && db_failure_is_lock(&run->failure);
    bool deadlock = strcmp(run->failure.sqlstate, "40P01") == 0;
    run->again = (locked || deadlock) && clock_monotonic() < run->until;
    if (locked && table && run->held)
        run->in_way_of = table;
    return run->again;
}

static const char *lock_hint(const struct run *run, const char *table)
{
    if (!table)
        return "another \"larder install\" is at work, or the outbox is in use";
    return run->held ? "others have used it, and never let go of it for as long as all the tables' "
                       "locks are waited for"
                     : "another transaction has used the table for more than 3 seconds";
}

/* Who uses it now may be another than who did. */
static void holder_tell(struct run *run, const char *table)
{
    const char *holder = NULL;
    struct db_failure failure;
    if (!table || !db_script(run->connection, "ROLLBACK", INSTALL_TIMEOUT, &failure) ||
        !install_survey_holder(run->connection, table, run->alone, run->arena, &holder, &failure))
        return;
    fprintf(stderr, "; now %s", holder ? holder : "nobody uses it");
}

/* One round trip; what went wrong is told with the table it was about. */
static int step_run(struct run *run, const char *sql, const char *table)
{
    if (db_script(run->connection, sql, INSTALL_TIMEOUT, &run->failure))
        return 0;
    if (may_go_again(run, table))
        return 1;
    fprintf(stderr, "larder install: %s%s%s", table ? table : "", table ? ": " : "",
            run->failure.message);
    if (db_failure_is_lock(&run->failure)) {
        fprintf(stderr, "; %s", lock_hint(run, table));
        holder_tell(run, table);
        fputs("; end what lasts, and run it again, with --wait for longer", stderr);
    }
    fprintf(stderr, "%s; nothing was changed\n", remedy_of(&run->failure));
    return 1;
}

/* Where it is not asked about it is not used. */
static bool survey_module(struct run *run)
{
    const char *given = run->call.settings.daemon;
    return run->call.remove || run->call.no_module ||
           module_survey(run->connection, given ? given : run->place.state.daemon, run->arena,
                         &run->place.module, &run->failure);
}

static int survey(struct run *run)
{
    size_t count;
    const struct watch *watches = watches_of(run, &count);
    if (!db_connect(&run->database, clock_monotonic() + INSTALL_CONNECT_TIMEOUT, &run->connection,
                    &run->failure))
        return complain_failure(&run->failure);
    int status = step_run(run, install_begin, NULL);
    if (status)
        return status;
    if (!install_survey_place(run->connection, run->arena, &run->place, &run->failure) ||
        !survey_module(run) ||
        !install_survey_tables(run->connection, watches, count, run->arena, &run->tables,
                               &run->table_count, &run->failure))
        return complain_failure(&run->failure);
    return plan_make(run) ? 0 : complain("out of memory");
}

static bool is_of(const struct install_step *step, const char *table)
{
    return step->table && table && strcmp(step->table, table) == 0;
}

/* The table that was in the way comes first among those that follow each other: nothing is held
 * then, so that it can be waited for. */
static void steps_order(const struct run *run)
{
    struct install_step *steps = run->plan->steps;
    size_t first = 0;
    for (size_t i = 0; i < run->plan->step_count; i++) {
        const struct install_step step = steps[i];
        if (!step.table)
            first = i + 1;
        if (!is_of(&step, run->in_way_of))
            continue;
        memmove(&steps[first + 1], &steps[first], (i - first) * sizeof *steps);
        steps[first++] = step;
    }
}

static int patience_set(struct run *run)
{
    char sql[64];
    int64_t left = run->held + HELD_TIME - clock_monotonic();
    snprintf(sql, sizeof sql, "SET LOCAL lock_timeout = %" PRId64 ";\n",
             (left > HELD_LEAST ? left : HELD_LEAST) / 1000);
    return step_run(run, sql, NULL);
}

static int steps_run(struct run *run)
{
    steps_order(run);
    for (size_t i = 0; i < run->plan->step_count; i++) {
        const struct install_step *step = &run->plan->steps[i];
        int status = run->held ? patience_set(run) : 0;
        run->alone = step->alone;
        if (!status)
            status = step_run(run, step->sql, step->table);
        if (status)
            return status;
        if (step->table && !run->held)
            run->held = clock_monotonic();
    }
    return step_run(run, install_commit, NULL);
}

static int steps_print(const struct run *run)
{
    if (run->plan->step_count == 0) {
        printf("-- There is nothing to do.\n");
        return 0;
    }
    printf("%s", install_begin);
    for (size_t i = 0; i < run->plan->step_count; i++)
        printf("\n%s", run->plan->steps[i].sql);
    printf("\n%s", install_commit);
    return 0;
}

/* From the first look to the COMMIT. */
static int transaction(struct run *run)
{
    int status = survey(run);
    if (!status)
        status =
            install_judge(&run->place, run->plan, run->tables, run->table_count, run->call.remove);
    if (status)
        return status;
    if (run->call.print)
        return steps_print(run);
    status = steps_run(run);
    if (!status)
        install_report(&run->place, run->plan, run->call.remove);
    return status;
}

static int work(const struct options *options, char *name, struct run *run,
                struct command_folder *folder)
{
    run->database = db_settings_of(options, INSTALL_TIMEOUT);
    int status = run->call.remove ? 0 : watches_read(options, name, run, folder);
    if (status)
        return status;
    run->until = clock_monotonic() + (run->call.wait ? run->call.wait : TRY_TIME);
    do {
        run->again = false;
        run->held = 0;
        db_disconnect(run->connection);
        run->connection = NULL;
        status = transaction(run);
    } while (run->again);
    return status;
}

int command_install(const struct options *options, int count, char **arguments)
{
    struct run run = {.arena = arena_new()};
    struct command_folder folder = {0};
    int status = 2;
    if (!run.arena)
        return complain("out of memory");
    if (call_read(count, arguments, &run.call))
        status = work(options, arguments[0], &run, &folder);
    db_disconnect(run.connection);
    bytes_free(&run.watches);
    if (folder.arena)
        command_folder_close(&folder);
    arena_free(run.arena);
    return status;
}
