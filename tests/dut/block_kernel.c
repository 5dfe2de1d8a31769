/* Kernels that quantise into MXFP4 and NVFP4, right or with one bug: -DBUG=NAME. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  RIGHT, SIGNED_MAXIMUM, NOT_FIRST, NOT_LAST, FIRST_HALF, SCALE_UP, STORED_DOWN, NOT_SUBTRACTED, SHIFTED_GROUP,
  PREVIOUS_GROUP, FIRST_GROUP, ROW_STRIDE, SCALES_TRANSPOSED, SWIZZLED, SWAPPED_NIBBLES, SIGN_DROPPED, WHOLE_ROWS,
  TIES_AWAY, TRUNCATES, RCEIL, CEIL, EVEN, NEAREST, TOSA, NAN_DROPPED, INFINITY_DROPPED, ZERO_ONE, NO_NEGATIVE_ZERO,
  PAST_THE_ROW, TENSOR_RECIPROCAL, NO_TENSOR, FIRST_ROW, SCALE_TRUNCATED, RECIPROCAL, SMALLEST_NORMAL, ZERO_INFINITE,
  ZERO_EIGHTH, UNROUNDED, MAXIMUM_256, FOLDED, TENSOR_STEPS, TENSOR_TRUNCATED, TAIL_NEXT_ROW, WRONG_EVERYWHERE,
  ONE_BLOCK_WRONG, WRAPS, OTHER_AXIS, OTHER_AXIS_TURNED, SWIZZLED_BACK,
  LOG_RCEIL, LOG_FLOOR, LOG_CEIL, ZERO_BLOCK_POSITIVE, ZERO_BLOCK_NEGATIVE, ZEROS_NEGATIVE, LEAST_MAXIMUM, LEAST_SCALE,
  RCEIL_RECIPROCAL, SCALE_RECIPROCAL, PACKED
};
#ifndef BUG
#define BUG RIGHT
#endif
#define IS(bug) (BUG == (bug))

static const double E2M1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

/* Nearest value of a table of magnitudes, ties to the even code; saturates. */
static uint8_t nearest(double x, const double *table, int count, int away, int truncate) {
  int code = 0;
  if (!(x <= table[count - 1])) return (uint8_t)(count - 1);
  while (code + 1 < count && table[code + 1] <= x) code++;
  if (code + 1 < count && !truncate) {
    double middle = (table[code] + table[code + 1]) / 2;
    if (x > middle || (x == middle && (away || (code & 1)))) code++;
  }
  return (uint8_t)code;
}

static uint8_t element(double q) {
  uint8_t sign = signbit(q) && !IS(SIGN_DROPPED) ? 8 : 0;
  uint8_t code;
  if (isnan(q)) return 7; /* there is no NaN */
  if (IS(WRAPS) && fabs(q) > 6) return sign | (uint8_t)((int)fabs(q) & 7);
  code = nearest(fabs(q), E2M1, 8, IS(TIES_AWAY), IS(TRUNCATES));
  if (IS(NO_NEGATIVE_ZERO) && !code) sign = 0;
  return sign | code;
}

static double value_at(const float *values, size_t i, size_t j, size_t rows, size_t columns) {
  return IS(ROW_STRIDE) ? values[j * rows + i] : values[i * columns + j];
}

/* The largest magnitude of values [from, to) of a row; NaN stays. */
static double maximum(const float *values, size_t i, size_t from, size_t to, size_t rows, size_t columns) {
  double amax = 0;
  size_t j, end = IS(FIRST_HALF) ? from + (to - from + 1) / 2 : to;
  if (IS(WHOLE_ROWS)) from = 0, end = columns;
  for (j = from + (IS(NOT_FIRST) ? 1 : 0); j + (IS(NOT_LAST) ? 1 : 0) < end; j++) {
    double x = value_at(values, i, j, rows, columns);
    if (!IS(SIGNED_MAXIMUM)) x = fabs(x);
    if (IS(INFINITY_DROPPED) && isinf(x)) continue;
    if (x > amax || (isnan(x) && !IS(NAN_DROPPED) && !IS(SIGNED_MAXIMUM))) amax = x;
    if (isnan(amax)) return amax;
  }
  return amax;
}

static size_t scale_place(size_t i, size_t b, size_t rows, size_t blocks) {
  if (IS(SCALES_TRANSPOSED)) return b * rows + i;
  if (IS(SWIZZLED) && rows % 128 == 0 && blocks % 4 == 0)
    return ((i / 128) * (blocks / 4) + b / 4) * 512 + (i % 32) * 16 + i % 128 / 32 * 4 + b % 4;
  if (IS(SWIZZLED_BACK) && rows % 128 == 0 && blocks % 4 == 0) {
    size_t at = i * blocks + b, tile = at / 512, inside = at % 512, across = blocks / 4;
    return (tile / across * 128 + inside % 16 / 4 * 32 + inside / 16) * blocks + tile % across * 4 + inside % 4;
  }
  return i * blocks + b;
}

/* The block whose scale divides the value of column j. */
static size_t group_of(size_t j, size_t size, size_t blocks) {
  size_t b = j / size;
  if (IS(SHIFTED_GROUP)) b = (j + 1) / size;
  if (IS(PREVIOUS_GROUP) && b) b--;
  if (IS(FIRST_GROUP)) b = 0;
  return b < blocks ? b : blocks - 1;
}

static size_t code_place(size_t at) { return IS(SWAPPED_NIBBLES) ? at ^ 1 : at; }

static int mx_power(double amax) {
  int e;
  double m = frexp(amax, &e); /* amax = m * 2^e, m in [1/2, 1) */
  if (IS(LOG_RCEIL)) return (int)ceilf(log2f((float)amax / 6));
  if (IS(LOG_FLOOR)) return (int)floorf(log2f((float)amax)) - 2;
  if (IS(LOG_CEIL)) return (int)ceilf(log2f((float)amax)) - 2;
  if (IS(RCEIL_RECIPROCAL)) {
    m = frexp((float)amax * (1.0f / 6), &e);
    return m == 0 ? -127 : m > 0.5 ? e : e - 1;
  }
  if (IS(RCEIL)) {
    m = frexp(amax / 6, &e);
    return m > 0.5 ? e : e - 1;
  }
  if (IS(NEAREST)) {
    m = frexp(amax / 6, &e);
    return m >= 0.75 ? e : e - 1;
  }
  if (IS(CEIL) && m > 0.5) e++;
  if (IS(EVEN) && m >= 1 - 1.0 / 8) e++;
  if (IS(TOSA) && m >= 7.0 / 8) e++;
  return e - 1 - (IS(NOT_SUBTRACTED) ? 0 : 2) + (IS(SCALE_UP) ? 1 : 0);
}

/* MXFP4 with its blocks down the columns; scales that there is no room for are dropped. */
static void down_the_columns(const float *values, uint8_t *codes, uint8_t *block, size_t rows, size_t columns) {
  size_t down = (rows + 31) / 32, room = rows * ((columns + 31) / 32), b, i, j;
  for (b = 0; b < down; b++)
    for (j = 0; j < columns; j++) {
      size_t end = (b + 1) * 32 < rows ? (b + 1) * 32 : rows, place = IS(OTHER_AXIS) ? b * columns + j : j * down + b;
      double amax = 0, scale;
      int power = -127;
      for (i = b * 32; i < end; i++) {
        double x = fabs(values[i * columns + j]);
        if (x > amax || isnan(x)) amax = x;
        if (isnan(amax)) break;
      }
      if (amax > 0 && isfinite(amax)) power = mx_power(amax);
      if (power < -127) power = -127;
      scale = isfinite(amax) ? ldexp(1, power) : NAN;
      if (place < room) block[place] = isfinite(amax) ? (uint8_t)(power + 127) : 255;
      for (i = b * 32; i < end; i++) codes[i * columns + j] = element(values[i * columns + j] / scale);
    }
}

void mxfp4(const float *values, uint8_t *codes, uint8_t *block, size_t rows, size_t columns) {
  size_t size = 32, blocks = (columns + size - 1) / size, i, j, b;
  double *scales;
  int *zeros;
  if (IS(OTHER_AXIS) || IS(OTHER_AXIS_TURNED)) {
    down_the_columns(values, codes, block, rows, columns);
    return;
  }
  scales = malloc(blocks * sizeof *scales);
  zeros = calloc(blocks, sizeof *zeros);
  for (i = 0; i < rows; i++) {
    for (b = 0; b < blocks; b++) {
      size_t end = (b + 1) * size < columns ? (b + 1) * size : columns;
      double amax = maximum(values, i, b * size, end, rows, columns);
      int power = -127, none = amax == 0;
      if (IS(LEAST_MAXIMUM) && amax < 1e-8f) amax = 1e-8f;
      if (IS(LEAST_SCALE) && amax < 6 * 1e-12f) amax = 6 * 1e-12f;
      if (isnan(amax) || (isinf(amax) && !IS(SIGNED_MAXIMUM))) {
        block[scale_place(i, b, rows, blocks)] = 255;
        scales[b] = NAN;
        zeros[b] = 0;
        continue;
      }
      if (isinf(amax)) {
        block[scale_place(i, b, rows, blocks)] = 255;
        scales[b] = NAN;
        zeros[b] = 0;
        continue;
      }
      if (amax > 0) power = mx_power(amax);
      else if (IS(ZERO_ONE)) power = 0;
      if (power < -127) power = -127;
      if (power > 127) power = 127;
      scales[b] = ldexp(1, power);
      zeros[b] = none;
      if (IS(STORED_DOWN) && power > -127) power--;
      block[scale_place(i, b, rows, blocks)] = (uint8_t)(power + 127);
    }
    for (j = 0; j < columns; j++) {
      double x = value_at(values, i, j, rows, columns);
      uint8_t code = element(x / scales[group_of(j, size, blocks)]);
      if (IS(WRONG_EVERYWHERE)) code = (uint8_t)((i * 7 + j * 3) & 15);
      if (IS(ONE_BLOCK_WRONG) && blocks > 2 && j / size == 2) code ^= 1;
      if (zeros[j / size] && IS(ZERO_BLOCK_POSITIVE)) code = 0;
      if (zeros[j / size] && IS(ZERO_BLOCK_NEGATIVE)) code = 8;
      if (x == 0 && IS(ZEROS_NEGATIVE)) code = 8;
      if (IS(PACKED)) {
        uint8_t *byte = codes + (i * columns + j) / 2;
        *byte = j & 1 ? *byte | (uint8_t)(code << 4) : code;
        continue;
      }
      codes[code_place(i * columns + j)] = code;
    }
  }
  free(scales);
  free(zeros);
}

/* ---- NVFP4, exact or in binary32 ---- */

static double e4m3(int code) {
  int e = code >> 3, m = code & 7;
  return e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
}

static uint8_t encode_e4m3(double x) {
  int code = 0;
  if (isnan(x)) return 0x7f;
  if (!(x < 448)) return 0x7e;
  while (code < 0x7e && e4m3(code + 1) <= x) code++;
  if (code < 0x7e && !IS(SCALE_TRUNCATED)) {
    double middle = (e4m3(code) + e4m3(code + 1)) / 2;
    if (x > middle || (x == middle && (code & 1))) code++;
  }
  if (IS(SMALLEST_NORMAL) && code < 8) code = 8;
  return (uint8_t)code;
}

#ifdef BINARY32
typedef float real; /* every step is rounded */
#else
typedef double real;
#endif

void nvfp4(const float *values, uint8_t *codes, uint8_t *block, float *tensor, size_t rows, size_t columns) {
  size_t size = 16, blocks = (columns + size - 1) / size, i, j, b;
  real *scales = malloc(blocks * sizeof *scales);
  double amax = 0;
  float reach = IS(MAXIMUM_256) ? 6 * 256 : 6 * 448, top, reverse = 0;
  for (i = 0; i < (IS(FIRST_ROW) ? 1 : rows); i++)
    for (j = 0; j < columns; j++) {
      double x = fabs(value_at(values, i, j, rows, columns));
      if (x > amax || (isnan(x) && !IS(NAN_DROPPED))) amax = x;
      if (isnan(amax)) j = columns, i = rows;
    }
  top = (float)(amax / reach);
  if (IS(TENSOR_TRUNCATED) && top > amax / reach) top = nextafterf(top, 0);
#ifdef BINARY32
  top = (float)amax / reach;
  reverse = 1 / top;
  if (IS(TENSOR_STEPS)) {
    reverse = reach / (float)amax;
    if (isinf(reverse)) reverse = 3.4028235e38f;
    if (reverse == 0) reverse = 1;
    top = 1 / reverse;
  }
#endif
  if (IS(SMALLEST_NORMAL) && top < 1.17549435e-38f) top = 1.17549435e-38f;
  if (IS(ZERO_EIGHTH) && top == 0) top = 0.125f;
  *tensor = IS(TENSOR_RECIPROCAL) ? 1 / top : top;
  for (i = 0; i < rows; i++) {
    for (b = 0; b < blocks; b++) {
      size_t end = (b + 1) * size < columns ? (b + 1) * size : columns;
      double own = maximum(values, i, b * size, end, rows, columns);
      real ratio = (real)own / ((real)6 * (real)top);
      uint8_t code;
#ifdef BINARY32
      ratio = ((float)own / 6) / top;
      if (IS(FOLDED)) ratio = (float)own * (reverse * (1.0f / 6));
#endif
      if (own == 0 && top == 0) ratio = 0;
      if (IS(NO_TENSOR)) ratio = (real)(own / 6);
      if (IS(SCALE_UP)) ratio *= 2;
      code = encode_e4m3(ratio);
      if (IS(ZERO_EIGHTH) && code == 0) code = 0x20;
      block[scale_place(i, b, rows, blocks)] = code;
      scales[b] = code == 0x7f ? NAN : (real)e4m3(code);
      if (IS(UNROUNDED) && own != 0) scales[b] = ratio;
    }
    for (j = 0; j < columns; j++) {
      real x = (real)value_at(values, i, j, rows, columns), s = scales[group_of(j, size, blocks)] * (real)top, q;
      q = IS(RECIPROCAL) ? x * ((real)1 / s > 3.4028235e38f ? (real)3.4028235e38f : (real)1 / s) : x / s;
      if (s == 0 && !IS(ZERO_INFINITE)) q = 0 * x;
      codes[code_place(i * columns + j)] = element(q);
    }
  }
  free(scales);
}

/* ---- FP8 with a binary32 scale for 128 values; the last block of a row may be shorter ---- */

void fp8(const float *values, uint8_t *codes, float *block, size_t rows, size_t columns) {
  size_t size = 128, blocks = (columns + size - 1) / size, i, j, b;
  for (i = 0; i < rows; i++)
    for (b = 0; b < blocks; b++) {
      size_t from = i * columns + b * size, end = (b + 1) * size < columns ? (b + 1) * size : columns;
      size_t last = i * columns + end;
      float amax = 0, scale;
      if (IS(PAST_THE_ROW)) last = from + size;
      if (IS(TAIL_NEXT_ROW)) last = from + size < rows * columns ? from + size : rows * columns;
      for (j = from; j < last; j++) {
        float x = fabsf(values[j]);
        if (x > amax || isnan(x)) amax = x;
        if (isnan(amax)) break;
      }
      scale = IS(SCALE_RECIPROCAL) ? amax * (1.0f / 448) : amax / 448;
      if (amax == 0) scale = 1;
      block[i * blocks + b] = scale;
      for (j = b * size; j < end; j++) {
        float q = IS(RECIPROCAL) ? values[i * columns + j] * fminf(1 / scale, 3.4028235e38f) : values[i * columns + j] / scale;
        uint8_t sign = signbit(q) ? 0x80 : 0;
        if (scale == 0) q = 0 * values[i * columns + j], sign = signbit(q) ? 0x80 : 0;
        codes[i * columns + j] = sign | encode_e4m3(fabsf(q));
      }
    }
}

/* ---- The way back ---- */

#ifndef BACK
#define BACK 0 /* 1 swapped nibbles, 2 bias of 128, 3 no tensor scale, 4 sign dropped, 5 NaN scale, 6 one code wrong */
#endif

static float value_of(const uint8_t *codes, size_t at) {
  uint8_t code = codes[BACK == 1 ? at ^ 1 : at];
  double value = E2M1[code & 7];
  if (BACK == 6 && code == 5) value = 2.5;
  return (float)(code & 8 && BACK != 4 ? -value : value);
}

void mxfp4_back(const uint8_t *codes, const uint8_t *block, float *values, size_t rows, size_t columns) {
  size_t i, j, blocks = (columns + 31) / 32;
  for (i = 0; i < rows; i++)
    for (j = 0; j < columns; j++) {
      uint8_t scale = block[scale_place(i, j / 32, rows, blocks)];
      double worth = ldexp(value_of(codes, i * columns + j), scale - (BACK == 2 ? 128 : 127));
      values[i * columns + j] = scale == 255 && BACK != 5 ? NAN : (float)worth;
    }
}

void nvfp4_back(const uint8_t *codes, const uint8_t *block, const float *tensor, float *values, size_t rows,
                size_t columns) {
  size_t i, j, blocks = (columns + 15) / 16;
  for (i = 0; i < rows; i++)
    for (j = 0; j < columns; j++) {
      uint8_t code = block[i * blocks + j / 16];
      double scale = (code & 127) == 127 ? NAN : e4m3(code & 127) * (code & 128 ? -1 : 1);
      double worth = value_of(codes, i * columns + j) * scale * (BACK == 3 ? 1.0 : (double)*tensor);
      values[i * columns + j] = (float)worth;
    }
}
