# Part of collection.pyx: calling functions of the program for the items of a list.

cdef enum:  # how a function is called, decided once per walk
    NONE = 0      # without arguments
    ONE = 1       # with the item
    TWO = 2       # with the item and its index, or with two items
    CHECKED = 3   # with the item; what it takes is not known, so its refusal is a fault
    MEMBER = 4    # it is the name of a member
    ITEM = 5      # there is none: the item itself
    REFUSED = -2  # it is no function


cdef struct Walk:
    # How to get a value for each item; all is borrowed from the function, which the caller holds.
    int way
    Node *formula     # NULL without one
    PyObject *cells   # its closure
    Plain values[6]   # GIVEN + LOCALS_MAX
    Plain value


cdef int asked(object function, int needed, int offered) except -2:
    """`runtime.function.argument_count` of a function whose parameters are evident, else -1."""
    cdef PyCodeObject *code
    cdef PyObject *defaults
    cdef int most, fewest, wish, count, bound = 0
    if type(function) is partial:  # a file-level function, its context bound
        bound = len(function.args)
        function = function.func
    if type(function) is not FunctionType:
        return needed if is_builtin(function) and bound == 0 else -1
    code = <PyCodeObject *>PyFunction_GET_CODE(function)
    if code.co_flags & CO_VARARGS:
        return -1
    most = fewest = wish = code.co_argcount
    defaults = PyFunction_GET_DEFAULTS(function)
    if defaults != NULL:
        fewest = wish = most - <int>PyTuple_GET_SIZE(<object>defaults)
        while wish < most and PyTuple_GET_ITEM(<object>defaults, wish - fewest) == <PyObject *>None:
            wish += 1
    if fewest - bound > offered:
        return -1  # the runtime has the fault for it
    count = needed if needed < most - bound else most - bound
    if wish - bound > count:
        count = offered if wish - bound > offered else wish - bound
    if fewest - bound > count:
        count = fewest - bound
    return count if count > 0 else 0


cdef int start(Walk *walk, str name, int position, object function, int needed) except -1:
    """Find out how to call a function with `needed` values, or two when it asks for them."""
    cdef int count = asked(function, needed, 2)
    walk.formula = NULL
    walk.way = count
    if count > 0:
        if type(function) is FunctionType and type(<object>flin_formula(function)) is Formula:
            find_formula(walk, function, <Formula>flin_formula(function))
    elif count < 0:
        if not rules.is_function(function):
            walk.way = REFUSED
        else:
            walk.way = rules.argument_count(name, position, function, needed, 2)
            if not rules.is_plain(function):
                walk.way = CHECKED
    return 0


cdef int find_formula(Walk *walk, object function, Formula formula) except -1:
    if formula.arguments != walk.way:
        return 0
    if formula.has_cells:
        if formula.code != PyFunction_GET_CODE(function) and not formula.find_cells(function):
            return 0
        walk.cells = flin_closure(function)
    walk.formula = formula.nodes
    return 0


cdef int start_items(Walk *walk, str name, object function) except -1:
    """For a function of an item, and its index when it asks for it."""
    return start(walk, name, 2, function, 1)


cdef int start_keys(Walk *walk, str name, object key) except -1:
    """The same for a key function, for which the name of a member will do."""
    walk.formula = NULL
    if type(key) is str:
        walk.way = MEMBER
    elif key is None:
        walk.way = ITEM
    else:
        start(walk, name, 2, key, 1)
    return 0


cdef inline Plain *computed(Walk *walk, PyObject *item, Py_ssize_t index) noexcept:
    """What the formula gives for an item; NULL when the function has to be called.

    It is overwritten by the next value.
    """
    walk.values[0].kind = OBJECT
    walk.values[0].held = item
    walk.values[1].kind = WHOLE
    walk.values[1].whole = index
    return compute(walk.formula, 0, walk.values, walk.cells, &walk.value)


cdef inline object given(Walk *walk, str name, object function, object item, Py_ssize_t index):
    """What a function gives for an item."""
    cdef Plain *value
    if walk.formula != NULL:
        value = computed(walk, <PyObject *>item, index)
        if value != NULL:
            return boxed(value)
    return called(walk.way, name, function, item, index)


cdef inline int holds(
    Walk *walk, str name, object function, object item, Py_ssize_t index
) except -1:
    """Whether what a function gives for an item is true."""
    cdef Plain *value
    if walk.formula != NULL:
        value = computed(walk, <PyObject *>item, index)
        if value != NULL:
            return truth_of(value)
    return truth(called(walk.way, name, function, item, index))


cdef inline object called(int way, str name, object function, object item, Py_ssize_t index):
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


cdef int start_pairs(Walk *walk, str name, int position, object function) except -1:
    """For a function of two values, such as the step of a reduction."""
    return start(walk, name, position, function, 2)


cdef inline object joined(Walk *walk, str name, object function, object first, object second):
    """What a function gives for two values."""
    cdef PyObject *arguments[3]
    cdef Plain *value
    if walk.formula != NULL:
        walk.values[0].kind = walk.values[1].kind = OBJECT
        walk.values[0].held = <PyObject *>first
        walk.values[1].held = <PyObject *>second
        value = compute(walk.formula, 0, walk.values, walk.cells, &walk.value)
        if value != NULL:
            return boxed(value)
    if walk.way == TWO:
        arguments[1] = <PyObject *>first
        arguments[2] = <PyObject *>second
        return PyObject_Vectorcall(
            function, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
    if walk.way == ONE:
        return PyObject_CallOneArg(function, first)
    if walk.way == NONE:
        return PyObject_CallNoArgs(function)
    return rules.call_checked(name, function, (first, second), {})


cdef inline list walked(Walk *walk, list items):
    """What to walk: a copy when something is called that may change the list."""
    return items if walk.way == ITEM else items[:]
