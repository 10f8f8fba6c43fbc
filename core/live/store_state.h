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

struct store *store_new(struct shelf *shelf, const char *name, size_t len);
uint64_t store_cost(size_t name_len); /* of one that is empty */
void store_free(struct store *store);
void store_sweep(struct store *store, uint64_t now_ms); /* a bounded part */

#endif
