/* A feed: one subscriber's place in one or more topics. It is a cursor, not a queue: the topics'
 * logs are the queue. Its outlet delivers to it. */
#ifndef LIVE_FEED_H
#define LIVE_FEED_H

#include "live/batch.h"
#include "live/line.h"
#include "live/topic.h"
#include "net/loop.h"

struct feed;
struct outlet;
struct channel;
struct seat;

enum feed_kind { FEED_POLL, FEED_SSE, FEED_WS, FEED_READER };

struct feed_events {
    /* Takes messages; how many were taken, from the first on. Fewer than batch->count: the feed is
     * blocked until feed_resume. May close the feed, and free it (the return value is ignored
     * then). */
    int (*on_messages)(struct feed *feed, struct batch *batch);
    /* Continuity broke: what follows begins behind `cursor`, and resuming there misses nothing that
     * is left. May close and free the feed. */
    void (*on_gap)(struct feed *feed, uint64_t cursor);
    /* Fell out of the log with slow="close"; or all its topics are closed and what was in them is
     * delivered (is_slow false). The feed is closed already: it may be freed, or opened again. */
    void (*on_end)(struct feed *feed, bool is_slow);
};

/* A member of its owner; all zero is a feed that is not open. Kept small: each subscriber has
 * one. */
struct feed {
    const struct feed_events *events;
    uint64_t cursor; /* everything up to this seq was delivered */
    union {
        struct channel *channel; /* one topic: where it is listed */
        struct seat *seats;      /* several: where in each, owned */
    } in;
    uint32_t place;           /* index in the channel's array (one topic) */
    struct line_place queued; /* in the outlet's line */
    int owner_ref; /* for its owner: it fills what would be padding. feed_open leaves it alone */
    uint8_t count; /* of topics, 0: not open */
    uint8_t kind;  /* enum feed_kind */
    uint8_t slow;  /* enum slow_policy */
    bool is_blocked : 1;
    bool is_behind : 1; /* was blocked, or fell out of the log, and has not caught up yet */
    bool was_away : 1;  /* opened behind what is left: that is a gap, not slowness */
};

/* On the loop's thread. Subscribes to `count` topics (1 to FEED_TOPICS, held while open; one that
 * is named twice counts once) from behind `cursor`, or from now on when that is beyond hub_head.
 * What is there already is delivered at the end of this turn, never from inside. A cursor below
 * what a topic has lost is a gap, whatever `slow` says. `slow` < 0: the first topic's. */
#define FEED_TOPICS 255
void feed_open(struct feed *feed, struct outlet *outlet, const struct feed_events *events,
               enum feed_kind kind, struct topic *const *topics, int count, uint64_t cursor,
               int slow);
/* Both from anywhere on the loop's thread, also inside callbacks, and idempotent. */
void feed_close(struct feed *feed);
void feed_resume(struct feed *feed); /* there is room again: deliver, at the end of this turn */
/* Of an open one: the newest cursor from which resuming misses nothing: feed->cursor, or further on
 * when its topics had nothing since. */
uint64_t feed_cursor(const struct feed *feed);
static inline bool feed_is_open(const struct feed *feed)
{
    return feed->count > 0;
}
/* Of an open one: the first of its topics, and their hub. */
struct topic *feed_topic(const struct feed *feed);
struct hub *feed_hub(const struct feed *feed);

#endif
