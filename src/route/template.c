#include "route/template.h"

bool template_next(struct span *rest, struct span *ret_literal, struct span *ret_name)
{
    if (rest->size == 0)
        return false;
    size_t open = span_find(*rest, '{');
    *ret_literal = span_first(*rest, open);
    *ret_name = (struct span){0};
    if (open < rest->size) {
        struct span behind = span_from(*rest, open + 1);
        size_t close = span_find(behind, '}');
        *ret_name = span_first(behind, close);
        open += 1 + close + (close < behind.size);
    }
    *rest = span_from(*rest, open);
    return true;
}
