# Part of hub.pyx: upgrades that were decided before, and connections that nobody has looked at.


@cython.final
cdef class _KnownUpgrade:
    """What one head leads to, whatever its key is."""

    cdef Endpoint _endpoint
    cdef object _renew
    cdef bytes _rest           # the head without its key
    cdef size_t _key_at        # where that stood
    cdef str _protocol
    cdef flin_compression _compression
    cdef uint8_t *_response    # the 101, with the accept value of the latest key
    cdef size_t _response_size
    cdef size_t _accept_at

    def __dealloc__(self):
        free(self._response)

    cdef int _keep_response(self, bytes response, size_t accept_at) except -1:
        cdef size_t size = PyBytes_GET_SIZE(response)
        self._response = <uint8_t *>malloc(size)
        if self._response is NULL:
            raise MemoryError
        memcpy(self._response, PyBytes_AS_STRING(response), size)
        self._response_size = size
        self._accept_at = accept_at
        return 0


@cython.final
cdef class KnownUpgrades:
    """See hub.pyi."""

    cdef public bint is_open
    cdef readonly uint64_t count
    cdef object _program, _epoch, _on_opened
    cdef Py_ssize_t _heads_max
    cdef dict _by_rest         # head without its key -> _KnownUpgrade, oldest first
    cdef _KnownUpgrade _last    # crowds come with one head

    def __init__(self, program, *, heads_max, on_opened=None):
        self.is_open = True
        self._program = program
        self._epoch = program.epoch
        self._on_opened = on_opened
        self._heads_max = heads_max
        self._by_rest = {}

    def add(self, bytes head not None, Opening opening not None, renew):
        cdef _KnownUpgrade known = _KnownUpgrade.__new__(_KnownUpgrade)
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(head)
        cdef uint8_t[32] accept
        cdef size_t end = 0
        cdef Py_ssize_t accept_at
        known._key_at = flin_handshake_find_key(data, PyBytes_GET_SIZE(head), &end)
        if known._key_at == 0 or not flin_handshake_key_is_valid(data + known._key_at):
            return False
        flin_handshake_accept(data + known._key_at, accept)
        accept_at = opening.response.find((<char *>accept)[:FLIN_HANDSHAKE_ACCEPT_SIZE])
        if accept_at < 0:
            return False
        known._keep_response(opening.response, accept_at)
        known._rest = _without_key(data, known._key_at, end)
        known._endpoint = opening.endpoint
        known._renew = renew
        known._protocol = opening.protocol
        known._compression = _compression(opening.deflate, opening.deflate_output)
        if self._program.epoch is not self._epoch:
            self._epoch = self._program.epoch
            self._by_rest.clear()
        if len(self._by_rest) >= self._heads_max:
            del self._by_rest[next(iter(self._by_rest))]
        self._by_rest[known._rest] = known
        self._last = None
        return True

    def answers(self, bytes data not None):
        return self._find(
            <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)) is not None

    cdef _KnownUpgrade _find(self, const uint8_t *data, size_t size):
        """The upgrade that bytes begin with, None when it has to be decided."""
        cdef _KnownUpgrade known = self._last
        if not self.is_open or self._program.epoch is not self._epoch:
            return None
        if known is not None and flin_handshake_repeats(
                data, size, <const uint8_t *>PyBytes_AS_STRING(known._rest),
                PyBytes_GET_SIZE(known._rest), known._key_at):
            return known
        known = self._look_up(data, size)
        if known is not None:
            self._last = known
        return known

    cdef _KnownUpgrade _look_up(self, const uint8_t *data, size_t size):
        cdef size_t end = 0
        cdef size_t at = flin_handshake_find_key(data, size, &end)
        if at == 0 or not flin_handshake_key_is_valid(data + at):
            return None
        return self._by_rest.get(_without_key(data, at, end))


cdef bytes _without_key(const uint8_t *data, size_t at, size_t end):
    """A head of `end` bytes without the key that stands at an offset."""
    cdef size_t behind = at + FLIN_HANDSHAKE_KEY_SIZE
    cdef bytes rest = PyBytes_FromStringAndSize(NULL, end - FLIN_HANDSHAKE_KEY_SIZE)
    memcpy(PyBytes_AS_STRING(rest), data, at)
    memcpy(PyBytes_AS_STRING(rest) + at, data + behind, end - behind)
    return rest


@cython.final
@cython.freelist(64)
cdef class _Unseen:
    """An open connection of a known head, until something asks for the Connection (`_seen`)."""

    cdef _KnownUpgrade _known
    cdef int64_t _opened_ms
    cdef uint16_t _family      # of the peer's address
    cdef uint8_t[16] _address
