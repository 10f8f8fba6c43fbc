/* The shelf: all stores by name, and the bytes that they take together. The server owns it. */
#include "live/shelf.h"

#include "base/list.h"
#include "base/mem.h"
#include "live/shelf_state.h"
#include "live/store_state.h"

#include <errno.h>
#include <string.h>

void shelf_set_limit(struct shelf *shelf, uint64_t memory_limit)
{
    atomic_store_explicit(&shelf->limit, memory_limit, memory_order_relaxed);
}

struct shelf *shelf_new(uint64_t memory_limit)
{
    struct shelf *shelf = mem_calloc(sizeof(*shelf));
    shelf_set_limit(shelf, memory_limit);
    hash_seed_init(&shelf->seed);
    pthread_mutex_init(&shelf->lock, NULL);
    table_init(&shelf->stores);
    shelf->full = store_new(shelf, "", 0);
    return shelf;
}

void shelf_free(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->stores.used; i++) {
        struct table_link *link = shelf->stores.buckets[i];
        while (link) {
            struct store *store = container_of(link, struct store, link);
            link = link->next;
            store_free(store);
        }
    }
    table_deinit(&shelf->stores);
    store_free(shelf->full);
    pthread_mutex_destroy(&shelf->lock);
    mem_free(shelf);
}

uint64_t shelf_used(const struct shelf *shelf)
{
    return atomic_load_explicit(&shelf->used, memory_order_relaxed);
}

static struct store *find_store(struct shelf *shelf, uint64_t hash, const char *name, size_t len)
{
    for (struct table_link *link = table_chain(&shelf->stores, hash); link; link = link->next) {
        struct store *store = container_of(link, struct store, link);
        if (link->hash == hash && store->name_len == len && memcmp(store->name, name, len) == 0)
            return store;
    }
    return NULL;
}

/* A store is for good, so its name is paid for like an entry. */
static struct store *add_store(struct shelf *shelf, uint64_t hash, const char *name, size_t len)
{
    if (shelf_charge(shelf, 0, store_cost(len)) < 0)
        return shelf->full;
    struct store *store = store_new(shelf, name, len);
    table_add(&shelf->stores, &store->link, hash);
    return store;
}

struct store *shelf_store(struct shelf *shelf, const char *name, size_t len)
{
    uint64_t hash = hash_bytes(&shelf->seed, name, len);
    pthread_mutex_lock(&shelf->lock);
    struct store *store = find_store(shelf, hash, name, len);
    if (store == NULL)
        store = add_store(shelf, hash, name, len);
    pthread_mutex_unlock(&shelf->lock);
    return store;
}

int shelf_charge(struct shelf *shelf, uint64_t before, uint64_t after)
{
    uint64_t used = atomic_load_explicit(&shelf->used, memory_order_relaxed);
    uint64_t wanted;
    do {
        wanted = used - before + after;
        if (after > before && wanted > atomic_load_explicit(&shelf->limit, memory_order_relaxed))
            return -ENOSPC;
    } while (!atomic_compare_exchange_weak_explicit(&shelf->used, &used, wanted,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 0;
}

void shelf_sweep(struct shelf *shelf, uint64_t now_ms)
{
    pthread_mutex_lock(&shelf->lock);
    for (size_t i = 0; i < shelf->stores.used; i++)
        for (struct table_link *link = shelf->stores.buckets[i]; link; link = link->next)
            store_sweep(container_of(link, struct store, link), now_ms);
    pthread_mutex_unlock(&shelf->lock);
}
