# cython: binding=False
"""Loops of FLIN's builtins over lists and maps; types and docstrings stand in collection.pyi.

Without `binding` the functions are C functions to Python, which take the shortest way to them.
"""

from functools import cmp_to_key, partial
from types import FunctionType

from flinfast.native.dispatch import is_function as is_builtin
from flinfast.values import NoValue, Time

from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.object cimport PyTypeObject
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
    list PyList_GetSlice(object items, Py_ssize_t start, Py_ssize_t stop)
    list PyList_New(Py_ssize_t count)
    void PyList_SET_ITEM(object items, Py_ssize_t place, PyObject *item)  # takes the reference
    PyObject *NewLong "PyLong_FromLongLong"(long long) except NULL
    str PyUnicode_Substring(object text, Py_ssize_t start, Py_ssize_t stop)
    PyObject *PyList_GET_ITEM(object items, Py_ssize_t place)  # borrowed
    int PyObject_IsTrue(object value) except -1
    int PyObject_RichCompareBool(object left, object right, int operator) except -1
    int Py_LT, Py_EQ
    double PyFloat_AS_DOUBLE(object value)
    double PyLong_AsDouble(object value) except? -1
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    object PyFloat_FromDouble(double)
    object PyLong_FromLongLong(long long)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    int PyUnicode_Compare(object left, object right) noexcept  # cannot fail for two texts
    str PyUnicode_Join(object separator, object texts)
    str PyUnicode_Concat(object left, object right)
    int PyDict_Update(object, object) except -1
    PyTypeObject PyUnicode_Type, PyLong_Type
    PyTypeObject *Py_TYPE(PyObject *)
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    Py_UCS4 PyUnicode_MAX_CHAR_VALUE(object text)
    Py_ssize_t PyUnicode_Fill(object, Py_ssize_t start, Py_ssize_t count, Py_UCS4 fill) except -1
    Py_ssize_t PyUnicode_CopyCharacters(
        object to, Py_ssize_t to_start, object text, Py_ssize_t start, Py_ssize_t count) except -1
    void Py_LeaveRecursiveCall()

cdef extern from *:
    """
    #define flin_add_overflows(a, b, sum) __builtin_saddll_overflow((a), (b), (sum))
    #define flin_sub_overflows(a, b, rest) __builtin_ssubll_overflow((a), (b), (rest))
    #define flin_mul_overflows(a, b, product) __builtin_smulll_overflow((a), (b), (product))
    #define flin_quotient(a, b) ((a) / (b))
    #define flin_remainder(a, b) ((a) % (b))
    #define flin_divided(a, b) ((a) / (b))
    /* The formula of a function stands where its documentation would; borrowed. */
    #define flin_formula(function) (((PyFunctionObject *)(function))->func_doc)
    #define flin_closure(function) (((PyFunctionObject *)(function))->func_closure)
    #define flin_cell(cells, place) PyCell_GET(PyTuple_GET_ITEM((cells), (place)))
    static void flin_set_formula(PyObject *function, PyObject *formula)
    {
        Py_INCREF(formula);
        Py_XSETREF(((PyFunctionObject *)function)->func_doc, formula);
    }
    /* An int of 64 bits; 0 for a larger one, and nothing is written. */
    static inline int flin_whole(PyObject *number, long long *whole)
    {
        int overflow = 0;
        long long found;
    #if PY_VERSION_HEX < 0x030C0000
        Py_ssize_t size = Py_SIZE(number); /* of 30 bits each, with the sign of the number */
        if (size >= -1 && size <= 1) {
            *whole = size * (long long)((PyLongObject *)number)->ob_digit[0];
            return 1;
        }
    #else
        if (PyUnstable_Long_IsCompact((PyLongObject *)number)) {
            *whole = PyUnstable_Long_CompactValue((PyLongObject *)number);
            return 1;
        }
    #endif
        found = PyLong_AsLongLongAndOverflow(number, &overflow);
        if (overflow) return 0;
        *whole = found;
        return 1;
    }
    /* The value of a text key, borrowed; NULL without one. */
    static inline PyObject *flin_entry(PyObject *map, PyObject *key)
    {
        PyObject *value = PyDict_GetItemWithError(map, key);
        if (value == NULL && PyErr_Occurred()) PyErr_Clear();
        return value;
    }
    /* Python gives any number but 0 when the calls are too deep. */
    static int flin_enter_call(const char *where) { return Py_EnterRecursiveCall(where) ? -1 : 0; }
    """
    int flin_enter_call(const char *where) except -1
    bint flin_add_overflows(long long a, long long b, long long *sum) noexcept
    bint flin_sub_overflows(long long a, long long b, long long *rest) noexcept
    bint flin_mul_overflows(long long a, long long b, long long *product) noexcept
    long long flin_quotient(long long a, long long b) noexcept
    long long flin_remainder(long long a, long long b) noexcept
    double flin_divided(double a, double b) noexcept
    bint flin_whole(PyObject *number, long long *whole) noexcept
    PyObject *flin_formula(object function) noexcept
    PyObject *flin_closure(object function) noexcept
    PyObject *flin_cell(PyObject *cells, int place) noexcept
    void flin_set_formula(object function, object formula)
    PyObject *flin_entry(object map, object key) noexcept


cdef class Rules:
    cdef public object argument_count, call_checked, is_function, is_plain, member, to_text
    cdef public object add, lt, eq_other, as_items, item_fault, sort_keyed
    cdef public object depth_fault, size_fault, entry_fault, map_key, in_other, slice_other, number_fault
    cdef public Py_ssize_t items_max, text_max


cdef object MISSING = object()  # an argument that was not given

RULES = Rules()
cdef Rules rules = RULES

include "collection_value.pxi"
include "collection_formula.pxi"
include "collection_call.pxi"
include "collection_fold.pxi"
include "collection_list.pxi"
include "collection_set.pxi"
include "collection_map.pxi"
include "collection_text.pxi"
