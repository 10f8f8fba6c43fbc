/* A channel: the feeds that one outlet has in one topic, in a dense array. Those that messages can
 * be delivered to are in front of the blocked ones, which therefore cost nothing. Belongs to its
 * outlet, holds its topic; the outlet's thread alone uses it, but for what is marked. */
#ifndef LIVE_CHANNEL_H
#define LIVE_CHANNEL_H

#include "base/list.h"
#include "live/feed.h"
#include "live/topic_state.h"

struct channel {
    struct topic *topic;
    struct outlet *outlet;
    struct feed **feeds;
    uint32_t active; /* feeds that are not blocked: the first ones */
    uint32_t count;
    uint32_t cap;
    /* A pass looks at each active feed, from the last one down: what is swapped into a place that a
     * feed has left was looked at before. */
    uint32_t next; /* feeds below this index are still to be looked at */
    bool is_passing;
    bool is_again;      /* there was more meanwhile: another pass follows */
    bool is_detached;   /* the topic does not know it any more; freed when it is not dirty */
    uint64_t head;      /* of this pass */
    struct list link;   /* in the outlet's passes, when there is something to do */
    struct list member; /* in the outlet's channels */
    bool is_idle;       /* nobody is active: need not be marked. Under the topic's lock */
    /* Any thread: */
    atomic_bool is_dirty;       /* it is in the outlet's list of dirty ones */
    struct channel *next_dirty; /* there */
};

/* A feed's place in one of several topics. */
struct seat {
    struct channel *channel;
    uint32_t place;
    uint64_t lost; /* the topic's, as it was read last */
    uint64_t told; /* lost messages up to here were told of */
};

/* Of an open feed's first topic. */
static inline struct channel *channel_of(const struct feed *feed)
{
    return feed->count == 1 ? feed->in.channel : feed->in.seats[0].channel;
}
static inline struct outlet *channel_outlet_of(const struct feed *feed)
{
    return channel_of(feed)->outlet;
}

/* The outlet's channel of the topic, made if need be, with the feed counted as a reader. Tells
 * what the topic has lost. */
struct channel *channel_enter(struct outlet *outlet, struct topic *topic, enum feed_kind kind,
                              uint64_t *lost);
void channel_leave(struct channel *channel, enum feed_kind kind); /* counts it out */
void channel_detach(struct channel *channel); /* from its topic: nobody marks it any more */
void channel_free(struct channel *channel);

/* feed->in leads to the channel already. */
void channel_add(struct channel *channel, struct feed *feed);
void channel_remove(struct channel *channel, struct feed *feed);
void channel_block(struct channel *channel, struct feed *feed);
void channel_unblock(struct channel *channel, struct feed *feed);

#endif
