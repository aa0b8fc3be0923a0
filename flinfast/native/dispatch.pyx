# cython: binding=False
"""Calls of builtins by the type of their first argument; types and docstrings: dispatch.pyi.

What is given out are C functions to Python, which calls them with the values where they lie; each
has an object of the classes below as `self`.
"""

from types import BuiltinFunctionType

from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_DECREF, PyObject

cdef extern from *:
    """
    /* A result that is owned already, as an object. */
    #define flin_owned(result) (result)
    /* Raises what is set. */
    static inline PyObject *flin_raise(void) { return NULL; }
    #define flin_self(function) PyCFunction_GET_SELF(function)
    """
    object flin_owned(PyObject *result)
    object flin_raise()
    PyObject *flin_self(object function) noexcept

cdef extern from "Python.h":
    ctypedef PyObject *(*PyCFunction)(PyObject *, PyObject *)
    ctypedef struct PyMethodDef:
        const char *ml_name
        PyCFunction ml_meth
        int ml_flags
        const char *ml_doc
    int METH_FASTCALL, METH_KEYWORDS
    int CO_VARARGS, CO_VARKEYWORDS
    ctypedef struct PyCodeObject:
        int co_argcount, co_kwonlyargcount, co_flags
    PyTypeObject PyFunction_Type
    PyObject *PyFunction_GET_CODE(PyObject *function) noexcept
    PyObject *NotImplementedObject "Py_NotImplemented"
    PyTypeObject PyDict_Type
    PyTypeObject *Py_TYPE(PyObject *)
    object PyCFunction_NewEx(PyMethodDef *definition, object self, PyObject *module)
    object PyObject_CallOneArg(PyObject *function, object first)
    object PyObject_Vectorcall(object function, PyObject *const *values, size_t count,
                               PyObject *names)
    # NULL with an exception set: it is looked at before it is raised.
    PyObject *Vectorcall "PyObject_Vectorcall"(PyObject *function, PyObject *const *values,
                                               size_t count, PyObject *names) noexcept
    object PyTuple_New(Py_ssize_t)
    PyObject *PyTuple_GET_ITEM(PyObject *names, Py_ssize_t place) noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject *names) noexcept

# What Python raises when a computation outgrows the machine.
cdef tuple LIMITS = (OverflowError, RecursionError, MemoryError)


cdef int limited(str name, limit_fault) except -1:
    """Raise the exception that is set; as a fault, if it is one of LIMITS."""
    try:
        flin_raise()
    except LIMITS as error:
        raise limit_fault(name, error) from None
    return 0


cdef class _Native:
    """The `self` of a C function that is given out; it holds the definition of it."""
    cdef PyMethodDef definition

    cdef object made(self, const char *name, PyCFunction function, int flags):
        """The function; the name lives as long as this object."""
        self.definition.ml_name = name
        self.definition.ml_meth = function
        self.definition.ml_flags = flags
        return PyCFunction_NewEx(&self.definition, self, NULL)


cdef class _Member(_Native):
    """`value.name`."""
    cdef dict tables
    cdef object other


cdef object call_member(_Member self, PyObject *const *given, Py_ssize_t count):
    cdef PyObject *found
    if count != 2:
        raise TypeError(f"expected a value and a name, got {count} arguments")
    if Py_TYPE(given[0]) is &PyDict_Type:
        found = PyDict_GetItemWithError(<object>given[0], <object>given[1])
        return None if found == NULL else <object>found
    found = PyDict_GetItemWithError(self.tables, <object>Py_TYPE(given[0]))
    if found == NULL:
        return PyObject_Vectorcall(self.other, given, 2, NULL)
    found = PyDict_GetItemWithError(<dict>found, <object>given[1])
    return None if found == NULL else PyObject_CallOneArg(found, <object>given[0])


def member(dict tables, other):
    cdef _Member self = _Member.__new__(_Member)
    self.tables, self.other = tables, other
    return self.made(b"member", <PyCFunction>call_member, METH_FASTCALL)


cdef class _Call(_Native):
    """`function(...)` of whatever value."""
    cdef object other


cdef inline bint takes_exactly(PyObject *function, Py_ssize_t count) noexcept:
    """Whether it is a function of Python's own with so many parameters and no others."""
    cdef PyCodeObject *code
    if Py_TYPE(function) is not &PyFunction_Type:
        return False
    code = <PyCodeObject *>PyFunction_GET_CODE(function)
    return (
        code.co_argcount == count
        and code.co_kwonlyargcount == 0
        and not code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    )


cdef object call_value(_Call self, PyObject *const *given, Py_ssize_t count):
    cdef Py_ssize_t place
    if count < 1:
        raise TypeError("expected a function")
    if takes_exactly(given[0], count - 1):
        return PyObject_Vectorcall(<object>given[0], given + 1, count - 1, NULL)
    arguments = tuple([<object>given[place] for place in range(1, count)])
    return self.other(<object>given[0], arguments, {})


def caller(other):
    cdef _Call self = _Call.__new__(_Call)
    self.other = other
    return self.made(b"call_value", <PyCFunction>call_value, METH_FASTCALL)


cdef class _Method(_Native):
    """`value.name(...)`; `function` is that of the type that was seen last."""
    cdef bytes text
    cdef str name
    cdef Py_ssize_t count
    cdef dict known
    cdef object other, limit_fault, function
    cdef PyTypeObject *kind  # of values of `function`; it is a key of `known`

    cdef PyObject *chosen(self, PyObject *value) except? NULL:
        """The function of a value's type, borrowed; NULL when there is none.

        A map with an entry of that name has none: the entry may be a function of its own.
        """
        cdef PyObject *function
        cdef PyTypeObject *kind = Py_TYPE(value)
        if kind is not self.kind:
            function = PyDict_GetItemWithError(self.known, <object>kind)
            if function == NULL:
                return NULL
            self.function, self.kind = <object>function, kind
        if kind is &PyDict_Type and PyDict_GetItemWithError(<object>value, self.name) != NULL:
            return NULL
        return <PyObject *>self.function


cdef object call_method(_Method self, PyObject *const *given, Py_ssize_t count):
    cdef PyObject *function
    cdef PyObject *result
    if count == self.count + 2:  # context and value come first
        function = self.chosen(given[1])
        if function != NULL:
            result = Vectorcall(function, given + 1, count - 1, NULL)
            if result == NULL:
                limited(self.name, self.limit_fault)
            if result != NotImplementedObject:
                return flin_owned(result)
            Py_DECREF(<object>result)
    return PyObject_Vectorcall(self.other, given, count, NULL)


def method(str name not None, Py_ssize_t count, dict known not None, other, limit_fault):
    cdef _Method self = _Method.__new__(_Method)
    self.name, self.count, self.known = name, count, known
    self.other, self.limit_fault = other, limit_fault
    self.text = name.encode()
    return self.made(self.text, <PyCFunction>call_method, METH_FASTCALL)


cdef class _Function(_Native):
    """A builtin as a function of any arguments."""
    cdef bytes text
    cdef str name
    cdef tuple tables
    cdef object other, limit_fault, function
    cdef PyTypeObject *kind  # of the only argument that `function` was found for last

    cdef PyObject *chosen(self, PyObject *value, Py_ssize_t count) except? NULL:
        """The function for that many arguments of which this is the first, borrowed, or NULL."""
        cdef PyObject *known
        cdef PyTypeObject *kind = Py_TYPE(value)
        if count == 1 and kind is self.kind:
            return <PyObject *>self.function
        known = PyTuple_GET_ITEM(<PyObject *>self.tables, count - 1)
        known = PyDict_GetItemWithError(<dict>known, <object>kind)
        if count == 1 and known != NULL:
            self.function, self.kind = <object>known, kind
        return known


cdef object call_function(
    _Function self, PyObject *const *given, Py_ssize_t count, PyObject *names
):
    cdef PyObject *known
    cdef PyObject *result
    cdef Py_ssize_t place
    if 0 < count <= PyTuple_GET_SIZE(<PyObject *>self.tables) and names == NULL:
        known = self.chosen(given[0], count)
        if known != NULL:
            result = Vectorcall(known, given, count, NULL)
            if result == NULL:
                limited(self.name, self.limit_fault)
            if result != NotImplementedObject:
                return flin_owned(result)
            Py_DECREF(<object>result)
    arguments = tuple([<object>given[place] for place in range(count)])
    named = {}
    if names != NULL:
        for place in range(PyTuple_GET_SIZE(names)):
            named[<object>PyTuple_GET_ITEM(names, place)] = <object>given[count + place]
    return self.other(arguments, named)


def function(str name not None, tuple tables not None, other, limit_fault):
    cdef _Function self = _Function.__new__(_Function)
    self.name, self.tables = name, tables
    self.other, self.limit_fault = other, limit_fault
    self.text = name.encode()
    return self.made(self.text, <PyCFunction>call_function, METH_FASTCALL | METH_KEYWORDS)


def is_function(value):
    cdef PyObject *found
    if type(value) is not BuiltinFunctionType:
        return False
    found = flin_self(value)
    return found != NULL and type(<object>found) is _Function
