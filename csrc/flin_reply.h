/**
 * Answers to requests that are known byte by byte: finding them, and writing what answers them.
 *
 * The caller says what a known request looks like and how its answer begins; nothing here knows
 * what the bytes mean, but for the one line that depends on the body: its length.
 */
#ifndef FLIN_REPLY_H
#define FLIN_REPLY_H

#include <stddef.h>
#include <stdint.h>

/**
 * How often a request stands at the start of what was received, whole and without a gap.
 *
 * @param data       Borrowed; `size` readable bytes, NULL only when `size` is 0.
 * @param known      The request, `known_size` bytes, at least 1.
 * @param count_max  Where to stop counting.
 * @return           0 to `count_max`; O(result * known_size).
 */
unsigned flin_reply_repeats(const uint8_t *data, size_t size, const uint8_t *known,
                            size_t known_size, unsigned count_max);

/**
 * Write `start`, the length of the body in decimal, CR LF CR LF, and the body.
 *
 * @param out   `room` writable bytes that overlap no other argument.
 * @param body  `body_size` bytes, may be NULL when there are none.
 * @return      Bytes written; 0 when they do not fit, and nothing was written then.
 */
size_t flin_reply_write(uint8_t *out, size_t room, const uint8_t *start, size_t start_size,
                        const uint8_t *body, size_t body_size);

#endif
