"""Fields of dicts, read by functions of their name; operators.pyx includes this file."""


cdef struct Field:
    PyObject *name  # borrowed from who has the field; NULL for an item of a list
    PyObject *key  # owned: the name as the dict has it that was looked at, or NULL
    Py_ssize_t place  # of that key there, as PyDict_Next counts; or of the item in a list
    int misses  # dicts in a row that have something else at that place
    int code
    int after  # index of the field after those of the dict that it holds
    PyObject *found  # borrowed: what the last dict that was looked at has, or NULL


cdef enum:
    MISSES_BEFORE = 2  # to look where the key lies: dicts of two sorts may come in turns
    MISSES_MAX = 8  # then it is not worth while


cdef PyObject *field_of(Field *field, PyObject *value) except? NULL:
    """The value of a field of a dict, borrowed, or NULL.

    Dicts made alike have their keys at the same places. PyDict_Next takes any place, and says so
    when there is nothing.
    """
    cdef Py_ssize_t place = field.place
    cdef PyObject *key
    cdef PyObject *found
    if field.key is not NULL:
        if PyDict_Next(<object>value, &place, &key, &found) and key is field.key:
            field.misses = 0
            return found
    found = PyDict_GetItemWithError(<object>value, <object>field.name)
    if found is NULL or field.misses == MISSES_MAX:
        return found
    field.misses += 1
    if field.key is NULL or field.misses >= MISSES_BEFORE:
        note_place(field, value, found)
    return found


cdef int note_place(Field *field, PyObject *value, PyObject *wanted) except -1:
    cdef Py_ssize_t place = 0, before = 0
    cdef PyObject *key
    cdef PyObject *found
    while PyDict_Next(<object>value, &place, &key, &found):
        if found is wanted and Py_TYPE(key) is &PyUnicode_Type and (
            key is field.name or PyUnicode_Compare(<object>key, <object>field.name) == 0
        ):
            Py_XDECREF(field.key)
            field.key, field.place = NewRef(<object>key), before
            return 0
        before = place
    return 0


cdef class Once:
    """`value.name`."""
    cdef object member
    cdef str name
    cdef Field field

    def __cinit__(self, member, str name not None):
        self.member, self.name = member, name
        self.field.name = <PyObject *>name

    def __dealloc__(self):
        Py_XDECREF(self.field.key)

    def read(self, value, /):
        cdef PyObject *found
        if Py_TYPE(<PyObject *>value) is not &PyDict_Type:
            return self.member(value, self.name)
        found = field_of(&self.field, <PyObject *>value)
        return None if found is NULL else <object>found


def member_once(member, str name not None, /):
    return Once(member, name).read


cdef class Twice:
    """`value.name.next_name`."""
    cdef object member
    cdef str name, next_name
    cdef bint is_size
    cdef Field first, second

    def __cinit__(self, member, str name not None, str next_name not None):
        self.member, self.name, self.next_name = member, name, next_name
        self.is_size = next_name == "len"
        self.first.name, self.second.name = <PyObject *>name, <PyObject *>next_name

    def __dealloc__(self):
        Py_XDECREF(self.first.key)
        Py_XDECREF(self.second.key)

    def read(self, value, /):
        cdef PyObject *found
        if Py_TYPE(<PyObject *>value) is not &PyDict_Type:
            return self.member(self.member(value, self.name), self.next_name)
        found = field_of(&self.first, <PyObject *>value)
        if found is NULL:
            return self.member(None, self.next_name)
        if Py_TYPE(found) is &PyDict_Type:
            found = field_of(&self.second, found)
            return None if found is NULL else <object>found
        if self.is_size:
            if Py_TYPE(found) is &PyList_Type:
                return PyLong_FromLongLong(PyList_GET_SIZE(<object>found))
            if Py_TYPE(found) is &PyUnicode_Type:
                return PyLong_FromLongLong(PyUnicode_GET_LENGTH(<object>found))
        value = <object>found  # held while the operator runs
        return self.member(value, self.next_name)


def member_twice(member, str name not None, str next_name not None, /):
    return Twice(member, name, next_name).read


cdef class Compared:
    """`value < owner.name`, or by another order."""
    cdef object member
    cdef str name
    cdef int order
    cdef Field field

    def __cinit__(self, member, str name not None, str operator not None):
        self.member, self.name = member, name
        self.order = {"<": Py_LT, "<=": Py_LE, ">": Py_GT, ">=": Py_GE}[operator]
        self.field.name = <PyObject *>name

    def __dealloc__(self):
        Py_XDECREF(self.field.key)

    def compare(self, value, owner, /):
        cdef PyObject *found
        cdef object other
        cdef PyTypeObject *kind
        if Py_TYPE(<PyObject *>owner) is &PyDict_Type:
            found = field_of(&self.field, <PyObject *>owner)
            other = None if found is NULL else <object>found  # held while the operator runs
        else:
            other = self.member(owner, self.name)
        kind = shared_type(value, other)
        if is_ordered(kind):
            return kind.tp_richcompare(value, other, self.order)
        if self.order == Py_LT:
            return _lt(value, other)
        if self.order == Py_LE:
            return _le(value, other)
        return _lt(other, value) if self.order == Py_GT else _le(other, value)


def compare_once(member, str name not None, str operator not None, /):
    return Compared(member, name, operator).compare
