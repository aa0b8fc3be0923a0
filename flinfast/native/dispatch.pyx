"""Calls of builtins by the type of their first argument; types and docstrings: dispatch.pyi."""

from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject

cdef extern from "Python.h":
    object PyObject_CallOneArg(PyObject *function, object first)
    object PyObject_Vectorcall(PyObject *function, PyObject **arguments, size_t count,
                               PyObject *names)
    object PyObject_Call(PyObject *function, object arguments, PyObject *named)
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET

# What Python raises when a computation outgrows the machine.
cdef tuple LIMITS = (OverflowError, RecursionError, MemoryError)


cdef inline PyObject *chosen(dict known, object value, str name) except? NULL:
    """The function of a value's type, borrowed from the table; NULL when there is none.

    A map with an entry of that name has none: the entry may be a function of its own.
    """
    cdef PyObject *function = PyDict_GetItemWithError(known, type(value))
    if function != NULL and type(value) is dict:
        if PyDict_GetItemWithError(value, name) != NULL:
            return NULL
    return function


def member(dict tables, other):
    def member(value, name):
        cdef PyObject *found
        if type(value) is dict:
            found = PyDict_GetItemWithError(value, name)
            return None if found == NULL else <object>found
        found = PyDict_GetItemWithError(tables, type(value))
        if found == NULL:
            return other(value, name)
        found = PyDict_GetItemWithError(<dict>found, name)
        return None if found == NULL else PyObject_CallOneArg(found, value)

    return member


def method(str name, Py_ssize_t count, dict known, other, limit_fault):
    """One closure for each number of arguments: each call is one array on the C stack."""

    def without(context, value):
        cdef PyObject *function = chosen(known, value, name)
        cdef PyObject *given[2]
        if function != NULL:
            given[1] = <PyObject *>value
            try:
                result = PyObject_Vectorcall(
                    function, given + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
            except LIMITS as error:
                raise limit_fault(name, error) from None
            if result is not NotImplemented:
                return result
        return other(context, value)

    def with_one(context, value, first):
        cdef PyObject *function = chosen(known, value, name)
        cdef PyObject *given[3]
        if function != NULL:
            given[1] = <PyObject *>value
            given[2] = <PyObject *>first
            try:
                result = PyObject_Vectorcall(
                    function, given + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
            except LIMITS as error:
                raise limit_fault(name, error) from None
            if result is not NotImplemented:
                return result
        return other(context, value, first)

    def with_two(context, value, first, second):
        cdef PyObject *function = chosen(known, value, name)
        cdef PyObject *given[4]
        if function != NULL:
            given[1] = <PyObject *>value
            given[2] = <PyObject *>first
            given[3] = <PyObject *>second
            try:
                result = PyObject_Vectorcall(
                    function, given + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
            except LIMITS as error:
                raise limit_fault(name, error) from None
            if result is not NotImplemented:
                return result
        return other(context, value, first, second)

    return (without, with_one, with_two)[count] if count < 3 else other


def function(str name, tuple tables, other, limit_fault):
    cdef Py_ssize_t most = len(tables)

    def call(*arguments, **named):
        cdef Py_ssize_t count = len(arguments)
        cdef PyObject *known
        if 0 < count <= most and not named:
            known = PyDict_GetItemWithError(<dict>tables[count - 1], type(arguments[0]))
            if known != NULL:
                try:
                    result = PyObject_Call(known, arguments, NULL)
                except LIMITS as error:
                    raise limit_fault(name, error) from None
                if result is not NotImplemented:
                    return result
        return other(arguments, named)

    call.__name__ = name
    return call


FunctionType = type(function)
