/* Channels: where feeds are listed. */
#include "live/channel.h"

#include "base/mem.h"
#include "live/outlet_state.h"

#include <assert.h>

/* ---- life ---- */

static struct channel *channel_find(struct outlet *outlet, const struct topic *topic)
{
    for (uint32_t i = 0; i < topic->channel_count; i++)
        if (topic->channels[i]->outlet == outlet)
            return topic->channels[i];
    return NULL;
}

/* From here on publishers mark it. */
static struct channel *attach(struct outlet *outlet, struct topic *topic)
{
    struct channel *channel = mem_calloc(sizeof(*channel));
    channel->topic = topic_hold(topic);
    channel->outlet = outlet;
    channel->is_idle = true;
    list_init(&channel->link);
    list_push(&outlet->channels, &channel->member);
    topic->channels =
        mem_realloc(topic->channels, (topic->channel_count + 1) * sizeof(struct channel *));
    topic->channels[topic->channel_count++] = channel;
    return channel;
}

struct channel *channel_enter(struct outlet *outlet, struct topic *topic, enum feed_kind kind,
                              uint64_t *lost)
{
    outlet_know_thread(outlet);
    pthread_mutex_lock(&topic->lock);
    struct channel *channel = channel_find(outlet, topic);
    if (channel == NULL)
        channel = attach(outlet, topic);
    topic->subscribers++;
    topic->readers[kind]++;
    *lost = topic->ring.lost;
    pthread_mutex_unlock(&topic->lock);
    return channel;
}

void channel_leave(struct channel *channel, enum feed_kind kind)
{
    struct topic *topic = channel->topic;
    pthread_mutex_lock(&topic->lock);
    topic->subscribers--;
    topic->readers[kind]--;
    pthread_mutex_unlock(&topic->lock);
}

void channel_detach(struct channel *channel)
{
    struct topic *topic = channel->topic;
    assert(channel->count == 0 && "a feed is open");
    pthread_mutex_lock(&topic->lock);
    uint32_t i = 0;
    while (topic->channels[i] != channel)
        i++;
    topic->channels[i] = topic->channels[--topic->channel_count];
    pthread_mutex_unlock(&topic->lock);
    channel->is_detached = true;
}

void channel_free(struct channel *channel)
{
    assert(channel->is_detached);
    list_remove(&channel->link);
    list_remove(&channel->member);
    topic_drop(channel->topic);
    mem_free(channel->feeds);
    mem_free(channel);
}

/* ---- the array ---- */

static uint32_t *place_of(const struct channel *channel, struct feed *feed)
{
    if (feed->count == 1)
        return &feed->place;
    struct seat *seat = feed->in.seats;
    while (seat->channel != channel)
        seat++;
    return &seat->place;
}

static void channel_put(struct channel *channel, uint32_t place, struct feed *feed)
{
    channel->feeds[place] = feed;
    *place_of(channel, feed) = place;
}

/* A publisher that finds it idle has appended before a feed becomes active: that feed will see the
 * message when it is served. */
static void set_idle(struct channel *channel, bool is_idle)
{
    pthread_mutex_lock(&channel->topic->lock);
    channel->is_idle = is_idle;
    pthread_mutex_unlock(&channel->topic->lock);
}

/* Moves the one at `place` to the end of the active ones and makes these one fewer. */
static void deactivate(struct channel *channel, uint32_t place)
{
    struct feed *feed = channel->feeds[place];
    uint32_t last = --channel->active;
    channel_put(channel, place, channel->feeds[last]);
    channel_put(channel, last, feed);
    if (channel->active == 0)
        set_idle(channel, true);
}

static void activate(struct channel *channel, uint32_t place)
{
    struct feed *feed = channel->feeds[place];
    uint32_t last = channel->active++;
    channel_put(channel, place, channel->feeds[last]);
    channel_put(channel, last, feed);
    if (channel->active == 1)
        set_idle(channel, false);
}

void channel_add(struct channel *channel, struct feed *feed)
{
    if (channel->count == channel->cap) {
        channel->cap = channel->cap ? channel->cap * 2 : 1;
        channel->feeds = mem_realloc(channel->feeds, channel->cap * sizeof(struct feed *));
    }
    channel_put(channel, channel->count++, feed);
    activate(channel, channel->count - 1);
}

void channel_remove(struct channel *channel, struct feed *feed)
{
    uint32_t place = *place_of(channel, feed);
    assert(channel->feeds[place] == feed);
    if (place < channel->active) {
        deactivate(channel, place);
        place = channel->active;
    }
    channel_put(channel, place, channel->feeds[--channel->count]);
}

void channel_block(struct channel *channel, struct feed *feed)
{
    deactivate(channel, *place_of(channel, feed));
}

void channel_unblock(struct channel *channel, struct feed *feed)
{
    activate(channel, *place_of(channel, feed));
}
