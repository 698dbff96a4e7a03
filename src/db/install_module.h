/*
 * The row triggers of a watched table by Larder's module for PostgreSQL (sql/larder/module.sql):
 * one for all of its watches and events. Its function in C compares the columns, makes the tags and
 * remembers what the transaction has struck, so no function in PL/pgSQL and no WHEN is needed.
 */
#ifndef LARDER_DB_INSTALL_MODULE_H
#define LARDER_DB_INSTALL_MODULE_H

#include "db/install_trigger.h"

/* Appends the trigger; there is a watch. False: memory. */
MUST_CHECK bool install_want_module(const struct install_making *making);

#endif
