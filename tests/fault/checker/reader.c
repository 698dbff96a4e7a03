/*
 * One reader of the coherence checker: asks a responder's socket again and again over one kept
 * FastCGI connection and records when each read began and ended, and what it showed. Nothing is
 * judged here, and little is done between two reads, so that they can be many.
 *
 * usage: reader SOCKET TARGETS LOG SEED PACE_US SECONDS
 *
 * TARGETS holds whole requests, each behind its length (u32); one is chosen by chance each time, so
 * a target that is there twice is read twice as often. A read begins PACE_US after the one before,
 * or at once when that one took longer. Ends with SIGTERM, with its parent, after SECONDS, or after
 * READS_MAX reads. LOG is an array of struct read, in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READS_MAX 2000000
#define TARGETS_MAX 65536
#define ANSWER_MAX 65536
#define ANSWER_SECONDS 20
#define RECONNECT_NS 5000000

enum { FCGI_END_REQUEST = 3, FCGI_STDOUT = 6, FCGI_HEADER = 8 };

/* Where the answer came from; history.py knows the numbers by the same names. */
enum tier {
    TIER_NONE,
    TIER_L1,
    TIER_REDIS,
    TIER_FILL,
    TIER_BYPASS,
    TIER_OTHER,
};

/* As history.py unpacks it. Times are CLOCK_MONOTONIC in ns. status 0: no whole answer came. */
struct read {
    uint64_t start;
    uint64_t end;
    int64_t low;
    int64_t high;
    int64_t rows;
    uint16_t target;
    uint16_t status;
    uint8_t tier;
    uint8_t unused[3];
};

struct request {
    const char *bytes;
    size_t length;
};

struct reader {
    const char *socket;
    int connection; /* -1: none */
    struct request requests[TARGETS_MAX];
    size_t request_count;
    size_t length; /* of the answer */
    char answer[ANSWER_MAX + 1];
};

static volatile sig_atomic_t over;

static void end(int number)
{
    (void)number;
    over = 1;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void wait_until(uint64_t when)
{
    struct timespec time = {.tv_sec = (time_t)(when / 1000000000u),
                            .tv_nsec = (long)(when % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

/* xorshift64: which key comes next needs no better chance. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void load_requests(struct reader *reader, const char *path)
{
    FILE *file = fopen(path, "rb");
    uint32_t length;
    if (!file)
        fail(path);
    while (fread(&length, sizeof length, 1, file) == 1) {
        char *bytes = malloc(length);
        if (!bytes || fread(bytes, 1, length, file) != length ||
            reader->request_count == TARGETS_MAX)
            fail(path);
        reader->requests[reader->request_count++] = (struct request){bytes, length};
    }
    fclose(file);
    if (reader->request_count == 0)
        fail(path);
}

static void hang_up(struct reader *reader)
{
    if (reader->connection >= 0)
        close(reader->connection);
    reader->connection = -1;
}

static bool connected(struct reader *reader)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    if (reader->connection >= 0)
        return true;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", reader->socket);
    reader->connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (reader->connection < 0)
        fail("socket");
    setsockopt(reader->connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(reader->connection, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    hang_up(reader);
    return false;
}

static bool send_request(struct reader *reader, const struct request *request)
{
    ssize_t sent = send(reader->connection, request->bytes, request->length, MSG_NOSIGNAL);
    return sent == (ssize_t)request->length;
}

/*
 * Moves the content of whole records from `raw` to the answer. Returns the bytes of a record that
 * is not whole yet, moved to the front, and says whether the answer is complete.
 */
static size_t take_records(struct reader *reader, unsigned char *raw, size_t length, bool *ret_end)
{
    size_t at = 0;
    while (length - at >= FCGI_HEADER) {
        size_t content = (size_t)raw[at + 4] << 8 | raw[at + 5];
        size_t whole = FCGI_HEADER + content + raw[at + 6];
        if (length - at < whole)
            break;
        if (raw[at + 1] == FCGI_STDOUT && reader->length + content <= ANSWER_MAX) {
            memcpy(reader->answer + reader->length, raw + at + FCGI_HEADER, content);
            reader->length += content;
        }
        *ret_end = raw[at + 1] == FCGI_END_REQUEST;
        at += whole;
    }
    memmove(raw, raw + at, length - at);
    return length - at;
}

static bool receive_answer(struct reader *reader)
{
    static unsigned char raw[2 * ANSWER_MAX];
    size_t kept = 0;
    bool whole = false;
    reader->length = 0;
    while (!whole) {
        ssize_t came = recv(reader->connection, raw + kept, sizeof raw - kept, 0);
        if (came <= 0)
            return false;
        kept = take_records(reader, raw, kept + (size_t)came, &whole);
    }
    reader->answer[reader->length] = '\0';
    return true;
}

static int64_t number_after(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? strtoll(found + strlen(name), NULL, 10) : -1;
}

static enum tier tier_of(const char *head)
{
    static const struct {
        const char *text;
        enum tier tier;
    } tiers[] = {
        {"fwd=bypass", TIER_BYPASS}, {"fwd=uri-miss", TIER_FILL},  {"fwd=stale", TIER_FILL},
        {"detail=l1", TIER_L1},      {"detail=redis", TIER_REDIS},
    };
    const char *field = strstr(head, "Cache-Status: ");
    const char *line_end = field ? strchr(field, '\n') : NULL;
    if (!line_end)
        return TIER_NONE;
    for (size_t i = 0; i < sizeof tiers / sizeof tiers[0]; i++) {
        const char *found = strstr(field, tiers[i].text);
        if (found && found < line_end)
            return tiers[i].tier;
    }
    return TIER_OTHER;
}

static void understand(struct reader *reader, struct read *read)
{
    static const char status[] = "Status: ";
    const char *body = strstr(reader->answer, "\r\n\r\n");
    if (!body)
        return;
    read->status = 200;
    if (strncmp(reader->answer, status, sizeof status - 1) == 0)
        read->status = (uint16_t)strtoul(reader->answer + sizeof status - 1, NULL, 10);
    read->tier = (uint8_t)tier_of(reader->answer);
    read->low = number_after(body, "\"low\":");
    read->high = number_after(body, "\"high\":");
    read->rows = number_after(body, "\"rows\":");
}

static void read_once(struct reader *reader, uint64_t chance, struct read *read)
{
    size_t target = chance % reader->request_count;
    *read = (struct read){.target = (uint16_t)target, .low = -1, .high = -1, .rows = -1};
    read->start = now();
    if (connected(reader) && send_request(reader, &reader->requests[target]) &&
        receive_answer(reader))
        understand(reader, read);
    else
        hang_up(reader);
    read->end = now();
}

static void prepare(struct reader *reader, char **arguments)
{
    struct sigaction action = {.sa_handler = end};
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigaction(SIGTERM, &action, NULL);
    reader->connection = -1;
    reader->socket = arguments[1];
    load_requests(reader, arguments[2]);
}

static void read_on(struct reader *reader, FILE *log, uint64_t chance, uint64_t pace, uint64_t last)
{
    uint64_t next = now();
    for (long reads = 0; !over && reads < READS_MAX && next < last; reads++) {
        struct read read;
        read_once(reader, draw(&chance), &read);
        if (over)
            return; /* the signal may have cut this read short */
        if (fwrite(&read, sizeof read, 1, log) != 1)
            fail("the log");
        next = read.end > next + pace ? read.end : next + pace;
        if (read.status == 0)
            next = read.end + RECONNECT_NS;
        wait_until(next);
    }
}

int main(int count, char **arguments)
{
    static struct reader reader;
    FILE *log;
    if (count != 7) {
        fprintf(stderr, "usage: reader SOCKET TARGETS LOG SEED PACE_US SECONDS\n");
        return 2;
    }
    prepare(&reader, arguments);
    log = fopen(arguments[3], "wb");
    if (!log)
        fail(arguments[3]);
    read_on(&reader, log, strtoull(arguments[4], NULL, 10) * 0x9e3779b97f4a7c15u + 1,
            strtoull(arguments[5], NULL, 10) * 1000,
            now() + strtoull(arguments[6], NULL, 10) * 1000000000u);
    return fclose(log) == 0 ? 0 : 1;
}
