/* Frame headers and close payloads: every boundary, every prefix, every first pair of bytes. */
#include "flin_frame.h"

#include "flin_test.h"

typedef struct {
    const uint8_t *bytes;
    size_t size;
} piece;

#define PIECE(...) ((piece){(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})})

/* Decode from a heap block that ends where the bytes end. */
static flin_status decode(const uint8_t *bytes, size_t size, flin_role sender, bool allow_rsv1,
                          flin_frame_header *header) {
    uint8_t *copy = flin_test_copy(bytes, size);
    flin_status status = flin_frame_header_decode(copy, size, sender, allow_rsv1, header);
    free(copy);
    return status;
}

/* The status of a client's bytes, RSV1 not negotiated. */
static flin_status status_of(piece bytes) {
    flin_frame_header header;
    return decode(bytes.bytes, bytes.size, FLIN_ROLE_CLIENT, false, &header);
}

/* A fault shows at the last byte of `bytes` and stays whatever follows; before it more is asked. */
static void check_fault(piece bytes, flin_role sender, flin_status expected) {
    flin_frame_header header;
    for (size_t size = 0; size < bytes.size; size++) {
        FLIN_CHECK_EQ(decode(bytes.bytes, size, sender, false, &header), FLIN_NEED_MORE);
    }
    uint8_t longer[FLIN_FRAME_HEADER_MAX + 16];
    for (unsigned filler = 0; filler <= 0xFF; filler += 0x55) {
        memset(longer, (int)filler, sizeof longer);
        memcpy(longer, bytes.bytes, bytes.size);
        for (size_t size = bytes.size; size <= sizeof longer; size++) {
            FLIN_CHECK_EQ(decode(longer, size, sender, false, &header), expected);
        }
    }
}

/* Independent restatement of RFC 6455 section 5.2 for the first two bytes. */
static flin_status expected_of_two(unsigned first, unsigned second, bool client, bool allow_rsv1) {
    unsigned opcode = first & 15u;
    bool control = opcode >= 8;
    if (first & 0x30u) return FLIN_ERR_RSV;
    if ((opcode > 2 && opcode < 8) || opcode > 10) return FLIN_ERR_OPCODE;
    if ((first & 0x40u) && (!allow_rsv1 || opcode == 0 || control)) return FLIN_ERR_RSV;
    if (control && first < 0x80) return FLIN_ERR_CONTROL_FRAGMENT;
    if (client && second < 0x80) return FLIN_ERR_MASK_MISSING;
    if (!client && second >= 0x80) return FLIN_ERR_MASK_PRESENT;
    if (control && (second & 0x7Fu) > 125) return FLIN_ERR_CONTROL_SIZE;
    bool is_whole = !client && (second & 0x7Fu) < 126;
    return is_whole ? FLIN_OK : FLIN_NEED_MORE;
}

static void every_first_pair_of_bytes(void) {
    for (unsigned pair = 0; pair < 65536; pair++) {
        const uint8_t bytes[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        for (unsigned mode = 0; mode < 4; mode++) {
            bool client = (mode & 1u) != 0;
            bool allow_rsv1 = (mode & 2u) != 0;
            flin_frame_header header;
            FLIN_CHECK_EQ(
                decode(bytes, 2, client ? FLIN_ROLE_CLIENT : FLIN_ROLE_SERVER, allow_rsv1, &header),
                expected_of_two(bytes[0], bytes[1], client, allow_rsv1));
        }
    }
}

static void a_fault_of_the_first_byte_shows_at_once(void) {
    flin_frame_header header;
    for (unsigned first = 0; first < 256; first++) {
        const uint8_t byte = (uint8_t)first;
        /* A masked length of 0 adds no fault of its own. */
        flin_status expected = expected_of_two(first, 0x80, true, false);
        FLIN_CHECK_EQ(decode(&byte, 1, FLIN_ROLE_CLIENT, false, &header), expected);
    }
}

static void check_round_trip(flin_opcode opcode, bool fin, bool rsv1, uint64_t payload_size) {
    uint8_t out[FLIN_FRAME_HEADER_MAX];
    for (unsigned masked = 0; masked < 2; masked++) {
        uint32_t key = masked ? 0x04030201u : 0;
        size_t size =
            masked ? flin_frame_header_encode_masked(out, opcode, fin, rsv1, payload_size, key)
                   : flin_frame_header_encode(out, opcode, fin, rsv1, payload_size);
        size_t length_size = payload_size < 126 ? 0 : payload_size < 65536 ? 2 : 8;
        FLIN_CHECK_EQ(size, 2 + length_size + (masked ? 4 : 0));
        flin_role sender = masked ? FLIN_ROLE_CLIENT : FLIN_ROLE_SERVER;
        flin_frame_header header;
        memset(&header, 0xEE, sizeof header);
        for (size_t part = 0; part < size; part++) {
            FLIN_CHECK_EQ(decode(out, part, sender, rsv1, &header), FLIN_NEED_MORE);
        }
        const uint8_t *untouched = (const uint8_t *)&header;
        for (size_t i = 0; i < sizeof header; i++) FLIN_CHECK_EQ(untouched[i], 0xEE);
        FLIN_CHECK_EQ(decode(out, size, sender, rsv1, &header), FLIN_OK);
        FLIN_CHECK_EQ(header.payload_size, payload_size);
        FLIN_CHECK_EQ(header.mask_key, key);
        FLIN_CHECK_EQ(header.header_size, size);
        FLIN_CHECK_EQ(header.opcode, opcode);
        FLIN_CHECK_EQ(header.fin, fin);
        FLIN_CHECK_EQ(header.rsv1, rsv1);
        FLIN_CHECK_EQ(header.masked, masked);
    }
}

static void every_length_boundary_survives_a_round_trip(void) {
    static const uint64_t SIZES[] = {0,
                                     1,
                                     124,
                                     125,
                                     126,
                                     127,
                                     255,
                                     256,
                                     65534,
                                     65535,
                                     65536,
                                     65537,
                                     UINT32_MAX,
                                     (uint64_t)UINT32_MAX + 1,
                                     (uint64_t)INT64_MAX - 1,
                                     (uint64_t)INT64_MAX};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        check_round_trip(FLIN_OPCODE_TEXT, true, false, SIZES[i]);
        check_round_trip(FLIN_OPCODE_TEXT, true, true, SIZES[i]);
        check_round_trip(FLIN_OPCODE_BINARY, false, false, SIZES[i]);
        check_round_trip(FLIN_OPCODE_BINARY, false, true, SIZES[i]);
        check_round_trip(FLIN_OPCODE_CONTINUATION, false, false, SIZES[i]);
        check_round_trip(FLIN_OPCODE_CONTINUATION, true, false, SIZES[i]);
    }
    for (uint64_t size = 0; size <= FLIN_FRAME_CONTROL_MAX; size++) {
        check_round_trip(FLIN_OPCODE_CLOSE, true, false, size);
        check_round_trip(FLIN_OPCODE_PING, true, false, size);
        check_round_trip(FLIN_OPCODE_PONG, true, false, size);
    }
}

static void the_wire_bytes_are_those_of_the_rfc(void) {
    uint8_t out[FLIN_FRAME_HEADER_MAX];
    FLIN_CHECK_EQ(flin_frame_header_encode(out, FLIN_OPCODE_TEXT, true, false, 5), 2);
    FLIN_CHECK(memcmp(out, "\x81\x05", 2) == 0);
    FLIN_CHECK_EQ(flin_frame_header_encode(out, FLIN_OPCODE_BINARY, true, false, 256), 4);
    FLIN_CHECK(memcmp(out, "\x82\x7E\x01\x00", 4) == 0);
    FLIN_CHECK_EQ(flin_frame_header_encode(out, FLIN_OPCODE_BINARY, true, false, 65536), 10);
    FLIN_CHECK(memcmp(out, "\x82\x7F\0\0\0\0\0\1\0\0", 10) == 0);
    uint32_t key;
    memcpy(&key, "\x37\xFA\x21\x3D", 4);
    FLIN_CHECK_EQ(
        flin_frame_header_encode_masked(out, FLIN_OPCODE_CONTINUATION, false, false, 5, key), 6);
    FLIN_CHECK(memcmp(out, "\x00\x85\x37\xFA\x21\x3D", 6) == 0);
}

static void a_length_in_a_longer_form_than_needed_fails(void) {
    check_fault(PIECE(0x82, 0xFE, 0, 0), FLIN_ROLE_CLIENT, FLIN_ERR_LENGTH_FORM);
    check_fault(PIECE(0x82, 0xFE, 0, 125), FLIN_ROLE_CLIENT, FLIN_ERR_LENGTH_FORM);
    FLIN_CHECK_EQ(status_of(PIECE(0x82, 0xFE, 0, 126)), FLIN_NEED_MORE);
    FLIN_CHECK_EQ(status_of(PIECE(0x82, 0xFE, 1, 0)), FLIN_NEED_MORE);
    check_fault(PIECE(0x82, 0xFF, 0, 0, 0, 0, 0, 0), FLIN_ROLE_CLIENT, FLIN_ERR_LENGTH_FORM);
    check_fault(PIECE(0x82, 0x7F, 0, 0, 0, 0, 0, 0), FLIN_ROLE_SERVER, FLIN_ERR_LENGTH_FORM);
    FLIN_CHECK_EQ(status_of(PIECE(0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0)), FLIN_NEED_MORE);
    flin_frame_header header;
    piece smallest = PIECE(0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0);
    FLIN_CHECK_EQ(decode(smallest.bytes, smallest.size, FLIN_ROLE_SERVER, false, &header), FLIN_OK);
    FLIN_CHECK_EQ(header.payload_size, 65536);
}

static void a_length_with_its_top_bit_set_fails_at_that_byte(void) {
    check_fault(PIECE(0x82, 0xFF, 0x80), FLIN_ROLE_CLIENT, FLIN_ERR_LENGTH_SIGN);
    check_fault(PIECE(0x82, 0x7F, 0xFF), FLIN_ROLE_SERVER, FLIN_ERR_LENGTH_SIGN);
    FLIN_CHECK_EQ(status_of(PIECE(0x82, 0xFF, 0x7F)), FLIN_NEED_MORE);
}

static void faults_of_masks_and_control_frames_show_at_the_second_byte(void) {
    check_fault(PIECE(0x81, 0x05), FLIN_ROLE_CLIENT, FLIN_ERR_MASK_MISSING);
    check_fault(PIECE(0x81, 0x85), FLIN_ROLE_SERVER, FLIN_ERR_MASK_PRESENT);
    check_fault(PIECE(0x89, 0xFE), FLIN_ROLE_CLIENT, FLIN_ERR_CONTROL_SIZE);
    check_fault(PIECE(0x88, 0xFF), FLIN_ROLE_CLIENT, FLIN_ERR_CONTROL_SIZE);
    check_fault(PIECE(0x8A, 0x7E), FLIN_ROLE_SERVER, FLIN_ERR_CONTROL_SIZE);
    check_fault(PIECE(0x09), FLIN_ROLE_CLIENT, FLIN_ERR_CONTROL_FRAGMENT);
}

static void exactly_the_registered_close_codes_are_valid(void) {
    for (unsigned code = 0; code <= 65535; code++) {
        bool expected;
        switch (code) {
        case 1000:
        case 1001:
        case 1002:
        case 1003:
        case 1007:
        case 1008:
        case 1009:
        case 1010:
        case 1011:
        case 1012:
        case 1013:
        case 1014:
            expected = true;
            break;
        default:
            expected = code >= 3000 && code < 5000;
        }
        FLIN_CHECK_EQ(flin_frame_close_code_is_valid((uint16_t)code), expected);
    }
}

static flin_status close_status(const char *payload, size_t size, uint16_t *code,
                                size_t *reason_size) {
    uint8_t *copy = flin_test_copy(payload, size);
    flin_status status = flin_frame_close_decode(copy, size, code, reason_size);
    free(copy);
    return status;
}

static void close_payloads_are_judged(void) {
    uint16_t code = 0;
    size_t reason_size = 77;
    FLIN_CHECK_EQ(close_status("", 0, &code, &reason_size), FLIN_OK);
    FLIN_CHECK_EQ(code, 1005);
    FLIN_CHECK_EQ(reason_size, 0);
    FLIN_CHECK_EQ(flin_frame_close_decode(NULL, 0, &code, &reason_size), FLIN_OK);
    FLIN_CHECK_EQ(close_status("\x03", 1, &code, &reason_size), FLIN_ERR_CLOSE_SIZE);
    FLIN_CHECK_EQ(close_status("\x03\xE8", 2, &code, &reason_size), FLIN_OK);
    FLIN_CHECK_EQ(code, 1000);
    FLIN_CHECK_EQ(reason_size, 0);
    FLIN_CHECK_EQ(close_status("\x0F\xA0gone \xE2\x82\xAC", 10, &code, &reason_size), FLIN_OK);
    FLIN_CHECK_EQ(code, 4000);
    FLIN_CHECK_EQ(reason_size, 8);
    FLIN_CHECK_EQ(close_status("\x03\xED", 2, &code, &reason_size), FLIN_ERR_CLOSE_CODE);
    FLIN_CHECK_EQ(close_status("\x03\xE8\xE2\x82", 4, &code, &reason_size), FLIN_ERR_UTF8);
    FLIN_CHECK_EQ(close_status("\x03\xE8\xFF", 3, &code, &reason_size), FLIN_ERR_UTF8);
}

static void a_close_frame_survives_a_round_trip(void) {
    uint8_t out[2 + FLIN_FRAME_CONTROL_MAX];
    size_t size = flin_frame_close_encode(out, 1001, "bye", 3);
    FLIN_CHECK_EQ(size, 7);
    FLIN_CHECK(memcmp(out,
                      "\x88\x05\x03\xE9"
                      "bye",
                      7) == 0);
    FLIN_CHECK_EQ(flin_frame_close_encode(out, 1000, NULL, 0), 4);
    FLIN_CHECK_EQ(flin_frame_close_encode(out, 1005, "dropped", 7), 2);
    FLIN_CHECK(memcmp(out, "\x88\x00", 2) == 0);
}

static void a_long_reason_is_cut_between_code_points(void) {
    static const char *const UNITS[] = {"a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t u = 0; u < 4; u++) {
        size_t width = strlen(UNITS[u]);
        for (size_t lead = 0; lead < 4; lead++) {
            for (size_t count = 0; count < 200 / width; count++) {
                char reason[220];
                memset(reason, 'x', lead);
                for (size_t i = 0; i < count; i++)
                    memcpy(reason + lead + i * width, UNITS[u], width);
                size_t reason_size = lead + count * width;
                uint8_t *copy = flin_test_copy(reason, reason_size);
                uint8_t out[2 + FLIN_FRAME_CONTROL_MAX];
                size_t size = flin_frame_close_encode(out, 1011, (const char *)copy, reason_size);
                free(copy);
                size_t kept = size - 4;
                FLIN_CHECK(kept <= FLIN_FRAME_CLOSE_REASON_MAX);
                if (reason_size <= FLIN_FRAME_CLOSE_REASON_MAX) FLIN_CHECK_EQ(kept, reason_size);
                if (reason_size > kept) FLIN_CHECK(kept + width > FLIN_FRAME_CLOSE_REASON_MAX);
                uint16_t code;
                FLIN_CHECK_EQ(out[1], 2 + kept);
                FLIN_CHECK_EQ(flin_frame_close_decode(out + 2, size - 2, &code, &kept), FLIN_OK);
                FLIN_CHECK_EQ(code, 1011);
            }
        }
    }
}

static void a_reason_of_continuation_bytes_alone_is_dropped(void) {
    char reason[200];
    memset(reason, 0x80, sizeof reason);
    uint8_t out[2 + FLIN_FRAME_CONTROL_MAX];
    FLIN_CHECK_EQ(flin_frame_close_encode(out, 1011, reason, sizeof reason), 4);
}

int main(void) {
    FLIN_RUN(every_first_pair_of_bytes);
    FLIN_RUN(a_fault_of_the_first_byte_shows_at_once);
    FLIN_RUN(every_length_boundary_survives_a_round_trip);
    FLIN_RUN(the_wire_bytes_are_those_of_the_rfc);
    FLIN_RUN(a_length_in_a_longer_form_than_needed_fails);
    FLIN_RUN(a_length_with_its_top_bit_set_fails_at_that_byte);
    FLIN_RUN(faults_of_masks_and_control_frames_show_at_the_second_byte);
    FLIN_RUN(exactly_the_registered_close_codes_are_valid);
    FLIN_RUN(close_payloads_are_judged);
    FLIN_RUN(a_close_frame_survives_a_round_trip);
    FLIN_RUN(a_long_reason_is_cut_between_code_points);
    FLIN_RUN(a_reason_of_continuation_bytes_alone_is_dropped);
    return flin_test_end();
}
