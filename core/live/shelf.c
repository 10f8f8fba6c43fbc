/* The shelf: all stores by name, and the bytes that they take together. The server owns it. */
#include "live/store_state.h"

#include "base/alloc.h"

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
    list_init(&shelf->stores);
    return shelf;
}

void shelf_free(struct shelf *shelf)
{
    struct list *link;
    while ((link = list_shift(&shelf->stores)) != NULL)
        store_free(container_of(link, struct store, link));
    pthread_mutex_destroy(&shelf->lock);
    mem_free(shelf);
}

uint64_t shelf_used(const struct shelf *shelf)
{
    return atomic_load_explicit(&shelf->used, memory_order_relaxed);
}

static struct store *find_store(struct shelf *shelf, const char *name, size_t len)
{
    list_each (link, &shelf->stores) {
        struct store *store = container_of(link, struct store, link);
        if (store->name_len == len && memcmp(store->name, name, len) == 0)
            return store;
    }
    return NULL;
}

struct store *shelf_store(struct shelf *shelf, const char *name, size_t len)
{
    pthread_mutex_lock(&shelf->lock);
    struct store *store = find_store(shelf, name, len);
    if (store == NULL) {
        store = store_new(shelf, name, len);
        list_push(&shelf->stores, &store->link);
    }
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
    list_each (link, &shelf->stores)
        store_sweep(container_of(link, struct store, link), now_ms);
    pthread_mutex_unlock(&shelf->lock);
}
