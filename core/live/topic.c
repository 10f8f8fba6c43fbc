/* Topics: publishing, options, counts. A topic belongs to its hub; channels and bindings hold
 * references, and hub_sweep removes it when there are none and its messages are gone. */
#include "live/topic_state.h"

#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define KEEP_MAX (1U << 30)
#define CLOSED_MS 60000 /* a closed topic without ttl is remembered so long */

/* ---- life ---- */

void topic_options_init(struct topic_options *options)
{
    *options =
        (struct topic_options){.keep = 64, .bytes = 256 * 1024, .ttl_ms = 60000, .slow = SLOW_GAP};
}

struct topic *topic_new(struct hub *hub, const char *name, size_t len, uint64_t lost)
{
    struct topic *topic = mem_calloc(sizeof(*topic) + len + 1);
    topic->hub = hub;
    memcpy(topic->name, name, len);
    topic->name_len = len;
    atomic_init(&topic->last, lost);
    topic_options_init(&topic->options);
    ring_init(&topic->ring, &hub->seed, lost);
    pthread_mutex_init(&topic->lock, NULL);
    return topic;
}

void topic_free(struct topic *topic)
{
    assert(topic->channel_count == 0);
    ring_deinit(&topic->ring);
    pthread_mutex_destroy(&topic->lock);
    mem_free(topic->channels);
    mem_free(topic);
}

struct topic *topic_hold(struct topic *topic)
{
    atomic_fetch_add_explicit(&topic->refs, 1, memory_order_relaxed);
    return topic;
}

void topic_drop(struct topic *topic)
{
    atomic_fetch_sub_explicit(&topic->refs, 1, memory_order_release);
}

const char *topic_name(const struct topic *topic, size_t *len)
{
    *len = topic->name_len;
    return topic->name;
}

struct hub *topic_hub(const struct topic *topic)
{
    return topic->hub;
}

/* ---- options ---- */

static bool is_same(const struct topic_options *a, const struct topic_options *b)
{
    return a->keep == b->keep && a->bytes == b->bytes && a->ttl_ms == b->ttl_ms &&
           a->slow == b->slow && a->is_binary == b->is_binary;
}

static void log_change(const struct topic *topic, const struct topic_options *before)
{
    static const char *const slow[] = {"gap", "latest", "close"};
    const struct topic_options *now = &topic->options;
    log_info("topic %s: options changed: keep %u to %u, bytes %llu to %llu, ttl %u ms to %u ms, "
             "slow %s to %s",
             topic->name, before->keep, now->keep, (unsigned long long)before->bytes,
             (unsigned long long)now->bytes, before->ttl_ms, now->ttl_ms, slow[before->slow],
             slow[now->slow]);
}

void topic_set_options(struct topic *topic, const struct topic_options *options, bool is_new)
{
    struct message *gone = NULL;
    struct topic_options wanted = *options;
    wanted.keep = wanted.keep == 0 ? 1 : wanted.keep > KEEP_MAX ? KEEP_MAX : wanted.keep;
    pthread_mutex_lock(&topic->lock);
    struct topic_options before = topic->options;
    topic->options = wanted;
    ring_trim(&topic->ring, wanted.keep, wanted.bytes, &gone);
    pthread_mutex_unlock(&topic->lock);
    message_drop_all(gone);
    if (!is_new && !is_same(&before, &wanted))
        log_change(topic, &before);
}

/* ---- publishing ---- */

/* All that publishers of different topics wait for each other for. */
static void stamp_and_push(struct topic *topic, struct message *message)
{
    struct hub *hub = topic->hub;
    pthread_mutex_lock(&hub->publish);
    uint64_t seq = atomic_load_explicit(&hub->head, memory_order_relaxed) + 1;
    message->seq = seq;
    ring_push(&topic->ring, message);
    atomic_store_explicit(&topic->last, seq, memory_order_release);
    atomic_store_explicit(&hub->head, seq, memory_order_release);
    pthread_mutex_unlock(&hub->publish);
}

static bool find_repeated(const struct topic *topic, const struct message *message,
                          struct published *result)
{
    if (message->dedupe_len == 0)
        return false;
    struct message *first = ring_repeated(&topic->ring, message->dedupe, message->dedupe_len);
    if (first == NULL)
        return false;
    *result = (struct published){
        .seq = first->seq, .subscribers = topic->subscribers, .is_repeated = true};
    return true;
}

/* Under the lock. Takes over the message's reference when it is appended. */
static int append(struct topic *topic, struct message *message, struct published *result,
                  struct message **gone)
{
    struct ring *ring = &topic->ring;
    const struct topic_options *options = &topic->options;
    uint64_t size = message_size(message);
    if (atomic_load_explicit(&topic->is_closed, memory_order_relaxed))
        return -EPIPE;
    if (size > options->bytes)
        return -EMSGSIZE;
    message->born_ms = topic->hub->clock();
    ring_expire(ring, message->born_ms, options->ttl_ms, gone);
    if (find_repeated(topic, message, result))
        return 0;
    if (hub_is_full(topic->hub, ring_excess(ring, options->keep - 1, options->bytes - size)))
        return -ENOSPC;
    if (ring_reserve(ring, message, options->keep))
        return -ENOMEM;
    ring_trim(ring, options->keep - 1, options->bytes - size, gone);
    stamp_and_push(topic, message);
    ring_index(ring, message);
    topic->published++;
    *result = (struct published){.seq = message->seq, .subscribers = topic->subscribers};
    return 0;
}

static void mark_channels(struct topic *topic)
{
    void (*mark)(struct channel *) = atomic_load_explicit(&topic->hub->mark, memory_order_relaxed);
    for (uint32_t i = 0; i < topic->channel_count; i++)
        mark(topic->channels[i]);
}

int topic_publish(struct topic *topic, const struct publication *publication,
                  struct published *result)
{
    struct message *gone = NULL;
    if (message_is_too_long(publication))
        return -EMSGSIZE;
    struct message *message = message_new(topic->hub, topic->name, topic->name_len, publication);
    if (message == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&topic->lock);
    int err = append(topic, message, result, &gone);
    bool is_appended = err == 0 && !result->is_repeated;
    if (is_appended)
        mark_channels(topic);
    pthread_mutex_unlock(&topic->lock);
    message_drop_all(gone);
    if (!is_appended)
        message_drop(message);
    return err;
}

void topic_close(struct topic *topic)
{
    pthread_mutex_lock(&topic->lock);
    if (!atomic_exchange(&topic->is_closed, true)) {
        topic->closed_ms = topic->hub->clock();
        mark_channels(topic);
    }
    pthread_mutex_unlock(&topic->lock);
}

bool topic_is_closed(const struct topic *topic)
{
    return atomic_load_explicit(&topic->is_closed, memory_order_acquire);
}

/* ---- reading ---- */

void topic_pick(struct topic *topic, struct reading *reading)
{
    struct message *gone = NULL;
    pthread_mutex_lock(&topic->lock);
    ring_expire(&topic->ring, topic->hub->clock(), topic->options.ttl_ms, &gone);
    ring_read(&topic->ring, reading);
    pthread_mutex_unlock(&topic->lock);
    message_drop_all(gone);
}

int topic_read(struct topic *topic, uint64_t from, uint64_t to, struct message **messages, int max,
               uint64_t *lost)
{
    struct message *gone = NULL;
    int count = 0;
    pthread_mutex_lock(&topic->lock);
    struct ring *ring = &topic->ring;
    ring_expire(ring, topic->hub->clock(), topic->options.ttl_ms, &gone);
    *lost = ring->lost;
    for (uint32_t i = ring_find(ring, from); i < ring->count && count < max; i++) {
        struct message *message = ring_at(ring, i);
        if (message->seq > to)
            break;
        messages[count++] = message_hold(message);
    }
    pthread_mutex_unlock(&topic->lock);
    message_drop_all(gone);
    return count;
}

void topic_stats(struct topic *topic, struct topic_stats *stats)
{
    struct message *gone = NULL;
    pthread_mutex_lock(&topic->lock);
    struct ring *ring = &topic->ring;
    ring_expire(ring, topic->hub->clock(), topic->options.ttl_ms, &gone);
    *stats = (struct topic_stats){
        .head = topic_last(topic),
        .lost = ring->lost,
        .published = topic->published,
        .dropped = ring->dropped,
        .gaps = atomic_load_explicit(&topic->gaps, memory_order_relaxed),
        .conflated = atomic_load_explicit(&topic->conflated, memory_order_relaxed),
        .ended = atomic_load_explicit(&topic->ended, memory_order_relaxed),
        .count = ring->count,
        .bytes = ring->bytes,
        .subscribers = topic->subscribers,
        .options = topic->options,
    };
    memcpy(stats->readers, topic->readers, sizeof(stats->readers));
    pthread_mutex_unlock(&topic->lock);
    message_drop_all(gone);
}

/* ---- for the sweep ---- */

void topic_expire(struct topic *topic, uint64_t now_ms)
{
    struct message *gone = NULL;
    pthread_mutex_lock(&topic->lock);
    ring_expire(&topic->ring, now_ms, topic->options.ttl_ms, &gone);
    ring_shrink(&topic->ring);
    pthread_mutex_unlock(&topic->lock);
    message_drop_all(gone);
}

bool topic_is_over(struct topic *topic, uint64_t now_ms)
{
    if (atomic_load_explicit(&topic->refs, memory_order_acquire) > 0 || topic->ring.count > 0)
        return false; /* without holders nobody else looks at the ring */
    uint64_t remember_ms = topic->options.ttl_ms ? topic->options.ttl_ms : CLOSED_MS;
    return !topic_is_closed(topic) || topic->closed_ms + remember_ms <= now_ms;
}
