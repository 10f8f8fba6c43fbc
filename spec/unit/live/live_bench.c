/* `unit_live bench`: what publishing and delivering take, without sockets. */
#include "live.h"
#include "live/hub.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int take_all(struct feed *feed, struct batch *batch)
{
    (void)feed;
    return batch->count;
}

static const struct feed_events taking = {.on_messages = take_all};

static void bench_publish(void)
{
    enum { TIMES = 1000000 };
    static const char text[64] = "64 bytes";
    struct publication publication = {.data = text, .len = 64};
    struct published published;
    struct hub *hub = hub_new();
    struct topic *topic = topic_open(hub, "t", 1, NULL);
    uint64_t start = now_ns();
    for (int i = 0; i < TIMES; i++)
        topic_publish(topic, &publication, &published);
    printf("publish, no subscriber: %.1f ns\n", (double)(now_ns() - start) / TIMES);
    topic_drop(topic);
    hub_free(hub);
}

static void bench_fan_out(int feeds, int topics, int batch)
{
    enum { ROUNDS = 200 };
    struct place place;
    struct topic *all[2];
    struct feed *crowd = mem_calloc((size_t)feeds * sizeof(struct feed));
    place_open(&place);
    all[0] = topic_with(place.hub, "t", 64, SLOW_GAP);
    all[1] = topic_with(place.hub, "u", 64, SLOW_GAP);
    for (int i = 0; i < feeds; i++)
        feed_open(&crowd[i], place.outlet, &taking, FEED_WS, all, topics, UINT64_MAX, -1);
    settle(&place.loop);
    uint64_t start = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < batch; k++)
            publish(all[0], "x");
        settle(&place.loop);
    }
    printf("flush, %d feeds of %d topics, %d messages: %.1f ns a feed\n", feeds, topics, batch,
           (double)(now_ns() - start) / ROUNDS / feeds);
    start = now_ns();
    for (int i = 0; i < feeds; i++)
        feed_close(&crowd[i]);
    printf("close: %.1f ns\n", (double)(now_ns() - start) / feeds);
    topic_drop(all[0]);
    topic_drop(all[1]);
    place_close(&place);
    mem_free(crowd);
}

/* Many topics with one reader each, as private rooms have. */
static void bench_rooms(void)
{
    enum { ROOMS = 5000, ROUNDS = 50 };
    struct place place;
    static struct topic *rooms[ROOMS];
    static struct feed feeds[ROOMS];
    char name[16];
    place_open(&place);
    for (int i = 0; i < ROOMS; i++) {
        int len = snprintf(name, sizeof(name), "room %d", i);
        rooms[i] = topic_open(place.hub, name, (size_t)len, NULL);
        feed_open(&feeds[i], place.outlet, &taking, FEED_WS, &rooms[i], 1, UINT64_MAX, -1);
    }
    uint64_t start = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < ROOMS; k++)
            publish(rooms[k], "x");
        settle(&place.loop);
    }
    printf("rooms, publish and deliver to one: %.1f ns\n",
           (double)(now_ns() - start) / ROUNDS / ROOMS);
    for (int i = 0; i < ROOMS; i++) {
        feed_close(&feeds[i]);
        topic_drop(rooms[i]);
    }
    place_close(&place);
}

void bench(void)
{
    printf("sizeof feed %zu, message %zu\n", sizeof(struct feed), sizeof(struct message));
    bench_publish();
    bench_fan_out(10000, 1, 1);
    bench_fan_out(10000, 1, 16);
    bench_fan_out(1000, 1, 1);
    bench_fan_out(1, 1, 1);
    bench_fan_out(10000, 2, 1);
    bench_rooms();
}
