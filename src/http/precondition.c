#include "http/precondition.h"

#include "http/date.h"
#include "http/etag.h"

/* Is `header` a date at which the representation, as far as is known, was already what it is? */
static bool unchanged_since(struct span header, const struct precondition_state *state,
                            bool *ret_unchanged)
{
    int64_t since;
    if (!header.data || state->last_modified < 0 || !http_date_parse(header, &since))
        return false;
    *ret_unchanged = state->last_modified <= since;
    return true;
}

/* Steps 1 and 2: may the request still be applied to what is there? */
static bool still_wanted(const struct precondition_headers *headers,
                         const struct precondition_state *state)
{
    bool unchanged;
    if (headers->if_match.data)
        return state->exists &&
               etag_list_matches_strong(headers->if_match, state->tags, state->tag_count);
    if (unchanged_since(headers->if_unmodified_since, state, &unchanged))
        return unchanged;
    return true;
}

/* Steps 3 and 4: does the client have what it would be given? */
static bool already_held(const struct precondition_headers *headers,
                         const struct precondition_state *state, bool get_or_head)
{
    bool unchanged;
    if (headers->if_none_match.data)
        return state->exists &&
               etag_list_matches_weak(headers->if_none_match, state->tags, state->tag_count);
    if (get_or_head && unchanged_since(headers->if_modified_since, state, &unchanged))
        return unchanged;
    return false;
}

enum precondition_verdict precondition_evaluate(const struct precondition_headers *headers,
                                                const struct precondition_state *state,
                                                bool get_or_head)
{
    if (get_or_head && !state->exists)
        return PRECONDITION_PROCEED;
    if (!still_wanted(headers, state))
        return PRECONDITION_FAILED;
    if (already_held(headers, state, get_or_head))
        return get_or_head ? PRECONDITION_NOT_MODIFIED : PRECONDITION_FAILED;
    return PRECONDITION_PROCEED;
}
