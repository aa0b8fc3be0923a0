/**
 * XOR masking of payloads (RFC 6455 section 5.3): portable, SSE2, AVX2 and NEON, chosen once at load.
 */
#ifndef FLIN_MASK_H
#define FLIN_MASK_H

#include <stddef.h>
#include <stdint.h>

/**
 * XOR `size` bytes in place with the 4-byte masking key.
 *
 * @param data   Any alignment; may be NULL only when `size` is 0.
 * @param key    The four key bytes as they stand on the wire, read with memcpy into a uint32_t.
 * @param phase  Index (0 to 3) into the key of the first byte, for payloads handed over in pieces.
 * @return The phase for the byte after the last. O(size), no allocation, thread-safe.
 */
unsigned flin_mask_apply(uint8_t *data, size_t size, uint32_t key, unsigned phase);

/** Implementation chosen for this CPU: "avx2", "sse2", "neon" or "portable". */
const char *flin_mask_implementation(void);

/** The portable implementation, for tests that compare. Same contract as flin_mask_apply(). */
unsigned flin_mask_apply_portable(uint8_t *data, size_t size, uint32_t key, unsigned phase);

#endif
