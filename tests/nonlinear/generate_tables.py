"""The shipped tables again, from exact arithmetic: decimals of 60 digits, and binary32 by rounding exact fractions."""

import struct
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

LUT_STEPS = 512


def rounded_away(value):
    """To the nearest integer, ties away from zero (C's round)."""
    magnitude = floor(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


def exp(value):
    """exp(value) to 60 digits, as a fraction."""
    with localcontext() as context:
        context.prec = 60
        return Fraction((Decimal(value.numerator) / Decimal(value.denominator)).exp())


def binary32(value):
    """The nearest binary32 number. Through binary64, which is exact enough: no value here lies on a binary32 tie."""
    return Fraction(struct.unpack("<f", struct.pack("<f", float(value)))[0])


def sigmoid(value):
    return 1 / (1 + exp(-value))


def tanh(value):
    doubled = exp(2 * value)
    return (doubled - 1) / (doubled + 1)


def sigmoid_table():
    """TFLite's sigmoid_table_uint16: sigmoid(i/24) in 1/65536, raised by half of what a chord falls short.

    A chord goes from one entry to the next and falls short in its middle. The source does not say how its table was
    made; this rule gives 255 of its entries, and the last one is 1.
    """
    points = [65536 * sigmoid(Fraction(i, 48)) for i in range(513)]
    chords = [(points[i] + points[i + 2]) / 2 - points[i + 1] for i in range(0, 510, 2)]
    return [rounded_away(points[2 * i] - chord / 2) for i, chord in enumerate(chords)] + [65535]


def lut_int16(input_scale, input_zero_point, output_scale, transform, f=binary32):
    """TFLite's LUTPopulateInt16<float>, or <double>: every operation rounded to binary32, or binary64."""
    low, high = (f(input_scale * (end - input_zero_point)) for end in (-32768, 32767))
    output_low, output_high = (f(output_scale * end) for end in (-32768, 32767))
    step = f(f(high - low) / LUT_STEPS)
    half_step = f(step / 2)
    inverse = f(65536 / f(output_high - output_low))
    table = []
    for i in range(LUT_STEPS):
        start = f(low + f(i * step))
        value, middle = transform(start), transform(f(start + half_step))
        after = transform(f(low + f((i + 1) * step)))
        sample = rounded_away(f(value * inverse))
        interpolated = rounded_away(f(f(f(after * inverse) + sample) / 2))
        bias = rounded_away(Fraction(interpolated - rounded_away(f(middle * inverse)), 2))
        table.append(max(-32768, min(32767, sample - bias)))
    table.append(max(-32768, min(32767, rounded_away(f(transform(high) * inverse)))))
    return table


def softmax_exp_table():
    """exp over [-10, 0]: input steps of 10/65535, zero point 32767; output steps of 2/65535."""
    return lut_int16(binary32(Fraction(10, 65535)), 32767, binary32(Fraction(2, 65535)), lambda x: binary32(exp(x)))


def binary64(value):
    return Fraction(float(value))


def softmax_reciprocal_table(f=binary32):
    """1 / (1 + x) over [0, 1]: input steps of 1/65535, zero point -32768; output steps of 2/65535."""
    return lut_int16(f(Fraction(1, 65535)), -32768, f(Fraction(2, 65535)), lambda x: f(1 / f(1 + x)), f)


def litert_softmax_exp_table():
    """LiteRT's, in binary64: the same entries as TFLite Micro's."""
    f = binary64
    return lut_int16(f(Fraction(10, 65535)), 32767, f(Fraction(2, 65535)), lambda x: f(exp(x)), f)


def tosa_table(function, steps_in_one):
    """A TOSA TABLE of 513 int16 entries: 32768 * f(i / steps_in_one) for i = -256..256, to nearest even, limited."""
    return [max(-32768, min(32767, round(32768 * function(Fraction(i, steps_in_one))))) for i in range(-256, 257)]


TABLES = {
    "tflite_sigmoid": sigmoid_table,
    "tflite_softmax_exp": softmax_exp_table,
    "tflite_softmax_reciprocal": softmax_reciprocal_table,
    "litert_softmax_reciprocal": lambda: softmax_reciprocal_table(binary64),
    "tosa_tanh": lambda: tosa_table(tanh, 32),
    "tosa_sigmoid": lambda: tosa_table(sigmoid, 16),
}
