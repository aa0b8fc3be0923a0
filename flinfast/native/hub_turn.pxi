# Part of hub.pyx: time, turns of the loop, life of connections, calling handlers.


cdef class _Turns:
    """The part of the hub that the loop drives: turns, connections, handlers."""

    cdef flin_hub _core
    cdef bint _is_ready        # the core was initialised
    cdef object _encode, _clock_ms
    cdef object _loop, _sweep_timer, _flush_handle, _drain_timer
    cdef int _epoll_fd
    cdef int _depth            # of calls that settle by themselves when they end
    cdef int _dispatching      # handlers that are being called right now
    cdef bint _is_flushing     # the lock may be released
    cdef Py_ssize_t _held_count  # effects that were set aside and have not left
    cdef list _orphans         # addresses of held logs and rooms dropped while flushing
    cdef Message _spare        # of the last message, for the next
    cdef size_t _deflate_threshold
    cdef tuple _drain          # code, reason, per_second
    cdef dict _addresses       # texts of peers' addresses, so that their connections share them
    cdef object __weakref__

    def __cinit__(self):
        self._epoll_fd = -1
        self._orphans = []
        self._addresses = {}
        self._deflate_threshold = <size_t>-1

    def __init__(self, encode, *, heartbeat_s=15.0, timeout_s=30.0, close_s=5.0,
                 rooms_per_connection_max=1000, queue_bytes_total=256 << 20, clock_ms=None):
        cdef flin_hub_options options
        cdef flin_callbacks callbacks
        cdef bytes key = os.urandom(sizeof(flin_hash_key))
        if self._is_ready:
            raise RuntimeError("this hub exists already")
        memcpy(&options.key, PyBytes_AS_STRING(key), sizeof(flin_hash_key))
        options.heartbeat_ms = <uint32_t>(heartbeat_s * 1000)
        options.timeout_ms = <uint32_t>(timeout_s * 1000)
        options.close_ms = <uint32_t>(close_s * 1000)
        options.rooms_max = rooms_per_connection_max
        options.retained_max = queue_bytes_total
        callbacks.message = on_message
        callbacks.closed = on_closed
        callbacks.detach = on_detach
        callbacks.freed = on_freed
        if not flin_hub_init(&self._core, &options, &callbacks, <void *>self):
            raise MemoryError
        self._is_ready = True
        self._encode = encode
        self._clock_ms = clock_ms
        self._tick()

    def __dealloc__(self):
        if self._is_ready:
            flin_hub_free(&self._core)

    # --- time and turns

    cdef int _tick(self) except -1:
        cdef timespec now
        if self._clock_ms is not None:
            self._core.now_ms = <uint32_t>(<uint64_t>self._clock_ms())
        else:
            clock_gettime(CLOCK_MONOTONIC, &now)
            self._core.now_ms = <uint32_t>(<uint64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000)
        return 0

    def attach_loop(self, loop):
        if self._loop is not None:
            raise RuntimeError("the hub has a loop already")
        self._epoll_fd = flin_reactor_start(&self._core)
        if self._epoll_fd >= 0:
            loop.add_reader(self._epoll_fd, self._wake)
        self._loop = loop
        self._arm_sweep()

    def detach_loop(self):
        if self._loop is None:
            return
        if self._epoll_fd >= 0:
            self._loop.remove_reader(self._epoll_fd)
        for timer in (self._sweep_timer, self._flush_handle, self._drain_timer):
            if timer is not None:
                timer.cancel()
        self._sweep_timer = self._flush_handle = self._drain_timer = None
        self._loop = None

    cdef int _arm_sweep(self) except -1:
        if self._loop is not None and self._sweep_timer is None and self._core.slab.used_count > 0:
            self._sweep_timer = self._loop.call_later(1.0, self._on_sweep_timer)
        return 0

    def _on_sweep_timer(self):
        """Timers come before sockets: what peers sent in time is read before any is given up."""
        self._sweep_timer = None
        try:
            if self._epoll_fd >= 0:
                self._wake()
            self.sweep()
        finally:
            self._arm_sweep()

    def _wake(self):
        """The epoll set is readable: handle what is ready, in rounds, for a bounded time."""
        cdef uint64_t start = flin_clock_ns()
        cdef unsigned handled
        self._tick()
        self._depth += 1
        try:
            handled = POLL_AGAIN_MIN
            while handled >= POLL_AGAIN_MIN and flin_clock_ns() - start < FLIN_WAKE_NS:
                handled = flin_reactor_poll(&self._core)
                self._settle()
        finally:
            self._depth -= 1

    cdef int _schedule(self) except -1:
        """Have what was queued outside a wake leave at the end of this turn of the loop."""
        if self._depth == 0 and self._flush_handle is None and self._loop is not None:
            if flin_hub_has_work(&self._core):
                self._flush_handle = self._loop.call_soon(self._on_flush_handle)
        return 0

    def _on_flush_handle(self):
        self._flush_handle = None
        self.flush()

    cdef int _settle(self) except -1:
        """Write, close and call `on close` until there is nothing left to do."""
        self._depth += 1
        try:
            while flin_hub_has_work(&self._core):
                self._flush()
                if self._dispatching > 0 or self._core.log.state == FLIN_LOG_OPEN:
                    break
                flin_hub_reap(&self._core)
        finally:
            self._depth -= 1
        return 0

    cdef int _flush(self) except -1:
        cdef flin_conn *conn
        if self._is_flushing:
            return 0
        self._is_flushing = True
        with nogil:
            flin_hub_flush(&self._core)
        self._is_flushing = False
        if self._orphans:
            self._free_orphans()
        conn = flin_hub_next_transport(&self._core)
        while conn is not NULL:
            self._write_transport(conn)
            conn = flin_hub_next_transport(&self._core)
        return 0

    cdef int _write_transport(self, flin_conn *conn) except -1:
        cdef Connection connection = <Connection>conn.user
        cdef iovec vectors[FLIN_OUTPUT_VECTOR_MAX]
        cdef size_t total = 0
        cdef unsigned count, i
        cdef size_t outside
        cdef bint is_paused = (conn.interest & FLIN_INTEREST_READ) == 0
        transport = connection._transport
        try:
            if is_paused != connection._is_paused:
                connection._is_paused = is_paused
                transport.pause_reading() if is_paused else transport.resume_reading()
            outside = transport.get_write_buffer_size()
            while conn.segment_count > 0 and outside <= TRANSPORT_HIGH:
                count = flin_output_peek(conn, vectors, FLIN_OUTPUT_VECTOR_MAX, &total)
                data = b"".join([(<char *>vectors[i].iov_base)[:vectors[i].iov_len]
                                 for i in range(count)])
                flin_output_consume(&self._core, conn, total)
                self._core.stats.bytes_out += total
                transport.write(data)
                outside = transport.get_write_buffer_size()
        except Exception as error:
            self._tell(connection, "transport", error)
            flin_conn_lost(&self._core, conn, True)
            return 0
        flin_conn_flushed(&self._core, conn, outside > TRANSPORT_HIGH, outside)
        return 0

    def flush(self):
        self._tick()
        self._settle()

    def sweep(self):
        self._tick()
        flin_hub_sweep(&self._core)
        self._settle()

    # --- life of a connection

    cdef int _need_no_handler(self) except -1:
        if self._core.log.state == FLIN_LOG_OPEN or self._dispatching > 0:
            raise RuntimeError("a handler can neither open nor feed a connection")
        return 0

    cdef int _check_new(self, Connection connection, Endpoint endpoint) except -1:
        if connection._number != 0:
            raise RuntimeError("this connection has been opened already")
        return self._check_endpoint(endpoint)

    cdef int _check_endpoint(self, Endpoint endpoint) except -1:
        self._need_no_handler()
        if endpoint._hub is None:
            endpoint._hub = self
        elif endpoint._hub is not self:
            raise RuntimeError("this endpoint belongs to another hub")
        return 0

    cdef int _bind(self, Connection connection, flin_conn *conn, Endpoint endpoint, str protocol,
                   int64_t opened_ms) except -1:
        """Make a connection that of a slot."""
        Py_INCREF(connection)  # first of all: a collector counts on what the core refers to
        conn.user = <void *>connection
        connection._conn = conn
        connection._number = flin_conn_id(conn)
        connection._hub = self
        connection._endpoint = endpoint
        connection.protocol = protocol
        connection._opened_ms = opened_ms
        return 0

    cdef Connection _seen(self, flin_conn *conn):
        """The connection of a slot, made now if nobody has asked for it."""
        cdef Connection connection
        cdef _Unseen unseen
        if type(<object>conn.user) is not _Unseen:
            return <Connection>conn.user
        unseen = <_Unseen>conn.user
        connection = unseen._known._renew(
            _address_text(self._addresses, unseen._family, unseen._address))
        if connection._number != 0:
            raise RuntimeError("this connection has been opened already")
        self._bind(connection, conn, unseen._known._endpoint, unseen._known._protocol,
                   unseen._opened_ms)
        Py_DECREF(unseen)
        return connection

    cdef int _adopt(self, Connection connection, Endpoint endpoint, flin_conn *conn,
                    object transport, bytes response, bytes early, str protocol) except -1:
        self._bind(connection, conn, endpoint, protocol, _unix_ms())
        connection._transport = transport
        self._answer(conn, endpoint, <const uint8_t *>PyBytes_AS_STRING(response),
                     PyBytes_GET_SIZE(response))
        return self._start(conn, connection, early)

    cdef int _answer(self, flin_conn *conn, Endpoint endpoint, const uint8_t *response,
                     size_t size) except -1:
        """Queue the 101, if there is one."""
        if conn.flags & FLIN_CONN_DEFLATE:
            self._deflate_threshold = min(self._deflate_threshold, endpoint._deflate_threshold)
        if size > 0:
            flin_output_append_raw(&self._core, conn, response, size)
        return 0

    cdef int _start(self, flin_conn *conn, Connection connection, bytes early) except -1:
        """Run `on connect`, unless there is no connection to run it for; parse what came early."""
        self._depth += 1
        try:
            if connection is None or self._dispatch(
                    connection, EVENT_CONNECT, connection._endpoint._on_connect, None):
                flin_conn_handler_done(&self._core, conn)
            if early:
                self._feed(conn, early)
            flin_reactor_write_reply(&self._core, conn)
        finally:
            self._depth -= 1
        self._arm_sweep()
        self._schedule()
        return 0

    def open_fd(self, Connection connection not None, Endpoint endpoint not None, int fd, *,
                bytes response not None, bytes early=b"", str protocol="", bint deflate=False,
                bint deflate_output=True):
        cdef flin_conn *conn
        self._check_new(connection, endpoint)
        self._tick()
        conn = flin_reactor_open(&self._core, &endpoint._core, <void *>connection,
                                 _compression(deflate, deflate_output), fd)
        if conn is NULL:
            raise OSError(errno, os.strerror(errno))
        self._adopt(connection, endpoint, conn, None, response, early, protocol)

    def open_transport(self, Connection connection not None, Endpoint endpoint not None,
                       transport, *, bytes response not None, bytes early=b"", str protocol="",
                       bint deflate=False, bint deflate_output=True):
        cdef flin_conn *conn
        self._check_new(connection, endpoint)
        self._tick()
        # Stalls here and pauses there must come in pairs: only a pause is followed by writable().
        transport.set_write_buffer_limits(high=TRANSPORT_HIGH, low=TRANSPORT_HIGH // 4)
        conn = flin_hub_open(&self._core, &endpoint._core, <void *>connection,
                             _compression(deflate, deflate_output))
        if conn is NULL:
            raise MemoryError
        self._adopt(connection, endpoint, conn, transport, response, early, protocol)

    cdef int _feed(self, flin_conn *conn, bytes data) except -1:
        """Parse in the shared buffer, which may be written to; `data` may not."""
        cdef Py_ssize_t offset = 0, size = len(data), piece
        while offset < size:
            piece = min(size - offset, FLIN_RECEIVE_SIZE)
            memcpy(self._core.receive, PyBytes_AS_STRING(data) + offset, piece)
            flin_conn_feed(&self._core, conn, self._core.receive, piece)
            offset += piece
        return 0

    def feed(self, Connection connection not None, data):
        cdef bytes owned = data if type(data) is bytes else bytes(data)
        self._need_no_handler()
        if connection._conn is NULL:
            return
        self._tick()
        self._depth += 1
        try:
            self._feed(connection._conn, owned)
        finally:
            self._depth -= 1
        self._schedule()

    def eof(self, Connection connection not None):
        if connection._conn is not NULL:
            flin_conn_feed_end(&self._core, connection._conn)
            self._schedule()

    def lost(self, Connection connection not None):
        if connection._conn is not NULL:
            flin_conn_lost(&self._core, connection._conn, True)
            self._schedule()

    def writable(self, Connection connection not None):
        if connection._conn is not NULL:
            flin_output_mark_dirty(&self._core, connection._conn)
            self._schedule()

    def handler_done(self, Connection connection not None):
        if connection._conn is NULL:
            return
        self._depth += 1
        try:
            connection.received = None
            flin_conn_handler_done(&self._core, connection._conn)
        finally:
            self._depth -= 1
        self._schedule()

    # --- handlers

    cdef bint _dispatch(self, Connection connection, int event, object closure,
                        Message message) noexcept:
        """Run one handler; whether it has finished. Whatever it raises ends here."""
        cdef Endpoint endpoint = connection._endpoint
        cdef bint is_finished = True
        if closure is None:
            return True
        self._dispatching += 1
        try:
            if endpoint._direct & event or endpoint._runner is None:
                if not flin_log_begin(&self._core, connection._conn):
                    raise RuntimeError("a handler left its effect log open")
                if message is None:
                    closure(connection)
                else:
                    closure(connection, message)
                flin_log_commit(&self._core)
            elif message is None:
                is_finished = endpoint._runner(EVENTS[event >> 1], closure, (connection,))
            else:
                is_finished = endpoint._runner(EVENTS[1], closure, (connection, message))
        except BaseException as error:
            if self._core.log.state == FLIN_LOG_OPEN:
                flin_log_rollback(&self._core)
            self._tell(connection, EVENTS[event >> 1], error)
            if event == EVENT_CONNECT and connection._conn is not NULL:
                flin_conn_close(&self._core, connection._conn, CLOSE_INTERNAL, NULL, 0)
            is_finished = True
        self._dispatching -= 1
        return is_finished

    cdef bint _end(self, flin_conn *conn) noexcept:
        """Run `on close`; whether it has finished."""
        cdef Connection connection
        cdef _Unseen unseen
        if type(<object>conn.user) is _Unseen:
            unseen = <_Unseen>conn.user
            if unseen._known._endpoint._spares(EVENT_CLOSE):
                return True
        try:
            connection = self._seen(conn)
        except BaseException as error:  # no memory for the connection
            self._tell_of(conn, "close", error)
            return True
        return self._dispatch(connection, EVENT_CLOSE, connection._endpoint._on_close, None)

    cdef int _tell_of(self, flin_conn *conn, str event, object error) noexcept:
        """Report what went wrong with a connection that may be unseen."""
        if type(<object>conn.user) is _Unseen:
            return _write_unraisable(<object>conn.user, error)
        return self._tell(<Connection>conn.user, event, error)

    cdef int _tell(self, Connection connection, str event, object error) noexcept:
        """Report what a handler or a transport raised; nothing leaves here either."""
        report = connection._endpoint._report
        if report is None:
            return _write_unraisable(connection, error)
        try:
            report(event, connection, error)
        except BaseException as failure:
            _write_unraisable(connection, failure)
        return 0

    cdef bytes _inflate(self, flin_conn *conn, flin_message_event *event):
        """Inflate a message, or fail its connection and return None."""
        cdef size_t size_max = conn.endpoint.limits[FLIN_CLASS_DEFLATE].message_bytes_max
        cdef flin_status status = FLIN_ERR_INFLATE
        cdef bytes payload
        try:
            payload = inflate((<char *>event.data)[:event.size], size_max)
            if event.opcode == FLIN_OPCODE_BINARY or flin_utf8_is_valid(
                    <const uint8_t *>PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload)):
                return payload
            status = FLIN_ERR_UTF8
        except InflateLimitError:
            status = FLIN_ERR_MESSAGE_SIZE
        except ValueError:
            status = FLIN_ERR_INFLATE
        flin_conn_fail(&self._core, conn, status)
        return None

    cdef bint _receive(self, flin_conn *conn, flin_message_event *event) except -1:
        cdef Connection connection = self._seen(conn)
        cdef Message message = self._spare
        cdef bytes payload = None
        cdef bint is_finished
        connection._has_spoken = True
        connection._spoken_ms = self._core.now_ms
        if connection._endpoint._on_message is None:
            return True
        if event.rsv1:
            payload = self._inflate(conn, event)
            if payload is None:
                return True
        if message is None:
            message = Message.__new__(Message)
        self._spare = None
        message._payload = payload
        message._buffer = NULL
        if payload is None:
            message._data = event.data
            message._size = event.size
            if event.size >= LARGE_MIN:
                message._buffer = flin_conn_take_message(&self._core, conn, event)
        else:
            message._data = <const uint8_t *>PyBytes_AS_STRING(payload)
            message._size = PyBytes_GET_SIZE(payload)
        message._is_text = event.opcode == FLIN_OPCODE_TEXT
        message._has_value = False
        connection.received = message
        is_finished = self._dispatch(
            connection, EVENT_MESSAGE, connection._endpoint._on_message, message)
        if is_finished:
            connection.received = None
        if Py_REFCNT(message) == 1:
            message._value = None
            message._payload = None
            self._spare = message
        else:
            message._own()  # somebody keeps it: the receive buffer is about to be reused
        if message._buffer is not NULL:
            flin_buffer_release(&self._core.pool, message._buffer)
            message._buffer = NULL
        return is_finished

    # --- what a collector drops

    cdef int _drop_log(self, flin_log *log) noexcept:
        self._held_count -= 1
        if self._is_flushing:
            self._orphans.append((True, <uintptr_t>log))
        else:
            flin_log_discard(&self._core, log)
        return 0

    cdef int _free_endpoint(self, flin_endpoint *endpoint) noexcept:
        if self._is_flushing:
            self._orphans.append((False, <uintptr_t>endpoint.room))
        else:
            flin_endpoint_unbind(&self._core, endpoint)
        return 0

    cdef int _free_orphans(self) except -1:
        cdef flin_endpoint endpoint
        orphans, self._orphans = self._orphans, []
        for is_log, address in orphans:
            if is_log:
                flin_log_discard(&self._core, <flin_log *><uintptr_t>address)
            else:
                endpoint.room = <flin_room *><uintptr_t>address
                flin_endpoint_unbind(&self._core, &endpoint)
        return 0
