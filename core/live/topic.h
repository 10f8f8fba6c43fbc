/* A topic: a process-wide named log of messages, bounded by count, bytes and age. Any worker's
 * thread may publish and read. */
#ifndef LIVE_TOPIC_H
#define LIVE_TOPIC_H

#include "live/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub;
struct topic;

enum slow_policy { SLOW_GAP, SLOW_LATEST, SLOW_CLOSE };

struct topic_options {
    uint32_t keep;   /* messages, default 64; at least 1 */
    uint64_t bytes;  /* of payload with key, event and dedupe, default 256 KiB */
    uint32_t ttl_ms; /* default 60 s; 0: for ever */
    enum slow_policy slow;
    bool is_binary; /* payloads need not be UTF-8 */
};
void topic_options_init(struct topic_options *options); /* the defaults */

struct published {
    uint64_t seq;         /* of the message; of the first one when it is a repetition (dedupe) */
    uint32_t subscribers; /* clients on all workers whose cursor will reach it */
    bool is_repeated;
};

struct topic_stats {
    uint64_t head, lost; /* newest seq; newest seq that is lost (0: none) */
    /* Counted since the topic was made. */
    uint64_t published; /* messages; repetitions are none */
    uint64_t dropped;   /* messages that left the log: too many, too large, too old */
    uint64_t gaps;      /* times that a subscriber was told that it missed some */
    /* Deliveries that slow="latest" left out because a newer one had the same key. */
    uint64_t conflated;
    uint64_t ended; /* subscribers that fell out of the log with slow="close" */
    uint32_t count; /* messages kept */
    uint64_t bytes;
    uint32_t subscribers;
    uint32_t readers[4]; /* by enum feed_kind */
    struct topic_options options;
};

/* Finds or makes it; the caller holds a reference. `options` NULL: leaves them; a difference is
 * logged. NULL: there are as many topics as there may be. */
struct topic *topic_open(struct hub *hub, const char *name, size_t len,
                         const struct topic_options *options);
struct topic *topic_hold(struct topic *topic);
void topic_drop(struct topic *topic);
const char *topic_name(const struct topic *topic, size_t *len);
struct hub *topic_hub(const struct topic *topic);
/* Stamps and appends under the one publish lock, then wakes the workers that have subscribers. 0,
 * -EPIPE: closed, -EMSGSIZE: larger than all that the topic keeps, -ENOSPC: all topics together
 * keep as much as they may, -ENOMEM. Never waits for a client. */
int topic_publish(struct topic *topic, const struct publication *publication,
                  struct published *result);
/* Nothing can be published any more; subscribers are told when they have read what is there. */
void topic_close(struct topic *topic);
bool topic_is_closed(const struct topic *topic);
void topic_stats(struct topic *topic, struct topic_stats *stats);
/* Holds and copies messages with from < seq <= to, oldest first, at most `max`. `lost` gets the
 * newest seq that the topic has lost: above `from`, some between are missing. The number of
 * messages. */
int topic_read(struct topic *topic, uint64_t from, uint64_t to, struct message **messages, int max,
               uint64_t *lost);

#endif
