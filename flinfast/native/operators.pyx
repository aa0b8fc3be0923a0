# cython: binding=False, cdivision=True
"""The frequent pairs of operators, and the class of a list's items; see operators.pyi.

Without `binding` these are C functions to Python, whose calls it specialises. They know Python's
own types alone, and division is that of C; every other operand goes to the function that `complete` was given.
"""

from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport Py_EQ, Py_GE, Py_GT, Py_LE, Py_LT, PyTypeObject
from cpython.ref cimport Py_XDECREF, PyObject

cdef extern from "Python.h":
    PyTypeObject PyLong_Type
    PyTypeObject PyFloat_Type
    PyTypeObject PyUnicode_Type
    PyTypeObject PyBool_Type
    PyTypeObject PyBytes_Type
    PyTypeObject PyDict_Type
    PyTypeObject PyList_Type
    PyTypeObject PyRange_Type
    Py_ssize_t PY_SSIZE_T_MAX
    PyTypeObject *Py_TYPE(PyObject *)
    PyObject *PyList_GET_ITEM_BORROWED "PyList_GET_ITEM"(PyObject *, Py_ssize_t)
    Py_ssize_t PyList_GET_SIZE_OF "PyList_GET_SIZE"(PyObject *)
    PyObject *Py_None_BORROWED "Py_None"
    bint PyDict_Next(object, Py_ssize_t *, PyObject **, PyObject **)
    int PyUnicode_Compare(object, object) except? -1
    void *PyMem_Calloc(size_t, size_t)
    void PyMem_Free(void *)
    int PyList_SetItem(object, Py_ssize_t, PyObject *) except -1
    PyObject *NewRef "Py_NewRef"(object)
    PyObject *PyDict_GetItemWithError(object, object) except? NULL
    int PyDict_SetItem(object, object, object) except -1
    list PyList_GetSlice(object, Py_ssize_t, Py_ssize_t)
    int PyList_SetSlice(object, Py_ssize_t, Py_ssize_t, PyObject *) except -1
    list PyList_New(Py_ssize_t)
    void PyList_SET_NEW "PyList_SET_ITEM"(PyObject *, Py_ssize_t, PyObject *)
    object PyNumber_Add(object, object)
    object PyNumber_Subtract(object, object)
    object PyUnicode_Concat(object, object)
    object PyObject_Str(object)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    void *PyUnicode_DATA(object)
    object PyLong_FromLongLong(long long)
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1
    bint __builtin_mul_overflow(long long, long long, long long *) noexcept
    double PyFloat_AS_DOUBLE(object)
    object PyFloat_FromDouble(double)
    bint PyObject_IsTrue(object) except -1
    object PyUnicode_FromOrdinal(int)
    Py_UCS4 PyUnicode_READ_CHAR(object, Py_ssize_t)

cdef object _add = None
cdef object _sub = None
cdef object _mul = None
cdef object _div = None
cdef object _mod = None
cdef object _lt = None
cdef object _le = None
cdef object _eq = None
cdef object _truthy = None
cdef object _to_text = None
cdef object _to_int = None
cdef object _index = None
cdef object _set_index = None
cdef object _iterate = None


def complete(
    *, add, sub, mul, div, mod, lt, le, eq, truthy, to_text, to_int, index, set_index, iterate
):
    global _add, _sub, _mul, _div, _mod, _lt, _le, _eq
    global _truthy, _to_text, _to_int, _index, _set_index, _iterate
    _add, _sub, _mul, _div, _mod, _lt, _le, _eq = add, sub, mul, div, mod, lt, le, eq
    _truthy, _to_text, _to_int = truthy, to_text, to_int
    _index, _set_index, _iterate = index, set_index, iterate


cdef long long EXACT_MAX = 9007199254740992  # 2**53: ints up to it are floats without loss


cdef inline PyTypeObject *shared_type(object left, object right) noexcept:
    """The class of two values of one class, else NULL."""
    cdef PyTypeObject *kind = Py_TYPE(<PyObject *>left)
    return kind if kind is Py_TYPE(<PyObject *>right) else NULL


cdef inline bint is_ordered(PyTypeObject *kind) noexcept:
    return kind is &PyLong_Type or kind is &PyFloat_Type or kind is &PyUnicode_Type


cdef inline object sum_of(object left, object right):
    cdef PyTypeObject *kind = shared_type(left, right)
    if kind is &PyFloat_Type:
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(left) + PyFloat_AS_DOUBLE(right))
    if kind is &PyLong_Type:
        return PyNumber_Add(left, right)
    if kind is &PyUnicode_Type:
        return PyUnicode_Concat(left, right)
    return _add(left, right)


def add(left, right, /):
    return sum_of(left, right)


cdef inline object difference_of(object left, object right):
    cdef PyTypeObject *kind = shared_type(left, right)
    if kind is &PyFloat_Type:
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(left) - PyFloat_AS_DOUBLE(right))
    if kind is &PyLong_Type:
        return PyNumber_Subtract(left, right)
    return _sub(left, right)


def sub(left, right, /):
    return difference_of(left, right)


def mul(left, right, /):
    cdef PyTypeObject *kind = shared_type(left, right)
    cdef long long first, second, product
    cdef int is_large = 0, is_other_large = 0
    if kind is &PyFloat_Type:
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(left) * PyFloat_AS_DOUBLE(right))
    if kind is &PyLong_Type:
        first = PyLong_AsLongLongAndOverflow(left, &is_large)
        second = PyLong_AsLongLongAndOverflow(right, &is_other_large)
        if not is_large and not is_other_large:
            if not __builtin_mul_overflow(first, second, &product):
                return PyLong_FromLongLong(product)
    return _mul(left, right)


def div(left, right, /):
    cdef PyTypeObject *kind = shared_type(left, right)
    cdef long long first, second
    cdef int is_large = 0, is_other_large = 0
    if kind is &PyFloat_Type and PyFloat_AS_DOUBLE(right) != 0:
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(left) / PyFloat_AS_DOUBLE(right))
    if kind is &PyLong_Type:
        first = PyLong_AsLongLongAndOverflow(left, &is_large)
        second = PyLong_AsLongLongAndOverflow(right, &is_other_large)
        if not is_large and not is_other_large:
            if -EXACT_MAX <= first <= EXACT_MAX and 0 < second <= EXACT_MAX:
                if first % second == 0:
                    return PyLong_FromLongLong(first // second)
                return PyFloat_FromDouble(<double>first / <double>second)
    return _div(left, right)


def mod(left, right, /):
    cdef long long first, second
    cdef int is_large = 0, is_other_large = 0
    if shared_type(left, right) is &PyLong_Type:
        first = PyLong_AsLongLongAndOverflow(left, &is_large)
        second = PyLong_AsLongLongAndOverflow(right, &is_other_large)
        if not is_large and not is_other_large and second > 0:
            return PyLong_FromLongLong(first % second)
    return _mod(left, right)


def lt(left, right, /):
    cdef PyTypeObject *kind = shared_type(left, right)
    if is_ordered(kind):
        return kind.tp_richcompare(left, right, Py_LT)
    return _lt(left, right)


def le(left, right, /):
    cdef PyTypeObject *kind = shared_type(left, right)
    if is_ordered(kind):
        return kind.tp_richcompare(left, right, Py_LE)
    return _le(left, right)


def gt(left, right, /):
    cdef PyTypeObject *kind = shared_type(left, right)
    if is_ordered(kind):
        return kind.tp_richcompare(left, right, Py_GT)
    return _lt(right, left)


def ge(left, right, /):
    cdef PyTypeObject *kind = shared_type(left, right)
    if is_ordered(kind):
        return kind.tp_richcompare(left, right, Py_GE)
    return _le(right, left)


def eq(left, right, /):
    cdef PyTypeObject *kind = shared_type(left, right)
    if is_ordered(kind):
        return kind.tp_richcompare(left, right, Py_EQ)
    return _eq(left, right)


def truthy(value, /):
    cdef PyTypeObject *kind = Py_TYPE(<PyObject *>value)
    if kind is &PyBool_Type:
        return value
    if kind is &PyLong_Type or kind is &PyUnicode_Type:
        return PyObject_IsTrue(value)
    return False if value is None else _truthy(value)


def to_text(value, /):
    cdef PyTypeObject *kind = Py_TYPE(<PyObject *>value)
    if kind is &PyUnicode_Type:
        return value
    if kind is &PyLong_Type:
        try:
            return PyObject_Str(value)
        except ValueError:  # more digits than Python prints
            pass
    return _to_text(value)


cdef enum:
    DIGITS_MAX = 18  # of an int that surely has 64 bits


def to_int(value, /):
    cdef Py_ssize_t size, place
    cdef const unsigned char *digits
    cdef long long number = 0
    if Py_TYPE(<PyObject *>value) is &PyLong_Type:
        return value
    if Py_TYPE(<PyObject *>value) is not &PyUnicode_Type or not PyUnicode_IS_COMPACT_ASCII(value):
        return _to_int(value)
    size = PyUnicode_GET_LENGTH(value)
    digits = <const unsigned char *>PyUnicode_DATA(value)
    if size == 0 or size > DIGITS_MAX:
        return _to_int(value)
    for place in range(size):
        if not c'0' <= digits[place] <= c'9':
            return _to_int(value)
        number = number * 10 + (digits[place] - c'0')
    return PyLong_FromLongLong(number)


cdef inline Py_ssize_t place_of(object key, Py_ssize_t count) except? -2:
    """The place from 0 among so many items, by an int that may count from the end; -1 if none."""
    cdef int is_large = 0
    cdef long long place = PyLong_AsLongLongAndOverflow(key, &is_large)
    if is_large or not -count <= place < count:
        return -1
    return <Py_ssize_t>(place + count if place < 0 else place)


cdef inline object item_of(object value, object key):
    cdef PyTypeObject *kind = Py_TYPE(<PyObject *>value)
    cdef PyTypeObject *kind_of_key = Py_TYPE(<PyObject *>key)
    cdef Py_ssize_t place
    cdef PyObject *found
    if kind is &PyList_Type and kind_of_key is &PyLong_Type:
        place = place_of(key, PyList_GET_SIZE(value))
        if place < 0:
            return None
        return <object>PyList_GET_ITEM_BORROWED(<PyObject *>value, place)
    if kind is &PyDict_Type and kind_of_key is &PyUnicode_Type:
        found = PyDict_GetItemWithError(value, key)
        return None if found is NULL else <object>found
    if kind is &PyUnicode_Type and kind_of_key is &PyLong_Type:
        place = place_of(key, PyUnicode_GET_LENGTH(value))
        return None if place < 0 else PyUnicode_FromOrdinal(PyUnicode_READ_CHAR(value, place))
    return _index(value, key)


def index(value, key, /):
    return item_of(value, key)


def index_twice(value, key, next_key, /):
    return item_of(item_of(value, key), next_key)


include "operators_field.pxi"


cdef inline int set_item(object target, object key, object value) except -1:
    cdef PyTypeObject *kind = Py_TYPE(<PyObject *>target)
    cdef PyTypeObject *kind_of_key = Py_TYPE(<PyObject *>key)
    cdef Py_ssize_t place
    if kind is &PyDict_Type and kind_of_key is &PyUnicode_Type:
        return PyDict_SetItem(target, key, value)
    if kind is &PyList_Type and kind_of_key is &PyLong_Type:
        place = place_of(key, PyList_GET_SIZE(target))
        if place >= 0:
            return PyList_SetItem(target, place, NewRef(value))
    _set_index(target, key, value)
    return 0


def set_index(target, key, value, /):
    set_item(target, key, value)


include "operators_list.pxi"


cdef enum:  # codes of kinds of `has_fields`
    OF_INT = 1
    OF_FLOAT = 2
    OF_TEXT = 3
    OF_LIST = 4
    OF_DICT = 5
    OF_SCALAR = 6
    OF_ANYTHING = 7


cdef bint is_scalar(PyObject *value) noexcept:
    cdef PyTypeObject *kind = Py_TYPE(value)
    return is_ordered(kind) or kind is &PyBool_Type or value is Py_None_BORROWED


cdef bint is_coded(PyObject *value, int code) noexcept:
    """Whether a value is of the class of a code."""
    cdef PyTypeObject *kind = Py_TYPE(value)
    if code == OF_INT:
        return kind is &PyLong_Type
    if code == OF_FLOAT:
        return kind is &PyFloat_Type
    if code == OF_TEXT:
        return kind is &PyUnicode_Type
    if code == OF_LIST:
        return kind is &PyList_Type
    if code == OF_DICT:
        return kind is &PyDict_Type
    return code == OF_ANYTHING or is_scalar(value)


cdef class Fields:
    """What is looked for in dicts; `fields` lie one after the other, inner ones after theirs."""
    cdef tuple description
    cdef Field *fields
    cdef int count

    def __cinit__(self, tuple description not None):
        cdef int most = field_count(description)
        self.description = description
        self.fields = <Field *>PyMem_Calloc(most, sizeof(Field))
        if self.fields is NULL:
            raise MemoryError
        self.add(description)

    def __dealloc__(self):
        cdef int place
        for place in range(self.count):
            Py_XDECREF(self.fields[place].key)
        PyMem_Free(self.fields)

    cdef int add(self, tuple description) except -1:
        cdef Field *field
        for name, code, inner in description:
            field = &self.fields[self.count]
            self.count += 1
            field.code = code
            if type(name) is int:
                field.place = name
            else:
                field.name = <PyObject *>name
            self.add(inner)
            field.after = self.count
        return 0

    cdef bint fit(self, PyObject *value, int start, int end) except -1:
        """Whether a value has these fields or items; they nest as deep as the description."""
        cdef Field *field
        cdef PyObject *found
        cdef int place = start
        cdef bint is_list = Py_TYPE(value) is &PyList_Type
        if not is_list and Py_TYPE(value) is not &PyDict_Type:
            return False
        if is_list and start == end:
            return False  # without a field nothing else says that it is to be a dict
        while place < end:
            field = &self.fields[place]
            if is_list is not (field.name is NULL):
                return False
            if not is_list:
                found = field_of(field, value)
            elif field.place < PyList_GET_SIZE_OF(value):
                found = PyList_GET_ITEM_BORROWED(value, field.place)
            else:
                found = NULL
            field.found = found
            if found is NULL:
                if field.code < OF_SCALAR:
                    return False
            elif not is_coded(found, field.code):
                return False
            elif field.after > place + 1 and not self.fit(found, place + 1, field.after):
                return False
            place = field.after
        return True

    def are_in(self, value, /):
        return self.fit(<PyObject *>value, 0, self.count)


cdef int field_count(tuple description, bint is_list=False) except -1:
    """Fields of a description, those in dicts and lists included; TypeError if it is none."""
    cdef int count = len(description)
    for field in description:
        if type(field) is not tuple or len(field) != 3:
            raise TypeError("expected fields as (name, code, fields)")
        if type(field[0]) is not (int if is_list else str) or (is_list and field[0] < 0):
            raise TypeError("expected names of fields, and places from 0 in lists")
        if type(field[1]) is not int or not OF_INT <= field[1] <= OF_ANYTHING:
            raise TypeError("expected a code of a kind")
        if type(field[2]) is not tuple or (field[2] and not OF_LIST <= field[1] <= OF_DICT):
            raise TypeError("expected fields of dicts and lists alone")
        count += field_count(field[2], field[1] == OF_LIST)
    return count


def has_fields(tuple description not None, /):
    return Fields(description).are_in


def iterate(value, /):
    if Py_TYPE(<PyObject *>value) is &PyList_Type:
        return PyList_GetSlice(value, 0, PY_SSIZE_T_MAX)
    if Py_TYPE(<PyObject *>value) is &PyUnicode_Type:
        return value
    return _iterate(value)


cdef tuple items_of(object value):
    cdef list found
    cdef PyTypeObject *kind
    if Py_TYPE(<PyObject *>value) is &PyUnicode_Type:
        return value, str
    if Py_TYPE(<PyObject *>value) is &PyRange_Type or Py_TYPE(<PyObject *>value) is &PyBytes_Type:
        return value, int
    if Py_TYPE(<PyObject *>value) is &PyList_Type:
        found = PyList_GetSlice(value, 0, PY_SSIZE_T_MAX)
    else:
        found = list(_iterate(value))
    kind = class_of_all(found)
    return found, None if kind is NULL else <object>kind


def items(value, /):
    return items_of(value)


include "operators_map.pxi"
include "operators_column.pxi"
