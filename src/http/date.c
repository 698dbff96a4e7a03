#include "http/date.h"

#define DAY 86400
#define YEAR_9999_END INT64_C(253402300799)

/* Only the first three letters are the names of IMF-fixdate and asctime. */
static const char *const day_names[] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
};

static const char *const month_names[] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

/* The conversion letters are strftime's. */
static const char *const forms[] = {
    "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
    "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
    "%a %b %e %H:%M:%S %Y",      /* asctime */
};

struct date {
    int day_name, year, month, day, hour, minute, second; /* month from 1 */
};

/* The index of the name that stands first; `cut` is how many letters of it count (0: all). */
static bool name_read(struct span *rest, const char *const *names, size_t count, size_t cut,
                      int *ret_index)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = cut ? cut : strlen(names[i]);
        if (rest->size >= size && memcmp(rest->data, names[i], size) == 0) {
            *rest = span_from(*rest, size);
            *ret_index = (int)i;
            return true;
        }
    }
    return false;
}

/* asctime fills a day of one digit with a space. */
static bool padded_day_read(struct span *rest, int *ret_day)
{
    if (!rest->size || rest->data[0] != ' ')
        return span_digits_take(rest, 2, ret_day);
    *rest = span_from(*rest, 1);
    return span_digits_take(rest, 1, ret_day);
}

static bool month_read(struct span *rest, int *ret_month)
{
    int index;
    if (!name_read(rest, month_names, ARRAY_COUNT(month_names), 3, &index))
        return false;
    *ret_month = index + 1;
    return true;
}

static bool short_year_read(struct span *rest, int *ret_year)
{
    int year;
    if (!span_digits_take(rest, 2, &year))
        return false;
    *ret_year = year + (year < 70 ? 2000 : 1900);
    return true;
}

static bool conversion_read(char letter, struct span *rest, struct date *date)
{
    switch (letter) {
    case 'a':
        return name_read(rest, day_names, ARRAY_COUNT(day_names), 3, &date->day_name);
    case 'A':
        return name_read(rest, day_names, ARRAY_COUNT(day_names), 0, &date->day_name);
    case 'd':
        return span_digits_take(rest, 2, &date->day);
    case 'e':
        return padded_day_read(rest, &date->day);
    case 'b':
        return month_read(rest, &date->month);
    case 'Y':
        return span_digits_take(rest, 4, &date->year);
    case 'y':
        return short_year_read(rest, &date->year);
    case 'H':
        return span_digits_take(rest, 2, &date->hour);
    case 'M':
        return span_digits_take(rest, 2, &date->minute);
    case 'S':
        return span_digits_take(rest, 2, &date->second);
    }
    return false;
}

static bool form_read(const char *form, struct span rest, struct date *ret_date)
{
    for (; *form; form++) {
        if (*form == '%') {
            if (!conversion_read(*++form, &rest, ret_date))
                return false;
        } else if (rest.size && rest.data[0] == *form) {
            rest = span_from(rest, 1);
        } else {
            return false;
        }
    }
    return rest.size == 0;
}

static int month_length(int year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap);
}

static bool date_exists(const struct date *date)
{
    return date->day >= 1 && date->day <= month_length(date->year, date->month) &&
           date->hour <= 23 && date->minute <= 59 && date->second <= 60;
}

/*
 * Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap
 * day comes last, in eras of 400 years, which all have 146097 days.
 */
static int64_t days_of(int year, int month, int day)
{
    int shifted = month <= 2 ? year + 399 : year + 400; /* never negative; era 1 has the year 0 */
    int era = shifted / 400, of_era = shifted % 400;
    int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return (int64_t)(era - 1) * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           719468;
}

static void date_of(int64_t days, struct date *ret_date)
{
    int64_t shifted = days + 719468;
    int era = (int)(shifted / 146097), of_era = (int)(shifted % 146097);
    int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (5 * of_year + 2) / 153;
    ret_date->day = of_year - (153 * month + 2) / 5 + 1;
    ret_date->month = month < 10 ? month + 3 : month - 9;
    ret_date->year = era * 400 + year + (month >= 10);
    ret_date->day_name = (int)((days + 4) % 7); /* 1970-01-01 was a Thursday */
}

bool http_date_parse(struct span text, int64_t *ret_seconds)
{
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        struct date date = {0};
        if (!form_read(forms[i], text, &date) || !date_exists(&date))
            continue;
        *ret_seconds = days_of(date.year, date.month, date.day) * DAY + date.hour * 3600 +
                       date.minute * 60 + date.second;
        return true;
    }
    return false;
}

static char *digits_write(char *to, int number, size_t count)
{
    for (size_t i = count; i-- > 0; number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + count;
}

static char *text_write(char *to, const char *text, size_t size)
{
    memcpy(to, text, size);
    return to + size;
}

void http_date_format(int64_t seconds, char buffer[static HTTP_DATE_SIZE])
{
    struct date date;
    if (seconds < 0)
        seconds = 0;
    if (seconds > YEAR_9999_END)
        seconds = YEAR_9999_END;
    date_of(seconds / DAY, &date);
    int of_day = (int)(seconds % DAY);
    char *to = text_write(buffer, day_names[date.day_name], 3);
    to = digits_write(text_write(to, ", ", 2), date.day, 2);
    to = text_write(text_write(to, " ", 1), month_names[date.month - 1], 3);
    to = digits_write(text_write(to, " ", 1), date.year, 4);
    to = digits_write(text_write(to, " ", 1), of_day / 3600, 2);
    to = digits_write(text_write(to, ":", 1), of_day / 60 % 60, 2);
    to = digits_write(text_write(to, ":", 1), of_day % 60, 2);
    text_write(to, " GMT", sizeof " GMT");
}
