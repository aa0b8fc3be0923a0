# Part of collection.pyx: truth, equality and order of values (FLIN reference 3.1 and 3.2).

cdef object TimeType = Time
cdef object NoValueType = NoValue


cdef inline int truth(object value) except -1:
    """Whether a value counts as true: all but none, false, 0, NaN and "" do."""
    cdef double number
    if value is True:
        return 1
    if value is False or value is None:
        return 0
    if type(value) is int or type(value) is str:
        return PyObject_IsTrue(value)
    if type(value) is float:
        number = PyFloat_AS_DOUBLE(value)
        return not (number == 0.0 or number != number)
    return type(value) is not NoValueType


cdef inline bint is_number(object value) noexcept:
    return type(value) is int or type(value) is float


cdef inline bint has_identity(object value) noexcept:
    """Whether Python's `==` is FLIN's within this type, and the same object equals itself."""
    return type(value) is str or type(value) is int or type(value) is bool or value is None


cdef int equal(object left, object right) except -1:
    """`left == right`; RecursionError when they nest too deeply or contain themselves."""
    if type(left) is type(right):
        if has_identity(left):
            return left is right or PyObject_RichCompareBool(left, right, Py_EQ)
        if type(left) is float:
            return PyFloat_AS_DOUBLE(left) == PyFloat_AS_DOUBLE(right)
        if type(left) is list:
            return equal_lists(<list>left, <list>right)
        if type(left) is dict:
            return equal_maps(<dict>left, <dict>right)
    elif is_number(left) and is_number(right):
        return PyObject_RichCompareBool(left, right, Py_EQ)
    elif has_identity(left) and has_identity(right):
        return 0  # of different kinds
    return truth(rules.eq_other(left, right))


cdef int equal_lists(list left, list right) except -1:
    cdef Py_ssize_t place = 0
    cdef PyObject *mine
    cdef PyObject *other
    if PyList_GET_SIZE(left) != PyList_GET_SIZE(right):
        return 0
    flin_enter_call(" in a comparison")
    try:
        # Comparing records or queries may run code: the sizes are asked again each time.
        while place < PyList_GET_SIZE(left) and place < PyList_GET_SIZE(right):
            mine, other = PyList_GET_ITEM(left, place), PyList_GET_ITEM(right, place)
            if has_identity(<object>mine) and type(<object>mine) is type(<object>other):
                if mine != other:
                    if not PyObject_RichCompareBool(<object>mine, <object>other, Py_EQ):
                        return 0
            elif not equal_held(<object>mine, <object>other):
                return 0
            place += 1
        return 1
    finally:
        Py_LeaveRecursiveCall()


cdef int equal_held(object left, object right) except -1:
    """`equal` of items borrowed from lists that may lose them meanwhile."""
    mine, other = left, right
    return equal(mine, other)


cdef int equal_maps(dict left, dict right) except -1:
    cdef PyObject *name
    cdef PyObject *mine
    cdef PyObject *other
    cdef Py_ssize_t place = 0, size = len(left)
    if size != len(right):
        return 0
    flin_enter_call(" in a comparison")
    try:
        while PyDict_Next(left, &place, &name, &mine):
            other = PyDict_GetItemWithError(right, <object>name)
            if other == NULL:
                return 0
            if mine == other and has_identity(<object>mine):
                continue
            if type(<object>mine) is type(<object>other) and has_identity(<object>mine):
                if not PyObject_RichCompareBool(<object>mine, <object>other, Py_EQ):
                    return 0
            elif not equal_held(<object>mine, <object>other):
                return 0
            elif len(left) != size:
                return 0  # code that ran meanwhile has changed it
        return 1
    finally:
        Py_LeaveRecursiveCall()


def eq(left, right):
    try:
        return equal(left, right) == 1
    except RecursionError:
        raise rules.depth_fault() from None


cdef Py_ssize_t place_of(list items, object item) except -2:
    """Index of the first item that equals `item`, or -1."""
    cdef Py_ssize_t place
    cdef PyObject *other
    if has_identity(item):
        return place_of_plain(items, item)
    place = 0
    while place < PyList_GET_SIZE(items):
        other = PyList_GET_ITEM(items, place)
        if equal_held(item, <object>other):
            return place
        place += 1
    return -1


cdef Py_ssize_t place_of_plain(list items, object item) except -2:
    """The same for an item that is the same object or of the same type as what equals it."""
    cdef Py_ssize_t place = 0
    cdef PyObject *other
    cdef bint is_int = type(item) is int
    while place < PyList_GET_SIZE(items):
        other = PyList_GET_ITEM(items, place)
        if other == <PyObject *>item:
            return place
        if type(<object>other) is type(item):
            if PyObject_RichCompareBool(item, <object>other, Py_EQ):
                return place
        elif type(<object>other) is float:
            if is_int and PyObject_RichCompareBool(item, <object>other, Py_EQ):
                return place
        elif item is None and type(<object>other) is NoValueType:
            return place
        place += 1
    return -1


def index_of(list items not None, item):
    try:
        return place_of(items, item)
    except RecursionError:
        raise rules.depth_fault() from None


def contains(list items not None, item):
    return index_of(items, item) >= 0


def is_in(item, container):
    if type(container) is list:
        return contains(container, item)
    if type(item) is str and (type(container) is dict or type(container) is str):
        return item in container
    return rules.in_other(item, container)


cdef inline int less(object left, object right) except -1:
    """`left < right`; the fault FL501 for values without an order."""
    if type(left) is type(right):
        if type(left) is float:
            return PyFloat_AS_DOUBLE(left) < PyFloat_AS_DOUBLE(right)
        if type(left) is int or type(left) is str:
            return PyObject_RichCompareBool(left, right, Py_LT)
    return truth(rules.lt(left, right))


def cut(value, start, stop, step):
    if type(value) is list or type(value) is str:
        if (type(start) is int or start is None) and (type(stop) is int or stop is None):
            if step is None:
                return value[start:stop]
    return rules.slice_other(value, start, stop, step)
