# cython: nonecheck=True
"""What every new record passes on its way into the store, compiled; documented in quick.pyi.

Bases of classes that are written in Python: they have what runs for each record, their subclasses
what runs for each turn, each update or each fault. Invariants:
  1. A row is made whole, or the record is as it was: nothing is put back before the last field.
  2. While a row is being made its tuple has holes; nothing else has a reference to it.
  3. Code of the program (checks, encoders, callbacks) may call anything here but `begin`, so what
     it may have changed is looked at again after it.
"""

from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.string cimport memchr
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from flinfast.errors import StoreError
from flinfast.store.codec import FieldFault, decoder, encoder
from flinfast.values import Time

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const void *PyUnicode_1BYTE_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

WAITING_MAX = 1024
QUICK_SIZE_MAX = 64 << 10

cdef enum:
    AUTO_COUNT = 5  # id, and after the declared fields: created_at, updated_at, deleted_at, version

cdef enum Way:
    INT
    TEXT
    BOOL
    TIME
    REFERENCE
    REFERENCES
    OTHER

cdef Py_ssize_t _waiting_max = WAITING_MAX
cdef Py_ssize_t _size_max = QUICK_SIZE_MAX
cdef dict _WAYS = {"int": INT, "duration": INT, "text": TEXT, "bool": BOOL}
cdef object _ABSENT = object()
cdef tuple _NOTHING = ()
cdef object _ONE = 1
cdef object _ZERO = 0


def unix_ms():
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return <long long>now.tv_sec * 1000 + now.tv_nsec // 1000000


# --- records ----------------------------------------


cdef class QuickRecord:
    cdef public QuickEntity _entity
    cdef public object _row
    cdef public dict _cells
    cdef public dict _refs
    cdef public object _lists
    cdef public tuple _embedded
    cdef public bint _snapshot

    def __init__(self, QuickEntity entity not None, row):
        self._entity = entity
        self._row = row
        self._cells = {}
        self._embedded = ()

    def flin_get(self, str name):
        value = self._cells.get(name, _ABSENT)
        return self._load(name) if value is _ABSENT else value


cdef inline QuickRecord _unsaved(QuickEntity entity, dict cells):
    """A record of the entity's class; its `__init__` is not called."""
    cdef QuickRecord record
    cdef type made = entity._record_type
    if made is None:
        raise TypeError("an entity without __init__")
    record = <QuickRecord?>(<PyTypeObject *>made).tp_new(
        made, <PyObject *>_NOTHING, NULL)
    record._entity = entity
    record._cells = cells
    record._embedded = ()
    return record


# --- entities ----------------------------------------


cdef class QuickStore:
    cdef object _group
    cdef QuickTurn _turn            # None: the engine has transactions of another kind
    cdef public bint _is_unfilled

    @property
    def group(self):
        return self._group

    @group.setter
    def group(self, group):
        self._group = group
        self._turn = group if isinstance(group, QuickTurn) else None

    def begin(self, *, bint writes):
        if self._is_unfilled:
            self.backfill()
        if self._turn is None:
            self._group.begin(writes=writes)
        else:
            self._turn.open_handler(writes)

    def commit(self):
        return self._group.commit() if self._turn is None else self._turn.close_handler()

    def after_durable(self, done):
        if self._turn is None:
            self._group.after_durable(done)
        else:
            self._turn.call_later(done)

    def save(self, value):
        cdef QuickRecord record
        if not isinstance(value, QuickRecord):
            self._no_record(value, "save")
        record = <QuickRecord?>value
        record._entity._save_any(record)
        return record


cdef class _Field:
    """A declared field, as making a cell of it needs it."""
    cdef str name
    cdef str target
    cdef Way way
    cdef bint is_required
    cdef bint is_plain      # the record keeps the cell as its value
    cdef object encode
    cdef tuple checks

    def __init__(self, column):
        spec = column.field
        self.name = column.name
        self.target = spec.target
        self.is_required = spec.required
        self.is_plain = not column.target and decoder(column) is None
        self.encode = encoder(spec)
        self.checks = tuple(spec.checks)
        if column.target:
            self.way = REFERENCE if column.kind == "ref" else REFERENCES
        elif column.type == "time":
            self.way = TIME
        elif spec.transforms:
            self.way = OTHER
        else:
            self.way = _WAYS.get(spec.type, OTHER)


cdef class QuickEntity:
    cdef readonly str name
    cdef type _record_type
    cdef object _clock_ms
    cdef readonly object _commit
    cdef QuickTurn _turn            # None: the engine has no rows that wait
    cdef readonly QuickQueue _queue
    cdef list _fields
    cdef frozenset _plain           # names of fields that are no references
    cdef readonly list _defaults
    cdef bint _has_references

    def __init__(self, table, record_type, commit, clock_ms, QuickQueue queue not None):
        columns = [column for column in table.columns.values() if column.field is not None]
        if not issubclass(record_type, QuickRecord):
            raise TypeError("expected a subclass of QuickRecord")
        self.name = table.name
        self._record_type = record_type
        self._clock_ms = clock_ms
        self._commit = commit
        self._turn = commit if isinstance(commit, QuickTurn) else None
        self._queue = queue
        self._fields = [_Field(column) for column in columns]
        self._plain = frozenset(column.name for column in columns if not column.target)
        self._has_references = len(self._plain) < len(columns)
        self._defaults = [
            (column.name, column.field.default)
            for column in columns
            if column.field.default is not None
        ]

    def construct(self, fields, tuple spread=()):
        cdef QuickRecord record
        if spread or type(fields) is not dict:
            return self._construct(fields, spread)
        for name in <dict>fields:
            if name not in self._plain:
                return self._construct(fields, spread)
        record = _unsaved(self, (<dict>fields).copy())
        for name, default in self._defaults:
            if name in <dict>fields:
                continue
            value = default()
            if name in self._plain:
                record._cells[name] = value
            else:
                record._assign(self.columns[name], value)
        return record

    def save(self, QuickRecord record not None):
        self._save_any(record)

    cdef int _save_any(self, QuickRecord record) except -1:
        cdef QuickTurn turn = self._turn
        cdef tuple row
        cdef long long id = 0
        now = self._clock_ms()
        if record._row is not None or record._snapshot:
            self._save(record, now)
            return 0
        if turn is not None and turn.may_wait():
            id = self._queue.next_id
        row = self._new_row(record, id, now)
        if row is None:
            self._save(record, now)
            return 0
        if self._has_references:
            self._commit.lock()
            self._check_references(row[1:], None)
        if id and id == self._queue.next_id and turn.may_wait():
            turn.let_wait(record, self._queue, row)
        else:
            self._insert(record, row[1:])
        return 0

    def encode_new(self, QuickRecord record not None, now):
        cdef tuple row = self._new_row(record, 0, now)
        return None if row is None else row[1:]

    cdef tuple _new_row(self, QuickRecord record, object id, object now):
        """The row of a new record, or None; the record's values are then as they were."""
        cdef _Field field
        cdef Py_ssize_t index = 1
        cdef bint is_coerced = False
        cdef tuple row = PyTuple_New(len(self._fields) + AUTO_COUNT)
        _put(row, 0, id)
        try:
            for field in self._fields:
                if field.way == REFERENCE:
                    value = None if record._refs is None else record._refs.get(field.name)
                else:
                    value = record._cells.get(field.name)
                if value is None or (field.is_required and value == ""):
                    if field.is_required:
                        return None
                    cell = None
                else:
                    cell = self._cell(field, value)
                    if cell is None:
                        return None
                    is_coerced = is_coerced or (field.is_plain and cell is not value)
                    for check in field.checks:
                        if check(cell if field.is_plain else value) is not None:
                            return None
                _put(row, index, cell)
                index += 1
        except FieldFault:
            return None
        _put(row, index, now)
        _put(row, index + 1, now)
        _put(row, index + 2, None)
        _put(row, index + 3, _ONE)
        if is_coerced:
            for index, field in enumerate(self._fields, 1):
                if field.is_plain and row[index] is not None:
                    record._cells[field.name] = row[index]
        return row

    cdef object _cell(self, _Field field, object value):
        """The cell of a value that is not none, or None: look at it in the general way."""
        cdef int overflow = 0
        cdef QuickRecord other
        if field.way == INT:
            if type(value) is int:
                PyLong_AsLongLongAndOverflow(value, &overflow)
                if overflow == 0:
                    return value
            return field.encode(value)
        if field.way == TEXT:
            if not _is_plain_text(value):
                value = field.encode(value)
            return value if PyUnicode_GET_LENGTH(value) <= _size_max else None
        if field.way == BOOL:
            return _ONE if value is True else _ZERO if value is False else field.encode(value)
        if field.way == TIME:
            return value.ms if type(value) is Time else None
        if field.way == REFERENCE:
            if type(value) is self._record_type:
                other = <QuickRecord>value
                if other._row is None or other._entity.name != field.target:
                    return None
                return other._row[0]
            if type(value) is not int:
                return None
            PyLong_AsLongLongAndOverflow(value, &overflow)
            return value if overflow == 0 else None
        if field.way == REFERENCES:
            return None
        cell = field.encode(value)
        return None if type(cell) in (str, bytes) and len(cell) > _size_max else cell


cdef inline void _put(tuple row, Py_ssize_t index, object cell):
    Py_INCREF(cell)
    PyTuple_SET_ITEM(row, index, cell)


cdef inline bint _is_plain_text(object value):
    """An ASCII text without the character that SQLite's functions end at."""
    return (
        type(value) is str
        and PyUnicode_IS_COMPACT_ASCII(value)
        and memchr(PyUnicode_1BYTE_DATA(value), 0, PyUnicode_GET_LENGTH(value)) is NULL
    )


# --- transactions ----------------------------------------


cdef class QuickQueue:
    cdef public list rows
    cdef public long long next_id
    cdef public bint can_wait

    def __init__(self, bint can_wait):
        self.rows = []
        self.can_wait = can_wait


def joined(list rows not None, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t width):
    cdef Py_ssize_t row, column, index = 0
    cdef tuple cells, whole
    if width < 1 or not 0 <= start < stop <= len(rows):
        raise IndexError("no such rows")
    whole = PyTuple_New(width * (stop - start))
    for row in range(start, stop):
        cells = <tuple?>rows[row]
        if len(cells) < width:
            raise IndexError("a row is shorter")
        for column in range(width):
            _put(whole, index, cells[column])
            index += 1
    return whole


cdef class QuickDatabase:
    cdef public bint aborted
    cdef public list waiting


cdef class QuickTurn:
    cdef public bint idle
    cdef public bint read
    cdef public object failed
    cdef readonly QuickDatabase _quick
    cdef public bint _has_lock
    cdef public bint _in_handler
    cdef public bint _handler_writes
    cdef public bint _handler_wrote
    cdef public bint _has_savepoint
    cdef public bint _turn_wrote
    cdef public bint _scheduled
    cdef public bint _releasing
    cdef bint _is_full
    cdef public long long _committed
    cdef public long long _durable
    cdef list _waiting      # from _first on: generation, callback, error
    cdef Py_ssize_t _first
    cdef public list _undo
    cdef public Py_ssize_t _undo_mark

    def __init__(self, QuickDatabase database not None, bint is_full):
        self.idle = True
        self._quick = database
        self._is_full = is_full
        self._waiting = []
        self._undo = []

    @property
    def pending(self):
        return self._turn_wrote or self._durable < self._committed

    def begin(self, *, bint writes):
        self.open_handler(writes)

    def commit(self):
        return self.close_handler()

    def after_durable(self, done):
        self.call_later(done)

    cdef int open_handler(self, bint writes) except -1:
        if self._in_handler:
            raise StoreError("a handler began before the last one ended")
        self.read = False
        if writes:
            if not self._has_lock or self._quick.aborted or self.failed is not None:
                self._open_write()
            self._handler_writes = True
        self._undo_mark = len(self._undo)
        self._in_handler = True
        return 0

    cdef bint close_handler(self) except -1:
        if self._handler_writes:
            if self._has_savepoint or self._quick.aborted:
                self._commit_savepoint()
            self._handler_writes = False
        self._in_handler = False
        if not self._scheduled and not self.idle:
            self._schedule()
        if self._handler_wrote:
            self._handler_wrote = False
            self._turn_wrote = True
            return True
        if not self.read:
            return False
        if self._is_full:
            self._notice_other_processes()
        return self._turn_wrote or self._durable < self._committed or self.failed is not None

    cdef bint may_wait(self) noexcept:
        return self._handler_writes and not self._quick.aborted

    cdef int let_wait(self, QuickRecord record, QuickQueue queue, tuple row) except -1:
        """Put a row whose id is the queue's next into it; `may_wait` was just true."""
        if len(queue.rows) >= _waiting_max:
            self._quick.insert_waiting()
        if not queue.rows:
            self._quick.waiting.append(queue)
        queue.next_id += 1
        queue.rows.append(row)
        record._row = row
        self._handler_wrote = True
        self._undo.append((record, queue))
        return 0

    @property
    def _waiters(self):
        return self._waiting[self._first:]

    @_waiters.setter
    def _waiters(self, list waiters not None):
        self._waiting = waiters
        self._first = 0

    cdef int call_later(self, object done) except -1:
        cdef long long target = self._committed + 1 if self._turn_wrote else self._committed
        if self.failed is not None:
            self._waiting.append((0, done, self.failed))
            self._release()
        elif target <= self._durable and self._first == len(self._waiting):
            done(None)
        else:
            self._waiting.append((target, done, None))
        return 0

    def _release(self):
        cdef tuple waiter
        if self._releasing:
            return
        self._releasing = True
        try:
            while self._is_due():  # `done` may change all of this
                waiter = <tuple>self._waiting[self._first]
                self._waiting[self._first] = None
                self._first += 1
                waiter[1](waiter[2])
        finally:
            self._releasing = False
            del self._waiting[:self._first]
            self._first = 0
            if self._is_due():
                self._call_soon(self._release)  # `done` raised: the others must not wait for it

    cdef bint _is_due(self) except -1:
        if self._first >= len(self._waiting):
            return False
        return <long long>(<tuple>self._waiting[self._first])[0] <= self._durable
