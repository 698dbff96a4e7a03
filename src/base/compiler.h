/*
 * Attributes the compiler checks for us. Nothing here has behaviour.
 */
#ifndef LARDER_BASE_COMPILER_H
#define LARDER_BASE_COMPILER_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

/* Runs `function(&variable)` when the variable leaves its scope; for foreign handles. */
#define CLEANUP(function) __attribute__((cleanup(function)))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
