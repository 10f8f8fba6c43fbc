/* Tests of core/net: each check prints `ok - sentence` or `not ok - sentence`; net_spec.lua reads
 * them. Here: addresses, deadlines and the loop; the rest is in net_*.c. */
#include "net.h"

#include "base/log.h"
#include "base/tally.h"
#include "net/address.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failures;

void check(bool is_ok, const char *sentence)
{
    printf("%s - %s\n", is_ok ? "ok" : "not ok", sentence);
    fflush(stdout);
    failures += !is_ok;
}

/* ---- addresses ---- */

static bool reads_as(const char *text, const char *url)
{
    struct address addr;
    char buf[256] = "";
    if (address_parse(&addr, text) == 0)
        address_url(&addr, buf, sizeof(buf));
    return strcmp(buf, url) == 0;
}

static void test_address(void)
{
    check(reads_as("127.0.0.1:8080", "http://127.0.0.1:8080") &&
              reads_as("localhost:0", "http://127.0.0.1:0") &&
              reads_as(":80", "http://0.0.0.0:80") && reads_as("*:80", "http://0.0.0.0:80") &&
              reads_as("[::1]:65535", "http://[::1]:65535") &&
              reads_as("unix:/run/a b", "unix:/run/a b"),
          "addresses: what they may look like");

    static const char *const wrong[] = {"",
                                        "8080",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:+1",
                                        "127.0.0.1: 80",
                                        "::1:80",
                                        "[::1]",
                                        "[127.0.0.1]:80",
                                        "example.org:80",
                                        "[]:80",
                                        "unix:",
                                        "127.0.0.1.1:80"};
    bool all = true;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        all = all && reads_as(wrong[i], "");
    check(all, "addresses: what is none is refused");

    char path[300] = "unix:";
    memset(path + 5, 'x', 107);
    struct address addr;
    check(address_parse(&addr, path) == 0, "addresses: the longest path that fits is taken");
    memset(path + 5, 'x', 108);
    check(address_parse(&addr, path) == -ENAMETOOLONG, "addresses: one byte more is refused, not cut");
}

/* ---- deadlines ---- */

#define MANY 1000

struct timed {
    struct deadline deadline;
    uint64_t wanted_ms; /* 0: never */
    struct deadlines *all;
    int fired;
    struct timed *victim;
};

static uint64_t fake_now_ms;
static uint64_t last_wanted_ms;
static bool in_order;

static void on_timed(struct deadline *deadline)
{
    struct timed *timed = container_of(deadline, struct timed, deadline);
    in_order = in_order && timed->wanted_ms == fake_now_ms && timed->wanted_ms >= last_wanted_ms;
    last_wanted_ms = timed->wanted_ms;
    timed->fired++;
}

static void set_timed(struct timed *timed, uint64_t at_ms)
{
    timed->wanted_ms = at_ms;
    if (at_ms)
        deadlines_set(timed->all, &timed->deadline, at_ms);
    else
        deadlines_clear(timed->all, &timed->deadline);
}

/* Each is set, then moved earlier, later or cleared several times; every millisecond is run. */
static void test_deadline_order(void)
{
    struct deadlines all;
    struct timed *many = mem_calloc(MANY * sizeof(*many));
    deadlines_init(&all);
    for (int i = 0; i < MANY; i++) {
        deadline_init(&many[i].deadline, on_timed);
        many[i].all = &all;
    }
    srand(42);
    for (int i = 0; i < 5 * MANY; i++)
        set_timed(&many[rand() % MANY], rand() % 4 == 0 ? 0 : (uint64_t)(1 + rand() % 500));

    in_order = true;
    for (fake_now_ms = 1; fake_now_ms <= 500; fake_now_ms++)
        deadlines_run(&all, fake_now_ms, INT_MAX);
    bool all_fired = true;
    for (int i = 0; i < MANY; i++)
        all_fired = all_fired && many[i].fired == (many[i].wanted_ms != 0) &&
                    !deadline_is_set(&many[i].deadline);
    check(in_order, "deadlines: fire in order at the time they were last set to");
    check(all_fired && all.count == 0, "deadlines: fire once, cleared ones never");
    deadlines_deinit(&all);
    mem_free(many);
}

static void on_clear_victim(struct deadline *deadline)
{
    struct timed *timed = container_of(deadline, struct timed, deadline);
    timed->fired++;
    if (timed->victim) {
        deadlines_clear(timed->all, &timed->victim->deadline);
        mem_free(timed->victim);
        timed->victim = NULL;
    }
}

static void on_again(struct deadline *deadline)
{
    struct timed *timed = container_of(deadline, struct timed, deadline);
    timed->fired++;
    deadlines_set(timed->all, deadline, 1); /* long past */
}

static void test_deadline_callbacks(void)
{
    struct deadlines all;
    struct timed killer = {.all = &all}, again = {.all = &all};
    deadlines_init(&all);
    killer.victim = mem_calloc(sizeof(struct timed));
    deadline_init(&killer.deadline, on_clear_victim);
    deadline_init(&killer.victim->deadline, on_clear_victim);
    deadline_init(&again.deadline, on_again);
    deadlines_set(&all, &killer.deadline, 10);
    deadlines_set(&all, &killer.victim->deadline, 11);
    deadlines_set(&all, &again.deadline, 12);

    deadlines_run(&all, 20, INT_MAX);
    check(killer.fired == 1 && killer.victim == NULL,
          "deadlines: a callback may clear and free another due one");
    check(again.fired == 1 && deadlines_next_ms(&all) == 21,
          "deadlines: one set into the past fires in the next run");
    deadlines_clear(&all, &again.deadline);
    deadlines_clear(&all, &again.deadline);
    check(deadlines_next_ms(&all) == UINT64_MAX, "deadlines: clearing twice is harmless");
    deadlines_deinit(&all);
}

/* ---- the loop: time ---- */

struct nap {
    struct deadline deadline;
    uint64_t began_ms, took_ms;
};

static void on_nap(struct deadline *deadline)
{
    struct nap *nap = container_of(deadline, struct nap, deadline);
    nap->took_ms = real_ms() - nap->began_ms;
}

static void spin_ms(uint64_t ms)
{
    uint64_t end_ms = real_ms() + ms;
    while (real_ms() < end_ms)
        ;
}

static void nap_start(struct nap *nap, struct loop *loop, uint64_t ms)
{
    deadline_init(&nap->deadline, on_nap);
    nap->took_ms = 0;
    nap->began_ms = real_ms();
    loop_set_deadline(loop, &nap->deadline, ms);
}

static void test_loop_time(void)
{
    struct loop loop;
    struct nap early, late;
    loop_init(&loop, NULL);
    nap_start(&late, &loop, 60);
    nap_start(&early, &loop, 20);
    UNTIL(&loop, early.took_ms);
    check(early.took_ms >= 19 && late.took_ms == 0, "loop: an earlier deadline moves the timer");
    UNTIL(&loop, late.took_ms);
    check(late.took_ms >= 59, "loop: a deadline comes no earlier than asked for");

    turn(&loop);
    spin_ms(50);
    nap_start(&early, &loop, 30);
    UNTIL(&loop, early.took_ms);
    check(early.took_ms >= 29, "loop: a short deadline set after long work is counted from then");
    loop_deinit(&loop);
}

struct guard {
    struct peer peer;
    struct deadline limit;
    bool is_late;
};

static void on_guard_limit(struct deadline *deadline)
{
    container_of(deadline, struct guard, limit)->is_late = true;
}

static void on_guard_data(struct peer *peer)
{
    struct guard *guard = container_of(peer, struct guard, peer);
    loop_clear_deadline(conn_loop(&peer->conn), &guard->limit);
}

static void test_data_beats_deadline(void)
{
    struct loop loop;
    struct guard guard = {.peer.on_data = on_guard_data};
    int fds[2];
    loop_init(&loop, NULL);
    tcp_pair(fds, 0);
    peer_open(&guard.peer, &loop, fds[0], false);
    deadline_init(&guard.limit, on_guard_limit);
    turn(&loop);
    loop_set_deadline(&loop, &guard.limit, 20);
    check(write(fds[1], "x", 1) == 1, "loop: (a byte is sent in time)");
    spin_ms(50);
    UNTIL(&loop, guard.peer.got.len > 0);
    check(!guard.is_late,
          "loop: input that came in time beats its deadline, even when the loop was held up");
    peer_end(&guard.peer, &loop);
    loop_deinit(&loop);
    close(fds[1]);
}

/* ---- the loop: jobs ---- */

struct step {
    struct loop_job job;
    struct loop *loop;
    int runs, limit;
    bool next_turn;
};

static void on_step(struct loop_job *job)
{
    struct step *step = container_of(job, struct step, job);
    if (++step->runs >= step->limit)
        return;
    if (step->next_turn)
        loop_defer_next(step->loop, job);
    else
        loop_defer(step->loop, job);
}

static void test_jobs(void)
{
    struct loop loop;
    loop_init(&loop, NULL);
    struct step once = {.job.run = on_step, .loop = &loop, .limit = 1};
    loop_defer(&loop, &once.job);
    loop_defer(&loop, &once.job);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    check(once.runs == 1, "jobs: deferred twice runs once");
    loop_defer(&loop, &once.job);
    loop_cancel_job(&once.job);
    loop_cancel_job(&once.job);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    check(once.runs == 1, "jobs: a cancelled one does not run");

    struct step chain = {.job.run = on_step, .loop = &loop, .limit = 10};
    loop_defer(&loop, &chain.job);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    check(chain.runs == 10, "jobs: those that jobs defer run in the same turn");

    struct step slices = {.job.run = on_step, .loop = &loop, .limit = 3, .next_turn = true};
    loop_defer(&loop, &slices.job);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    int after_one = slices.runs;
    uv_run(&loop.uv, UV_RUN_ONCE); /* must not sleep: nobody would wake it */
    check(after_one == 2 && slices.runs == 3,
          "jobs: one slice between two looks at I/O, and no sleep");

    struct step endless = {.job.run = on_step, .loop = &loop, .limit = 1000000};
    struct nap nap;
    nap_start(&nap, &loop, 5);
    loop_defer(&loop, &endless.job);
    UNTIL(&loop, nap.took_ms);
    check(nap.took_ms && endless.runs < 1000000,
          "jobs: one that defers itself for ever does not stop the loop");
    loop_cancel_job(&endless.job);
    loop_deinit(&loop);
}

/* ---- the loop: messages ---- */

#define THREADS 4
#define POSTS 2000

struct note {
    struct loop_message message;
    int thread, number;
};

static struct {
    struct loop loop;
    int last[THREADS];
    int count;
    bool in_order;
} post;

static void on_note(struct loop *loop, struct loop_message *message)
{
    struct note *note = container_of(message, struct note, message);
    post.in_order = post.in_order && note->number == post.last[note->thread] + 1;
    post.last[note->thread] = note->number;
    mem_free(note);
    if (++post.count == THREADS * POSTS)
        loop_stop(loop);
}

static void *post_many(void *arg)
{
    for (int i = 1; i <= POSTS; i++) {
        struct note *note = mem_calloc(sizeof(*note));
        note->thread = (int)(intptr_t)arg;
        note->number = i;
        note->message.run = on_note;
        loop_post(&post.loop, &note->message);
    }
    return NULL;
}

static void test_messages(void)
{
    pthread_t threads[THREADS];
    loop_init(&post.loop, NULL);
    post.in_order = true;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, post_many, (void *)(intptr_t)i);
    loop_run(&post.loop); /* until the last one has come */
    check(post.count == THREADS * POSTS, "messages: all posted by 4 threads arrive");
    check(post.in_order, "messages: those of one thread arrive in the order of posting");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    post.count = post.last[0] = 0;
    struct note *note = mem_calloc(sizeof(*note));
    note->number = 1;
    note->message.run = on_note;
    loop_post(&post.loop, &note->message);
    loop_deinit(&post.loop);
    check(post.count == 1, "messages: one that waits when the loop ends is still run");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    close_range(3, ~0U, 0); /* what whoever started us left open: we count descriptors */
    log_start(LOG_WARN, LOG_PRETTY);
    test_address();
    test_deadline_order();
    test_deadline_callbacks();
    test_loop_time();
    test_data_beats_deadline();
    test_jobs();
    test_messages();
    test_turn();
    test_write();
    test_end();
    test_file();
    test_listener();
    test_client();
    test_work();
    log_stop();
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        failures += tally_count((enum tally_kind)kind) != 0;
    check(tally_count(TALLY_CONN) == 0 && tally_count(TALLY_LISTENER) == 0 &&
              tally_count(TALLY_LOOP) == 0,
          "nothing is left open");
    return failures > 0;
}
