# Part of collection.pyx: walks that end in one value. Functions may change the list that is walked:
# where one is called, the walk is over a copy.

cdef enum:
    NOWHERE = -1
    UNSURE = -3


cdef Py_ssize_t computed_position(Walk *walk, list items, bint wanted) noexcept:
    """`position` while the formula has values: UNSURE when the function has to be called."""
    cdef Py_ssize_t place = 0
    cdef Plain *value
    if walk.formula == NULL:
        return UNSURE
    while place < PyList_GET_SIZE(items):
        value = computed(walk, PyList_GET_ITEM(items, place), place)
        if value == NULL:
            return UNSURE
        if truth_of(value) == wanted:
            return place
        place += 1
    return NOWHERE


cdef Py_ssize_t position(
    Walk *walk, str name, object function, list items, bint wanted
) except -2:
    """Index of the first item for which the function's truth is `wanted`, or NOWHERE."""
    cdef Py_ssize_t place = computed_position(walk, items, wanted)
    if place != UNSURE:
        return place
    place = 0
    for item in items[:]:
        if holds(walk, name, function, item, place) == wanted:
            return place
        place += 1
    return NOWHERE


def find(list items not None, function):
    cdef Walk walk
    cdef Py_ssize_t place
    start_items(&walk, "find", function)
    if walk.way == REFUSED:
        return NotImplemented
    place = computed_position(&walk, items, True)
    if place == UNSURE:
        items = items[:]  # the item that was looked at, whatever becomes of the list
        place = position(&walk, "find", function, items, True)
    return None if place < 0 else items[place]


def find_index(list items not None, function):
    cdef Walk walk
    start_items(&walk, "find_index", function)
    if walk.way == REFUSED:
        return NotImplemented
    return position(&walk, "find_index", function, items, True)


def some(list items not None, function):
    cdef Walk walk
    start_items(&walk, "some", function)
    if walk.way == REFUSED:
        return NotImplemented
    return position(&walk, "some", function, items, True) >= 0


def every(list items not None, function):
    cdef Walk walk
    start_items(&walk, "every", function)
    if walk.way == REFUSED:
        return NotImplemented
    return position(&walk, "every", function, items, False) < 0


def count(list items not None, function=None):
    cdef Py_ssize_t place = 0, counted = 0
    cdef Walk walk
    cdef Plain *value
    if function is None:
        return PyList_GET_SIZE(items)
    start_items(&walk, "count", function)
    if walk.way == REFUSED:
        return NotImplemented
    if walk.formula != NULL:
        while place < PyList_GET_SIZE(items):
            value = computed(&walk, PyList_GET_ITEM(items, place), place)
            if value == NULL:
                break
            counted += truth_of(value)
            place += 1
    for item in items[place:]:
        counted += holds(&walk, "count", function, item, place)
        place += 1
    return counted


def each(list items not None, function):
    cdef Walk walk
    cdef Py_ssize_t place = 0
    start_items(&walk, "each", function)
    if walk.way == REFUSED:
        return NotImplemented
    for item in items[:]:
        given(&walk, "each", function, item, place)
        place += 1
    return items


def reduce(list items not None, function, initial):
    cdef int position = 2
    cdef Walk walk
    if type(function) is not FunctionType:
        if not rules.is_function(function) and rules.is_function(initial):
            function, initial, position = initial, function, 3
    start_pairs(&walk, "reduce", position, function)
    if walk.way == REFUSED:
        return NotImplemented
    result = initial
    for item in items[:]:
        result = joined(&walk, "reduce", function, result, item)
    return result


# --- numbers ----------------------------------------


cdef class _Total:
    """A sum of ints and numbers, as `+` would make it from left to right.

    Invariant: `whole` counts until a number or an int beyond 64 bits comes, then `number` or
    `large`; what came first is in the sum only once.
    """
    cdef long long whole
    cdef double number
    cdef object large     # what `+` made of it; None while it is whole or a number
    cdef bint is_number

    cdef int add(self, str name, object value) except -1:
        cdef long long sum
        cdef long long part
        cdef int overflow = 0
        if self.large is not None:
            self.check(name, value)
            self.large = rules.add(self.large, value)
        elif type(value) is int:
            if self.is_number:
                self.number += whole_number(value)
                return 0
            part = PyLong_AsLongLongAndOverflow(value, &overflow)
            if overflow or flin_add_overflows(self.whole, part, &sum):
                self.large = self.whole + value
            else:
                self.whole = sum
        elif type(value) is float:
            if self.is_number:
                self.number += PyFloat_AS_DOUBLE(value)
            else:
                self.is_number = True
                self.number = <double>self.whole + PyFloat_AS_DOUBLE(value)
        else:
            self.check(name, value)
        return 0

    cdef int add_computed(self, str name, Plain *value) except -1:
        """Add what a formula gave; none adds nothing."""
        cdef long long sum
        if value.kind == WHOLE and self.large is None:
            if self.is_number:
                self.number += <double>value.whole
            elif flin_add_overflows(self.whole, value.whole, &sum):
                self.large = self.whole + PyLong_FromLongLong(value.whole)
            else:
                self.whole = sum
        elif value.kind == FRACTION and self.is_number:
            self.number += value.fraction
        elif value.kind != OBJECT or value.held != <PyObject *>None:
            self.add(name, boxed(value))
        return 0

    cdef Py_ssize_t add_plain(self, list items) except -1:
        """Add the ints and numbers that a list starts with; how many there are."""
        cdef Py_ssize_t place = 0, count = PyList_GET_SIZE(items)
        cdef PyObject *item
        cdef long long part, sum
        while place < count and type(<object>PyList_GET_ITEM(items, place)) is int:
            item = PyList_GET_ITEM(items, place)
            if not flin_whole(item, &part) or flin_add_overflows(self.whole, part, &sum):
                return place
            self.whole = sum
            place += 1
        if place < count and type(<object>PyList_GET_ITEM(items, place)) is float:
            self.is_number = True
            self.number = <double>self.whole
        while self.is_number and place < count:
            item = PyList_GET_ITEM(items, place)
            if type(<object>item) is float:
                self.number += PyFloat_AS_DOUBLE(<object>item)
            elif type(<object>item) is int:
                self.number += whole_number(<object>item)
            else:
                break
            place += 1
        return place

    cdef int check(self, str name, object value) except -1:
        if not is_number(value):
            raise rules.item_fault(name, "number", value)
        return 0

    cdef object value(self):
        if self.large is not None:
            return self.large
        return self.number if self.is_number else self.whole


cdef double whole_number(object value) except? -1:
    """An int as a number; the fault FL508 when it is too large for one."""
    try:
        return PyLong_AsDouble(value)
    except OverflowError:
        return rules.add(0.0, value)


def sum(list items not None, key=None):
    cdef Walk walk
    cdef Py_ssize_t place = 0
    cdef _Total total
    cdef Plain *part
    start_keys(&walk, "sum", key)
    if walk.way == REFUSED:
        return NotImplemented
    total = _Total.__new__(_Total)
    if walk.way == ITEM:
        place = total.add_plain(items)
        if place == PyList_GET_SIZE(items):
            return total.value()
    elif walk.formula != NULL:
        while place < PyList_GET_SIZE(items):
            part = computed(&walk, PyList_GET_ITEM(items, place), place)
            if part == NULL:
                break
            settle(part)
            total.add_computed("sum", part)
            place += 1
    for item in items[place:]:
        value = given(&walk, "sum", key, item, place)
        if value is not None:
            total.add("sum", value)
        place += 1
    return total.value()


cdef Py_ssize_t add_numbers(list items, double *total) noexcept:
    """Add the numbers and ints of 64 bits that a list starts with; how many there are."""
    cdef Py_ssize_t place = 0
    cdef PyObject *item
    cdef long long whole
    while place < PyList_GET_SIZE(items):
        item = PyList_GET_ITEM(items, place)
        if type(<object>item) is float:
            total[0] += PyFloat_AS_DOUBLE(<object>item)
        elif type(<object>item) is int and flin_whole(item, &whole):
            total[0] += <double>whole
        else:
            break
        place += 1
    return place


def avg(list items not None, key=None):
    cdef Walk walk
    cdef Py_ssize_t place = 0, counted = 0
    cdef double total = 0.0
    start_keys(&walk, "avg", key)
    if walk.way == REFUSED:
        return NotImplemented
    if walk.way == ITEM:
        place = counted = add_numbers(items, &total)
        if place == PyList_GET_SIZE(items):
            return total / counted if counted else None
        items = items[place:]
    for item in walked(&walk, items):
        value = given(&walk, "avg", key, item, place)
        place += 1
        if type(value) is float:
            total += PyFloat_AS_DOUBLE(value)
        elif type(value) is int:
            total += PyLong_AsDouble(value)
        elif value is None:
            continue
        else:
            raise rules.item_fault("avg", "number", value)
        counted += 1
    return total / counted if counted else None


def min(list items not None, key=None):
    return extreme("min", items, key, True)


def max(list items not None, key=None):
    return extreme("max", items, key, False)


cdef object extreme(str name, list items, object key, bint smallest):
    cdef Walk walk
    cdef Py_ssize_t place = 0
    cdef bint is_less
    best = None
    start_keys(&walk, name, key)
    if walk.way == REFUSED:
        return NotImplemented
    for item in walked(&walk, items):
        value = given(&walk, name, key, item, place)
        place += 1
        if value is None:
            continue
        if best is None:
            best = value
            continue
        is_less = less(value, best) if smallest else less(best, value)
        if is_less:
            best = value
    return best
