# Declarations of the frame core (csrc/flin_{status,mask,utf8,frame,message}.h); the headers are
# the documentation. None of these raises.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "flin_status.h":
    ctypedef enum flin_status:
        FLIN_OK
        FLIN_NEED_MORE
        FLIN_ERR_NO_MEMORY
        FLIN_ERR_OPCODE
        FLIN_ERR_RSV
        FLIN_ERR_CONTROL_SIZE
        FLIN_ERR_CONTROL_FRAGMENT
        FLIN_ERR_CLOSE_CODE
    const char *flin_status_text(flin_status status) nogil
    uint16_t flin_status_close_code(flin_status status) nogil

cdef extern from "flin_mask.h":
    unsigned flin_mask_apply(uint8_t *data, size_t size, uint32_t key, unsigned phase) nogil
    const char *flin_mask_implementation() nogil

cdef extern from "flin_utf8.h":
    ctypedef uint8_t flin_utf8_state
    flin_utf8_state FLIN_UTF8_START
    c_bool flin_utf8_feed(flin_utf8_state *state, const uint8_t *data, size_t size) nogil
    c_bool flin_utf8_is_complete(flin_utf8_state state) nogil

cdef extern from "flin_frame.h":
    enum:
        FLIN_FRAME_HEADER_MAX
        FLIN_FRAME_CONTROL_MAX
    ctypedef enum flin_opcode:
        FLIN_OPCODE_CONTINUATION
        FLIN_OPCODE_TEXT
        FLIN_OPCODE_BINARY
        FLIN_OPCODE_CLOSE
        FLIN_OPCODE_PING
        FLIN_OPCODE_PONG
    ctypedef enum flin_role:
        FLIN_ROLE_CLIENT
        FLIN_ROLE_SERVER
    ctypedef struct flin_frame_header:
        uint64_t payload_size
        uint32_t mask_key
        uint8_t header_size
        uint8_t opcode
        c_bool fin
        c_bool rsv1
        c_bool masked
    flin_status flin_frame_header_decode(
        const uint8_t *data, size_t size, flin_role sender, c_bool allow_rsv1,
        flin_frame_header *header) nogil
    size_t flin_frame_header_encode(
        uint8_t *out, flin_opcode opcode, c_bool fin, c_bool rsv1, uint64_t payload_size) nogil
    size_t flin_frame_header_encode_masked(
        uint8_t *out, flin_opcode opcode, c_bool fin, c_bool rsv1, uint64_t payload_size,
        uint32_t mask_key) nogil
    c_bool flin_frame_close_code_is_valid(uint16_t code) nogil
    flin_status flin_frame_close_decode(
        const uint8_t *payload, size_t size, uint16_t *code, size_t *reason_size) nogil
    size_t flin_frame_close_encode(
        uint8_t *out, uint16_t code, const char *reason, size_t reason_size) nogil

cdef extern from "flin_message.h":
    enum:
        FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX
    ctypedef struct flin_message_limits:
        size_t message_bytes_max
        uint32_t empty_fragments_max
        flin_role sender
        c_bool allow_rsv1
    ctypedef struct flin_message_state:
        pass
    ctypedef struct flin_message_event:
        uint8_t *data
        size_t size
        uint16_t close_code
        uint8_t opcode
        c_bool rsv1
    void flin_message_init(flin_message_state *state) nogil
    void flin_message_free(flin_message_state *state) nogil
    flin_status flin_message_next(
        flin_message_state *state, uint8_t **cursor, uint8_t *end,
        const flin_message_limits *limits, flin_message_event *event) nogil
    size_t flin_message_held_bytes(const flin_message_state *state) nogil
    c_bool flin_message_is_idle(const flin_message_state *state) nogil
