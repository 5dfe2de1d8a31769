/* A linear layer with TensorFlow Lite's two roundings, and a planted bug, chosen by -DBUG=n. */
#include <stddef.h>
#include <stdint.h>

enum { RIGHT, NO_BIAS, TAIL };

static int64_t scaled(int32_t x, int32_t multiplier, int32_t shift)
{
    int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    int32_t shifted = (int32_t)((uint32_t)x << left);
    int64_t high = ((int64_t)shifted * multiplier + ((int64_t)1 << 30)) >> 31;
    int64_t half = right ? (int64_t)1 << (right - 1) : 0;
    return high < 0 ? -((-high + half) >> right) : (high + half) >> right;
}

void linear(const int8_t *a, const int8_t *b, const int32_t *bias, const int32_t *multiplier, const int32_t *shift,
            int8_t *c, size_t m, size_t n, size_t k, int32_t a_zero_point, int32_t zero_point)
{
    size_t end = BUG == TAIL ? k / 8 * 8 : k;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            int32_t sum = BUG == NO_BIAS ? 0 : bias[j];
            for (size_t l = 0; l < end; l++) sum += (a[i * k + l] - a_zero_point) * b[l * n + j];
            int64_t code = scaled(sum, multiplier[j], shift[j]) + zero_point;
            c[i * n + j] = (int8_t)(code < -128 ? -128 : code > 127 ? 127 : code);
        }
}
