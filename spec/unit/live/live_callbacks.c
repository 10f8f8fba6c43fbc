/* Tests of callbacks that close, free, open, resume and publish. */
#include "live.h"

#define FROM_NOW UINT64_MAX
#define CROWD 40
static struct {
    struct place place;
    struct topic *topics[2];
    struct reader *readers[CROWD];
    uint32_t random;
    int delivered;
} crowd;

static void crowd_call(struct reader *reader);

static void crowd_open(int i)
{
    struct reader *reader = mem_calloc(sizeof(*reader));
    reader->on_call = crowd_call;
    reader->arg = &crowd.readers[i];
    crowd.readers[i] = reader;
    feed_open(&reader->feed, crowd.place.outlet, &reader_events, FEED_POLL, crowd.topics,
              1 + (int)random_below(&crowd.random, 2), FROM_NOW, -1);
}

static void crowd_close(int i)
{
    if (crowd.readers[i] == NULL)
        return;
    reader_end(crowd.readers[i]);
    mem_free(crowd.readers[i]);
    crowd.readers[i] = NULL;
}

/* Whatever can be done in a callback: close oneself and others, open new ones, publish. */
static void crowd_call(struct reader *reader)
{
    int self = (int)((struct reader **)reader->arg - crowd.readers);
    int other = (int)random_below(&crowd.random, CROWD);
    crowd.delivered++;
    switch (random_below(&crowd.random, 8)) {
    case 0: crowd_close(self); break;
    case 1: crowd_close(other); break;
    case 2:
        crowd_close(self);
        crowd_open(self);
        break;
    case 3:
        crowd_close(other);
        crowd_open(other);
        break;
    case 4: publish(crowd.topics[random_below(&crowd.random, 2)], "more"); break;
    case 5: reader->takes = (int)random_below(&crowd.random, 3) - 1; break;
    default: break;
    }
}

static void test_crowd(void)
{
    crowd.random = 7;
    place_open(&crowd.place);
    crowd.topics[0] = topic_with(crowd.place.hub, "t", 8, SLOW_GAP);
    crowd.topics[1] = topic_with(crowd.place.hub, "u", 8, SLOW_GAP);
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < CROWD; i++) {
            if (crowd.readers[i] == NULL)
                crowd_open(i);
            feed_resume(&crowd.readers[i]->feed);
        }
        publish(crowd.topics[0], "x");
        publish(crowd.topics[1], "x");
        for (int i = 0; i < 3; i++)
            uv_run(&crowd.place.loop.uv, UV_RUN_NOWAIT);
    }
    check(crowd.delivered > 10000, "callbacks: may close, free and open feeds, and publish");
    for (int i = 0; i < CROWD; i++)
        crowd_close(i);
    topic_drop(crowd.topics[0]);
    topic_drop(crowd.topics[1]);
    place_close(&crowd.place);
}

static void publish_and_close(struct reader *reader)
{
    publish(crowd.topics[0], "more"); /* so the topic's channel waits for its turn ... */
    feed_close(&reader->feed);        /* ... and has nobody left */
}

static void test_last_one(void)
{
    struct reader reader = {.on_call = publish_and_close};
    place_open(&crowd.place);
    crowd.topics[0] = topic_with(crowd.place.hub, "t", 8, SLOW_GAP);
    for (int i = 0; i < 3; i++) {
        reader_open(&reader, crowd.place.outlet, crowd.topics[0], UINT64_MAX);
        publish(crowd.topics[0], "x");
        settle(&crowd.place.loop);
    }
    check(reader.calls == 3 && reader.seqs.count == 3,
          "callbacks: the last feed of a topic may publish there and close");
    reader_end(&reader);
    topic_drop(crowd.topics[0]);
    place_close(&crowd.place);
}

static void open_again(struct feed *feed, bool is_slow)
{
    struct reader *reader = container_of(feed, struct reader, feed);
    reader->ended += !is_slow;
    if (reader->ended == 1)
        feed_open(feed, crowd.place.outlet, reader->feed.events, FEED_WS, &crowd.topics[1], 1,
                  FROM_NOW, -1);
}

static void test_open_again(void)
{
    static struct feed_events events;
    events = reader_events;
    events.on_end = open_again;
    struct reader reader = {.takes = 0};
    place_open(&crowd.place);
    crowd.topics[0] = topic_with(crowd.place.hub, "t", 8, SLOW_GAP);
    crowd.topics[1] = topic_with(crowd.place.hub, "u", 8, SLOW_GAP);
    feed_open(&reader.feed, crowd.place.outlet, &events, FEED_WS, crowd.topics, 1, 0, -1);
    topic_close(crowd.topics[0]);
    settle(&crowd.place.loop);
    publish(crowd.topics[1], "1");
    settle(&crowd.place.loop);
    check(reader.ended == 1 && seqs_are(&reader, 1, 1UL),
          "callbacks: a feed that has ended may be opened again");
    reader_end(&reader);
    topic_drop(crowd.topics[0]);
    topic_drop(crowd.topics[1]);
    place_close(&crowd.place);
}

void test_callbacks(void)
{
    test_crowd();
    test_last_one();
    test_open_again();
}
