/* A delivery: what a feed is served in one go. Only core/live includes this. */
#ifndef LIVE_DELIVERY_H
#define LIVE_DELIVERY_H

#include "live/feed.h"

/* Serves a feed what there is up to `head`. The feed can be closed, and freed, afterwards. */
void delivery_serve(struct feed *feed, uint64_t head);

#endif
