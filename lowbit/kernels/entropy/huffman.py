"""Canonical Huffman codes in 16-bit words, the first bit of a code being the highest that is left of a word."""

from lowbit.kernels._jit import kernel

INDEX_BITS = 12
"""Codes of at most as many bits are looked up, others are found among those of each length in turn."""
LENGTH_BITS = 5
LENGTH = (1 << LENGTH_BITS) - 1
LONGEST = 24
"""Bits of a code: as many are always in the buffer, which takes 32 more."""
WORD_BITS = 16
WORD = (1 << WORD_BITS) - 1


@kernel
def encode(symbols, entries, words):
    """Write the codes one after the other, zeros after the last; returns how many words there are.

    ``entries``: ``length | code << 5`` of each symbol. ``words`` has room for two words more than the bits need.
    """
    place, bits, count = 0, 0, 0
    for i in range(symbols.shape[0]):
        entry = entries[symbols[i]]
        bits = (bits << (entry & LENGTH)) | (entry >> LENGTH_BITS)
        count += entry & LENGTH
        if count >= 2 * WORD_BITS:
            count -= 2 * WORD_BITS
            words[place] = (bits >> (count + WORD_BITS)) & WORD
            words[place + 1] = (bits >> count) & WORD
            bits &= (1 << count) - 1
            place += 2
    bits <<= 2 * WORD_BITS - count
    words[place], words[place + 1] = bits >> WORD_BITS, bits & WORD
    return place + (count + WORD_BITS - 1) // WORD_BITS


@kernel
def decode(words, size, table, first_codes, first_places, order, symbols):
    """Decode as many symbols as there is room for; returns how many bits were read, or -1 where they did not suffice.

    ``words``: ``size`` of them, and four zeros, which may be looked at; ``table``: ``length | symbol << 5`` for each
    value of the next 12 bits, 0 where the code is longer. ``first_codes[n]``, at the upper end of 24 bits: of the codes
    of n bits the first, ``first_places[n]`` its place in ``order``, the symbols in the order of their codes.
    """
    place, bits, count = 0, 0, 0
    for i in range(symbols.shape[0]):
        if count < LONGEST:
            if place > size + 1:
                return -1
            bits = ((bits & ((1 << count) - 1)) << (2 * WORD_BITS)) | (words[place] << WORD_BITS) | words[place + 1]
            place += 2
            count += 2 * WORD_BITS
        entry = table[(bits >> (count - INDEX_BITS)) & ((1 << INDEX_BITS) - 1)]
        if entry != 0:
            symbols[i] = entry >> LENGTH_BITS
            count -= entry & LENGTH
        else:
            code = (bits >> (count - LONGEST)) & ((1 << LONGEST) - 1)
            length = INDEX_BITS + 1
            while code >= first_codes[length + 1]:
                length += 1
            symbols[i] = order[first_places[length] + ((code - first_codes[length]) >> (LONGEST - length))]
            count -= length
    used = place * WORD_BITS - count
    return used if used <= size * WORD_BITS else -1
