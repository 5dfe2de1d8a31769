/* The first layers of a residual network, codes to codes: two convolutions, a third one and the sum with the first.
   layers.h has the parameters, which the test writes; BUG is the slip. */
#include <stdint.h>
#include <string.h>

#ifndef BUG
#define BUG 0 /* 1: shifts without rounding, 2: ignores a bias, 3: wraps, 4: pads as TensorFlow, 5: swaps the scales */
#endif

typedef struct {
    int size, channels, outputs, stride, relu;
    const int8_t *weight;
    const int32_t *bias;
    const int64_t *multiplier, *right;
    int result_bits;
} conv_t;

#include "layers.h"

static int64_t half_even(int64_t product, int right)
{
    int64_t down = product >> right, rest = product & (((int64_t)1 << right) - 1), half = (int64_t)1 << (right - 1);
    return down + (rest > half || (rest == half && (down & 1)));
}

static int64_t limited(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void convolve(const conv_t *c, const uint8_t *in, void *out, int before, int rounds, int biased, int wraps)
{
    int side = (c->size + 2 - 3) / c->stride + 1;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            for (int o = 0; o < c->outputs; o++) {
                int64_t sum = biased ? c->bias[o] : 0;
                for (int i = 0; i < 3; i++)
                    for (int j = 0; j < 3; j++) {
                        int row = y * c->stride + i - before, column = x * c->stride + j - before;
                        if (row < 0 || column < 0 || row >= c->size || column >= c->size) continue;
                        const uint8_t *pixel = in + (row * c->size + column) * c->channels;
                        const int8_t *weight = c->weight + ((o * 3 + i) * 3 + j) * c->channels;
                        for (int k = 0; k < c->channels; k++) sum += pixel[k] * weight[k];
                    }
                int64_t product = sum * c->multiplier[o];
                int64_t code = rounds ? half_even(product, (int)c->right[o]) : product >> c->right[o];
                int place = (y * side + x) * c->outputs + o;
                if (c->result_bits == 16) ((int16_t *)out)[place] = (int16_t)limited(code, -32768, 32767);
                else ((uint8_t *)out)[place] = (uint8_t)(wraps ? code & 255 : limited(code, 0, 255));
            }
}

void layers(const uint8_t *input, uint8_t *stem, uint8_t *first, int16_t *second, uint8_t *sum, size_t items)
{
    for (size_t item = 0; item < items; item++) {
        convolve(&STEM, input, stem, BUG == 4 ? 0 : 1, 1, BUG != 2, 0);
        convolve(&FIRST, stem, first, 1, BUG != 1, 1, BUG == 3);
        convolve(&SECOND, first, second, 1, 1, 1, 0);
        for (int place = 0; place < SUMS; place++) {
            int64_t left = half_even(second[place] * MULTIPLIERS[BUG == 5], (int)RIGHTS[BUG == 5]);
            int64_t right = half_even(stem[place] * MULTIPLIERS[BUG != 5], (int)RIGHTS[BUG != 5]);
            sum[place] = (uint8_t)limited(left + right, 0, 255);
        }
        input += STEM.size * STEM.size * STEM.channels;
        stem += SUMS, first += SUMS, second += SUMS, sum += SUMS;
    }
}
