/* A topic's log: the newest messages, oldest first, bounded by count, bytes and age, in an array
 * that grows as far as it is needed. Belongs to its topic, whose lock guards it. */
#ifndef LIVE_RING_H
#define LIVE_RING_H

#include "live/index.h"
#include "live/message.h"

struct ring {
    struct message **slots; /* a power of two, NULL while nothing was put in */
    uint32_t cap;
    uint32_t first; /* of the oldest */
    uint32_t count;
    uint64_t bytes;       /* see message_size */
    uint64_t lost;        /* newest seq lost */
    uint64_t dropped;     /* messages that left */
    struct index repeats; /* by dedupe id */
    struct index keys;    /* by key, once somebody reads only the newest */
    bool has_keys;
    const struct hash_seed *seed;
};

/* One message that was read, held. */
struct pick {
    struct message *message;
    uint32_t skipped; /* superseded ones that were left out before it */
    uint8_t seat;     /* for readers of several topics: which */
};

/* What to read and what was found. */
struct reading {
    uint64_t from, to;  /* from < seq <= to */
    int max;            /* messages */
    uint64_t max_bytes; /* of payload; the first message comes whatever its size */
    /* When conflated: without those that have a newer one of their key up to here. */
    uint64_t head;
    bool is_conflated;
    struct pick *picks;
    int count;
    bool is_cut;   /* by max or max_bytes: there are more up to `to` */
    uint64_t lost; /* the ring's: above `from` means that some are missing */
    uint64_t lo;   /* any cursor between this and the first pick reads the same */
};

void ring_init(struct ring *ring, const struct hash_seed *seed, uint64_t lost);
void ring_deinit(struct ring *ring); /* drops what is in it */
/* What ring_trim would make free. */
uint64_t ring_excess(const struct ring *ring, uint32_t keep, uint64_t bytes);

/* These chain what leaves the ring to `gone`, for message_drop_all after unlocking. */
void ring_trim(struct ring *ring, uint32_t keep, uint64_t bytes, struct message **gone);
void ring_expire(struct ring *ring, uint64_t now_ms, uint32_t ttl_ms, struct message **gone);

/* Room for `message`, before or after trimming to less than `keep`: 0 or -ENOMEM. */
int ring_reserve(struct ring *ring, const struct message *message, uint32_t keep);
/* Takes over the reference of a message that has its seq; room was reserved. ring_index follows. */
void ring_push(struct ring *ring, struct message *message);
void ring_index(struct ring *ring, struct message *message);
struct message *ring_repeated(const struct ring *ring, const char *dedupe, size_t len);
struct message *ring_at(const struct ring *ring, uint32_t index); /* 0: the oldest */
uint32_t ring_find(const struct ring *ring, uint64_t from); /* index of the first seq > from */
/* Without memory for the index of keys it is not conflated. */
void ring_read(struct ring *ring, struct reading *reading);
void ring_shrink(struct ring *ring); /* frees the storage of an empty one */

#endif
