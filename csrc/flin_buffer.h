/**
 * Reference-counted output buffers: framed bytes that one or many connections have yet to send.
 *
 * Rules
 *   1. Bytes are only ever appended; a byte in front of `size` never changes.
 *   2. A buffer is held by segments of connections (flin_output.h), by the room batch that still
 *      appends to it (`stream`), or by an effect record. The last release frees it.
 *   3. `data` may move while it grows: keep offsets, never pointers into it.
 *   4. Counts are not atomic: a buffer belongs to one hub and so to one thread at a time.
 */
#ifndef FLIN_BUFFER_H
#define FLIN_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One pooled allocation, bytes, header included: a turn's replies to one connection. */
#ifndef FLIN_BUFFER_SMALL_SIZE
#define FLIN_BUFFER_SMALL_SIZE 2048u
#endif
/* Small buffers kept for reuse: 512 x 2 KiB = 1 MiB, one wake's worth of busy connections. */
#define FLIN_BUFFER_POOL_MAX 512u
/* Largest buffer: offsets are 32 bits wide. */
#define FLIN_BUFFER_SIZE_MAX 0x7fffffffu

struct flin_stream;

typedef struct flin_buffer {
    uint8_t *data; /* behind this struct, or a block of its own (flin_block.h) */
    union {
        struct flin_stream *stream;    /* the room batch that still appends, or NULL */
        struct flin_buffer *next_free; /* while in the pool */
    } link;
    uint32_t refs;
    uint32_t size;      /* bytes written */
    uint32_t capacity;  /* bytes at data */
    uint8_t is_small;   /* the block itself belongs to the pool */
    uint8_t is_private; /* one connection's own: it may append while the last segment is open */
    uint8_t is_raw;     /* not frames (the 101 response): never cut */
    uint8_t is_payload; /* payload of the frame whose header ends the segment in front */
} flin_buffer;

#define FLIN_BUFFER_SMALL_CAPACITY (FLIN_BUFFER_SMALL_SIZE - (uint32_t)sizeof(flin_buffer))

typedef struct {
    flin_buffer *free;
    uint32_t free_count;
    size_t retained_bytes; /* bytes of all live buffers, for statistics */
} flin_buffer_pool;

/** Free what the pool keeps. Live buffers are not touched. */
void flin_buffer_pool_free(flin_buffer_pool *pool);

/**
 * New empty buffer with one reference.
 *
 * @param capacity  Bytes it must hold, at most FLIN_BUFFER_SIZE_MAX; small ones come from the pool.
 * @return NULL without memory or beyond the limit.
 */
flin_buffer *flin_buffer_new(flin_buffer_pool *pool, size_t capacity);

/** New buffer with one reference and no block yet: flin_buffer_wrap() gives it one, or release. */
flin_buffer *flin_buffer_new_empty(void);

/** Make a block of flin_block_grow() the buffer's; `size` bytes of it are written. */
void flin_buffer_wrap(flin_buffer_pool *pool, flin_buffer *buffer, uint8_t *block, size_t size,
                      size_t capacity);

/** Drop one reference; the last one frees. */
void flin_buffer_release(flin_buffer_pool *pool, flin_buffer *buffer);

/** Make room for `extra` more bytes, doubling; false without memory or beyond the limit. */
bool flin_buffer_reserve(flin_buffer_pool *pool, flin_buffer *buffer, size_t extra);

/** Give back what was reserved but never written, when that is worth an allocation. */
void flin_buffer_trim(flin_buffer_pool *pool, flin_buffer *buffer);

static inline void flin_buffer_acquire(flin_buffer *buffer) { buffer->refs++; }

static inline size_t flin_buffer_free_size(const flin_buffer *buffer) {
    return (size_t)buffer->capacity - buffer->size;
}

#endif
