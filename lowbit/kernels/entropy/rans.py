"""Range asymmetric numeral systems (Duda, arXiv 1311.2540, section 2.3): eight states, 16-bit words.

A state x lies in [2^20, 2^36). A symbol of frequency f, of 2^k in all, that begins at c makes ``(x // f) * 2^k + c +
x % f`` of it; before that, the low 16 bits of x leave as a word where the new state would not fit. Symbol i belongs to
state i mod 8. The last symbol is encoded first, so that decoding reads words and symbols forwards.

With states in [2^16, 2^32), as 32 bits would hold them, 2^16 slots lose 0.1 % of five bits: a state near its lower end
stands for too few slots. Reciprocals of 64 bits allow 37 bits at most.
"""

from lowbit.kernels._jit import kernel, scalar

LANES = 8
STATE_BITS = 36
LOWEST_STATE = 1 << (STATE_BITS - 16)
STATE_WORDS = 3
RECIPROCAL_BITS = 62 - STATE_BITS
FREQUENCY_BITS = 17  # 2^16 among them
FREQUENCY = (1 << FREQUENCY_BITS) - 1
SYMBOL_BITS = 16
SYMBOL = (1 << SYMBOL_BITS) - 1
WORD = (1 << 16) - 1


@scalar
def encoded(x, entry, reciprocal, words, place, scale_bits):
    """The state after one symbol, and where the words begin now, which end up in order.

    The word that may leave is stored in any case, which is faster than to ask. As x is below ``f * 2^(36 - k)`` then,
    its product with ``floor(2^(26 + k) / f)`` is below 2^62, and the quotient at most 1 too small.
    """
    frequency = entry & FREQUENCY
    words[place - 1] = x & WORD
    full = x >= frequency << (STATE_BITS - scale_bits)
    x = x >> 16 if full else x
    quotient = (x * reciprocal) >> (RECIPROCAL_BITS + scale_bits)
    rest = x - quotient * frequency
    short = rest >= frequency
    rest = rest - frequency if short else rest
    return ((quotient + short) << scale_bits) + rest + (entry >> FREQUENCY_BITS), place - full


@kernel
def encode(symbols, entries, reciprocals, scale_bits, states, words):
    """Fill ``words`` from the end, ``states`` with what the decoder begins with; returns where the words begin.

    ``entries``: ``f | c << 17`` of each symbol; ``reciprocals``: ``2^(26 + k) // f``. ``words`` has room for one more
    word than there are symbols.
    """
    place, whole = words.shape[0], symbols.shape[0] // LANES * LANES
    for i in range(symbols.shape[0] - 1, whole - 1, -1):
        s = symbols[i]
        states[i - whole], place = encoded(states[i - whole], entries[s], reciprocals[s], words, place, scale_bits)
    a, b, c, d, e, f, g, h = states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7]
    for i in range(whole - LANES, -1, -LANES):
        s = symbols[i + 7]
        h, place = encoded(h, entries[s], reciprocals[s], words, place, scale_bits)
        s = symbols[i + 6]
        g, place = encoded(g, entries[s], reciprocals[s], words, place, scale_bits)
        s = symbols[i + 5]
        f, place = encoded(f, entries[s], reciprocals[s], words, place, scale_bits)
        s = symbols[i + 4]
        e, place = encoded(e, entries[s], reciprocals[s], words, place, scale_bits)
        s = symbols[i + 3]
        d, place = encoded(d, entries[s], reciprocals[s], words, place, scale_bits)
        s = symbols[i + 2]
        c, place = encoded(c, entries[s], reciprocals[s], words, place, scale_bits)
        s = symbols[i + 1]
        b, place = encoded(b, entries[s], reciprocals[s], words, place, scale_bits)
        s = symbols[i]
        a, place = encoded(a, entries[s], reciprocals[s], words, place, scale_bits)
    states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7] = a, b, c, d, e, f, g, h
    return place


@scalar
def decoded(x, table, words, place, scale_bits):
    """The state before one symbol, where the next word is, and the symbol."""
    entry = table[x & ((1 << scale_bits) - 1)]
    frequency = (entry >> SYMBOL_BITS) & FREQUENCY
    x = frequency * (x >> scale_bits) + (entry >> (SYMBOL_BITS + FREQUENCY_BITS))
    low = x < LOWEST_STATE
    more = (x << 16) | words[place]
    return (more if low else x), place + low, entry & SYMBOL


@kernel
def decode(words, size, table, scale_bits, states, symbols):
    """Decode as many symbols as there is room for; returns how many words were read, or -1 where they did not suffice.

    ``words``: ``size`` of them, and eight zeros, which may be looked at; ``table``: ``symbol | f << 16 | (slot - c) <<
    33`` of each of the ``2^k`` slots. ``states`` are in the end what the encoder began with.
    """
    place, whole = 0, symbols.shape[0] // LANES * LANES
    a, b, c, d, e, f, g, h = states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7]
    for i in range(0, whole, LANES):
        if place > size:
            return -1
        a, place, symbols[i] = decoded(a, table, words, place, scale_bits)
        b, place, symbols[i + 1] = decoded(b, table, words, place, scale_bits)
        c, place, symbols[i + 2] = decoded(c, table, words, place, scale_bits)
        d, place, symbols[i + 3] = decoded(d, table, words, place, scale_bits)
        e, place, symbols[i + 4] = decoded(e, table, words, place, scale_bits)
        f, place, symbols[i + 5] = decoded(f, table, words, place, scale_bits)
        g, place, symbols[i + 6] = decoded(g, table, words, place, scale_bits)
        h, place, symbols[i + 7] = decoded(h, table, words, place, scale_bits)
    states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7] = a, b, c, d, e, f, g, h
    if place > size:
        return -1
    for i in range(whole, symbols.shape[0]):
        states[i - whole], place, symbols[i] = decoded(states[i - whole], table, words, place, scale_bits)
    return place if place <= size else -1
