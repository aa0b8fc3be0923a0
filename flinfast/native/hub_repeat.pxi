# Part of hub.pyx: requests that are known byte by byte, answered without a protocol's help.


@cython.final
cdef class Answers:
    """See hub.pyi. The buffer is used within one call only: nothing stays in it."""

    cdef public bint is_open
    cdef public object deadline
    cdef readonly uint64_t count
    cdef object _make_start
    cdef bytes _start          # of an answer, up to the value of its length
    cdef int64_t _second       # of the clock, for which _start holds
    cdef size_t _unchanged_max
    cdef bint _is_told
    cdef uint8_t *_buffer      # ANSWERS_SIZE bytes
    cdef size_t _used

    def __cinit__(self):
        self._buffer = <uint8_t *>malloc(ANSWERS_SIZE)
        if self._buffer is NULL:
            raise MemoryError

    def __init__(self, make_start, *, size_t unchanged_max, bint is_told):
        self._make_start = make_start
        self._unchanged_max = unchanged_max
        self._is_told = is_told
        self._second = -1
        self.is_open = True
        self.deadline = 0.0

    def __dealloc__(self):
        free(self._buffer)

    cdef int _begin(self) except -1:
        """Start a row of answers."""
        cdef timespec now
        clock_gettime(CLOCK_REALTIME, &now)
        if <int64_t>now.tv_sec != self._second:
            self._start = self._make_start(now.tv_sec)
            self._second = now.tv_sec
        self._used = 0
        return 0

    cdef bint _add(self, bytes body) noexcept:
        """Append an answer to the buffer; False when it does not fit."""
        cdef size_t written = flin_reply_write(
            self._buffer + self._used, ANSWERS_SIZE - self._used,
            <const uint8_t *>PyBytes_AS_STRING(self._start), PyBytes_GET_SIZE(self._start),
            <const uint8_t *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        self._used += written
        return written > 0

    cdef bytes _whole(self, bytes body):
        """An answer that does not fit into the buffer."""
        return b"%b%d\r\n\r\n%b" % (self._start, len(body), body)


@cython.final
cdef class Known:
    """See hub.pyi."""

    cdef Answers _answers
    cdef _Turns _hub
    cdef readonly bytes raw
    cdef object _program, _epoch, _kinds, _handler, _make_context, _encode
    cdef readonly object way
    cdef object _spare         # context of the last run, which nobody has seen
    cdef bint _is_pending      # a run has ended with what the protocol has to answer:
    cdef tuple _outcome        # context, value, error
    cdef bytes _body
    cdef uint64_t _start_ns

    def __init__(self, Answers answers not None, _Turns hub not None, program, bytes raw not None,
                 way, *, kinds, encode):
        if not raw:
            raise ValueError("expected the bytes of a request")
        self._answers = answers
        self._hub = hub
        self._program = program
        self._epoch = program.epoch
        self.raw = raw
        self._kinds = kinds
        self._handler = way.handler
        self._make_context = way.make_context
        self._encode = encode
        self.way = way

    cdef bint _holds(self) except -1:
        """Whether what is known is still so, and a handler may run."""
        return (self._answers.is_open and self._program.epoch is self._epoch
                and self._hub._core.log.state == FLIN_LOG_IDLE)

    @property
    def is_current(self):
        return self._program.epoch is self._epoch

    cdef bytes _run(self, object protocol):
        """Run the handler: the body of its answer. None: _give() has to follow."""
        cdef flin_hub *core = &self._hub._core
        cdef object context = self._spare
        cdef object value = None
        cdef object error = None
        cdef bytes body = None
        cdef uint64_t taken_ns
        if context is None:
            context = self._make_context()
        else:
            self._spare = None
        self._start_ns = flin_clock_ns()
        flin_log_begin(core, NULL)
        try:
            value = self._handler(context)
            if (type(value) is dict or type(value) in self._kinds) and (
                    context.is_unseen
                    or context.opened_response is None is context.opened_session):
                body = self._encode(value)
                if core.log.state != FLIN_LOG_OPEN:
                    raise RuntimeError("no handler is running")
                flin_log_commit(core)
        except BaseException as raised:
            body = None
            value = None
            error = raised
        if body is None or <size_t>PyBytes_GET_SIZE(body) > self._answers._unchanged_max:
            self._outcome = (context, value, error)
            self._body = body
            self._is_pending = True
            return None
        taken_ns = flin_clock_ns() - self._start_ns
        self._answers.count += 1
        if self._answers._is_told or taken_ns > SLOW_NS:
            protocol.known_answered(self, context, PyBytes_GET_SIZE(body), self._start_ns / 1e9)
        if context.is_unseen and Py_REFCNT(context) == 1:
            self._spare = context
        return body

    cdef int _give(self, object protocol) except -1:
        """Let the protocol answer with what the last run has come to."""
        run, self._outcome = self._outcome, None
        body, self._body = self._body, None
        self._is_pending = False
        protocol.answer_known(self, run, body, self._start_ns / 1e9)
        return 0

    def answer(self, protocol):
        cdef bytes body
        if not self._holds():
            return None
        self._answers._begin()
        body = self._run(protocol)
        self._hub._schedule()
        if body is None:
            self._give(protocol)
            return b""
        return self._answers._whole(body)
