/*
 * What test programs print of a failure.
 */
#ifndef LARDER_TESTS_SUPPORT_KINDS_H
#define LARDER_TESTS_SUPPORT_KINDS_H

#include "db/failure.h"

static const char *const kinds[] = {[DB_FAILURE_STATEMENT] = "statement",
                                    [DB_FAILURE_VALUE] = "value",
                                    [DB_FAILURE_CONSTRAINT] = "constraint",
                                    [DB_FAILURE_READ_ONLY] = "read only",
                                    [DB_FAILURE_FORBIDDEN] = "forbidden",
                                    [DB_FAILURE_TIMEOUT] = "timeout",
                                    [DB_FAILURE_UNAVAILABLE] = "away",
                                    [DB_FAILURE_BUSY] = "busy",
                                    [DB_FAILURE_STALE] = "stale",
                                    [DB_FAILURE_TOO_LARGE] = "too large",
                                    [DB_FAILURE_RETRY] = "retry",
                                    [DB_FAILURE_UNKNOWN] = "unknown",
                                    [DB_FAILURE_UNINSTALLED] = "uninstalled",
                                    [DB_FAILURE_MEMORY] = "memory"};

#endif
