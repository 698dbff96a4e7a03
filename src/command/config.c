#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command/command.h"

static void append_values(const struct options *options, struct bytes *text)
{
    for (enum option option = 0; option < OPTION_COUNT; option++) {
        bytes_append_format(text, "%s=", option_rows[option].name);
        options_append_printable(options, option, text);
        bytes_append_format(text, "  # %s\n",
                            options->values[option].given ? "environment" : "default");
    }
}

static int print(struct bytes *text)
{
    int status = text->failed ? 1 : 0;
    if (status)
        fprintf(stderr, "larder config: out of memory\n");
    else
        fputs(bytes_text(text), stdout);
    bytes_free(text);
    return status;
}

int command_config(const struct options *options, int count, char **arguments)
{
    struct bytes text = BYTES_EMPTY, unknown = BYTES_EMPTY;
    const char *form = count > 1 ? arguments[1] : "";
    if (count > 2 ||
        (count == 2 && strcmp(form, "--sample") != 0 && strcmp(form, "--manual") != 0)) {
        fprintf(stderr, "larder config: \"%s\" is not allowed; allowed: [--sample | --manual]\n",
                arguments[count - 1]);
        return 2;
    }
    if (strcmp(form, "--sample") == 0)
        options_append_sample(&text);
    else if (strcmp(form, "--manual") == 0)
        options_append_manual(&text);
    else
        append_values(options, &text);
    options_unknown(environ, &unknown);
    fputs(bytes_text(&unknown), stderr);
    bytes_free(&unknown);
    return print(&text);
}
