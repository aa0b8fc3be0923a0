# Part of hub.pyx: received messages.


@cython.final
@cython.freelist(64)
cdef class Message:
    """See hub.pyi. Borrows the receive buffer while its handler runs; keeps a copy afterwards."""

    cdef const uint8_t *_data
    cdef size_t _size
    cdef bytes _payload      # None while borrowed
    cdef flin_buffer *_buffer  # large bytes taken over from the reader, while the handler runs
    cdef object _value
    cdef bint _has_value
    cdef bint _is_text

    def __init__(self):
        raise TypeError("messages come from connections")

    cdef bytes _own(self):
        if self._payload is None:
            self._payload = PyBytes_FromStringAndSize(<const char *>self._data, self._size)
            self._data = <const uint8_t *>PyBytes_AS_STRING(self._payload)
        return self._payload

    cdef int _first_byte(self) noexcept:
        """First byte that is not JSON white space, or -1."""
        cdef size_t i
        for i in range(self._size):
            if self._data[i] not in (32, 9, 10, 13):
                return self._data[i]
        return -1

    cdef object _decode(self):
        cdef int first
        if not self._is_text:
            return {"type": "binary", "bytes": self._own()}
        first = self._first_byte()
        if first in (123, 91, 34, 45, 116, 102, 110) or 48 <= first <= 57:  # { [ " - t f n digit
            try:
                return _decode_json(self._own())
            except (ValueError, RecursionError):
                pass  # not JSON, or nested deeper than any program could handle
        return PyUnicode_DecodeUTF8(<const char *>self._data, self._size, NULL)

    @property
    def value(self):
        if not self._has_value:
            self._value = self._decode()
            self._has_value = True
        return self._value

    @property
    def payload(self):
        return self._own()

    @property
    def is_text(self):
        return self._is_text

    def __repr__(self):
        return f"<Message {'text' if self._is_text else 'binary'} {self._size} bytes>"
