/* Parcels: messages that were read once and serve all feeds at the same place. An outlet keeps a
 * few while it delivers, so that the locks are taken, and batches joined, once for many feeds. */
#ifndef LIVE_PARCEL_H
#define LIVE_PARCEL_H

#include "live/feed.h"
#include "live/ring.h"

#define PARCEL_BYTES 65536 /* of payload, unless one message alone is larger */
#define PARCELS 16

struct channel;

struct parcel {
    struct batch batch;
    const struct channel *channel; /* NULL: unused */
    uint64_t lo;                   /* for feeds with lo <= cursor < behind ... */
    uint64_t behind;
    bool is_oldest; /* ... or below lo, which then is the newest lost: they lack something */
    bool is_conflated;
    struct message *messages[BATCH_MAX]; /* held */
    uint32_t skipped[BATCH_MAX];         /* superseded ones left out before each */
    uint8_t seats[BATCH_MAX];            /* topics they are from, when there are several */
};

struct parcels {
    struct parcel all[PARCELS];
    struct parcel several; /* the last one for feeds of several topics, from `lo` on exactly */
    const struct channel *channels[FEED_TOPICS]; /* which topics */
    uint8_t count;                               /* how many; 0: unused */
    struct parcel *recent;                       /* or NULL */
    int used;                                    /* since parcels_clear */
    int next;                                    /* to be used, again when all are */
};

/* What the channel's topic has for a cursor below `head`, up to there. Valid until the outlet reads
 * again. */
struct parcel *parcel_for(struct parcels *parcels, const struct channel *channel, uint64_t cursor,
                          uint64_t head, bool is_conflated);
/* The same for a feed of several topics, merged by seq. The seats get what their topics lost. */
struct parcel *parcel_merged(struct parcels *parcels, const struct feed *feed, uint64_t head,
                             bool is_conflated);
void parcels_forget(struct parcels *parcels, const struct channel *channel); /* it has news */
void parcels_clear(struct parcels *parcels);

#endif
