#include "serve/queue_text.h"

#include <inttypes.h>
#include <time.h>

#include "base/json.h"

static void append_time(const char *name, int64_t time, struct bytes *out)
{
    time_t seconds = (time_t)(time / 1000000);
    struct tm parts;
    char text[32];
    bytes_append_format(out, ",\"%s\":", name);
    if (time <= 0 || !gmtime_r(&seconds, &parts) ||
        !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts)) {
        bytes_append_text(out, "null");
        return;
    }
    bytes_append_format(out, "\"%s.%06dZ\"", text, (int)(time % 1000000));
}

static bool is_json(struct span type)
{
    struct span rest = type;
    struct span name = span_trim(span_split(&rest, ';'));
    return span_is_nocase(name, "application/json") ||
           span_is_nocase(name, "application/problem+json");
}

/* The body as it is where it is JSON. */
static void append_body(const char *name, const struct queue_job *job, struct bytes *out)
{
    bytes_append_format(out, ",\"%s\":", name);
    if (job->body.size == 0)
        bytes_append_text(out, "null");
    else if (is_json(job->type))
        bytes_append_span(out, job->body);
    else
        json_write_string(job->body, out);
}

static void append_more(const struct queue_job *job, struct bytes *out)
{
    if (job->next && job->state == QUEUE_QUEUED)
        append_time("next", job->next, out);
    if (job->cancelling && !queue_state_ended(job->state))
        bytes_append_text(out, ",\"cancelling\":true");
    if (job->location.size) {
        bytes_append_text(out, ",\"location\":");
        json_write_string(job->location, out);
    }
    if (queue_job_resultless(job))
        bytes_append_text(out, ",\"result\":null");
    else if (job->state == QUEUE_DONE)
        append_body("result", job, out);
    if (job->state == QUEUE_FAILED || queue_job_resultless(job))
        append_body("problem", job, out);
}

void queue_text_write(const char *id, const struct queue_job *job, struct bytes *out)
{
    bytes_append_format(out,
                        "{\"id\":\"%s\",\"status\":\"%s\",\"progress\":{\"done\":%" PRId64
                        ",\"of\":%" PRId64 "}",
                        id, queue_state_names[job->state], job->done, job->of);
    append_time("filed", job->filed, out);
    append_time("began", job->begun, out);
    append_time("ended", job->ended, out);
    bytes_append_format(out, ",\"tries\":%" PRId64, job->tries);
    append_more(job, out);
    bytes_append_byte(out, '}');
}

/* All that ends a line of an event, as its reader has it. */
static struct span line_split(struct span *text)
{
    size_t end = 0;
    while (end < text->size && text->data[end] != '\n' && text->data[end] != '\r')
        end++;
    return span_split(text, end < text->size ? text->data[end] : '\n');
}

void queue_text_event(enum queue_state state, const char *tag, struct span text, struct bytes *out)
{
    bytes_append_format(out, "event: %s\nid: %s\n", queue_state_names[state], tag);
    while (text.data) {
        bytes_append_text(out, "data: ");
        bytes_append_span(out, line_split(&text));
        bytes_append_byte(out, '\n');
    }
    bytes_append_byte(out, '\n');
}
