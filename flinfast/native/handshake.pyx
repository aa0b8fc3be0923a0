"""The opening handshake's arithmetic, over csrc/flin_handshake.h; see handshake.pyi."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "flin_handshake.h":
    enum:
        FLIN_HANDSHAKE_KEY_SIZE
        FLIN_HANDSHAKE_ACCEPT_SIZE
    c_bool flin_handshake_key_is_valid(const uint8_t *key)
    void flin_handshake_accept(const uint8_t *key, uint8_t *accept)


def accept_key(bytes key not None):
    cdef uint8_t[32] accept
    cdef const uint8_t *text = <const uint8_t *>PyBytes_AS_STRING(key)
    if PyBytes_GET_SIZE(key) != FLIN_HANDSHAKE_KEY_SIZE or not flin_handshake_key_is_valid(text):
        raise ValueError("expected 16 bytes in base64")
    flin_handshake_accept(text, accept)
    return PyBytes_FromStringAndSize(<const char *>accept, FLIN_HANDSHAKE_ACCEPT_SIZE)
