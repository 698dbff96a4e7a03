#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

static enum log_format log_format_used = LOG_TEXT;
static enum log_level log_most = LOG_INFO;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_setup(enum log_format format, enum log_level most)
{
    log_format_used = format;
    log_most = most;
}

static void append_time(struct bytes *line)
{
    int64_t now = clock_wall();
    time_t seconds = (time_t)(now / 1000000);
    struct tm parts;
    char text[32];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    bytes_append_format(line, "%s.%03dZ", text, (int)(now / 1000 % 1000));
}

static void append_escaped(struct bytes *line, struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < 0x20 || byte == 0x7f)
            bytes_append_format(line, "\\x%02x", byte);
        else
            bytes_append_byte(line, (char)byte);
    }
}

static void line_as_text(struct bytes *line, enum log_level level, const char *event,
                         struct span message)
{
    append_time(line);
    bytes_append_format(line, " %s %s: ", level_names[level], event);
    append_escaped(line, message);
}

static void line_as_json(struct bytes *line, enum log_level level, const char *event,
                         struct span message)
{
    bytes_append_text(line, "{\"time\":\"");
    append_time(line);
    bytes_append_format(
        line, "\",\"level\":\"%s\",\"event\":\"%s\",\"message\":", level_names[level], event);
    bytes_append_json(line, message);
    bytes_append_byte(line, '}');
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    if (level > log_most)
        return;
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct bytes line = BYTES_EMPTY;
    if (log_format_used == LOG_JSON)
        line_as_json(&line, level, event, span_of(message));
    else
        line_as_text(&line, level, event, span_of(message));
    bytes_append_byte(&line, '\n');
    if (!line.failed && write(STDERR_FILENO, line.data, line.size) < 0) {
        /* Nobody is left to be told. */
    }
    bytes_free(&line);
}
