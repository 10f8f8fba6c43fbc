/* Tests of core/live: each check prints `ok - sentence` or `not ok - sentence`; live_spec.lua reads
 * them. Here: what they share; `unit_live bench` measures instead. */
#include "base/log.h"
#include "base/tally.h"
#include "live.h"
#include "live/hub.h"
#include "live/outlet.h"


#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int failures;

void check(bool is_ok, const char *sentence)
{
    printf("%s - %s\n", is_ok ? "ok" : "not ok", sentence);
    fflush(stdout);
    failures += !is_ok;
}

/* ---- numbers ---- */

void numbers_add(struct numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->cap) {
        numbers->cap = numbers->cap ? numbers->cap * 2 : 8;
        numbers->all = mem_realloc(numbers->all, (size_t)numbers->cap * sizeof(uint64_t));
    }
    numbers->all[numbers->count++] = number;
}

void numbers_free(struct numbers *numbers)
{
    mem_free(numbers->all);
    *numbers = (struct numbers){0};
}

uint32_t random_below(uint32_t *state, uint32_t limit)
{
    *state = *state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*state * limit >> 32);
}

/* ---- readers ---- */

static int on_messages(struct feed *feed, struct batch *batch)
{
    struct reader *reader = container_of(feed, struct reader, feed);
    int taken = reader->takes == 0 ? batch->count : reader->takes;
    taken = taken < 0 ? 0 : taken < batch->count ? taken : batch->count;
    reader->calls++;
    for (int i = 0; i < taken; i++)
        numbers_add(&reader->seqs, batch->messages[i]->seq);
    if (reader->on_call)
        reader->on_call(reader); /* the reader can be gone after this */
    return taken;
}

static void on_gap(struct feed *feed, uint64_t cursor)
{
    numbers_add(&container_of(feed, struct reader, feed)->gaps, cursor);
}

static void on_end(struct feed *feed, bool is_slow)
{
    struct reader *reader = container_of(feed, struct reader, feed);
    reader->ended++;
    reader->ended_slow += is_slow;
}

const struct feed_events reader_events = {on_messages, on_gap, on_end};

void reader_open(struct reader *reader, struct outlet *outlet, struct topic *topic, uint64_t cursor)
{
    feed_open(&reader->feed, outlet, &reader_events, FEED_WS, &topic, 1, cursor, -1);
}

void reader_end(struct reader *reader)
{
    feed_close(&reader->feed);
    numbers_free(&reader->seqs);
    numbers_free(&reader->gaps);
    reader->ended = reader->ended_slow = reader->calls = 0;
}

bool seqs_are(const struct reader *reader, int count, ...)
{
    va_list args;
    bool is_same = reader->seqs.count == count;
    va_start(args, count);
    for (int i = 0; i < count; i++) {
        uint64_t wanted = va_arg(args, uint64_t);
        is_same = is_same && reader->seqs.all[i] == wanted;
    }
    va_end(args);
    return is_same;
}

/* ---- places ---- */

void place_open(struct place *place)
{
    place->hub = hub_new();
    loop_init(&place->loop, NULL);
    place->outlet = outlet_new(place->hub, &place->loop);
}

void place_close(struct place *place)
{
    outlet_free(place->outlet);
    loop_deinit(&place->loop);
    hub_free(place->hub);
}

void settle(struct loop *loop)
{
    do {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    } while (!list_is_empty(&loop->jobs) || !list_is_empty(&loop->later));
}

struct topic *topic_with(struct hub *hub, const char *name, uint32_t keep, enum slow_policy slow)
{
    struct topic_options options;
    topic_options_init(&options);
    options.keep = keep;
    options.slow = slow;
    options.bytes = 1 << 30;
    options.ttl_ms = 0;
    return topic_open(hub, name, strlen(name), &options);
}

uint64_t publish_key(struct topic *topic, const char *text, const char *key)
{
    struct published published;
    struct publication publication = {
        .data = text, .len = strlen(text), .key = key, .key_len = strlen(key)};
    return topic_publish(topic, &publication, &published) ? 0 : published.seq;
}

uint64_t publish(struct topic *topic, const char *text)
{
    return publish_key(topic, text, "");
}

uint64_t clock_ms = 1000;

uint64_t test_clock(void)
{
    return clock_ms;
}

int main(int argc, char **argv)
{
    log_start(LOG_WARN, LOG_PRETTY);
    if (argc > 1 && strcmp(argv[1], "bench") == 0) {
        bench();
        return 0;
    }
    test_parts();
    test_topic();
    test_delivery();
    test_callbacks();
    test_several();
    test_slicing();
    test_model();
    test_threads();
    test_store();
    log_stop();
    for (int kind = 0; kind < TALLY_KINDS; kind++)
        failures += tally_count((enum tally_kind)kind) != 0;
    check(tally_count(TALLY_LOOP) == 0 && tally_count(TALLY_OUTLET) == 0 &&
              tally_count(TALLY_FEED) == 0,
          "nothing is left open");
    return failures > 0;
}
