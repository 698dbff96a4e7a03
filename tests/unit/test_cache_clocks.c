#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache/bump.h"

#define PROCESSES 4
#define BUMPS 20000
#define MILLIONS 2000000 /* of tags: several for each slot */

static const struct span feeds = {"public.feeds(id)", 16}, users = {"public.users(id)", 16};

static char folder[64], file[96];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/larder-clocks-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/clocks-1", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder); /* fails if anything else was left there */
}

static struct clocks *opened(void)
{
    struct clocks *clocks;
    struct error error;
    if (!clocks_open(folder, &clocks, &error))
        fail_msg("%s", error.text);
    return clocks;
}

static bool fresh(struct clocks *clocks, struct span tag, uint64_t clock)
{
    uint64_t hash = clocks_hash(tag);
    return clocks_fresh(clocks, &hash, 1, clock);
}

static void an_answer_is_fresh_until_one_of_its_tags_is_struck_later(void **state)
{
    struct clocks *clocks = clocks_open_private();
    const uint64_t both[] = {clocks_hash(feeds), clocks_hash(users)};
    (void)state;
    assert_true(clocks_fresh(clocks, both, 2, 0));
    clocks_bump(clocks, both[1], 100);
    assert_false(clocks_fresh(clocks, both, 2, 99));
    assert_true(clocks_fresh(clocks, both, 2, 100));
    assert_true(clocks_fresh(clocks, both, 1, 99));
    assert_true(clocks_fresh(clocks, NULL, 0, 0));
    clocks_close(clocks);
}

static void clocks_never_run_backwards(void **state)
{
    struct clocks *clocks = clocks_open_private();
    (void)state;
    assert_int_equal(clocks_newest(clocks), 0);
    clocks_bump(clocks, clocks_hash(feeds), 100);
    clocks_bump(clocks, clocks_hash(feeds), 50);
    clocks_bump(clocks, clocks_hash(users), 70);
    assert_false(fresh(clocks, feeds, 99));
    assert_int_equal(clocks_newest(clocks), 100);
    clocks_close(clocks);
}

static void a_bump_that_is_heard_of_late_is_a_change(void **state)
{
    struct clocks *clocks = clocks_open_private();
    (void)state;
    clocks_bump(clocks, clocks_hash(feeds), 100);
    uint64_t changes = clocks_changes(clocks);
    clocks_bump(clocks, clocks_hash(feeds), 90);
    assert_true(clocks_changes(clocks) == changes);
    clocks_bump(clocks, clocks_hash(users), 90);
    assert_true(clocks_changes(clocks) != changes);
    clocks_close(clocks);
}

static void what_redis_is_not_told_is_above_all_that_was_seen(void **state)
{
    struct clocks *clocks = clocks_open_private();
    const uint64_t hashes[] = {clocks_hash(feeds), clocks_hash(users)};
    (void)state;
    clocks_bump(clocks, hashes[0], 100);
    clocks_see(clocks, 300);
    assert_int_equal(clocks_alone(clocks), 0);
    clocks_strike_alone(clocks, hashes, 1, 200);
    assert_int_equal(clocks_alone(clocks), 301);
    assert_false(fresh(clocks, feeds, 300));
    assert_true(fresh(clocks, users, 0));
    clocks_strike_alone(clocks, hashes, 2, 400);
    assert_int_equal(clocks_alone(clocks), 400);
    assert_false(fresh(clocks, users, 399));
    /* Whoever fills now has a clock of Redis', not one that is ahead of it. */
    assert_int_equal(clocks_newest(clocks), 100);
    clocks_close(clocks);
}

static bool awaits(struct clocks *clocks, struct span tag, int64_t now)
{
    uint64_t hash = clocks_hash(tag);
    return clocks_awaits(clocks, &hash, 1, now);
}

static void a_strike_is_awaited_until_it_arrives(void **state)
{
    struct clocks *clocks = clocks_open_private();
    const uint64_t hashes[] = {clocks_hash(feeds), clocks_hash(users)};
    const int64_t now = 5 * CLOCKS_AWAIT_LEAST;
    (void)state;
    assert_false(awaits(clocks, feeds, now));
    uint32_t first = clocks_await(clocks, hashes, 1, now);
    uint32_t second = clocks_await(clocks, hashes, 2, now + 1);
    assert_true(awaits(clocks, feeds, now + 1) && awaits(clocks, users, now + 1));
    assert_false(clocks_arrived(clocks, now));
    clocks_arrive(clocks, hashes, 2, second, now + 2);
    assert_true(awaits(clocks, feeds, now + 2)); /* the first still is */
    assert_false(awaits(clocks, users, now + 2));
    assert_true(clocks_arrived(clocks, now + 2));
    assert_false(clocks_arrived(clocks, now + 3));
    clocks_arrive(clocks, hashes, 1, first, now + 3);
    assert_false(awaits(clocks, feeds, now + 3));
    clocks_close(clocks);
}

/* As hashes of tags are: any number with any other. */
static void hashes_make(uint64_t *hashes, size_t count, uint32_t from)
{
    char tag[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(tag, sizeof tag, "t.id=%zu", from + i);
        hashes[i] = clocks_hash(span_of(tag));
    }
}

#define WRITERS 64
#define TAGS 20

/* A Redis that keeps many writers waiting must not send the readers of all else to the database. */
static void others_answers_are_believed_meanwhile(void **state)
{
    struct clocks *clocks = clocks_open_private();
    uint64_t struck[2 * WRITERS], others[TAGS];
    size_t hidden = 0;
    (void)state;
    hashes_make(struck, ARRAY_COUNT(struck), 0);
    clocks_await(clocks, struck, ARRAY_COUNT(struck), 1);
    for (uint32_t i = 1; i <= 1000; i++) {
        hashes_make(others, TAGS, i * 1000);
        hidden += clocks_awaits(clocks, others, TAGS, 1);
    }
    assert_true(hidden < 100);
    clocks_close(clocks);
}

static void nobody_awaits_a_dead_process_for_ever(void **state)
{
    struct clocks *clocks = clocks_open_private();
    const uint64_t hash = clocks_hash(feeds);
    const int64_t late = 6 * CLOCKS_AWAIT_LEAST - 1, least = CLOCKS_AWAIT_LEAST;
    (void)state;
    clocks_await(clocks, &hash, 1, late); /* and dies */
    assert_true(awaits(clocks, feeds, late + least));
    uint32_t other = clocks_await(clocks, &hash, 1, late + least);
    clocks_arrive(clocks, &hash, 1, other, late + least);
    assert_true(awaits(clocks, feeds, late + least)); /* the dead one's */
    assert_false(awaits(clocks, feeds, late + 2 * least));
    /* However many write on. */
    other = clocks_await(clocks, &hash, 1, late + 2 * least);
    clocks_arrive(clocks, &hash, 1, other, late + 2 * least);
    assert_false(awaits(clocks, feeds, late + 2 * least));
    clocks_close(clocks);
}

static void a_strike_arrives_in_a_later_period_than_it_began(void **state)
{
    struct clocks *clocks = clocks_open_private();
    const uint64_t hash = clocks_hash(feeds);
    const int64_t late = 6 * CLOCKS_AWAIT_LEAST - 1;
    (void)state;
    uint32_t next = clocks_await(clocks, &hash, 1, late + 1);
    uint32_t slow = clocks_await(clocks, &hash, 1, late); /* it read the time before the other */
    clocks_arrive(clocks, &hash, 1, next, late + 2);
    assert_true(awaits(clocks, feeds, late) && awaits(clocks, feeds, late + 2));
    clocks_arrive(clocks, &hash, 1, slow, late + 2);
    assert_false(awaits(clocks, feeds, late + 2));
    clocks_arrive(clocks, &hash, 1, slow, late + 3); /* never below none */
    assert_false(awaits(clocks, feeds, late + 3));
    clocks_close(clocks);
}

/* Whoever was stopped between looking at the time and coming back takes nothing of others'. */
static void a_strike_that_arrives_far_too_late_leaves_the_others(void **state)
{
    struct clocks *clocks = clocks_open_private();
    const uint64_t hash = clocks_hash(feeds);
    const int64_t now = 6 * CLOCKS_AWAIT_LEAST, later = 8 * CLOCKS_AWAIT_LEAST;
    (void)state;
    uint32_t late = clocks_await(clocks, &hash, 1, now);
    uint32_t other = clocks_await(clocks, &hash, 1, later);
    clocks_arrive(clocks, &hash, 1, late, now + 1);
    assert_true(awaits(clocks, feeds, later));
    clocks_arrive(clocks, &hash, 1, late, later);
    assert_true(awaits(clocks, feeds, later));
    clocks_arrive(clocks, &hash, 1, other, later);
    assert_false(awaits(clocks, feeds, later));
    clocks_close(clocks);
}

static void what_was_before_the_machines_start_is_forgotten(void **state)
{
    struct clocks *clocks = clocks_open_private();
    const uint64_t hash = clocks_hash(feeds);
    const int64_t before = 1000 * CLOCKS_AWAIT_LEAST, now = 3 * CLOCKS_AWAIT_LEAST;
    (void)state;
    uint32_t lost = clocks_await(clocks, &hash, 1, before);
    clocks_arrive(clocks, &hash, 1, lost, before + 5);
    clocks_await(clocks, &hash, 1, before);
    assert_false(awaits(clocks, feeds, now));
    uint32_t new = clocks_await(clocks, &hash, 1, now);
    assert_true(awaits(clocks, feeds, now));
    clocks_arrive(clocks, &hash, 1, new, now + 1);
    assert_false(awaits(clocks, feeds, now + 1));
    assert_true(clocks_arrived(clocks, now + 1));
    assert_false(clocks_arrived(clocks, now + 2));
    clocks_close(clocks);
}

/* Every process that opens it, of whatever build, must find the same slots. */
static void the_hash_is_fixed(void **state)
{
    (void)state;
    assert_true(clocks_hash(SPAN_LITERAL("*")) == UINT64_C(0x2173ab14281549b4));
}

/* … but those whose slot others must not move. */
static void what_all_hangs_on_shares_no_slot(void **state)
{
    static const struct span tags[] = {
        {.data = CACHE_TAG_ALL, .size = sizeof CACHE_TAG_ALL - 1},
        {.data = CACHE_TAG_DEFINITIONS, .size = sizeof CACHE_TAG_DEFINITIONS - 1}};
    struct clocks *clocks = clocks_open_private();
    char text[32];
    (void)state;
    for (int i = 0; i < MILLIONS; i++) {
        snprintf(text, sizeof text, "feeds.id=%d", i);
        uint64_t hash = clocks_hash(span_of(text));
        clocks_bump(clocks, hash, 100);
        clocks_await(clocks, &hash, 1, 1);
    }
    for (size_t i = 0; i < ARRAY_COUNT(tags); i++) {
        uint64_t hash = clocks_hash(tags[i]);
        assert_int_equal(clocks_of(clocks, hash), 0);
        assert_false(clocks_awaits(clocks, &hash, 1, 1));
        clocks_bump(clocks, hash, 200 + i);
        clocks_await(clocks, &hash, 1, 1);
        assert_int_equal(clocks_of(clocks, hash), 200 + i);
        assert_true(clocks_awaits(clocks, &hash, 1, 1));
    }
    clocks_close(clocks);
}

static void bump_all(void)
{
    struct clocks *clocks = opened();
    for (uint64_t i = 1; i <= BUMPS; i++)
        clocks_bump(clocks, clocks_hash(feeds), i * 10);
    _exit(fresh(clocks, feeds, BUMPS * 10) ? 0 : 1);
}

static void processes_share_them(void **state)
{
    pid_t children[PROCESSES];
    int status;
    (void)state;
    for (size_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0)
            bump_all();
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    struct clocks *clocks = opened();
    assert_int_equal(clocks_newest(clocks), BUMPS * 10);
    assert_false(fresh(clocks, feeds, BUMPS * 10 - 1));
    clocks_close(clocks);
}

static void await_all(void)
{
    struct clocks *clocks = opened();
    const uint64_t hash = clocks_hash(users);
    for (int64_t i = 1; i <= BUMPS; i++)
        clocks_arrive(clocks, &hash, 1, clocks_await(clocks, &hash, 1, i), i);
    clocks_await(clocks, &hash, 1, BUMPS);
    _exit(0);
}

static void processes_await_each_others(void **state)
{
    struct clocks *clocks = opened();
    const uint64_t hash = clocks_hash(users);
    int status;
    (void)state;
    assert_true(clocks_shared(clocks));
    for (size_t i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            await_all();
    for (size_t i = 0; i < PROCESSES; i++)
        assert_true(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (size_t i = 0; i < PROCESSES; i++) {
        assert_true(awaits(clocks, users, BUMPS));
        clocks_arrive(clocks, &hash, 1, 0, BUMPS);
    }
    assert_false(awaits(clocks, users, BUMPS));
    clocks_close(clocks);
}

static void they_outlive_the_processes(void **state)
{
    struct clocks *clocks = opened();
    (void)state;
    clocks_bump(clocks, clocks_hash(feeds), 9);
    clocks_close(clocks);
    clocks = opened();
    assert_false(fresh(clocks, feeds, 8));
    clocks_close(clocks);
}

static void write_file(const char *text, off_t size)
{
    int descriptor = open(file, O_RDWR | O_CREAT, 0640);
    assert_true(descriptor >= 0);
    assert_int_equal(pwrite(descriptor, text, strlen(text), 0), strlen(text));
    assert_int_equal(ftruncate(descriptor, size), 0);
    close(descriptor);
}

static void a_file_of_another_format_is_replaced_and_left_to_its_users(void **state)
{
    struct clocks *old = opened();
    struct stat status;
    (void)state;
    assert_int_equal(stat(file, &status), 0);
    clocks_bump(old, clocks_hash(feeds), 9);
    write_file("another!", status.st_size);
    struct clocks *new = opened();
    assert_true(fresh(new, feeds, 8));
    clocks_bump(new, clocks_hash(users), 9);
    assert_false(fresh(old, feeds, 8));
    assert_true(fresh(old, users, 8));
    struct clocks *third = opened();
    assert_false(fresh(third, users, 8));
    clocks_close(old);
    clocks_close(new);
    clocks_close(third);
}

static void a_file_of_another_size_is_replaced(void **state)
{
    static const off_t sizes[] = {0, 5, 8, 4096, 1 << 20, 1 << 22};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        unlink(file);
        write_file("Clocks1", sizes[i]);
        struct clocks *clocks = opened();
        clocks_bump(clocks, clocks_hash(feeds), 9);
        assert_false(fresh(clocks, feeds, 8));
        clocks_close(clocks);
    }
}

static void the_rest_of_one_who_died_on_the_way_is_no_hindrance(void **state)
{
    char rest[128];
    (void)state;
    snprintf(rest, sizeof rest, "%s.new", file);
    close(open(rest, O_CREAT | O_WRONLY, 0400));
    clocks_close(opened());
    assert_int_not_equal(access(rest, F_OK), 0);
}

static void a_link_is_not_followed(void **state)
{
    struct clocks *clocks;
    struct error error;
    (void)state;
    assert_int_equal(symlink("/tmp/elsewhere", file), 0);
    assert_false(clocks_open(folder, &clocks, &error));
    assert_non_null(strstr(error.text, folder));
}

static void what_is_no_file_is_refused(void **state)
{
    struct clocks *clocks;
    struct error error;
    (void)state;
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_false(clocks_open(folder, &clocks, &error));
    assert_int_equal(error.kind, ERROR_SYSTEM);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct clocks *clocks;
    struct error error;
    (void)state;
    assert_false(clocks_open("/nowhere/at/all", &clocks, &error));
    assert_int_equal(error.kind, ERROR_SYSTEM);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

UNIT_MAIN(cmocka_unit_test(what_redis_is_not_told_is_above_all_that_was_seen),
          cmocka_unit_test(an_answer_is_fresh_until_one_of_its_tags_is_struck_later),
          cmocka_unit_test(clocks_never_run_backwards),
          cmocka_unit_test(a_bump_that_is_heard_of_late_is_a_change),
          cmocka_unit_test(a_strike_is_awaited_until_it_arrives),
          cmocka_unit_test(others_answers_are_believed_meanwhile),
          cmocka_unit_test(nobody_awaits_a_dead_process_for_ever),
          cmocka_unit_test(a_strike_arrives_in_a_later_period_than_it_began),
          cmocka_unit_test(a_strike_that_arrives_far_too_late_leaves_the_others),
          cmocka_unit_test(what_was_before_the_machines_start_is_forgotten),
          WITH_FOLDER(processes_await_each_others), cmocka_unit_test(the_hash_is_fixed),
          cmocka_unit_test(what_all_hangs_on_shares_no_slot), WITH_FOLDER(processes_share_them),
          WITH_FOLDER(they_outlive_the_processes),
          WITH_FOLDER(a_file_of_another_format_is_replaced_and_left_to_its_users),
          WITH_FOLDER(a_file_of_another_size_is_replaced),
          WITH_FOLDER(the_rest_of_one_who_died_on_the_way_is_no_hindrance),
          WITH_FOLDER(a_link_is_not_followed), WITH_FOLDER(what_is_no_file_is_refused),
          cmocka_unit_test(a_folder_that_is_not_there_is_an_error))
