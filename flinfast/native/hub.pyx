"""Connections, rooms and effects of one process, over the C core (csrc/flin_hub.h).

Documented in hub.pyi. Invariants:
  1. conn.user is an owned reference to the Connection, from _adopt() to on_freed().
  2. Connection._conn is NULL before the handshake and after the slot was freed, and only then.
  3. Nothing is reaped while a handler runs (_dispatching, or an open log), so no slot goes away
     under one and `on close` nests in nothing.
  4. While the lock is released (_flush) no other thread may touch the core: what a garbage
     collector drops meanwhile goes to _orphans.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetObject, PyErr_WriteUnraisable
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

cimport cython

from flinfast.native.hub_c cimport *

import os
import random
from hmac import compare_digest

from msgspec.json import decode as _decode_json

from flinfast.errors import LocalProtocolError, RuntimeFault
from flinfast.native.deflate import Deflater, InflateLimitError, inflate

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    Py_ssize_t Py_REFCNT(object value)

cdef enum:
    ID_SIZE = 43            # prefix, 16 digits of number, 24 of proof
    ID_PROOF_SIZE = 12      # bytes: 96 bits
    EVENT_CONNECT = 1
    EVENT_MESSAGE = 2
    EVENT_CLOSE = 4
    CLOSE_INTERNAL = 1011   # a handler failed (RFC 6455 section 7.4.1)
    TRANSPORT_HIGH = 65536  # bytes a transport may hold before further output waits here
    ROOM_NAME_MAX = 1 << 20
    LARGE_MIN = 16384       # FLIN_LARGE_PAYLOAD_MIN: from here on bytes are shared, not copied
    DRAIN_PERIOD_MS = 50    # between two batches of a drain, give or take half

CONNECTION_ID_PREFIX = "ws_"
cdef tuple EVENTS = ("connect", "message", "close")
cdef object _deflater = Deflater()


cdef int _event_bits(object names) except -1:
    cdef int bits = 0
    for name in names:
        bits |= 1 << EVENTS.index(name)
    return bits


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


cdef class Connection:
    """See hub.pyi."""

    cdef flin_conn *_conn
    cdef uint64_t _number      # slot and generation; 0 before the handshake
    cdef Hub _hub
    cdef Endpoint _endpoint
    cdef object _transport
    cdef readonly str protocol
    cdef str _id
    cdef str _close_reason
    cdef int64_t _opened_ms
    cdef uint16_t _close_code
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
    def rooms(self):
        return [] if self._conn is NULL else self._hub._rooms_of(self._conn)

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
    cdef bint _has_deflate
    cdef size_t _deflate_threshold

    def __init__(self, *, path, on_connect=None, on_message=None, on_close=None, direct=(),
                 runner=None, report=None, implicit_room=False, message_bytes_max=1 << 20,
                 queue_bytes_soft=64 << 10, queue_bytes_hard=1 << 20, stall_s=10.0,
                 deflate=False, deflate_threshold=1024):
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
                  implicit_room=implicit_room)

    def __dealloc__(self):
        if self._hub is not None:
            self._hub._free_endpoint(&self._core)

    def swap(self, *, on_connect, on_message, on_close, direct, implicit_room):
        cdef int bits = _event_bits(direct)
        self._on_connect = on_connect
        self._on_message = on_message
        self._on_close = on_close
        self._direct = bits
        self._core.is_implicit = implicit_room

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
        return log


cdef class Hub:
    """See hub.pyi."""

    cdef flin_hub _core
    cdef bint _is_ready        # the core was initialised
    cdef object _encode, _clock_ms
    cdef object _loop, _sweep_timer, _flush_handle, _drain_timer
    cdef int _epoll_fd
    cdef int _depth            # of calls that settle by themselves when they end
    cdef int _dispatching      # handlers that are being called right now
    cdef bint _is_flushing     # the lock may be released
    cdef list _orphans         # addresses of held logs and rooms dropped while flushing
    cdef Message _spare        # of the last message, for the next
    cdef size_t _deflate_threshold
    cdef tuple _drain          # code, reason, per_second
    cdef object __weakref__

    def __cinit__(self):
        self._epoll_fd = -1
        self._orphans = []
        self._deflate_threshold = <size_t>-1

    def __init__(self, encode, *, heartbeat_s=15.0, timeout_s=30.0, close_s=5.0,
                 rooms_per_connection_max=1000, clock_ms=None):
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

    # --- time and turns ---------------------------------------------------------------------------

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
        self._sweep_timer = None
        try:
            self.sweep()
        finally:
            self._arm_sweep()

    def _wake(self):
        """The epoll set is readable: handle what is ready, in rounds, for a bounded time."""
        cdef uint64_t start = flin_clock_ns()
        self._tick()
        self._depth += 1
        try:
            while flin_reactor_poll(&self._core) > 0:
                self._settle()
                if flin_clock_ns() - start >= FLIN_WAKE_NS:
                    break
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
        cdef bint is_stalled = False
        cdef bint is_paused = (conn.interest & FLIN_INTEREST_READ) == 0
        transport = connection._transport
        try:
            if is_paused != connection._is_paused:
                connection._is_paused = is_paused
                transport.pause_reading() if is_paused else transport.resume_reading()
            while conn.segment_count > 0 and not is_stalled:
                is_stalled = transport.get_write_buffer_size() > TRANSPORT_HIGH
                if is_stalled:
                    break
                count = flin_output_peek(conn, vectors, FLIN_OUTPUT_VECTOR_MAX, &total)
                data = b"".join([(<char *>vectors[i].iov_base)[:vectors[i].iov_len]
                                 for i in range(count)])
                flin_output_consume(&self._core, conn, total)
                self._core.stats.bytes_out += total
                transport.write(data)
        except Exception as error:
            self._tell(connection, "transport", error)
            flin_conn_lost(&self._core, conn, True)
            return 0
        flin_conn_flushed(&self._core, conn, is_stalled)
        return 0

    # --- life of a connection ---------------------------------------------------------------------

    cdef int _need_no_handler(self) except -1:
        if self._core.log.state == FLIN_LOG_OPEN or self._dispatching > 0:
            raise RuntimeError("a handler can neither open nor feed a connection")
        return 0

    cdef int _check_new(self, Connection connection, Endpoint endpoint) except -1:
        if connection._number != 0:
            raise RuntimeError("this connection has been opened already")
        self._need_no_handler()
        if endpoint._hub is None:
            endpoint._hub = self
        elif endpoint._hub is not self:
            raise RuntimeError("this endpoint belongs to another hub")
        return 0

    cdef int _adopt(self, Connection connection, Endpoint endpoint, flin_conn *conn,
                    object transport, bytes response, bytes early, str protocol) except -1:
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        connection._conn = conn
        connection._number = flin_conn_id(conn)
        connection._hub = self
        connection._endpoint = endpoint
        connection._transport = transport
        connection.protocol = protocol
        connection._opened_ms = <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000
        Py_INCREF(connection)
        if conn.flags & FLIN_CONN_DEFLATE:
            self._deflate_threshold = min(self._deflate_threshold, endpoint._deflate_threshold)
        self._depth += 1
        try:
            if response:
                flin_output_append_raw(&self._core, conn, response, len(response))
            if self._dispatch(connection, EVENT_CONNECT, endpoint._on_connect, None):
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
                bytes response not None, bytes early=b"", str protocol="", bint deflate=False):
        cdef flin_conn *conn
        self._check_new(connection, endpoint)
        self._tick()
        conn = flin_reactor_open(&self._core, &endpoint._core, <void *>connection, deflate, fd)
        if conn is NULL:
            raise OSError(errno, os.strerror(errno))
        self._adopt(connection, endpoint, conn, None, response, early, protocol)

    def open_transport(self, Connection connection not None, Endpoint endpoint not None,
                       transport, *, bytes response not None, bytes early=b"", str protocol="",
                       bint deflate=False):
        cdef flin_conn *conn
        self._check_new(connection, endpoint)
        self._tick()
        # Stalls here and pauses there must come in pairs: only a pause is followed by writable().
        transport.set_write_buffer_limits(high=TRANSPORT_HIGH, low=TRANSPORT_HIGH // 4)
        conn = flin_hub_open(&self._core, &endpoint._core, <void *>connection, deflate)
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
            flin_conn_handler_done(&self._core, connection._conn)
        finally:
            self._depth -= 1
        self._schedule()

    # --- handlers -----------------------------------------------------------------------------------

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
        cdef Connection connection = <Connection>conn.user
        cdef Message message = self._spare
        cdef bytes payload = None
        cdef bint is_finished
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
        is_finished = self._dispatch(
            connection, EVENT_MESSAGE, connection._endpoint._on_message, message)
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

    # --- effects of a handler -----------------------------------------------------------------------

    def begin(self, Connection current=None):
        if not flin_log_begin(&self._core, NULL if current is None else current._conn):
            raise RuntimeError("a handler is running already")

    cdef int _need_log(self) except -1:
        if self._core.log.state != FLIN_LOG_OPEN:
            raise RuntimeError("no handler is running")
        return 0

    def commit(self):
        self._need_log()
        flin_log_commit(&self._core)
        self._schedule()

    def rollback(self):
        self._need_log()
        flin_log_rollback(&self._core)

    def hold(self):
        cdef Held held = Held.__new__(Held)
        self._need_log()
        held._hub = self
        held._log = flin_log_hold(&self._core)
        if held._log is NULL:
            raise MemoryError
        return held

    def release(self, Held held not None):
        flin_log_release(&self._core, held._take(self))
        self._schedule()

    def discard(self, Held held not None):
        flin_log_discard(&self._core, held._take(self))
        self._schedule()

    @property
    def in_handler(self):
        return self._core.log.state == FLIN_LOG_OPEN

    cdef object _fill(self, object data, flin_payload *payload):
        """Describe what goes on the wire for a FLIN value; the result keeps the bytes alive."""
        cdef Py_ssize_t size = 0
        cdef Message message
        payload.twin = NULL
        payload.twin_size = 0
        payload.opcode = FLIN_OPCODE_TEXT
        payload.shared = NULL
        if type(data) is Message:
            message = <Message>data
            if not message._is_text:
                payload.opcode = FLIN_OPCODE_BINARY
            elif message._first_byte() == 34:  # a JSON string leaves unquoted, as any text does
                return self._fill(message.value, payload)
            payload.data = message._data
            payload.size = message._size
            payload.shared = message._buffer
            return data
        if isinstance(data, str):
            try:
                payload.data = <const uint8_t *>PyUnicode_AsUTF8AndSize(data, &size)
                payload.size = size
                return data
            except UnicodeEncodeError:  # lone surrogates have no UTF-8
                data = data.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        elif isinstance(data, bytes):
            payload.opcode = FLIN_OPCODE_BINARY
        else:
            data = self._encode(data)
            if not isinstance(data, bytes):
                raise TypeError(f"expected bytes from the encoder, got {type(data).__name__}")
        payload.data = <const uint8_t *>PyBytes_AS_STRING(data)
        payload.size = PyBytes_GET_SIZE(data)
        return data

    cdef object _fill_twin(self, flin_payload *payload, bint is_wanted):
        """Add the deflated form if anybody reads it and it saves a tenth."""
        cdef bytes twin
        if not is_wanted or payload.size < self._deflate_threshold:
            return None
        twin = _deflater.deflate((<char *>payload.data)[:payload.size])
        if PyBytes_GET_SIZE(twin) > <Py_ssize_t>(payload.size - payload.size // 10):
            return None
        payload.twin = <const uint8_t *>PyBytes_AS_STRING(twin)
        payload.twin_size = PyBytes_GET_SIZE(twin)
        return twin

    cdef flin_room *_find_room(self, str name) except? NULL:
        cdef Py_ssize_t size = 0
        cdef const char *text = PyUnicode_AsUTF8AndSize(name, &size)
        return flin_room_find(&self._core.rooms, text, size)

    cdef Py_ssize_t _publish(self, flin_effect_kind kind, flin_room *room, flin_conn *excluded,
                             object data, Py_ssize_t count) except -1:
        cdef flin_payload payload
        if count <= 0:
            return 0
        keep = self._fill(data, &payload)
        twin = self._fill_twin(&payload, self._core.all.class_count[FLIN_CLASS_DEFLATE] > 0)
        if not flin_log_publish(&self._core, kind, room, excluded, &payload):
            raise MemoryError
        return count

    cdef Py_ssize_t _count(self, flin_room *room) noexcept:
        """Members of a room as the running handler sees it."""
        cdef flin_conn *current = self._core.log.current
        cdef Py_ssize_t count = room.count
        if current is not NULL and current.state == FLIN_CONN_OPEN:
            if flin_log_has_pending(&self._core, current):
                count += flin_log_is_member(&self._core, current, room)
                count -= flin_room_membership(current, room) is not NULL
        return count

    cdef Py_ssize_t _broadcast(self, str name, object data, bint is_to_others) except -1:
        cdef flin_conn *current = self._core.log.current
        cdef flin_room *room
        cdef Py_ssize_t count = 0
        cdef uint32_t i
        self._need_log()
        room = self._find_room(name)
        if current is not NULL and current.endpoint.is_implicit:
            count = current.endpoint.room.count
            if is_to_others and current.state == FLIN_CONN_OPEN:
                count -= 1
            if room is not NULL:
                for i in range(room.count):
                    count += flin_slab_at(
                        &self._core.slab, room.members[i].slot).endpoint != current.endpoint
            return self._publish(FLIN_EFFECT_UNION, room, current if is_to_others else NULL,
                                 data, count)
        if room is NULL:
            return 0
        count = self._count(room)
        if is_to_others and current is not NULL and current.state == FLIN_CONN_OPEN:
            count -= flin_log_is_member(&self._core, current, room)
        return self._publish(FLIN_EFFECT_ROOM, room, current if is_to_others else NULL, data,
                             count)

    def send(self, str target not None, data):
        cdef flin_conn *conn = self._find_connection(target)
        cdef flin_room *room
        self._need_log()
        if conn is not NULL:
            return self._send(conn, data)
        room = self._find_room(target)
        return 0 if room is NULL else self._publish(
            FLIN_EFFECT_ROOM, room, NULL, data, self._count(room))

    cdef int _send(self, flin_conn *conn, object data) except -1:
        cdef flin_payload payload
        if conn is NULL or conn.state != FLIN_CONN_OPEN:
            return 0
        keep = self._fill(data, &payload)
        if conn.flags & FLIN_CONN_DEFLATE:
            twin = self._fill_twin(&payload, True)
        if not flin_log_send(&self._core, conn, &payload):
            raise MemoryError
        return 1

    def send_to(self, Connection connection not None, data):
        self._need_log()
        return self._send(connection._conn, data)

    def broadcast(self, str room not None, data):
        return self._broadcast(room, data, False)

    def broadcast_others(self, str room not None, data):
        return self._broadcast(room, data, True)

    def broadcast_all(self, data):
        self._need_log()
        return self._publish(FLIN_EFFECT_ALL, NULL, NULL, data, self._core.all.count)

    def join(self, Connection connection not None, str room not None):
        cdef flin_conn *conn = connection._conn
        cdef Py_ssize_t size = 0
        cdef const char *name = PyUnicode_AsUTF8AndSize(room, &size)
        cdef flin_room *found
        self._need_log()
        if conn is NULL or conn.state != FLIN_CONN_OPEN:
            return False
        if size > ROOM_NAME_MAX:
            raise RuntimeFault("a room name may have 1 MiB", code="FL520")
        found = flin_room_need(&self._core.rooms, name, size)
        if found is NULL:
            raise MemoryError
        try:
            if flin_log_is_member(&self._core, conn, found):
                return True
            if flin_log_room_count(&self._core, conn) >= self._core.options.rooms_max:
                raise RuntimeFault(
                    f"a connection may be in {self._core.options.rooms_max} rooms", code="FL520",
                    hint="leave rooms that are no longer needed, or raise ws.rooms_max")
            if not flin_log_membership(&self._core, FLIN_EFFECT_JOIN, conn, found):
                raise MemoryError
            return True
        finally:
            flin_room_release_if_idle(&self._core.rooms, found)

    def leave(self, Connection connection not None, str room not None):
        cdef flin_conn *conn = connection._conn
        cdef flin_room *found
        self._need_log()
        found = self._find_room(room)
        if found is NULL or conn is NULL or not flin_log_is_member(&self._core, conn, found):
            return False
        if not flin_log_membership(&self._core, FLIN_EFFECT_LEAVE, conn, found):
            raise MemoryError
        return True

    def close(self, Connection connection not None, int code, str reason not None):
        cdef bytes text = _close_reason(code, reason)
        self._need_log()
        if connection._conn is NULL:
            return
        if not flin_log_close(&self._core, connection._conn, code, text, len(text)):
            raise MemoryError

    # --- outside handlers -----------------------------------------------------------------------------

    def drop(self, Connection connection not None, int code, str reason not None):
        cdef bytes text = _close_reason(code, reason)
        if connection._conn is not NULL:
            flin_conn_close(&self._core, connection._conn, code, text, len(text))
            self._schedule()

    def drain(self, int code=1012, str reason="", *, int per_second=5000):
        _close_reason(code, reason)
        self._drain = (code, reason, max(per_second, 1))
        if self._drain_timer is None:
            self._drain_step()

    def _drain_step(self):
        """Close one batch, and come back for the next after a time that varies by half."""
        cdef uint32_t budget
        self._drain_timer = None
        code, reason, per_second = self._drain
        pause_ms = DRAIN_PERIOD_MS * (0.5 + random.random())
        budget = <uint32_t>-1 if self._loop is None else int(per_second * pause_ms / 1000) + 1
        while budget > 0 and self._core.all.count > 0:
            conn = flin_slab_at(&self._core.slab,
                                self._core.all.members[self._core.all.count - 1].slot)
            self.drop(<Connection>conn.user, code, reason)
            budget -= 1
        if self._core.all.count > 0:
            self._drain_timer = self._loop.call_later(pause_ms / 1000, self._drain_step)

    def abort_all(self):
        cdef flin_conn *conn
        cdef uint32_t slot
        for slot in range(self._core.slab.chunk_count * FLIN_CHUNK_COUNT):
            conn = flin_slab_at(&self._core.slab, slot)
            if conn.state != FLIN_CONN_FREE:
                flin_conn_lost(&self._core, conn, True)
        self._schedule()

    def flush(self):
        self._tick()
        self._settle()

    def sweep(self):
        self._tick()
        flin_hub_sweep(&self._core)
        self._settle()

    @property
    def connection_count(self):
        return self._core.slab.used_count

    @property
    def room_count(self):
        return self._core.rooms.occupied_count

    def room_size(self, str room not None):
        cdef flin_room *found = self._find_room(room)
        return 0 if found is NULL else found.count

    def room_connection_ids(self, str room not None):
        cdef flin_room *found = self._find_room(room)
        cdef uint32_t i
        ids = []
        if found is not NULL:
            for i in range(found.count):
                conn = flin_slab_at(&self._core.slab, found.members[i].slot)
                ids.append((<Connection>conn.user).connection_id)
        return ids

    def stats(self):
        counters = dict(self._core.stats)
        counters["queued_bytes"] = self._core.backlog_bytes
        return counters

    # --- ids and names ----------------------------------------------------------------------------------

    cdef str _make_id(self, uint64_t number):
        cdef uint8_t digest[16]
        cdef bytes name = number.to_bytes(8, "big")
        flin_hash_strong(&self._core.options.key, PyBytes_AS_STRING(name), 8, digest)
        return f"{CONNECTION_ID_PREFIX}{name.hex()}{(<char *>digest)[:ID_PROOF_SIZE].hex()}"

    cdef flin_conn *_find_connection(self, str target) except? NULL:
        """The connection with that id; room names never pass the proof."""
        cdef flin_conn *conn
        if len(target) != ID_SIZE or not target.startswith("ws_"):
            return NULL
        try:
            number = int(target[3:19], 16)
        except ValueError:
            return NULL
        conn = flin_slab_find(&self._core.slab, number)
        if conn is NULL or not compare_digest(self._make_id(number), target):
            return NULL
        return conn

    cdef list _rooms_of(self, flin_conn *conn):
        cdef uint32_t i
        joined = [
            (conn.memberships[i].sequence, <uintptr_t>conn.memberships[i].room)
            for i in range(conn.membership_count)
        ]
        rooms = {room: _room_name(<flin_room *><uintptr_t>room) for _, room in sorted(joined)}
        flin_log_visit(&self._core, conn, visit_room, <void *>rooms)
        return list(rooms.values())

    # --- what a collector drops -----------------------------------------------------------------------

    cdef int _drop_log(self, flin_log *log) noexcept:
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


# --- callbacks of the core: nothing may leave them --------------------------------------------------

cdef c_bool on_message(void *user, flin_conn *conn, flin_message_event *event) noexcept:
    try:
        return (<Hub>user)._receive(conn, event)
    except BaseException as error:  # no memory for the message
        (<Hub>user)._tell(<Connection>conn.user, "message", error)
        flin_conn_lost(&(<Hub>user)._core, conn, True)
        return True


cdef c_bool on_closed(void *user, flin_conn *conn) noexcept:
    cdef Connection connection = <Connection>conn.user
    return (<Hub>user)._dispatch(connection, EVENT_CLOSE, connection._endpoint._on_close, None)


cdef void on_detach(void *user, flin_conn *conn, c_bool reset) noexcept:
    cdef Connection connection = <Connection>conn.user
    try:
        if reset:
            connection._transport.abort()
        else:
            connection._transport.close()
    except Exception as error:
        (<Hub>user)._tell(connection, "transport", error)


cdef void on_freed(void *user, flin_conn *conn) noexcept:
    cdef Connection connection = <Connection>conn.user
    connection._close_reason = connection.close_reason
    connection._close_code = conn.close_code
    connection._conn = NULL
    connection._transport = None
    conn.user = NULL
    Py_DECREF(connection)


cdef void visit_room(void *context, const flin_room *room, c_bool is_join) noexcept:
    rooms = <dict>context
    key = <uintptr_t>room
    if is_join:
        rooms[key] = _room_name(room)
    else:
        rooms.pop(key, None)


cdef str _room_name(const flin_room *room):
    return PyUnicode_DecodeUTF8(room.name, room.name_size, NULL)


cdef bytes _close_reason(int code, str reason):
    if not 0 <= code <= 0xFFFF or not flin_frame_close_code_is_valid(code):
        raise LocalProtocolError(f"close code {code} may not be sent")
    return reason.encode("utf-8", "replace")


cdef int _write_unraisable(object connection, object error) noexcept:
    PyErr_SetObject(type(error), error)
    PyErr_WriteUnraisable(connection)
    return 0
