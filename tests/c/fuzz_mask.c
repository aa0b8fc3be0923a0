/*
 * Fuzzes masking. Input: one byte of alignment, one of phase, two that say where to cut, four of
 * key, then the payload.
 */
#include "flin_fuzz.h"
#include "flin_mask.h"

enum { HEAD = 8, ALIGNMENT = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD) return 0;
    size_t alignment = data[0] % ALIGNMENT;
    unsigned phase = data[1] & 3u;
    const uint8_t *key_bytes = data + 4;
    uint32_t key;
    memcpy(&key, key_bytes, sizeof key);
    const uint8_t *payload = data + HEAD;
    size -= HEAD;
    size_t cut = (size_t)(data[2] | data[3] << 8) % (size + 1);

    void *memory = NULL;
    FUZZ_CHECK(posix_memalign(&memory, ALIGNMENT, alignment + size + (size == 0)) == 0);
    uint8_t *whole = (uint8_t *)memory + alignment;
    uint8_t *pieces = fuzz_copy(payload, size);
    if (size > 0) memcpy(whole, payload, size);

    unsigned after = flin_mask_apply(whole, size, key, phase);
    FUZZ_CHECK(after == ((phase + size) & 3u));
    for (size_t i = 0; i < size; i++) {
        FUZZ_CHECK(whole[i] == (payload[i] ^ key_bytes[(phase + i) & 3u]));
    }
    unsigned middle = flin_mask_apply(pieces, cut, key, phase);
    FUZZ_CHECK(flin_mask_apply(pieces + cut, size - cut, key, middle) == after);
    FUZZ_CHECK(memcmp(pieces, whole, size) == 0);
    FUZZ_CHECK(flin_mask_apply_portable(whole, size, key, phase) == after);
    FUZZ_CHECK(size == 0 || memcmp(whole, payload, size) == 0);
    free(pieces);
    free(memory);
    return 0;
}
