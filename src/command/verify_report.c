#include "command/verify_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define FAILURES_TOLD 10

/* Control characters escaped: values in keys are whatever clients sent. */
static void append_printable(struct bytes *out, struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < ' ' || byte == 0x7f)
            bytes_append_format(out, "\\x%02x", byte);
        else
            bytes_append_byte(out, (char)byte);
    }
}

static void append_side(struct bytes *out, const char *name, const struct verify_side *side)
{
    bytes_append_format(out, "  %s %u", name, side->status);
    if (*side->tag)
        bytes_append_format(out, " \"%s\"", side->tag);
}

static void append_age(struct bytes *out, int64_t age)
{
    bytes_append_format(out, "  age %" PRId64 ".%" PRId64 "s", age / 1000000,
                        age % 1000000 / 100000);
}

static void append_tags(struct bytes *out, struct span tags)
{
    bytes_append_text(out, "  tags");
    while (tags.data) {
        bytes_append_text(out, " \"");
        append_printable(out, span_split(&tags, '\n'));
        bytes_append_byte(out, '"');
    }
}

void verify_print_difference(struct span key, const struct verify_finding *finding)
{
    struct bytes line CLEANUP(bytes_free) = BYTES_EMPTY;
    int64_t age = clock_wall() - finding->created;
    bytes_append_text(&line, "differs: ");
    append_printable(&line, key);
    append_age(&line, age > 0 ? age : 0);
    append_side(&line, "kept", &finding->kept);
    append_side(&line, "now", &finding->now);
    if (strcmp(finding->label, finding->kept.tag) != 0)
        bytes_append_format(&line, "  ETag \"%s\"", finding->label);
    append_tags(&line, bytes_span(&finding->tags));
    printf("%s\n", bytes_text(&line));
}

void verify_print_failure(struct verify_tally *tally, const struct verify_finding *finding)
{
    if (tally->failures_told++ < FAILURES_TOLD)
        fprintf(stderr, "larder verify: %s: PostgreSQL: %s\n", finding->served->route->name,
                finding->failure.message);
}

/* Behind the number of those skipped. */
static const char *const reasons[VERIFY_OUTCOMES] = {
    [VERIFY_HASHED] = "skipped: the key is a digest, which tells no values",
    [VERIFY_UNKNOWN] = "skipped: of no route here; an earlier deployment's, or another's",
    [VERIFY_CLOCK] = "skipped: the route asks for the time",
    [VERIFY_VARYING] = "skipped: the statement's answer varies with time, chance or session",
    [VERIFY_ROLE] =
        "skipped: the route asks as a client's role, and the key does not tell its claims",
    [VERIFY_GONE] = "skipped: not served any more; expired, struck or gone",
    [VERIFY_FAILED] = "skipped: the statement failed",
};

static size_t skipped(const struct verify_tally *tally)
{
    size_t sum = 0;
    for (size_t i = 0; i < VERIFY_OUTCOMES; i++)
        sum += reasons[i] ? tally->counts[i] : 0;
    return sum;
}

static void print_names(struct live *live, enum verify_outcome outcome)
{
    const char *before = ": ";
    for (size_t i = 0; i < live_count(live); i++) {
        if (!live_at(live, i)->route->cache.present || verify_route(live_at(live, i)) != outcome)
            continue;
        printf("%s%s", before, live_at(live, i)->route->name);
        before = ", ";
    }
}

void verify_print_tally(const struct verify_tally *tally, struct live *live)
{
    size_t same = tally->counts[VERIFY_SAME], differing = tally->counts[VERIFY_DIFFERS];
    printf("checked %zu of %zu entries: %zu same, %zu differing; %zu skipped\n", same + differing,
           tally->entries, same, differing, skipped(tally));
    for (enum verify_outcome i = 0; i < VERIFY_OUTCOMES; i++) {
        if (!reasons[i] || !tally->counts[i])
            continue;
        printf("%8zu %s", tally->counts[i], reasons[i]);
        if (i == VERIFY_CLOCK || i == VERIFY_VARYING || i == VERIFY_ROLE)
            print_names(live, i);
        printf("\n");
    }
    if (tally->relabelled)
        printf("%8zu hold the right body under another ETag: is LARDER_ETAG_KEY_FILE (or "
               "LARDER_PREFIX) the responders' own?\n",
               tally->relabelled);
}
