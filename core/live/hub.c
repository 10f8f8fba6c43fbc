/* The hub: all topics by name, the one counter of messages, and the sweep that removes what nobody
 * needs any more. */
#include "live/topic_state.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SWEEP_BUCKETS 8192 /* looked at by one hub_sweep at least ... */
#define SWEEP_PART 2       /* ... or one of so many parts: all names come in so many sweeps */
#define SWEEP_HOLD 256     /* while the lock is held once */
#define TRIM_FROM ((size_t)16 * 1024 * 1024)

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
    quota_init(&hub->memory, "limits.topics", SIZE_MAX);
    atomic_init(&hub->most_topics, SIZE_MAX);
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

/* ---- limits ---- */

void hub_set_limits(struct hub *hub, uint64_t bytes, size_t topics)
{
    quota_set_most(&hub->memory, bytes);
    atomic_store_explicit(&hub->most_topics, topics, memory_order_relaxed);
}

void hub_take(struct hub *hub, uint64_t bytes)
{
    quota_take(&hub->memory, bytes);
}

void hub_give(struct hub *hub, uint64_t bytes)
{
    quota_give(&hub->memory, bytes);
}

bool hub_is_full(struct hub *hub, uint64_t spare)
{
    if (!quota_is_over(&hub->memory, spare))
        return false;
    quota_refuse(&hub->memory);
    return true;
}

bool hub_has_room(struct hub *hub)
{
    return !hub_is_full(hub, 0);
}

void hub_use(struct hub *hub, struct hub_use *use)
{
    pthread_mutex_lock(&hub->names);
    *use = (struct hub_use){
        .bytes = quota_used(&hub->memory),
        .bytes_most = quota_most(&hub->memory),
        .topics = hub->topics.count,
        .topics_most = atomic_load_explicit(&hub->most_topics, memory_order_relaxed),
    };
    pthread_mutex_unlock(&hub->names);
}

/* ---- topics by name ---- */

static struct topic *hub_find(struct hub *hub, uint64_t hash, const char *name, size_t len)
{
    for (struct table_link *link = table_chain(&hub->topics, hash); link; link = link->next) {
        struct topic *topic = container_of(link, struct topic, link);
        if (link->hash == hash && topic->name_len == len && memcmp(topic->name, name, len) == 0)
            return topic;
    }
    return NULL;
}

/* NULL: there are as many as there may be. */
static struct topic *hub_add(struct hub *hub, uint64_t hash, const char *name, size_t len)
{
    if (hub->topics.count >= atomic_load_explicit(&hub->most_topics, memory_order_relaxed))
        return NULL;
    struct topic *topic = topic_new(hub, name, len, hub->collected[hash % HUB_COLLECTED]);
    table_add(&hub->topics, &topic->link, hash);
    return topic;
}

static void log_crowd(struct hub *hub)
{
    log_warn("a topic was refused: there are %zu, as many as limits.topic_count allows. One that "
             "nobody holds goes when its messages have outlived its ttl",
             atomic_load_explicit(&hub->most_topics, memory_order_relaxed));
}

struct topic *topic_open(struct hub *hub, const char *name, size_t len,
                         const struct topic_options *options)
{
    uint64_t hash = hash_bytes(&hub->seed, name, len);
    pthread_mutex_lock(&hub->names);
    struct topic *topic = hub_find(hub, hash, name, len);
    bool is_new = topic == NULL;
    if (is_new)
        topic = hub_add(hub, hash, name, len);
    if (topic)
        topic_hold(topic);
    if (topic && options)
        topic_set_options(topic, options, is_new);
    pthread_mutex_unlock(&hub->names);
    if (topic == NULL)
        log_crowd(hub);
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

static void hub_collect(struct hub *hub, struct topic *topic)
{
    uint64_t *lost = &hub->collected[topic->link.hash % HUB_COLLECTED];
    if (topic->ring.lost > *lost)
        *lost = topic->ring.lost;
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
            hub_collect(hub, topic);
    }
}

static size_t buckets_to_sweep(struct hub *hub)
{
    pthread_mutex_lock(&hub->names);
    size_t part = hub->topics.used / SWEEP_PART;
    pthread_mutex_unlock(&hub->names);
    return part > SWEEP_BUCKETS ? part : SWEEP_BUCKETS;
}

/* What a crowd of topics has left behind goes back to the system, once half of the most that there
 * was since the last time is free. */
static void trim(struct hub *hub)
{
    size_t used = quota_used(&hub->memory);
    if (used > hub->most_used)
        hub->most_used = used;
    if (hub->most_used < TRIM_FROM || used > hub->most_used / 2)
        return;
    hub->most_used = used;
    mem_trim();
}

/* Whoever wants a topic by name waits for one hold at most. */
void hub_sweep(struct hub *hub, uint64_t now_ms)
{
    size_t left = buckets_to_sweep(hub);
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
    trim(hub);
}
