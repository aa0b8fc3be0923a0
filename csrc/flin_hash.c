#include "flin_hash.h"

#include <string.h>

typedef struct {
    uint64_t v0, v1, v2, v3;
} sip_state;

static uint64_t rotate(uint64_t word, unsigned count) {
    return (word << count) | (word >> (64 - count));
}

static inline void sip_round(sip_state *s) {
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static uint64_t load_word(const uint8_t *data) {
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) word |= (uint64_t)data[i] << (8 * i);
    return word;
}

/** Absorb everything; what is left is the finalisation. */
static inline void sip_absorb(sip_state *s, const flin_hash_key *key, const uint8_t *data,
                              size_t size, unsigned rounds) {
    uint64_t last = (uint64_t)size << 56;
    size_t whole = size & ~(size_t)7;
    s->v0 = 0x736f6d6570736575u ^ key->k0;
    s->v1 ^= 0x646f72616e646f6du ^ key->k1;
    s->v2 = 0x6c7967656e657261u ^ key->k0;
    s->v3 = 0x7465646279746573u ^ key->k1;
    for (size_t offset = 0; offset < whole; offset += 8) {
        uint64_t word = load_word(data + offset);
        s->v3 ^= word;
        for (unsigned i = 0; i < rounds; i++) sip_round(s);
        s->v0 ^= word;
    }
    for (size_t i = whole; i < size; i++) last |= (uint64_t)data[i] << (8 * (i & 7));
    s->v3 ^= last;
    for (unsigned i = 0; i < rounds; i++) sip_round(s);
    s->v0 ^= last;
}

uint64_t flin_hash_short(const flin_hash_key *key, const void *data, size_t size) {
    sip_state s = {0, 0, 0, 0};
    sip_absorb(&s, key, data, size, 1);
    s.v2 ^= 0xff;
    for (unsigned i = 0; i < 3; i++) sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void flin_hash_strong(const flin_hash_key *key, const void *data, size_t size, uint8_t out[16]) {
    sip_state s = {0, 0xee, 0, 0}; /* 0xee into v1 selects 128 bits of output */
    uint64_t words[2];
    sip_absorb(&s, key, data, size, 2);
    s.v2 ^= 0xee;
    for (unsigned i = 0; i < 4; i++) sip_round(&s);
    words[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    for (unsigned i = 0; i < 4; i++) sip_round(&s);
    words[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    for (unsigned i = 0; i < 16; i++) out[i] = (uint8_t)(words[i / 8] >> (8 * (i & 7)));
}
