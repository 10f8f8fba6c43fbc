/* The index: open addressing, neighbours moved back when one is taken out, so that there are no
 * graves. At most half full. */
#include "live/index.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define INDEX_FIRST 16

struct text {
    const char *data;
    size_t len;
};

void index_init(struct index *index, enum index_text by)
{
    *index = (struct index){.by = by};
}

void index_deinit(struct index *index)
{
    mem_free(index->slots);
    index_init(index, index->by);
}

static struct text text_of(const struct index *index, const struct message *message)
{
    if (index->by == INDEX_KEY)
        return (struct text){message->key, message->key_len};
    return (struct text){message->dedupe, message->dedupe_len};
}

static bool has_text(const struct index *index, const struct message *message, struct text text)
{
    struct text own = text_of(index, message);
    return own.len == text.len && memcmp(own.data, text.data, text.len) == 0;
}

static uint32_t hash_text(const struct hash_seed *seed, struct text text)
{
    return (uint32_t)hash_bytes(seed, text.data, text.len);
}

/* The slot with this text, or the empty one where it would be. */
static struct index_slot *index_find_slot(const struct index *index, uint32_t hash,
                                          struct text text)
{
    uint32_t mask = index->cap - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct index_slot *slot = &index->slots[i];
        if (slot->message == NULL || (slot->hash == hash && has_text(index, slot->message, text)))
            return slot;
    }
}

static void index_put_back(struct index *index, struct index_slot moved)
{
    uint32_t mask = index->cap - 1;
    uint32_t i = moved.hash & mask;
    while (index->slots[i].message)
        i = (i + 1) & mask;
    index->slots[i] = moved;
}

int index_reserve(struct index *index)
{
    if (index->count < index->cap / 2)
        return 0;
    struct index old = *index;
    uint32_t cap = old.cap ? old.cap * 2 : INDEX_FIRST;
    index->slots = mem_try_alloc(cap * sizeof(*index->slots));
    if (index->slots == NULL) {
        *index = old;
        return -ENOMEM;
    }
    memset(index->slots, 0, cap * sizeof(*index->slots));
    index->cap = cap;
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].message)
            index_put_back(index, old.slots[i]);
    mem_free(old.slots);
    return 0;
}

struct message *index_put(struct index *index, const struct hash_seed *seed,
                          struct message *message)
{
    struct text text = text_of(index, message);
    uint32_t hash = hash_text(seed, text);
    assert(index->count < index->cap && "index_reserve was not called");
    struct index_slot *slot = index_find_slot(index, hash, text);
    struct message *replaced = slot->message;
    *slot = (struct index_slot){.message = message, .hash = hash};
    index->count += replaced == NULL;
    return replaced;
}

struct message *index_find(const struct index *index, const struct hash_seed *seed,
                           const char *text, size_t len)
{
    if (index->count == 0)
        return NULL;
    struct text wanted = {text, len};
    return index_find_slot(index, hash_text(seed, wanted), wanted)->message;
}

/* Moves what follows back into the hole, as far as that keeps it findable. */
static void close_hole(struct index *index, uint32_t hole)
{
    uint32_t mask = index->cap - 1;
    for (uint32_t i = (hole + 1) & mask; index->slots[i].message; i = (i + 1) & mask) {
        uint32_t home = index->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home is behind the hole */
        index->slots[hole] = index->slots[i];
        hole = i;
    }
    index->slots[hole].message = NULL;
}

void index_remove(struct index *index, const struct hash_seed *seed, const struct message *message)
{
    if (index->count == 0)
        return;
    struct text text = text_of(index, message);
    struct index_slot *slot = index_find_slot(index, hash_text(seed, text), text);
    if (slot->message != message)
        return; /* a newer one took its place */
    close_hole(index, (uint32_t)(slot - index->slots));
    index->count--;
}
