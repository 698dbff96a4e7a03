#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cache/urls.h"

#define SECOND INT64_C(1000000)
#define NOW (1000 * SECOND)
#define PROCESSES 4
#define NOTES 20000
#define BUCKETS ((size_t)1024)
#define FLOOD 40000 /* URLs, several for each place */

static const struct span feeds = {"public.feeds(id)", 16}, users = {"public.users(id)", 16};

static char folder[64], file[96];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/larder-urls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/urls-3", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static off_t file_size(void)
{
    struct stat status;
    assert_int_equal(stat(file, &status), 0);
    return status.st_size;
}

static struct urls *opened(void)
{
    struct urls *urls;
    struct error error;
    if (!urls_open(folder, &urls, &error))
        fail_msg("%s", error.text);
    return urls;
}

static struct url_note note_of(const char *target, const struct span *tag, uint64_t clock)
{
    return (struct url_note){.target = span_of(target),
                             .coding = URL_GZIP,
                             .clock = clock,
                             .version = 7,
                             .tags = tag,
                             .tag_count = 1,
                             .ttl = 10 * SECOND};
}

static int64_t noted(struct urls *urls, const struct url_note *note, int64_t now)
{
    int64_t until;
    assert_true(urls_note(urls, note, now, &until));
    return until;
}

static size_t stale(struct urls *urls, const struct clocks *clocks, int64_t now,
                    struct url_found *ret_last)
{
    size_t count = 0;
    struct urls_look look = {0};
    while (urls_stale_next(urls, clocks, now, &look, ret_last))
        count++;
    assert_false(look.passed_over);
    return count;
}

static void an_answer_is_stale_once_one_of_its_tags_is_struck(void **state)
{
    struct urls *urls = opened();
    struct clocks *clocks = clocks_open_private();
    struct url_found found;
    struct url_note one = note_of("/feeds?a=1", &feeds, 50), other = note_of("/users", &users, 50);
    (void)state;
    assert_int_equal(noted(urls, &one, NOW), NOW + 10 * SECOND);
    noted(urls, &other, NOW);
    assert_int_equal(stale(urls, clocks, NOW, &found), 0);
    clocks_bump(clocks, clocks_hash(feeds), 51);
    assert_int_equal(stale(urls, clocks, NOW, &found), 1);
    assert_string_equal(found.target, "/feeds?a=1");
    assert_int_equal(found.coding, URL_GZIP);
    assert_int_equal(found.clock, 50);
    one.clock = 51;
    noted(urls, &one, NOW);
    assert_int_equal(stale(urls, clocks, NOW, &found), 0);
    urls_close(urls);
    clocks_close(clocks);
}

static void each_coding_is_an_answer_of_its_own(void **state)
{
    struct urls *urls = opened();
    struct clocks *clocks = clocks_open_private();
    struct url_found found;
    struct url_note note = note_of("/feeds", &feeds, 50);
    (void)state;
    for (note.coding = 0; note.coding < URL_CODING_COUNT; note.coding++)
        noted(urls, &note, NOW);
    clocks_bump(clocks, clocks_hash(feeds), 60);
    assert_int_equal(stale(urls, clocks, NOW, &found), URL_CODING_COUNT);
    urls_forget(urls, note.target, URL_GZIP);
    assert_int_equal(stale(urls, clocks, NOW, &found), URL_CODING_COUNT - 1);
    urls_close(urls);
    clocks_close(clocks);
}

static void a_record_ends_when_nginx_may_not_serve_it_any_more(void **state)
{
    struct urls *urls = opened();
    struct clocks *clocks = clocks_open_private();
    struct url_found found;
    struct url_note note = note_of("/feeds", &feeds, 50);
    (void)state;
    noted(urls, &note, NOW);
    clocks_bump(clocks, clocks_hash(feeds), 60);
    assert_int_equal(stale(urls, clocks, NOW + 11 * SECOND, &found), 1);
    assert_int_equal(stale(urls, clocks, NOW + 12 * SECOND, &found), 0);
    urls_close(urls);
    clocks_close(clocks);
}

static void refreshes_do_not_keep_alive_what_nobody_reads(void **state)
{
    struct urls *urls = opened();
    struct url_note note = note_of("/feeds", &feeds, 50);
    (void)state;
    noted(urls, &note, NOW);
    note.refresh = true;
    assert_int_equal(noted(urls, &note, NOW + 4 * SECOND), NOW + 10 * SECOND);
    assert_int_equal(noted(urls, &note, NOW + 9 * SECOND), NOW + 10 * SECOND);
    int64_t until;
    assert_false(urls_note(urls, &note, NOW + 10 * SECOND, &until));
    note.refresh = false;
    assert_int_equal(noted(urls, &note, NOW + 10 * SECOND), NOW + 20 * SECOND);
    struct url_note other = note_of("/unknown", &feeds, 50);
    other.refresh = true;
    assert_false(urls_note(urls, &other, NOW, &until));
    urls_close(urls);
}

static void what_can_not_be_asked_for_is_not_noted(void **state)
{
    struct urls *urls = opened();
    char longest[URLS_TARGET_MAX + 2];
    int64_t until;
    const char *const bad[] = {"", "feeds", "/a b", "/a\r\nX: y", "/a\x7f", longest};
    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct url_note note = note_of(bad[i], &feeds, 1);
        assert_false(urls_note(urls, &note, NOW, &until));
    }
    longest[sizeof longest - 2] = '\0';
    struct url_note note = note_of(longest, &feeds, 1);
    assert_true(urls_note(urls, &note, NOW, &until));
    urls_close(urls);
}

/* Whatever nginx was given is found when it is struck, however much more there was. */
static void when_it_is_full_nothing_is_forgotten_and_nothing_more_is_kept(void **state)
{
    static bool kept[FLOOD], found_stale[FLOOD];
    struct urls *urls = opened();
    struct clocks *clocks = clocks_open_private();
    struct url_found found;
    char target[32];
    size_t count = 0;
    int64_t until;
    (void)state;
    for (int i = 0; i < FLOOD; i++) {
        snprintf(target, sizeof target, "/feeds/%d", i);
        struct url_note note = note_of(target, &feeds, 50);
        kept[i] = urls_note(urls, &note, NOW, &until);
        count += kept[i];
    }
    assert_true(count > 7500 && count <= 8192);
    clocks_bump(clocks, clocks_hash(feeds), 60);
    struct urls_look look = {0};
    while (urls_stale_next(urls, clocks, NOW, &look, &found))
        found_stale[atoi(found.target + strlen("/feeds/"))] = true;
    assert_memory_equal(kept, found_stale, sizeof kept);
    struct url_note late = note_of(target, &feeds, 60);
    assert_false(urls_note(urls, &late, NOW + 11 * SECOND, &until));
    noted(urls, &late, NOW + 12 * SECOND);
    urls_close(urls);
    clocks_close(clocks);
}

/* A dead holder counts as one after a second. */
static void noted_in_the_end(struct urls *urls, const struct url_note *note)
{
    int64_t until, limit = clock_monotonic() + 5 * SECOND;
    while (!urls_note(urls, note, NOW, &until))
        assert_true(clock_monotonic() < limit);
}

/* Each writes the same URLs with as many tags as its number says, and is killed in the middle. */
static void write_until_killed(int number)
{
    struct urls *urls = opened();
    struct span tags[PROCESSES] = {feeds, users, feeds, users};
    char target[32];
    for (int i = 0;; i++) {
        snprintf(target, sizeof target, "/feeds/%d", i % 50);
        struct url_note note = note_of(target, tags, (uint64_t)number);
        int64_t until;
        note.tag_count = (size_t)number + 1;
        if (!urls_note(urls, &note, NOW, &until))
            continue;
    }
}

static void writers_that_are_killed_leave_neither_locks_nor_torn_records(void **state)
{
    struct urls *urls = opened();
    struct clocks *clocks = clocks_open_private();
    struct url_found found;
    pid_t children[PROCESSES];
    (void)state;
    clocks_bump(clocks, clocks_hash(feeds), 60);
    for (int i = 0; i < PROCESSES; i++)
        if ((children[i] = fork()) == 0)
            write_until_killed(i);
    while (urls_notes(urls) < NOTES)
        usleep(1000);
    for (int i = 0; i < PROCESSES; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    struct urls_look look = {0};
    while (urls_stale_next(urls, clocks, NOW, &look, &found))
        assert_memory_equal(found.target, "/feeds/", 7);
    for (int i = 0; i < 50; i++) {
        char target[32];
        snprintf(target, sizeof target, "/feeds/%d", i);
        struct url_note note = note_of(target, &feeds, 60);
        noted_in_the_end(urls, &note);
    }
    assert_int_equal(stale(urls, clocks, NOW, &found), 0);
    urls_close(urls);
    clocks_close(clocks);
}

/* What a process that was stopped or killed there has left: the file's head, then the buckets. */
static void hold_all(int64_t since)
{
    const size_t head = 2 * sizeof(uint64_t) + BUCKETS, size = (size_t)file_size() - head;
    int written = open(file, O_WRONLY);
    for (size_t i = 0; i < BUCKETS; i++)
        assert_int_equal(
            pwrite(written, &since, sizeof since, (off_t)(head + i * (size / BUCKETS))),
            sizeof since);
    close(written);
}

static void what_another_holds_is_said_to_be_passed_over(void **state)
{
    struct urls *urls = opened();
    struct clocks *clocks = clocks_open_private();
    struct url_found found;
    struct url_note note = note_of("/feeds", &feeds, 50);
    struct urls_look look = {0};
    (void)state;
    noted(urls, &note, NOW);
    clocks_bump(clocks, clocks_hash(feeds), 60);
    hold_all(clock_monotonic());
    assert_false(urls_stale_next(urls, clocks, NOW, &look, &found));
    assert_true(look.passed_over);
    hold_all(0);
    assert_int_equal(stale(urls, clocks, NOW, &found), 1);
    urls_close(urls);
    clocks_close(clocks);
}

static bool is_seven_of_feeds(void *context, struct span target, uint64_t version)
{
    (*(size_t *)context)++;
    return version == 7 && span_is(target, "/feeds");
}

static void an_answer_of_another_route_than_today_is_stale(void **state)
{
    struct urls *urls = opened();
    struct clocks *clocks = clocks_open_private();
    struct url_found found;
    struct url_note right = note_of("/feeds", &feeds, 50), moved = note_of("/users", &users, 50);
    struct url_note older = note_of("/feeds", &feeds, 50), over = note_of("/late", &users, 50);
    size_t asked = 0;
    (void)state;
    older.version = 6;
    older.coding = URL_IDENTITY;
    over.ttl = 1;
    assert_true(urls_outdate(urls, NOW, is_seven_of_feeds, &asked));
    assert_int_equal(urls_notes(urls), 0);
    noted(urls, &right, NOW);
    noted(urls, &moved, NOW);
    noted(urls, &older, NOW);
    noted(urls, &over, NOW - 5 * SECOND);
    uint64_t notes = urls_notes(urls);
    assert_true(urls_outdate(urls, NOW, is_seven_of_feeds, &asked));
    assert_int_equal(asked, 3);
    assert_int_not_equal(urls_notes(urls), notes);
    assert_int_equal(stale(urls, clocks, NOW, &found), 2);
    noted(urls, &moved, NOW);
    urls_forget(urls, older.target, older.coding);
    assert_int_equal(stale(urls, clocks, NOW, &found), 0);
    hold_all(clock_monotonic());
    assert_false(urls_outdate(urls, NOW, is_seven_of_feeds, &asked));
    hold_all(0);
    urls_close(urls);
    clocks_close(clocks);
}

static void only_nginxs_own_texts_are_codings(void **state)
{
    enum url_coding coding;
    (void)state;
    assert_true(url_coding_of(SPAN_LITERAL("br, gzip"), &coding));
    assert_int_equal(coding, URL_BROTLI);
    assert_false(url_coding_of(SPAN_LITERAL("br"), &coding));
    assert_false(url_coding_of((struct span){0}, &coding));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

UNIT_MAIN(IN_FOLDER(an_answer_is_stale_once_one_of_its_tags_is_struck),
          IN_FOLDER(each_coding_is_an_answer_of_its_own),
          IN_FOLDER(an_answer_of_another_route_than_today_is_stale),
          IN_FOLDER(a_record_ends_when_nginx_may_not_serve_it_any_more),
          IN_FOLDER(refreshes_do_not_keep_alive_what_nobody_reads),
          IN_FOLDER(what_can_not_be_asked_for_is_not_noted),
          IN_FOLDER(what_another_holds_is_said_to_be_passed_over),
          IN_FOLDER(when_it_is_full_nothing_is_forgotten_and_nothing_more_is_kept),
          IN_FOLDER(writers_that_are_killed_leave_neither_locks_nor_torn_records),
          cmocka_unit_test(only_nginxs_own_texts_are_codings))
