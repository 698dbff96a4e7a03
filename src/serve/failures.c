#include "serve/failures.h"

#include "base/log.h"
#include "serve/bearer.h"

static const struct failure_row rows[] = {
    [DB_FAILURE_NONE] = {.status = 500,
                         .shared = true,
                         .detail = "The route's statement failed.",
                         .level = LOG_ERROR},
    [DB_FAILURE_STATEMENT] = {.status = 500,
                              .shared = true,
                              .detail = "The route's statement failed.",
                              .level = LOG_ERROR},
    [DB_FAILURE_VALUE] = {.status = 422,
                          .detail = "The database does not take a parameter's value.",
                          .level = LOG_INFO},
    [DB_FAILURE_CONSTRAINT] = {.status = 409,
                               .detail = "The change contradicts what is stored.",
                               .level = LOG_INFO},
    [DB_FAILURE_READ_ONLY] = {.status = 500,
                              .shared = true,
                              .detail = "The route's statement tried to write.",
                              .level = LOG_ERROR},
    [DB_FAILURE_FORBIDDEN] = {.status = 500,
                              .shared = true,
                              .detail =
                                  "The server's database role may not run the route's statement.",
                              .level = LOG_ERROR},
    [DB_FAILURE_TIMEOUT] = {.status = 504,
                            .detail = "The statement took longer than it may.",
                            .shared = true,
                            .away = true,
                            .level = LOG_WARNING},
    [DB_FAILURE_UNAVAILABLE] = {.status = 503,
                                .detail = "The database can't be reached.",
                                .retry = true,
                                .shared = true,
                                .away = true,
                                .level = LOG_ERROR},
    [DB_FAILURE_BUSY] = {.status = 503,
                         .detail = "The server is busy.",
                         .retry = true,
                         .shared = true,
                         .away = true,
                         .level = LOG_WARNING},
    [DB_FAILURE_STALE] = {.status = 500,
                          .shared = true,
                          .detail = "The route's statement failed.",
                          .level = LOG_ERROR},
    [DB_FAILURE_TOO_LARGE] = {.status = 500,
                              .shared = true,
                              .detail = "The answer is larger than the database can make.",
                              .level = LOG_ERROR},
    [DB_FAILURE_RETRY] = {.status = 503,
                          .detail = "The database is busy with other changes.",
                          .retry = true,
                          .shared = true,
                          .level = LOG_WARNING},
    [DB_FAILURE_UNKNOWN] = {.status = 503,
                            .detail = "The database was lost while it committed: the change may "
                                      "have been made, or not.",
                            .level = LOG_ERROR},
    [DB_FAILURE_UNINSTALLED] = {.status = 501,
                                .detail = "This server's database does not keep the answers of "
                                          "requests with an Idempotency-Key.",
                                .level = LOG_ERROR},
    [DB_FAILURE_MEMORY] = {.status = 503,
                           .detail = "The server is out of memory.",
                           .retry = true,
                           .shared = true,
                           .level = LOG_ERROR},
};

const struct failure_row *failure_row_of(enum db_failure_kind kind)
{
    return &rows[kind];
}

/* Was it the client's own role that may not? */
static bool is_clients(const struct exchange *exchange, const struct failure_row *row)
{
    return exchange->identity && row == &rows[DB_FAILURE_FORBIDDEN];
}

enum log_level failure_level(const struct exchange *exchange, const struct failure_row *row)
{
    return is_clients(exchange, row) ? LOG_INFO : row->level;
}

void failure_answer(struct exchange *exchange, const struct failure_row *row)
{
    if (is_clients(exchange, row)) {
        bearer_forbid(exchange, "The database does not let this role do this.");
        return;
    }
    exchange_problem(exchange, row->status, row->detail);
    if (row->retry)
        exchange_header(exchange, "Retry-After", "1");
}

/* Could only PostgreSQL judge the parameter's value? */
static bool is_judged(const struct param *param)
{
    return param->type == TYPE_OTHER || param->type == TYPE_UNKNOWN || param->array;
}

static bool is_long(const struct param *param)
{
    return param->type == TYPE_TEXT || param->type >= TYPE_JSON || is_judged(param);
}

static bool is_number(const struct param *param)
{
    return (param->type >= TYPE_SMALLINT && param->type <= TYPE_DOUBLE) || is_judged(param);
}

static bool is_time(const struct param *param)
{
    return (param->type >= TYPE_DATE && param->type <= TYPE_TIMESTAMPTZ) || is_judged(param);
}

static bool is_any(const struct param *param)
{
    (void)param;
    return true;
}

typedef bool suspicion(const struct param *param);

/* Whose values each refusal may be about. */
static suspicion *suspicion_of(const struct db_failure *failure)
{
    static const struct {
        const char *sqlstate;
        suspicion *suspects;
    } about[] = {
        {"22001", is_long},   /* string_data_right_truncation */
        {"54000", is_long},   /* program_limit_exceeded: a row of an index */
        {"22003", is_number}, /* numeric_value_out_of_range */
        {"22008", is_time},   /* datetime_field_overflow */
    };
    for (size_t i = 0; i < ARRAY_COUNT(about); i++)
        if (strcmp(failure->sqlstate, about[i].sqlstate) == 0)
            return about[i].suspects;
    return is_judged;
}

/* Of the parameters that have a value. */
static size_t suspects(const struct exchange *exchange, suspicion *is_suspect,
                       struct problem_item *items)
{
    const struct learned *learned = exchange->learned;
    size_t count = 0;
    for (size_t i = 0; i < exchange->served->route->param_count; i++)
        if (exchange->by_param[i].state == VALUE_TEXT && is_suspect(&learned->params[i]))
            items[count++] =
                (struct problem_item){.name = learned->params[i].name,
                                      .in = param_place_names[learned->params[i].place],
                                      .detail = "may have a value that the database does not take"};
    return count;
}

/* Of a token, that is, which policies may look at: who has none has no claim of his own. */
static bool has_claims(const struct exchange *exchange)
{
    return exchange->identity && exchange->principal;
}

bool failure_has_suspects(const struct exchange *exchange)
{
    return exchange->served->route->param_count || has_claims(exchange);
}

/* What a policy may read of request.jwt.claims. */
static const struct problem_item token_item = {
    .name = "Authorization",
    .in = "header",
    .detail = "may have a token with a claim that the database does not take"};

/* A text that is none of its type's: no value that Larder has brought into PostgreSQL's form. */
static bool is_of_text(const struct db_failure *failure)
{
    return strcmp(failure->sqlstate, "22P02") == 0 || strcmp(failure->sqlstate, "22007") == 0;
}

/* The suspects; where none is, every one. Where policies look at the token its claims are too. */
void failure_answer_value(struct exchange *exchange, const struct failure_row *row,
                          const struct db_failure *failure)
{
    size_t most = exchange->served->route->param_count + 1;
    struct problem_item *items = arena_array(exchange->desk->arena, most, sizeof *items);
    if (!items) {
        exchange_memory(exchange);
        return;
    }
    bool claims = has_claims(exchange) && failure->kind == DB_FAILURE_VALUE;
    size_t count = suspects(exchange, suspicion_of(failure), items);
    if (!count)
        count = suspects(exchange, claims && is_of_text(failure) ? is_long : is_any, items);
    if (claims)
        items[count++] = token_item;
    exchange_problem_items(exchange, row->status, row->detail, items, count);
}

bool failure_problem_raised(const struct db_failure *failure, struct problem *ret_problem)
{
    *ret_problem = (struct problem){.status = failure->raised,
                                    .detail = failure->message,
                                    .details = failure->detail[0] ? failure->detail : NULL,
                                    .hint = failure->hint[0] ? failure->hint : NULL};
    return failure->raised != 0;
}

/* What HTTP wants beside the status, where it is the same for every route. */
static void append_raised(struct exchange *exchange, unsigned status)
{
    if (status == 401)
        bearer_challenge(exchange);
    else if (status == 503)
        exchange_header(exchange, "Retry-After", "1");
}

bool failure_answer_raised(struct exchange *exchange, const char *event,
                           const struct db_failure *failure)
{
    struct problem problem;
    if (!failure_problem_raised(failure, &problem))
        return false;
    log_event(problem.status < 500 ? LOG_INFO : LOG_ERROR, event, "%s: %s (SQLSTATE %s)",
              exchange->served->route->name, failure->message, failure->sqlstate);
    problem.instance = exchange->path;
    exchange_problem_whole(exchange, &problem);
    append_raised(exchange, problem.status);
    return true;
}

void failure_answer_unlearned(struct exchange *exchange, const char *event)
{
    if (exchange->learned->write.refused) {
        log_event(LOG_ERROR, event, "%s: PostgreSQL did not take its statements, as was logged",
                  exchange->served->route->name);
        exchange_problem(exchange, 500, "The route's statement failed.");
        return;
    }
    exchange_problem(exchange, 503, "The database can't be reached.");
    exchange_header(exchange, "Retry-After", "1");
}
