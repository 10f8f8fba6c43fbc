/* Delivery: what one feed gets when it is its turn. Each callback may close the feed and free it;
 * outlet->serving tells, as feed_close clears it. */
#include "live/delivery.h"

#include "live/outlet_state.h"

#include <assert.h>

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static struct topic *topic_of(const struct feed *feed, int seat)
{
    return feed->count == 1 ? feed->in.channel->topic : feed->in.seats[seat].channel->topic;
}

/* ---- callbacks ---- */

static bool is_still_open(struct outlet *outlet, const struct feed *feed)
{
    bool is_open = outlet->serving == feed;
    outlet->serving = NULL;
    return is_open;
}

/* False: the feed was closed. */
static bool tell_gap(struct feed *feed, uint64_t cursor)
{
    struct outlet *outlet = channel_outlet_of(feed);
    feed->cursor = cursor;
    feed->was_away = false;
    outlet->serving = feed;
    feed->events->on_gap(feed, cursor); /* may close and free the feed */
    return is_still_open(outlet, feed);
}

static void delivery_end(struct feed *feed, bool is_slow)
{
    const struct feed_events *events = feed->events;
    feed_close(feed);
    events->on_end(feed, is_slow); /* may free the feed, or open it again */
}

static void count_conflated(const struct feed *feed, const struct parcel *parcel, int taken)
{
    for (int i = 0; parcel->is_conflated && i < taken; i++)
        if (parcel->skipped[i] > 0)
            count(&topic_of(feed, parcel->seats[i])->conflated, parcel->skipped[i]);
}

static void block(struct feed *feed)
{
    feed->is_blocked = true;
    if (feed->count == 1)
        channel_block(feed->in.channel, feed);
    else
        for (int i = 0; i < feed->count; i++)
            channel_block(feed->in.seats[i].channel, feed);
}

/* False: the feed was closed. */
static bool deliver(struct feed *feed, struct parcel *parcel)
{
    struct outlet *outlet = channel_outlet_of(feed);
    struct batch *batch = &parcel->batch;
    int taken = 0;
    if (batch->count > 0) {
        outlet->serving = feed;
        outlet->was_resumed = false;
        taken = feed->events->on_messages(feed, batch); /* may close and free the feed */
        if (!is_still_open(outlet, feed))
            return false;
        assert(taken >= 0 && taken <= batch->count);
        count_conflated(feed, parcel, taken);
    }
    if (taken == batch->count) {
        if (batch->head > feed->cursor)
            feed->cursor = batch->head;
        return true;
    }
    if (taken > 0)
        feed->cursor = batch->messages[taken - 1]->seq;
    feed->is_behind = true;
    if (!outlet->was_resumed)
        block(feed);
    return true;
}

/* ---- one topic ---- */

static bool wants_newest(const struct feed *feed)
{
    return feed->is_behind && feed->slow == SLOW_LATEST;
}

static bool ends_by_loss(const struct feed *feed)
{
    return feed->slow == SLOW_CLOSE && !feed->was_away;
}

static struct parcel *read_one(struct feed *feed, uint64_t head)
{
    struct parcels *parcels = &channel_outlet_of(feed)->parcels;
    const struct channel *channel = feed->in.channel;
    struct parcel *parcel = parcel_for(parcels, channel, feed->cursor, head, wants_newest(feed));
    if (feed->cursor >= parcel->lo || feed->is_behind)
        return parcel;
    feed->is_behind = true;
    return parcel_for(parcels, channel, feed->cursor, head, wants_newest(feed));
}

/* False: the feed was closed. */
static bool serve_one(struct feed *feed, uint64_t head)
{
    struct parcel *parcel = read_one(feed, head);
    struct topic *topic = feed->in.channel->topic;
    if (feed->cursor >= parcel->lo)
        return deliver(feed, parcel);
    if (ends_by_loss(feed)) {
        count(&topic->ended, 1);
        delivery_end(feed, true);
        return false;
    }
    count(&topic->gaps, 1);
    return tell_gap(feed, parcel->lo) && deliver(feed, parcel);
}

/* ---- several topics ---- */

/* Messages of this topic were lost, and the feed does not know yet. */
static bool has_lost(const struct feed *feed, const struct seat *seat)
{
    return seat->lost > feed->cursor && seat->lost > seat->told;
}

/* The newest seq that one of its topics has lost without its knowledge; 0: none has. */
static uint64_t newest_lost(const struct feed *feed)
{
    uint64_t lost = 0;
    for (int i = 0; i < feed->count; i++) {
        const struct seat *seat = &feed->in.seats[i];
        if (has_lost(feed, seat) && seat->lost > lost)
            lost = seat->lost;
    }
    return lost;
}

static void count_lost(struct feed *feed, bool ends)
{
    for (int i = 0; i < feed->count; i++) {
        struct seat *seat = &feed->in.seats[i];
        if (!has_lost(feed, seat))
            continue;
        count(ends ? &seat->channel->topic->ended : &seat->channel->topic->gaps, 1);
        seat->told = seat->lost;
    }
}

/* As far as nothing that is left, or still to be read, is skipped. */
static uint64_t gap_cursor(const struct parcel *parcel, uint64_t lost, uint64_t head)
{
    uint64_t limit = parcel->batch.count > 0 ? parcel->messages[0]->seq - 1 : head;
    return lost < limit ? lost : limit;
}

/* False: the feed was closed. */
static bool serve_several(struct feed *feed, uint64_t head)
{
    struct parcels *parcels = &channel_outlet_of(feed)->parcels;
    struct parcel *parcel = parcel_merged(parcels, feed, head, wants_newest(feed));
    uint64_t lost = newest_lost(feed);
    if (lost == 0)
        return deliver(feed, parcel);
    if (feed->slow == SLOW_LATEST && !feed->is_behind) {
        feed->is_behind = true;
        parcel = parcel_merged(parcels, feed, head, true);
        lost = newest_lost(feed);
    }
    bool ends = ends_by_loss(feed);
    count_lost(feed, ends);
    if (ends) {
        delivery_end(feed, true);
        return false;
    }
    return tell_gap(feed, gap_cursor(parcel, lost, head)) && deliver(feed, parcel);
}

/* ---- its turn ---- */

/* All its topics are closed, and it has what was in them. */
static bool is_over(const struct feed *feed)
{
    for (int i = 0; i < feed->count; i++) {
        const struct topic *topic = topic_of(feed, i);
        if (!topic_is_closed(topic) || topic_last(topic) > feed->cursor)
            return false;
    }
    return true;
}

void delivery_serve(struct feed *feed, uint64_t head)
{
    if (feed->cursor < head && !(feed->count == 1 ? serve_one : serve_several)(feed, head))
        return;
    if (feed->is_blocked)
        return;
    if (feed->cursor < head) {
        line_push(&channel_outlet_of(feed)->line, &feed->queued);
        return;
    }
    feed->is_behind = false;
    if (is_over(feed))
        delivery_end(feed, false);
}
