/*
 * One line of log per event, to stderr: the only global of the programs.
 *
 * Called by mains and loops, not by library code. A line is written with one write(2), so lines of
 * threads and processes that share the file never mix. Control characters in the text are escaped,
 * so that a request can't forge a line. Never pass a secret.
 */
#ifndef LARDER_BASE_LOG_H
#define LARDER_BASE_LOG_H

#include "base/compiler.h"

enum log_level {
    LOG_ERROR,
    LOG_WARNING,
    LOG_INFO,
    LOG_DEBUG,
};

/* "error", "warning", …: in the order of the enum, comma-separated; for the option table. */
#define LOG_LEVEL_CHOICES "error,warning,info,debug"
#define LOG_FORMAT_CHOICES "text,json"

enum log_format {
    LOG_TEXT, /* 2026-01-31T12:00:00.000Z info start: … */
    LOG_JSON, /* {"time":…,"level":…,"event":…,"message":…} */
};

/* Before any thread starts. The default is text, info. */
void log_setup(enum log_format format, enum log_level most);

/* `event` is a short constant in kebab-case that a monitor can match: "route-reload". */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
