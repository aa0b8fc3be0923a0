# Part of collection.pyx: calling functions of the program for the items of a list.

cdef enum:  # how a function is called, decided once per walk
    NONE = 0      # without arguments
    ONE = 1       # with the item
    TWO = 2       # with the item and its index, or with two items
    CHECKED = 3   # with the item; what it takes is not known, so its refusal is a fault
    MEMBER = 4    # it is the name of a member
    ITEM = 5      # there is none: the item itself
    REFUSED = -2  # it is no function


cdef int asked(object function, int needed, int offered) noexcept:
    """`runtime.function.argument_count` of a function whose parameters are evident, else -1."""
    cdef PyCodeObject *code
    cdef PyObject *defaults
    cdef int most, fewest, wish, count
    if type(function) is not FunctionType:
        return -1
    code = <PyCodeObject *>PyFunction_GET_CODE(function)
    if code.co_flags & CO_VARARGS:
        return -1
    most = fewest = wish = code.co_argcount
    defaults = PyFunction_GET_DEFAULTS(function)
    if defaults != NULL:
        fewest = wish = most - <int>PyTuple_GET_SIZE(<object>defaults)
        while wish < most and PyTuple_GET_ITEM(<object>defaults, wish - fewest) == <PyObject *>None:
            wish += 1
    if fewest > offered:
        return -1  # the runtime has the fault for it
    count = needed if needed < most else most
    if wish > offered:
        wish = offered
    if count < wish:
        count = wish
    return count if count > fewest else fewest


cdef int way_for(str name, int position, object function, int needed) except -1:
    cdef int count = asked(function, needed, 2)
    if count >= 0:
        return count
    if not rules.is_function(function):
        return REFUSED
    count = rules.argument_count(name, position, function, needed, 2)
    return count if rules.is_plain(function) else CHECKED


cdef int way_of(str name, int position, object function) except -1:
    """How to call `function` with an item, and its index when it asks for it."""
    return way_for(name, position, function, 1)


cdef int key_way(str name, object key) except -1:
    """The same for a key function, for which the name of a member will do."""
    if type(key) is str:
        return MEMBER
    if key is None:
        return ITEM
    return way_of(name, 2, key)


cdef inline object given(int way, str name, object function, object item, Py_ssize_t index):
    """What a function gives for an item."""
    cdef PyObject *arguments[3]
    cdef object place
    if way == ONE:
        return PyObject_CallOneArg(function, item)
    if way == TWO:
        place = index
        arguments[1] = <PyObject *>item
        arguments[2] = <PyObject *>place
        return PyObject_Vectorcall(
            function, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
    if way == ITEM:
        return item
    if way == MEMBER:
        return member(item, function)
    if way == NONE:
        return PyObject_CallNoArgs(function)
    return rules.call_checked(name, function, (item,), {})


cdef inline object member(object item, object name):
    cdef PyObject *value
    if type(item) is dict:
        value = PyDict_GetItemWithError(item, name)
        return None if value == NULL else <object>value
    return None if item is None else rules.member(item, name)


cdef int pair_way(str name, int position, object function) except -1:
    """How to call `function` with two values, such as the step of a reduction."""
    return way_for(name, position, function, 2)


cdef inline object joined(int way, str name, object function, object first, object second):
    """What a function gives for two values."""
    cdef PyObject *arguments[3]
    if way == TWO:
        arguments[1] = <PyObject *>first
        arguments[2] = <PyObject *>second
        return PyObject_Vectorcall(
            function, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
    if way == ONE:
        return PyObject_CallOneArg(function, first)
    if way == NONE:
        return PyObject_CallNoArgs(function)
    return rules.call_checked(name, function, (first, second), {})


cdef inline list walked(int way, list items):
    """What to walk: a copy when something is called that may change the list."""
    return items if way == ITEM else items[:]
