"""What operators.pyx, which includes this file, does with maps alone."""


cdef class Change:
    """`value.name += amount`, or `-=`."""
    cdef object member, set_member
    cdef str name
    cdef bint is_sum
    cdef Field field

    def __cinit__(self, member, set_member, str name not None, bint is_sum):
        self.member, self.set_member, self.name = member, set_member, name
        self.is_sum = is_sum
        self.field.name = <PyObject *>name

    def __dealloc__(self):
        Py_XDECREF(self.field.key)

    cdef object changed(self, object before, object amount):
        return sum_of(before, amount) if self.is_sum else difference_of(before, amount)

    def change(self, value, amount, /):
        cdef PyObject *found
        cdef object before
        if Py_TYPE(<PyObject *>value) is not &PyDict_Type:
            before = self.member(value, self.name)
            self.set_member(value, self.name, self.changed(before, amount))
            return
        found = field_of(&self.field, <PyObject *>value)
        before = None if found is NULL else <object>found  # held while the operator runs
        PyDict_SetItem(value, self.name, self.changed(before, amount))


def change_once(member, set_member, str name not None, bint is_sum, /):
    return Change(member, set_member, name, is_sum).change


def add_to_entry(target, key, first, amount, /):
    cdef PyObject *found
    cdef object before
    if Py_TYPE(<PyObject *>target) is &PyDict_Type and Py_TYPE(<PyObject *>key) is &PyUnicode_Type:
        found = PyDict_GetItemWithError(target, key)
        before = None if found is NULL else <object>found  # held while the operator runs
        PyDict_SetItem(target, key, sum_of(first if before is None else before, amount))
        return
    before = item_of(target, key)
    set_item(target, key, sum_of(first if before is None else before, amount))


def items_at(value, key, /):
    return items_of(item_of(value, key))
