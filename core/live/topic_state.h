/* What a topic and the hub are made of. Only core/live includes this.
 *
 * Order of locks: hub.names, then a topic's, then hub.publish. Seqs are stamped and the message
 * appended under `publish`, so that whoever loads `head` finds all that is up to it in the logs. */
#ifndef LIVE_TOPIC_STATE_H
#define LIVE_TOPIC_STATE_H

#include "base/quota.h"
#include "base/table.h"
#include "live/feed.h"
#include "live/ring.h"

#include <pthread.h>

#define HUB_COLLECTED 1024 /* a power of two */

struct topic {
    struct table_link link; /* in the hub, by name */
    struct hub *hub;
    atomic_uint refs; /* holders and channels; a topic without any waits for hub_sweep */
    atomic_bool is_closed;
    _Atomic uint64_t last; /* seq of the newest message that it had, or the floor that it began
                              with */
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

struct hub {
    uint64_t epoch;
    struct hash_seed seed;
    uint64_t (*clock)(void);
    /* Whatever a client can name or make grow is counted and limited: topics by their number, and
     * by bytes what they keep: messages, what these are encoded to, and subscriptions. */
    struct quota memory;
    _Atomic size_t most_topics;
    pthread_mutex_t names; /* guards `topics`, `collected` and that a topic gets its first holder */
    struct table topics;
    size_t sweep_place; /* of hub_sweep's thread, as the next */
    size_t most_used;   /* bytes, since memory was given back */
    /* The highest floor of the topics that were removed, by hash of the name: where one with the
     * same name begins, so that old cursors are gaps. */
    uint64_t collected[HUB_COLLECTED];
    char apart[64]; /* from what follows, which is written with every message */
    pthread_mutex_t publish;
    _Atomic uint64_t head;
};

/* Whether what was added goes too far, were `spare` bytes given back. */
bool hub_is_full(struct hub *hub, uint64_t spare);

bool publication_is_too_long(const struct publication *pub); /* for any message */
/* One reference; NULL: out of memory. Counts what it takes, message_drop what it gives back. */
struct message *message_new(struct topic *topic, const struct publication *pub);

struct topic *topic_new(struct hub *hub, const char *name, size_t len, uint64_t floor);
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
