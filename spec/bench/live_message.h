/* The messages live_client has published and gets delivered: the time of publishing, padded. */
#ifndef LIVE_MESSAGE_H
#define LIVE_MESSAGE_H

#include "live_measure.h"

#include <stdbool.h>
#include <stddef.h>

#define MESSAGE_SIZE_MIN 20
#define MESSAGE_SIZE_MAX 16384

/* What was delivered to all subscribers. */
struct deliveries {
    uint64_t count, deflated;
    size_t message_size;      /* what all of them must have */
    bool may_lack;            /* a subscriber may be told that it has lost some */
    uint64_t gaps;            /* how often one was */
    struct histogram latency; /* from just before the request to publish until it was read here */
};
extern struct deliveries deliveries;

/* Writes a message made now, of deliveries.message_size bytes, to `out`. */
void message_make(char *out);
/* Counts a delivery of a message; exits when it is not one of ours. */
void message_delivered(const char *bytes, size_t size, bool is_deflated);

#endif
