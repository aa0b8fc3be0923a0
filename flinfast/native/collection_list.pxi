# Part of collection.pyx: walks that make lists and maps.


def map(list items not None, function):
    cdef Walk walk
    cdef Py_ssize_t place = 0
    cdef list made
    cdef Plain *value
    start_items(&walk, "map", function)
    if walk.way == REFUSED:
        return NotImplemented
    made = []
    if walk.formula != NULL:
        while place < PyList_GET_SIZE(items):
            value = computed(&walk, PyList_GET_ITEM(items, place), place)
            if value == NULL:
                break
            made.append(boxed(value))
            place += 1
    for item in items[place:]:
        made.append(given(&walk, "map", function, item, place))
        place += 1
    return made


def filter(list items not None, function):
    cdef Walk walk
    cdef Py_ssize_t place = 0
    cdef list kept
    cdef Plain *value
    start_items(&walk, "filter", function)
    if walk.way == REFUSED:
        return NotImplemented
    kept = []
    if walk.formula != NULL:
        while place < PyList_GET_SIZE(items):
            value = computed(&walk, PyList_GET_ITEM(items, place), place)
            if value == NULL:
                break
            if truth_of(value):
                kept.append(<object>PyList_GET_ITEM(items, place))
            place += 1
    for item in items[place:]:
        if holds(&walk, "filter", function, item, place):
            kept.append(item)
        place += 1
    return kept


def zip_with(list items not None, others, function):
    cdef Walk walk
    cdef list made = [], left, right
    cdef Py_ssize_t place, count
    if type(others) is not list:
        return NotImplemented
    start_pairs(&walk, "zip_with", 3, function)
    if walk.way == REFUSED:
        return NotImplemented
    count = shorter(items, <list>others)
    left, right = items[:count], (<list>others)[:count]
    for place in range(count):
        made.append(joined(&walk, "zip_with", function, left[place], right[place]))
    return made


# --- lists in lists ----------------------------------------


cdef Py_ssize_t spread(list flat, object inner) except -1:
    """Append the items of a list, range or query, or the value itself; how many were looked at."""
    cdef list items
    if type(inner) is list:
        items = <list>inner
    elif type(inner) is dict or is_number(inner) or has_identity(inner):
        flat.append(inner)
        return 1
    else:
        made = rules.as_items(inner)
        if made is None:
            flat.append(inner)
            return 1
        items = made
    flat += items
    return PyList_GET_SIZE(items) + 1


def flat_map(list items not None, function):
    cdef Walk walk
    cdef Py_ssize_t place = 0, steps = 0
    cdef list flat = []
    start_items(&walk, "flat_map", function)
    if walk.way == REFUSED:
        return NotImplemented
    for item in items[:]:
        steps += spread(flat, given(&walk, "flat_map", function, item, place))
        check_size(steps)
        place += 1
    return flat


def flatten(list items not None, depth=1):
    cdef Py_ssize_t steps = 0
    cdef list flat = []
    if type(depth) is not int or depth != 1:
        return NotImplemented
    for item in items:
        steps += spread(flat, item)
        check_size(steps)
    return flat


cdef int check_size(Py_ssize_t count) except -1:
    if count > rules.items_max:
        raise rules.size_fault("a list", f"{rules.items_max} items")
    return 0


# --- order ----------------------------------------


cdef type order_of(list keys):
    """The type by which all keys are ordered, float for ints and numbers; None when in question."""
    cdef object kind = None
    cdef Py_ssize_t place = 0
    cdef PyTypeObject *first
    if PyList_GET_SIZE(keys):
        first = Py_TYPE(PyList_GET_ITEM(keys, 0))
        while place < PyList_GET_SIZE(keys) and Py_TYPE(PyList_GET_ITEM(keys, place)) is first:
            place += 1
        if place == PyList_GET_SIZE(keys) and (first is &PyUnicode_Type or first is &PyLong_Type):
            return <object>first
    for key in keys:
        found = type(key)
        if found is kind:
            continue
        if kind is None:
            kind = found
        elif is_number(key) and (kind is int or kind is float):
            kind = float
        else:
            return None
    if kind is str or kind is int or kind is float or kind is bool or kind is TimeType:
        return kind
    return None


def sort(list items not None, key=None, direction="asc"):
    cdef Walk walk
    cdef bint descending = direction == "desc"
    cdef Py_ssize_t place = 0
    cdef list keys, ordered
    if not descending and direction != "asc":
        return NotImplemented
    ordered = items[:]
    if key is None:
        if order_of(items) is None:
            return rules.sort_keyed(items, items, descending)
        ordered.sort(reverse=descending)
        return ordered
    start_keys(&walk, "sort", key)
    if walk.way == REFUSED:
        return NotImplemented
    if walk.way == TWO:
        if not by_difference(&walk, ordered):
            by_comparison(ordered, key)
        return ordered[::-1] if descending else ordered
    keys = []
    for item in items[:]:
        keys.append(given(&walk, "sort", key, item, place))
        place += 1
    return by_keys(ordered, keys, descending)


cdef int by_difference(Walk *walk, list ordered) except -1:
    """Sort by `f(a) - f(b)`, or `f(b) - f(a)`, where `f` gives ints of 64 bits; whether it did.

    Each `f` is computed once. All other comparisons, and numbers, which may be NaN, are not for it.
    """
    cdef Node *root = walk.formula
    cdef int other
    cdef Plain *value
    cdef Py_ssize_t place
    cdef list keys
    if root == NULL or root.step != MINUS:
        return 0
    other = mirrored(root, root.first, root.second)
    if other == NEITHER:
        return 0
    keys = []
    for place in range(PyList_GET_SIZE(ordered)):
        walk.values[0].kind = walk.values[1].kind = OBJECT
        walk.values[0].held = walk.values[1].held = PyList_GET_ITEM(ordered, place)
        value = operand(root, root.first, walk.values, walk.cells, &walk.value)
        if value != NULL:
            settle(value)
        if value == NULL or value.kind != WHOLE:
            return 0
        keys.append(PyLong_FromLongLong(value.whole))
    by_keys(ordered, keys, other == 0)
    return 1


cdef int by_comparison(list ordered, object compare) except -1:
    """Sort a list of our own by a function of two items that gives a number."""

    def checked(left, right):
        result = compare(left, right)
        if not is_number(result):
            raise rules.number_fault(result)
        return 0 if result != result else result

    ordered.sort(key=cmp_to_key(checked))
    return 0


cdef list by_keys(list ordered, list keys, bint descending):
    """Sort a list of our own by keys of its items."""
    cdef Py_ssize_t place = -1

    def next_key(item):
        nonlocal place
        place += 1
        return keys[place]

    if order_of(keys) is None:
        return rules.sort_keyed(ordered, keys, descending)
    ordered.sort(key=next_key, reverse=descending)
    return ordered


# --- groups ----------------------------------------


cdef inline str text_of(object value):
    """The text of any value, as `to_text` gives it."""
    cdef int overflow = 0
    if type(value) is str:
        return <str>value
    if type(value) is int:
        PyLong_AsLongLongAndOverflow(value, &overflow)
        if not overflow:
            return str(value)
    return <str>rules.to_text(value)


def group_by(list items not None, key):
    cdef Walk walk
    cdef Py_ssize_t place = 0
    cdef dict groups = {}
    cdef PyObject *group
    cdef str name
    start_keys(&walk, "group_by", key)
    if walk.way == REFUSED or walk.way == ITEM:
        return NotImplemented
    for item in items[:]:
        name = text_of(given(&walk, "group_by", key, item, place))
        group = PyDict_GetItemWithError(groups, name)
        if group == NULL:
            groups[name] = [item]
        else:
            (<list>group).append(item)
        place += 1
    return groups


def join(list items not None, separator=","):
    cdef list texts = None
    cdef Py_ssize_t place, size
    if type(separator) is not str:
        return NotImplemented
    size = PyUnicode_GET_LENGTH(separator) * PyList_GET_SIZE(items)
    for place in range(PyList_GET_SIZE(items)):
        if type(<object>PyList_GET_ITEM(items, place)) is str:
            size += PyUnicode_GET_LENGTH(<object>PyList_GET_ITEM(items, place))
            continue
        if texts is None:  # from here on the list is ours: the text of a query may run code
            texts = items = items[:]
        texts[place] = text_of(texts[place])
        size += PyUnicode_GET_LENGTH(texts[place])
    if size > rules.text_max:
        raise rules.size_fault("a text", f"{rules.text_max} characters")
    return PyUnicode_Join(separator, items if texts is None else texts)


# --- parts ----------------------------------------


def size(value):
    return len(value)


def is_empty(value):
    return len(value) == 0


def first(list items not None):
    return items[0] if PyList_GET_SIZE(items) else None


def last(list items not None):
    return items[PyList_GET_SIZE(items) - 1] if PyList_GET_SIZE(items) else None


def rest(list items not None):
    return items[1:]


def reverse(list items not None):
    return items[::-1]


def copy(list items not None):
    return items[:]


cdef inline Py_ssize_t bound(object number, Py_ssize_t size) noexcept:
    """A bound of a slice as an index from 0 to `size`; a negative one counts from the end."""
    cdef int overflow = 0
    cdef long long place
    if not flin_whole(<PyObject *>number, &place):
        PyLong_AsLongLongAndOverflow(number, &overflow)
        return size if overflow > 0 else 0
    if place < 0:
        place += size
        return 0 if place < 0 else <Py_ssize_t>place
    return size if place > size else <Py_ssize_t>place


def take(list items not None, count):
    if type(count) is not int:
        return NotImplemented
    if count < 0:
        return []
    return PyList_GetSlice(items, 0, bound(count, PyList_GET_SIZE(items)))


def drop(list items not None, count):
    cdef Py_ssize_t size = PyList_GET_SIZE(items)
    if type(count) is not int:
        return NotImplemented
    return PyList_GetSlice(items, bound(count, size) if count > 0 else 0, size)


def slice(items, start, stop=None):
    cdef Py_ssize_t size, first, last
    if type(start) is not int or type(stop) is not int and stop is not None:
        return NotImplemented
    if type(items) is not list and type(items) is not str:
        return items[start:stop]
    size = len(items)
    first = bound(start, size)
    last = size if stop is None else bound(stop, size)
    if type(items) is list:
        return PyList_GetSlice(items, first, last)
    return PyUnicode_Substring(items, first, last)


def concat(list items not None, other=MISSING, *more):
    cdef list joined
    if other is MISSING:
        return items[:]
    if type(other) is not list:
        return NotImplemented
    for others in more:
        if type(others) is not list:
            return NotImplemented
    joined = items + <list>other
    for others in more:
        joined += <list>others
    return joined


def zip(list items not None, others):
    cdef Py_ssize_t place
    cdef list second
    if type(others) is not list:
        return NotImplemented
    second = <list>others
    return [[items[place], second[place]] for place in range(shorter(items, second))]


cdef inline Py_ssize_t shorter(list left, list right) noexcept:
    """The smaller of two sizes."""
    if PyList_GET_SIZE(left) < PyList_GET_SIZE(right):
        return PyList_GET_SIZE(left)
    return PyList_GET_SIZE(right)


def chunk(list items not None, count):
    cdef Py_ssize_t start, step
    if type(count) is not int or count < 1:
        return NotImplemented
    step = PyList_GET_SIZE(items) + 1 if count > PyList_GET_SIZE(items) else count
    return [items[start:start + step] for start in range(0, PyList_GET_SIZE(items), step)]


cdef long long MODERATE_MAX = 1LL << 61


def range_list(start, stop=None, step=1):
    cdef long long first, last, stride
    cdef Py_ssize_t count = 0, place
    cdef list made
    if type(start) is not int or type(step) is not int or step == 0:
        return NotImplemented
    if stop is None:
        start, stop = 0, start
    elif type(stop) is not int:
        return NotImplemented
    if not (is_moderate(start, &first) and is_moderate(stop, &last) and is_moderate(step, &stride)):
        return rules.as_items(range(start, stop, step))
    if stride > 0 and last > first:
        count = flin_quotient(last - first - 1, stride) + 1
    elif stride < 0 and last < first:
        count = flin_quotient(first - last - 1, -stride) + 1
    check_size(count)
    made = PyList_New(count)
    for place in range(count):
        PyList_SET_ITEM(made, place, NewLong(first + place * stride))
    return made


cdef inline bint is_moderate(object number, long long *whole) noexcept:
    """Whether an int is so small that differences of two fit 64 bits."""
    return flin_whole(<PyObject *>number, whole) and -MODERATE_MAX <= whole[0] <= MODERATE_MAX
