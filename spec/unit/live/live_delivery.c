/* Tests of what feeds get from one topic, and of what slow ones get. */
#include "live.h"
#include "live/batch.h"

#include <string.h>

#define FROM_NOW UINT64_MAX

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

static const struct joined *joined_for[2];
static int joined_count, joined_wrong;

static int take_joined(struct feed *feed, struct batch *batch)
{
    (void)feed;
    const struct joined *joined = batch_joined(batch, ENCODING_SSE, encode_copy);
    size_t end = 0;
    for (int i = 0; i < batch->count; i++) {
        end += batch->messages[i]->len;
        if (joined->ends[i] != end)
            joined_wrong++;
    }
    joined_for[joined_count++ % 2] = joined;
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
    check(joined_wrong == 0, "batch: each message ends where the next one begins");
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
}
