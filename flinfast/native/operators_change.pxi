"""`value.name += amount` of operators.pyx, which includes this file."""


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
        return add(before, amount) if self.is_sum else sub(before, amount)

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
