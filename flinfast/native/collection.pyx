# cython: binding=False
"""Loops of FLIN's builtins over lists and maps; types and docstrings stand in collection.pyi.

Without `binding` the functions are C functions to Python, which take the shortest way to them.
"""

from functools import cmp_to_key
from types import FunctionType

from flinfast.values import NoValue, Time

from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject

cdef extern from "Python.h":
    ctypedef struct PyCodeObject:
        int co_argcount
        int co_flags
    int CO_VARARGS
    PyObject *PyFunction_GET_CODE(object function)
    PyObject *PyFunction_GET_DEFAULTS(object function)  # NULL without any
    Py_ssize_t PyTuple_GET_SIZE(object items)
    PyObject *PyTuple_GET_ITEM(object items, Py_ssize_t place)  # borrowed
    object PyObject_CallNoArgs(object function)
    object PyObject_CallOneArg(object function, object first)
    object PyObject_Vectorcall(object function, PyObject **arguments, size_t count,
                               PyObject *names)
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    Py_ssize_t PyList_GET_SIZE(object items)
    PyObject *PyList_GET_ITEM(object items, Py_ssize_t place)  # borrowed
    int PyObject_IsTrue(object value) except -1
    int PyObject_RichCompareBool(object left, object right, int operator) except -1
    int Py_LT, Py_EQ
    double PyFloat_AS_DOUBLE(object value)
    double PyLong_AsDouble(object value) except? -1
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    str PyUnicode_Join(object separator, object texts)
    void Py_LeaveRecursiveCall()

cdef extern from *:
    """
    #define flin_add_overflows(a, b, sum) __builtin_saddll_overflow((a), (b), (sum))
    /* Python gives any number but 0 when the calls are too deep. */
    static int flin_enter_call(const char *where) { return Py_EnterRecursiveCall(where) ? -1 : 0; }
    """
    int flin_enter_call(const char *where) except -1
    bint flin_add_overflows(long long a, long long b, long long *sum) noexcept


cdef class Rules:
    cdef public object argument_count, call_checked, is_function, is_plain, member, to_text
    cdef public object add, lt, eq_other, as_items, item_fault, sort_keyed
    cdef public object depth_fault, size_fault, entry_fault, map_key, in_other, slice_other, number_fault
    cdef public Py_ssize_t items_max, text_max


RULES = Rules()
cdef Rules rules = RULES

include "collection_value.pxi"
include "collection_call.pxi"
include "collection_fold.pxi"
include "collection_list.pxi"
include "collection_set.pxi"
include "collection_map.pxi"
include "collection_text.pxi"
