/**
 * XOR masking; see flin_mask.h.
 *
 * Every size from one vector up is done with whole vectors and ordinary stores: the last vector
 * is loaded before anything is stored and overlaps the one before it, so there is neither a
 * byte-wise prologue nor a byte-wise tail. The bytes are read by the handler next, so they should
 * stay in the cache.
 */
#include "flin_mask.h"

#include <string.h>

/* Tests of the slower paths hold the choice down: FLIN_SIMD_NONE, or FLIN_SIMD_AVX2 set to 0. */
#ifndef FLIN_SIMD_AVX2
#define FLIN_SIMD_AVX2 1
#endif
#if defined(FLIN_SIMD_NONE)
#elif defined(__x86_64__)
#define MASK_X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define MASK_NEON 1
#include <arm_neon.h>
#endif

/* The key as it lies over data that starts `phase` bytes into it. */
static inline uint32_t key_at(uint32_t key, size_t phase) {
    uint64_t twice = (uint64_t)key << 32 | key;
    unsigned shift = 8 * (unsigned)(phase & 3u);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint32_t)(twice >> shift);
#else
    return (uint32_t)(twice >> (32 - shift));
#endif
}

static inline uint32_t load_32(const uint8_t *data) {
    uint32_t value;
    memcpy(&value, data, sizeof value);
    return value;
}

static inline uint64_t load_64(const uint8_t *data) {
    uint64_t value;
    memcpy(&value, data, sizeof value);
    return value;
}

static inline void store_32(uint8_t *data, uint32_t value) { memcpy(data, &value, sizeof value); }

static inline void store_64(uint8_t *data, uint64_t value) { memcpy(data, &value, sizeof value); }

static inline uint64_t twice_of(uint32_t key) { return (uint64_t)key << 32 | key; }

/* Sizes 0 to 15. */
static inline void mask_short(uint8_t *data, size_t size, uint32_t key) {
    uint32_t last_key = key_at(key, size);
    if (size >= 8) {
        uint64_t first = load_64(data) ^ twice_of(key);
        uint64_t last = load_64(data + size - 8) ^ twice_of(last_key);
        store_64(data, first);
        store_64(data + size - 8, last);
    } else if (size >= 4) {
        uint32_t first = load_32(data) ^ key;
        uint32_t last = load_32(data + size - 4) ^ last_key;
        store_32(data, first);
        store_32(data + size - 4, last);
    } else if (size > 0) {
        uint8_t bytes[4];
        memcpy(bytes, &key, sizeof bytes);
        data[0] ^= bytes[0];
        if (size > 1) data[1] ^= bytes[1];
        if (size > 2) data[2] ^= bytes[2];
    }
}

unsigned flin_mask_apply_portable(uint8_t *data, size_t size, uint32_t key, unsigned phase) {
    uint32_t shifted = key_at(key, phase);
    if (size < 16) {
        mask_short(data, size, shifted);
    } else {
        uint64_t word = twice_of(shifted);
        uint64_t last = load_64(data + size - 8) ^ twice_of(key_at(shifted, size));
        for (size_t i = 0; i < size - 8; i += 8) store_64(data + i, load_64(data + i) ^ word);
        store_64(data + size - 8, last);
    }
    return (unsigned)((phase + size) & 3u);
}

/* Sizes from 16 up; `key` is already shifted to the phase. */
typedef void mask_long(uint8_t *data, size_t size, uint32_t key);

#ifdef MASK_X86

static inline __m128i load_128(const uint8_t *data) {
    return _mm_loadu_si128((const __m128i *)(const void *)data);
}

static inline void store_128(uint8_t *data, __m128i value) {
    _mm_storeu_si128((__m128i *)(void *)data, value);
}

static void mask_sse2(uint8_t *data, size_t size, uint32_t key) {
    __m128i vector = _mm_set1_epi32((int)key);
    uint8_t *last_data = data + size - 16;
    __m128i last = _mm_xor_si128(load_128(last_data), _mm_set1_epi32((int)key_at(key, size)));
    for (; (size_t)(last_data - data) >= 64; data += 64) {
        store_128(data, _mm_xor_si128(load_128(data), vector));
        store_128(data + 16, _mm_xor_si128(load_128(data + 16), vector));
        store_128(data + 32, _mm_xor_si128(load_128(data + 32), vector));
        store_128(data + 48, _mm_xor_si128(load_128(data + 48), vector));
    }
    for (; data < last_data; data += 16) {
        store_128(data, _mm_xor_si128(load_128(data), vector));
    }
    store_128(last_data, last);
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load_256(const uint8_t *data) {
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

AVX2 static inline void store_256(uint8_t *data, __m256i value) {
    _mm256_storeu_si256((__m256i *)(void *)data, value);
}

AVX2 static inline void mask_256(uint8_t *data, size_t size, uint32_t key) {
    __m256i vector = _mm256_set1_epi32((int)key);
    uint8_t *last_data = data + size - 32;
    __m256i last = _mm256_xor_si256(load_256(last_data), _mm256_set1_epi32((int)key_at(key, size)));
    for (; (size_t)(last_data - data) >= 128; data += 128) {
        store_256(data, _mm256_xor_si256(load_256(data), vector));
        store_256(data + 32, _mm256_xor_si256(load_256(data + 32), vector));
        store_256(data + 64, _mm256_xor_si256(load_256(data + 64), vector));
        store_256(data + 96, _mm256_xor_si256(load_256(data + 96), vector));
    }
    for (; data < last_data; data += 32) {
        store_256(data, _mm256_xor_si256(load_256(data), vector));
    }
    store_256(last_data, last);
}

/* From this size on, stores that straddle cache lines cost more than one vector done twice. */
#define ALIGN_MIN 1024u

/* The first vector is computed first and stored last, over the part the aligned ones did too. */
AVX2 __attribute__((noinline)) static void mask_aligned(uint8_t *data, size_t size, uint32_t key) {
    size_t skew = (0 - (size_t)(uintptr_t)data) & 31u;
    __m256i first = _mm256_xor_si256(load_256(data), _mm256_set1_epi32((int)key));
    mask_256(data + skew, size - skew, key_at(key, skew));
    store_256(data, first);
}

AVX2 static void mask_avx2(uint8_t *data, size_t size, uint32_t key) {
    /* One comparison finds both ends of the range; below 32 the difference wraps around. */
    if (size - 32 < ALIGN_MIN - 32) {
        mask_256(data, size, key);
    } else if (size < 32) {
        mask_sse2(data, size, key);
    } else {
        mask_aligned(data, size, key);
    }
}

static mask_long *chosen = mask_sse2;
static const char *chosen_name = "sse2";

/* Before main() or inside dlopen(), so no thread can see the choice change. */
__attribute__((constructor)) static void choose(void) {
    __builtin_cpu_init();
    if (FLIN_SIMD_AVX2 && __builtin_cpu_supports("avx2")) {
        chosen = mask_avx2;
        chosen_name = "avx2";
    }
}

#elif defined(MASK_NEON)

static void mask_neon(uint8_t *data, size_t size, uint32_t key) {
    uint8x16_t vector = vreinterpretq_u8_u32(vdupq_n_u32(key));
    uint8_t *last_data = data + size - 16;
    uint8x16_t last =
        veorq_u8(vld1q_u8(last_data), vreinterpretq_u8_u32(vdupq_n_u32(key_at(key, size))));
    for (; (size_t)(last_data - data) >= 64; data += 64) {
        vst1q_u8(data, veorq_u8(vld1q_u8(data), vector));
        vst1q_u8(data + 16, veorq_u8(vld1q_u8(data + 16), vector));
        vst1q_u8(data + 32, veorq_u8(vld1q_u8(data + 32), vector));
        vst1q_u8(data + 48, veorq_u8(vld1q_u8(data + 48), vector));
    }
    for (; data < last_data; data += 16) {
        vst1q_u8(data, veorq_u8(vld1q_u8(data), vector));
    }
    vst1q_u8(last_data, last);
}

static mask_long *const chosen = mask_neon;
static const char *const chosen_name = "neon";

#else

static void mask_portable(uint8_t *data, size_t size, uint32_t key) {
    (void)flin_mask_apply_portable(data, size, key, 0);
}

static mask_long *const chosen = mask_portable;
static const char *const chosen_name = "portable";

#endif

unsigned flin_mask_apply(uint8_t *data, size_t size, uint32_t key, unsigned phase) {
    uint32_t shifted = key_at(key, phase);
    if (size < 16) {
        mask_short(data, size, shifted);
    } else {
        chosen(data, size, shifted);
    }
    return (unsigned)((phase + size) & 3u);
}

const char *flin_mask_implementation(void) { return chosen_name; }
