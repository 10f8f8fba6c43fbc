/* The ring. Seqs in it grow but have holes, as they are counted for all topics together: a place is
 * found by halving. */
#include "live/ring.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define RING_FIRST 8

void ring_init(struct ring *ring, const struct hash_seed *seed, uint64_t lost)
{
    *ring = (struct ring){.lost = lost, .seed = seed};
    index_init(&ring->repeats, INDEX_DEDUPE);
    index_init(&ring->keys, INDEX_KEY);
}

void ring_deinit(struct ring *ring)
{
    struct message *gone = NULL;
    ring_trim(ring, 0, 0, &gone);
    message_drop_all(gone);
    ring_shrink(ring);
}

struct message *ring_at(const struct ring *ring, uint32_t index)
{
    return ring->slots[(ring->first + index) & (ring->cap - 1)];
}

/* ---- what leaves ---- */

static void shift(struct ring *ring, struct message **gone)
{
    struct message *oldest = ring_at(ring, 0);
    if (oldest->dedupe_len)
        index_remove(&ring->repeats, ring->seed, oldest);
    if (ring->has_keys)
        index_remove(&ring->keys, ring->seed, oldest);
    ring->first = (ring->first + 1) & (ring->cap - 1);
    ring->count--;
    ring->bytes -= message_size(oldest);
    ring->lost = oldest->seq;
    ring->dropped++;
    oldest->next = *gone;
    *gone = oldest;
}

void ring_trim(struct ring *ring, uint32_t keep, uint64_t bytes, struct message **gone)
{
    while (ring->count > keep || ring->bytes > bytes || (keep == 0 && ring->count > 0))
        shift(ring, gone);
}

uint64_t ring_excess(const struct ring *ring, uint32_t keep, uint64_t bytes)
{
    uint64_t cost = 0;
    uint64_t left = ring->bytes;
    for (uint32_t i = 0; i < ring->count && (ring->count - i > keep || left > bytes); i++) {
        cost += message_cost(ring_at(ring, i));
        left -= message_size(ring_at(ring, i));
    }
    return cost;
}

void ring_expire(struct ring *ring, uint64_t now_ms, uint32_t ttl_ms, struct message **gone)
{
    if (ttl_ms == 0)
        return;
    while (ring->count > 0 && ring_at(ring, 0)->born_ms + ttl_ms <= now_ms)
        shift(ring, gone);
}

void ring_shrink(struct ring *ring)
{
    if (ring->count > 0)
        return;
    mem_free(ring->slots);
    ring->slots = NULL;
    ring->cap = ring->first = 0;
    ring->has_keys = false;
    index_deinit(&ring->repeats);
    index_deinit(&ring->keys);
}

/* ---- what comes in ---- */

static int ring_grow(struct ring *ring)
{
    uint32_t cap = ring->cap ? ring->cap * 2 : RING_FIRST;
    struct message **slots = mem_try_alloc(cap * sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < ring->count; i++)
        slots[i] = ring_at(ring, i);
    mem_free(ring->slots);
    ring->slots = slots;
    ring->cap = cap;
    ring->first = 0;
    return 0;
}

int ring_reserve(struct ring *ring, const struct message *message, uint32_t keep)
{
    int err = 0;
    if (ring->count == ring->cap && ring->count < keep)
        err = ring_grow(ring);
    if (!err && message->dedupe_len)
        err = index_reserve(&ring->repeats);
    if (!err && ring->has_keys)
        err = index_reserve(&ring->keys);
    return err;
}

static void put_key(struct ring *ring, struct message *message)
{
    struct message *older = index_put(&ring->keys, ring->seed, message);
    if (older)
        older->superseded = message->seq;
}

void ring_push(struct ring *ring, struct message *message)
{
    assert(ring->count < ring->cap);
    ring->slots[(ring->first + ring->count++) & (ring->cap - 1)] = message;
    ring->bytes += message_size(message);
}

void ring_index(struct ring *ring, struct message *message)
{
    if (message->dedupe_len)
        index_put(&ring->repeats, ring->seed, message);
    if (ring->has_keys)
        put_key(ring, message);
}

struct message *ring_repeated(const struct ring *ring, const char *dedupe, size_t len)
{
    return index_find(&ring->repeats, ring->seed, dedupe, len);
}

/* ---- reading ---- */

uint32_t ring_find(const struct ring *ring, uint64_t from)
{
    uint32_t low = 0;
    uint32_t high = ring->count;
    if (high > 0 && ring_at(ring, high - 1)->seq <= from)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ring_at(ring, middle)->seq <= from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* From the first reader of the newest on, each message says whether a newer one has its key. */
static void make_keys(struct ring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++) {
        if (index_reserve(&ring->keys)) {
            index_deinit(&ring->keys);
            return;
        }
        put_key(ring, ring_at(ring, i));
    }
    ring->has_keys = true;
}

static bool is_superseded(const struct reading *reading, const struct message *message)
{
    return reading->is_conflated && message->superseded != 0 &&
           message->superseded <= reading->head;
}

void ring_read(struct ring *ring, struct reading *reading)
{
    if (reading->is_conflated && !ring->has_keys)
        make_keys(ring);
    uint32_t i = ring_find(ring, reading->from);
    uint32_t skipped = 0;
    uint64_t bytes = 0;
    reading->count = 0;
    reading->is_cut = false;
    reading->lost = ring->lost;
    reading->lo = i > 0 ? ring_at(ring, i - 1)->seq : ring->lost;
    for (; i < ring->count && ring_at(ring, i)->seq <= reading->to; i++) {
        struct message *message = ring_at(ring, i);
        if (is_superseded(reading, message)) {
            skipped++;
            continue;
        }
        bytes += message->len;
        reading->is_cut =
            reading->count == reading->max || (reading->count > 0 && bytes > reading->max_bytes);
        if (reading->is_cut)
            return;
        reading->picks[reading->count++] =
            (struct pick){.message = message_hold(message), .skipped = skipped};
        skipped = 0;
    }
}
