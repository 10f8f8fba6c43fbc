/* Hashes of names that a client may choose: SipHash-1-3 with a random seed, so that nobody can
 * pick names that all fall into one bucket. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_seed {
    uint64_t a;
    uint64_t b;
};

void hash_seed_init(struct hash_seed *seed); /* random */
uint64_t hash_bytes(const struct hash_seed *seed, const void *data, size_t len);

#endif
