#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "route/decimal.h"
#include "route/param_rules.h"

static enum reading text_return(struct arena *arena, const char *text, size_t size,
                                struct span *ret_text)
{
    *ret_text = arena_span(arena, (struct span){.data = text, .size = size});
    return ret_text->data ? READING_OK : READING_NO_MEMORY;
}

static enum reading read_whole(struct span given, enum param_type type, struct arena *arena,
                               struct span *ret_text)
{
    const struct param_rules *rules = &param_rules[type];
    char text[DECIMAL_TEXT_MAX];
    struct decimal decimal;
    if (!decimal_parse_whole(given, &decimal) || !decimal_is_bounded(&decimal))
        return READING_WRONG;
    struct span plain = {.data = text, .size = decimal_write(&decimal, text)};
    if (decimal_compare(plain, span_of(rules->least)) < 0 ||
        decimal_compare(plain, span_of(rules->most)) > 0)
        return READING_WRONG;
    return text_return(arena, plain.data, plain.size, ret_text);
}

enum reading read_smallint(struct span given, struct arena *arena, struct span *ret_text,
                           const char **ret_hint)
{
    (void)ret_hint;
    return read_whole(given, TYPE_SMALLINT, arena, ret_text);
}

enum reading read_integer(struct span given, struct arena *arena, struct span *ret_text,
                          const char **ret_hint)
{
    (void)ret_hint;
    return read_whole(given, TYPE_INTEGER, arena, ret_text);
}

enum reading read_bigint(struct span given, struct arena *arena, struct span *ret_text,
                         const char **ret_hint)
{
    (void)ret_hint;
    return read_whole(given, TYPE_BIGINT, arena, ret_text);
}

enum reading read_numeric(struct span given, struct arena *arena, struct span *ret_text,
                          const char **ret_hint)
{
    char text[DECIMAL_TEXT_MAX];
    struct decimal decimal;
    if (!decimal_parse(given, &decimal))
        return READING_WRONG;
    if (!decimal_is_bounded(&decimal)) {
        *ret_hint = "it would have more than 1000 digits";
        return READING_WRONG;
    }
    return text_return(arena, text, decimal_write(&decimal, text), ret_text);
}

_Static_assert(DECIMAL_DIGITS_MAX == 1000, "the text above says 1000");

/* The shortest text that reads back as the same number. */
static int double_write(double number, int digits_max, bool single, char text[static 32])
{
    int length = 0;
    for (int digits = 1; digits <= digits_max; digits++) {
        length = snprintf(text, 32, "%.*g", digits, number);
        double back = single ? (double)strtof(text, NULL) : strtod(text, NULL);
        if (back == number)
            break;
    }
    return length;
}

static const char *special_number(struct span given)
{
    static const char *const specials[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < ARRAY_COUNT(specials); i++)
        if (span_is_nocase(given, specials[i]))
            return specials[i];
    return NULL;
}

static bool digits_all_zero(const struct decimal *decimal)
{
    for (size_t i = 0; i < decimal->fraction.size; i++)
        if (decimal->fraction.data[i] != '0')
            return false;
    return decimal->whole.size == 0;
}

static enum reading read_floating(struct span given, bool single, struct arena *arena,
                                  struct span *ret_text, const char **ret_hint)
{
    const char *special = special_number(given);
    if (special)
        return text_return(arena, special, strlen(special), ret_text);
    struct decimal decimal;
    if (!decimal_parse(given, &decimal))
        return READING_WRONG;
    const char *copy = arena_text(arena, given);
    if (!copy)
        return READING_NO_MEMORY;
    double number = single ? (double)strtof(copy, NULL) : strtod(copy, NULL);
    if (isinf(number) || (number == 0 && !digits_all_zero(&decimal))) {
        *ret_hint = "out of the type's range";
        return READING_WRONG;
    }
    char text[32];
    int length = double_write(number, single ? 9 : 17, single, text);
    return text_return(arena, text, (size_t)length, ret_text);
}

enum reading read_real(struct span given, struct arena *arena, struct span *ret_text,
                       const char **ret_hint)
{
    return read_floating(given, true, arena, ret_text, ret_hint);
}

enum reading read_double(struct span given, struct arena *arena, struct span *ret_text,
                         const char **ret_hint)
{
    return read_floating(given, false, arena, ret_text, ret_hint);
}

int order_decimal(struct span a, struct span b)
{
    return decimal_compare(a, b);
}

/* As PostgreSQL orders them: NaN is above every number. */
int order_double(struct span a, struct span b)
{
    double left = strtod(a.data, NULL), right = strtod(b.data, NULL);
    if (isnan(left) || isnan(right))
        return (int)isnan(left) - (int)isnan(right);
    return (left > right) - (left < right);
}
