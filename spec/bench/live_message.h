/* The messages live_client has published and gets delivered: the time of publishing and a number,
 * padded. */
#ifndef LIVE_MESSAGE_H
#define LIVE_MESSAGE_H

#include "live_measure.h"

#include <stdbool.h>
#include <stddef.h>

#define MESSAGE_SIZE_MIN 40
#define MESSAGE_SIZE_MAX 16384

/* What was delivered to all subscribers. */
struct deliveries {
    uint64_t count, deflated;
    size_t message_size;      /* what all of them must have */
    uint64_t made;            /* the number of the newest */
    uint64_t missing, again;  /* numbers that a subscriber skipped, that it had seen before */
    bool may_lack;            /* a subscriber may be told that it has lost some */
    uint64_t gaps;            /* how often one was */
    struct histogram latency; /* from just before the request to publish until it was read here */
};
extern struct deliveries deliveries;

/* Writes a message made now, of deliveries.message_size bytes, to `out`. */
void message_make(char *out);
/* Counts a delivery of a message to one that has seen the number *seen before (0: none); exits when
 * it is not one of ours. */
void message_delivered(uint64_t *seen, const char *bytes, size_t size, bool is_deflated);

#endif
