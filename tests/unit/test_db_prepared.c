#include "unit.h"

#include <unistd.h>

#include "db/prepared.h"

static struct db_connection connection;

static uint64_t id_of(uint64_t number)
{
    return UINT64_C(0x6c61726465720000) + number;
}

static void a_connection_knows_what_was_prepared_on_it(void **state)
{
    (void)state;
    prepared_clear(&connection);
    assert_false(prepared_has(&connection, id_of(1)));
    prepared_add(&connection, id_of(1));
    prepared_add(&connection, id_of(1));
    assert_true(prepared_has(&connection, id_of(1)));
    assert_false(prepared_has(&connection, id_of(2)));
    assert_false(connection.forget);
}

/* Reads, the pages after and before, writes: to forget them all costs more than any keeping. */
static void the_statements_of_a_thousand_routes_stay(void **state)
{
    (void)state;
    prepared_clear(&connection);
    for (uint64_t i = 0; i < 2000; i++)
        prepared_add(&connection, id_of(i));
    assert_false(connection.forget);
    prepared_clear(&connection);
}

/* All in one transaction, so that they can't be forgotten in between. */
static void more_than_it_can_remember_are_forgotten_next(void **state)
{
    (void)state;
    prepared_clear(&connection);
    alarm(60); /* a full table would be searched for ever */
    for (uint64_t i = 0; i < 2 * PREPARED_MAX; i++)
        prepared_add(&connection, id_of(i));
    assert_false(prepared_has(&connection, id_of(2 * PREPARED_MAX)));
    alarm(0);
    assert_true(prepared_has(&connection, id_of(0)));
    assert_true(connection.forget);
    prepared_clear(&connection);
    assert_false(prepared_has(&connection, id_of(0)));
    assert_false(connection.forget);
}

static void a_name_has_all_of_the_id(void **state)
{
    (void)state;
    char name[PREPARED_NAME_SIZE];
    prepared_name(UINT64_C(0x0f23456789abcde0), name);
    assert_string_equal(name, "larder_0f23456789abcde0");
    prepared_name(1, name);
    assert_string_equal(name, "larder_0000000000000001");
}

UNIT_MAIN(cmocka_unit_test(a_connection_knows_what_was_prepared_on_it),
          cmocka_unit_test(the_statements_of_a_thousand_routes_stay),
          cmocka_unit_test(more_than_it_can_remember_are_forgotten_next),
          cmocka_unit_test(a_name_has_all_of_the_id))
