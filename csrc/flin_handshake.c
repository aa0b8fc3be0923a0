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

/** One block of SHA-1 (RFC 3174 section 6.1). */
static void digest_block(uint32_t state[5], const uint8_t *block) {
    uint32_t words[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (unsigned i = 0; i < 16; i++) {
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (unsigned i = 16; i < 80; i++) {
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    for (unsigned i = 0; i < 80; i++) {
        uint32_t mix, constant, next;
        if (i < 20) {
            mix = (b & c) | (~b & d);
            constant = 0x5a827999u;
        } else if (i < 40) {
            mix = b ^ c ^ d;
            constant = 0x6ed9eba1u;
        } else if (i < 60) {
            mix = (b & c) | (b & d) | (c & d);
            constant = 0x8f1bbcdcu;
        } else {
            mix = b ^ c ^ d;
            constant = 0xca62c1d6u;
        }
        next = rotate(a, 5) + mix + e + words[i] + constant;
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

static bool is_base64(uint8_t byte) {
    uint8_t letter = byte | 0x20;
    return (letter >= 'a' && letter <= 'z') || (byte >= '/' && byte <= '9') || byte == '+';
}

bool flin_handshake_key_is_valid(const uint8_t *key) {
    for (unsigned i = 0; i < FLIN_HANDSHAKE_KEY_SIZE - 2; i++) {
        if (!is_base64(key[i])) return false;
    }
    return key[22] == '=' && key[23] == '=';
}

void flin_handshake_accept(const uint8_t *key, uint8_t *accept) {
    uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    uint8_t blocks[2 * BLOCK_SIZE] = {0};
    uint8_t digest[DIGEST_SIZE + 1] = {0}; /* one byte more: base64 takes three at a time */
    size_t size = FLIN_HANDSHAKE_KEY_SIZE + sizeof GUID - 1;
    memcpy(blocks, key, FLIN_HANDSHAKE_KEY_SIZE);
    memcpy(blocks + FLIN_HANDSHAKE_KEY_SIZE, GUID, sizeof GUID - 1);
    blocks[size] = 0x80;
    blocks[sizeof blocks - 2] = (uint8_t)(size * 8 >> 8);
    blocks[sizeof blocks - 1] = (uint8_t)(size * 8);
    digest_block(state, blocks);
    digest_block(state, blocks + BLOCK_SIZE);
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
