"""The declared width of an intermediate in a plain kernel: wrap, saturate, or note the first overflow."""

from lowbit.kernels._jit import routine, scalar

WRAP, SATURATE, TRAP = range(3)

# Places of the note that a kernel leaves: which row, which element (-1: the whole row), which intermediate, its value,
# and by how many more bits that is shifted to the left, where 64 bits do not hold the whole (0 and below: by none).
ROW, ELEMENT, PLACE, VALUE, LEFT = range(5)


@scalar
def note(trap, row, element, place, value):
    """Remember an overflow, unless there was one before; ``trap[ROW]`` is -1 until then."""
    if trap[ROW] < 0:
        trap[ROW] = row
        trap[ELEMENT] = element
        trap[PLACE] = place
        trap[VALUE] = value


@routine
def beyond(value, low, high, place, mode, trap, row, element):
    """What an intermediate outside its range becomes."""
    if mode == SATURATE:
        return low if value < low else high
    if mode == TRAP:
        note(trap, row, element, place, value)
    return ((value - low) & (high - low)) + low


@scalar
def step(value, place, limits, mode, trap, row, element):
    """The intermediate at a place of the table of limits, after the overflow rule ``mode``."""
    low = limits[place, 0]
    high = limits[place, 1]
    if low <= value <= high:
        return value
    return beyond(value, low, high, place, mode, trap, row, element)


@scalar
def truncating_divide(numerator, denominator):
    """Integer division as C does it, toward zero; the kernels' ``//`` rounds down."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


@scalar
def maximum_of(codes, row):
    """The largest code of a row of a block."""
    highest = codes[row, 0]
    for i in range(1, codes.shape[1]):
        highest = max(highest, codes[row, i])
    return highest
