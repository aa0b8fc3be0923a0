# Part of collection.pyx: texts, where the result is certain to fit.


def text_count(str text not None, part=None):
    if part is None:
        return PyUnicode_GET_LENGTH(text)
    if type(part) is not str:
        return NotImplemented
    return text.count(part) if part else PyUnicode_GET_LENGTH(text) + 1


def replace_all(str text not None, part, replacement):
    cdef Py_ssize_t size, growth, found
    if type(part) is not str or type(replacement) is not str:
        return NotImplemented
    size = PyUnicode_GET_LENGTH(text)
    growth = PyUnicode_GET_LENGTH(replacement) - PyUnicode_GET_LENGTH(part)
    found = size // PyUnicode_GET_LENGTH(part) if part else size + 1
    if growth > 0 and (size > rules.text_max or growth > (rules.text_max - size) // (found + 1)):
        return NotImplemented
    return text.replace(part, replacement)


def pad_start(str text not None, length, fill=" "):
    if not is_padded_here(length, fill):
        return NotImplemented
    return padded(text, length, fill, True)


def pad_end(str text not None, length, fill=" "):
    if not is_padded_here(length, fill):
        return NotImplemented
    return padded(text, length, fill, False)


cdef str padded(str text, Py_ssize_t length, str fill, bint at_start):
    """A text of at least `length` characters."""
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text), missing = length - size
    cdef Py_UCS4 most = PyUnicode_MAX_CHAR_VALUE(text), filling = fill[0]
    cdef str made
    if missing <= 0:
        return text
    made = PyUnicode_New(length, most if most > filling else filling)
    PyUnicode_Fill(made, 0 if at_start else size, missing, filling)
    PyUnicode_CopyCharacters(made, missing if at_start else 0, text, 0, size)
    return made


def capitalize(str text not None):
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    return PyUnicode_Concat(PyUnicode_Substring(text, 0, 1).upper(),
                            PyUnicode_Substring(text, 1, size if size else 1))


cdef bint is_padded_here(object length, object fill):
    """Whether `length` is in range and `fill` one character."""
    if type(length) is not int or type(fill) is not str or PyUnicode_GET_LENGTH(fill) != 1:
        return False
    return 0 <= length <= rules.text_max
