"""Fields of all items of a list, beside each other; operators.pyx includes this file."""


cdef enum:
    COLUMNS_MAX = 16


cdef class Columns:
    """Values of some fields of dicts, list by list; `places` are of the fields, -1 the dict itself."""
    cdef Fields fields
    cdef int places[COLUMNS_MAX]
    cdef int width

    def __cinit__(self, tuple description not None, tuple places not None):
        self.fields, self.width = Fields(description), len(places)
        if not 0 < self.width <= COLUMNS_MAX:
            raise TypeError("expected from 1 to 16 places")
        for column, place in enumerate(places):
            if type(place) is not int or not -1 <= place < self.fields.count:
                raise TypeError("expected places of fields")
            self.places[column] = place

    cdef void put(self, PyObject **columns, Py_ssize_t row, PyObject *item) noexcept:
        """Put what was found in a dict into its row of the new lists."""
        cdef PyObject *found
        cdef int column
        for column in range(self.width):
            found = item
            if self.places[column] >= 0:
                found = self.fields.fields[self.places[column]].found
                if found is NULL:
                    found = Py_None_BORROWED
            PyList_SET_NEW(columns[column], row, NewRef(<object>found))

    def apart(self, value, /):
        cdef PyObject *columns[COLUMNS_MAX]
        cdef Py_ssize_t count, row = 0
        cdef PyObject *item
        cdef list made, column
        cdef int place
        if Py_TYPE(<PyObject *>value) is not &PyList_Type:
            return [], value
        count = PyList_GET_SIZE(value)
        made = [PyList_New(count) for _ in range(self.width)]
        for place in range(self.width):
            columns[place] = PyList_GET_ITEM_BORROWED(<PyObject *>made, place)
        while row < count:  # nothing runs in between that could change the list
            item = PyList_GET_ITEM_BORROWED(<PyObject *>value, row)
            if not self.fields.fit(item, 0, self.fields.count):
                break
            self.put(columns, row, item)
            row += 1
        if row < count:
            for column in made:
                PyList_SetSlice(column, row, count, NULL)
        rest = PyList_GetSlice(value, row, PY_SSIZE_T_MAX)
        return made[0] if self.width == 1 else zip(*made), rest


def field_columns(tuple description not None, tuple places not None, /):
    return Columns(description, places).apart
