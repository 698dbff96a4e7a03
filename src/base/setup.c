#include "base/setup.h"

#include <stdlib.h>

#include "base/log.h"

static const char *from_environment(const char *name)
{
    return getenv(name);
}

static void log_lines(enum log_level level, const char *event, struct span lines)
{
    while (lines.data) {
        struct span line = span_split(&lines, '\n');
        if (line.size)
            log_event(level, event, "%.*s", SPAN_PRINTF(line));
    }
}

bool setup_configure(struct options *ret_options)
{
    extern char **environ;
    struct bytes unknown CLEANUP(bytes_free) = BYTES_EMPTY,
                         faults CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!options_load(from_environment, ret_options, &faults)) {
        log_lines(LOG_ERROR, "config", bytes_span(&faults));
        return false;
    }
    log_setup((enum log_format)options_number(ret_options, OPTION_LOG_FORMAT),
              (enum log_level)options_number(ret_options, OPTION_LOG_LEVEL));
    options_unknown(environ, &unknown);
    log_lines(LOG_WARNING, "config", bytes_span(&unknown));
    return true;
}
