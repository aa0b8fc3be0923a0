/**
 * The opening handshake's arithmetic: Sec-WebSocket-Accept, and where a head holds its key.
 *
 * Source: RFC 6455 section 4.2.2; RFC 3174 (SHA-1); RFC 4648 section 4 (base64).
 */
#ifndef FLIN_HANDSHAKE_H
#define FLIN_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters of a key: 16 bytes in base64. */
#define FLIN_HANDSHAKE_KEY_SIZE 24u
/* Characters of its answer: 20 bytes in base64. */
#define FLIN_HANDSHAKE_ACCEPT_SIZE 28u

/** Whether 24 characters are base64 of exactly 16 bytes. */
bool flin_handshake_key_is_valid(const uint8_t *key);

/** Sec-WebSocket-Accept for a key of 24 characters; neither is terminated. */
void flin_handshake_accept(const uint8_t *key, uint8_t *accept);

/**
 * Find the key in a request head, for which the field has to be spelled `Sec-WebSocket-Key: `.
 *
 * @param end  Set to the offset behind the head's empty line.
 * @return     Offset of 24 characters with CR LF behind them; 0 when there are none before the end
 *             of the head, or the head has not ended.
 */
size_t flin_handshake_find_key(const uint8_t *data, size_t size, size_t *end);

/**
 * Whether bytes begin with a head that differs in its key only, which is valid.
 *
 * @param rest  A head in which flin_handshake_find_key() found a key, without that key.
 * @param at    Where it stood, 1 to `rest_size`.
 */
bool flin_handshake_repeats(const uint8_t *data, size_t size, const uint8_t *rest, size_t rest_size,
                            size_t at);

#endif
