# Part of collection.pyx: bodies of small functions, computed without a call of the function.
#
# A formula gives a value only where all operands are plain and fit 64 bits; for everything else it
# gives up before anything has happened, and the function itself is called. It runs no code of the
# program: what it borrows lives until it is done, and a list that is walked stays as it is.

cdef enum:
    NODES_MAX = 24      # of a formula
    LOCALS_MAX = 4      # values that it keeps
    GIVEN = 2           # arguments, which stand before them

cdef long long EXACT_MAX = 1LL << 53  # ints up to it are numbers without loss

cdef enum Kind:
    OBJECT
    WHOLE
    FRACTION
    TRUTH

cdef enum Step:  # what a node does
    AT            # the argument or kept value of that number
    CONSTANT
    CELL          # a variable of a function around
    GET           # a member
    GET_OPTIONAL  # the same, none of none
    SIZE          # `.len` of a text or list
    KEEP          # keep the first, then the second
    CHOOSE
    AND
    OR
    OTHERWISE     # ??
    PLACE         # an item by its key
    NOT
    NEGATE
    PLUS
    MINUS
    TIMES
    DIVIDE
    REMAINDER
    LESS
    LESS_EQUAL
    MORE
    MORE_EQUAL
    EQUAL
    UNEQUAL

cdef dict STEPS = {
    "at": AT, "constant": CONSTANT, "cell": CELL, "get": GET, "get?": GET_OPTIONAL, "len": SIZE,
    "index": PLACE, "keep": KEEP, "?": CHOOSE, "&&": AND, "||": OR, "??": OTHERWISE, "!": NOT,
    "negate": NEGATE, "+": PLUS, "-": MINUS, "*": TIMES, "/": DIVIDE, "%": REMAINDER, "<": LESS,
    "<=": LESS_EQUAL, ">": MORE, ">=": MORE_EQUAL, "==": EQUAL, "!=": UNEQUAL,
}


cdef struct Plain:
    Kind kind
    long long whole      # of WHOLE and TRUTH
    double fraction      # of FRACTION
    PyObject *held       # of OBJECT, borrowed


cdef struct Node:
    Step step
    int first, second, third  # operands, or a number
    PyObject *name            # borrowed from the formula's body: a member, or a variable
    Plain constant


cdef class Formula:
    """The body of a small function; see collection.pyi.

    Invariants: operands stand after their node, so no walk through the nodes is endless; numbers of
    arguments and kept values are below GIVEN + LOCALS_MAX, and a value is read only inside the
    node that keeps it; names and constants live in `_body`.
    """
    cdef Node nodes[NODES_MAX]
    cdef int count, arguments
    cdef bint has_cells
    cdef tuple _body
    cdef PyObject *code         # the function's, for which `place` of the cells is known
    cdef object _held_code

    def __cinit__(self, int arguments, tuple body not None):
        if not 0 < arguments <= GIVEN:
            raise ValueError(f"expected 1 or 2 arguments, got {arguments}")
        self.arguments = arguments
        self._body = body
        self.write(body)

    cdef int write(self, tuple body) except -1:
        """Add a node and its operands; its place."""
        cdef int place = self.count
        cdef Node *node
        if place == NODES_MAX:
            raise ValueError(f"expected a formula of at most {NODES_MAX} nodes")
        self.count += 1
        node = &self.nodes[place]
        node.step = STEPS[body[0]]
        if node.step == AT:
            node.first = body[1]
            if not 0 <= node.first < GIVEN + LOCALS_MAX:
                raise ValueError(f"expected a number of a kept value, got {node.first}")
        elif node.step == CONSTANT:
            node.constant.kind = OBJECT
            node.constant.held = <PyObject *>body[1]
            settle(&node.constant)
        elif node.step == CELL:
            self.has_cells = True
            node.name = <PyObject *>body[1]
        elif node.step == GET or node.step == GET_OPTIONAL or node.step == SIZE:
            node.name = <PyObject *>body[2]
            node.first = self.write(body[1])
        elif node.step == KEEP:
            node.third = body[1]
            if not GIVEN <= node.third < GIVEN + LOCALS_MAX:
                raise ValueError(f"expected a number to keep a value under, got {node.third}")
            node.first = self.write(body[2])
            node.second = self.write(body[3])
        else:
            node.first = self.write(body[1])
            if len(body) > 2:
                node.second = self.write(body[2])
            if len(body) > 3:
                node.third = self.write(body[3])
        return place

    def __call__(self, function):
        if type(function) is not FunctionType:
            raise TypeError("expected a function of Python")
        flin_set_formula(function, self)
        return function

    cdef int find_cells(self, object function) except -1:
        """Find the cells that the nodes read in the closure of a function; whether all are there."""
        cdef int place
        cdef object code = <object>PyFunction_GET_CODE(function)
        names = code.co_freevars
        for place in range(self.count):
            if self.nodes[place].step == CELL:
                name = <object>self.nodes[place].name
                if name not in names:
                    return 0
                self.nodes[place].first = names.index(name)
        self._held_code = code
        self.code = PyFunction_GET_CODE(function)
        return 1


cdef enum:
    NEITHER = -1


cdef int mirrored(Node *nodes, int left, int right) noexcept:
    """Whether two operands are the same function of the two arguments.

    The number of the argument that is the right operand's, or NEITHER.
    """
    cdef Node *mine = &nodes[left]
    cdef Node *other = &nodes[right]
    if mine.step != other.step:
        return NEITHER
    if mine.step == AT:
        if mine.first == other.first or mine.first >= GIVEN or other.first >= GIVEN:
            return NEITHER
        return other.first
    if mine.step != GET or PyUnicode_Compare(<object>mine.name, <object>other.name) != 0:
        return NEITHER
    return mirrored(nodes, mine.first, other.first)


cdef inline void settle(Plain *value) noexcept:
    """Take a bool, a number, or an int of 64 bits out of its object, which it equals."""
    if value.kind != OBJECT:
        return
    if type(<object>value.held) is int:
        if flin_whole(value.held, &value.whole):
            value.kind = WHOLE
    elif type(<object>value.held) is float:
        value.kind = FRACTION
        value.fraction = PyFloat_AS_DOUBLE(<object>value.held)
    elif type(<object>value.held) is bool:
        value.kind = TRUTH
        value.whole = <object>value.held is True


cdef inline object boxed(Plain *value):
    if value.kind == OBJECT:
        return <object>value.held
    if value.kind == WHOLE:
        return PyLong_FromLongLong(value.whole)
    if value.kind == FRACTION:
        return PyFloat_FromDouble(value.fraction)
    return value.whole != 0


cdef inline bint truth_of(Plain *value) noexcept:
    if value.kind == OBJECT:
        return truth(<object>value.held) == 1  # of exact types only: it cannot fail
    if value.kind == FRACTION:
        return not (value.fraction == 0.0 or value.fraction != value.fraction)
    return value.whole != 0


cdef inline bint is_numeric(Plain *value) noexcept:
    return value.kind == WHOLE or value.kind == FRACTION


cdef inline double fraction_of(Plain *value) noexcept:
    """A number, or an int as one, as Python has it in arithmetic: rounded beyond EXACT_MAX."""
    return <double>value.whole if value.kind == WHOLE else value.fraction


cdef bint arithmetic(Step step, Plain *left, Plain *right, Plain *out) noexcept:
    """`left step right` of two numbers; False for what the operator has to do."""
    cdef long long divisor
    cdef double first, second
    if left.kind == WHOLE and right.kind == WHOLE:
        out.kind = WHOLE
        if step == PLUS:
            return not flin_add_overflows(left.whole, right.whole, &out.whole)
        if step == MINUS:
            return not flin_sub_overflows(left.whole, right.whole, &out.whole)
        if step == TIMES:
            return not flin_mul_overflows(left.whole, right.whole, &out.whole)
        divisor = right.whole
        if divisor <= 0:
            return False
        if step == REMAINDER:
            out.whole = flin_remainder(left.whole, divisor)
            return True
        if flin_remainder(left.whole, divisor) == 0:
            out.whole = flin_quotient(left.whole, divisor)
            return True
        if not (-EXACT_MAX <= left.whole <= EXACT_MAX and divisor <= EXACT_MAX):
            return False
    if step == REMAINDER or not is_numeric(left) or not is_numeric(right):
        return False
    first, second = fraction_of(left), fraction_of(right)
    out.kind = FRACTION
    if step == PLUS:
        out.fraction = first + second
    elif step == MINUS:
        out.fraction = first - second
    elif step == TIMES:
        out.fraction = first * second
    elif second == 0.0:
        return False
    else:
        out.fraction = flin_divided(first, second)
    return True


cdef bint compared(Step step, Plain *left, Plain *right, Plain *out) noexcept:
    """An order or equality of two numbers or texts; False for what the operator has to do."""
    cdef int order
    cdef double first, second
    if is_numeric(left) and is_numeric(right):
        out.kind = TRUTH
        if left.kind == WHOLE and right.kind == WHOLE:
            order = (left.whole > right.whole) - (left.whole < right.whole)
        else:
            if left.kind == WHOLE and not -EXACT_MAX <= left.whole <= EXACT_MAX:
                return False
            if right.kind == WHOLE and not -EXACT_MAX <= right.whole <= EXACT_MAX:
                return False
            first, second = fraction_of(left), fraction_of(right)
            if first != first or second != second:
                out.whole = step == UNEQUAL
                return True
            order = (first > second) - (first < second)
    elif left.kind == OBJECT and right.kind == OBJECT and (
        type(<object>left.held) is str and type(<object>right.held) is str
    ):
        out.kind = TRUTH
        if left.held == right.held:
            order = 0
        elif step == EQUAL or step == UNEQUAL:
            order = not PyObject_RichCompareBool(<object>left.held, <object>right.held, Py_EQ)
        else:
            order = PyUnicode_Compare(<object>left.held, <object>right.held)
    elif step == EQUAL or step == UNEQUAL:
        if not (is_comparable(left) and is_comparable(right)):
            return False
        out.kind = TRUTH
        if left.kind == right.kind == TRUTH:
            order = left.whole != right.whole
        else:  # none is equal to itself; all others are of different kinds
            order = not (left.kind == right.kind == OBJECT and left.held == right.held)
    else:
        return False
    if step == LESS:
        out.whole = order < 0
    elif step == LESS_EQUAL:
        out.whole = order <= 0
    elif step == MORE:
        out.whole = order > 0
    elif step == MORE_EQUAL:
        out.whole = order >= 0
    elif step == EQUAL:
        out.whole = order == 0
    else:
        out.whole = order != 0
    return True


cdef inline bint is_comparable(Plain *value) noexcept:
    """Whether only what is of the same kind equals it."""
    if value.kind != OBJECT:
        return True
    return <object>value.held is None or type(<object>value.held) is str


cdef bint found(Node *node, Plain *target, Plain *out) noexcept:
    """A member of a map, or the size of a text or list; False for what the operator has to do."""
    cdef PyObject *value
    if target.kind != OBJECT:
        return False
    out.kind = OBJECT
    if type(<object>target.held) is dict:
        value = flin_entry(<object>target.held, <object>node.name)
        out.held = <PyObject *>None if value == NULL else value
        return True
    if node.step == GET_OPTIONAL and <object>target.held is None:
        out.held = target.held
        return True
    if node.step == SIZE:
        out.kind = WHOLE
        if type(<object>target.held) is str:
            out.whole = PyUnicode_GET_LENGTH(<object>target.held)
            return True
        if type(<object>target.held) is list:
            out.whole = PyList_GET_SIZE(<object>target.held)
            return True
    return False


cdef bint item_at(Plain *target, Plain *key, Plain *out) noexcept:
    """An item of a list or map; False for what the operator has to do."""
    cdef PyObject *value
    cdef long long place
    if target.kind != OBJECT:
        return False
    out.kind = OBJECT
    if type(<object>target.held) is dict:
        if key.kind != OBJECT or type(<object>key.held) is not str:
            return False
        value = flin_entry(<object>target.held, <object>key.held)
        out.held = <PyObject *>None if value == NULL else value
        return True
    settle(key)
    if type(<object>target.held) is not list or key.kind != WHOLE:
        return False
    place = key.whole
    if place < 0:
        place += PyList_GET_SIZE(<object>target.held)
    if 0 <= place < PyList_GET_SIZE(<object>target.held):
        out.held = PyList_GET_ITEM(<object>target.held, <Py_ssize_t>place)
    else:
        out.held = <PyObject *>None
    return True


cdef inline Plain *operand(
    Node *nodes, int place, Plain *values, PyObject *cells, Plain *out
) noexcept:
    """`compute`, without a call for what stands somewhere."""
    if nodes[place].step == AT:
        return &values[nodes[place].first]
    if nodes[place].step == CONSTANT:
        return &nodes[place].constant
    return compute(nodes, place, values, cells, out)


cdef Plain *compute(Node *nodes, int place, Plain *values, PyObject *cells, Plain *out) noexcept:
    """The value of a node, in `out` or where it stands; NULL when the function has to be called.

    `values` are GIVEN + LOCALS_MAX, `cells` is the closure of the function.
    """
    cdef Node *node = &nodes[place]
    cdef Plain *left
    cdef Plain *right
    cdef Plain first, second
    cdef Step step = node.step
    if step == AT:
        return &values[node.first]
    if step == CONSTANT:
        return &node.constant
    if step == CELL:
        out.kind = OBJECT
        out.held = flin_cell(cells, node.first)
        return NULL if out.held == NULL else out
    left = operand(nodes, node.first, values, cells, &first)
    if left == NULL:
        return NULL
    if step == GET or step == GET_OPTIONAL or step == SIZE:
        return out if found(node, left, out) else NULL
    if step < PLACE:
        return chosen(nodes, node, left, values, cells, out)
    if step == NOT:
        out.whole = not truth_of(left)
        out.kind = TRUTH
        return out
    if step == NEGATE:
        return out if negated(left, out) else NULL
    right = operand(nodes, node.second, values, cells, &second)
    if right == NULL:
        return NULL
    if step == PLACE:
        return out if item_at(left, right, out) else NULL
    settle(left)
    settle(right)
    if step >= LESS:
        return out if compared(step, left, right, out) else NULL
    return out if arithmetic(step, left, right, out) else NULL


cdef Plain *chosen(
    Node *nodes, Node *node, Plain *left, Plain *values, PyObject *cells, Plain *out
) noexcept:
    """The value of a node that computes one of its operands only, or one after the other."""
    cdef int place = node.second
    if node.step == KEEP:
        values[node.third] = left[0]
        return compute(nodes, place, values, cells, out)
    if node.step == CHOOSE:
        if not truth_of(left):
            place = node.third
        return compute(nodes, place, values, cells, out)
    if node.step == OTHERWISE:
        if left.kind == OBJECT and <object>left.held is None:
            return compute(nodes, place, values, cells, out)
    elif truth_of(left) == (node.step == AND):
        return compute(nodes, place, values, cells, out)
    out[0] = left[0]
    return out


cdef bint negated(Plain *value, Plain *out) noexcept:
    settle(value)
    out.kind = value.kind
    if value.kind == WHOLE:
        return not flin_sub_overflows(0, value.whole, &out.whole)
    out.fraction = -value.fraction
    return value.kind == FRACTION
