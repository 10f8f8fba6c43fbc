/* What a topic is made of. Only core/live includes this.
 *
 * Order of locks: hub.names, then a topic's, then hub.publish. Seqs are stamped and the message
 * appended under `publish`, so that whoever loads `head` finds all that is up to it in the logs. */
#ifndef LIVE_TOPIC_STATE_H
#define LIVE_TOPIC_STATE_H

#include "base/table.h"
#include "live/hub_state.h"
#include "live/ring.h"
#include "live/topic.h"

#include <pthread.h>

struct topic {
    struct table_link link; /* in the hub, by name */
    struct hub *hub;
    atomic_uint refs; /* holders and channels; a topic without any waits for hub_sweep */
    atomic_bool is_closed;
    /* Seq of the newest message that it had, or `lost` as it began with it. */
    _Atomic uint64_t last;
    _Atomic uint64_t gaps, conflated, ended; /* see struct topic_stats */
    pthread_mutex_t lock;                    /* guards what follows */
    struct topic_options options;
    struct ring ring;
    struct channel **channels; /* one for each outlet that has feeds here */
    uint32_t channel_count;
    uint32_t subscribers;
    uint32_t readers[4];
    uint64_t published;
    uint64_t closed_ms;
    size_t name_len;
    char name[];
};

struct topic *topic_new(struct hub *hub, const char *name, size_t len, uint64_t lost);
void topic_free(struct topic *topic);
void topic_set_options(struct topic *topic, const struct topic_options *options, bool is_new);
/* Whether it can be removed: nothing in it and nobody there. Under the lock of names. */
bool topic_is_over(struct topic *topic, uint64_t now_ms);
/* Removes what is too old. */
void topic_expire(struct topic *topic, uint64_t now_ms);
/* Reads under the lock what was asked for, after what is too old was removed. */
void topic_pick(struct topic *topic, struct reading *reading);
static inline uint64_t topic_last(const struct topic *topic)
{
    return atomic_load_explicit(&topic->last, memory_order_acquire);
}

#endif
