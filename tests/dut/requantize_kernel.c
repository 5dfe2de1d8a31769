/* Accumulators to int8 with a planted bug, chosen by -DBUG=n. Multiplier and shift as TensorFlow Lite has them. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { RIGHT_DOUBLE, RIGHT_SINGLE, AWAY, EVEN, FLOORS, TRUNCATES, NO_ZERO_POINT, WRAPS, CLAMPS_TWICE, UP_UP };

static int64_t high(int32_t a, int32_t b)
{
    int64_t product = (int64_t)a * b;
    return (product + ((int64_t)1 << 30)) >> 31;
}

static int64_t half_away(int64_t value, int shift)
{
    int64_t half = (int64_t)1 << (shift - 1);
    return value < 0 ? -((-value + half) >> shift) : (value + half) >> shift;
}

static int64_t scaled(int32_t x, int32_t multiplier, int32_t shift)
{
    int right = 31 - shift, left = shift > 0 ? shift : 0, rest = shift > 0 ? 0 : -shift;
    int64_t product = (int64_t)x * multiplier, value;
    switch (BUG) {
    case RIGHT_SINGLE: return (product + ((int64_t)1 << (right - 1))) >> right;
    case AWAY: return half_away(product, right);
    case EVEN:
        value = product >> right;
        product -= (int64_t)((uint64_t)value << right);
        if (product > (int64_t)1 << (right - 1)) return value + 1;
        return product == (int64_t)1 << (right - 1) ? value + (value & 1) : value;
    case FLOORS: return product >> right;
    case TRUNCATES: return product / ((int64_t)1 << right);
    }
    value = high((int32_t)((uint32_t)x << left), multiplier);
    if (!rest) return value;
    return BUG == UP_UP ? (value + ((int64_t)1 << (rest - 1))) >> rest : half_away(value, rest);
}

static int64_t clamp(int64_t value)
{
    return value < -128 ? -128 : value > 127 ? 127 : value;
}

void requantize(const int32_t *x, int8_t *out, size_t n, int32_t multiplier, int32_t shift, int32_t zero_point)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = scaled(x[i], multiplier, shift);
        if (BUG == NO_ZERO_POINT) out[i] = (int8_t)clamp(value);
        else if (BUG == WRAPS) out[i] = (int8_t)(value + zero_point);
        else if (BUG == CLAMPS_TWICE) out[i] = (int8_t)clamp(clamp(value) + zero_point);
        else out[i] = (int8_t)clamp(value + zero_point);
    }
}

void by_float(const int32_t *x, int8_t *out, size_t n, float scale, int32_t zero_point)
{
    for (size_t i = 0; i < n; i++) {
        float product = (float)x[i] * scale;
        float low = -128 - zero_point, top = 127 - zero_point;
        product = product < low ? low : product > top ? top : product;
        out[i] = (int8_t)((BUG == FLOORS ? (long)floorf(product) : lrintf(product)) + zero_point);
    }
}
