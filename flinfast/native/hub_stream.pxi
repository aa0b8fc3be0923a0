# Part of hub.pyx: sockets that the reactor accepts, and plain byte streams over them.


@cython.final
@cython.freelist(64)
cdef class Stream:
    """See hub.pyi. Alive while its channel is (the channel owns a reference)."""

    cdef _Turns _hub
    cdef uint64_t _id          # of the channel; 0 when it is gone
    cdef object _protocol
    cdef object _unsent        # deque of bytes, None before the kernel first refused some
    cdef size_t _offset        # sent bytes of the first of them
    cdef size_t _unsent_bytes
    cdef size_t _high, _low
    cdef bint _is_closing, _is_blocked, _ends, _has_ended
    cdef uint8_t _interest
    cdef object _peer
    cdef Known _known          # the protocol expects nothing but this, or anything else

    def __init__(self):
        raise TypeError("streams come from listeners")

    # --- what a protocol asks of its transport

    def get_extra_info(self, name, default=None):
        return self._peer if name == "peername" else default

    def fileno(self):
        return -1 if self._id == 0 else self._fd()

    def is_closing(self):
        return self._is_closing

    def can_write_eof(self):
        return True

    def get_write_buffer_size(self):
        return self._unsent_bytes

    def set_write_buffer_limits(self, high=None, low=None):
        self._high = 65536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def pause_reading(self):
        self._watch(self._interest & ~FLIN_INTEREST_READ)

    def resume_reading(self):
        if not self._is_closing and not self._has_ended:
            self._watch(self._interest | FLIN_INTEREST_READ)

    def write(self, data):
        cdef bytes owned = data if type(data) is bytes else bytes(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(owned)
        cdef Py_ssize_t sent = 0
        if self._is_closing or self._ends or size == 0:
            return
        if self._unsent_bytes == 0:
            sent = self._send(PyBytes_AS_STRING(owned), size)
        if sent >= 0 and sent < size:
            self._keep(owned, sent)

    cdef int _keep(self, bytes owned, Py_ssize_t sent) except -1:
        """Queue what the kernel has not taken of some output."""
        if self._unsent_bytes == 0:
            self._offset = sent
        if self._unsent is None:
            self._unsent = deque()
        self._unsent.append(owned)
        self._unsent_bytes += PyBytes_GET_SIZE(owned) - sent
        self._watch(self._interest | FLIN_INTEREST_WRITE)
        if self._unsent_bytes > self._high and not self._is_blocked:
            self._is_blocked = True
            self._protocol.pause_writing()
        return 0

    def expect(self, Known known):
        self._known = known

    def write_eof(self):
        if self._is_closing or self._ends:
            return
        self._ends = True
        if self._unsent_bytes == 0:
            flin_socket_shut(self._fd())

    def close(self):
        if self._is_closing:
            return
        self._is_closing = True
        if self._unsent_bytes == 0:
            self._finish(None, False)
        else:
            self._watch(FLIN_INTEREST_WRITE)

    def abort(self):
        """What the peer has not read is thrown away; it is told so if there is any."""
        self._finish(None, self._unsent_bytes > 0)

    # --- what the reactor tells

    cdef int _fd(self) noexcept:
        return flin_channel_find(&self._hub._core, self._id).fd

    cdef int _watch(self, uint8_t interest) except -1:
        if self._id != 0 and interest != self._interest:
            self._interest = interest
            if flin_channel_watch(&self._hub._core, self._id, interest) < 0:
                self._finish(OSError(errno, os.strerror(errno)), True)
        return 0

    cdef Py_ssize_t _send(self, const char *data, Py_ssize_t size) except -2:
        """Bytes the kernel took; -1 when the connection is gone."""
        cdef Py_ssize_t sent = send(self._fd(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent >= 0:
            self._hub._core.stats.bytes_out += sent
            return sent
        if errno in (EAGAIN, EINTR, ENOBUFS):
            return 0
        self._finish(OSError(errno, os.strerror(errno)), False)
        return -1

    cdef int _receive(self, const uint8_t *data, size_t size) except -1:
        if self._is_closing:
            return 0
        self._hub._core.stats.bytes_in += size
        if size > 0 and self._known is not None:
            self._receive_known(data, size)
        elif size > 0:
            self._protocol.data_received(PyBytes_FromStringAndSize(<const char *>data, size))
        elif self._protocol.eof_received():
            self._has_ended = True
            self._watch(self._interest & ~FLIN_INTEREST_READ)
        else:
            self.close()
        return 0

    cdef int _receive_known(self, const uint8_t *data, size_t size) except -1:
        """Answer known requests; whatever else came is the protocol's."""
        cdef Known known = self._known
        cdef Answers answers = known._answers
        cdef object protocol = self._protocol
        cdef size_t known_size = PyBytes_GET_SIZE(known.raw)
        cdef size_t used = 0
        cdef unsigned left = 0
        cdef bytes body, rest
        if self._unsent_bytes == 0 and not self._ends and known._holds():
            left = flin_reply_repeats(data, size,
                                      <const uint8_t *>PyBytes_AS_STRING(known.raw), known_size,
                                      KNOWN_TURN_MAX)
        if left > 0:
            answers._begin()
            protocol.deadline = answers.deadline
        while left > 0 and not self._is_blocked and not self._is_closing:
            left -= 1
            used += known_size
            body = known._run(protocol)
            if body is None:
                break
            if not answers._add(body):
                self._send_answers(answers)
                if not answers._add(body):
                    self.write(answers._whole(body))
        if answers._used > 0:
            self._send_answers(answers)
        if used == size and not known._is_pending:
            return 0
        self._known = None
        rest = PyBytes_FromStringAndSize(<const char *>data + used, size - used)
        if known._is_pending:
            known._give(protocol)
        if rest and not self._is_closing:
            self._known = None
            protocol.data_received(rest)
        return 0

    cdef int _send_answers(self, Answers answers) except -1:
        """Write what the buffer holds."""
        cdef const char *data = <const char *>answers._buffer
        cdef Py_ssize_t size = answers._used
        cdef Py_ssize_t sent = 0
        answers._used = 0
        if self._is_closing:
            return 0
        if self._unsent_bytes == 0:
            sent = self._send(data, size)
        if sent >= 0 and sent < size:
            self._keep(PyBytes_FromStringAndSize(data + sent, size - sent), 0)
        return 0

    cdef int _go_on(self) except -1:
        """There is room for output."""
        cdef bytes first
        cdef Py_ssize_t size, sent
        while self._unsent_bytes > 0:
            first = self._unsent[0]
            size = PyBytes_GET_SIZE(first) - self._offset
            sent = self._send(PyBytes_AS_STRING(first) + self._offset, size)
            if sent < 0:
                return 0
            self._unsent_bytes -= sent
            self._offset += sent
            if sent < size:
                break
            self._unsent.popleft()
            self._offset = 0
        if self._unsent_bytes == 0:
            if self._is_closing:
                return self._finish(None, False)
            self._watch(self._interest & ~FLIN_INTEREST_WRITE)
            if self._ends and self._id != 0:
                flin_socket_shut(self._fd())
        if self._is_blocked and self._unsent_bytes <= self._low and not self._is_closing:
            self._is_blocked = False
            self._protocol.resume_writing()
        return 0

    cdef int _finish(self, object error, bint reset) except -1:
        """Close the socket; connection_lost() follows in a turn of its own."""
        if self._id == 0:
            return 0
        self._is_closing = True
        flin_channel_close(&self._hub._core, self._id, reset)
        self._let_go()
        protocol, self._protocol = self._protocol, None
        if self._hub._loop is not None:
            self._hub._loop.call_soon(protocol.connection_lost, error)
        return 0

    cdef int _let_go(self) except -1:
        """The channel is gone, and with it its reference; the caller holds one of its own."""
        self._id = 0
        self._is_closing = True
        self._unsent = None
        self._unsent_bytes = 0
        Py_DECREF(self)
        return 0


cdef class _Streams(_Turns):
    """The part of the hub that accepts sockets."""

    cdef object _make_protocol, _on_fault
    cdef KnownUpgrades _known

    def listen(self, int fd, make_protocol, on_fault, KnownUpgrades known=None):
        cdef flin_channel_callbacks callbacks
        callbacks.first = on_channel_first
        callbacks.received = on_channel_received
        callbacks.writable = on_channel_writable
        callbacks.lost = on_channel_lost
        callbacks.accept_failed = on_accept_failed
        self._tick()
        self._make_protocol = make_protocol
        self._on_fault = on_fault
        self._known = known
        if flin_channel_listen(&self._core, fd, &callbacks) < 0:
            raise OSError(errno, os.strerror(errno))

    def unlisten(self, int fd):
        flin_channel_unlisten(&self._core, fd)

    def sweep_accepted(self, fresh_s):
        self._tick()
        flin_channel_sweep(&self._core, <uint32_t>(fresh_s * 1000))

    def close_accepted(self):
        flin_channel_close_fresh(&self._core)

    @property
    def accepted_count(self):
        return self._core.channels.fresh_count

    cdef int _first(self, uint64_t number, const uint8_t *data, size_t size) except -1:
        """The first bytes of an accepted socket: a known upgrade, or a protocol's."""
        cdef flin_channel *channel
        cdef _KnownUpgrade known = None if self._known is None else self._known._find(data, size)
        cdef str address
        cdef int port
        cdef bytes first
        cdef Stream stream
        if known is not None:
            return self._open_known(number, known, data, size)
        channel = flin_channel_find(&self._core, number)
        address = _address_text(self._addresses, channel.family, channel.address)
        port = channel.port
        first = PyBytes_FromStringAndSize(<const char *>data, size)
        protocol = self._make_protocol()
        if flin_channel_find(&self._core, number) is NULL:
            return 0  # closed meanwhile, as by close_accepted()
        stream = Stream.__new__(Stream)
        stream._hub = self
        stream._id = number
        stream._protocol = protocol
        stream._interest = FLIN_INTEREST_READ
        stream._high = 65536
        stream._low = 16384
        stream._peer = (address, port) if address else ""
        flin_channel_attach(&self._core, number, <void *>stream)
        Py_INCREF(stream)
        protocol.connection_made(stream)
        stream._receive(<const uint8_t *>PyBytes_AS_STRING(first), size)
        return 0

    cdef int _open_known(self, uint64_t number, _KnownUpgrade known, const uint8_t *data,
                         size_t size) except -1:
        """Open the WebSocket that the first bytes of a socket ask for."""
        cdef Endpoint endpoint = known._endpoint
        cdef _Unseen unseen = _Unseen.__new__(_Unseen)
        cdef flin_channel *channel = flin_channel_find(&self._core, number)
        cdef size_t end = PyBytes_GET_SIZE(known._rest) + FLIN_HANDSHAKE_KEY_SIZE
        cdef bytes early = None
        cdef flin_conn *conn
        self._check_endpoint(endpoint)
        if end < size:
            early = PyBytes_FromStringAndSize(<const char *>data + end, size - end)
        unseen._known = known
        unseen._opened_ms = _unix_ms()
        unseen._family = channel.family
        memcpy(unseen._address, channel.address, sizeof(unseen._address))
        flin_handshake_accept(data + known._key_at, known._response + known._accept_at)
        conn = flin_channel_upgrade(
            &self._core, number, &endpoint._core, <void *>unseen, known._compression)
        if conn is NULL:
            raise OSError(errno, os.strerror(errno))
        Py_INCREF(unseen)
        self._known.count += 1
        self._core.stats.bytes_in += end
        self._answer(conn, endpoint, known._response, known._response_size)
        if self._known._on_opened is None and endpoint._spares(EVENT_CONNECT):
            return self._start(conn, None, early)
        try:
            address = _address_text(self._addresses, unseen._family, unseen._address)
            return self._start(conn, self._seen_opened(conn, address), early)
        except BaseException:
            flin_conn_lost(&self._core, conn, True)
            flin_conn_handler_done(&self._core, conn)
            raise

    cdef Connection _seen_opened(self, flin_conn *conn, str address):
        """The connection of a slot that has just been opened, of which the server may be told."""
        cdef uint64_t start_ns = flin_clock_ns()
        cdef Connection connection = self._seen(conn)
        if self._known._on_opened is not None:
            self._known._on_opened(connection, address, (flin_clock_ns() - start_ns) / 1e9)
        return connection

    cdef int _open_channel(self, uint64_t number, Opening opening, Stream stream) except -1:
        cdef flin_conn *conn
        cdef Connection connection = opening.connection
        cdef Endpoint endpoint = opening.endpoint
        self._check_new(connection, endpoint)
        conn = flin_channel_upgrade(&self._core, number, &endpoint._core, <void *>connection,
                                    _compression(opening.deflate, opening.deflate_output))
        if conn is NULL:
            raise OSError(errno, os.strerror(errno))
        if stream is not None:  # before anything that may fail: its channel is gone
            stream._let_go()
            stream._protocol = None
        self._adopt(connection, endpoint, conn, None, opening.response, opening.early,
                    opening.protocol)
        return 0

    def open_stream(self, Stream stream not None, Opening opening not None):
        if stream._id == 0 or stream._unsent_bytes > 0:
            raise RuntimeError("this stream is gone, or has output left")
        self._tick()
        self._open_channel(stream._id, opening, stream)

    cdef int _fault(self, str text, object error) noexcept:
        try:
            self._on_fault(text, error)
        except BaseException as failure:
            _write_unraisable(self, failure)
        return 0


@cython.final
@cython.freelist(64)
cdef class Opening:
    """See hub.pyi."""

    cdef readonly object connection, endpoint
    cdef readonly bytes response, early
    cdef readonly str protocol
    cdef readonly bint deflate, deflate_output

    def __init__(self, connection, endpoint, bytes response not None, bytes early=b"", str protocol="", bint deflate=False,
                 bint deflate_output=True):
        self.connection = connection
        self.endpoint = endpoint
        self.response = response
        self.early = early
        self.protocol = protocol
        self.deflate = deflate
        self.deflate_output = deflate_output


# --- callbacks of channels: nothing may leave them

cdef void on_channel_first(void *user, uint64_t number, uint8_t *data, size_t size) noexcept:
    cdef _Streams hub = <_Streams>user
    try:
        hub._first(number, data, size)
    except BaseException as error:
        hub._fault("a connection could not be opened", error)
        if flin_channel_find(&hub._core, number) is not NULL:
            _drop_channel(hub, number)


cdef int _drop_channel(_Streams hub, uint64_t number) noexcept:
    """Close a channel whose protocol has failed."""
    cdef flin_channel *channel = flin_channel_find(&hub._core, number)
    cdef Stream stream
    try:
        if channel.state == FLIN_CHANNEL_OPEN:
            stream = <Stream>channel.user  # ours: _finish() gives up the channel's reference
            stream._finish(None, True)
        else:
            flin_channel_close(&hub._core, number, True)
    except BaseException as failure:
        _write_unraisable(hub, failure)
    return 0


cdef void on_channel_received(void *user, void *channel, uint8_t *data, size_t size) noexcept:
    cdef Stream stream = <Stream>channel
    try:
        stream._receive(data, size)
    except BaseException as error:
        _fail_stream(<_Streams>user, stream, error)


cdef void on_channel_writable(void *user, void *channel) noexcept:
    cdef Stream stream = <Stream>channel
    try:
        stream._go_on()
    except BaseException as error:
        _fail_stream(<_Streams>user, stream, error)


cdef void on_channel_lost(void *user, void *channel, int error) noexcept:
    cdef Stream stream = <Stream>channel
    try:
        stream._finish(OSError(error, os.strerror(error)), False)
    except BaseException as failure:
        _fail_stream(<_Streams>user, stream, failure)


cdef int _fail_stream(_Streams hub, Stream stream, object error) noexcept:
    hub._fault("a connection failed", error)
    if stream._id != 0:
        _drop_channel(hub, stream._id)
    return 0


cdef void on_accept_failed(void *user, int error) noexcept:
    (<_Streams>user)._fault("connections cannot be accepted for now",
                            OSError(error, os.strerror(error)))
