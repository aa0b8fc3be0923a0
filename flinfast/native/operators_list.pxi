"""What operators.pyx, which includes this file, finds out about the items of lists."""


cdef PyTypeObject *class_of_all(list items) noexcept:
    """The class of every item, NULL when there is none."""
    cdef Py_ssize_t count = PyList_GET_SIZE(items), place
    cdef PyTypeObject *kind
    if count == 0:
        return NULL
    kind = Py_TYPE(PyList_GET_ITEM_BORROWED(<PyObject *>items, 0))
    for place in range(1, count):
        if Py_TYPE(PyList_GET_ITEM_BORROWED(<PyObject *>items, place)) is not kind:
            return NULL
    return kind


def common_class(list items not None, /):
    cdef PyTypeObject *kind = class_of_all(items)
    return None if kind is NULL else <object>kind


cdef bint are_all(PyObject *items, PyTypeObject *kind, Py_ssize_t *most) noexcept:
    """Whether all items are of a class, ints of 64 bits, or None; takes their number from `most`."""
    cdef int is_large = 0
    cdef Py_ssize_t count = PyList_GET_SIZE_OF(items), place
    cdef PyObject *item
    if count > most[0]:
        return False
    most[0] -= count
    for place in range(count):
        item = PyList_GET_ITEM_BORROWED(items, place)
        if Py_TYPE(item) is not kind:
            if item is not Py_None_BORROWED:
                return False
        elif kind is &PyLong_Type:
            PyLong_AsLongLongAndOverflow(<object>item, &is_large)
            if is_large:
                return False
    return True


cdef enum:
    ITEMS_FREE = 64  # looked at in any case
    ITEMS_PER_TURN = 8  # of a loop: they take less time than the turn itself
    ITEMS_PER_TURN_OF_LOOPS = 256
    TURNS_MAX = 1 << 30


def holds(value, type kind not None, int depth, turns, bint is_nested, /):
    cdef Py_ssize_t most = ITEMS_FREE
    cdef PyTypeObject *wanted = <PyTypeObject *>kind
    cdef PyObject *items = <PyObject *>value
    cdef PyObject *row
    cdef Py_ssize_t count, place
    if Py_TYPE(items) is not &PyList_Type:
        return False
    if type(turns) is int:
        most += min(<long long>turns, TURNS_MAX) * ITEMS_PER_TURN
    else:
        try:
            count = min(len(turns), TURNS_MAX)
        except OverflowError:  # of a range
            count = TURNS_MAX
        most += count * (ITEMS_PER_TURN_OF_LOOPS if is_nested else ITEMS_PER_TURN)
    if depth == 1:
        return are_all(items, wanted, &most)
    count = PyList_GET_SIZE_OF(items)
    if count == 0 or count > most:
        return False
    for place in range(count):
        row = PyList_GET_ITEM_BORROWED(items, place)
        if Py_TYPE(row) is not &PyList_Type or not are_all(row, wanted, &most):
            return False
    return True


def holds_ints(value, long long turns, /):
    cdef Py_ssize_t most = ITEMS_FREE + min(turns, TURNS_MAX) * ITEMS_PER_TURN
    cdef PyObject *items = <PyObject *>value
    return Py_TYPE(items) is &PyList_Type and are_all(items, &PyLong_Type, &most)
