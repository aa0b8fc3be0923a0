/* Mapped blocks: reuse while there is traffic, return to the system when there is none. */
#define FLIN_BLOCK_IS_CHECKED 0
#include "../../csrc/flin_block.c"

#include "flin_test.h"

static bool is_filled(const uint8_t *block, size_t size, int value) {
    for (size_t i = 0; i < size; i++) {
        if (block[i] != value) return false;
    }
    return true;
}

static void return_everything(void) {
    flin_block_trim();
    flin_block_trim();
    FLIN_CHECK_EQ(flin_block_kept_bytes(), 0);
}

static void growing_keeps_the_bytes_at_every_size(void) {
    size_t size = 100;
    uint8_t *block = flin_block_grow(NULL, 0, 0, size);
    memset(block, 7, size);
    while (size < 20u << 20) {
        size_t wanted = size + size / 3 + 1;
        block = flin_block_grow(block, size, size, wanted);
        FLIN_CHECK(block != NULL);
        if (block == NULL) return;
        FLIN_CHECK(is_filled(block, size, 7));
        memset(block, 7, wanted);
        size = wanted;
    }
    flin_block_free(block, size);
    return_everything();
}

static void a_freed_block_serves_the_next(void) {
    uint8_t *first = flin_block_grow(NULL, 0, 0, 1000000);
    flin_block_free(first, 1000000);
    FLIN_CHECK(flin_block_kept_bytes() >= 1000000);
    uint8_t *second = flin_block_grow(NULL, 0, 0, FLIN_BLOCK_MAP_MIN);
    FLIN_CHECK(second == first);
    /* It is larger than it was asked to be, so growing moves nothing. */
    FLIN_CHECK(flin_block_grow(second, FLIN_BLOCK_MAP_MIN, 10, 1000000) == first);
    flin_block_free(second, 1000000);
    return_everything();
}

static void what_is_kept_is_limited(void) {
    enum { COUNT = 40 };
    uint8_t *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = flin_block_grow(NULL, 0, 0, 1 << 20);
        memset(blocks[i], (int)i, 1 << 20);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        FLIN_CHECK(is_filled(blocks[i], 1 << 20, (int)i));
        flin_block_free(blocks[i], 1 << 20);
        FLIN_CHECK(flin_block_kept_bytes() <= FLIN_BLOCK_KEEP_MAX);
    }
    uint8_t *huge = flin_block_grow(NULL, 0, 0, FLIN_BLOCK_KEEP_SIZE_MAX + 1);
    size_t kept = flin_block_kept_bytes();
    flin_block_free(huge, FLIN_BLOCK_KEEP_SIZE_MAX + 1);
    FLIN_CHECK_EQ(flin_block_kept_bytes(), kept);
    return_everything();
}

static void a_trim_spares_what_was_in_use(void) {
    uint8_t *a = flin_block_grow(NULL, 0, 0, 200000), *b = flin_block_grow(NULL, 0, 0, 200000);
    flin_block_free(a, 200000);
    flin_block_free(b, 200000);
    flin_block_trim(); /* both were in use since the last time */
    FLIN_CHECK(flin_block_kept_bytes() > 400000);
    a = flin_block_grow(NULL, 0, 0, 200000);
    flin_block_free(a, 200000);
    flin_block_trim(); /* one was never taken */
    FLIN_CHECK(flin_block_kept_bytes() > 200000);
    FLIN_CHECK(flin_block_kept_bytes() < 400000);
    return_everything();
}

static void without_memory_the_old_block_stays(void) {
    uint8_t *block = flin_block_grow(NULL, 0, 0, 1000);
    memset(block, 9, 1000);
    flin_memory_countdown = 0;
    FLIN_CHECK(flin_block_grow(block, 1000, 1000, 1 << 20) == NULL);
    flin_memory_countdown = 0;
    FLIN_CHECK(flin_block_grow(block, 1000, 1000, 2000) == NULL);
    FLIN_CHECK(is_filled(block, 1000, 9));
    FLIN_CHECK(flin_block_grow(block, 1000, 1000, SIZE_MAX) == NULL);
    flin_block_free(block, 1000);
    flin_block_free(NULL, 0);
}

int main(void) {
    FLIN_RUN(growing_keeps_the_bytes_at_every_size);
    FLIN_RUN(a_freed_block_serves_the_next);
    FLIN_RUN(what_is_kept_is_limited);
    FLIN_RUN(a_trim_spares_what_was_in_use);
    FLIN_RUN(without_memory_the_old_block_stays);
    return flin_test_end();
}
