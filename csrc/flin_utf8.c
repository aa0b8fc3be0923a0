/**
 * UTF-8 validation; see flin_utf8.h.
 *
 * Two engines meet at code point boundaries. A table automaton walks single bytes and may stop
 * anywhere: it carries the state between calls and finishes what the vectors leave over. Vector
 * code skips ASCII and, with AVX2 or NEON, checks long runs of anything else; it starts and hands
 * over only where a code point begins.
 */
#include "flin_utf8.h"

#include <string.h>

/* Tests of the slower paths hold the choice down: FLIN_SIMD_NONE, or FLIN_SIMD_AVX2 set to 0. */
#ifndef FLIN_SIMD_AVX2
#define FLIN_SIMD_AVX2 1
#endif
#if defined(FLIN_SIMD_NONE)
#elif defined(__x86_64__)
#define UTF8_X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define UTF8_NEON 1
#include <arm_neon.h>
#endif

/* --- automaton --------------------------------------------------------------------------------
 * A state is the bit position of its successor inside the row of the next byte, so that one step
 * is one load and one shift. The well-formed sequences are table 3-7 of the Unicode standard.
 */
enum {
    START = 0,
    ONE = 6,       /* one continuation byte, 80..BF, is missing */
    TWO = 12,      /* two are missing */
    THREE = 18,    /* three are missing */
    AFTER_E0 = 24, /* next A0..BF: anything lower is overlong */
    AFTER_ED = 30, /* next 80..9F: anything higher is a surrogate */
    AFTER_F0 = 36, /* next 90..BF: anything lower is overlong */
    AFTER_F4 = 42, /* next 80..8F: anything higher is beyond U+10FFFF */
    REJECT = 48
};
#define STATE_BITS 63u

#define ROW(start, one, two, three, e0, ed, f0, f4)                                                \
    ((uint64_t)(start) << START | (uint64_t)(one) << ONE | (uint64_t)(two) << TWO |                \
     (uint64_t)(three) << THREE | (uint64_t)(e0) << AFTER_E0 | (uint64_t)(ed) << AFTER_ED |        \
     (uint64_t)(f0) << AFTER_F0 | (uint64_t)(f4) << AFTER_F4 | (uint64_t)REJECT << REJECT)
#define LEAD(next) ROW(next, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT, REJECT)
#define TAIL(e0, ed, f0, f4) ROW(REJECT, START, ONE, TWO, e0, ed, f0, f4)

#define ASCII LEAD(START)
#define TAIL_8 TAIL(REJECT, ONE, REJECT, TWO)
#define TAIL_9 TAIL(REJECT, ONE, TWO, REJECT)
#define TAIL_AB TAIL(ONE, REJECT, TWO, REJECT)
#define LEAD_2 LEAD(ONE)
#define LEAD_3 LEAD(TWO)
#define LEAD_4 LEAD(THREE)
#define BAD LEAD(REJECT)

#define TIMES_4(row) row, row, row, row
#define TIMES_16(row) TIMES_4(row), TIMES_4(row), TIMES_4(row), TIMES_4(row)

static const uint64_t ROWS[256] = {
    TIMES_16(ASCII), TIMES_16(ASCII), TIMES_16(ASCII), TIMES_16(ASCII),       /* 00..3F */
    TIMES_16(ASCII), TIMES_16(ASCII), TIMES_16(ASCII), TIMES_16(ASCII),       /* 40..7F */
    TIMES_16(TAIL_8), TIMES_16(TAIL_9), TIMES_16(TAIL_AB), TIMES_16(TAIL_AB), /* 80..BF */
    /* C0..CF: C0 and C1 could only begin an overlong form */
    BAD, BAD, LEAD_2, LEAD_2, TIMES_4(LEAD_2), TIMES_4(LEAD_2), TIMES_4(LEAD_2),
    TIMES_16(LEAD_2), /* D0..DF */
    /* E0..EF */
    LEAD(AFTER_E0), LEAD_3, LEAD_3, LEAD_3, TIMES_4(LEAD_3), TIMES_4(LEAD_3), LEAD_3,
    LEAD(AFTER_ED), LEAD_3, LEAD_3,
    /* F0..FF */
    LEAD(AFTER_F0), LEAD_4, LEAD_4, LEAD_4, LEAD(AFTER_F4), BAD, BAD, BAD, TIMES_4(BAD),
    TIMES_4(BAD)};

static inline unsigned step(unsigned state, uint8_t byte) {
    return (unsigned)(ROWS[byte] >> (state & STATE_BITS));
}

#define HIGH_BITS UINT64_C(0x8080808080808080)

static inline uint64_t load_64(const uint8_t *data) {
    uint64_t value;
    memcpy(&value, data, sizeof value);
    return value;
}

/* Walk bytes with the automaton, eight ASCII bytes at a time where it can. */
static bool walk(flin_utf8_state *state, const uint8_t *data, size_t size) {
    unsigned current = *state;
    if (size >= 8) {
        const uint8_t *last = data + size - 8;
        for (; size >= 8; data += 8, size -= 8) {
            if ((current & STATE_BITS) == START && !(load_64(data) & HIGH_BITS)) continue;
            for (unsigned i = 0; i < 8; i++) current = step(current, data[i]);
        }
        /* The last word again, with what is left behind it. */
        if ((current & STATE_BITS) == START && !(load_64(last) & HIGH_BITS)) size = 0;
    }
    for (; size > 0; data++, size--) current = step(current, *data);
    current &= STATE_BITS;
    *state = (flin_utf8_state)current;
    return current != REJECT;
}

/* --- vectors ----------------------------------------------------------------------------------
 * A scan is given 32 bytes or more that start at a code point boundary; `*scanned` is how far it
 * came, again at a boundary, and what follows is for walk(). False: a fault was seen. ASCII at the
 * end is seen in a last vector that overlaps what was seen before.
 *
 * The classification of long runs is a lookup per nibble, the method published by J. Keiser and
 * D. Lemire ("Validating UTF-8 in less than one instruction per byte", 2021): every two-byte fault
 * gets a bit; three tables, indexed by the high and low nibble of a byte and the high nibble of
 * the byte after it, each say which faults their nibble allows; the AND of the three is the
 * fault. CONTINUED (two continuation bytes in a row) is a fault only where no lead byte two or
 * three bytes back asks for it.
 */
#define CHUNK 64u

#if defined(UTF8_X86) || defined(UTF8_NEON)

enum {
    SHORT = 0x01,      /* lead byte, then no continuation byte */
    STRAY = 0x02,      /* ASCII, then a continuation byte */
    OVERLONG_3 = 0x04, /* E0 80..9F */
    BEYOND = 0x08,     /* F4 90..BF, F5..FF 90..BF */
    SURROGATE = 0x10,  /* ED A0..BF */
    OVERLONG_2 = 0x20, /* C0..C1, then a continuation byte */
    OVERLONG_4 = 0x40, /* F0 80..8F */
    BEYOND_8 = 0x40,   /* F5..FF 80..8F; shares the bit, F0 and F5 never meet in the low nibble */
    CONTINUED = 0x80,  /* two continuation bytes */
    ANY_LOW = SHORT | STRAY | CONTINUED, /* faults that no low nibble excludes */
    TAIL_ALL = STRAY | OVERLONG_2 | CONTINUED
};

static const uint8_t FIRST_HIGH[16] = {STRAY,
                                       STRAY,
                                       STRAY,
                                       STRAY,
                                       STRAY,
                                       STRAY,
                                       STRAY,
                                       STRAY,
                                       CONTINUED,
                                       CONTINUED,
                                       CONTINUED,
                                       CONTINUED,
                                       SHORT | OVERLONG_2,
                                       SHORT,
                                       SHORT | OVERLONG_3 | SURROGATE,
                                       SHORT | BEYOND | BEYOND_8 | OVERLONG_4};

#define LOW_BEYOND (ANY_LOW | BEYOND | BEYOND_8)
static const uint8_t FIRST_LOW[16] = {ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
                                      ANY_LOW | OVERLONG_2,
                                      ANY_LOW,
                                      ANY_LOW,
                                      ANY_LOW | BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND,
                                      LOW_BEYOND | SURROGATE,
                                      LOW_BEYOND,
                                      LOW_BEYOND};

static const uint8_t SECOND_HIGH[16] = {SHORT,
                                        SHORT,
                                        SHORT,
                                        SHORT,
                                        SHORT,
                                        SHORT,
                                        SHORT,
                                        SHORT,
                                        TAIL_ALL | OVERLONG_3 | OVERLONG_4 | BEYOND_8,
                                        TAIL_ALL | OVERLONG_3 | BEYOND,
                                        TAIL_ALL | SURROGATE | BEYOND,
                                        TAIL_ALL | SURROGATE | BEYOND,
                                        SHORT,
                                        SHORT,
                                        SHORT,
                                        SHORT};

/* Where the code point that may be unfinished at data[size] begins, or `size`: from there on
 * walk() judges. `size` is 0 or at least 3. */
static size_t last_boundary(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    if (data[size - 1] >= 0xC0) return size - 1;
    if (data[size - 2] >= 0xE0) return size - 2;
    if (data[size - 3] >= 0xF0) return size - 3;
    return size;
}

/* Fewer bytes are walked faster than copied. */
#define REST_MIN 16u

/* What is left at data[offset], less than a chunk, up to a boundary; NUL pads it to a chunk, which
 * is as good as the end of a text. False when it is not worth it: `*end` is where walk() starts. */
static bool take_rest(uint8_t *rest, const uint8_t *data, size_t offset, size_t size, size_t *end) {
    *end = last_boundary(data, size);
    if (*end < offset + REST_MIN) {
        *end = last_boundary(data, offset);
        return false;
    }
    memset(rest, 0, CHUNK);
    memcpy(rest, data + offset, *end - offset);
    return true;
}

#endif

#if defined(UTF8_X86)

static inline __m128i load_128(const uint8_t *data) {
    return _mm_loadu_si128((const __m128i *)(const void *)data);
}

/* ASCII, 32 bytes at a time; never faults, stops at the first vector with a high bit. */
static bool scan_sse2(const uint8_t *data, size_t size, size_t *scanned) {
    size_t offset = 0;
    for (; size - offset >= 32; offset += 32) {
        __m128i both = _mm_or_si128(load_128(data + offset), load_128(data + offset + 16));
        if (_mm_movemask_epi8(both) != 0) {
            *scanned = offset;
            return true;
        }
    }
    __m128i last = _mm_or_si128(load_128(data + size - 32), load_128(data + size - 16));
    *scanned = _mm_movemask_epi8(last) == 0 ? size : offset;
    return true;
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i load_256(const uint8_t *data) {
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

/* The largest bytes that leave no code point open, by place in a vector. */
static const uint8_t OPEN_ENDS[32] = {
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xEF, 0xDF, 0xBF};

AVX2 static inline __m256i table_256(const uint8_t *table) {
    return _mm256_broadcastsi128_si256(load_128(table));
}

/* The vector of the bytes that stand `count` (1, 2 or 3) before those of `now`. */
#define BACK_256(now, before, count)                                                               \
    _mm256_alignr_epi8((now), _mm256_permute2x128_si256((before), (now), 0x21), 16 - (count))

/* Non-zero bytes where `now`, which follows `before`, shows a fault. */
AVX2 static inline __m256i faults_256(__m256i now, __m256i before) {
    const __m256i low = _mm256_set1_epi8(0x0F);
    __m256i first = BACK_256(now, before, 1);
    __m256i first_high = _mm256_and_si256(_mm256_srli_epi16(first, 4), low);
    __m256i second_high = _mm256_and_si256(_mm256_srli_epi16(now, 4), low);
    __m256i fault = _mm256_and_si256(
        _mm256_and_si256(_mm256_shuffle_epi8(table_256(FIRST_HIGH), first_high),
                         _mm256_shuffle_epi8(table_256(FIRST_LOW), _mm256_and_si256(first, low))),
        _mm256_shuffle_epi8(table_256(SECOND_HIGH), second_high));
    /* Bit 7 where the byte two back is E0 or more, or the byte three back is F0 or more. */
    __m256i third = _mm256_subs_epu8(BACK_256(now, before, 2), _mm256_set1_epi8(0xE0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(BACK_256(now, before, 3), _mm256_set1_epi8(0xF0 - 0x80));
    __m256i wanted = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(-0x80));
    return _mm256_xor_si256(fault, wanted);
}

/* Check a chunk that follows `before`, which becomes its second half. */
AVX2 static inline bool check_chunk(const uint8_t *chunk, __m256i *before) {
    __m256i low = load_256(chunk);
    __m256i high = load_256(chunk + 32);
    __m256i fault;
    if (_mm256_movemask_epi8(_mm256_or_si256(low, high)) == 0) {
        /* All ASCII: at fault only behind an unfinished code point. */
        fault = _mm256_subs_epu8(*before, load_256(OPEN_ENDS));
    } else {
        fault = _mm256_or_si256(faults_256(low, *before), faults_256(high, low));
    }
    *before = high;
    return _mm256_testz_si256(fault, fault) != 0;
}

AVX2 static bool scan_avx2(const uint8_t *data, size_t size, size_t *scanned) {
    size_t offset = 0;
    for (; size - offset >= 32; offset += 32) {
        if (_mm256_movemask_epi8(load_256(data + offset)) != 0) break;
    }
    if (size - offset < 32 && _mm256_movemask_epi8(load_256(data + size - 32)) == 0) {
        *scanned = size;
        return true;
    }
    __m256i before = _mm256_setzero_si256();
    for (; size - offset >= CHUNK; offset += CHUNK) {
        if (!check_chunk(data + offset, &before)) return false;
    }
    uint8_t rest[CHUNK];
    return !take_rest(rest, data, offset, size, scanned) || check_chunk(rest, &before);
}

typedef bool scan_function(const uint8_t *data, size_t size, size_t *scanned);

static scan_function *scan = scan_sse2;

/* Before main() or inside dlopen(), so no thread can see the choice change. */
__attribute__((constructor)) static void choose(void) {
    __builtin_cpu_init();
    if (FLIN_SIMD_AVX2 && __builtin_cpu_supports("avx2")) scan = scan_avx2;
}

#elif defined(UTF8_NEON)

/* As faults_256(), 16 bytes. */
static inline uint8x16_t faults_128(uint8x16_t now, uint8x16_t before) {
    uint8x16_t first = vextq_u8(before, now, 15);
    uint8x16_t fault =
        vandq_u8(vandq_u8(vqtbl1q_u8(vld1q_u8(FIRST_HIGH), vshrq_n_u8(first, 4)),
                          vqtbl1q_u8(vld1q_u8(FIRST_LOW), vandq_u8(first, vdupq_n_u8(0x0F)))),
                 vqtbl1q_u8(vld1q_u8(SECOND_HIGH), vshrq_n_u8(now, 4)));
    uint8x16_t third = vqsubq_u8(vextq_u8(before, now, 14), vdupq_n_u8(0xE0 - 0x80));
    uint8x16_t fourth = vqsubq_u8(vextq_u8(before, now, 13), vdupq_n_u8(0xF0 - 0x80));
    uint8x16_t wanted = vandq_u8(vorrq_u8(third, fourth), vdupq_n_u8(0x80));
    return veorq_u8(fault, wanted);
}

/* Check a chunk that follows `before`, which becomes its last vector. */
static inline bool check_chunk(const uint8_t *chunk, uint8x16_t *before) {
    uint8x16_t fault = vdupq_n_u8(0);
    for (size_t i = 0; i < CHUNK; i += 16) {
        uint8x16_t now = vld1q_u8(chunk + i);
        fault = vorrq_u8(fault, faults_128(now, *before));
        *before = now;
    }
    return vmaxvq_u8(fault) == 0;
}

static bool scan(const uint8_t *data, size_t size, size_t *scanned) {
    size_t offset = 0;
    for (; size - offset >= 32; offset += 32) {
        uint8x16_t both = vorrq_u8(vld1q_u8(data + offset), vld1q_u8(data + offset + 16));
        if (vmaxvq_u8(both) >= 0x80) break;
    }
    if (size - offset < 32) {
        uint8x16_t last = vorrq_u8(vld1q_u8(data + size - 32), vld1q_u8(data + size - 16));
        if (vmaxvq_u8(last) < 0x80) {
            *scanned = size;
            return true;
        }
    }
    uint8x16_t before = vdupq_n_u8(0);
    for (; size - offset >= CHUNK; offset += CHUNK) {
        if (!check_chunk(data + offset, &before)) return false;
    }
    uint8_t rest[CHUNK];
    return !take_rest(rest, data, offset, size, scanned) || check_chunk(rest, &before);
}

#else

/* walk() skips ASCII in 8-byte words; there is nothing better to do here. */
static bool scan(const uint8_t *data, size_t size, size_t *scanned) {
    (void)data;
    (void)size;
    *scanned = 0;
    return true;
}

#endif

bool flin_utf8_feed(flin_utf8_state *state, const uint8_t *data, size_t size) {
    if (size == 0) return true;
    /* Finish the code point that the last call left open: at most three bytes. */
    unsigned current = *state;
    for (; current != START && size > 0; data++, size--) {
        current = step(current, *data) & STATE_BITS;
        if (current == REJECT) return false;
    }
    *state = (flin_utf8_state)current;
    size_t scanned = 0;
    if (size >= 32 && !scan(data, size, &scanned)) return false;
    return walk(state, data + scanned, size - scanned);
}

bool flin_utf8_is_valid(const uint8_t *data, size_t size) {
    flin_utf8_state state = FLIN_UTF8_START;
    return flin_utf8_feed(&state, data, size) && flin_utf8_is_complete(state);
}
