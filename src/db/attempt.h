/*
 * One attempt at a transaction that changes something, on one connection: its commands in a
 * pipeline, what each was there for, and what a refusal or a lost connection means. Not for other
 * folders.
 *
 * A caller sends commands, which go out with attempt_round, and takes the replies; a transaction of
 * several rounds clears them in between.
 */
#ifndef LARDER_DB_ATTEMPT_H
#define LARDER_DB_ATTEMPT_H

#include "db/round.h"
#include "db/write.h"

/* What a command of the pipeline is there for. */
enum purpose {
    PURPOSE_BEGIN,
    PURPOSE_SETTING,
    PURPOSE_ISOLATION,
    PURPOSE_IDENTITY,
    PURPOSE_PREPARE,
    PURPOSE_STATEMENT,
    PURPOSE_CONSTRAINTS,
    PURPOSE_TAGS,
    PURPOSE_ONCE,
    PURPOSE_RECORD,
    PURPOSE_COMMIT,
    PURPOSE_RESET,
};

/* Why a failed attempt may be followed by another. */
enum write_again {
    WRITE_AGAIN_NOT,
    WRITE_AGAIN_ELSEWHERE, /* the server is a standby */
    WRITE_AGAIN_FRESH,     /* the connection was lost before anything could be committed */
    WRITE_AGAIN_ANEW,      /* a prepared statement was outdated */
    WRITE_AGAIN_TAGLESS,   /* the tags can't be asked for */
    WRITE_AGAIN_LATER,     /* another transaction was in the way */
    WRITE_AGAIN_LOOK,      /* it may have been done before, which an old snapshot hid */
    WRITE_AGAIN_COUNT,
};

struct attempt_command {
    enum purpose purpose;
    size_t statement;  /* which one, from 0 */
    size_t item;       /* of which item of a batch */
    uint64_t prepared; /* the id of what it prepares */
};

struct attempt {
    struct db_connection *connection;
    int64_t timeout;  /* µs for all of it */
    int64_t deadline; /* monotonic µs */
    struct attempt_command *commands;
    struct db_replies replies;
    size_t item;   /* that commands are sent for from here on */
    size_t commit; /* how many commands there are up to the COMMIT; 0: none in this round */
    bool writer;   /* larder.struck is to be the session's */
    bool resets;   /* the session is brought back to what it was */
    bool discards; /* … as far as sequences go */
    bool failed;   /* a command could not be sent */
    bool frozen;   /* what others commit after the first command can't be seen */
};

/*
 * Enters the pipeline, with room for `most` commands in a round. To be ended with attempt_end also
 * after false.
 */
MUST_CHECK bool attempt_begin(struct attempt *attempt, struct db_connection *connection,
                              int64_t timeout, size_t most, struct db_failure *failure);

/* Leaves the pipeline and the transaction, and frees; the connection may end dead. */
void attempt_end(struct attempt *attempt);

/* Frees what was answered, before the next round. */
void attempt_clear(struct attempt *attempt);

void attempt_send(struct attempt *attempt, enum purpose purpose, const char *sql);

/* The values are texts; they need not last. */
void attempt_send_values(struct attempt *attempt, enum purpose purpose, const char *sql, int count,
                         const char *const *values);

/* The values are bytes, three at most, and so are the columns of the reply. */
void attempt_send_bytes(struct attempt *attempt, enum purpose purpose, const char *sql,
                        const struct span *values, int count);

/* BEGIN, and the limit of each statement. */
void attempt_send_begin(struct attempt *attempt);

/* Whether the triggers leave their tags to this transaction, which strikes them itself. */
void attempt_send_writer(struct attempt *attempt, bool writer);

/* PostgreSQL's limit is each statement's: the later ones get what the earlier ones have left. */
void attempt_send_time_left(struct attempt *attempt);

void attempt_send_identity(struct attempt *attempt, const struct db_identity *identity);

/* The session's own role again, and no claims. */
void attempt_send_no_identity(struct attempt *attempt);

/* Prepares it, where that is not done yet, and runs it. */
void attempt_send_statement(struct attempt *attempt, const struct db_statement *statement,
                            enum purpose purpose, size_t number);

/* The server is to answer what was sent so far before the end of the round. */
void attempt_send_flush(struct attempt *attempt);

/* What is deferred is done, and whatever it refuses is said, before what comes after this. */
void attempt_send_constraints(struct attempt *attempt);

/*
 * Once a round, as its last command. Where a statement may have left something in the session, that
 * is taken out of it then; what it drew from sequences is forgotten in any case.
 */
void attempt_send_commit(struct attempt *attempt);

/* How many commands that may take. */
#define ATTEMPT_RESET_COMMANDS 16

/*
 * The same for what was not committed, since some things outlast a ROLLBACK. False: the connection
 * is of no more use.
 */
bool attempt_reset(struct db_connection *connection, int64_t timeout);

/*
 * Sends what is there with a sync and takes the replies. After the COMMIT's reply nothing fails any
 * more, but the connection may be dead.
 */
MUST_CHECK bool attempt_round(struct attempt *attempt, struct db_failure *failure);

/*
 * Takes the reply of the last command with this purpose, of this item, out of the replies; null:
 * none.
 */
struct db_result *attempt_take(struct attempt *attempt, enum purpose purpose, size_t item);

/*
 * False: a statement ended the transaction that it is to be a part of. Too late to undo what it did
 * then, but nobody is told that all is well.
 */
MUST_CHECK bool attempt_stayed_within(const struct attempt *attempt, struct db_failure *failure);

/* After a failure: leaves the pipeline and the transaction, and says whether to try again. */
enum write_again attempt_failed(struct attempt *attempt, const struct db_failure *failure);

#endif
