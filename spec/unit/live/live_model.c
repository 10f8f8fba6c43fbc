/* Tests of truth: random publishing, blocking, resuming, forgetting. Of every message that a feed
 * did not get, there must be a reason: it was lost and the feed was told, or, with latest, a newer
 * one of its key came instead. */
#include "live.h"
#include "live/hub.h"

#include <stdio.h>
#include <string.h>

#define TOPICS 4
#define READERS 12
#define CROWD 2400 /* so many others cut a delivery into slices, between which much can happen */
#define STEPS 4000
#define MESSAGES 20000

struct record {
    int topic;
    int key;
};

/* What the model knows of a reader. */
struct watched {
    struct reader reader;
    int topics[TOPICS];
    int topic_count;
    enum slow_policy slow;
    uint64_t cursor;       /* everything up to here is accounted for */
    uint64_t told[TOPICS]; /* what was lost up to here, it knows */
};

static struct {
    struct place place;
    struct topic *topics[TOPICS];
    struct record records[MESSAGES + 1]; /* by seq */
    struct watched watched[READERS];
    struct feed crowd[CROWD];
    uint32_t random;
    const char *wrong;
    char large[30001];
    uint64_t gaps;
} model;

static void expect(bool is_right, const char *what)
{
    if (!is_right && model.wrong == NULL)
        model.wrong = what;
}

static bool is_subscribed(const struct watched *watched, uint64_t seq)
{
    for (int i = 0; i < watched->topic_count; i++)
        if (watched->topics[i] == model.records[seq].topic)
            return true;
    return false;
}

static uint64_t lost_of(int topic)
{
    struct topic_stats stats;
    topic_stats(model.topics[topic], &stats);
    return stats.lost;
}

static bool is_lost(uint64_t seq)
{
    return seq <= lost_of(model.records[seq].topic);
}

static bool is_superseded(uint64_t seq)
{
    const struct record *record = &model.records[seq];
    for (uint64_t later = seq + 1; later <= hub_head(model.place.hub); later++)
        if (model.records[later].topic == record->topic && model.records[later].key == record->key)
            return true;
    return false;
}

/* Nothing between the cursor and `seq` may be missing without a reason. */
static void account(struct watched *watched, uint64_t seq)
{
    expect(seq > watched->cursor, "a message comes twice, or out of order");
    for (uint64_t missed = watched->cursor + 1; missed < seq; missed++) {
        if (!is_subscribed(watched, missed))
            continue;
        if (missed <= watched->told[model.records[missed].topic])
            continue;
        expect(watched->slow == SLOW_LATEST && is_superseded(missed),
               "a message is missing for no reason");
    }
    watched->cursor = seq;
}

static void account_to(struct watched *watched, uint64_t cursor)
{
    if (cursor <= watched->cursor)
        return;
    account(watched, cursor + 1);
    watched->cursor = cursor;
}

static int on_messages(struct feed *feed, struct batch *batch)
{
    struct watched *watched = container_of(feed, struct watched, reader.feed);
    int taken = (int)random_below(&model.random, 3) == 0
                    ? (int)random_below(&model.random, (uint32_t)batch->count + 1)
                    : batch->count;
    expect(batch->count > 0 && batch->count <= 64, "an empty or too large batch");
    for (int i = 0; i < taken; i++) {
        expect(is_subscribed(watched, batch->messages[i]->seq), "a message of another topic");
        account(watched, batch->messages[i]->seq);
    }
    if (taken == batch->count)
        account_to(watched, batch->head);
    return taken;
}

static void on_gap(struct feed *feed, uint64_t cursor)
{
    struct watched *watched = container_of(feed, struct watched, reader.feed);
    bool is_true = false;
    model.gaps++;
    for (uint64_t seq = watched->cursor + 1; seq <= hub_head(model.place.hub); seq++)
        is_true = is_true || (is_subscribed(watched, seq) && is_lost(seq) &&
                              seq > watched->told[model.records[seq].topic]);
    expect(is_true, "a gap is told where nothing was lost, or twice");
    for (int i = 0; i < watched->topic_count; i++) {
        uint64_t *told = &watched->told[watched->topics[i]];
        *told = watched->topic_count == 1 ? cursor : lost_of(watched->topics[i]);
    }
    account_to(watched, cursor);
}

static void on_end(struct feed *feed, bool is_slow)
{
    struct watched *watched = container_of(feed, struct watched, reader.feed);
    bool is_true = false;
    for (uint64_t seq = watched->cursor + 1; seq <= hub_head(model.place.hub); seq++)
        is_true = is_true || (is_subscribed(watched, seq) && is_lost(seq));
    expect(is_slow && watched->slow == SLOW_CLOSE && is_true, "an end without a reason");
}

static const struct feed_events events = {on_messages, on_gap, on_end};

static int on_crowd_messages(struct feed *feed, struct batch *batch)
{
    (void)feed;
    return batch->count;
}

static void on_crowd_gap(struct feed *feed, uint64_t cursor)
{
    (void)feed;
    (void)cursor;
}

static const struct feed_events crowd_events = {.on_messages = on_crowd_messages,
                                                .on_gap = on_crowd_gap};

static void open_crowd(void)
{
    for (int i = 0; i < CROWD; i++)
        feed_open(&model.crowd[i], model.place.outlet, &crowd_events, FEED_SSE,
                  &model.topics[i % TOPICS], 1, 0, SLOW_GAP);
}

static void open_one(struct watched *watched)
{
    struct topic *topics[TOPICS];
    watched->topic_count = 1 + (int)random_below(&model.random, TOPICS);
    uint32_t first = random_below(&model.random, TOPICS);
    for (int i = 0; i < watched->topic_count; i++) {
        watched->topics[i] = (int)(first + (uint32_t)i) % TOPICS;
        topics[i] = model.topics[watched->topics[i]];
    }
    watched->slow = (enum slow_policy)random_below(&model.random, 3);
    memset(watched->told, 0, sizeof(watched->told));
    uint64_t head = hub_head(model.place.hub);
    watched->cursor = head - random_below(&model.random, head < 40 ? (uint32_t)head + 1 : 40);
    feed_open(&watched->reader.feed, model.place.outlet, &events, FEED_SSE, topics,
              watched->topic_count, watched->cursor, (int)watched->slow);
}

static void publish_one(void)
{
    static const char *const keys[] = {"", "a", "b", "c"};
    int topic = (int)random_below(&model.random, TOPICS);
    int key = (int)random_below(&model.random, 4);
    bool is_large = random_below(&model.random, 16) == 0;
    uint64_t seq = publish_key(model.topics[topic], is_large ? model.large : "x", keys[key]);
    model.records[seq] = (struct record){topic, key};
}

static void step(void)
{
    struct watched *watched = &model.watched[random_below(&model.random, READERS)];
    switch (random_below(&model.random, 8)) {
    case 0:
    case 1:
        for (uint32_t i = random_below(&model.random, 12); i > 0; i--)
            publish_one();
        break;
    case 2: feed_resume(&watched->reader.feed); break;
    case 3:
        if (random_below(&model.random, 4) == 0)
            feed_close(&watched->reader.feed);
        if (!feed_is_open(&watched->reader.feed))
            open_one(watched);
        break;
    case 4: clock_ms += random_below(&model.random, 15); break;
    default: uv_run(&model.place.loop.uv, UV_RUN_NOWAIT); break;
    }
}

/* In the end each feed is at the head, with everything accounted for. */
static void finish(void)
{
    for (int i = 0; i < READERS; i++) {
        struct watched *watched = &model.watched[i];
        if (!feed_is_open(&watched->reader.feed))
            continue;
        for (int tries = 0; tries < 1000; tries++) {
            feed_resume(&watched->reader.feed);
            settle(&model.place.loop);
        }
        if (feed_is_open(&watched->reader.feed)) {
            account_to(watched, hub_head(model.place.hub));
            expect(feed_cursor(&watched->reader.feed) == hub_head(model.place.hub),
                   "a feed does not arrive at the head");
        }
        feed_close(&watched->reader.feed);
    }
}

static void run_model(uint32_t seed, bool has_crowd)
{
    static const uint32_t keeps[TOPICS] = {3, 10, 30, 500};
    char name[16];
    memset(&model, 0, sizeof(model));
    model.random = seed;
    memset(model.large, 'x', sizeof(model.large) - 1);
    place_open(&model.place);
    hub_set_clock(model.place.hub, test_clock);
    for (int i = 0; i < TOPICS; i++) {
        struct topic_options options;
        topic_options_init(&options);
        options.keep = keeps[i];
        options.ttl_ms = i == 1 ? 50 : 0;
        int len = snprintf(name, sizeof(name), "%d", i);
        model.topics[i] = topic_open(model.place.hub, name, (size_t)len, &options);
    }
    if (has_crowd)
        open_crowd();
    for (int i = 0; i < STEPS; i++)
        step();
    finish();
    for (int i = 0; i < CROWD; i++)
        feed_close(&model.crowd[i]);
    for (int i = 0; i < TOPICS; i++)
        topic_drop(model.topics[i]);
    place_close(&model.place);
}

void test_model(void)
{
    uint64_t gaps = 0;
    char sentence[120] = "model: every missing message has its reason, every gap is true";
    bool is_right = true;
    for (uint32_t seed = 1; seed <= 30 && is_right; seed++) {
        run_model(seed, seed % 10 == 0);
        is_right = model.wrong == NULL;
        gaps += model.gaps;
        if (!is_right)
            snprintf(sentence, sizeof(sentence), "model: seed %u: %s", seed, model.wrong);
    }
    check(is_right, sentence);
    check(gaps > 100, "model: (there were gaps)");
}
