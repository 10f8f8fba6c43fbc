/* Stores: a table behind one lock each. A store belongs to the shelf and lives as long. */
#include "base/list.h"
#include "base/mem.h"
#include "live/shelf_state.h"
#include "live/store_state.h"

#include <errno.h>
#include <string.h>

#define SWEEP_WITH_SET 2     /* buckets looked at with each change: more than one new entry needs */
#define SWEEP_WHEN_FULL 1024 /* before a change is refused */
#define SWEEP_NOW_AND_THEN 4096
#define MALLOC_COST 16 /* of each allocation, beside what was asked for */

struct entry {
    struct table_link link;
    uint64_t expires_ms; /* 0: never */
    size_t key_len;
    size_t len;
    char data[]; /* the key, then the value */
};

/* What a change needs to know. */
struct change {
    const char *key;
    size_t key_len;
    uint64_t hash;
    uint64_t now_ms;
    uint64_t expires_ms;
    struct entry *present; /* NULL: none */
};

/* ---- life ---- */

uint64_t store_cost(size_t name_len)
{
    return sizeof(struct store) + name_len + 1 + MALLOC_COST + sizeof(struct table_link *);
}

struct store *store_new(struct shelf *shelf, const char *name, size_t len)
{
    struct store *store = mem_calloc(sizeof(*store) + len + 1);
    store->shelf = shelf;
    store->name_len = len;
    memcpy(store->name, name, len);
    pthread_mutex_init(&store->lock, NULL);
    table_init(&store->entries);
    return store;
}

void store_free(struct store *store)
{
    store_clear(store);
    pthread_mutex_destroy(&store->lock);
    mem_free(store);
}

/* ---- entries, under the store's lock ---- */

/* With its place in the table. */
static uint64_t entry_cost(size_t key_len, size_t len)
{
    return sizeof(struct entry) + key_len + len + MALLOC_COST + sizeof(struct table_link *);
}

static void entry_remove(struct store *store, struct entry *entry)
{
    table_remove(&store->entries, &entry->link);
    shelf_charge(store->shelf, entry_cost(entry->key_len, entry->len), 0);
    mem_free(entry);
}

static bool is_expired(const struct entry *entry, uint64_t now_ms)
{
    return entry->expires_ms != 0 && entry->expires_ms <= now_ms;
}

static void sweep(struct store *store, uint64_t now_ms, size_t buckets)
{
    if (buckets > store->entries.used)
        buckets = store->entries.used;
    while (buckets-- > 0) {
        struct table_link *link =
            store->entries.buckets[store->sweep_place++ % store->entries.used];
        while (link) {
            struct entry *entry = container_of(link, struct entry, link);
            link = link->next;
            if (is_expired(entry, now_ms))
                entry_remove(store, entry);
        }
    }
}

static struct entry *store_find(struct store *store, const struct change *change)
{
    struct table_link *link = table_chain(&store->entries, change->hash);
    for (; link; link = link->next) {
        struct entry *entry = container_of(link, struct entry, link);
        if (link->hash != change->hash || entry->key_len != change->key_len ||
            memcmp(entry->data, change->key, change->key_len) != 0)
            continue;
        if (!is_expired(entry, change->now_ms))
            return entry;
        entry_remove(store, entry);
        return NULL;
    }
    return NULL;
}

static struct store_value value_of(const struct entry *entry)
{
    return (struct store_value){entry->data + entry->key_len, entry->len};
}

/* Locks the store and finds the key. `end` unlocks. */
static struct change store_begin(struct store *store, const char *key, size_t key_len,
                                 uint64_t now_ms, uint64_t ttl_ms)
{
    struct change change = {.key = key,
                            .key_len = key_len,
                            .hash = hash_bytes(&store->shelf->seed, key, key_len),
                            .now_ms = now_ms,
                            .expires_ms = ttl_ms ? now_ms + ttl_ms : 0};
    pthread_mutex_lock(&store->lock);
    change.present = store_find(store, &change);
    return change;
}

static int store_end(struct store *store, int err)
{
    pthread_mutex_unlock(&store->lock);
    return err;
}

static int charge(struct store *store, const struct change *change, uint64_t cost)
{
    const struct entry *present = change->present;
    uint64_t before = present ? entry_cost(present->key_len, present->len) : 0;
    int err = shelf_charge(store->shelf, before, cost);
    if (err == 0)
        return 0;
    sweep(store, change->now_ms, SWEEP_WHEN_FULL); /* not the present one: it has not expired */
    return shelf_charge(store->shelf, before, cost);
}

static void exchange(struct store *store, const struct change *change, struct entry *entry)
{
    if (change->present) {
        table_remove(&store->entries, &change->present->link);
        mem_free(change->present);
    }
    table_add(&store->entries, &entry->link, change->hash);
}

/* Puts the value in, all or nothing. */
static int store_put(struct store *store, const struct change *change, struct store_value value)
{
    uint64_t cost = entry_cost(change->key_len, value.len);
    /* Also keeps the sum below from overflowing. */
    if (store == store->shelf->full || cost > store->shelf->limit)
        return -ENOSPC;
    struct entry *entry = mem_try_alloc(sizeof(*entry) + change->key_len + value.len);
    if (entry == NULL)
        return -ENOMEM;
    int err = charge(store, change, cost);
    if (err) {
        mem_free(entry);
        return err;
    }
    entry->expires_ms = change->expires_ms;
    entry->key_len = change->key_len;
    entry->len = value.len;
    memcpy(entry->data, change->key, change->key_len);
    if (value.len > 0)
        memcpy(entry->data + change->key_len, value.data, value.len);
    exchange(store, change, entry);
    sweep(store, change->now_ms, SWEEP_WITH_SET);
    return 0;
}

/* ---- the doors ---- */

int store_get(struct store *store, const char *key, size_t key_len, uint64_t now_ms,
              struct bytes *out)
{
    struct change change = store_begin(store, key, key_len, now_ms, 0);
    if (change.present == NULL)
        return store_end(store, -ENOENT);
    struct store_value value = value_of(change.present);
    return store_end(store, bytes_try_append(out, value.data, value.len));
}

int store_set(struct store *store, const char *key, size_t key_len, struct store_value value,
              uint64_t now_ms, uint64_t ttl_ms)
{
    struct change change = store_begin(store, key, key_len, now_ms, ttl_ms);
    return store_end(store, store_put(store, &change, value));
}

int store_add(struct store *store, const char *key, size_t key_len, struct store_value value,
              uint64_t now_ms, uint64_t ttl_ms)
{
    struct change change = store_begin(store, key, key_len, now_ms, ttl_ms);
    return store_end(store, change.present ? -EEXIST : store_put(store, &change, value));
}

static bool is_expected(const struct entry *present, struct store_value expected)
{
    if (present == NULL || expected.data == NULL)
        return present == NULL && expected.data == NULL;
    struct store_value value = value_of(present);
    return value.len == expected.len && memcmp(value.data, expected.data, value.len) == 0;
}

int store_cas(struct store *store, const char *key, size_t key_len, struct store_value expected,
              struct store_value value, uint64_t now_ms, uint64_t ttl_ms)
{
    struct change change = store_begin(store, key, key_len, now_ms, ttl_ms);
    bool is_ok = is_expected(change.present, expected);
    return store_end(store, is_ok ? store_put(store, &change, value) : -EAGAIN);
}

int store_update(struct store *store, const char *key, size_t key_len, store_change_fn change_fn,
                 void *arg, uint64_t now_ms, uint64_t ttl_ms)
{
    struct bytes out;
    bytes_init(&out);
    struct change change = store_begin(store, key, key_len, now_ms, ttl_ms);
    struct store_value present = {NULL, 0};
    if (change.present) {
        present = value_of(change.present);
        change.expires_ms = change.present->expires_ms;
    }
    int err = change_fn(change.present ? &present : NULL, &out, arg);
    if (err == 0)
        err = store_put(store, &change, (struct store_value){out.data, out.len});
    err = store_end(store, err);
    bytes_deinit(&out);
    return err;
}

int store_delete(struct store *store, const char *key, size_t key_len, uint64_t now_ms)
{
    struct change change = store_begin(store, key, key_len, now_ms, 0);
    if (change.present == NULL)
        return store_end(store, -ENOENT);
    entry_remove(store, change.present);
    return store_end(store, 0);
}

void store_clear(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->entries.used; i++)
        while (store->entries.buckets[i])
            entry_remove(store, container_of(store->entries.buckets[i], struct entry, link));
    table_deinit(&store->entries);
    pthread_mutex_unlock(&store->lock);
}

void store_keys(struct store *store, uint64_t now_ms, struct bytes *out)
{
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->entries.used; i++) {
        struct table_link *link = store->entries.buckets[i];
        for (; link; link = link->next) {
            const struct entry *entry = container_of(link, struct entry, link);
            uint32_t len = (uint32_t)entry->key_len;
            if (is_expired(entry, now_ms))
                continue;
            bytes_append(out, &len, sizeof(len));
            bytes_append(out, entry->data, len);
        }
    }
    pthread_mutex_unlock(&store->lock);
}

void store_sweep(struct store *store, uint64_t now_ms)
{
    pthread_mutex_lock(&store->lock);
    sweep(store, now_ms, SWEEP_NOW_AND_THEN);
    pthread_mutex_unlock(&store->lock);
}
