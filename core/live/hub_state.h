/* What the hub is made of. Only core/live includes this. */
#ifndef LIVE_HUB_STATE_H
#define LIVE_HUB_STATE_H

#include "base/hash.h"
#include "base/quota.h"
#include "base/table.h"
#include "live/hub.h"

#include <pthread.h>
#include <stdatomic.h>

#define HUB_COLLECTED 1024 /* a power of two */

struct channel;

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
    /* The newest seq lost of the topics that were removed, by hash of the name: where one with the
     * same name begins, so that old cursors are gaps. */
    uint64_t collected[HUB_COLLECTED];
    char apart[64]; /* from what follows, which is written with every message */
    /* A channel's topic has news: outlet_mark, once there is an outlet. */
    void (*_Atomic mark)(struct channel *channel);
    pthread_mutex_t publish;
    _Atomic uint64_t head;
};

/* Whether what was added goes too far, were `spare` bytes given back. */
bool hub_is_full(struct hub *hub, uint64_t spare);

#endif
