/*
 * What is known of a route before PostgreSQL was asked, and what of it asking needs. Not for other
 * folders.
 */
#ifndef LARDER_DB_LEARN_UNASKED_H
#define LARDER_DB_LEARN_UNASKED_H

#include "db/learn.h"

/* The route's parameter that is $(index + 1) of the statement. */
static inline const struct param *learn_param(const struct route *route,
                                              const struct statement *statement, unsigned index)
{
    return &route->params[statement->param_of[index]];
}

/* Gives every statement its id, once texts and types are what they will be. */
void learn_identify(struct learned *learned, const struct route *route);

#endif
