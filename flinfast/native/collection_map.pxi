# Part of collection.pyx: maps.


def keys(dict entries not None):
    return list(entries)


def values(dict entries not None):
    return list(entries.values())


def entries(dict entries not None):
    return [[key, value] for key, value in entries.items()]


def from_entries(list items not None):
    cdef dict made = {}
    cdef list pair
    for item in items:
        if type(item) is not list or PyList_GET_SIZE(item) != 2:
            raise rules.entry_fault(item)
        pair = <list>item
        made[pair[0] if type(pair[0]) is str else rules.map_key(pair[0])] = pair[1]
    return made


def has_key(dict entries not None, key):
    return key in entries if type(key) is str else NotImplemented


def get(dict entries not None, key, default=None):
    cdef PyObject *value
    if type(key) is not str:
        return NotImplemented
    value = PyDict_GetItemWithError(entries, key)
    return default if value == NULL else <object>value


def pick(dict entries not None, names):
    cdef dict made = {}
    cdef PyObject *value
    if type(names) is not list:
        return NotImplemented
    for name in <list>names:
        if type(name) is not str:
            return NotImplemented
        value = PyDict_GetItemWithError(entries, name)
        if value != NULL:
            made[name] = <object>value
    return made


def omit(dict entries not None, names):
    cdef dict made
    if type(names) is not list:
        return NotImplemented
    made = entries.copy()
    for name in <list>names:
        if type(name) is not str:
            return NotImplemented
        made.pop(name, None)
    return made


def clone(dict entries not None):
    return entries.copy()


def merge(dict entries not None, other=MISSING, *more):
    cdef dict merged
    if other is MISSING:
        return entries.copy()
    if type(other) is not dict:
        return NotImplemented
    for others in more:
        if type(others) is not dict:
            return NotImplemented
    merged = entries.copy()
    PyDict_Update(merged, other)
    for others in more:
        PyDict_Update(merged, others)
    return merged


def map_values(dict entries not None, function):
    cdef Walk walk
    cdef dict made = {}
    start_pairs(&walk, "map_values", 2, function)
    if walk.way == REFUSED:
        return NotImplemented
    for key, value in list(entries.items()):
        made[key] = joined(&walk, "map_values", function, value, key)
    return made
