#include "db/narrow.h"

#include <stdlib.h>
#include <string.h>

#include "route/sql_scan.h"

_Static_assert(ROUTE_DEPEND_TERMS == WATCH_NARROW_MAX, "a line's terms are a watch's columns");

/* OIDs of pg_type that never change. */
enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25 };
enum { OID_VARCHAR = 1043, OID_UUID = 2950 };

#define ALLOWED_TYPES                                                                              \
    "smallint, integer, bigint, text, varchar, uuid, boolean or an enum, since equal values must " \
    "have one text"

/* What all checks of one line share. */
struct line {
    const struct narrow_question *question;
    const struct route_depend *depend;
    struct reads *reads;
    const struct read_table *table;
    bool refused;
    bool failed; /* the failure is set */
};

static bool memory(const struct narrow_question *question)
{
    return db_failure_set(question->failure, DB_FAILURE_MEMORY, "out of memory");
}

static bool line_memory(struct line *line)
{
    line->failed = true;
    return memory(line->question);
}

#define LINE_FAULT(of, ...)                                                                        \
    fault_add((of)->question->faults, (of)->question->route->file, (of)->depend->line, 0,          \
              "@depends: " __VA_ARGS__)

/* The name an identifier means: unquoted, or in small letters. Null: memory. */
static char *name_of(struct span written, struct arena *arena)
{
    char *name = arena_text(arena, written);
    bool quoted = written.size && written.data[0] == '"';
    size_t size = 0;
    if (!name)
        return NULL;
    for (size_t i = quoted; i + quoted < written.size; i++) {
        char byte = written.data[i];
        name[size++] = !quoted && byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
        i += quoted && byte == '"';
    }
    name[size] = '\0';
    return name;
}

/* Parts "schema.table" or "table"; the schema is null where it is not written. */
static bool table_name_split(struct span written, struct arena *arena, const char **ret_schema,
                             const char **ret_table)
{
    bool quoted = written.size && written.data[0] == '"';
    size_t end = quoted ? sql_scan_quoted(written, 0) : sql_scan_word(written, 0);
    bool qualified = end < written.size;
    *ret_schema = qualified ? name_of(span_first(written, end), arena) : NULL;
    *ret_table = name_of(qualified ? span_from(written, end + 1) : written, arena);
    return *ret_table && (!qualified || *ret_schema);
}

static void append_list(struct bytes *out, const char *item)
{
    bytes_append_text(out, out->size ? ", " : "");
    watch_append_identifier(item, out);
}

static void append_table(struct bytes *out, const struct read_table *table)
{
    append_list(out, table->schema);
    bytes_append_byte(out, '.');
    watch_append_identifier(table->name, out);
}

static bool table_fits(const struct read_table *table, const char *schema, const char *name)
{
    return strcmp(table->name, name) == 0 && (!schema || strcmp(table->schema, schema) == 0);
}

/* All tables that are read, or those of one name. */
static void append_tables(struct bytes *out, const struct reads *reads, const char *name)
{
    for (size_t i = 0; i < reads->table_count; i++)
        if (!name || table_fits(&reads->tables[i], NULL, name))
            append_table(out, &reads->tables[i]);
}

static bool reads_add(struct line *line, const struct read_table *table)
{
    struct reads *reads = line->reads;
    struct read_table *tables =
        arena_array(line->question->arena, reads->table_count + 1, sizeof *tables);
    if (!tables)
        return memory(line->question);
    if (reads->table_count)
        memcpy(tables, reads->tables, reads->table_count * sizeof *tables);
    tables[reads->table_count] = *table;
    line->table = &tables[reads->table_count++];
    reads->tables = tables;
    return true;
}

/* The role may not look there, say. The transaction is over then: nothing more can be asked. */
static bool refused_fault(struct line *line)
{
    const struct db_failure *failure = line->question->failure;
    if (failure->kind != DB_FAILURE_STATEMENT && failure->kind != DB_FAILURE_FORBIDDEN)
        return false;
    LINE_FAULT(line, "PostgreSQL: %s", failure->message);
    line->refused = true;
    return true;
}

/* The function that hides its reads may read this table. */
static bool table_find_hidden(struct line *line)
{
    const struct narrow_question *question = line->question;
    const char *name = arena_text(question->arena, line->depend->table);
    struct read_table *table = NULL;
    if (!name)
        return memory(question);
    if (!tables_find(question->connection, name, question->arena, &table, question->failure))
        return refused_fault(line);
    if (table && table->kind != 'S' && !table->system)
        return reads_add(line, table);
    LINE_FAULT(line, "there is no table \"%s\"", name);
    return true;
}

static bool table_not_found(struct line *line)
{
    struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
    if (line->reads->hidden)
        return table_find_hidden(line);
    append_tables(&names, line->reads, NULL);
    LINE_FAULT(line, "the statement does not read the table \"%.*s\"; it reads %s",
               SPAN_PRINTF(line->depend->table), names.size ? bytes_text(&names) : "none");
    return true;
}

/* Leaves line->table null after a fault. */
static bool table_resolve(struct line *line)
{
    const char *schema, *name;
    size_t found = 0;
    if (!table_name_split(line->depend->table, line->question->arena, &schema, &name))
        return memory(line->question);
    for (size_t i = 0; i < line->reads->table_count; i++)
        if (table_fits(&line->reads->tables[i], schema, name)) {
            line->table = &line->reads->tables[i];
            found++;
        }
    if (found == 0)
        return table_not_found(line);
    if (found > 1) {
        struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
        append_tables(&names, line->reads, name);
        LINE_FAULT(line, "\"%.*s\" is the name of several tables that are read: write one of %s",
                   SPAN_PRINTF(line->depend->table), bytes_text(&names));
        line->table = NULL;
    }
    return true;
}

/* All columns, or those that are read. */
static void append_columns(struct bytes *out, const struct read_table *table, bool read)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (!read || table->columns[i].read)
            append_list(out, table->columns[i].name);
}

static const struct read_column *column_find(const struct line *line, const char *name)
{
    struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < line->table->column_count; i++)
        if (strcmp(line->table->columns[i].name, name) == 0)
            return &line->table->columns[i];
    append_columns(&names, line->table, false);
    LINE_FAULT(line, "%s.%s has no column \"%s\"; it has %s", line->table->schema,
               line->table->name, name, names.size ? bytes_text(&names) : "none");
    return NULL;
}

static bool column_type_check(struct line *line, const struct read_column *column)
{
    static const uint32_t allowed[] = {OID_BOOL, OID_INT8,    OID_INT2, OID_INT4,
                                       OID_TEXT, OID_VARCHAR, OID_UUID};
    bool good = column->is_enum;
    for (size_t i = 0; i < ARRAY_COUNT(allowed); i++)
        good = good || column->type == allowed[i];
    if (!good)
        LINE_FAULT(line, "%s.%s is of type %s; a column to narrow by must be " ALLOWED_TYPES,
                   line->table->name, column->name, column->type_name);
    else if (!column->exact)
        LINE_FAULT(line,
                   "%s.%s has a collation that takes different texts for equal; a column to "
                   "narrow by must be " ALLOWED_TYPES,
                   line->table->name, column->name);
    return good && column->exact;
}

/* Types whose equal values have equal texts are as one. */
static uint32_t type_class(uint32_t type)
{
    switch (type) {
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        return OID_INT8;
    case OID_VARCHAR:
    case OID_TEXT:
        return OID_TEXT;
    default:
        return type;
    }
}

static bool is_brief(uint32_t type)
{
    return type == OID_UUID || type_class(type) == OID_INT8;
}

/* One term of a line, as it is checked. */
struct term {
    struct line *line;
    const struct route_depend_term *written;
    const struct read_column *column;
    struct narrow_term *narrow;
};

static bool value_type_check(const struct term *term, uint32_t type)
{
    if (type_class(type) == type_class(term->column->type))
        return true;
    LINE_FAULT(term->line, "%s.%s is %s, which is not the type of %s%.*s: cast it in the statement",
               term->line->table->name, term->column->name, term->column->type_name,
               term->written->by_param ? ":" : "", SPAN_PRINTF(term->written->value));
    return false;
}

static bool parameter_resolve(const struct term *term)
{
    const struct narrow_question *question = term->line->question;
    const struct route *route = question->route;
    for (unsigned i = 0; i < route->statement.parameter_count; i++) {
        const struct param *param = &route->params[route->statement.param_of[i]];
        if (!span_is(term->written->value, param->name))
            continue;
        term->narrow->parameter = i + 1;
        term->narrow->optional = !param->required && !param->default_text.data;
        return value_type_check(term, question->types[i]);
    }
    LINE_FAULT(term->line, "the statement does not use :%.*s", SPAN_PRINTF(term->written->value));
    return false;
}

static bool result_resolve(const struct term *term, const char *name)
{
    const struct db_description *description = term->line->question->description;
    struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
    for (int i = 0; i < description->column_count; i++) {
        if (strcmp(description->column_names[i], name) == 0) {
            term->narrow->result_column = name;
            return value_type_check(term, description->column_types[i]);
        }
        append_list(&names, description->column_names[i]);
    }
    LINE_FAULT(term->line, "the result has no column \"%s\"; it has %s", name,
               names.size ? bytes_text(&names) : "none");
    return false;
}

static bool is_new_term(struct line *line, const struct narrowing *narrowing, const char *column)
{
    for (size_t i = 0; i < narrowing->term_count; i++)
        if (strcmp(narrowing->terms[i].column, column) == 0) {
            LINE_FAULT(line,
                       "\"%s\" stands twice in the line, where a row must fit both: for rows that "
                       "fit one of two values write two lines",
                       column);
            return false;
        }
    return true;
}

/* Adds the next term; false after a fault or a failure. */
static bool term_resolve(struct line *line, const struct route_depend_term *written,
                         struct narrowing *narrowing)
{
    struct arena *arena = line->question->arena;
    const char *name = name_of(written->column, arena), *value = name_of(written->value, arena);
    if (!name || !value)
        return line_memory(line);
    struct term term = {.line = line,
                        .written = written,
                        .column = column_find(line, name),
                        .narrow = &narrowing->terms[narrowing->term_count]};
    if (!term.column || !is_new_term(line, narrowing, name) ||
        !column_type_check(line, term.column) ||
        !(written->by_param ? parameter_resolve(&term) : result_resolve(&term, value)))
        return false;
    term.narrow->column = term.column->name;
    term.narrow->brief = is_brief(term.column->type);
    narrowing->term_count++;
    return true;
}

/* A column behind "for": one that is read, and not yet named. */
static bool for_column_check(struct line *line, const struct narrowing *narrowing,
                             const struct read_column *column)
{
    struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < narrowing->column_count; i++)
        if (strcmp(narrowing->columns[i], column->name) == 0) {
            LINE_FAULT(line, "\"%s\" stands twice behind \"for\"", column->name);
            return false;
        }
    if (column->read)
        return true;
    append_columns(&names, line->table, true);
    LINE_FAULT(line, "the statement does not read %s.%s, behind \"for\"; it reads %s",
               line->table->name, column->name, names.size ? bytes_text(&names) : "none");
    return false;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool for_columns_resolve(struct line *line, struct narrowing *narrowing)
{
    const struct route_depend *depend = line->depend;
    struct arena *arena = line->question->arena;
    if (!depend->column_count)
        return true;
    narrowing->columns = arena_array(arena, depend->column_count, sizeof *narrowing->columns);
    if (!narrowing->columns)
        return line_memory(line);
    for (size_t i = 0; i < depend->column_count; i++) {
        const char *name = name_of(depend->columns[i], arena);
        if (!name)
            return line_memory(line);
        const struct read_column *column = column_find(line, name);
        if (!column || !for_column_check(line, narrowing, column))
            return false;
        narrowing->columns[narrowing->column_count++] = column->name;
    }
    qsort(narrowing->columns, narrowing->column_count, sizeof *narrowing->columns, by_name);
    return true;
}

/* The line behind its table's name, as it was written. */
static const char *note_of(const struct route_depend *depend, struct arena *arena)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < depend->term_count; i++) {
        const struct route_depend_term *term = &depend->terms[i];
        bytes_append_format(&text, "%s%.*s = %s%.*s", i ? " and " : "", SPAN_PRINTF(term->column),
                            term->by_param ? ":" : "", SPAN_PRINTF(term->value));
    }
    return text.failed ? NULL : arena_text(arena, bytes_span(&text));
}

/* False only on a failure; *ret_good is false after a fault. */
static bool line_resolve(struct line *line, struct narrowing *narrowing, bool *ret_good)
{
    const struct route_depend *depend = line->depend;
    *ret_good = false;
    narrowing->note = note_of(depend, line->question->arena);
    if (!narrowing->note)
        return line_memory(line);
    if (!table_resolve(line))
        return false;
    bool good = line->table != NULL;
    for (size_t i = 0; good && i < depend->term_count; i++)
        good = term_resolve(line, &depend->terms[i], narrowing);
    *ret_good = good && for_columns_resolve(line, narrowing);
    narrowing->table = *ret_good ? line->table->oid : 0;
    return !line->failed;
}

/* A change of what a line narrows by moves the row from one answer to another. */
static void movers_check(const struct narrow_question *question, const struct narrowing *narrowings,
                         size_t count, const struct narrowing *by)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < by->term_count; j++) {
            struct line line = {.question = question, .depend = narrowings[i].line};
            if (narrowings[i].table == by->table &&
                watch_has_name(narrowings[i].columns, narrowings[i].column_count,
                               by->terms[j].column))
                LINE_FAULT(&line,
                           "\"%s\" can't stand behind \"for\": a line narrows by it, so its change "
                           "moves the row from one answer to another",
                           by->terms[j].column);
        }
}

bool narrow_all(const struct narrow_question *question, struct reads *reads,
                struct narrowing **ret_narrowings, size_t *ret_count)
{
    const struct route *route = question->route;
    struct narrowing *narrowings =
        arena_array(question->arena, route->depend_count, sizeof *narrowings);
    size_t count = 0;
    if (!narrowings)
        return memory(question);
    for (size_t i = 0; i < route->depend_count; i++) {
        struct line line = {.question = question, .depend = &route->depends[i], .reads = reads};
        bool good;
        narrowings[count] = (struct narrowing){.line = line.depend};
        if (!line_resolve(&line, &narrowings[count], &good))
            return false;
        if (line.refused)
            break;
        count += good;
    }
    for (size_t i = 0; i < count; i++)
        movers_check(question, narrowings, count, &narrowings[i]);
    *ret_narrowings = narrowings;
    *ret_count = count;
    return true;
}
