/* The hub: all topics by name, the one counter of messages, and the sweep that removes what nobody
 * needs any more. */
#include "live/topic_state.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SWEEP_BUCKETS 8192 /* looked at by one hub_sweep ... */
#define SWEEP_HOLD 256     /* ... and while the lock is held once */

/* The coarse clock is right to a few milliseconds and takes 5 ns instead of 25. */
static uint64_t coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct hub *hub_new(void)
{
    struct hub *hub = mem_calloc(sizeof(*hub));
    hash_seed_init(&hub->seed);
    struct hash_seed epoch;
    hash_seed_init(&epoch);
    hub->epoch = epoch.a ? epoch.a : 1;
    hub->clock = coarse_ms;
    table_init(&hub->topics);
    pthread_mutex_init(&hub->names, NULL);
    pthread_mutex_init(&hub->publish, NULL);
    return hub;
}

void hub_free(struct hub *hub)
{
    for (size_t i = 0; i < hub->topics.used; i++) {
        struct table_link *link = hub->topics.buckets[i];
        while (link) {
            struct topic *topic = container_of(link, struct topic, link);
            link = link->next;
            assert(atomic_load(&topic->refs) == 0 && "a topic is held when its hub is freed");
            topic_free(topic);
        }
    }
    table_deinit(&hub->topics);
    pthread_mutex_destroy(&hub->names);
    pthread_mutex_destroy(&hub->publish);
    mem_free(hub);
}

uint64_t hub_epoch(const struct hub *hub)
{
    return hub->epoch;
}

uint64_t hub_head(const struct hub *hub)
{
    return atomic_load_explicit(&hub->head, memory_order_acquire);
}

void hub_set_clock(struct hub *hub, uint64_t (*now_ms)(void))
{
    hub->clock = now_ms;
}

/* ---- topics by name ---- */

static struct topic *find(struct hub *hub, uint64_t hash, const char *name, size_t len)
{
    for (struct table_link *link = table_chain(&hub->topics, hash); link; link = link->next) {
        struct topic *topic = container_of(link, struct topic, link);
        if (link->hash == hash && topic->name_len == len && memcmp(topic->name, name, len) == 0)
            return topic;
    }
    return NULL;
}

struct topic *topic_open(struct hub *hub, const char *name, size_t len,
                         const struct topic_options *options)
{
    uint64_t hash = hash_bytes(&hub->seed, name, len);
    pthread_mutex_lock(&hub->names);
    struct topic *topic = find(hub, hash, name, len);
    bool is_new = topic == NULL;
    if (is_new) {
        topic = topic_new(hub, name, len, hub->collected[hash % HUB_COLLECTED]);
        table_add(&hub->topics, &topic->link, hash);
    }
    topic_hold(topic);
    if (options)
        topic_set_options(topic, options, is_new);
    pthread_mutex_unlock(&hub->names);
    return topic;
}

/* ---- looking at all ---- */

static int by_name(const void *a, const void *b)
{
    const struct topic *one = *(struct topic *const *)a;
    const struct topic *other = *(struct topic *const *)b;
    size_t len = one->name_len < other->name_len ? one->name_len : other->name_len;
    int order = memcmp(one->name, other->name, len);
    return order ? order : (one->name_len > other->name_len) - (one->name_len < other->name_len);
}

/* Holds all topics; the caller frees the array. */
static struct topic **hold_all(struct hub *hub, size_t *count)
{
    pthread_mutex_lock(&hub->names);
    struct topic **all = mem_alloc(hub->topics.count * sizeof(struct topic *));
    *count = 0;
    for (size_t i = 0; i < hub->topics.used; i++)
        for (struct table_link *link = hub->topics.buckets[i]; link; link = link->next)
            all[(*count)++] = topic_hold(container_of(link, struct topic, link));
    pthread_mutex_unlock(&hub->names);
    return all;
}

void hub_each(struct hub *hub, void (*fn)(struct topic *topic, void *arg), void *arg)
{
    size_t count;
    struct topic **all = hold_all(hub, &count);
    qsort(all, count, sizeof(struct topic *), by_name);
    for (size_t i = 0; i < count; i++) {
        fn(all[i], arg);
        topic_drop(all[i]);
    }
    mem_free(all);
}

/* ---- sweeping ---- */

static void collect(struct hub *hub, struct topic *topic)
{
    uint64_t *floor = &hub->collected[topic->link.hash % HUB_COLLECTED];
    if (topic->ring.floor > *floor)
        *floor = topic->ring.floor;
    table_remove(&hub->topics, &topic->link);
    topic_free(topic);
}

static void sweep_bucket(struct hub *hub, size_t bucket, uint64_t now_ms)
{
    struct table_link *link = hub->topics.buckets[bucket];
    while (link) {
        struct topic *topic = container_of(link, struct topic, link);
        link = link->next;
        topic_expire(topic, now_ms);
        if (topic_is_over(topic, now_ms))
            collect(hub, topic);
    }
}

/* Whoever wants a topic by name waits for one hold at most. */
void hub_sweep(struct hub *hub, uint64_t now_ms)
{
    size_t left = SWEEP_BUCKETS;
    while (left > 0) {
        pthread_mutex_lock(&hub->names);
        size_t used = hub->topics.used;
        left = left < used ? left : used;
        size_t hold = left < SWEEP_HOLD ? left : SWEEP_HOLD;
        for (size_t i = 0; i < hold; i++)
            sweep_bucket(hub, hub->sweep_place++ % used, now_ms);
        left -= hold;
        pthread_mutex_unlock(&hub->names);
    }
}
