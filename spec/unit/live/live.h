/* What the tests of core/live share: a place with its own loop and outlet, and readers that note
 * what they get. */
#ifndef SPEC_LIVE_H
#define SPEC_LIVE_H

#include "../net/net.h"
#include "live/feed.h"

struct reader;
typedef void (*reader_fn)(struct reader *reader);

struct numbers {
    uint64_t *all;
    int count, cap;
};
void numbers_add(struct numbers *numbers, uint64_t number);
void numbers_free(struct numbers *numbers);

/* A feed and what it was told. All zero but what is wanted. */
struct reader {
    struct feed feed;
    struct numbers seqs;
    struct numbers gaps; /* cursors */
    int takes;           /* messages a call, 0: all of them, negative: none */
    int calls;
    int ended, ended_slow;
    reader_fn on_call; /* before taking; may close the feed and free the reader */
    void *arg;
};
extern const struct feed_events reader_events;
void reader_open(struct reader *reader, struct outlet *outlet, struct topic *topic,
                 uint64_t cursor);
void reader_end(struct reader *reader); /* closes, and forgets what it was told */

/* A hub with one outlet. */
struct place {
    struct hub *hub;
    struct loop loop;
    struct outlet *outlet;
};
void place_open(struct place *place);
void place_close(struct place *place);
void settle(struct loop *loop); /* turns it until nothing is left to deliver */
struct topic *topic_with(struct hub *hub, const char *name, uint32_t keep, enum slow_policy slow);
uint64_t publish(struct topic *topic, const char *text);
uint64_t publish_key(struct topic *topic, const char *text, const char *key);
bool seqs_are(const struct reader *reader, int count, ...); /* of uint64_t */

uint64_t test_clock(void); /* for hub_set_clock: clock_ms */
extern uint64_t clock_ms;
uint32_t random_below(uint32_t *state, uint32_t limit);

void test_parts(void);
void test_topic(void);
void test_delivery(void);
void test_callbacks(void);
void test_several(void);
void test_slicing(void);
void test_model(void);
void test_threads(void);
void test_store(void);
void bench(void);

#endif
