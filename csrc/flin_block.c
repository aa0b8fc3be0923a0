#include "flin_block.h"

#include <stdbool.h>
#include <string.h>

#include "flin_memory.h"

/* A sanitizer sees malloc only; tests of the mapped blocks define FLIN_BLOCK_IS_CHECKED as 0. */
#ifndef FLIN_BLOCK_IS_CHECKED
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FLIN_BLOCK_IS_CHECKED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(_WIN32)
#define FLIN_BLOCK_IS_CHECKED 1
#endif
#endif

#if defined(FLIN_BLOCK_IS_CHECKED) && FLIN_BLOCK_IS_CHECKED

uint8_t *flin_block_grow(uint8_t *block, size_t size, size_t used, size_t wanted) {
    (void)size, (void)used;
    return flin_memory_resize(block, wanted);
}

void flin_block_free(uint8_t *block, size_t size) {
    (void)size;
    flin_memory_free(block);
}

void flin_block_trim(void) {}

size_t flin_block_kept_bytes(void) { return 0; }

#else

#include <sys/mman.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

/* In front of the bytes of a mapped block; a cache line, so that they stay aligned. */
typedef struct {
    size_t mapped_size; /* of the whole mapping */
    char padding[64 - sizeof(size_t)];
} block_header;

typedef struct {
    block_header *kept[FLIN_BLOCK_KEEP_COUNT]; /* the most recently freed last */
    unsigned count;
    unsigned idle_count; /* fewest that were kept at any time since the last trim */
    size_t bytes;
} block_cache;

static _Thread_local block_cache cache;

static block_header *header_of(uint8_t *block) {
    return (block_header *)(void *)(block - sizeof(block_header));
}

static uint8_t *bytes_of(block_header *header) { return (uint8_t *)(header + 1); }

static block_header *take_kept(unsigned index) {
    block_header *header = cache.kept[index];
    cache.count--;
    cache.bytes -= header->mapped_size;
    memmove(cache.kept + index, cache.kept + index + 1, (cache.count - index) * sizeof(void *));
    if (cache.count < cache.idle_count) cache.idle_count = cache.count;
    return header;
}

/** A mapped block for `wanted` bytes; a kept one may be larger, since its pages are there. */
static uint8_t *map_block(size_t wanted) {
    size_t mapped_size = FLIN_BLOCK_MAP_MIN;
    block_header *header;
    if (flin_memory_must_fail()) return NULL;
    for (unsigned i = cache.count; i-- > 0;) {
        if (cache.kept[i]->mapped_size - sizeof *header >= wanted) return bytes_of(take_kept(i));
    }
    while (mapped_size - sizeof *header < wanted) {
        if (mapped_size > SIZE_MAX / 2) return NULL;
        mapped_size *= 2;
    }
    header = mmap(NULL, mapped_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (header == MAP_FAILED) return NULL;
    header->mapped_size = mapped_size;
    return bytes_of(header);
}

static void unmap_block(uint8_t *block) {
    block_header *header = header_of(block);
    size_t size = header->mapped_size;
    if (size > FLIN_BLOCK_KEEP_SIZE_MAX || size > FLIN_BLOCK_KEEP_MAX - cache.bytes ||
        cache.count == FLIN_BLOCK_KEEP_COUNT) {
        (void)munmap(header, size);
        return;
    }
    cache.kept[cache.count++] = header;
    cache.bytes += size;
}

uint8_t *flin_block_grow(uint8_t *block, size_t size, size_t used, size_t wanted) {
    uint8_t *grown;
    bool is_mapped = size >= FLIN_BLOCK_MAP_MIN;
    if (wanted < FLIN_BLOCK_MAP_MIN) return flin_memory_resize(block, wanted);
    if (is_mapped && header_of(block)->mapped_size - sizeof(block_header) >= wanted) return block;
    grown = map_block(wanted);
    if (grown == NULL) return NULL;
    if (used > 0) memcpy(grown, block, used);
    flin_block_free(block, size);
    return grown;
}

void flin_block_free(uint8_t *block, size_t size) {
    if (block == NULL) return;
    if (size >= FLIN_BLOCK_MAP_MIN) {
        unmap_block(block);
    } else {
        flin_memory_free(block);
    }
}

void flin_block_trim(void) {
    /* The oldest are at the front; as many as were never taken have not been needed. */
    for (unsigned i = cache.idle_count; i > 0; i--) {
        block_header *header = take_kept(0);
        (void)munmap(header, header->mapped_size);
    }
    cache.idle_count = cache.count;
}

size_t flin_block_kept_bytes(void) { return cache.bytes; }

#endif
