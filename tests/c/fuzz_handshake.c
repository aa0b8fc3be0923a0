/*
 * Fuzzes the opening handshake. Input: a head in which bytes below WORD_COUNT stand for the words
 * that matter and the others for themselves. What is found is compared with a search one byte at a
 * time, the answer with SHA-1 and base64 as their RFCs write them down.
 */
#include "flin_fuzz.h"
#include "flin_handshake.h"

static const char *const WORDS[] = {"\r\n",
                                    "\r\n\r\n",
                                    "\r\nSec-WebSocket-Key: ",
                                    "dGhlIHNhbXBsZSBub25jZQ==",
                                    "dGhlIHNhbXBsZSBub25jZ",
                                    "\r\nsec-websocket-key: ",
                                    "=="};

enum {
    WORD_COUNT = sizeof WORDS / sizeof WORDS[0],
    WORD_SIZE_MAX = 24,
    INPUT_MAX = 512,
    GUID_SIZE = 36,
    MESSAGE_SIZE = 128, /* a key, the GUID, and their padding */
    DIGEST_SIZE = 20
};

/** Write what the input stands for; its size. */
static size_t spell(const uint8_t *data, size_t size, uint8_t *out) {
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] < WORD_COUNT) {
            size_t word_size = strlen(WORDS[data[i]]);
            memcpy(out + at, WORDS[data[i]], word_size);
            at += word_size;
        } else {
            out[at++] = data[i];
        }
    }
    return at;
}

/** The offset of the first `text` that ends before `size`, or `size`. */
static size_t first(const uint8_t *data, size_t size, const char *text) {
    size_t length = strlen(text);
    for (size_t at = 0; at + length <= size; at++) {
        size_t same = 0;
        while (same < length && data[at + same] == (uint8_t)text[same]) same++;
        if (same == length) return at;
    }
    return size;
}

static size_t find_key(const uint8_t *data, size_t size, size_t *end) {
    size_t stop = first(data, size, "\r\n\r\n"), at;
    if (stop == size) return 0;
    *end = stop + 4;
    at = first(data, *end, WORDS[2]);
    if (at == *end) return 0;
    at += strlen(WORDS[2]);
    for (size_t i = 0; i < 2; i++) {
        size_t behind = at + FLIN_HANDSHAKE_KEY_SIZE + i;
        if (behind >= *end || data[behind] != (uint8_t) "\r\n"[i]) return 0;
    }
    return at;
}

static uint32_t rotate(uint32_t value, unsigned bits) {
    return (value << bits) | (value >> (32 - bits));
}

/** RFC 3174 section 6.2, which keeps a window of 16 words. */
static void digest_block(uint32_t h[5], const uint8_t *block) {
    uint32_t w[16], v[5];
    for (unsigned t = 0; t < 16; t++) {
        w[t] = 0;
        for (unsigned i = 0; i < 4; i++) w[t] = w[t] << 8 | block[4 * t + i];
    }
    memcpy(v, h, sizeof v);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t f, k, sum;
        if (t >= 16)
            w[t & 15] = rotate(w[(t + 13) & 15] ^ w[(t + 8) & 15] ^ w[(t + 2) & 15] ^ w[t & 15], 1);
        if (t < 20) {
            f = (v[1] & v[2]) | (~v[1] & v[3]), k = 0x5a827999u;
        } else if (t < 40) {
            f = v[1] ^ v[2] ^ v[3], k = 0x6ed9eba1u;
        } else if (t < 60) {
            f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]), k = 0x8f1bbcdcu;
        } else {
            f = v[1] ^ v[2] ^ v[3], k = 0xca62c1d6u;
        }
        sum = rotate(v[0], 5) + f + v[4] + w[t & 15] + k;
        v[4] = v[3], v[3] = v[2], v[2] = rotate(v[1], 30), v[1] = v[0], v[0] = sum;
    }
    for (unsigned i = 0; i < 5; i++) h[i] += v[i];
}

static uint8_t base64(const uint8_t *bytes, unsigned place) {
    static const char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned value = 0;
    for (unsigned bit = 6 * place; bit < 6 * place + 6; bit++) {
        unsigned byte = bit / 8 < DIGEST_SIZE ? bytes[bit / 8] : 0u;
        value = value << 1 | (byte >> (7 - bit % 8) & 1u);
    }
    return (uint8_t)ALPHABET[value];
}

static void check_accept(const uint8_t *key) {
    uint32_t h[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    uint8_t message[MESSAGE_SIZE] = {0}, digest[DIGEST_SIZE];
    uint8_t accept[FLIN_HANDSHAKE_ACCEPT_SIZE];
    unsigned bits = 8 * (FLIN_HANDSHAKE_KEY_SIZE + GUID_SIZE);
    memcpy(message, key, FLIN_HANDSHAKE_KEY_SIZE);
    memcpy(message + FLIN_HANDSHAKE_KEY_SIZE, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", GUID_SIZE);
    message[FLIN_HANDSHAKE_KEY_SIZE + GUID_SIZE] = 0x80;
    message[MESSAGE_SIZE - 2] = (uint8_t)(bits >> 8);
    message[MESSAGE_SIZE - 1] = (uint8_t)bits;
    digest_block(h, message);
    digest_block(h, message + 64);
    for (unsigned i = 0; i < DIGEST_SIZE; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
    flin_handshake_accept(key, accept);
    for (unsigned i = 0; i < FLIN_HANDSHAKE_ACCEPT_SIZE - 1; i++)
        FUZZ_CHECK(accept[i] == base64(digest, i));
    FUZZ_CHECK(accept[FLIN_HANDSHAKE_ACCEPT_SIZE - 1] == '=');
}

static bool is_valid(const uint8_t *key) {
    for (unsigned i = 0; i < FLIN_HANDSHAKE_KEY_SIZE - 2; i++) {
        uint8_t c = key[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '+' && c != '/')
            return false;
    }
    return key[22] == '=' && key[23] == '=';
}

/** What has a key repeats itself, with another key too, and nothing else does. */
static void check_repeats(uint8_t *head, size_t size, size_t at, size_t end) {
    size_t rest_size = end - FLIN_HANDSHAKE_KEY_SIZE, behind = at + FLIN_HANDSHAKE_KEY_SIZE;
    uint8_t *rest = fuzz_copy(head, end);
    bool key_is_valid = is_valid(head + at);
    memmove(rest + at, rest + behind, end - behind);
    rest = realloc(rest, rest_size); /* the sanitizer sees what is read behind it */
    FUZZ_CHECK(rest != NULL);
    FUZZ_CHECK(flin_handshake_repeats(head, size, rest, rest_size, at) == key_is_valid);
    FUZZ_CHECK(!flin_handshake_repeats(head, end - 1, rest, rest_size, at));
    for (size_t i = 0; i < end; i += 1 + i / 8) {
        uint8_t kept = head[i];
        head[i] = (uint8_t)(kept + 1 + i % 255);
        FUZZ_CHECK(flin_handshake_repeats(head, size, rest, rest_size, at) ==
                   (i >= at && i < behind && is_valid(head + at)));
        head[i] = kept;
    }
    free(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t spelt[INPUT_MAX * WORD_SIZE_MAX];
    size_t end = 0, wanted_end = 0, at;
    uint8_t *head;
    if (size > INPUT_MAX) size = INPUT_MAX;
    size = spell(data, size, spelt);
    head = fuzz_copy(spelt, size);
    at = flin_handshake_find_key(head, size, &end);
    FUZZ_CHECK(at == find_key(head, size, &wanted_end));
    FUZZ_CHECK(end == wanted_end);
    if (size >= FLIN_HANDSHAKE_KEY_SIZE) {
        FUZZ_CHECK(flin_handshake_key_is_valid(head + at) == is_valid(head + at));
        check_accept(head + at);
    }
    if (at > 0) check_repeats(head, size, at, end);
    free(head);
    return 0;
}
