/*
 * What the mains of the lasting programs begin with.
 */
#ifndef LARDER_BASE_SETUP_H
#define LARDER_BASE_SETUP_H

#include "base/options.h"

/*
 * Reads the options from the environment and sets the log up as they say. Logs what is wrong with
 * them, and the LARDER_* variables nobody knows. False: the program can't start.
 */
MUST_CHECK bool setup_configure(struct options *ret_options);

#endif
