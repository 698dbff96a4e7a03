#include <regex.h>
#include <stdlib.h>

#include "route/param_rules.h"

/*
 * glibc writes a repetition out in full when it compiles it, so that ((a{255}){255}){255} takes
 * all memory there is, and its time grows with the power of repetitions within repetitions. So a
 * pattern's size, written out, and that depth are bounded.
 */
#define PATTERN_MAX 1000
#define SIZE_MOST 1000
#define GROUPS_MAX 20
#define REPETITIONS_MAX 3

/* What a part of the pattern costs. */
struct part {
    unsigned long size;   /* things in it, written out */
    unsigned repetitions; /* within each other */
};

struct cost {
    struct part groups[GROUPS_MAX + 1]; /* what each open group has so far */
    size_t depth;
    struct part last; /* what a repetition multiplies */
    bool repeated;    /* the last one was a repetition */
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
        if (number > SIZE_MOST)
            number = SIZE_MOST + 1;
        most = number > most ? number : most;
        *ret_most = most;
        if (byte == '}')
            return end + 1;
    }
    return at;
}

static void cost_add(struct cost *cost, struct part part)
{
    struct part *group = &cost->groups[cost->depth];
    group->size += part.size;
    if (part.repetitions > group->repetitions)
        group->repetitions = part.repetitions;
    cost->last = part;
    cost->repeated = false;
}

static const char *cost_open(struct cost *cost)
{
    if (cost->depth == GROUPS_MAX)
        return "at most 20 groups may stand within each other";
    cost->groups[++cost->depth] = cost->last = (struct part){.size = 0};
    cost->repeated = false;
    return NULL;
}

static const char *cost_close(struct cost *cost)
{
    if (!cost->depth)
        return "a ')' has no '(' before it";
    struct part group = cost->groups[cost->depth--];
    group.size++;
    cost_add(cost, group);
    return NULL;
}

static const char *cost_repeat(struct cost *cost, unsigned long times)
{
    struct part more = {.size = cost->last.size * (times - 1),
                        .repetitions = cost->last.repetitions + 1};
    if (!cost->last.size)
        return "a repetition needs something before it to repeat";
    if (cost->repeated)
        return "a repetition can't be repeated itself (POSIX has no *? and no ++)";
    if (more.repetitions > REPETITIONS_MAX)
        return "at most 3 repetitions may stand within each other";
    cost_add(cost, more);
    cost->repeated = true;
    return NULL;
}

static bool is_back_reference(struct span pattern, size_t at)
{
    return pattern.data[at] == '\\' && at + 1 < pattern.size && pattern.data[at + 1] >= '1' &&
           pattern.data[at + 1] <= '9';
}

/*
 * One function a kind of thing: adds what stands at *at and moves *at to its end. Returns why that
 * is refused, or null.
 */
typedef const char *thing_adder(struct cost *cost, struct span pattern, size_t *at);

static const char *add_open(struct cost *cost, struct span pattern, size_t *at)
{
    (void)pattern;
    ++*at;
    return cost_open(cost);
}

static const char *add_close(struct cost *cost, struct span pattern, size_t *at)
{
    (void)pattern;
    ++*at;
    return cost_close(cost);
}

/* Between alternatives and at the beginning nothing stands that could be repeated. */
static const char *add_border(struct cost *cost, struct span pattern, size_t *at)
{
    (void)pattern;
    ++*at;
    cost_add(cost, (struct part){.size = 1});
    cost->last.size = 0;
    return NULL;
}

static const char *add_repetition(struct cost *cost, struct span pattern, size_t *at)
{
    unsigned long times = pattern.data[(*at)++] == '+' ? 2 : 1;
    return cost_repeat(cost, times);
}

static const char *add_other(struct cost *cost, struct span pattern, size_t *at)
{
    (void)pattern;
    ++*at;
    cost_add(cost, (struct part){.size = 1});
    return NULL;
}

static const char *add_bound(struct cost *cost, struct span pattern, size_t *at)
{
    unsigned long times = 1;
    size_t end = bound_end(pattern, *at, &times);
    if (end == *at)
        return add_other(cost, pattern, at);
    *at = end;
    return cost_repeat(cost, times);
}

static const char *add_set(struct cost *cost, struct span pattern, size_t *at)
{
    *at = set_end(pattern, *at);
    cost_add(cost, (struct part){.size = 1});
    return NULL;
}

static const char *add_escape(struct cost *cost, struct span pattern, size_t *at)
{
    if (is_back_reference(pattern, *at))
        return "back-references are not allowed";
    *at += 2;
    cost_add(cost, (struct part){.size = 1});
    return NULL;
}

static const struct {
    char byte;
    thing_adder *add;
} things[] = {
    {'(', add_open},       {')', add_close},      {'|', add_border},     {'^', add_border},
    {'*', add_repetition}, {'+', add_repetition}, {'?', add_repetition}, {'{', add_bound},
    {'[', add_set},        {'\\', add_escape},
};

static thing_adder *adder_of(char byte)
{
    for (size_t i = 0; i < ARRAY_COUNT(things); i++)
        if (things[i].byte == byte)
            return things[i].add;
    return add_other;
}

static const char *pattern_refuse(struct span pattern)
{
    struct cost cost = {.depth = 0};
    const char *problem = NULL;
    if (pattern.size > PATTERN_MAX)
        return "at most 1000 bytes are allowed";
    for (size_t at = 0; at < pattern.size && !problem;) {
        problem = adder_of(pattern.data[at])(&cost, pattern, &at);
        if (!problem && cost.groups[cost.depth].size > SIZE_MOST)
            problem = "its repetitions are too many";
    }
    return problem;
}

_Static_assert(PATTERN_MAX == 1000 && GROUPS_MAX == 20 && REPETITIONS_MAX == 3,
               "the texts above say so");

static bool regex_make(regex_t *regex, const char *pattern, struct arena *arena,
                       const char **ret_problem)
{
    char text[128];
    int code = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (!code)
        return true;
    regerror(code, regex, text, sizeof text);
    *ret_problem =
        code == REG_ESPACE
            ? NULL
            : arena_format(arena, "is not a POSIX extended regular expression: %s", text);
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
