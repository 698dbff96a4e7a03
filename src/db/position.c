#include "db/position.h"

void position_free(struct position *position)
{
    bytes_free(&position->pending);
    position->next = 0;
}

void position_reset(struct position *position)
{
    bytes_clear(&position->pending);
    position->next = 0;
}

struct snapshot {
    uint64_t oldest, end;
    struct span running;
};

static bool snapshot_read(struct span text, struct snapshot *ret_snapshot)
{
    struct span oldest = span_split(&text, ':');
    struct span end = span_split(&text, ':');
    struct snapshot snapshot = {.running = text};
    if (!text.data || !span_number(oldest, UINT64_MAX, &snapshot.oldest) ||
        !span_number(end, UINT64_MAX, &snapshot.end))
        return false;
    *ret_snapshot = snapshot;
    return true;
}

/* Appends a list of numbers; false when it is none. */
static bool list_append(struct bytes *list, struct span more)
{
    uint64_t number;
    while (more.size) {
        struct span each = span_split(&more, ',');
        if (!span_number(each, UINT64_MAX, &number))
            return false;
        if (list->size)
            bytes_append_byte(list, ',');
        bytes_append_span(list, each);
    }
    return true;
}

void position_advance(struct position *position, struct span snapshot_text, struct span skipped)
{
    struct snapshot snapshot;
    position_reset(position);
    if (!snapshot_read(snapshot_text, &snapshot))
        return;
    if (list_append(&position->pending, snapshot.running) &&
        list_append(&position->pending, skipped) && !position->pending.failed &&
        position->pending.size <= POSITION_PENDING_MAX)
        position->next = snapshot.end;
    else
        position_reset(position);
}

uint64_t position_oldest_running(struct span snapshot_text)
{
    struct snapshot snapshot;
    return snapshot_read(snapshot_text, &snapshot) ? snapshot.oldest : 0;
}

uint64_t position_end(struct span snapshot_text)
{
    struct snapshot snapshot;
    return snapshot_read(snapshot_text, &snapshot) ? snapshot.end : 0;
}
