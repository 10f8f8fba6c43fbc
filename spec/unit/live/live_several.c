/* Tests of feeds of several topics. */
#include "live.h"

#include <string.h>

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
