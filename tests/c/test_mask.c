/* Masking: against a loop over bytes, on heap blocks that end where the payload ends. */
#include "flin_mask.h"

#include "flin_test.h"

typedef unsigned apply_function(uint8_t *data, size_t size, uint32_t key, unsigned phase);

#define ALIGNMENT 64u
#define GUARD 0xA5u

static uint32_t key_of(const uint8_t bytes[4]) {
    uint32_t key;
    memcpy(&key, bytes, sizeof key);
    return key;
}

static void mask_by_byte(uint8_t *data, size_t size, const uint8_t key[4], unsigned phase) {
    for (size_t i = 0; i < size; i++) data[i] ^= key[(phase + i) & 3u];
}

/* One call on a block of exactly alignment + size bytes. */
static void check_one(apply_function *apply, size_t size, unsigned phase, size_t alignment) {
    static const uint8_t key[4] = {0x37, 0xFA, 0x21, 0x3D};
    void *memory = NULL;
    size_t total = alignment + size;
    if (posix_memalign(&memory, ALIGNMENT, total > 0 ? total : 1) != 0) abort();
    uint8_t *block = memory;
    uint8_t *expected = malloc(size > 0 ? size : 1);
    if (!expected) abort();
    memset(block, GUARD, alignment);
    uint64_t seed = size * 257 + phase;
    for (size_t i = 0; i < size; i++) {
        block[alignment + i] = expected[i] = (uint8_t)flin_test_random(&seed);
    }
    mask_by_byte(expected, size, key, phase);
    FLIN_CHECK_EQ(apply(block + alignment, size, key_of(key), phase), (phase + size) & 3u);
    FLIN_CHECK(memcmp(block + alignment, expected, size) == 0);
    for (size_t i = 0; i < alignment; i++) FLIN_CHECK_EQ(block[i], GUARD);
    free(expected);
    free(block);
}

static void check_every_case(apply_function *apply) {
    for (size_t size = 0; size <= 130; size++) {
        for (unsigned phase = 0; phase < 4; phase++) {
            for (size_t alignment = 0; alignment < ALIGNMENT; alignment++) {
                check_one(apply, size, phase, alignment);
            }
        }
    }
    for (size_t size = 131; size <= 1100; size++) {
        check_one(apply, size, (unsigned)size & 3u, size * 7 % ALIGNMENT);
    }
    /* Around the size from which stores are aligned. */
    for (size_t size = 1020; size <= 1060; size++) {
        for (size_t alignment = 0; alignment < ALIGNMENT; alignment++) {
            check_one(apply, size, (unsigned)alignment & 3u, alignment);
        }
    }
    check_one(apply, 65536, 3, 1);
    check_one(apply, 1000003, 2, 61);
}

static void every_size_phase_and_alignment(void) { check_every_case(flin_mask_apply); }

static void every_size_phase_and_alignment_portable(void) {
    check_every_case(flin_mask_apply_portable);
}

static void masking_in_pieces_equals_masking_at_once(void) {
    static const uint8_t key[4] = {1, 2, 4, 0x80};
    uint8_t whole[200] = {0};
    uint8_t pieces[200] = {0};
    flin_mask_apply(whole, sizeof whole, key_of(key), 0);
    for (size_t cut = 0; cut <= sizeof pieces; cut++) {
        memset(pieces, 0, sizeof pieces);
        unsigned phase = flin_mask_apply(pieces, cut, key_of(key), 0);
        flin_mask_apply(pieces + cut, sizeof pieces - cut, key_of(key), phase);
        FLIN_CHECK(memcmp(whole, pieces, sizeof whole) == 0);
    }
}

static void masking_twice_gives_the_payload_back(void) {
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)i;
    flin_mask_apply(data, sizeof data, 0xDEADBEEFu, 1);
    FLIN_CHECK(data[0] != 0);
    flin_mask_apply(data, sizeof data, 0xDEADBEEFu, 1);
    for (size_t i = 0; i < sizeof data; i++) FLIN_CHECK_EQ(data[i], (uint8_t)i);
}

static void nothing_at_null_is_fine(void) {
    FLIN_CHECK_EQ(flin_mask_apply(NULL, 0, 1, 3), 3);
    FLIN_CHECK_EQ(flin_mask_apply_portable(NULL, 0, 1, 3), 3);
}

static void the_implementation_is_the_one_asked_for(void) {
    const char *name = flin_mask_implementation();
#if defined(FLIN_SIMD_NONE)
    FLIN_CHECK(strcmp(name, "portable") == 0);
#elif defined(__aarch64__)
    FLIN_CHECK(strcmp(name, "neon") == 0);
#elif defined(__x86_64__)
#ifndef FLIN_SIMD_AVX2
#define FLIN_SIMD_AVX2 1
#endif
    bool has_avx2 = FLIN_SIMD_AVX2 && __builtin_cpu_supports("avx2");
    FLIN_CHECK(strcmp(name, has_avx2 ? "avx2" : "sse2") == 0);
#endif
    printf("mask implementation: %s\n", name);
}

int main(void) {
    FLIN_RUN(every_size_phase_and_alignment);
    FLIN_RUN(every_size_phase_and_alignment_portable);
    FLIN_RUN(masking_in_pieces_equals_masking_at_once);
    FLIN_RUN(masking_twice_gives_the_payload_back);
    FLIN_RUN(nothing_at_null_is_fine);
    FLIN_RUN(the_implementation_is_the_one_asked_for);
    return flin_test_end();
}
