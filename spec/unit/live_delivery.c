/* Tests of what feeds get: one topic, several, policies, callbacks that close, slices. */
#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FROM_NOW UINT64_MAX

/* ---- one topic ---- */

static void test_order(void)
{
    struct place place;
    struct reader early = {.takes = 0};
    struct reader late = {.takes = 0};
    struct topic_stats stats;
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 10, SLOW_GAP);
    publish(topic, "1");
    reader_open(&early, place.outlet, topic, 0);
    reader_open(&late, place.outlet, topic, FROM_NOW);
    check(early.calls == 0, "feed: opening one calls nothing");
    settle(&place.loop);
    check(seqs_are(&early, 1, 1UL) && late.calls == 0,
          "feed: gets what is behind its cursor, from now on means just that");
    publish(topic, "2");
    publish(topic, "3");
    check(early.calls == 1, "feed: publishing calls nothing");
    settle(&place.loop);
    check(seqs_are(&early, 3, 1UL, 2UL, 3UL) && seqs_are(&late, 2, 2UL, 3UL) && late.calls == 1,
          "feed: gets all that a turn brought with one call, in order");
    topic_stats(topic, &stats);
    check(stats.subscribers == 2 && stats.readers[FEED_WS] == 2 && stats.gaps == 0,
          "topic: counts its subscribers");
    feed_close(&early.feed);
    feed_close(&early.feed);
    publish(topic, "4");
    settle(&place.loop);
    check(early.seqs.count == 3 && late.seqs.count == 3, "feed: a closed one gets nothing");
    feed_close(&late.feed);
    settle(&place.loop);
    check(list_is_empty(&place.loop.jobs) && publish(topic, "5") == 5,
          "feed: when all are closed, nothing is left to do");
    reader_end(&early);
    reader_end(&late);
    topic_drop(topic);
    place_close(&place);
}

static void test_far_behind(void)
{
    struct place place;
    struct reader reader = {.takes = 0};
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 1000, SLOW_GAP);
    for (int i = 0; i < 1000; i++)
        publish(topic, "x");
    reader_open(&reader, place.outlet, topic, 0);
    settle(&place.loop);
    check(reader.seqs.count == 1000 && reader.calls == 16 && reader.gaps.count == 0,
          "feed: what is far behind comes in batches of 64");
    char *large = mem_alloc(40001);
    memset(large, 'x', 40000);
    large[40000] = '\0';
    for (int i = 0; i < 4; i++)
        publish(topic, large);
    reader.calls = 0;
    settle(&place.loop);
    check(reader.seqs.count == 1004 && reader.calls == 4, "feed: a batch has 64 KiB at most");
    mem_free(large);
    reader_end(&reader);
    topic_drop(topic);
    place_close(&place);
}

static void test_blocked(void)
{
    struct place place;
    struct reader reader = {.takes = 1};
    struct topic_stats stats;
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 4, SLOW_GAP);
    reader_open(&reader, place.outlet, topic, 0);
    publish(topic, "1");
    publish(topic, "2");
    settle(&place.loop);
    check(seqs_are(&reader, 1, 1UL) && reader.feed.is_blocked,
          "feed: one that does not take all is blocked");
    publish(topic, "3");
    settle(&place.loop);
    check(reader.calls == 1, "feed: a blocked one is not called");
    reader.takes = -1;
    feed_resume(&reader.feed);
    settle(&place.loop);
    check(reader.calls == 2 && reader.seqs.count == 1, "feed: it may take nothing at all");
    reader.takes = 0;
    feed_resume(&reader.feed);
    feed_resume(&reader.feed);
    settle(&place.loop);
    check(seqs_are(&reader, 3, 1UL, 2UL, 3UL) && reader.calls == 3,
          "feed: goes on behind what it took when it is resumed");

    reader.takes = 1;
    for (int i = 0; i < 10; i++)
        publish(topic, "x");
    settle(&place.loop);
    topic_stats(topic, &stats);
    check(reader.gaps.count == 1 && reader.gaps.all[0] == 9 && stats.gaps == 1 &&
              reader.seqs.all[3] == 10,
          "feed: is told of a gap, then gets the oldest message that is left");
    reader.takes = 0;
    feed_resume(&reader.feed);
    settle(&place.loop);
    check(reader.seqs.count == 7 && reader.seqs.all[6] == 13 && reader.gaps.count == 1,
          "feed: and everything behind it");
    reader_end(&reader);
    topic_drop(topic);
    place_close(&place);
}

static void resume_inside(struct reader *reader)
{
    reader->takes = 0;
    feed_resume(&reader->feed);
}

static void test_resume_inside(void)
{
    struct place place;
    struct reader reader = {.takes = 1, .on_call = resume_inside};
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 4, SLOW_GAP);
    publish(topic, "1");
    publish(topic, "2");
    reader_open(&reader, place.outlet, topic, 0);
    settle(&place.loop);
    check(seqs_are(&reader, 2, 1UL, 2UL) && !reader.feed.is_blocked,
          "feed: one that is resumed while it is called is not blocked by taking less");
    reader_end(&reader);
    topic_drop(topic);
    place_close(&place);
}

static void test_latest(void)
{
    struct place place;
    struct reader reader = {.takes = -1};
    struct topic_stats stats;
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 8, SLOW_LATEST);
    reader_open(&reader, place.outlet, topic, 0);
    publish_key(topic, "1", "a");
    publish_key(topic, "2", "b");
    settle(&place.loop);
    publish_key(topic, "3", "a");
    publish_key(topic, "4", "a");
    publish(topic, "5");
    publish(topic, "6");
    reader.takes = 1;
    feed_resume(&reader.feed);
    settle(&place.loop);
    publish_key(topic, "7", "a");
    reader.takes = 0;
    feed_resume(&reader.feed);
    settle(&place.loop);
    topic_stats(topic, &stats);
    check(seqs_are(&reader, 3, 2UL, 6UL, 7UL) && reader.gaps.count == 0 && stats.conflated == 4,
          "latest: one that was blocked gets the newest of each key");
    publish_key(topic, "8", "a");
    publish_key(topic, "9", "a");
    settle(&place.loop);
    check(reader.seqs.count == 5, "latest: one that keeps up gets every message");

    for (int i = 0; i < 20; i++)
        publish_key(topic, "x", i % 2 ? "a" : "b");
    settle(&place.loop);
    check(reader.seqs.count == 7 && reader.seqs.all[5] == 28 && reader.seqs.all[6] == 29 &&
              reader.gaps.count == 1 && reader.gaps.all[0] == 21,
          "latest: one that fell out of the log is told so, and gets the newest of each key");
    reader_end(&reader);
    topic_drop(topic);
    place_close(&place);
}

static void test_slow_close(void)
{
    struct place place;
    struct reader reader = {.takes = 0};
    struct reader away = {.takes = 0};
    struct topic_stats stats;
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 4, SLOW_CLOSE);
    reader_open(&reader, place.outlet, topic, 0);
    for (int i = 0; i < 4; i++)
        publish(topic, "x");
    settle(&place.loop);
    check(reader.seqs.count == 4 && reader.ended == 0, "close: not as long as nothing is lost");
    for (int i = 0; i < 5; i++)
        publish(topic, "x");
    settle(&place.loop);
    topic_stats(topic, &stats);
    check(reader.ended_slow == 1 && !feed_is_open(&reader.feed) && stats.ended == 1 &&
              stats.gaps == 0 && stats.subscribers == 0,
          "close: a feed that fell out of the log is ended");
    reader_open(&away, place.outlet, topic, 1);
    settle(&place.loop);
    check(away.ended == 0 && away.gaps.count == 1 && away.seqs.count == 4,
          "close: one that comes back with an old cursor is told of a gap");
    reader_end(&away);
    reader_end(&reader);
    topic_drop(topic);
    place_close(&place);
}

static void test_closed_topic(void)
{
    struct place place;
    struct reader quick = {.takes = 0};
    struct reader slow = {.takes = 1};
    struct reader late = {.takes = 0};
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 4, SLOW_GAP);
    reader_open(&quick, place.outlet, topic, 0);
    reader_open(&slow, place.outlet, topic, 0);
    publish(topic, "1");
    publish(topic, "2");
    topic_close(topic);
    settle(&place.loop);
    check(quick.ended == 1 && quick.ended_slow == 0 && quick.seqs.count == 2 && slow.ended == 0,
          "closed topic: a feed ends when it has everything, not before");
    slow.takes = 0;
    feed_resume(&slow.feed);
    settle(&place.loop);
    check(slow.ended == 1 && slow.seqs.count == 2, "closed topic: a slow one ends later");
    reader_open(&late, place.outlet, topic, FROM_NOW);
    settle(&place.loop);
    check(late.ended == 1, "closed topic: a feed that is opened then ends at once");
    reader_open(&late, place.outlet, topic, 1);
    settle(&place.loop);
    check(late.ended == 2 && seqs_are(&late, 1, 2UL),
          "closed topic: one that has missed some gets it before");
    reader_end(&quick);
    reader_end(&slow);
    reader_end(&late);
    topic_drop(topic);
    place_close(&place);
}

static struct blob *encode_copy(const struct message *message)
{
    struct blob *blob = blob_new(message->len);
    memcpy(blob->data, message->data, message->len);
    return blob;
}

static const struct bytes *joined_for[2];
static int joined_count;

static int take_joined(struct feed *feed, struct batch *batch)
{
    (void)feed;
    joined_for[joined_count++ % 2] = batch_joined(batch, ENCODING_SSE, encode_copy);
    return batch->count;
}

static void test_joined(int count)
{
    static const struct feed_events events = {.on_messages = take_joined};
    struct place place;
    struct feed feeds[2] = {{0}, {0}};
    struct topic *topics[2];
    place_open(&place);
    topics[0] = topic_with(place.hub, "t", 4, SLOW_GAP);
    topics[1] = topic_with(place.hub, "u", 4, SLOW_GAP);
    for (int i = 0; i < 2; i++)
        feed_open(&feeds[i], place.outlet, &events, FEED_SSE, topics, count, 0, -1);
    publish(topics[0], "ab");
    publish(topics[1], "cd");
    joined_count = 0;
    settle(&place.loop);
    check(joined_count == 2 && joined_for[0] == joined_for[1],
          count == 1 ? "batch: feeds at the same cursor share one, and what is joined for sending"
                     : "batch: so do those that have the same topics");
    feed_close(&feeds[0]);
    feed_close(&feeds[1]);
    topic_drop(topics[0]);
    topic_drop(topics[1]);
    place_close(&place);
}

static void test_cursor_of_feed(void)
{
    struct place place;
    struct reader reader = {.takes = 0};
    place_open(&place);
    struct topic *topic = topic_with(place.hub, "t", 4, SLOW_GAP);
    struct topic *other = topic_with(place.hub, "u", 4, SLOW_GAP);
    reader_open(&reader, place.outlet, topic, 0);
    publish(other, "1");
    publish(other, "2");
    check(feed_cursor(&reader.feed) == 2, "feed: messages of other topics move its cursor");
    publish(topic, "3");
    check(feed_cursor(&reader.feed) == 0, "feed: its cursor waits for what it did not get yet");
    settle(&place.loop);
    check(feed_cursor(&reader.feed) == 3, "feed: and goes on when it has it");
    reader_end(&reader);
    topic_drop(topic);
    topic_drop(other);
    place_close(&place);
}

/* ---- callbacks that close ---- */

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

void test_delivery(void)
{
    check(sizeof(struct feed) <= 48, "feed: takes 48 bytes at most");
    test_order();
    test_far_behind();
    test_blocked();
    test_resume_inside();
    test_latest();
    test_slow_close();
    test_closed_topic();
    test_joined(1);
    test_joined(2);
    test_cursor_of_feed();
    test_crowd();
    test_last_one();
    test_open_again();
}

/* ---- several topics ---- */

static void test_merged(void)
{
    struct place place;
    struct reader reader = {.takes = 0};
    struct topic *topics[4];
    struct topic_stats stats;
    place_open(&place);
    topics[0] = topic_with(place.hub, "a", 100, SLOW_GAP);
    topics[1] = topic_with(place.hub, "b", 100, SLOW_GAP);
    topics[2] = topic_with(place.hub, "c", 100, SLOW_GAP);
    topics[3] = topics[0];
    struct topic *other = topic_with(place.hub, "other", 100, SLOW_GAP);
    publish(topics[2], "1");
    publish(topics[0], "2");
    feed_open(&reader.feed, place.outlet, &reader_events, FEED_SSE, topics, 4, 0, -1);
    topic_stats(topics[0], &stats);
    check(stats.subscribers == 1 && reader.feed.count == 3,
          "several topics: one that is named twice counts once");
    settle(&place.loop);
    publish(topics[1], "3");
    publish(other, "4");
    publish(topics[0], "5");
    publish(topics[1], "6");
    settle(&place.loop);
    check(seqs_are(&reader, 5, 1UL, 2UL, 3UL, 5UL, 6UL) && reader.calls == 2,
          "several topics: come in one order, with one call a turn");
    for (int i = 0; i < 150; i++)
        publish(topics[i % 3 == 1], "x");
    reader.calls = 0;
    settle(&place.loop);
    bool in_order = reader.seqs.count == 155;
    for (int i = 5; in_order && i < 155; i++)
        in_order = reader.seqs.all[i] == (uint64_t)i + 2;
    check(in_order && reader.calls == 3, "several topics: many messages come in batches of 64");

    bool went_on = true;
    for (int i = 0; i < 3; i++) {
        went_on = went_on && reader.ended == 0;
        topic_close(topics[i]);
        settle(&place.loop);
    }
    check(went_on && reader.ended == 1, "several topics: a feed ends when all are closed");
    reader_end(&reader);
    for (int i = 0; i < 3; i++)
        topic_drop(topics[i]);
    topic_drop(other);
    place_close(&place);
}

/* Large messages of one topic between small ones of another: where reading one stops, the other has
 * to wait. */
static void test_merged_large(void)
{
    struct place place;
    struct reader reader = {.takes = 0};
    struct topic *topics[2];
    static char large[40001];
    place_open(&place);
    topics[0] = topic_with(place.hub, "a", 100, SLOW_GAP);
    topics[1] = topic_with(place.hub, "b", 100, SLOW_GAP);
    memset(large, 'x', sizeof(large) - 1);
    for (int i = 0; i < 20; i++)
        publish(topics[i % 2], i % 2 ? "x" : large);
    feed_open(&reader.feed, place.outlet, &reader_events, FEED_SSE, topics, 2, 0, -1);
    settle(&place.loop);
    bool in_order = reader.seqs.count == 20;
    for (int i = 0; in_order && i < 20; i++)
        in_order = reader.seqs.all[i] == (uint64_t)i + 1;
    check(in_order && reader.calls == 10, "several topics: large messages do not change the order");
    reader_end(&reader);
    topic_drop(topics[0]);
    topic_drop(topics[1]);
    place_close(&place);
}

static void test_merged_gap(void)
{
    struct place place;
    struct reader reader = {.takes = 1};
    struct topic *topics[2];
    struct topic_stats stats;
    place_open(&place);
    topics[0] = topic_with(place.hub, "a", 2, SLOW_GAP);
    topics[1] = topic_with(place.hub, "b", 8, SLOW_GAP);
    feed_open(&reader.feed, place.outlet, &reader_events, FEED_SSE, topics, 2, 0, -1);
    publish(topics[0], "1");
    publish(topics[1], "2");
    publish(topics[0], "3");
    publish(topics[0], "4");
    publish(topics[1], "5");
    settle(&place.loop);
    topic_stats(topics[0], &stats);
    check(reader.gaps.count == 1 && reader.gaps.all[0] == 1 && seqs_are(&reader, 1, 2UL) &&
              stats.gaps == 1,
          "several topics: a gap is told once, and nothing that is left is skipped");
    publish(topics[0], "6");
    publish(topics[0], "7");
    reader.takes = 0;
    feed_resume(&reader.feed);
    settle(&place.loop);
    check(reader.gaps.count == 2 && reader.gaps.all[1] == 4 &&
              seqs_are(&reader, 4, 2UL, 5UL, 6UL, 7UL),
          "several topics: a second one is told when more was lost");

    reader_end(&reader);
    feed_open(&reader.feed, place.outlet, &reader_events, FEED_SSE, topics, 2, 0, SLOW_CLOSE);
    settle(&place.loop);
    check(reader.ended == 0 && reader.gaps.count == 1 && reader.gaps.all[0] == 1,
          "several topics: resuming from a gap's cursor skips nothing");
    for (int i = 0; i < 3; i++)
        publish(topics[0], "x");
    settle(&place.loop);
    check(reader.ended_slow == 1, "several topics: with close, losing of one of them is the end");
    reader_end(&reader);
    topic_drop(topics[0]);
    topic_drop(topics[1]);
    place_close(&place);
}

static void test_merged_latest(void)
{
    struct place place;
    struct reader reader = {.takes = -1};
    struct topic *topics[2];
    place_open(&place);
    topics[0] = topic_with(place.hub, "a", 8, SLOW_LATEST);
    topics[1] = topic_with(place.hub, "b", 8, SLOW_GAP);
    feed_open(&reader.feed, place.outlet, &reader_events, FEED_SSE, topics, 2, 0, -1);
    publish_key(topics[0], "1", "k");
    settle(&place.loop);
    publish_key(topics[1], "2", "k");
    publish_key(topics[0], "3", "k");
    publish_key(topics[1], "4", "k");
    publish_key(topics[1], "5", "l");
    reader.takes = 0;
    feed_resume(&reader.feed);
    settle(&place.loop);
    check(seqs_are(&reader, 3, 3UL, 4UL, 5UL) && reader.gaps.count == 0,
          "several topics: latest means the newest of each key in each topic");
    reader_end(&reader);
    topic_drop(topics[0]);
    topic_drop(topics[1]);
    place_close(&place);
}

void test_several(void)
{
    test_merged();
    test_merged_large();
    test_merged_gap();
    test_merged_latest();
}
