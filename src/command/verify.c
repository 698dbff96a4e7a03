/*
 * Compares what is kept with what PostgreSQL would answer now: once, or again and again beside
 * production.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/duration.h"
#include "command/command.h"
#include "command/folder.h"
#include "command/verify_report.h"

#define USAGE "[--sample N|all] [--rate N] [--every DURATION]"

#define SAMPLE_DEFAULT 1000
#define SAMPLE_MAX 1000000
#define RATE_DEFAULT 200
#define RATE_MAX 100000

/* So many differences wait for their second look at most; then it is made before going on. */
#define SUSPECTS_MAX 10000

/* What the call says. */
struct verify_call {
    size_t sample; /* 0: all */
    int64_t rate;  /* entries a second */
    int64_t every; /* µs; 0: once */
};

/* A difference to be looked at again. */
struct suspect {
    struct bytes key;
    struct verify_finding finding;
    int64_t due; /* monotonic µs */
};

struct verify {
    struct verify_call call;
    struct verifier *verifier;
    struct counters *counters;
    int64_t guard;
    struct verify_tally tally;
    struct bytes *sample; /* keys; call.sample of them */
    size_t sample_count;
    struct suspect *suspects; /* SUSPECTS_MAX */
    size_t suspect_count;
    int64_t next; /* monotonic µs: the next entry's turn */
    bool asked_to_end;
    struct error error; /* what ended a walk early; no text: nothing */
};

/* Reading the call */

static bool number_read(const char *option, const char *text, int64_t most, int64_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    long long number = text && *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 0;
    if (end && !*end && !errno && number >= 1 && number <= most) {
        *ret_number = number;
        return true;
    }
    fprintf(stderr,
            "larder verify: %s: \"%s\" is not allowed; allowed: a whole number from 1 to %lld%s\n",
            option, text ? text : "", (long long)most,
            strcmp(option, "--sample") == 0 ? ", or all" : "");
    return false;
}

static bool sample_read(struct verify_call *call, const char *text)
{
    int64_t number = 0;
    if (!(text && strcmp(text, "all") == 0) && !number_read("--sample", text, SAMPLE_MAX, &number))
        return false;
    call->sample = (size_t)number;
    return true;
}

static bool rate_read(struct verify_call *call, const char *text)
{
    return number_read("--rate", text, RATE_MAX, &call->rate);
}

static bool every_read(struct verify_call *call, const char *text)
{
    struct error error;
    int64_t every;
    if (duration_parse(span_of(text), &every, &error) && every > 0) {
        call->every = every;
        return true;
    }
    fprintf(stderr,
            "larder verify: --every: \"%s\" is not allowed; allowed: a duration above 0, as "
            "30s or 5m\n",
            text ? text : "");
    return false;
}

static const struct {
    const char *name;
    bool (*read)(struct verify_call *call, const char *text);
} call_options[] = {{"--sample", sample_read}, {"--rate", rate_read}, {"--every", every_read}};

static bool option_read(struct verify_call *call, const char *name, const char *text)
{
    for (size_t i = 0; i < ARRAY_COUNT(call_options); i++)
        if (strcmp(name, call_options[i].name) == 0)
            return call_options[i].read(call, text);
    fprintf(stderr, "larder verify: \"%s\" is not allowed; allowed: " USAGE "\n", name);
    return false;
}

static bool arguments_read(struct verify_call *call, int count, char **arguments)
{
    for (int i = 1; i < count; i += 2)
        if (!option_read(call, arguments[i], arguments[i + 1]))
            return false;
    return true;
}

/* Waiting */

static void end_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGINT);
}

/*
 * Waits until `due`; false when a signal asks to end. Where one has to be obeyed between two
 * entries it is blocked, and taken here alone: none comes in between unseen.
 */
static bool wait_until(struct verify *verify, int64_t due)
{
    sigset_t set;
    end_signals(&set);
    for (int64_t left = due - clock_monotonic(); !verify->asked_to_end;
         left = due - clock_monotonic()) {
        const struct timespec limit = clock_timespec(left > 0 ? left : 0);
        if (sigtimedwait(&set, NULL, &limit) > 0)
            verify->asked_to_end = true;
        else if (errno == EAGAIN)
            return true;
    }
    return false;
}

/* No more entries a second than allowed, and none in a rush after a slow one. */
static bool turn_wait(struct verify *verify)
{
    if (!wait_until(verify, verify->next))
        return false;
    verify->next = clock_monotonic() + 1000000 / verify->call.rate;
    return true;
}

/* Entries */

static bool failed(struct verify *verify)
{
    return *verify->error.text != '\0';
}

static void count(struct verify *verify, const struct verify_finding *finding)
{
    verify->tally.counts[finding->outcome]++;
    if (finding->outcome == VERIFY_SAME || finding->outcome == VERIFY_DIFFERS)
        counters_add(verify->counters, COUNTER_VERIFY_CHECKED, 1);
    if (finding->outcome == VERIFY_DIFFERS)
        counters_add(verify->counters, COUNTER_VERIFY_DIFFERING, 1);
    if (finding->outcome == VERIFY_FAILED)
        verify_print_failure(&verify->tally, finding);
}

/* The second look at a difference settles it. */
static bool suspect_settle(struct verify *verify, struct suspect *suspect)
{
    struct span key = bytes_span(&suspect->key);
    struct verify_finding *finding = &suspect->finding;
    if (!wait_until(verify, suspect->due) || !turn_wait(verify) ||
        !verify_confirm(verify->verifier, key, finding, &verify->error))
        return false;
    count(verify, finding);
    if (finding->outcome != VERIFY_DIFFERS)
        return true;
    verify_print_difference(key, finding);
    if (finding->kept.status == finding->now.status &&
        strcmp(finding->kept.tag, finding->now.tag) == 0)
        verify->tally.relabelled++;
    return true;
}

/* False: the walk is over. */
static bool suspects_settle(struct verify *verify)
{
    bool on = true;
    for (size_t i = 0; i < verify->suspect_count; i++) {
        on = on && suspect_settle(verify, &verify->suspects[i]);
        bytes_free(&verify->suspects[i].key);
        verify_finding_free(&verify->suspects[i].finding);
    }
    verify->suspect_count = 0;
    return on;
}

/* Takes the finding over. */
static bool suspect_add(struct verify *verify, struct span key,
                        const struct verify_finding *finding)
{
    struct suspect *suspect = &verify->suspects[verify->suspect_count++];
    *suspect = (struct suspect){.finding = *finding, .due = clock_monotonic() + verify->guard};
    bytes_append_span(&suspect->key, key);
    if (suspect->key.failed)
        return error_set_memory(&verify->error);
    return verify->suspect_count < SUSPECTS_MAX || suspects_settle(verify);
}

static bool check(struct verify *verify, struct span key)
{
    struct verify_finding finding = {0};
    if (!turn_wait(verify))
        return false;
    bool done = verify_entry(verify->verifier, key, &finding, &verify->error);
    if (done && finding.outcome == VERIFY_DIFFERS)
        return suspect_add(verify, key, &finding);
    if (done)
        count(verify, &finding);
    verify_finding_free(&finding);
    return done;
}

static bool visit_to_check(void *context, struct span key)
{
    struct verify *verify = context;
    verify->tally.entries++;
    return check(verify, key);
}

/* Each entry is in the sample with the same chance, however many come (Vitter's algorithm R). */
static bool visit_to_sample(void *context, struct span key)
{
    struct verify *verify = context;
    size_t seen = verify->tally.entries++, place = seen;
    if (seen >= verify->call.sample)
        place = (size_t)(((uint64_t)random() << 31 | (uint64_t)random()) % (seen + 1));
    if (place >= verify->call.sample)
        return true;
    if (verify->sample_count <= place)
        verify->sample_count = place + 1;
    bytes_clear(&verify->sample[place]);
    bytes_append_span(&verify->sample[place], key);
    return verify->sample[place].failed ? error_set_memory(&verify->error) : true;
}

static int by_text(const void *left, const void *right)
{
    struct span a = bytes_span(left), b = bytes_span(right);
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* A scan may tell of an entry twice. */
static void sample_check(struct verify *verify)
{
    const struct bytes *sample = verify->sample;
    qsort(verify->sample, verify->sample_count, sizeof *sample, by_text);
    for (size_t i = 0; i < verify->sample_count; i++)
        if ((i == 0 || by_text(&sample[i - 1], &sample[i]) != 0) &&
            !check(verify, bytes_span(&sample[i])))
            return;
}

/* Walks */

static void print_faults(const struct fault_list *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        fault_print(&faults->faults[i], stderr);
}

/*
 * What PostgreSQL complains of is told; the other routes are compared all the same. Routes that
 * can't be loaded leave the old ones in use, as with a responder.
 */
static bool load(struct verify *verify, bool again)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct error error = {0};
    bool loaded =
        arena ? verifier_load(verify->verifier, again, &faults, &error) : error_set_memory(&error);
    print_faults(&faults);
    fault_list_free(&faults);
    arena_free(arena);
    if (loaded)
        return true;
    bool old = verifier_live(verify->verifier) != NULL;
    fprintf(stderr, "larder verify: %s%s\n", error.text, old ? ": the old ones stay" : "");
    return old;
}

static void walk(struct verify *verify)
{
    bool all = verify->call.sample == 0;
    verify->sample_count = 0;
    if (verify_walk(verify->verifier, all ? visit_to_check : visit_to_sample, verify,
                    &verify->error) &&
        !failed(verify) && !all)
        sample_check(verify);
    if (!failed(verify) && !verify->asked_to_end)
        suspects_settle(verify);
}

/* What is still waiting for a second look is nothing proved. */
static void suspects_drop(struct verify *verify)
{
    bool asked_to_end = verify->asked_to_end;
    verify->asked_to_end = true;
    suspects_settle(verify);
    verify->asked_to_end = asked_to_end;
}

/* One whole comparison; false when something was in the way of it. */
static bool pass(struct verify *verify)
{
    bool again = verify->tally.counts[VERIFY_FAILED] > 0;
    verify->tally = (struct verify_tally){0};
    verify->error = (struct error){0};
    if (!load(verify, again))
        return false;
    walk(verify);
    suspects_drop(verify);
    if (failed(verify))
        fprintf(stderr, "larder verify: %s\n", verify->error.text);
    verify_print_tally(&verify->tally, verifier_live(verify->verifier));
    fflush(stdout);
    return !failed(verify);
}

/* True: nothing differed. What was in the way of one of many passes is told, and no more. */
static bool pass_all(struct verify *verify)
{
    bool same = true;
    do {
        int64_t begun = clock_monotonic();
        bool done = pass(verify);
        same = same && verify->tally.counts[VERIFY_DIFFERS] == 0;
        if (!verify->call.every)
            return done && same;
        wait_until(verify, begun + verify->call.every);
    } while (!verify->asked_to_end);
    return same;
}

/* Opening */

static bool counters_begin(struct verify *verify, const struct options *options)
{
    struct error reason;
    if (counters_open(options_text(options, OPTION_RUN), &verify->counters, &reason))
        return true;
    fprintf(stderr, "larder verify: %s: nothing is counted in the responders' metrics\n",
            reason.text);
    verify->counters = counters_open_private();
    return verify->counters ? true : error_set_memory(&verify->error);
}

static bool memory_begin(struct verify *verify)
{
    size_t most = verify->call.sample ? verify->call.sample : 1;
    verify->sample = calloc(most, sizeof *verify->sample);
    verify->suspects = calloc(SUSPECTS_MAX, sizeof *verify->suspects);
    return verify->sample && verify->suspects ? true : error_set_memory(&verify->error);
}

static void verify_close(struct verify *verify)
{
    for (size_t i = 0; verify->sample && i < verify->call.sample; i++)
        bytes_free(&verify->sample[i]);
    free(verify->sample);
    free(verify->suspects);
    verifier_free(verify->verifier);
    counters_close(verify->counters);
}

int command_verify(const struct options *options, int count, char **arguments)
{
    struct verify verify = {.call = {.sample = SAMPLE_DEFAULT, .rate = RATE_DEFAULT},
                            .guard = options_number(options, OPTION_GUARD_TTL)};
    if (!arguments_read(&verify.call, count, arguments))
        return 2;
    sigset_t set;
    end_signals(&set);
    if (verify.call.every)
        sigprocmask(SIG_BLOCK, &set, NULL);
    srandom((unsigned)clock_wall());
    bool opened = memory_begin(&verify) && counters_begin(&verify, options) &&
                  verifier_new(options, verify.counters, &verify.verifier, &verify.error);
    if (!opened)
        fprintf(stderr, "larder verify: %s\n", verify.error.text);
    bool good = opened && pass_all(&verify);
    verify_close(&verify);
    return good ? 0 : 1;
}
