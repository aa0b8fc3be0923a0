#include "flin_buffer.h"

#include <assert.h>
#include <string.h>

#include "flin_block.h"
#include "flin_memory.h"

/* Unused bytes that make trimming worth a copy. */
#define FLIN_BUFFER_TRIM_MIN 512u

static uint8_t *inline_data(flin_buffer *buffer) { return (uint8_t *)(buffer + 1); }

void flin_buffer_pool_free(flin_buffer_pool *pool) {
    while (pool->free != NULL) {
        flin_buffer *buffer = pool->free;
        pool->free = buffer->link.next_free;
        flin_memory_free(buffer);
    }
    pool->free_count = 0;
}

flin_buffer *flin_buffer_new_empty(void) {
    flin_buffer *buffer = flin_memory_zalloc(sizeof *buffer);
    if (buffer == NULL) return NULL;
    buffer->data = inline_data(buffer);
    buffer->refs = 1;
    return buffer;
}

void flin_buffer_wrap(flin_buffer_pool *pool, flin_buffer *buffer, uint8_t *block, size_t size,
                      size_t capacity) {
    buffer->data = block;
    buffer->size = (uint32_t)size;
    buffer->capacity = (uint32_t)capacity;
    pool->retained_bytes += capacity;
}

/** A buffer too large to stand behind its struct. */
static flin_buffer *new_large(flin_buffer_pool *pool, size_t capacity) {
    flin_buffer *buffer = flin_buffer_new_empty();
    uint8_t *block;
    if (buffer == NULL) return NULL;
    block = flin_block_grow(NULL, 0, 0, capacity);
    if (block == NULL) {
        flin_memory_free(buffer);
        return NULL;
    }
    flin_buffer_wrap(pool, buffer, block, 0, capacity);
    return buffer;
}

flin_buffer *flin_buffer_new(flin_buffer_pool *pool, size_t capacity) {
    flin_buffer *buffer;
    bool is_small = capacity <= FLIN_BUFFER_SMALL_CAPACITY;
    if (capacity > FLIN_BUFFER_SIZE_MAX) return NULL;
    if (capacity >= FLIN_BLOCK_MAP_MIN) return new_large(pool, capacity);
    if (is_small) capacity = FLIN_BUFFER_SMALL_CAPACITY;
    if (is_small && pool->free != NULL) {
        buffer = pool->free;
        pool->free = buffer->link.next_free;
        pool->free_count--;
    } else {
        buffer = flin_memory_alloc(sizeof *buffer + capacity);
        if (buffer == NULL) return NULL;
    }
    buffer->data = inline_data(buffer);
    buffer->link.stream = NULL;
    buffer->refs = 1;
    buffer->size = 0;
    buffer->capacity = (uint32_t)capacity;
    buffer->is_small = is_small;
    buffer->is_private = 0;
    buffer->is_raw = 0;
    buffer->is_payload = 0;
    pool->retained_bytes += capacity;
    return buffer;
}

void flin_buffer_release(flin_buffer_pool *pool, flin_buffer *buffer) {
    assert(buffer->refs > 0);
    if (--buffer->refs > 0) return;
    pool->retained_bytes -= buffer->capacity;
    if (buffer->data != inline_data(buffer)) flin_block_free(buffer->data, buffer->capacity);
    if (buffer->is_small && pool->free_count < FLIN_BUFFER_POOL_MAX) {
        buffer->link.next_free = pool->free;
        pool->free = buffer;
        pool->free_count++;
        return;
    }
    flin_memory_free(buffer);
}

bool flin_buffer_reserve(flin_buffer_pool *pool, flin_buffer *buffer, size_t extra) {
    size_t need, capacity;
    uint8_t *data;
    if (extra <= flin_buffer_free_size(buffer)) return true;
    if (extra > FLIN_BUFFER_SIZE_MAX - buffer->size) return false;
    need = buffer->size + extra;
    capacity = (size_t)buffer->capacity * 2;
    if (capacity < need) capacity = need;
    if (capacity > FLIN_BUFFER_SIZE_MAX) capacity = FLIN_BUFFER_SIZE_MAX;
    if (buffer->data == inline_data(buffer)) {
        data = flin_block_grow(NULL, 0, 0, capacity);
        if (data != NULL && buffer->size > 0) memcpy(data, buffer->data, buffer->size);
    } else {
        data = flin_block_grow(buffer->data, buffer->capacity, buffer->size, capacity);
    }
    if (data == NULL) return false;
    pool->retained_bytes += capacity - buffer->capacity;
    buffer->data = data;
    buffer->capacity = (uint32_t)capacity;
    return true;
}

void flin_buffer_trim(flin_buffer_pool *pool, flin_buffer *buffer) {
    uint8_t *data;
    if (flin_buffer_free_size(buffer) < FLIN_BUFFER_TRIM_MIN || buffer->size == 0) return;
    /* A small block stays allocated behind its struct, so only grown buffers can give back. */
    if (buffer->data == inline_data(buffer) || buffer->capacity >= FLIN_BLOCK_MAP_MIN) return;
    data = flin_memory_resize(buffer->data, buffer->size);
    if (data == NULL) return;
    pool->retained_bytes -= buffer->capacity - buffer->size;
    buffer->data = data;
    buffer->capacity = buffer->size;
}
