#include "work/split.h"

bool split_next(const struct split *split, size_t *ret_from, size_t *ret_count)
{
    size_t left = split->count - split->at;
    if (left == 0)
        return false;
    *ret_from = split->at;
    *ret_count = split->size && split->size < left ? split->size : left;
    return true;
}

void split_made(struct split *split)
{
    size_t from, count;
    if (!split_next(split, &from, &count))
        return;
    split->at += count;
    split->size = split->alone == split->at + 1 ? 1 : 0;
}

bool split_failed(struct split *split, size_t failed)
{
    size_t from, count;
    if (!split_next(split, &from, &count))
        return false;
    if (count == 1)
        return true;
    if (failed >= count)
        split->size = count / 2;
    else if (failed > 0)
        split->size = failed;
    else
        split->size = 1;
    split->alone = failed < count ? from + failed + 1 : 0;
    return false;
}

void split_given_up(struct split *split)
{
    split->alone = split->size = 0;
}
