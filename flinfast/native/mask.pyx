"""XOR masking of payloads, over csrc/flin_mask.h; types and docstrings stand in mask.pyi."""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from flinfast.native.csrc cimport flin_mask_apply, flin_mask_implementation


def apply_mask(data, bytes key not None, unsigned phase=0):
    cdef Py_buffer view
    cdef uint32_t key_number
    if len(key) != 4:
        raise ValueError(f"expected a masking key of 4 bytes, got {len(key)}")
    if phase > 3:
        raise ValueError(f"expected a phase from 0 to 3, got {phase}")
    memcpy(&key_number, <const char *>key, 4)
    PyObject_GetBuffer(data, &view, PyBUF_WRITABLE)
    try:
        return flin_mask_apply(<uint8_t *>view.buf, <size_t>view.len, key_number, phase)
    finally:
        PyBuffer_Release(&view)


def mask_implementation():
    return flin_mask_implementation().decode("ascii")
