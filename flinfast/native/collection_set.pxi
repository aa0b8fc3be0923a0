# Part of collection.pyx: which values were seen already.


cdef class _Seen:
    """A set of FLIN values: hashed where FLIN's equality allows it, else compared one by one.

    Invariant: what stands in `hashed` is equal to Python exactly when it is equal to FLIN.
    """
    cdef set hashed
    cdef list others    # lists, maps and records

    def __cinit__(self):
        self.hashed = set()
        self.others = []

    cdef int fill(self, list items) except -1:
        for item in items:
            self.add(item)
        return 0

    cdef int has(self, object item) except -1:
        cdef object key
        if type(item) is str or type(item) is int or item is None:
            return item in self.hashed
        if type(item) is float:  # NaN equals nothing
            return item == item and item in self.hashed
        key = tagged(item)
        if key is None:
            return place_of(self.others, item) >= 0
        return key in self.hashed

    cdef int add(self, object item) except -1:
        """Add a value; whether it is new."""
        cdef object key = item
        cdef Py_ssize_t before
        if type(item) is float:
            if item != item:
                return 1
        elif not (type(item) is str or type(item) is int or item is None):
            key = tagged(item)
            if key is None:
                if place_of(self.others, item) >= 0:
                    return 0
                self.others.append(item)
                return 1
        before = len(self.hashed)
        self.hashed.add(key)
        return len(self.hashed) > before


cdef tuple tagged(object item):
    """What to hash for a bool, time or bytes, apart from an int or text that Python calls equal."""
    if type(item) is bool or type(item) is bytes or type(item) is TimeType:
        return type(item), item
    if type(item) is NoValueType:
        return NoValueType, item
    return None


def unique(list items not None, key=None):
    cdef Walk walk
    cdef Py_ssize_t place = 0
    cdef list kept = []
    cdef _Seen seen
    start_keys(&walk, "unique", key)
    if walk.way == REFUSED:
        return NotImplemented
    seen = _Seen()
    for item in walked(&walk, items):
        if seen.add(given(&walk, "unique", key, item, place)):
            kept.append(item)
        place += 1
    return kept


def union(list items not None, others):
    cdef _Seen seen = _Seen()
    cdef list kept
    if type(others) is not list:
        return NotImplemented
    kept = [item for item in items if seen.add(item)]
    kept += [item for item in <list>others if seen.add(item)]
    return kept


def intersection(list items not None, others):
    cdef _Seen seen = _Seen(), wanted = _Seen()
    if type(others) is not list:
        return NotImplemented
    wanted.fill(<list>others)
    return [item for item in items if wanted.has(item) and seen.add(item)]


def difference(list items not None, others):
    cdef _Seen seen = _Seen()
    if type(others) is not list:
        return NotImplemented
    seen.fill(<list>others)
    return [item for item in items if seen.add(item)]


def symmetric_difference(list items not None, others):
    cdef _Seen mine = _Seen(), theirs = _Seen(), seen = _Seen()
    cdef list kept
    if type(others) is not list:
        return NotImplemented
    mine.fill(items)
    theirs.fill(<list>others)
    kept = [item for item in items if not theirs.has(item) and seen.add(item)]
    kept += [item for item in <list>others if not mine.has(item) and seen.add(item)]
    return kept
