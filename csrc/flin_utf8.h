/**
 * Incremental UTF-8 validation (RFC 3629; RFC 6455 section 8.1): a code point may straddle any
 * two calls, and a fault is found at the first byte that cannot be valid any more.
 */
#ifndef FLIN_UTF8_H
#define FLIN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Validator state: one byte, so that it can live in a connection. Zero is the start state. */
typedef uint8_t flin_utf8_state;

#define FLIN_UTF8_START ((flin_utf8_state)0)

/**
 * Feed bytes.
 *
 * @param state  In and out; set to FLIN_UTF8_START before the first piece of a text.
 * @param data   Borrowed for the call; may be NULL only when `size` is 0.
 * @return false at the first byte that no valid text can have there; `state` is then undefined.
 *         O(size), no allocation, thread-safe.
 */
bool flin_utf8_feed(flin_utf8_state *state, const uint8_t *data, size_t size);

/** Whether the text may end here (no code point is half done). */
static inline bool flin_utf8_is_complete(flin_utf8_state state) { return state == FLIN_UTF8_START; }

/** Validate one whole text; same as feed + is_complete. */
bool flin_utf8_is_valid(const uint8_t *data, size_t size);

#endif
