# Part of hub.pyx: what handlers and the rest of the server ask of the hub.


@cython.final
cdef class Hub(_Streams):
    """See hub.pyi."""

    def __del__(self):
        """Sockets that nobody uses any more are closed; their connections and streams are gone."""
        if self._is_ready:
            flin_hub_abandon(&self._core, on_channel_dropped)

    # --- effects of a handler

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
        self._held_count += 1
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

    cdef flin_room *_find_audience(self, str name) except? NULL:
        """The room of that name, which nobody need be in while effects are held.

        A handler that ran before this one may let somebody join, and its effects leave before.
        """
        cdef Py_ssize_t size = 0
        cdef const char *text = PyUnicode_AsUTF8AndSize(name, &size)
        cdef flin_room *room
        if self._held_count == 0 or size > ROOM_NAME_MAX:
            return flin_room_find(&self._core.rooms, text, size)
        room = flin_room_need(&self._core.rooms, text, size)
        if room is NULL:
            raise MemoryError
        return room

    cdef Py_ssize_t _publish_to(self, flin_effect_kind kind, flin_room *room, flin_conn *excluded,
                                object data, Py_ssize_t count, bint is_volatile) except -1:
        """_publish() to what _find_audience() gave, which may have nothing else that keeps it."""
        if room is NULL:
            return self._publish(kind, NULL, excluded, data, count, is_volatile)
        room.refs += 1
        try:
            return self._publish(kind, room, excluded, data, count, is_volatile)
        finally:
            room.refs -= 1
            flin_room_release_if_idle(&self._core.rooms, room)

    cdef Py_ssize_t _publish(self, flin_effect_kind kind, flin_room *room, flin_conn *excluded,
                             object data, Py_ssize_t count, bint is_volatile) except -1:
        cdef flin_payload payload
        if count <= 0 and self._held_count == 0:
            return 0
        keep = self._fill(data, &payload)
        payload.is_volatile = is_volatile
        twin = self._fill_twin(&payload, self._core.all.class_count[FLIN_CLASS_DEFLATE] > 0)
        if not flin_log_publish(&self._core, kind, room, excluded, &payload):
            raise MemoryError
        return max(count, 0)

    cdef Py_ssize_t _count(self, flin_room *room) noexcept:
        """Members of a room as the running handler sees it."""
        cdef flin_conn *current = self._core.log.current
        cdef Py_ssize_t count = room.count
        if current is not NULL and current.state == FLIN_CONN_OPEN:
            if flin_log_has_pending(&self._core, current):
                count += flin_log_is_member(&self._core, current, room)
                count -= flin_room_membership(current, room) is not NULL
        return count

    cdef Py_ssize_t _broadcast(self, str name, object data, bint is_to_others,
                               bint is_volatile) except -1:
        cdef flin_conn *current = self._core.log.current
        cdef flin_room *room
        cdef Py_ssize_t count = 0
        cdef uint32_t i
        self._need_log()
        room = self._find_audience(name)
        if current is not NULL and current.endpoint.is_implicit:
            count = current.endpoint.room.count
            if is_to_others and current.state == FLIN_CONN_OPEN:
                count -= 1
            if room is not NULL and room.count == 0 and self._held_count == 0:
                room = NULL  # kept by earlier effects only: nobody is in it
            if room is not NULL:
                for i in range(room.count):
                    count += flin_slab_at(
                        &self._core.slab, room.members[i].slot).endpoint != current.endpoint
            return self._publish_to(FLIN_EFFECT_UNION, room, current if is_to_others else NULL,
                                    data, count, is_volatile)
        if room is NULL:
            return 0
        count = self._count(room)
        if is_to_others and current is not NULL and current.state == FLIN_CONN_OPEN:
            count -= flin_log_is_member(&self._core, current, room)
        return self._publish_to(FLIN_EFFECT_ROOM, room, current if is_to_others else NULL, data,
                                count, is_volatile)

    def send(self, str target not None, data, bint volatile=False):
        cdef flin_conn *conn = self._find_connection(target)
        cdef flin_room *room
        self._need_log()
        if conn is not NULL:
            return self._send(conn, data, volatile)
        room = self._find_audience(target)
        return 0 if room is NULL else self._publish_to(
            FLIN_EFFECT_ROOM, room, NULL, data, self._count(room), volatile)

    cdef int _send(self, flin_conn *conn, object data, bint is_volatile) except -1:
        cdef flin_payload payload
        if conn is NULL or conn.state != FLIN_CONN_OPEN:
            return 0
        keep = self._fill(data, &payload)
        payload.is_volatile = is_volatile
        if conn.flags & FLIN_CONN_DEFLATE:
            twin = self._fill_twin(&payload, True)
        if not flin_log_send(&self._core, conn, &payload):
            raise MemoryError
        return 1

    def send_to(self, Connection connection not None, data):
        self._need_log()
        return self._send(connection._conn, data, False)

    def broadcast(self, str room not None, data, bint volatile=False):
        return self._broadcast(room, data, False, volatile)

    def broadcast_others(self, str room not None, data, bint volatile=False):
        return self._broadcast(room, data, True, volatile)

    def broadcast_all(self, data, bint volatile=False):
        self._need_log()
        return self._publish(FLIN_EFFECT_ALL, NULL, NULL, data, self._core.all.count, volatile)

    def join(self, Connection connection not None, str room not None):
        cdef flin_conn *conn = connection._conn
        cdef Py_ssize_t size = 0
        cdef const char *name = PyUnicode_AsUTF8AndSize(room, &size)
        cdef flin_room *found
        self._need_log()
        if conn is NULL or conn.state != FLIN_CONN_OPEN:
            return False
        if size > ROOM_NAME_MAX:
            raise RuntimeFault(f"a room name has at most {ROOM_NAME_MAX} bytes", code="FL520")
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

    # --- outside handlers

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
        cdef flin_conn *conn
        cdef bytes text
        self._drain_timer = None
        code, reason, per_second = self._drain
        text = _close_reason(code, reason)
        pause_ms = DRAIN_PERIOD_MS * (0.5 + random.random())
        budget = <uint32_t>-1 if self._loop is None else int(per_second * pause_ms / 1000) + 1
        while budget > 0 and self._core.all.count > 0:
            conn = flin_slab_at(&self._core.slab,
                                self._core.all.members[self._core.all.count - 1].slot)
            flin_conn_close(&self._core, conn, code, text, len(text))
            budget -= 1
        self._schedule()
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

    @property
    def connection_count(self):
        return self._core.slab.used_count

    @property
    def room_count(self):
        return self._core.rooms.occupied_count

    def room_size(self, str room not None):
        cdef flin_room *found = self._find_room(room)
        return 0 if found is NULL else self._count(found)

    def room_connection_ids(self, str room not None):
        cdef flin_room *found = self._find_room(room)
        cdef flin_conn *current = self._core.log.current
        cdef flin_conn *conn
        cdef uint32_t i
        cdef bint is_settled = (current is NULL or current.state != FLIN_CONN_OPEN
                                or not flin_log_has_pending(&self._core, current))
        ids = []
        if found is NULL:
            return ids
        for i in range(found.count):
            conn = flin_slab_at(&self._core.slab, found.members[i].slot)
            if is_settled or conn is not current:
                ids.append(self._seen(conn).connection_id)
        if not is_settled and flin_log_is_member(&self._core, current, found):
            ids.append(self._seen(current).connection_id)
        return ids

    def stats(self):
        counters = dict(self._core.stats)
        counters["queued_bytes"] = self._core.backlog_bytes
        counters["retained_bytes"] = self._core.pool.retained_bytes
        return counters

    # --- ids and names

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
