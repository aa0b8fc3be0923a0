/**
 * WebSocket frame headers: decode, encode, close payloads (RFC 6455 sections 5.2, 5.5, 7.4).
 * Not for: reassembly, masking of payloads, UTF-8 of text; flin_message does those.
 */
#ifndef FLIN_FRAME_H
#define FLIN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flin_status.h"

#define FLIN_FRAME_HEADER_MAX 14u        /* 2 + 8 (64-bit length) + 4 (masking key) */
#define FLIN_FRAME_SERVER_HEADER_MAX 10u /* a server masks nothing */
#define FLIN_FRAME_CONTROL_MAX 125u      /* RFC 6455 section 5.5 */
#define FLIN_FRAME_CLOSE_REASON_MAX 123u /* 125 less the two bytes of the code */

typedef enum {
    FLIN_OPCODE_CONTINUATION = 0x0,
    FLIN_OPCODE_TEXT = 0x1,
    FLIN_OPCODE_BINARY = 0x2,
    FLIN_OPCODE_CLOSE = 0x8,
    FLIN_OPCODE_PING = 0x9,
    FLIN_OPCODE_PONG = 0xA
} flin_opcode;

/** Which side sent the frames that are decoded: clients must mask, servers must not. */
typedef enum { FLIN_ROLE_CLIENT, FLIN_ROLE_SERVER } flin_role;

typedef struct {
    uint64_t payload_size; /* 0 to 2^63 - 1 */
    uint32_t mask_key;     /* the four bytes as on the wire (memcpy), 0 when not masked */
    uint8_t header_size;   /* 2 to FLIN_FRAME_HEADER_MAX */
    uint8_t opcode;        /* a flin_opcode */
    bool fin;
    bool rsv1; /* only ever true when the caller allows it */
    bool masked;
} flin_frame_header;

/**
 * Decode one frame header from the start of `data`.
 *
 * @param data        Borrowed for the call; `size` readable bytes, any alignment, never NULL.
 * @param sender      Side that sent the bytes; decides whether a mask is demanded or refused.
 * @param allow_rsv1  Whether permessage-deflate was negotiated (RFC 7692). RSV1 on a control
 *                    frame or on a continuation is always an error.
 * @param header      Written only when FLIN_OK is returned.
 * @return FLIN_OK; FLIN_NEED_MORE (not an error); or FLIN_ERR_*: fail the connection with
 *         flin_status_close_code(). Faults are reported as soon as the bytes show them, before the
 *         header is complete. O(1), no allocation, thread-safe. RFC 6455 section 5.2.
 */
flin_status flin_frame_header_decode(const uint8_t *data, size_t size, flin_role sender,
                                     bool allow_rsv1, flin_frame_header *header);

/**
 * Write an unmasked (server) frame header.
 *
 * @param out  At least FLIN_FRAME_SERVER_HEADER_MAX writable bytes.
 * @return Bytes written: 2, 4 or 10. Cannot fail for payload_size <= 2^63 - 1 (asserted).
 */
size_t flin_frame_header_encode(uint8_t *out, flin_opcode opcode, bool fin, bool rsv1,
                                uint64_t payload_size);

/** Write a masked (client) frame header with the key as on the wire; 6, 8 or 14 bytes. */
size_t flin_frame_header_encode_masked(uint8_t *out, flin_opcode opcode, bool fin, bool rsv1,
                                       uint64_t payload_size, uint32_t mask_key);

/** Whether a close code may stand in a close frame (RFC 6455 section 7.4 and the IANA registry):
 *  1000-1003, 1007-1014, 3000-4999. */
bool flin_frame_close_code_is_valid(uint16_t code);

/**
 * Decode the payload of a close frame.
 *
 * @param code         1005 when the payload is empty (RFC 6455 section 7.1.5).
 * @param reason_size  Bytes of the reason, which starts at payload + 2.
 * @return FLIN_OK, FLIN_ERR_CLOSE_SIZE, FLIN_ERR_CLOSE_CODE or FLIN_ERR_UTF8.
 */
flin_status flin_frame_close_decode(const uint8_t *payload, size_t size, uint16_t *code,
                                    size_t *reason_size);

/**
 * Write a whole close frame; a reason that is too long is cut at a code point boundary.
 *
 * @param out   At least 2 + FLIN_FRAME_CONTROL_MAX writable bytes.
 * @param code  A valid code, or 1005 for an empty payload.
 * @return Bytes written.
 */
size_t flin_frame_close_encode(uint8_t *out, uint16_t code, const char *reason, size_t reason_size);

#endif
