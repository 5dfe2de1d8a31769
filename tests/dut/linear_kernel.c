/* A linear layer and a convolution with TensorFlow Lite's two roundings, and a planted bug, chosen by -DBUG=n. */
#include <stddef.h>
#include <stdint.h>

enum { RIGHT, NO_BIAS, TAIL, PADS_WITH_ZERO, FIRST_GROUP };

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

void grouped(const int8_t *a, const int8_t *b, const int32_t *bias, const int32_t *multiplier, const int32_t *shift,
             int8_t *c, size_t height, size_t width, size_t channels, size_t outputs, size_t rows, size_t columns,
             int32_t out_height, int32_t out_width, int32_t stride_height, int32_t stride_width, int32_t above,
             int32_t left, int32_t groups, int32_t a_zero_point, int32_t b_zero_point, int32_t zero_point)
{
    size_t depth = channels / (size_t)groups;
    for (int32_t y = 0; y < out_height; y++)
        for (int32_t x = 0; x < out_width; x++)
            for (size_t o = 0; o < outputs; o++) {
                int32_t sum = bias[o];
                size_t first = BUG == FIRST_GROUP ? 0 : o / (outputs / (size_t)groups) * depth;
                for (size_t r = 0; r < rows; r++)
                    for (size_t s = 0; s < columns; s++)
                        for (size_t l = 0; l < depth; l++) {
                            long i = (long)y * stride_height - above + (long)r, j = (long)x * stride_width - left + (long)s;
                            int outside = i < 0 || j < 0 || i >= (long)height || j >= (long)width;
                            int32_t code = outside ? BUG == PADS_WITH_ZERO ? 0 : a_zero_point
                                                   : a[(i * (long)width + j) * (long)channels + (long)(first + l)];
                            sum += (code - a_zero_point) * (b[((o * rows + r) * columns + s) * depth + l] - b_zero_point);
                        }
                int64_t code = scaled(sum, multiplier[o], shift[o]) + zero_point;
                c[((size_t)y * (size_t)out_width + (size_t)x) * outputs + o] =
                    (int8_t)(code < -128 ? -128 : code > 127 ? 127 : code);
            }
}

void conv(const int8_t *a, const int8_t *b, const int32_t *bias, const int32_t *multiplier, const int32_t *shift,
          int8_t *c, size_t height, size_t width, size_t channels, size_t outputs, size_t rows, size_t columns,
          int32_t out_height, int32_t out_width, int32_t stride_height, int32_t stride_width, int32_t above,
          int32_t left, int32_t a_zero_point, int32_t zero_point)
{
    grouped(a, b, bias, multiplier, shift, c, height, width, channels, outputs, rows, columns, out_height, out_width,
            stride_height, stride_width, above, left, 1, a_zero_point, 0, zero_point);
}
