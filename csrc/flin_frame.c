/**
 * Frame headers and close payloads; see flin_frame.h.
 *
 * Faults are judged byte by byte in wire order, so a fault never depends on how much of the
 * header has arrived behind it.
 */
#include "flin_frame.h"

#include <assert.h>
#include <string.h>

#include "flin_utf8.h"

#define FIN_BIT 0x80u
#define RSV1_BIT 0x40u
#define RSV23_BITS 0x30u
#define OPCODE_BITS 0x0Fu
#define CONTROL_BIT 0x08u
#define MASK_BIT 0x80u
#define LENGTH_BITS 0x7Fu
#define LENGTH_16 126u /* a 16-bit length follows */
#define LENGTH_64 127u /* a 64-bit length follows */
/* Bit n is set when opcode n is defined: 0, 1, 2, 8, 9, 10. */
#define OPCODE_SET 0x0707u

static flin_status check_first_byte(unsigned byte, bool allow_rsv1) {
    unsigned opcode = byte & OPCODE_BITS;
    if (byte & RSV23_BITS) return FLIN_ERR_RSV;
    if (!((OPCODE_SET >> opcode) & 1u)) return FLIN_ERR_OPCODE;
    /* RFC 7692 section 6: only the first frame of a data message may carry RSV1. */
    if ((byte & RSV1_BIT) &&
        (!allow_rsv1 || (opcode != FLIN_OPCODE_TEXT && opcode != FLIN_OPCODE_BINARY))) {
        return FLIN_ERR_RSV;
    }
    if ((opcode & CONTROL_BIT) && !(byte & FIN_BIT)) return FLIN_ERR_CONTROL_FRAGMENT;
    return FLIN_OK;
}

static flin_status check_second_byte(unsigned byte, unsigned first, flin_role sender) {
    if (sender == FLIN_ROLE_CLIENT) {
        if (!(byte & MASK_BIT)) return FLIN_ERR_MASK_MISSING;
    } else if (byte & MASK_BIT) {
        return FLIN_ERR_MASK_PRESENT;
    }
    if ((first & CONTROL_BIT) && (byte & LENGTH_BITS) > FLIN_FRAME_CONTROL_MAX) {
        return FLIN_ERR_CONTROL_SIZE;
    }
    return FLIN_OK;
}

static uint64_t load_big_endian(const uint8_t *data, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) value = value << 8 | data[i];
    return value;
}

/* The extended length, which starts at data[2]; `count` (2 or 8) is its width. */
static flin_status decode_long(const uint8_t *data, size_t size, size_t count, uint64_t *value) {
    if (count == 8) {
        if (size > 2 && (data[2] & 0x80u)) return FLIN_ERR_LENGTH_SIGN;
        /* Six zero bytes leave room for 65535 at most, which fits the 16-bit form. */
        if (size >= 8 && load_big_endian(data + 2, 6) == 0) return FLIN_ERR_LENGTH_FORM;
    }
    if (size < 2 + count) return FLIN_NEED_MORE;
    *value = load_big_endian(data + 2, count);
    return *value < LENGTH_16 ? FLIN_ERR_LENGTH_FORM : FLIN_OK;
}

flin_status flin_frame_header_decode(const uint8_t *data, size_t size, flin_role sender,
                                     bool allow_rsv1, flin_frame_header *header) {
    if (size == 0) return FLIN_NEED_MORE;
    unsigned first = data[0];
    flin_status status = check_first_byte(first, allow_rsv1);
    if (status != FLIN_OK) return status;
    if (size == 1) return FLIN_NEED_MORE;
    unsigned second = data[1];
    status = check_second_byte(second, first, sender);
    if (status != FLIN_OK) return status;

    uint64_t payload_size = second & LENGTH_BITS;
    size_t header_size = 2;
    if (payload_size >= LENGTH_16) {
        size_t count = payload_size == LENGTH_16 ? 2 : 8;
        status = decode_long(data, size, count, &payload_size);
        if (status != FLIN_OK) return status;
        header_size += count;
    }
    bool masked = (second & MASK_BIT) != 0;
    uint32_t mask_key = 0;
    if (masked) {
        if (size < header_size + sizeof mask_key) return FLIN_NEED_MORE;
        memcpy(&mask_key, data + header_size, sizeof mask_key);
        header_size += sizeof mask_key;
    }
    header->payload_size = payload_size;
    header->mask_key = mask_key;
    header->header_size = (uint8_t)header_size;
    header->opcode = (uint8_t)(first & OPCODE_BITS);
    header->fin = (first & FIN_BIT) != 0;
    header->rsv1 = (first & RSV1_BIT) != 0;
    header->masked = masked;
    return FLIN_OK;
}

static size_t encode_header(uint8_t *out, flin_opcode opcode, bool fin, bool rsv1,
                            uint64_t payload_size, unsigned mask_bit) {
    assert(payload_size <= (uint64_t)INT64_MAX);
    assert(((unsigned)opcode & CONTROL_BIT) == 0 ||
           (fin && !rsv1 && payload_size <= FLIN_FRAME_CONTROL_MAX));
    out[0] = (uint8_t)((fin ? FIN_BIT : 0u) | (rsv1 ? RSV1_BIT : 0u) | (unsigned)opcode);
    size_t count;
    if (payload_size < LENGTH_16) {
        out[1] = (uint8_t)(mask_bit | (unsigned)payload_size);
        return 2;
    }
    if (payload_size <= UINT16_MAX) {
        out[1] = (uint8_t)(mask_bit | LENGTH_16);
        count = 2;
    } else {
        out[1] = (uint8_t)(mask_bit | LENGTH_64);
        count = 8;
    }
    for (size_t i = 0; i < count; i++) {
        out[2 + i] = (uint8_t)(payload_size >> (8 * (count - 1 - i)));
    }
    return 2 + count;
}

size_t flin_frame_header_encode(uint8_t *out, flin_opcode opcode, bool fin, bool rsv1,
                                uint64_t payload_size) {
    return encode_header(out, opcode, fin, rsv1, payload_size, 0);
}

size_t flin_frame_header_encode_masked(uint8_t *out, flin_opcode opcode, bool fin, bool rsv1,
                                       uint64_t payload_size, uint32_t mask_key) {
    size_t size = encode_header(out, opcode, fin, rsv1, payload_size, MASK_BIT);
    memcpy(out + size, &mask_key, sizeof mask_key);
    return size + sizeof mask_key;
}

bool flin_frame_close_code_is_valid(uint16_t code) {
    if (code >= 3000) return code <= 4999;
    if (code < 1000 || code > 1014) return false;
    /* 1004 is reserved; 1005 and 1006 report an absent code and must not be sent. */
    return code <= 1003 || code >= 1007;
}

flin_status flin_frame_close_decode(const uint8_t *payload, size_t size, uint16_t *code,
                                    size_t *reason_size) {
    if (size == 0) {
        *code = 1005;
        *reason_size = 0;
        return FLIN_OK;
    }
    if (size == 1) return FLIN_ERR_CLOSE_SIZE;
    uint16_t value = (uint16_t)load_big_endian(payload, 2);
    if (!flin_frame_close_code_is_valid(value)) return FLIN_ERR_CLOSE_CODE;
    if (!flin_utf8_is_valid(payload + 2, size - 2)) return FLIN_ERR_UTF8;
    *code = value;
    *reason_size = size - 2;
    return FLIN_OK;
}

size_t flin_frame_close_encode(uint8_t *out, uint16_t code, const char *reason,
                               size_t reason_size) {
    if (code == 1005) return encode_header(out, FLIN_OPCODE_CLOSE, true, false, 0, 0);
    assert(flin_frame_close_code_is_valid(code));
    if (reason_size > FLIN_FRAME_CLOSE_REASON_MAX) {
        reason_size = FLIN_FRAME_CLOSE_REASON_MAX;
        /* reason[reason_size] is the first byte cut off; it must not continue a code point. */
        while (reason_size > 0 && ((unsigned char)reason[reason_size] & 0xC0u) == 0x80u) {
            reason_size--;
        }
    }
    size_t size = encode_header(out, FLIN_OPCODE_CLOSE, true, false, 2 + reason_size, 0);
    out[size++] = (uint8_t)(code >> 8);
    out[size++] = (uint8_t)(code & 0xFFu);
    if (reason_size > 0) memcpy(out + size, reason, reason_size);
    return size + reason_size;
}
