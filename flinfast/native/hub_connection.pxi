# Part of hub.pyx: what connections and endpoints are to Python.


cdef class Connection:
    """See hub.pyi."""

    cdef flin_conn *_conn
    cdef uint64_t _number      # slot and generation; 0 before the handshake
    cdef Hub _hub
    cdef Endpoint _endpoint
    cdef object _transport
    cdef readonly str protocol
    cdef readonly Message received
    cdef uint32_t _messages_in, _messages_out  # once the slot was freed
    cdef str _id
    cdef str _close_reason
    cdef int64_t _opened_ms
    cdef uint16_t _close_code
    cdef bint _has_spoken      # whether a message has come
    cdef uint32_t _spoken_ms   # the core's time of the last one
    cdef bint _is_paused       # what the transport was told about reading

    def __cinit__(self):
        self.protocol = ""
        self._close_reason = ""

    @property
    def connection_id(self):
        if self._id is None and self._number != 0:
            self._id = self._hub._make_id(self._number)
        return "" if self._id is None else self._id

    @property
    def is_open(self):
        return self._conn is not NULL and self._conn.state == FLIN_CONN_OPEN

    @property
    def messages_in(self):
        return self._messages_in if self._conn is NULL else self._conn.messages_in

    @property
    def messages_out(self):
        if self._conn is NULL:
            return self._messages_out
        return flin_conn_messages_out(&self._hub._core, self._conn)

    @property
    def close_code(self):
        return self._close_code if self._conn is NULL else self._conn.close_code

    @property
    def close_reason(self):
        if self._conn is not NULL and self._conn.extra is not NULL:
            return self._conn.extra.reason[:self._conn.extra.reason_size].decode(
                "utf-8", "replace")
        return self._close_reason

    @property
    def opened_ms(self):
        return self._opened_ms

    @property
    def silent_ms(self):
        if not self._has_spoken or self._hub is None:
            return -1
        return <uint32_t>(self._hub._core.now_ms - self._spoken_ms)

    @property
    def rooms(self):
        return self._hub._rooms_of(self._conn) if self.is_open else []

    @property
    def buffered_bytes(self):
        cdef size_t size = 0
        if self._conn is not NULL:
            size = flin_output_size(self._conn)
            if self._transport is not None:
                size += self._transport.get_write_buffer_size()
        return size


@cython.no_gc_clear  # __dealloc__ needs _hub
cdef class Endpoint:
    """See hub.pyi."""

    cdef flin_endpoint _core
    cdef Hub _hub              # of its first connection; owns the core's room
    cdef readonly str path
    cdef object _on_connect, _on_message, _on_close
    cdef object _runner, _report
    cdef int _direct           # EVENT_* bits
    cdef int _session_only     # EVENT_* bits
    cdef bint _has_deflate
    cdef size_t _deflate_threshold

    def __init__(self, *, path, on_connect=None, on_message=None, on_close=None, direct=(),
                 runner=None, report=None, implicit_room=False, message_bytes_max=1 << 20,
                 queue_bytes_soft=64 << 10, queue_bytes_hard=1 << 20, stall_s=10.0,
                 deflate=False, deflate_threshold=1024, session_only=()):
        cdef flin_message_limits limits
        limits.message_bytes_max = min(message_bytes_max, 1 << 30)
        limits.empty_fragments_max = FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX
        limits.sender = FLIN_ROLE_CLIENT
        limits.allow_rsv1 = False
        self._core.limits[FLIN_CLASS_PLAIN] = limits
        limits.allow_rsv1 = True
        self._core.limits[FLIN_CLASS_DEFLATE] = limits
        self._core.queue_soft = min(queue_bytes_soft, 1 << 30)
        self._core.queue_hard = min(queue_bytes_hard, 1 << 30)
        self._core.stall_ms = <uint32_t>(stall_s * 1000)
        self.path = path
        self._runner = runner
        self._report = report
        self._has_deflate = deflate
        self._deflate_threshold = deflate_threshold
        self.swap(on_connect=on_connect, on_message=on_message, on_close=on_close, direct=direct,
                  implicit_room=implicit_room, session_only=session_only)

    def __dealloc__(self):
        if self._hub is not None:
            self._hub._free_endpoint(&self._core)

    def swap(self, *, on_connect, on_message, on_close, direct, implicit_room, session_only=()):
        cdef int bits = _event_bits(direct)
        cdef int session_bits = _event_bits(session_only)
        self._on_connect = on_connect
        self._on_message = on_message
        self._on_close = on_close
        self._direct = bits
        self._session_only = session_bits
        self._core.is_implicit = implicit_room

    cdef bint _spares(self, int event) noexcept:
        """Whether an event of "connect" and "close" is nothing to an unseen connection."""
        return (self._session_only & event
                or (self._on_connect if event == EVENT_CONNECT else self._on_close) is None)

    @property
    def connection_count(self):
        return 0 if self._core.room is NULL else self._core.room.count


@cython.final
@cython.no_gc_clear  # __dealloc__ needs _hub
cdef class Held:
    """See hub.pyi. Dropped without release() or discard(), it counts as discarded."""

    cdef flin_log *_log
    cdef Hub _hub

    def __dealloc__(self):
        if self._log is not NULL:
            self._hub._drop_log(self._log)

    cdef flin_log *_take(self, Hub hub) except NULL:
        cdef flin_log *log = self._log
        if log is NULL or self._hub is not hub:
            raise RuntimeError("these effects are not held here")
        self._log = NULL
        hub._held_count -= 1
        return log
