/* Stored queries as PostgreSQL writes them: whatever the text, what is told lies in bounds. */
#include <stdint.h>
#include <stdlib.h>

#include "db/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
    size_t told;
    size_t size;
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Each thing told takes some bytes of the text. */
static void count(struct tally *tally)
{
    require(++tally->told <= tally->size);
}

static void on_relation(void *to, uint32_t relation, bool with_children)
{
    (void)with_children;
    require(relation > 0);
    count(to);
}

static void on_column(void *to, uint32_t relation, int number)
{
    require(relation > 0 && number >= 0 && number <= INT16_MAX);
    count(to);
}

static void on_function(void *to, uint32_t function)
{
    require(function > 0);
    count(to);
}

static void on_other(void *to)
{
    count(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally tally = {.size = size};
    const struct rule_visitor visitor = {&tally,      on_relation, on_column,
                                         on_function, on_other,    on_other};
    return rule_read((struct span){.data = (const char *)data, .size = size}, &visitor) ? 0 : 0;
}
