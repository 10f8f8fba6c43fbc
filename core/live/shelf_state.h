/* What the shelf is made of. Only core/live includes this. */
#ifndef LIVE_SHELF_STATE_H
#define LIVE_SHELF_STATE_H

#include "base/hash.h"
#include "base/table.h"
#include "live/shelf.h"

#include <pthread.h>
#include <stdatomic.h>

struct shelf {
    _Atomic uint64_t limit;
    _Atomic uint64_t used;
    struct hash_seed seed;
    pthread_mutex_t lock; /* guards the list */
    struct table stores;
    struct store *full; /* stands for those that found no room: nothing can be put into it */
};

/* Exchanges what one entry costs for what another does: 0 or -ENOSPC. Only growth is refused. */
int shelf_charge(struct shelf *shelf, uint64_t before, uint64_t after);

#endif
