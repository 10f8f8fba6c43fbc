/* An index of a topic's messages by one of their texts: by dedupe id, to find repetitions, or by
 * key, to find what a newer message replaces. Belongs to the topic's ring, which holds the messages
 * and takes them out before they go. */
#ifndef LIVE_INDEX_H
#define LIVE_INDEX_H

#include "base/hash.h"
#include "live/message.h"

enum index_text { INDEX_DEDUPE, INDEX_KEY };

struct index_slot {
    struct message *message; /* NULL: empty */
    uint32_t hash;
};

struct index {
    struct index_slot *slots; /* NULL until something is put in; then a power of two */
    uint32_t cap;
    uint32_t count;
    enum index_text by;
};

void index_init(struct index *index, enum index_text by);
void index_deinit(struct index *index);
int index_reserve(struct index *index); /* room for one more: 0 or -ENOMEM */
/* Puts a message in, in place of the one with the same text, which is returned (or NULL). There
 * must be room. */
struct message *index_put(struct index *index, const struct hash_seed *seed,
                          struct message *message);
struct message *index_find(const struct index *index, const struct hash_seed *seed,
                           const char *text, size_t len);
void index_remove(struct index *index, const struct hash_seed *seed,
                  const struct message *message); /* no effect when it is not in */

#endif
