/*
 * The text of sql/larder/schema.sql, as the build put it in.
 */
#ifndef LARDER_DB_INSTALL_SCHEMA_H
#define LARDER_DB_INSTALL_SCHEMA_H

extern const char install_schema[];

#endif
