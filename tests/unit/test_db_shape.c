#include "unit.h"

#include <string.h>

#include "db/shape.h"

static void the_statement_stands_unchanged_at_the_offset(void **state)
{
    const struct span statement = SPAN_LITERAL("SELECT 'ü' AS a -- a comment");
    struct arena *arena = arena_new();
    (void)state;
    for (enum db_shape shape = DB_SHAPE_ROWS; shape <= DB_SHAPE_NONE; shape++) {
        size_t offset;
        const char *sql = db_shape_wrap(shape, statement, arena, &offset);
        assert_non_null(sql);
        assert_memory_equal(sql + offset, statement.data, statement.size);
        /* The newline keeps a closing comment from swallowing what follows. */
        assert_int_equal(sql[offset + statement.size], '\n');
    }
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(the_statement_stands_unchanged_at_the_offset))
