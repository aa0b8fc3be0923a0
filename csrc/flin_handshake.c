#include "flin_handshake.h"

#include <string.h>

#define BLOCK_SIZE 64u
#define DIGEST_SIZE 20u

static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char FIELD[] = "\r\nSec-WebSocket-Key: ";

static uint32_t rotate(uint32_t value, unsigned bits) {
    return value << bits | value >> (32 - bits);
}

/* The schedule of the last block of every message here: padding, and the length of 480 bits. */
static const uint32_t PADDING_WORDS[80] = {
    0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u,
    0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u,
    0x00000000u, 0x000001e0u, 0x00000000u, 0x00000000u, 0x000003c0u, 0x00000000u, 0x00000000u,
    0x00000780u, 0x00000000u, 0x000003c0u, 0x00000f00u, 0x00000000u, 0x00000000u, 0x00001e00u,
    0x00000000u, 0x00000cc0u, 0x00003c00u, 0x00000440u, 0x00000000u, 0x00007800u, 0x00000f00u,
    0x00003300u, 0x0000f000u, 0x00000f00u, 0x00000000u, 0x0001ef00u, 0x00000000u, 0x0000cc00u,
    0x0003c000u, 0x00004380u, 0x00000000u, 0x00078f00u, 0x0000ff00u, 0x00032680u, 0x000f0000u,
    0x0000f000u, 0x00003300u, 0x001eff00u, 0x00000000u, 0x000cb800u, 0x003c0000u, 0x00040b00u,
    0x0000f000u, 0x0078ff00u, 0x000ff000u, 0x00338700u, 0x00f00000u, 0x000fc300u, 0x0000f000u,
    0x01efbb00u, 0x00000000u, 0x00cc0000u, 0x03c0f000u, 0x00438000u, 0x00000000u, 0x078f0000u,
    0x00ff0000u, 0x03269e00u, 0x0f000000u, 0x00f0f000u, 0x00333c00u, 0x1eff8800u, 0x00000000u,
    0x0cb88800u, 0x3c00f000u, 0x040a4a00u};

/* Five rounds at a time, since then the state need not move along: the names do. */
#define ROUND(a, b, c, d, e, mix, constant, i)                                                     \
    do {                                                                                           \
        (e) += rotate(a, 5) + (mix) + words[i] + (constant);                                       \
        (b) = rotate(b, 30);                                                                       \
    } while (0)
#define FIVE_ROUNDS(MIX, constant, i)                                                              \
    do {                                                                                           \
        ROUND(a, b, c, d, e, MIX(b, c, d), constant, i);                                           \
        ROUND(e, a, b, c, d, MIX(a, b, c), constant, (i) + 1);                                     \
        ROUND(d, e, a, b, c, MIX(e, a, b), constant, (i) + 2);                                     \
        ROUND(c, d, e, a, b, MIX(d, e, a), constant, (i) + 3);                                     \
        ROUND(b, c, d, e, a, MIX(c, d, e), constant, (i) + 4);                                     \
    } while (0)
#define CHOOSE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define PARITY(x, y, z) ((x) ^ (y) ^ (z))
#define MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

/** The rounds of one block of SHA-1 (RFC 3174 section 6.1, steps c to e). */
static void digest_words(uint32_t state[5], const uint32_t words[80]) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    unsigned i = 0;
    for (; i < 20; i += 5) FIVE_ROUNDS(CHOOSE, 0x5a827999u, i);
    for (; i < 40; i += 5) FIVE_ROUNDS(PARITY, 0x6ed9eba1u, i);
    for (; i < 60; i += 5) FIVE_ROUNDS(MAJORITY, 0x8f1bbcdcu, i);
    for (; i < 80; i += 5) FIVE_ROUNDS(PARITY, 0xca62c1d6u, i);
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

/** One block of SHA-1 (RFC 3174 section 6.1). */
static void digest_block(uint32_t state[5], const uint8_t *block) {
    uint32_t words[80];
    for (size_t i = 0; i < 16; i++) {
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (unsigned i = 16; i < 80; i++) {
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    digest_words(state, words);
}

/** 1 for a character of the alphabet, else 0; without a branch, so that many are judged at once. */
static uint8_t is_base64(uint8_t byte) {
    uint8_t letter = (uint8_t)((byte | 0x20) - 'a'), digit = (uint8_t)(byte - '/');
    return (uint8_t)((letter < 26) | (digit < 11) | (byte == '+'));
}

bool flin_handshake_key_is_valid(const uint8_t *key) {
    uint8_t is_valid = (key[22] == '=') & (key[23] == '=');
    for (unsigned i = 0; i < FLIN_HANDSHAKE_KEY_SIZE - 2; i++) is_valid &= is_base64(key[i]);
    return is_valid != 0;
}

void flin_handshake_accept(const uint8_t *key, uint8_t *accept) {
    uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    uint8_t block[BLOCK_SIZE] = {0};
    uint8_t digest[DIGEST_SIZE + 1] = {0}; /* one byte more: base64 takes three at a time */
    memcpy(block, key, FLIN_HANDSHAKE_KEY_SIZE);
    memcpy(block + FLIN_HANDSHAKE_KEY_SIZE, GUID, sizeof GUID - 1);
    block[FLIN_HANDSHAKE_KEY_SIZE + sizeof GUID - 1] = 0x80;
    digest_block(state, block);
    digest_words(state, PADDING_WORDS);
    for (unsigned i = 0; i < DIGEST_SIZE; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
    for (unsigned i = 0; i < DIGEST_SIZE; i += 3) {
        uint32_t three = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | digest[i + 2];
        for (unsigned j = 0; j < 4; j++) *accept++ = (uint8_t)ALPHABET[three >> (18 - 6 * j) & 63];
    }
    accept[-1] = '=';
}

size_t flin_handshake_find_key(const uint8_t *data, size_t size, size_t *end) {
    const uint8_t *stop = memmem(data, size, "\r\n\r\n", 4);
    const uint8_t *field;
    size_t at;
    if (stop == NULL) return 0;
    *end = (size_t)(stop - data) + 4;
    field = memmem(data, *end, FIELD, sizeof FIELD - 1);
    if (field == NULL) return 0;
    at = (size_t)(field - data) + sizeof FIELD - 1;
    if (at + FLIN_HANDSHAKE_KEY_SIZE + 2 > *end) return 0;
    return memcmp(data + at + FLIN_HANDSHAKE_KEY_SIZE, "\r\n", 2) == 0 ? at : 0;
}

bool flin_handshake_repeats(const uint8_t *data, size_t size, const uint8_t *rest, size_t rest_size,
                            size_t at) {
    size_t behind = at + FLIN_HANDSHAKE_KEY_SIZE;
    return size >= rest_size + FLIN_HANDSHAKE_KEY_SIZE && memcmp(data, rest, at) == 0 &&
           memcmp(data + behind, rest + at, rest_size - at) == 0 &&
           flin_handshake_key_is_valid(data + at);
}
