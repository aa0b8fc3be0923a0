/**
 * Blocks for large messages: small ones from malloc, large ones mapped, a few of them kept warm.
 *
 * A block of a megabyte that comes from malloc and goes back is trimmed off the heap and faulted in
 * again for every message, page by page; that costs more than all the rest of relaying it. So
 * large blocks are reused while there is traffic, and flin_block_trim(), once a second, returns
 * what a second did not need. Every call names the size the block was asked for.
 *
 * What is kept belongs to the thread. Builds with a sanitizer use malloc for every size.
 */
#ifndef FLIN_BLOCK_H
#define FLIN_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Bytes from which a block is mapped. */
#ifndef FLIN_BLOCK_MAP_MIN
#define FLIN_BLOCK_MAP_MIN (128u << 10)
#endif
/* Kept for reuse, bytes: what a handful of connections that echo messages of the default limit have
 * between them, each one block coming in and one going out, mapped in powers of two. With 8 MiB four
 * of them faulted their pages in for every message: 990 us of CPU instead of 640 for a megabyte. */
#define FLIN_BLOCK_KEEP_MAX (32u << 20)
/* Blocks kept at most, and the largest kind that is. */
#define FLIN_BLOCK_KEEP_COUNT 32u
#define FLIN_BLOCK_KEEP_SIZE_MAX (4u << 20)

/**
 * Grow (or make: `block` NULL, `size` 0) a block.
 *
 * @param size  What it was asked for when it was made or grown last.
 * @param used  Bytes at its start that are kept, at most `size`.
 * @param wanted  At least `size`.
 * @return NULL without memory: the old block is untouched.
 */
uint8_t *flin_block_grow(uint8_t *block, size_t size, size_t used, size_t wanted);

/** Free a block; NULL is fine. `size` as for flin_block_grow(). */
void flin_block_free(uint8_t *block, size_t size);

/** Return to the system what has not been needed since the last call. */
void flin_block_trim(void);

/** Bytes kept for reuse by this thread. */
size_t flin_block_kept_bytes(void);

#endif
