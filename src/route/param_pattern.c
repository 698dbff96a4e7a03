#include <regex.h>
#include <stdlib.h>

#include "route/param_rules.h"

/*
 * glibc writes a repetition out in full when it compiles it, so that ((a{255}){255}){255} takes
 * all memory there is. The cost of a pattern is what it has then: refused above COST_MAX.
 */
#define PATTERN_MAX 1000
#define COST_MAX 1000
#define GROUPS_MAX 20

struct cost {
    unsigned long groups[GROUPS_MAX + 1]; /* of what each open group has so far */
    size_t depth;
    unsigned long last; /* of the last thing, which a repetition multiplies */
};

/* The end of "[…]" at `at`: a ']' right after the '[' or '[^' and within [:…:] is no end. */
static size_t set_end(struct span pattern, size_t at)
{
    at++;
    at += at < pattern.size && pattern.data[at] == '^';
    at += at < pattern.size && pattern.data[at] == ']';
    while (at < pattern.size && pattern.data[at] != ']') {
        bool class =
            pattern.data[at] == '[' && at + 1 < pattern.size && strchr(":.=", pattern.data[at + 1]);
        if (class)
            for (at += 2; at + 1 < pattern.size && pattern.data[at] != ']';)
                at++;
        at += at < pattern.size;
    }
    return at < pattern.size ? at + 1 : at;
}

/* The end of "{m,n}" at `at`, and its greatest number (at least 1); `at` itself when it is none. */
static size_t bound_end(struct span pattern, size_t at, unsigned long *ret_most)
{
    unsigned long most = 1, number = 0;
    for (size_t end = at + 1; end < pattern.size; end++) {
        char byte = pattern.data[end];
        bool digit = byte >= '0' && byte <= '9';
        if (!digit && byte != ',' && byte != '}')
            return at;
        number = digit ? number * 10 + (unsigned long)(byte - '0') : 0;
        if (number > COST_MAX)
            number = COST_MAX + 1;
        most = number > most ? number : most;
        *ret_most = most;
        if (byte == '}')
            return end + 1;
    }
    return at;
}

static void cost_close(struct cost *cost)
{
    if (!cost->depth)
        return;
    unsigned long group = cost->groups[cost->depth--] + 1;
    cost->groups[cost->depth] += group;
    cost->last = group;
}

static void cost_repeat(struct cost *cost, unsigned long times)
{
    unsigned long more = cost->last * (times - 1);
    cost->groups[cost->depth] += more;
    cost->last += more;
}

static void cost_thing(struct cost *cost)
{
    cost->groups[cost->depth]++;
    cost->last = 1;
}

/* Adds what stands at `at` outside of groups' brackets and returns its end. */
static size_t cost_add(struct cost *cost, struct span pattern, size_t at)
{
    unsigned long times = 1;
    size_t end;
    switch (pattern.data[at]) {
    case '*':
    case '?':
        return at + 1;
    case '+':
        cost_repeat(cost, 2);
        return at + 1;
    case '{':
        end = bound_end(pattern, at, &times);
        if (end == at)
            break;
        cost_repeat(cost, times);
        return end;
    case '[':
        cost_thing(cost);
        return set_end(pattern, at);
    case '\\':
        cost_thing(cost);
        return at + 2;
    default:
        break;
    }
    cost_thing(cost);
    return at + 1;
}

static bool is_back_reference(struct span pattern, size_t at)
{
    return pattern.data[at] == '\\' && at + 1 < pattern.size && pattern.data[at + 1] >= '1' &&
           pattern.data[at + 1] <= '9';
}

static const char *cost_step(struct cost *cost, struct span pattern, size_t *at)
{
    char byte = pattern.data[*at];
    if (is_back_reference(pattern, *at))
        return "back-references are not allowed";
    if (byte == '(' && cost->depth == GROUPS_MAX)
        return "at most 20 groups may stand within each other";
    if (byte == '(')
        cost->groups[++cost->depth] = 0;
    else if (byte == ')')
        cost_close(cost);
    *at = byte == '(' || byte == ')' ? *at + 1 : cost_add(cost, pattern, *at);
    return cost->groups[cost->depth] > COST_MAX ? "its repetitions are too many" : NULL;
}

static const char *pattern_refuse(struct span pattern)
{
    struct cost cost = {.depth = 0};
    const char *problem = NULL;
    if (pattern.size > PATTERN_MAX)
        return "at most 1000 bytes are allowed";
    for (size_t at = 0; at < pattern.size && !problem;)
        problem = cost_step(&cost, pattern, &at);
    return problem;
}

_Static_assert(PATTERN_MAX == 1000 && GROUPS_MAX == 20, "the texts above say so");

static bool regex_make(regex_t *regex, const char *pattern, struct arena *arena,
                       const char **ret_problem)
{
    char text[128];
    int code = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (!code)
        return true;
    regerror(code, regex, text, sizeof text);
    *ret_problem = code == REG_ESPACE
                       ? NULL
                       : arena_format(arena, "not a POSIX extended regular expression: %s", text);
    return false;
}

bool pattern_compile(struct span pattern, struct arena *arena, void **ret_regex,
                     const char **ret_problem)
{
    regex_t bare;
    if ((*ret_problem = pattern_refuse(pattern)))
        return false;
    const char *text = arena_text(arena, pattern);
    const char *whole = arena_format(arena, "^(%.*s)$", SPAN_PRINTF(pattern));
    regex_t *regex = malloc(sizeof *regex);
    /* "a)(b" is none, yet would be one within the brackets. */
    bool valid = text && whole && regex && regex_make(&bare, text, arena, ret_problem);
    if (valid) {
        regfree(&bare);
        valid = regex_make(regex, whole, arena, ret_problem);
    }
    if (!valid) {
        free(regex);
        return false;
    }
    *ret_regex = regex;
    return true;
}

bool pattern_matches(const void *regex, const char *text)
{
    return regexec(regex, text, 0, NULL, 0) == 0;
}

void pattern_free(void *regex)
{
    if (!regex)
        return;
    regfree(regex);
    free(regex);
}
