"""Connections, rooms and effects of one process, over the C core (csrc/flin_hub.h).

Documented in hub.pyi; split into the .pxi files included below. Invariants:
  1. conn.user is an owned reference to the Connection, from _adopt() to on_freed(); or to an _Unseen
     first, which _seen() replaces.
  2. Connection._conn is NULL before the handshake and after the slot was freed, and only then.
  3. Nothing is reaped while a handler runs (_dispatching, or an open log), so no slot goes away
     under one and `on close` nests in nothing.
  4. While the lock is released (_flush) no other thread may touch the core: what a garbage
     collector drops meanwhile goes to _orphans.
  5. A collector sees the references that the core owns (traverse_hub), so a hub nobody uses goes,
     whatever is open in it. Its __del__ then comes before anything it refers to is taken apart.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetObject, PyErr_WriteUnraisable
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.errno cimport EAGAIN, EINTR, ENOBUFS, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

cimport cython

from flinfast.native.hub_c cimport *

import os
import random
from collections import deque
from hmac import compare_digest

from msgspec.json import decode as _decode_json

from flinfast.errors import LocalProtocolError, RuntimeFault
from flinfast.native.deflate import Deflater, InflateLimitError, inflate

cdef extern from "<arpa/inet.h>":
    const char *inet_ntop(int family, const void *address, char *text, unsigned size)

cdef extern from "<sys/socket.h>":
    enum:
        AF_INET
        AF_INET6
        MSG_DONTWAIT
        MSG_NOSIGNAL
    Py_ssize_t send(int fd, const void *data, size_t size, int flags)

cdef extern from "Python.h":
    ctypedef int (*visitproc)(PyObject *, void *) noexcept
    ctypedef int (*traverseproc)(PyObject *, visitproc, void *) noexcept
    ctypedef struct PyTypeObject:
        traverseproc tp_traverse
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
    ROOM_NAME_MAX = 1 << 10
    LARGE_MIN = 16384       # FLIN_LARGE_PAYLOAD_MIN: from here on bytes are shared, not copied
    POLL_AGAIN_MIN = 8      # events of a round after which more have probably come meanwhile
    ADDRESSES_MAX = 4096    # texts of peers' addresses that are kept
    DRAIN_PERIOD_MS = 50    # between two batches of a drain, give or take half
    ANSWERS_SIZE = 65536    # bytes of answers that leave in one write
    KNOWN_TURN_MAX = 16     # known requests of one stream answered before others get their turn
    SLOW_NS = 50000000      # a handler that took longer is told of, nanoseconds

CONNECTION_ID_PREFIX = "ws_"
cdef tuple EVENTS = ("connect", "message", "close")
cdef object _deflater = Deflater()


cdef int _event_bits(object names) except -1:
    cdef int bits = 0
    for name in names:
        bits |= 1 << EVENTS.index(name)
    return bits


cdef inline flin_compression _compression(bint is_agreed, bint sends) noexcept:
    if not is_agreed:
        return FLIN_COMPRESSION_NONE
    return FLIN_COMPRESSION_BOTH if sends else FLIN_COMPRESSION_RECEIVE


cdef inline int64_t _unix_ms() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000


cdef str _address_text(dict known, int family, const uint8_t *address):
    """The text of a peer's address, "" for a Unix socket's; equal ones are one object."""
    cdef bytes key
    cdef char[46] text
    if family != AF_INET and family != AF_INET6:
        return ""
    key = PyBytes_FromStringAndSize(<const char *>address, 4 if family == AF_INET else 16)
    found = known.get(key)
    if found is None:
        if len(known) >= ADDRESSES_MAX:
            known.clear()
        inet_ntop(family, <const void *>address, text, sizeof(text))
        found = known[key] = (<const char *>text).decode("ascii")
    return found

include "hub_message.pxi"
include "hub_connection.pxi"
include "hub_turn.pxi"
include "hub_repeat.pxi"
include "hub_upgrade.pxi"
include "hub_stream.pxi"
include "hub_effect.pxi"


# --- callbacks of the core: nothing may leave them

cdef c_bool on_message(void *user, flin_conn *conn, flin_message_event *event) noexcept:
    try:
        return (<Hub>user)._receive(conn, event)
    except BaseException as error:  # no memory for the message
        (<Hub>user)._tell_of(conn, "message", error)
        flin_conn_lost(&(<Hub>user)._core, conn, True)
        return True


cdef c_bool on_closed(void *user, flin_conn *conn) noexcept:
    return (<Hub>user)._end(conn)


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
    cdef object owned = <object>conn.user
    cdef Connection connection
    if type(owned) is not _Unseen:
        connection = <Connection>conn.user
        connection._close_reason = connection.close_reason
        connection._close_code = conn.close_code
        connection._messages_in = conn.messages_in
        connection._messages_out = flin_conn_messages_out(&(<Hub>user)._core, conn)
        connection._conn = NULL
        connection._transport = None
    conn.user = NULL
    Py_DECREF(owned)


cdef void on_channel_dropped(void *channel) noexcept:
    cdef Stream stream = <Stream>channel
    try:
        stream._let_go()
    except BaseException as error:
        _write_unraisable(stream, error)
    stream._protocol = None


# --- what a collector sees

cdef struct visit_context:
    visitproc visit
    void *argument


cdef int visit_user(void *user, void *context) noexcept:
    return (<visit_context *>context).visit(<PyObject *>user, (<visit_context *>context).argument)


cdef traverseproc traverse_fields = (<PyTypeObject *>Hub).tp_traverse


cdef int traverse_hub(PyObject *hub, visitproc visit, void *argument) noexcept:
    """What Cython wrote for the fields, and then the references that the core owns."""
    cdef visit_context context
    cdef int result = traverse_fields(hub, visit, argument)
    if result == 0:
        context.visit = visit
        context.argument = argument
        result = flin_hub_visit_users(&(<Hub>hub)._core, visit_user, &context)
    return result


(<PyTypeObject *>Hub).tp_traverse = traverse_hub


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
