#include "work/refresh.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "work/refresh_plan.h"

#define SECRET_MAX 128
#define SECRET_LEAST 16
#define HEADER_MAX (SECRET_MAX + 64)

/* One request, ms. A page may take its statement's time; whoever is slower is tried again. */
#define CONNECT_TIMEOUT 1000L
#define REQUEST_TIMEOUT 15000L

/* How often the clocks are looked at while nobody wakes the thread, µs. */
#define POLL INT64_C(2000)
#define POLL_IDLE INT64_C(100000) /* before anything was given to nginx */

/* Of its time a thread spends this part at most with looking for stale records. */
#define SCAN_PART 5

struct transfer {
    CURL *handle;
    struct curl_slist *headers;
    struct refresh_job *job; /* null: free */
};

struct refresh {
    const char *site;
    struct counters *counters;
    const struct clocks *clocks;
    struct urls *urls;
    struct refresh_plan *plan;
    CURLM *multi;
    struct transfer transfers[REFRESH_AT_ONCE];
    char secret[SECRET_MAX + 1];
    struct thread thread;
    _Atomic bool ends;

    uint64_t changes, notes; /* at the last scan */
    bool ended_one;          /* since the last scan a job has ended */
    bool passed_over;        /* the last scan could not look at all records */
    int64_t scan_next;       /* monotonic µs */
    bool failing;            /* the log says so */
};

/* The file is nginx's, a line "SECRET yes;": the first word is meant. */
static bool secret_take(const char *path, const char *text, char secret[static SECRET_MAX + 1],
                        struct error *error)
{
    size_t size = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");
    if (size < SECRET_LEAST || size > SECRET_MAX)
        return error_set(error, ERROR_INVALID,
                         "LARDER_NGINX_SECRET_FILE: %s does not begin with a word of %d to %d "
                         "letters and digits",
                         path, SECRET_LEAST, SECRET_MAX);
    memcpy(secret, text, size);
    secret[size] = '\0';
    return true;
}

static bool secret_read(const char *path, char secret[static SECRET_MAX + 1], struct error *error)
{
    char text[SECRET_MAX + 2] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (size < 0)
        error_set_errno(error, "LARDER_NGINX_SECRET_FILE: %s", path);
    if (file >= 0)
        close(file);
    bool taken = size >= 0 && secret_take(path, text, secret, error);
    explicit_bzero(text, sizeof text);
    return taken;
}

static size_t discard(char *data, size_t size, size_t count, void *unused)
{
    (void)data;
    (void)unused;
    return size * count;
}

/* What all requests have in common. */
static bool transfer_open(struct transfer *transfer, const char *site)
{
    transfer->handle = curl_easy_init();
    return transfer->handle && curl_easy_setopt(transfer->handle, CURLOPT_URL, site) == CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT) ==
               CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT) == CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_WRITEFUNCTION, discard) == CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_PRIVATE, transfer) == CURLE_OK;
}

static void transfer_close(struct transfer *transfer, CURLM *multi)
{
    if (transfer->handle && transfer->job)
        curl_multi_remove_handle(multi, transfer->handle);
    curl_easy_cleanup(transfer->handle);
    curl_slist_free_all(transfer->headers);
}

static bool header_add(struct transfer *transfer, const char *name, const char *value)
{
    char line[HEADER_MAX];
    snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    explicit_bzero(line, sizeof line);
    if (longer)
        transfer->headers = longer;
    return longer != NULL;
}

static bool headers_write(struct transfer *transfer, const char *secret)
{
    const struct refresh_job *job = transfer->job;
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    return header_add(transfer, "Accept-Encoding", url_coding_names[job->coding]) &&
           (job->kind == REFRESH_FETCH ? header_add(transfer, "X-Larder-Refresh", secret)
                                       : header_add(transfer, "If-None-Match", job->tag));
}

static bool transfer_begin(struct refresh *refresh, struct transfer *transfer)
{
    return headers_write(transfer, refresh->secret) &&
           curl_easy_setopt(transfer->handle, CURLOPT_REQUEST_TARGET, transfer->job->target) ==
               CURLE_OK &&
           curl_easy_setopt(transfer->handle, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK &&
           curl_multi_add_handle(refresh->multi, transfer->handle) == CURLM_OK;
}

static struct transfer *transfer_free(struct refresh *refresh)
{
    for (size_t i = 0; i < REFRESH_AT_ONCE; i++)
        if (!refresh->transfers[i].job)
            return &refresh->transfers[i];
    return NULL;
}

static void begin_due(struct refresh *refresh)
{
    struct transfer *transfer;
    while ((transfer = transfer_free(refresh)) != NULL) {
        int64_t now = clock_monotonic();
        transfer->job = refresh_plan_begin(refresh->plan, now);
        if (!transfer->job)
            return;
        if (transfer_begin(refresh, transfer))
            continue;
        refresh_plan_end(refresh->plan, transfer->job, REFRESH_FAILED, (struct span){0}, now);
        transfer->job = NULL;
        return;
    }
}

static enum refresh_outcome fetch_outcome(CURLcode code, long status)
{
    if (code != CURLE_OK || status >= 500 || status == 429)
        return REFRESH_FAILED;
    return status == 200 ? REFRESH_DONE : REFRESH_GONE;
}

/* Only a page counts as another version: of anything else the next look will tell more. */
static enum refresh_outcome look_outcome(CURLcode code, long status)
{
    if (code != CURLE_OK || (status != 200 && status != 304))
        return REFRESH_FAILED;
    return status == 304 ? REFRESH_DONE : REFRESH_OTHER;
}

static void log_change(struct refresh *refresh, bool failed, CURLcode code, long status)
{
    if (failed == refresh->failing)
        return;
    refresh->failing = failed;
    if (!failed)
        log_event(LOG_INFO, "nginx", "what nginx keeps is refreshed again");
    else if (code != CURLE_OK)
        log_event(LOG_WARNING, "nginx", "refreshing what nginx keeps: %s: %s", refresh->site,
                  curl_easy_strerror(code));
    else
        log_event(LOG_WARNING, "nginx", "refreshing what nginx keeps: status %ld", status);
}

static void count(struct refresh *refresh, enum refresh_kind kind, enum refresh_outcome outcome)
{
    if (kind == REFRESH_FETCH)
        counters_add(refresh->counters,
                     outcome == REFRESH_FAILED ? COUNTER_NGINX_FAILURES : COUNTER_NGINX_REFRESHES,
                     1);
    else if (outcome == REFRESH_OTHER)
        counters_add(refresh->counters, COUNTER_NGINX_OVERTAKEN, 1);
}

static struct span tag_of(CURL *handle)
{
    struct curl_header *header;
    if (curl_easy_header(handle, "ETag", 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return (struct span){0};
    return span_of(header->value);
}

static void transfer_end(struct refresh *refresh, struct transfer *transfer, CURLcode code)
{
    long status = 0;
    enum refresh_kind kind = transfer->job->kind;
    curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &status);
    enum refresh_outcome outcome =
        kind == REFRESH_FETCH ? fetch_outcome(code, status) : look_outcome(code, status);
    count(refresh, kind, outcome);
    if (kind == REFRESH_FETCH)
        log_change(refresh, outcome == REFRESH_FAILED, code, status);
    refresh_plan_end(refresh->plan, transfer->job, outcome, tag_of(transfer->handle),
                     clock_monotonic());
    curl_multi_remove_handle(refresh->multi, transfer->handle);
    transfer->job = NULL;
    refresh->ended_one = true;
}

static void end_ended(struct refresh *refresh)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(refresh->multi, &left)) != NULL) {
        struct transfer *transfer;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer) == CURLE_OK)
            transfer_end(refresh, transfer, code);
    }
}

/* Has anything happened that can make a record stale? */
static bool scan_due(struct refresh *refresh, int64_t now)
{
    uint64_t changes = clocks_changes(refresh->clocks), notes = urls_notes(refresh->urls);
    if (now < refresh->scan_next ||
        (changes == refresh->changes && notes == refresh->notes && !refresh->ended_one &&
         !refresh->passed_over))
        return false;
    refresh->changes = changes;
    refresh->notes = notes;
    refresh->ended_one = false;
    return true;
}

/* Without the secret nginx answers from what it keeps, and all looks well from here. */
static void told_in_vain(struct refresh *refresh)
{
    counters_add(refresh->counters, COUNTER_NGINX_FAILURES, 1);
    if (!refresh->failing)
        log_event(LOG_WARNING, "nginx",
                  "a refreshed answer is as old as before: is LARDER_NGINX_SECRET_FILE the file "
                  "that nginx includes, and LARDER_NGINX the site?");
    refresh->failing = true;
}

static void scan(struct refresh *refresh)
{
    int64_t begin = clock_monotonic(), now = clock_wall();
    struct url_found found;
    struct urls_look look = {0};
    if (!scan_due(refresh, begin))
        return;
    while (urls_stale_next(refresh->urls, refresh->clocks, now, &look, &found))
        if (!refresh_plan_add(refresh->plan, &found, found.until - now, begin))
            told_in_vain(refresh);
    int64_t end = clock_monotonic();
    refresh->passed_over = look.passed_over;
    refresh->scan_next = end + (SCAN_PART - 1) * (end - begin);
}

static int pause_ms(const struct refresh *refresh)
{
    int64_t now = clock_monotonic(), next = refresh_plan_next(refresh->plan);
    int64_t until = now + (urls_notes(refresh->urls) ? POLL : POLL_IDLE);
    return clock_remaining_ms(next < until ? next : until, now);
}

static void *run(void *argument)
{
    struct refresh *refresh = argument;
    int running;
    while (!atomic_load(&refresh->ends)) {
        scan(refresh);
        begin_due(refresh);
        curl_multi_perform(refresh->multi, &running);
        end_ended(refresh);
        curl_multi_poll(refresh->multi, NULL, 0, pause_ms(refresh), NULL);
    }
    return NULL;
}

static void refresh_free(struct refresh *refresh)
{
    for (size_t i = 0; i < REFRESH_AT_ONCE; i++)
        transfer_close(&refresh->transfers[i], refresh->multi);
    curl_multi_cleanup(refresh->multi);
    refresh_plan_free(refresh->plan);
    urls_close(refresh->urls);
    explicit_bzero(refresh->secret, sizeof refresh->secret);
    free(refresh);
}

static bool refresh_open(struct refresh *refresh, struct error *error)
{
    bool good = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    refresh->plan = refresh_plan_new();
    refresh->multi = good ? curl_multi_init() : NULL;
    good = refresh->plan && refresh->multi;
    for (size_t i = 0; good && i < REFRESH_AT_ONCE; i++)
        good = transfer_open(&refresh->transfers[i], refresh->site);
    return good ? true : error_set_memory(error);
}

bool refresh_start(const struct options *options, struct counters *counters,
                   const struct clocks *clocks, struct refresh **ret_refresh, struct error *error)
{
    static const struct thread_kind kind = {.name = "refresh", .run = run};
    *ret_refresh = NULL;
    if (!*options_text(options, OPTION_NGINX))
        return true;
    struct refresh *refresh = calloc(1, sizeof *refresh);
    if (!refresh)
        return error_set_memory(error);
    refresh->site = options_text(options, OPTION_NGINX);
    refresh->counters = counters;
    refresh->clocks = clocks;
    refresh->ended_one = true; /* what was struck before the start is found at once */
    if (secret_read(options_text(options, OPTION_NGINX_SECRET_FILE), refresh->secret, error) &&
        urls_open(options_text(options, OPTION_RUN), &refresh->urls, error) &&
        refresh_open(refresh, error) && thread_start(&refresh->thread, &kind, refresh, error)) {
        *ret_refresh = refresh;
        return true;
    }
    refresh_free(refresh);
    return false;
}

void refresh_wake(struct refresh *refresh)
{
    curl_multi_wakeup(refresh->multi);
}

void refresh_stop(struct refresh *refresh)
{
    if (!refresh)
        return;
    atomic_store(&refresh->ends, true);
    refresh_wake(refresh);
    thread_join(&refresh->thread);
    refresh_free(refresh);
}
