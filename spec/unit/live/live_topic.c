/* Tests of topics and the hub, without feeds. */
#include "live.h"
#include "live/hub.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How many messages are there from behind `from`; their seqs are in `seqs`. */
static int read_all(struct topic *topic, uint64_t from, uint64_t seqs[256], uint64_t *lost)
{
    struct message *messages[256];
    int count = topic_read(topic, from, UINT64_MAX, messages, 256, lost);
    for (int i = 0; i < count; i++) {
        seqs[i] = messages[i]->seq;
        message_drop(messages[i]);
    }
    return count;
}

static void test_bounds(void)
{
    struct hub *hub = hub_new();
    struct topic_options options;
    struct topic_stats stats;
    uint64_t seqs[256];
    uint64_t lost;
    topic_options_init(&options);
    options.keep = 3;
    options.bytes = 10;
    struct topic *topic = topic_open(hub, "t", 1, &options);
    for (int i = 0; i < 5; i++)
        publish(topic, "x");
    check(read_all(topic, 0, seqs, &lost) == 3 && seqs[0] == 3 && seqs[2] == 5 && lost == 2,
          "topic: keeps the newest messages, and knows the newest one lost");
    publish(topic, "12345678");
    check(read_all(topic, 4, seqs, &lost) == 2 && lost == 3,
          "topic: reading begins behind a cursor");
    publish(topic, "123");
    topic_stats(topic, &stats);
    check(stats.count == 1 && stats.bytes == 3 && stats.lost == 6 && stats.head == 7 &&
              stats.published == 7 && stats.dropped == 6,
          "topic: is bounded by bytes, and counts what was dropped");
    struct publication large = {.data = "12345678901", .len = 11};
    struct published published;
    check(topic_publish(topic, &large, &published) == -EMSGSIZE && hub_head(hub) == 7,
          "topic: refuses what is larger than all that it keeps");

    options.keep = 1;
    publish(topic, "a");
    topic_drop(topic_open(hub, "t", 1, &options));
    check(read_all(topic, 0, seqs, &lost) == 1 && lost == 7,
          "topic: smaller bounds are in force at once");
    topic_drop(topic_open(hub, "t", 1, NULL));
    topic_stats(topic, &stats);
    check(stats.options.keep == 1, "topic: opening it without options changes none");
    topic_close(topic);
    check(topic_publish(topic, &large, &published) == -EPIPE && topic_is_closed(topic),
          "topic: a closed one takes nothing");
    topic_drop(topic);
    hub_free(hub);
}

static void test_growth(void)
{
    struct hub *hub = hub_new();
    struct topic *topic = topic_with(hub, "t", 100000, SLOW_GAP);
    struct topic_stats stats;
    uint64_t seqs[256];
    uint64_t lost;
    for (int i = 0; i < 150000; i++)
        publish(topic, "x");
    topic_stats(topic, &stats);
    check(stats.count == 100000 && stats.lost == 50000, "topic: may keep 100,000 messages");
    check(read_all(topic, 77777, seqs, &lost) == 256 && seqs[0] == 77778 && seqs[255] == 78033,
          "topic: finds the place of a cursor among them");
    topic_drop(topic);
    hub_free(hub);
}

static uint64_t publish_once(struct topic *topic, const char *id, bool *is_repeated)
{
    struct publication publication = {
        .data = "x", .len = 1, .dedupe = id, .dedupe_len = strlen(id)};
    struct published published = {0};
    topic_publish(topic, &publication, &published);
    *is_repeated = published.is_repeated;
    return published.seq;
}

static void test_dedupe(void)
{
    struct hub *hub = hub_new();
    struct topic *topic = topic_with(hub, "t", 100, SLOW_GAP);
    struct topic *other = topic_with(hub, "u", 100, SLOW_GAP);
    bool is_repeated[5];
    uint64_t first = publish_once(topic, "one", &is_repeated[0]);
    publish_once(topic, "two", &is_repeated[1]);
    uint64_t again = publish_once(topic, "one", &is_repeated[2]);
    publish_once(other, "one", &is_repeated[3]);
    check(again == first && is_repeated[2] && !is_repeated[0] && !is_repeated[1] &&
              !is_repeated[3] && hub_head(hub) == 3,
          "dedupe: a repetition answers the first one's seq and adds nothing, topic by topic");
    for (int i = 0; i < 100; i++)
        publish(topic, "x");
    check(publish_once(topic, "one", &is_repeated[4]) == hub_head(hub) && !is_repeated[4],
          "dedupe: what the topic has forgotten is new again");

    struct topic *large = topic_with(hub, "large", 50000, SLOW_GAP);
    bool is_right = true;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 50000; i++) {
            char id[16];
            snprintf(id, sizeof(id), "id %d", i);
            publish_once(large, id, &is_repeated[0]);
            is_right = is_right && is_repeated[0] == (round == 1);
        }
    check(is_right, "dedupe: knows each of 50,000 ids");
    topic_drop(large);
    topic_drop(other);
    topic_drop(topic);
    hub_free(hub);
}

static void test_age(void)
{
    struct hub *hub = hub_new();
    struct topic_options options;
    struct topic_stats stats;
    uint64_t seqs[256];
    uint64_t lost;
    bool is_repeated;
    hub_set_clock(hub, test_clock);
    topic_options_init(&options);
    options.ttl_ms = 100;
    struct topic *topic = topic_open(hub, "t", 1, &options);
    uint64_t first = publish_once(topic, "one", &is_repeated);
    clock_ms += 60;
    publish(topic, "y");
    clock_ms += 40;
    check(read_all(topic, 0, seqs, &lost) == 1 && seqs[0] == 2 && lost == first,
          "ttl: what is too old is not read any more");
    check(publish_once(topic, "one", &is_repeated) != first && !is_repeated,
          "ttl: an id that is too old is no repetition");
    clock_ms += 100;
    publish(topic, "z");
    topic_stats(topic, &stats);
    check(stats.count == 1 && stats.dropped == 3, "ttl: publishing removes what is too old");
    topic_drop(topic);
    hub_free(hub);
}

static void count_topic(struct topic *topic, void *arg)
{
    struct bytes *names = arg;
    size_t len;
    const char *name = topic_name(topic, &len);
    bytes_append(names, name, len);
    bytes_append_text(names, " ");
}

static bool topics_are(struct hub *hub, const char *wanted)
{
    struct bytes names;
    bytes_init(&names);
    hub_each(hub, count_topic, &names);
    bytes_append(&names, "", 1);
    bool is_same = strcmp(names.data, wanted) == 0;
    bytes_deinit(&names);
    return is_same;
}

static void test_sweep(void)
{
    struct place place;
    struct reader reader = {.takes = 0};
    struct topic_options options;
    uint64_t lost;
    uint64_t seqs[256];
    place_open(&place);
    hub_set_clock(place.hub, test_clock);
    topic_options_init(&options);
    options.ttl_ms = 100;
    struct topic *idle = topic_open(place.hub, "idle", 4, &options);
    struct topic *held = topic_open(place.hub, "held", 4, &options);
    struct topic *read = topic_open(place.hub, "read", 4, &options);
    struct topic *closed = topic_open(place.hub, "closed", 6, &options);
    topic_drop(topic_open(place.hub, "a", 1, NULL));
    check(topics_are(place.hub, "a closed held idle read "), "hub: lists its topics by name");
    reader_open(&reader, place.outlet, read, UINT64_MAX);
    publish(idle, "x");
    publish(held, "x");
    topic_close(closed);
    topic_drop(idle);
    topic_drop(read);
    topic_drop(closed);
    hub_sweep(place.hub, clock_ms + 99);
    check(topics_are(place.hub, "closed held idle read "),
          "sweep: removes what nobody holds and is empty, nothing else");
    hub_sweep(place.hub, clock_ms + 100);
    check(topics_are(place.hub, "held read "), "sweep: messages outlive their ttl not at all");
    idle = topic_open(place.hub, "idle", 4, &options);
    check(read_all(idle, 0, seqs, &lost) == 0 && lost == 1,
          "sweep: to a topic that comes back, old cursors are gaps");
    topic_drop(idle);
    topic_drop(held);
    reader_end(&reader);
    settle(&place.loop);
    hub_sweep(place.hub, clock_ms + 200);
    check(topics_are(place.hub, ""), "sweep: a topic goes when its last reader has gone");
    place_close(&place);
}

static void test_many(void)
{
    struct hub *hub = hub_new();
    char name[16];
    for (int i = 0; i < 20000; i++) {
        int len = snprintf(name, sizeof(name), "topic %d", i);
        topic_drop(topic_open(hub, name, (size_t)len, NULL));
    }
    hub_sweep(hub, 1);
    bool is_bounded = !topics_are(hub, "");
    for (int i = 0; i < 5; i++)
        hub_sweep(hub, 1);
    check(is_bounded && topics_are(hub, ""), "sweep: 20,000 topics take several rounds");
    hub_free(hub);
}

void test_topic(void)
{
    test_bounds();
    test_growth();
    test_dedupe();
    test_age();
    test_sweep();
    test_many();
}
