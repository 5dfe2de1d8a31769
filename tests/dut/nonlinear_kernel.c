/* Integer-only nonlinearities with a bug chosen by -DBUG=...: what `lowbit check` must name. */
#include <stddef.h>
#include <stdint.h>

enum {
    RIGHT,
    TVM,               /* the TVM code's arithmetic where PyTorch's is meant */
    HALF_UP,           /* the last shift rounds */
    SUM_16,            /* the sum is kept in 16 bits */
    NO_MAXIMUM,        /* the row's maximum is not subtracted */
    ZERO_MAXIMUM,      /* the maximum starts at 0 */
    NUMERATOR_30,      /* 2^30 over the sum */
    DROPPED_TAIL,      /* only whole groups of 8 codes are added up */
    COLUMNS,           /* runs along the columns */
    TWICE,             /* results are twice as large */
    PADDED,            /* rows are filled up with zeros to groups of 16 */
    CRASHES,
    SOMETIMES,         /* no rule: one too low where the code is a multiple of 7 */
    ROUNDS_DOWN,       /* gelu, layernorm, logistic: the last shift does not round */
};

#ifndef BUG
#define BUG RIGHT
#endif

static int64_t floor_divide(int64_t a, int64_t b) { int64_t q = a / b; return q - (a % b != 0 && (a % b < 0) != (b < 0)); }

/* I-ViT's ShiftExp at scale 0.05: the unit code is floor(-1 / 0.05) = -20, or -1 / 0.05 truncated. */
static int64_t shift_exp(int64_t x)
{
    const int64_t unit = -20;
    const int shift = BUG == TVM ? 16 : 15;
    int64_t scaled = x + (x >> 1) - (x >> 4);
    if (scaled < shift * unit) scaled = shift * unit;
    int64_t quotient = BUG == TVM ? scaled / unit : floor_divide(scaled, unit);
    int64_t remainder = scaled - unit * quotient;
    if (BUG == TVM) return (2 * ((remainder >> 1) - unit) << (shift - quotient)) >> 1;
    return ((remainder - 2 * unit) << (shift - quotient)) >> 1;
}

void shiftmax(const int8_t *codes, int8_t *out, size_t rows, size_t length)
{
    const size_t step = BUG == COLUMNS ? rows : 1;
    if (BUG == CRASHES && length == 17) __builtin_trap();
    if (BUG == COLUMNS) { size_t swap = rows; rows = length; length = swap; }
    for (size_t r = 0; r < rows; r++) {
        const int8_t *row = BUG == COLUMNS ? codes + r : codes + r * length;
        int8_t *result = BUG == COLUMNS ? out + r : out + r * length;
        const size_t stride = BUG == COLUMNS ? rows : step;
        int64_t maximum = BUG == ZERO_MAXIMUM ? 0 : -128, sum = 0;
        size_t padding = BUG == PADDED ? (16 - length % 16) % 16 : 0;
        for (size_t i = 0; i < length; i++) if (row[i * stride] > maximum) maximum = row[i * stride];
        if (padding && maximum < 0) maximum = 0;
        if (BUG == NO_MAXIMUM) maximum = 0;
        for (size_t i = 0; i < length + padding; i++) {
            int64_t code = i < length ? row[i * stride] : 0;
            if (BUG == DROPPED_TAIL && i >= length / 8 * 8) break;
            sum += shift_exp(code - maximum);
            sum = BUG == SUM_16 ? (uint16_t)sum : BUG == TVM ? (int32_t)sum : sum;
        }
        if (sum > 0x7fffffff) sum = 0x7fffffff;
        int64_t factor = sum ? (BUG == NUMERATOR_30 ? 1 << 30 : 0x7fffffff) / sum : 0;
        for (size_t i = 0; i < length; i++) {
            int64_t code = row[i * stride], product = shift_exp(code - maximum) * factor;
            if (BUG == TVM) product = (int32_t)product;
            int64_t value = (product + (BUG == HALF_UP ? 1 << 23 : 0)) >> 24;
            if (BUG == TWICE) value *= 2;
            if (BUG == SOMETIMES && code % 7 == 0) value--;
            result[i * stride] = (int8_t)value;
        }
    }
}

/* I-ViT's I-LayerNorm, the PyTorch code in exact integers. */
void layernorm(const int8_t *codes, int32_t *out, size_t rows, size_t length)
{
    for (size_t r = 0; r < rows; r++, codes += length, out += length) {
        int64_t sum = 0, squares = 0, n = (int64_t)length;
        for (size_t i = 0; i < length; i++) sum += codes[i];
        int64_t mean = floor_divide(2 * sum + n, 2 * n);
        if ((2 * sum + n) % (2 * n) == 0 && mean % 2) mean--; /* half to even */
        if (BUG == ROUNDS_DOWN) mean = floor_divide(sum, n);
        for (size_t i = 0; i < length; i++)
            if (BUG != DROPPED_TAIL || i < length / 8 * 8) squares += (codes[i] - mean) * (codes[i] - mean);
        int64_t root = 1 << 16;
        for (int i = 0; i < 10; i++) { root = (root + squares / root) / 2; if (root < 1) root = 1; }
        for (size_t i = 0; i < length; i++) out[i] = (int32_t)floor_divide((codes[i] - mean) * (0x7fffffff / root), 2);
    }
}

/* I-BERT's i-GELU at scale 0.05; a, b and c as its code has them for that scale are the test's arguments. */
void gelu(const int8_t *codes, int32_t *out, size_t rows, size_t length)
{
    for (size_t i = 0; i < rows * length; i++) {
        int64_t code = codes[i], magnitude = code < 0 ? -code : code;
        if (magnitude > -GELU_B) magnitude = -GELU_B;
        int64_t polynomial = (magnitude + GELU_B) * (magnitude + GELU_B) + GELU_C;
        int64_t erf = ((code > 0) - (code < 0)) * polynomial;
        erf = BUG == ROUNDS_DOWN ? erf / (1 << GELU_SHIFT) : erf >> GELU_SHIFT;
        out[i] = (int32_t)(code * (erf + GELU_ONE)) * (BUG == TWICE ? 2 : 1);
    }
}
