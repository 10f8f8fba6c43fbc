/* SipHash-1-3: one round for each 8 bytes, three at the end. */
#include "base/hash.h"

#include "base/random.h"

#include <string.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

void hash_seed_init(struct hash_seed *seed)
{
    random_fill(seed, sizeof(*seed));
}

static inline uint64_t turn_left(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void sip_round(struct sip *sip)
{
    sip->v0 += sip->v1;
    sip->v1 = turn_left(sip->v1, 13) ^ sip->v0;
    sip->v0 = turn_left(sip->v0, 32);
    sip->v2 += sip->v3;
    sip->v3 = turn_left(sip->v3, 16) ^ sip->v2;
    sip->v0 += sip->v3;
    sip->v3 = turn_left(sip->v3, 21) ^ sip->v0;
    sip->v2 += sip->v1;
    sip->v1 = turn_left(sip->v1, 17) ^ sip->v2;
    sip->v2 = turn_left(sip->v2, 32);
}

static inline void sip_word(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_round(sip);
    sip->v0 ^= word;
}

uint64_t hash_bytes(const struct hash_seed *seed, const void *data, size_t len)
{
    struct sip sip = {.v0 = seed->a ^ 0x736f6d6570736575,
                      .v1 = seed->b ^ 0x646f72616e646f6d,
                      .v2 = seed->a ^ 0x6c7967656e657261,
                      .v3 = seed->b ^ 0x7465646279746573};
    const char *at = data;
    uint64_t last = (uint64_t)len << 56;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sip_word(&sip, word);
    }
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t)(unsigned char)at[i] << (8 * i);
    sip_word(&sip, last);
    sip.v2 ^= 0xff;
    sip_round(&sip);
    sip_round(&sip);
    sip_round(&sip);
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}
