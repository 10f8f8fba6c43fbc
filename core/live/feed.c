/* Feeds: opening, closing, resuming. A feed belongs to whoever has it as a member; while it is open
 * it is listed in the channels of its topics. */
#include "base/mem.h"
#include "base/tally.h"
#include "live/hub.h"
#include "live/outlet_state.h"

#include <assert.h>

#define WS_COST 112   /* of a WebSocket's subscription */
#define PLACE_COST 32 /* of each of its topics: its place among those who read it */

/* A connection has one poll or stream, but any number of these. */
static uint64_t cost_of(const struct feed *feed)
{
    return feed->kind == FEED_WS ? WS_COST + (uint64_t)feed->count * PLACE_COST : 0;
}

static bool is_named_before(struct topic *const *topics, int i)
{
    for (int k = 0; k < i; k++)
        if (topics[k] == topics[i])
            return true;
    return false;
}

static int count_topics(struct topic *const *topics, int count)
{
    int different = 0;
    for (int i = 0; i < count; i++)
        different += !is_named_before(topics, i);
    return different;
}

static enum slow_policy policy_of(struct topic *topic)
{
    pthread_mutex_lock(&topic->lock);
    enum slow_policy slow = topic->options.slow;
    pthread_mutex_unlock(&topic->lock);
    return slow;
}

/* Enters one topic. True: there is something for the feed already. */
static bool enter(struct feed *feed, struct outlet *outlet, struct topic *topic, struct seat *seat)
{
    uint64_t lost;
    struct channel *channel = channel_enter(outlet, topic, feed->kind, &lost);
    if (seat)
        seat->channel = channel;
    else
        feed->in.channel = channel;
    channel_add(channel, feed);
    if (feed->cursor < lost)
        feed->was_away = true;
    return topic_last(topic) > feed->cursor || topic_is_closed(topic);
}

static bool enter_all(struct feed *feed, struct outlet *outlet, struct topic *const *topics,
                      int count)
{
    bool has_news = false;
    int entered = 0;
    if (feed->count > 1)
        feed->in.seats = mem_calloc(feed->count * sizeof(struct seat));
    for (int i = 0; i < count; i++) {
        if (is_named_before(topics, i))
            continue;
        struct seat *seat = feed->count > 1 ? &feed->in.seats[entered++] : NULL;
        has_news = enter(feed, outlet, topics[i], seat) || has_news;
    }
    return has_news;
}

void feed_open(struct feed *feed, struct outlet *outlet, const struct feed_events *events,
               enum feed_kind kind, struct topic *const *topics, int count, uint64_t cursor,
               int slow)
{
    uint64_t head = hub_head(outlet->hub);
    assert(!feed_is_open(feed) && count > 0 && count <= FEED_TOPICS);
    *feed = (struct feed){
        .events = events,
        .cursor = cursor < head ? cursor : head,
        .owner_ref = feed->owner_ref,
        .count = (uint8_t)count_topics(topics, count),
        .kind = (uint8_t)kind,
        .slow = (uint8_t)(slow < 0 ? (int)policy_of(topics[0]) : slow),
    };
    tally_add(TALLY_FEED, 1);
    hub_take(outlet->hub, cost_of(feed));
    if (enter_all(feed, outlet, topics, count)) {
        line_push(&outlet->line, &feed->queued);
        outlet_defer(outlet);
    }
}

static void leave(struct feed *feed, struct channel *channel)
{
    channel_remove(channel, feed);
    channel_leave(channel, feed->kind);
    if (channel->count == 0)
        outlet_reap(channel);
}

void feed_close(struct feed *feed)
{
    if (!feed_is_open(feed))
        return;
    struct outlet *outlet = channel_outlet_of(feed);
    line_leave(&outlet->line, &feed->queued);
    if (outlet->serving == feed)
        outlet->serving = NULL;
    if (feed->count == 1) {
        leave(feed, feed->in.channel);
    } else {
        for (int i = 0; i < feed->count; i++)
            leave(feed, feed->in.seats[i].channel);
        mem_free(feed->in.seats);
    }
    hub_give(outlet->hub, cost_of(feed));
    feed->count = 0;
    feed->is_blocked = false;
    tally_add(TALLY_FEED, -1);
}

void feed_resume(struct feed *feed)
{
    if (!feed_is_open(feed))
        return;
    struct outlet *outlet = channel_outlet_of(feed);
    if (outlet->serving == feed)
        outlet->was_resumed = true; /* it is not blocked yet, and will not be */
    if (!feed->is_blocked)
        return;
    feed->is_blocked = false;
    if (feed->count == 1)
        channel_unblock(feed->in.channel, feed);
    else
        for (int i = 0; i < feed->count; i++)
            channel_unblock(feed->in.seats[i].channel, feed);
    line_push(&outlet->line, &feed->queued);
    outlet_defer(outlet);
}

struct topic *feed_topic(const struct feed *feed)
{
    assert(feed_is_open(feed));
    return channel_of(feed)->topic;
}

struct hub *feed_hub(const struct feed *feed)
{
    assert(feed_is_open(feed));
    return channel_outlet_of(feed)->hub;
}

/* What is up to the head is in the topics, and each tells its newest: if that was delivered, there
 * is nothing between the cursor and the head. */
uint64_t feed_cursor(const struct feed *feed)
{
    uint64_t head = hub_head(feed_hub(feed)); /* which asserts that it is open */
    for (int i = 0; i < feed->count; i++) {
        const struct channel *channel =
            feed->count == 1 ? feed->in.channel : feed->in.seats[i].channel;
        if (topic_last(channel->topic) > feed->cursor)
            return feed->cursor;
    }
    return head > feed->cursor ? head : feed->cursor;
}
