/*
 * A main() that calls a fuzz harness with a fixed number of inputs made from a corpus, without
 * coverage and so several times faster than libFuzzer: for figures that libFuzzer would need days
 * for, once it has found the corpus. `make -C csrc soak-frame SOAK_INPUTS=1000000000`.
 *
 *     soak_NAME COUNT SEED FILE...
 *
 * COUNT and SEED are decimal, up to 2**63 - 1; each FILE is an input, cut at SOAK_SIZE_MAX bytes.
 * The same arguments give the same inputs. Every tenth of the way is reported.
 */
#include <stdbool.h>

#include "flin_fuzz.h"

#define SOAK_SIZE_MAX 256u
#define SOAK_FILES_MAX 8192
#define SOAK_CHANGES_MAX 6u

typedef struct {
    uint8_t bytes[SOAK_SIZE_MAX];
    size_t size;
} soak_input;

static uint64_t soak_state;

/* splitmix64 (Steele, Lea, Flood 2014): any seed is good. */
static uint64_t soak_random(void) {
    uint64_t value = soak_state += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return value ^ value >> 31;
}

/* A number below `bound`, which is below 2**32. */
static size_t soak_below(size_t bound) {
    return bound == 0 ? 0 : (size_t)((soak_random() >> 32) * bound >> 32);
}

/* Bytes at which frames change their meaning: opcodes with and without FIN, RSV1, lengths around
 * 125, 126 and 127 with and without a mask, edges of UTF-8, close codes 1000 to 1015 and 4999. */
static const uint8_t SOAK_BYTES[] = {
    0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0A, 0x0B, 0x80, 0x81, 0x82, 0x83, 0x88, 0x89, 0x8A,
    0xC1, 0xC2, 0x41, 0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF, 0xBF, 0xC0, 0xDF, 0xE0, 0xED, 0xEF,
    0xF0, 0xF4, 0xF5, 0x9F, 0xA0, 0x8F, 0x90, 0xE8, 0xEC, 0xEE, 0xF7, 0x13, 0x87,
};

/* Move what follows `at` by `count` bytes up; what falls off the end is lost. */
static void soak_open(soak_input *input, size_t at, size_t count) {
    size_t room = SOAK_SIZE_MAX - at;
    if (count > room) count = room;
    size_t kept = input->size - at < room - count ? input->size - at : room - count;
    memmove(input->bytes + at + count, input->bytes + at, kept);
    input->size = at + count + kept;
}

static void soak_change(soak_input *input, const soak_input *other) {
    size_t at = soak_below(input->size + 1);
    size_t count = 1 + soak_below(8);
    bool inside = at < input->size;
    switch (soak_below(8)) {
    case 0:
        if (inside) input->bytes[at] ^= (uint8_t)(1u << soak_below(8));
        break;
    case 1:
        if (inside) input->bytes[at] = (uint8_t)soak_random();
        break;
    case 2:
    case 3:
        if (inside) input->bytes[at] = SOAK_BYTES[soak_below(sizeof SOAK_BYTES)];
        break;
    case 4: /* Insert. */
        if (at == SOAK_SIZE_MAX) break;
        soak_open(input, at, 1);
        input->bytes[at] = SOAK_BYTES[soak_below(sizeof SOAK_BYTES)];
        break;
    case 5: /* Erase. */
        if (count > input->size - at) count = input->size - at;
        memmove(input->bytes + at, input->bytes + at + count, input->size - at - count);
        input->size -= count;
        break;
    case 6: { /* Go on with the tail of another input. */
        size_t from = soak_below(other->size + 1);
        size_t size = other->size - from;
        if (size > SOAK_SIZE_MAX - at) size = SOAK_SIZE_MAX - at;
        memmove(input->bytes + at, other->bytes + from, size);
        input->size = at + size;
        break;
    }
    default: /* End here. */
        input->size = at;
    }
}

int main(int count, char **arguments) {
    static soak_input corpus[SOAK_FILES_MAX];
    FUZZ_CHECK(count >= 4 && count - 3 <= SOAK_FILES_MAX);
    unsigned long long inputs = strtoull(arguments[1], NULL, 10);
    soak_state = strtoull(arguments[2], NULL, 10);
    size_t files = (size_t)count - 3;
    for (size_t i = 0; i < files; i++) {
        FILE *file = fopen(arguments[i + 3], "rb");
        FUZZ_CHECK(file);
        corpus[i].size = fread(corpus[i].bytes, 1, SOAK_SIZE_MAX, file);
        FUZZ_CHECK(fclose(file) == 0);
    }
    unsigned long long step = inputs / 10 > 0 ? inputs / 10 : 1;
    for (unsigned long long done = 1; done <= inputs; done++) {
        soak_input input = corpus[soak_below(files)];
        const soak_input *other = &corpus[soak_below(files)];
        for (size_t changes = soak_below(SOAK_CHANGES_MAX + 1); changes > 0; changes--) {
            soak_change(&input, other);
        }
        (void)LLVMFuzzerTestOneInput(input.bytes, input.size);
        if (done % step == 0) {
            printf("%llu inputs, 0 findings\n", done);
            FUZZ_CHECK(fflush(stdout) == 0);
        }
    }
    return 0;
}
