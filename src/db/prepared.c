#include "db/prepared.h"

#include <string.h>

static uint64_t *slot_of(struct db_connection *connection, uint64_t id)
{
    size_t at = (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % PREPARED_MAX;
    while (connection->prepared[at] && connection->prepared[at] != id)
        at = (at + 1) % PREPARED_MAX;
    return &connection->prepared[at];
}

void prepared_name(uint64_t id, char ret_name[static PREPARED_NAME_SIZE])
{
    static const char prefix[] = "larder_", digits[] = "0123456789abcdef";
    char *out = ret_name + sizeof prefix - 1;
    memcpy(ret_name, prefix, sizeof prefix - 1);
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = digits[id >> shift & 15];
    *out = '\0';
}

bool prepared_has(struct db_connection *connection, uint64_t id)
{
    return *slot_of(connection, id) == id;
}

/* One transaction may prepare more than there is room for, and a search ends at a free slot. */
void prepared_add(struct db_connection *connection, uint64_t id)
{
    uint64_t *slot = slot_of(connection, id);
    if (*slot == id || connection->prepared_count == PREPARED_MAX - 1)
        return;
    *slot = id;
    if (++connection->prepared_count > PREPARED_MAX / 2)
        connection->forget = true;
}

void prepared_clear(struct db_connection *connection)
{
    memset(connection->prepared, 0, sizeof connection->prepared);
    memset(connection->asked, 0, sizeof connection->asked);
    connection->prepared_count = 0;
    connection->forget = false;
}

void db_forget_prepared(struct db_connection *connection)
{
    connection->forget = true;
}
