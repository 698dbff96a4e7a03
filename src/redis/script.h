/*
 * Lua scripts, sent by their digest: the text goes over only when the server does not know it
 * (after a restart, a failover or SCRIPT FLUSH), in a second round trip.
 */
#ifndef LARDER_REDIS_SCRIPT_H
#define LARDER_REDIS_SCRIPT_H

#include "redis/connection.h"

#define REDIS_SCRIPT_DIGEST_SIZE 41

/* Constant once made; may be shared by all threads. */
struct redis_script {
    const char *text; /* terminated; not copied */
    char digest[REDIS_SCRIPT_DIGEST_SIZE];
};

/* Names the script by its digest. ERROR_INTERNAL only if libcrypto refuses. */
MUST_CHECK bool redis_script_init(struct redis_script *script, const char *text,
                                  struct error *error);

#define REDIS_SCRIPT_DENIAL_SIZE 160

/*
 * Redis 6 and 7.0 say that a script did what the user may not, or what the server does not know
 * (rename-command), but only at which line. True: `said` is such an error of the script with this
 * text, and *ret_text names the command.
 */
MUST_CHECK bool redis_script_denial(const char *script, const char *said,
                                    char ret_text[static REDIS_SCRIPT_DENIAL_SIZE]);

/* One running of a script: KEYS and ARGV. Keys and arguments together are at most a thousand. */
struct redis_script_call {
    const struct redis_script *script;
    const struct span *keys;
    size_t key_count;
    const struct span *arguments;
    size_t argument_count;
};

/*
 * Runs the calls, all in one round trip, until `deadline` (monotonic µs); those whose script the
 * server did not know run after the others, in a second one, in their order. A reply for each call
 * is the caller's, error replies among them (redis_reply_error). Errors as redis_call's, with no
 * reply; the scripts may have run nonetheless.
 */
MUST_CHECK bool redis_script_run(struct redis_connection *connection,
                                 const struct redis_script_call *calls, size_t count,
                                 int64_t deadline, struct redis_reply **ret_replies,
                                 struct error *error);

#endif
