/*
 * Any bytes as a statement: what is no placeholder is kept byte for byte, and positions lead back
 * to where they came from.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "route/statement.h"
#include "route/statement_kind.h"

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void statement_check(const struct statement *statement, struct span text)
{
    size_t file = statement->file_offset, sql = 0;
    for (size_t i = 0; i < statement->placeholder_count; i++) {
        const struct placeholder *placeholder = &statement->placeholders[i];
        char number[16];
        size_t gap = placeholder->offset - file;
        must(memcmp(text.data + file, statement->sql.data + sql, gap) == 0);
        sql += gap;
        int width = snprintf(number, sizeof number, "$%u", placeholder->number);
        must(memcmp(statement->sql.data + sql, number, (size_t)width) == 0);
        must(placeholder->number >= 1 && placeholder->number <= statement->parameter_count);
        sql += (size_t)width;
        file = placeholder->offset + placeholder->length;
    }
    size_t rest = statement->sql.size - sql;
    must(file + rest <= text.size);
    must(rest == 0 || memcmp(text.data + file, statement->sql.data + sql, rest) == 0);
}

/* The same bytes as a write: each statement stands behind the one before it. */
static void write_check(struct span text, size_t start, struct arena *arena)
{
    struct fault_list faults = {.arena = arena};
    struct statement *all;
    size_t count, at = start;
    if (statement_parse_all("fuzz.sql", text, start, arena, &faults, &all, &count)) {
        must(faults.count == 0 && count <= STATEMENTS_MAX);
        for (size_t i = 0; i < count; i++) {
            must(all[i].sql.size > 0 && all[i].file_offset >= at);
            statement_check(&all[i], text);
            must(statement_problem(all[i].sql) == NULL);
            must(statement_main(all[i].sql) < all[i].sql.size);
            at = all[i].file_offset + 1;
        }
    } else {
        must(faults.count > 0);
    }
    statement_main(text);
    statement_deletes(text);
    fault_list_free(&faults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.data = (const char *)data, .size = size};
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct statement statement;
    size_t start = size > 8 ? data[0] % 8 : 0;
    if (statement_parse("fuzz.sql", text, start, arena, &faults, &statement)) {
        unsigned line, column;
        must(faults.count == 0);
        statement_check(&statement, text);
        for (size_t position = 0; position < 20; position++)
            statement_locate(&statement, text, position, &line, &column);
    } else {
        must(faults.count > 0);
    }
    fault_list_free(&faults);
    write_check(text, start, arena);
    arena_free(arena);
    return 0;
}
