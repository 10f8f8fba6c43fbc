/* Tests of topics used from several threads at once: every subscriber gets everything once, in one
 * order; loops come and go while others publish. */
#include "live.h"
#include "live/hub.h"
#include "live/outlet.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define TOPICS 3
#define WORKERS 3
#define PUBLISHERS (WORKERS + 1) /* one of them has no loop */
#define EACH 2000                /* messages of each publisher */
#define ALL (PUBLISHERS * EACH)
#define READERS 6

#define GAP (UINT64_C(1) << 63) /* marks a gap among the seqs */

struct worker {
    struct loop loop;
    struct loop_job job;
    struct outlet *outlet;
    struct reader readers[READERS];
    uint32_t random;
    int published;
    uint64_t give_up_ms;
    bool is_complete;
};

static struct {
    struct hub *hub;
    struct topic *topics[TOPICS];
    uint8_t topic_of[ALL + 1]; /* by seq */
    atomic_int published;
    atomic_int complete; /* workers whose readers have everything */
    struct worker workers[WORKERS];
} shared;

/* The topics of each reader, as bits. */
static const unsigned char wanted[READERS] = {1, 2, 4, 3, 7, 6};

static void publish_some(uint32_t *random)
{
    uint8_t topic = (uint8_t)random_below(random, TOPICS);
    shared.topic_of[publish(shared.topics[topic], "x")] = topic;
    atomic_fetch_add(&shared.published, 1);
}

static void *publish_without_loop(void *arg)
{
    uint32_t random = 99;
    (void)arg;
    for (int i = 0; i < EACH; i++)
        publish_some(&random);
    return NULL;
}

/* ---- a worker ---- */

static int on_messages(struct feed *feed, struct batch *batch)
{
    struct reader *reader = container_of(feed, struct reader, feed);
    struct worker *worker = reader->arg;
    int taken = batch->count;
    if (random_below(&worker->random, 4) == 0)
        taken = (int)random_below(&worker->random, (uint32_t)taken + 1);
    for (int i = 0; i < taken; i++)
        numbers_add(&reader->seqs, batch->messages[i]->seq);
    return taken;
}

static void on_gap(struct feed *feed, uint64_t cursor)
{
    numbers_add(&container_of(feed, struct reader, feed)->seqs, cursor | GAP);
}

static const struct feed_events events = {.on_messages = on_messages, .on_gap = on_gap};

static void open_readers(struct worker *worker)
{
    for (int i = 0; i < READERS; i++) {
        struct topic *topics[TOPICS];
        int count = 0;
        for (int k = 0; k < TOPICS; k++)
            if (wanted[i] >> k & 1)
                topics[count++] = shared.topics[k];
        worker->readers[i].arg = worker;
        feed_open(&worker->readers[i].feed, worker->outlet, &events, FEED_READER, topics, count, 0,
                  SLOW_GAP);
    }
}

static bool has_all(struct worker *worker)
{
    for (int i = 0; i < READERS; i++)
        if (feed_cursor(&worker->readers[i].feed) < ALL)
            return false;
    return true;
}

/* One turn: publish, resume who is blocked, and see whether all is done. */
static void work(struct loop_job *job)
{
    struct worker *worker = container_of(job, struct worker, job);
    for (int i = 0; i < 5 && worker->published < EACH; i++, worker->published++)
        publish_some(&worker->random);
    for (int i = 0; i < READERS; i++)
        feed_resume(&worker->readers[i].feed);
    if (!worker->is_complete && atomic_load(&shared.published) == ALL && has_all(worker)) {
        worker->is_complete = true;
        atomic_fetch_add(&shared.complete, 1);
    }
    if (atomic_load(&shared.complete) == WORKERS || real_ms() > worker->give_up_ms)
        loop_stop(&worker->loop);
    else
        loop_defer_next(&worker->loop, job);
}

static void *run_worker(void *arg)
{
    struct worker *worker = arg;
    loop_init(&worker->loop, NULL);
    worker->outlet = outlet_new(shared.hub, &worker->loop);
    worker->give_up_ms = real_ms() + 3 * PATIENCE_MS;
    worker->job.run = work;
    open_readers(worker);
    loop_defer_next(&worker->loop, &worker->job);
    loop_run(&worker->loop);
    for (int i = 0; i < READERS; i++)
        feed_close(&worker->readers[i].feed);
    outlet_free(worker->outlet);
    loop_deinit(&worker->loop);
    return NULL;
}

static void run_all(uint32_t keep)
{
    pthread_t threads[PUBLISHERS];
    char name[16];
    memset(&shared, 0, sizeof(shared));
    shared.hub = hub_new();
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof(name), "%d", i);
        shared.topics[i] = topic_with(shared.hub, name, keep, SLOW_GAP);
    }
    for (int i = 0; i < WORKERS; i++) {
        shared.workers[i].random = (uint32_t)i + 1;
        pthread_create(&threads[i], NULL, run_worker, &shared.workers[i]);
    }
    pthread_create(&threads[WORKERS], NULL, publish_without_loop, NULL);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(threads[i], NULL);
}

static void free_all(void)
{
    for (int i = 0; i < WORKERS; i++)
        for (int k = 0; k < READERS; k++)
            reader_end(&shared.workers[i].readers[k]);
    for (int i = 0; i < TOPICS; i++)
        topic_drop(shared.topics[i]);
    hub_free(shared.hub);
}

/* ---- what they should have got ---- */

static bool has_exactly_all(const struct reader *reader, unsigned char topics)
{
    int place = 0;
    for (uint64_t seq = 1; seq <= ALL; seq++) {
        if (!(topics >> shared.topic_of[seq] & 1))
            continue;
        if (place == reader->seqs.count || reader->seqs.all[place++] != seq)
            return false;
    }
    return place == reader->seqs.count;
}

static void test_exactly_once(void)
{
    bool is_right[2] = {true, true};
    run_all(ALL);
    for (int i = 0; i < WORKERS; i++)
        for (int k = 0; k < READERS; k++) {
            bool is_several = (wanted[k] & (wanted[k] - 1)) != 0;
            is_right[is_several] =
                is_right[is_several] && has_exactly_all(&shared.workers[i].readers[k], wanted[k]);
        }
    check(is_right[0], "threads: subscribers of one topic get everything once, in order");
    check(is_right[1], "threads: subscribers of several topics get everything once, in order");
    free_all();
}

static bool is_missing_some(uint64_t from, uint64_t to, unsigned char topics)
{
    for (uint64_t seq = from + 1; seq < to; seq++)
        if (topics >> shared.topic_of[seq] & 1)
            return true;
    return false;
}

/* One topic: whatever is missing was announced at that place; several: what comes is in order. */
static bool is_true(const struct reader *reader, unsigned char topics, int *gaps)
{
    bool is_several = (topics & (topics - 1)) != 0;
    bool is_told = false;
    uint64_t last = 0;
    for (int i = 0; i < reader->seqs.count; i++) {
        uint64_t seq = reader->seqs.all[i];
        if (seq & GAP) {
            is_told = true;
            ++*gaps;
            continue;
        }
        if (seq <= last || !(topics >> shared.topic_of[seq] & 1))
            return false;
        if (!is_several && is_missing_some(last, seq, topics) != is_told)
            return false;
        is_told = false;
        last = seq;
    }
    return is_several || is_told || !is_missing_some(last, ALL + 1, topics);
}

static void test_gaps(void)
{
    bool is_right = true;
    int gaps = 0;
    run_all(4);
    for (int i = 0; i < WORKERS; i++)
        for (int k = 0; k < READERS; k++)
            is_right = is_right && is_true(&shared.workers[i].readers[k], wanted[k], &gaps);
    check(is_right && gaps > 0 && atomic_load(&shared.complete) == WORKERS,
          "threads: where the log is too short, each gap is told, and none that is not there");
    free_all();
}

/* ---- loops that come and go ---- */

static struct {
    struct topic *topics[2];
    pthread_barrier_t under_way; /* both topics have a message, so that each reader gets one */
    atomic_bool is_over;
} endless;

static void *publish_for_ever(void *arg)
{
    (void)arg;
    publish(endless.topics[0], "x");
    publish(endless.topics[1], "x");
    pthread_barrier_wait(&endless.under_way);
    for (int i = 0; !atomic_load(&endless.is_over); i++)
        publish(endless.topics[i % 2], "x");
    return NULL;
}

/* Opens readers of one and of both, lets some turns pass, and goes. */
static int live_shortly(struct hub *hub, int turns)
{
    struct loop loop;
    struct reader readers[3] = {{.takes = 0}, {.takes = 1}, {.takes = 0}};
    int got = 0;
    loop_init(&loop, NULL);
    struct outlet *outlet = outlet_new(hub, &loop);
    reader_open(&readers[0], outlet, endless.topics[0], 0);
    reader_open(&readers[1], outlet, endless.topics[1], UINT64_MAX);
    feed_open(&readers[2].feed, outlet, &reader_events, FEED_POLL, endless.topics, 2, 0, -1);
    for (int i = 0; i < turns; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    for (int i = 0; i < 3; i++) {
        got += readers[i].seqs.count;
        reader_end(&readers[i]);
    }
    outlet_free(outlet);
    loop_deinit(&loop);
    return got;
}

static void test_coming_and_going(void)
{
    pthread_t threads[2];
    struct topic_stats stats;
    int got = 0;
    struct hub *hub = hub_new();
    endless.topics[0] = topic_with(hub, "t", 16, SLOW_GAP);
    endless.topics[1] = topic_with(hub, "u", 16, SLOW_GAP);
    pthread_barrier_init(&endless.under_way, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, publish_for_ever, NULL);
    pthread_barrier_wait(&endless.under_way);
    for (int i = 0; i < 300; i++) {
        got += live_shortly(hub, i % 5);
        hub_sweep(hub, real_ms());
    }
    atomic_store(&endless.is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&endless.under_way);
    topic_stats(endless.topics[0], &stats);
    check(got > 0 && stats.subscribers == 0,
          "threads: an outlet may go while others publish to what it had subscribed to");
    topic_drop(endless.topics[0]);
    topic_drop(endless.topics[1]);
    hub_free(hub);
}

void test_threads(void)
{
    test_exactly_once();
    test_gaps();
    test_coming_and_going();
}
