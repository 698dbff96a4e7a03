/*
 * What the options say together, beyond what each of them may be.
 */
#ifndef LARDER_SERVE_SETTINGS_H
#define LARDER_SERVE_SETTINGS_H

#include "base/error.h"
#include "base/options.h"
#include "http/cors.h"

/*
 * Can a responder start with these? The addresses of the servers, and options that contradict each
 * other; no file is looked at. All programs ask it first, so that whoever changes the settings
 * hears of it from `larder check` too, not from responders that don't start again. ERROR_INVALID
 * names the option.
 */
MUST_CHECK bool settings_check(const struct options *options, struct error *error);

/* The texts are the options'. */
struct cors_settings settings_cors(const struct options *options);

#endif
