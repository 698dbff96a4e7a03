#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static size_t error_format(struct error *error, enum error_kind kind, const char *format,
                           va_list arguments)
{
    error->kind = kind;
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    if (length < 0)
        length = 0;
    return (size_t)length < sizeof error->text ? (size_t)length : sizeof error->text - 1;
}

bool error_set(struct error *error, enum error_kind kind, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        error_format(error, kind, format, arguments);
        va_end(arguments);
    }
    return false;
}

bool error_set_errno(struct error *error, const char *format, ...)
{
    int saved = errno;
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        size_t length = error_format(error, ERROR_SYSTEM, format, arguments);
        va_end(arguments);
        snprintf(error->text + length, sizeof error->text - length, ": %s", strerror(saved));
    }
    return false;
}

bool error_set_memory(struct error *error)
{
    if (error) {
        error->kind = ERROR_MEMORY;
        strcpy(error->text, "out of memory");
    }
    return false;
}
