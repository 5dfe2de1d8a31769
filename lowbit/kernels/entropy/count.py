"""How often each symbol occurs."""

from lowbit.kernels._jit import kernel


@kernel
def count(symbols, tables):
    """Add to four tables, a row each, in turn: a run of equal symbols would else wait for its own last store."""
    whole = symbols.shape[0] // 4 * 4
    for i in range(0, whole, 4):
        tables[0, symbols[i]] += 1
        tables[1, symbols[i + 1]] += 1
        tables[2, symbols[i + 2]] += 1
        tables[3, symbols[i + 3]] += 1
    for i in range(whole, symbols.shape[0]):
        tables[0, symbols[i]] += 1
