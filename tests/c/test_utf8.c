/*
 * UTF-8: exhaustive for sequences of one to three bytes, at the boundaries of four, and across
 * every vector boundary.
 *
 * The oracle knows nothing of byte ranges: it encodes every scalar value and marks the encodings
 * and their proper prefixes. A byte string may go on exactly when it is such a prefix.
 */
#include "flin_utf8.h"

#include "flin_test.h"

/* What may be said of a byte string of length n, one bit per string of up to three bytes. */
static uint8_t *is_prefix_3;   /* 2^24 bits: a proper prefix of a four-byte encoding */
static uint8_t *is_complete_3; /* 2^24 bits: a whole three-byte encoding */
static uint8_t is_prefix_2[65536];
static uint8_t is_complete_2[65536];
static uint8_t is_prefix_1[256];

static uint8_t *bits_new(void) {
    uint8_t *bits = calloc(1u << 21, 1);
    if (!bits) abort();
    return bits;
}

static void bits_set(uint8_t *bits, uint32_t index) {
    bits[index >> 3] = (uint8_t)(bits[index >> 3] | 1u << (index & 7u));
}

static bool bits_get(const uint8_t *bits, uint32_t index) {
    return ((unsigned)bits[index >> 3] >> (index & 7u) & 1u) != 0;
}

static size_t encode(uint32_t value, uint8_t out[4]) {
    if (value < 0x80) {
        out[0] = (uint8_t)value;
        return 1;
    }
    size_t size = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, value >>= 6) out[i] = (uint8_t)(0x80u | (value & 0x3Fu));
    out[0] = (uint8_t)(0xF00u >> size | value);
    return size;
}

static void oracle_build(void) {
    is_prefix_3 = bits_new();
    is_complete_3 = bits_new();
    for (uint32_t value = 0x80; value <= 0x10FFFF; value++) {
        if (value >= 0xD800 && value <= 0xDFFF) continue;
        uint8_t bytes[4] = {0};
        size_t size = encode(value, bytes);
        uint32_t two = (uint32_t)bytes[0] << 8 | bytes[1];
        is_prefix_1[bytes[0]] = 1;
        if (size == 2) is_complete_2[two] = 1;
        if (size >= 3) is_prefix_2[two] = 1;
        if (size == 3) bits_set(is_complete_3, two << 8 | bytes[2]);
        if (size == 4) bits_set(is_prefix_3, two << 8 | bytes[2]);
    }
}

/* Length of the longest start of `data` that some valid text begins with. */
static size_t oracle_good(const uint8_t *data, size_t size, bool *complete) {
    size_t start = 0;
    *complete = true;
    for (size_t i = 0; i < size; i++) {
        size_t length = i - start + 1;
        uint32_t two = length >= 2 ? (uint32_t)data[start] << 8 | data[start + 1] : 0;
        uint32_t three = length >= 3 ? two << 8 | data[start + 2] : 0;
        bool done = false;
        bool open = false;
        if (length == 1) {
            done = data[i] < 0x80;
            open = is_prefix_1[data[i]];
        } else if (length == 2) {
            done = is_complete_2[two];
            open = is_prefix_2[two];
        } else if (length == 3) {
            done = bits_get(is_complete_3, three);
            open = bits_get(is_prefix_3, three);
        } else {
            done = (data[i] & 0xC0) == 0x80;
        }
        if (!done && !open) return i;
        if (done) start = i + 1;
    }
    *complete = start == size;
    return size;
}

/* Feed byte by byte: fails exactly at the first byte that cannot be valid any more. */
static void check_bytes(const uint8_t *data, size_t size) {
    bool complete;
    size_t good = oracle_good(data, size, &complete);
    flin_utf8_state state = FLIN_UTF8_START;
    for (size_t i = 0; i < size; i++) {
        bool fed = flin_utf8_feed(&state, data + i, 1);
        FLIN_CHECK_EQ(fed, i < good);
        if (!fed) return;
    }
    FLIN_CHECK_EQ(flin_utf8_is_complete(state), complete);
}

/* Feed in two pieces, cut at every place, and whole. */
static void check_cuts(const uint8_t *data, size_t size) {
    bool complete;
    size_t good = oracle_good(data, size, &complete);
    for (size_t cut = 0; cut <= size; cut++) {
        flin_utf8_state state = FLIN_UTF8_START;
        bool first = flin_utf8_feed(&state, data, cut);
        FLIN_CHECK_EQ(first, good >= cut);
        if (!first) continue;
        bool second = flin_utf8_feed(&state, data + cut, size - cut);
        FLIN_CHECK_EQ(second, good == size);
        if (second) FLIN_CHECK_EQ(flin_utf8_is_complete(state), complete);
    }
    FLIN_CHECK_EQ(flin_utf8_is_valid(data, size), good == size && complete);
}

static void every_sequence_of_one_to_three_bytes(void) {
    uint8_t *data = malloc(3);
    if (!data) abort();
    for (uint32_t value = 0; value < 1u << 24; value++) {
        data[0] = (uint8_t)(value >> 16);
        data[1] = (uint8_t)(value >> 8);
        data[2] = (uint8_t)value;
        check_bytes(data, 3);
        /* A first byte that is bad by itself makes every cut the same. */
        if (is_prefix_1[data[0]] || (value & 0xFFFF) == 0) check_cuts(data, 3);
    }
    free(data);
    for (uint32_t value = 0; value < 1u << 16; value++) {
        const uint8_t two[2] = {(uint8_t)(value >> 8), (uint8_t)value};
        check_cuts(two, 2);
        check_cuts(two, 1);
    }
}

/* Both sides of every range boundary of a byte. */
static const uint8_t EDGES[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
#define EDGE_COUNT (sizeof EDGES)

static void every_edge_of_four_bytes(void) {
    uint8_t data[4];
    for (size_t index = 0; index < EDGE_COUNT * EDGE_COUNT * EDGE_COUNT * EDGE_COUNT; index++) {
        size_t rest = index;
        for (size_t i = 0; i < 4; i++, rest /= EDGE_COUNT) data[i] = EDGES[rest % EDGE_COUNT];
        check_bytes(data, 4);
        check_cuts(data, 4);
    }
}

static void every_scalar_value_is_valid_and_no_surrogate(void) {
    for (uint32_t value = 0; value <= 0x110000; value++) {
        uint8_t bytes[4];
        size_t size = encode(value, bytes);
        bool is_scalar = value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
        FLIN_CHECK_EQ(flin_utf8_is_valid(bytes, size), is_scalar);
    }
}

#define FILL_COUNT 5u

/* Fill with whole code points of `kind` bytes, then ASCII. Kind 5 is ASCII behind one code point
 * of two bytes: vector code starts its long runs there and meets ASCII inside them. */
static void fill(uint8_t *data, size_t size, size_t kind) {
    static const uint32_t VALUES[FILL_COUNT + 1] = {0, 'a', 0xE9, 0x20AC, 0x1F600, 'b'};
    uint8_t unit[4];
    size_t length = encode(VALUES[kind], unit);
    memset(data, 'z', size);
    for (size_t i = 0; i + length <= size; i += length) memcpy(data + i, unit, length);
    if (kind == FILL_COUNT) encode(0xE9, data);
}

/* `data` as one piece, in exact-size memory, against the oracle. */
static void check_whole(const uint8_t *data, size_t size) {
    bool complete;
    size_t good = oracle_good(data, size, &complete);
    uint8_t *copy = flin_test_copy(data, size);
    flin_utf8_state state = FLIN_UTF8_START;
    bool fed = flin_utf8_feed(&state, copy, size);
    FLIN_CHECK_EQ(fed, good == size);
    if (fed) FLIN_CHECK_EQ(flin_utf8_is_complete(state), complete);
    free(copy);
}

/* Every four-byte combination of these lands on the edges of the first two 64-byte chunks. */
static void edges_across_vector_boundaries(void) {
    static const uint8_t FEW[] = {'a', 0x80, 0x90, 0xBF, 0xC2, 0xE0, 0xED, 0xF0, 0xF4};
    static const size_t PLACES[] = {13, 14, 15, 16, 28,  29,  30,  31,  32, 60,
                                    61, 62, 63, 64, 124, 125, 126, 127, 128};
    enum { COUNT = sizeof FEW, SIZE = 200 };
    uint8_t data[SIZE];
    for (size_t kind = 1; kind <= FILL_COUNT; kind++) {
        for (size_t p = 0; p < sizeof PLACES / sizeof PLACES[0]; p++) {
            for (size_t index = 0; index < (size_t)COUNT * COUNT * COUNT * COUNT; index++) {
                size_t rest = index;
                fill(data, SIZE, kind);
                for (size_t i = 0; i < 4; i++, rest /= COUNT) {
                    data[PLACES[p] + i] = FEW[rest % COUNT];
                }
                check_whole(data, SIZE);
            }
        }
    }
}

static void every_size_and_start_of_filled_text(void) {
    uint8_t data[300];
    for (size_t kind = 1; kind <= FILL_COUNT; kind++) {
        fill(data, sizeof data, kind);
        for (size_t start = 0; start < 4; start++) {
            for (size_t size = 0; size + start <= sizeof data; size++) {
                check_whole(data + start, size);
            }
        }
    }
}

static void one_damaged_byte_anywhere_is_found(void) {
    static const uint8_t DAMAGE[] = {0x80, 0xBF, 0xC0, 0xC3, 0xE2, 0xF4, 0xF8, 0xFF, 'a'};
    uint8_t data[260];
    for (size_t kind = 1; kind <= FILL_COUNT; kind++) {
        for (size_t place = 0; place < sizeof data; place++) {
            for (size_t d = 0; d < sizeof DAMAGE; d++) {
                fill(data, sizeof data, kind);
                data[place] = DAMAGE[d];
                check_whole(data, sizeof data);
            }
        }
    }
}

static void random_text_in_random_pieces(void) {
    uint64_t seed = 8;
    for (int round = 0; round < 20000; round++) {
        uint8_t data[700];
        size_t size = 0;
        size_t limit = flin_test_random(&seed) % 690;
        while (size < limit) {
            uint64_t r = flin_test_random(&seed);
            uint32_t noise = (uint32_t)(r >> 8);
            uint32_t value = (r & 7u) == 0 ? noise % 0xD800 : 'a' + noise % 26;
            if ((r & 63u) == 1) value = 0x10000 + noise % 0x100000;
            size += encode(value, data + size);
        }
        if ((flin_test_random(&seed) & 1u) && size > 0) {
            data[flin_test_random(&seed) % size] = (uint8_t)flin_test_random(&seed);
        }
        check_whole(data, size);
        bool complete;
        size_t good = oracle_good(data, size, &complete);
        flin_utf8_state state = FLIN_UTF8_START;
        size_t offset = 0;
        bool fed = true;
        while (fed && offset < size) {
            size_t piece = flin_test_random(&seed) % 150;
            if (piece > size - offset) piece = size - offset;
            fed = flin_utf8_feed(&state, data + offset, piece);
            offset += piece;
            FLIN_CHECK_EQ(fed, good >= offset);
        }
        if (fed) FLIN_CHECK_EQ(flin_utf8_is_complete(state), complete);
    }
}

static void nothing_at_null_is_fine(void) {
    flin_utf8_state state = FLIN_UTF8_START;
    FLIN_CHECK(flin_utf8_feed(&state, NULL, 0));
    FLIN_CHECK(flin_utf8_is_complete(state));
    FLIN_CHECK(flin_utf8_is_valid(NULL, 0));
    const uint8_t half[2] = {0xE2, 0x82};
    FLIN_CHECK(flin_utf8_feed(&state, half, sizeof half));
    FLIN_CHECK(flin_utf8_feed(&state, NULL, 0));
    FLIN_CHECK(!flin_utf8_is_complete(state));
}

int main(void) {
    oracle_build();
    FLIN_RUN(nothing_at_null_is_fine);
    FLIN_RUN(every_sequence_of_one_to_three_bytes);
    FLIN_RUN(every_edge_of_four_bytes);
    FLIN_RUN(every_scalar_value_is_valid_and_no_surrogate);
    FLIN_RUN(edges_across_vector_boundaries);
    FLIN_RUN(every_size_and_start_of_filled_text);
    FLIN_RUN(one_damaged_byte_anywhere_is_found);
    FLIN_RUN(random_text_in_random_pieces);
    free(is_prefix_3);
    free(is_complete_3);
    return flin_test_end();
}
