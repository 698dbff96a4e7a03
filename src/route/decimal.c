#include "route/decimal.h"

#define EXPONENT_MAX 100000

static struct span digits_take(struct span *rest)
{
    size_t count = 0;
    while (count < rest->size && rest->data[count] >= '0' && rest->data[count] <= '9')
        count++;
    struct span digits = span_first(*rest, count);
    *rest = span_from(*rest, count);
    return digits;
}

static bool byte_take(struct span *rest, char byte)
{
    bool here = rest->size && rest->data[0] == byte;
    if (here)
        *rest = span_from(*rest, 1);
    return here;
}

static bool sign_take(struct span *rest)
{
    if (byte_take(rest, '-'))
        return true;
    byte_take(rest, '+');
    return false;
}

static struct span zeros_drop(struct span digits)
{
    while (digits.size && digits.data[0] == '0')
        digits = span_from(digits, 1);
    return digits;
}

static bool exponent_take(struct span *rest, int *ret_exponent)
{
    bool negative = sign_take(rest);
    struct span digits = digits_take(rest);
    int exponent = 0;
    for (size_t i = 0; i < digits.size && exponent < EXPONENT_MAX; i++)
        exponent = exponent * 10 + (digits.data[i] - '0');
    if (exponent > EXPONENT_MAX)
        exponent = EXPONENT_MAX;
    *ret_exponent = negative ? -exponent : exponent;
    return digits.size > 0;
}

bool decimal_parse(struct span text, struct decimal *ret_decimal)
{
    struct span rest = text;
    struct decimal decimal = {.negative = sign_take(&rest)};
    struct span whole = digits_take(&rest);
    if (byte_take(&rest, '.'))
        decimal.fraction = digits_take(&rest);
    if (whole.size + decimal.fraction.size == 0)
        return false;
    if ((byte_take(&rest, 'e') || byte_take(&rest, 'E')) &&
        !exponent_take(&rest, &decimal.exponent))
        return false;
    decimal.whole = zeros_drop(whole);
    if (rest.size)
        return false;
    *ret_decimal = decimal;
    return true;
}

bool decimal_parse_whole(struct span text, struct decimal *ret_decimal)
{
    struct decimal decimal;
    if (!decimal_parse(text, &decimal) ||
        decimal.whole.data + decimal.whole.size != text.data + text.size)
        return false;
    *ret_decimal = decimal;
    return true;
}

/* The digits of whole and fraction as one number, with the point after `point` of them. */
static char digit_at(const struct decimal *decimal, long at)
{
    size_t index = (size_t)at;
    if (at < 0 || index >= decimal->whole.size + decimal->fraction.size)
        return '0';
    return index < decimal->whole.size ? decimal->whole.data[index]
                                       : decimal->fraction.data[index - decimal->whole.size];
}

static long point_of(const struct decimal *decimal)
{
    return (long)decimal->whole.size + decimal->exponent;
}

static long digits_of(const struct decimal *decimal)
{
    return (long)(decimal->whole.size + decimal->fraction.size);
}

bool decimal_is_bounded(const struct decimal *decimal)
{
    if (decimal->whole.size > DECIMAL_DIGITS_MAX || decimal->fraction.size > DECIMAL_DIGITS_MAX)
        return false;
    long point = point_of(decimal);
    long first = point < 0 ? point : 0;
    long last = point > digits_of(decimal) ? point : digits_of(decimal);
    return last - first <= DECIMAL_DIGITS_MAX;
}

static bool is_zero(const struct decimal *decimal)
{
    for (long i = 0; i < digits_of(decimal); i++)
        if (digit_at(decimal, i) != '0')
            return false;
    return true;
}

size_t decimal_write(const struct decimal *decimal, char ret_text[static DECIMAL_TEXT_MAX])
{
    long point = point_of(decimal), at = 0;
    size_t size = 0;
    if (decimal->negative && !is_zero(decimal))
        ret_text[size++] = '-';
    while (at < point - 1 && digit_at(decimal, at) == '0')
        at++;
    if (point <= 0)
        ret_text[size++] = '0';
    for (; at < point; at++)
        ret_text[size++] = digit_at(decimal, at);
    at = point;
    if (at < digits_of(decimal))
        ret_text[size++] = '.';
    for (; at < digits_of(decimal); at++)
        ret_text[size++] = digit_at(decimal, at);
    ret_text[size] = '\0';
    return size;
}

/* Compares digits of fractions: what is missing at the end is zero. */
static int fraction_compare(struct span a, struct span b)
{
    size_t size = a.size > b.size ? a.size : b.size;
    for (size_t i = 0; i < size; i++) {
        char digit_a = i < a.size ? a.data[i] : '0';
        char digit_b = i < b.size ? b.data[i] : '0';
        if (digit_a != digit_b)
            return digit_a < digit_b ? -1 : 1;
    }
    return 0;
}

static int magnitude_compare(const struct decimal *a, const struct decimal *b)
{
    if (a->whole.size != b->whole.size)
        return a->whole.size < b->whole.size ? -1 : 1;
    int order = a->whole.size ? memcmp(a->whole.data, b->whole.data, a->whole.size) : 0;
    return order ? order : fraction_compare(a->fraction, b->fraction);
}

int decimal_compare(struct span a, struct span b)
{
    struct decimal left, right;
    if (!decimal_parse(a, &left) || !decimal_parse(b, &right))
        return 0;
    if (left.negative != right.negative)
        return left.negative ? -1 : 1;
    int order = magnitude_compare(&left, &right);
    return left.negative ? -order : order;
}
