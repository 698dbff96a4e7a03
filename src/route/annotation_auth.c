#include "route/annotation.h"

/* The kinds in the order of enum route_auth_kind. */
void annotate_auth(struct draft *draft, struct span rest)
{
    static const char *const words[] = {"none", "optional", "required"};
    struct route_auth auth = {.kind = AUTH_NONE};
    const struct attribute rows[] = {
        {.name = "role", .read = attribute_text, .offset = offsetof(struct route_auth, role)},
        {.name = "rls", .flag = true, .offset = offsetof(struct route_auth, rls)},
    };
    int kind = draft_choice(draft, &rest, words, ARRAY_COUNT(words), "none, optional or required");
    if (kind < 0)
        return;
    struct span behind = words_rest(rest);
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &auth))
        return;
    if (kind == 0 && behind.size)
        draft_fault(draft, behind, "@auth none: role= and rls need optional or required");
    auth.kind = (enum route_auth_kind)kind;
    draft->route->auth = auth;
    draft->signed_in = kind > 0;
}
