"""Frames, close payloads and messages without I/O, over csrc/flin_frame.h and flin_message.h.

For tests, tools and clients. The hub uses the same C directly. Types and docstrings stand in
frame.pyi.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from enum import IntEnum
from typing import NamedTuple

from flinfast.errors import LocalProtocolError, RemoteProtocolError

from flinfast.native.csrc cimport (
    FLIN_ERR_CLOSE_CODE,
    FLIN_ERR_CONTROL_FRAGMENT,
    FLIN_ERR_CONTROL_SIZE,
    FLIN_ERR_NO_MEMORY,
    FLIN_ERR_OPCODE,
    FLIN_ERR_RSV,
    FLIN_FRAME_CONTROL_MAX,
    FLIN_FRAME_HEADER_MAX,
    FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX,
    FLIN_NEED_MORE,
    FLIN_OK,
    FLIN_OPCODE_BINARY,
    FLIN_OPCODE_CLOSE,
    FLIN_OPCODE_CONTINUATION,
    FLIN_OPCODE_PING,
    FLIN_OPCODE_PONG,
    FLIN_OPCODE_TEXT,
    FLIN_ROLE_CLIENT,
    FLIN_ROLE_SERVER,
    FLIN_UTF8_START,
    flin_frame_close_code_is_valid,
    flin_frame_close_decode,
    flin_frame_close_encode,
    flin_frame_header,
    flin_frame_header_decode,
    flin_frame_header_encode,
    flin_frame_header_encode_masked,
    flin_mask_apply,
    flin_message_event,
    flin_message_free,
    flin_message_held_bytes,
    flin_message_init,
    flin_message_is_idle,
    flin_message_limits,
    flin_message_next,
    flin_message_state,
    flin_opcode,
    flin_role,
    flin_status,
    flin_status_close_code,
    flin_status_text,
    flin_utf8_feed,
    flin_utf8_is_complete,
    flin_utf8_state,
)


class Opcode(IntEnum):
    """Frame opcodes of RFC 6455 section 5.2."""

    CONTINUATION = FLIN_OPCODE_CONTINUATION
    TEXT = FLIN_OPCODE_TEXT
    BINARY = FLIN_OPCODE_BINARY
    CLOSE = FLIN_OPCODE_CLOSE
    PING = FLIN_OPCODE_PING
    PONG = FLIN_OPCODE_PONG


class FrameHeader(NamedTuple):
    """One decoded frame header."""

    opcode: Opcode
    payload_size: int
    header_size: int
    fin: bool
    rsv1: bool
    mask_key: bytes | None


class Event(NamedTuple):
    """One complete message or control frame."""

    opcode: Opcode
    payload: bytes
    rsv1: bool = False
    close_code: int = 0


cdef tuple _OPCODES = tuple(
    Opcode(number) if number in Opcode._value2member_map_ else None for number in range(16)
)


cdef object _error_of(flin_status status, error_type):
    """The exception for a status that is a fault."""
    if status == FLIN_ERR_NO_MEMORY:
        return MemoryError(flin_status_text(status).decode("ascii"))
    return error_type(
        flin_status_text(status).decode("ascii"), close_code=flin_status_close_code(status)
    )


cdef int _role_of(sender) except -1:
    if sender == "client":
        return FLIN_ROLE_CLIENT
    if sender == "server":
        return FLIN_ROLE_SERVER
    raise ValueError(f"expected the sender `client` or `server`, got {sender!r}")


def decode_header(data, *, sender, bint allow_rsv1=False):
    cdef flin_frame_header header
    cdef flin_role role = <flin_role>_role_of(sender)
    cdef Py_buffer view
    cdef flin_status status
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        status = flin_frame_header_decode(
            <const uint8_t *>view.buf, <size_t>view.len, role, allow_rsv1, &header
        )
    finally:
        PyBuffer_Release(&view)
    if status == FLIN_NEED_MORE:
        return None
    if status != FLIN_OK:
        raise _error_of(status, RemoteProtocolError)
    return FrameHeader(
        _OPCODES[header.opcode],
        header.payload_size,
        header.header_size,
        header.fin,
        header.rsv1,
        PyBytes_FromStringAndSize(<char *>&header.mask_key, 4) if header.masked else None,
    )


cdef int _check_frame(int opcode, Py_ssize_t size, bint fin, bint rsv1) except -1:
    """Refuse what RFC 6455 forbids to send."""
    cdef flin_status status = FLIN_OK
    if not 0 <= opcode < 16 or _OPCODES[opcode] is None:
        status = FLIN_ERR_OPCODE
    elif opcode >= FLIN_OPCODE_CLOSE:
        if not fin:
            status = FLIN_ERR_CONTROL_FRAGMENT
        elif size > FLIN_FRAME_CONTROL_MAX:
            status = FLIN_ERR_CONTROL_SIZE
    if status == FLIN_OK and rsv1 and opcode not in (FLIN_OPCODE_TEXT, FLIN_OPCODE_BINARY):
        status = FLIN_ERR_RSV
    if status != FLIN_OK:
        raise _error_of(status, LocalProtocolError)
    return 0


cdef bytes _encode(int opcode, payload, bint fin, bint rsv1, bytes key):
    """One frame; masked when `key` is not None."""
    cdef uint8_t head[FLIN_FRAME_HEADER_MAX]
    cdef uint32_t key_number
    cdef size_t head_size
    cdef uint8_t *out
    cdef bytes frame
    cdef Py_buffer view
    PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
    try:
        _check_frame(opcode, view.len, fin, rsv1)
        if key is None:
            head_size = flin_frame_header_encode(
                head, <flin_opcode>opcode, fin, rsv1, <uint64_t>view.len
            )
        else:
            memcpy(&key_number, PyBytes_AS_STRING(key), 4)
            head_size = flin_frame_header_encode_masked(
                head, <flin_opcode>opcode, fin, rsv1, <uint64_t>view.len, key_number
            )
        frame = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>head_size + view.len)
        out = <uint8_t *>PyBytes_AS_STRING(frame)
        memcpy(out, head, head_size)
        if view.len > 0:
            memcpy(out + head_size, view.buf, <size_t>view.len)
            if key is not None:
                flin_mask_apply(out + head_size, <size_t>view.len, key_number, 0)
        return frame
    finally:
        PyBuffer_Release(&view)


def encode_frame(int opcode, payload=b"", *, bint fin=True, bint rsv1=False):
    return _encode(opcode, payload, fin, rsv1, None)


def encode_masked_frame(
    int opcode, payload, bytes key not None, *, bint fin=True, bint rsv1=False
):
    if len(key) != 4:
        raise ValueError(f"expected a masking key of 4 bytes, got {len(key)}")
    return _encode(opcode, payload, fin, rsv1, key)


def encode_close(int code=1000, str reason not None=""):
    cdef uint8_t out[2 + FLIN_FRAME_CONTROL_MAX]
    cdef bytes text = reason.encode()
    cdef size_t size
    if code != 1005 and not (
        0 <= code <= 0xFFFF and flin_frame_close_code_is_valid(<uint16_t>code)
    ):
        raise _error_of(FLIN_ERR_CLOSE_CODE, LocalProtocolError)
    size = flin_frame_close_encode(
        out, <uint16_t>code, PyBytes_AS_STRING(text), <size_t>len(text)
    )
    return PyBytes_FromStringAndSize(<char *>out, <Py_ssize_t>size)


def decode_close(payload):
    cdef uint16_t code
    cdef size_t reason_size
    cdef flin_status status
    cdef Py_buffer view
    PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
    try:
        status = flin_frame_close_decode(
            <const uint8_t *>view.buf, <size_t>view.len, &code, &reason_size
        )
        if status != FLIN_OK:
            raise _error_of(status, RemoteProtocolError)
        if reason_size == 0:
            return code, ""
        return code, (<char *>view.buf + 2)[:reason_size].decode("utf-8")
    finally:
        PyBuffer_Release(&view)


@cython.final
cdef class Utf8Validator:
    cdef flin_utf8_state _state

    def __cinit__(self):
        self._state = FLIN_UTF8_START

    def feed(self, data):
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return flin_utf8_feed(&self._state, <const uint8_t *>view.buf, <size_t>view.len)
        finally:
            PyBuffer_Release(&view)

    @property
    def is_complete(self):
        return flin_utf8_is_complete(self._state)

    def reset(self):
        self._state = FLIN_UTF8_START


@cython.final
cdef class FrameParser:
    """Messages out of received bytes.

    Invariants:
      1. 0 <= _offset <= len(_data); the bytes before _offset are consumed.
      2. _state points to nothing inside _data, so _data may move between calls.
    """

    cdef flin_message_state _state
    cdef flin_message_limits _limits
    cdef bytearray _data
    cdef Py_ssize_t _offset

    def __cinit__(self):
        flin_message_init(&self._state)
        self._data = bytearray()
        self._offset = 0

    def __init__(
        self,
        *,
        sender,
        size_t message_bytes_max=1 << 20,
        uint32_t empty_fragments_max=FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX,
        bint allow_rsv1=False,
    ):
        self._limits.sender = <flin_role>_role_of(sender)
        self._limits.message_bytes_max = message_bytes_max
        self._limits.empty_fragments_max = empty_fragments_max
        self._limits.allow_rsv1 = allow_rsv1

    def __dealloc__(self):
        flin_message_free(&self._state)

    def feed(self, data):
        if self._offset > 0:
            del self._data[:self._offset]
            self._offset = 0
        self._data += data

    def next_event(self):
        cdef flin_message_event event
        cdef uint8_t *begin = <uint8_t *>PyByteArray_AS_STRING(self._data)
        cdef uint8_t *cursor = begin + self._offset
        cdef flin_status status = flin_message_next(
            &self._state, &cursor, begin + len(self._data), &self._limits, &event
        )
        self._offset = cursor - begin
        if status == FLIN_NEED_MORE:
            return None
        if status != FLIN_OK:
            raise _error_of(status, RemoteProtocolError)
        return Event(
            _OPCODES[event.opcode],
            PyBytes_FromStringAndSize(<char *>event.data, <Py_ssize_t>event.size),
            event.rsv1,
            event.close_code,
        )

    @property
    def is_idle(self):
        return self._offset == len(self._data) and flin_message_is_idle(&self._state)

    @property
    def held_bytes(self):
        return flin_message_held_bytes(&self._state)
