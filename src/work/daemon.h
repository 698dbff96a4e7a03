/*
 * The daemon: what it consists of, and the table of its tasks.
 */
#ifndef LARDER_WORK_DAEMON_H
#define LARDER_WORK_DAEMON_H

#include "base/error.h"
#include "base/options.h"

/* Runs until SIGTERM. False: it could not start. */
MUST_CHECK bool daemon_run(const struct options *options, struct error *error);

#endif
