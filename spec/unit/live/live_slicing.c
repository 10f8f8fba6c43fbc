/* Tests of big fan-outs: they are delivered in slices, and everybody gets everything. */
#include "live.h"

#include <time.h>

#define CROWD 3000
#define MOST_TURNS (100 * CROWD) /* far fewer are needed, as each serves somebody */

struct counter {
    struct loop_job job;
    struct loop *loop;
    int runs;
    bool is_over;
};

static void on_count(struct loop_job *job)
{
    struct counter *counter = container_of(job, struct counter, job);
    counter->runs++;
    if (!counter->is_over)
        loop_defer_next(counter->loop, job);
}

/* As a job of the loop: how often others had their turn while all of them were served. */
static int turns_of_others(struct place *place, struct reader *readers, int last)
{
    struct counter counter = {.job.run = on_count, .loop = &place->loop};
    loop_defer_next(&place->loop, &counter.job);
    int served = 0;
    for (int turns = 0; served < CROWD && turns < MOST_TURNS; turns++) {
        uv_run(&place->loop.uv, UV_RUN_NOWAIT);
        served = 0;
        for (int i = 0; i < CROWD; i++)
            served += readers[i].seqs.count == last;
    }
    counter.is_over = true;
    settle(&place->loop);
    return served == CROWD ? counter.runs : 0;
}

static void spend_time(struct reader *reader)
{
    struct timespec start;
    struct timespec now;
    (void)reader;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < 50000);
}

void test_slicing(void)
{
    struct place place;
    static struct reader readers[CROWD];
    place_open(&place);
    struct topic *big = topic_with(place.hub, "big", 1000, SLOW_GAP);
    struct topic *small = topic_with(place.hub, "small", 1000, SLOW_GAP);
    for (int i = 0; i < CROWD; i++)
        reader_open(&readers[i], place.outlet, big, 0);
    publish(big, "x");
    check(turns_of_others(&place, readers, 1) >= CROWD / 512,
          "slices: no more than 512 feeds before others have their turn");
    for (int i = 0; i < CROWD; i++)
        readers[i].on_call = spend_time;
    publish(big, "x");
    check(turns_of_others(&place, readers, 2) >= CROWD * 50 / 2000 / 2,
          "slices: nor more than a few milliseconds");

    struct reader other = {.takes = 0};
    reader_open(&other, place.outlet, small, UINT64_MAX);
    publish(big, "x");
    uv_run(&place.loop.uv, UV_RUN_NOWAIT);
    publish(small, "x");
    uv_run(&place.loop.uv, UV_RUN_NOWAIT);
    uv_run(&place.loop.uv, UV_RUN_NOWAIT);
    int waiting = 0;
    for (int i = 0; i < CROWD; i++)
        waiting += readers[i].seqs.count < 3;
    check(other.seqs.count == 1 && waiting > CROWD / 2,
          "slices: a topic with few feeds does not wait for one with many");

    for (int i = 0; i < CROWD; i++)
        readers[i].on_call = NULL;
    for (int i = 0; i < 240; i++) {
        publish(big, "x");
        if (i % 12 == 11) /* more than fit a batch, until all have had their turn */
            uv_run(&place.loop.uv, UV_RUN_NOWAIT);
    }
    check(turns_of_others(&place, readers, 243) > 0,
          "slices: what is published meanwhile reaches everybody");
    for (int i = 0; i < CROWD; i++)
        reader_end(&readers[i]);
    reader_end(&other);
    topic_drop(big);
    topic_drop(small);
    place_close(&place);
}
