#include "unit.h"

#include <string.h>

#include "db/failure.h"

static const struct row {
    const char *sqlstate;
    enum db_failure_kind kind;
} rows[] = {
    {"57014", DB_FAILURE_TIMEOUT},     {"57P01", DB_FAILURE_UNAVAILABLE},
    {"57P03", DB_FAILURE_UNAVAILABLE}, {"53300", DB_FAILURE_UNAVAILABLE},
    {"08006", DB_FAILURE_UNAVAILABLE}, {"08P01", DB_FAILURE_UNAVAILABLE},
    {"25P03", DB_FAILURE_UNAVAILABLE}, {"25P02", DB_FAILURE_STATEMENT},
    {"22P02", DB_FAILURE_VALUE},       {"22003", DB_FAILURE_VALUE},
    {"22012", DB_FAILURE_STATEMENT},   {"23514", DB_FAILURE_VALUE},
    {"53400", DB_FAILURE_STATEMENT},   {"23505", DB_FAILURE_CONSTRAINT},
    {"25006", DB_FAILURE_READ_ONLY},   {"42501", DB_FAILURE_FORBIDDEN},
    {"42P01", DB_FAILURE_STATEMENT},   {"26000", DB_FAILURE_STALE},
    {"0A000", DB_FAILURE_STALE},       {"54000", DB_FAILURE_TOO_LARGE},
    {"40001", DB_FAILURE_RETRY},       {"40P01", DB_FAILURE_RETRY},
    {"XX000", DB_FAILURE_STATEMENT},   {"", DB_FAILURE_STATEMENT},
};

static void a_sqlstate_has_one_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(db_failure_of_sqlstate(rows[i].sqlstate), rows[i].kind);
}

static void a_raise_asks_for_a_status(void **state)
{
    static const struct {
        const char *sqlstate;
        unsigned status;
    } raises[] = {
        {"P0001", 400}, {"PT400", 400}, {"PT402", 402}, {"PT503", 503}, {"PT599", 599},
        {"PT399", 0},   {"PT600", 0},   {"PT200", 0},   {"PT000", 0},   {"PT4xx", 0},
        {"PTABC", 0},   {"PT+40", 0},   {"PT", 0},      {"P0000", 0},   {"P0002", 0},
        {"P0003", 0},   {"P0004", 0},   {"42P01", 0},   {"XX000", 0},   {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(raises); i++)
        assert_int_equal(db_failure_raised_status(raises[i].sqlstate), raises[i].status);
}

static void the_servers_trouble_is_told_from_the_statements(void **state)
{
    static const char *const servers[] = {"53100", "53200", "53300", "57P01", "57P02", "57P03",
                                          "58000", "58030", "25006", "08006", "53000"};
    static const char *const own[] = {"53400", "57014", "55P03", "40001", "22012", "23505",
                                      "42P01", "58P01", "XX000", "P0001", ""};
    struct db_failure failure = {.kind = DB_FAILURE_UNAVAILABLE};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(servers); i++) {
        memcpy(failure.sqlstate, servers[i], sizeof failure.sqlstate);
        assert_true(db_failure_is_servers(&failure));
    }
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        memset(failure.sqlstate, 0, sizeof failure.sqlstate);
        memcpy(failure.sqlstate, own[i], strlen(own[i]));
        assert_false(db_failure_is_servers(&failure));
    }
}

static struct db_failure failure_of(const char *sqlstate)
{
    struct db_failure failure = {.kind = db_failure_of_sqlstate(sqlstate)};
    memcpy(failure.sqlstate, sqlstate, strlen(sqlstate));
    return failure;
}

/* A route must not count as wrong because PostgreSQL could not tell at the moment. */
static void what_may_be_answered_otherwise_is_no_refusal(void **state)
{
    static const char *const refused[] = {"42P01", "42501", "22007", "0A000", "XX000", "25006"};
    static const char *const open[] = {"40P01", "40001", "55P03", "57014", "57P01", "53300", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        struct db_failure failure = failure_of(refused[i]);
        assert_true(db_failure_is_refusal(&failure));
    }
    for (size_t i = 0; i < ARRAY_COUNT(open); i++) {
        struct db_failure failure = failure_of(open[i]);
        assert_false(db_failure_is_refusal(&failure));
    }
}

UNIT_MAIN(cmocka_unit_test(a_sqlstate_has_one_kind), cmocka_unit_test(a_raise_asks_for_a_status),
          cmocka_unit_test(the_servers_trouble_is_told_from_the_statements),
          cmocka_unit_test(what_may_be_answered_otherwise_is_no_refusal))
