/* What stores and their shelf are made of. Only core/live includes this. */
#ifndef LIVE_STORE_STATE_H
#define LIVE_STORE_STATE_H

#include "base/hash.h"
#include "base/table.h"
#include "live/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct store {
    struct table_link link; /* in the shelf, by name */
    struct shelf *shelf;
    pthread_mutex_t lock;
    struct table entries;
    size_t sweep_place;
    size_t name_len;
    char name[];
};

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

struct store *store_new(struct shelf *shelf, const char *name, size_t len);
uint64_t store_cost(size_t name_len); /* of one that is empty */
void store_free(struct store *store);
void store_sweep(struct store *store, uint64_t now_ms); /* a bounded part */

#endif
